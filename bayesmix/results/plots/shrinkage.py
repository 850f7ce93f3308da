"""No pooling against partial pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.results.beside.shrinkage import Shrinkage
from bayesmix.results.plots.figure import (
    ACCENT,
    MAIN,
    NEUTRAL,
    finish,
    legend_below,
    new_figure,
    strip,
)
from bayesmix.results.plots.intervals import shown_range
from bayesmix.results.plots.labels import label
from bayesmix.results.plots.levels import LevelPlaces

__all__ = ["plot_shrinkage"]

_MANY = 60  # levels, from which on points are small
_FAR = 3.0  # widths of the pooled estimates beyond which a level's own is out of sight
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
    small = 12 if len(alone) > _MANY else 26
    fixed = shrinkage.fixed_effect[[first, second]]
    everywhere = shrinkage.complete_pooling[[first, second]]
    ends = [_ends(pooled[:, k], alone[:, k], fixed[k], everywhere[k]) for k in (0, 1)]
    beyond = np.any([(alone[:, k] < ends[k][0]) | (alone[:, k] > ends[k][1]) for k in (0, 1)], 0)
    axis.scatter(*alone[known].T, s=small, facecolors="white", edgecolors=ACCENT, zorder=2,
                 label=_no_pooling(known, beyond))  # fmt: skip
    axis.scatter(*pooled.T, s=small, color=MAIN, zorder=3, label="partial pooling")
    axis.plot(*fixed, "k+", markersize=14,
              markeredgewidth=2, zorder=4, label="fixed effects")  # fmt: skip
    if np.isfinite(everywhere).all():
        axis.plot(*everywhere, "x", color=COMPLETE, markersize=9, markeredgewidth=2, zorder=5,
                  label="complete pooling")  # fmt: skip
    axis.set_xlim(*ends[0])
    axis.set_ylim(*ends[1])
    axis.set_xlabel(_label(shrinkage.effects[first]))
    axis.set_ylabel(_label(shrinkage.effects[second]))
    axis.set_title(f"Coefficients by {label(shrinkage.group)}")
    _legend(figure, axis)
    return finish(figure)


def _one_effect(shrinkage: Shrinkage, effect: int) -> Any:
    n_levels = len(shrinkage.levels)
    order = np.argsort(shrinkage.partial_pooling[:, effect])
    alone = shrinkage.no_pooling[order, effect]
    pooled = shrinkage.partial_pooling[order, effect]
    places = LevelPlaces.of(n_levels)
    levels = [shrinkage.levels[i] for i in order]
    figure, axes = new_figure(1, 1, (4.6 + places.width(levels), places.height + 1.1))
    axis = axes[0][0]
    at = places.at
    fixed, everywhere = shrinkage.fixed_effect[effect], shrinkage.complete_pooling[effect]
    ends = _ends(pooled, alone, fixed, everywhere)
    known = ~np.isnan(alone)
    axis.hlines(at[known], np.clip(alone, *ends)[known], pooled[known], color=NEUTRAL,
                linewidth=1, zorder=1)  # fmt: skip
    for beyond, end, marker in ((alone < ends[0], ends[0], "<"), (alone > ends[1], ends[1], ">")):
        if beyond.any():
            axis.plot(np.full(beyond.sum(), end), at[beyond], marker, color=ACCENT, markersize=4,
                      linestyle="", clip_on=False)  # fmt: skip
    sizes = np.where(places.named, 26, 8)
    axis.scatter(alone, at, s=sizes, facecolors="white", edgecolors=ACCENT, zorder=2,
                 label=_no_pooling(known, (alone < ends[0]) | (alone > ends[1])))  # fmt: skip
    axis.scatter(pooled, at, s=sizes, color=MAIN, zorder=3, label="partial pooling")
    axis.axvline(fixed, color="black", linewidth=1, zorder=0, label="fixed effect")
    if np.isfinite(everywhere):
        axis.axvline(everywhere, color=COMPLETE, linewidth=1.2, linestyle="--", zorder=0,
                     label="complete pooling")  # fmt: skip
    axis.set_xlim(*ends)
    places.label(axis, levels)
    axis.set_ylabel(label(shrinkage.group, 44))
    axis.set_xlabel(_label(shrinkage.effects[effect]))
    _legend(figure, axis)
    return finish(figure)


def _ends(pooled: np.ndarray, alone: np.ndarray, *others: float) -> tuple[float, float]:
    """Ends of an axis; a level whose own estimate has run away is left out."""
    known = alone[np.isfinite(alone)]
    half = np.quantile(known, [0.25, 0.75]) if len(known) else []
    return shown_range(pooled, alone, alone, also=[*others, *half], far=_FAR)


def _no_pooling(known: np.ndarray, beyond: np.ndarray) -> str:
    """Say how many levels have no estimate of their own, or one out of sight."""
    counts = {"not known": int((~known).sum()), "beyond the edge": int((known & beyond).sum())}
    notes = [f"{count} {what}" for what, count in counts.items() if count]
    return f"no pooling ({', '.join(notes)})" if notes else "no pooling"


def _label(effect: str) -> str:
    if effect == "Intercept":
        return label(effect, 40)
    return f"coefficient of {label(effect, 40)}"


def _legend(figure: Any, axis: Any) -> None:
    strip(axis)
    legend_below(figure, axis.get_legend_handles_labels()[0], most=2, fontsize=10,
                 handletextpad=0.2)  # fmt: skip
