"""Correlations that fall exponentially with distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.by_distance import ByDistance

__all__ = ["Exponential"]


class Exponential(ByDistance):
    """``exp(x + y | g)``: one sd, correlations ``exp(-distance / range)``."""

    word = "exp"

    @staticmethod
    def fill(size: int, values: Any, data: Any, R: Any) -> None:
        """Write R."""
        for i in range(size * size):
            R[i] = np.exp(-data[i] / values[0])

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, R: Any, by_R: Any, by_values: Any) -> None:
        """Add the derivative by the range."""
        for i in range(size * size):
            by_values[0] += by_R[i] * R[i] * data[i] / values[0] / values[0]

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """Cholesky factor of the same correlations."""
        import pytensor.tensor as pt

        scale = self.pymc_parameter("range", variables, priors)
        return self.pymc_cholesky(pt.exp(-self.distances() / scale))

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        return None if self.size == 1 else rf"\exp(-\|s_i - s_j\| / {symbols['range']})"
