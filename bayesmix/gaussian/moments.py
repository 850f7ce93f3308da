"""Everything about (u, beta) given theta that the density and its gradient need.

By Fisher's identity the gradient of the collapsed log density is the conditional
expectation of the joint one's. For the covariance of a grouping factor's effects
that leaves the sum over its levels of E[u u' | y]: `S` (the conditional
covariances) plus `U` (the squares of the conditional means).
"""

from __future__ import annotations

import numpy as np
from numba import carray

from bayesmix.gaussian.dense import factor_root, lower, root_inverse, solve_root
from bayesmix.gaussian.equations import equations_at, node_starts
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.patterns import pattern_moments
from bayesmix.gaussian.related import squares
from bayesmix.gaussian.selected_inverse import inverse_moments
from bayesmix.gaussian.triangular import add_half_solved, backward_solve

__all__ = [
    "LENGTH", "LENGTH_U", "LOG_DET_U", "LOG_DET_X", "TRACE_P", "TRACE_U", "general_moments",
    "moments",
]  # fmt: skip

_factorise, _backward = factorise.external, backward_solve.external
_inverse_moments = inverse_moments.external
_factor_root, _root_inverse, _solve_root = (
    factor_root.external, root_inverse.external, solve_root.external,
)  # fmt: skip

# Bits of the flags.
WITH_FIXED, GENERAL = 1, 2
# Positions in the vector of scalars.
LOG_DET_U, LOG_DET_X, LENGTH, TRACE_U, LENGTH_U, TRACE_P = range(6)


@inner
def _sums_of_squares(eq, u, root_y, inverse, prior, U, beta, beta_cov, scalars):  # type: ignore[no-untyped-def]
    """Squares of the means, and what concerns the fixed effects."""
    n_chain, r, p, n = eq.sizes[0], eq.sizes[3], eq.sizes[4], eq.n_root
    for i in range(eq.L_start[eq.n_factors]):
        U[i] = 0.0
    at = 0
    for f in range(eq.n_factors):
        if f == n_chain:
            at = 0
        values = u if f < n_chain else root_y
        q, start = eq.q[f], eq.L_start[f]
        if f >= n_chain and eq.related[f - n_chain] != 0:
            squares(eq, f, shifted(pointer(values), at), 0, shifted(U, start))
            at += q * eq.n_levels[f]
            continue
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                for j in range(q):
                    U[start + i * q + j] += values[at + i] * values[at + j]
            at += q
    length_u = 0.0
    for f in range(eq.n_factors):
        for i in range(eq.q[f]):
            length_u += U[eq.L_start[f] + i * eq.q[f] + i]
    scalars[LENGTH_U] = length_u
    trace_p = 0.0
    for i in range(p):
        beta[i] = root_y[r + i]
        for j in range(p):
            beta_cov[i * p + j] = inverse[lower(n, r + i, r + j)]
            trace_p += prior[i * p + j] * beta_cov[i * p + j]
    scalars[TRACE_P] = trace_p


@kernel(
    i8, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, needs=(factorise, backward_solve, inverse_moments),
)  # fmt: skip
def general_moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, L, precision, prior, prior_y, flags, S, U, beta, beta_cov, scalars, u,
    root_y, inverse, keep, diagonal, panel_inverse,
):  # fmt: skip
    """The moments on any structure, and what they are sums of.

    Parameters
    ----------
    eq_ints, eq_floats, L, precision, prior, prior_y, flags, S, U, beta, beta_cov, scalars
        As of `moments`.
    u : ndarray
        Receives the mean of u of the nodes, factor behind factor.
    root_y : ndarray, shape (n_root,)
        Receives that of the root: of u, then of the fixed effects.
    inverse : ndarray, shape (n_root, n_root)
        Receives the root's covariance, in the lower triangle.
    keep : int
        Whether the next two are wanted.
    diagonal, panel_inverse : ndarray
        Receive, like K and the panels, the covariances of each node with itself and
        with its columns.

    Returns
    -------
    int
    """
    eq = equations_at(eq_ints, eq_floats)
    n, n_nodes = eq.n_root, node_starts(eq)[-1]
    K, panels = np.empty(eq.K_size), np.empty(eq.panel_size)
    # The root's factor stands where its inverse will.
    if _factorise(
        eq_ints, eq_floats, L, precision, prior, prior_y, K.ctypes, panels.ctypes, inverse,
        root_y, scalars,
    ) == 0:  # fmt: skip
        return 0
    u_ = carray(u, (n_nodes,))
    for i in range(n_nodes):
        u_[i] = 0.0
    add_half_solved(eq, panels, u_)
    _backward(eq_ints, eq_floats, K.ctypes, panels.ctypes, inverse, 1, u, root_y)
    nothing = np.empty(0)
    trace_u = _inverse_moments(
        eq_ints, eq_floats, K.ctypes, panels.ctypes, inverse, flags & WITH_FIXED, inverse, S,
        eq.K_size if keep != 0 else 0, diagonal, 0, nothing.ctypes,
        eq.panel_size if keep != 0 else 0, panel_inverse,
    )  # fmt: skip
    _sums_of_squares(eq, u_, carray(root_y, (n,)), inverse, prior, U, beta, beta_cov, scalars)
    scalars[TRACE_U] = trace_u
    return 1


_general, _pattern_moments = general_moments.external, pattern_moments.external


@kernel(
    i8, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(general_moments, pattern_moments, factor_root, root_inverse, solve_root),
)  # fmt: skip
def moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, L, precision, prior, prior_y, flags, S, U, beta, beta_cov, scalars
):
    """Factor the equations and take the moments of (u, beta) given y and theta.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`.
    L : ndarray
        Each factor's q x q matrix with b = L u, flat.
    precision : float
        1 / s2.
    prior, prior_y : ndarray, shape (p, p) and (p,)
        Prior precision of the fixed effects, and its product with the prior mean.
    flags : int
        WITH_FIXED if covariances account for the fixed effects' uncertainty; GENERAL
        for the general way also where there is a shorter one.
    S, U : ndarray
        Receive, like L, the sums over levels of the covariances and of the
        squared means.
    beta : ndarray, shape (p,)
        Receives the mean of the working fixed effects.
    beta_cov : ndarray, shape (p, p)
        Receives their covariance; zero in the general kernel without `with_fixed`.
    scalars : ndarray, shape (6,)
        Receives log|M_uu|, log|M| - log|M_uu|, the squared length of the
        half-solved right-hand side, the trace of u's covariance, the squared
        length of u's mean, and the trace of P times beta's covariance.

    Returns
    -------
    int
        0 if the equations are not positive definite in floating point, else 1.
    """
    eq = equations_at(eq_ints, eq_floats)
    with_fixed = flags & WITH_FIXED != 0
    if eq.n_patterns > 0 and flags & GENERAL == 0:
        return _pattern_moments(
            eq_ints, eq_floats, L, precision, prior, prior_y, flags & WITH_FIXED, S, U, beta,
            beta_cov, scalars,
        )  # fmt: skip
    if eq.sizes[0] == 1 and eq.sizes[1] == 0 and eq.q[0] <= 2 and flags & GENERAL == 0:
        return 1 if _one_factor(
            eq, L, precision, prior, prior_y, with_fixed, S, U, beta, beta_cov, scalars
        ) else 0  # fmt: skip
    n, nothing = eq.n_root, np.empty(0)
    u, root_y, inverse = np.empty(node_starts(eq)[-1]), np.empty(n), np.empty((n, n))
    return _general(
        eq_ints, eq_floats, L, precision, prior, prior_y, flags, S, U, beta, beta_cov, scalars,
        u.ctypes, root_y.ctypes, inverse.ctypes, 0, nothing.ctypes, nothing.ctypes,
    )  # fmt: skip


@inner
def _one_factor(  # type: ignore[no-untyped-def]
    eq, L, precision, prior, prior_y, with_fixed, S, U, beta, beta_cov, scalars
):
    """One grouping factor with one or two effects: one pass, no storage per level.

    With W = K^-1 [Z'WX, Z'Wy] (scaled) by level, the sum of W's outer products
    holds all that the fixed effects' covariance and mean contribute later.
    """
    p = eq.sizes[4]
    q = eq.q[0]
    m = p + 1
    reduced = np.zeros((m, m))
    if q == 1:
        H = np.zeros(1)
        T = np.zeros((1, m, m))
        log_det = _pass_scalar(eq, L, precision, m, reduced, H, T)
    else:
        H = np.zeros(3)
        T = np.zeros((3, m, m))
        log_det = _pass_pair(eq, L, precision, m, reduced, H, T)
    root = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            root[i, j] = eq.root[i * p + j] * precision + prior[i * p + j] - reduced[i, j]
        beta[i] = eq.root_y[i] * precision + prior_y[i] - reduced[i, p]
    length = reduced[p, p]
    if _factor_root(root.ctypes, p) == 0:
        return False
    _solve_root(root.ctypes, p, p, 0, beta)
    log_det_x = 0.0
    for i in range(p):
        length += beta[i] * beta[i]
        log_det_x += np.log(root[i, i])
    _solve_root(root.ctypes, p, p, 1, beta)
    inverse = beta_cov
    _root_inverse(root.ctypes, p, p, inverse)
    trace_p = 0.0
    for i in range(p * p):
        trace_p += prior[i] * inverse[i]
    pairs = 1 if q == 1 else 3
    for k in range(pairs):
        s = H[k]
        if with_fixed:
            for i in range(p):
                for j in range(p):
                    s += T[k, i, j] * inverse[i * p + j]
        mean = T[k, p, p]
        for i in range(p):
            mean -= beta[i] * (T[k, i, p] + T[k, p, i])
            for j in range(p):
                mean += beta[i] * beta[j] * T[k, i, j]
        if k == 0:
            S[0], U[0] = s, mean
        elif k == 1:
            S[3], U[3] = s, mean
        else:
            S[1], U[1] = s, mean
            S[2], U[2] = s, mean
    scalars[LOG_DET_U] = log_det
    scalars[LOG_DET_X] = 2.0 * log_det_x
    scalars[LENGTH] = length
    scalars[TRACE_U] = S[0] if q == 1 else S[0] + S[3]
    scalars[LENGTH_U] = U[0] if q == 1 else U[0] + U[3]
    scalars[TRACE_P] = trace_p
    return np.isfinite(length) and np.isfinite(log_det)


@inner
def _pass_scalar(eq, L, precision, m, reduced, H, T):  # type: ignore[no-untyped-def]
    scale = L[0] * precision
    square = L[0] * scale
    log_det, product, total = 0.0, 1.0, 0.0
    B, panel = eq.K, eq.panel
    t = np.zeros((m, m))
    for g in range(eq.sizes[2]):
        k = 1.0 + square * B[g]
        product *= k
        if product > 1e100:
            log_det += np.log(product)
            product = 1.0
        h = 1.0 / k
        total += h
        at = g * m
        for i in range(m):
            v = h * panel[at + i]
            for j in range(i + 1):
                x = v * panel[at + j]
                reduced[i, j] += x
                t[i, j] += h * x
    H[0] = total
    for i in range(m):
        for j in range(i + 1):
            reduced[i, j] *= scale * scale
            reduced[j, i] = reduced[i, j]
            T[0, i, j] = t[i, j] * scale * scale
            T[0, j, i] = T[0, i, j]
    return log_det + np.log(product)


@inner
def _pass_pair(eq, L, precision, m, reduced, H, T):  # type: ignore[no-untyped-def]
    l00, l01, l10, l11 = L[0], L[1], L[2], L[3]
    log_det, product = 0.0, 1.0
    h0, h1, h2 = 0.0, 0.0, 0.0
    K, panel = eq.K, eq.panel
    b0, b1 = np.empty(m), np.empty(m)
    w0, w1 = np.empty(m), np.empty(m)
    for g in range(eq.sizes[2]):
        a00, a10, a11 = K[4 * g], K[4 * g + 2], K[4 * g + 3]
        # L' A L, with c = A L
        c00, c01 = a00 * l00 + a10 * l10, a00 * l01 + a10 * l11
        c10, c11 = a10 * l00 + a11 * l10, a10 * l01 + a11 * l11
        k00 = 1.0 + precision * (l00 * c00 + l10 * c10)
        k10 = precision * (l01 * c00 + l11 * c10)
        k11 = 1.0 + precision * (l01 * c01 + l11 * c11)
        schur = k11 - k10 * k10 / k00
        if not (k00 > 0.0 and schur > 0.0):
            return np.nan
        product *= k00 * schur
        if product > 1e100:
            log_det += np.log(product)
            product = 1.0
        i11 = 1.0 / schur
        ratio = k10 / k00
        i10 = -ratio * i11
        i00 = 1.0 / k00 - ratio * i10
        h0 += i00
        h1 += i11
        h2 += i10
        at = 2 * m * g
        for i in range(m):
            x, y = panel[at + i] * precision, panel[at + m + i] * precision
            b0[i] = l00 * x + l10 * y
            b1[i] = l01 * x + l11 * y
            w0[i] = i00 * b0[i] + i10 * b1[i]
            w1[i] = i10 * b0[i] + i11 * b1[i]
        for i in range(m):
            x, y = w0[i], w1[i]
            for j in range(i + 1):
                reduced[i, j] += x * b0[j] + y * b1[j]
                T[0, i, j] += x * w0[j]
                T[1, i, j] += y * w1[j]
                # Only its symmetric part is ever used.
                T[2, i, j] += 0.5 * (x * w1[j] + y * w0[j])
    for i in range(m):
        for j in range(i):
            reduced[j, i] = reduced[i, j]
            for k in range(3):
                T[k, j, i] = T[k, i, j]
    H[0], H[1], H[2] = h0, h1, h2
    return log_det + np.log(product)
