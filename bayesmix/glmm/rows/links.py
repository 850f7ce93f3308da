"""Links within kernels: means and log probabilities with their derivatives."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.special import inverse_mills, log_normal_cdf

__all__ = [
    "LINKS", "complement_at", "log_failure", "log_mean_at", "log_success", "mean_at", "unit_of_eta",
]  # fmt: skip

LINKS = {
    name: code
    for code, name in enumerate(
        (
            "identity",
            "log",
            "logit",
            "probit",
            "cloglog",
            "cauchit",
            "sqrt",
            "inverse",
            "tan_half",
        )
    )
}
IDENTITY, LOG, LOGIT, PROBIT, CLOGLOG, CAUCHIT, SQRT, INVERSE, TAN_HALF = range(9)


@inner
def mean_at(link: int, eta: float) -> tuple[float, float, float]:
    """Mean at the linear predictor, with its first two derivatives."""
    if link == IDENTITY:
        return eta, 1.0, 0.0
    if link == LOG:
        mu = math.exp(eta)
        return mu, mu, mu
    if link == LOGIT:
        e = math.exp(-abs(eta))
        p = 1.0 / (1.0 + e) if eta >= 0 else e / (1.0 + e)
        slope = e / ((1.0 + e) * (1.0 + e))
        return p, slope, slope * (1.0 - 2.0 * p)
    if link == PROBIT:
        density = math.exp(-0.5 * eta * eta) / math.sqrt(2.0 * math.pi)
        return 0.5 * math.erfc(-eta / math.sqrt(2.0)), density, -eta * density
    if link == CLOGLOG:
        m = math.exp(min(eta, 700.0))
        slope = math.exp(eta - m)
        return -np.expm1(-m), slope, slope * (1.0 - m)
    if link == CAUCHIT:
        slope = 1.0 / (math.pi * (1.0 + eta * eta))
        return math.atan2(1.0, -eta) / math.pi, slope, -2.0 * eta * slope / (1.0 + eta * eta)
    if link == SQRT:
        return eta * eta, 2.0 * eta, 2.0
    if link == TAN_HALF:
        slope = 2.0 / (1.0 + eta * eta)
        return 2.0 * math.atan(eta), slope, -eta * slope * slope
    return 1.0 / eta, -1.0 / (eta * eta), 2.0 / (eta * eta * eta)


@inner
def unit_of_eta(link: int, eta: float, scale: float) -> float:
    """Length over which a row's derivatives change: 1, or the distance to where means end.

    For families with a `scale` (others have 0), it is the length that moves the mean by one scale.
    """
    unit = 1.0
    if link in (IDENTITY, INVERSE):
        unit = abs(eta)
    elif link == SQRT:
        unit = max(abs(eta), 1e-3)
    if scale > 0.0:
        reach = scale / abs(mean_at(link, eta)[1])
        unit = reach if link == IDENTITY else min(unit, reach)
    return unit


@inner
def complement_at(link: int, eta: float) -> float:
    """1 - mean, where that is small without cancellation."""
    if link in (LOGIT, PROBIT, CAUCHIT):
        return mean_at(link, -eta)[0]
    if link == CLOGLOG:
        return math.exp(-math.exp(min(eta, 700.0)))
    return 1.0 - mean_at(link, eta)[0]


@inner
def log_success(link: int, eta: float) -> tuple[float, float, float]:
    """Return log p with its derivatives."""
    if link == PROBIT:
        r = inverse_mills(eta)
        return log_normal_cdf(eta), r, -r * (eta + r)
    if link == CLOGLOG:
        m = math.exp(min(eta, 700.0))
        if m < 1e-5:
            return eta - 0.5 * m, 1.0 - 0.5 * m + m * m / 12.0, -0.5 * m + m * m / 6.0
        if m > 700.0:  # further on its square is infinite, and no number times exp(-m)
            return 0.0, 0.0, 0.0
        if m > 40.0:
            return -math.exp(-m), m * math.exp(-m), m * (1.0 - m) * math.exp(-m)
        g = m / np.expm1(m)
        return math.log(-np.expm1(-m)), g, g * (1.0 - m - g)
    if link == CAUCHIT:
        p, slope, bend = mean_at(CAUCHIT, eta)
        return math.log(p), slope / p, bend / p - (slope / p) ** 2
    # logit
    e = math.exp(-abs(eta))
    q = e / (1.0 + e) if eta >= 0 else 1.0 / (1.0 + e)
    return min(eta, 0.0) - np.log1p(e), q, -e / ((1.0 + e) * (1.0 + e))


@inner
def log_failure(link: int, eta: float) -> tuple[float, float, float]:
    """Return log (1 - p) with its derivatives."""
    if link == CLOGLOG:
        m = math.exp(min(eta, 700.0))
        return -m, -m, -m
    value, first, second = log_success(link, -eta)
    return value, -first, second


@inner
def log_mean_at(link: int, eta: float) -> tuple[float, float, float]:
    """Logarithm of a positive mean, with its first two derivatives; NaN where it has none."""
    if link == LOG:
        return eta, 1.0, 0.0
    if link == IDENTITY:
        return (math.log(eta) if eta > 0.0 else math.nan), 1.0 / eta, -1.0 / (eta * eta)
    if link == INVERSE:
        return (-math.log(eta) if eta > 0.0 else math.nan), -1.0 / eta, 1.0 / (eta * eta)
    mu, slope, bend = mean_at(link, eta)
    relative = slope / mu
    return math.log(mu), relative, bend / mu - relative * relative
