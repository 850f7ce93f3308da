"""A precision of the fixed effects that keeps the equations of all effects well conditioned."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["ridge_of", "ridge_of_parts"]

_SHARE = 1e-9  # of the largest weight


def ridge_of(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A precision of the fixed effects that keeps the equations well conditioned.

    It does not matter to what is kept. A column whose rows say nothing at all, as those of a
    hurdle that is never taken, gets a small share of what the others say.
    """
    return ridge_of_parts([(X, weights)], X.shape[1])


def ridge_of_parts(parts: Iterable[tuple[np.ndarray, np.ndarray]], p: int) -> np.ndarray:
    """The same of rows that come in parts: columns and weights.

    Parameters
    ----------
    parts : iterable of ndarray, shape (n, p), and ndarray, shape (n,)
    p : int
    """
    top, squares, weighted = 0.0, np.zeros(p), np.zeros(p)
    for X, weights in parts:
        size = np.abs(weights)
        top = max(top, float(size.max(initial=0.0)))
        squares += np.einsum("ni,ni->i", X, X)
        weighted += np.einsum("ni,n,ni->i", X, size, X)
    return np.diag(np.maximum(weighted, _SHARE * top * squares) + 1e-300)
