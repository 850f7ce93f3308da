"""Laplace's approximation of the marginal likelihood, with its exact gradient.

With u at its mode given (beta, theta, phi), the approximation is
log p(y | u) - u'u / 2 - log|M| / 2. What its gradient needs of the third
derivatives are those of each row, taken by central differences of the second over
1e-4 of what the linear predictor's unit is in that row.

References
----------
Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear
mixed-effects models using lme4. Journal of Statistical Software 67(1), 1-48.

Kristensen, K., Nielsen, A., Berg, C. W., Skaug, H. and Bell, B. M. (2016). TMB:
automatic differentiation and Laplace approximation. Journal of Statistical
Software 70(5), 1-21.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from bayesmix.gaussian.coordinates import chain_rule, expand, theta_at
from bayesmix.gaussian.crossproducts import find_entry
from bayesmix.gaussian.effects import effects, transpose_effects
from bayesmix.gaussian.equations import Arrays, equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, shifted
from bayesmix.gaussian.selected_inverse import inverse_moments
from bayesmix.gaussian.triangular import backward_solve, forward_solve
from bayesmix.glmm.data import RowArrays, rows_at
from bayesmix.glmm.mode import LOG_DET_U, PENALTY, ROWS, find_mode
from bayesmix.glmm.parameters import (
    by_log_slope,
    move_parameters,
    parameter_priors,
    parameters_at,
    pull_back,
    slope_at,
)
from bayesmix.glmm.predictor import evaluate, evaluate_each, gather, predictor
from bayesmix.glmm.rows.each import link_of_mu
from bayesmix.glmm.rows.links import unit_of_eta
from bayesmix.glmm.several import joint_leverages

__all__ = ["add_by_parameters", "add_priors", "laplace", "leverages", "third_derivatives"]

_STEP = 1e-4  # of what the linear predictor's unit is, or of a coordinate
_expand, _chain_rule, _find_mode = expand.external, chain_rule.external, find_mode.external
_inverse, _forward, _backward = (
    inverse_moments.external, forward_solve.external, backward_solve.external,
)  # fmt: skip


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, i8, FLOATS,
    FLOATS, needs=(expand, chain_rule, find_mode, inverse_moments, forward_solve, backward_solve),
)  # fmt: skip
def laplace(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean, x,
    priors, u, gradient,
):  # fmt: skip
    """Log marginal likelihood, or posterior density of (sd, R, phi, beta), approximately.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats : ndarray
        The arrays of `Equations`, `Coordinates` and `RowData`.
    address : int
        Address of the family's row kernel.
    prior, prior_mean : ndarray
        Precision and mean of beta; looked at with `priors`.
    x : ndarray
        Coordinates of theta and of the family's parameters, working beta.
    priors : int
        0 without the priors, 1 with them, 2 with the Jacobian of x as well.
    u : ndarray
        A start; receives the mode.
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
        Minus infinity where there is no mode.
    """
    eq, co, rows = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats), rows_at(
        row_ints, row_floats
    )  # fmt: skip
    n_rows, p, n_phi, m = rows.sizes[0], rows.sizes[1], rows.sizes[3], rows.sizes[6]
    n, n_second = m * n_rows, m * (m + 1) // 2 * n_rows
    d, n_L, r, n_u = co.sizes[0], co.L_size, eq.sizes[3], rows.u_start[-1]
    n_root, n_nodes_u = r + p, n_u - r
    sd, C = np.empty(co.n_effects + 1), np.empty(n_L)
    L, Q = np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    phi, beta = np.ones(max(n_phi, 1)), np.empty(p)
    x_phi = carray(shifted(x, d), (n_phi,))
    parameters_at(rows.phi_kind, x_phi, phi)
    for j in range(p):
        beta[j] = x[d + n_phi + j]
    K, panels, root = np.empty(eq.K_size), np.empty(eq.panel_size), np.empty((n_root, n_root))
    eta, first, second = np.empty(n), np.empty(n), np.empty(n_second)
    out, flat, zero = np.empty(6), np.eye(p), np.zeros(p)
    fine = 0
    if _all_finite(L) and _all_finite(phi) and _all_finite(beta):
        fine = _find_mode(
            eq_ints, eq_floats, row_ints, row_floats, address, L.ctypes, phi.ctypes, 0,
            flat.ctypes, zero.ctypes, beta.ctypes, u, K.ctypes, panels.ctypes, root.ctypes,
            eta.ctypes, first.ctypes, second.ctypes, out.ctypes,
        )  # fmt: skip
    if fine != 1:
        for k in range(d + n_phi + p):
            gradient[k] = 0.0
        return -np.inf
    value = out[ROWS] - out[PENALTY] - 0.5 * out[LOG_DET_U]
    u_ = carray(u, (n_u,))

    # Leverages and what they make of the rows' third derivatives.
    inverse, S = np.empty((n_root, n_root)), np.empty(n_L)
    diagonal, across = np.empty(eq.K_size), np.empty(eq.panel_size)
    _inverse(
        eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 0, inverse.ctypes, S.ctypes,
        len(diagonal), diagonal.ctypes, 0, zero.ctypes, len(across), across.ctypes,
    )  # fmt: skip
    h = np.empty(n_second)
    if m == 1:
        leverages(eq, rows, L, diagonal, across, inverse, h)
    else:
        joint_leverages(eq, rows, L, diagonal, across, inverse, h)
        for j in range(m):
            for i in range(j):  # a pair of predictors counts twice
                start = (j * (j + 1) // 2 + i) * n_rows
                for row in range(start, start + n_rows):
                    h[row] *= 2.0
    v = np.empty(n)
    third_derivatives(rows, address, phi, eta, second, h, v)
    by_beta, by_b = np.empty(p), np.empty(n_u)
    a, a_root = np.empty(n_u), np.zeros(n_root)
    gather(eq, rows, v, by_beta, by_b)
    transpose_effects(eq, L, by_b, a)
    for i in range(r):
        a_root[i] = a[n_nodes_u + i]
    _forward(eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 0, a.ctypes, a_root.ctypes)
    _backward(eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 0, a.ctypes, a_root.ctypes)
    for i in range(r):
        a[n_nodes_u + i] = a_root[i]
    shift, b_of_a = np.empty(n), np.empty(n_u)
    effects(eq, L, a, b_of_a)
    predictor(eq, rows, zero, b_of_a, shift)
    total = np.empty(n)
    for i in range(n):
        shift[i] -= rows.offset[i]
        total[i] = first[i] + v[i]
    for j in range(m):
        for k in range(j + 1):
            start = (j * (j + 1) // 2 + k) * n_rows
            for i in range(n_rows):
                total[j * n_rows + i] += second[start + i] * shift[k * n_rows + i]
                if k < j:
                    total[k * n_rows + i] += second[start + i] * shift[j * n_rows + i]

    # By beta, by theta, by the family's parameters.
    half, half_first = np.empty(n_u), np.empty(n_u)
    gather(eq, rows, first, by_beta, by_b)
    transpose_effects(eq, L, by_b, half_first)
    gather(eq, rows, total, by_beta, by_b)
    transpose_effects(eq, L, by_b, half)
    for j in range(p):
        gradient[d + n_phi + j] = by_beta[j]
    E = np.empty(n_L)
    at = 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        for i in range(q * q):
            E[start + i] = S[start + i]
        for i in range(q):
            E[start + i * q + i] -= eq.n_levels[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                for j in range(q):
                    E[start + i * q + j] += (
                        half[at + i] * u_[at + j] + half_first[at + i] * a[at + j]
                    )
            at += q
    value += _chain_rule(
        co_ints, co_floats, x, C.ctypes, Q.ctypes, E.ctypes, 0.0, priors,
        1 if priors == 2 else 0, gradient,
    )  # fmt: skip
    by_x = np.zeros(n_phi)
    add_by_parameters(rows, address, phi, x_phi, eta, first, second, h, shift, by_x)
    for k in range(n_phi):
        gradient[d + k] = by_x[k]
    if priors != 0:
        value += add_priors(
            rows, phi, beta, carray(prior, (p, p)), carray(prior_mean, (p,)), d,
            priors == 2, carray(gradient, (d + n_phi + p,)),
        )  # fmt: skip
    return value


@inner
def third_derivatives(  # type: ignore[no-untyped-def]
    rows, address, phi, eta, second, h, v
):
    """Half of what leverages make of the rows' third derivatives, by each predictor."""
    n_rows, m = rows.sizes[0], rows.sizes[6]
    n, n_second = len(eta), len(second)
    value_2, first_2, second_2 = np.empty(n_rows), np.empty(n), np.empty(n_second)
    by_phi = np.zeros(rows.sizes[3] + 4)
    eta_2, upper, third = np.empty(n), np.empty(n_rows), np.empty(n_second)
    link, scale_at = link_of_mu(rows.sizes[4]), rows.sizes[5]
    scale, scale_of = phi[scale_at] if scale_at >= 0 else 0.0, rows.sizes[7]
    for j in range(m):
        at = j * n_rows
        for sign in (1.0, -1.0):
            eta_2[:] = eta
            for i in range(n_rows):
                unit = 1.0
                if j == 0:
                    own = math.exp(eta[scale_of * n_rows + i]) if scale_of >= 0 else scale
                    unit = unit_of_eta(link, eta[i], own)
                eta_2[at + i] = eta[at + i] + sign * _STEP * unit
            there = evaluate(rows, address, phi, 2, eta_2, value_2, first_2, second_2, by_phi)
            if not np.isfinite(there):  # of rows on the edge the other side alone
                evaluate_each(
                    rows, address, phi, eta, second, eta_2, value_2, first_2, second_2, by_phi
                )
            if sign > 0.0:
                upper[:] = eta_2[at : at + n_rows]
                third[:] = second_2
        for i in range(n_rows):
            width, s = upper[i] - eta_2[at + i], 0.0
            for k in range(i, n_second, n_rows):
                s += h[k] * ((third[k] - second_2[k]) / width if width > 0.0 else 0.0)
            v[at + i] = 0.5 * s


@inner
def add_by_parameters(  # type: ignore[no-untyped-def]
    rows, address, phi, x_phi, eta, first, second, h, shift, by_x
):
    """Add the derivatives by the coordinates of the family's parameters."""
    n, n_second, n_phi = len(eta), len(second), rows.sizes[3]
    if n_phi == 0:
        return
    value_2, first_2, second_2 = np.empty(rows.sizes[0]), np.empty(n), np.empty(n_second)
    base, at_phi, by_phi = np.zeros(n_phi + 4), phi.copy(), np.zeros(n_phi + 4)
    here = np.empty(n_phi)
    evaluate(rows, address, phi, 1, eta, value_2, first_2, second_2, base)
    pull_back(rows.phi_kind, at_phi, base, here)
    for k in range(n_phi):
        width, change = 0.0, 0.0
        for sign in (1.0, -1.0):
            move_parameters(rows.phi_kind, at_phi, x_phi, k, sign * _STEP, phi)
            there = evaluate(rows, address, phi, 2, eta, value_2, first_2, second_2, by_phi)
            if np.isfinite(there):
                width += _STEP
                for i in range(n):
                    other = 0.5 * h[i] * (second_2[i] - second[i])
                    change += sign * (other + shift[i] * (first_2[i] - first[i]))
                for i in range(n, n_second):
                    change += sign * 0.5 * h[i] * (second_2[i] - second[i])
        by_x[k] += here[k] + (change / width if width > 0.0 else 0.0)
    phi[:] = at_phi


@inner
def _all_finite(x: np.ndarray) -> bool:
    total = 0.0
    for i in range(len(x)):
        total += 0.0 * x[i]  # NaN of whatever is not finite
    return total == 0.0


@inner
def add_priors(
    rows: RowArrays, phi: np.ndarray, beta: np.ndarray, P: np.ndarray, mean: np.ndarray, d: int,
    jacobian: bool, gradient: np.ndarray,
) -> float:  # fmt: skip
    """Priors of beta and of the family's parameters, as densities of these."""
    value = 0.0
    n_phi, p = rows.sizes[3], rows.sizes[1]
    of_prior, by_x = np.empty(n_phi), np.empty(n_phi)
    parameter_priors(rows, phi, of_prior, by_x)
    for k in range(n_phi):
        value += of_prior[k]
        gradient[d + k] += by_x[k]
        if jacobian:
            value += math.log(slope_at(rows.phi_kind, phi, k))
            gradient[d + k] += by_log_slope(rows.phi_kind[k], phi[k])
    for i in range(p):
        for j in range(p):
            t = P[i, j] * (beta[j] - mean[j])
            value -= 0.5 * (beta[i] - mean[i]) * t
            gradient[d + n_phi + i] -= t
    return value


@inner
def leverages(
    eq: Arrays, rows: RowArrays, L: np.ndarray, diagonal: np.ndarray, across: np.ndarray,
    inverse: np.ndarray, h: np.ndarray,
) -> None:  # fmt: skip
    """Variance of each row's Z L u under the inverse of M_uu."""
    n_chain, n_factors = eq.sizes[0], eq.n_factors
    n_z = rows.z_start[-1]
    z = np.empty(max(n_z, 1))
    for i in range(len(h)):
        for f in range(n_factors):
            q, at = eq.q[f], eq.L_start[f]
            for k in range(q):
                s = 0.0
                for m in range(q):
                    s += L[at + m * q + k] * rows.Z[rows.z_start[f] + m, i]
                z[rows.z_start[f] + k] = s
        total = 0.0
        for f in range(n_chain):
            q, node = eq.q[f], rows.index[f, i]
            own, m = eq.K_start[node], eq.width[node]
            for k in range(q):
                zk = z[rows.z_start[f] + k]
                for j in range(q):
                    total += zk * diagonal[own + k * q + j] * z[rows.z_start[f] + j]
                row = eq.panel_start[node] + k * m
                s = 0.0
                for c in range(rows.z_start[n_chain] - rows.z_start[f + 1]):
                    s += across[row + c] * z[rows.z_start[f + 1] + c]
                for g in range(n_chain, n_factors):
                    column = eq.list_column[find_entry(eq, node, rows.index[g, i])]
                    for c in range(eq.q[g]):
                        s += across[row + column + c] * z[rows.z_start[g] + c]
                total += 2.0 * zk * s
        for f in range(n_chain, n_factors):
            to = eq.block_column[rows.index[f, i]]
            for g in range(n_chain, n_factors):
                other = eq.block_column[rows.index[g, i]]
                for k in range(eq.q[f]):
                    for j in range(eq.q[g]):
                        high, low = max(to + k, other + j), min(to + k, other + j)
                        total += (
                            z[rows.z_start[f] + k] * inverse[high, low] * z[rows.z_start[g] + j]
                        )
        h[i] = total
