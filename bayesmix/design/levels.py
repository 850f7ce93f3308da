"""The levels of a grouping factor: learned from data, labelled, and found again in others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Between, levels_of_between
from bayesmix.design.dates import day_alone
from bayesmix.errors import OWN_FILES, DataError, DataWarning, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["Levels", "learn_levels", "levels_of_known_covariance"]

# Possible levels per row up to which those that occur are counted, not searched for.
_SPARSE = 4
_WHOLE = 2.0**53  # up to which a double is every whole number
_FEW = 10_000  # values up to which each is written, be it the same as another


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The observed levels of a grouping factor.

    Attributes
    ----------
    columns : tuple of str
        The columns whose combinations are the levels.
    labels : ndarray of str, shape (G,)
        ``"308"``, or ``"1:2"`` for a combination of columns.
    values : mapping of str to array, shape (G,)
        The value of each column at each level.
    """

    columns: tuple[str, ...]
    labels: np.ndarray
    values: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, at: np.ndarray, labels: np.ndarray | None = None) -> Levels:
        """Return some of the levels, in the order in which they are taken.

        Parameters
        ----------
        at : ndarray of int
        labels : ndarray of str, optional
            What they are called; as here by default.
        """
        return Levels(
            columns=self.columns,
            labels=self.labels[at] if labels is None else labels,
            values={name: values[at] for name, values in self.values.items()},
        )

    def index_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Level of each row of a frame; of no columns there is one.

        Parameters
        ----------
        frame : DataFrame, n rows
            Holds the columns of the grouping factor; values may be missing.

        Returns
        -------
        ndarray of int32, shape (n,)
            -1 where the level is unknown or missing.
        """
        if not self.columns:
            return np.zeros(len(frame), dtype=np.int32)
        known = pd.MultiIndex.from_arrays([self._labels_in(c) for c in self.columns])
        wanted = pd.MultiIndex.from_arrays([_labels(frame[c]) for c in self.columns])
        return np.asarray(known.get_indexer(wanted), dtype=np.int32)

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Label of each row of a frame, whether or not it is a known level.

        Parameters
        ----------
        frame : DataFrame, n rows
            Holds the columns of the grouping factor.

        Returns
        -------
        ndarray of object, shape (n,)
            Text; None where a column has a missing value.
        """
        if not self.columns:
            return np.repeat(self.labels, len(frame))
        parts = [_labels(frame[column]) for column in self.columns]
        out = np.empty(len(frame), dtype=object)
        for i, level in enumerate(zip(*parts, strict=True)):
            out[i] = None if None in level else ":".join(level)
        return out

    def spelled(self, column: str, frame: pd.DataFrame) -> tuple[set[str], set[str]]:
        """How the values of one column are written, in the levels and in a frame.

        Parameters
        ----------
        column : str
            One of the columns of the levels.
        frame : DataFrame

        Returns
        -------
        known, given : set of str
            Without missing values.
        """
        found = (self._labels_in(column), _labels(frame[column].drop_duplicates()))
        known, given = ({label for label in labels if label is not None} for labels in found)
        return known, given

    def _labels_in(self, column: str) -> np.ndarray:
        return _labels(pd.Series(self.values[column], copy=False))


def learn_levels(
    terms: Sequence[GroupTerm], frame: pd.DataFrame, formula: Formula
) -> tuple[Levels, np.ndarray]:
    """Observed combinations of the columns, in the order of the columns' own levels."""
    term = terms[0]
    if not term.columns:
        one = Levels(columns=(), labels=np.asarray([term.name], dtype=object), values={})
        return one, np.zeros(len(frame), dtype=np.int32)
    code, n_levels = np.zeros(0, dtype=np.int32), 1
    columns = {name: frame[name] for name in term.columns}
    for k, column in enumerate(columns.values()):
        codes, n_values = _codes(column, term, formula)
        if k > 0:
            codes = code.astype(np.int64) * n_values + codes
        # Renumbered after each column, so that the product cannot overflow.
        code, n_levels = _renumbered(codes, n_levels * n_values)
    first = np.zeros(n_levels, dtype=np.int64)
    first[code[::-1]] = np.arange(len(frame) - 1, -1, -1)
    values = {name: column.array[first] for name, column in columns.items()}
    parts = [_labels(pd.Series(column, copy=False)) for column in values.values()]
    labels = parts[0]
    if len(parts) > 1:
        labels = np.asarray([":".join(level) for level in zip(*parts, strict=True)], dtype=object)
    one_series = all(STRUCTURE_WORDS[term.structure].one_series for term in terms)
    if n_levels < 2 and not one_series:
        raise DataError(
            f"the grouping factor `{term.name}` has one level ({labels[0]}); "
            "a variance between levels needs at least two, so leave the term out"
        )
    if len(set(labels)) < n_levels:
        raise DataError(
            f'two levels of `{term.name}` have the same label (1 and "1", or values with a '
            f"colon); rename the values of {' or '.join(f'`{c}`' for c in term.columns)}"
        )
    return Levels(columns=term.columns, labels=labels, values=values), code


def levels_of_known_covariance(
    between: Between, term: GroupTerm, frame: pd.DataFrame
) -> tuple[Levels, np.ndarray]:
    """All levels of a known covariance, in its order, and the level of each row."""
    (column,) = term.columns
    codes, found = pd.factorize(_labels(frame[column]))
    index = between.known.places(found, between.name)[codes].astype(np.int32)
    values = {column: levels_of_between(between, frame[column]).array}
    return Levels(
        columns=term.columns, labels=np.asarray(between.known.labels, dtype=object), values=values
    ), index


def _codes(column: pd.Series[Any], term: GroupTerm, formula: Formula) -> tuple[np.ndarray, int]:
    """A number below the one returned for each value, in the order of the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        known: Any = column.array
        return known.codes.astype(np.int32), len(known.categories)
    values = column.to_numpy()
    if values.dtype.kind == "f":
        bad = np.flatnonzero((values != np.floor(values)) | ~np.isfinite(values))
        if bad.size:
            raise FormulaError(
                f"the grouping factor `{column.name}` is continuous "
                f"(it holds {values[bad[0]]:g}); group by a category, or cut it into one first",
                text=formula.text,
                start=term.start,
                stop=term.stop,
            )
        if values.size and np.abs(values).max() >= _WHOLE:
            warnings.warn(
                f"the grouping factor `{column.name}` holds {values[np.abs(values).argmax()]:.17g} "
                "as a floating-point number: beyond 2^53 not every whole number is one, so codes "
                "that differ may have become the same level; read them as text "
                f"(pd.read_csv(..., dtype={{{column.name!r}: str}})) or as Int64",
                DataWarning,
                skip_file_prefixes=OWN_FILES,
            )
    if values.dtype.kind in "iu":
        lowest = values.min()
        span = int(values.max()) - int(lowest) + 1
        if span <= _SPARSE * len(values):  # the values themselves number the levels
            return (values - lowest).astype(np.int32), span
    codes, unique = pd.factorize(values, sort=True)
    return codes, len(unique)


def _renumbered(code: np.ndarray, n_possible: int) -> tuple[np.ndarray, int]:
    """Number the codes that occur from zero, in their order; and how many there are."""
    if n_possible > _SPARSE * len(code):
        values, code = np.unique(code, return_inverse=True)
        return code.astype(np.int32), len(values)
    occurs = np.bincount(code, minlength=n_possible) > 0
    if not occurs.all():
        code = (np.cumsum(occurs, dtype=np.int32) - 1)[code]
    return code.astype(np.int32, copy=False), int(occurs.sum())


def _labels(column: pd.Series[Any]) -> np.ndarray:
    """Text for each value, the same whatever type a column arrives in."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu" and len(column) < _FEW:
        return np.asarray([*map(str, column.to_numpy().tolist()), None], dtype=object)[:-1]
    if isinstance(column.dtype, pd.CategoricalDtype):  # each category is written once
        known: Any = column.array
        text = known.categories.dtype == "str"
        each = map(day_alone if text else _label, known.categories.tolist())
        return np.asarray([*each, None], dtype=object)[known.codes]
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = column.astype(str).where(column.notna())
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) != "string":
        return np.asarray([_label(value) for value in column], dtype=object)
    codes, values = pd.factorize(column)  # a label is written once for all of its rows
    written: Iterable[str | None] = map(_label, values.astype(object))
    if values.dtype.kind in "iu":
        written = map(str, values.tolist())
    return np.asarray([*written, None], dtype=object)[codes]


def _label(value: Any) -> str | None:
    if pd.isna(value):
        return None
    # A column of integers with holes arrives as floats: 308.0 is still level 308.
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return day_alone(str(value))
