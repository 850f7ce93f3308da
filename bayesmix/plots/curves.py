"""Predictions along one predictor, over the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.plots.figure import (
    COLOURS,
    MARKERS,
    NEUTRAL,
    finish,
    new_figure,
    shorten,
    strip,
    text_width,
    wrap,
)
from bayesmix.results.pictures.curves import Curves

__all__ = ["plot_curves"]

_MANY = 500  # points, from which on they are small
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
    labels = [wrap(label, 20, 3) for label in curves.factor]
    width = max(6.4, 1.6 + len(labels) * max(0.6, text_width(labels, 9) + 0.15))
    figure, axes = new_figure(1, 1, (min(width, 16), 4.8))
    axis = axes[0][0]
    colours = [COLOURS[k] for k in range(len(curves.by_labels))]
    handles = _draw_population(axis, curves, colours)
    handles += _draw_levels(axis, curves, colours)
    handles += _draw_points(axis, curves, colours)
    if curves.factor:
        crowded = width > 16
        axis.set_xticks(np.arange(len(labels)), labels, fontsize=9,
                        rotation=60 if crowded else 0, ha="right" if crowded else "center",
                        rotation_mode="anchor" if crowded else "default")  # fmt: skip
        axis.set_xlim(-0.6, len(labels) - 0.4)
    if curves.categories:
        names = [wrap(name, 18) for name in curves.categories]
        axis.set_yticks(np.arange(1, len(names) + 1), names)
    axis.set_xlabel(shorten(curves.x_label, 60))
    axis.set_ylabel(shorten(curves.y_label, 50))
    strip(axis)
    longest = text_width([str(handle.get_label()) for handle in handles], 9) + 0.6
    columns = min(max(1, int(figure.get_figwidth() / longest)), len(handles))
    figure.legend(
        handles=handles, loc="outside lower center", frameon=False, fontsize=9, ncols=columns
    )
    return finish(figure)


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
    for _, line in curves.levels.groupby(["level", "by"]):
        by = int(line["by"].iloc[0])
        x = line["x"].to_numpy(dtype=np.float64)
        if curves.factor:
            x = x + float(_aside(pd.Series([by]), len(colours))[0])
        colour = "#555555" if one else colours[by]
        alone = "_" if len(x) == 1 else ""
        axis.plot(x, line["estimate"], color=colour, marker=alone, markersize=7, zorder=2,
                  gid="level", **style)  # fmt: skip
    some = "" if curves.n_shown == curves.n_levels else f"{curves.n_shown} of {curves.n_levels} "
    label = f"{some}levels of {shorten(curves.group, 40)}"
    return [Line2D([], [], color="#555555", label=label, **style)]


def _draw_population(axis: Any, curves: Curves, colours: list[str]) -> list[Any]:
    handles = []
    for k, (colour, label) in enumerate(zip(colours, curves.by_labels, strict=True)):
        part = curves.population[curves.population["by"] == k]
        x, lower, upper = (part[name].to_numpy() for name in ("x", "lower", "upper"))
        name = f"{label}, {curves.band}"
        if curves.by:
            name = f"{shorten(curves.by, 20)}: {shorten(label, 30)}"
        if curves.factor:
            x = x + _aside(part["by"], len(colours))
            drawn = axis.errorbar(
                x, part["estimate"], [part["estimate"] - lower, upper - part["estimate"]],
                fmt=MARKERS[k], color=colour, markersize=7, elinewidth=2, zorder=4, label=name,
                markeredgecolor="white", markeredgewidth=0.8, gid="population",
            )  # fmt: skip
        else:
            axis.fill_between(x, lower, upper, color=colour, alpha=0.22, linewidth=0, zorder=3,
                              gid="band")  # fmt: skip
            (drawn,) = axis.plot(x, part["estimate"], color=colour, linewidth=2.2, zorder=4,
                                 label=name, gid="population")  # fmt: skip
        handles.append(drawn)
    if curves.by:
        from matplotlib.patches import Patch

        handles.append(Patch(color=NEUTRAL, alpha=0.4, linewidth=0, label=curves.band))
    return handles


def _aside(by: pd.Series[Any], n_by: int) -> np.ndarray:
    """How far a colour stands from the middle of a factor's level."""
    step = min(0.2, 0.7 / n_by)
    return (by.to_numpy(dtype=np.float64) - (n_by - 1) / 2) * step
