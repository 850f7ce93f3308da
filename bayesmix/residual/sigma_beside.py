"""Independent residuals with a sigma beside standard errors that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.independent import Independent
from bayesmix.residual.pairs import PairClasses

__all__ = ["SigmaBesideKnown"]


@dataclass(frozen=True, slots=True)
class SigmaBesideKnown(Independent):
    """A row has variance sigma^2 + se^2, with a predictor of sigma and a known se."""

    name: ClassVar[str] = "sigma beside known standard errors"
    needs: ClassVar[tuple[str, ...]] = ("known_se",)
    estimates_sigma: ClassVar[bool] = False
    beside_known: bool = True

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row with itself, in a class of its own."""
        ones = np.ones(n, dtype=np.int64)
        return PairClasses(
            n_classes=n, diagonal=np.arange(n), patterns=(ones, ones), numbers=np.asarray([n])
        )

    def known_variances(self, rows: Rows) -> np.ndarray | None:
        """Squares of the known standard errors."""
        return np.square(rows["known_se"])

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """1 for each row with itself."""
        for k in range(numbers[0]):
            c[k] = 1.0

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Root of the sum of both variances."""
        return (parameters["sigma"] ** 2 + rows["known_se"] ** 2) ** 0.5

    @property
    def in_words(self) -> str:
        """Say that both are there."""
        return "sigma beside known standard errors"
