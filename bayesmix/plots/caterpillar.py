"""Group effects, sorted, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.plots.figure import ACCENT, MAIN, NEUTRAL, finish, new_figure, shorten

__all__ = ["plot_caterpillar"]

_LABELLED = 60  # more levels than this have no room for their names


def plot_caterpillar(
    table: pd.DataFrame,
    effects: Sequence[str],
    *,
    ci_prob: float,
    max_levels: int | None = None,
) -> Any:
    """Draw one panel per effect, its levels sorted by their estimate.

    Intervals that leave out zero are drawn in another colour.

    Parameters
    ----------
    table : DataFrame
        Of one grouping factor: level, effect, estimate, lower, upper.
    effects : sequence of str
        The effects to draw.
    ci_prob : float
        Probability inside the intervals, for the label.
    max_levels : int, optional
        Draw only so many levels: the lowest and the highest.

    Returns
    -------
    matplotlib Figure
    """
    panels = [_sorted(table[table["effect"] == effect], max_levels) for effect in effects]
    n_levels = max(len(panel) for panel in panels)
    height = float(np.clip(0.2 * n_levels, 2.4, 12)) + 0.9
    longest = max(len(shorten(str(level))) for panel in panels for level in panel["level"])
    width = 3.2 + (0.075 * longest if n_levels <= _LABELLED else 0.3)
    figure, axes = new_figure(1, len(panels), (width * len(panels), height))
    for axis, panel, effect in zip(axes[0], panels, effects, strict=True):
        _draw(axis, panel)
        axis.set_title(shorten(str(effect), 36))
        axis.set_xlabel(f"estimate and {100 * ci_prob:g} % interval")
    group = str(table["group"].iloc[0])
    axes[0][0].set_ylabel(group)
    return finish(figure)


def _sorted(panel: pd.DataFrame, max_levels: int | None) -> pd.DataFrame:
    ordered = panel.sort_values("estimate", kind="stable")
    if max_levels is None or len(ordered) <= max_levels:
        return ordered
    low = max_levels // 2
    return pd.concat([ordered.iloc[:low], ordered.iloc[len(ordered) - (max_levels - low) :]])


def _draw(axis: Any, panel: pd.DataFrame) -> None:
    at = np.arange(len(panel))
    lower, upper = panel["lower"].to_numpy(), panel["upper"].to_numpy()
    estimate = panel["estimate"].to_numpy()
    away = (lower > 0) | (upper < 0)
    many = len(panel) > _LABELLED
    for chosen, colour in ((~away, MAIN), (away, ACCENT)):
        axis.hlines(
            at[chosen], lower[chosen], upper[chosen], color=colour, linewidth=0.7 if many else 1.4
        )
        axis.plot(estimate[chosen], at[chosen], "o", color=colour, markersize=2 if many else 4)
    axis.axvline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_ylim(-1, len(panel))
    if many:
        axis.set_yticks([])
    else:
        axis.set_yticks(at, [shorten(str(level)) for level in panel["level"]], fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
