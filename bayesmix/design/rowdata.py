"""What is given per row beside the formula: precision weights, known standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import plain
from bayesmix.design.frame import select_columns, which_columns
from bayesmix.design.matrices import Functions, expression_values
from bayesmix.errors import DataError
from bayesmix.formula import Formula, Piece

__all__ = ["positive_values", "response_extras", "row_column"]

_STATUS = {"left": -1.0, "none": 0.0, "right": 1.0}


def row_column(argument: str, value: Any, data: Any, known: list[str], n_rows: int) -> np.ndarray:
    """Read an argument that is a column's name or an array.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : str or array_like, shape (n,)
    data : table
    known : list of str
        Columns of the table.
    n_rows : int

    Returns
    -------
    ndarray of float, shape (n,)
        Missing values are NaN.

    Raises
    ------
    DataError
        If there is no such column, or the array has another length or kind.
    """
    if isinstance(value, str):
        if value not in known:
            advice = which_columns(value, known, data)
            raise DataError(f"{argument}={value!r}: the data have no such column; {advice}")
        column = select_columns(data, [value])[value]
    else:
        column = pd.Series(np.asarray(value))
        if column.shape != (n_rows,):
            raise DataError(f"{argument} has shape {column.shape}, the data have {n_rows} rows")
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{argument} is not numeric: {error}") from error


def positive_values(argument: str, values: np.ndarray, labels: pd.Index[Any]) -> np.ndarray:
    """Check that the values that are used are positive and finite.

    Raises
    ------
    DataError
        Naming the row and the value.
    """
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        raise DataError(
            f"{argument} is {values[bad[0]]:g} in row {labels[bad[0]]}: it must be above zero"
        )
    return np.ascontiguousarray(values)


def response_extras(
    formula: Formula, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any]
) -> dict[str, np.ndarray]:
    """Evaluate what the functions of the left-hand side say of each row.

    Parameters
    ----------
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
        The caller's own.
    labels : Index, length n
        Labels of the rows in the caller's data, for the message.

    Returns
    -------
    dict of str to ndarray of float, shape (n,)
        Of "trials", "status" (-1, 0, 1), "lower", "upper", "exponent" those that the
        formula writes.

    Raises
    ------
    DataError
        Naming the row and the value, if one is impossible.
    """
    return {
        name: np.ascontiguousarray(_extra(name, piece, frame, functions, labels))
        for name, piece in formula.extras.items()
    }


def _extra(
    name: str, piece: Piece, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any]
) -> np.ndarray:
    try:
        values: Any = np.full(len(frame), float(piece.expr))
    except ValueError:
        values = expression_values(piece.expr, frame, functions)
    if name == "status":
        return _status(values, piece, labels)
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        raise DataError(
            f"the {_WORDS[name]} `{piece.text}` hold text, such as {values.iloc[0]!r}; "
            "numbers are wanted"
        )
    numbers = np.asarray(values, dtype=np.float64)
    bad = np.isnan(numbers)
    wanted = "a number is wanted"
    if name == "trials":
        bad = ~((numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers))
        wanted = "whole numbers from 0 are wanted"
    elif name == "exponent":
        bad = ~((numbers >= 0) & np.isfinite(numbers))
        wanted = "numbers from 0 are wanted"
    found = np.flatnonzero(bad)
    if found.size:
        raise DataError(
            f"the {_WORDS[name]} `{piece.text}` are {numbers[found[0]]:.10g} in row "
            f"{labels[found[0]]}: {wanted}"
        )
    return numbers


_WORDS = {
    "trials": "trials",
    "exponent": "weights of weighted(y, w)",
    "lower": "lower limits of truncated(...)",
    "upper": "upper limits of truncated(...)",
}


def _status(values: Any, piece: Piece, labels: pd.Index[Any]) -> np.ndarray:
    """Return -1, 0 and 1 for left-censored, seen and right-censored values."""
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        numbers = np.asarray([_STATUS.get(str(v), np.nan) for v in values], dtype=np.float64)
    else:
        numbers = np.asarray(values, dtype=np.float64)
    found = np.flatnonzero(~np.isin(numbers, (-1.0, 0.0, 1.0)))
    if found.size:
        value = values.iloc[found[0]] if isinstance(values, pd.Series) else values[found[0]]
        raise DataError(
            f"the status `{piece.text}` of censored(...) is {plain(value)!r} in row "
            f'{labels[found[0]]}: it must be "none", "left" or "right", or 0, -1 or 1 (where 1 '
            "means right-censored, and not that an event was seen)"
        )
    return numbers
