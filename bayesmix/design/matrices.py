"""Terms of a formula become columns of a matrix, and the same again for new data."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.errors import DataMismatchWarning
from formulaic.parser.types import Factor, Term

from bayesmix.design.evaluation import EvaluationError
from bayesmix.design.materializer import Materializer
from bayesmix.design.numerals import not_numbers
from bayesmix.design.plain import plain_matrix, unbuilt_spec
from bayesmix.design.unseen import beyond_range, unseen_level
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula.quoting import decode, encode

__all__ = [
    "Columns", "OtherColumns", "build_columns", "column_called", "expression_column",
    "expression_values",
]  # fmt: skip

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Terms with what they learned from the data they were first built on.

    Attributes
    ----------
    spec : formulaic ModelSpec
        The terms, the state of their transforms and the levels of their factors.
    names : tuple of str, length k
        Names of the columns; the constant is called ``Intercept``.
    functions : mapping
        The caller's functions that the terms use.
    """

    spec: ModelSpec
    names: tuple[str, ...]
    functions: Functions

    def build(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Build the columns for a frame.

        Parameters
        ----------
        frame : DataFrame, n rows
            Prepared columns, without missing values.
        labels : Index, length n, optional
            The labels of the rows in the caller's data, for messages.

        Returns
        -------
        ndarray, shape (n, k)

        Raises
        ------
        DataError
            If a factor has a level that it did not have before, a value is beyond a
            spline's range, or an expression cannot be evaluated.
        """
        return _matrix(self.spec, frame, self.functions, labels)[0]

    def columns_of_terms(self) -> dict[str, list[int]]:
        """Positions of the columns that each term made."""
        return {decode(str(term)): list(at) for term, at in self.spec.term_indices.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherColumns:
    """Columns of another predictor's effects, which are zero here.

    Attributes
    ----------
    names : tuple of str, length k
    """

    names: tuple[str, ...]

    def build(
        self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None
    ) -> np.ndarray:  # fmt: skip
        """Return zeros, shape (n, k)."""
        return np.zeros((len(frame), len(self.names)))


def build_columns(
    terms: Sequence[Term], frame: pd.DataFrame, functions: Functions
) -> tuple[Columns, np.ndarray]:
    """Build the columns of `terms` and remember how.

    Parameters
    ----------
    terms : sequence of formulaic Term
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable

    Returns
    -------
    Columns
    ndarray, shape (n, k)
        The matrix, in double precision.

    Raises
    ------
    FormulaError
        If an expression cannot be evaluated, or two columns have one name.
    """
    try:
        made = plain_matrix(terms, frame)
        values, fitted = made or _matrix(unbuilt_spec(terms), frame, functions)
    except DataError as error:
        raise FormulaError(str(error)) from error.__cause__
    names = tuple(decode(str(name)) for name in fitted.column_names)
    for term, at in fitted.term_indices.items():
        if not at:
            raise FormulaError(
                f"the term `{decode(str(term))}` makes no column: a factor needs two levels"
            )
    for name in names:
        if names.count(name) > 1:
            raise FormulaError(f"two columns of the design are called `{name}`; rename one")
    return Columns(spec=fitted, names=names, functions=functions), values


def expression_values(expr: str, frame: pd.DataFrame, functions: Functions) -> Any:
    """Evaluate one checked expression and leave its kind as it is.

    Parameters
    ----------
    expr : str
        A column's name or an expression.
    frame : DataFrame
    functions : mapping of str to callable

    Returns
    -------
    ndarray or Series
        Numbers, booleans or a categorical, one per row.
    """
    name = column_called(expr, frame)
    return expression_column(expr, frame, functions)[1] if name is None else frame[name]


def column_called(expr: str, frame: pd.DataFrame) -> str | None:
    """Return the name of the column that an expression is; None where it is another one."""
    return next((name for name in frame.columns.tolist() if encode(name) == expr), None)


def expression_column(
    expr: str, frame: pd.DataFrame, functions: Functions
) -> tuple[Columns, np.ndarray]:
    """Evaluate one checked expression that makes one column of numbers, and remember how.

    Parameters
    ----------
    expr : str
    frame : DataFrame, n rows
    functions : mapping of str to callable

    Returns
    -------
    Columns
    ndarray, shape (n,)
    """
    columns, values = build_columns([Term([Factor(expr, eval_method="python")])], frame, functions)
    if values.shape[1] != 1:
        raise FormulaError(f"`{decode(expr)}` makes {values.shape[1]} columns where one is needed")
    return columns, values[:, 0]


def _matrix(
    spec: ModelSpec,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any] | None = None,
) -> tuple[np.ndarray, ModelSpec]:
    """Evaluate with formulaic; its errors and its silences become named errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        warnings.filterwarnings("ignore", module="formulaic", category=FutureWarning)
        warnings.filterwarnings("ignore", module="formulaic", category=DeprecationWarning)
        # What is not finite is named later, with its column and row.
        with np.errstate(all="ignore"):
            warnings.filterwarnings("ignore", category=RuntimeWarning)
            encoded = frame.set_axis([encode(name) for name in frame.columns], axis=1)
            try:
                made = Materializer(encoded, functions, bounded=spec.structure is None)
                matrix = made.get_model_matrix(spec)
            except EvaluationError as error:  # in our own words
                raise DataError(str(error)) from error
            except DataMismatchWarning as error:
                message = _clean(str(error)).split(" They are being")[0]
                found = unseen_level(spec, frame, functions, labels)
                raise found or DataError(message) from error
            # Whatever the user's own functions, or formulaic for odd arguments, may raise.
            except Exception as error:
                if "beyond upper and/or lower bounds" in str(error):
                    beyond = beyond_range(spec, frame, functions, labels)
                    if beyond is not None:
                        raise beyond from error
                message = _clean(str(error) or type(error).__name__)
                raise DataError(message + _text_in(message, frame)) from error
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(frame):
        raise DataError(
            f"a function of the formula gave {len(values)} values for {len(frame)} rows"
        )
    return values, matrix.model_spec


def _text_in(message: str, frame: pd.DataFrame) -> str:
    """Say which of the columns that a message names hold no numbers."""
    expr = message.partition("[")[0]
    found = [
        f"; column `{name}`: {not_numbers(frame[name])}"
        for name in frame.columns
        if isinstance(frame[name].dtype, pd.CategoricalDtype)
        and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", expr)
    ]
    return "".join(found)


def _clean(message: str) -> str:
    return decode(message).replace("factor `", "`").strip()
