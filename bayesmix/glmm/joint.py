"""The joint log density of all parameters: coordinates of theta and phi, effects, beta."""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from bayesmix.gaussian.coordinates import chain_rule, expand, theta_at
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.related import related_times
from bayesmix.glmm.data import rows_at
from bayesmix.glmm.parameters import (
    by_log_slope,
    log_slope,
    parameter_priors,
    parameters_at,
    pull_back,
)
from bayesmix.glmm.predictor import evaluate, gather, predictor

__all__ = ["density_of_effects", "density_of_parameters", "density_of_rows", "joint_density"]

_expand, _chain_rule = expand.external, chain_rule.external


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, needs=(expand, chain_rule),
)  # fmt: skip
def joint_density(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean, t,
    inside, by_t, by_inside,
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
    t : ndarray
        Coordinates of theta, then of the family's parameters.
    inside : ndarray
        The working effects b, then the working beta.
    by_t, by_inside : ndarray
        Receive the gradient.

    Returns
    -------
    float
        As a density of (t, b, beta): with the Jacobian of t.
    """
    eq, co, rows = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats), rows_at(
        row_ints, row_floats
    )  # fmt: skip
    n_L, n_u, p = co.L_size, rows.u_start[-1], rows.sizes[1]
    sd, C, L, Q = np.empty(co.n_effects + 1), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, t, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    b, beta, E = carray(inside, (n_u,)).copy(), np.empty(p), np.zeros(n_L)
    for j in range(p):
        beta[j] = inside[n_u + j]
    by_b, by_beta, by_phi = np.empty(n_u), np.empty(p), np.empty(rows.sizes[3])
    value = density_of_rows(
        eq, rows, address, prior, prior_mean, shifted(t, co.sizes[0]), b, beta, by_b, by_beta,
        by_phi,
    )  # fmt: skip
    if not np.isfinite(value):
        return -np.inf
    value += density_of_effects(eq, L, b, by_b, E)
    for i in range(n_u):
        by_inside[i] = by_b[i]
    for j in range(p):
        by_inside[n_u + j] = by_beta[j]
    value += _chain_rule(co_ints, co_floats, t, C.ctypes, Q.ctypes, E.ctypes, 0.0, 1, 1, by_t)
    for k in range(rows.sizes[3]):
        by_t[co.sizes[0] + k] = by_phi[k]
    return value


@inner
def density_of_rows(  # type: ignore[no-untyped-def]
    eq, rows, address, prior, prior_mean, x_phi, b, beta, by_b, by_beta, by_phi
):
    """Log density of the rows, of beta and of the coordinates of phi, with its gradient.

    Parameters
    ----------
    x_phi : pointer
        Coordinates of the family's parameters.
    b, beta : ndarray
    by_b, by_beta, by_phi : ndarray
        Receive the gradient.

    Returns
    -------
    float
    """
    n, p, n_phi, m = rows.sizes[0], rows.sizes[1], rows.sizes[3], rows.sizes[6]
    phi = np.ones(max(n_phi, 1))
    at = carray(x_phi, (n_phi,))
    parameters_at(rows.phi_kind, at, phi)
    eta, first = np.empty(m * n), np.empty(m * n)
    nothing, by_value = np.empty(0), np.zeros(n_phi + 4)
    predictor(eq, rows, beta, b, eta)
    value = evaluate(rows, address, phi, 1, eta, nothing, first, nothing, by_value)
    if not np.isfinite(value):
        return -np.inf
    gather(eq, rows, first, by_beta, by_b)
    P, mean = carray(prior, (p, p)), carray(prior_mean, (p,))
    for i in range(p):
        for j in range(p):
            pull = P[i, j] * (beta[j] - mean[j])
            value -= 0.5 * (beta[i] - mean[i]) * pull
            by_beta[i] -= pull
    return value + density_of_parameters(rows, phi, at, by_value, by_phi)


@inner
def density_of_parameters(rows, phi, x_phi, by_value, by_phi):  # type: ignore[no-untyped-def]
    """Log prior density of phi's coordinates; `by_phi` receives the derivatives of all."""
    n_phi, value = rows.sizes[3], 0.0
    here, of_prior, by_x = np.empty(n_phi), np.empty(n_phi), np.empty(n_phi)
    pull_back(rows.phi_kind, phi, by_value, here)
    parameter_priors(rows, phi, of_prior, by_x)
    for k in range(n_phi):
        kind = rows.phi_kind[k]
        value += of_prior[k] + log_slope(kind, x_phi[k])
        by_phi[k] = here[k] + by_x[k] + by_log_slope(kind, phi[k])
    return value


@inner
def density_of_effects(eq, L, b, by_b, E):  # type: ignore[no-untyped-def]
    """Log density of b = L u, u standard normal (or related), given L; derivatives are added.

    Parameters
    ----------
    L : ndarray
        Each factor's lower triangle, flat.
    b : ndarray
    by_b : ndarray
        Has that of the rows; the derivative is added.
    E : ndarray
        Like L, the derivative by T in L -> L (I + T) is added.

    Returns
    -------
    float
    """
    value, at = 0.0, 0
    for f in range(eq.n_factors):
        q, start, n_levels = eq.q[f], eq.L_start[f], eq.n_levels[f]
        for i in range(q):
            value -= n_levels * math.log(L[start + i * q + i])
        if f >= eq.sizes[0] and eq.related[f - eq.sizes[0]] != 0:
            value += _of_related(
                eq, f, shifted(pointer(L), start), shifted(pointer(b), at),
                shifted(pointer(by_b), at), shifted(pointer(E), start),
            )  # fmt: skip
            at += q * n_levels
            continue
        if q == 1:
            inverse, squares = 1.0 / L[start], 0.0
            for _ in range(n_levels):
                u = b[at] * inverse
                squares += u * u
                by_b[at] -= u * inverse
                at += 1
            value -= 0.5 * squares
            E[start] += squares - n_levels
            continue
        u = np.empty(q)
        for _ in range(n_levels):
            for i in range(q):
                s = b[at + i]
                for k in range(i):
                    s -= L[start + i * q + k] * u[k]
                u[i] = s / L[start + i * q + i]
                value -= 0.5 * u[i] * u[i]
            for i in range(q):
                for j in range(q):
                    E[start + i * q + j] += u[i] * u[j]
            for i in range(q - 1, -1, -1):
                for k in range(i + 1, q):
                    u[i] -= L[start + k * q + i] * u[k]
                u[i] /= L[start + i * q + i]
                by_b[at + i] -= u[i]
            at += q
        for i in range(q):
            E[start + i * q + i] -= n_levels
    return value


@inner
def _of_related(eq, f, L, b, by_b, E):  # type: ignore[no-untyped-def]
    """Minus half of u' A^-1 u for u = L^-1 b by level, with the derivatives."""
    q, n_levels = eq.q[f], eq.n_levels[f]
    size = q * n_levels
    u, pull = np.empty(size), np.empty(size)
    for g in range(n_levels):
        for i in range(q):
            s = b[g * q + i]
            for k in range(i):
                s -= L[i * q + k] * u[g * q + k]
            u[g * q + i] = s / L[i * q + i]
    related_times(eq, f, pointer(u), pointer(pull))
    value = 0.0
    for i in range(size):
        value -= 0.5 * u[i] * pull[i]
    for g in range(n_levels):
        at = g * q
        for i in range(q):
            for j in range(q):
                E[i * q + j] += pull[at + i] * u[at + j]
            E[i * q + i] -= 1.0
        for i in range(q - 1, -1, -1):
            for k in range(i + 1, q):
                pull[at + i] -= L[k * q + i] * pull[at + k]
            pull[at + i] /= L[i * q + i]
            by_b[at + i] -= pull[at + i]
    return value
