"""Group effects, sorted, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bayesmix.results.plots.figure import ACCENT, MAIN, NEUTRAL, finish, new_figure, strip
from bayesmix.results.plots.intervals import AWAY, draw_intervals, explain, is_away, shown_range
from bayesmix.results.plots.labels import label, wrapped
from bayesmix.results.plots.levels import LevelPlaces
from bayesmix.results.plots.look import share
from bayesmix.results.plots.ticks import number_ticks

__all__ = ["plot_caterpillar"]


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
        The effects of one grouping factor: level, effect, estimate, lower, upper.
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
    every = [
        table[table["effect"] == effect].sort_values("estimate", kind="stable")
        for effect in effects
    ]
    panels = [_extremes(panel, max_levels) for panel in every]
    places = [
        LevelPlaces.of(
            len(shown),
            max_levels // 2 if max_levels and len(shown) < len(panel) else None,
            columns=len(panels),
        )
        for shown, panel in zip(panels, every, strict=True)
    ]
    names = max(place.width(list(p["level"])) for place, p in zip(places, panels, strict=True))
    size = ((3.0 + names) * len(panels), max(place.height for place in places) + 0.9)
    figure, axes = new_figure(1, len(panels), size)
    x_label = f"estimate and {100 * ci_prob:g} % interval" + (f",\n{scale}" if scale else "")
    titles = wrapped(effects, share(30, 10, len(panels), part=0.9))
    for axis, panel, place, title, whole in zip(
        axes[0], panels, places, titles, every, strict=True
    ):
        _draw(axis, panel, place, len(whole))
        axis.set_title(title, fontsize=10)
        zero = bool((whole[["estimate", "lower", "upper"]] == 0).to_numpy().all())
        axis.set_xlabel(
            "all are zero, as their estimated\nstandard deviation is" if zero else x_label
        )
    axes[0][0].set_ylabel(label(str(table["group"].iloc[0]), 44))
    shown = pd.concat(panels)
    explain(
        figure,
        away=bool(is_away(shown["lower"], shown["upper"], 0.0).any()),
        unknown=bool(shown[["lower", "upper"]].isna().to_numpy().any()),
    )
    return finish(figure)


def _extremes(ordered: pd.DataFrame, max_levels: int | None) -> pd.DataFrame:
    """The lowest and the highest, if there are more than are wanted."""
    if max_levels is None or len(ordered) <= max_levels:
        return ordered
    low = max_levels // 2
    return pd.concat([ordered.iloc[:low], ordered.iloc[len(ordered) - (max_levels - low) :]])


def _draw(axis: Any, panel: pd.DataFrame, places: LevelPlaces, n_levels: int) -> None:
    estimate, lower, upper = (panel[c].to_numpy() for c in ("estimate", "lower", "upper"))
    at, ends = places.at, shown_range(estimate, lower, upper, also=0.0)
    away = is_away(lower, upper, 0.0)
    for crowded in (False, True):
        for chosen, colour, marker in ((~away, MAIN, "o"), (away, ACCENT, AWAY)):
            rows = chosen & (places.named != crowded)
            if rows.any():
                draw_intervals(
                    axis, at[rows], estimate[rows], lower[rows], upper[rows], ends=ends,
                    colour=colour, linewidth=0.7 if crowded else 1.4,
                    markersize=2 if crowded else 4, marker=marker,
                )  # fmt: skip
    axis.axvline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_xlim(*ends)
    number_ticks(axis.xaxis, 5)
    places.label(axis, list(panel["level"]))
    if places.gap is not None:  # a dotted line where the others would be
        axis.axhline(places.gap, color=NEUTRAL, linewidth=1, linestyle=":", zorder=0)
        axis.text(0.99, places.gap, f"{n_levels - len(panel)} more",
                  transform=axis.get_yaxis_transform(), ha="right", va="center", fontsize=7,
                  backgroundcolor="white")  # fmt: skip
    strip(axis)
