"""Roots made lower triangular by a rotation, and moments of the effects rotated back."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.linking import inner

__all__ = ["make_triangular", "rotate_back"]


@inner
def make_triangular(co, L, Q):  # type: ignore[no-untyped-def]
    """Replace each L by the lower triangle of L = L_new Q, with Q orthogonal.

    An intercept far outside the data makes the columns of L nearly parallel, and
    the equations would lose the digits that tell them apart. In u_new = Q u they
    are not.
    """
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        if co.scaled[f] == 1:
            for i in range(q):
                for j in range(q):
                    Q[at + i * q + j] = 1.0 if i == j else 0.0
            continue
        for i in range(q):
            row = at + i * q
            for c in range(q):
                Q[row + c] = L[row + c]
                L[row + c] = 0.0
            for _ in range(2):  # orthogonalised twice, so that Q is exact to rounding
                for j in range(i):
                    s = 0.0
                    for c in range(q):
                        s += Q[row + c] * Q[at + j * q + c]
                    L[row + j] += s
                    for c in range(q):
                        Q[row + c] -= s * Q[at + j * q + c]
            length = 0.0
            for c in range(q):
                length += Q[row + c] * Q[row + c]
            length = np.sqrt(length)
            L[row + i] = length
            if length > 0.0:
                for c in range(q):
                    Q[row + c] /= length


@inner
def rotate_back(co, E, Q):  # type: ignore[no-untyped-def]
    """Bring moments of Q u back to those of u: Q' E Q, in place."""
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        if co.scaled[f] == 1:  # Q is the identity
            continue
        half = np.empty((q, q))
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += E[at + i * q + k] * Q[at + k * q + j]
                half[i, j] = s
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += Q[at + k * q + i] * half[k, j]
                E[at + i * q + j] = s
