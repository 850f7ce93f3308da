"""Pictures of power curves and of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.results.plots.figure import (
    COLOURS,
    LINES,
    MAIN,
    MARKERS,
    NEUTRAL,
    finish,
    legend_below,
    new_figure,
    strip,
)
from bayesmix.results.plots.labels import label, wrap, wrapped
from bayesmix.results.plots.look import columns_of

__all__ = ["draw_power", "draw_ranks"]

_SHOWN = 12  # parameters


def draw_power(table: pd.DataFrame, factors: Sequence[str], question: str) -> Any:
    """Draw power over the sizes of the first factor, a curve for each size of the others."""
    figure, axes = new_figure(1, 1, (5.5, 3.8))
    axis = axes[0, 0]
    groups: list[tuple[str, pd.DataFrame]] = [("", table)]
    if len(factors) > 1:
        others = list(factors[1:])
        # By columns: a row of numbers of several types would be one of floats.
        sizes = zip(*(table[name] for name in others), strict=True)
        labels = [
            ", ".join(f"{n} {size}" for n, size in zip(others, each, strict=True)) for each in sizes
        ]
        groups = [(str(key), part) for key, part in table.groupby(labels, sort=False)]
    names = wrapped([words for words, _ in groups], 30)
    handles = []
    for k, (words, part) in enumerate(zip(names, (part for _, part in groups), strict=True)):
        x = part[factors[0]].to_numpy(dtype=float) if factors else np.arange(len(part))
        middle = part["power"].to_numpy()
        ends = np.stack([middle - part["lower"], part["upper"] - middle])
        handles.append(axis.errorbar(
            x, middle, yerr=np.maximum(ends, 0.0), color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)], linestyle=LINES[k % len(LINES)], capsize=3,
            label=words or None,
        ))  # fmt: skip
    axis.axhline(0.8, color=NEUTRAL, linestyle=":", linewidth=1)
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("power")
    if factors:
        axis.set_xlabel(label(f"levels of {factors[0]}"))
    else:
        axis.set_xticks([])
    axis.set_title(wrap(question, 60), fontsize="medium")
    if len(groups) > 1:
        legend_below(figure, handles, most=4)
    strip(axis)
    return finish(figure)


def draw_ranks(ranks: pd.DataFrame, n_ranks: int) -> Any:
    """Draw how the ranks' distribution differs from the uniform one, with a 95 % band."""
    from scipy import stats

    names = list(ranks.columns)[:_SHOWN]
    n_columns = columns_of(len(names), min(4, len(names)), (2.7, 2.2))
    n_rows = -(-len(names) // n_columns)
    figure, axes = new_figure(n_rows, n_columns, (2.7 * n_columns, 2.2 * n_rows))
    n = len(ranks)
    z = np.linspace(0, 1, 101)
    low, high = (stats.binom.ppf(q, n, z) / n - z for q in _ends(n))
    titles = wrapped(names, 30)
    for axis, name, title in zip(axes.ravel(), names, titles, strict=False):
        at = (np.sort(ranks[name].to_numpy()) + 0.5) / n_ranks
        found = np.searchsorted(at, z, side="right") / n - z
        band = axis.fill_between(z, low, high, color=NEUTRAL, alpha=0.3, linewidth=0,
                                 label="95 % if calibrated")  # fmt: skip
        axis.plot(z, found, color=MAIN)
        axis.set_title(title, fontsize="small")
        strip(axis)
    for axis in axes.ravel()[len(names) :]:
        axis.set_visible(False)
    axes[0, 0].set_ylabel("ECDF less uniform")
    for k, axis in enumerate(axes.ravel()[: len(names)]):
        if k + n_columns >= len(names):
            axis.set_xlabel("rank / number of draws", fontsize="small")
    legend_below(figure, [band])
    return finish(figure)


def _ends(n: int) -> tuple[float, float]:
    """Pointwise levels of a band that holds the whole curve in about 95 of 100 cases."""
    tail = 0.025 / max(2.0, 1.5 * np.log(max(n, 10)))
    return tail, 1 - tail
