"""What is wrong with a response: what was found, where, and what is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.numerals import not_numbers
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula
from bayesmix.spread import sample_sd
from bayesmix.summed import Summed

__all__ = ["numeric_response", "refuse_constant", "refuse_where"]


def numeric_response(response: Any, formula: Formula) -> np.ndarray:
    """Return the response as float64, or say that it is not numeric, and why.

    Raises
    ------
    FormulaError
        If it is categorical or text.
    """
    expr = formula.response.text
    if isinstance(getattr(response, "dtype", None), pd.CategoricalDtype):
        raise FormulaError(
            f"the response `{expr}` is not numeric: {not_numbers(response)}",
            text=formula.text,
            start=formula.response.start,
            stop=formula.response.stop,
        )
    return np.ascontiguousarray(response, dtype=np.float64)


def refuse_constant(y: np.ndarray | Summed, formula: Formula) -> None:
    """Refuse a response of a location-scale family that is the same in all rows.

    Raises
    ------
    DataError
    """
    if isinstance(y, Summed):
        value = y.mean()
        constant = sample_sd(y) <= 1e-13 * abs(value)
    else:
        value, constant = y[0], np.ptp(y) == 0
    if constant:
        raise DataError(
            f"the response `{formula.response.text}` is constant ({value:g} in all {len(y)} "
            "rows): there is nothing to explain"
        )


def refuse_where(
    bad: np.ndarray,
    y: np.ndarray,
    formula: Formula,
    labels: pd.Index[Any] | None,
    wanted: str,
) -> None:
    """Refuse the first value that is impossible, with its row and what is wanted.

    Parameters
    ----------
    bad : ndarray of bool, shape (n,)
    y : ndarray, shape (n,)
    formula : Formula
    labels : Index, length n, optional
    wanted : str
        Such as "the poisson family wants whole numbers from 0".

    Raises
    ------
    DataError
    """
    found = np.flatnonzero(bad)
    if not found.size:
        return
    row = found[0] if labels is None else labels[found[0]]
    more = f" (and in {found.size - 1} more rows)" if found.size > 1 else ""
    raise DataError(
        f"the response `{formula.response.text}` is {y[found[0]]:.10g} in row {row}{more}: {wanted}"
    )
