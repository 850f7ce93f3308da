"""The picture of a check: its numbers, drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.results.check.check_data import CheckData, Statistic, statistic_data

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["draw_check"]


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


def _some_level(statistic: Statistic) -> Statistic:
    if not len(statistic.levels):
        raise NotSupportedError(
            f"stat={statistic.name!r} has a value in no level of `{statistic.group}`"
            + (": each has one row" if statistic.name == "sd" else "")
        )
    return statistic
