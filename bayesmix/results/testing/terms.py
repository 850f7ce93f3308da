"""Which hypotheses about coefficients a term of the formula stands for: types 1, 2 and 3.

Type 1 takes each term after those before it; type 2 after all that do not contain it; type 3
after all others, in the coding of factors by sums to zero, whatever the formula's own coding
is. A term contains another if it has all of its factors, and the same numbers beside them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor, Term

from bayesmix.design import LinearPredictor
from bayesmix.design.matrices import Functions, build_columns
from bayesmix.formula.quoting import decode

__all__ = ["hypotheses_of_terms"]

Parts = frozenset[str]
_SMALL = 1e-9  # of a column's length: what others do not determine


def hypotheses_of_terms(
    predictor: LinearPredictor, frame: pd.DataFrame, functions: Functions, kind: int
) -> dict[str, np.ndarray | None]:
    """Rows L of the hypotheses L beta = 0 of each fixed term but the intercept.

    Parameters
    ----------
    predictor : LinearPredictor
    frame : DataFrame, n rows
        The columns that its formula uses.
    functions : mapping of str to callable
        The caller's own.
    kind : {1, 2, 3}

    Returns
    -------
    dict of str to ndarray, shape (d, p), or None
        By term, in the formula's order; None where the data do not tell the hypothesis of
        type 3, as where a cell of an interaction is empty.
    """
    at = {name: j for j, name in enumerate(predictor.fixed_effects)}
    places = {
        term: [at[name] for name in names if name in at] for term, names in predictor.terms.items()
    }
    # From a smooth only its straight line is among them.
    smooths = {one.name for one in predictor.smooths}
    wanted = [term for term in places if term != "1" and term not in smooths]
    if kind == 3:
        return _by_sums(predictor, frame, functions, wanted)
    X = predictor.X
    if kind == 1:
        R = np.linalg.qr(X, mode="r")
        return {term: R[places[term]] for term in wanted}
    containing_of = _containing_terms(predictor, frame, functions)
    found: dict[str, np.ndarray | None] = {}
    rest = [j for j in range(X.shape[1]) if not any(j in own for own in places.values())]
    for term in wanted:
        own = places[term]
        containing = [j for other in containing_of[term] for j in places[other]]
        before = [j for j in range(X.shape[1]) if j not in own and j not in containing]
        before = [*rest, *(j for j in before if j not in rest)]
        order = [*before, *own, *containing]
        R = np.linalg.qr(X[:, order], mode="r")
        L = np.zeros((len(own), X.shape[1]))
        L[:, order] = R[len(before) : len(before) + len(own)]
        found[term] = L
    return found


def _containing_terms(
    predictor: LinearPredictor, frame: pd.DataFrame, functions: Functions
) -> dict[str, list[str]]:
    """For each fixed term those that contain it, as tests of type 2 count it.

    Parameters
    ----------
    predictor : LinearPredictor
    frame : DataFrame, n rows
    functions : mapping of str to callable

    Returns
    -------
    dict of str to list of str
    """
    codes = _Codes(frame, functions)
    parts = {
        decode(str(term)): codes.parts(term) for term in predictor.fixed_columns.terms.spec.formula
    }
    terms = [term for term in predictor.terms if term in parts]
    found = {
        term: [other for other in terms if _contains(parts[other], parts[term])] for term in terms
    }
    return {term: found.get(term, []) for term in predictor.terms}


def _contains(large: tuple[Parts, Parts], small: tuple[Parts, Parts]) -> bool:
    return small[0] < large[0] and small[1] == large[1]


class _Codes:
    """Columns of single factors, those of categories with one for each level."""

    def __init__(self, frame: pd.DataFrame, functions: Functions) -> None:
        self._frame, self._functions = frame, functions
        self._known: dict[str, tuple[np.ndarray, bool]] = {}

    def of(self, factor: Factor) -> tuple[np.ndarray, bool]:
        """Columns of a factor, and whether they are those of categories."""
        if factor.expr not in self._known:
            built, values = build_columns([Term([factor])], self._frame, self._functions)
            self._known[factor.expr] = values, bool(built.spec.factor_contrasts)
        return self._known[factor.expr]

    def parts(self, term: Term) -> tuple[Parts, Parts]:
        """Categories and numbers among the factors of a term."""
        factors = [f for f in term.factors if str(f) != "1"]
        categorical = frozenset(f.expr for f in factors if self.of(f)[1])
        return categorical, frozenset(f.expr for f in factors) - categorical


def _by_sums(
    predictor: LinearPredictor, frame: pd.DataFrame, functions: Functions, wanted: Iterable[str]
) -> dict[str, np.ndarray | None]:
    """Coefficients of the same model with factors coded by sums to zero, as functions of beta."""
    spec = predictor.fixed_columns.terms.spec
    terms = [term for term in spec.formula if decode(str(term)) in predictor.terms]
    present = {_factors(term) for term in terms}
    codes = _Codes(frame, functions)
    columns, places, at = [], {}, 0
    for term in terms:
        block = np.ones((len(frame), 1))
        for factor in term.factors:
            if str(factor) == "1":
                continue
            values, categorical = codes.of(factor)
            # A factor's own mean is left out where the term without it is in the model.
            if categorical and _factors(term) - {factor.expr} in present:
                values = values[:, :-1] - values[:, -1:]
            block = (block[:, :, None] * values[:, None, :]).reshape(len(frame), -1)
        places[decode(str(term))] = slice(at, at + block.shape[1])
        at += block.shape[1]
        columns.append(block)
    others = [
        j for j, name in enumerate(predictor.fixed_effects)
        if not any(name in names for term, names in predictor.terms.items() if term in places)
    ]  # fmt: skip
    Xs = np.concatenate([*columns, predictor.X[:, others]], axis=1)
    size = np.linalg.norm(Xs, axis=0)
    size[size == 0] = 1.0
    left, values, right = np.linalg.svd(Xs / size, full_matrices=False)
    kept = values > values[0] * max(Xs.shape) * np.finfo(float).eps
    null = right[~kept] / size
    by_beta = (right[kept].T / values[kept]) @ (left[:, kept].T @ predictor.X) / size[:, None]
    found: dict[str, np.ndarray | None] = {}
    for term in wanted:
        own = places.get(term)
        if own is None or own.stop == own.start:
            continue
        unknown = np.abs(null[:, own]).max(initial=0.0) > _SMALL * np.abs(null).max(initial=1.0)
        found[term] = None if unknown else by_beta[own]
    return found


def _factors(term: Term) -> frozenset[str]:
    return frozenset(f.expr for f in term.factors if str(f) != "1")
