"""What is given per row beside the formula: precision weights, known standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.frame import select_columns
from bayesmix.errors import DataError

__all__ = ["positive_values", "row_column"]


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
            raise DataError(f"{argument}={value!r}: the data have no such column")
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
