"""Means of several predictors are expected means at the estimates, as those of one are."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.laws.effect_points import normal_points

RNG = np.random.default_rng(5)
G, N = 20, 120
GROUP = np.repeat(np.arange(G), N // G)
X = RNG.normal(size=N)
BY_GROUP = RNG.normal(size=(2, G)) * [[0.7], [0.9]]
ZI = special.expit(-0.7 + BY_GROUP[1, GROUP])
COUNTS = RNG.poisson(np.exp(0.6 + 0.3 * X + BY_GROUP[0, GROUP]))
DATA = pd.DataFrame(
    {
        "y": np.where(RNG.random(N) < ZI, 0, COUNTS),
        "x": X,
        "g": GROUP,
        "h": np.tile(np.arange(6), N // 6),
    }
)
NEW = pd.DataFrame({"x": [0.5, -1.0], "g": [3, 99], "h": [0, 1]})


def _fit(*formulas: str, family: str = "zero_inflated_poisson") -> bmx.EmpiricalBayes:
    return bmx.Model(list(formulas), DATA, family=family).fit_eb()


def _expected(eb: bmx.EmpiricalBayes, u: np.ndarray, z: np.ndarray) -> np.ndarray:
    """E[mu | y] of every row by brute force over a grid of both standardised effects."""
    beta = eb.fixed_effects()["estimate"].to_numpy()
    (b_zi,) = eb.fixed_effects(parameter="zi")["estimate"]
    root = _root(eb)
    log_prior = -(u**2) / 2 - z**2 / 2
    out = np.empty(N)
    for level in range(G):
        rows, log_p, mean = np.flatnonzero(level == GROUP), log_prior.copy(), []
        pz = special.expit(b_zi + root[1, 0] * u + root[1, 1] * z)
        for i in rows:
            mu = np.exp(beta[0] + beta[1] * X[i] + root[0, 0] * u + root[0, 1] * z)
            mean.append((1 - pz) * mu)
            y = DATA["y"].iloc[i]
            log_p += np.log((y == 0) * pz + (1 - pz) * stats.poisson.pmf(y, mu))
        p = np.exp(log_p - log_p.max())
        out[rows] = [(p * one).sum() / p.sum() for one in mean]
    return out


def _root(eb: bmx.EmpiricalBayes) -> np.ndarray:
    tables = [eb.variance_components(parameter=name) for name in ("mu", "zi")]
    sd = pd.concat(tables).query("group == 'g'")["sd"].to_numpy()  # joined ones stand in mu's
    rho = eb.correlations()["estimate"].iloc[0] if "| p |" in str(eb.model.formula) else 0.0
    return np.diag(sd) @ np.linalg.cholesky([[1, rho], [rho, 1]])


@pytest.mark.parametrize("bar", ["|", "| p |"])
def test_rows_and_averages_are_expected_means_given_the_data(bar: str) -> None:
    eb = _fit(f"y ~ x + (1 {bar} g)", f"zi ~ 1 + (1 {bar} g)")
    line = np.linspace(-7, 7, 141)
    expected = _expected(eb, *np.meshgrid(line, line, indexing="ij"))
    np.testing.assert_allclose(eb.predict()["estimate"], expected, rtol=1e-6)
    average = eb.predictions(groups="conditional")["estimate"].iloc[0]
    assert average == pytest.approx(expected.mean(), rel=1e-6)


def test_a_comparison_is_a_difference_of_predictions() -> None:
    eb = _fit("y ~ x + (1 | g)", "zi ~ x + (1 | g)")
    high, low = (eb.predict(DATA.assign(x=DATA["x"] + by))["estimate"].mean() for by in (1.0, 0.0))
    found = eb.comparisons("x", groups="conditional")["estimate"].iloc[0]
    assert found == pytest.approx(high - low, rel=1e-9)


def test_averages_over_groups_are_at_the_estimates() -> None:
    eb = _fit("y ~ x + (1 | g)", "alpha ~ x", family="negative_binomial")
    beta = eb.fixed_effects()["estimate"].to_numpy()
    sd = eb.variance_components()["sd"].iloc[0]
    expected = np.exp(beta[0] + beta[1] * NEW["x"] + sd**2 / 2)
    np.testing.assert_allclose(eb.predict(NEW, marginal=True)["estimate"], expected, rtol=1e-8)
    found = eb.predictions(at={"x": [0.5]}, marginal=True)["estimate"]
    assert found.iloc[0] == pytest.approx(expected.iloc[0], rel=1e-8)


def test_averages_over_groups_of_two_predictors_are_products_where_they_are_independent() -> None:
    eb = _fit("y ~ x + (1 | g)", "zi ~ 1 + (1 | h)")
    beta = eb.fixed_effects()["estimate"].to_numpy()
    sds = [eb.variance_components(parameter=name)["sd"].iloc[0] for name in ("mu", "zi")]
    (b_zi,) = eb.fixed_effects(parameter="zi")["estimate"]
    z, log_weight = normal_points(1)
    ones = np.exp(log_weight) @ (1 - special.expit(b_zi + sds[1] * z[:, 0]))
    expected = np.exp(beta[0] + beta[1] * NEW["x"] + sds[0] ** 2 / 2) * ones
    np.testing.assert_allclose(eb.predict(NEW, marginal=True)["estimate"], expected, rtol=1e-6)
    # The estimate is no mean of draws.
    assert eb.predict(seed=1)["estimate"].equals(eb.predict(draws=50, seed=2)["estimate"])


def test_a_new_group_has_the_expected_mean_of_its_distribution() -> None:
    eb = _fit("y ~ x + (1 | g)", "zi ~ 1")
    found = eb.predict(NEW)["estimate"]
    marginal = eb.predict(NEW, marginal=True)["estimate"]
    assert found.iloc[1] == pytest.approx(marginal.iloc[1], rel=1e-8)


def test_points_have_the_moments_of_a_normal_distribution() -> None:
    for d, close in ((1, 1e-12), (2, 1e-12), (3, 1e-12), (4, 5e-3)):
        z, log_weight = normal_points(d)
        p = np.exp(log_weight)
        assert p.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(p @ z, 0.0, atol=close)
        np.testing.assert_allclose(np.einsum("k,ki,kj->ij", p, z, z), np.eye(d), atol=5 * close)
