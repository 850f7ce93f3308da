"""Posterior densities over those of their priors."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.results.pictures.prior_curves import PriorCurve
from bayesmix.results.plots.figure import ACCENT, MAIN, finish, legend_below, new_figure, strip
from bayesmix.results.plots.labels import wrap, wrapped
from bayesmix.results.plots.look import columns_of
from bayesmix.results.plots.smooth import density
from bayesmix.results.plots.ticks import number_ticks, numbers_in

__all__ = ["plot_prior_posterior"]


def plot_prior_posterior(curves: list[PriorCurve]) -> Any:
    """Draw one panel per parameter.

    Parameters
    ----------
    curves : list of PriorCurve

    Returns
    -------
    matplotlib Figure
    """
    n_columns = columns_of(len(curves), min(3, len(curves)), (3.1, 2.4))
    n_rows = -(-len(curves) // n_columns)
    size = (max(3.1 * n_columns, 4.0), 2.4 * n_rows + 0.5)
    figure, axes = new_figure(n_rows, n_columns, size)
    panels = axes.ravel()
    titles = wrapped([curve.name for curve in curves], 36)
    for axis, curve, title in zip(panels, curves, titles, strict=False):
        grid = curve.grid
        smooth = density(curve.draws, grid, curve.lower, curve.upper)
        axis.fill_between(grid, smooth, color=MAIN, alpha=0.25, linewidth=0)
        axis.plot(grid, smooth, color=MAIN, linewidth=1.5, label="posterior", gid="posterior")
        top = float(smooth.max())
        if curve.density is not None:
            axis.plot(grid, curve.density, color=ACCENT, linewidth=1.5, linestyle="--",
                      label="prior", gid="prior")  # fmt: skip
            inside = curve.density[np.isfinite(curve.density)]
            # A prior that has its pole in view must not flatten the posterior.
            top = max(top, min(float(inside.max(initial=0.0)), 1.5 * top))
        axis.set_ylim(0, 1.08 * top if top > 0 else 1.0)
        axis.set_xlim(grid[0], grid[-1])
        axis.set_yticks([])
        number_ticks(axis.xaxis, 4)
        axis.tick_params(labelsize=8)
        axis.set_title(title, fontsize=9)
        prior = curve.prior if curve.density is not None else f"{curve.prior}: no density"
        axis.set_xlabel(wrap(numbers_in(prior), 40), fontsize=8, color="#555555")
        strip(axis)
        axis.spines["left"].set_visible(False)
    for axis in panels[len(curves) :]:
        axis.remove()
    handles = {
        line.get_label(): line for axis in panels[: len(curves)] for line in axis.get_lines()
    }
    legend_below(figure, list(handles.values()))
    return finish(figure)
