"""Solves with the blocked Cholesky factor C of M = C C', for any right-hand side."""

from __future__ import annotations

from numba import types

from bayesmix.gaussian.dense import solve_lower, solve_upper
from bayesmix.gaussian.equations import equations_at, node_starts
from bayesmix.gaussian.linking import FLOATS, INTS, i8, inner, kernel, pointer

__all__ = ["add_half_solved", "backward_solve", "forward_solve"]


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


@inner
def _forward(eq, K, panels, root, with_fixed, u, values, start):  # type: ignore[no-untyped-def]
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    start = pointer(start)
    for f in range(n_chain):
        q = eq.q[f]
        first = 0
        for g in range(f + 1, n_chain):
            first += eq.q[g]
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
                t, row = u[at + i], V + i * m
                column = 0
                ancestor = node
                for g in range(f + 1, n_chain):
                    ancestor = eq.parent[ancestor]
                    to = start[g] + eq.q[g] * (ancestor - eq.node_start[g])
                    for c in range(eq.q[g]):
                        u[to + c] -= panels[row + column] * t
                        column += 1
                if m > first + p + 1:
                    for e in range(eq.list_start[node], eq.list_start[node + 1]):
                        block = eq.list_block[e]
                        to, at_column = eq.block_column[block], row + eq.list_column[e]
                        for c in range(eq.q[n_chain + eq.block_factor[block]]):
                            values[to + c] -= panels[at_column + c] * t
                if with_fixed:
                    for c in range(p):
                        values[r + c] -= panels[row + m - p - 1 + c] * t
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
                s, row = u[at + i], V + i * m
                column = 0
                ancestor = node
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
                u[at + i] = s
            for i in range(q - 1, -1, -1):
                s = u[at + i]
                for k in range(i + 1, q):
                    s -= K[C + k * q + i] * u[at + k]
                u[at + i] = s / K[C + i * q + i]
