"""Classes of pairs where the coefficients are the entries of correlation matrices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.pairs import PairClasses

__all__ = ["Constants", "Powers", "inverse_classes"]

Constants = tuple[np.ndarray, np.ndarray]  # integers and numbers


def inverse_classes(
    structure: Correlated, rows: Rows, constants: Callable[[Sequence[np.ndarray]], Constants]
) -> PairClasses:
    """Classes of pairs where each entry of the inverse of each pattern is one.

    Parameters
    ----------
    structure : Correlated
    rows : mapping of str to ndarray, shape (n,)
    constants : callable
        From the coordinates of each pattern to the integers and numbers that the structure's
        coefficients are made of.

    Returns
    -------
    PairClasses
        Rows paired with themselves are among the pairs, so that class 0 holds none else.
    """
    series = structure.series(rows)
    n = len(series.order)
    sizes = np.asarray([len(times) for times in series.of_pattern], dtype=np.int64)
    counts = np.bincount(series.pattern, minlength=len(sizes))
    diagonal = np.empty(n, dtype=np.int64)
    first, second, kind, start = [], [], [], 0
    for k, m in enumerate(sizes.tolist()):
        at = series.rows_of_pattern(k)
        i, j = np.tril_indices(m, -1)
        first.append(at[:, i].ravel())
        second.append(at[:, j].ravel())
        kind.append(np.tile(start + i * (i + 1) // 2 + j, len(at)))
        own = np.arange(m)
        diagonal[at] = start + own * (own + 1) // 2 + own
        start += m * (m + 1) // 2
    i, j = np.concatenate(first), np.concatenate(second)
    numbers, table = constants(series.of_pattern)
    return PairClasses(
        n_classes=start, diagonal=diagonal, weights=rows.get("weights"), first=i, second=j,
        kind=np.concatenate(kind), value=structure.pair_values(rows, i, j),
        patterns=(sizes, counts), numbers=numbers, table=table,
    )  # fmt: skip


class Powers:
    """Entries of correlation matrices that are rho to some power: beside a `Correlated` class."""

    __slots__ = ()

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Entries of the inverses, by pattern."""
        return inverse_classes(self, rows, self._constants)  # type: ignore[arg-type]

    def _constants(self, of_pattern: Sequence[np.ndarray]) -> Constants:
        """Number of entries of all patterns' lower triangles, and the powers there."""
        found = [self.powers(one)[np.tril_indices(len(one))] for one in of_pattern]
        table = np.concatenate([np.zeros(0), *found])
        return np.asarray([len(table)], dtype=np.int64), table

    @abstractmethod
    def powers(self, times: np.ndarray) -> np.ndarray:
        """Return the power of each two rows of a series, 0 on the diagonal, shape (m, m)."""

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """Rho to its power."""
        for k in range(numbers[0]):
            c[k] = phi[0] ** table[k]
            by_phi[k] = 0.0
            if table[k] > 0.0:
                by_phi[k] = table[k] * phi[0] ** (table[k] - 1.0)
