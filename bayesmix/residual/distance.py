"""Correlation that falls off with distance: exponential and Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.entries import Constants, inverse_classes
from bayesmix.residual.neighbours import Neighbours
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.series import series_of

__all__ = ["Exponential", "ExponentialField", "GaussianField"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged(Correlated):
    """What structures over distances share: a range.

    Parameters
    ----------
    unit : float
        Median distance of two rows of a series, about which the range has its prior.
    """

    unit: float = 1.0

    @classmethod
    def learned(
        cls,
        text: str,
        rows: Rows,
        n_coordinates: int,
        labels: tuple[Any, ...] | None,  # noqa: ARG003
        unit: float,  # noqa: ARG003
    ) -> Self:
        """Learn the median distance."""
        series = series_of(rows, n_coordinates)
        counts = np.bincount(series.pattern)
        found = [
            np.repeat(distances(times)[np.tril_indices(len(times), -1)], counts[k])
            for k, times in enumerate(series.of_pattern)
        ]
        every = np.concatenate([np.zeros(0), *found])
        middle = float(np.median(every)) if every.size else 1.0
        return cls(text=text, n_coordinates=n_coordinates, unit=middle)

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The range."""
        return (
            ResidualParameter(
                name="range_residual", support="positive", start=self.unit,
                prior=("LogNormal", {"mu": float(np.log(self.unit)), "sigma": 1.0}),
            ),
        )  # fmt: skip

    def distance(self, first: Sequence[Any], second: Sequence[Any]) -> np.ndarray:
        """Euclidean distance of two rows."""
        return np.asarray(np.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True))))


def exponential(x: Any) -> Any:
    """exp(x) of an array or a tensor."""
    if isinstance(x, np.ndarray | float):
        return np.exp(x)
    import pytensor.tensor as pt

    return pt.exp(x)


def distances(times: np.ndarray) -> np.ndarray:
    """Euclidean distances of the rows of one series, shape (m, m)."""
    out: np.ndarray = np.sqrt(((times[:, None] - times[None]) ** 2).sum(axis=-1))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Ranged):
    """What structures without a closed inverse share: classes are entries of correlations."""

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Entries of the inverses, by pattern."""
        return inverse_classes(self, rows, self._constants)

    def _constants(self, of_pattern: Sequence[np.ndarray]) -> Constants:
        """Number of entries of all patterns' lower triangles, and the distances there."""
        found = [distances(one)[np.tril_indices(len(one))] for one in of_pattern]
        table = np.concatenate([np.zeros(0), *found])
        return np.asarray([len(table)], dtype=np.int64), table


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Ranged, Neighbours):
    """Correlation exp(-gap / range) in one dimension: an autoregression in continuous time."""

    name: ClassVar[str] = "exp"
    word: ClassVar[str] = "exp"

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """As of ar1, with exp(-g / range) in the place of rho^g."""
        c[0] = 1.0
        by_phi[0] = 0.0
        log_det[0] = 0.0
        log_det[1] = 0.0
        for k in range(numbers[0]):
            gap, count = table[k], numbers[1 + k]
            r = np.exp(-gap / phi[0])
            slope = r * gap / (phi[0] * phi[0])
            left = -np.expm1(-2.0 * gap / phi[0])
            c[1 + 2 * k] = r * r / left
            c[2 + 2 * k] = -r / left
            by_phi[1 + 2 * k] = 2.0 * r / (left * left) * slope
            by_phi[2 + 2 * k] = -(1.0 + r * r) / (left * left) * slope
            log_det[0] -= count * np.log(left)
            log_det[1] += count * 2.0 * r / left * slope

    def entrywise(self) -> type[Correlated]:
        """As over several coordinates."""
        return ExponentialField

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """exp(-gap / range)."""
        return exponential(-self.distance(first, second) / parameters["range_residual"])

    @property
    def correlation_latex(self) -> str:
        """exp(-gap / range)."""
        return r"\exp(-|t_i - t_j| / r)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialField(Field):
    """Correlation exp(-distance / range) over several coordinates."""

    name: ClassVar[str] = "exp"
    word: ClassVar[str] = "exp"

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """exp(-distance / range)."""
        for k in range(numbers[0]):
            c[k] = np.exp(-table[k] / phi[0])
            by_phi[k] = c[k] * table[k] / (phi[0] * phi[0])

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """exp(-distance / range)."""
        return exponential(-self.distance(first, second) / parameters["range_residual"])

    @property
    def correlation_latex(self) -> str:
        """exp(-distance / range)."""
        return r"\exp(-\lVert t_i - t_j \rVert / r)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianField(Field):
    """Correlation exp(-(distance / range)^2)."""

    name: ClassVar[str] = "gau"
    word: ClassVar[str] = "gau"

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """exp(-(distance / range)^2)."""
        for k in range(numbers[0]):
            z = table[k] / phi[0]
            c[k] = np.exp(-z * z)
            by_phi[k] = c[k] * 2.0 * z * z / phi[0]

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """exp(-(distance / range)^2)."""
        z = self.distance(first, second) / parameters["range_residual"]
        return exponential(-(z**2))

    @property
    def correlation_latex(self) -> str:
        """exp(-(distance / range)^2)."""
        return r"\exp(-\lVert t_i - t_j \rVert^2 / r^2)"
