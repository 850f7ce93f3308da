"""The picture of a check: its numbers, drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.results.check.check_data import CheckData, Statistic, statistic_data
from bayesmix.results.check.streamed_check import streamed_check, streamed_statistic

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Law
    from bayesmix.statement.stated import StatedModel

__all__ = ["draw_check", "draw_streamed_check"]


def draw_check(
    model: StatedModel,
    y: np.ndarray,
    replicates: np.ndarray,
    stat: Callable[..., Any] | str | None,
    group: str | None,
    data_of: Callable[[np.ndarray, GroupingFactor | None], CheckData],
) -> Any:
    """Draw the whole check, or one statistic of it.

    Parameters
    ----------
    model : Model
    y : ndarray, shape (n,)
    replicates : ndarray, shape (R, n)
    stat : callable or str, optional
    group : str, optional
        A grouping factor; for the whole check the first by default.
    data_of : callable
        From replicates and a grouping factor to the numbers of the check.

    Returns
    -------
    matplotlib Figure
    """
    from bayesmix.results.plots.check import plot_check, plot_statistic

    factor = None if group is None else model.design.mu.group(group)
    if stat is not None:
        return plot_statistic(_some_level(statistic_data(stat, y, replicates, factor)))
    if factor is None and model.design.mu.grouping:
        factor = model.design.mu.grouping[0]
    return plot_check(data_of(replicates, factor))


def draw_streamed_check(
    law: Law, data: Any, stat: Callable[..., Any] | str | None, group: str | None, seed: int | None
) -> Any:
    """Draw the same of rows that are read in batches.

    Parameters
    ----------
    law : Law
    data : any
        Where the rows are, if the fit does not know it; else None.
    stat, group
        As of `draw_check`.
    seed : int, optional

    Returns
    -------
    matplotlib Figure
    """
    from bayesmix.results.plots.check import plot_check, plot_statistic

    predictor = law.model.design.mu
    factor = None if group is None else predictor.group(group)
    if stat is not None:
        return plot_statistic(_some_level(streamed_statistic(law, stat, factor, seed, data)))
    if factor is None and predictor.grouping:
        factor = predictor.grouping[0]
    return plot_check(streamed_check(law, factor, seed, data))


def _some_level(statistic: Statistic) -> Statistic:
    if not len(statistic.levels):
        raise NotSupportedError(
            f"stat={statistic.name!r} has a value in no level of `{statistic.group}`"
            + (": each has one row" if statistic.name == "sd" else "")
        )
    return statistic
