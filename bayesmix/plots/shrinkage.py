"""No pooling against partial pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.plots.figure import (
    ACCENT,
    MAIN,
    NEUTRAL,
    finish,
    new_figure,
    shorten,
    strip,
    text_width,
)
from bayesmix.results.beside.shrinkage import Shrinkage

__all__ = ["plot_shrinkage"]

_LABELLED = 60
COMPLETE = "#009E73"


def plot_shrinkage(shrinkage: Shrinkage, effects: Sequence[str]) -> Any:
    """Draw where partial pooling moved each level's estimate.

    Two effects are drawn against each other, with an arrow per level; one
    effect by level, with a line between the two estimates.

    Parameters
    ----------
    shrinkage : Shrinkage
    effects : sequence of str
        One or two of its effects.

    Returns
    -------
    matplotlib Figure
    """
    at = [shrinkage.effects.index(effect) for effect in effects]
    if len(at) == 1:
        return _one_effect(shrinkage, at[0])
    return _two_effects(shrinkage, at[0], at[1])


def _two_effects(shrinkage: Shrinkage, first: int, second: int) -> Any:
    figure, axes = new_figure(1, 1, (6.4, 5.2))
    axis = axes[0][0]
    alone = shrinkage.no_pooling[:, [first, second]]
    pooled = shrinkage.partial_pooling[:, [first, second]]
    known = np.isfinite(alone).all(axis=1)
    axis.quiver(
        alone[known, 0],
        alone[known, 1],
        pooled[known, 0] - alone[known, 0],
        pooled[known, 1] - alone[known, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0025,
        color=NEUTRAL,
        zorder=1,
    )
    small = 12 if len(alone) > _LABELLED else 26
    axis.scatter(*alone[known].T, s=small, facecolors="white", edgecolors=ACCENT, zorder=2,
                 label="no pooling")  # fmt: skip
    axis.scatter(*pooled.T, s=small, color=MAIN, zorder=3, label="partial pooling")
    axis.plot(*shrinkage.fixed_effect[[first, second]], "k+", markersize=14,
              markeredgewidth=2, zorder=4, label="fixed effects")  # fmt: skip
    everywhere = shrinkage.complete_pooling[[first, second]]
    if np.isfinite(everywhere).all():
        axis.plot(*everywhere, "x", color=COMPLETE, markersize=9, markeredgewidth=2, zorder=5,
                  label="complete pooling")  # fmt: skip
    axis.set_xlabel(_label(shrinkage.effects[first]))
    axis.set_ylabel(_label(shrinkage.effects[second]))
    axis.set_title(f"Coefficients by {shorten(shrinkage.group)}")
    _legend(figure, axis)
    return finish(figure)


def _one_effect(shrinkage: Shrinkage, effect: int) -> Any:
    n_levels = len(shrinkage.levels)
    order = np.argsort(shrinkage.partial_pooling[:, effect])
    alone = shrinkage.no_pooling[order, effect]
    pooled = shrinkage.partial_pooling[order, effect]
    height = float(np.clip(0.2 * n_levels, 2.4, 12)) + 1.1
    names = [shorten(str(shrinkage.levels[i]), 44) for i in order] if n_levels <= _LABELLED else []
    figure, axes = new_figure(1, 1, (4.6 + text_width(names, 8), height))
    axis = axes[0][0]
    at = np.arange(n_levels)
    axis.hlines(at, alone, pooled, color=NEUTRAL, linewidth=1, zorder=1)
    small = 8 if n_levels > _LABELLED else 26
    axis.scatter(alone, at, s=small, facecolors="white", edgecolors=ACCENT, zorder=2,
                 label="no pooling")  # fmt: skip
    axis.scatter(pooled, at, s=small, color=MAIN, zorder=3, label="partial pooling")
    axis.axvline(shrinkage.fixed_effect[effect], color="black", linewidth=1, zorder=0,
                 label="fixed effect")  # fmt: skip
    if np.isfinite(shrinkage.complete_pooling[effect]):
        axis.axvline(shrinkage.complete_pooling[effect], color=COMPLETE, linewidth=1.2,
                     linestyle="--", zorder=0, label="complete pooling")  # fmt: skip
    if n_levels > _LABELLED:
        axis.set_yticks([])
    else:
        axis.set_yticks(at, names, fontsize=8)
    axis.set_ylim(-1, n_levels)
    axis.set_ylabel(shorten(shrinkage.group, 44))
    axis.set_xlabel(_label(shrinkage.effects[effect]))
    _legend(figure, axis)
    return finish(figure)


def _label(effect: str) -> str:
    return effect if effect == "Intercept" else f"coefficient of {shorten(effect, 40)}"


def _legend(figure: Any, axis: Any) -> None:
    strip(axis)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, handletextpad=0.2)
