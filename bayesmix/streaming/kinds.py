"""Batches become what the fitted columns are: the same kinds, categories and levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.groups import GroupingFactor
from bayesmix.errors import DataError

__all__ = ["as_fitted", "level_finder"]

_WIDE = 4_000_000  # span of whole numbers up to which levels are looked up by place


def as_fitted(raw: pd.DataFrame, fitted: pd.DataFrame) -> pd.DataFrame:
    """Bring the columns of a batch to the kinds and categories of the fitted ones.

    Parameters
    ----------
    raw : DataFrame, n rows
        As batches have them.
    fitted : DataFrame
        The columns that are wanted.

    Raises
    ------
    DataError
        If a category has not been seen before: the data have changed between two passes.
    """
    found = {}
    for name in fitted.columns:
        column, dtype = raw[name], fitted[name].dtype
        if not isinstance(dtype, pd.CategoricalDtype):
            found[name] = column if column.dtype == dtype else column.astype(dtype)
            continue
        own = column.cat.categories
        place = pd.Index(dtype.categories).get_indexer(own)
        codes = place[column.cat.codes.to_numpy()]
        if codes.min(initial=0) < 0:
            refuse_change(name)
        made = pd.Categorical.from_codes(codes, dtype=dtype)
        found[name] = pd.Series(made, index=raw.index, name=name)
    return pd.DataFrame(found, copy=False)


def refuse_change(name: str) -> None:
    """Say that the data are not what they were in the pass before.

    Raises
    ------
    DataError
    """
    raise DataError(
        f"`{name}` has a value that it did not have in the first pass: the data changed while they "
        "were read"
    )


def level_finder(group: GroupingFactor) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return a function that gives the level of each row of a prepared frame.

    Parameters
    ----------
    group : GroupingFactor
    """
    columns, values = group.levels.columns, pd.DataFrame(group.levels.values)
    if not columns:
        return lambda frame: np.zeros(len(frame), dtype=np.int64)
    finders = [_value_finder(values[name]) for name in columns]
    sizes = [size for size, _ in finders]
    n_values, *_ = sizes

    def combined(frame: pd.DataFrame) -> np.ndarray:
        code = finders[0][1](frame[columns[0]])
        for k in range(1, len(columns)):
            own = finders[k][1](frame[columns[k]])
            code = np.where((code < 0) | (own < 0), -1, code * sizes[k] + own)
        return code

    if np.prod([float(size) for size in sizes]) > 2.0**62:
        raise DataError(f"`{group.name}` combines too many values")
    at = combined(values)
    order = np.argsort(at)
    known = at[order]

    def find(frame: pd.DataFrame) -> np.ndarray:
        code = combined(frame)
        if len(columns) == 1 and len(known) == n_values:
            level = order[code]  # every value is a level
        else:
            place = np.minimum(np.searchsorted(known, code), len(known) - 1)
            code = np.where(known[place] == code, code, -1)
            level = order[place]
        if code.min(initial=0) < 0:
            refuse_change(group.name)
        return level

    return find


def _value_finder(values: pd.Series[Any]) -> tuple[int, Callable[[pd.Series[Any]], np.ndarray]]:
    """Number of values, and a function that numbers those of a column."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return len(values.cat.categories), lambda column: column.cat.codes.to_numpy().astype(
            np.int64
        )
    known = np.unique(values.to_numpy())
    if known.dtype.kind in "iu":
        low, span = known[0], int(known[-1]) - int(known[0]) + 1
        if span <= _WIDE:
            table = np.full(span, -1, dtype=np.int64)
            table[(known - low).astype(np.int64)] = np.arange(len(known))

            def look_up(column: pd.Series[Any]) -> np.ndarray:
                at = column.to_numpy()
                inside = (at >= low) & (at <= known[-1])
                if not inside.all():
                    refuse_change(str(column.name))
                return table[(at - low).astype(np.int64)]

            return len(known), look_up
    index = pd.Index(known)
    return len(known), lambda column: index.get_indexer(column.to_numpy()).astype(np.int64)
