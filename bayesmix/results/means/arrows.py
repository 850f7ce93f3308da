"""Lengths of arrows around means that overlap where two means are not told apart."""

from __future__ import annotations

import numpy as np
from scipy import optimize

__all__ = ["arrow_lengths", "contradicts"]


def arrow_lengths(estimate: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find arrows to the left and right of means.

    Arrows of two means that point at each other should be as long together as the
    half-width of the interval of their difference. With many means that holds nearly, and
    best where it decides: where the difference is about as large.

    Parameters
    ----------
    estimate : ndarray, shape (K,)
        NaN for a mean without an estimate.
    half : ndarray, shape (K, K)
        Half-widths of the intervals of differences.

    Returns
    -------
    left, right : ndarray, shape (K,)
        Lengths; NaN where no mean lies on that side.
    """
    K = len(estimate)
    left, right = np.full(K, np.nan), np.full(K, np.nan)
    rows, targets = [], []
    for i in range(K):
        for j in range(K):
            if not (estimate[i] < estimate[j] and np.isfinite(half[i, j]) and half[i, j] > 0):
                continue
            weight = 1 / (0.05 + abs(estimate[j] - estimate[i] - half[i, j]) / half[i, j])
            row = np.zeros(2 * K)
            row[[K + i, j]] = weight  # to the right of the smaller, to the left of the larger
            rows.append(row)
            targets.append(weight * half[i, j])
    if not rows:
        return left, right
    A = np.stack(rows)
    used = np.flatnonzero(np.abs(A).sum(axis=0) > 0)
    # A little towards equal lengths, which few means leave open.
    typical = float(np.nanmedian(half[np.isfinite(half)])) / 2
    ridge = 1e-3 * np.eye(len(used))
    found = optimize.nnls(
        np.vstack([A[:, used], ridge]), np.r_[targets, np.full(len(used), 1e-3 * typical)]
    )[0]
    lengths = np.full(2 * K, np.nan)
    lengths[used] = found
    return lengths[:K], lengths[K:]


def contradicts(
    estimate: np.ndarray, left: np.ndarray, right: np.ndarray, different: np.ndarray
) -> bool:
    """Whether arrows overlap of means that are told apart, or do not of others.

    Parameters
    ----------
    estimate, left, right : ndarray, shape (K,)
    different : ndarray of bool, shape (K, K)
    """
    for i in range(len(estimate)):
        for j in np.flatnonzero(estimate > estimate[i]).tolist():
            overlap = estimate[i] + right[i] >= estimate[j] - left[j]
            if overlap == different[i, j]:
                return True
    return False
