"""From independent z to effects, coarse factors first, each level given those above it.

Where the rows were normal with the weights of the mode, the effects of a level, given
those of coarser levels and beta and without those of finer ones, would have the precision
``P = I + L' I_g L`` in u = L^-1 b, with I_g what its rows know (Papaspiliopoulos, Roberts
and Skoeld 2007, Statistical Science 22(1), state effects between centred and non-centred
for this reason). With K K' = P at theta and ^ for the mode,

    v = K^'^-1 (z + K^^-1 S' K^ c),   y = S v,   b = L^ y,   S = L^^-1 L K'^-1 K^',

where c = K^' v^ - C' (y - v^ of coarser levels), and C is that part of the factor of minus
the Hessian of the effects at the mode. So both the spread and the mean of b given z follow
theta as they would where the rows are normal, and z is close to independent of theta. The
change from z to v has a constant Jacobian, that from v to b has log|S|.

L here is an upper triangle: then S neither rotates where the rows know much nor where they
know little.
"""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.equations import node_starts
from bayesmix.gaussian.linking import inlined, inner, pointer, shifted
from bayesmix.gaussian.triangular import less_row, take_row
from bayesmix.glmm.stretch import FOLLOWS

__all__ = ["ascend", "descend"]


@inlined
def _down(q, K, stride, S, kind, z, c, v, y):  # type: ignore[no-untyped-def]
    """V and y of one level."""
    if q == 1:
        follow = S[0] if kind == FOLLOWS else 1.0
        v[0] = (z[0] + follow * c[0]) / K[0]
        y[0] = S[0] * v[0]
        return
    if kind == FOLLOWS:
        # K^-1 S' K c, with y to work in.
        for i in range(q):
            s = 0.0
            for k in range(i + 1):
                s += K[i * stride + k] * c[k]
            y[i] = s
        for i in range(q):
            s = 0.0
            for k in range(i + 1):
                s += S[k * q + i] * y[k]
            v[i] = s
        for i in range(q):
            s = v[i]
            for k in range(i):
                s -= K[i * stride + k] * v[k]
            v[i] = s / K[i * stride + i]
    else:
        for i in range(q):
            v[i] = c[i]
    for i in range(q - 1, -1, -1):
        s = v[i] + z[i]
        for k in range(i + 1, q):
            s -= K[k * stride + i] * v[k]
        v[i] = s / K[i * stride + i]
    for i in range(q):
        s = 0.0
        for k in range(i, q):
            s += S[i * q + k] * v[k]
        y[i] = s


@inlined
def _up(q, K, stride, S, kind, c, v, by_y, by_seen, by_S, by_z, by_c, work):  # type: ignore[no-untyped-def]
    """Derivatives by z, c and S of one level, from those by y and by what finer levels saw."""
    if q == 1:
        by_v = S[0] * by_y[0]
        if kind == FOLLOWS:
            by_v += S[0] * by_seen[0]
            by_S[0] = (by_y[0] + by_seen[0]) * v[0]
        else:
            by_v += by_seen[0]
            by_S[0] = by_y[0] * v[0]
        by_z[0] = by_v / K[0]
        by_c[0] = by_z[0]
        if kind == FOLLOWS:
            by_S[0] += c[0] * by_z[0]
            by_c[0] *= S[0]
        return
    for i in range(q):
        work[i] = by_y[i] + (by_seen[i] if kind == FOLLOWS else 0.0)
    for i in range(q):
        for j in range(q):
            by_S[i * q + j] = work[i] * v[j]
    for j in range(q):
        s = 0.0 if kind == FOLLOWS else by_seen[j]
        for i in range(j + 1):
            s += S[i * q + j] * work[i]
        by_z[j] = s
    for i in range(q):
        s = by_z[i]
        for k in range(i):
            s -= K[i * stride + k] * by_z[k]
        by_z[i] = s / K[i * stride + i]
    if kind != FOLLOWS:
        for i in range(q):
            by_c[i] = by_z[i]
        return
    # c -> K c -> S' K c -> K^-1 S' K c: m is the derivative by the second.
    for i in range(q - 1, -1, -1):
        s = by_z[i]
        for k in range(i + 1, q):
            s -= K[k * stride + i] * work[k]
        work[i] = s / K[i * stride + i]
    for i in range(q):
        s = 0.0
        for k in range(i + 1):
            s += K[i * stride + k] * c[k]
        for j in range(q):
            by_S[i * q + j] += s * work[j]
    for j in range(q):
        s = 0.0
        for i in range(j, q):
            t = 0.0
            for k in range(i, q):
                t += S[i * q + k] * work[k]
            s += K[i * stride + j] * t
        by_c[j] = s


@inner
def descend(  # type: ignore[no-untyped-def]
    eq, K, panels, root, kind, center, base, S, z, moved, c, v, y
):
    """From z to v and y, from the root to the finest factor.

    Parameters
    ----------
    eq : Arrays
    K, panels, root : pointer
        The factor of minus the Hessian of (u, beta) at the mode.
    kind : pointer to int
    center, base : pointer
        The mode of (u, beta), and K' times that of u, level by level.
    S : ndarray
    z : ndarray
        The effects, then beta.
    moved : ndarray
        Receives by how much what finer levels see, and beta, has left its mode.
    c, v, y : ndarray
        Receive their values, in the order of effects.
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    start = node_starts(eq)
    n_nodes, n = start[n_chain], r + p
    S_start = _starts(eq)
    S, z, c, v, y = pointer(S), pointer(z), pointer(c), pointer(v), pointer(y)
    for i in range(r):
        c[n_nodes + i] = base[n_nodes + i]
    pull = np.zeros(p)
    for k in range(n - 1, r - 1, -1):
        d = (z[n_nodes + k] + pull[k - r]) / root[k * n + k]
        moved[n_nodes + k] = d
        for i in range(r):
            c[n_nodes + i] -= root[k * n + i] * d
        for i in range(r, k):
            pull[i - r] -= root[k * n + i] * d
    for block in range(eq.n_blocks - 1, -1, -1):
        f, first = n_chain + eq.block_factor[block], eq.block_column[block]
        q, at = eq.q[f], n_nodes + first
        S_at = S_start[f] + (at - _first_effect(eq, f)) * q
        _down(
            q, shifted(root, first * n + first), n, shifted(S, S_at), kind[f], shifted(z, at),
            shifted(c, at), shifted(v, at), shifted(y, at),
        )  # fmt: skip
        for i in range(q):
            moved[at + i] = (y[at + i] if kind[f] == FOLLOWS else v[at + i]) - center[at + i]
            for k in range(first):
                c[n_nodes + k] -= root[(first + i) * n + k] * moved[at + i]
    for f in range(n_chain - 1, -1, -1):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m, V = eq.width[node], eq.panel_start[node]
            level = node - eq.node_start[f]
            at = start[f] + q * level
            for i in range(q):
                c[at + i] = less_row(
                    eq, panels, f, node, V + i * m, m, True, start, base[at + i],
                    pointer(moved), shifted(pointer(moved), n_nodes),
                )  # fmt: skip
            _down(
                q, shifted(K, eq.K_start[node]), q, shifted(S, S_start[f] + q * q * level), kind[f],
                shifted(z, at), shifted(c, at), shifted(v, at), shifted(y, at),
            )  # fmt: skip
            for i in range(q):
                moved[at + i] = (y[at + i] if kind[f] == FOLLOWS else v[at + i]) - center[at + i]


@inner
def ascend(  # type: ignore[no-untyped-def]
    eq, K, panels, root, kind, S, c, v, by_y, by_moved, by_S, by_z, work
):
    """Derivatives by z and S, from the finest factor to the root.

    Parameters
    ----------
    eq, K, panels, root, kind, S, c, v
        As in `descend`.
    by_y : ndarray
        Derivative by y.
    by_moved : ndarray
        Zero for effects, the derivative by beta behind them; changed.
    by_S, by_z : ndarray
        Receive the derivatives.
    work : ndarray
        Twice as long as a level has effects.
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    start = node_starts(eq)
    n_nodes, n = start[n_chain], r + p
    S_start, of_root = _starts(eq), np.empty(n)
    S, c, v, by_y, by_moved = pointer(S), pointer(c), pointer(v), pointer(by_y), pointer(by_moved)
    by_S, by_z, by_c = pointer(by_S), pointer(by_z), pointer(work)
    work = shifted(by_c, len(work) // 2)
    for f in range(n_chain):
        q = eq.q[f]
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m, V = eq.width[node], eq.panel_start[node]
            level = node - eq.node_start[f]
            at, S_at = start[f] + q * level, S_start[f] + q * q * level
            _up(
                q, shifted(K, eq.K_start[node]), q, shifted(S, S_at), kind[f], shifted(c, at),
                shifted(v, at), shifted(by_y, at), shifted(by_moved, at), shifted(by_S, S_at),
                shifted(by_z, at), by_c, work,
            )  # fmt: skip
            for i in range(q):
                take_row(
                    eq, panels, f, node, V + i * m, m, True, start, by_c[i], by_moved,
                    shifted(by_moved, n_nodes),
                )  # fmt: skip
    for block in range(eq.n_blocks):
        f, first = n_chain + eq.block_factor[block], eq.block_column[block]
        q, at = eq.q[f], n_nodes + first
        S_at = S_start[f] + (at - _first_effect(eq, f)) * q
        for i in range(q):
            s = 0.0
            for k in range(first):
                s += root[(first + i) * n + k] * of_root[k]
            by_moved[at + i] -= s
        _up(
            q, shifted(root, first * n + first), n, shifted(S, S_at), kind[f], shifted(c, at),
            shifted(v, at), shifted(by_y, at), shifted(by_moved, at), shifted(by_S, S_at),
            shifted(by_z, at), by_c, work,
        )  # fmt: skip
        for i in range(q):
            of_root[first + i] = by_c[i]
    for k in range(r, n):
        s = by_moved[n_nodes + k]
        for i in range(k):
            s -= root[k * n + i] * of_root[i]
        of_root[k] = s / root[k * n + k]
        by_z[n_nodes + k] = of_root[k]


@inner
def _starts(eq):  # type: ignore[no-untyped-def]
    """Where each factor's matrices start among those of all levels."""
    out = np.zeros(eq.n_factors + 1, dtype=np.int64)
    for f in range(eq.n_factors):
        out[f + 1] = out[f] + eq.q[f] * eq.q[f] * eq.n_levels[f]
    return out


@inlined
def _first_effect(eq, f):  # type: ignore[no-untyped-def]
    """Where a factor starts among all effects."""
    at = 0
    for g in range(f):
        at += eq.q[g] * eq.n_levels[g]
    return at
