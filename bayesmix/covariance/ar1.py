"""Effects in the order of time, each correlated with the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import Covariance, Parameter

__all__ = ["AR1"]


class AR1(Covariance):
    """``ar1(time | g)``: one sd, correlations ``rho ** gap`` between whole-number times.

    By the Markov property an effect is ``rho ** gap`` times the one before it plus
    something new, whose sd is ``sqrt(1 - rho ** (2 gap))``: that is the root, row by row.
    A negative rho is positive over even gaps.

    The coordinate is the logit of rho's place between -1 and 1, twice its inverse hyperbolic
    tangent. Both ends are infinitely far; under the uniform prior its density is the
    logistic, without a boundary, and 1 - rho^2 is known to all digits near both.
    """

    word = "ar1"
    tied = True
    in_order = True

    def parameters(self) -> tuple[Parameter, ...]:
        """``rho``, the correlation of effects one unit of time apart."""
        if self.size == 1:
            return ()
        prior = {"lower": -1.0, "upper": 1.0}
        return (Parameter(name="rho", lower=-1.0, upper=1.0, distribution="Uniform", prior=prior),)

    def data(self) -> np.ndarray:
        """Gap between each time and the one before it, zero for the first."""
        return self.gaps()

    @staticmethod
    def fill(size: int, values: Any, data: Any, C: Any) -> None:
        """Write C."""
        rho = values[0]
        log_square = np.log1p(-np.minimum(values[1] * values[2], 1.0 - 1e-16))
        C[0] = rho**0
        for i in range(1, size):
            phi = rho ** data[i]
            for j in range(i):
                C[i * size + j] = phi * C[(i - 1) * size + j]
            C[i * size + i] = np.sqrt(-np.expm1(data[i] * log_square))

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, C: Any, by_C: Any, by_values: Any) -> None:
        """Go back from the last row to the first."""
        rho = values[0]
        for k in range(1, size):
            i = size - k
            phi, by_phi = rho ** data[i], 0.0 * rho
            for j in range(i):
                by_phi += by_C[i * size + j] * C[(i - 1) * size + j]
                by_C[(i - 1) * size + j] += phi * by_C[i * size + j]
            own = by_C[i * size + i] / C[i * size + i]
            by_values[0] += data[i] * rho ** (data[i] - 1.0) * (by_phi - own * phi)

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """The same root; rho between -1 and 1."""
        import pytensor.tensor as pt

        rho = self.pymc_parameter("rho", variables, priors)
        times = np.cumsum(self.gaps())
        new = pt.concatenate([pt.ones(1), pt.sqrt(1.0 - rho ** (2.0 * self.gaps()[1:]))])
        return pt.tril(rho ** np.abs(times[:, None] - times)) * new

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        return None if self.size == 1 else rf"{symbols['rho']}^{{|t_i - t_j|}}"
