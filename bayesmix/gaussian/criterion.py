"""The computation behind the log density, REML and ML, with its gradient, as a kernel."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.coordinates import chain_rule, expand, theta_at
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel
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
    "JACOBIAN", "PRIORS", "PROFILED", "WITH_FIXED", "criterion", "finish", "times_prior",
]  # fmt: skip

# Bits of the kernel's flags: beta integrated out; priors; Jacobian; sigma at its best.
WITH_FIXED, PRIORS, JACOBIAN, PROFILED = 1, 2, 4, 8

_expand, _moments, _chain_rule = expand.external, moments.external, chain_rule.external


@inner
def times_prior(precision, mean, p, out):  # type: ignore[no-untyped-def]
    """Prior precision times prior mean of the fixed effects, and the mean's squared length."""
    length = 0.0
    for i in range(p):
        s = 0.0
        for j in range(p):
            s += precision[i * p + j] * mean[j]
        out[i] = s
        length += s * mean[i]
    return length


@inner
def finish(  # type: ignore[no-untyped-def]
    eq, co, co_ints, co_floats, prior_precision, prior_mean, x, C, Q, flags, known, precision,
    sigma, prior_length, E, U, beta, scalars, gradient, variance,
):  # fmt: skip
    """Value and gradient from the moments, and the unit of squares that these are in."""
    p, n_obs, d = eq.sizes[4], eq.sizes[5], co.sizes[0]
    reml = flags & WITH_FIXED != 0
    profiled = flags & PROFILED != 0
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
        co_ints, co_floats, x, C.ctypes, Q.ctypes, E.ctypes, by_log_sigma,
        flags & PRIORS, flags & JACOBIAN, gradient,
    )  # fmt: skip
    log_det = scalars[LOG_DET_U] + (scalars[LOG_DET_X] if reml else 0.0)
    if not profiled:
        return -n_obs * np.log(sigma) - 0.5 * (log_det + quadratic) + of_priors, unit
    for i in range(d):
        gradient[i] *= -2.0
    value = log_det + quadratic / unit + n * np.log(2.0 * np.pi * unit)
    if known > 0.0:
        value -= n_obs * np.log(known)
    return value, unit


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
    p, d, n_L = eq.sizes[4], co.sizes[0], co.L_size
    profiled = flags & PROFILED != 0
    sd = np.empty(co.n_effects + 1)
    C, L, Q = np.empty(n_L), np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    sigma = 1.0
    precision = known if known > 0.0 else 1.0
    if not profiled:
        sigma = sd[co.n_effects] / co.unit[0]
        precision = 1.0 / (sigma * sigma)
    prior_y = np.empty(p)
    prior_length = times_prior(prior_precision, prior_mean, p, prior_y)
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
    return finish(
        eq, co, co_ints, co_floats, prior_precision, prior_mean, x, C, Q, flags, known,
        precision, sigma, prior_length, E, U, beta, scalars, gradient, variance,
    )[0]  # fmt: skip
