"""Coordinates in which the joint density is nearly standard normal, and its gradient there.

t = center + A z_t are the coordinates of theta and phi, bent where a standard deviation may be
zero (`bent.py`). Effects and beta follow from t and the other z as `cascade.py` has it, after z
has moved with t by B, which takes up how the mode of what the cascade holds fixed moves with t.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from bayesmix.gaussian.coordinates import chain_rule, expand, theta_at
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.rotation import rotate
from bayesmix.glmm.bent import bent
from bayesmix.glmm.cascade import ascend, descend
from bayesmix.glmm.data import rows_at
from bayesmix.glmm.joint import density_of_effects, density_of_rows
from bayesmix.glmm.stretch import by_roots, stretch, upper_roots

__all__ = ["unwhiten", "whitened_joint"]

_expand, _chain_rule = expand.external, chain_rule.external


@inner
def _drift(x: float) -> float:
    """How far effects follow a logarithm of a standard deviation.

    Towards zero they are proportional to the standard deviation, so that they stop.
    """
    return x if x > 0.0 else np.expm1(x)


@inner
def _outer(n_sd, n_t, center, width, A, z, t, drift, slope):  # type: ignore[no-untyped-def]
    """Coordinates of theta at z, with their slopes by s = A z and those of log|dt/ds|."""
    found = np.empty(3)
    for i in range(n_t):
        s = 0.0
        for j in range(n_t):
            s += A[i * n_t + j] * z[j]
        bent(s, width[i], found)
        t[i] = center[i] + found[0]
        slope[i], slope[n_t + i] = found[1], found[2]
        drift[i] = _drift(found[0]) if i < n_sd else s


@inner
def _effects(eq, L_hat, y, b):  # type: ignore[no-untyped-def]
    """B = L y, level by level, for the upper L of the mode."""
    at = 0
    for f in range(eq.n_factors):
        q, L = eq.q[f], shifted(L_hat, eq.L_start[f])
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(i, q):
                    s += L[i * q + k] * y[at + k]
                b[at + i] = s
            at += q


@kernel(
    types.void, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, i8, i8,
    i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, needs=(expand,),
)  # fmt: skip
def unwhiten(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, kind, information, L_hat, K, panels, root, n_sd, n_t,
    n_inside, center, width, base, A, B, n_draws, z, t, inside,
):  # fmt: skip
    """From whitened coordinates to (t, b, beta), draw by draw.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats : ndarray
        The arrays of `Equations` and `Coordinates`.
    kind : ndarray of int
        How each factor's effects are stated.
    information : ndarray
        By level; see `stretch.stretch`.
    L_hat : ndarray
        Each factor's upper L at the mode.
    K, panels, root : ndarray
        The factor of minus the Hessian of (u, beta) at the mode.
    n_sd, n_t, n_inside : int
        The first n_sd of t are logarithms of standard deviations.
    center : ndarray, shape (n_t + n_inside,)
        The mode of (t, u, beta).
    width : ndarray, shape (n_t,)
        How wide what a standard deviation near zero leaves is (`bent.py`); 0 where t is straight.
    base : ndarray
        K' times the mode of u, level by level.
    A : ndarray, shape (n_t, n_t)
    B : ndarray, shape (n_inside, n_t)
    n_draws : int
    z : ndarray, shape (n_draws, n_t + n_inside)
    t, inside : ndarray, shape (n_draws, n_t) and (n_draws, n_inside)
        Receive t, and the working (b, beta).
    """
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    n_L, p = co.L_size, eq.sizes[4]
    n_u, n_S = n_inside - p, 0
    for f in range(eq.n_factors):
        n_S += eq.q[f] * eq.q[f] * eq.n_levels[f]
    sd, C = np.empty(co.n_effects + 1), np.empty(n_L)
    L, Q, U, R = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    S, K_now, drift, moved_z = np.empty(n_S), np.empty(n_S), np.empty(n_t), np.empty(n_inside)
    moved, c, v, y = np.empty(n_inside), np.empty(n_u), np.empty(n_u), np.empty(n_u)
    slope = np.empty(2 * n_t)
    mode = shifted(center, n_t)
    for s in range(n_draws):
        here, own = shifted(z, s * (n_t + n_inside)), shifted(inside, s * n_inside)
        _outer(n_sd, n_t, center, width, A, here, shifted(t, s * n_t), drift, slope)
        _expand(
            co_ints, co_floats, 1, shifted(t, s * n_t), sd.ctypes, C.ctypes, L.ctypes, Q.ctypes
        )  # fmt: skip
        upper_roots(eq, L, U, R)
        stretch(eq, kind, information, U, L_hat, S, K_now)
        for i in range(n_inside):
            moved_z[i] = here[n_t + i]
            for j in range(n_t):
                moved_z[i] += B[i * n_t + j] * drift[j]
        descend(
            eq, K, panels, root, kind, mode, base, S, moved_z, moved,
            c, v, y,
        )  # fmt: skip
        _effects(eq, L_hat, y, own)
        for j in range(n_u, n_inside):
            own[j] = mode[j] + moved[j]


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, INTS, FLOATS, FLOATS,
    FLOATS, FLOATS, FLOATS, i8, i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(expand, chain_rule),
)  # fmt: skip
def whitened_joint(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean,
    kind, information, L_hat, K, panels, root, n_sd, n_t, n_inside, center, width, base, A, B, z,
    gradient,
):  # fmt: skip
    """Joint log density at whitened coordinates, with the gradient there.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats, row_ints, row_floats, address, prior, prior_mean
        As in `joint_density`.
    kind, information, L_hat, K, panels, root, n_sd, n_t, n_inside, center, width, base, A, B
        As in `unwhiten`.
    z : ndarray, shape (n_t + n_inside,)
    gradient : ndarray
        Receives the gradient.

    Returns
    -------
    float
    """
    eq, co, rows = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats), rows_at(
        row_ints, row_floats
    )  # fmt: skip
    n_L, p, d = co.L_size, eq.sizes[4], co.sizes[0]
    n_u, n_S, q_max = n_inside - p, 0, 1
    for f in range(eq.n_factors):
        n_S += eq.q[f] * eq.q[f] * eq.n_levels[f]
        q_max = max(q_max, eq.q[f])
    sd, C = np.empty(co.n_effects + 1), np.empty(n_L)
    L, Q, U, R = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    S, K_now, drift, moved_z = np.empty(n_S), np.empty(n_S), np.empty(n_t), np.empty(n_inside)
    moved, c, v, y = np.empty(n_inside), np.empty(n_u), np.empty(n_u), np.empty(n_u)
    slope = np.empty(2 * n_t)
    t, by_t, b, beta = np.empty(n_t), np.empty(n_t), np.empty(n_u), np.empty(p)
    mode = shifted(center, n_t)
    _outer(n_sd, n_t, center, width, A, z, t, drift, slope)
    _expand(co_ints, co_floats, 1, t.ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    upper_roots(eq, L, U, R)
    stretched = stretch(eq, kind, information, U, L_hat, S, K_now)
    for i in range(n_inside):
        s = z[n_t + i]
        for j in range(n_t):
            s += B[i * n_t + j] * drift[j]
        moved_z[i] = s
    descend(
        eq, K, panels, root, kind, mode, base, S, moved_z, moved,
        c, v, y,
    )  # fmt: skip
    _effects(eq, L_hat, y, b)
    for j in range(p):
        beta[j] = mode[n_u + j] + moved[n_u + j]
    by_b, by_beta, by_phi = np.empty(n_u), np.empty(p), np.empty(n_t - d)
    value = density_of_rows(
        eq, rows, address, prior, prior_mean, shifted(pointer(t), d), b, beta, by_b, by_beta, by_phi
    )
    E, E_upper = np.zeros(n_L), np.zeros(n_L)
    value += stretched
    if np.isfinite(value):
        value += density_of_effects(eq, L, b, by_b, E)
    if not np.isfinite(value):
        for i in range(n_t + n_inside):
            gradient[i] = 0.0
        return -np.inf
    # By y: L' of the mode, in place.
    at = 0
    for f in range(eq.n_factors):
        q, hat = eq.q[f], shifted(L_hat, eq.L_start[f])
        for _ in range(eq.n_levels[f]):
            for i in range(q - 1, -1, -1):
                s = 0.0
                for k in range(i + 1):
                    s += hat[k * q + i] * by_b[at + k]
                by_b[at + i] = s
            at += q
    by_S, by_z = np.empty(n_S), np.empty(n_inside)
    moved[:n_u] = 0.0
    work = np.empty(2 * q_max)
    for j in range(p):
        moved[n_u + j] = by_beta[j]
    ascend(
        eq, K, panels, root, kind, S, c, v, by_b,
        moved, by_S, by_z, work,
    )  # fmt: skip
    by_roots(
        eq, kind, information, S, K_now, by_S, E_upper,
    )  # fmt: skip
    half = np.empty((q_max, q_max))
    for f in range(eq.n_factors):  # L = U R: E of L has R' E R
        q, start = eq.q[f], eq.L_start[f]
        rotate(q, shifted(pointer(E_upper), start), shifted(pointer(R), start), half)
        for i in range(start, start + q * q):
            E[i] += E_upper[i]
    value += _chain_rule(
        co_ints, co_floats, t.ctypes, C.ctypes, Q.ctypes, E.ctypes, 0.0, 1, 1, by_t.ctypes
    )
    for k in range(n_t - d):
        by_t[d + k] = by_phi[k]
    for j in range(n_t):
        s = 0.0
        for i in range(n_inside):
            s += B[i * n_t + j] * by_z[i]
        by_t[j] += s * math.exp(t[j] - center[j]) if j < n_sd and t[j] < center[j] else s
        by_t[j] = by_t[j] * slope[j] + slope[n_t + j]
        value += math.log(slope[j])
    for j in range(n_t):
        s = 0.0
        for i in range(n_t):
            s += A[i * n_t + j] * by_t[i]
        gradient[j] = s
    for i in range(n_inside):
        gradient[n_t + i] = by_z[i]
    return value
