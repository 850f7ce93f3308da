"""Effects in continuous time, each correlated with the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import Covariance, Parameter
from bayesmix.covariance.by_distance import range_parameter

__all__ = ["OrnsteinUhlenbeck"]


class OrnsteinUhlenbeck(Covariance):
    """``ou(time | g)``: one sd, correlations ``exp(-gap / range)`` between any times.

    By the Markov property an effect is ``exp(-gap / range)`` times the one before it plus
    something new: that is the root, row by row, exact for ranges from far below to far
    above all gaps. The coordinate is the logarithm of the range in units of the median
    distance, which the LogNormal prior makes normal; neither end is reached.
    """

    word = "ou"
    tied = True
    in_order = True

    def parameters(self) -> tuple[Parameter, ...]:
        """``range``, in the unit of time."""
        if self.size == 1:
            return ()
        times = np.cumsum(self.gaps())
        return (range_parameter(np.abs(times[:, None] - times)),)

    def data(self) -> np.ndarray:
        """Gap between each time and the one before it, zero for the first."""
        return self.gaps()

    @staticmethod
    def fill(size: int, values: Any, data: Any, C: Any) -> None:
        """Write C."""
        C[0] = values[0] ** 0
        for i in range(1, size):
            steps = data[i] / values[0]
            for j in range(i):
                C[i * size + j] = np.exp(-steps) * C[(i - 1) * size + j]
            C[i * size + i] = np.sqrt(-np.expm1(-2.0 * steps))

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, C: Any, by_C: Any, by_values: Any) -> None:
        """Go back from the last row to the first."""
        for k in range(1, size):
            i = size - k
            steps = data[i] / values[0]
            phi, by_phi = np.exp(-steps), 0.0 * steps
            for j in range(i):
                by_phi += by_C[i * size + j] * C[(i - 1) * size + j]
                by_C[(i - 1) * size + j] += phi * by_C[i * size + j]
            own = by_C[i * size + i] / C[i * size + i]
            by_values[0] += steps / values[0] * phi * (by_phi - own * phi)

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """The same root."""
        import pytensor.tensor as pt

        scale = self.pymc_parameter("range", variables, priors)
        times = np.cumsum(self.gaps())
        new = pt.sqrt(-pt.expm1(-2.0 * self.gaps()[1:] / scale))
        new = pt.concatenate([pt.ones(1), new])
        return pt.tril(pt.exp(-np.abs(times[:, None] - times) / scale)) * new

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        return None if self.size == 1 else rf"\exp(-|t_i - t_j| / {symbols['range']})"
