"""Logarithms of both tails of a response, with their derivatives.

``tail(y, trials, links, a, order, g, H, above)`` is log P(Y > y) where `above`, else
log P(Y <= y), with derivatives as a row has them. Where a tail moves with a parameter as it
moves with y, they follow from the density; others are differences of the tail's logarithm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.gaussian.linking import inner, inner_called
from bayesmix.glmm.rows.counts import row_poisson
from bayesmix.glmm.rows.each import chain
from bayesmix.glmm.rows.joint import (
    row_gamma,
    row_gaussian,
    row_negative_binomial,
    row_student_t,
)
from bayesmix.glmm.rows.links import LOG, complement_at, log_mean_at, mean_at
from bayesmix.glmm.rows.real import row_laplace
from bayesmix.glmm.special import (
    digamma,
    log1mexp,
    log_beta_tail,
    log_gamma_tail,
    log_normal_cdf,
    trigamma,
)

__all__ = [
    "tail_beta", "tail_exponential", "tail_gamma", "tail_gaussian", "tail_inverse_gaussian",
    "tail_laplace", "tail_lognormal", "tail_negative_binomial", "tail_negative_binomial1",
    "tail_poisson", "tail_student_t", "tail_weibull", "within_poisson",
]  # fmt: skip

_STEP = 1e-2  # of differences of fourth order in a link-scale value


# -- logarithms of tails ------------------------------------------------------


@inner
def value_gaussian(y, links, a, above):  # type: ignore[no-untyped-def]
    """Normal."""
    z = (y - mean_at(links[0], a[0])[0]) / mean_at(links[1], a[1])[0]
    return log_normal_cdf(-z if above else z)


@inner
def value_laplace(y, links, a, above):  # type: ignore[no-untyped-def]
    """Double exponential."""
    z = (y - mean_at(links[0], a[0])[0]) / mean_at(links[1], a[1])[0]
    small = -abs(z) - math.log(2.0)
    return small if (z < 0.0) != above else np.log1p(-math.exp(small))


@inner
def value_student_t(y, links, a, above):  # type: ignore[no-untyped-def]
    """Student's t."""
    nu = mean_at(links[1], a[1])[0]
    z = (y - mean_at(links[0], a[0])[0]) / mean_at(links[2], a[2])[0]
    square = z * z
    both = nu + square
    outer = log_beta_tail(0.5 * nu, 0.5, nu / both, square / both, False) - math.log(2.0)
    return outer if (z < 0.0) != above else log1mexp(min(outer, -math.log(2.0)))


@inner
def value_gamma(y, links, a, above):  # type: ignore[no-untyped-def]
    """Gamma."""
    alpha = mean_at(links[1], a[1])[0]
    return log_gamma_tail(alpha, alpha * y / mean_at(links[0], a[0])[0], above)


@inner
def value_inverse_gaussian(y, links, a, above):  # type: ignore[no-untyped-def]
    """Inverse Gaussian (Giner and Smyth 2016)."""
    if not y > 0.0:
        return 0.0 if above else -np.inf
    mu, lam = mean_at(links[0], a[0])[0], mean_at(links[1], a[1])[0]
    if not (mu > 0.0 and lam > 0.0):
        return math.nan
    root = math.sqrt(lam / y)
    z = root * (y / mu - 1.0)
    mirrored = 2.0 * lam / mu + log_normal_cdf(-root * (y / mu + 1.0))
    if above:
        upper = log_normal_cdf(-z)
        return upper + log1mexp(min(mirrored - upper, 0.0))
    lower = log_normal_cdf(z)
    top = max(lower, mirrored)
    return min(top + np.log1p(math.exp(-abs(lower - mirrored))), 0.0)


@inner
def value_negative_binomial(y, links, a, above):  # type: ignore[no-untyped-def]
    """Negative binomial."""
    if y < 0.0:
        return 0.0 if above else -np.inf
    mu, alpha = mean_at(links[0], a[0])[0], mean_at(links[1], a[1])[0]
    share = alpha / (alpha + mu)
    return log_beta_tail(alpha, y + 1.0, share, mu / (alpha + mu), above)


@inner
def value_negative_binomial1(y, links, a, above):  # type: ignore[no-untyped-def]
    """Negative binomial with variance mu (1 + alpha)."""
    if y < 0.0:
        return 0.0 if above else -np.inf
    mu, alpha = mean_at(links[0], a[0])[0], mean_at(links[1], a[1])[0]
    one = 1.0 + alpha
    return log_beta_tail(mu / alpha, y + 1.0, 1.0 / one, alpha / one, above)


@inner
def value_beta(y, links, a, above):  # type: ignore[no-untyped-def]
    """Beta."""
    mu, rest = mean_at(links[0], a[0])[0], complement_at(links[0], a[0])
    phi = mean_at(links[1], a[1])[0]
    return log_beta_tail(mu * phi, rest * phi, y, 1.0 - y, above)


# -- derivatives --------------------------------------------------------------


@inner
def clear(order, g, H):  # type: ignore[no-untyped-def]
    """A tail that is certain, or impossible."""
    if order > 0:
        for k in range(len(g)):
            g[k] = 0.0
            for j in range(k + 1):
                H[k, j] = 0.0


@inner
def complement(value, order, g, H):  # type: ignore[no-untyped-def]
    """Turn the logarithm of one tail into that of the other."""
    if order > 0:
        odds = 1.0 / np.expm1(-value)
        for k in range(len(g)):
            for j in range(k + 1):
                H[k, j] = -odds * H[k, j] - odds * (1.0 + odds) * g[k] * g[j]
        for k in range(len(g)):
            g[k] *= -odds
    return log1mexp(value)


def differences(value: Any, first: int) -> Any:
    """Make derivatives by the link-scale values from the first-th on, as differences."""

    @inner_called(f"differences_{value.__name__}_{first}")
    def add(y, links, a, above, order, g, H):  # type: ignore[no-untyped-def]
        center = value(y, links, a, above) if order > 1 else 0.0
        for k in range(first, len(a)):
            kept = a[k]
            a[k] = kept + _STEP
            up = value(y, links, a, above)
            a[k] = kept + 2.0 * _STEP
            far_up = value(y, links, a, above)
            a[k] = kept - _STEP
            down = value(y, links, a, above)
            a[k] = kept - 2.0 * _STEP
            far_down = value(y, links, a, above)
            a[k] = kept
            g[k] = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * _STEP)
            if order < 2:
                continue
            H[k, k] = (16.0 * (up + down) - (far_up + far_down) - 30.0 * center) / (
                12.0 * _STEP * _STEP
            )
            for j in range(k):
                before, total = a[j], 0.0
                for i in (1.0, -1.0):
                    a[k], a[j] = kept + i * _STEP, before + i * _STEP
                    total += value(y, links, a, above)
                    a[k], a[j] = kept + i * _STEP, before - i * _STEP
                    total -= value(y, links, a, above)
                a[k], a[j] = kept, before
                H[k, j] = total / (4.0 * _STEP * _STEP)

    return add


def location(value: Any, row: Any, shape: Any) -> Any:
    """Make the tail of a location and a scale, the last parameter; `shape` does the others."""

    @inner_called(f"location_{value.__name__}")
    def tail(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
        found = value(y, links, a, above)
        if not found > -np.inf or order == 0:
            clear(order, g, H)
            return found
        last = len(a) - 1
        _, slope, bend = mean_at(links[0], a[0])
        sigma, slope_s, bend_s = mean_at(links[last], a[last])
        z = (y - mean_at(links[0], a[0])[0]) / sigma
        log_density = row(y, 1.0, links, a, 1, g, H)
        by_mu, by_sigma = g[0] / slope, g[last] / slope_s
        clear(order, g, H)
        push = (1.0 if above else -1.0) * math.exp(log_density - found)
        if last > 1:
            shape(y, links, a, above, order, g, H)
        g[0], g[last] = push * slope, z * push * slope_s
        if order > 1:
            across = push * (by_sigma - z * push)
            H[0, 0] = push * (by_mu - push) * slope * slope + push * bend
            H[last, 0] = across * slope * slope_s
            H[last, last] = (z * across - z / sigma * push) * slope_s * slope_s + (
                z * push * bend_s
            )
        return found

    return tail


def scaled(value: Any, row: Any, shape: Any) -> Any:
    """Make the tail of a response that is mu times a variable of its own."""

    @inner_called(f"scaled_{value.__name__}")
    def tail(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
        if not y > 0.0:
            clear(order, g, H)
            return 0.0 if above else -np.inf
        found = value(y, links, a, above)
        if not found > -np.inf or order == 0:
            clear(order, g, H)
            return found
        _, slope, bend = log_mean_at(links[0], a[0])
        log_density = row(y, 1.0, links, a, 1, g, H)
        by = g[0] / slope
        clear(order, g, H)
        shape(y, links, a, above, order, g, H)
        push = (1.0 if above else -1.0) * math.exp(log_density + math.log(y) - found)
        g[0] = push * slope
        H[0, 0] = push * (by - push) * slope * slope + push * bend
        return found

    return tail


def of_counts(value: Any, row: Any, shape: Any) -> Any:
    """Make the tail of counts, of which the density gives the derivative by mu."""

    @inner_called(f"of_counts_{value.__name__}")
    def tail(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
        if y < 0.0:
            clear(order, g, H)
            return 0.0 if above else -np.inf
        found = value(y, links, a, above)
        if not found > -np.inf or order == 0:
            clear(order, g, H)
            return found
        mu, slope, bend = mean_at(links[0], a[0])
        log_density = row(y, 1.0, links, a, 1, g, H) - math.lgamma(y + 1.0)
        by = g[0] if links[0] == LOG else g[0] / slope
        clear(order, g, H)
        shape(y, links, a, above, order, g, H)
        push = (1.0 if above else -1.0) * math.exp(log_density - found)
        own = 0.0
        if len(a) > 1:
            alpha = mean_at(links[1], a[1])[0]
            push *= (alpha + y) / (alpha + mu)
            own = -1.0 / (alpha + mu)
        if links[0] == LOG:  # by the logarithm of mu
            push, own = push * mu, 1.0 + own * mu
            slope, bend = 1.0, 0.0
        g[0] = push * slope
        H[0, 0] = push * (own + by - push) * slope * slope + push * bend
        return found

    return tail


def by_differences(value: Any) -> Any:
    """Make a tail whose derivatives are all differences."""
    every = differences(value, 0)

    @inner_called(f"by_differences_{value.__name__}")
    def tail(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
        found = value(y, links, a, above)
        clear(order, g, H)
        if found > -np.inf and order > 0:
            every(y, links, a, above, order, g, H)
        return found

    return tail


@inner
def nothing(y, links, a, above, order, g, H):  # type: ignore[no-untyped-def]
    """No parameter is left."""


@inner
def value_poisson(y, links, a, above):  # type: ignore[no-untyped-def]
    """Poisson: a gamma variable of shape y + 1 lies above mu where a count is at most y."""
    return log_gamma_tail(y + 1.0, mean_at(links[0], a[0])[0], not above)


tail_gaussian = location(value_gaussian, row_gaussian, nothing)
tail_laplace = location(value_laplace, row_laplace, nothing)
tail_student_t = location(value_student_t, row_student_t, differences(value_student_t, 1))
tail_gamma = scaled(value_gamma, row_gamma, differences(value_gamma, 1))
tail_poisson = of_counts(value_poisson, row_poisson, nothing)
tail_negative_binomial = of_counts(
    value_negative_binomial, row_negative_binomial, differences(value_negative_binomial, 1)
)
tail_negative_binomial1 = by_differences(value_negative_binomial1)
tail_inverse_gaussian = by_differences(value_inverse_gaussian)
tail_beta = by_differences(value_beta)


@inner
def within_poisson(y, lower, upper, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Count between limits of which its mean is more than twice the upper one; else NaN.

    P(lower <= Y <= upper) over P(Y = upper) is the sum of products of (upper - j) / mu, which
    falls by halves: density and tail have each the size of mu, and differ by 1 / mu.
    """
    mu, slope, bend = mean_at(links[0], a[0])
    if not (upper < np.inf and upper == math.floor(upper) and 2.0 * upper + 10.0 < mu < np.inf):
        return math.nan
    total, first, second, term, j = 1.0, 0.0, 0.0, 1.0, 0.0
    while j < upper - max(lower, 0.0):
        term *= (upper - j) / mu
        j += 1.0
        total += term
        first += j * term
        second += j * j * term
        if j * j * term < 1e-18 * total:
            break
    below, spread = first / total, second / total
    if order > 0:  # by the logarithm of mu, of which log y! is no part
        by, twice = y - upper + below, below * below - spread
        if links[0] == LOG:
            g[0], H[0, 0] = by, twice
        else:
            by, twice = by / mu, (twice - by) / (mu * mu)
            g[0], H[0, 0] = by * slope, twice * slope * slope + by * bend
    return (y - upper) * math.log(mu) + math.lgamma(upper + 1.0) - math.log(total)


@inner
def tail_lognormal(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
    """Log-normal."""
    if not y > 0.0:
        clear(order, g, H)
        return 0.0 if above else -np.inf
    return tail_gaussian(math.log(y), trials, links, a, order, g, H, above)


@inner
def tail_exponential(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
    """Exponential: minus the cumulative hazard."""
    if not y > 0.0:
        clear(order, g, H)
        return 0.0 if above else -np.inf
    log_mu, slope, bend = log_mean_at(links[0], a[0])
    hazard = math.exp(math.log(y) - log_mu)
    g[0], H[0, 0] = hazard, -hazard
    chain(0, slope, bend, max(order, 1), g, H)
    return -hazard if above else complement(-hazard, order, g, H)


@inner
def tail_weibull(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
    """Weibull: minus the cumulative hazard, a power of time."""
    if not y > 0.0:
        clear(order, g, H)
        return 0.0 if above else -np.inf
    log_mu, slope, bend = log_mean_at(links[0], a[0])
    alpha, slope_a, bend_a = mean_at(links[1], a[1])
    back = 1.0 / alpha
    at = math.log(y) - log_mu + math.lgamma(1.0 + back)
    hazard = math.exp(alpha * at)
    if order > 0:
        by = at - back * digamma(1.0 + back)
        twice = back * back * back * trigamma(1.0 + back)
        g[0], g[1] = alpha * hazard, -by * hazard
        H[0, 0], H[1, 0] = -alpha * alpha * hazard, hazard + alpha * hazard * by
        H[1, 1] = -(twice + by * by) * hazard
        chain(0, slope, bend, order, g, H)
        chain(1, slope_a, bend_a, order, g, H)
    return -hazard if above else complement(-hazard, order, g, H)
