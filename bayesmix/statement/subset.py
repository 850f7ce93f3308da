"""The same model for some of its rows: what a refit without the others needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.design.rank import aliased_columns
from bayesmix.design.subset import check_design_of_rows, design_of_rows
from bayesmix.errors import DataError
from bayesmix.priors.distributions import is_improper

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["check_model_of_rows", "model_of_rows"]


def model_of_rows[M: StatedModel](model: M, rows: np.ndarray) -> M:
    """Make the same model, with the same priors, for some of its rows.

    All that the model learned from its data stays: categories of the response, levels,
    contrasts, knots and scales of the predictors, and the default priors with the point
    where the intercept has its own.

    Parameters
    ----------
    model : Model
    rows : ndarray of int, shape (m,)
        Positions among the rows of the model.

    Returns
    -------
    Model
        For `Model.fit`: what the rows say nothing of has the prior's uncertainty.

    Raises
    ------
    DataError
        If a grouping factor has one level.
    """
    design = design_of_rows(model.design, rows)
    given = model.specification
    return model.with_parts(
        design=design,
        y=model.y[rows],
        data=design.frame.set_axis(design.row_labels),
        data_note="a model of some rows has the columns that it used",
        specification=replace(
            given,
            weights=given.weights if isinstance(given.weights, str) else design.weights,
            known_se=given.known_se if isinstance(given.known_se, str) else design.known_se,
        ),
    )


def check_model_of_rows(model: StatedModel) -> None:
    """Refuse rows that leave open a variance, or what has a flat prior.

    Parameters
    ----------
    model : Model
        As `model_of_rows` makes it.

    Raises
    ------
    DataError, FormulaError
    """
    design, priors = model.design, model.prior_entries
    check_design_of_rows(design, residual_is_estimated=model.family.residual_is_estimated)
    for parameter, predictor in design.predictors.items():
        own = priors.predictors[parameter]
        at = [
            j
            for j, entry in zip(predictor.slopes, own.coefficients, strict=True)
            if is_improper(entry.prior.distribution)
        ]
        if own.intercept is not None and is_improper(own.intercept.prior.distribution):
            at.append(predictor.fixed_effects.index("Intercept"))
        at.sort()
        lost = aliased_columns(predictor.X[:, at])
        if lost.size:
            names = ", ".join(f"`{predictor.fixed_effects[at[j]]}`" for j in lost)
            raise DataError(f"the data do not determine {names}, and the prior is flat")
    categories = model.family.categories(design.response)
    empty = [c for k, c in enumerate(categories, start=1) if not np.any(model.y == k)]
    improper = [n for n in model.family.vector_parameters
                if is_improper(priors.family[n].prior.distribution)]  # fmt: skip
    if empty and improper:
        raise DataError(
            f"no row has the category {empty[0]!r}, and the prior of the thresholds is flat"
        )
