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
from numba import carray, types

from bayesmix.gaussian.dense import (
    columns_times,
    factor_root,
    small_cholesky,
    solve_lower,
    solve_lower_panel,
)
from bayesmix.gaussian.equations import Arrays, equations_at, widest
from bayesmix.gaussian.linking import FLOATS, INTS, blas, f8, i8, inlined, inner, kernel, matrix

__all__ = ["WIDE", "factorise"]

WIDE = 32  # columns of a panel from which BLAS is faster than loops
_INT32 = types.CPointer(types.int32)
_dsyrk = blas(
    "dsyrk", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, FLOATS, _INT32
)


@inlined
def _scale_node(
    eq: Arrays, f: int, node: int, L: np.ndarray, precision: float, K: np.ndarray, V: np.ndarray
) -> None:
    """Bring a node's raw cross-products to the scale of u: L' Z'W [...] L / s2."""
    q = eq.q[f]
    n_chain = eq.sizes[0]
    p = eq.sizes[4]
    m = eq.width[node]
    Lf = matrix(L, eq.L_start[f], q, q)
    raw = matrix(eq.K, eq.K_start[node], q, q)
    for i in range(q):
        for j in range(i + 1):
            s = 0.0
            for a in range(q):
                t = 0.0
                for b in range(q):
                    t += raw[a, b] * Lf[b, j]
                s += Lf[a, i] * t
            K[i, j] = s * precision
            K[j, i] = K[i, j]
        K[i, i] += 1.0
    panel = matrix(eq.panel, eq.panel_start[node], q, m)
    for i in range(q):
        for c in range(m):
            s = 0.0
            for a in range(q):
                s += Lf[a, i] * panel[a, c]
            V[i, c] = s * precision
    # Columns that belong to other group effects are on the scale of their own u.
    column = 0
    for g in range(f + 1, n_chain):
        columns_times(V, q, column, L, eq.L_start[g], eq.q[g])
        column += eq.q[g]
    if m > column + p + 1:
        for k in range(eq.list_start[node], eq.list_start[node + 1]):
            g = n_chain + eq.block_factor[eq.list_block[k]]
            columns_times(V, q, eq.list_column[k], L, eq.L_start[g], eq.q[g])


@inner
def _scale_root(
    eq: Arrays, L: np.ndarray, precision: float, prior: np.ndarray, prior_y: np.ndarray,
    root: np.ndarray, root_y: np.ndarray,
) -> None:  # fmt: skip
    """Bring the root's raw cross-products to the scale of u; add I and the prior of beta.

    Only the lower triangle counts.
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    n = r + p
    if len(eq.block_factor) == r:  # one effect per block: a scale per column
        scale = np.ones(n)
        for i in range(r):
            scale[i] = L[eq.L_start[n_chain + eq.block_factor[i]]]
        for i in range(n):
            by = precision * scale[i]
            for j in range(i + 1):
                root[i, j] = eq.root[i, j] * scale[j] * by
            root_y[i] = eq.root_y[i] * by
    else:
        _scale_root_blocks(eq, L, precision, root, root_y)
    for i in range(r):
        root[i, i] += 1.0
    for i in range(p):
        for j in range(p):
            root[r + i, r + j] += prior[i, j]
        root_y[r + i] += prior_y[i]


@inner
def _scale_root_blocks(
    eq: Arrays, L: np.ndarray, precision: float, root: np.ndarray, root_y: np.ndarray
) -> None:
    n_chain, n = eq.sizes[0], eq.sizes[3] + eq.sizes[4]
    for i in range(n):
        for j in range(n):
            root[i, j] = eq.root[i, j] * precision
        root_y[i] = eq.root_y[i] * precision
    for block in range(len(eq.block_factor)):
        f = n_chain + eq.block_factor[block]
        q, at, first = eq.q[f], eq.L_start[f], eq.block_column[block]
        row = np.empty(q)
        for i in range(n):  # from the right by L
            for c in range(q):
                s = 0.0
                for a in range(q):
                    s += root[i, first + a] * L[at + a * q + c]
                row[c] = s
            for c in range(q):
                root[i, first + c] = row[c]
    for block in range(len(eq.block_factor)):
        f = n_chain + eq.block_factor[block]
        q, at, first = eq.q[f], eq.L_start[f], eq.block_column[block]
        row = np.empty(q)
        for j in range(n):  # from the left by L'
            for c in range(q):
                s = 0.0
                for a in range(q):
                    s += root[first + a, j] * L[at + a * q + c]
                row[c] = s
            for c in range(q):
                root[first + c, j] = row[c]
        for c in range(q):
            s = 0.0
            for a in range(q):
                s += root_y[first + a] * L[at + a * q + c]
            row[c] = s
        for c in range(q):
            root_y[first + c] = row[c]


@inlined
def _subtract_from_root(
    eq: Arrays, node: int, q: int, V: np.ndarray, first: int,
    root: np.ndarray, root_y: np.ndarray, products: np.ndarray,
) -> None:  # fmt: skip
    """Root minus V'V over a node's columns that lie in the root (lower triangle)."""
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    m = eq.width[node]
    x0 = m - p - 1
    for i in range(p):
        for j in range(i + 1):
            s = 0.0
            for k in range(q):
                s += V[k, x0 + i] * V[k, x0 + j]
            root[r + i, r + j] -= s
        s = 0.0
        for k in range(q):
            s += V[k, x0 + i] * V[k, m - 1]
        root_y[r + i] -= s
    if x0 == first:
        return
    begin, end = eq.list_start[node], eq.list_start[node + 1]
    w = x0 - first
    wide = w >= WIDE and q > 1
    if wide:
        numbers = np.empty(6, dtype=np.int32)
        numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), ord("N"), w, q
        numbers[4], numbers[5] = m, products.shape[1]
        factors = np.empty(2)
        factors[0], factors[1] = 1.0, 0.0
        _dsyrk(
            numbers.ctypes, numbers[1:].ctypes, numbers[2:].ctypes, numbers[3:].ctypes,
            factors.ctypes, V[0, first:].ctypes, numbers[4:].ctypes, factors[1:].ctypes,
            products.ctypes, numbers[5:].ctypes,
        )  # fmt: skip
    for e in range(begin, end):
        block = eq.list_block[e]
        size = eq.q[n_chain + eq.block_factor[block]]
        row, column = eq.block_column[block], eq.list_column[e]
        for a in range(size):
            for d in range(begin, e + 1):
                other = eq.list_block[d]
                size_2 = eq.q[n_chain + eq.block_factor[other]]
                row_2, column_2 = eq.block_column[other], eq.list_column[d]
                if wide:
                    size_2 = a + 1 if d == e else size_2
                    for b in range(size_2):
                        root[row + a, row_2 + b] -= products[
                            column + a - first, column_2 + b - first
                        ]
                else:
                    for b in range(size_2):
                        s = 0.0
                        for k in range(q):
                            s += V[k, column + a] * V[k, column_2 + b]
                        root[row + a, row_2 + b] -= s
            for i in range(p):
                s = 0.0
                for k in range(q):
                    s += V[k, column + a] * V[k, x0 + i]
                root[r + i, row + a] -= s
            s = 0.0
            for k in range(q):
                s += V[k, column + a] * V[k, m - 1]
            root_y[row + a] -= s


@inlined
def _subtract_from_ancestors(
    eq: Arrays, f: int, node: int, V: np.ndarray, K: np.ndarray, panels: np.ndarray,
    where: np.ndarray,
) -> None:  # fmt: skip
    """Each ancestor's block and panel minus what the node contributes."""
    n_chain, p = eq.sizes[0], eq.sizes[4]
    q, m = eq.q[f], eq.width[node]
    entries = eq.list_start[node + 1] - eq.list_start[node]
    # Positions of the root blocks in the panels of ever higher ancestors.
    for e in range(entries):
        where[e] = eq.list_start[node] + e
    ancestor = node
    column = 0
    for g in range(f + 1, n_chain):
        q_a = eq.q[g]
        child = ancestor
        ancestor = eq.parent[ancestor]
        m_a = eq.width[ancestor]
        K_a = matrix(K, eq.K_start[ancestor], q_a, q_a)
        V_a = matrix(panels, eq.panel_start[ancestor], q_a, m_a)
        if entries > 0 and child != node:
            for e in range(entries):
                where[e] = eq.list_parent[where[e]]
        for i in range(q_a):
            for j in range(q_a):
                s = 0.0
                for k in range(q):
                    s += V[k, column + i] * V[k, column + j]
                K_a[i, j] -= s
            # Higher ancestors stand next to each other in both panels.
            at, to = column + q_a, 0
            for h in range(g + 1, n_chain):
                for _ in range(eq.q[h]):
                    s = 0.0
                    for k in range(q):
                        s += V[k, column + i] * V[k, at]
                    V_a[i, to] -= s
                    at += 1
                    to += 1
            for e in range(entries):
                own = eq.list_start[node] + e
                size = eq.q[n_chain + eq.block_factor[eq.list_block[own]]]
                target = eq.list_column[eq.list_parent[where[e]]]
                for c in range(size):
                    s = 0.0
                    for k in range(q):
                        s += V[k, column + i] * V[k, eq.list_column[own] + c]
                    V_a[i, target + c] -= s
            for c in range(p + 1):
                s = 0.0
                for k in range(q):
                    s += V[k, column + i] * V[k, m - p - 1 + c]
                V_a[i, m_a - p - 1 + c] -= s
        column += q_a


@kernel(i8, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def factorise(eq_ints, eq_floats, L, precision, prior, prior_y, K, panels, root, root_y, out):  # type: ignore[no-untyped-def]
    """Factor M and half-solve for its right-hand side.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        Of `Equations`.
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
        half-solved right-hand side.

    Returns
    -------
    int
        0 if M is not positive definite in floating point, else 1.
    """
    eq = equations_at(eq_ints, eq_floats)
    r, p = eq.sizes[3], eq.sizes[4]
    n = r + p
    L = carray(L, (eq.L_start[-1],))
    prior, prior_y = carray(prior, (p, p)), carray(prior_y, (p,))
    K, panels = carray(K, (len(eq.K),)), carray(panels, (len(eq.panel),))
    root, root_y, out = carray(root, (n, n)), carray(root_y, (n,)), carray(out, (3,))
    return 1 if _factorise(eq, L, precision, prior, prior_y, K, panels, root, root_y, out) else 0


@inner
def _factorise(
    eq: Arrays, L: np.ndarray, precision: float, prior: np.ndarray, prior_y: np.ndarray,
    K: np.ndarray, panels: np.ndarray, root: np.ndarray, root_y: np.ndarray, out: np.ndarray,
) -> bool:  # fmt: skip
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    n = r + p
    _scale_root(eq, L, precision, prior, prior_y, root, root_y)
    for f in range(1, n_chain):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            _scale_node(
                eq, f, node, L, precision,
                matrix(K, eq.K_start[node], q, q),
                matrix(panels, eq.panel_start[node], q, m),
            )  # fmt: skip
    # Room to work in, for the widest node.
    m_max, entries_max = widest(eq)
    where = np.empty(entries_max, dtype=np.int64)
    side = m_max if m_max >= WIDE else 1
    products = np.empty((side, side))
    log_det = 0.0
    length = 0.0
    for f in range(n_chain):
        q = eq.q[f]
        first = 0
        for g in range(f + 1, n_chain):
            first += eq.q[g]
        # The product of the pivots, with a logarithm only now and then: logs are slow.
        product = 1.0
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C = matrix(K, eq.K_start[node], q, q)
            V = matrix(panels, eq.panel_start[node], q, m)
            if f == 0:
                _scale_node(eq, f, node, L, precision, C, V)
            if not small_cholesky(C, q):
                return False
            for i in range(q):
                product *= C[i, i]
            if not 1e-100 < product < 1e100:
                log_det += np.log(product)
                product = 1.0
            solve_lower_panel(C, q, V, m)
            for i in range(q):
                length += V[i, m - 1] * V[i, m - 1]
            if first > 0:
                _subtract_from_ancestors(eq, f, node, V, K, panels, where)
            _subtract_from_root(eq, node, q, V, first, root, root_y, products)
        log_det += np.log(product)
    if not factor_root(root, n):
        return False
    solve_lower(root, n, root_y)
    log_det_x = 0.0
    for i in range(n):
        if i < r:
            log_det += np.log(root[i, i])
        else:
            log_det_x += np.log(root[i, i])
        length += root_y[i] * root_y[i]
    out[0] = 2.0 * log_det
    out[1] = 2.0 * log_det_x
    out[2] = length
    return np.isfinite(length) and np.isfinite(log_det)
