"""A sample of rows on disk, in memory: where a search among all of them may start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.glmm.data import joined_rows
from bayesmix.glmm.problem import GlmmProblem

__all__ = ["Sample", "sample_of_rows"]

_ROWS = 60_000
_ROWS_OF_A_LEVEL = 15  # with fewer a level says nothing of how levels differ
_MIXED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some of the rows, and how much more there are.

    Attributes
    ----------
    gp : GlmmProblem
        With the layout of all rows, whose equations it uses.
    rows, levels : float
        How many times as many rows, and levels with rows, all of them are.
    """

    gp: GlmmProblem
    rows: float
    levels: float


def sample_of_rows(gp: GlmmProblem) -> Sample:
    """Take some sixty thousand rows, by a number that is mixed from their place or their level.

    Each row has the same chance where the levels of the finest factor keep rows enough; else
    some of its levels are taken with all of their rows. The same rows are taken each time.

    Parameters
    ----------
    gp : GlmmProblem
        Whose rows are stored.
    """
    rows = gp.rows
    share = min(1.0, _ROWS / rows.n_obs)
    n_levels = gp.problem.groups[0].n_levels if gp.problem.groups else 1
    by_row = share * rows.n_obs / n_levels >= _ROWS_OF_A_LEVEL
    kept, start = [], 0
    for block in rows.blocks():
        n = block.n_obs
        place = np.arange(start, start + n) if by_row else block.index[0] - block.first[0]
        start += n
        taken = np.flatnonzero(_mixed(place) < share)
        if len(taken):
            kept.append(block.of_rows(taken))
    whole = joined_rows(kept) if kept else rows.header
    levels = 1.0
    if not by_row:
        levels = n_levels / max(1, len(np.unique(whole.index[0])))
    made = replace(gp, rows=whole)
    return Sample(gp=made, rows=rows.n_obs / whole.n_obs, levels=levels)


def _mixed(place: np.ndarray) -> np.ndarray:
    """Numbers between 0 and 1 that look like independent ones, of whole numbers (splitmix64)."""
    z = (place.astype(np.uint64) + np.uint64(1)) * _MIXED
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) / 2.0**64
