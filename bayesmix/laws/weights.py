"""Importance weights that can be judged."""

from __future__ import annotations

import numpy as np

__all__ = ["LEAST_FOR_WEIGHTS", "kept_apart"]

LEAST_FOR_WEIGHTS = 25  # draws: the tail that is smoothed is a fifth of them, and five at least


def kept_apart(log_density: np.ndarray) -> np.ndarray:
    """Move draws with equal weights, which have no tail to fit, apart by next to nothing.

    A row that is certain at every draw, one censored far out say, has the log density
    zero; Pareto's k of its weights is that of equal ones, and no error.

    Parameters
    ----------
    log_density : ndarray, shape (rows, draws)

    Returns
    -------
    ndarray, shape (rows, draws)
        The same to 1e-9.
    """
    n_draws = log_density.shape[1]
    least = np.partition(log_density, min(4, n_draws - 1), axis=1)[:, : min(5, n_draws)]
    with np.errstate(invalid="ignore"):  # minus infinity is left as it is
        equal = np.ptp(least, axis=1) < 1e-12
    if not equal.any():
        return log_density
    out = log_density.copy()
    out[equal] += 1e-9 * np.random.default_rng(1).uniform(size=n_draws)
    return out
