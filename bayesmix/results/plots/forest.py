"""Estimates below each other, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import ACCENT, MAIN, NEUTRAL, finish, new_figure, strip
from bayesmix.results.plots.intervals import AWAY, draw_intervals, explain, is_away, shown_range
from bayesmix.results.plots.labels import embolden, name_ticks, text_width, wrap, wrapped
from bayesmix.results.plots.look import lines_of_rows, share

__all__ = ["ForestPanel", "ForestRow", "plot_forest", "plot_panels"]

_SIZE = 9.0  # of the labels, in points
_ORDERS = 100.0  # what is so many times smaller cannot be seen on the same axis


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One line of a forest: an estimate with its interval, or a heading.

    Attributes
    ----------
    label : str
    estimate, lower, upper : float
        An interval without an end reaches the picture's edge; a limit of NaN is marked as
        not known, and so is an estimate of NaN.
    fixed : bool
        Whether the value is known and not estimated.
    heading : bool
        Whether it is the name of the rows below it.
    apart : bool
        Whether it belongs to no heading, but stands beside them.
    """

    label: str
    estimate: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    fixed: bool = False
    heading: bool = False
    apart: bool = False


def plot_forest(
    rows: Sequence[ForestRow],
    *,
    x_label: str,
    line: float | None,
    log: bool = False,
    title: str = "",
) -> Any:
    """Draw estimates and intervals, the first row on top.

    What spans more than two orders of magnitude is drawn in panels, each with its own
    axis.

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
    panels = [rows] if log else _by_scale(rows)
    found = [ForestPanel(rows=panel, line=line, log=log) for panel in panels]
    apart = "\n(each panel has a scale of its own)" if len(panels) > 1 else ""
    found[-1] = replace(found[-1], x_label=x_label + apart)
    return plot_panels(found, title=title)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestPanel:
    """Rows with an axis of their own.

    Attributes
    ----------
    rows : sequence of ForestRow
    line : float or None
        As in `plot_forest`.
    x_label : str
    log : bool
    """

    rows: Sequence[ForestRow]
    line: float | None
    x_label: str = ""
    log: bool = False


def plot_panels(panels: Sequence[ForestPanel], *, title: str = "") -> Any:
    """Draw estimates and intervals in panels below each other, each with its own axis.

    Parameters
    ----------
    panels : sequence of ForestPanel
        Which do not differ in what `line` is, where they have one.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    n_rows = lines_of_rows(sum(len(panel.rows) + 2 for panel in panels))
    names = [
        wrapped([row.label for row in panel.rows], share(44, _SIZE), n_rows) for panel in panels
    ]
    n_lines = [sum(1 + name.count("\n") for name in panel) for panel in names]
    heights = [0.24 * n + 0.45 for n in n_lines]
    # Labels of axes between panels take room of their own.
    between = 0.3 * sum(bool(panel.x_label) for panel in panels[:-1])
    size = (
        4.6 + text_width([name for panel in names for name in panel], _SIZE),
        max(1.9, 0.45 + sum(heights) + 0.3 * bool(title) + between),
    )
    figure, axes = new_figure(len(panels), 1, size, heights)
    for axis, panel, labels in zip(axes[:, 0], panels, names, strict=True):
        _draw_panel(axis, panel.rows, labels, panel.line, panel.log)
        if panel.x_label:
            axis.set_xlabel(panel.x_label)
    if title:
        axes[0][0].set_title(wrap(title, 44))
    every = [row for panel in panels for row in panel.rows]
    explain(
        figure,
        away=any(_is_away(row, panel.line) for panel in panels for row in panel.rows),
        unknown=any(np.isnan([row.lower, row.upper]).any() for row in every if _has_interval(row)),
        line=next((panel.line for panel in panels if panel.line is not None), None),
    )
    return finish(figure)


def _draw_panel(
    axis: Any, rows: Sequence[ForestRow], labels: Sequence[str], line: float | None, log: bool
) -> None:
    if log:
        axis.set_xscale("log")
    ends = _range(rows, line, log)
    for y, row in enumerate(rows):
        _draw(axis, y, row, line, ends)
    if line is not None:
        axis.axvline(line, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_xlim(*ends)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    name_ticks(axis.yaxis, np.arange(len(rows)), labels, fontsize=_SIZE)
    for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
        embolden(tick, wanted=row.heading or row.apart)
    axis.tick_params(axis="y", length=0)
    if log:
        _label_ratios(axis, *ends)
    strip(axis)
    axis.spines["left"].set_visible(False)


def _by_scale(rows: Sequence[ForestRow]) -> list[list[ForestRow]]:
    """Split rows so that no panel spans more than two orders of magnitude."""
    found = np.asarray([[row.estimate, row.lower, row.upper] for row in rows])
    sizes = np.abs(np.where(np.isfinite(found), found, 0.0)).max(axis=1)
    scale = np.zeros(len(rows), dtype=int)
    number, largest = 0, 0.0
    for k in np.argsort(-sizes, kind="stable"):
        if rows[k].heading:
            continue
        if largest == 0:
            largest = sizes[k]
        elif 0 < sizes[k] < largest / _ORDERS:
            number, largest = number + 1, sizes[k]
        scale[k] = number
    panels: dict[int, list[ForestRow]] = {}
    last: dict[int, ForestRow] = {}
    heading = None
    for k, row in zip(scale, rows, strict=True):
        if row.heading:
            heading = row
            continue
        panel = panels.setdefault(k, [])
        if row.apart:
            heading = None
        if heading is not None and last.get(k) is not heading:
            panel.append(heading)
            last[k] = heading
        panel.append(row)
    return list(panels.values())


def _has_interval(row: ForestRow) -> bool:
    return not (row.fixed or row.heading or np.isnan(row.estimate))


def _is_away(row: ForestRow, line: float | None) -> bool:
    return line is not None and bool(is_away(row.lower, row.upper, line))


def _draw(axis: Any, y: int, row: ForestRow, line: float | None, ends: tuple[float, float]) -> None:
    if row.heading:
        return
    if np.isnan(row.estimate):
        axis.plot(0.02, y, marker="$?$", color=MAIN, transform=axis.get_yaxis_transform(),
                  gid="unknown")  # fmt: skip
        return
    away = _is_away(row, line)
    colour = ACCENT if away else MAIN
    # What is known has no interval.
    limits = (row.estimate, row.estimate) if row.fixed else (row.lower, row.upper)
    draw_intervals(axis, y, row.estimate, *limits, ends=ends, colour=colour, linewidth=1.6,
                   markersize=5, marker=AWAY if away else "o",
                   markerfacecolor="white" if row.fixed else colour)  # fmt: skip


def _range(rows: Sequence[ForestRow], line: float | None, log: bool) -> tuple[float, float]:
    """Ends of the axis: all that is finite, with a margin."""
    found = np.asarray([[row.estimate, row.lower, row.upper] for row in rows])
    also = 0.0 if line is None else line
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            found, also = np.log(found), np.log(also)
    low, high = shown_range(*found.T, also=also, far=np.inf)
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
