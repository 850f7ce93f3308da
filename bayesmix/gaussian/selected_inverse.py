"""The selected inverse: the blocks of M^-1 that the factor of M has room for.

References
----------
Takahashi, K., Fagan, J. and Chen, M.-S. (1973). Formation of a sparse bus
impedance matrix and its application to short circuit study. PICA proceedings.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types

from bayesmix.gaussian.dense import invert_lower, root_inverse
from bayesmix.gaussian.equations import Arrays, equations_at, widest
from bayesmix.gaussian.factorisation import WIDE
from bayesmix.gaussian.linking import FLOATS, INTS, blas, f8, i8, inlined, inner, kernel, matrix

__all__ = ["inverse_moments"]

_INT32 = types.CPointer(types.int32)
_dsymm = blas(
    "dsymm", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, _INT32, FLOATS,
    FLOATS, _INT32,
)  # fmt: skip


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
    m_max, entries_max = widest(eq)
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
            invert_lower(C, q, half)
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
                if n_columns >= WIDE and q > 1:
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
