"""Leave-one-out cross-validation, row by row and group by group, through ArviZ."""

from __future__ import annotations

import hashlib
import html
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design.rowdata import in_order_of
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.inference.announce import announce, counted
from bayesmix.laws.correlations import correlations_at
from bayesmix.laws.rows import rows_of_fit
from bayesmix.laws.values import residual_values
from bayesmix.laws.weights import LEAST_FOR_WEIGHTS, kept_apart
from bayesmix.results.tabular.diagnostics import Diagnostics
from bayesmix.results.tabular.text import html_block

if TYPE_CHECKING:
    from bayesmix.gaussian.problem import Problem
    from bayesmix.laws.draws import DrawsLaw
    from bayesmix.statement.stated import StatedModel

_SLOW = 3.0  # seconds; longer is announced

__all__ = [
    "Loo", "check_enough_draws", "group_log_density", "groups_of_rows", "psis_loo", "thetas",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Loo:
    """Expected log predictive density by leave-one-out cross-validation.

    Attributes
    ----------
    elpd : float
        Sum over rows (or groups) of the log density of each given all others.
    se : float
        Its standard error over rows (or groups).
    p : float
        Effective number of parameters: what the fit gains by having seen each; NaN for
        exact refits.
    pointwise : DataFrame
        One row per row of the data or level: elpd and pareto_k (NaN for exact refits).
    good_k : float
        Below it, importance sampling can be trusted with this many draws.
    by : str
        What was left out: "row", or the name of a grouping factor or column.
    data_key : str
        Stands for the responses that were left out.
    arviz : arviz_stats.ELPDData
        The same for ArviZ's own functions.
    problems : tuple of str
        What the diagnostics found in the draws, or in the refits; empty where all is well.
    """

    elpd: float
    se: float
    p: float
    pointwise: pd.DataFrame
    good_k: float
    by: str
    data_key: str
    arviz: Any
    problems: tuple[str, ...] = ()

    @property
    def bad(self) -> pd.DataFrame:
        """The rows or levels whose Pareto k is too large."""
        k = self.pointwise["pareto_k"]
        # Exact refits have no limit; where there is one, NaN does not keep it.
        return self.pointwise[np.isfinite(self.good_k) & ~(k <= self.good_k)]

    @property
    def ok(self) -> bool:
        """Whether every Pareto k is small enough, and nothing is wrong with the draws."""
        return self.bad.empty and not self.problems

    def report(self) -> str:
        """Say in words how far the importance weights, and the draws, can be trusted."""
        text = self._of_weights()
        if self.problems:
            text += f" The draws themselves are not to be trusted yet: {'; '.join(self.problems)}."
        return text

    def _of_weights(self) -> str:
        k = self.pointwise["pareto_k"]
        if np.isnan(self.good_k):
            return "Exact refits: no importance weights."
        if self.bad.empty:
            return (
                f"All Pareto k are below {self.good_k:.2f} (largest {k.max():.2f}): the estimate "
                "can be trusted."
            )
        worst = self.bad["pareto_k"].sort_values(ascending=False)
        shown = ", ".join(f"{label} ({value:.2f})" for label, value in worst.head(4).items())
        n_more = len(worst) - 4
        more = f" and {n_more} more" if n_more > 0 else ""
        one = len(worst) == 1
        are, these = ("is", "this one") if one else ("are", "these")
        them, their = ("it", "its") if one else ("them", "their")
        advice = (
            f'kfold(by="{self.by}") refits without {them}'
            if self.by != "row"
            else f"kfold() refits without {them}, and loo(by=...) leaves whole groups out"
        )
        return (
            f"{len(worst)} of {len(k)} Pareto k {are} above {self.good_k:.2f}: {shown}{more}. The "
            f"posterior without {these} is too far from the posterior with {them} for importance "
            f"weights, so {their} part of the elpd is not reliable; {advice}."
        )

    def __str__(self) -> str:
        what = "rows" if self.by == "row" else f"levels of {self.by}, each left out as a whole"
        parameters = f", effective parameters {self.p:.1f}" if np.isfinite(self.p) else ""
        return (
            f"elpd {self.elpd:.1f} (se {self.se:.1f}){parameters}, over "
            f"{len(self.pointwise)} {what}\n{self.report()}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_block([f"<div>{html.escape(line)}</div>" for line in str(self).splitlines()])


def check_enough_draws(n_draws: int, asked_by: str) -> None:
    """Refuse importance weights of too few draws to smooth their tail.

    Raises
    ------
    NotSupportedError
    """
    if n_draws < LEAST_FOR_WEIGHTS:
        raise NotSupportedError(
            f"{counted(n_draws, 'draw')} in all {'is' if n_draws == 1 else 'are'} too few for the "
            f"importance weights of {asked_by}: they take {LEAST_FOR_WEIGHTS} at least; raise draws"
        )


def data_key(y: np.ndarray, member: np.ndarray | None = None) -> str:
    """Return a text that stands for the responses, and how they were left out."""
    digest = hashlib.sha256(np.ascontiguousarray(y).tobytes())
    if member is not None:
        digest.update(np.ascontiguousarray(member, dtype=np.int64).tobytes())
    return digest.hexdigest()


def psis_loo(
    log_lik: np.ndarray,
    labels: np.ndarray | pd.Index[Any],
    by: str,
    key: str,
    diagnostics: Diagnostics,
) -> Loo:
    """Leave-one-out from log densities at each draw (Vehtari et al. 2017, 2024).

    Parameters
    ----------
    log_lik : ndarray, shape (chains, draws, m)
    labels : array of m labels
    by : str
    key : str
        Key of the data.
    diagnostics : Diagnostics
        Diagnostics of the run, for the relative efficiency of the draws.

    Returns
    -------
    Loo

    Raises
    ------
    NotSupportedError
        If there are fewer than 25 draws.

    References
    ----------
    Vehtari, A., Gelman, A. and Gabry, J. (2017). Practical Bayesian model evaluation
    using leave-one-out cross-validation and WAIC. Statistics and Computing 27,
    1413-1432.
    """
    import arviz_base
    import arviz_stats

    n_samples = log_lik.shape[0] * log_lik.shape[1]
    check_enough_draws(n_samples, "loo()")
    log_lik = kept_apart(log_lik.reshape(n_samples, -1).T).T.reshape(log_lik.shape)
    ess = diagnostics.parameters["ess_bulk"].dropna()
    reff = float(np.clip(ess.mean() / n_samples, 1e-3, 1.0)) if len(ess) else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k; the report names them
        tree = arviz_base.from_dict(
            {"posterior": {"lp": log_lik.sum(axis=-1)}, "log_likelihood": {"unit": log_lik}},
            dims={"unit": ["left_out"]},
        )
        found = arviz_stats.loo(tree, var_name="unit", pointwise=True, reff=reff)
    pointwise = pd.DataFrame(
        {"elpd": found.elpd_i.to_numpy(), "pareto_k": found.pareto_k.to_numpy()},
        index=pd.Index(labels, name=by),
    )
    return Loo(
        elpd=float(found.elpd),
        se=float(found.se),
        p=float(found.p),
        pointwise=pointwise,
        good_k=float(found.good_k),
        by=by,
        data_key=key,
        arviz=found,
        problems=tuple(diagnostics.problems),
    )


def groups_of_rows(model: StatedModel, by: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """Find the group of each row of the fit.

    Parameters
    ----------
    model : Model
    by : str or array_like, shape (n,)
        A grouping factor, a column that the formula uses, or the groups themselves: a Series
        by its labels, for the rows of the fit or all of the data, and an array in their order.

    Returns
    -------
    name : str
    labels : ndarray of object, shape (m,)
    member : ndarray of int, shape (n,)

    Raises
    ------
    DataError
        If there is no such grouping factor or column, or only one group.
    """
    design = model.design
    if isinstance(by, str):
        every = [g for predictor in design.predictors.values() for g in predictor.grouping]
        for group in every:
            if group.name == by and group.is_membership:
                raise DataError(
                    f"rows belong to several levels of {by}, so none can be left out with all of "
                    "its rows and no others; leave out by one of its columns, or another group"
                )
            if group.name == by:  # levels of a known covariance may have no row
                there, member = np.unique(group.index, return_inverse=True)
                return by, group.levels.labels[there], member.astype(np.int64)
        if by not in design.frame.columns:
            known = list(dict.fromkeys(g.name for g in every))
            known += [c for c in design.frame.columns if c not in known]
            raise DataError(
                f"by={by!r} is neither a grouping factor nor a column of the formula; "
                f"{did_you_mean(by, known, '`')}there are "
                f"{', '.join(f'`{name}`' for name in known)}; or pass an array with a group per row"
            )
        name, values = by, design.frame[by].astype(object).to_numpy()
    else:
        name, values = "group", np.asarray(by, dtype=object)
        if isinstance(by, pd.Series):
            values = _by_label(by, design.row_labels)
        if values.shape != (design.n_obs,):
            raise DataError(f"by has shape {values.shape}, the fit has {design.n_obs} rows")
        absent = np.flatnonzero(pd.isna(values))
        if absent.size:
            raise DataError(
                f"by is {values[absent[0]]!r} in row {design.row_labels[absent[0]]}: each row "
                "needs a group; give those without one a group of their own"
            )
    member, labels = pd.factorize(pd.Series(values).astype(str), sort=True)
    if len(labels) < 2:
        raise DataError(f"by={name!r} has one group only: nothing is left to learn from")
    return name, np.asarray(labels, dtype=object), member.astype(np.int64)


def _by_label(by: pd.Series[Any], labels: pd.Index[Any]) -> np.ndarray:
    """Groups of the fit's rows; of a Series for all of the data those of rows left out drop out."""
    if by.index.is_unique and labels.is_unique and labels.isin(by.index).all():
        return by.loc[labels].to_numpy(dtype=object)
    return in_order_of(labels, by, "by").to_numpy(dtype=object)


def group_log_density(law: DrawsLaw, member: np.ndarray) -> np.ndarray:
    """Log density of each group's rows with their own effects integrated out.

    For a normal model log p(y_g | y_-g, theta), exactly; else see
    `integrated_log_density`.

    Parameters
    ----------
    law : DrawsLaw
    member : ndarray of int, shape (n,)
        Group of each row.

    Returns
    -------
    ndarray, shape (chains, draws, m)
    """
    from bayesmix.inference.engines import why_not_collapsed

    model = law.model
    why_not = why_not_collapsed(
        model.design, model.family, model.rows, model.prior_entries, model.residual
    )
    if why_not:
        return _integrated(law, member, why_not)
    return _collapsed(law, member)


def _integrated(law: DrawsLaw, member: np.ndarray, why_not: str) -> np.ndarray:
    """Given beta and the effects that a group shares with others; by quadrature."""
    from bayesmix.laws.integrated import (
        expected_seconds,
        integrated_log_density,
        levels_of_one_unit,
    )
    from bayesmix.laws.integrated_several import integrated_of_several

    model, (n_chains, n_draws) = law.model, law.beta.shape[:2]
    if model.residual is not None and model.residual.correlated:
        raise NotSupportedError(
            f"loo(by=...) beside {model.residual.in_words} is exact where all effects integrate "
            f"out, which they do not {why_not}; loo() leaves out each row given the others"
        )
    rows = rows_of_fit(model, "linear")
    several = len(model.design.predictors) > 1
    labels: dict[str, dict[str, np.ndarray]] = {}
    shared = {}
    for name, predictor in model.design.predictors.items():
        labels[name] = {}
        for group in predictor.all_groups:
            whole = levels_of_one_unit(group.index, member, group.n_levels)
            if not group.integrates:  # the draws' effects, with importance weights
                whole[:] = False
            labels[name][group.name] = np.where(whole[group.index], group.index, -1)
            if name == "mu" and (several or not whole.all()):
                kept = np.arange(group.n_levels) if several else np.flatnonzero(~whole)
                shared[group.name] = kept
    parameters = law.draw(shared, None, law.seed)
    every = {f"{name}: {g}": label for name, own in labels.items() for g, label in own.items()}
    effects = {
        f"{name}: {group.name}": group.n_effects
        for name, predictor in model.design.predictors.items()
        for group in predictor.all_groups
    }
    seconds = expected_seconds(model.family, every, effects, member, parameters.n_draws)
    announce(
        f"Leaving out {int(member.max()) + 1} groups at {parameters.n_draws} draws, about "
        f"{seconds:.0f} s ...",
        progress=seconds > _SLOW,
    )
    if several:
        found = integrated_of_several(model, parameters, rows, model.y, member, labels, law.seed)
    else:
        found = integrated_log_density(
            model.family, parameters, rows, model.y, member, labels["mu"], law.seed
        )
    wrong = ~np.isfinite(found)
    if wrong.any():
        raise NotSupportedError(
            f"of {int(wrong.any(axis=0).sum())} groups the log density cannot be integrated over "
            f"their effects at {int(wrong.any(axis=1).sum())} of {len(found)} draws; "
            "kfold(by=...) refits without the groups"
        )
    return found.reshape(n_chains, n_draws, -1)


def _collapsed(law: DrawsLaw, member: np.ndarray) -> np.ndarray:
    """Log densities of groups under a normal model, all effects integrated out."""
    from bayesmix.gaussian.leave_group_out import expected_seconds, log_density_of_groups
    from bayesmix.inference.problems import gaussian_problem

    model = law.model
    problem, design = gaussian_problem(model), model.design
    n_chains, n_draws = law.beta.shape[:2]
    X = thetas(law, problem)
    prior = problem.fixed_prior(design.mu, model.prior_entries.mu)
    seconds = expected_seconds(problem, prior, X, member, model.rows)
    announce(
        f"Leaving out {int(member.max()) + 1} groups at {len(X)} draws, about {seconds:.0f} s ...",
        progress=seconds > _SLOW,
    )
    structure = problem.residual
    weights = None if structure is None else structure.pairs(model.rows, design.n_obs).weights
    found = log_density_of_groups(
        problem,
        design.mu,
        model.y if design.mu.offset is None else model.y - design.mu.offset,
        weights,
        prior,
        X,
        member,
        model.rows,
    )
    return found.reshape(n_chains, n_draws, -1)


def thetas(law: DrawsLaw, problem: Problem) -> np.ndarray:
    """Coordinates of a normal model at each draw, shape (chains x draws, n_all).

    Parameters
    ----------
    law : DrawsLaw
    problem : Problem
    """
    from bayesmix.gaussian.theta import pack_theta

    n_chains, n_draws = law.beta.shape[:2]

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(n_chains * n_draws, *values.shape[2:])

    return pack_theta(
        problem,
        {name: flat(values) for name, values in law.sd.items()},
        correlations_at(law.corr, flat),
        None if problem.sigma_is_known else flat(law.parameters["sigma"]),
        {g: {n: flat(v) for n, v in own.items()} for g, own in law.structure.items()},
        {name: flat(values) for name, values in residual_values(law.model, law.values).items()},
    )
