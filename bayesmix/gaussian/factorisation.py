"""The blocked Cholesky factor of the mixed-model equations.

One set of kernels for one grouping factor, nested chains, crossed factors and
any mix of them. Group effects are written as b = L u with u standard normal, so
that the matrix

    M = [ L' Z'WZ L / s2 + I    L' Z'WX / s2    ]
        [ X'WZ L / s2           X'WX / s2 + P   ]

is positive definite whatever L is, also where a variance is zero. Its rows and
columns fall into *nodes* (the levels of a chain of nested grouping factors,
finest first: eliminated block by block, without fill-in beyond a node's own
ancestors) and a dense *root* (all other grouping factors, then the fixed
effects).

References
----------
Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear
mixed-effects models using lme4. Journal of Statistical Software 67(1), 1-48.
"""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.dense import (
    columns_times,
    factor_root,
    small_cholesky,
    solve_lower,
    solve_lower_panel,
)
from bayesmix.gaussian.equations import equations_at, widest
from bayesmix.gaussian.linking import (
    FLOATS,
    INTS,
    blas,
    f8,
    i8,
    inlined,
    inner,
    kernel,
    pointer,
    shifted,
)
from bayesmix.gaussian.panels import columns_in_ancestor, columns_in_root
from bayesmix.gaussian.related import add_prior, log_det_of_related

__all__ = ["WIDE", "factorise"]

WIDE = 32  # columns of a panel from which BLAS is faster than loops
_INT32 = types.CPointer(types.int32)
_dsyrk = blas(
    "dsyrk", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, FLOATS, _INT32
)
_factor_root = factor_root.external


@inlined
def _scale_node(eq, f, node, L, precision, K, V, row):  # type: ignore[no-untyped-def]
    """Bring a node's raw cross-products to the scale of u: L' Z'W [...] L / s2.

    `row` is room for its effects or columns.
    """
    q, m = eq.q[f], eq.width[node]
    n_chain, p = eq.sizes[0], eq.sizes[4]
    own = shifted(L, eq.L_start[f])
    raw, panel = shifted(eq.K, eq.K_start[node]), shifted(eq.panel, eq.panel_start[node])
    if q == 1:
        scale = own[0] * precision
        K[0] = 1.0 + raw[0] * own[0] * scale
        for c in range(m):
            V[c] = panel[c] * scale
    else:
        for j in range(q):  # a column of Z'WZ L at a time
            for a in range(q):
                t = 0.0
                for b in range(q):
                    t += raw[a * q + b] * own[b * q + j]
                row[a] = t
            for i in range(j, q):
                s = 0.0
                for a in range(q):
                    s += own[a * q + i] * row[a]
                K[i * q + j] = s * precision
                K[j * q + i] = s * precision
            K[j * q + j] += 1.0
        for i in range(q):
            for c in range(m):
                V[i * m + c] = 0.0
            for a in range(q):
                scale = own[a * q + i] * precision
                for c in range(m):
                    V[i * m + c] += scale * panel[a * m + c]
    # Columns that belong to other group effects are on the scale of their own u.
    column = 0
    for g in range(f + 1, n_chain):
        columns_times(V, q, m, column, shifted(L, eq.L_start[g]), eq.q[g], row)
        column += eq.q[g]
    if m > column + p + 1:
        for e in range(eq.list_start[node], eq.list_start[node + 1]):
            g = n_chain + eq.block_factor[eq.list_block[e]]
            columns_times(V, q, m, eq.list_column[e], shifted(L, eq.L_start[g]), eq.q[g], row)


@inner
def _scale_root(eq, L, precision, prior, prior_y, root, root_y, row):  # type: ignore[no-untyped-def]
    """Bring the root's raw cross-products to the scale of u; add I and the prior of beta.

    Only the lower triangle counts. `row` is room for a row of the root.
    """
    n_chain, r, p, n = eq.sizes[0], eq.sizes[3], eq.sizes[4], eq.n_root
    row = pointer(row)
    if eq.n_blocks == r:  # one effect per block: a scale per column
        for i in range(n):
            row[i] = L[eq.L_start[n_chain + eq.block_factor[i]]] if i < r else 1.0
        for i in range(n):
            by = precision * row[i]
            for j in range(i + 1):
                root[i * n + j] = eq.root[i * n + j] * row[j] * by
            root_y[i] = eq.root_y[i] * by
    else:
        for i in range(n * n):
            root[i] = eq.root[i] * precision
        for i in range(n):
            root_y[i] = eq.root_y[i] * precision
        for block in range(eq.n_blocks):
            f, first = n_chain + eq.block_factor[block], eq.block_column[block]
            q, own = eq.q[f], shifted(L, eq.L_start[f])
            columns_times(root, n, n, first, own, q, row)
            columns_times(root_y, 1, n, first, own, q, row)
        for block in range(eq.n_blocks):
            f, first = n_chain + eq.block_factor[block], eq.block_column[block]
            q, own = eq.q[f], shifted(L, eq.L_start[f])
            for j in range(n):  # from the left by L'
                for c in range(q):
                    s = 0.0
                    for a in range(q):
                        s += root[(first + a) * n + j] * own[a * q + c]
                    row[c] = s
                for c in range(q):
                    root[(first + c) * n + j] = row[c]
    add_prior(eq, root, n)
    for i in range(p):
        for j in range(p):
            root[(r + i) * n + r + j] += prior[i * p + j]
        root_y[r + i] += prior_y[i]


@inlined
def _subtract_from_root(eq, node, q, V, first, root, root_y, where, products):  # type: ignore[no-untyped-def]
    """Root minus V'V over a node's columns that lie in the root (lower triangle)."""
    m, n = eq.width[node], eq.n_root
    columns_in_root(eq, node, first, where)
    for k in range(q):
        t = V[k * m + m - 1]
        for c in range(first, m - 1):
            root_y[where[c]] -= t * V[k * m + c]
    w = m - 1 - first
    if w >= WIDE and q > 1:
        numbers, factors = np.empty(5, dtype=np.int32), np.empty(2)
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4] = ord("U"), ord("N"), w, q, m
        factors[0], factors[1] = 1.0, 0.0
        _dsyrk(
            numbers.ctypes, numbers[1:].ctypes, numbers[2:].ctypes, numbers[3:].ctypes,
            factors.ctypes, shifted(V, first), numbers[4:].ctypes, factors[1:].ctypes,
            products, numbers[2:].ctypes,
        )  # fmt: skip
        for c in range(w):
            row = shifted(root, where[first + c] * n)
            for d in range(c + 1):
                row[where[first + d]] -= products[c * w + d]
        return
    for k in range(q):
        for c in range(first, m - 1):
            t, row = V[k * m + c], shifted(root, where[c] * n)
            for d in range(first, c + 1):
                row[where[d]] -= t * V[k * m + d]


@inlined
def _subtract_from_ancestors(eq, f, node, V, K, panels, entry, where):  # type: ignore[no-untyped-def]
    """Each ancestor's block and panel minus what the node contributes."""
    q, m, begin = eq.q[f], eq.width[node], eq.list_start[node]
    for e in range(eq.list_start[node + 1] - begin):
        entry[e] = begin + e
    ancestor = node
    column = 0
    for g in range(f + 1, eq.sizes[0]):
        q_a = eq.q[g]
        ancestor = eq.parent[ancestor]
        m_a = eq.width[ancestor]
        K_a = shifted(K, eq.K_start[ancestor])
        V_a = shifted(panels, eq.panel_start[ancestor])
        columns_in_ancestor(eq, g, node, ancestor, column + q_a, entry, where)
        for k in range(q):
            row = shifted(V, k * m)
            for i in range(q_a):
                t = row[column + i]
                for j in range(q_a):
                    K_a[i * q_a + j] -= t * row[column + j]
                for c in range(column + q_a, m):
                    V_a[i * m_a + where[c]] -= t * row[c]
        column += q_a


@kernel(
    i8, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(factor_root,),
)  # fmt: skip
def factorise(eq_ints, eq_floats, L, precision, prior, prior_y, K, panels, root, root_y, out):  # type: ignore[no-untyped-def]
    """Factor M and half-solve for its right-hand side.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    L : ndarray
        Each factor's q x q matrix with b = L u, flat, one behind the other.
    precision : float
        1 / s2, the inverse residual variance of a row of weight 1.
    prior : ndarray, shape (p, p)
        Prior precision P of the fixed effects; zero for flat priors.
    prior_y : ndarray, shape (p,)
        P times the prior mean.
    K, panels : ndarray
        Receive each node's Cholesky factor C and its panel C^-1 [...].
    root : ndarray, shape (n_root, n_root)
        Receives the root's Cholesky factor, in the lower triangle.
    root_y : ndarray, shape (n_root,)
        Receives the half-solved right-hand side.
    out : ndarray, shape (3,)
        Receives log|M_uu|, log|M| - log|M_uu|, and the squared length of the
        half-solved right-hand side. Where levels are related, log|A| is added to the
        first, so that it is relative to what it is without data.

    Returns
    -------
    int
        0 if M is not positive definite in floating point, else 1.
    """
    eq = equations_at(eq_ints, eq_floats)
    m_max, entries_max = widest(eq)
    products = np.empty(m_max * m_max if m_max >= WIDE else 1)
    widest_row = max(m_max, eq.n_root)
    for f in range(eq.sizes[0]):
        widest_row = max(widest_row, eq.q[f])
    room = np.empty(widest_row)
    where, entry = np.empty(m_max, dtype=np.int64), np.empty(entries_max, dtype=np.int64)
    _scale_root(eq, L, precision, prior, prior_y, root, root_y, room)
    log_det, length = _eliminate(
        eq, L, precision, K, panels, root, root_y, room, where, entry, products
    )
    n = eq.n_root
    if not np.isfinite(log_det) or _factor_root(root, n) == 0:
        return 0
    solve_lower(root, n, n, root_y)
    log_det_x = 0.0
    for i in range(n):
        if i < eq.sizes[3]:
            log_det += np.log(root[i * n + i])
        else:
            log_det_x += np.log(root[i * n + i])
        length += root_y[i] * root_y[i]
    out[0] = 2.0 * log_det + log_det_of_related(eq)
    out[1] = 2.0 * log_det_x
    out[2] = length
    return 1 if np.isfinite(length) and np.isfinite(log_det) else 0


@inner
def _eliminate(eq, L, precision, K, panels, root, root_y, room, where, entry, products):  # type: ignore[no-untyped-def]
    """Factor the nodes and take them off their ancestors and the root.

    Returns
    -------
    log_det, length : float
        Half of log|M_uu| of the nodes, NaN if that is not positive definite; squared
        length of their half-solved right-hand side.
    """
    room, where, entry, products = (
        pointer(room), pointer(where), pointer(entry), pointer(products),
    )  # fmt: skip
    n_chain = eq.sizes[0]
    for f in range(1, n_chain):
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            _scale_node(
                eq, f, node, L, precision, shifted(K, eq.K_start[node]),
                shifted(panels, eq.panel_start[node]), room,
            )  # fmt: skip
    log_det, length = 0.0, 0.0
    for f in range(n_chain):
        q = eq.q[f]
        first = 0
        for g in range(f + 1, n_chain):
            first += eq.q[g]
        # The product of the pivots, with a logarithm only now and then: logs are slow.
        product = 1.0
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C, V = shifted(K, eq.K_start[node]), shifted(panels, eq.panel_start[node])
            if f == 0:
                _scale_node(eq, f, node, L, precision, C, V, room)
            if not small_cholesky(C, q):
                return np.nan, np.nan
            for i in range(q):
                product *= C[i * q + i]
            if not 1e-100 < product < 1e100:
                log_det += np.log(product)
                product = 1.0
            solve_lower_panel(C, q, V, m)
            for i in range(q):
                length += V[i * m + m - 1] * V[i * m + m - 1]
            if first > 0:
                _subtract_from_ancestors(eq, f, node, V, K, panels, entry, where)
            _subtract_from_root(eq, node, q, V, first, root, root_y, where, products)
        log_det += np.log(product)
    return log_det, length
