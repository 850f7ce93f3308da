"""Draws in order, beside their density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import COLOURS, LINES, finish, legend_below, new_figure, strip
from bayesmix.results.plots.intervals import shown_range
from bayesmix.results.plots.labels import labels
from bayesmix.results.plots.smooth import density

__all__ = ["plot_trace"]


def plot_trace(values: Mapping[str, np.ndarray], divergent: np.ndarray | None) -> Any:
    """Draw two panels per parameter: the density of each chain, and its draws in order.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (chains, draws)
    divergent : ndarray of bool, shape (chains, draws), or None

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.lines import Line2D

    figure, axes = new_figure(len(values), 2, (9.0, 0.8 + 1.35 * len(values)))
    n_chains, n_draws = next(iter(values.values())).shape
    colours = [COLOURS[c % len(COLOURS)] for c in range(n_chains)]
    titles = labels(list(values), 64)
    for (left, right), (name, draws), title in zip(axes, values.items(), titles, strict=True):
        low, high = shown_range(draws, (), ())
        ends = _support(name)
        grid = np.linspace(max(low, ends[0]), min(high, ends[1]), 200)
        for c, (chain, colour) in enumerate(zip(draws, colours, strict=True)):
            left.plot(grid, density(chain, grid, *ends), color=colour, linewidth=1.2,
                      linestyle=LINES[c % len(LINES)])  # fmt: skip
            right.plot(np.arange(n_draws), chain, color=colour, linewidth=0.4, alpha=0.8)
        left.set_title(title, loc="left", fontsize=9)
        left.set_yticks([])
        left.set_ylim(bottom=0)
        right.set_xlim(0, max(n_draws - 1, 1))
        for axis in (left, right):
            axis.tick_params(labelsize=8)
            strip(axis)
        left.spines["left"].set_visible(False)
        if divergent is not None and divergent.any():
            at = np.nonzero(divergent)
            for axis, x in ((left, draws[at]), (right, at[1])):
                axis.plot(x, np.full(len(x), 0.03), "|", color="black", markersize=6,
                          transform=axis.get_xaxis_transform(), gid="divergent")  # fmt: skip
    for _, right in axes[:-1]:
        right.tick_params(labelbottom=False)
    axes[-1][1].set_xlabel("draw", fontsize=9)
    handles = [
        Line2D([], [], color=colour, linestyle=LINES[c % len(LINES)], label=f"chain {c + 1}")
        for c, colour in enumerate(colours)
    ][: len(COLOURS)]
    if divergent is not None and divergent.any():
        handles.append(Line2D([], [], color="black", marker="|", linestyle="",
                              label=f"{int(divergent.sum())} divergent"))  # fmt: skip
    legend_below(figure, handles, most=5)
    return finish(figure)


def _support(name: str) -> tuple[float, float]:
    if name.startswith("corr("):
        return -1.0, 1.0
    return (0.0 if name.startswith("sd(") or name == "sigma" else -np.inf), np.inf
