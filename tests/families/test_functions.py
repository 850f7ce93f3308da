"""Functions that densities are written in: PyTensor's against exact sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bayesmix.families.functions import NUMPY, tensor_functions


@pytest.mark.compiled
def test_betaln_does_not_cancel_and_neither_does_its_gradient() -> None:
    import pytensor
    import pytensor.tensor as pt

    a, b = pt.dvector(), pt.dvector()
    value = tensor_functions().betaln(a, b)
    betaln = pytensor.function([a, b], [value, *pt.grad(value.sum(), [a, b])])
    for n in (1, 8, 101, 2001):
        for x in (0.3, 7.9, 8.0, 1e4, 1e8, 1e12):
            # B(x, n) = (n - 1)! / (x (x + 1) ... (x + n - 1))
            terms = x + np.arange(n)
            exact = math.lgamma(n) - math.fsum(np.log(terms))
            slope = -math.fsum(1 / terms)
            one, other = np.asarray([x]), np.asarray([float(n)])
            found, by_x, by_n = betaln(one, other)
            rounding = 1e-15 * (1 + math.lgamma(n))  # of the exact value as well
            assert found[0] == pytest.approx(exact, rel=1e-13, abs=rounding)
            assert by_x[0] == pytest.approx(slope, rel=1e-13)
            swapped = betaln(other, one)
            np.testing.assert_allclose(swapped, [found, by_n, by_x], rtol=1e-14)
    plain = np.geomspace(0.01, 50, 40)
    grid = [side.ravel() for side in np.meshgrid(plain, plain)]
    np.testing.assert_allclose(betaln(*grid)[0], NUMPY.betaln(*grid), rtol=1e-12, atol=1e-12)
