"""Rows of several predictors: families whose location and spread both may have a formula."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.links import LOG, complement_at, mean_at
from bayesmix.glmm.special import digamma, log_half_rising, log_rising, trigamma

__all__ = ["row_beta", "row_gamma", "row_gaussian", "row_negative_binomial", "row_student_t"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@inner
def row_gaussian(y, weight, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Normal around mu with standard deviation sigma / sqrt(weight)."""
    mu, slope, bend = mean_at(links[0], a[0])
    sigma, slope_s, bend_s = mean_at(links[1], a[1])
    root = math.sqrt(weight)
    z = (y - mu) * root / sigma
    if order > 0:
        g[0], g[1] = z * root / sigma, (z * z - 1.0) / sigma
        if order > 1:
            H[0, 0] = -weight / (sigma * sigma)
            H[1, 0] = -2.0 * z * root / (sigma * sigma)
            H[1, 1] = (1.0 - 3.0 * z * z) / (sigma * sigma)
        chain(0, slope, bend, order, g, H)
        chain(1, slope_s, bend_s, order, g, H)
        if links[1] == LOG:  # without a difference of large numbers
            g[1], H[1, 1] = z * z - 1.0, -2.0 * z * z
    log_sigma = a[1] if links[1] == LOG else math.log(sigma)
    return math.log(root) - log_sigma - 0.5 * z * z - _HALF_LOG_2PI


# The weights stand in the place of trials.
joint_kernel("gaussian", row_gaussian, (LOG,), alone=True)


@inner
def row_student_t(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Student's t with nu degrees of freedom around mu, of scale sigma."""
    mu, slope, bend = mean_at(links[0], a[0])
    nu, slope_n, bend_n = mean_at(links[1], a[1])
    sigma, slope_s, bend_s = mean_at(links[2], a[2])
    if not (nu > 0.0 and sigma > 0.0):
        return -np.inf
    z = (y - mu) / sigma
    q = z * z
    d = nu + q
    log_part = np.log1p(q / nu)
    base, by_half, twice_half = log_half_rising(0.5 * nu)
    value = base - _HALF_LOG_2PI - math.log(sigma) - 0.5 * (nu + 1.0) * log_part
    if order == 0:
        return value
    g[0] = (nu + 1.0) * z / (sigma * d)
    g[1] = 0.5 * by_half - 0.5 * log_part + 0.5 * (nu + 1.0) * q / (nu * d)
    g[2] = ((nu + 1.0) * q / d - 1.0) / sigma
    if order > 1:
        square = sigma * sigma
        H[0, 0] = -(nu + 1.0) * (nu - q) / (square * d * d)
        H[1, 0] = z * (q - 1.0) / (sigma * d * d)
        H[1, 1] = (
            0.25 * twice_half + 0.5 * q / (nu * d)
            + 0.5 * q * (nu * d - (nu + 1.0) * (2.0 * nu + q)) / (nu * d) ** 2
        )  # fmt: skip
        H[2, 0] = -2.0 * (nu + 1.0) * nu * z / (square * d * d)
        H[2, 1] = q * (q - 1.0) / (sigma * d * d)
        H[2, 2] = (1.0 - (nu + 1.0) * q * (3.0 * nu + q) / (d * d)) / square
    chain(0, slope, bend, order, g, H)
    chain(1, slope_n, bend_n, order, g, H)
    chain(2, slope_s, bend_s, order, g, H)
    return value


joint_kernel("student_t", row_student_t, (LOG, LOG))


@inner
def row_negative_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Negative binomial with size alpha: variance mu + mu^2 / alpha."""
    mu, slope, bend = mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    if not (mu >= 0.0 and alpha > 0.0) or (mu == 0.0 and y > 0.0):
        return -np.inf
    rising, by_rising, twice = log_rising(alpha, y)
    spread = np.log1p(mu / alpha)
    both = alpha + mu
    value = rising - (alpha + y) * spread
    if y > 0.0:
        log_alpha = a[1] if links[1] == LOG else math.log(alpha)
        value += y * ((a[0] if links[0] == LOG else math.log(mu)) - log_alpha)
    if order > 0:
        ratio = y / mu if y > 0.0 else 0.0
        g[0] = ratio - (alpha + y) / both
        g[1] = by_rising - spread + (mu - y) / both
        if order > 1:
            H[0, 0] = (alpha + y) / (both * both) - (ratio / mu if y > 0.0 else 0.0)
            H[1, 0] = (y - mu) / (both * both)
            H[1, 1] = twice + mu / (alpha * both) - (mu - y) / (both * both)
        if links[0] == LOG:
            share = alpha / both
            g[0] = (y - mu) * share
            H[0, 0] = -mu * share * ((alpha + y) / both)
            H[1, 0] *= mu
        else:
            chain(0, slope, bend, order, g, H)
        chain(1, slope_a, bend_a, order, g, H)
    return value


joint_kernel("negative_binomial", row_negative_binomial, (LOG,))


@inner
def row_gamma(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Gamma with shape alpha and mean mu."""
    mu, slope, bend = mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    if not (mu > 0.0 and alpha > 0.0):
        return -np.inf
    log_mu = a[0] if links[0] == LOG else math.log(mu)
    log_alpha, log_y, ratio = math.log(alpha), math.log(y), y / mu
    if order > 0:
        g[0] = alpha * (ratio - 1.0) / mu
        g[1] = log_alpha + 1.0 - digamma(alpha) + log_y - log_mu - ratio
        if order > 1:
            H[0, 0] = alpha * (1.0 - 2.0 * ratio) / (mu * mu)
            H[1, 0] = (ratio - 1.0) / mu
            H[1, 1] = 1.0 / alpha - trigamma(alpha)
        if links[0] == LOG:
            g[0], H[0, 0], H[1, 0] = alpha * (ratio - 1.0), -alpha * ratio, ratio - 1.0
        else:
            chain(0, slope, bend, order, g, H)
        chain(1, slope_a, bend_a, order, g, H)
    return alpha * log_alpha - math.lgamma(alpha) + alpha * (log_y - log_mu - ratio) - log_y


joint_kernel("gamma", row_gamma, (LOG,))


@inner
def row_beta(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Beta with mean mu and precision phi."""
    mu, slope, bend = mean_at(links[0], a[0])
    rest = complement_at(links[0], a[0])
    phi, slope_p, bend_p = mean_at(links[1], a[1])
    p, q = mu * phi, rest * phi
    if not (p > 0.0 and q > 0.0):
        return -np.inf
    log_y, log_rest = math.log(y), np.log1p(-y)
    if order > 0:
        by_p, by_q = log_y - digamma(p), log_rest - digamma(q)
        g[0] = phi * (by_p - by_q)
        g[1] = digamma(phi) + mu * by_p + rest * by_q
        if order > 1:
            twice_p, twice_q = trigamma(p), trigamma(q)
            H[0, 0] = -phi * phi * (twice_p + twice_q)
            H[1, 0] = by_p - by_q + phi * (rest * twice_q - mu * twice_p)
            H[1, 1] = trigamma(phi) - mu * mu * twice_p - rest * rest * twice_q
        chain(0, slope, bend, order, g, H)
        chain(1, slope_p, bend_p, order, g, H)
    return (
        math.lgamma(phi) - math.lgamma(p) - math.lgamma(q) + (p - 1.0) * log_y
        + (q - 1.0) * log_rest
    )  # fmt: skip


joint_kernel("beta", row_beta, (LOG,))
