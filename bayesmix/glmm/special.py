"""Special functions for compiled code: digamma, trigamma, the normal's logarithmic tail."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.gaussian.linking import inner

__all__ = ["digamma", "exp", "inverse_mills", "log_normal_cdf", "log_rising", "trigamma"]

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
def digamma(x: float) -> float:
    """Derivative of log Gamma at x > 0: recurrence up to 8, then Stirling's series."""
    value = 0.0
    while x < 8.0:
        value -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    tail = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (
        1 / 132 - y * (691 / 32760 - y * (1 / 12)))))))  # fmt: skip
    return value + math.log(x) - 0.5 / x - tail


@inner
def trigamma(x: float) -> float:
    """Derivative of `digamma` at x > 0."""
    value = 0.0
    while x < 8.0:
        value += 1.0 / (x * x)
        x += 1.0
    y = 1.0 / (x * x)
    tail = y * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * (
        5 / 66 - y * (691 / 2730 - y * (7 / 6)))))))  # fmt: skip
    return value + 1.0 / x + 0.5 * y + tail / x


@inner
def log_rising(a: float, n: float) -> tuple[float, float, float]:
    """Return log Gamma(a + n) - log Gamma(a), with its first two derivatives by a."""
    if n <= 32.0:  # a sum has no cancellation, however large a is
        value, first, second = 0.0, 0.0, 0.0
        for j in range(int(n)):
            t = a + j
            value += math.log(t)
            first += 1.0 / t
            second -= 1.0 / (t * t)
        return value, first, second
    return (
        math.lgamma(a + n) - math.lgamma(a),
        digamma(a + n) - digamma(a),
        trigamma(a + n) - trigamma(a),
    )


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
