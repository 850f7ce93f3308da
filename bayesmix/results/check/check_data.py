"""The numbers behind the pictures of a posterior check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.results.check.loo import LEAST_FOR_WEIGHTS, kept_apart
from bayesmix.results.predict.levels import name_key
from bayesmix.results.predict.linear import for_each_block
from bayesmix.results.predict.prediction import Predicts
from bayesmix.results.predict.request import PredictionRequest
from bayesmix.results.predict.residuals import share_below

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "STATISTICS",
    "Calibration",
    "CheckData",
    "Statistic",
    "calibration_of_draws",
    "check_data",
    "replicates_wanted",
    "statistic_data",
]

STATISTICS: Mapping[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sd": lambda values, axis=None: np.std(values, axis=axis, ddof=1),
    "min": np.min,
    "max": np.max,
    "median": np.median,
}
_DRAWS = 1000  # for calibration
_LOOKED_AT = 150  # rows whose weights are judged: 2 ms each
_REPLICATES = 200  # of a picture
_NUMBERS = 20_000_000  # in all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One statistic of the data beside that of replicates.

    Attributes
    ----------
    name : str
    group : str
        Grouping factor within whose levels it is taken; empty for the whole data.
    levels : ndarray of str, shape (m,)
    observed : ndarray, shape (m,)
    replicates : ndarray, shape (R, m)
    """

    name: str
    group: str
    levels: np.ndarray
    observed: np.ndarray
    replicates: np.ndarray

    def interval(self, prob: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the equal-tailed interval of the replicates, each of shape (m,)."""
        tail = (1 - prob) / 2
        lower, upper = np.quantile(self.replicates, [tail, 1 - tail], axis=0)
        return lower, upper

    @property
    def p_value(self) -> np.ndarray:
        """Share of replicates above the observed value, ties by half, shape (m,)."""
        above = (self.replicates > self.observed).mean(axis=0)
        return np.asarray(above + 0.5 * (self.replicates == self.observed).mean(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckData:
    """What the pictures of a check are drawn from.

    Attributes
    ----------
    response : str
    y : ndarray, shape (n,)
    y_name : str
        What `y` is: "data", or that censored values were drawn.
    replicates : ndarray, shape (R, n)
    discrete : bool
    pit : ndarray, shape (n,)
        Where each observation lies among its replicates: uniform under the model.
    pit_name : str
        Whether that is as if it had been left out.
    pit_note : str
        How many of the rows' importance weights are not reliable; empty where none is.
    fitted, residuals : ndarray, shape (n,)
        Posterior means, and residuals in standard deviations.
    residual_name : str
    statistics : tuple of Statistic
        Within the levels of a grouping factor; empty without one.
    group : str
    effects : mapping of str to ndarray, shape (G,)
        Estimated group effects of that factor.
    """

    response: str
    y: np.ndarray
    y_name: str
    replicates: np.ndarray
    discrete: bool
    pit: np.ndarray
    pit_name: str
    pit_note: str
    fitted: np.ndarray
    residuals: np.ndarray
    residual_name: str
    statistics: tuple[Statistic, ...]
    group: str
    effects: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the observations lie in their predictive distributions.

    Attributes
    ----------
    pit : ndarray, shape (n,)
        Probability integral transforms.
    name : str
        How they came about.
    quantile : ndarray, shape (n,)
        Quantile residuals of the fit.
    fitted : ndarray, shape (n,)
    note : str
        What is to be said of the weights that leave rows out; empty where nothing is.
    """

    pit: np.ndarray
    name: str
    quantile: np.ndarray
    fitted: np.ndarray
    note: str = ""


def replicates_wanted(n_obs: int) -> int:
    """How many replicates a picture needs, or can hold of many rows."""
    return int(np.clip(_NUMBERS // n_obs, 20, _REPLICATES))


def check_data(
    model: StatedModel,
    y: np.ndarray,
    replicates: np.ndarray,
    factor: GroupingFactor | None,
    *,
    calibration: Calibration,
    pearson: np.ndarray,
    effects: Mapping[str, np.ndarray],
) -> CheckData:
    """Gather the numbers of a check.

    Parameters
    ----------
    model : Model
    y : ndarray, shape (n,)
        The response, censored values drawn.
    replicates : ndarray, shape (R, n)
    factor : GroupingFactor or None
    calibration : Calibration
    pearson : ndarray, shape (n,)
        Residuals over their standard deviation.
    effects : mapping of str to ndarray, shape (G, q)
        Estimated group effects by grouping factor.

    Returns
    -------
    CheckData
    """
    censored = "status" in model.rows
    normal = model.family.is_normal and not censored
    statistics: list[Statistic] = []
    by_effect: dict[str, np.ndarray] = {}
    if factor is not None:
        # Where there are two values, the mean says everything.
        names = ("mean", "sd", "min", "max") if len(np.unique(y)) > 2 else ("mean",)
        found = [statistic_data(name, y, replicates, factor) for name in names]
        statistics = [one for one in found if len(one.levels)]
        by_effect = {e: effects[factor.name][:, k] for k, e in enumerate(factor.effects)}
    return CheckData(
        response=model.formula.response.text,
        y=y,
        y_name="data, censored values drawn" if censored else "data",
        replicates=replicates,
        discrete=model.family.discrete,
        pit=calibration.pit,
        pit_name=calibration.name,
        pit_note=calibration.note,
        fitted=calibration.fitted,
        residuals=pearson if normal else calibration.quantile,
        residual_name="Pearson residual" if normal else "quantile residual",
        statistics=tuple(statistics),
        group=factor.name if factor is not None else "",
        effects=by_effect,
    )


def statistic_data(
    stat: Callable[..., Any] | str,
    y: np.ndarray,
    replicates: np.ndarray,
    factor: GroupingFactor | None,
) -> Statistic:
    """Take a statistic of the data and of replicates.

    Parameters
    ----------
    stat : callable or str
    y : ndarray, shape (n,)
    replicates : ndarray, shape (R, n)
    factor : GroupingFactor or None
        Take it within each level. Levels in which it is not a number (the sd of one
        row) are left out.

    Returns
    -------
    Statistic

    Raises
    ------
    NotSupportedError
        If `stat` is unknown or does not return one number.
    """
    if isinstance(stat, str):
        if stat not in STATISTICS:
            listed = ", ".join(repr(name) for name in STATISTICS)
            near = did_you_mean(stat, STATISTICS)
            raise ArgumentError(
                f"stat={stat!r} is no known statistic; {near}it is one of {listed}, or a function"
            )
        name, function = stat, STATISTICS[stat]
    elif callable(stat):
        name = getattr(stat, "__name__", "statistic")
        name = "statistic" if name == "<lambda>" else name
        function = _by_row(stat)
    else:
        raise ArgumentError(f"stat={stat!r} is neither a function nor the name of one")
    if factor is None:
        observed = np.asarray([function(y[None], axis=1)[0]])
        found = np.asarray(function(replicates, axis=1))[:, None]
        _check_values(name, observed, found)
        return Statistic(
            name=name, group="", levels=np.asarray([""], dtype=object), observed=observed,
            replicates=found,
        )  # fmt: skip
    order = np.argsort(factor.index, kind="stable")
    bounds = np.searchsorted(factor.index[order], np.arange(factor.n_levels + 1))
    everything = np.concatenate([y[None], replicates])[:, order]
    values = np.empty((len(everything), factor.n_levels))
    with np.errstate(all="ignore"):
        for level, (start, stop) in enumerate(itertools.pairwise(bounds)):
            if name == "sd" and stop - start < 2:
                values[:, level] = np.nan
            else:
                values[:, level] = function(everything[:, start:stop], axis=1)
    known = np.isfinite(values).all(axis=0)
    return Statistic(
        name=name,
        group=factor.name,
        levels=factor.levels.labels[known],
        observed=values[0, known],
        replicates=values[1:, known],
    )


def _check_values(name: str, observed: np.ndarray, replicates: np.ndarray) -> None:
    """Refuse a statistic that has no value, of the data or of a replicate."""
    if not np.isfinite(observed).all():
        raise NotSupportedError(f"stat={name!r} is {observed[0]} for the data: it must be finite")
    missing = int((~np.isfinite(replicates)).sum())
    if missing:
        raise NotSupportedError(
            f"stat={name!r} has no finite value in {missing} of {len(replicates)} replicates, "
            "beside which that of the data would be seen wrongly; let it return a number for "
            "every array of responses"
        )


def _by_row(stat: Callable[[np.ndarray], float]) -> Callable[..., np.ndarray]:
    def function(values: np.ndarray, axis: int) -> np.ndarray:  # noqa: ARG001
        try:
            return np.asarray([float(stat(row)) for row in values])
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ArgumentError(
                f"stat= must take an array of responses and return one number: {error}"
            ) from error

    return function


def calibration_of_draws(post: Predicts, seed: int | None) -> Calibration:
    """PIT as if each row had been left out, quantile residuals, and fitted values."""
    model = post.model
    y = model.y
    _, responses, n_draws = post._predictor(None, PredictionRequest(kind="response"), _DRAWS, seed)
    _, means, _ = post._predictor(None, PredictionRequest(), _DRAWS, seed)
    words = [post._seed(seed), name_key("pit")]
    u = np.random.default_rng(np.random.SeedSequence(words)).uniform(size=len(y))
    pit, rank, fitted = np.empty(len(y)), np.empty(len(y)), np.empty(len(y))
    looked_at = np.linspace(0, len(y) - 1, min(len(y), _LOOKED_AT)).astype(int)
    log_density = np.empty((len(looked_at), n_draws))

    def one_block(number: int, block: slice) -> None:
        drawn = responses.block(number, block)
        log_p = responses.log_prob(y[block], block).T
        fitted[block] = means.block(number, block).mean(axis=1)
        status = responses.per_row(block).get("status")
        below = share_below(drawn, y[block], u[block], status)
        own = np.flatnonzero((looked_at >= block.start) & (looked_at < block.stop))
        log_density[own] = log_p[looked_at[own] - block.start]
        # Importance weights of leaving the row out, truncated (Ionides 2008).
        weight = np.exp(np.minimum(log_p.max(axis=1, keepdims=True) - log_p, 500.0))
        weight = np.minimum(weight, np.sqrt(n_draws) * weight.mean(axis=1, keepdims=True))
        pit[block] = (weight * below).sum(axis=1) / weight.sum(axis=1)
        rank[block] = (below.sum(axis=1) + u[block]) / (n_draws + 1)

    for_each_block(len(y), n_draws, one_block)
    quantile = special.ndtri(rank)
    note = _unreliable(log_density)
    return Calibration(pit=pit, name="leave-one-out", quantile=quantile, fitted=fitted, note=note)


def _unreliable(log_density: np.ndarray) -> str:
    """Say of how many rows Pareto's k is too large, as `Posterior.loo` does of all."""
    from arviz_stats.base import array_stats

    n_rows, n_draws = log_density.shape
    if n_draws < LEAST_FOR_WEIGHTS or not np.isfinite(log_density).all():
        return ""
    k = array_stats.psislw(kept_apart(log_density))[1]  # of the weights 1 / density
    # Vehtari et al. (2024): what so many draws can bear.
    n_bad = int((~(k <= min(1 - 1 / np.log10(n_draws), 0.7))).sum())
    return f"{n_bad} of {n_rows} weights unreliable: loo()" if n_bad else ""
