"""A fitted design meets new data: the same columns, known levels, nothing learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.design import Design
from bayesmix.design.frame import column_names, select_columns
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.likeness import like_fitted
from bayesmix.design.membership import MembershipColumns
from bayesmix.design.missing import check_finite
from bayesmix.design.numerals import warn_of_other_numerals
from bayesmix.design.predictor import LinearPredictor
from bayesmix.design.smooths import warn_of_extrapolation
from bayesmix.errors import DataError

__all__ = ["DesignRows", "design_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignRows:
    """The arrays of one linear predictor for new rows.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    left_out : ndarray, shape (n, P - p), or None
        The formula's other columns, where some were left out as aliased.
    Z : mapping of str to ndarray, shape (n, q)
        By grouping factor; of smooths only where effects were not asked for.
    index : mapping of str to ndarray of int32, shape (n,)
        By grouping factor; -1 where the level is new or missing, 0 for smooths. Of smooths
        only where levels were not asked for.
    new_levels : mapping of str to ndarray of object
        By grouping factor, the label of each row whose index is -1, in order; None
        where it is missing.
    offset : ndarray, shape (n,), or None
    row_labels : Index, length n
        The labels of the rows in the caller's data.
    """

    X: np.ndarray
    left_out: np.ndarray | None
    Z: Mapping[str, np.ndarray]
    index: Mapping[str, np.ndarray]
    new_levels: Mapping[str, np.ndarray]
    offset: np.ndarray | None
    row_labels: pd.Index[Any]


def design_rows(
    design: Design,
    data: Any,
    *,
    parameter: str = "mu",
    effects: bool = True,
    levels: bool = True,
) -> DesignRows:
    """Build the arrays of a fitted linear predictor for new data.

    Parameters
    ----------
    design : Design
    data : pandas, polars or pyarrow table
        Needs the columns of the right-hand side only; others are ignored.
    parameter : str
        Whose predictor.
    effects : bool
        Whether the columns that vary by group are needed.
    levels : bool
        Whether the columns that hold the levels are needed.

    Returns
    -------
    DesignRows

    Raises
    ------
    DataError
        If a column is missing from the data, has another type than in fitting,
        a missing value, or a level that the fitted factor does not have.

    Warns
    -----
    DataWarning
        If a level of a grouping factor is new only in how its number is written.
    """
    predictor = design.predictors[parameter]
    formula = predictor.formula
    known = column_names(data)
    roles = ("fixed", "effect", "offset") if effects else ("fixed", "offset")
    needed = formula.columns_of(*roles)
    members = _members(predictor) if effects else ()
    grouping = formula.columns_of("group") if levels else ()
    for name in (*needed, *members, *grouping):
        if name not in known:
            advice = ""
            if name in grouping and name not in needed:
                advice = (
                    " (fill it with None for groups that are not known, or predict with "
                    'groups="population")'
                )
            raise DataError(
                f"the new data have no column `{name}`, which the model "
                f"`{formula}` needs{advice}; there are {', '.join(known[:12]) or 'none'}"
            )
    given = select_columns(data, tuple(dict.fromkeys((*needed, *members, *grouping))))
    labels = given.index
    given = given.reset_index(drop=True)
    frame = pd.DataFrame(
        {name: like_fitted(given[name], design.fitted_columns[name], labels) for name in needed},
        index=given.index,
    )
    frame = frame.assign(**{name: given[name] for name in members})
    X = predictor.fixed_columns.build(frame, labels)
    left_out = None
    if X.shape[1] > len(predictor.fixed_effects):
        if predictor.aliasing is not None:
            check_finite(X, predictor.fixed_columns.names, labels, "the fixed effect")
            others = [n for n in predictor.fixed_columns.names if n not in predictor.fixed_effects]
            left_out = X[:, [predictor.fixed_columns.names.index(name) for name in others]]
        X = X[:, [predictor.fixed_columns.names.index(name) for name in predictor.fixed_effects]]
    check_finite(X, predictor.fixed_effects, labels, "the fixed effect")
    warn_of_extrapolation([one for one in predictor.smooths if effects or not one.at_levels], frame)
    varying = [group for group in predictor.all_groups if effects or group.is_smooth]
    Z = {group.name: group.build_Z(frame, labels) for group in varying}
    for group in varying:
        check_finite(Z[group.name], group.effects, labels, f"the effect by `{group.name}`")
    offset = None
    if formula.offsets:
        offset = np.zeros(len(frame))
        for piece, columns in zip(formula.offsets, predictor.offset_columns, strict=True):
            values = columns.build(frame, labels)
            check_finite(values, (f"offset({piece.text})",), labels, "the term")
            offset += values[:, 0]
    index, new_levels = _levels(predictor, given, levels=levels)
    return DesignRows(
        X=X,
        left_out=left_out,
        Z=Z,
        index=index,
        new_levels=new_levels,
        offset=offset,
        row_labels=labels,
    )


def _members(predictor: LinearPredictor) -> tuple[str, ...]:
    """Columns with the levels of memberships, which make columns of Z."""
    return tuple(
        column
        for group in predictor.groups
        for columns in group.terms
        if isinstance(columns, MembershipColumns)
        for column in columns.columns
    )


def _levels(
    predictor: LinearPredictor, given: pd.DataFrame, *, levels: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Level of each row by grouping factor, and labels of those that are new."""
    index: dict[str, np.ndarray] = {}
    new_levels: dict[str, np.ndarray] = {}
    for group in predictor.all_groups:
        if group.is_smooth:
            index[group.name] = np.zeros(len(given), dtype=np.int32)
            new_levels[group.name] = np.zeros(0, dtype=object)
        elif levels:
            index[group.name] = group.levels.index_of(given)
            unknown = given[index[group.name] < 0]
            new_levels[group.name] = group.levels.labels_of(unknown)
            if group.between is not None and len(unknown):
                _refuse_unrelated(group, new_levels[group.name], unknown)
            for column in group.levels.columns:
                known_labels, labels_given = group.levels.spelled(column, unknown)
                warn_of_other_numerals(column, known_labels, labels_given)
    return index, new_levels


def _refuse_unrelated(group: GroupingFactor, levels: np.ndarray, rows: pd.DataFrame) -> None:
    """Refuse levels that a known covariance says nothing of.

    Raises
    ------
    DataError
        Naming the first.
    """
    assert group.between is not None  # noqa: S101
    if None in levels:
        raise DataError(
            f"`{group.name}` is missing in row {rows.index[list(levels).index(None)]}, and "
            f"{group.between.name} says how its levels are related: give the level, or "
            'predict with groups="population"'
        )
    group.between.known.places(pd.unique(levels), group.between.name)
