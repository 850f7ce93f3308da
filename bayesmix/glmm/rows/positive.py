"""Rows of positive responses."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import LOG, log_mean_at, mean_at
from bayesmix.glmm.special import digamma, trigamma

__all__ = ["row_exponential", "row_inverse_gaussian", "row_weibull", "rows_gamma"]

_LOG_2PI = math.log(2.0 * math.pi)


@row_kernel("gamma")
def rows_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Gamma with shape alpha and mean mu."""
    alpha = phi[0]
    base = alpha * math.log(alpha) - math.lgamma(alpha)
    slope_base = math.log(alpha) + 1.0 - digamma(alpha)
    total, by_alpha = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        if not mu > 0.0:
            return -np.inf
        log_mu = eta[i] if link == LOG else math.log(mu)
        log_y, ratio = math.log(y[i]), y[i] / mu
        s = base + alpha * (log_y - log_mu - ratio) - log_y
        total += s
        if order > 0:
            first[i] = alpha * (ratio - 1.0) * (1.0 if link == LOG else slope / mu)
            by_alpha += slope_base + log_y - log_mu - ratio
        if order > 1:
            value[i] = s
            if link == LOG:
                second[i] = -alpha * ratio
            else:
                relative = slope / mu
                second[i] = alpha * (
                    (ratio - 1.0) * bend / mu + (1.0 - 2.0 * ratio) * relative * relative
                )
    by_phi[0] = by_alpha
    return total


@inner
def row_exponential(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Exponential with mean mu."""
    log_mu, slope, bend = log_mean_at(links[0], a[0])
    if not log_mu < np.inf:
        return -np.inf
    ratio = math.exp(math.log(y) - log_mu)
    if order > 0:
        g[0], H[0, 0] = ratio - 1.0, -ratio
        chain(0, slope, bend, order, g, H)
    return -log_mu - ratio


joint_kernel("exponential", row_exponential, (), alone=True)


@inner
def row_weibull(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Weibull with shape alpha and mean mu: its scale is mu / Gamma(1 + 1 / alpha)."""
    log_mu, slope, bend = log_mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    if not (log_mu < np.inf and alpha > 0.0):
        return -np.inf
    log_y, back = math.log(y), 1.0 / alpha
    at = log_y - log_mu + math.lgamma(1.0 + back)
    power = math.exp(alpha * at)
    if order > 0:
        by_back = digamma(1.0 + back)
        by_alpha = at - back * by_back  # of the logarithm of the power
        g[0], g[1] = alpha * (power - 1.0), back + by_alpha * (1.0 - power)
        if order > 1:
            twice = back * back * back * trigamma(1.0 + back)
            H[0, 0] = -alpha * alpha * power
            H[1, 0] = power - 1.0 + alpha * power * by_alpha
            H[1, 1] = -back * back + twice * (1.0 - power) - by_alpha * by_alpha * power
        chain(0, slope, bend, order, g, H)
        chain(1, slope_a, bend_a, order, g, H)
    return math.log(alpha) - log_y + alpha * at - power


joint_kernel("weibull", row_weibull, (LOG,), alone=True)


@inner
def row_inverse_gaussian(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Inverse Gaussian with mean mu: variance mu^3 / lam."""
    log_mu, slope, bend = log_mean_at(links[0], a[0])
    lam, slope_l, bend_l = mean_at(links[1], a[1])
    if not (log_mu < np.inf and lam > 0.0):
        return -np.inf
    log_y = math.log(y)
    ratio = math.exp(log_y - log_mu)
    apart = (ratio - 1.0) * (ratio - 1.0) / (2.0 * y)
    if order > 0:
        pull = (ratio - 1.0) * ratio / y
        g[0], g[1] = lam * pull, 0.5 / lam - apart
        if order > 1:
            H[0, 0] = -lam * ratio * (2.0 * ratio - 1.0) / y
            H[1, 0], H[1, 1] = pull, -0.5 / (lam * lam)
        chain(0, slope, bend, order, g, H)
        chain(1, slope_l, bend_l, order, g, H)
    return 0.5 * (math.log(lam) - _LOG_2PI - 3.0 * log_y) - lam * apart


joint_kernel("inverse_gaussian", row_inverse_gaussian, (LOG,), alone=True)
