"""Rows with missing values, and values that are not finite."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.errors import OWN_FILES, DataError, DataWarning
from bayesmix.spread import largest

__all__ = ["MissingAction", "check_finite", "check_size", "complete_rows"]

MissingAction = Literal["drop", "raise"]


def complete_rows(
    columns: Mapping[str, pd.Series[Any]], n_rows: int, missing: MissingAction
) -> np.ndarray | None:
    """Find the rows without a missing value.

    Parameters
    ----------
    columns : mapping of str to Series, length n
        Those that a formula uses.
    n_rows : int
    missing : {"drop", "raise"}
        Whether incomplete rows are left out with a warning or refused.

    Returns
    -------
    ndarray of int or None
        Positions of the complete rows; None where all rows are complete.

    Raises
    ------
    DataError
        If rows are incomplete and `missing` is "raise", or if none is complete.

    Warns
    -----
    DataWarning
        With the number of missing values by column, if rows are dropped.
    """
    if missing not in get_args(MissingAction):
        raise DataError(f'missing={missing!r} is not known; say "drop" or "raise"')
    if n_rows == 0:
        raise DataError("the data have no rows")
    holes = {name: _holes(column) for name, column in columns.items()}
    counts = {name: int(hole.sum()) for name, hole in holes.items() if hole.any()}
    if not counts:
        return None
    incomplete = np.logical_or.reduce([holes[name] for name in counts])
    by_column = ", ".join(f"`{name}` {count}" for name, count in counts.items())
    n_dropped = int(incomplete.sum())
    what = f"{n_dropped} of {n_rows} rows have a missing value ({by_column})"
    if missing == "raise":
        raise DataError(f'{what}; missing="drop" leaves them out')
    if n_dropped == n_rows:
        raise DataError(f"no row is complete: {what}")
    warnings.warn(f"{what} and are left out", DataWarning, skip_file_prefixes=OWN_FILES)
    return np.flatnonzero(~incomplete)


def _holes(column: pd.Series[Any]) -> np.ndarray:
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    if kind and kind in "iub":
        return np.zeros(len(column), dtype=bool)
    return np.isnan(column.to_numpy()) if kind == "f" else column.isna().to_numpy()


def check_finite(
    values: np.ndarray, names: tuple[str, ...], labels: pd.Index[Any], what: str
) -> None:
    """Refuse values that are infinite or not a number.

    Parameters
    ----------
    values : ndarray, shape (n, k)
    names : tuple of str, length k
    labels : Index, length n
        Row labels of the caller's data, for the message.
    what : str
        What the columns are, for the message.

    Raises
    ------
    DataError
        Naming the column, the row and the value.
    """
    # One sum per column is finite where all its values are, and costs no n x k mask.
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = np.flatnonzero(~np.isfinite(values.sum(axis=0)))
    for j in suspicious:
        bad = np.flatnonzero(~np.isfinite(values[:, j]))
        if bad.size:
            value, label = values[bad[0], j], labels[bad[0]]
            more = f" (and {bad.size - 1} more rows)" if bad.size > 1 else ""
            advice = (
                "; the expression has no value there, so leave such rows out or change it"
                if np.isnan(value)
                else ""
            )
            raise DataError(f"{what} `{names[j]}` is {value} in row {label}{more}{advice}")


def check_size(values: np.ndarray, names: tuple[str, ...], what: str) -> None:
    """Refuse columns whose squares, and products with others, are no numbers.

    Parameters
    ----------
    values : ndarray, shape (n, k)
    names : tuple of str, length k
    what : str
        What the columns are, for the message.

    Raises
    ------
    DataError
    """
    for name, top in zip(names, largest(values).tolist(), strict=True):
        if top > 1e100 or 0 < top < 1e-100:
            raise DataError(
                f"the largest value of {what} `{name}` is {top:g} in size; rescale it to lie "
                "between 1e-100 and 1e+100, as by another unit"
            )
