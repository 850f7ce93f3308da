"""K-fold cross-validation by exact refits."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.arguments import plain
from bayesmix.design.subset import levels_in_part
from bayesmix.errors import ArgumentError, DataError, FormulaError, NotSupportedError
from bayesmix.inference.announce import announce
from bayesmix.laws.correlations import correlations_at
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows, levels_of
from bayesmix.results.check.loo import Loo, data_key, groups_of_rows
from bayesmix.statement.subset import check_model_of_rows, model_of_rows
from bayesmix.threads import result_of

if TYPE_CHECKING:
    from bayesmix.laws.draws import DrawsLaw
    from bayesmix.results.having_draws import HasDraws
    from bayesmix.statement.stated import FittableModel, StatedModel

__all__ = ["kfold"]

_FEW = 20  # draws, on which a mean density should rest


def kfold(post: HasDraws, k: int | None, by: Any, draws: int, seed: int, *, progress: bool) -> Loo:
    """Refit without each fold and score what was left out; see `Posterior.kfold`."""
    model = post.model
    if model.residual is not None and model.residual.correlated:
        raise NotSupportedError(
            f"kfold() knows rows that are independent given the group effects, and the residuals "
            f"here are {model.residual.in_words.removeprefix('residuals ')}: a fold that cuts a "
            "series knows of its other rows; loo() leaves out each row given these"
        )
    n = model.design.n_obs
    labels: Any
    if by is None:
        name, labels, member = "row", model.design.row_labels, np.arange(n)
    else:
        name, labels, member = groups_of_rows(model, by)
    n_units = int(member.max()) + 1
    if k is None:
        k = min(10, n_units)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 2 <= k <= n_units:
        raise ArgumentError(
            f"k={k!r} must be a whole number from 2 to {n_units}, the number of "
            f"{'rows' if by is None else f'levels of {name}'}"
        )
    rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    fold_of_unit = rng.permutation(np.arange(n_units) % k)
    fold = fold_of_unit[member]
    elpd = np.empty(n_units)
    # Kernels leave the interpreter to others; PyTensor does not compile in two threads.
    in_threads = str(post.idata.attrs["engine"]).startswith("fast")
    problems: dict[int, list[str]] = {}
    workers = min(os.cpu_count() or 1, int(k)) if in_threads else 1

    for number in range(int(k)):  # before any is fitted, and not in threads: it is said at once
        _check_fold(model, np.flatnonzero(fold != number), number, int(k))

    def one_fold(number: int) -> None:
        announce(f"Fold {number + 1} of {k} ...", progress=progress)
        test = np.flatnonzero(fold == number)
        refit = model_of_rows(model, np.flatnonzero(fold != number)).fit(
            draws=draws, seed=seed + number, cores=1 if workers > 1 else None, progress=False
        )
        log_p = _log_density(model, refit._law, test, member[test], seed)
        units = np.unique(member[test])
        problems[number] = [*refit.diagnostics().problems, *_few_draws(log_p, units, labels, name)]
        elpd[units] = special.logsumexp(log_p, axis=0) - np.log(len(log_p))

    # Filters of warnings are the whole process's: what the threads do to them ends here.
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=workers) as pool:
        folds = [pool.submit(one_fold, number) for number in range(int(k))]
        try:
            for done in folds:
                result_of(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    key = data_key(model.y, None if by is None else member)
    return _as_loo(elpd, labels, name, key, int(k), draws, _in_words(problems))


def _few_draws(log_p: np.ndarray, units: np.ndarray, labels: Any, name: str) -> list[str]:
    """Say which mean densities a handful of draws decide, so that elpd comes out too low.

    The mean of p over draws has the relative error 1 / sqrt(effective number of draws).
    """
    n_draws = len(log_p)
    effective = 1.0 / (special.softmax(log_p, axis=0) ** 2).sum(axis=0)
    few = np.flatnonzero(effective < min(_FEW, n_draws / 10))
    if not few.size:
        return []
    worst = few[np.argmin(effective[few])]
    more = f" ({len(few) - 1} more have few)" if len(few) > 1 else ""
    one = (
        f"{effective[worst]:.0f} of {n_draws} draws decide on {name} {plain(labels[units[worst]])}"
    )
    return [f"{one}{more}, and elpd is too low: raise draws, or take loo()"]


def _in_words(problems: dict[int, list[str]]) -> tuple[str, ...]:
    """What the diagnostics found in the refits, fold by fold."""
    return tuple(
        f"without fold {number + 1} of {len(problems)}, {'; '.join(found)}"
        for number, found in sorted(problems.items())
        if found
    )


def _check_fold(model: FittableModel, train: np.ndarray, number: int, k: int) -> None:
    """Refuse a fold without which there is no fit, and say which it is."""
    try:
        check_model_of_rows(model_of_rows(model, train))
    except (DataError, FormulaError) as error:
        reason = getattr(error, "reason", str(error))
        raise DataError(
            f"without fold {number + 1} of {k}: {reason}; only that fold knows it; take another "
            "k or seed, or another by="
        ) from error


def _log_density(
    model: StatedModel, law: DrawsLaw, test: np.ndarray, member: np.ndarray, seed: int
) -> np.ndarray:
    """Log density of each left-out unit at each draw, shape (S, units)."""
    rows = _left_out_rows(model, law.model, test)
    request = PredictionRequest(kind="linear")
    y = model.y[test]
    units = np.unique(member)
    plain = not {"status", "lower", "upper", "exponent"} & set(rows.per_row)
    if model.family.is_linear_normal and plain and len(units) < len(member):
        return _normal_units(law, rows, y, member, seed)
    if len(units) < len(member):
        return _integrated_units(law, rows, y, np.searchsorted(units, member), seed)
    predictor = law.predictor(rows, request, None, seed)
    by_row = predictor.log_prob(y, slice(0, len(test)))
    return by_row[:, np.argsort(member)]


def _left_out_rows(
    model: StatedModel, refit: StatedModel, test: np.ndarray, parameter: str = "mu"
) -> Rows:
    """Rows of the whole data, as the refit sees them."""
    design, own = model.design, model.design.predictors[parameter]
    index, new_levels = {}, {}
    there = refit.design.predictors[parameter].all_groups
    for whole, part in zip(own.all_groups, there, strict=True):
        index[whole.name], new_levels[whole.name] = levels_in_part(whole, part, test)
    return Rows(
        X=own.X[test],
        offset=None if own.offset is None else own.offset[test],
        Z={group.name: group.Z[test] for group in own.all_groups},
        index=index,
        new_levels=new_levels,
        labels=design.row_labels[test],
        positions=np.arange(len(test)),
        per_row={name: values[test] for name, values in model.rows.items()},
        others={
            name: _left_out_rows(model, refit, test, name)
            for name in design.predictors
            if parameter == "mu" and name != "mu"
        },
    )


def _integrated_units(
    law: DrawsLaw, rows: Rows, y: np.ndarray, member: np.ndarray, seed: int
) -> np.ndarray:
    """Effects of new levels are integrated out, those of known ones are the draws'."""
    from bayesmix.laws.integrated import integrated_log_density
    from bayesmix.laws.integrated_several import integrated_of_several

    if rows.others:
        every = {g.name: np.arange(g.n_levels) for g in law.model.design.mu.groups}
        labels = {"mu": _new_labels(rows)}
        labels |= {name: _new_labels(other) for name, other in rows.others.items()}
        return integrated_of_several(
            law.model, law.draw(every, None, seed), rows, y, member, labels, seed
        )
    parameters = law.draw(levels_of(rows), None, seed)
    return integrated_log_density(
        law.model.family, parameters, rows, y, member, _new_labels(rows), seed
    )


def _new_labels(rows: Rows) -> dict[str, np.ndarray]:
    """Number the new levels of each grouping factor; -1 where the level is known."""
    labels: dict[str, np.ndarray] = {}
    for name, index in rows.index.items():
        labels[name] = np.full(rows.n_rows, -1)
        new = [str(i) if label is None else f"={label}"
               for i, label in enumerate(rows.new_levels[name])]  # fmt: skip
        labels[name][index < 0] = pd.factorize(np.asarray(new, dtype=object))[0]
    return labels


def _normal_units(
    law: DrawsLaw, rows: Rows, y: np.ndarray, member: np.ndarray, seed: int
) -> np.ndarray:
    """Integrate the effects of new levels of a normal model out exactly."""
    from bayesmix.laws.integrated import refuse_student
    from bayesmix.laws.levels import group_scales

    # New levels at zero: their variance enters the covariance.
    known = {name: np.where(index < 0, 0, index) for name, index in rows.index.items()}
    at_zero = {name: np.where(rows.index[name][:, None] < 0, 0.0, Z) for name, Z in rows.Z.items()}
    only_known = replace(rows, index=known, Z=at_zero)
    request = PredictionRequest(kind="linear")
    predictor = law.predictor(only_known, request, None, seed)
    n_draws = predictor.n_draws
    eta = predictor.block(0, slice(0, len(y))).T

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(n_draws, *values.shape[2:])

    scales = group_scales(
        law.model.design.mu.groups,
        {name: flat(values) for name, values in law.sd.items()},
        correlations_at(law.corr, flat),
        {g: {n: flat(v) for n, v in own.items()} for g, own in law.structure.items()},
    )
    refuse_student(scales, rows)
    parameters = predictor.of_family(slice(0, len(y)))
    structure = law.model.residual
    assert structure is not None  # noqa: S101
    noise = structure.row_variance(parameters, rows.per_row)
    labels = _new_labels(rows)
    units = np.unique(member)
    out = np.empty((n_draws, len(units)))
    for u, unit in enumerate(units):
        own = np.flatnonzero(member == unit)
        V = np.zeros((n_draws, len(own), len(own)))
        V[:, range(len(own)), range(len(own))] = np.broadcast_to(noise, eta.shape)[:, own]
        for name, label in labels.items():
            at = label[own]
            same = (at[:, None] == at) & (at >= 0)
            if same.any():
                half = rows.Z[name][own] @ scales[name].root
                V += np.where(same, half @ np.swapaxes(half, 1, 2), 0.0)
        C = np.linalg.cholesky(V)
        z = np.linalg.solve(C, (y[own] - eta[:, own])[:, :, None])[:, :, 0]
        log_det = np.log(np.diagonal(C, axis1=1, axis2=2)).sum(axis=1)
        out[:, u] = -0.5 * (z**2).sum(axis=1) - log_det - 0.5 * len(own) * np.log(2 * np.pi)
    return out


def _as_loo(
    elpd: np.ndarray,
    labels: Any,
    name: str,
    key: str,
    k: int,
    draws: int,
    problems: tuple[str, ...],
) -> Loo:
    import xarray as xr
    from arviz_stats.utils import ELPDDataLOOKFold

    total, se = float(elpd.sum()), float(np.sqrt(len(elpd) * elpd.var()))
    pointwise = pd.DataFrame(
        {"elpd": elpd, "pareto_k": np.full(len(elpd), np.nan)}, index=pd.Index(labels, name=name)
    )
    arviz = ELPDDataLOOKFold(
        elpd=total,
        se=se,
        p=np.nan,
        n_samples=draws,
        n_data_points=len(elpd),
        scale="log",
        warning=False,
        good_k=None,
        elpd_i=xr.DataArray(elpd, dims="left_out"),
        n_folds=k,
    )
    return Loo(
        elpd=total,
        se=se,
        p=float("nan"),
        pointwise=pointwise,
        good_k=float("nan"),
        by=name,
        data_key=key,
        arviz=arviz,
        problems=problems,
    )
