"""Estimates below each other, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.plots.figure import ACCENT, MAIN, NEUTRAL, finish, new_figure, strip, text_width, wrap

__all__ = ["ForestRow", "plot_forest"]

_SIZE = 9.0  # of the labels, in points


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One line of a forest: an estimate with its interval, or a heading.

    Attributes
    ----------
    label : str
    estimate, lower, upper : float
        NaN in a heading. An interval without an end reaches the picture's edge, one of
        NaN is not drawn.
    fixed : bool
        Whether the value is known and not estimated.
    """

    label: str
    estimate: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    fixed: bool = False

    @property
    def is_heading(self) -> bool:
        """Whether there is nothing to draw but the label."""
        return bool(np.isnan(self.estimate))


def plot_forest(
    rows: Sequence[ForestRow],
    *,
    x_label: str,
    line: float | None,
    log: bool = False,
    title: str = "",
) -> Any:
    """Draw estimates and intervals, the first row on top.

    Parameters
    ----------
    rows : sequence of ForestRow
    x_label : str
    line : float or None
        Value that means no effect; intervals that leave it out have another colour.
        With None the axis starts at zero.
    log : bool
        Whether the axis is logarithmic.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    labels = [wrap(row.label, 44, 3) for row in rows]
    n_lines = sum(1 + label.count("\n") for label in labels)
    size = (4.6 + text_width(labels, _SIZE), max(1.9, 0.9 + 0.24 * n_lines + 0.3 * bool(title)))
    figure, axes = new_figure(1, 1, size)
    axis = axes[0][0]
    if log:
        axis.set_xscale("log")
    low, high = _range(rows, line, log)
    for y, row in enumerate(rows):
        if not row.is_heading:
            _draw(axis, y, row, line, (low, high))
    if line is not None:
        axis.axvline(line, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_xlim(low, high)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_yticks(np.arange(len(rows)), labels, fontsize=_SIZE)
    for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.is_heading else "normal")
    axis.tick_params(axis="y", length=0)
    if log:
        _label_ratios(axis, low, high)
    axis.set_xlabel(x_label)
    if title:
        axis.set_title(title)
    strip(axis)
    axis.spines["left"].set_visible(False)
    return finish(figure)


def _draw(axis: Any, y: int, row: ForestRow, line: float | None, ends: tuple[float, float]) -> None:
    away = line is not None and (row.lower > line or row.upper < line)
    colour = ACCENT if away else MAIN
    if not row.fixed and not (np.isnan(row.lower) or np.isnan(row.upper)):
        lower, upper = np.clip([row.lower, row.upper], *ends)
        axis.hlines(y, lower, upper, color=colour, linewidth=1.6)
        for end, shown, marker in ((row.lower, lower, "<"), (row.upper, upper, ">")):
            if end != shown:  # beyond the edge
                axis.plot(shown, y, marker, color=colour, markersize=5, clip_on=False)
    axis.plot(row.estimate, y, "o", color=colour, markersize=5,
              markerfacecolor="white" if row.fixed else colour)  # fmt: skip


def _range(rows: Sequence[ForestRow], line: float | None, log: bool) -> tuple[float, float]:
    """Ends of the axis: all that is finite, with a margin."""
    found = [value for row in rows for value in (row.estimate, row.lower, row.upper)]
    found.append(0.0 if line is None else line)
    values = np.asarray(found)
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if log:
        values = np.log(values)
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5 * (abs(high) or 1.0)
    low, high = low - margin, high + margin
    if line is None:
        low = 0.0
    return (float(np.exp(low)), float(np.exp(high))) if log else (low, high)


def _label_ratios(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if high / low < 4:
        ticks = np.asarray(MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high))
    else:
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        steps = [1.0, 2.0, 5.0] if high / low < 1000 else [1.0]
        ticks = np.sort(np.outer(decades, steps).ravel())
    inside = ticks[(ticks >= low) & (ticks <= high)]
    inside = inside[:: -(-len(inside) // 9)]
    axis.xaxis.set_major_locator(FixedLocator(inside.tolist()))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
