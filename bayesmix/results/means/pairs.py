"""All pairs of means of a family: which differ, and how wide the intervals of differences are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.results.means.comparing import contrasts_between
from bayesmix.results.means.quantities import Quantities

__all__ = ["ComparedPairs", "compared_pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPairs:
    """The pairs of K means.

    Attributes
    ----------
    at : ndarray of int, shape (K,)
        Positions of the means.
    different : ndarray of bool, shape (K, K)
    half : ndarray, shape (K, K)
        Half-widths of the intervals of differences, on the scale on which they are computed.
    """

    at: np.ndarray
    different: np.ndarray
    half: np.ndarray


def compared_pairs(own: Quantities, adjust: str | None, ci_prob: float) -> Iterator[ComparedPairs]:
    """Compare all means of each family.

    Parameters
    ----------
    own : Quantities
    adjust : str or None
    ci_prob : float
        One minus the level of the tests; without tests intervals of differences have to leave
        out zero.
    """
    pairs = contrasts_between(
        own, "pairwise", by=None, adjust=adjust, reference=None, interaction=False, rope=None,
        ci_prob=ci_prob,
    )  # fmt: skip
    table = replace(pairs, scale=replace(pairs.scale, is_ratio=False, inverse=None)).table()
    away = ((table["lower"] > 0) | (table["upper"] < 0)).to_numpy()
    if "p" in table:
        away = (table["p"] < 1 - ci_prob).to_numpy()
    half = ((table["upper"] - table["lower"]) / 2).to_numpy()
    start = 0
    for at in own.families(own.by):
        upper = np.triu_indices(len(at), 1)
        rows = slice(start, start + len(upper[0]))
        start = rows.stop
        different, widths = np.zeros((len(at),) * 2, dtype=bool), np.zeros((len(at),) * 2)
        different[upper], widths[upper] = away[rows], half[rows]
        yield ComparedPairs(at=at, different=different | different.T, half=widths + widths.T)
