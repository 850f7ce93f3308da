"""Correlation that a row has with those before its neighbour by way of the neighbour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.pairs import PairClasses

__all__ = ["Neighbours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours(Correlated):
    """What structures of one dimension share whose inverse has neighbours alone."""

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Each row; both rows of neighbours, by their gap; and the pairs of neighbours."""
        here, before, gaps, of_gap = self._neighbours(rows)
        first = np.concatenate([here, before, here])
        second = np.concatenate([here, before, before])
        own = 1 + 2 * of_gap
        counts = np.bincount(of_gap, minlength=len(gaps))  # of the neighbours with each gap
        return PairClasses(
            n_classes=1 + 2 * len(gaps), first=first, second=second,
            kind=np.concatenate([own, own, own + 1]).astype(np.int64),
            weights=rows.get("weights"), value=self.pair_values(rows, first, second),
            numbers=np.asarray([len(gaps), *counts], dtype=np.int64), table=gaps,
        )  # fmt: skip

    def log_determinants(self, parameters: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
        """Sum over the neighbours: what each leaves of the next one's variance."""
        own = {name: np.asarray(values)[:, None] for name, values in parameters.items()}
        r = np.asarray(self.correlation(own, [times[1:, 0]], [times[:-1, 0]]))
        return np.asarray(np.log1p(-r * r).sum(axis=-1))

    def _neighbours(self, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows with one before them, these, the distinct gaps, and which gap each has."""
        series = self.series(rows)
        later = np.ones(len(series.order), dtype=bool)
        later[series.start[:-1]] = False
        at = np.flatnonzero(later)
        gap = series.times[at, 0] - series.times[at - 1, 0]
        gaps, of_gap = np.unique(gap, return_inverse=True)
        return series.order[at], series.order[at - 1], gaps, of_gap.reshape(-1)
