"""Special functions for compiled code: digamma, trigamma, the normal's logarithmic tail."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.gaussian.linking import inner

__all__ = [
    "digamma", "exp", "inverse_mills", "log1mexp", "log_bessel", "log_beta_tail", "log_gamma_tail",
    "log_half_rising", "log_normal_cdf", "log_rising", "trigamma",
]  # fmt: skip

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@intrinsic
def _bits(typingctx, x):  # type: ignore[no-untyped-def]
    """Bits of a float as an integer."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def _float(typingctx, bits):  # type: ignore[no-untyped-def]
    """The float with these bits."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_MAGIC = 6755399441055744.0  # 1.5 * 2^52: puts a whole number into the lowest bits


@inner
def exp(x: float) -> float:
    """Exponential without branches, so that loops over rows run several at a time.

    Accurate to two units in the last place between -708 and 709, and clipped there.
    A whole number of halvings is taken off (Cody and Waite 1980), and the rest is a
    Taylor polynomial.
    """
    x = min(max(x, -708.0), 709.0)
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _float((_bits(n + _MAGIC) + 1023) << 52)


@inner
def _stirling(x: float) -> float:
    """What Stirling's formula leaves of log Gamma(x), x of at least 8."""
    y = 1.0 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (
        1 / 1188 - y * (691 / 360360 - y * (1 / 156))))))) / x  # fmt: skip


@inner
def _digamma_tail(x: float) -> float:
    """What log x - 1 / (2 x) is above digamma, x of at least 8."""
    y = 1.0 / (x * x)
    return y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (
        1 / 132 - y * (691 / 32760 - y * (1 / 12)))))))  # fmt: skip


@inner
def _trigamma_tail(x: float) -> float:
    """What trigamma is above 1 / x + 1 / (2 x^2), x of at least 8."""
    y = 1.0 / (x * x)
    return y * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * (
        5 / 66 - y * (691 / 2730 - y * (7 / 6))))))) / x  # fmt: skip


@inner
def digamma(x: float) -> float:
    """Derivative of log Gamma at x > 0: recurrence up to 8, then Stirling's series."""
    value = 0.0
    while x < 8.0:
        value -= 1.0 / x
        x += 1.0
    return value + math.log(x) - 0.5 / x - _digamma_tail(x)


@inner
def trigamma(x: float) -> float:
    """Derivative of `digamma` at x > 0."""
    value = 0.0
    while x < 8.0:
        value += 1.0 / (x * x)
        x += 1.0
    return value + 1.0 / x + 0.5 / (x * x) + _trigamma_tail(x)


@inner
def log_rising(a: float, n: float) -> tuple[float, float, float]:
    """Return log Gamma(a + n) - log Gamma(a), with its first two derivatives by a.

    Nothing cancels, however large a is: few factors are multiplied, with one logarithm for
    eight of them, of many the leading terms of Stirling's series are subtracted before they are
    evaluated.
    """
    if n <= 32.0 and a < 1e30:  # of which eight factors are a number
        value, first, second = 0.0, 0.0, 0.0
        for start in range(0, int(n), 8):
            product, slope, bend = a + start, 1.0, 0.0
            for j in range(start + 1, min(start + 8, int(n))):
                t = a + j
                bend = bend * t + 2.0 * slope
                slope = slope * t + product
                product *= t
            ratio = slope / product
            value += math.log(product)
            first += ratio
            second += bend / product - ratio * ratio
        return value, first, second
    value, first, second = 0.0, 0.0, 0.0
    while a < 8.0:
        value += math.log(a)
        first += 1.0 / a
        second -= 1.0 / (a * a)
        a, n = a + 1.0, n - 1.0
    b = a + n
    growth = np.log1p(n / a)
    value += (b - 0.5) * growth - n + n * math.log(a) + _stirling(b) - _stirling(a)
    first += growth + 0.5 * n / (a * b) - _digamma_tail(b) + _digamma_tail(a)
    second -= n / (a * b) * (1.0 + 0.5 / a + 0.5 / b) - _trigamma_tail(b) + _trigamma_tail(a)
    return value, first, second


@inner
def log_half_rising(a: float) -> tuple[float, float, float]:
    """Return log Gamma(a + 1/2) - log Gamma(a) - log(a) / 2, with its first two derivatives.

    It falls to nothing as a grows, where differences of logarithms of Gamma are noise: it is
    what the density of t has beside the normal's.
    """
    value, first, second = 0.0, 0.0, 0.0
    while a < 8.0:
        half, next_a = a + 0.5, a + 1.0
        value += 0.5 * math.log(a * next_a) - math.log(half)
        first += 0.5 / a + 0.5 / next_a - 1.0 / half
        second += 1.0 / (half * half) - 0.5 / (a * a) - 0.5 / (next_a * next_a)
        a = next_a
    b = a + 0.5
    growth = math.log1p(0.5 / a)
    value += a * growth - 0.5 + _stirling(b) - _stirling(a)
    first += growth - 0.5 / b - _digamma_tail(b) + _digamma_tail(a)
    second += _trigamma_tail(b) - _trigamma_tail(a) - 0.25 / (a * b * b)
    return value, first, second


@inner
def inverse_mills(x: float) -> float:
    """Density of the standard normal over its distribution function, at x."""
    if x > -25.0:
        density = math.exp(-0.5 * x * x - _LOG_SQRT_2PI)
        return density / (0.5 * math.erfc(-x / math.sqrt(2.0)))
    y = 1.0 / (x * x)
    return -x * (1.0 + y * (1.0 - y * (2.0 - y * (10.0 - 74.0 * y))))


@inner
def log_normal_cdf(x: float) -> float:
    """Logarithm of the standard normal's distribution function."""
    if x > 5.0:
        return np.log1p(-0.5 * math.erfc(x / math.sqrt(2.0)))
    if x > -25.0:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2.0)))
    return -0.5 * x * x - _LOG_SQRT_2PI - math.log(inverse_mills(x))


@inner
def log1mexp(x: float) -> float:
    """log(1 - exp(x)) for x <= 0 (Maechler 2012)."""
    if x > -0.6931471805599453:
        return math.log(-np.expm1(x))
    return np.log1p(-math.exp(x))


@inner
def log_gamma_tail(a: float, x: float, above: bool) -> float:
    """Log probability that a gamma variable of shape a lies above x, or below.

    Whichever tail is the smaller is computed as a logarithm: the lower one by its series, the
    upper one by Lentz's continued fraction (Press et al. 2007, section 6.2).
    """
    if not x > 0.0:
        return 0.0 if above else -np.inf
    scale = a * math.log(x) - x - math.lgamma(a)
    if x < a + 1.0:
        term, total, k = 1.0 / a, 1.0 / a, a
        for _ in range(100_000):
            k += 1.0
            term *= x / k
            total += term
            if term < 1e-17 * total:
                break
        lower = min(scale + math.log(total), 0.0)
        return log1mexp(lower) if above else lower
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    h = d
    for i in range(1, 100_000):
        step = -i * (i - a)
        b += 2.0
        d = step * d + b
        d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
        c = b + step / c
        if abs(c) < 1e-300:
            c = 1e-300
        change = c * d
        h *= change
        if abs(change - 1.0) < 1e-16:
            break
    upper = min(scale + math.log(h), 0.0)
    return upper if above else log1mexp(upper)


@inner
def log_beta_tail(a: float, b: float, x: float, rest: float, above: bool) -> float:
    """Log probability that a beta variable of shapes a and b lies above x = 1 - rest, or below.

    Lentz's continued fraction gives the logarithm of the tail on the near side of the mean
    (Press et al. 2007, section 6.4), the other follows.
    """
    if not x > 0.0:
        return 0.0 if above else -np.inf
    if not rest > 0.0:
        return -np.inf if above else 0.0
    turned = x > (a + 1.0) / (a + b + 2.0)
    if turned:
        a, b, x, rest = b, a, rest, x
    scale = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
    h = d
    for m in range(1, 100_000):
        up = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        d = 1.0 + up * d
        d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
        c = 1.0 + up / c
        if abs(c) < 1e-300:
            c = 1e-300
        h *= d * c
        up = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d = 1.0 + up * d
        d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
        c = 1.0 + up / c
        if abs(c) < 1e-300:
            c = 1e-300
        h *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    near = min(scale + math.log(h / a), 0.0)
    return near if turned == above else log1mexp(near)


@inner
def log_bessel(x: float) -> tuple[float, float, float]:
    """Return log I0(x) - x, the ratio I1(x) / I0(x) and its derivative, of Bessel functions.

    By the power series, and from 25 on by the asymptotic one (Abramowitz and Stegun 1964,
    9.6.10 and 9.7.1).
    """
    zero, one = 1.0, 1.0
    if x < 25.0:
        term = 1.0
        for k in range(1, 200):
            term *= 0.25 * x * x / (k * k)
            zero += term
            one += term / (k + 1.0)
            if term < 1e-18 * zero:
                break
        ratio = 0.5 * x * one / zero
        slope = 1.0 - (ratio / x if x > 0.0 else 0.5) - ratio * ratio
        return math.log(zero) - x, ratio, slope
    u, v, by_zero, by_one = 1.0, 1.0, 0.0, 0.0
    for k in range(1, 30):
        odd = (2.0 * k - 1.0) * (2.0 * k - 1.0)
        u *= odd / (8.0 * k * x)
        v *= (odd - 4.0) / (8.0 * k * x)
        zero += u
        one += v
        by_zero -= k * u / x
        by_one -= k * v / x
        if u < 1e-18:
            break
    ratio = one / zero
    return (
        math.log(zero) - 0.5 * math.log(2.0 * math.pi * x),
        ratio,
        (by_one - ratio * by_zero) / zero,
    )
