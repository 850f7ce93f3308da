"""Special functions of compiled code, against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import carray
from scipy import special

from bayesmix.gaussian.linking import FLOATS, f8, i8, kernel
from bayesmix.glmm import special as ours

_exp, _digamma, _trigamma = ours.exp, ours.digamma, ours.trigamma
_mills, _tail, _rising = ours.inverse_mills, ours.log_normal_cdf, ours.log_rising
_half = ours.log_half_rising


@kernel(f8, i8, i8, FLOATS, FLOATS)
def apply_special(which, n, x, out):  # type: ignore[no-untyped-def]
    a, b = carray(x, (n,)), carray(out, (n,))
    for i in range(n):
        if which == 0:
            b[i] = _exp(a[i])
        elif which == 1:
            b[i] = _digamma(a[i])
        elif which == 2:
            b[i] = _trigamma(a[i])
        elif which == 3:
            b[i] = _mills(a[i])
        else:
            b[i] = _tail(a[i])
    return 0.0


@kernel(f8, f8, f8, FLOATS)
def apply_rising(a, n, out):  # type: ignore[no-untyped-def]
    out[0], out[1], out[2] = _rising(a, n)
    return 0.0


@kernel(f8, f8, FLOATS)
def apply_half_rising(a, out):  # type: ignore[no-untyped-def]
    out[0], out[1], out[2] = _half(a)
    return 0.0


POSITIVE = np.concatenate([np.geomspace(1e-6, 1e8, 400), [1.0, 2.0, 8.0]])
WIDE = np.concatenate([np.linspace(-40, 12, 2000), [-1e4, -300.0, 0.0, 5.0]])


@pytest.mark.parametrize(
    ("which", "x", "expected", "rtol"),
    [
        (0, np.linspace(-700, 700, 20011), np.exp, 1e-15),
        (1, POSITIVE, special.digamma, 1e-13),
        (2, POSITIVE, lambda x: special.polygamma(1, x), 1e-13),
        (3, WIDE, lambda x: np.sqrt(2 / np.pi) / special.erfcx(-x / np.sqrt(2)), 1e-9),
        (4, WIDE, special.log_ndtr, 1e-12),
    ],
    ids=["exp", "digamma", "trigamma", "inverse Mills", "log normal cdf"],
)
def test_special_functions(which: int, x: np.ndarray, expected, rtol: float) -> None:  # type: ignore[no-untyped-def]
    out = np.empty(len(x))
    apply_special(which, len(x), x, out)
    np.testing.assert_allclose(out, expected(x), rtol=rtol, atol=1e-15)


@pytest.mark.parametrize("a", [0.1, 3.0, 7.9, 8.0, 1e3, 1e7, 1e13])
@pytest.mark.parametrize("n", [0.0, 1.0, 32.0, 33.0, 500.0, 20000.0])
def test_rising_factorials_and_their_derivatives(a: float, n: float) -> None:
    out = np.empty(3)
    apply_rising(a, n, out)
    terms = a + np.arange(n)
    np.testing.assert_allclose(out[0], math.fsum(np.log(terms)), rtol=1e-13)
    np.testing.assert_allclose(out[1], math.fsum(1 / terms), rtol=1e-13)
    np.testing.assert_allclose(out[2], -math.fsum(1 / terms**2), rtol=1e-13)


@pytest.mark.parametrize("a", [1e-6, 0.3, 1.0, 7.9, 8.0, 30.0, 1e3, 1e7, 1e13])
def test_half_a_step_of_log_gamma_beside_its_logarithm(a: float) -> None:
    out = np.empty(3)
    apply_half_rising(a, out)
    if a < 100:
        at = [a, a + 0.5]
        logs, first, second = special.gammaln(at), special.digamma(at), special.polygamma(1, at)
        right = [
            logs[1] - logs[0] - 0.5 * np.log(a),
            first[1] - first[0] - 0.5 / a,
            second[1] - second[0] + 0.5 / a**2,
        ]
        np.testing.assert_allclose(out, right, rtol=1e-10)
        return
    right = [  # the asymptotic series, whose next terms are below rounding
        -1 / (8 * a) + 1 / (192 * a**3),
        1 / (8 * a**2) - 1 / (64 * a**4),
        -1 / (4 * a**3) + 1 / (16 * a**5),
    ]
    # What is lost is rounding of 1 / 2 and of 1 / (2 a), where differences lose that of log Gamma.
    np.testing.assert_allclose(out[0], right[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(out[1], right[1], rtol=0, atol=1e-15 / a)
    np.testing.assert_allclose(out[2], right[2], rtol=1e-7)
