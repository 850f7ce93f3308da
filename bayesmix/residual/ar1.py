"""A first-order autoregression of the residuals within a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.residual.correlated import Correlated
from bayesmix.residual.entries import Powers
from bayesmix.residual.neighbours import Neighbours
from bayesmix.residual.parameter import ResidualParameter

__all__ = ["Autoregressive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoregressive(Neighbours):
    """Correlation rho^gap at times that are whole numbers: a gap in a series counts."""

    name: ClassVar[str] = "ar1"
    word: ClassVar[str] = "ar1"

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The correlation of neighbours, rho."""
        return (
            ResidualParameter(
                name="rho_residual", support="interval", lower=-1.0, upper=1.0, start=0.2,
                prior=("Uniform", {"lower": -1.0, "upper": 1.0}),
            ),
        )  # fmt: skip

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """1, then rho^2g / (1 - rho^2g) and -rho^g / (1 - rho^2g) for each gap g."""
        c[0] = 1.0
        by_phi[0] = 0.0
        log_det[0] = 0.0
        log_det[1] = 0.0
        for k in range(numbers[0]):
            gap, count = table[k], numbers[1 + k]
            r = phi[0] ** gap
            slope = gap * phi[0] ** (gap - 1.0)
            left = (1.0 - r) * (1.0 + r)
            c[1 + 2 * k] = r * r / left
            c[2 + 2 * k] = -r / left
            by_phi[1 + 2 * k] = 2.0 * r / (left * left) * slope
            by_phi[2 + 2 * k] = -(1.0 + r * r) / (left * left) * slope
            log_det[0] -= count * np.log(left)
            log_det[1] += count * 2.0 * r / left * slope

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """Rho to the power of the gap."""
        return parameters["rho_residual"] ** np.abs(first[0] - second[0])

    def entrywise(self) -> type[Correlated]:
        """The powers of rho themselves."""
        return AutoregressiveEntries

    @property
    def correlation_latex(self) -> str:
        """Rho to the power of the gap."""
        return r"\rho^{|t_i - t_j|}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressiveEntries(Powers, Autoregressive):
    """The same where the inverse has more than neighbours."""

    def powers(self, times: np.ndarray) -> np.ndarray:
        """Gaps."""
        return np.abs(times - times.T)
