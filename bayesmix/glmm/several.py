"""Rows with a matrix of weights: what m linear predictors add to the algebra of one.

Numbers by predictor stand one predictor behind the other, those by pair of predictors
(second derivatives, weights, leverages) in the lower triangle row by row: 00, 10, 11, 20, ...
"""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.crossproducts import find_entry
from bayesmix.gaussian.equations import Arrays
from bayesmix.gaussian.linking import inner
from bayesmix.glmm.data import RowArrays

__all__ = ["add_joint_products", "joint_leverages", "make_concave", "working_response"]

_SWEEPS = 30


@inner
def _matrix(w: np.ndarray, n: int, m: int, row: int, W: np.ndarray) -> None:
    """Write a row's symmetric matrix."""
    for j in range(m):
        for k in range(j + 1):
            W[j, k] = w[(j * (j + 1) // 2 + k) * n + row]
            W[k, j] = W[j, k]


@inner
def working_response(  # type: ignore[no-untyped-def]
    rows, beta, eta, first, w, work, with_fixed
):
    """Gradient plus W times what the effects add to the predictors, shape (m n,)."""
    n, m = rows.sizes[0], rows.sizes[6]
    for i in range(m * n):
        work[i] = eta[i] - rows.offset[i]
    if with_fixed == 0:
        for j in range(len(beta)):
            own = work[rows.X_of[j] * n :]
            for i in range(n):
                own[i] -= rows.X[j, i] * beta[j]
    W, part = np.empty((m, m)), np.empty(m)
    for i in range(n):
        _matrix(w, n, m, i, W)
        for j in range(m):
            part[j] = work[j * n + i]
        for j in range(m):
            s = first[j * n + i]
            for k in range(m):
                s += W[j, k] * part[k]
            work[j * n + i] = s


@inner
def make_concave(n: int, m: int, w: np.ndarray) -> None:
    """Replace the matrices that are not positive definite: eigenvalues by their sizes.

    A step then goes uphill, and no further than where the density bends.
    """
    W, V, C = np.empty((m, m)), np.empty((m, m)), np.empty((m, m))
    for i in range(n):
        _matrix(w, n, m, i, W)
        if _is_definite(W, C):
            continue
        _eigen(W, V)
        for j in range(m):
            for k in range(j + 1):
                s = 0.0
                for e in range(m):
                    s += V[j, e] * abs(W[e, e]) * V[k, e]
                w[(j * (j + 1) // 2 + k) * n + i] = s if np.isfinite(s) else 0.0


@inner
def _is_definite(W: np.ndarray, C: np.ndarray) -> bool:
    m = len(W)
    for j in range(m):
        for k in range(j + 1):
            s = W[j, k]
            for e in range(k):
                s -= C[j, e] * C[k, e]
            if j == k:
                if not s > 0.0:
                    return False
                C[j, j] = math.sqrt(s)
            else:
                C[j, k] = s / C[k, k]
    return True


@inner
def _eigen(W: np.ndarray, V: np.ndarray) -> None:
    """Jacobi's rotations: W becomes diagonal, V has the eigenvectors."""
    m = len(W)
    for j in range(m):
        for k in range(m):
            V[j, k] = 1.0 if j == k else 0.0
    for _ in range(_SWEEPS):
        off, size = 0.0, 0.0
        for j in range(m):
            size += W[j, j] * W[j, j]
            for k in range(j):
                off += W[j, k] * W[j, k]
        if not off > 1e-30 * size:
            return
        for j in range(1, m):
            for k in range(j):
                if W[j, k] == 0.0:
                    continue
                tau = (W[j, j] - W[k, k]) / (2.0 * W[j, k])
                t = 1.0 / (abs(tau) + math.sqrt(1.0 + tau * tau))
                t = t if tau >= 0.0 else -t
                c = 1.0 / math.sqrt(1.0 + t * t)
                s = t * c
                for e in range(m):
                    a, b = W[e, k], W[e, j]
                    W[e, k], W[e, j] = c * a - s * b, s * a + c * b
                for e in range(m):
                    a, b = W[k, e], W[j, e]
                    W[k, e], W[j, e] = c * a - s * b, s * a + c * b
                for e in range(m):
                    a, b = V[e, k], V[e, j]
                    V[e, k], V[e, j] = c * a - s * b, s * a + c * b


@inner
def add_joint_products(
    eq: Arrays, rows: RowArrays, work: np.ndarray, w: np.ndarray, with_fixed: int
) -> None:
    """Add A'WA and A'work of rows of A = [Z, X]; the root's lower triangle only.

    The counterpart of `add_products`, with the weight of two columns that of their predictors.
    Where the fixed effects are given, their part is left at zero: away from their mode it need
    not be positive definite.
    """
    n_rows, m = rows.sizes[0], rows.sizes[6]
    n_chain, n_factors, r, n_fixed = eq.sizes[0], eq.n_factors, eq.sizes[3], eq.sizes[4]
    p = n_fixed if with_fixed != 0 else 0
    n, z_start, of = eq.n_root, rows.z_start, rows.Z_of
    W = np.empty((m, m))
    for row in range(n_rows):
        _matrix(w, n_rows, m, row, W)
        for f in range(n_chain):
            node = rows.index[f, row]
            q, width, at = eq.q[f], eq.width[node], eq.panel_start[node]
            for i in range(q):
                z = rows.Z[z_start[f] + i, row]
                if z == 0.0:
                    continue
                own = of[z_start[f] + i]
                for j in range(q):
                    c = z_start[f] + j
                    eq.K[eq.K_start[node] + i * q + j] += z * W[own, of[c]] * rows.Z[c, row]
                base = at + i * width
                for j in range(z_start[n_chain] - z_start[f + 1]):
                    c = z_start[f + 1] + j
                    eq.panel[base + j] += z * W[own, of[c]] * rows.Z[c, row]
                for g in range(n_chain, n_factors):
                    column = eq.list_column[find_entry(eq, node, rows.index[g, row])]
                    for j in range(eq.q[g]):
                        c = z_start[g] + j
                        eq.panel[base + column + j] += z * W[own, of[c]] * rows.Z[c, row]
                for j in range(p):
                    eq.panel[base + width - n_fixed - 1 + j] += (
                        z * W[own, rows.X_of[j]] * rows.X[j, row]
                    )
                eq.panel[base + width - 1] += z * work[own * n_rows + row]
        for g in range(n_chain, n_factors):
            first = eq.block_column[rows.index[g, row]]
            for i in range(eq.q[g]):
                z, own = rows.Z[z_start[g] + i, row], of[z_start[g] + i]
                for h in range(n_chain, g + 1):
                    other = eq.block_column[rows.index[h, row]]
                    for j in range(eq.q[h]):
                        c = z_start[h] + j
                        eq.root[(first + i) * n + other + j] += z * W[own, of[c]] * rows.Z[c, row]
                for j in range(p):
                    eq.root[(r + j) * n + first + i] += z * W[own, rows.X_of[j]] * rows.X[j, row]
                eq.root_y[first + i] += z * work[own * n_rows + row]
        for i in range(p):
            x, own = rows.X[i, row], rows.X_of[i]
            for j in range(i + 1):
                eq.root[(r + i) * n + r + j] += x * W[own, rows.X_of[j]] * rows.X[j, row]
            eq.root_y[r + i] += x * work[own * n_rows + row]


@inner
def joint_leverages(
    eq: Arrays, rows: RowArrays, L: np.ndarray, diagonal: np.ndarray, across: np.ndarray,
    inverse: np.ndarray, h: np.ndarray,
) -> None:  # fmt: skip
    """Covariances of each row's predictors under the inverse of M_uu, by pair of predictors."""
    n, m, n_chain, n_factors = rows.sizes[0], rows.sizes[6], eq.sizes[0], eq.n_factors
    n_z = rows.z_start[-1]
    z, away = np.empty((m, max(n_z, 1))), np.empty((m, max(n_z, 1)))
    for i in range(n):
        for f in range(n_factors):
            q, at, first = eq.q[f], eq.L_start[f], rows.z_start[f]
            for k in range(q):
                for a in range(m):
                    z[a, first + k] = 0.0
                for j in range(q):
                    z[rows.Z_of[first + j], first + k] += L[at + j * q + k] * rows.Z[first + j, i]
        # The inverse's blocks times each predictor's columns; of a pair of blocks once.
        for a in range(m):
            for c in range(n_z):
                away[a, c] = 0.0
            for f in range(n_chain):
                q, node, first = eq.q[f], rows.index[f, i], rows.z_start[f]
                own, width = eq.K_start[node], eq.width[node]
                for k in range(q):
                    s = 0.0
                    for j in range(q):
                        s += diagonal[own + k * q + j] * z[a, first + j]
                    row = eq.panel_start[node] + k * width
                    for j in range(rows.z_start[n_chain] - rows.z_start[f + 1]):
                        c = rows.z_start[f + 1] + j
                        s += across[row + j] * z[a, c]
                        away[a, c] += across[row + j] * z[a, first + k]
                    for g in range(n_chain, n_factors):
                        column = eq.list_column[find_entry(eq, node, rows.index[g, i])]
                        for j in range(eq.q[g]):
                            c = rows.z_start[g] + j
                            s += across[row + column + j] * z[a, c]
                            away[a, c] += across[row + column + j] * z[a, first + k]
                    away[a, first + k] += s
            for f in range(n_chain, n_factors):
                to = eq.block_column[rows.index[f, i]]
                for g in range(n_chain, n_factors):
                    other = eq.block_column[rows.index[g, i]]
                    for k in range(eq.q[f]):
                        for j in range(eq.q[g]):
                            high, low = max(to + k, other + j), min(to + k, other + j)
                            away[a, rows.z_start[f] + k] += (
                                inverse[high, low] * z[a, rows.z_start[g] + j]
                            )
        for a in range(m):
            for b in range(a + 1):
                total = 0.0
                for c in range(n_z):
                    total += z[b, c] * away[a, c]
                h[(a * (a + 1) // 2 + b) * n + i] = total
