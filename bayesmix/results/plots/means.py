"""Means below each other, with intervals, and arrows that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import ACCENT, MAIN, NEUTRAL, finish, new_figure, strip
from bayesmix.results.plots.intervals import draw_intervals, shown_range
from bayesmix.results.plots.labels import embolden, name_ticks, text_width, wrap, wrapped
from bayesmix.results.plots.look import lines_of_rows, share

__all__ = ["MeanRow", "plot_means"]

_SIZE = 9.0  # of the labels, in points


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRow:
    """One line: a mean with its interval and its arrows, or a heading.

    Attributes
    ----------
    label : str
    estimate, lower, upper : float
    left, right : float
        Ends of the arrows; NaN where there is none.
    heading : bool
    """

    label: str
    estimate: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    left: float = np.nan
    right: float = np.nan
    heading: bool = False


def plot_means(rows: Sequence[MeanRow], *, x_label: str, title: str) -> Any:
    """Draw means, the first on top.

    Parameters
    ----------
    rows : sequence of MeanRow
    x_label, title : str

    Returns
    -------
    matplotlib Figure
    """
    names = wrapped([row.label for row in rows], share(44, _SIZE), lines_of_rows(len(rows)))
    n_lines = sum(1 + name.count("\n") for name in names)
    figure, axes = new_figure(1, 1, (4.6 + text_width(names, _SIZE), max(1.9, 1.2 + 0.3 * n_lines)))
    axis = axes[0, 0]
    numbers = np.asarray([[row.estimate, row.lower, row.upper] for row in rows])
    arrows = np.asarray([[row.left, row.right] for row in rows])
    ends = shown_range(*numbers.T, also=arrows)
    for y, row in enumerate(rows):
        if row.heading:
            continue
        if np.isnan(row.estimate):
            axis.plot(0.02, y, marker="$?$", color=MAIN, transform=axis.get_yaxis_transform(),
                      gid="unknown")  # fmt: skip
            continue
        draw_intervals(axis, y, row.estimate, row.lower, row.upper, ends=ends, colour=MAIN,
                       linewidth=6, markersize=5, markerfacecolor=MAIN)  # fmt: skip
        for end in (row.left, row.right):
            if np.isfinite(end):
                axis.annotate(
                    "", (end, y), (row.estimate, y), gid="comparison",
                    arrowprops={"arrowstyle": "->", "color": ACCENT, "shrinkA": 0, "shrinkB": 0},
                )  # fmt: skip
    for bars in axis.collections:
        bars.set_alpha(0.35)
    axis.set_xlim(*ends)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    name_ticks(axis.yaxis, np.arange(len(rows)), names, fontsize=_SIZE)
    for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
        embolden(tick, wanted=row.heading)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=NEUTRAL, linewidth=0.4, alpha=0.5)
    if np.isfinite(arrows).any():
        x_label += "\n(means whose arrows overlap are not told apart)"
    axis.set_xlabel(x_label)
    axis.set_title(wrap(title, 40))
    strip(axis)
    axis.spines["left"].set_visible(False)
    return finish(figure)
