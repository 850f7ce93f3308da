"""The fixed matrices of R^-1 = sigma^-2 sum_k c_k M_k, as classes of pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["PairClasses"]

_NO_PAIRS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairClasses:
    """The matrices M_k of one data set, as lists of pairs of rows.

    Attributes
    ----------
    n_classes : int
    diagonal : ndarray of int64, shape (n,), or None
        Class in which each row is paired with itself; None for class 0 throughout.
    weights : ndarray, shape (n,), or None
        Entries of these matrices at (i, i); None for ones.
    first, second : ndarray of int64, shape (m,)
        Further pairs of rows (i, j); each stands for (j, i) as well. A row may be
        paired with itself again, in another class.
    kind : ndarray of int64, shape (m,)
        Class of each pair.
    value : ndarray, shape (m,), or None
        Entries of these matrices at (i, j); None for ones.
    patterns : tuple of two ndarrays of int64, or None
        Where the classes are the entries of inverses of correlation matrices: size of each
        of these, and how many series have it. Their lower triangles lie row by row
        behind each other.
    numbers : ndarray of int64
    table : ndarray
        What the structure's `coefficients` needs to know of the data.
    """

    n_classes: int = 1
    diagonal: np.ndarray | None = None
    weights: np.ndarray | None = None
    first: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    second: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    kind: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    value: np.ndarray | None = None
    patterns: tuple[np.ndarray, np.ndarray] | None = None
    numbers: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    table: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.first) == len(self.second) == len(self.kind):
            raise ValueError(
                f"pairs of {len(self.first)} first rows, {len(self.second)} second rows and "
                f"{len(self.kind)} classes; they must be as many of each"
            )
        for name in ("diagonal", "kind"):
            classes = getattr(self, name)
            if classes is None or not len(classes):
                continue
            if classes.min() < 0 or classes.max() >= self.n_classes:
                raise ValueError(
                    f"classes of {name} go from {classes.min()} to {classes.max()}; they must lie "
                    f"between 0 and {self.n_classes - 1}"
                )
