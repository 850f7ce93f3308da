"""Roots made triangular by a rotation, and moments of the effects rotated back."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.linking import inlined, inner, shifted

__all__ = ["make_triangular", "orthogonalise", "rotate", "rotate_back"]


@inlined
def orthogonalise(q, L, Q, upper):  # type: ignore[no-untyped-def]
    """Replace a q x q matrix L by the triangle of L = L_new Q, with Q orthogonal.

    The triangle has a positive diagonal; it is a lower one or, if asked for, an upper one.
    """
    for m in range(q):
        i = q - 1 - m if upper else m
        row = i * q
        for c in range(q):
            Q[row + c] = L[row + c]
            L[row + c] = 0.0
        for _ in range(2):  # orthogonalised twice, so that Q is exact to rounding
            for k in range(m):
                j = q - m + k if upper else k
                s = 0.0
                for c in range(q):
                    s += Q[row + c] * Q[j * q + c]
                L[row + j] += s
                for c in range(q):
                    Q[row + c] -= s * Q[j * q + c]
        length = 0.0
        for c in range(q):
            length += Q[row + c] * Q[row + c]
        length = np.sqrt(length)
        L[row + i] = length
        if length > 0.0:
            for c in range(q):
                Q[row + c] /= length


@inlined
def rotate(q, E, Q, half):  # type: ignore[no-untyped-def]
    """Q' E Q, in place, of q x q matrices; `half` is room to work in."""
    for i in range(q):
        for j in range(q):
            s = 0.0
            for k in range(q):
                s += E[i * q + k] * Q[k * q + j]
            half[i, j] = s
    for i in range(q):
        for j in range(q):
            s = 0.0
            for k in range(q):
                s += Q[k * q + i] * half[k, j]
            E[i * q + j] = s


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
        orthogonalise(q, shifted(L, at), shifted(Q, at), False)


@inner
def rotate_back(co, E, Q):  # type: ignore[no-untyped-def]
    """Bring moments of Q u back to those of u: Q' E Q, in place."""
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        if co.scaled[f] != 1:  # else Q is the identity
            rotate(q, shifted(E, at), shifted(Q, at), np.empty((q, q)))
