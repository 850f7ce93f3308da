"""Compound symmetry: one correlation between all residuals of a series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.entries import Powers
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.series import SERIES

__all__ = ["CompoundSymmetry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundSymmetry(Correlated):
    """One correlation between the residuals of a series.

    Parameters
    ----------
    largest : int
        Rows of the longest series: rho is above -1 / (largest - 1).
    """

    n_coordinates: int = 0
    largest: int = 2

    name: ClassVar[str] = "cs"
    word: ClassVar[str] = "cs"

    @classmethod
    def learned(
        cls,
        text: str,
        rows: Rows,
        n_coordinates: int,
        labels: tuple[Any, ...] | None,  # noqa: ARG003
        unit: float,  # noqa: ARG003
    ) -> Self:
        """Learn the length of the longest series."""
        largest = int(np.bincount(rows[SERIES]).max())
        return cls(text=text, n_coordinates=n_coordinates, largest=largest)

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The correlation, rho."""
        lower = -1.0 / max(self.largest - 1, 1)
        return (
            ResidualParameter(
                name="rho_residual", support="interval", lower=lower, upper=1.0, start=0.2,
                prior=("Uniform", {"lower": lower, "upper": 1.0}),
            ),
        )  # fmt: skip

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row with itself, and all pairs of a series, by its length."""
        series = self.series(rows)
        first, second, kind = [], [], []
        numbers = [len(series.of_pattern)]  # lengths, and how many series have each
        for k, times in enumerate(series.of_pattern):
            at, m = series.rows_of_pattern(k), len(times)
            numbers += [m, len(at)]
            i, j = np.tril_indices(m)
            first.append(at[:, i].ravel())
            second.append(at[:, j].ravel())
            kind.append(np.full(at.shape[0] * len(i), 1 + k))
        i, j = np.concatenate(first), np.concatenate(second)
        return PairClasses(
            n_classes=1 + len(first), first=i, second=j, kind=np.concatenate(kind),
            weights=rows.get("weights"), value=self.pair_values(rows, i, j),
            numbers=np.asarray(numbers, dtype=np.int64),
        )  # fmt: skip

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """1 / (1 - rho), and -rho / (1 - rho) / (1 + (m - 1) rho) for each length m."""
        rho = phi[0]
        c[0] = 1.0 / (1.0 - rho)
        by_phi[0] = c[0] * c[0]
        log_det[0] = 0.0
        log_det[1] = 0.0
        for k in range(numbers[0]):
            m, count = numbers[1 + 2 * k], numbers[2 + 2 * k]
            whole = 1.0 + (m - 1.0) * rho
            c[1 + k] = -rho * c[0] / whole
            by_phi[1 + k] = -c[0] / whole - rho * by_phi[0] / whole
            by_phi[1 + k] += rho * c[0] * (m - 1.0) / (whole * whole)
            log_det[0] -= count * ((m - 1.0) * math.log(1.0 - rho) + math.log(whole))
            log_det[1] += count * ((m - 1.0) * c[0] - (m - 1.0) / whole)

    def log_determinants(self, parameters: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
        """That of a matrix with one value off its diagonal."""
        rho, m = np.asarray(parameters["rho_residual"]), len(times)
        return np.asarray((m - 1) * np.log1p(-rho) + np.log1p((m - 1) * rho))

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """Rho."""
        return parameters["rho_residual"]

    def entrywise(self) -> type[Correlated]:
        """Rho itself."""
        return CompoundSymmetryEntries

    @property
    def correlation_latex(self) -> str:
        """Rho."""
        return r"\rho"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundSymmetryEntries(Powers, CompoundSymmetry):
    """The same where the inverse has no one number off its diagonal."""

    def powers(self, times: np.ndarray) -> np.ndarray:
        """1 off the diagonal."""
        return 1.0 - np.eye(len(times))
