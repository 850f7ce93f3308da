"""Estimates with their intervals, also where a limit is missing or out of sight."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.results.plots.figure import ACCENT, NEUTRAL, legend_below

__all__ = ["AWAY", "draw_intervals", "explain", "is_away", "shown_range"]

AWAY = "D"  # marks an interval that leaves a value out, also in grey
_FAR = 10.0  # as many widths of the rest away, a limit is left out of the picture
_BARE = 2.0  # as many widths of all others away, an estimate without limits is left out


def shown_range(
    estimate: Any, lower: Any, upper: Any, *, also: Any = (), far: float = _FAR
) -> tuple[float, float]:
    """Ends of an axis: all that is finite, without what is far from all else.

    Far may be a limit, or an estimate that has neither limit: one that has run away.

    Parameters
    ----------
    estimate, lower, upper : array_like, shape (n,)
        NaN and infinite values play no part.
    also : array_like
        Values that the axis has to show as well.
    far : float
        Widths of the estimates' range, or of an ordinary interval, beyond which a
        limit is left out. Where it is infinite, nothing is.

    Returns
    -------
    low, high : float
        With a margin.
    """
    estimate, lower, upper, also = (
        np.asarray(values, dtype=np.float64).ravel() for values in (estimate, lower, upper, also)
    )
    limits = np.concatenate([lower, upper])
    limits = limits[np.isfinite(limits)]
    if np.isfinite(far) and len(limits):
        bare = ~np.isfinite(lower) & ~np.isfinite(upper)
        others = np.concatenate([estimate[~bare], limits])
        others = others[np.isfinite(others)]
        low, high = float(others.min()), float(others.max())
        reach = _BARE * (high - low)
        away = (estimate < low - reach) | (estimate > high + reach)
        estimate = estimate[~(bare & away)]
    points = np.concatenate([estimate, also])
    points = points[np.isfinite(points)]
    if len(points):
        with np.errstate(invalid="ignore", over="ignore"):
            widths = upper - lower
        widths = widths[np.isfinite(widths) & (widths > 0)]
        # A quarter of them at least is no wider, however many have run away.
        usual = float(np.quantile(widths, 0.25, method="lower")) if len(widths) else 0.0
        reach = far * max(float(np.ptp(points)), usual)
        if reach > 0:
            limits = limits[(limits >= points.min() - reach) & (limits <= points.max() + reach)]
    seen = np.concatenate([points, limits])
    if not len(seen):
        return -1.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    margin = 0.05 * (high - low) or 0.5 * (abs(high) or 1.0)
    return low - margin, high + margin


def is_away(lower: Any, upper: Any, line: float) -> np.ndarray:
    """Whether intervals leave a value out."""
    return np.asarray((np.asarray(lower) > line) | (np.asarray(upper) < line))


def draw_intervals(
    axis: Any,
    at: Any,
    estimate: Any,
    lower: Any,
    upper: Any,
    *,
    ends: tuple[float, float],
    colour: str,
    linewidth: float = 1.4,
    **point: Any,
) -> None:
    """Draw points with lines from left to right.

    A limit beyond the axis has an arrow at its end, one that is not known (NaN) a
    dotted line there.

    Parameters
    ----------
    axis : matplotlib Axes
    at : array_like, shape (n,)
        Heights.
    estimate, lower, upper : array_like, shape (n,)
    ends : tuple of float
        Ends of the axis.
    colour : str
    linewidth : float
    **point
        How the points look, as of `Axes.plot`.
    """
    at, estimate, lower, upper = (
        np.atleast_1d(np.asarray(values, dtype=np.float64))
        for values in (at, estimate, lower, upper)
    )
    # A point at the end of its axis, such as an sd of zero, is whole.
    point = {"marker": "o", "linestyle": "", "color": colour, "clip_on": False, **point}
    shown = np.clip(estimate, *ends)
    start = np.where(np.isnan(lower), shown, np.clip(lower, *ends))
    stop = np.where(np.isnan(upper), shown, np.clip(upper, *ends))
    drawn = (start < stop) & ~np.isnan(shown)
    if drawn.any():
        axis.hlines(at[drawn], start[drawn], stop[drawn], color=colour, linewidth=linewidth)
    known = ~np.isnan(shown)
    for limit, end in ((lower, ends[0]), (upper, ends[1])):
        missing = known & np.isnan(limit) & (shown != end)
        if missing.any():
            axis.hlines(at[missing], end, shown[missing], color=colour, linestyle=":",
                        linewidth=linewidth, gid="unknown")  # fmt: skip
    arrow = {"linestyle": "", "color": colour, "clip_on": False,
             "markersize": point.get("markersize", 5)}  # fmt: skip
    for side, end, marker in ((-1, ends[0], "<"), (1, ends[1], ">")):
        limit = lower if side < 0 else upper
        beyond = known & ((side * limit > side * end) | (side * estimate > side * end))
        if beyond.any():
            axis.plot(np.full(beyond.sum(), end), at[beyond], marker, **arrow)
    seen = known & (estimate == shown)
    if seen.any():  # an empty line has its place in the figure's corner, which no layout stands
        axis.plot(estimate[seen], at[seen], **point)


def explain(figure: Any, *, away: bool, unknown: bool, line: float | None = 0.0) -> None:
    """Say below a figure what a second colour and dotted lines mean.

    Parameters
    ----------
    figure : matplotlib Figure
    away : bool
        Whether there are intervals that leave `line` out.
    unknown : bool
        Whether there are limits that are not known.
    line : float or None
    """
    from matplotlib.lines import Line2D

    handles = []
    if away:
        handles.append(Line2D([], [], color=ACCENT, marker=AWAY, markersize=4,
                              label=f"interval leaves out {line:g}"))  # fmt: skip
    if unknown:
        handles.append(Line2D([], [], color=NEUTRAL, linestyle=":", label="limit not known"))
    legend_below(figure, handles, fontsize=8)
