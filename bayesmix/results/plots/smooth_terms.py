"""Smooths over their data: curves with bands and a rug, surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.results.pictures.smooth_curve import SmoothCurve
from bayesmix.results.plots.figure import ACCENT, NEUTRAL, finish, new_figure, strip
from bayesmix.results.plots.intervals import shown_range
from bayesmix.results.plots.labels import wrap, wrapped
from bayesmix.results.plots.look import columns_of

__all__ = ["plot_smooth_terms"]

_MOST_MARKS = 2_000  # of a rug
_COLUMNS = 3


def plot_smooth_terms(curves: Sequence[SmoothCurve]) -> Any:
    """Draw one panel for each smooth.

    Parameters
    ----------
    curves : sequence of SmoothCurve

    Returns
    -------
    matplotlib Figure
    """
    own = 2 if len(curves) == 4 else min(_COLUMNS, len(curves))
    n_columns = columns_of(len(curves), own, (4.2, 3.6))
    n_rows = -(-len(curves) // n_columns)
    size = (max(5.0, 4.2 * n_columns), min(3.6 * n_rows, 120.0))
    figure, axes = new_figure(n_rows, n_columns, size)
    names = wrapped([curve.name for curve in curves], 30)
    for axis, curve, name in zip(axes.ravel(), curves, names, strict=False):
        if len(curve.coordinates) == 1:
            _draw_curve(axis, curve, name)
        else:
            _draw_surface(figure, axis, curve, name)
    for axis in axes.ravel()[len(curves) :]:
        axis.set_visible(False)
    return finish(figure)


def _draw_curve(axis: Any, curve: SmoothCurve, name: str) -> None:
    table = curve.table
    axis.axhline(0.0, color=NEUTRAL, linewidth=0.8, alpha=0.5, zorder=0)
    if "level" in table:
        for _, own in table.groupby("level"):
            axis.plot(
                own["x"], own["estimate"], color=ACCENT, linewidth=0.9, alpha=0.5, gid="level"
            )
        ends = shown_range(table["estimate"], table["estimate"], table["estimate"])
    else:
        axis.fill_between(
            table["x"], table["lower"], table["upper"], color=ACCENT, alpha=0.2, linewidth=0,
            gid="band",
        )  # fmt: skip
        axis.plot(table["x"], table["estimate"], color=ACCENT, linewidth=1.8, gid="curve")
        ends = shown_range(table["estimate"], table["lower"], table["upper"])
    marks = np.unique(curve.rug[:, 0])
    if len(marks) > _MOST_MARKS:
        marks = marks[np.linspace(0, len(marks) - 1, _MOST_MARKS).astype(int)]
    axis.set_ylim(*ends)
    # Along the lower edge, in parts of the axis' height.
    across = axis.get_xaxis_transform()
    axis.vlines(marks, 0.0, 0.025, color=NEUTRAL, linewidth=0.6, alpha=0.6, transform=across,
                gid="rug")  # fmt: skip
    axis.set_xlabel(wrap(curve.coordinates[0], 36, 2))
    axis.set_ylabel(name)
    strip(axis)


def _draw_surface(figure: Any, axis: Any, curve: SmoothCurve, name: str) -> None:
    table = curve.table
    if "level" in table:
        table = table[table["level"] == table["level"].iloc[0]]
    x, z = np.unique(table["x"]), np.unique(table["z"])
    height = table["estimate"].to_numpy().reshape(len(x), len(z)).T
    largest = float(np.nanmax(np.abs(height), initial=0.0)) or 1.0
    image = axis.pcolormesh(
        x, z, height, cmap="PuOr", vmin=-largest, vmax=largest, shading="nearest", gid="surface"
    )
    axis.contour(x, z, height, colors="#333333", linewidths=0.6)  # dashed below zero
    rug = curve.rug
    if len(rug) > _MOST_MARKS:
        rug = rug[np.linspace(0, len(rug) - 1, _MOST_MARKS).astype(int)]
    axis.scatter(rug[:, 0], rug[:, 1], s=3, color=NEUTRAL, alpha=0.5, linewidths=0, gid="rug")
    figure.colorbar(image, ax=axis, label=name)
    axis.set_xlabel(wrap(curve.coordinates[0], 36, 2))
    axis.set_ylabel(wrap(curve.coordinates[1], 30, 2))
    strip(axis)
