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

import math

import numpy as np

from bayesmix.gaussian.equations import node_starts
from bayesmix.gaussian.linking import inlined, inner, pointer, shifted

__all__ = [
    "FOLLOWS",
    "PLAIN",
    "UNLINKED",
    "ascend",
    "by_roots",
    "descend",
    "stretch",
    "upper_roots",
]

# How a factor's effects are stated: as above; the same, but hidden from finer levels,
# which see v; and b = L v, hidden as well.
FOLLOWS, UNLINKED, PLAIN = range(3)


@inner
def upper_roots(eq, L, U, R):  # type: ignore[no-untyped-def]
    """L = U R with U an upper triangle of positive diagonal and R a rotation, factor by factor."""
    for f in range(eq.n_factors):
        q, at = eq.q[f], eq.L_start[f]
        for i in range(q - 1, -1, -1):
            row = at + i * q
            for c in range(q):
                R[row + c] = L[row + c]
                U[row + c] = 0.0
            for _ in range(2):  # orthogonalised twice, so that R is exact to rounding
                for j in range(i + 1, q):
                    s = 0.0
                    for c in range(q):
                        s += R[row + c] * R[at + j * q + c]
                    U[row + j] += s
                    for c in range(q):
                        R[row + c] -= s * R[at + j * q + c]
            length = 0.0
            for c in range(q):
                length += R[row + c] * R[row + c]
            length = math.sqrt(length)
            U[row + i] = length
            if length > 0.0:
                for c in range(q):
                    R[row + c] /= length


@inlined
def _factor(q, U, information, K, work):  # type: ignore[no-untyped-def]
    """Lower K with K K' = I + U' information U, for an upper U."""
    for i in range(q):
        for j in range(q):
            s = 0.0
            for k in range(j + 1):
                s += information[i * q + k] * U[k * q + j]
            work[i * q + j] = s
    for i in range(q):
        for j in range(i + 1):
            s = 1.0 if i == j else 0.0
            for k in range(i + 1):
                s += U[k * q + i] * work[k * q + j]
            for k in range(j):
                s -= K[i * q + k] * K[j * q + k]
            K[i * q + j] = math.sqrt(s) if i == j else s / K[j * q + j]


@inner
def stretch(eq, kind, information, U, U_hat, S, K):  # type: ignore[no-untyped-def]
    """S and K of every level at theta.

    Parameters
    ----------
    eq : Arrays
    kind : pointer to int
        How each factor's effects are stated.
    information : pointer
        For each level I_g (q x q), and behind it, where q > 1, K at the mode.
    U : ndarray
    U_hat : pointer
        Upper roots of each factor at theta and at the mode.
    S, K : ndarray
        Receive a q x q matrix for each level.

    Returns
    -------
    float
        Sum of log|S|.
    """
    U, S, K = pointer(U), pointer(S), pointer(K)
    value, at, know = 0.0, 0, 0
    for f in range(eq.n_factors):
        q, n_levels = eq.q[f], eq.n_levels[f]
        here, hat = shifted(U, eq.L_start[f]), shifted(U_hat, eq.L_start[f])
        if q == 1:
            ratio, squared, before = here[0] / hat[0], here[0] * here[0], hat[0] * hat[0]
            for _ in range(n_levels):
                K[at] = math.sqrt(1.0 + squared * information[know])
                S[at] = ratio * math.sqrt(1.0 + before * information[know]) / K[at]
                value += math.log(S[at])
                at += 1
                know += 1
            continue
        H = np.zeros((q, q))  # U_hat^-1 U
        for j in range(q):
            for i in range(j, -1, -1):
                s = here[i * q + j]
                for k in range(i + 1, j + 1):
                    s -= hat[i * q + k] * H[k, j]
                H[i, j] = s / hat[i * q + i]
        for i in range(q):
            value += n_levels * math.log(H[i, i])
        for _ in range(n_levels):
            own, factor = shifted(S, at), shifted(K, at)
            if kind[f] == PLAIN:
                for i in range(q):
                    for j in range(q):
                        own[i * q + j] = H[i, j]
            else:
                mode = shifted(information, know + q * q)
                _factor(q, here, shifted(information, know), factor, own)
                # V = K'^-1 K^', then S = H V; all are upper.
                for j in range(q):
                    for i in range(j, -1, -1):
                        s = mode[j * q + i]
                        for k in range(i + 1, j + 1):
                            s -= factor[k * q + i] * own[k * q + j]
                        own[i * q + j] = s / factor[i * q + i]
                    value += math.log(own[j * q + j])
                for j in range(q):
                    for i in range(j + 1):
                        s = 0.0
                        for k in range(i, j + 1):
                            s += H[i, k] * own[k * q + j]
                        own[i * q + j] = s
                    for i in range(j + 1, q):
                        own[i * q + j] = 0.0
            at += q * q
            know += 2 * q * q
    return value


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
                s, row, column = base[at + i], V + i * m, 0
                ancestor = node
                for g in range(f + 1, n_chain):
                    ancestor = eq.parent[ancestor]
                    to = start[g] + eq.q[g] * (ancestor - eq.node_start[g])
                    for k in range(eq.q[g]):
                        s -= panels[row + column] * moved[to + k]
                        column += 1
                if m > column + p + 1:
                    for e in range(eq.list_start[node], eq.list_start[node + 1]):
                        block = eq.list_block[e]
                        to, at_column = n_nodes + eq.block_column[block], row + eq.list_column[e]
                        for k in range(eq.q[n_chain + eq.block_factor[block]]):
                            s -= panels[at_column + k] * moved[to + k]
                for k in range(p):
                    s -= panels[row + m - p - 1 + k] * moved[n_nodes + r + k]
                c[at + i] = s
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
                t, row, column = by_c[i], V + i * m, 0
                ancestor = node
                for g in range(f + 1, n_chain):
                    ancestor = eq.parent[ancestor]
                    to = start[g] + eq.q[g] * (ancestor - eq.node_start[g])
                    for k in range(eq.q[g]):
                        by_moved[to + k] -= panels[row + column] * t
                        column += 1
                if m > column + p + 1:
                    for e in range(eq.list_start[node], eq.list_start[node + 1]):
                        block = eq.list_block[e]
                        to, at_column = n_nodes + eq.block_column[block], row + eq.list_column[e]
                        for k in range(eq.q[n_chain + eq.block_factor[block]]):
                            by_moved[to + k] -= panels[at_column + k] * t
                for k in range(p):
                    by_moved[n_nodes + r + k] -= panels[row + m - p - 1 + k] * t
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
def by_roots(eq, kind, information, S, K, by_S, E):  # type: ignore[no-untyped-def]
    """Add to E the derivatives of log|S| and of what follows S.

    Parameters
    ----------
    eq, kind, information, S, K
        As in `stretch`.
    by_S : ndarray
        For each level the derivative by S.
    E : ndarray
        Like U: that by upper T in U -> U (I + T) is added, made symmetric, as for a
        function of U U'.
    """
    S, K, by_S, E = pointer(S), pointer(K), pointer(by_S), pointer(E)
    at, know = 0, 0
    for f in range(eq.n_factors):
        q, n_levels = eq.q[f], eq.n_levels[f]
        own_E = shifted(E, eq.L_start[f])
        if q == 1:
            s = 0.0
            for _ in range(n_levels):
                s += (by_S[at] * S[at] + 1.0) / (K[at] * K[at])
                at += 1
            own_E[0] += s
            know += n_levels
            continue
        total, A, N = np.zeros((q, q)), np.zeros((q, q)), np.zeros((q, q))
        for _ in range(n_levels):
            own, by_own, factor = shifted(S, at), shifted(by_S, at), shifted(K, at)
            for i in range(q):
                for j in range(q):
                    s = 0.0
                    for k in range(i + 1):
                        s += own[k * q + i] * by_own[k * q + j]
                    A[i, j] = s
            if kind[f] != PLAIN:
                _through_factor(q, factor, shifted(information, know + q * q), A, N)
            for i in range(q):
                total[i, i] += 1.0
                for j in range(i, q):
                    total[i, j] += A[i, j]
            if kind[f] != PLAIN:
                for i in range(q):  # 2 (P - I) N, with A to work in
                    for j in range(q):
                        s = 0.0
                        for k in range(i, q):
                            s += factor[k * q + i] * N[k, j]
                        A[i, j] = s
                for i in range(q):
                    for j in range(i, q):
                        s = -N[i, j]
                        for k in range(i + 1):
                            s += factor[i * q + k] * A[k, j]
                        total[i, j] -= 2.0 * s
            at += q * q
            know += 2 * q * q
        for i in range(q):
            for j in range(i, q):
                own_E[i * q + j] += total[i, j]
                if j > i:
                    own_E[j * q + i] += total[i, j]


@inner
def _through_factor(q, K, K_hat, A, N):  # type: ignore[no-untyped-def]
    """Bring A = S' by_S to K B K^-1 with B = K^^-1 A K^, and N to the derivative by P (halved)."""
    for j in range(q):
        for i in range(q):
            s = A[i, j]
            for k in range(i):
                s -= K_hat[i * q + k] * A[k, j]
            A[i, j] = s / K_hat[i * q + i]
    for i in range(q):
        for j in range(q):
            s = 0.0
            for k in range(j, q):
                s += A[i, k] * K_hat[k * q + j]
            A[i, j] = s
    # With dK = K X of lower X, the derivative is that by T less that of B' (and I) by X.
    for i in range(q):
        for j in range(i):
            N[i, j] = N[j, i] = 0.5 * A[j, i]
        N[i, i] = 0.5 * (A[i, i] + 1.0)
    for j in range(q):
        for i in range(q - 1, -1, -1):
            s = 0.0
            for k in range(i + 1):
                s += K[i * q + k] * A[k, j]
            A[i, j] = s
    _divide(q, K, A)
    for j in range(q):  # K'^-1 N
        for i in range(q - 1, -1, -1):
            s = N[i, j]
            for k in range(i + 1, q):
                s -= K[k * q + i] * N[k, j]
            N[i, j] = s / K[i * q + i]
    _divide(q, K, N)


@inlined
def _divide(q, K, A):  # type: ignore[no-untyped-def]
    """A K^-1, in place."""
    for i in range(q):
        for j in range(q - 1, -1, -1):
            s = A[i, j]
            for k in range(j + 1, q):
                s -= A[i, k] * K[k * q + j]
            A[i, j] = s / K[j * q + j]


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
