"""Some rows of a design, with all that it learned from the whole data."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from bayesmix.design.checks import check_sizes
from bayesmix.design.design import Design
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.identified import check_identified
from bayesmix.design.predictor import LinearPredictor
from bayesmix.errors import BayesmixWarning, DataError

__all__ = ["check_design_of_rows", "design_of_rows", "levels_in_part"]


def design_of_rows(design: Design, rows: np.ndarray) -> Design:
    """Take some rows of a design, as a refit without the others needs them.

    Columns, categories, levels of factors, knots, ranges and scales are those of the whole
    data, and so is the point at which the intercept has its default prior. A column may be
    a combination of others in these rows, or zero: it stays, and what the rows leave open
    about its coefficient is left to the prior. Levels of grouping factors that have no row
    here are gone; they are new levels to the refit.

    Parameters
    ----------
    design : Design
    rows : ndarray of int, shape (m,)
        Positions among the rows of the design.

    Returns
    -------
    Design

    Raises
    ------
    DataError
        If a grouping factor has one level.
    """
    response = design.response
    return replace(
        design,
        response=response.iloc[rows] if hasattr(response, "iloc") else response[rows],
        predictors={
            parameter: _predictor_of_rows(predictor, rows)
            for parameter, predictor in design.predictors.items()
        },
        weights=_some(design.weights, rows),
        known_se=_some(design.known_se, rows),
        frame=design.frame.iloc[rows].reset_index(drop=True),
        row_labels=design.row_labels[rows],
        rows=design.row_positions[rows],
        extras={name: values[rows] for name, values in design.extras.items()},
        residual=None if design.residual is None else design.residual.of_rows(rows),
    )


def check_design_of_rows(design: Design, *, residual_is_estimated: bool) -> None:
    """Refuse rows that leave a variance without anything to estimate it from.

    Parameters
    ----------
    design : Design
        As `design_of_rows` makes it.
    residual_is_estimated : bool
        As of `build_design`.

    Raises
    ------
    DataError, FormulaError
    """
    with warnings.catch_warnings():
        # Warnings are for what a user can act on, and nobody chose these rows.
        warnings.simplefilter("ignore", BayesmixWarning)
        for parameter, predictor in design.predictors.items():
            # Columns of other predictors are zero here, and tell nothing.
            groups, X = tuple(g for g in predictor.groups if not g.joined), predictor.X
            estimated = residual_is_estimated and parameter == "mu"
            check_sizes(len(X), X.shape[1], groups, residual_is_estimated=estimated)
            # Effects that are fixed effects too may depend on each other in these rows.
            apart = tuple(replace(g, fixed_column=(None,) * g.n_effects) for g in groups)
            check_identified(apart, X, predictor.formula)


def levels_in_part(
    whole: GroupingFactor, part: GroupingFactor, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the levels of rows of the whole data among those of some of its rows.

    Parameters
    ----------
    whole, part : GroupingFactor
        The same factor in the design and in `design_of_rows` of it.
    rows : ndarray of int, shape (m,)

    Returns
    -------
    index : ndarray of int32, shape (m,)
        -1 for a level that `part` does not have.
    new_levels : ndarray of object
        The labels of these, in order.
    """
    position = {label: k for k, label in enumerate(part.levels.labels)}
    at = np.asarray([position.get(label, -1) for label in whole.levels.labels], dtype=np.int32)
    index = at[whole.index[rows]]
    return index, whole.levels.labels[whole.index[rows[index < 0]]]


def _some(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def _predictor_of_rows(predictor: LinearPredictor, rows: np.ndarray) -> LinearPredictor:
    return replace(
        predictor,
        X=predictor.X[rows],
        learned_means=predictor.means,
        offset=_some(predictor.offset, rows),
        groups=tuple(_group_of_rows(group, rows) for group in predictor.groups),
        borrowed=tuple(_group_of_rows(group, rows) for group in predictor.borrowed),
    )


def _group_of_rows(group: GroupingFactor, rows: np.ndarray) -> GroupingFactor:
    if group.is_smooth:
        return replace(group, index=group.index[rows], Z=group.Z[rows])
    if group.between is not None:  # levels without a row are related to those that have one
        return replace(group, index=group.index[rows], Z=group.Z[rows])
    found, index = np.unique(group.index[rows], return_inverse=True)
    labels = group.levels.labels[found]
    if len(found) < 2 and not group.may_be_one_level:
        raise DataError(
            f"the grouping factor `{group.name}` has one level ({labels[0]}); "
            "a variance between levels needs at least two"
        )
    levels = group.levels.taken(found)
    return replace(
        group, levels=levels, index=index.astype(np.int32), Z=group.Z[rows],
        present=None if group.present is None else group.present[found],
    )  # fmt: skip
