"""The blocked Cholesky of the mixed-model equations, and its selected inverse.

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

Takahashi, K., Fagan, J. and Chen, M.-S. (1973). Formation of a sparse bus
impedance matrix and its application to short circuit study. PICA proceedings.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types

from bayesmix.gaussian.equations import Arrays, equations_at
from bayesmix.gaussian.linking import (
    FLOATS,
    INTS,
    blas,
    f8,
    i8,
    inlined,
    inner,
    kernel,
    lapack,
    matrix,
)  # fmt: skip

__all__ = ["factor_root", "factorise", "inverse_moments", "root_inverse", "solve_nodes"]


_INT32 = types.CPointer(types.int32)
_dpotrf = lapack("dpotrf", _INT32, _INT32, FLOATS, _INT32, _INT32)
_dpotri = lapack("dpotri", _INT32, _INT32, FLOATS, _INT32, _INT32)
_dsyrk = blas(
    "dsyrk", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, FLOATS, _INT32
)
_dsymm = blas(
    "dsymm", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, _INT32, FLOATS,
    FLOATS, _INT32,
)  # fmt: skip
_WIDE = 32  # columns of a panel from which BLAS is faster than loops
_SMALL = 24  # up to here loops are faster than LAPACK


@inner
def _chol_in_place(A: np.ndarray, n: int) -> bool:
    """Lower Cholesky factor of a small matrix, in place; False if it is not positive."""
    for j in range(n):
        d = A[j, j]
        for k in range(j):
            d -= A[j, k] * A[j, k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        A[j, j] = d
        for i in range(j + 1, n):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = s / d
    return True


@inner
def factor_root(A: np.ndarray, n: int) -> bool:
    """Lower Cholesky factor of any size, in place; False if A is not positive definite."""
    if n <= _SMALL:
        return _chol_in_place(A, n)
    numbers = np.empty(4, dtype=np.int32)
    # The lower triangle by rows is LAPACK's upper one by columns.
    numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), n, A.shape[1], 0
    at = numbers.ctypes
    _dpotrf(at, numbers[1:].ctypes, A.ctypes, numbers[2:].ctypes, numbers[3:].ctypes)
    return numbers[3] == 0


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
        _columns_times(V, q, column, L, eq.L_start[g], eq.q[g])
        column += eq.q[g]
    if m > column + p + 1:
        for k in range(eq.list_start[node], eq.list_start[node + 1]):
            g = n_chain + eq.block_factor[eq.list_block[k]]
            _columns_times(V, q, eq.list_column[k], L, eq.L_start[g], eq.q[g])


@inlined
def _columns_times(V: np.ndarray, q: int, column: int, L: np.ndarray, at: int, size: int) -> None:
    """Multiply `size` columns of V from the right by the size x size matrix at `at`."""
    if size == 1:
        scale = L[at]
        for i in range(q):
            V[i, column] *= scale
        return
    row = np.empty(size)
    for i in range(q):
        for c in range(size):
            s = 0.0
            for a in range(size):
                s += V[i, column + a] * L[at + a * size + c]
            row[c] = s
        for c in range(size):
            V[i, column + c] = row[c]


@inlined
def _solve_lower_panel(C: np.ndarray, q: int, V: np.ndarray, m: int) -> None:
    """V := C^-1 V, in place."""
    for i in range(q):
        d = 1.0 / C[i, i]
        for k in range(i):
            t = C[i, k]
            for c in range(m):
                V[i, c] -= t * V[k, c]
        for c in range(m):
            V[i, c] *= d


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
    wide = w >= _WIDE and q > 1
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
    m_max, entries_max = _widest(eq)
    where = np.empty(entries_max, dtype=np.int64)
    side = m_max if m_max >= _WIDE else 1
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
            if not _chol_in_place(C, q):
                return False
            for i in range(q):
                product *= C[i, i]
            if not 1e-100 < product < 1e100:
                log_det += np.log(product)
                product = 1.0
            _solve_lower_panel(C, q, V, m)
            for i in range(q):
                length += V[i, m - 1] * V[i, m - 1]
            if first > 0:
                _subtract_from_ancestors(eq, f, node, V, K, panels, where)
            _subtract_from_root(eq, node, q, V, first, root, root_y, products)
        log_det += np.log(product)
    if not factor_root(root, n):
        return False
    log_det_x = 0.0
    for i in range(n):
        if i < r:
            log_det += np.log(root[i, i])
        else:
            log_det_x += np.log(root[i, i])
        s = root_y[i]
        for k in range(i):
            s -= root[i, k] * root_y[k]
        root_y[i] = s / root[i, i]
        length += root_y[i] * root_y[i]
    out[0] = 2.0 * log_det
    out[1] = 2.0 * log_det_x
    out[2] = length
    return np.isfinite(length) and np.isfinite(log_det)


@kernel(types.void, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def solve_nodes(eq_ints, eq_floats, K, panels, solution, u):  # type: ignore[no-untyped-def]
    """Back-substitute the nodes, coarse to fine.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        Of `Equations`.
    K, panels : ndarray
        From `factorise`.
    solution : ndarray, shape (n_root,)
        Values of the root: u of the rest, then beta.
    u : ndarray, shape (sum of q over nodes,)
        On entry what is added to each half-solved right-hand side (zero for the
        mean, standard normals for a draw); on return u of each node.
    """
    eq = equations_at(eq_ints, eq_floats)
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    u_start = np.zeros(n_chain + 1, dtype=np.int64)
    for f in range(n_chain):
        u_start[f + 1] = u_start[f] + eq.q[f] * (eq.node_start[f + 1] - eq.node_start[f])
    K, panels = carray(K, (len(eq.K),)), carray(panels, (len(eq.panel),))
    solution, u = carray(solution, (r + p,)), carray(u, (u_start[n_chain],))
    for f in range(n_chain - 1, -1, -1):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C = matrix(K, eq.K_start[node], q, q)
            V = matrix(panels, eq.panel_start[node], q, m)
            at = u_start[f] + q * (node - eq.node_start[f])
            for i in range(q):
                s = V[i, m - 1] + u[at + i]
                column = 0
                ancestor = node
                for g in range(f + 1, n_chain):
                    ancestor = eq.parent[ancestor]
                    at_a = u_start[g] + eq.q[g] * (ancestor - eq.node_start[g])
                    for c in range(eq.q[g]):
                        s -= V[i, column] * u[at_a + c]
                        column += 1
                if m > column + p + 1:
                    for e in range(eq.list_start[node], eq.list_start[node + 1]):
                        block = eq.list_block[e]
                        for c in range(eq.q[n_chain + eq.block_factor[block]]):
                            s -= V[i, eq.list_column[e] + c] * solution[eq.block_column[block] + c]
                for c in range(p):
                    s -= V[i, m - p - 1 + c] * solution[r + c]
                u[at + i] = s
            for i in range(q - 1, -1, -1):
                s = u[at + i]
                for k in range(i + 1, q):
                    s -= C[k, i] * u[at + k]
                u[at + i] = s / C[i, i]


@inner
def root_inverse(root: np.ndarray, n: int, used: int, inverse: np.ndarray) -> None:
    """Inverse of the root's leading `used` rows from its factor; zero elsewhere."""
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 0.0
    if used == 0:
        return
    if used > _SMALL:
        for i in range(used):
            for j in range(i + 1):
                inverse[i, j] = root[i, j]
        numbers = np.empty(4, dtype=np.int32)
        numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), used, n, 0
        at = numbers.ctypes
        _dpotri(at, numbers[1:].ctypes, inverse.ctypes, numbers[2:].ctypes, numbers[3:].ctypes)
        for i in range(used):
            for j in range(i):
                inverse[j, i] = inverse[i, j]
        return
    half = np.zeros((used, used))
    for j in range(used):
        half[j, j] = 1.0 / root[j, j]
        for i in range(j + 1, used):
            s = 0.0
            for k in range(j, i):
                s -= root[i, k] * half[k, j]
            half[i, j] = s / root[i, i]
    for i in range(used):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, used):
                s += half[k, i] * half[k, j]
            inverse[i, j] = s
            inverse[j, i] = s


@kernel(
    f8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, i8, FLOATS, i8, FLOATS, i8,
    FLOATS,
)  # fmt: skip
def inverse_moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, K, panels, root, with_fixed, inverse, S, n_diagonal, diagonal, n_cross,
    cross, n_panel, panel_inverse,
):  # fmt: skip
    """Blocks of the inverse of M that the gradient and the standard errors need.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        Of `Equations`.
    K, panels, root : ndarray
        From `factorise`.
    with_fixed : int
        Whether of M (REML, Bayes) or of M_uu alone (ML).
    inverse : ndarray, shape (n_root, n_root)
        Receives the root's inverse.
    S : ndarray
        Receives, like L, the sum over levels of each factor's diagonal blocks.
    n_diagonal : int
        Length of `diagonal`: 0 where it is not wanted.
    diagonal : ndarray
        Receives the diagonal block of every node, like K.
    n_cross : int
        Rows of `cross`: 0 where it is not wanted.
    cross : ndarray, shape (number of group effects, p)
        Receives the inverse between group effects and fixed effects; of no use
        without fixed effects.
    n_panel : int
        Length of `panel_inverse`: 0 where it is not wanted.
    panel_inverse : ndarray
        Receives, like the panels, the inverse between each node and its columns.

    Returns
    -------
    float
        Trace over all group effects.
    """
    eq = equations_at(eq_ints, eq_floats)
    n, p = eq.sizes[3] + eq.sizes[4], eq.sizes[4]
    return _inverse_moments(
        eq, carray(K, (len(eq.K),)), carray(panels, (len(eq.panel),)), carray(root, (n, n)),
        with_fixed != 0, carray(inverse, (n, n)), carray(S, (eq.L_start[-1],)),
        carray(diagonal, (n_diagonal,)), carray(cross, (n_cross, p)),
        carray(panel_inverse, (n_panel,)),
    )  # fmt: skip


@inner
def _inverse_moments(
    eq: Arrays, K: np.ndarray, panels: np.ndarray, root: np.ndarray, with_fixed: bool,
    inverse: np.ndarray, S: np.ndarray, diagonal: np.ndarray, cross: np.ndarray,
    panel_inverse: np.ndarray,
) -> float:  # fmt: skip
    n_chain, n_rest, r, p = eq.sizes[0], eq.sizes[1], eq.sizes[3], eq.sizes[4]
    n = r + p
    used = n if with_fixed else r
    root_inverse(root, n, used, inverse)
    S[:] = 0.0
    if n_rest > 0:
        for block in range(len(eq.block_factor)):
            f = n_chain + eq.block_factor[block]
            q, at, first = eq.q[f], eq.L_start[f], eq.block_column[block]
            for i in range(q):
                for j in range(q):
                    S[at + i * q + j] += inverse[first + i, first + j]
        if len(cross) > 0:
            for i in range(r):
                for j in range(p):
                    cross[len(cross) - r + i, j] = inverse[i, r + j]
    keep = len(diagonal) > 0
    n_u = 0
    for f in range(n_chain):
        n_u += eq.q[f] * eq.n_levels[f]
    # Inverse blocks of the nodes that are ancestors: their own, and against their columns.
    n_kept = eq.K_start[-1] - eq.K_start[eq.node_start[1]] if n_chain > 1 else 0
    n_kept_panel = eq.panel_start[-1] - eq.panel_start[eq.node_start[1]] if n_chain > 1 else 0
    own = np.empty(n_kept)
    across = np.empty(n_kept_panel)
    K_base = eq.K_start[eq.node_start[1]] if n_chain > 1 else 0
    panel_base = eq.panel_start[eq.node_start[1]] if n_chain > 1 else 0
    everywhere = len(panel_inverse) > 0
    if everywhere:
        across, panel_base = panel_inverse, 0
    m_max, entries_max = _widest(eq)
    q_max = 1
    for f in range(n_chain):
        q_max = max(q_max, eq.q[f])
    W, WJ, J = np.empty((q_max, m_max)), np.empty((q_max, m_max)), np.empty((m_max, m_max))
    where, entry = np.empty(m_max, dtype=np.int64), np.empty(entries_max, dtype=np.int64)
    for f in range(n_chain - 1, -1, -1):
        q, at = eq.q[f], eq.L_start[f]
        first = 0
        for g in range(f + 1, n_chain):
            first += eq.q[g]
        n_u -= q * eq.n_levels[f]
        half = np.empty((q, q))
        block_inverse = np.empty((q, q))
        numbers, factors = np.empty(5, dtype=np.int32), np.empty(2)
        numbers[0], numbers[1] = ord("L"), ord("U")
        factors[0], factors[1] = 1.0, 0.0
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node] - 1
            C = matrix(K, eq.K_start[node], q, q)
            V = matrix(panels, eq.panel_start[node], q, m + 1)
            _invert_lower(C, q, half)
            for i in range(q):
                for j in range(i + 1):
                    s = 0.0
                    for k in range(i, q):
                        s += half[k, i] * half[k, j]
                    block_inverse[i, j] = s
            n_columns = m if with_fixed else m - p
            if n_columns > 0:
                for i in range(q):
                    for c in range(n_columns):
                        WJ[i, c] = 0.0
                        s = 0.0
                        for k in range(i, q):
                            s += half[k, i] * V[k, c]
                        W[i, c] = s
                _gather_inverse(eq, f, node, first, n_columns, inverse, own, across,
                                K_base, panel_base, where, entry, J)  # fmt: skip
                if n_columns >= _WIDE and q > 1:
                    numbers[2], numbers[3], numbers[4] = n_columns, q, m_max
                    _dsymm(
                        numbers.ctypes, numbers[1:].ctypes, numbers[2:].ctypes, numbers[3:].ctypes,
                        factors.ctypes, J.ctypes, numbers[4:].ctypes, W.ctypes,
                        numbers[4:].ctypes, factors[1:].ctypes, WJ.ctypes, numbers[4:].ctypes,
                    )  # fmt: skip
                else:
                    for c in range(n_columns):
                        for i in range(q):
                            t = W[i, c]
                            for d in range(n_columns):
                                WJ[i, d] += t * J[c, d]
                for i in range(q):
                    for j in range(i + 1):
                        s = 0.0
                        for c in range(n_columns):
                            s += WJ[i, c] * W[j, c]
                        block_inverse[i, j] += s
                if len(cross) > 0 and with_fixed:
                    u_at = n_u + q * (node - eq.node_start[f])
                    for i in range(q):
                        for j in range(p):
                            cross[u_at + i, j] = -WJ[i, m - p + j]
                if f > 0 or everywhere:
                    start = eq.panel_start[node] - panel_base
                    kept = matrix(across, start, q, m + 1)
                    for i in range(q):
                        for c in range(m + 1):
                            kept[i, c] = -WJ[i, c] if c < n_columns else 0.0
            for i in range(q):
                for j in range(i):
                    block_inverse[j, i] = block_inverse[i, j]
            for i in range(q):
                for j in range(q):
                    S[at + i * q + j] += block_inverse[i, j]
                    if f > 0:
                        own[eq.K_start[node] - K_base + i * q + j] = block_inverse[i, j]
                    if keep:
                        diagonal[eq.K_start[node] + i * q + j] = block_inverse[i, j]
    trace = 0.0
    for f in range(n_chain + n_rest):
        for i in range(eq.q[f]):
            trace += S[eq.L_start[f] + i * eq.q[f] + i]
    return trace


@inner
def _widest(eq: Arrays) -> tuple[int, int]:
    """Columns of the widest panel, and the most root blocks of a node (at least 1)."""
    m_max, entries_max = 1, 1
    for node in range(eq.sizes[2]):
        m_max = max(m_max, eq.width[node])
        entries_max = max(entries_max, eq.list_start[node + 1] - eq.list_start[node])
    return m_max, entries_max


@inlined
def _invert_lower(C: np.ndarray, q: int, half: np.ndarray) -> None:
    for j in range(q):
        half[j, j] = 1.0 / C[j, j]
        for i in range(j + 1, q):
            s = 0.0
            for k in range(j, i):
                s -= C[i, k] * half[k, j]
            half[i, j] = s / C[i, i]


@inlined
def _gather_inverse(
    eq: Arrays, f: int, node: int, first: int, n_columns: int, inverse: np.ndarray,
    own: np.ndarray, across: np.ndarray, K_base: int, panel_base: int, where: np.ndarray,
    entry: np.ndarray, J: np.ndarray,
) -> None:  # fmt: skip
    """Inverse of M between the columns of a node's panel: ancestors, root blocks, X.

    `where` and `entry` are room to work in.
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    x0 = eq.width[node] - 1 - p
    begin, end = eq.list_start[node], eq.list_start[node + 1]
    # Root columns of the panel's columns behind the ancestors.
    if x0 > first:
        for e in range(begin, end):
            block = eq.list_block[e]
            for c in range(eq.q[n_chain + eq.block_factor[block]]):
                where[eq.list_column[e] + c] = eq.block_column[block] + c
    for c in range(x0, n_columns):
        where[c] = r + c - x0
    for c in range(first, n_columns):
        row = where[c]
        for d in range(first, c + 1):
            v = inverse[row, where[d]]
            J[c, d] = v
            J[d, c] = v
    ancestor = node
    column = 0
    # Column of each root block in the current ancestor's panel.
    for e in range(end - begin):
        entry[e] = begin + e
    for g in range(f + 1, n_chain):
        q_a = eq.q[g]
        ancestor = eq.parent[ancestor]
        for e in range(end - begin):
            entry[e] = eq.list_parent[entry[e]]
        m_a = eq.width[ancestor]
        start = eq.panel_start[ancestor] - panel_base
        kept = matrix(across, start, q_a, m_a)
        K_at = eq.K_start[ancestor] - K_base
        for i in range(q_a):
            for j in range(q_a):
                J[column + i, column + j] = own[K_at + i * q_a + j]
            to, at = column + q_a, 0
            for h in range(g + 1, n_chain):
                for _ in range(eq.q[h]):
                    J[column + i, to] = kept[i, at]
                    J[to, column + i] = kept[i, at]
                    to += 1
                    at += 1
            for e in range(end - begin):
                block = eq.list_block[begin + e]
                for c in range(eq.q[n_chain + eq.block_factor[block]]):
                    v = kept[i, eq.list_column[entry[e]] + c]
                    J[column + i, eq.list_column[begin + e] + c] = v
                    J[eq.list_column[begin + e] + c, column + i] = v
            for c in range(x0, n_columns):
                v = kept[i, m_a - 1 - p + c - x0]
                J[column + i, c] = v
                J[c, column + i] = v
        column += q_a
