"""Log densities of the rows and their first two derivatives in the linear predictor.

One kernel for each family, with one signature, so that Laplace's approximation
and NUTS call any of them by its address. Constants that depend on the data alone
are left out; `constant` gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.gaussian.linking import FLOATS, Kernel, f8, i8, inner, inner_sums, kernel
from bayesmix.glmm.special import (
    digamma,
    exp,
    inverse_mills,
    log_normal_cdf,
    log_rising,
    trigamma,
)

__all__ = ["LINKS", "ROW_KERNELS", "RowKernel", "call_rows", "constant", "unit_of_eta"]

LINKS = {
    name: code
    for code, name in enumerate(
        ("identity", "log", "logit", "probit", "cloglog", "cauchit", "sqrt", "inverse")
    )
}
IDENTITY, LOG, LOGIT, PROBIT, CLOGLOG, CAUCHIT, SQRT, INVERSE = range(8)

# link, n, y, trials, eta, family parameters, order, values, first, second, by parameters.
# Order 0: the sum alone; 1: also first derivatives and those by the parameters;
# 2: also second derivatives and each row's value.
_SIGNATURE = (f8, i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS)

Constant = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class RowKernel:
    """The rows of the families that name it as their `row_kernel`.

    Attributes
    ----------
    kernel : Kernel
    constant : callable or None
        What the kernel leaves out of each row's log density, of y and trials.
    fast_link : int
        Code of the link with which it takes several rows at a time where first
        derivatives are wanted; -1 for none.
    """

    kernel: Kernel
    constant: Constant | None
    fast_link: int


ROW_KERNELS: dict[str, RowKernel] = {}


def row_kernel(
    name: str, constant: Constant | None = None, fast_link: int = -1
) -> Callable[[Callable[..., Any]], Kernel]:
    """Register a kernel by the name that families give; its function's name is the symbol."""

    def register(function: Callable[..., Any]) -> Kernel:
        made = kernel(*_SIGNATURE, reorder=True)(function)
        ROW_KERNELS[name] = RowKernel(made, constant, fast_link)
        return made

    return register


def _choices(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Logarithms of the binomial coefficients."""
    from scipy.special import gammaln

    return np.asarray(gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1))


def _factorials(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Minus the logarithms of the factorials of counts."""
    from scipy.special import gammaln

    return np.asarray(-gammaln(y + 1))


@intrinsic
def call_rows(  # type: ignore[no-untyped-def]
    typingctx, address, link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Call the row kernel at an address: what is called is data, nothing is compiled anew."""
    signature = f8(types.int64, *_SIGNATURE[1:])

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        double, pointer = ir.DoubleType(), ir.DoubleType().as_pointer()
        long = ir.IntType(64)
        kinds = [long, long, pointer, pointer, pointer, pointer, long, pointer, pointer, pointer,
                 pointer]  # fmt: skip
        function = builder.inttoptr(args[0], ir.FunctionType(double, kinds).as_pointer())
        return builder.call(function, args[1:])

    return signature, codegen


@inner
def _mean(link: int, eta: float) -> tuple[float, float, float]:
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
        reach = scale / abs(_mean(link, eta)[1])
        unit = reach if link == IDENTITY else min(unit, reach)
    return unit


@inner
def _complement(link: int, eta: float) -> float:
    """1 - mean, where that is small without cancellation."""
    if link in (LOGIT, PROBIT, CAUCHIT):
        return _mean(link, -eta)[0]
    if link == CLOGLOG:
        return math.exp(-math.exp(min(eta, 700.0)))
    return 1.0 - _mean(link, eta)[0]


@inner
def _log_success(link: int, eta: float) -> tuple[float, float, float]:
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
        p, slope, bend = _mean(CAUCHIT, eta)
        return math.log(p), slope / p, bend / p - (slope / p) ** 2
    # logit
    e = math.exp(-abs(eta))
    q = e / (1.0 + e) if eta >= 0 else 1.0 / (1.0 + e)
    return min(eta, 0.0) - np.log1p(e), q, -e / ((1.0 + e) * (1.0 + e))


@inner
def _log_failure(link: int, eta: float) -> tuple[float, float, float]:
    """Return log (1 - p) with its derivatives."""
    if link == CLOGLOG:
        m = math.exp(min(eta, 700.0))
        return -m, -m, -m
    value, first, second = _log_success(link, -eta)
    return value, -first, second


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


@row_kernel("binomial", _choices, fast_link=LOGIT)
def rows_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Binomial: y of `trials`."""
    if link == LOGIT and order == 1:
        return _logistic(n, y, trials, eta, first)
    total = 0.0
    for i in range(n):
        k, t = y[i], trials[i]
        s, a, b = 0.0, 0.0, 0.0
        if k > 0.0:
            v, d, dd = _log_success(link, eta[i])
            s, a, b = k * v, k * d, k * dd
        if t > k:
            v, d, dd = _log_failure(link, eta[i])
            s, a, b = s + (t - k) * v, a + (t - k) * d, b + (t - k) * dd
        total += s
        if order > 0:
            first[i] = a
        if order > 1:
            second[i], value[i] = b, s
    return total


@inner_sums
def _log_poisson(n, y, eta, first):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(n):
        mu = exp(eta[i])
        total += y[i] * eta[i] - mu
        first[i] = y[i] - mu
    return total


@row_kernel("poisson", _factorials, fast_link=LOG)
def rows_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Poisson counts."""
    if link == LOG and order == 1:
        return _log_poisson(n, y, eta, first)
    total = 0.0
    for i in range(n):
        mu, slope, bend = _mean(link, eta[i])
        if not mu > 0.0 and not (link != IDENTITY and mu == 0.0 and y[i] == 0.0):
            return -np.inf
        log_mu = eta[i] if link == LOG else (math.log(mu) if mu > 0.0 else 0.0)
        s = y[i] * log_mu - mu
        total += s
        if order > 0:
            ratio = y[i] / mu if mu > 0.0 else 0.0
            first[i] = y[i] - mu if link == LOG else (ratio - 1.0) * slope
            if order > 1:
                second[i] = (
                    -mu if link == LOG
                    else (ratio - 1.0) * bend - (ratio / mu if mu > 0.0 else 0.0) * slope * slope
                )  # fmt: skip
                value[i] = s
    return total


@row_kernel("negative_binomial", _factorials)
def rows_negative_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Negative binomial with size alpha: variance mu + mu^2 / alpha."""
    alpha = phi[0]
    total, by_alpha = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = _mean(link, eta[i])
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


@row_kernel("gamma")
def rows_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Gamma with shape alpha and mean mu."""
    alpha = phi[0]
    base = alpha * math.log(alpha) - math.lgamma(alpha)
    slope_base = math.log(alpha) + 1.0 - digamma(alpha)
    total, by_alpha = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = _mean(link, eta[i])
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


@row_kernel("beta")
def rows_beta(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Beta with mean mu and precision phi."""
    precision = phi[0]
    base, by_base = math.lgamma(precision), digamma(precision)
    total, by_precision = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = _mean(link, eta[i])
        nu = _complement(link, eta[i])
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


@row_kernel("student_t")
def rows_student_t(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Student's t with nu degrees of freedom and scale sigma."""
    nu, sigma = phi[0], phi[1]
    base = (
        math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)
        - math.log(sigma)
    )  # fmt: skip
    by_base = 0.5 * (digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / nu)
    total, by_nu, by_sigma = 0.0, 0.0, 0.0
    for i in range(n):
        mu, slope, bend = _mean(link, eta[i])
        z = (y[i] - mu) / sigma
        square = z * z
        log_part = np.log1p(square / nu)
        s = base - 0.5 * (nu + 1.0) * log_part
        total += s
        if order > 0:
            by_mu = (nu + 1.0) * z / (sigma * (nu + square))
            first[i] = by_mu * slope
            by_nu += by_base - 0.5 * log_part + 0.5 * (nu + 1.0) * square / (nu * (nu + square))
            by_sigma += ((nu + 1.0) * square / (nu + square) - 1.0) / sigma
            if order > 1:
                twice = -(nu + 1.0) * (nu - square) / (sigma * (nu + square)) ** 2
                second[i], value[i] = by_mu * bend + twice * slope * slope, s
    by_phi[0], by_phi[1] = by_nu, by_sigma
    return total


def constant(name: str, y: np.ndarray, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what the kernels leave out of each row's log density.

    Parameters
    ----------
    name : str
        A family's `row_kernel`.
    y : ndarray, shape (n,)
    rows : mapping of str to ndarray
        What is given per row; only "trials" is used.

    Returns
    -------
    ndarray, shape (n,)
    """
    made = ROW_KERNELS[name].constant
    return np.zeros(len(y)) if made is None else made(y, rows.get("trials", np.ones(len(y))))
