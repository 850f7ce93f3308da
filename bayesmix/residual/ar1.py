"""A first-order autoregression of the residuals within a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.residual.base import PairClasses, ResidualParameter, Rows
from bayesmix.residual.correlated import Correlated

__all__ = ["Autoregressive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoregressive(Correlated):
    """Correlation rho^gap at times that are whole numbers: a gap in a series counts."""

    name: ClassVar[str] = "ar1"
    word: ClassVar[str] = "ar1"
    whole_times: ClassVar[bool] = True

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The correlation of neighbours, rho."""
        return (
            ResidualParameter(
                name="rho_residual", support="interval", lower=-1.0, upper=1.0, start=0.2,
                prior=("Uniform", {"lower": -1.0, "upper": 1.0}),
            ),
        )  # fmt: skip

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row; both rows of neighbours, by their gap; and the pairs of neighbours."""
        here, before, _, of_gap = self._neighbours(rows)
        first = np.concatenate([here, before, here])
        second = np.concatenate([here, before, before])
        own = 1 + 2 * of_gap
        return PairClasses(
            n_classes=1 + 2 * (int(of_gap.max()) + 1 if of_gap.size else 0), first=first,
            second=second, kind=np.concatenate([own, own, own + 1]).astype(np.int64),
            weights=rows.get("weights"), value=self.pair_values(rows, first, second),
        )  # fmt: skip

    def constants(self, rows: Rows, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Gaps, and the number of neighbours with each."""
        _, _, gaps, of_gap = self._neighbours(rows)
        counts = np.bincount(of_gap, minlength=len(gaps))
        return np.asarray([len(gaps), *counts], dtype=np.int64), gaps.astype(np.float64)

    def _neighbours(self, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows with one before them, these, the distinct gaps, and which gap each has."""
        series = self.series(rows)
        later = np.ones(len(series.order), dtype=bool)
        later[series.start[:-1]] = False
        at = np.flatnonzero(later)
        gap = series.times[at, 0] - series.times[at - 1, 0]
        gaps, of_gap = np.unique(gap, return_inverse=True)
        return series.order[at], series.order[at - 1], gaps, of_gap.reshape(-1)

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

    @property
    def correlation_latex(self) -> str:
        """Rho to the power of the gap."""
        return r"\rho^{|t_i - t_j|}"
