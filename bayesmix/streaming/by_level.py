"""Means, spreads and ends within levels, of rows that come in batches."""

from __future__ import annotations

import numpy as np

__all__ = ["LevelSums"]


class LevelSums:
    """What several columns are within each level, a batch of rows at a time.

    Batches are merged as Chan, Golub & LeVeque (1983) do, so that no digit of a level far from
    zero is lost.

    Parameters
    ----------
    k : int
        Number of columns, such as a response and its replicates.
    n_levels : int
        Levels that there are at first; `update` takes more.

    Attributes
    ----------
    count : ndarray of int, shape (G,)
        Rows of each level.
    means, least, largest : ndarray, shape (k, G)
        NaN in levels without rows.
    """

    def __init__(self, k: int, n_levels: int) -> None:
        self.count = np.zeros(n_levels, dtype=np.int64)
        self.means = np.full((k, n_levels), np.nan)
        self._squares = np.zeros((k, n_levels))  # about the means
        self.least, self.largest = self.means.copy(), self.means.copy()

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations, shape (k, G); NaN in levels of fewer than two rows."""
        n = np.where(self.count > 1, self.count, np.nan)
        return np.sqrt(self._squares / (n - 1.0))

    def update(self, columns: np.ndarray, index: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        columns : ndarray, shape (k, n)
        index : ndarray of int, shape (n,)
            Level of each row.
        """
        if not len(index):
            return
        self._grow(int(index.max()) + 1)
        order = np.argsort(index, kind="stable")
        there, start, count = np.unique(index[order], return_index=True, return_counts=True)
        values = columns[:, order]
        means = np.add.reduceat(values, start, axis=1) / count
        apart = values - np.repeat(means, count, axis=1)
        squares = np.add.reduceat(apart**2, start, axis=1)
        before, total = self.count[there], self.count[there] + count
        known = np.where(before > 0, self.means[:, there], means)
        between = means - known
        self._squares[:, there] += squares + between**2 * (before * count / total)
        self.means[:, there] = known + between * (count / total)
        self.least[:, there] = np.fmin(
            self.least[:, there], np.minimum.reduceat(values, start, axis=1)
        )
        self.largest[:, there] = np.fmax(
            self.largest[:, there], np.maximum.reduceat(values, start, axis=1)
        )
        self.count[there] = total

    def _grow(self, n_levels: int) -> None:
        more = n_levels - len(self.count)
        if more <= 0:
            return
        self.count = np.append(self.count, np.zeros(more, dtype=np.int64))
        fresh = np.full((len(self.means), more), np.nan)
        self.means = np.append(self.means, fresh, axis=1)
        self.least, self.largest = (
            np.append(own, fresh, axis=1) for own in (self.least, self.largest)
        )
        self._squares = np.append(self._squares, np.zeros_like(fresh), axis=1)
