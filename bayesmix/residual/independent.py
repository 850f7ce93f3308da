"""Independent residuals with one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families import Family
from bayesmix.residual.base import Residual, Rows
from bayesmix.residual.pairs import PairClasses

__all__ = ["Independent"]


@dataclass(frozen=True, slots=True)
class Independent(Residual):
    """Independent residuals of one variance: R = sigma^2 I."""

    name: ClassVar[str] = "independent"

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row with itself."""
        return PairClasses()

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Sigma."""
        return parameters["sigma"]

    def mean_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """The variance of a row of weight 1."""
        return np.square(np.asarray(parameters["sigma"]))

    def pymc_likelihood(
        self, name: str, family: Family, eta: Any, parameters: Mapping[str, Any], observed: Any,
        dims: str, rows: Any,
    ) -> Any:  # fmt: skip
        """The family's own, row by row: it knows censoring, truncation and exponents."""
        return family.pymc_likelihood(name, eta, parameters, observed, dims, rows)

    def simulate(
        self, family: Family, eta: np.ndarray, parameters: Mapping[str, Any], rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:  # fmt: skip
        """The family's own, row by row: it knows truncation."""
        return family.simulate(eta, parameters, rows, rng)

    def latex(self, likelihood: str) -> str:
        """The family's."""
        return likelihood
