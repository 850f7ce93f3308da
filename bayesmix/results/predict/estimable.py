"""Which predictions the data do not determine: these are NaN, with one warning that says why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import plain
from bayesmix.design import Design, LinearPredictor
from bayesmix.errors import OWN_FILES, NotEstimableWarning
from bayesmix.laws.rows import Rows

__all__ = [
    "draws_without_lost",
    "draws_without_unknown",
    "quietly",
    "unknown_rows",
    "warn_not_estimable",
    "without_lost",
    "without_unknown",
]

_MOST = 3  # reasons that are named


def unknown_rows(predictor: LinearPredictor, rows: Rows) -> np.ndarray | None:
    """Find the rows whose fixed part is no function of the estimable coefficients.

    Parameters
    ----------
    predictor : LinearPredictor
    rows : Rows

    Returns
    -------
    ndarray of bool, shape (n, m), or None
        By row and left-out column, whether the row departs there from what the column
        is in the data; None where no row does.
    """
    if predictor.aliasing is None or rows.left_out is None:
        return None
    found = predictor.aliasing.of_rows(rows.X, rows.left_out).found
    return found if found.any() else None


def without_unknown(
    table: pd.DataFrame, design: Design, rows: Rows, parameter: str = "mu"
) -> pd.DataFrame:
    """Set predictions that the data do not determine to NaN, and warn once.

    Parameters
    ----------
    table : DataFrame
        With a row per row, or a row per row and category.
    design : Design
    rows : Rows
        Those of the other predictors that play a part are among them.
    parameter : str
        Whose linear predictor they are of.

    Warns
    -----
    NotEstimableWarning
    """
    unknown = _all_unknown(design, rows, parameter)
    if unknown is None:
        return table
    columns = [c for c in table.columns if c != "category" or rows.n_rows == len(table)]
    table = table.copy()
    for name in columns:
        table[name] = table[name].mask(np.repeat(unknown, len(table) // rows.n_rows))
    return table


def draws_without_unknown(
    draws: np.ndarray, design: Design, rows: Rows, parameter: str = "mu"
) -> np.ndarray:
    """Set the draws of such rows to NaN, shape (S, n) or (S, n, K), and warn once."""
    unknown = _all_unknown(design, rows, parameter)
    if unknown is not None:
        draws[:, unknown] = np.nan
    return draws


def without_lost(table: pd.DataFrame, rows: Rows, lost: np.ndarray) -> pd.DataFrame:
    """Set spreads of predicted categories to NaN in rows that rest on what nothing is known of."""
    if lost.any():
        table = table.copy()
        for name in {"sd", "lower", "upper"} & set(table.columns):
            table[name] = table[name].mask(np.repeat(lost, len(table) // rows.n_rows))
    return table


def draws_without_lost(draws: np.ndarray, rows: Rows, lost: np.ndarray, why: str) -> np.ndarray:
    """Set the draws of rows to NaN whose uncertainty is not known, and warn once.

    Parameters
    ----------
    draws : ndarray, shape (S, n) or (S, n, K)
        Overwritten.
    rows : Rows
    lost : ndarray of bool, shape (n,)
    why : str

    Returns
    -------
    ndarray
    """
    if lost.any():
        draws[:, lost] = np.nan
        at = np.flatnonzero(lost)
        warnings.warn(
            f"NaN for the draws of {_rows_in_words(rows, at)}: {why}",
            NotEstimableWarning, skip_file_prefixes=OWN_FILES,
        )  # fmt: skip
    return draws


def _all_unknown(design: Design, rows: Rows, parameter: str) -> np.ndarray | None:
    """Which rows some predictor leaves open, with a warning for each that does."""
    unknown = None
    for name, own in {parameter: rows, **rows.others}.items():
        found = unknown_rows(design.predictors[name], own)
        if found is not None:
            _warn_of_rows(design.predictors[name], rows, found)
            unknown = found.any(axis=1) if unknown is None else unknown | found.any(axis=1)
    return unknown


def warn_not_estimable(what: str, predictor: LinearPredictor, columns: np.ndarray) -> None:
    """Warn that something is NaN, and why.

    Parameters
    ----------
    what : str
        Such as "3 of 10 rows, the first of them row 4".
    predictor : LinearPredictor
    columns : ndarray of bool
        By left-out column, whether it is a reason.
    """
    aliasing = predictor.aliasing
    assert aliasing is not None  # noqa: S101
    reasons = [reason for reason, is_one in zip(aliasing.reasons, columns, strict=True) if is_one]
    more = f", and {len(reasons) - _MOST} more such columns" if len(reasons) > _MOST else ""
    warnings.warn(
        f"NaN for {what}, which the data do not determine: {'; '.join(reasons[:_MOST])}{more}, and "
        "not so where it is asked for; ask for values that go together as in the data, or leave "
        "one of such terms out of the formula",
        NotEstimableWarning,
        skip_file_prefixes=OWN_FILES,
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Say nothing of what is not estimable, because it was said before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotEstimableWarning)
        yield


def _warn_of_rows(predictor: LinearPredictor, rows: Rows, found: np.ndarray) -> None:
    unknown = np.flatnonzero(found.any(axis=1))
    warn_not_estimable(_rows_in_words(rows, unknown), predictor, found.any(axis=0))


def _rows_in_words(rows: Rows, at: np.ndarray) -> str:
    """Say how many predictions, and of which rows."""
    labels: Sequence[Any] = rows.labels[at[:_MOST]].tolist()
    shown = ", ".join(str(plain(label)) for label in labels)
    more = ", ..." if len(at) > _MOST else ""
    return f"{len(at)} of {rows.n_rows} predictions (row{'s' * (len(at) > 1)} {shown}{more})"
