"""Passes over pairs of rows, where classes are too many for their products to be kept."""

from __future__ import annotations

import numpy as np
from numba import carray, types

from bayesmix.gaussian.crossproducts import add_both_ways, find_entry, mirror_root, root_row
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, inner, kernel
from bayesmix.gaussian.residual_classes import classes_at

__all__ = ["contract_pairs", "sum_pairs"]

_mirror = mirror_root.external


@kernel(types.void, INTS, INTS, FLOATS, FLOATS, FLOATS, needs=(mirror_root,))
def sum_pairs(eq_ints, class_ints, class_floats, c, products):  # type: ignore[no-untyped-def]
    """Add up the products of all pairs, each times the coefficient of its class.

    Parameters
    ----------
    eq_ints : ndarray
        The integers of `Equations`.
    class_ints, class_floats : ndarray
        The arrays of `ResidualClasses`.
    c : ndarray, shape (K,)
    products : ndarray
        Receives the sum, laid out like the floats of `Equations`.
    """
    classes, eq = classes_at(class_ints, class_floats), equations_at(eq_ints, products)
    m, p = classes.sizes[7], eq.sizes[4]
    for i in range(classes.sizes[2]):
        products[i] = 0.0
    value, n_columns = np.empty(m), 0
    for k in range(m):
        value[k] = classes.pair_value[k] * c[classes.pair_class[k]]
    for f in range(eq.n_factors):
        n_columns += eq.q[f]
    add_both_ways(
        eq, value, carray(classes.pair_X, (m, p)), carray(classes.pair_y, (m,)),
        carray(classes.pair_Z, (m, n_columns)), carray(classes.pair_index, (eq.n_factors, m)),
        carray(classes.pair_X_2, (m, p)), carray(classes.pair_y_2, (m,)),
        carray(classes.pair_Z_2, (m, n_columns)), carray(classes.pair_index_2, (eq.n_factors, m)),
    )  # fmt: skip
    _mirror(eq_ints, products)


@kernel(types.void, INTS, INTS, FLOATS, FLOATS, FLOATS)
def contract_pairs(eq_ints, class_ints, class_floats, counts, out):  # type: ignore[no-untyped-def]
    """Sum what the products of each class count.

    Parameters
    ----------
    eq_ints, class_ints, class_floats
        As of `sum_pairs`.
    counts : ndarray
        What each product counts, laid out like the floats of `Equations`.
    out : ndarray, shape (K,)
        Receives the sums.
    """
    classes, eq = classes_at(class_ints, class_floats), equations_at(eq_ints, counts)
    m, p, n_columns = classes.sizes[7], eq.sizes[4], 0
    for f in range(eq.n_factors):
        n_columns += eq.q[f]
    for k in range(classes.sizes[0]):
        out[k] = 0.0
    X, Z = carray(classes.pair_X, (m, p)), carray(classes.pair_Z, (m, n_columns))
    X_2, Z_2 = carray(classes.pair_X_2, (m, p)), carray(classes.pair_Z_2, (m, n_columns))
    index = carray(classes.pair_index, (eq.n_factors, m))
    index_2 = carray(classes.pair_index_2, (eq.n_factors, m))
    z_start = np.zeros(eq.n_factors + 1, dtype=np.int64)
    for f in range(eq.n_factors):
        z_start[f + 1] = z_start[f] + eq.q[f]
    size = z_start[eq.n_factors] - z_start[eq.sizes[0]] + p
    at_1, at_2 = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    row_1, row_2 = np.empty(size), np.empty(size)
    for pair in range(m):
        out[classes.pair_class[pair]] += classes.pair_value[pair] * _of_pair(
            eq, z_start, pair, X, classes.pair_y[pair], Z, index, X_2, classes.pair_y_2[pair], Z_2,
            index_2, at_1, at_2, row_1, row_2,
        )  # fmt: skip


@inner
def _of_pair(  # type: ignore[no-untyped-def]
    eq, z_start, pair, X, s, Z, index, X_2, t, Z_2, index_2, at_1, at_2, row_1, row_2
):
    """Sum of the products of a b' + b a' for one pair of rows a and b, times their counts."""
    n_chain, p, n = eq.sizes[0], eq.sizes[4], eq.n_root
    total = 2.0 * eq.yy[0] * s * t
    for f in range(n_chain):
        node = index[f, pair]
        q, m = eq.q[f], eq.width[node]
        for i in range(q):
            a, b = Z[pair, z_start[f] + i], Z_2[pair, z_start[f] + i]
            for j in range(q):
                c = z_start[f] + j
                count = eq.K[eq.K_start[node] + i * q + j]
                total += count * (a * Z_2[pair, c] + b * Z[pair, c])
            base = eq.panel_start[node] + i * m
            for c in range(z_start[n_chain] - z_start[f + 1]):
                k = z_start[f + 1] + c
                total += eq.panel[base + c] * (a * Z_2[pair, k] + b * Z[pair, k])
            for g in range(n_chain, eq.n_factors):
                first = base + eq.list_column[find_entry(eq, node, index[g, pair])]
                second = base + eq.list_column[find_entry(eq, node, index_2[g, pair])]
                for c in range(eq.q[g]):
                    total += eq.panel[second + c] * a * Z_2[pair, z_start[g] + c]
                    total += eq.panel[first + c] * b * Z[pair, z_start[g] + c]
            for c in range(p):
                total += eq.panel[base + m - p - 1 + c] * (a * X_2[pair, c] + b * X[pair, c])
            total += eq.panel[base + m - 1] * (a * t + b * s)
    root_row(eq, n_chain, z_start, X, Z, index, pair, row_1, at_1)
    root_row(eq, n_chain, z_start, X_2, Z_2, index_2, pair, row_2, at_2)
    for i in range(len(at_1)):
        for j in range(len(at_2)):
            total += 2.0 * eq.root[at_1[i] * n + at_2[j]] * row_1[i] * row_2[j]
        total += eq.root_y[at_1[i]] * row_1[i] * t + eq.root_y[at_2[i]] * row_2[i] * s
    return total
