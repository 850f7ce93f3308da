"""`Summed`: columns of which sums are kept, and no rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from bayesmix.errors import NotSupportedError

__all__ = ["Summed"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Summed:
    """Stands where an array of rows would, and answers what its sums can.

    Anything else is refused by name.

    Attributes
    ----------
    n : int
        Number of rows.
    means : ndarray, shape (k,), or None
        None where nothing but the number of rows is known.
    products : ndarray, shape (k, k), or None
        Mean products of the centred columns.
    tops : ndarray, shape (k,), or None
        Largest absolute values.
    what : str
        What the rows would be, for messages.
    source : str
        Where they are.
    flat : bool
        Whether it is one column, of shape (n,).
    less_offset : Summed or None
        The same less the offset, if it is a response.
    column_dtype : dtype or None
        What the column is in the data, with its categories, if it is a response.
    """

    n: int
    what: str
    source: str
    means: np.ndarray | None = None
    products: np.ndarray | None = None
    tops: np.ndarray | None = None
    flat: bool = False
    less_offset: Summed | None = None
    column_dtype: Any = None

    @property
    def dtype(self) -> Any:
        """What a response is in the data."""
        return self.refuse() if self.column_dtype is None else self.column_dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and, unless it is one column, columns."""
        if self.flat:
            return (self.n,)
        return (self.n, 0 if self.means is None else len(self.means))

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def T(self) -> Iterator[Summed]:  # noqa: N802
        """The columns one by one."""
        return (self[:, j] for j in range(self.shape[1]))

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, at: Any) -> Summed:
        rows, columns = at if isinstance(at, tuple) and len(at) == 2 else (at, None)
        if not (isinstance(rows, slice) and rows == slice(None)) or self.means is None:
            self.refuse()
        if columns is None:
            return self
        flat, means, products, tops = np.ndim(columns) == 0, *self._sums()
        if isinstance(columns, slice):
            flat = False
        j = np.atleast_1d(np.arange(len(means))[columns])
        return Summed(
            n=self.n, what=self.what, source=self.source, means=means[j],
            products=products[np.ix_(j, j)], tops=tops[j], flat=flat,
        )  # fmt: skip

    def mean(self, *args: Any, **kwargs: Any) -> float:
        """Mean of one column."""
        if not self.flat or args or kwargs:
            self.refuse()
        return float(self._sums()[0][0])

    def sum(self, *args: Any, **kwargs: Any) -> float:
        """Sum of one column."""
        return self.n * self.mean(*args, **kwargs)

    def mean_square(self, center: float = 0.0) -> float:
        """Mean square of one column, less `center`."""
        means, products, _ = self._sums()
        return float(products[0, 0] + (means[0] - center) ** 2)

    def second_moments(self) -> np.ndarray:
        """Mean products of the columns as they are, shape (k, k)."""
        means, products, _ = self._sums()
        return products + np.outer(means, means)

    def centred_products(self) -> np.ndarray:
        """Sums of products of the columns less their means, shape (k, k)."""
        return self._sums()[1] * self.n

    def largest(self) -> np.ndarray:
        """Largest absolute value of each column, or of the one."""
        tops = self._sums()[2]
        return tops[0] if self.flat else tops

    def _sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.means is None or self.products is None or self.tops is None:
            self.refuse()
        return self.means, self.products, self.tops

    def refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Say that the rows are not there.

        Raises
        ------
        NotSupportedError
        """
        raise NotSupportedError(
            f"this needs the rows of the data ({self.what}), and of {self.source} only sums are "
            "kept: tables, summaries, predict(frame), and what reads rows in batches (check, "
            "residuals, residual_summary, loo(by=...), predict(source)) work; for the rest "
            "read the columns that the model uses into a frame, all rows or some of them, and fit "
            "the model to that"
        )

    def __getattr__(self, name: str) -> Any:
        # Python's own questions (of copies, pickles and numpy's protocols) get their answer.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.refuse()

    __array__ = __array_ufunc__ = __array_function__ = __iter__ = __bool__ = refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = refuse
    __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __abs__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = refuse
