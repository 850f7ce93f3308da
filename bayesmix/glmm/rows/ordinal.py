"""Rows of ordered categories.

phi holds the thresholds; in the place of the trials stands the number of categories.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bayesmix.gaussian.linking import called, inner
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import CLOGLOG, LOGIT, log_failure, log_success
from bayesmix.glmm.special import log1mexp, log_normal_cdf

__all__ = ["rows_acat", "rows_cratio", "rows_cumulative", "rows_sratio"]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@inner
def log_between(link: int, upper: float, lower: float) -> float:
    """log(F(a) - F(b)) for b < a, without cancellation."""
    if not lower < upper:
        return -np.inf
    if link == LOGIT:  # F(a) - F(b) = F(a) (1 - F(b)) (1 - exp(b - a))
        both = log_success(LOGIT, upper)[0] + log_failure(LOGIT, lower)[0]
        return both + log1mexp(lower - upper)
    if link == CLOGLOG:
        m = math.exp(min(lower, 700.0))
        return -m + log1mexp(-m * np.expm1(min(upper - lower, 700.0)))
    if lower > 0.0:  # of the normal, by its mirror image
        upper, lower = -lower, -upper
    top = log_normal_cdf(upper)
    return top + log1mexp(log_normal_cdf(lower) - top)


@inner
def log_slope(link: int, x: float) -> tuple[float, float]:
    """Logarithm of the density of F, with its derivative."""
    if link == LOGIT:
        return -abs(x) - 2.0 * np.log1p(math.exp(-abs(x))), -math.tanh(0.5 * x)
    if link == CLOGLOG:
        m = math.exp(min(x, 700.0))
        return x - m, 1.0 - m
    return -0.5 * x * x - _LOG_SQRT_2PI, -x


@row_kernel("cumulative")
def rows_cumulative(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Cumulative model: P(Y <= k) = F(tau_k - eta)."""
    total = 0.0
    if order > 0 and n > 0:
        for k in range(int(trials[0]) - 1):
            by_phi[k] = 0.0
    for i in range(n):
        k, last = int(y[i]), int(trials[i])
        if k <= 1 or k >= last:
            if k <= 1:
                s, d, dd = log_success(link, phi[0] - eta[i])
                at = 0
            else:
                at = last - 2
                s, d, dd = log_failure(link, phi[at] - eta[i])
            if order > 0:
                first[i] = -d
                by_phi[at] += d
                if order > 1:
                    second[i] = dd
        else:
            upper, lower = phi[k - 1] - eta[i], phi[k - 2] - eta[i]
            s = log_between(link, upper, lower)
            if not s > -np.inf:
                return -np.inf
            if order > 0:
                log_up, turn_up = log_slope(link, upper)
                log_low, turn_low = log_slope(link, lower)
                up, low = math.exp(log_up - s), math.exp(log_low - s)
                first[i] = low - up
                by_phi[k - 1] += up
                by_phi[k - 2] -= low
                if order > 1:
                    bend = (up * turn_up if up > 0.0 else 0.0) - (
                        low * turn_low if low > 0.0 else 0.0
                    )
                    second[i] = bend - (up - low) * (up - low)
        if order > 1:
            value[i] = s
        total += s
    return total


def sequential(name: str, sign: float) -> Callable[..., float]:
    """Make a kernel's function of ratios: categories are passed one after another.

    Parameters
    ----------
    name : str
        The kernel's.
    sign : float
        -1 where the link's inverse is the probability of stopping, at tau - eta; 1 where it is that
        of going on, at eta - tau.
    """
    stops = sign < 0.0

    @called(name)
    def rows(  # type: ignore[no-untyped-def]
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    ):
        total = 0.0
        if order > 0 and n > 0:
            for k in range(int(trials[0]) - 1):
                by_phi[k] = 0.0
        for i in range(n):
            k, last = int(y[i]), int(trials[i])
            s, slope, bend = 0.0, 0.0, 0.0
            for j in range(min(k, last - 1)):
                x = sign * (eta[i] - phi[j])
                succeeds = stops if j == k - 1 else not stops
                v, d, dd = log_success(link, x) if succeeds else log_failure(link, x)
                s += v
                slope += sign * d
                bend += dd
                if order > 0:
                    by_phi[j] -= sign * d
            total += s
            if order > 0:
                first[i] = slope
                if order > 1:
                    second[i], value[i] = bend, s
        return total

    return rows


# P(Y = k | Y >= k) = F(tau_k - eta), and P(Y > k | Y >= k) = F(eta - tau_k).
rows_sratio = row_kernel("sratio")(sequential("rows_sratio", -1.0))
rows_cratio = row_kernel("cratio")(sequential("rows_cratio", 1.0))


@row_kernel("acat")
def rows_acat(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Adjacent categories: P(Y = k + 1) over P(Y = k) has the odds of F(eta - tau_k)."""
    total = 0.0
    most = int(trials[0]) if n > 0 else 1
    odds, slope, bend = np.empty(most), np.empty(most), np.empty(most)
    p = np.empty(most)
    if order > 0:
        for k in range(most - 1):
            by_phi[k] = 0.0
    for i in range(n):
        k, last = int(y[i]), int(trials[i])
        at, own, top = 0.0, 0.0, 0.0
        p[0] = 0.0
        for j in range(last - 1):
            x = eta[i] - phi[j]
            if link == LOGIT:
                odds[j], slope[j], bend[j] = x, 1.0, 0.0
            else:
                v, d, dd = log_success(link, x)
                w, e, ee = log_failure(link, x)
                odds[j], slope[j], bend[j] = v - w, d - e, dd - ee
            at += odds[j]
            p[j + 1] = at
            top = max(top, at)
            if j == k - 2:
                own = at
        scale = 0.0
        for j in range(last):
            p[j] = math.exp(p[j] - top)
            scale += p[j]
        s = own - top - math.log(scale)
        total += s
        if order > 0:
            # For the thresholds below a category: expectation and variance of the slopes' sum.
            above, score, turn, mean, square, step = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(last - 1):
                above -= p[j] / scale
                gap = (1.0 if j < k - 1 else 0.0) - above
                score += gap * slope[j]
                turn += gap * bend[j]
                by_phi[j] -= gap * slope[j]
                step += slope[j]
                mean += p[j + 1] / scale * step
                square += p[j + 1] / scale * step * step
            first[i] = score
            if order > 1:
                second[i], value[i] = turn - (square - mean * mean), s
    return total
