"""The collapsed log density and the REML and ML criteria, each with its gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from bayesmix.gaussian.coordinates import (
    Coordinates,
    chain_rule,
    expand,
    make_triangular,
    rotate_back,
)
from bayesmix.gaussian.kernels import Equations
from bayesmix.gaussian.moments import (
    LENGTH,
    LENGTH_U,
    LOG_DET_U,
    LOG_DET_X,
    TRACE_P,
    TRACE_U,
    moments,
)

__all__ = [
    "FixedPrior",
    "compiled_log_density",
    "log_density",
    "log_likelihood",
    "profiled_deviance",
    "profiled_variance",
]


class FixedPrior(NamedTuple):
    """Normal or flat prior of the working fixed effects.

    Attributes
    ----------
    precision : ndarray, shape (p, p)
        Zero rows for flat priors.
    mean : ndarray, shape (p,)
    """

    precision: Any
    mean: Any


def log_density(
    eq: Equations, co: Coordinates, prior: FixedPrior, x: np.ndarray, jacobian: bool,
    gradient: np.ndarray,
) -> float:  # fmt: skip
    """Log density of theta with all effects integrated out, up to a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    prior : FixedPrior
    x : ndarray
        Coordinates of theta.
    jacobian : bool
        Whether as a density of x (for NUTS) or of (sd, R, sigma) (for the mode).
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
        Minus infinity where the equations cannot be factored.
    """
    # A plain function: another compiled entry would compile all below it once more.
    return float(compiled_log_density(eq, co, prior, x, True, True, jacobian, gradient))


def log_likelihood(
    eq: Equations, co: Coordinates, x: np.ndarray, reml: bool, gradient: np.ndarray
) -> float:
    """REML or ML log likelihood of theta, sigma among its coordinates, up to a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    x : ndarray
    reml : bool
        Whether beta is integrated out (flat prior) or at its best.
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
    """
    p = eq.sizes[4]
    flat = FixedPrior(np.zeros((p, p)), np.zeros(p))
    return float(compiled_log_density(eq, co, flat, x, reml, False, False, gradient))


@njit(cache=True, nogil=True, error_model="numpy")
def compiled_log_density(
    eq: Equations, co: Coordinates, prior: FixedPrior, x: np.ndarray, with_fixed: bool,
    with_priors: bool, jacobian: bool, gradient: np.ndarray,
) -> float:  # fmt: skip
    """The one computation behind Bayes, REML and ML.

    Minus infinity where the equations cannot be factored.
    """
    p = eq.sizes[4]
    n_obs = eq.sizes[5]
    n_L = len(co.T)
    sd = np.empty(co.sizes[1] + 1)
    C, L, Q = np.empty(n_L), np.empty(n_L), np.empty(n_L)
    expand(co, x, sd, C, L)
    make_triangular(co, L, Q)
    sigma = sd[co.sizes[1]] / co.unit[0]
    precision = 1.0 / (sigma * sigma)
    prior_y = np.empty(p)
    prior_length = 0.0
    for i in range(p):
        s = 0.0
        for j in range(p):
            s += prior.precision[i, j] * prior.mean[j]
        prior_y[i] = s
        prior_length += s * prior.mean[i]
    E, U = np.empty(n_L), np.empty(n_L)
    beta, beta_cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    fine = np.isfinite(precision) and moments(
        eq, L, precision, prior.precision, prior_y, with_fixed, E, U, beta, beta_cov, scalars
    )
    if not fine:
        gradient[:] = 0.0
        return -np.inf
    quadratic = eq.yy[0] * precision + prior_length - scalars[LENGTH]
    value = -n_obs * np.log(sigma) - 0.5 * (scalars[LOG_DET_U] + quadratic)
    if with_fixed:
        value -= 0.5 * scalars[LOG_DET_X]
    n_u = 0
    for f in range(len(eq.q)):
        q, at = eq.q[f], eq.L_start[f]
        n_u += q * eq.n_levels[f]
        for i in range(q * q):
            E[at + i] += U[at + i]
        for i in range(q):
            E[at + i * q + i] -= eq.n_levels[f]
    rotate_back(co, E, Q)
    of_prior = 0.0
    for i in range(p):
        for j in range(p):
            of_prior += (
                (beta[i] - prior.mean[i]) * prior.precision[i, j] * (beta[j] - prior.mean[j])
            )
    residual = quadratic - scalars[LENGTH_U] - of_prior
    by_log_sigma = -n_obs + residual + n_u - scalars[TRACE_U]
    if with_fixed:
        by_log_sigma += p - scalars[TRACE_P]
    value += chain_rule(co, x, sd, C, E, by_log_sigma, with_priors, jacobian, gradient)
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def profiled_variance(eq: Equations, co: Coordinates, x: np.ndarray, reml: bool) -> float:
    """Best residual variance at relative coordinates, in working units."""
    p, n_L = eq.sizes[4], len(co.T)
    sd = np.empty(co.sizes[1] + 1)
    C, L, Q, E, U = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    expand(co, x, sd, C, L)
    make_triangular(co, L, Q)
    beta, beta_cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    moments(eq, L, 1.0, np.zeros((p, p)), np.zeros(p), reml, E, U, beta, beta_cov, scalars)
    return max(eq.yy[0] - scalars[LENGTH], 0.0) / (eq.sizes[5] - (p if reml else 0))


@njit(cache=True, nogil=True, error_model="numpy")
def profiled_deviance(
    eq: Equations, co: Coordinates, x: np.ndarray, reml: bool, known: float, gradient: np.ndarray
) -> float:
    """REML criterion or ML deviance with sigma and beta at their best.

    In working columns: what the change of columns and units adds is a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
        Whose standard deviations are relative to sigma (absolute where that is
        known), and sigma itself absent.
    x : ndarray
    reml : bool
    known : float
        Residual precision of a row of weight 1 where it is known; 0 where sigma is
        estimated.
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
        Infinity where the equations cannot be factored.
    """
    p = eq.sizes[4]
    n_L = len(co.T)
    sd = np.empty(co.sizes[1] + 1)
    C, L, Q = np.empty(n_L), np.empty(n_L), np.empty(n_L)
    expand(co, x, sd, C, L)
    make_triangular(co, L, Q)
    E, U = np.empty(n_L), np.empty(n_L)
    beta, beta_cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    precision = known if known > 0.0 else 1.0
    flat = np.zeros((p, p))
    if not moments(eq, L, precision, flat, np.zeros(p), reml, E, U, beta, beta_cov, scalars):
        gradient[:] = 0.0
        return np.inf
    n = eq.sizes[5] - (p if reml else 0)
    quadratic = max(eq.yy[0] * precision - scalars[LENGTH], 1e-300)
    variance = 1.0 if known > 0.0 else quadratic / n
    for f in range(len(eq.q)):
        q, at = eq.q[f], eq.L_start[f]
        for i in range(q * q):
            E[at + i] += U[at + i] / variance
        for i in range(q):
            E[at + i * q + i] -= eq.n_levels[f]
    rotate_back(co, E, Q)
    chain_rule(co, x, sd, C, E, 0.0, False, False, gradient)
    for i in range(len(gradient)):
        gradient[i] *= -2.0
    value = scalars[LOG_DET_U] + quadratic / variance + n * np.log(2.0 * np.pi * variance)
    if known > 0.0:
        value -= eq.sizes[5] * np.log(known)
    if reml:
        value += scalars[LOG_DET_X]
    return value
