"""The largest of several correlated t statistics.

With Z = r u, u on the sphere and r^2 chi-squared, max |T_k| > t if and only if
r^2 / (rank s^2) > t^2 / (rank m(u)^2), m(u) being the largest of |a_k' u|: given u an F
probability. Averaged over directions it is smooth in t, and accurate in the tail.

References
----------
Tyler, D. E. (1987). Statistical analysis for the angular central Gaussian distribution on the
sphere. Biometrika 74, 579-589.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import optimize, special

__all__ = ["LargestT"]

_MOST_DIRECTIONS, _FEWEST_DIRECTIONS = 2**14, 2**10
_WORK = 20_000_000  # directions times statistics


class LargestT:
    """The law of max |T_k| for one correlation matrix.

    Parameters
    ----------
    correlation : ndarray, shape (K, K)
        May be singular.
    """

    def __init__(self, correlation: np.ndarray) -> None:
        values, vectors = np.linalg.eigh(correlation)
        kept = values > 1e-10 * values.max(initial=0.0)
        rows = vectors[:, kept] * np.sqrt(values[kept])
        r = self._rank = max(1, rows.shape[1])
        n = min(_MOST_DIRECTIONS, max(_FEWEST_DIRECTIONS, _WORK // len(rows)))
        u, c = _directions(rows, int(np.log2(n))), float(r)
        along = (rows @ u.T) ** 2
        # Half of the directions are around those of the statistics, where tails are made: their
        # density beside that of the sphere is one of central angular normals (Tyler 1987).
        around = (1 - c / (1 + c) * along) ** (-r / 2) / np.sqrt(1 + c)
        weight = 1 / (0.5 + 0.5 * around.mean(axis=0))
        self._weight = weight / weight.sum()
        self._largest = np.sqrt(along.max(axis=0))

    def sf(self, t: float, df: float) -> float:
        """Probability that the largest is above t."""
        with np.errstate(divide="ignore"):
            at = (t / self._largest) ** 2
        r = self._rank
        found = special.chdtrc(r, at) if not np.isfinite(df) else special.fdtrc(r, df, at / r)
        return float(self._weight @ found)

    def quantile(self, prob: float, df: float) -> float:
        """Value below which the largest lies with a probability."""
        one = float(special.stdtrit(df, (1 + prob) / 2))
        if self._rank == 1 and len(self._largest) == 1:
            return one
        high = 2 * one
        while self.sf(high, df) > 1 - prob:
            high *= 2
        return float(optimize.brentq(lambda t: self.sf(t, df) - (1 - prob), 0.5 * one, high))


def _directions(rows: np.ndarray, log2_n: int) -> np.ndarray:
    """Points on the sphere, half of them even and half stretched along a row; shape (n, rank)."""
    K, r = rows.shape
    if r < 2:
        return np.ones((1, 1))
    uniform = _points(r + 1, log2_n)
    normal = special.ndtri(uniform[:, 1:])
    which = (uniform[:, 0] * 2 * K).astype(np.int64)
    stretched = which < K
    axis = rows[which[stretched]]
    along = np.einsum("ni,ni->n", axis, normal[stretched])
    normal[stretched] += (np.sqrt(1.0 + r) - 1) * along[:, None] * axis
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


@functools.lru_cache(maxsize=8)
def _points(d: int, log2_n: int) -> np.ndarray:
    """Points that fill the unit cube evenly."""
    from scipy.stats import qmc

    found = qmc.Sobol(d, seed=20240611).random_base2(log2_n)
    return np.asarray(np.clip(found, 1e-12, 1 - 1e-12))
