"""Which hypotheses about coefficients a term of the formula stands for: types 1, 2 and 3.

Type 1 takes each term after those before it; type 2 after all that do not contain it; type 3
after all others, in the coding of factors by sums to zero, whatever the formula's own coding
is, and where cells are empty in what the data tell of it. A term contains another if it has
all of its factors, and the same numbers beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor, Term

from bayesmix.design import LinearPredictor
from bayesmix.design.matrices import Functions, build_columns
from bayesmix.formula.quoting import decode

__all__ = ["Hypotheses", "hypotheses_of_terms"]

Parts = frozenset[str]
_SMALL = 1e-8  # of an orthonormal combination: what is none of other columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypotheses:
    """What is tested of each term.

    Attributes
    ----------
    rows : dict of str to ndarray, shape (d, p), or None
        By term, in the formula's order, L of L beta = 0; None where the data tell nothing of it.
    partly : tuple of str
        Terms of which the data tell less, or something else, than if each cell had rows.
    empty : tuple of str
        Cells of theirs without rows, by the names of their columns.
    """

    rows: dict[str, np.ndarray | None]
    partly: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def hypotheses_of_terms(
    predictor: LinearPredictor, frame: pd.DataFrame, functions: Functions, kind: int
) -> Hypotheses:
    """Find the hypotheses of each fixed term but the intercept.

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
    Hypotheses
    """
    at = {name: j for j, name in enumerate(predictor.fixed_effects)}
    places = {
        term: [at[name] for name in names if name in at] for term, names in predictor.terms.items()
    }
    # From a smooth only its straight line is among them.
    smooths = {one.name for one in predictor.smooths}
    wanted = [term for term in places if term != "1" and term not in smooths]
    if len(predictor.terms) - ("1" in predictor.terms) == 1:
        kind = 1  # the same hypothesis by all types, for which lmerTest has these rows
    if kind == 3:
        return _told_apart(predictor, frame, functions, wanted)
    X = predictor.X
    if kind == 1:
        R = _rows_of_triangle(X)
        return Hypotheses(rows={term: R[places[term]] for term in wanted})
    containing_of = _containing_terms(predictor, frame, functions)
    found: dict[str, np.ndarray | None] = {}
    rest = [j for j in range(X.shape[1]) if not any(j in own for own in places.values())]
    for term in wanted:
        own = places[term]
        containing = [j for other in containing_of[term] for j in places[other]]
        before = [j for j in range(X.shape[1]) if j not in own and j not in containing]
        before = [*rest, *(j for j in before if j not in rest)]
        order = [*before, *own, *containing]
        if not containing:
            found[term] = np.eye(X.shape[1])[own]
            continue
        R = _rows_of_triangle(X[:, order])
        L = np.zeros((len(own), X.shape[1]))
        L[:, order] = R[len(before) : len(before) + len(own)]
        found[term] = L
    return Hypotheses(rows=found)


def _rows_of_triangle(X: np.ndarray) -> np.ndarray:
    """R of X = QR with ones on its diagonal, as Doolittle's method leaves it."""
    R = np.linalg.qr(X, mode="r")
    size = np.diag(R)[:, None]
    return np.asarray(R / np.where(size == 0, 1.0, size))


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
        self._names: dict[str, tuple[str, ...]] = {}
        self._unit: dict[str, np.ndarray] = {}

    def of(self, factor: Factor) -> tuple[np.ndarray, bool]:
        """Columns of a factor, numbers divided by their size, and whether it has levels."""
        if factor.expr not in self._known:
            built, values = build_columns([Term([factor])], self._frame, self._functions)
            categorical, unit = bool(built.spec.factor_contrasts), np.ones(values.shape[1])
            if not categorical:
                unit = np.sqrt(np.mean(values**2, axis=0))
                unit[unit == 0] = 1.0
            self._known[factor.expr] = values / unit, categorical
            self._unit[factor.expr] = 1.0 / unit
            self._names[factor.expr] = built.names
        return self._known[factor.expr]

    def names(self, factor: Factor) -> tuple[str, ...]:
        """Names of these columns."""
        self.of(factor)
        return self._names[factor.expr]

    def unit(self, factor: Factor) -> np.ndarray:
        """What a coefficient of each of these columns is in units of the factor's own."""
        self.of(factor)
        return self._unit[factor.expr]

    def parts(self, term: Term) -> tuple[Parts, Parts]:
        """Categories and numbers among the factors of a term."""
        factors = [f for f in term.factors if str(f) != "1"]
        categorical = frozenset(f.expr for f in factors if self.of(f)[1])
        return categorical, frozenset(f.expr for f in factors) - categorical


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Columns of a term with one for each level of each factor.

    Attributes
    ----------
    values : ndarray, shape (n, k)
    change : ndarray, shape (d, k)
        What would be tested of them if all cells had rows: differences from the first level.
    empty : list of str
        Columns of cells without rows.
    """

    values: np.ndarray
    change: np.ndarray
    empty: list[str]


def _block(term: Term, present: set[Parts], codes: _Codes, n: int) -> _Block:
    block, names = np.ones((n, 1)), [""]
    change: np.ndarray = np.ones((1, 1))
    for factor in term.factors:
        if str(factor) == "1":
            continue
        values, categorical = codes.of(factor)
        names = [f"{name}:{one}".lstrip(":") for name in names for one in codes.names(factor)]
        block = (block[:, :, None] * values[:, None, :]).reshape(n, -1)
        each = np.diag(codes.unit(factor))
        # A factor's own mean is another term's where the term without it is in the model.
        if categorical and _factors(term) - {factor.expr} in present:
            each = each[1:] - each[0]
        change = np.kron(change, each)
    any_rows = block.any(axis=0)
    return _Block(
        values=block, change=change,
        empty=[name for name, has in zip(names, any_rows, strict=True) if not has],
    )  # fmt: skip


def _told_apart(
    predictor: LinearPredictor, frame: pd.DataFrame, functions: Functions, wanted: Iterable[str]
) -> Hypotheses:
    """Hypotheses of type 3, as Goodnight (1978, SAS Technical Report R-101) defines them.

    With a column for each level of each factor, a term's are the combinations of coefficients
    that the data tell, in which no term has a part but itself and those that contain it, and
    which are orthogonal to the combinations of the latter alone. Where all cells have rows
    these are the coefficients of factors coded by sums to zero.
    """
    spec = predictor.fixed_columns.terms.spec
    terms = {decode(str(t)): t for t in spec.formula if decode(str(t)) in predictor.terms}
    codes = _Codes(frame, functions)
    present = {_factors(term) for term in terms.values()}
    blocks = {text: _block(term, present, codes, len(frame)) for text, term in terms.items()}
    ends = np.cumsum([0, *(block.values.shape[1] for block in blocks.values())]).tolist()
    places = {text: list(range(*ends[k : k + 2])) for k, text in enumerate(blocks)}
    of_terms = {name for text in blocks for name in predictor.terms[text]}
    others = [j for j, name in enumerate(predictor.fixed_effects) if name not in of_terms]
    columns = [block.values for block in blocks.values()]
    # In the coordinates of X, so that what it was not thought to tell is not told here either.
    Q, R = np.linalg.qr(predictor.X)
    every = np.concatenate([Q.T @ some for some in (*columns, predictor.X[:, others])], axis=1)
    left, size, right = np.linalg.svd(every, full_matrices=False)
    kept = size > size[0] * max(every.shape) * np.finfo(float).eps
    told = right[kept]  # an orthonormal basis of the combinations that have an estimate
    by_beta = (told.T / size[kept]) @ (left[:, kept].T @ R)
    containing = _containing_terms(predictor, frame, functions)
    found: dict[str, np.ndarray | None] = {}
    partly, cells = [], []
    for term in wanted:
        own = places.get(term, [])
        if not own:
            continue
        inside = [j for other in containing[term] for j in places[other]]
        rows = _estimable(told, own, inside)
        full = blocks[term].change
        # Degrees of freedom depend on which rows say it: lmerTest's are differences from the
        # first level, and where these are not all told the coefficients that are left.
        if len(rows) == len(full):
            rows = full @ np.linalg.pinv(rows[:, own]) @ rows
        L = rows @ by_beta
        left_in = [
            j for j, name in enumerate(predictor.fixed_effects) if name in predictor.terms[term]
        ]
        if not inside and len(L) == len(left_in) < len(full):
            L = np.eye(len(predictor.fixed_effects))[left_in]
        found[term] = L if len(L) else None
        lost = [name for other in (term, *containing[term]) for name in blocks[other].empty]
        if len(L) and (lost or len(L) < len(full)):
            partly.append(term)
            cells += [name for name in lost if name not in cells]
    return Hypotheses(rows=found, partly=tuple(partly), empty=tuple(cells))


def _estimable(told: np.ndarray, own: list[int], inside: list[int]) -> np.ndarray:
    """Combinations of a term's coefficients that are told, orthogonal to those inside of others."""
    outside = np.setdiff1d(np.arange(told.shape[1]), [*own, *inside])
    basis, scale, _ = np.linalg.svd(told[:, outside])
    alone = basis[:, int((scale > _SMALL).sum()) :].T @ told
    basis, scale, _ = np.linalg.svd(alone[:, own], full_matrices=False)
    return np.asarray(basis[:, scale > _SMALL].T @ alone)


def _factors(term: Term) -> frozenset[str]:
    return frozenset(f.expr for f in term.factors if str(f) != "1")
