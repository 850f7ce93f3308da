"""What structures over distances have in common."""

from __future__ import annotations

import numpy as np

from bayesmix.covariance.base import Covariance, Parameter

__all__ = ["ByDistance", "range_parameter"]


def range_parameter(distances: np.ndarray) -> Parameter:
    """``range``, in the unit of the positions: LogNormal around the median distance.

    Parameters
    ----------
    distances : ndarray, shape (size, size)

    Returns
    -------
    Parameter
    """
    pairs = distances[np.tril_indices(len(distances), -1)]
    unit = float(np.median(pairs[pairs > 0])) if (pairs > 0).any() else 1.0
    prior = {"mu": float(np.log(unit)), "sigma": 1.0}
    return Parameter(
        name="range", lower=0.0, upper=np.inf, distribution="LogNormal", prior=prior, unit=unit
    )


class ByDistance(Covariance):
    """Correlations that fall with the distance between positions, in units of a range.

    The coordinate of the range is its logarithm in units of the median distance: neither zero
    (no correlation) nor infinity (one effect for all positions) is reached, and the LogNormal
    prior makes it normal. A derived class says how correlations follow from distances.
    """

    tied = True
    kernels = "correlation"

    def distances(self) -> np.ndarray:
        """Euclidean distances of all pairs of positions, shape (size, size)."""
        at = np.arange(float(self.size))[:, None] if self.positions is None else self.positions
        return np.asarray(np.sqrt(((at[:, None] - at[None]) ** 2).sum(axis=-1)))

    def parameters(self) -> tuple[Parameter, ...]:
        """``range``."""
        return (range_parameter(self.distances()),) if self.size > 1 else ()

    def data(self) -> np.ndarray:
        """All distances, flat."""
        return self.distances().ravel()
