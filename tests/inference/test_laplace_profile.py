"""Intervals of variance parameters beyond the normal: by profiles, and NaN where unknown.

Numbers of "glmer" are those of lme4 1.1-31, `confint(..., method = "profile")`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln, logsumexp

import bayesmix as bmx
from bayesmix.covariance.vine import factor_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.correlation_profile import _derivatives, _reordered

mpl.use("Agg")
GLMM = Path(__file__).parents[1] / "reference" / "glmm.csv"
# Contagious bovine pleuropneumonia by herd and period (lme4's cbpp).
CBPP = {
    "herd": [
        1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 9,
        9, 9, 9, 10, 10, 10, 10, 11, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14,
        14, 15, 15, 15, 15
    ],
    "period": [
        1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 1,
        2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4
    ],
    "k": [
        2, 3, 4, 0, 3, 1, 1, 8, 2, 0, 2, 2, 0, 2, 0, 5, 0, 0, 1, 3, 0, 0, 1, 8, 1, 3, 0, 12,
        2, 0, 0, 0, 1, 1, 0, 2, 0, 5, 3, 1, 2, 1, 0, 0, 1, 2, 0, 0, 11, 0, 0, 0, 1, 1, 1, 0
    ],
    "n": [
        14, 12, 9, 5, 22, 18, 21, 22, 16, 16, 20, 10, 10, 9, 6, 18, 25, 24, 4, 17, 17, 18, 20,
        16, 10, 9, 5, 34, 9, 6, 8, 6, 22, 22, 18, 22, 25, 27, 22, 22, 10, 8, 6, 5, 21, 24, 19,
        23, 19, 2, 3, 2, 19, 15, 15, 15
    ],
}  # fmt: skip
OUTCOMES = "10101010000000000100100000000000111100000000100000010100011000000101000011111000"


@pytest.fixture(scope="module")
def without_variation() -> bmx.EmpiricalBayes:
    """Counts whose groups do not differ: sd at zero."""
    g = np.random.default_rng(11).integers(0, 20, 200)
    data = pd.DataFrame({"y": np.random.default_rng(3).poisson(3, 200), "g": g})
    return bmx.Model("y ~ 1 + (1 | g)", data, family="poisson").fit_eb()


@pytest.fixture(scope="module")
def at_one() -> bmx.EmpiricalBayes:
    """Ten subjects, two terms, both correlations at their boundary."""
    rows = [(s, e, t, c) for s in range(10) for e in range(2) for t in range(2) for c in "AB"]
    data = pd.DataFrame(rows, columns=["s", "e", "t", "c"]).assign(y=[int(y) for y in OUTCOMES])
    return bmx.Model("y ~ 0 + c + (0 + c | s) + (0 + c | s:e)", data, family="bernoulli").fit_eb()


@pytest.fixture(scope="module")
def slopes() -> bmx.EmpiricalBayes:
    return bmx.Model("count ~ x + (x | g)", pd.read_csv(GLMM), family="poisson").fit_eb()


def test_the_interval_of_an_sd_at_zero_ends_where_quadrature_says(
    without_variation: bmx.EmpiricalBayes,
) -> None:
    design = without_variation.model.design.mu.groups[0]
    data = pd.DataFrame({"y": without_variation.model.y, "g": design.index})
    z, w = np.polynomial.hermite_e.hermegauss(60)
    by_group = data.groupby("g")["y"]
    total, size = by_group.sum().to_numpy()[:, None], by_group.size().to_numpy()[:, None]
    constant = float(gammaln(data["y"] + 1).sum())

    def best(sd: float) -> float:
        def minus(b: float) -> float:
            terms = total * (b + sd * z) - size * np.exp(b + sd * z) + np.log(w / w.sum())
            return constant - float(logsumexp(terms, axis=1).sum())

        return -float(minimize_scalar(minus, bounds=(0, 2), method="bounded").fun)

    drop = float(stats.chi2(1).ppf(0.95)) / 2
    upper = brentq(lambda sd: best(sd) - best(0.0) + drop, 0.01, 1.0)
    assert upper == pytest.approx(0.1369, abs=1e-4)
    row = without_variation.variance_components().iloc[0]
    assert (row["sd"], row["sd_lower"]) == (0.0, 0.0)
    assert row["sd_upper"] == pytest.approx(upper, rel=2e-3)  # Laplace's error is in it
    exact = without_variation.model.fit_eb(n_quadrature=15).variance_components(ci_method="profile")
    assert exact["sd_upper"][0] == pytest.approx(upper, rel=1e-4)


def test_profiles_are_glmers_with_one_intercept() -> None:
    data = pd.DataFrame(CBPP).astype({"period": str})
    fit = bmx.Model("proportion(k, n) ~ period + (1 | herd)", data, family="binomial").fit_eb()
    sd = fit.variance_components().iloc[0]
    assert [sd["sd_lower"], sd["sd_upper"]] == pytest.approx([0.346073, 1.099975], rel=1e-3)
    fixed = fit.fixed_effects(ci_method="profile")
    expected = [[-1.901212, -0.947754], [-1.616783, -0.407763], [-1.801024, -0.511536],
                [-2.500751, -0.800755]]  # fmt: skip
    np.testing.assert_allclose(fixed[["lower", "upper"]], expected, rtol=1e-3)


def test_profiles_are_glmers_with_correlated_slopes(slopes: bmx.EmpiricalBayes) -> None:
    sd = slopes.variance_components(ci_method="profile")[["sd_lower", "sd_upper"]]
    np.testing.assert_allclose(sd, [[0.506686, 0.913437], [0.217235, 0.441614]], rtol=1e-3)
    rho = slopes.correlations(ci_method="profile").iloc[0]
    assert [rho["lower"], rho["upper"]] == pytest.approx([0.056370, 0.834264], rel=1e-3)


def test_a_correlation_at_its_boundary_has_the_profiles_interval(
    at_one: bmx.EmpiricalBayes,
) -> None:
    # glmmTMB 1.1.5: from -1 to 0.5 for s the log-likelihood falls by 0.21 alone.
    assert at_one.singular.count("correlation") == 2
    table = at_one.correlations(ci_method="profile")
    np.testing.assert_allclose(table[["estimate", "lower", "upper"]], [[-1, -1, 1], [1, -1, 1]])
    wald = at_one.correlations(ci_method="wald")
    assert wald[["lower", "upper"]].isna().all(axis=None)
    assert 'correlations(ci_method="profile")' in " ".join(str(at_one.summary()).split())


def test_a_normal_interval_that_says_nothing_is_nan(
    without_variation: bmx.EmpiricalBayes,
) -> None:
    row = without_variation.variance_components(ci_method="wald").iloc[0]
    assert row["sd_lower"] == 0.0
    assert np.isnan(row["sd_upper"])
    without_variation.plot_variance_components(ci_method="wald").canvas.draw()
    text = str(without_variation.model.fit_eb("map").summary())
    assert "Wald, on logs" in text


def test_a_posterior_mode_has_no_profile(slopes: bmx.EmpiricalBayes) -> None:
    mode = slopes.model.fit_eb("map")
    for table in (mode.variance_components, mode.correlations, mode.fixed_effects):
        with pytest.raises(NotSupportedError, match="priors"):
            table(ci_method="profile")
    assert mode.correlations()[["lower", "upper"]].notna().all(axis=None)


def test_an_overdispersion_that_is_not_there_has_a_lower_end_alone() -> None:
    data = pd.DataFrame({"y": np.random.default_rng(5).poisson(4.0, 120), "g": np.arange(120) % 8})
    fit = bmx.Model("y ~ 1 + (1 | g)", data, family="negative_binomial").fit_eb()
    row = fit.family_parameters(ci_method="profile").iloc[0]
    assert row["upper"] == np.inf
    assert 3 < row["lower"] < 1e3
    assert fit.family_parameters(ci_method="wald")[["lower", "upper"]].isna().all(axis=None)


def test_effects_in_another_order_have_the_same_correlations() -> None:
    rng = np.random.default_rng(2)
    order, x = np.array([2, 0, 3, 1]), rng.normal(size=6)
    R = (factor_of(x, 4) @ factor_of(x, 4).T).real
    C = factor_of(_reordered(x, order), 4)
    np.testing.assert_allclose((C @ C.T).real, R[np.ix_(order, order)], atol=1e-12)
    J = _derivatives(x, order)
    for k, step in enumerate(1e-6 * np.eye(6)):
        change = (_reordered(x + step, order) - _reordered(x - step, order)).real / 2e-6
        np.testing.assert_allclose(J[k], change, atol=1e-7)
