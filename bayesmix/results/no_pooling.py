"""A separate least-squares regression per level, to set beside partial pooling."""

from __future__ import annotations

import itertools

import numpy as np

from bayesmix.design import GroupingFactor

__all__ = ["least_squares_by_level"]


def least_squares_by_level(group: GroupingFactor, y: np.ndarray) -> np.ndarray:
    """Regress y on Z within each level.

    Parameters
    ----------
    group : GroupingFactor
        With G levels and q effects.
    y : ndarray, shape (n,)
        What Z is to explain: the response without the parts of the model that
        do not vary by this grouping factor.

    Returns
    -------
    ndarray, shape (G, q)
        NaN for a level whose rows do not determine all q coefficients.
    """
    n_levels, q = group.n_levels, group.n_effects
    order = np.argsort(group.index, kind="stable")
    bounds = np.searchsorted(group.index[order], np.arange(n_levels + 1))
    out = np.full((n_levels, q), np.nan)
    for level, (start, stop) in enumerate(itertools.pairwise(bounds)):
        rows = order[start:stop]
        Z = group.Z[rows]
        scale = np.sqrt(np.mean(Z**2, axis=0))
        scale[scale == 0] = 1.0
        solution, _, rank, _ = np.linalg.lstsq(Z / scale, y[rows], rcond=1e-10)
        if rank == q:
            out[level] = solution / scale
    return out
