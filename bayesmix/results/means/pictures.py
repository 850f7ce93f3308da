"""Pictures of means and of contrasts: what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import NotSupportedError
from bayesmix.results.means.arrows import arrow_lengths, contradicts
from bayesmix.results.means.contrast_weights import level_text, mean_labels
from bayesmix.results.means.pairs import compared_pairs
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.plots.forest import ForestRow, plot_forest
from bayesmix.results.plots.labels import label
from bayesmix.results.plots.means import MeanRow, plot_means

__all__ = ["draw_contrasts", "draw_means"]


def draw_contrasts(own: Quantities, table: pd.DataFrame, title: str) -> Any:
    """Draw contrasts around zero, ratios around one."""
    rows = []
    for at in own.families(own.by):
        if own.by:
            rows.append(ForestRow(label=_heading(own, at), heading=True))
        for k in at:
            line = table.iloc[k]
            rows.append(
                ForestRow(
                    label=line[own.factors[0]], estimate=line["estimate"], lower=line["lower"],
                    upper=line["upper"],
                )
            )  # fmt: skip
    ratio = own.scale.is_ratio
    x_label = _x_label(own) if ratio else f"contrast of {_x_label(own)}"
    return plot_forest(rows, x_label=x_label, line=1.0 if ratio else 0.0, log=ratio, title=title)


def draw_means(
    own: Quantities, table: pd.DataFrame, title: str, arrows: bool | None, adjust: str | None,
    ci_prob: float,
) -> Any:  # fmt: skip
    """Draw means; the arguments are those of `MarginalMeans.plot`."""
    several = max(len(at) for at in own.families(own.by)) > 1
    ends = np.full((2, len(table)), np.nan)
    if several if arrows is None else arrows:
        if not several:
            raise NotSupportedError("arrows=True compares means, and there is one")
        ends = _arrow_ends(own, table, adjust, ci_prob, asked=arrows is True)
    labels = mean_labels(own.keys[list(own.factors)])
    rows = []
    for at in own.families(own.by):
        if own.by:
            rows.append(MeanRow(label=_heading(own, at), heading=True))
        for k in at:
            line = table.iloc[k]
            rows.append(
                MeanRow(
                    label=labels[k], estimate=line["estimate"], lower=line["lower"],
                    upper=line["upper"], left=ends[0, k], right=ends[1, k],
                )
            )  # fmt: skip
    return plot_means(rows, x_label=_x_label(own), title=title)


def _heading(own: Quantities, at: np.ndarray) -> str:
    first = own.keys.iloc[at[0]]
    return ", ".join(f"{name} {level_text(first[name])}" for name in own.by)


def _x_label(own: Quantities) -> str:
    return f"{label(own.scale.words, 60)}, {100 * own.ci_prob:g} % interval"


def _arrow_ends(
    own: Quantities, table: pd.DataFrame, adjust: str | None, ci_prob: float, *, asked: bool
) -> np.ndarray:
    """Left and right ends of comparison arrows, shape (2, K)."""
    known = np.where(own.estimable.unknown, np.nan, own.jointly.estimate)
    shown = table["estimate"].to_numpy()
    f = own.scale.shown or (lambda values: values)
    ends = np.full((2, len(known)), np.nan)
    for family in compared_pairs(own, adjust, ci_prob):
        at = family.at
        left, right = arrow_lengths(known[at], family.half)
        if contradicts(known[at], left, right, family.different):
            if asked:
                raise NotSupportedError(
                    "no lengths of arrows agree with all comparisons; letters() does"
                )
            return np.full_like(ends, np.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            ends[0, at] = shown[at] + f(known[at] - left) - f(known[at])
            ends[1, at] = shown[at] + f(known[at] + right) - f(known[at])
    return ends
