"""Unconstrained coordinates of theta, their priors, and the chain rule back to them.

Coordinates are log standard deviations (a scaled logit under a uniform prior), and for
each block of effects those of its covariance structure: partial correlations of the
C-vine (`vine.py`), or the parameters of a structure of `covariance/` (`roots.py`), each
on a scale without ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types
from scipy import special

from bayesmix.gaussian.dense import invert_lower
from bayesmix.gaussian.layout import Coordinates, theta_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.residual_coordinates import NORMAL
from bayesmix.gaussian.roots import VINE, structure_pull_back, structure_root
from bayesmix.gaussian.rotation import make_triangular, rotate_back
from bayesmix.gaussian.vine import vine_pull_back, vine_root

__all__ = [
    "EXPONENTIAL", "GAMMA", "HALF_CAUCHY", "HALF_FLAT", "HALF_NORMAL", "HALF_STUDENT_T",
    "INVERSE_GAMMA", "LOG_NORMAL", "UNIFORM", "Coordinates", "Factors", "chain_rule",
    "correlation_matrices", "expand", "factors_at", "scale_at", "scale_prior", "structure_values",
    "theta_at", "unpack_theta", "value_at",
]  # fmt: skip

(
    HALF_FLAT, HALF_NORMAL, HALF_CAUCHY, HALF_STUDENT_T, EXPONENTIAL, GAMMA, LOG_NORMAL,
    INVERSE_GAMMA, UNIFORM,
) = range(9)  # fmt: skip


def unpack_theta(co: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations and Cholesky factors of the correlation matrices.

    Parameters
    ----------
    co : Coordinates
    x : ndarray, shape (n_x,) or (S, n_x)
        Coordinates of phi, which may follow, are not looked at.

    Returns
    -------
    sd : ndarray, shape (n_effects + 1,) or (S, n_effects + 1)
        One for each effect; the residual's last (1 if it is known).
    C : ndarray, shape (n_L,) or (S, n_L)
        A q x q matrix for each factor, flat.
    """
    X = np.ascontiguousarray(x[..., : co.n_x])
    n = 1 if X.ndim == 1 else len(X)
    sd, C = np.empty((n, len(co.effect_sd) + 1)), np.empty((n, len(co.T)))
    expand(co.ints, co.floats, n, X, sd, C, np.empty(len(co.T)), np.empty(len(co.T)))
    return (sd[0], C[0]) if X.ndim == 1 else (sd, C)


def correlation_matrices(co: Coordinates, C: np.ndarray) -> list[np.ndarray]:
    """Correlation matrix of each factor's effects, ones on its diagonal up to rounding.

    Parameters
    ----------
    co : Coordinates
    C : ndarray, shape (n_L,) or (S, n_L)
        As `unpack_theta` has it.

    Returns
    -------
    list of ndarray, shape (q, q) or (S, q, q)
    """
    out = []
    for q, at in zip(co.q.tolist(), co.L_start.tolist(), strict=False):
        factor = C[..., at : at + q * q].reshape(*C.shape[:-1], q, q)
        out.append(factor @ np.swapaxes(factor, -1, -2))
    return out


def structure_values(co: Coordinates, x: np.ndarray) -> list[np.ndarray]:
    """Parameters of each block's structure, shape (..., n); none for free correlations.

    Parameters
    ----------
    co : Coordinates
    x : ndarray, shape (n_x,) or (S, n_x)

    Returns
    -------
    list of ndarray
    """
    out = []
    for first, at, n in zip(co.block_value, co.block_x, co.block_n, strict=True):
        here = slice(first, first + n)
        own, lower, width = x[..., at : at + n], co.value_lower[here], co.value_width[here]
        unit = co.value_unit[here]
        beyond = lower + unit * np.where(width < 0, own, np.exp(np.where(width < 0, 0.0, own)))
        out.append(np.where(width > 0, lower + width * special.expit(own), beyond))
    return out


class Factors(NamedTuple):
    """What one vector of coordinates stands for, as kernels take it.

    Attributes
    ----------
    sd : ndarray, shape (n_effects + 1,)
        One for each effect; the residual's last (1 if it is known).
    C, L, Q : ndarray, shape (n_L,)
        A q x q matrix for each factor, flat: the Cholesky factor of its correlation
        matrix, the triangular L with b = L u, and the rotation that made it so.
    """

    sd: np.ndarray
    C: np.ndarray
    L: np.ndarray
    Q: np.ndarray


def factors_at(co: Coordinates, x: np.ndarray) -> Factors:
    """Standard deviations and factors at one vector of coordinates.

    Parameters
    ----------
    co : Coordinates
    x : ndarray
        Whose first `n_x` elements are the coordinates.

    Returns
    -------
    Factors
    """
    n_L = len(co.T)
    out = Factors(
        np.empty(len(co.effect_sd) + 1), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    )  # fmt: skip
    expand(co.ints, co.floats, 1, np.ascontiguousarray(x[: co.n_x]), *out)
    return out


@inner
def scale_prior(kind: int, a: float, b: float, s: float, out: np.ndarray) -> None:
    """Log density of a scale (or any number), up to a constant, and s times its derivative."""
    if kind == HALF_NORMAL:
        z = s / a
        out[0], out[1] = -0.5 * z * z, -z * z
    elif kind == HALF_CAUCHY:
        z = (s / a) * (s / a)
        out[0], out[1] = -np.log1p(z), -2.0 * z / (1.0 + z)
    elif kind == HALF_STUDENT_T:
        z = (s / b) * (s / b) / a
        out[0], out[1] = -0.5 * (a + 1.0) * np.log1p(z), -(a + 1.0) * z / (1.0 + z)
    elif kind == EXPONENTIAL:
        out[0], out[1] = -a * s, -a * s
    elif kind == GAMMA:
        out[0], out[1] = (a - 1.0) * np.log(s) - b * s, a - 1.0 - b * s
    elif kind == LOG_NORMAL:
        z = (np.log(s) - a) / b
        out[0], out[1] = -0.5 * z * z - np.log(s), -z / b - 1.0
    elif kind == INVERSE_GAMMA:
        out[0], out[1] = -(a + 1.0) * np.log(s) - b / s, -(a + 1.0) + b / s
    elif kind == NORMAL:
        z = (s - a) / b
        out[0], out[1] = -0.5 * z * z, -s * z / b
    else:
        out[0], out[1] = 0.0, 0.0


@inner
def scale_at(kind: int, a: float, b: float, x: float, out: np.ndarray) -> None:
    """Standard deviation at x, d log s / dx, log |ds/dx|, and its derivative."""
    if kind == UNIFORM:
        if x >= 0:
            e = np.exp(-x)
            unit, rest = 1.0 / (1.0 + e), e / (1.0 + e)
        else:
            e = np.exp(x)
            unit, rest = e / (1.0 + e), 1.0 / (1.0 + e)
        s = a + (b - a) * unit
        slope = (b - a) * unit * rest
        out[0], out[1] = s, slope / s
        out[2], out[3] = np.log(slope), rest - unit
    else:
        s = np.exp(x)
        out[0], out[1], out[2], out[3] = s, 1.0, x, 1.0


@inner
def value_at(co, k, x, out):  # type: ignore[no-untyped-def]
    """Value of a parameter at x, its distance from either end, and its derivative.

    Then log |dvalue / dx| and the derivative of that.
    """
    lower, width = co.value_lower[k], co.value_width[k]
    if width > 0.0:
        e = np.exp(-abs(x))
        near, far = e / (1.0 + e), 1.0 / (1.0 + e)
        unit, rest = (far, near) if x >= 0 else (near, far)
        out[0], out[1], out[2] = lower + width * unit, width * unit, width * rest
        if x >= 0:
            out[0] = lower + width - width * rest
        out[3] = width * unit * rest
        out[1] += co.value_below[k]
        out[2] += co.value_above[k]
        out[4] = np.log(width) - abs(x) - 2.0 * np.log1p(e)
        out[5] = rest - unit
    elif width < 0.0:
        unit = co.value_unit[k]
        out[0], out[1], out[2], out[3] = lower + unit * x, 1.0, 1.0, unit
        out[4], out[5] = np.log(unit), 0.0
    else:
        s = co.value_unit[k] * np.exp(x)
        out[0], out[1], out[2], out[3] = lower + s, s, 1.0, s
        out[4], out[5] = np.log(co.value_unit[k]) + x, 1.0


@inner
def _values_at(co, block, x, values):  # type: ignore[no-untyped-def]
    """Values of a block's parameters, each with its distances from the ends of its range."""
    six, first = np.empty(6), co.block_value[block]
    for k in range(co.block_n[block]):
        value_at(co, first + k, x[co.block_x[block] + k], six)
        for i in range(3):
            values[3 * (first + k) + i] = six[i]


@kernel(types.void, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def expand(co_ints, co_floats, n, X, sd, C, L, Q):  # type: ignore[no-untyped-def]
    """Standard deviations, Cholesky factors of R, and working L of each factor.

    Parameters
    ----------
    co_ints, co_floats : ndarray
        The arrays of `Coordinates`.
    n : int
    X : ndarray, shape (n, n_x)
        Coordinates of n thetas.
    sd : ndarray, shape (n, n_effects + 1)
        Receives each effect's standard deviation, the residual's last (1 if it is known).
    C : ndarray, shape (n, n_L)
        Receives the Cholesky factors of the correlation matrices.
    L, Q : ndarray
        Receive, for the last theta, T diag(sd) C made lower triangular, and the
        rotations that do so: T diag(sd) C = L Q.
    """
    co = theta_at(co_ints, co_floats)
    size, n_values = 1, 0
    for block in range(co.sizes[2]):
        n_values += co.block_n[block]
        if co.block_n[block] > 0:
            size = max(size, co.block_size[block])
    values, own = np.empty(3 * n_values), np.empty(size * size)
    for s in range(n):
        _expand(
            co, shifted(X, s * co.sizes[0]), shifted(sd, s * (co.n_effects + 1)),
            shifted(C, s * co.L_size), L, values, own,
        )  # fmt: skip
    make_triangular(co, L, Q)


@inner
def _expand(co, x, sd, C, L, values, own):  # type: ignore[no-untyped-def]
    four = np.empty(4)
    n_sd, n_effects = co.sizes[1], co.n_effects
    for i in range(n_effects):
        k = co.effect_sd[i]
        scale_at(co.prior_kind[k], co.prior_a[k], co.prior_b[k], x[k], four)
        sd[i] = four[0]
    sd[n_effects] = 1.0
    if co.sizes[3] == 1:
        last = co.sizes[0] - 1
        scale_at(co.prior_kind[n_sd], co.prior_a[n_sd], co.prior_b[n_sd], x[last], four)
        sd[n_effects] = four[0]
    for i in range(co.L_size):
        C[i] = 0.0
    for f in range(co.n_factors):
        for i in range(co.q[f]):
            C[co.L_start[f] + i * co.q[f] + i] = 1.0
    for block in range(co.sizes[2]):
        if co.block_code[block] == VINE:
            vine_root(co, block, x, C)
        else:
            _values_at(co, block, x, values)
            structure_root(co, block, values, own, sd, C)
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        if co.scaled[f] == 1:
            for i in range(q):
                scale = co.T[at + i * q + i] * sd[co.sd_start[f] + i]
                for j in range(q):
                    L[at + i * q + j] = scale * C[at + i * q + j]
            continue
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += co.T[at + i * q + k] * sd[co.sd_start[f] + k] * C[at + k * q + j]
                L[at + i * q + j] = s


@kernel(f8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, f8, i8, i8, FLOATS)
def chain_rule(  # type: ignore[no-untyped-def]
    co_ints, co_floats, x, C, Q, E, by_log_sigma, priors, jacobian, gradient
):
    """Gradient in the coordinates, and the priors' part of the log density.

    Parameters
    ----------
    co_ints, co_floats : ndarray
        The arrays of `Coordinates`.
    x, C, Q : ndarray
        As `expand` takes and makes them, of one theta.
    E : ndarray
        Like L: for each factor the derivative by T in L -> L (I + T), which is
        the sum over levels of E[u u'] minus the number of levels. Overwritten.
    by_log_sigma : float
        Derivative by the log residual standard deviation.
    priors : int
        Whether priors are added to value and gradient.
    jacobian : int
        Whether the density is that of x, or of (sd, R, sigma) at x.
    gradient : ndarray
        Receives the gradient.

    Returns
    -------
    float
        Log density of the priors, with the log Jacobian if asked for; 0 without.
    """
    co = theta_at(co_ints, co_floats)
    rotate_back(co, E, Q)
    q_max = 1
    for f in range(co.n_factors):
        q_max = max(q_max, co.q[f])
    return _chain_rule(
        co, x, C, E, by_log_sigma, priors != 0, jacobian != 0, gradient, np.empty(q_max * q_max)
    )


@inner
def _chain_rule(  # type: ignore[no-untyped-def]
    co, x, C, E, by_log_sigma, priors, jacobian, gradient, inverse
):
    n_sd = co.sizes[1]
    inverse = pointer(inverse)
    value = 0.0
    two, four = np.empty(2), np.empty(4)
    for k in range(n_sd):
        gradient[k] = 0.0
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        invert_lower(shifted(C, at), q, q, inverse)
        # By log sd_k: (C E' C^-1)_kk. By C_ij: (C^-T E)_ij.
        for k in range(q):
            s = 0.0
            for a in range(k + 1):
                t = 0.0
                for b in range(k, q):
                    t += E[at + b * q + a] * inverse[b * q + k]
                s += C[at + k * q + a] * t
            gradient[co.effect_sd[co.sd_start[f] + k]] += s
        for block in range(co.sizes[2]):
            if co.block_factor[block] != f:
                continue
            if co.block_code[block] == VINE:
                value = vine_pull_back(
                    co, block, x, C, E, inverse, priors, jacobian, gradient, value
                )
            else:
                value += _by_structure(co, block, x, C, E, inverse, priors, jacobian, gradient)
    for k in range(n_sd + co.sizes[3]):
        at_x = k if k < n_sd else co.sizes[0] - 1
        if k == n_sd:
            gradient[at_x] = by_log_sigma
        kind, a, b = co.prior_kind[k], co.prior_a[k], co.prior_b[k]
        scale_at(kind, a, b, x[at_x], four)
        by_log = gradient[at_x]
        if priors:
            scale_prior(kind, a, b, four[0], two)
            value += two[0]
            by_log += two[1]
        gradient[at_x] = by_log * four[1]
        if priors and jacobian:
            value += four[2]
            gradient[at_x] += four[3]
    return value


@inner
def _by_structure(co, block, x, C, E, inverse, priors, jacobian, gradient):  # type: ignore[no-untyped-def]
    """Write the gradient in the coordinates of a block's parameters; return their prior."""
    first, n = co.block_value[block], co.block_n[block]
    values, by_values = np.empty(3 * (first + n)), np.zeros(first + n)
    _values_at(co, block, x, values)
    size = co.block_size[block] * co.block_size[block]
    structure_pull_back(co, block, values, C, E, inverse, np.zeros(size), np.zeros(size), by_values)
    value = 0.0
    two, six = np.empty(2), np.empty(6)
    for k in range(n):
        at_x = co.block_x[block] + k
        value_at(co, first + k, x[at_x], six)
        gradient[at_x] = by_values[first + k] * six[3]
        if not priors:
            continue
        kind = co.value_kind[first + k]
        scale_prior(kind, co.value_a[first + k], co.value_b[first + k], six[0], two)
        value += two[0]
        if two[1] != 0.0:
            gradient[at_x] += two[1] * six[3] / six[0]
        if jacobian:
            value += six[4]
            gradient[at_x] += six[5]
    return value
