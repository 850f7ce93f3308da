"""Sums over rows by which columns are shifted, scaled and compared; sums of parts merge."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.summed import Summed

__all__ = ["ColumnSums", "Triangle"]


class ColumnSums:
    """Means, products about them and largest values of columns.

    Parts are merged as Chan, Golub & LeVeque (1983) do, so that no digit of a column far from
    zero is lost.

    Parameters
    ----------
    k : int
        Number of columns.
    """

    def __init__(self, k: int) -> None:
        self.n = 0
        self.means, self.products = np.zeros(k), np.zeros((k, k))
        self.tops = np.zeros(k)

    def update(self, columns: np.ndarray) -> None:
        """Add rows, shape (n, k)."""
        own = ColumnSums(columns.shape[1])
        own.n = len(columns)
        across = np.ascontiguousarray(columns.T)
        own.tops = np.maximum(across.max(axis=1), -across.min(axis=1))
        own.means = across.mean(axis=1)
        across = across - own.means[:, None]
        own.products = across @ across.T
        self.merge(own)

    def merge(self, other: ColumnSums) -> None:
        """Add the rows of other sums."""
        if not other.n:
            return
        total, apart = self.n + other.n, other.means - self.means
        self.products += other.products + np.outer(apart, apart) * (self.n * other.n / total)
        self.means = self.means + apart * (other.n / total)
        self.tops = np.maximum(self.tops, other.tops)
        self.n = total

    def summed(self, columns: slice | int, what: str, source: str) -> Any:
        """Return some of the columns, in place of their rows; of one number a flat one."""
        at = slice(columns, columns + 1) if isinstance(columns, int) else columns
        return Summed(
            n=self.n, what=what, source=source, means=self.means[at],
            products=self.products[at, at] / self.n, tops=self.tops[at],
            flat=isinstance(columns, int),
        )  # fmt: skip


class Triangle:
    """R of the QR decomposition of ``sqrt(w) [1, X - shift, y - y_shift]``.

    Parameters
    ----------
    shift : ndarray, shape (p,)
        Near the columns' means, where the design has a constant; else zero.
    y_shift : float
    """

    def __init__(self, shift: np.ndarray, y_shift: float) -> None:
        self.shift, self.y_shift = shift, y_shift
        self.R = np.zeros((0, len(shift) + 2))

    def update(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> None:
        """Add rows."""
        n, p = X.shape
        block = np.empty((n, p + 2), order="F")
        block[:, 0] = 1.0
        np.subtract(X, self.shift, out=block[:, 1 : p + 1])
        block[:, p + 1] = y - self.y_shift
        if weights is not None:
            block *= np.sqrt(weights)[:, None]
        self._add(np.linalg.qr(block, mode="r"))

    def merge(self, other: Triangle) -> None:
        """Add the rows of another one with the same shifts."""
        self._add(other.R)

    def _add(self, R: np.ndarray) -> None:
        self.R = np.linalg.qr(np.concatenate([self.R, R]), mode="r")

    def columns(self, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """R of the columns (X - shift) / scale alone, shape (p + 2 at most, p)."""
        p = len(self.shift)
        return (self.R[:, 1 : p + 1] - np.outer(self.R[:, 0], shift - self.shift)) / scale

    @property
    def response(self) -> np.ndarray:
        """R of the response less `y_shift`."""
        return self.R[:, -1]

    def stand_in(self, means: np.ndarray, n: int) -> np.ndarray:
        """Few rows with the means and the products of all n (without weights)."""
        R = self.columns(means, np.ones(len(means)))
        apart = R * np.sqrt(len(R) / n)
        return np.concatenate([means + apart, means - apart])
