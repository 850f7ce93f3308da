"""The equations of a model whose R has parameters: products by class, or pairs of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.crossproducts import build_equations, no_pairs, working_pairs
from bayesmix.gaussian.empty_equations import empty_equations
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.residual_classes import ResidualClasses
from bayesmix.gaussian.scaling import Scaling
from bayesmix.gaussian.structure import Elimination
from bayesmix.residual import PairClasses, Residual, Rows, RowScale

__all__ = ["structured_equations"]

_PASS = 60.0  # what a pair of rows costs in a pass, in additions, beside its columns' products


def structured_equations(
    predictor: LinearPredictor, y: np.ndarray, structure: Residual, rows: Rows,
    pairs: PairClasses, scale: RowScale | None, scaling: Scaling, plan: Elimination,
) -> Equations:  # fmt: skip
    """Gather the products of all classes of pairs, or the pairs where classes are many.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    structure : Residual
    rows : mapping of str to ndarray, shape (n,)
    pairs : PairClasses
        The structure's, whose classes are called kinds here.
    scale : RowScale or None
    scaling : Scaling
    plan : Elimination

    Returns
    -------
    Equations
        With `classes`.
    """
    n = len(y)
    variances = structure.known_variances(rows)
    if variances is None or scale is None:
        known = np.zeros(0)
        classes, kind, first, second = _by_stratum(pairs, scale, n)
    else:
        classes = pairs
        kind, first, second, known = _by_entry(pairs, scale, variances)
    empty = empty_equations(predictor, plan)
    m = n + len(pairs.first)
    width = int(empty.q.sum()) + len(predictor.fixed_effects) + 1
    if len(kind) * len(empty.floats) <= m * (_PASS + 2.0 * width**2):
        equations, products = build_equations(
            predictor, y, classes, scaling, plan, empty, symmetric=True
        )
        kept, m = no_pairs(equations), 0
    else:
        equations, products = empty, np.zeros((0, len(empty.floats)))
        kept = working_pairs(predictor, y, classes, scaling, plan, equations)
    sizes, counts = pairs.patterns or (np.zeros(0), np.zeros(0))
    n_beta = 0 if scale is None else scale.X.shape[1]
    strata = np.zeros(0) if scale is None else np.bincount(scale.stratum, minlength=len(scale.X))
    made = ResidualClasses(
        sizes=[
            len(kind), n_beta + len(structure.parameters), len(equations.floats), n_beta,
            pairs.n_classes, len(strata), len(sizes), m, int(known.size > 0),
        ],
        numbers=pairs.numbers, table=pairs.table, kind=kind, first=first, second=second,
        count=strata, pattern_size=sizes, pattern_count=counts, products=products,
        scale_X=np.zeros((0, 0)) if scale is None else scale.X,
        scale_offset=np.zeros(0) if scale is None else scale.offset, known=known, **kept,
    )  # fmt: skip
    made.structure = structure
    equations.classes = made
    # The equations themselves are read for this alone: what least squares leaves.
    slopes = scaling.beta_0 / scaling.X_scale
    left = y / scaling.y_scale - predictor.X @ slopes + scaling.X_shift @ slopes
    equations.yy[0] = float(np.sum(left**2 if pairs.weights is None else pairs.weights * left**2))
    return equations


def _by_stratum(
    pairs: PairClasses, scale: RowScale | None, n: int
) -> tuple[PairClasses, np.ndarray, np.ndarray, np.ndarray]:
    """Divide kinds of pairs by their rows' strata; kind and strata of each class."""
    if scale is None:
        none = np.zeros(0, dtype=np.int64)
        return pairs, np.arange(pairs.n_classes), none, none
    diagonal = np.zeros(n, dtype=np.int64) if pairs.diagonal is None else pairs.diagonal
    s, t = scale.stratum[pairs.first], scale.stratum[pairs.second]
    keys = np.column_stack([
        np.concatenate([diagonal, pairs.kind]),
        np.concatenate([scale.stratum, np.minimum(s, t)]),
        np.concatenate([scale.stratum, np.maximum(s, t)]),
    ])  # fmt: skip
    found, of_pair = np.unique(keys, axis=0, return_inverse=True)
    of_pair = of_pair.reshape(-1).astype(np.int64)
    divided = replace(pairs, n_classes=len(found), diagonal=of_pair[:n], kind=of_pair[n:])
    return divided, found[:, 0], found[:, 1], found[:, 2]


def _by_entry(
    pairs: PairClasses, scale: RowScale, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kind and strata of each class, and its known variance: each class is one pair of rows."""
    assert pairs.diagonal is not None  # noqa: S101
    first, second = (np.zeros(pairs.n_classes, dtype=np.int64) for _ in range(2))
    known = np.zeros(pairs.n_classes)
    first[pairs.diagonal] = second[pairs.diagonal] = scale.stratum
    first[pairs.kind] = scale.stratum[pairs.first]
    second[pairs.kind] = scale.stratum[pairs.second]
    known[pairs.diagonal] = variances
    return np.arange(pairs.n_classes), first, second, known
