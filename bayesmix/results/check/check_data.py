"""The numbers behind the pictures of a posterior check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, NotSupportedError

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Law

__all__ = [
    "STATISTICS",
    "CheckData",
    "Statistic",
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


def replicates_wanted(n_obs: int) -> int:
    """How many replicates a picture needs, or can hold of many rows."""
    return int(np.clip(_NUMBERS // n_obs, 20, _REPLICATES))


def check_data(
    law: Law,
    y: np.ndarray,
    replicates: np.ndarray,
    factor: GroupingFactor | None,
    seed: int | None,
) -> CheckData:
    """Gather the numbers of a check.

    Parameters
    ----------
    law : Law
    y : ndarray, shape (n,)
        The response, censored values drawn.
    replicates : ndarray, shape (R, n)
    factor : GroupingFactor or None
    seed : int or None
        For the calibration.

    Returns
    -------
    CheckData
    """
    model, calibration = law.model, law.calibration(seed)
    censored = "status" in model.rows
    normal = model.family.is_normal and not censored
    response = model.formula.response.text
    category = model.family.seen_category(model.design.response)
    whitened = normal and model.residual is not None and model.residual.correlated
    statistics: list[Statistic] = []
    by_effect: dict[str, np.ndarray] = {}
    if factor is not None:
        # Where there are two values, the mean says everything.
        names = ("mean", "sd", "min", "max") if len(np.unique(y)) > 2 else ("mean",)
        found = [statistic_data(name, y, replicates, factor) for name in names]
        statistics = [one for one in found if len(one.levels)]
        b = law.point_estimates()[1][factor.name]
        by_effect = {e: b[:, k] for k, e in enumerate(factor.effects)}
    return CheckData(
        response=f"{response}: {category}" if category else response,
        y=y,
        y_name="data, censored values drawn" if censored else "data",
        replicates=replicates,
        discrete=model.family.discrete,
        pit=calibration.pit,
        pit_name=calibration.name,
        pit_note=calibration.note,
        fitted=calibration.fitted,
        residuals=law.residuals("normalized" if whitened else "pearson", None)[1]
        if normal
        else calibration.quantile,
        residual_name=("whitened residual" if whitened else "Pearson residual")
        if normal
        else "quantile residual",
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
            if stop == start or (name == "sd" and stop - start < 2):  # relatives without rows
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
