"""`Design`: the arrays that a formula makes of a data frame, and how to make them again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design.aliasing import Aliasing, aliasing
from bayesmix.design.checks import check_sizes
from bayesmix.design.frame import column_names, prepare_frame, select_columns, unknown_column
from bayesmix.design.groups import GroupingFactor, build_grouping_factors
from bayesmix.design.identified import check_identified
from bayesmix.design.likeness import like_fitted
from bayesmix.design.matrices import (
    Columns,
    Functions,
    build_columns,
    expression_column,
    expression_values,
)
from bayesmix.design.missing import MissingAction, check_finite, check_size, complete_rows
from bayesmix.design.numerals import not_numbers
from bayesmix.design.rank import aliased_columns
from bayesmix.design.rowdata import check_spread, positive_values, response_extras, row_column
from bayesmix.errors import OWN_FILES, DataError, DataWarning, FormulaError
from bayesmix.formula import Formula
from bayesmix.formula.quoting import encode

__all__ = ["Design", "build_design"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Design:
    """The arrays of a mixed model: y, X, and for each grouping factor index and Z.

    Memory grows with n (p + q): no array has a column per level.

    Attributes
    ----------
    formula : Formula
    response : ndarray or Series, shape (n,)
        The left-hand side as it came; the family turns it into numbers.
    X : ndarray, shape (n, p)
        Columns of the fixed effects, without the aliased ones.
    fixed_effects : tuple of str, length p
        Their names.
    aliased : tuple of str
        Columns that were left out because earlier columns already span them.
    terms : mapping of str to tuple of str
        For each fixed term of the formula, the names of its columns in `X`.
    offset : ndarray, shape (n,), or None
        Sum of the ``offset(...)`` terms, on the scale of the linear predictor.
    groups : tuple of GroupingFactor
    frame : DataFrame, n rows
        The columns that the formula uses, prepared, complete rows only.
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
    predictor_means : ndarray, shape (p,), or None
        Where the default prior of the intercept holds, if not at the means of X: those
        of the whole data, of which these are some rows.
    aliasing : Aliasing or None
        What the left-out columns are in the data; None where none was left out.
    """

    formula: Formula
    response: Any
    X: np.ndarray
    fixed_effects: tuple[str, ...]
    aliased: tuple[str, ...]
    terms: Mapping[str, tuple[str, ...]]
    offset: np.ndarray | None
    groups: tuple[GroupingFactor, ...]
    frame: pd.DataFrame
    row_labels: pd.Index[Any]
    rows: np.ndarray | None
    n_rows_given: int
    fixed_columns: Columns
    aliasing: Aliasing | None = None
    offset_columns: tuple[Columns, ...] = ()
    response_columns: Columns | None = None
    weights: np.ndarray | None = None
    known_se: np.ndarray | None = None
    functions: Functions = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    predictor_means: np.ndarray | None = None

    @property
    def n_obs(self) -> int:
        """Number of rows n that are used."""
        return len(self.X)

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
        return {name: values for name, values in given.items() if values is not None} | dict(
            self.extras
        )

    @property
    def has_intercept(self) -> bool:
        """Whether X holds the constant column that the formula's intercept makes."""
        return "Intercept" in self.fixed_effects and self.formula.has_intercept

    @property
    def means(self) -> np.ndarray:
        """The predictors' means, at which the default prior of the intercept holds, shape (p,)."""
        if self.predictor_means is not None:
            return self.predictor_means
        return np.asarray([column.mean() for column in self.X.T], dtype=np.float64)

    @property
    def all_fixed_columns(self) -> tuple[str, ...]:
        """Names of the columns of X with the aliased ones among them, in order."""
        known = {*self.fixed_effects, *self.aliased}
        return tuple(name for name in self.fixed_columns.names if name in known)

    def group(self, name: str) -> GroupingFactor:
        """Return the grouping factor called `name`."""
        for group in self.groups:
            if group.name == name:
                return group
        known = [group.name for group in self.groups]
        listed = ", ".join(f"`{known}`" for known in known) or "none"
        near = did_you_mean(name, known, "`")
        raise DataError(f"there is no grouping factor `{name}`; {near}there are {listed}")

    def __repr__(self) -> str:
        parts = [f"{self.n_obs} rows, {len(self.fixed_effects)} fixed effects"]
        parts += [f"{g.name}: {g.n_levels} levels x {g.n_effects}" for g in self.groups]
        return f"<Design {'; '.join(parts)}>"


def build_design(
    formula: Formula,
    data: Any,
    *,
    functions: Functions | None = None,
    missing: MissingAction = "drop",
    residual_is_estimated: bool = True,
    weights: Any = None,
    known_se: Any = None,
    drop_intercept: bool = False,
    learned: Design | None = None,
) -> Design:
    """Evaluate a formula over a table.

    Parameters
    ----------
    formula : Formula
    data : pandas, polars or pyarrow table
        Never modified.
    functions : mapping of str to callable, optional
        Functions that the formula calls.
    missing : {"drop", "raise"}
        What happens to rows with a missing value in a column that is used.
    residual_is_estimated : bool
        Whether the model has a residual standard deviation to estimate, so that
        a grouping factor with a level per row is an error.
    weights, known_se : str or array_like, shape (n,), optional
        Precision weights and known residual standard errors: a column's name or
        an array.
    drop_intercept : bool
        Whether the constant column is taken out after X was coded with it: where
        thresholds stand in its place, a factor must not get a column per level.
    learned : Design, optional
        A design of the same formula and other data, whose levels, contrasts, knots,
        ranges and scales are kept, as for new rows that are predicted.

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
    for name in formula.columns:
        if name not in known:
            raise unknown_column(name, known, formula, data)
    given = select_columns(data, formula.columns)
    beside = {
        argument: row_column(argument, value, data, known, len(given))
        for argument, value in (("weights", weights), ("known_se", known_se))
        if value is not None
    }
    # Under names that no column has, so that their missing values count as well.
    extended = given.assign(**{f"{name}=": values for name, values in beside.items()})
    rows = complete_rows(extended, missing)
    used = given if rows is None else given.iloc[rows]
    row_labels = used.index
    used = used.reset_index(drop=True)
    beside = {
        name: positive_values(name, values if rows is None else values[rows], row_labels)
        for name, values in beside.items()
    }
    for name, values in beside.items():
        check_spread(name, values, row_labels)
    frame = prepare_frame(used, formula, first=learned is None)
    if learned is not None:
        frame = _as_learned(frame, learned, row_labels)

    response, response_columns = _response(formula, frame, functions, learned)
    if getattr(response.dtype, "kind", "O") == "f":
        values = np.asarray(response)[:, None]
        check_finite(values, (formula.response.text,), row_labels, "the response")
        check_size(values, (formula.response.text,), "the response")
    extras = response_extras(formula, frame, functions, row_labels)
    if learned is None:
        fixed = build_columns(formula.fixed, frame, functions)
    else:
        fixed = learned.fixed_columns, learned.fixed_columns.build(frame, row_labels)
    columns, X = fixed
    check_finite(X, columns.names, row_labels, "the fixed effect")
    check_size(X, columns.names, "the fixed effect")
    known_groups = () if learned is None else learned.groups
    groups = build_grouping_factors(formula, frame, functions, fixed, known_groups)
    for group in groups:
        check_finite(group.Z, group.effects, row_labels, f"the effect by `{group.name}`")
        check_size(group.Z, group.effects, f"the effect by `{group.name}`")
    kept, aliased = _full_rank(X, columns)
    known_offsets = () if learned is None else learned.offset_columns
    offset, offset_columns = _offset(formula, frame, functions, row_labels, known_offsets)
    full_rank = X[:, kept] if aliased else X
    independent = kept
    if drop_intercept:
        kept = [j for j in kept if columns.names[j] != "Intercept"]
    check_sizes(len(X), len(kept), groups, residual_is_estimated=residual_is_estimated)
    names = tuple(columns.names[j] for j in kept)
    combined = aliasing(X, columns.names, kept, independent) if aliased else None
    X = full_rank if len(kept) == full_rank.shape[1] else X[:, kept]
    groups = tuple(replace(group, fixed_column=_fixed_columns(group, X, names)) for group in groups)
    check_identified(groups, full_rank, formula)
    return Design(
        formula=formula,
        response=response,
        X=X,
        fixed_effects=names,
        aliased=aliased,
        terms={
            term: tuple(columns.names[j] for j in at if j in kept)
            for term, at in columns.columns_of_terms().items()
        },
        offset=offset,
        offset_columns=offset_columns,
        response_columns=response_columns,
        groups=groups,
        weights=beside.get("weights"),
        known_se=beside.get("known_se"),
        frame=frame,
        row_labels=row_labels,
        rows=rows,
        n_rows_given=len(given),
        fixed_columns=columns,
        aliasing=combined,
        functions=functions,
        extras=extras,
        predictor_means=None if learned is None else _means_of(names, X, learned),
    )


def _as_learned(frame: pd.DataFrame, learned: Design, labels: pd.Index[Any]) -> pd.DataFrame:
    """Give columns the levels that they had; those that only name groups have new ones."""
    formula = learned.formula
    free = set(formula.columns_of("group")) - set(formula.columns_of("fixed", "effect", "offset"))
    return frame.assign(
        **{
            name: like_fitted(frame[name], learned.frame[name], labels)
            for name in frame.columns
            if name not in free
        }
    )


def _response(
    formula: Formula, frame: pd.DataFrame, functions: Functions, learned: Design | None
) -> tuple[Any, Columns | None]:
    """The left-hand side, and where it is an expression how it is built."""
    expr = formula.response.expr
    if any(encode(name) == expr for name in frame.columns):
        return expression_values(expr, frame, functions), None
    if learned is not None and learned.response_columns is not None:
        return learned.response_columns.build(frame)[:, 0], learned.response_columns
    columns, values = expression_column(expr, frame, functions)
    return values, columns


def _means_of(names: tuple[str, ...], X: np.ndarray, learned: Design) -> np.ndarray:
    known = dict(zip(learned.fixed_effects, learned.means.tolist(), strict=True))
    return np.asarray(
        [known.get(name, column.mean()) for name, column in zip(names, X.T, strict=True)],
        dtype=np.float64,
    )


def _fixed_columns(
    group: GroupingFactor, X: np.ndarray, names: tuple[str, ...]
) -> tuple[int | None, ...]:
    """For each effect the fixed effect of the same term, be it written x:z or z:x."""
    parts = [sorted(name.split(":")) for name in names]
    found: list[int | None] = []
    for k, effect in enumerate(group.effects):
        same = [j for j, part in enumerate(parts) if part == sorted(effect.split(":"))]
        same = [j for j in same if np.array_equal(X[:, j], group.Z[:, k])]
        found.append(same[0] if same else None)
    return tuple(found)


def _full_rank(X: np.ndarray, columns: Columns) -> tuple[list[int], tuple[str, ...]]:
    """Positions of the columns to keep, and the names of the others."""
    everything = list(range(X.shape[1]))
    # With more columns than rows only the priors can tell them apart: all stay.
    if X.shape[1] >= len(X):
        return everything, ()
    dropped = set(aliased_columns(X).tolist())
    if not dropped:
        return everything, ()
    names = tuple(columns.names[j] for j in sorted(dropped))
    warnings.warn(
        f"left out because earlier columns already determine them: {', '.join(names)}",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )
    return [j for j in everything if j not in dropped], names


def _offset(
    formula: Formula, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any],
    learned: tuple[Columns, ...] = (),
) -> tuple[np.ndarray | None, tuple[Columns, ...]]:  # fmt: skip
    if not formula.offsets:
        return None, ()
    total = np.zeros(len(frame))
    columns = []
    for k, piece in enumerate(formula.offsets):
        values = expression_values(piece.expr, frame, functions)
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            raise FormulaError(
                f"offset({piece.text}) is not numeric: {not_numbers(values)}",
                text=formula.text,
                start=piece.start,
                stop=piece.stop,
            )
        if learned:
            column, numbers = learned[k], learned[k].build(frame, labels)[:, 0]
        else:
            column, numbers = expression_column(piece.expr, frame, functions)
        check_finite(numbers[:, None], (f"offset({piece.text})",), labels, "the term")
        total += numbers
        columns.append(column)
    return total, tuple(columns)
