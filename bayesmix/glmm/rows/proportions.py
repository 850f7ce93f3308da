"""Rows of successes among trials, and of fractions."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner, inner_sums
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import LOG, LOGIT, complement_at, log_failure, log_success, mean_at
from bayesmix.glmm.special import digamma, exp, log_rising, trigamma

__all__ = ["choices", "row_beta_binomial", "row_binomial", "rows_beta", "rows_binomial"]


def choices(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Logarithms of the binomial coefficients."""
    from scipy.special import gammaln

    return np.asarray(gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1))


@inner_sums
def _logistic(n, y, trials, eta, first):  # type: ignore[no-untyped-def]
    """The logit link, a chunk of rows at a time: one logarithm of a product for all."""
    total = 0.0
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        single = True
        for i in range(start, stop):
            single = single and trials[i] == 1.0
        part, product = 0.0, 1.0
        for i in range(start, stop):
            x = eta[i]
            e = exp(-abs(x))
            one = 1.0 + e
            first[i] = y[i] - trials[i] * ((1.0 if x >= 0 else e) / one)
            part += y[i] * x - trials[i] * max(x, 0.0)
            product *= one  # at most 2^512
        if single:
            total += part - math.log(product)
            continue
        for i in range(start, stop):
            part -= trials[i] * np.log1p(exp(-abs(eta[i])))
        total += part
    return total


_CHUNK = 512


@row_kernel("binomial", choices, fast_link=LOGIT, adds=True)
def rows_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Binomial: y of `trials`."""
    if link == LOGIT and order == 1:
        return _logistic(n, y, trials, eta, first)
    total = 0.0
    for i in range(n):
        k, t = y[i], trials[i]
        s, a, b = 0.0, 0.0, 0.0
        if k > 0.0:
            v, d, dd = log_success(link, eta[i])
            s, a, b = k * v, k * d, k * dd
        if t > k:
            v, d, dd = log_failure(link, eta[i])
            s, a, b = s + (t - k) * v, a + (t - k) * d, b + (t - k) * dd
        total += s
        if order > 0:
            first[i] = a
        if order > 1:
            second[i], value[i] = b, s
    return total


@row_kernel("beta")
def rows_beta(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Beta with mean mu and precision phi."""
    precision = phi[0]
    base, by_base = math.lgamma(precision), digamma(precision)
    total, by_precision = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        nu = complement_at(link, eta[i])
        a, b = mu * precision, nu * precision
        if not (a > 0.0 and b > 0.0):
            return -np.inf
        log_y, log_rest = math.log(y[i]), np.log1p(-y[i])
        s = base - math.lgamma(a) - math.lgamma(b) + (a - 1.0) * log_y + (b - 1.0) * log_rest
        total += s
        if order > 0:
            at_a, at_b = digamma(a), digamma(b)
            by_mu = precision * (log_y - log_rest - at_a + at_b)
            first[i] = by_mu * slope
            by_precision += by_base + mu * (log_y - at_a) + nu * (log_rest - at_b)
            if order > 1:
                twice = -precision * precision * (trigamma(a) + trigamma(b))
                second[i], value[i] = by_mu * bend + twice * slope * slope, s
    by_phi[0] = by_precision
    return total


@inner
def row_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Successes of trials, without the logarithm of the binomial coefficient."""
    s = 0.0
    g[0], H[0, 0] = 0.0, 0.0
    if y > 0.0:
        v, d, dd = log_success(links[0], a[0])
        s, g[0], H[0, 0] = y * v, y * d, y * dd
    if trials > y:
        v, d, dd = log_failure(links[0], a[0])
        s += (trials - y) * v
        g[0] += (trials - y) * d
        H[0, 0] += (trials - y) * dd
    return s


@inner
def row_beta_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Successes of trials whose probability is Beta(mu phi, (1 - mu) phi)."""
    mu, slope, bend = mean_at(links[0], a[0])
    rest = complement_at(links[0], a[0])
    phi, slope_p, bend_p = mean_at(links[1], a[1])
    p, q = mu * phi, rest * phi
    if not (phi > 0.0 and p < np.inf) or (p == 0.0 and y > 0.0) or (q == 0.0 and y < trials):
        return -np.inf
    up, by_up, twice_up = log_rising(p, y)
    down, by_down, twice_down = log_rising(q, trials - y)
    both, by_both, twice_both = log_rising(phi, trials)
    if order > 0:
        g[0] = phi * (by_up - by_down)
        g[1] = mu * by_up + rest * by_down - by_both
        if order > 1:
            H[0, 0] = phi * phi * (twice_up + twice_down)
            H[1, 0] = by_up - by_down + phi * (mu * twice_up - rest * twice_down)
            H[1, 1] = mu * mu * twice_up + rest * rest * twice_down - twice_both
        chain(0, slope, bend, order, g, H)
        chain(1, slope_p, bend_p, order, g, H)
    return up + down - both


joint_kernel("beta_binomial", row_beta_binomial, (LOG,), choices, alone=True)
