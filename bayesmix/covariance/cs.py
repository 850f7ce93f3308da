"""Effects that are all correlated equally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import Covariance, Parameter

__all__ = ["CompoundSymmetry"]


class CompoundSymmetry(Covariance):
    """``cs(f | g)``: an sd for each effect, one correlation for all pairs.

    rho lies between ``-1 / (size - 1)``, where the effects of a level sum to zero in units of
    their sd, and 1. The coordinate is the logit of its place between them: both ends are
    infinitely far, and the distance from either is known to all digits. In closed form

        C[j, j] = sqrt((1 - rho) (1 + j rho) / (1 + (j - 1) rho)),
        C[i, j] = rho (1 - rho) / ((1 + (j - 1) rho) C[j, j]) for i > j.
    """

    word = "cs"

    def parameters(self) -> tuple[Parameter, ...]:
        """``rho``, the correlation of any two effects."""
        if self.size == 1:
            return ()
        lower = -1.0 / (self.size - 1)
        prior = {"lower": lower, "upper": 1.0}
        return (Parameter(name="rho", lower=lower, upper=1.0, distribution="Uniform", prior=prior),)

    @staticmethod
    def fill(size: int, values: Any, data: Any, C: Any) -> None:  # noqa: ARG004
        """Write C; the last 1 + j rho is counted from the lower end."""
        rho, above_lower, below_one = values[0], values[1], values[2]
        for i in range(size):
            C[i * size] = rho if i > 0 else rho**0
        for j in range(1, size):
            before = 1.0 + (j - 1) * rho
            own = 1.0 + j * rho
            if j == size - 1:
                own = j * above_lower
            C[j * size + j] = np.sqrt(below_one * own / before)
            for i in range(j + 1, size):
                C[i * size + j] = rho * below_one / (before * C[j * size + j])

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, C: Any, by_C: Any, by_values: Any) -> None:  # noqa: ARG004
        """Add the derivative by rho."""
        rho, above_lower, below_one = values[0], values[1], values[2]
        for i in range(1, size):
            by_values[0] += by_C[i * size]
        for j in range(1, size):
            before = 1.0 + (j - 1) * rho
            own = 1.0 + j * rho
            if j == size - 1:
                own = j * above_lower
            by_log = 0.5 * (j / own - 1.0 / below_one - (j - 1) / before)
            by_values[0] += by_C[j * size + j] * C[j * size + j] * by_log
            ratio = below_one / (before * C[j * size + j])
            slope = ratio + rho * ratio * (-1.0 / below_one - (j - 1) / before - by_log)
            for i in range(j + 1, size):
                by_values[0] += by_C[i * size + j] * slope

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """The same root; rho between its ends."""
        import pytensor.tensor as pt

        rho = self.pymc_parameter("rho", variables, priors)
        j = np.arange(1, self.size)
        before = 1.0 + (j - 1) * rho
        own = pt.sqrt((1.0 - rho) * (1.0 + j * rho) / before)
        below = pt.concatenate([pt.stack([rho]), rho * (1.0 - rho) / (before * own)])
        diagonal = pt.concatenate([pt.ones(1), own])
        return pt.diag(diagonal) + np.tril(np.ones((self.size, self.size)), -1) * below

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        return None if self.size == 1 else rf"{symbols['rho']} + (1 - {symbols['rho']}) [i = j]"
