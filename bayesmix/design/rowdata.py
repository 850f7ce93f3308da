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

__all__ = [
    "check_spread", "counts_of_rows", "in_order_of", "positive_values", "response_extras",
    "row_column",
]  # fmt: skip

_LEAST, _MOST = 1e-100, 1e100  # their squares are numbers still
_RATIO = 1e16  # of precisions: more than a sum in double precision can hold
_AS_STATUS = {"event": "status"}  # two ways to say which values were seen
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
        If there is no such column, the array has another length or kind, or a Series
        has other labels than the data.
    """
    if isinstance(value, str):
        if value not in known:
            advice = which_columns(value, known, data)
            raise DataError(f"{argument}={value!r}: the data have no such column; {advice}")
        column = select_columns(data, [value])[value]
    else:
        given = np.asarray(value)
        if given.shape != (n_rows,):
            raise DataError(f"{argument} has shape {given.shape}, the data have {n_rows} rows")
        if isinstance(value, pd.Series) and isinstance(data, pd.DataFrame):
            given = np.asarray(in_order_of(data.index, value, argument))
        column = pd.Series(given)
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{argument} is not numeric: {error}") from error


def in_order_of(index: pd.Index[Any], values: pd.Series[Any], argument: str) -> pd.Series[Any]:
    """Put a Series into the order of the data's labels, as pandas does.

    Raises
    ------
    DataError
        If it has a label that is none of the data's, or labels that occur twice in another order.
    """
    if values.index.equals(index):
        return values
    advice = f"for values in the order of the rows give {argument}=values.to_numpy()"
    strange = np.flatnonzero(~values.index.isin(index))
    if strange.size:
        raise DataError(
            f"{argument} is a Series with the label {values.index[strange[0]]!r}, which is no row "
            f"label of the data; {advice}"
        )
    if not (values.index.is_unique and index.is_unique):
        raise DataError(
            f"{argument} is a Series in another order than the data, and labels that occur twice "
            f"do not say which row is which; {advice}"
        )
    return values.reindex(index)


def positive_values(argument: str, values: np.ndarray, labels: pd.Index[Any]) -> np.ndarray:
    """Check that the values that are used are positive, and no further from 1 than 1e100.

    Raises
    ------
    DataError
        Naming the row and the value.
    """
    bad = np.flatnonzero(~((values >= _LEAST) & (values <= _MOST)))
    if bad.size:
        value = values[bad[0]]
        wanted = "above zero and finite"
        if value > 0 and np.isfinite(value):
            wanted = f"between {_LEAST:g} and {_MOST:g}, so change its unit"
        raise DataError(f"{argument} is {value:g} in row {labels[bad[0]]}: it must be {wanted}")
    return np.ascontiguousarray(values)


def check_spread(argument: str, values: np.ndarray, labels: pd.Index[Any]) -> None:
    """Refuse weights so different that the lesser are lost in rounding.

    Raises
    ------
    DataError
        Naming the rows with the least and the largest.
    """
    least, most = int(values.argmin()), int(values.argmax())
    limit = _RATIO**0.5 if argument == "known_se" else _RATIO
    if values[most] > limit * values[least]:
        raise DataError(
            f"{argument} goes from {values[least]:g} in row {labels[least]} to {values[most]:g} in "
            f"row {labels[most]}: beyond a ratio of {limit:.0e} rows count for nothing "
            "beside others; correct them or leave such rows out"
        )


def counts_of_rows(
    formula: Formula, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any]
) -> pd.DataFrame:
    """Evaluate the counts of categories that the left-hand side names.

    Parameters
    ----------
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
    labels : Index, length n
        Labels of the rows in the caller's data, for the message.

    Returns
    -------
    DataFrame of float
        A column for each.

    Raises
    ------
    DataError
        Naming the row and the value that is no whole number from 0, or a row of zeros.
    """
    found = {}
    for piece in formula.counts:
        values: Any = expression_values(piece.expr, frame, functions)
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            raise DataError(
                f"the counts `{piece.text}` hold text, such as {values.iloc[0]!r}; whole numbers "
                "from 0 are wanted"
            )
        numbers = np.asarray(values, dtype=np.float64)
        good = (numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers)
        bad = np.flatnonzero(~good)
        if bad.size:
            raise DataError(
                f"the counts `{piece.text}` are {numbers[bad[0]]:.10g} in row {labels[bad[0]]}: "
                "whole numbers from 0 are wanted"
            )
        found[piece.text] = numbers
    counts = pd.DataFrame(found)
    empty = np.flatnonzero(counts.sum(axis=1) == 0)
    if empty.size:
        more = f" (and in {empty.size - 1} more rows)" if empty.size > 1 else ""
        raise DataError(
            f"all counts of `{formula.response.text}` are zero in row {labels[empty[0]]}{more}: "
            "such a row says nothing; leave it out"
        )
    return counts


def response_extras(
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    *,
    whole_trials: bool = True,
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
    whole_trials : bool, default True
        Whether numbers of trials must be whole. Counts are of whole numbers of trials; an
        expected count is not, and slopes and grids have trials between them where a
        predictor is their number.

    Returns
    -------
    dict of str to ndarray of float, shape (n,)
        Those of "trials", "status" (-1, 0, 1), "lower", "upper" and "exponent" that
        the formula writes.

    Raises
    ------
    DataError
        Naming the row and the value, if one is impossible.
    """
    return {
        _AS_STATUS.get(name, name): np.ascontiguousarray(
            _extra(name, piece, frame, functions, labels, whole_trials)
        )
        for name, piece in formula.extras.items()
    }


def _extra(
    name: str,
    piece: Piece,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    whole_trials: bool,
) -> np.ndarray:
    try:
        values: Any = np.full(len(frame), float(piece.expr))
    except ValueError:
        values = expression_values(piece.expr, frame, functions)
    if name == "status":
        return _status(values, piece, labels)
    if name == "event":
        return _status_of_events(values, piece, labels)
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        raise DataError(
            f"the {_WORDS[name]} `{piece.text}` hold text, such as {values.iloc[0]!r}; "
            "numbers are wanted"
        )
    numbers = np.asarray(values, dtype=np.float64)
    bad = np.isnan(numbers)
    wanted = "a number is wanted"
    if name == "trials":
        whole = (numbers == np.floor(numbers)) | (not whole_trials)
        bad = ~((numbers >= 0) & whole & np.isfinite(numbers))
        wanted = f"{'whole ' if whole_trials else ''}numbers from 0 are wanted"
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
            "means right-censored; where 1 means that an event was seen, as in R's Surv, write "
            "event(time, status))"
        )
    return numbers


def _status_of_events(values: Any, piece: Piece, labels: pd.Index[Any]) -> np.ndarray:
    """Return 0 where an event was seen and 1, right-censored, where it was not."""
    text = isinstance(getattr(values, "dtype", None), pd.CategoricalDtype)
    numbers = np.full(len(values), np.nan) if text else np.asarray(values, dtype=np.float64)
    found = np.flatnonzero(~np.isin(numbers, (0.0, 1.0)))
    if not found.size:
        return 1.0 - numbers
    value = plain(values.iloc[found[0]] if isinstance(values, pd.Series) else values[found[0]])
    advice = f'for text write which value is an event: event(time, {piece.text} == "...")'
    if not text:
        advice = "rows whose status is something else are for another model"
    if set(np.unique(numbers)) <= {1.0, 2.0}:
        advice = f"where 2 is an event and 1 is not, write event(time, {piece.text} == 2)"
    raise DataError(
        f"the status `{piece.text}` of event(...) is {value!r} in row {labels[found[0]]}: it must "
        f"be 1 (or True) where an event was seen and 0 (or False) where the time is "
        f"right-censored; {advice}"
    )
