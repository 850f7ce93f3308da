"""Estimates of several fits with their intervals, the fits below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.results.plots.figure import (
    COLOURS,
    MARKERS,
    NEUTRAL,
    finish,
    legend_below,
    new_axes,
    new_grid,
)
from bayesmix.results.plots.intervals import draw_intervals, shown_range
from bayesmix.results.plots.labels import labels, name_ticks, text_width, wrapped
from bayesmix.results.plots.look import share
from bayesmix.results.plots.ticks import number_ticks

__all__ = ["plot_estimates"]

_COLUMNS = 3
_TITLES = {
    "fixed_effects": "", "variance_components": "sd: ", "correlations": "corr: ",
    "covariance_parameters": "",
}  # fmt: skip


def plot_estimates(
    scalars: pd.DataFrame,
    levels: pd.DataFrame,
    fits: Sequence[str],
    *,
    ci_prob: float,
    max_levels: int,
) -> Any:
    """Draw a small panel per coefficient, sd and correlation, and the levels below.

    Parameters
    ----------
    scalars, levels : DataFrame
        part, group, level, term, fit, estimate, lower, upper; the second of the
        effects of one grouping factor. Either may be empty.
    fits : sequence of str
        In the order of their colours.
    ci_prob : float
        Probability inside the intervals, for the label.
    max_levels : int
        Where there are more levels, the lowest and the highest are drawn.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.lines import Line2D

    looks: dict[str, dict[str, Any]] = {
        name: {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
        for k, name in enumerate(fits)
    }
    panels = list(scalars.groupby(["part", "group", "term"], sort=False))
    effects = list(dict.fromkeys(levels["term"]))
    columns = min(_COLUMNS, max(len(panels), len(effects), 1))
    small_rows = -(-len(panels) // _COLUMNS)
    kept = {effect: _kept(levels[levels["term"] == effect], fits, max_levels) for effect in effects}
    n_levels = max((len(order) for order in kept.values()), default=0)
    level_rows = -(-len(effects) // _COLUMNS)
    small = 0.85 + 0.16 * len(fits)
    tall = 0.9 + n_levels * max(0.16, 0.075 * len(fits))
    legend = 0.35 + 0.22 * -(-len(fits) // 3)
    heights = [height for height in (small * small_rows, tall * level_rows) if height]
    size = (max(2.9 * columns, 4.5), small * small_rows + tall * level_rows + legend)
    figure, grid = new_grid(len(heights), 1, size, heights)
    above = grid[0].subgridspec(max(small_rows, 1), columns)
    across = min(_COLUMNS, max(len(effects), 1))
    below = grid[len(heights) - 1].subgridspec(max(level_rows, 1), across)
    titles = _titles([key for key, _ in panels])
    for k, (_, rows) in enumerate(panels):
        axis = new_axes(figure, above[k // columns, k % columns])
        _draw_scalar(axis, rows, fits, looks)
        axis.set_title(titles[k], fontsize=9)
    beside = max((text_width(_level_names(order), 7) for order in kept.values()), default=0.0)
    letters = max(int((size[0] / across - beside - 0.2) / text_width(["x"], 9)), 12)
    titles = wrapped([f"{effect} by {levels['group'].iloc[0]}" for effect in effects], letters, 3)
    for k, effect in enumerate(effects):
        axis = new_axes(figure, below[k // across, k % across])
        _draw_levels(axis, levels[levels["term"] == effect], kept[effect], fits, looks)
        axis.set_title(titles[k], fontsize=9)
    handles = [
        Line2D([], [], linestyle="-", markersize=5, label=name, **look)
        for look, name in zip(looks.values(), labels(fits, 24), strict=True)
    ]
    unknown = pd.concat([scalars, levels])
    if unknown["estimate"].isna().any():
        handles.append(
            Line2D([], [], linestyle="", marker="$?$", color=NEUTRAL, label="cannot be estimated")
        )
    unknown = unknown[unknown["estimate"].notna()]
    if (unknown[["lower", "upper"]].isna().sum(axis=1) == 1).any():
        handles.append(Line2D([], [], color=NEUTRAL, linestyle=":", label="limit not known"))
    legend_below(
        figure, handles, most=3, title=f"estimate and {100 * ci_prob:g} % interval",
        title_fontsize=9,
    )  # fmt: skip
    return finish(figure)


def _titles(keys: Sequence[Any]) -> list[str]:
    texts, kinds = [], []
    for part, group, term in (map(str, key) for key in keys):
        where = f" by {group}" if group and group != "Residual" else ""
        texts.append((group if group == "Residual" else term) + where)
        kinds.append(_TITLES[part])
    return [kind + text for kind, text in zip(kinds, labels(texts, 32), strict=True)]


def _draw_scalar(
    axis: Any, rows: pd.DataFrame, fits: Sequence[str], looks: Mapping[str, Mapping[str, Any]]
) -> None:
    at = {name: -k for k, name in enumerate(fits)}
    ends = _range(rows)
    for name, *numbers in _each(rows):
        _draw(axis, at[name], numbers, looks[name], 5.0, ends)
    axis.set_ylim(-len(fits) + 0.4, 0.6)
    axis.set_yticks([])
    _tidy(axis, ends)
    if not np.isfinite(rows["estimate"]).any():  # numbers would be of nothing
        axis.set_xticks([])


def _draw_levels(
    axis: Any, rows: pd.DataFrame, order: Sequence[str], fits: Sequence[str],
    looks: Mapping[str, Mapping[str, Any]],
) -> None:  # fmt: skip
    place = {level: k for k, level in enumerate(order)}
    shown = rows[rows["level"].isin(place)]
    present = [name for name in fits if (shown["fit"] == name).any()]
    step = 0.7 / max(len(present), 1)
    dodge = {name: 0.35 - step * (k + 0.5) for k, name in enumerate(present)}
    ends = _range(shown)
    for level, (name, *numbers) in zip(shown["level"], _each(shown), strict=True):
        _draw(axis, place[level] + dodge[name], numbers, looks[name], 3.0, ends)
    if len(order) < rows["level"].nunique():  # where levels are left out
        axis.axhline(len(order) // 2 - 0.5, color="black", linewidth=0.8, linestyle=":")
    for k in range(0, len(order), 2):
        axis.axhspan(k - 0.5, k + 0.5, color="#f2f2f2", linewidth=0, zorder=-1)
    name_ticks(axis.yaxis, range(len(order)), _level_names(order), fontsize=7)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.7, len(order) - 0.3)
    _tidy(axis, ends)


def _level_names(order: Sequence[str]) -> list[str]:
    return labels(order, share(24, 7, 3), whole=True)


def _each(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    columns = [rows[name].tolist() for name in ("fit", "estimate", "lower", "upper")]
    return list(zip(*columns, strict=True))


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    return shown_range(rows["estimate"], rows["lower"], rows["upper"])


def _draw(
    axis: Any, at: float, numbers: Sequence[float], look: Mapping[str, Any], size: float,
    ends: tuple[float, float],
) -> None:  # fmt: skip
    estimate, lower, upper = numbers
    if np.isnan(estimate):
        axis.plot(0.02, at, marker="$?$", color=look["color"], markersize=size,
                  transform=axis.get_yaxis_transform(), gid="unknown")  # fmt: skip
        return
    if np.isnan(lower) and np.isnan(upper):  # other programs' tables may have no intervals
        lower = upper = estimate
    draw_intervals(axis, at, estimate, lower, upper, ends=ends, colour=look["color"], linewidth=1.3,
                   markersize=size, marker=look["marker"])  # fmt: skip


def _tidy(axis: Any, ends: tuple[float, float]) -> None:
    low, high = ends
    axis.set_xlim(low, high)
    if low < 0 < high:
        axis.axvline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    number_ticks(axis.xaxis, 4)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _kept(rows: pd.DataFrame, fits: Sequence[str], max_levels: int) -> list[str]:
    """Levels by the estimate of the first fit that has them; of too many both ends."""
    rank = {name: k for k, name in enumerate(fits)}
    first = rows.assign(rank=rows["fit"].map(rank)).sort_values("rank", kind="stable")
    ordered = first.drop_duplicates("level").sort_values("estimate", kind="stable")["level"]
    names = [str(level) for level in ordered]
    if len(names) <= max_levels:
        return names
    low = max_levels // 2
    return names[:low] + names[len(names) - (max_levels - low) :]
