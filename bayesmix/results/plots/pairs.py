"""Parameters against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import (
    ACCENT,
    MAIN,
    finish,
    heading,
    legend_below,
    new_figure,
    strip,
)
from bayesmix.results.plots.labels import wrap, wrapped

__all__ = ["plot_pairs"]

_DRAWS = 2000  # of a panel


def plot_pairs(
    values: Mapping[str, np.ndarray], divergent: np.ndarray | None, title: str = ""
) -> Any:
    """Draw each pair below the diagonal, and histograms on it.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (chains, draws)
    divergent : ndarray of bool, shape (chains, draws), or None
        These draws are all drawn, and on top.
    title : str
        None if it is empty.

    Returns
    -------
    matplotlib Figure
    """
    n = len(values)
    side = 1.75 if n > 4 else 2.3
    figure, axes = new_figure(n, n, (side * n + 0.8, side * n + 0.6))
    names = wrapped(list(values), 20, 3)
    flat = np.stack([draws.ravel() for draws in values.values()])
    marked = np.zeros(flat.shape[1], dtype=bool)
    if divergent is not None:
        marked = divergent.ravel()
    shown = np.unique(np.linspace(0, flat.shape[1] - 1, _DRAWS).astype(int))
    shown = shown[~marked[shown]]
    for i in range(n):
        for j in range(n):
            axis = axes[i][j]
            if j > i:
                axis.remove()
                continue
            if i == j:
                axis.hist(flat[i][np.isfinite(flat[i])], bins=30, color=MAIN, alpha=0.6)
                axis.set_yticks([])
                axis.spines["left"].set_visible(False)
            else:
                axis.scatter(flat[j, shown], flat[i, shown], s=3, color=MAIN, alpha=0.25,
                             linewidths=0, rasterized=True, gid="draws")  # fmt: skip
                if marked.any():
                    axis.scatter(flat[j, marked], flat[i, marked], s=12, color=ACCENT, zorder=3,
                                 marker="x", linewidths=1, gid="divergent")  # fmt: skip
            _outer_labels(axis, i, j, names)
    if title:
        heading(figure, wrap(title, int(13 * side * n)), fontsize=11)
    if marked.any():
        points = axes[1][0].collections[-1]
        points.set_label(f"{int(marked.sum())} divergent")
        legend_below(figure, [points])
    return finish(figure)


def _outer_labels(axis: Any, i: int, j: int, names: list[str]) -> None:
    """Label the left-most and the lowest panels; the others share their axes."""
    from bayesmix.results.plots.ticks import number_ticks

    strip(axis)
    axis.tick_params(labelsize=7)
    number_ticks(axis.xaxis, 3, prune="both")
    if i != j:
        number_ticks(axis.yaxis, 3, prune="both")
    if i < len(names) - 1:
        axis.tick_params(labelbottom=False)
    else:
        axis.set_xlabel(names[j], fontsize=8)
    if j > 0:
        axis.tick_params(labelleft=False)
    elif i > 0:
        axis.set_ylabel(names[i], fontsize=8)
    if i == j == 0:
        axis.set_ylabel(names[0], fontsize=8)
