"""From formulas and data to a design and the covariance of its residuals."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design import Design, build_design
from bayesmix.design.frame import column_names
from bayesmix.families import Family
from bayesmix.families.checks import numeric_response
from bayesmix.formula import Formula, parse_formula
from bayesmix.residual import Residual, SigmaBesideKnown, residual_by_rows, residual_structure
from bayesmix.sources import Source
from bayesmix.statement.combinations import check_predictors
from bayesmix.statement.specification import Specification
from bayesmix.streaming import streamed_design

__all__ = ["design_of", "residual_of", "streamed_design_of"]


def design_of(
    formula: Formula, data: Any, formulas: Mapping[str, Formula], of_residual: Formula | None,
    family: Family, given: Specification, learned: Design | None,
) -> tuple[Design, Family]:  # fmt: skip
    """Build the design of a frame, whose response may say what the family is.

    Parameters
    ----------
    formula : Formula
        The response's.
    data : table
    formulas : mapping of str to Formula
        Those of further parameters.
    of_residual : Formula or None
    family : Family
    given : Specification
    learned : Design or None
        Whose state it is built by.

    Returns
    -------
    Design
    Family
        With what the response says of it.
    """
    known = family

    def further(response: Any) -> dict[str, Formula]:
        """Formulas of the predictors that the response asks for: their own, or mu's."""
        nonlocal known
        known = family.with_response(response, formula)
        if not known.is_nominal:
            return {}
        check_predictors(known, formulas)
        text, of_response = formula.text, formula.columns_of("response")
        right = text[text.find("~", formula.response.stop) + 1 :]
        available = [name for name in column_names(data) if name not in of_response]
        return {
            name: formulas.get(name)
            or parse_formula(f"{name} ~{right}", available=available, functions=given.functions)
            for name in known.parameters
        }

    design = build_design(
        formula,
        data,
        others=formulas,
        read_response=family.read_response,
        further=further,
        residual=of_residual,
        functions=given.functions,
        missing=given.missing,
        residual_is_estimated=family.residual_is_estimated,
        weights=given.weights,
        known_se=given.known_se,
        drop_intercept=(
            *(("mu",) if family.replaces_intercept else ()),
            *family.optional_parameters,
        ),
        learned=learned,
        matrices=given.matrices,
    )
    return design, known


def streamed_design_of(
    formula: Formula, source: Source, family: Family, given: Specification
) -> Design:
    """Read a source as often as its sums need.

    Parameters
    ----------
    formula : Formula
    source : Source
    family : Family
    given : Specification

    Returns
    -------
    Design
    """
    return streamed_design(
        formula,
        source,
        numbers=functools.partial(_numbers, family, formula),
        functions=given.functions,
        missing=given.missing,
        residual_is_estimated=family.residual_is_estimated,
        weights=given.weights,
        known_se=given.known_se,
    )


def _numbers(
    family: Family, formula: Formula, response: Any, rows: Mapping[str, np.ndarray],
    labels: pd.Index[Any],
) -> np.ndarray:  # fmt: skip
    """The response of some rows, of which no more is asked than of each of them."""
    if family.is_normal:
        return numeric_response(response, formula)
    return family.response_values(response, formula, rows, labels)


def residual_of(
    design: Design, family: Family, learned: Residual | None, y: np.ndarray
) -> Residual | None:
    """Find the residual structure: the formula's, or the one that data per row decide on.

    Parameters
    ----------
    design : Design
    family : Family
    learned : Residual or None
        What another model has learned for the same formula.
    y : ndarray, shape (n,)
        The response.

    Returns
    -------
    Residual or None
        None where the response is not normal.
    """
    if not family.is_normal:
        return None
    has_sigma = "sigma" in design.predictors
    if design.residual is None:
        beside = has_sigma and design.known_se is not None
        return SigmaBesideKnown() if beside else residual_by_rows(design.row_data)
    if learned is not None:
        return learned
    given = design.residual
    unit = family.response_scale(y, design.mu.offset, design.row_data).sd
    categories = [given.categories.get(name) for name in given.coordinates]
    found = residual_structure(
        given.word, given.text, given.row_data, len(given.coordinates),
        categories[0] if len(categories) == 1 else None, unit,
    )  # fmt: skip
    return found if design.known_se is None else found.with_known(0.0 if has_sigma else unit)
