"""The selected inverse: the blocks of M^-1 that the factor of M has room for.

References
----------
Takahashi, K., Fagan, J. and Chen, M.-S. (1973). Formation of a sparse bus
impedance matrix and its application to short circuit study. PICA proceedings.
"""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.dense import invert_lower, lower, root_inverse
from bayesmix.gaussian.equations import equations_at, node_starts, widest
from bayesmix.gaussian.factorisation import WIDE
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
from bayesmix.gaussian.related import squares

__all__ = ["inverse_moments"]

_INT32 = types.CPointer(types.int32)
_dsymm = blas(
    "dsymm", _INT32, _INT32, _INT32, _INT32, FLOATS, FLOATS, _INT32, FLOATS, _INT32, FLOATS,
    FLOATS, _INT32,
)  # fmt: skip
_root_inverse = root_inverse.external


@kernel(
    f8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, i8, FLOATS, i8, FLOATS, i8,
    FLOATS, needs=(root_inverse,),
)  # fmt: skip
def inverse_moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, K, panels, root, with_fixed, inverse, S, n_diagonal, diagonal, n_cross,
    cross, n_panel, panel_inverse,
):  # fmt: skip
    """Blocks of the inverse of M that the gradient and the standard errors need.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    K, panels, root : ndarray
        From `factorise`.
    with_fixed : int
        Whether of M (REML, Bayes) or of M_uu alone (ML).
    inverse : ndarray, shape (n_root, n_root)
        Receives the root's inverse, in the lower triangle; may be `root`.
    S : ndarray
        Receives, like L, the sum over levels of each factor's diagonal blocks; of related
        levels, the sum over pairs of them of all blocks by their precision.
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
    n_chain, r, p, n = eq.sizes[0], eq.sizes[3], eq.sizes[4], eq.n_root
    _root_inverse(root, n, n if with_fixed != 0 else r, inverse)
    for i in range(eq.L_start[eq.n_factors]):
        S[i] = 0.0
    first = 0
    for f in range(n_chain, eq.n_factors):
        if eq.related[f - n_chain] != 0:
            squares(eq, f, shifted(inverse, first * n + first), n, shifted(S, eq.L_start[f]))
        first += eq.q[f] * eq.n_levels[f]
    for block in range(eq.n_blocks):
        f, first = n_chain + eq.block_factor[block], eq.block_column[block]
        q, at = eq.q[f], eq.L_start[f]
        if eq.related[f - n_chain] != 0:
            continue
        for i in range(q):
            for j in range(q):
                S[at + i * q + j] += inverse[lower(n, first + i, first + j)]
    if n_cross > 0:
        for i in range(r):
            for j in range(p):
                cross[(n_cross - r + i) * p + j] = inverse[(r + j) * n + i]
    # Inverse blocks of the nodes that are ancestors are kept: their own, and against
    # their columns.
    fine = eq.node_start[1] if n_chain > 1 else eq.sizes[2]
    K_base, panel_base = eq.K_start[fine], eq.panel_start[fine]
    own, across = np.empty(eq.K_size - K_base), np.empty(eq.panel_size - panel_base)
    m_max, entries_max = widest(eq)
    q_max = 1
    for f in range(n_chain):
        q_max = max(q_max, eq.q[f])
    W, WJ, J = np.empty(q_max * m_max), np.empty(q_max * m_max), np.empty(m_max * m_max)
    half, block = np.empty(q_max * q_max), np.empty(q_max * q_max)
    where, entry = np.empty(m_max, dtype=np.int64), np.empty(entries_max, dtype=np.int64)
    _invert_nodes(
        eq, K, panels, with_fixed != 0, inverse, S, own, across, K_base, panel_base,
        n_diagonal > 0, diagonal, n_cross > 0, cross, n_panel > 0, panel_inverse, W, WJ, J, half,
        block, where, entry, node_starts(eq),
    )  # fmt: skip
    trace = 0.0
    for f in range(eq.n_factors):
        for i in range(eq.q[f]):
            trace += S[eq.L_start[f] + i * eq.q[f] + i]
    return trace


@inner
def _invert_nodes(  # type: ignore[no-untyped-def]
    eq,
    K,
    panels,
    with_fixed,
    inverse,
    S,
    own,
    across,
    K_base,
    panel_base,
    keep,
    diagonal,
    with_cross,
    cross,
    everywhere,
    panel_inverse,
    W,
    WJ,
    J,
    half,
    block,
    where,
    entry,
    start,
):
    """Blocks of the inverse of the nodes, coarse to fine; from W on it is room to work in."""
    n_chain, p = eq.sizes[0], eq.sizes[4]
    own, across, start = pointer(own), pointer(across), pointer(start)
    W, WJ, J, half, block = pointer(W), pointer(WJ), pointer(J), pointer(half), pointer(block)
    where, entry = pointer(where), pointer(entry)
    if everywhere:
        across, panel_base = panel_inverse, 0
    for f in range(n_chain - 1, -1, -1):
        q, at = eq.q[f], eq.L_start[f]
        first = 0
        for g in range(f + 1, n_chain):
            first += eq.q[g]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C, V = shifted(K, eq.K_start[node]), shifted(panels, eq.panel_start[node])
            invert_lower(C, q, q, half)
            for i in range(q):
                for j in range(i + 1):
                    s = 0.0
                    for k in range(i, q):
                        s += half[k * q + i] * half[k * q + j]
                    block[i * q + j] = s
            w = m - 1 if with_fixed else m - 1 - p
            if w > 0:
                for i in range(q):
                    for c in range(w):
                        W[i * w + c] = 0.0
                        WJ[i * w + c] = 0.0
                    for k in range(i, q):
                        t = half[k * q + i]
                        for c in range(w):
                            W[i * w + c] += t * V[k * m + c]
                _gather_inverse(
                    eq, f, node, first, w, inverse, own, across, K_base, panel_base, where, entry, J
                )
                _times(W, J, q, w, WJ)
                for i in range(q):
                    for j in range(i + 1):
                        s = 0.0
                        for c in range(w):
                            s += WJ[i * w + c] * W[j * w + c]
                        block[i * q + j] += s
                if with_cross and with_fixed:
                    to = (start[f] + q * (node - eq.node_start[f])) * p
                    for i in range(q):
                        for j in range(p):
                            cross[to + i * p + j] = -WJ[i * w + w - p + j]
                if f > 0 or everywhere:
                    kept = shifted(across, eq.panel_start[node] - panel_base)
                    for i in range(q):
                        for c in range(m):
                            kept[i * m + c] = -WJ[i * w + c] if c < w else 0.0
            for i in range(q):
                for j in range(i):
                    block[j * q + i] = block[i * q + j]
            for i in range(q * q):
                S[at + i] += block[i]
                if f > 0:
                    own[eq.K_start[node] - K_base + i] = block[i]
                if keep:
                    diagonal[eq.K_start[node] + i] = block[i]


@inlined
def _times(W, J, q, w, WJ):  # type: ignore[no-untyped-def]
    """Add W J, of q rows and a symmetric J of w columns."""
    if w >= WIDE and q > 1:
        numbers, factors = np.empty(4, dtype=np.int32), np.empty(2)
        numbers[0], numbers[1], numbers[2], numbers[3] = ord("L"), ord("U"), w, q
        factors[0], factors[1] = 1.0, 0.0
        _dsymm(
            numbers.ctypes, numbers[1:].ctypes, numbers[2:].ctypes, numbers[3:].ctypes,
            factors.ctypes, J, numbers[2:].ctypes, W, numbers[2:].ctypes, factors[1:].ctypes, WJ,
            numbers[2:].ctypes,
        )  # fmt: skip
        return
    for c in range(w):
        for i in range(q):
            t = W[i * w + c]
            for d in range(w):
                WJ[i * w + d] += t * J[c * w + d]


@inlined
def _gather_inverse(  # type: ignore[no-untyped-def]
    eq, f, node, first, w, inverse, own, across, K_base, panel_base, where, entry, J
):
    """Inverse of M between the first w columns of a node's panel: ancestors, root blocks, X.

    `where` and `entry` are room to work in.
    """
    n, begin = eq.n_root, eq.list_start[node]
    columns_in_root(eq, node, first, where)
    for c in range(first, w):
        row = shifted(inverse, where[c] * n)
        for d in range(first, c + 1):
            v = row[where[d]]
            J[c * w + d] = v
            J[d * w + c] = v
    for e in range(eq.list_start[node + 1] - begin):
        entry[e] = begin + e
    ancestor = node
    column = 0
    for g in range(f + 1, eq.sizes[0]):
        q_a = eq.q[g]
        ancestor = eq.parent[ancestor]
        m_a = eq.width[ancestor]
        kept = shifted(across, eq.panel_start[ancestor] - panel_base)
        block = shifted(own, eq.K_start[ancestor] - K_base)
        columns_in_ancestor(eq, g, node, ancestor, column + q_a, entry, where)
        for i in range(q_a):
            to = column + i
            for j in range(q_a):
                J[to * w + column + j] = block[i * q_a + j]
            for c in range(column + q_a, w):
                v = kept[i * m_a + where[c]]
                J[to * w + c] = v
                J[c * w + to] = v
        column += q_a
