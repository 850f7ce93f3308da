"""Predictions along one predictor, over the data."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.results.pictures.curves import Curves
from bayesmix.results.plots.figure import (
    COLOURS,
    LINES,
    MARKERS,
    NEUTRAL,
    finish,
    legend_below,
    new_figure,
    strip,
)
from bayesmix.results.plots.intervals import shown_range
from bayesmix.results.plots.labels import labels, name_ticks, text_width, wrap, wrapped
from bayesmix.results.plots.look import drawing

__all__ = ["plot_curves"]

_LINES_HELD = 2  # that say where other predictors are
_MANY = 500  # points, from which on they are small
_MOST_LABELS = 60  # levels of a factor that have names
_BESIDE = 0.12  # how far levels of the groups stand from the population
_BANDS = {-1: "v", 0: "o", 1: "^"}  # markers of left-censored, seen, right-censored values


def plot_curves(curves: Curves) -> Any:
    """Draw points, the levels' lines, and the population's with its band.

    Parameters
    ----------
    curves : Curves

    Returns
    -------
    matplotlib Figure
    """
    levels = wrapped(curves.factor, 20, 3, whole=True)
    width = max(6.4, 1.6 + len(levels) * max(0.6, text_width(levels, 9) + 0.15))
    figure, axes = new_figure(1, 1, (min(width, 16), 4.8))
    axis = axes[0][0]
    colours = [COLOURS[k] for k in range(len(curves.by_labels))]
    ends = _range(curves)
    handles = _draw_population(axis, curves, colours, ends)
    handles += _draw_levels(axis, curves, colours)
    handles += _draw_points(axis, curves, colours)
    if curves.factor:
        _label_factor(axis, levels, crowded=width > 16)
    if curves.categories:
        name_ticks(axis.yaxis, np.arange(1, len(curves.categories) + 1),
                   wrapped(curves.categories, 18, whole=True))  # fmt: skip
    axis.set_ylim(*ends)
    axis.set_xlabel(wrap(curves.x_label, 60, 2))
    axis.set_ylabel(wrap(curves.y_label, 48, 2))
    _say_what_is_held(axis, curves)
    strip(axis)
    legend_below(figure, handles)
    return finish(figure)


def _say_what_is_held(axis: Any, curves: Curves) -> None:
    """Write above the lines at which values of the other predictors they are, as these fit."""
    names = labels([name for name, _ in curves.held], 24)
    values = labels([value for _, value in curves.held], 24, whole=True)
    said = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
    now = drawing()
    width = (now.size or axis.figure.get_size_inches())[0]
    letters = max(20, int((width - 1.0) / text_width(["x"], 8 * now.scale)))
    for n in range(len(said), 0, -1):
        more = f" and {len(said) - n} more" if n < len(said) else ""
        lines = textwrap.wrap(f"at {', '.join(said[:n])}{more}", letters)
        if len(lines) <= _LINES_HELD or n == 1:
            axis.set_title("\n".join(lines), loc="left", fontsize=8, color="0.35")
            return


def _range(curves: Curves) -> tuple[float, float]:
    """Ends of the y axis: data and estimates, and bands that are not far from all of them."""
    band = curves.population
    also = np.concatenate([curves.points["y"], curves.levels["estimate"]]).astype(np.float64)
    if curves.categories:
        also = np.append(also, [1, len(curves.categories)])
    return shown_range(band["estimate"], band["lower"], band["upper"], also=also)


def _label_factor(axis: Any, names: list[str], *, crowded: bool) -> None:
    n_names = len(names)
    style: dict[str, Any] = {}
    if crowded:
        style = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    places = np.arange(n_names)
    if n_names > _MOST_LABELS:  # names of some, evenly
        chosen = np.unique(np.linspace(0, n_names - 1, _MOST_LABELS).astype(int))
        places, names = places[chosen], [names[k] for k in chosen]
    name_ticks(axis.xaxis, places, names, fontsize=9, **style)
    axis.set_xlim(-0.6, n_names - 0.4)


def _draw_points(axis: Any, curves: Curves, colours: list[str]) -> list[Any]:
    points = curves.points
    if not len(points):
        return []
    many = len(points) > _MANY
    x = points["x"].to_numpy()
    y = points["y"].to_numpy()
    rng = np.random.default_rng(0)
    if curves.factor:  # next to each other, so that they can be seen
        n_by = len(colours)
        spread = 0.28 / n_by
        x = x + _aside(points["by"], n_by) + rng.uniform(-spread, spread, len(x))
    else:
        steps = np.diff(np.unique(x))
        step = float(steps.min()) if 0 < len(steps) < 30 else 0.0
        x = x + _aside(points["by"], len(colours)) * 0.25 * step
        if curves.discrete:
            x = x + rng.uniform(-0.2 * step, 0.2 * step, len(x)) / len(colours)
    if curves.discrete:
        y = y + rng.uniform(-0.03, 0.03, len(y)) * (1 if y.max() <= 1 else 3)
    one = len(colours) == 1
    for status, marker in _BANDS.items():
        for k, colour in enumerate(colours):
            chosen = ((points["by"] == k) & (np.sign(points["status"]) == status)).to_numpy()
            if chosen.any():
                axis.scatter(
                    x[chosen], y[chosen], s=5 if many else 14, marker=marker, linewidths=0,
                    color=NEUTRAL if one else colour, alpha=0.35 if many or not one else 0.6,
                    zorder=1, gid="data",
                )  # fmt: skip
    from matplotlib.lines import Line2D

    shown = [s for s in _BANDS if (np.sign(points["status"]) == s).any()]
    names = {-1: "data, at most", 0: "data", 1: "data, at least"}
    return [
        Line2D([], [], linestyle="", marker=_BANDS[s], markersize=4, color=NEUTRAL, label=names[s])
        for s in shown
    ]


def _draw_levels(axis: Any, curves: Curves, colours: list[str]) -> list[Any]:
    if not len(curves.levels):
        return []
    from matplotlib.lines import Line2D

    one = len(colours) == 1
    many = curves.n_shown > 30
    style: dict[str, Any] = {"linewidth": 0.6 if many else 0.8, "alpha": 0.45 if many else 0.6}
    joined = not curves.factor or curves.ordered
    for _, line in curves.levels.groupby(["level", "by"]):
        by = int(line["by"].iloc[0])
        x = line["x"].to_numpy(dtype=np.float64)
        if curves.factor:
            x = x + float(_aside(pd.Series([by]), len(colours))[0])
        colour = "#555555" if one else colours[by]
        if not joined:  # beside the population's intervals
            x = x - _BESIDE / len(colours)
        alone = len(x) == 1 or not joined
        axis.plot(x, line["estimate"], color=colour, marker="_" if alone else "", markersize=7,
                  linestyle="-" if joined else "", zorder=2, gid="level", **style)  # fmt: skip
    some = "" if curves.n_shown == curves.n_levels else f"{curves.n_shown} of {curves.n_levels} "
    look: dict[str, Any] = {} if joined else {"marker": "_", "linestyle": "", "markersize": 7}
    name = wrap(f"{some}levels of {curves.group}", 60, 3)
    return [Line2D([], [], color="#555555", label=name, **look, **style)]


def _draw_population(
    axis: Any, curves: Curves, colours: list[str], ends: tuple[float, float]
) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = [f"{name}, {curves.band}" for name in curves.by_labels]
    if curves.by:
        names = wrapped([f"{curves.by}: {name}" for name in curves.by_labels], 60, 3)
    draw = _draw_intervals if curves.factor else _draw_band
    handles = []
    for k, (colour, name) in enumerate(zip(colours, names, strict=True)):
        part = curves.population[curves.population["by"] == k]
        x = part["x"].to_numpy() + (_aside(part["by"], len(colours)) if curves.factor else 0.0)
        numbers = part[["estimate", "lower", "upper"]].to_numpy(dtype=np.float64).T
        handles.append(draw(axis, x, numbers, ends, color=colour, label=name, marker=MARKERS[k]))
    if curves.by:
        handles.append(Patch(color=NEUTRAL, alpha=0.4, linewidth=0, label=curves.band))
    found = curves.population
    if found["estimate"].isna().any():
        handles.append(Line2D([], [], linestyle="", marker="$?$", color=NEUTRAL,
                              label="cannot be estimated"))  # fmt: skip
    known = found[found["estimate"].notna()]
    if known[["lower", "upper"]].isna().to_numpy().any():
        handles.append(Line2D([], [], color=NEUTRAL, linestyle=":", label="limit not known"))
    return handles


def _draw_band(
    axis: Any, x: np.ndarray, numbers: np.ndarray, ends: tuple[float, float], *,
    color: str, label: str, marker: str,
) -> Any:  # fmt: skip
    """A line with its band, which is open where a limit is not known."""
    estimate, lower, upper = numbers
    low, high = np.clip(lower, *_wide(ends)), np.clip(upper, *_wide(ends))
    axis.fill_between(x, low, high, color=color, alpha=0.22, linewidth=0, zorder=3, gid="band")
    unknown = np.isnan(estimate)
    if unknown.any():
        _mark_unknown(axis, x[unknown][[0, -1]], color)
    for limit in (low, high):  # the other edge of a band without one
        half = np.isnan(low) | np.isnan(high)
        if (half & ~np.isnan(limit)).any():
            axis.plot(x, np.where(half, limit, np.nan), color=color, linestyle=":", zorder=3,
                      gid="unknown")  # fmt: skip
    if (~unknown).sum() == 1:
        axis.plot(x, estimate, marker, color=color, zorder=4)
    (line,) = axis.plot(x, estimate, color=color, linewidth=2.2, zorder=4, label=label,
                        linestyle=LINES[MARKERS.index(marker)], gid="population")  # fmt: skip
    return line


def _draw_intervals(
    axis: Any, x: np.ndarray, numbers: np.ndarray, ends: tuple[float, float], *,
    color: str, label: str, marker: str,
) -> Any:  # fmt: skip
    """Points with intervals, whose caps are wider than the points; dotted without a limit."""
    estimate, lower, upper = numbers
    start = np.where(np.isnan(lower), estimate, np.clip(lower, *_wide(ends)))
    stop = np.where(np.isnan(upper), estimate, np.clip(upper, *_wide(ends)))
    known = ~np.isnan(estimate)
    for limit, end in ((lower, ends[0]), (upper, ends[1])):
        missing = known & np.isnan(limit)
        axis.vlines(x[missing], end, estimate[missing], color=color, linestyle=":", linewidth=1.6,
                    zorder=4, gid="unknown")  # fmt: skip
    if not known.all():
        _mark_unknown(axis, x[~known], color)
    # A mean lies outside of its interval where the tail is long.
    arms = np.maximum([estimate - start, stop - estimate], 0.0)
    return axis.errorbar(
        x, estimate, arms, fmt=marker, color=color, markersize=4.5,
        elinewidth=1.6, capsize=5, capthick=1.6, zorder=4, label=label, gid="population",
    )  # fmt: skip


def _mark_unknown(axis: Any, x: np.ndarray, colour: str) -> None:
    axis.plot(x, np.full(len(x), 0.04), linestyle="", marker="$?$", color=colour, gid="unknown",
              transform=axis.get_xaxis_transform())  # fmt: skip


def _wide(ends: tuple[float, float]) -> tuple[float, float]:
    """Somewhat beyond the picture, where what has no end is cut off."""
    span = ends[1] - ends[0]
    return ends[0] - span, ends[1] + span


def _aside(by: pd.Series[Any], n_by: int) -> np.ndarray:
    """How far a colour stands from the middle of a factor's level."""
    step = min(0.2, 0.7 / n_by)
    return (by.to_numpy(dtype=np.float64) - (n_by - 1) / 2) * step
