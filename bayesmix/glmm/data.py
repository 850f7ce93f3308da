"""The rows of a model beyond the normal, as arrays that kernels read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.gaussian.packing import HEADER, Packed, unpack_floats, unpack_ints

__all__ = ["RowArrays", "RowData", "joined_rows", "rows_at"]


class RowData(Packed):
    """The rows: response, working columns, levels.

    Attributes
    ----------
    sizes : ndarray of int64
        n, p, number of group columns, of family parameters, code of the links, position
        of the family parameter in the response's units or -1, number m of linear
        predictors, the one of them that is the logarithm of that parameter or -1.
    index : ndarray of int64, shape (n_factors, n)
        Node of each row in the factors of the chain, block in the others.
    u_start : ndarray of int64, shape (n_factors + 1,)
        First effect of each factor.
    z_start : ndarray of int64, shape (n_factors + 1,)
        First group column of each factor.
    first : ndarray of int64, shape (n_factors,)
        First node or block of each factor.
    X_of, Z_of : ndarray of int64, shape (p,) and (n_z,)
        The linear predictor that each column belongs to, mu's being 0.
    phi_kind, prior_kind : ndarray of int64, shape (n_phi,)
        Kind of the coordinate and code of the prior of each family parameter.
    y : ndarray, shape (n,)
    trials : ndarray, shape (n,) or (n, 5)
        What is given per row: trials, and for observations that are censored, truncated or
        weighted `glmm.rows.observed.GIVEN` as well.
    offset : ndarray, shape (m n,)
        One predictor behind the other, as all that has a number for each of them.
    X : ndarray, shape (p, n)
    Z : ndarray, shape (n_z, n)
        Columns lie behind each other: loops over rows run several at a time.
    prior_a, prior_b, prior_c : ndarray, shape (n_phi,)
    """

    _INTS = (
        "sizes", "index", "u_start", "z_start", "first", "phi_kind", "prior_kind", "X_of", "Z_of",
    )  # fmt: skip
    _FLOATS = ("y", "trials", "offset", "X", "Z", "prior_a", "prior_b", "prior_c")

    sizes: np.ndarray
    index: np.ndarray
    u_start: np.ndarray
    z_start: np.ndarray
    first: np.ndarray
    phi_kind: np.ndarray
    prior_kind: np.ndarray
    X_of: np.ndarray
    Z_of: np.ndarray
    y: np.ndarray
    trials: np.ndarray
    offset: np.ndarray
    X: np.ndarray
    Z: np.ndarray
    prior_a: np.ndarray
    prior_b: np.ndarray
    prior_c: np.ndarray

    is_stored = False  # `StoredRows` are, and come in blocks

    @classmethod
    def of_buffers(cls, ints: np.ndarray, floats: np.ndarray) -> Self:
        """The arrays in buffers that others of these have been written from; no copies."""
        made = cls.__new__(cls)
        made.ints, made.floats = ints, floats
        made._shapes = dict.fromkeys((*cls._INTS, *cls._FLOATS), (-1,))
        n, p, n_z = made.sizes[:3].tolist()
        made._shapes |= {"index": (-1, n), "X": (p, n), "Z": (n_z, n)}
        if made.trials.size > n:
            made.trials = made.trials.reshape(n, -1)
            made._shapes["trials"] = made.trials.shape
        return made

    def of_rows(self, rows: slice | np.ndarray) -> Self:
        """Some of the rows, of one linear predictor."""
        offset = self.offset[rows]
        return self.replace(
            sizes=np.concatenate([[len(offset)], self.sizes[1:]]), index=self.index[:, rows],
            y=self.y[rows], trials=self.trials[rows], offset=offset, X=self.X[:, rows],
            Z=self.Z[:, rows],
        )  # fmt: skip

    @property
    def header(self) -> Self:
        """What is not of single rows."""
        return self

    def blocks(self) -> Iterator[Self]:
        """All rows, as one block."""
        yield self

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return int(self.sizes[0])

    @property
    def n_predictors(self) -> int:
        """Number of linear predictors m."""
        return int(self.sizes[6])

    @property
    def says(self) -> np.ndarray:
        """Which rows say anything: those with trials, and an exponent above zero."""
        given = self.trials.reshape(self.n_obs, -1)
        return np.asarray((given[:, 0] > 0) & (given[:, -1] > 0))

    @property
    def link(self) -> int:
        """Code of the links in `glmm.rows`; with one predictor that of mu's."""
        return int(self.sizes[4])


def joined_rows(parts: list[RowData]) -> RowData:
    """Put blocks of rows behind each other."""
    return parts[0].replace(
        sizes=np.concatenate([[sum(one.n_obs for one in parts)], parts[0].sizes[1:]]),
        index=np.concatenate([one.index for one in parts], axis=1),
        X=np.concatenate([one.X for one in parts], axis=1),
        Z=np.concatenate([one.Z for one in parts], axis=1),
        **{
            name: np.concatenate([getattr(one, name) for one in parts])
            for name in ("y", "trials", "offset")
        },
    )  # fmt: skip


class RowArrays(NamedTuple):
    """The same arrays within a kernel."""

    sizes: Any
    index: Any
    u_start: Any
    z_start: Any
    first: Any
    phi_kind: Any
    prior_kind: Any
    X_of: Any
    Z_of: Any
    y: Any
    trials: Any
    offset: Any
    X: Any
    Z: Any
    prior_a: Any
    prior_b: Any
    prior_c: Any


_I = HEADER
_F = HEADER + len(RowData._INTS) + 1


@inner
def _width(a, n):  # type: ignore[no-untyped-def]
    """How many numbers are given per row."""
    return (a[_F + 2] - a[_F + 1]) // n


@inner
def rows_at(ints, floats):  # type: ignore[no-untyped-def]
    """Return the arrays of `RowData`, from the addresses of its buffers."""
    a, b = unpack_ints(ints), unpack_floats(ints, floats)
    sizes = a[a[_I] : a[_I + 1]]
    n, p, n_z = sizes[0], sizes[1], sizes[2]
    u_start = a[a[_I + 2] : a[_I + 3]]
    n_factors = len(u_start) - 1
    return RowArrays(
        sizes, a[a[_I + 1] : a[_I + 2]].reshape((n_factors, n)), u_start,
        a[a[_I + 3] : a[_I + 4]], a[a[_I + 4] : a[_I + 5]], a[a[_I + 5] : a[_I + 6]],
        a[a[_I + 6] : a[_I + 7]], a[a[_I + 7] : a[_I + 8]], a[a[_I + 8] : a[_I + 9]],
        b[a[_F] : a[_F + 1]], b[a[_F + 1] : a[_F + 2]].reshape((n, _width(a, n))),
        b[a[_F + 2] : a[_F + 3]],
        b[a[_F + 3] : a[_F + 4]].reshape((p, n)), b[a[_F + 4] : a[_F + 5]].reshape((n_z, n)),
        b[a[_F + 5] : a[_F + 6]], b[a[_F + 6] : a[_F + 7]], b[a[_F + 7] : a[_F + 8]],
    )  # fmt: skip
