"""Partial correlations of the C-vine and what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.covariance.vine import (
    factor_of,
    lower_factor,
    partials_of_correlation,
    partials_of_correlations,
    partials_of_factor,
)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_each_inverse_brings_the_coordinates_back(size: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, size * (size - 1) // 2))
    C = np.stack([factor_of(row, size).real for row in x])
    R = C @ np.swapaxes(C, 1, 2)
    np.testing.assert_allclose(R[:, range(size), range(size)], 1.0, rtol=1e-14)
    np.testing.assert_allclose(partials_of_correlations(R), x, rtol=1e-8, atol=1e-10)
    for s, row in enumerate(x):
        found = partials_of_correlation(R[s].astype(complex)).real
        np.testing.assert_allclose(found, row, rtol=1e-8, atol=1e-10)
        # Any root, and any standard deviations.
        F = rng.exponential(size=(size, 1)) * C[s] @ np.linalg.qr(rng.normal(size=(size, size)))[0]
        np.testing.assert_allclose(partials_of_factor(F, 17.0), row, rtol=1e-8, atol=1e-10)


def test_a_singular_root_has_its_correlations_at_the_limit() -> None:
    F = np.array([[1.0, 0.0], [-2.0, 0.0]])
    assert partials_of_factor(F, 17.0) == [-17.0]


def test_the_lower_factor_loses_no_squares(rng: np.random.Generator) -> None:
    F = rng.normal(size=(3, 3)) * np.array([[1.0], [1e-12], [1e6]])
    L = lower_factor(F)
    assert (np.triu(L, 1) == 0).all()
    assert (np.diag(L) >= 0).all()
    np.testing.assert_allclose((L**2).sum(axis=1), (F**2).sum(axis=1), rtol=1e-13)
