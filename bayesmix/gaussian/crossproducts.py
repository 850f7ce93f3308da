"""The sums of products that the algebra needs, in one pass over the rows."""

from __future__ import annotations

import numpy as np
from numba import carray, types

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.empty_equations import empty_equations, first_positions
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, i8, inner, kernel
from bayesmix.gaussian.scaling import Scaling
from bayesmix.gaussian.structure import Elimination
from bayesmix.residual import PairClasses

__all__ = [
    "add_both_ways", "add_products", "build_equations", "complete_root", "find_entry",
    "mirror_root", "no_pairs", "root_row", "working_pairs",
]  # fmt: skip

_CHUNK = 65_536
_LARGE = 1000  # columns of a root of which one triangle is kept, where that is all that is read


def build_equations(
    predictor: LinearPredictor,
    y: np.ndarray,
    pairs: PairClasses,
    scaling: Scaling,
    plan: Elimination,
    empty: Equations | None = None,
    *,
    symmetric: bool = False,
) -> tuple[Equations, np.ndarray]:
    """Sum the products of the working columns by level, for each class of pairs of rows.

    Memory beyond the result is that of one chunk of rows, and chunks add up.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    pairs : PairClasses
        The matrices M_k of the residual structure.
    scaling : Scaling
    plan : Elimination
        One in which no pair of rows is split by a factor of the chain.
    empty : Equations, optional
        As `empty_equations` lays them out, where that has been done; it is filled.
    symmetric : bool
        Whether both triangles of the root are wanted, however large it is.

    Returns
    -------
    Equations
        With the products of the first class.
    ndarray, shape (K, number of products)
        Those of all classes, each laid out like the floats of the equations.
    """
    equations = empty_equations(predictor, plan) if empty is None else empty
    columns = _WorkingColumns(predictor, y, scaling, plan, equations)
    products = [
        equations.floats,
        *(np.zeros_like(equations.floats) for _ in range(1, pairs.n_classes)),
    ]
    for start in range(0, predictor.n_obs, _CHUNK):
        rows = slice(start, min(start + _CHUNK, predictor.n_obs))
        X, r, Z, index = columns.of(rows)
        w = np.ones(len(r)) if pairs.weights is None else np.ascontiguousarray(pairs.weights[rows])
        if pairs.diagonal is None:
            add_rows(equations.ints, products[0], len(r), X, r, w, Z, index)
            continue
        kind = pairs.diagonal[rows]
        for k in np.unique(kind).tolist():
            at = np.flatnonzero(kind == k)
            add_rows(
                equations.ints, products[k], len(at), X[at], r[at], w[at], Z[at],
                np.ascontiguousarray(index[:, at]),
            )  # fmt: skip
    order = np.argsort(pairs.kind, kind="stable")
    ends = np.searchsorted(pairs.kind[order], np.arange(pairs.n_classes + 1))
    for k in range(pairs.n_classes):
        for start in range(int(ends[k]), int(ends[k + 1]), _CHUNK):
            at = order[start : min(start + _CHUNK, int(ends[k + 1]))]
            i, j = pairs.first[at], pairs.second[at]
            value = np.ones(len(at)) if pairs.value is None else pairs.value[at]
            X, r, Z, index = columns.of(i)
            if np.array_equal(i, j):
                add_rows(equations.ints, products[k], len(at), X, r, value, Z, index)
                continue
            value = np.where(i == j, 0.5, 1.0) * value  # a row with itself counts once
            add_pairs(
                equations.ints, products[k], len(at), value, X, r, Z, index, *columns.of(j)
            )  # fmt: skip
    for floats in products:
        if symmetric:
            mirror_root(equations.ints, floats)
        else:
            complete_root(equations, floats)
    return equations, products[0][None] if len(products) == 1 else np.stack(products)


def working_pairs(
    predictor: LinearPredictor, y: np.ndarray, pairs: PairClasses, scaling: Scaling,
    plan: Elimination, equations: Equations,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return working columns of all pairs of rows, for passes over them.

    Parameters
    ----------
    predictor, y, pairs, scaling, plan
        As of `build_equations`.
    equations : Equations

    Returns
    -------
    dict of str to ndarray
        Arrays of `ResidualClasses`; each row stands with itself first.
    """
    columns, n = _WorkingColumns(predictor, y, scaling, plan, equations), len(y)
    own = np.arange(n, dtype=np.int64)
    given = np.ones(len(pairs.first)) if pairs.value is None else pairs.value
    value = np.concatenate([np.ones(n) if pairs.weights is None else pairs.weights, given])
    i, j = (np.concatenate([own, rows]) for rows in (pairs.first, pairs.second))
    diagonal = np.zeros(n, dtype=np.int64) if pairs.diagonal is None else pairs.diagonal
    out = {
        "pair_class": np.concatenate([diagonal, pairs.kind]),
        "pair_value": np.where(i == j, 0.5, 1.0) * value,
    }
    for mark, rows in (("", i), ("_2", j)):
        X, r, Z, index = columns.of(rows)
        out |= {f"pair_X{mark}": X, f"pair_y{mark}": r, f"pair_Z{mark}": Z,
                f"pair_index{mark}": index}  # fmt: skip
    return out


def no_pairs(equations: Equations) -> dict[str, np.ndarray]:
    """Return what `working_pairs` has of no rows at all."""
    p, width, n_factors = int(equations.sizes[4]), int(equations.q.sum()), len(equations.q)
    out = {"pair_class": np.zeros(0, dtype=np.int64), "pair_value": np.zeros(0)}
    for mark in ("", "_2"):
        out |= {
            f"pair_X{mark}": np.zeros((0, p)), f"pair_y{mark}": np.zeros(0),
            f"pair_Z{mark}": np.zeros((0, width)),
            f"pair_index{mark}": np.zeros((n_factors, 0), dtype=np.int64),
        }  # fmt: skip
    return out


class _WorkingColumns:
    """Shifted and scaled columns of some rows, as kernels take them."""

    def __init__(
        self, predictor: LinearPredictor, y: np.ndarray, scaling: Scaling, plan: Elimination,
        equations: Equations,
    ) -> None:  # fmt: skip
        self._predictor, self._y, self._scaling = predictor, y, scaling
        self._order = (*plan.chain, *plan.rest)
        self._q, self._first = equations.q, first_positions(equations)
        self._whole = self._made(slice(None)) if len(y) <= _CHUNK else None

    def of(self, rows: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """X, the response, Z (factor behind factor), and node or block by factor."""
        if self._whole is None:
            return self._made(rows)
        if isinstance(rows, slice):  # of all rows: there is one chunk
            return self._whole
        X, r, Z, index = self._whole
        return X.take(rows, 0), r.take(rows), Z.take(rows, 0), index.take(rows, 1)

    def _made(
        self, rows: slice | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        predictor, scaling, q = self._predictor, self._scaling, self._q
        X = (predictor.X[rows] - scaling.X_shift) / scaling.X_scale
        r = self._y[rows] / scaling.y_scale - X @ scaling.beta_0
        Z = np.empty((len(r), int(q.sum())))
        index = np.empty((len(q), len(r)), dtype=np.int64)
        column = 0
        for f, k in enumerate(self._order):
            shift, scale = scaling.Z_shift[k], scaling.Z_scale[k]
            Z[:, column : column + q[f]] = (predictor.groups[k].Z[rows] - shift) / scale
            column += int(q[f])
            index[f] = predictor.groups[k].index[rows]
            index[f] += self._first[f]
        return np.ascontiguousarray(X), r, Z, index


@inner
def find_entry(eq, node, block):  # type: ignore[no-untyped-def]
    """Position of a root block in a node's list, which is sorted."""
    low, high = eq.list_start[node], eq.list_start[node + 1]
    while low < high:
        middle = (low + high) // 2
        if eq.list_block[middle] < block:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(types.void, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, INTS)
def add_rows(eq_ints, eq_floats, n, X, y, w, Z, index):  # type: ignore[no-untyped-def]
    """Add the products of n rows. Of the root only the lower triangle is filled.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    n : int
    X : ndarray, shape (n, p)
    y, w : ndarray, shape (n,)
    Z : ndarray, shape (n, sum of q)
        Working columns, factor behind factor.
    index : ndarray of int64, shape (n_factors, n)
        Node of each row in the factors of the chain, block in the others.
    """
    eq = equations_at(eq_ints, eq_floats)
    n_factors, p = eq.n_factors, eq.sizes[4]
    n_columns = 0
    for f in range(n_factors):
        n_columns += eq.q[f]
    wy = np.empty(n)
    for i in range(n):
        wy[i] = w[i] * y[i]
        eq.yy[0] += wy[i] * y[i]
    add_products(
        eq, carray(X, (n, p)), wy, carray(w, (n,)), carray(Z, (n, n_columns)),
        carray(index, (n_factors, n)),
    )  # fmt: skip


@inner
def add_products(eq, X, wy, w, Z, index):  # type: ignore[no-untyped-def]
    """Add A'WA and A'(Wy) of rows of A = [Z, X]; the root's lower triangle only."""
    n_chain, n_rest, r, p = eq.sizes[0], eq.sizes[1], eq.sizes[3], eq.sizes[4]
    n = eq.n_root
    z_start = np.zeros(n_chain + n_rest + 1, dtype=np.int64)
    for f in range(n_chain + n_rest):
        z_start[f + 1] = z_start[f] + eq.q[f]
    for row in range(len(w)):
        weight, value = w[row], wy[row]
        for f in range(n_chain):
            node = index[f, row]
            q, m, at = eq.q[f], eq.width[node], eq.panel_start[node]
            for i in range(q):
                z = weight * Z[row, z_start[f] + i]
                if Z[row, z_start[f] + i] == 0.0:
                    continue
                for j in range(q):
                    eq.K[eq.K_start[node] + i * q + j] += z * Z[row, z_start[f] + j]
                base = at + i * m
                for c in range(z_start[n_chain] - z_start[f + 1]):
                    eq.panel[base + c] += z * Z[row, z_start[f + 1] + c]
                for g in range(n_chain, n_chain + n_rest):
                    entry = find_entry(eq, node, index[g, row])
                    for c in range(eq.q[g]):
                        eq.panel[base + eq.list_column[entry] + c] += z * Z[row, z_start[g] + c]
                for c in range(p):
                    eq.panel[base + m - p - 1 + c] += z * X[row, c]
                eq.panel[base + m - 1] += Z[row, z_start[f] + i] * value
        for g in range(n_chain, n_chain + n_rest):
            first = eq.block_column[index[g, row]]
            for i in range(eq.q[g]):
                z = weight * Z[row, z_start[g] + i]
                for h in range(n_chain, g + 1):
                    other = eq.block_column[index[h, row]]
                    for j in range(eq.q[h]):
                        eq.root[(first + i) * n + other + j] += z * Z[row, z_start[h] + j]
                for c in range(p):
                    eq.root[(r + c) * n + first + i] += z * X[row, c]
                eq.root_y[first + i] += Z[row, z_start[g] + i] * value
        for i in range(p):
            x = weight * X[row, i]
            for j in range(i + 1):
                eq.root[(r + i) * n + r + j] += x * X[row, j]
            eq.root_y[r + i] += X[row, i] * value


@kernel(
    types.void, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, INTS, FLOATS, FLOATS, FLOATS,
    INTS,
)  # fmt: skip
def add_pairs(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, n, value, X, y, Z, index, X_2, y_2, Z_2, index_2
):
    """Add value (a b' + b a') of n pairs of rows a and b; the root's lower triangle only.

    Both rows of a pair belong to the same nodes.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    n : int
    value : ndarray, shape (n,)
    X, y, Z, index : ndarray
        The first rows, as `add_rows` takes them.
    X_2, y_2, Z_2, index_2 : ndarray
        The second rows.
    """
    eq = equations_at(eq_ints, eq_floats)
    p, n_columns = eq.sizes[4], 0
    for f in range(eq.n_factors):
        n_columns += eq.q[f]
    add_both_ways(
        eq, carray(value, (n,)), carray(X, (n, p)), carray(y, (n,)), carray(Z, (n, n_columns)),
        carray(index, (eq.n_factors, n)), carray(X_2, (n, p)), carray(y_2, (n,)),
        carray(Z_2, (n, n_columns)), carray(index_2, (eq.n_factors, n)),
    )  # fmt: skip


@inner
def add_both_ways(eq, value, X, y, Z, index, X_2, y_2, Z_2, index_2):  # type: ignore[no-untyped-def]
    """Add the products of pairs of rows: see `add_pairs`."""
    n_chain, p, n = eq.sizes[0], eq.sizes[4], eq.n_root
    z_start = np.zeros(eq.n_factors + 1, dtype=np.int64)
    for f in range(eq.n_factors):
        z_start[f + 1] = z_start[f] + eq.q[f]
    size = z_start[eq.n_factors] - z_start[n_chain] + p
    at_1, at_2 = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    row_1, row_2 = np.empty(size), np.empty(size)
    for pair in range(len(value)):
        v, s, t = value[pair], y[pair], y_2[pair]
        eq.yy[0] += 2.0 * v * s * t
        for f in range(n_chain):
            node = index[f, pair]
            q, m = eq.q[f], eq.width[node]
            for i in range(q):
                a, b = v * Z[pair, z_start[f] + i], v * Z_2[pair, z_start[f] + i]
                for j in range(q):
                    c = z_start[f] + j
                    eq.K[eq.K_start[node] + i * q + j] += a * Z_2[pair, c] + b * Z[pair, c]
                base = eq.panel_start[node] + i * m
                for c in range(z_start[n_chain] - z_start[f + 1]):
                    k = z_start[f + 1] + c
                    eq.panel[base + c] += a * Z_2[pair, k] + b * Z[pair, k]
                for g in range(n_chain, eq.n_factors):
                    first = base + eq.list_column[find_entry(eq, node, index[g, pair])]
                    second = base + eq.list_column[find_entry(eq, node, index_2[g, pair])]
                    for c in range(eq.q[g]):
                        eq.panel[second + c] += a * Z_2[pair, z_start[g] + c]
                        eq.panel[first + c] += b * Z[pair, z_start[g] + c]
                for c in range(p):
                    eq.panel[base + m - p - 1 + c] += a * X_2[pair, c] + b * X[pair, c]
                eq.panel[base + m - 1] += a * t + b * s
        root_row(eq, n_chain, z_start, X, Z, index, pair, row_1, at_1)
        root_row(eq, n_chain, z_start, X_2, Z_2, index_2, pair, row_2, at_2)
        for i in range(size):
            for j in range(size):
                high, low = max(at_1[i], at_2[j]), min(at_1[i], at_2[j])
                twice = 2.0 if high == low else 1.0
                eq.root[high * n + low] += twice * v * row_1[i] * row_2[j]
            eq.root_y[at_1[i]] += v * row_1[i] * t
            eq.root_y[at_2[i]] += v * row_2[i] * s


@inner
def root_row(eq, n_chain, z_start, X, Z, index, pair, row, at):  # type: ignore[no-untyped-def]
    """Values of a row in the root, and the columns that they stand in."""
    k = 0
    for g in range(n_chain, eq.n_factors):
        for c in range(eq.q[g]):
            row[k] = Z[pair, z_start[g] + c]
            at[k] = eq.block_column[index[g, pair]] + c
            k += 1
    for c in range(eq.sizes[4]):
        row[k] = X[pair, c]
        at[k] = eq.sizes[3] + c
        k += 1


def complete_root(equations: Equations, floats: np.ndarray) -> None:
    """Fill the root's upper triangle, if anybody looks at it.

    A large root with one effect a level has the lower one alone, in which most is zero and
    takes no memory: nothing is ever written there.

    Parameters
    ----------
    equations : Equations
        Their layout.
    floats : ndarray
        The products, whose lower triangle is complete.
    """
    scalar = len(equations.block_factor) == int(equations.sizes[3])
    if len(equations.root_y) <= _LARGE or not scalar or equations.related.any():
        mirror_root(equations.ints, floats)


@kernel(types.void, INTS, FLOATS)
def mirror_root(eq_ints, eq_floats):  # type: ignore[no-untyped-def]
    """Fill the root's upper triangle."""
    eq = equations_at(eq_ints, eq_floats)
    n = eq.n_root
    for i in range(n):
        for j in range(i):
            eq.root[j * n + i] = eq.root[i * n + j]
