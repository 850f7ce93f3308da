"""Smooth densities of draws and data."""

from __future__ import annotations

import numpy as np

__all__ = ["density"]

_BINS = 600


def density(
    values: np.ndarray, grid: np.ndarray, lower: float = -np.inf, upper: float = np.inf
) -> np.ndarray:
    """Kernel density estimate, mirrored at the ends of the support.

    Parameters
    ----------
    values : ndarray, shape (n,)
    grid : ndarray, shape (m,)
        Where the density is wanted, inside the support.
    lower, upper : float
        Ends of the support.

    Returns
    -------
    ndarray, shape (m,)
        Zero for values that do not vary; those that are not finite play no part.
    """
    values = values[np.isfinite(values)]
    spread = np.std(values) if len(values) else 0.0
    if spread == 0:
        return np.zeros_like(grid)
    low, high = np.quantile(values, [0.25, 0.75])
    bandwidth = len(values) ** -0.2 * min(spread, (high - low) / 1.34 or spread)
    # Binned first, so that the cost does not grow with the number of values.
    ends = (grid[0] - 4 * bandwidth, grid[-1] + 4 * bandwidth)
    counts, edges = np.histogram(values, bins=_BINS, range=ends)
    centres = (edges[:-1] + edges[1:]) / 2
    used = counts > 0
    centres, counts = centres[used], counts[used]
    found = np.zeros_like(grid)
    sources = [centres]
    sources += [2 * end - centres for end in (lower, upper) if np.isfinite(end)]
    for source in sources:
        kernel = np.exp(-0.5 * ((grid[:, None] - source) / bandwidth) ** 2)
        found += kernel @ counts
    return found / (len(values) * bandwidth * np.sqrt(2 * np.pi))
