"""Rows of counts."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner, inner_sums
from bayesmix.glmm.rows.each import (
    chain,
    joint_kernel,
)
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import IDENTITY, LOG, LOGIT, complement_at, log_failure, mean_at
from bayesmix.glmm.special import exp, log_rising

__all__ = [
    "factorials",
    "row_generalized_poisson",
    "row_negative_binomial1",
    "row_poisson",
    "rows_negative_binomial",
    "rows_poisson",
]


def factorials(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Minus the logarithms of the factorials of counts."""
    from scipy.special import gammaln

    return np.asarray(-gammaln(y + 1))


@inner_sums
def _log_poisson(n, y, trials, eta, first):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(n):
        mu = trials[i] * exp(eta[i])
        total += y[i] * eta[i] - mu
        first[i] = y[i] - mu
    return total


@row_kernel("poisson", factorials, fast_link=LOG, adds=True)
def rows_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Poisson counts, each the sum of `trials` with the same mean."""
    if link == LOG and order == 1:
        return _log_poisson(n, y, trials, eta, first)
    total = 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        t = trials[i]
        if not mu > 0.0 and not (link != IDENTITY and mu == 0.0 and y[i] == 0.0):
            return -np.inf
        log_mu = eta[i] if link == LOG else (math.log(mu) if mu > 0.0 else 0.0)
        s = y[i] * log_mu - t * mu
        total += s
        if order > 0:
            ratio = y[i] / mu if mu > 0.0 else 0.0
            first[i] = y[i] - t * mu if link == LOG else (ratio - t) * slope
            if order > 1:
                second[i] = (
                    -t * mu if link == LOG
                    else (ratio - t) * bend - (ratio / mu if mu > 0.0 else 0.0) * slope * slope
                )  # fmt: skip
                value[i] = s
    return total


@row_kernel("negative_binomial", factorials)
def rows_negative_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Negative binomial with size alpha: variance mu + mu^2 / alpha."""
    alpha = phi[0]
    total, by_alpha = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        if not mu >= 0.0 or (mu == 0.0 and y[i] > 0.0):
            return -np.inf
        k = y[i]
        rising, by_rising, _ = log_rising(alpha, k)
        spread = np.log1p(mu / alpha)
        s = rising - (alpha + k) * spread - k * math.log(alpha)
        if k > 0.0:
            s += k * (eta[i] if link == LOG else math.log(mu))
        total += s
        if order > 0:
            if link == LOG:
                first[i] = (k - mu) * (alpha / (alpha + mu))
            else:
                first[i] = ((k / mu if k > 0.0 else 0.0) - (alpha + k) / (alpha + mu)) * slope
            by_alpha += by_rising - spread + (mu - k) / (alpha + mu)
        if order > 1:
            value[i] = s
            if link == LOG:
                share = alpha / (alpha + mu)
                second[i] = -mu * share * ((alpha + k) / (alpha + mu))
            else:
                by_mu = (k / mu if k > 0.0 else 0.0) - (alpha + k) / (alpha + mu)
                twice = (alpha + k) / (alpha + mu) ** 2 - (k / (mu * mu) if k > 0.0 else 0.0)
                second[i] = by_mu * bend + twice * slope * slope
    by_phi[0] = by_alpha
    return total


@inner
def row_poisson(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Poisson count, without the logarithm of its factorial."""
    mu, slope, bend = mean_at(links[0], a[0])
    if not mu > 0.0 and not (links[0] != IDENTITY and mu == 0.0 and y == 0.0):
        return -np.inf
    log_mu = a[0] if links[0] == LOG else (math.log(mu) if mu > 0.0 else 0.0)
    if order > 0:
        ratio = y / mu if y > 0.0 else 0.0
        g[0] = y - mu if links[0] == LOG else (ratio - 1.0) * slope
        if order > 1:
            H[0, 0] = -mu
            if links[0] != LOG:
                square = ratio / mu if y > 0.0 else 0.0
                H[0, 0] = (ratio - 1.0) * bend - square * slope * slope
    return y * log_mu - mu


@inner
def row_negative_binomial1(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Negative binomial with size mu / alpha: variance mu (1 + alpha)."""
    mu, slope, bend = mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    if not (mu >= 0.0 and alpha > 0.0) or (mu == 0.0 and y > 0.0):
        return -np.inf
    size, spread, one = mu / alpha, np.log1p(alpha), 1.0 + alpha
    rising, by, twice = log_rising(size, y)
    if order > 0:
        apart = by - spread
        g[0] = apart / alpha
        g[1] = -size / alpha * apart - size / one + y / (alpha * one)
        if order > 1:
            turn = twice * size / alpha + 1.0 / one
            H[0, 0] = twice / (alpha * alpha)
            H[1, 0] = -(apart / alpha + turn) / alpha
            H[1, 1] = (
                2.0 * size / (alpha * alpha) * apart + size / alpha * turn
                + size * (one + alpha) / (alpha * one * one)
                - y * (one + alpha) / (alpha * alpha * one * one)
            )  # fmt: skip
        chain(0, slope, bend, order, g, H)
        chain(1, slope_a, bend_a, order, g, H)
    return rising - size * spread + (y * (math.log(alpha) - spread) if y > 0.0 else 0.0)


joint_kernel("negative_binomial1", row_negative_binomial1, (LOG,), factorials, alone=True)


@inner
def row_generalized_poisson(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Generalized Poisson: variance mu / (1 - delta)^2."""
    mu, slope, bend = mean_at(links[0], a[0])
    delta, slope_d, bend_d = mean_at(links[1], a[1])
    rest = complement_at(links[1], a[1])
    if not (mu >= 0.0 and rest > 0.0) or (mu == 0.0 and y > 0.0):
        return -np.inf
    theta = mu * rest
    both = theta + delta * y
    if y == 0.0:
        g[0], g[1] = -rest, mu
        H[0, 0], H[1, 0], H[1, 1] = 0.0, 1.0, 0.0
        value = -theta
    else:
        log_mu = a[0] if links[0] == LOG else math.log(mu)
        value = log_mu + log_failure(links[1], a[1])[0] + (y - 1.0) * math.log(both) - both
        ratio, less = y / both, (y - 1.0) / both
        by, own = 1.0 / theta + less - 1.0, less * y - y
        twice, across = -1.0 / (theta * theta) - less / both, -less * ratio
        g[0], g[1] = rest * by, own - mu * by
        H[0, 0] = rest * rest * twice
        H[1, 0] = rest * (across - mu * twice) - by
        H[1, 1] = -less * ratio * y - 2.0 * mu * across + mu * mu * twice
    if order > 0:
        chain(0, slope, bend, order, g, H)
        chain(1, slope_d, bend_d, order, g, H)
    return value


joint_kernel("generalized_poisson", row_generalized_poisson, (LOGIT,), factorials, alone=True)
