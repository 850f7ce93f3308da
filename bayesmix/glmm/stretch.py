"""How far each level's effects are stretched at theta, and derivatives by their roots.

S and K are those of `cascade.py`: a q x q matrix each for every level, from the upper root L of
its factor at theta and at the mode, and from what its rows know.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inlined, inner, pointer, shifted
from bayesmix.gaussian.rotation import orthogonalise

__all__ = ["FOLLOWS", "PLAIN", "UNLINKED", "by_roots", "stretch", "upper_roots"]

# How a factor's effects are stated: as `cascade.py` has it; the same, but hidden from finer levels,
# which see v; and b = L v, hidden as well.
FOLLOWS, UNLINKED, PLAIN = range(3)


@inner
def upper_roots(eq, L, U, R):  # type: ignore[no-untyped-def]
    """L = U R with U an upper triangle of positive diagonal and R a rotation, factor by factor."""
    U[:] = L
    for f in range(eq.n_factors):
        at = eq.L_start[f]
        orthogonalise(eq.q[f], shifted(pointer(U), at), shifted(pointer(R), at), True)


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
