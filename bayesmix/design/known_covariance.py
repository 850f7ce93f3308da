"""Known covariances between levels, as users give them: read, and checked with what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean, plain
from bayesmix.design.dates import day_alone
from bayesmix.errors import DataError
from bayesmix.memory import check_memory

__all__ = ["KnownCovariance", "known_covariance"]

_LARGEST = 1e150  # of an entry, whose square is a number
_SYMMETRIC = 1e-8  # of a pair's own variances
_DETERMINED = 1e-9  # of a level's variance, left when the others are given
_COLUMNS = 256  # of the inverse of a precision at a time


class Covariances(Protocol):
    """What knows the covariance of any levels, by their places."""

    def blocks(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Covariance of some levels with others; shape (n_rows, n_columns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCovariance:
    """A known covariance A between levels, checked.

    Attributes
    ----------
    labels : tuple of str, length n
        Levels as text: 3, 3.0 and "3" are the same level.
    source : DenseCovariance, SparsePrecision or Relationship
        What A is given by.
    """

    labels: tuple[str, ...]
    source: Covariances

    def places(self, levels: Iterable[Any], name: str) -> np.ndarray:
        """Places of levels among the labels.

        Parameters
        ----------
        levels : iterable
        name : str
            That of A, for errors.

        Returns
        -------
        ndarray of int

        Raises
        ------
        DataError
            Naming the levels that A does not have.
        """
        wanted = [as_label(level) for level in levels]
        found = pd.Index(self.labels).get_indexer(pd.Index(wanted, dtype=object))
        lost = [wanted[i] for i in np.flatnonzero(found < 0)]
        if lost:
            more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
            near = did_you_mean(lost[0], self.labels) if len(self.labels) < 10_000 else ""
            raise DataError(
                f"level {lost[0]!r}{more} of the data is not among the {len(self.labels):,} levels "
                f"of {name}; {near}give {name} a row and a column for it"
            )
        return np.asarray(found)

    def blocks(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Covariance of some levels with others.

        Parameters
        ----------
        rows, columns : ndarray of int
            Places among the labels.

        Returns
        -------
        ndarray, shape (n_rows, n_columns)

        Raises
        ------
        NotSupportedError
            If memory does not hold it.
        """
        check_memory(
            f"the covariance of {len(rows):,} with {len(columns):,} levels",
            len(rows) * len(columns), "use a factor with fewer levels",
        )  # fmt: skip
        return self.source.blocks(rows, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCovariance:
    """A itself.

    Attributes
    ----------
    covariance : ndarray, shape (n, n)
        Symmetric and positive definite.
    """

    covariance: np.ndarray

    def blocks(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Take rows and columns out."""
        return self.covariance[np.ix_(rows, columns)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsePrecision:
    """The inverse of A.

    Attributes
    ----------
    precision : scipy.sparse.csc_array, shape (n, n)
    """

    precision: Any

    def blocks(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Solve for columns of A, some at a time."""
        factor = sparse_factor(self.precision)
        block = np.empty((len(rows), len(columns)))
        for start in range(0, len(columns), _COLUMNS):
            some = columns[start : start + _COLUMNS]
            unit = np.zeros((self.precision.shape[0], len(some)))
            unit[some, np.arange(len(some))] = 1.0
            block[:, start : start + _COLUMNS] = factor.solve(unit)[rows]
        return block


def as_label(level: Any) -> str:
    """Write a level as text, a whole number without a decimal point."""
    value = plain(level)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return day_alone(str(value))


def known_covariance(given: Any, name: str, labels: Iterable[Any] | None = None) -> KnownCovariance:
    """Read and check a known covariance between levels.

    Parameters
    ----------
    given : DataFrame, Relationship, or scipy.sparse matrix
        A labelled covariance (rows and columns, in any order), a pedigree's, or the sparse
        inverse, with `labels` beside it.
    name : str
        What it is called in the formula, for errors.
    labels : iterable, optional
        Levels of the rows of a sparse inverse.

    Returns
    -------
    KnownCovariance

    Raises
    ------
    DataError
        Saying what is wrong with it and where.
    """
    if isinstance(given, pd.DataFrame):
        return _of_frame(given, name)
    if hasattr(given, "blocks") and hasattr(given, "labels"):
        return KnownCovariance(labels=_labels(given.labels, name), source=given)
    if not hasattr(given, "tocsc"):
        raise DataError(
            f"{name} is of type {type(given).__name__}; give a DataFrame whose index and columns "
            "are the levels, the result of bayesmix.relationship(), or a sparse inverse with labels"
        )
    if labels is None:
        raise DataError(f"{name} is a sparse inverse without labels: say which level each row is")
    return _of_precision(given.tocsc(), _labels(labels, name), name)


def _labels(given: Iterable[Any], name: str) -> tuple[str, ...]:
    labels = [as_label(label) for label in given]
    twice = pd.Index(labels).duplicated()
    if twice.any():
        raise DataError(f"level {labels[int(np.flatnonzero(twice)[0])]!r} is twice in {name}")
    return tuple(labels)


def _of_frame(frame: pd.DataFrame, name: str) -> KnownCovariance:
    if frame.shape[0] != frame.shape[1] or not len(frame):
        raise DataError(
            f"{name} has {frame.shape[0]} rows and {frame.shape[1]} columns; a covariance between "
            "levels has one of each for every level"
        )
    rows, columns = _labels(frame.index, name), _labels(frame.columns, name)
    place = pd.Index(columns).get_indexer(pd.Index(rows))
    if (place < 0).any():
        lost = rows[int(np.flatnonzero(place < 0)[0])]
        numbered = frame.index.equals(pd.RangeIndex(len(frame)))
        advice = "label its rows: A.index = A.columns" if numbered else "label both by the levels"
        raise DataError(f"row {lost!r} of {name} has no column of this name; {advice}")
    try:
        A = frame.to_numpy(dtype=np.float64)[:, place]
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds values that are no numbers: {error}") from error
    _check_entries(A, rows, name)
    _check_definite(A, rows, name)
    return KnownCovariance(labels=rows, source=DenseCovariance(covariance=(A + A.T) / 2))


def _check_entries(A: np.ndarray, labels: tuple[str, ...], name: str) -> None:
    """Finite, positive on the diagonal, symmetric, and no pair closer than a level to itself."""
    at = _first(~(np.abs(A) < _LARGEST))
    if at:
        i, j = at
        raise DataError(f"{name} has {A[i, j]} in row {labels[i]!r}, column {labels[j]!r}")
    own = np.diagonal(A)
    low = np.flatnonzero(own <= 0)
    if low.size:
        raise DataError(
            f"{name} has {own[low[0]]:g} on its diagonal for {labels[low[0]]!r}; a variance is "
            "above 0"
        )
    size = np.sqrt(own)
    scale = np.outer(size, size)
    at = _first(np.abs(A - A.T) > _SYMMETRIC * scale)
    if at:
        i, j = at
        raise DataError(
            f"{name} is not symmetric: {A[i, j]:.6g} in row {labels[i]!r}, column {labels[j]!r}, "
            f"but {A[j, i]:.6g} in row {labels[j]!r}, column {labels[i]!r}; take (A + A.T) / 2 if "
            "this is rounding"
        )
    correlation = np.abs(A) / scale
    np.fill_diagonal(correlation, 0)
    at = _first(correlation > 1 + _SYMMETRIC)
    if at:
        i, j = at
        raise DataError(
            f"{name} has {A[i, j]:.6g} between {labels[i]!r} and {labels[j]!r}, more than their "
            f"own {own[i]:.6g} and {own[j]:.6g} allow"
        )
    at = _first(correlation > 1 - _DETERMINED)
    if at:
        i, j = at
        word = "equal" if A[i, j] > 0 else "opposite"
        raise DataError(
            f"rows {labels[i]!r} and {labels[j]!r} of {name} are {word}: their correlation is "
            f"{A[i, j] / scale[i, j]:.10g}; give the two one name in the data, and leave one out"
        )


def _first(wrong: np.ndarray) -> tuple[int, int] | None:
    at = np.argwhere(wrong[:1]) if wrong[:1].any() else np.argwhere(wrong)
    return (int(at[0, 0]), int(at[0, 1])) if len(at) else None


def _check_definite(A: np.ndarray, labels: tuple[str, ...], name: str) -> None:
    """Refuse what has levels that the others determine, or that no levels can have."""
    size = np.sqrt(np.diagonal(A))
    correlation = (A + A.T) / 2 / np.outer(size, size)
    try:
        root = np.linalg.cholesky(correlation)
        if (np.diagonal(root) ** 2).min() > _DETERMINED:
            return
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(correlation)
    most = np.argsort(-np.abs(vectors[:, 0]))[:4]
    between = ", ".join(repr(labels[i]) for i in sorted(most))
    if values[0] > -1e-8:
        raise DataError(
            f"{name} is singular: some of its levels determine each other, most of all {between}; "
            "leave one out, or add a little to the diagonal"
        )
    raise DataError(
        f"{name} is not positive definite: its correlations have the eigenvalue {values[0]:.3g}, "
        f"most of all by {between}; no levels can be related like this: see how it was made, or "
        "take the nearest matrix that is"
    )


def _of_precision(inverse: Any, labels: tuple[str, ...], name: str) -> KnownCovariance:
    n, m = inverse.shape
    if n != m or n != len(labels):
        raise DataError(f"{name} is {n} by {m} with {len(labels)} labels; all three must be equal")
    if not (np.abs(inverse.data) < _LARGEST).all():
        raise DataError(f"the inverse {name} has values that are not finite, or beyond 1e150")
    own = inverse.diagonal()
    low = np.flatnonzero(own <= 0)
    if low.size:
        raise DataError(
            f"the inverse {name} has {own[low[0]]:g} on its diagonal for {labels[low[0]]!r}; it "
            "must be above 0"
        )
    odd = (inverse - inverse.T).tocoo()
    size = np.sqrt(own)
    wrong = np.flatnonzero(np.abs(odd.data) > _SYMMETRIC * size[odd.row] * size[odd.col])
    if wrong.size:
        i, j = labels[odd.row[wrong[0]]], labels[odd.col[wrong[0]]]
        raise DataError(f"the inverse {name} is not symmetric in {i!r} and {j!r}")
    pivots = _pivots(sparse_factor(inverse), name)
    bad = np.flatnonzero(pivots <= 0)
    if bad.size:
        raise DataError(
            f"the inverse {name} is not positive definite, first at level {labels[bad[0]]!r}"
        )
    return KnownCovariance(labels=labels, source=SparsePrecision(precision=inverse))


def sparse_factor(precision: Any) -> Any:
    """Sparse factors without exchange of rows: the pivots of a definite matrix are positive."""
    from scipy.sparse.linalg import splu

    try:
        return splu(
            precision, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
    except RuntimeError as error:
        raise DataError(f"a sparse inverse is singular: {error}") from error


def _pivots(factor: Any, name: str) -> np.ndarray:
    """Pivots in the order of the levels."""
    if not np.array_equal(factor.perm_r, factor.perm_c):
        raise DataError(f"the inverse {name} is not positive definite: a pivot is 0")
    result: np.ndarray = factor.U.diagonal()[factor.perm_c]
    return result
