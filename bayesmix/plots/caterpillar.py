"""Group effects, sorted, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.plots.figure import (
    ACCENT,
    MAIN,
    NEUTRAL,
    finish,
    new_figure,
    shorten,
    strip,
    text_width,
    wrap,
)

__all__ = ["plot_caterpillar"]

_LABELLED = 60  # more levels than this have no room for their names
_LENGTH = 44  # of a name


def plot_caterpillar(
    table: pd.DataFrame,
    effects: Sequence[str],
    *,
    ci_prob: float,
    max_levels: int | None = None,
    scale: str = "",
) -> Any:
    """Draw one panel per effect, its levels sorted by their estimate.

    Intervals that leave out zero are drawn in another colour.

    Parameters
    ----------
    table : DataFrame
        Of one grouping factor: level, effect, estimate, lower, upper.
    effects : sequence of str
        The effects to draw.
    ci_prob : float
        Probability inside the intervals, for the label.
    max_levels : int, optional
        Draw only so many levels: the lowest and the highest.
    scale : str
        What the effects are on, if not the response's own scale.

    Returns
    -------
    matplotlib Figure
    """
    panels = [_sorted(table[table["effect"] == effect], max_levels) for effect in effects]
    n_levels = max(len(panel) for panel in panels)
    height = float(np.clip(0.2 * n_levels, 2.4, 12)) + 0.9
    names = [shorten(str(level), _LENGTH) for panel in panels for level in panel["level"]]
    width = 3.0 + (text_width(names, 8) if n_levels <= _LABELLED else 0.4)
    figure, axes = new_figure(1, len(panels), (width * len(panels), height))
    x_label = f"estimate and {100 * ci_prob:g} % interval" + (f",\n{scale}" if scale else "")
    for axis, panel, effect in zip(axes[0], panels, effects, strict=True):
        _draw(axis, panel, int((table["effect"] == effect).sum()))
        axis.set_title(wrap(str(effect), 30), fontsize=10)
        axis.set_xlabel(x_label)
    group = str(table["group"].iloc[0])
    axes[0][0].set_ylabel(shorten(group, 44))
    return finish(figure)


def _sorted(panel: pd.DataFrame, max_levels: int | None) -> pd.DataFrame:
    """Rows from below with their places; levels left out leave a gap."""
    ordered = panel.sort_values("estimate", kind="stable")
    n_left_out = 0 if max_levels is None else max(len(ordered) - max_levels, 0)
    if n_left_out and max_levels is not None:
        low = max_levels // 2
        kept = [ordered.iloc[:low], ordered.iloc[len(ordered) - (max_levels - low) :]]
        at = np.r_[np.arange(low), np.arange(low, max_levels) + 1]
        return pd.concat(kept).assign(at=at)
    return ordered.assign(at=np.arange(len(ordered)))


def _draw(axis: Any, panel: pd.DataFrame, n_levels: int) -> None:
    at = panel["at"].to_numpy()
    lower, upper = panel["lower"].to_numpy(), panel["upper"].to_numpy()
    estimate = panel["estimate"].to_numpy()
    away = (lower > 0) | (upper < 0)
    many = len(panel) > _LABELLED
    for chosen, colour in ((~away, MAIN), (away, ACCENT)):
        axis.hlines(
            at[chosen], lower[chosen], upper[chosen], color=colour, linewidth=0.7 if many else 1.4
        )
        axis.plot(estimate[chosen], at[chosen], "o", color=colour, markersize=2 if many else 4)
    axis.axvline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_ylim(-1, at[-1] + 1)
    axis.locator_params(axis="x", nbins=5)
    if many:
        axis.set_yticks([])
    else:
        names = [shorten(str(level), _LENGTH) for level in panel["level"]]
        axis.set_yticks(at, names, fontsize=8)
    if len(panel) < n_levels:  # a dotted line where the others would be
        gap = int(np.setdiff1d(np.arange(at[-1]), at)[0])
        axis.axhline(gap, color=NEUTRAL, linewidth=1, linestyle=":", zorder=0)
        axis.text(0.99, gap, f"{n_levels - len(panel)} more", transform=axis.get_yaxis_transform(),
                  ha="right", va="center", fontsize=7, backgroundcolor="white")  # fmt: skip
    strip(axis)
