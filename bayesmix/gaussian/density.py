"""The collapsed log density and the REML and ML criteria, each with its gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates, chain_rule, expand, theta_at
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, kernel
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
    "criterion",
    "log_density",
    "log_likelihood",
    "profiled_deviance",
    "profiled_variance",
]

# Bits of the kernel's flags: beta integrated out; priors; Jacobian; sigma at its best.
WITH_FIXED, PRIORS, JACOBIAN, PROFILED = 1, 2, 4, 8

_expand, _moments, _chain_rule = expand.external, moments.external, chain_rule.external


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


def flat_prior(p: int) -> FixedPrior:
    """Return the flat prior of p fixed effects."""
    return FixedPrior(np.zeros((p, p)), np.zeros(p))


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
    flags = WITH_FIXED | PRIORS | (JACOBIAN if jacobian else 0)
    value: float = criterion(
        eq.ints, eq.floats, co.ints, co.floats, prior.precision, prior.mean, x, flags, 0.0,
        gradient, np.empty(1),
    )  # fmt: skip
    return value


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
    flat = flat_prior(eq.n_fixed)
    value: float = criterion(
        eq.ints, eq.floats, co.ints, co.floats, flat.precision, flat.mean, x,
        WITH_FIXED if reml else 0, 0.0, gradient, np.empty(1),
    )  # fmt: skip
    return value


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
    flat = flat_prior(eq.n_fixed)
    value: float = criterion(
        eq.ints, eq.floats, co.ints, co.floats, flat.precision, flat.mean, x,
        PROFILED | (WITH_FIXED if reml else 0), known, gradient, np.empty(1),
    )  # fmt: skip
    return value


def profiled_variance(eq: Equations, co: Coordinates, x: np.ndarray, reml: bool) -> float:
    """Best residual variance at relative coordinates, in working units."""
    flat = flat_prior(eq.n_fixed)
    variance = np.empty(1)
    criterion(
        eq.ints, eq.floats, co.ints, co.floats, flat.precision, flat.mean, x,
        PROFILED | (WITH_FIXED if reml else 0), 0.0, np.empty(len(x)), variance,
    )  # fmt: skip
    return float(variance[0])


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, f8, FLOATS, FLOATS,
    needs=(expand, moments, chain_rule),
)  # fmt: skip
def criterion(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, prior_precision, prior_mean, x, flags, known, gradient,
    variance,
):  # fmt: skip
    """The one computation behind Bayes, REML and ML.

    Minus infinity where the equations cannot be factored (infinity for a deviance).
    `variance` receives the best residual variance of a profiled deviance.
    """
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, n_obs, d = eq.sizes[4], eq.sizes[5], co.sizes[0]
    n_L = co.L_size
    reml = flags & WITH_FIXED != 0
    profiled = flags & PROFILED != 0
    sd = np.empty(co.sizes[1] + 1)
    C, L, Q = np.empty(n_L), np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    sigma = 1.0
    precision = known if known > 0.0 else 1.0
    if not profiled:
        sigma = sd[co.sizes[1]] / co.unit[0]
        precision = 1.0 / (sigma * sigma)
    prior_y = np.empty(p)
    prior_length = 0.0
    for i in range(p):
        s = 0.0
        for j in range(p):
            s += prior_precision[i * p + j] * prior_mean[j]
        prior_y[i] = s
        prior_length += s * prior_mean[i]
    E, U = np.empty(n_L), np.empty(n_L)
    beta, beta_cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    fine = 0
    if np.isfinite(precision):
        fine = _moments(
            eq_ints, eq_floats, L.ctypes, precision, prior_precision, prior_y.ctypes,
            flags & WITH_FIXED, E.ctypes, U.ctypes, beta.ctypes, beta_cov.ctypes, scalars.ctypes,
        )  # fmt: skip
    if fine == 0:
        for i in range(d):
            gradient[i] = 0.0
        variance[0] = np.nan
        return np.inf if profiled else -np.inf
    n = n_obs - (p if reml else 0)
    if profiled:
        variance[0] = max(eq.yy[0] * precision - scalars[LENGTH], 0.0) / n
        quadratic = max(eq.yy[0] * precision - scalars[LENGTH], 1e-300)
        unit = 1.0 if known > 0.0 else quadratic / n
    else:
        quadratic = eq.yy[0] * precision + prior_length - scalars[LENGTH]
        unit = 1.0
    n_u = 0
    for f in range(eq.n_factors):
        q, at = eq.q[f], eq.L_start[f]
        n_u += q * eq.n_levels[f]
        for i in range(q * q):
            E[at + i] += U[at + i] / unit
        for i in range(q):
            E[at + i * q + i] -= eq.n_levels[f]
    by_log_sigma = 0.0
    if not profiled:
        of_prior = 0.0
        for i in range(p):
            for j in range(p):
                of_prior += (
                    (beta[i] - prior_mean[i]) * prior_precision[i * p + j]
                    * (beta[j] - prior_mean[j])
                )  # fmt: skip
        residual = quadratic - scalars[LENGTH_U] - of_prior
        by_log_sigma = -n_obs + residual + n_u - scalars[TRACE_U]
        if reml:
            by_log_sigma += p - scalars[TRACE_P]
    of_priors = _chain_rule(
        co_ints, co_floats, x, sd.ctypes, C.ctypes, Q.ctypes, E.ctypes, by_log_sigma,
        flags & PRIORS, flags & JACOBIAN, gradient,
    )  # fmt: skip
    log_det = scalars[LOG_DET_U] + (scalars[LOG_DET_X] if reml else 0.0)
    if not profiled:
        return -n_obs * np.log(sigma) - 0.5 * (log_det + quadratic) + of_priors
    for i in range(d):
        gradient[i] *= -2.0
    value = log_det + quadratic / unit + n * np.log(2.0 * np.pi * unit)
    if known > 0.0:
        value -= n_obs * np.log(known)
    return value
