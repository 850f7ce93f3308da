"""Rows beyond the normal that are read in batches: a table of those that differ."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from bayesmix.design import LinearPredictor
from bayesmix.errors import DataError
from bayesmix.families import Family
from bayesmix.glmm.data import RowData
from bayesmix.glmm.problem import Pack
from bayesmix.glmm.rows import OBSERVED_KERNELS, constant
from bayesmix.memory import check_memory
from bayesmix.streaming.rows import Batch

__all__ = ["RowTable", "TableSums", "row_table"]

_NUMBERS = 2_000_000  # that may be added before rows that are alike are looked for again
_OF_A_ROW = 25  # numbers that an evaluation keeps for each row of the table


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTable:
    """Rows that differ, each with what stands for all that are like it.

    Attributes
    ----------
    predictor : LinearPredictor
        Whose rows these are.
    y : ndarray, shape (m,)
        Their responses, or the sums of them.
    rows : mapping of str to ndarray, shape (m,)
        "trials", and "exponent", the number of rows, where it is not 1.
    rises : ndarray, shape (m,)
        Which way the likelihood of all of them rises for ever, 0 where they differ.
    constant : float
        What kernels leave out of the log density of all rows.
    """

    predictor: LinearPredictor
    y: np.ndarray
    rows: Mapping[str, np.ndarray]
    rises: np.ndarray
    constant: float

    def packed(self, pack: Pack) -> RowData:
        """Make the arrays of kernels of them."""
        offset = np.zeros(len(self.y)) if self.predictor.offset is None else self.predictor.offset
        return pack(self.predictor, offset, self.y, self.rows)

    def added(self) -> RowTable:
        """Put rows with one linear predictor together, by the sums of responses and trials."""
        mu, m = self.predictor, len(self.y)
        count, trials = self.rows.get("exponent", np.ones(m)), self.rows.get("trials", np.ones(m))
        key, sums = _alike(
            _key(tuple(g.index for g in mu.groups), mu.X, tuple(g.Z for g in mu.groups), mu.offset),
            np.stack([count, count * self.rises, count * self.y, count * trials]),
        )
        n, rises, y, trials = sums
        return replace(
            self, predictor=_with_rows(mu, key), y=y, rows={"trials": trials},
            rises=np.where(np.abs(rises) == n, np.sign(rises), 0.0),
        )  # fmt: skip

    def batch(self) -> Batch:
        """The rows as a design takes them."""
        mu, n = self.predictor, len(self.y)
        return Batch(
            X=mu.X, y=self.y, offset=mu.offset, beside={}, extras=self.rows,
            Z=tuple(group.Z for group in mu.groups),
            index=tuple(group.index for group in mu.groups), labels=pd.RangeIndex(n),
            frame=pd.DataFrame(index=range(n)),
        )  # fmt: skip


class TableSums:
    """Rows that are alike, counted batch by batch.

    Rows are alike that have the same levels, columns, offset, response and trials.

    Parameters
    ----------
    family : Family
    most : float
        Number of rows that differ beyond which there is to be no table.

    Attributes
    ----------
    is_full : bool
        Whether more rows differ: then none are kept, and what is added changes nothing.
    """

    def __init__(self, family: Family, most: float = np.inf) -> None:
        self._family, self._most, self.is_full = family, most, False
        self._weighs = family.row_kernel in OBSERVED_KERNELS
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._pending = 0
        self._constant = 0.0

    def update(self, batch: Batch) -> Self:
        """Add the rows of a batch."""
        if self.is_full:
            return self
        n, y = len(batch.y), batch.y
        self._constant += float(constant(self._family.row_kernel, y, batch.extras).sum())
        key = _key(batch.index, batch.X, batch.Z, batch.offset)
        own = np.stack([y, batch.extras.get("trials", np.ones(n))])
        self._append(*self._one_of_each(np.concatenate([key, own + 0.0]), np.ones((1, n))))
        return self

    def merge(self, other: TableSums) -> Self:
        """Add the rows of other sums of the same model."""
        self._constant += other._constant
        if other.is_full:
            self._give_up()
        for key, count in other._parts:
            self._append(key, count)
        return self

    def counted(self) -> float:
        """Number of rows that differ, infinite where there are too many."""
        self._gather()
        return np.inf if self.is_full else self._parts[0][0].shape[1]

    def table(self, predictor: LinearPredictor) -> RowTable:
        """Return the rows that differ.

        Parameters
        ----------
        predictor : LinearPredictor
            That of all rows, which it has as sums.
        """
        self._gather()
        key, (count,) = self._parts[0]
        m, y = key.shape[1], key[-2].copy()
        check_memory(
            f"{predictor.n_obs:,} rows, of which {m:,} differ,", _OF_A_ROW * m + 2 * key.size,
            "round columns that need not be so fine, so that more rows are alike",
        )  # fmt: skip
        trials = {"trials": key[-1].copy()} if "trials" in self._family.needs else {}
        return RowTable(
            predictor=_with_rows(predictor, key),
            y=y,
            rows=trials if (count == 1).all() else {**trials, "exponent": count},
            rises=self._family.rises(y, trials),
            constant=self._constant,
        )

    def array(self) -> np.ndarray:
        """Return all of it in one array, as `restore` takes it."""
        self._gather()
        key, count = self._parts[0]
        return np.concatenate([[self._constant], count.ravel(), key.ravel()])

    def restore(self, array: np.ndarray, predictor: LinearPredictor) -> Self:
        """Take what `array` returned of the same model.

        Parameters
        ----------
        array : ndarray
        predictor : LinearPredictor

        Raises
        ------
        DataError
            If it is of another model, or no numbers.
        """
        levels = [group.n_levels for group in predictor.groups]
        effects = sum(group.n_effects for group in predictor.groups)
        width = len(levels) + len(predictor.fixed_effects) + effects + 4  # and the number
        m, left = divmod(array.size - 1, width)
        count = array[1 : 1 + m]
        key = array[1 + m :].reshape(width - 1, -1) if not left and m > 0 else np.zeros((0, 0))
        fine = key.size > 0 and bool(np.isfinite(array).all()) and bool((count >= 1).all())
        fine = fine and count.sum() == predictor.n_obs
        for size, index in zip(levels, key, strict=False):
            fine = fine and bool(((index >= 0) & (index < size) & (index % 1 == 0)).all())
        if not fine:
            raise DataError("the rows that differ are not those of the model")
        self._constant, self._parts = float(array[0]), [(key, count[None].copy())]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Pickle few rows: those of parts of a cluster travel."""
        self._gather()
        return dict(vars(self))

    def _one_of_each(self, key: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _alike(key, count) if self._weighs else (key, count)

    def _append(self, key: np.ndarray, count: np.ndarray) -> None:
        if self.is_full:
            return
        self._parts.append((key, count))
        self._pending += key.size if len(self._parts) > 1 else 0
        if self._pending > max(_NUMBERS, self._parts[0][0].size):
            self._gather()

    def _gather(self) -> None:
        if len(self._parts) > 1:
            key, count = (np.concatenate(parts, axis=1) for parts in zip(*self._parts, strict=True))
            self._parts = [self._one_of_each(key, count)]
        self._pending = 0
        if self._parts and self._parts[0][0].shape[1] > self._most:
            self._give_up()

    def _give_up(self) -> None:
        self.is_full, self._parts, self._pending = True, [], 0


def _key(
    index: tuple[np.ndarray, ...], X: np.ndarray, Z: tuple[np.ndarray, ...],
    offset: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """What the linear predictor of a row is made of, shape (d, n); zeros have one sign."""
    columns = [*index, *X.T, *(column for own in Z for column in own.T)]
    columns.append(np.zeros(len(X)) if offset is None else offset)
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns]) + 0.0


def _with_rows(predictor: LinearPredictor, key: np.ndarray) -> LinearPredictor:
    """The predictor with the rows that a key was made of."""
    groups, at = [], len(predictor.groups)
    X = np.ascontiguousarray(key[at : at + len(predictor.fixed_effects)].T)
    at += len(predictor.fixed_effects)
    for k, group in enumerate(predictor.groups):
        Z = np.ascontiguousarray(key[at : at + group.n_effects].T)
        groups.append(replace(group, Z=Z, index=key[k].astype(np.int32)))
        at += group.n_effects
    return replace(predictor, X=X, offset=key[at].copy(), groups=tuple(groups))


def row_table(
    predictor: LinearPredictor, streamed: Any, family: Family, most: float = np.inf
) -> RowTable | None:
    """Gather the rows that differ in one more pass, unless they are more than `most`.

    Parameters
    ----------
    predictor : LinearPredictor
        Whose columns are `Summed`.
    streamed : Streamed
    family : Family
        One that `tables_rows`.
    most : float

    Raises
    ------
    NotSupportedError
        If memory does not hold them.
    """
    sums = TableSums(family)
    if streamed.products is None:
        make: Callable[[], TableSums] = functools.partial(TableSums, family, most)
        sums = streamed.gather(make)
        if sums.counted() > most:
            return None
    else:  # which there is, however many they are
        sums.restore(streamed.products, predictor)
    found = sums.table(predictor)
    streamed.products = sums.array()
    return found


def _alike(key: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up rows with the same key, in the order in which they first appear.

    Parameters
    ----------
    key : ndarray, shape (d, n)
    added : ndarray, shape (k, n)

    Returns
    -------
    key : ndarray, shape (d, m)
    added : ndarray, shape (k, m)
    """
    found = np.zeros(key.shape[1], dtype=np.uint64)
    for column in key:
        found ^= np.ascontiguousarray(column).view(np.uint64)
        found *= np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    row_of, unique = pd.factorize(found)
    m = len(unique)
    first = np.empty(m, dtype=np.int64)
    first[row_of[::-1]] = np.arange(len(row_of))[::-1]
    if not all((column[first][row_of] == column).all() for column in key):  # one number, two keys
        _, first, row_of = np.unique(key, axis=1, return_index=True, return_inverse=True)
        row_of, m = row_of.ravel(), len(first)
    if m == key.shape[1]:
        return key, added
    return key[:, first], np.stack([np.bincount(row_of, own, minlength=m) for own in added])
