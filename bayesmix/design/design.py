"""`Design`: the arrays that formulas make of a data frame, and how to make them again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Matrices
from bayesmix.design.frame import column_names, prepare_frame, taken_columns, unknown_column
from bayesmix.design.joined import joined_predictors
from bayesmix.design.likeness import like_fitted
from bayesmix.design.matrices import Columns, Functions, column_called, expression_column
from bayesmix.design.missing import MissingAction, check_finite, check_size, complete_rows
from bayesmix.design.predictor import LinearPredictor, build_predictor
from bayesmix.design.residual_rows import ResidualRows, residual_rows
from bayesmix.design.rowdata import (
    check_spread,
    counts_of_rows,
    positive_values,
    response_extras,
    row_column,
)
from bayesmix.formula import Formula

__all__ = ["Design", "build_design"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Design:
    """The arrays of a mixed model: what belongs to its rows, and its linear predictors.

    Attributes
    ----------
    predictors : mapping of str to LinearPredictor
        By parameter of the family: "mu" first, which is always there, and those that
        have a formula of their own.
    response : ndarray or Series, shape (n,)
        The left-hand side as it came; the family turns it into numbers. Counts of categories
        are a DataFrame with a column each.
    frame : DataFrame, n rows
        The columns that the formulas use, prepared, complete rows only.
    row_labels : Index, length n
        The labels these rows have in the caller's data.
    rows : ndarray of int, shape (n,), or None
        Positions of these rows in the caller's data; None if all were used.
    n_rows_given : int
        Number of rows of the caller's data.
    weights : ndarray, shape (n,), or None
        Precision weights: the residual variance of a row is sigma^2 / w.
    known_se : ndarray, shape (n,), or None
        Known residual standard errors, in units of the response.
    extras : mapping of str to ndarray, shape (n,)
        What the functions of the left-hand side give per row.
    residual : ResidualRows or None
        What the formula of the residuals says of the rows.
    kinds : DataFrame, no rows, or None
        Kinds and categories of the columns, where there is no frame of rows.
    streamed : object or None
        Where the rows are, if they are read in batches and not here: what stands in their
        places is `Summed` then.
    """

    predictors: Mapping[str, LinearPredictor]
    response: Any
    frame: pd.DataFrame
    row_labels: pd.Index[Any]
    rows: np.ndarray | None
    n_rows_given: int
    response_columns: Columns | None = None
    weights: np.ndarray | None = None
    known_se: np.ndarray | None = None
    functions: Functions = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    residual: ResidualRows | None = None
    kinds: pd.DataFrame | None = None
    streamed: Any = None

    @property
    def fitted_columns(self) -> pd.DataFrame:
        """Columns by which new ones are told to be alike; their rows do not matter."""
        return self.frame if self.kinds is None else self.kinds

    @property
    def mu(self) -> LinearPredictor:
        """The predictor of the mean, or of what stands in its place."""
        return self.predictors["mu"]

    @property
    def formula(self) -> Formula:
        """The model's formula: that of the response and of mu."""
        return self.mu.formula

    @property
    def n_obs(self) -> int:
        """Number of rows n that are used."""
        return len(self.row_labels)

    @property
    def row_positions(self) -> np.ndarray:
        """Positions of the rows in the caller's data, shape (n,)."""
        return np.arange(self.n_obs) if self.rows is None else self.rows

    @property
    def row_data(self) -> dict[str, np.ndarray]:
        """All that is given per row beside the response, each of shape (n,).

        Precision "weights" and "known_se", and what the left-hand side says with
        ``proportion``, ``censored``, ``truncated`` and ``weighted``: "trials",
        "status", "lower", "upper", "exponent".
        """
        given = {"weights": self.weights, "known_se": self.known_se}
        found = {name: values for name, values in given.items() if values is not None}
        of_residual = {} if self.residual is None else self.residual.row_data
        return found | dict(self.extras) | of_residual

    def __repr__(self) -> str:
        parts = [f"{self.n_obs} rows", *(repr(p)[1:-1] for p in self.predictors.values())]
        return f"<Design {'; '.join(parts)}>"


def build_design(
    formula: Formula,
    data: Any,
    *,
    others: Mapping[str, Formula] | None = None,
    residual: Formula | None = None,
    functions: Functions | None = None,
    missing: MissingAction = "drop",
    residual_is_estimated: bool = True,
    weights: Any = None,
    known_se: Any = None,
    drop_intercept: Collection[str] = (),
    learned: Design | None = None,
    matrices: Matrices | None = None,
    read_response: Callable[[Any, Formula, Any], Any] | None = None,
    further: Callable[[Any], Mapping[str, Formula]] | None = None,
) -> Design:
    """Evaluate formulas over a table.

    Parameters
    ----------
    formula : Formula
        The model's, with the response.
    data : pandas, polars or pyarrow table
        Never modified.
    others : mapping of str to Formula, optional
        By parameter of the family, the formulas whose right-hand sides are its predictor.
    residual : Formula, optional
        That of the residuals.
    functions : mapping of str to callable, optional
        Functions that the formulas call.
    missing : {"drop", "raise"}
        What happens to rows with a missing value in a column that is used.
    residual_is_estimated : bool
        Whether the model has a residual standard deviation to estimate, so that
        a grouping factor with a level per row is an error.
    weights, known_se : str or array_like, shape (n,), optional
        Precision weights and known residual standard errors: a column's name or
        an array.
    drop_intercept : collection of str
        Parameters whose constant column is taken out after X was coded with it: where
        thresholds stand in its place, a factor must not get a column per level.
    learned : Design, optional
        A design of the same formula and other data, whose levels, contrasts, knots,
        ranges and scales are kept, as for new rows that are predicted.
    matrices : Matrices, optional
        Known covariances between levels.
    read_response : callable, optional
        ``read_response(response, formula, learned)``: the left-hand side as the design keeps it,
        in the categories of that of other data.
    further : callable, optional
        ``further(response)``: by parameter, in order, the formulas of predictors beside mu's; those
        that are not among `others` have the columns of mu's.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If the formula does not fit the data: unknown columns, a continuous
        grouping factor, an effect that appears twice.
    DataError
        If the data cannot be used: no rows, infinite values, one level.
    """
    functions = dict(functions or {})
    known = column_names(data)
    formulas = {"mu": formula, **(others or {})}
    wanted: list[str] = []
    columns: Iterable[str]
    every = formulas if residual is None else {**formulas, "residual": residual}
    for parameter, own in every.items():
        # On the left of another formula stands a parameter.
        columns = own.columns if parameter == "mu" else own.predictor_columns
        for name in columns:
            if name not in known:
                raise unknown_column(name, known, own, data)
        wanted += columns
    given, row_labels = taken_columns(data, wanted)
    n_given = len(row_labels)
    beside = {
        argument: row_column(argument, value, data, known, n_given)
        for argument, value in (("weights", weights), ("known_se", known_se))
        if value is not None
    }
    # Under names that no column has, so that their missing values count as well.
    named = {f"{name}=": pd.Series(values, copy=False) for name, values in beside.items()}
    rows = complete_rows(given | named, n_given, missing)
    if rows is not None:
        used = pd.DataFrame(given, index=row_labels, copy=False).iloc[rows]
        given, row_labels = {str(name): own for name, own in used.items()}, used.index
    beside = {
        name: positive_values(name, values if rows is None else values[rows], row_labels)
        for name, values in beside.items()
    }
    for name, values in beside.items():
        check_spread(name, values, row_labels)
    frame = prepare_frame(given, row_labels, every.values(), first=learned is None)
    if learned is not None:
        frame = _as_learned(frame, learned, row_labels)

    response, response_columns = _response(formula, frame, functions, row_labels, learned)
    if read_response is not None:
        of_other = None if learned is None else learned.response
        response = read_response(response, formula, of_other)
    if getattr(getattr(response, "dtype", None), "kind", "O") == "f":
        values = np.asarray(response)[:, None]
        check_finite(values, (formula.response.text,), row_labels, "the response")
        check_size(values, (formula.response.text,), "the response")
    extras = response_extras(formula, frame, functions, row_labels)
    predictors = {
        parameter: build_predictor(
            parameter,
            own,
            frame,
            functions,
            row_labels,
            # An effect of each row competes with a residual around mu, and around nothing else.
            residual_is_estimated=residual_is_estimated and parameter == "mu",
            drop_intercept=parameter in drop_intercept,
            learned=None if learned is None else learned.predictors[parameter],
            matrices=matrices,
        )
        for parameter, own in formulas.items()
    }
    asked = {} if further is None else further(response)
    if asked:
        predictors = {
            name: predictors.get(name) or replace(predictors["mu"], parameter=name, formula=own)
            for name, own in {"mu": formula, **asked}.items()
        }
    return Design(
        predictors=joined_predictors(predictors),
        response=response,
        response_columns=response_columns,
        weights=beside.get("weights"),
        known_se=beside.get("known_se"),
        frame=frame,
        row_labels=row_labels,
        rows=rows,
        n_rows_given=n_given,
        functions=functions,
        extras=extras,
        residual=None if residual is None else residual_rows(
            residual, frame, row_labels, None if learned is None else learned.residual,
            predictors["mu"].grouping,
        ),
    )  # fmt: skip


def _as_learned(frame: pd.DataFrame, learned: Design, labels: pd.Index[Any]) -> pd.DataFrame:
    """Give columns the levels that they had; those that only name groups have new ones."""
    formulas = [predictor.formula for predictor in learned.predictors.values()]
    formulas += [] if learned.residual is None else [learned.residual.formula]
    free = _columns_of(formulas, "group") - _columns_of(formulas, "fixed", "effect", "offset")
    return frame.assign(
        **{
            name: like_fitted(frame[name], learned.fitted_columns[name], labels)
            for name in frame.columns
            if name not in free
        }
    )


def _response(
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    learned: Design | None,
) -> tuple[Any, Columns | None]:
    """The left-hand side, and where it is an expression how it is built."""
    if formula.counts:
        return counts_of_rows(formula, frame, functions, labels), None
    expr = formula.response.expr
    name = column_called(expr, frame)
    if name is not None:
        return frame[name], None
    if learned is not None and learned.response_columns is not None:
        return learned.response_columns.build(frame)[:, 0], learned.response_columns
    columns, values = expression_column(expr, frame, functions)
    return values, columns


def _columns_of(formulas: Sequence[Formula], *roles: str) -> set[str]:
    """Columns that are used in any of the roles by any of the formulas."""
    return {name for formula in formulas for name in formula.columns_of(*roles)}
