"""How the data look beside replicates from the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from bayesmix.results.check.check_data import CheckData, Statistic
from bayesmix.results.plots.figure import (
    ACCENT,
    COLOURS,
    MAIN,
    MARKERS,
    NEUTRAL,
    finish,
    new_figure,
)
from bayesmix.results.plots.intervals import AWAY
from bayesmix.results.plots.labels import label, labels, wrap
from bayesmix.results.plots.look import columns_of
from bayesmix.results.plots.smooth import density
from bayesmix.results.plots.ticks import number_ticks

__all__ = ["plot_check", "plot_statistic"]

_CURVES = 50
_BARS = 30  # of a histogram
_ROWS = 4000  # points of a scatter, and values of a density
_VALUES = 40  # of a discrete response, each with its own bar
_EFFECTS = 4  # with their colours in one panel


def plot_check(data: CheckData) -> Any:
    """Draw the panels of a check.

    Parameters
    ----------
    data : CheckData

    Returns
    -------
    matplotlib Figure
    """
    n_panels = 3 + bool(data.effects) + len(data.statistics)
    n_columns = columns_of(n_panels, 4 if n_panels > 6 else 3, (3.5, 3.5))
    n_rows = -(-n_panels // n_columns)
    figure, axes = new_figure(n_rows, n_columns, (3.5 * n_columns, 3.5 * n_rows))
    top = axes.ravel()
    if data.discrete and len(np.unique(data.y)) <= _VALUES:
        _draw_bars(top[0], data)
    else:
        _draw_densities(top[0], data)
    _draw_pit(top[1], data.pit, data.pit_name, data.pit_note)
    _draw_residuals(top[2], data)
    if data.effects:
        _draw_effects(top[3], data)
    first = n_panels - len(data.statistics)
    for axis, statistic in zip(top[first:n_panels], data.statistics, strict=True):
        _draw_levels(axis, statistic)
        axis.set_title(wrap(f"{statistic.name} by {statistic.group}"))
    for axis in top[n_panels:]:
        axis.remove()
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    return finish(figure)


def plot_statistic(statistic: Statistic) -> Any:
    """Draw one statistic of the data against that of replicates.

    Parameters
    ----------
    statistic : Statistic

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = new_figure(1, 1, (5.6, 4.2))
    axis = axes[0][0]
    if statistic.group:
        _draw_levels(axis, statistic)
        axis.set_title(wrap(f"{statistic.name} by {statistic.group}", 44))
    else:
        observed = float(statistic.observed[0])
        replicates = statistic.replicates[:, 0]
        shown = replicates[np.isfinite(replicates)]
        axis.hist(shown, bins=_bins(shown), color=MAIN, alpha=0.5, label="replicates")
        p = float(statistic.p_value[0])
        axis.axvline(observed, color=ACCENT, linewidth=2, label="data")
        axis.set_title(f"{label(statistic.name)}: {100 * p:.0f} % of replicates lie above")
        axis.set_xlabel(f"{label(statistic.name)} of the response")
        axis.set_ylabel("replicates")
        axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return finish(figure)


def _bins(values: np.ndarray) -> Any:
    """Thirty bars; of whole numbers each of as many, so that none between them seems missing."""
    if not len(values) or (values != np.round(values)).any():
        return _BARS
    low, high = values.min(), values.max()
    width = np.ceil((high - low + 1) / _BARS)
    if low + width == low:  # beyond whole numbers that doubles tell apart
        return _BARS
    return np.arange(low - 0.5, high + width, width)


def _draw_densities(axis: Any, data: CheckData) -> None:
    """Smooth densities; of many rows, some."""
    chosen = np.linspace(0, len(data.y) - 1, min(len(data.y), _ROWS)).astype(int)
    y = data.y[chosen]
    shown = data.replicates[:_CURVES, chosen]
    low, high = np.quantile(shown[np.isfinite(shown)], [0.001, 0.999])
    low, high = min(low, y.min()), max(high, y.max())
    grid = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 200)
    for k, replicate in enumerate(shown):
        axis.plot(grid, density(replicate, grid), color=MAIN, alpha=0.25, linewidth=0.7,
                  label="replicates" if k == 0 else None)  # fmt: skip
    axis.plot(grid, density(y, grid), color="black", linewidth=1.8, label=data.y_name)
    axis.set_title("Response and replicates")
    axis.set_xlabel(label(data.response))
    axis.set_ylabel("density")
    axis.set_ylim(bottom=0)
    legend = axis.legend(frameon=False, loc="upper right", fontsize=8)
    for line in legend.get_lines():
        line.set_alpha(1.0)


def _draw_bars(axis: Any, data: CheckData) -> None:
    """Share of each value, with the interval of replicates."""
    values = np.arange(data.y.min(), data.y.max() + 1)
    if len(values) > _VALUES:
        values = np.unique(data.y)
    observed = np.asarray([(data.y == value).mean() for value in values])
    shares = np.stack([(data.replicates == value).mean(axis=1) for value in values], axis=1)
    lower, middle, upper = np.quantile(shares, [0.025, 0.5, 0.975], axis=0)
    axis.bar(values, observed, color=NEUTRAL, alpha=0.5, label=data.y_name)
    axis.errorbar(values, middle, [middle - lower, upper - middle], fmt="o", color=MAIN,
                  markersize=4, label="replicates, 95 %")  # fmt: skip
    axis.set_ylim(0, 1.3 * float(max(observed.max(), upper.max())))  # room for the legend
    axis.set_title("Response and replicates")
    axis.set_xlabel(label(data.response))
    axis.set_ylabel("share of rows")
    number_ticks(axis.xaxis, integer=True)
    axis.legend(frameon=False, fontsize=8)


def _draw_pit(axis: Any, pit: np.ndarray, name: str, note: str) -> None:
    from scipy import stats

    n_bins = 20 if len(pit) >= 400 else 10
    counts = np.histogram(pit, bins=n_bins, range=(0, 1))[0]
    low, high = np.asarray(stats.binom.ppf([0.025, 0.975], len(pit), 1 / n_bins))
    edges = np.linspace(0, 1, n_bins + 1)
    axis.axhspan(low, high, color=NEUTRAL, alpha=0.3, linewidth=0, label="95 % if calibrated")
    outside = (counts < low) | (counts > high)
    centre = (edges[:-1] + edges[1:]) / 2
    axis.bar(centre, counts, width=0.9 / n_bins, alpha=0.8,
             color=[ACCENT if o else MAIN for o in outside],
             hatch=["///" if o else "" for o in outside])  # fmt: skip
    if outside.any():
        axis.fill_between([], [], alpha=0.8, color=ACCENT, linewidth=0, hatch="///",
                          label="outside")  # fmt: skip
    axis.set_title(f"Calibration (PIT, {name})")
    below = "place of a row among its replicates"
    axis.set_xlabel(f"{below}\n{note}" if note else below)
    axis.set_ylabel("rows")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.25 * max(counts.max(), high))
    axis.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)


def _draw_residuals(axis: Any, data: CheckData) -> None:
    chosen = np.linspace(0, len(data.y) - 1, min(len(data.y), _ROWS)).astype(int)
    few = len(chosen) < 500
    axis.scatter(data.fitted[chosen], data.residuals[chosen], s=10 if few else 4, color=MAIN,
                 alpha=0.6 if few else 0.3, linewidths=0)  # fmt: skip
    order = np.argsort(data.fitted)
    n_bins = int(np.clip(len(order) // 20, 3, 20))
    parts = np.array_split(order, n_bins)
    axis.plot(
        [data.fitted[part].mean() for part in parts],
        [data.residuals[part].mean() for part in parts],
        color=ACCENT, linewidth=1.6, label="mean in bins",
    )  # fmt: skip
    axis.axhline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set_title("Residuals and fitted values")
    axis.set_xlabel("fitted value")
    axis.set_ylabel(data.residual_name)
    axis.legend(frameon=False, fontsize=8, loc="upper right")


def _draw_effects(axis: Any, data: CheckData) -> None:
    largest = 2.5
    shown = list(data.effects.items())[:_EFFECTS]
    names = labels([name for name, _ in shown], 20)
    for (_, values), name, colour, marker in zip(shown, names, COLOURS, MARKERS, strict=False):
        spread = np.std(values)
        if spread == 0:
            continue
        z = np.sort((values - values.mean()) / spread)
        at = special.ndtri((np.arange(len(z)) + 0.5) / len(z))
        largest = max(largest, 1.05 * float(np.abs([z, at]).max()))
        axis.plot(at, z, marker, color=colour, markersize=3 if len(z) > 60 else 4.5, alpha=0.7,
                  label=name, markeredgewidth=0)  # fmt: skip
    axis.plot([-largest, largest], [-largest, largest], color=NEUTRAL, linewidth=0.9, zorder=0)
    axis.set_title(wrap(f"Estimated effects of {data.group}", 26))
    axis.set_xlabel("quantile of a normal distribution")
    axis.set_ylabel("effect / its sd over levels")
    axis.set_xlim(-largest, largest)
    axis.set_ylim(-largest, largest)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(frameon=False, fontsize=8, loc="upper left")
    else:  # a variance of zero
        axis.text(0, 0.6 * largest, "the estimated effects do not vary", ha="center", fontsize=8)


def _draw_levels(axis: Any, statistic: Statistic) -> None:
    """Replicates' interval of each level against what was observed there."""
    lower, upper = statistic.interval()
    middle = np.median(statistic.replicates, axis=0)
    observed = statistic.observed
    inside = (observed >= lower) & (observed <= upper)
    many = len(observed) > 60
    for chosen, colour, marker in ((inside, MAIN, "o"), (~inside, ACCENT, AWAY)):
        axis.vlines(observed[chosen], lower[chosen], upper[chosen], color=colour,
                    linewidth=0.6 if many else 1.2, alpha=0.4 if many else 0.7)  # fmt: skip
        axis.plot(observed[chosen], middle[chosen], marker, color=colour,
                  markersize=2 if many else 4)  # fmt: skip
    ends = [float(np.min([observed.min(), lower.min()])),
            float(np.max([observed.max(), upper.max()]))]  # fmt: skip
    axis.plot(ends, ends, color=NEUTRAL, linewidth=0.9, zorder=0)
    axis.set_xlabel(f"{label(statistic.name)} in the data")
    axis.set_ylabel("replicates, 95 %")
    n_outside = int((~inside).sum())
    axis.text(0.03, 0.97, f"{n_outside} of {len(observed)} outside", transform=axis.transAxes,
              va="top", fontsize=8, zorder=5, color=ACCENT if n_outside else "black",
              bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})  # fmt: skip
