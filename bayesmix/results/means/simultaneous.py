"""Intervals that hold for several quantities at once, from draws."""

from __future__ import annotations

import numpy as np

__all__ = ["simultaneous_intervals"]


def simultaneous_intervals(draws: np.ndarray, ci_prob: float) -> tuple[np.ndarray, np.ndarray]:
    """Intervals between order statistics of the same ranks, that hold together.

    Parameters
    ----------
    draws : ndarray, shape (K, S)
    ci_prob : float
        Share of the draws that lie within all K intervals.

    Returns
    -------
    lower, upper : ndarray, shape (K,)

    References
    ----------
    Besag, J., Green, P., Higdon, D. and Mengersen, K. (1995). Bayesian computation and
    stochastic systems. Statistical Science 10, 3-41, section 6.3.
    """
    S = draws.shape[1]
    order = np.sort(draws, axis=1)
    below, above = np.empty(draws.shape, dtype=np.int64), np.empty(draws.shape, dtype=np.int64)
    for k, own in enumerate(order):
        below[k] = np.searchsorted(own, draws[k], side="right")  # rank from below, ties the last
        above[k] = S - np.searchsorted(own, draws[k], side="left")
    # How far out a draw is: its extreme rank over all quantities, the middle being S / 2.
    extreme = np.maximum(np.minimum(below, S), np.minimum(above, S)).max(axis=0)
    at = int(np.sort(extreme)[int(np.ceil(ci_prob * S)) - 1])
    return order[:, S - at], order[:, at - 1]
