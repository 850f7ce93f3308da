"""Terms that are columns of numbers, and products of two: their matrix is quickly made."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from formulaic import ModelSpec, SimpleFormula
from formulaic.parser.types import Factor, Term

from bayesmix.design.materializer import Materializer
from bayesmix.formula.quoting import encode

__all__ = ["plain_matrix", "unbuilt_spec"]

_MOST_TERMS = 50  # beyond them rows may bound the columns

Written = tuple[tuple[str, ...], ...]  # the factors of each term


def unbuilt_spec(terms: Sequence[Term]) -> ModelSpec:
    """State terms for formulaic, which has not seen data yet.

    Parameters
    ----------
    terms : sequence of formulaic Term

    Returns
    -------
    formulaic ModelSpec
    """
    formula = SimpleFormula(list(terms), _ordering="none")
    return ModelSpec.from_spec(formula, materializer="bayesmix", output="numpy", na_action="ignore")


def plain_matrix(terms: Sequence[Term], frame: pd.DataFrame) -> tuple[np.ndarray, ModelSpec] | None:
    """Make the columns of terms that learn nothing from the data.

    Parameters
    ----------
    terms : sequence of formulaic Term
    frame : DataFrame, n rows
        Prepared columns, without missing values.

    Returns
    -------
    ndarray, shape (n, k), and the fitted spec, or None
        What formulaic makes of them; None where a term is anything but the intercept, a column
        of numbers or truth values, or the product of two.
    """
    written = tuple(tuple(factor.expr for factor in term.factors) for term in terms)
    if not 0 < len(written) <= _MOST_TERMS:
        return None
    names = {encode(name): name for name in frame.columns.tolist()}
    values: dict[str, np.ndarray] = {}
    for expr in {expr for factors in written for expr in factors if factors != ("1",)}:
        if expr not in names:
            return None
        column = frame[names[expr]]
        if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "fiub":
            return None
        values[expr] = column.to_numpy().astype(np.float64, copy=False)
    if max(len(factors) for factors in written) > 2:
        return None
    X = np.empty((len(frame), len(written)))
    for j, factors in enumerate(written):
        if factors == ("1",):
            X[:, j] = 1.0
        elif len(factors) == 1:
            X[:, j] = values[factors[0]]
        else:
            X[:, j] = values[factors[0]] * values[factors[1]]
    return X, _spec_of_numbers(written)


@functools.lru_cache(maxsize=256)
def _spec_of_numbers(written: Written) -> ModelSpec:
    """The spec that formulaic returns for such terms, whatever the numbers are."""
    terms = [
        Term([Factor(expr, eval_method="literal" if factors == ("1",) else "lookup")
              for expr in factors])
        for factors in written
    ]  # fmt: skip
    columns = {expr: np.zeros(2) for factors in written for expr in factors}
    made = Materializer(pd.DataFrame(columns), {}, bounded=False)
    spec: ModelSpec = made.get_model_matrix(unbuilt_spec(terms)).model_spec
    return spec
