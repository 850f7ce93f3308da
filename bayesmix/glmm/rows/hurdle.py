"""Rows of responses whose zeros stand apart."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.counts import factorials
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.joint import row_gamma
from bayesmix.glmm.rows.links import LOG, LOGIT, log_failure, log_success, mean_at
from bayesmix.glmm.special import log_rising

__all__ = ["row_hurdle_gamma", "row_hurdle_negative_binomial", "row_hurdle_poisson"]


@inner
def zeros_apart(y, s, links, a, k, order, g, H):  # type: ignore[no-untyped-def]
    """Put the zeros apart, of probability the k-th parameter: s is of values above 0."""
    if y > 0.0:
        log_p, by, twice = log_failure(links[k], a[k])
    else:
        log_p, by, twice = log_success(links[k], a[k])
        s = 0.0
        for i in range(k):
            g[i] = 0.0
            for j in range(i + 1):
                H[i, j] = 0.0
    if order > 0:
        g[k] = by
        if order > 1:
            for j in range(k):
                H[k, j] = 0.0
            H[k, k] = twice
    return s + log_p


@inner
def given_above(log_zero: float) -> tuple[float, float, float]:
    """Minus log(1 - exp(x)) with its first two derivatives, x below zero."""
    rest = np.expm1(-log_zero)
    odds = 1.0 / rest
    near = log_zero > -0.6931471805599453
    log_above = math.log(-np.expm1(log_zero)) if near else np.log1p(-math.exp(log_zero))
    return -log_above, odds, odds * (1.0 + odds)


@inner
def row_hurdle_poisson(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Poisson counts above 0, and zeros of probability hu."""
    if not y > 0.0:
        return zeros_apart(y, 0.0, links, a, 1, order, g, H)
    mu, slope, bend = mean_at(links[0], a[0])
    if not mu > 0.0:
        return -np.inf
    log_mu = a[0] if links[0] == LOG else math.log(mu)
    above, by, twice = given_above(-mu)
    g[0] = y / mu - 1.0 - by
    H[0, 0] = -y / (mu * mu) + twice
    if links[0] == LOG:
        g[0], H[0, 0] = y - mu - mu * by, -mu - mu * by + mu * mu * twice
    else:
        chain(0, slope, bend, order, g, H)
    return zeros_apart(y, y * log_mu - mu + above, links, a, 1, order, g, H)


joint_kernel("hurdle_poisson", row_hurdle_poisson, (LOGIT,), factorials, alone=True)


@inner
def row_hurdle_negative_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Negative binomial counts above 0, and zeros of probability hu."""
    if not y > 0.0:
        return zeros_apart(y, 0.0, links, a, 2, order, g, H)
    mu, slope, bend = mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    if not (mu > 0.0 and alpha > 0.0):
        return -np.inf
    rising, by_rising, twice_rising = log_rising(alpha, y)
    spread, both = np.log1p(mu / alpha), alpha + mu
    log_mu = a[0] if links[0] == LOG else math.log(mu)
    log_alpha = a[1] if links[1] == LOG else math.log(alpha)
    value = rising - (alpha + y) * spread + y * (log_mu - log_alpha)
    above, by, twice = given_above(-alpha * spread)
    # Derivatives of the logarithm of the probability of a zero, -alpha log(1 + mu / alpha).
    zero_m, zero_a = -alpha / both, mu / both - spread
    square = both * both
    g[0] = y / mu - (alpha + y) / both + by * zero_m
    g[1] = by_rising - spread + (mu - y) / both + by * zero_a
    if order > 1:
        H[0, 0] = (
            (alpha + y) / square - y / (mu * mu) + by * alpha / square + twice * zero_m * zero_m
        )
        H[1, 0] = (y - mu) / square - by * mu / square + twice * zero_m * zero_a
        H[1, 1] = (
            twice_rising + mu / (alpha * both) - (mu - y) / square
            + by * mu * mu / (alpha * square) + twice * zero_a * zero_a
        )  # fmt: skip
    chain(0, slope, bend, order, g, H)
    chain(1, slope_a, bend_a, order, g, H)
    return zeros_apart(y, value + above, links, a, 2, order, g, H)


joint_kernel(
    "hurdle_negative_binomial", row_hurdle_negative_binomial, (LOG, LOGIT), factorials, alone=True
)


@inner
def row_hurdle_gamma(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Gamma distributed values above 0, and zeros of probability hu."""
    s = row_gamma(y, trials, links, a, order, g[:2], H[:2, :2]) if y > 0.0 else 0.0
    return zeros_apart(y, s, links, a, 2, order, g, H) if s > -np.inf else s


joint_kernel("hurdle_gamma", row_hurdle_gamma, (LOG, LOGIT), alone=True)
