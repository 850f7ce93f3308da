"""Tukey's range and the largest of correlated t statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesmix.results.means.adjustment import adjusted, critical_values
from bayesmix.results.means.multivariate_t import LargestT
from bayesmix.results.means.studentized_range import range_quantile, range_sf


@pytest.mark.parametrize("df", [1.0, 2.5, 10.0, 45.0, 300.0])
@pytest.mark.parametrize("k", [2, 3, 8])
def test_the_range_is_scipys(k: int, df: float) -> None:
    q = np.array([0.5, 3.0, 6.0])
    exact = [stats.studentized_range.sf(value, k, df) for value in q]
    np.testing.assert_allclose(range_sf(q, k, np.full(3, df)), exact, rtol=1e-7, atol=1e-9)


def test_two_means_have_students_t() -> None:
    t, df = np.array([0.3, 2.0, 5.0]), np.array([4.0, 30.0, np.inf])
    found = range_sf(np.sqrt(2) * t, 2, df)
    np.testing.assert_allclose(found, 2 * stats.t.sf(t, df), rtol=1e-8)
    assert range_quantile(0.95, 2, 12.0) / np.sqrt(2) == pytest.approx(stats.t.ppf(0.975, 12.0))


def pairs(k: int) -> np.ndarray:
    D = np.asarray([np.eye(k)[i] - np.eye(k)[j] for i in range(k) for j in range(i + 1, k)])
    return np.asarray(D @ D.T / 2)


@pytest.mark.parametrize("k", [3, 5, 12])
def test_the_largest_difference_of_equal_means_is_tukeys(k: int) -> None:
    law = LargestT(pairs(k))  # singular: of rank k - 1
    for df in (6.0, 50.0):
        for t in (1.5, 3.0, 5.0):
            exact = range_sf(np.array([np.sqrt(2) * t]), k, np.array([df]))[0]
            assert law.sf(t, df) == pytest.approx(exact, rel=0.01, abs=1e-7)
        assert law.quantile(0.95, df) == pytest.approx(
            range_quantile(0.95, k, df) / np.sqrt(2), rel=2e-3
        )


def test_one_statistic_and_independent_ones() -> None:
    assert LargestT(np.ones((1, 1))).sf(2.0, 7.0) == pytest.approx(2 * stats.t.sf(2.0, 7.0))
    three = LargestT(np.eye(3)).sf(2.0, np.inf)
    assert three == pytest.approx(1 - (1 - 2 * stats.norm.sf(2.0)) ** 3, rel=3e-3)


@pytest.mark.parametrize("how", ["tukey", "mvt"])
def test_quantiles_at_many_degrees_of_freedom(how: str) -> None:
    covariance = pairs(6)
    sd = np.sqrt(np.diag(covariance))
    df = np.r_[np.linspace(4.0, 60.0, 14), np.inf]
    found = critical_values(0.95, df, sd, covariance, how, 6)
    for k in (0, 3, 9, 14):
        alone = critical_values(0.95, np.full(15, df[k]), sd, covariance, how, 6)
        assert found[k] == pytest.approx(alone[k], rel=1e-6)


def test_adjusted_values_and_intervals_decide_alike() -> None:
    rng = np.random.default_rng(3)
    A = rng.normal(size=(6, 4))
    covariance = A @ A.T
    sd = np.sqrt(np.diag(covariance))
    df = np.full(6, 11.0)
    t = np.array([0.5, 2.2, 2.9, np.nan, 3.4, -4.0])
    sd[3] = np.nan
    for how in (None, "bonferroni", "sidak", "tukey", "mvt"):
        p = adjusted(t, df, sd, covariance, how, 4)
        half = critical_values(0.95, df, sd, covariance, how, 4)
        assert np.isnan(p[3])
        known = [0, 1, 2, 4, 5]
        assert ((p < 0.05) == (np.abs(t) > half))[known].all(), how
    alone, holm, bonferroni = (
        adjusted(t, df, sd, covariance, how, 4) for how in (None, "holm", "bonferroni")
    )
    assert (alone[known] <= holm[known]).all()
    assert (holm[known] <= bonferroni[known]).all()
    assert holm[5] == pytest.approx(5 * alone[5])
