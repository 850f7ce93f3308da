"""Solves with the blocked Cholesky factor C of M = C C', for any right-hand side."""

from __future__ import annotations

from numba import types

from bayesmix.gaussian.dense import solve_lower, solve_upper
from bayesmix.gaussian.equations import equations_at, node_starts
from bayesmix.gaussian.linking import FLOATS, INTS, i8, inlined, inner, kernel, pointer

__all__ = ["add_half_solved", "backward_solve", "forward_solve", "less_row", "take_row"]


@kernel(types.void, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS)
def forward_solve(eq_ints, eq_floats, K, panels, root, with_fixed, u, values):  # type: ignore[no-untyped-def]
    """C^-1 times a vector, in place.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    K, panels, root : ndarray
        From `factorise`.
    with_fixed : int
        Whether of M, or of its part without the fixed effects.
    u : ndarray
        The part of the nodes, factor behind factor.
    values : ndarray, shape (n_root,)
        The part of the root; that of the fixed effects is left alone without them.
    """
    eq = equations_at(eq_ints, eq_floats)
    _forward(eq, K, panels, root, with_fixed != 0, u, values, node_starts(eq))


@kernel(types.void, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS)
def backward_solve(eq_ints, eq_floats, K, panels, root, with_fixed, u, values):  # type: ignore[no-untyped-def]
    """C'^-1 times a vector, in place; see `forward_solve`."""
    eq = equations_at(eq_ints, eq_floats)
    _backward(eq, K, panels, root, with_fixed != 0, u, values, node_starts(eq))


@inner
def add_half_solved(eq, panels, u):  # type: ignore[no-untyped-def]
    """Add the nodes' part of C^-1 times the right-hand side, the last column of each panel."""
    at = 0
    for f in range(eq.sizes[0]):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            for i in range(q):
                u[at] += panels[eq.panel_start[node] + i * m + m - 1]
                at += 1


@inlined
def take_row(eq, panels, f, node, row, m, with_fixed, start, t, u, values):  # type: ignore[no-untyped-def]
    """Take t times a row of a node's panel from what stands in its columns.

    Parameters
    ----------
    eq, panels
        As in `forward_solve`.
    f, node : int
    row, m : int
        Where the row begins, and its length.
    with_fixed : bool
        Whether the columns of the fixed effects take part.
    start : pointer to int
        From `node_starts`.
    t : float
    u, values : pointer
        Columns of the nodes, and of the root.
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    column, ancestor = 0, node
    for g in range(f + 1, n_chain):
        ancestor = eq.parent[ancestor]
        to = start[g] + eq.q[g] * (ancestor - eq.node_start[g])
        for c in range(eq.q[g]):
            u[to + c] -= panels[row + column] * t
            column += 1
    if m > column + p + 1:
        for e in range(eq.list_start[node], eq.list_start[node + 1]):
            block = eq.list_block[e]
            to, at_column = eq.block_column[block], row + eq.list_column[e]
            for c in range(eq.q[n_chain + eq.block_factor[block]]):
                values[to + c] -= panels[at_column + c] * t
    if with_fixed:
        for c in range(p):
            values[r + c] -= panels[row + m - p - 1 + c] * t


@inlined
def less_row(eq, panels, f, node, row, m, with_fixed, start, s, u, values):  # type: ignore[no-untyped-def]
    """Return s less the product of a row of a node's panel and its columns; see `take_row`."""
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    column, ancestor = 0, node
    for g in range(f + 1, n_chain):
        ancestor = eq.parent[ancestor]
        to = start[g] + eq.q[g] * (ancestor - eq.node_start[g])
        for c in range(eq.q[g]):
            s -= panels[row + column] * u[to + c]
            column += 1
    if m > column + p + 1:
        for e in range(eq.list_start[node], eq.list_start[node + 1]):
            block = eq.list_block[e]
            to, at_column = eq.block_column[block], row + eq.list_column[e]
            for c in range(eq.q[n_chain + eq.block_factor[block]]):
                s -= panels[at_column + c] * values[to + c]
    if with_fixed:
        for c in range(p):
            s -= panels[row + m - p - 1 + c] * values[r + c]
    return s


@inner
def _forward(eq, K, panels, root, with_fixed, u, values, start):  # type: ignore[no-untyped-def]
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    start = pointer(start)
    for f in range(n_chain):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C, V = eq.K_start[node], eq.panel_start[node]
            at = start[f] + q * (node - eq.node_start[f])
            for i in range(q):
                s = u[at + i]
                for k in range(i):
                    s -= K[C + i * q + k] * u[at + k]
                u[at + i] = s / K[C + i * q + i]
            for i in range(q):
                take_row(eq, panels, f, node, V + i * m, m, with_fixed, start, u[at + i], u, values)
    solve_lower(root, r + p, r + p if with_fixed else r, values)


@inner
def _backward(eq, K, panels, root, with_fixed, u, values, start):  # type: ignore[no-untyped-def]
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    start = pointer(start)
    solve_upper(root, r + p, r + p if with_fixed else r, values)
    for f in range(n_chain - 1, -1, -1):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            C, V = eq.K_start[node], eq.panel_start[node]
            at = start[f] + q * (node - eq.node_start[f])
            for i in range(q):
                u[at + i] = less_row(
                    eq, panels, f, node, V + i * m, m, with_fixed, start, u[at + i], u, values
                )
            for i in range(q - 1, -1, -1):
                s = u[at + i]
                for k in range(i + 1, q):
                    s -= K[C + k * q + i] * u[at + k]
                u[at + i] = s / K[C + i * q + i]
