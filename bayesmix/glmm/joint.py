"""The joint log density of all parameters, and coordinates in which it is nearly standard normal.

Effects, beta, the coordinates of theta and the logarithms of the family's parameters.
A level's effects are stated non-centred (b = L v with v standard normal) where its
data say little, and centred up to a constant (b = L_hat v, with L_hat of the mode)
where they say much (Papaspiliopoulos, Roberts and Skoeld 2007, Statistical Science
22(1)): each is close to independent of theta where the other is not. Of a scalar
effect the one becomes the other as theta moves: b = s v with s = L sqrt((1 + L_hat^2 I)
/ (1 + L^2 I)), where I is what the level's rows know at the mode, so that the curvature
in v does not depend on theta. At the mode all are the same.

The whitened coordinates follow from the factor of the Hessian of (v, beta) at the
mode, in blocks, and from how that mode moves with theta: a change
with a constant Jacobian, so that the posterior is exactly the same.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray, types

from bayesmix.gaussian.coordinates import chain_rule, expand, theta_at
from bayesmix.gaussian.dense import invert_lower
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.related import related_times
from bayesmix.gaussian.triangular import backward_solve, forward_solve
from bayesmix.glmm.data import rows_at
from bayesmix.glmm.parameters import (
    by_log_slope,
    log_slope,
    parameter_priors,
    parameters_at,
    pull_back,
)
from bayesmix.glmm.predictor import evaluate, gather, predictor

__all__ = ["joint_density", "unwhiten", "whitened_joint"]

_expand, _chain_rule = expand.external, chain_rule.external
_forward, _backward = forward_solve.external, backward_solve.external


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, FLOATS, FLOATS, needs=(expand, chain_rule),
)  # fmt: skip
def joint_density(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean,
    information, L_hat, t, inside, by_t, by_inside,
):  # fmt: skip
    """Log density of everything, up to a constant, with its gradient.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats : ndarray
        The arrays of `Equations` (only its layout is read), `Coordinates`, `RowData`.
    address : int
        Address of the family's row kernel.
    prior, prior_mean : ndarray
        Precision and mean of the working beta.
    information : ndarray
        For each level, factor behind factor, what its rows know at the mode (scalar
        effects), or above zero if its effects are centred (several).
    L_hat : ndarray
        Each factor's L at the mode, flat.
    t : ndarray
        Coordinates of theta, then of the family's parameters.
    inside : ndarray
        v, then the working beta.
    by_t, by_inside : ndarray
        Receive the gradient.

    Returns
    -------
    float
        As a density of (t, v, beta): with the Jacobian of t.
    """
    eq, co, rows = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats), rows_at(
        row_ints, row_floats
    )  # fmt: skip
    n, p, n_phi = rows.sizes[0], rows.sizes[1], rows.sizes[3]
    d, n_L, n_u = co.sizes[0], co.L_size, rows.u_start[-1]
    sd, C = np.empty(co.n_effects + 1), np.empty(n_L)
    triangle, Q, L, rotation = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, t, sd.ctypes, C.ctypes, triangle.ctypes, Q.ctypes)
    # As it was before it was made triangular: its derivative is simple.
    for f in range(eq.n_factors):
        q, at = eq.q[f], eq.L_start[f]
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += triangle[at + i * q + k] * Q[at + k * q + j]
                L[at + i * q + j] = s
        for i in range(q):
            for j in range(q):
                rotation[at + i * q + j] = Q[at + i * q + j]
                Q[at + i * q + j] = 1.0 if i == j else 0.0
    phi = np.ones(max(n_phi, 1))
    x_phi = carray(shifted(t, d), (n_phi,))
    parameters_at(rows.phi_kind, x_phi, phi)
    v, beta = carray(inside, (n_u,)), np.empty(p)
    for j in range(p):
        beta[j] = inside[n_u + j]
    m = rows.sizes[6]
    b, eta, first = np.empty(n_u), np.empty(m * n), np.empty(m * n)
    nothing, by_phi = np.empty(0), np.zeros(n_phi + 4)
    at, level = 0, 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                if q == 1:
                    s = _scale(L[start], L_hat[start], information[level]) * v[at]
                elif information[level] > 0.0:
                    for k in range(q):
                        s += L_hat[start + i * q + k] * v[at + k]
                else:
                    for k in range(q):
                        s += L[start + i * q + k] * v[at + k]
                b[at + i] = s
            at += q
            level += 1
    predictor(eq, rows, beta, b, eta)
    value = evaluate(rows, address, phi, 1, eta, nothing, first, nothing, by_phi)
    if not np.isfinite(value):
        return -np.inf
    by_beta, by_b = np.empty(p), np.empty(n_u)
    gather(eq, rows, first, by_beta, by_b)
    E = np.zeros(n_L)
    at, level = 0, 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        log_det = 0.0
        for i in range(q):
            log_det += math.log(triangle[start + i * q + i])
        if f >= eq.sizes[0] and eq.related[f - eq.sizes[0]] != 0:
            value += _of_related(
                eq, f, shifted(pointer(L), start), shifted(pointer(triangle), start),
                shifted(pointer(rotation), start), shifted(L_hat, start),
                shifted(information, level), shifted(pointer(v), at),
                shifted(pointer(b), at), shifted(pointer(by_b), at),
                shifted(pointer(E), start), shifted(by_inside, at), log_det,
            )  # fmt: skip
            at += q * eq.n_levels[f]
            level += eq.n_levels[f]
            continue
        w, u = np.empty(q), np.empty(q)
        for _ in range(eq.n_levels[f]):
            if q == 1:
                scale = _scale(L[start], L_hat[start], information[level])
                left = 1.0 / (1.0 + L[start] * L[start] * information[level])  # d log s / d log L
                z = b[at] / L[start]
                value += math.log(scale / L[start]) - 0.5 * z * z
                E[start] += by_b[at] * b[at] * left + (z * z - 1.0) * (1.0 - left)
                by_inside[at] = scale * (by_b[at] - z / L[start])
                at += 1
                level += 1
                continue
            if not information[level] > 0.0:
                for i in range(q):
                    s = 0.0
                    for k in range(q):
                        s += L[start + k * q + i] * by_b[at + k]
                    for j in range(q):
                        E[start + i * q + j] += s * v[at + j]
                    value -= 0.5 * v[at + i] * v[at + i]
                    by_inside[at + i] = s - v[at + i]
                at += q
                level += 1
                continue
            # b ~ Normal(0, L L'): with w = L^-1 b for the triangular L, and u = Q'w.
            for i in range(q):
                s = b[at + i]
                for k in range(i):
                    s -= triangle[start + i * q + k] * w[k]
                w[i] = s / triangle[start + i * q + i]
                value -= 0.5 * w[i] * w[i]
            value -= log_det
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += rotation[start + k * q + i] * w[k]
                u[i] = s
            for i in range(q):
                for j in range(q):
                    E[start + i * q + j] += u[i] * u[j]
                E[start + i * q + i] -= 1.0
            for i in range(q - 1, -1, -1):
                s = w[i]
                for k in range(i + 1, q):
                    s -= triangle[start + k * q + i] * w[k]
                w[i] = s / triangle[start + i * q + i]
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L_hat[start + k * q + i] * (by_b[at + k] - w[k])
                by_inside[at + i] = s
            at += q
            level += 1
    P, mean = carray(prior, (p, p)), carray(prior_mean, (p,))
    for i in range(p):
        s = by_beta[i]
        for j in range(p):
            pull = P[i, j] * (beta[j] - mean[j])
            value -= 0.5 * (beta[i] - mean[i]) * pull
            s -= pull
        by_inside[n_u + i] = s
    value += _chain_rule(co_ints, co_floats, t, C.ctypes, Q.ctypes, E.ctypes, 0.0, 1, 1, by_t)
    here, of_prior, by_x = np.empty(n_phi), np.empty(n_phi), np.empty(n_phi)
    pull_back(rows.phi_kind, phi, by_phi, here)
    parameter_priors(rows, phi, of_prior, by_x)
    for k in range(n_phi):
        kind = rows.phi_kind[k]
        value += of_prior[k] + log_slope(kind, x_phi[k])
        by_t[d + k] = here[k] + by_x[k] + by_log_slope(kind, phi[k])
    return value


_joint = joint_density.external


@inner
def _of_related(  # type: ignore[no-untyped-def]
    eq, f, L, triangle, rotation, L_hat, information, v, b, by_b, E, by_inside, log_det
):
    """What the effects of one factor with related levels add to the log density.

    With u = L^-1 b, of which b = L u by level, u has the precision A^-1 between levels:
    levels stated by v = u keep theirs as theta moves, centred ones keep b.

    Parameters
    ----------
    L, triangle, rotation, L_hat : pointer
        The factor's L = triangle rotation at theta, and L at the mode.
    information : pointer
        By level.
    v, b, by_b : pointer
        Coordinates, effects, and the derivative of the rows' log density by them.
    E, by_inside : pointer
        Receive derivatives.
    log_det : float
        Log determinant of L.
    """
    q, n_levels = eq.q[f], eq.n_levels[f]
    size = q * n_levels
    u, pull = np.empty(size), np.empty(size)
    half, inverse = np.empty(q * q), np.zeros((q, q))
    invert_lower(triangle, q, q, pointer(half))
    for i in range(q):
        for k in range(q):
            for m in range(k, q):
                inverse[i, k] += rotation[m * q + i] * half[m * q + k]
    for g in range(n_levels):
        for i in range(q):
            s = 0.0
            for k in range(q):
                s += inverse[i, k] * b[g * q + k]
            u[g * q + i] = s
    related_times(eq, f, pointer(u), pointer(pull))
    value = 0.0
    for i in range(size):
        value -= 0.5 * u[i] * pull[i]
    for g in range(n_levels):
        at = g * q
        if q == 1:
            scale = _scale(L[0], L_hat[0], information[g])
            left = 1.0 / (1.0 + L[0] * L[0] * information[g])
            value += math.log(scale / L[0])
            E[0] += by_b[at] * b[at] * left + (u[at] * pull[at] - 1.0) * (1.0 - left)
            by_inside[at] = scale * (by_b[at] - pull[at] / L[0])
            continue
        centred = information[g] > 0.0
        for i in range(q):
            s = 0.0
            for k in range(q):
                s += L[k * q + i] * by_b[at + k]
            if centred:
                for j in range(q):
                    E[i * q + j] += pull[at + i] * u[at + j]
                E[i * q + i] -= 1.0
                by_inside[at + i] = 0.0
            else:
                for j in range(q):
                    E[i * q + j] += s * v[at + j]
                by_inside[at + i] = s - pull[at + i]
        if centred:
            value -= log_det
            for k in range(q):  # L'^-1 pull
                s = by_b[at + k]
                for i in range(q):
                    s -= inverse[i, k] * pull[at + i]
                for i in range(q):
                    by_inside[at + i] += L_hat[k * q + i] * s
    return value


@inner
def _scale(sd: float, sd_hat: float, information: float) -> float:
    return sd * math.sqrt((1.0 + sd_hat * sd_hat * information) / (1.0 + sd * sd * information))


@inner
def _drift(x: float) -> float:
    """How far effects follow a logarithm of a standard deviation.

    Towards zero they are proportional to the standard deviation, so that they stop.
    """
    return x if x > 0.0 else np.expm1(x)


@kernel(
    types.void, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, i8, i8, FLOATS, FLOATS, FLOATS, i8,
    FLOATS, FLOATS, FLOATS, needs=(backward_solve,),
)  # fmt: skip
def unwhiten(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, K, panels, root, n_sd, n_t, n_inside, center, A, B, n_draws, z, t, inside
):
    """From whitened coordinates to (t, v, beta), draw by draw.

    Parameters
    ----------
    eq_ints, eq_floats, K, panels, root : ndarray
        The factor C of minus the Hessian of (v, beta) at the mode.
    n_sd, n_t, n_inside : int
        The first n_sd of t are logarithms of standard deviations.
    center : ndarray, shape (n_t + n_inside,)
    A : ndarray, shape (n_t, n_t)
    B : ndarray, shape (n_inside, n_t)
        How the mode of (v, beta) moves with t.
    n_draws : int
    z : ndarray, shape (n_draws, n_t + n_inside)
    t, inside : ndarray, shape (n_draws, n_t) and (n_draws, n_inside)
        Receive ``t = center + A z_t`` and ``center + C'^-1 z + B drift(t - center)``.
    """
    eq = equations_at(eq_ints, eq_floats)
    n_root = eq.sizes[3] + eq.sizes[4]
    n_nodes = n_inside - n_root
    u, values, drift = np.empty(n_nodes), np.empty(n_root), np.empty(n_t)
    for s in range(n_draws):
        first = s * (n_t + n_inside)
        for i in range(n_t):
            v = 0.0
            for j in range(n_t):
                v += A[i * n_t + j] * z[first + j]
            t[s * n_t + i] = center[i] + v
            drift[i] = _drift(v) if i < n_sd else v
        for i in range(n_nodes):
            u[i] = z[first + n_t + i]
        for i in range(n_root):
            values[i] = z[first + n_t + n_nodes + i]
        _backward(eq_ints, eq_floats, K, panels, root, 1, u.ctypes, values.ctypes)
        for i in range(n_inside):
            v = center[n_t + i] + (u[i] if i < n_nodes else values[i - n_nodes])
            for j in range(n_t):
                v += B[i * n_t + j] * drift[j]
            inside[s * n_inside + i] = v


_unwhiten = unwhiten.external


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, FLOATS, i8, i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(joint_density, unwhiten, forward_solve),
)  # fmt: skip
def whitened_joint(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean,
    information, L_hat, K, panels, root, n_sd, n_t, n_inside, center, A, B, z, gradient,
):  # fmt: skip
    """Joint log density at whitened coordinates, with the gradient there."""
    eq = equations_at(eq_ints, eq_floats)
    n_root = eq.sizes[3] + eq.sizes[4]
    n_nodes = n_inside - n_root
    t, inside = np.empty(n_t), np.empty(n_inside)
    by_t, by_inside = np.empty(n_t), np.empty(n_inside)
    _unwhiten(
        eq_ints, eq_floats, K, panels, root, n_sd, n_t, n_inside, center, A, B, 1, z, t.ctypes,
        inside.ctypes,
    )  # fmt: skip
    value = _joint(
        eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean,
        information, L_hat, t.ctypes, inside.ctypes, by_t.ctypes, by_inside.ctypes,
    )  # fmt: skip
    if not np.isfinite(value):
        for i in range(n_t + n_inside):
            gradient[i] = 0.0
        return -np.inf
    for j in range(n_t):
        s = 0.0
        for i in range(n_inside):
            s += B[i * n_t + j] * by_inside[i]
        moved = t[j] - center[j]
        by_t[j] += s * math.exp(moved) if j < n_sd and moved < 0.0 else s
    for j in range(n_t):
        s = 0.0
        for i in range(n_t):
            s += A[i * n_t + j] * by_t[i]
        gradient[j] = s
    values = np.empty(n_root)
    for i in range(n_root):
        values[i] = by_inside[n_nodes + i]
    _forward(eq_ints, eq_floats, K, panels, root, 1, by_inside.ctypes, values.ctypes)
    for i in range(n_inside):
        gradient[n_t + i] = by_inside[i] if i < n_nodes else values[i - n_nodes]
    return value
