"""Predictions from empirical Bayes have the exact prediction error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from tests.gaussian.models import FORMULAS, MATRICES, dense_covariance, dense_Z, make_data


def dense_moments(eb: bmx.EmpiricalBayes, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of X beta + Z b given y, through n x n matrices."""
    model, problem = eb.model, eb._law.problem
    X, Z = model.design.mu.X, dense_Z(problem)
    y = model.y - (0.0 if model.design.mu.offset is None else model.design.mu.offset)
    S = dense_covariance(problem, eb._law.optimum.sd, eb._law.optimum.corr)
    W = model.rows.get("weights", np.ones(len(y)))
    V = Z @ S @ Z.T + np.diag(eb.sigma**2 / W)
    Vi = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ Vi @ X + prior)
    beta = C @ X.T @ Vi @ y
    mean = X @ beta + Z @ S @ Z.T @ Vi @ (y - X @ beta)
    D = X - Z @ S @ Z.T @ Vi @ X
    ZSZ = Z @ S @ Z.T
    variance = np.diag(D @ C @ D.T + ZSZ - ZSZ @ Vi @ ZSZ)
    return mean + (0.0 if model.design.mu.offset is None else model.design.mu.offset), variance


@pytest.mark.parametrize("name", FORMULAS)
def test_the_prediction_error_is_exact(name: str) -> None:
    data = make_data()
    rng = np.random.default_rng(1)
    # Effects that are there, so that no variance is zero.
    for column in ("h", "w", "k", "m"):
        data["y"] += 20 * rng.normal(size=10)[data[column]] * (1 + data["x"] / 5)
    eb = bmx.Model(FORMULAS[name], data, weights="weight", matrices=MATRICES).fit_eb()
    mean, variance = dense_moments(eb, np.zeros((len(eb.model.design.mu.fixed_effects),) * 2))
    table = eb.predict(data.drop(columns="y"))
    np.testing.assert_allclose(table["estimate"], mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(table["sd"] ** 2, variance, rtol=1e-6)
    response = eb.predict(data, kind="response")
    np.testing.assert_allclose(
        response["sd"] ** 2, variance + eb.sigma**2 / data["weight"], rtol=1e-6
    )
    z = stats.norm.ppf(0.975)
    np.testing.assert_allclose(table["upper"], table["estimate"] + z * table["sd"])


def test_new_levels_have_the_variance_of_the_population() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    new = pd.DataFrame({"Days": 3.0, "Subject": ["new", None]})
    table, typical = eb.predict(new), eb.predict(new, groups="population")
    np.testing.assert_allclose(table["estimate"], typical["estimate"])
    sd = eb.variance_components()["sd"].to_numpy()
    rho = eb.correlations()["estimate"].iloc[0]
    added = sd[0] ** 2 + 9 * sd[1] ** 2 + 6 * rho * sd[0] * sd[1]
    np.testing.assert_allclose(table["sd"] ** 2, typical["sd"] ** 2 + added)
    x = np.array([1.0, 3.0])
    np.testing.assert_allclose(typical["sd"] ** 2, x @ eb.vcov().to_numpy() @ x)
    marginal = eb.predict(new, kind="response", marginal=True)
    np.testing.assert_allclose(marginal["sd"] ** 2, table["sd"] ** 2 + sd[2] ** 2)


def test_the_posterior_mode_knows_its_prior() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    tight = {"Days": bmx.Prior("Normal", mu=0, sigma=1)}
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep, priors=tight).fit_eb("map")
    variance = eb.predict({"Days": [0.0, 1.0]}, groups="population")["sd"] ** 2
    known = eb.predict(sleep)["sd"]
    flat = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb("map").predict(sleep)["sd"]
    assert variance[1] < 70
    assert (known < 1.1 * flat).all()


def test_fitted_values_residuals_and_replicates() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    residual = eb.residuals()
    np.testing.assert_allclose(residual + eb.fitted()["estimate"], sleep["Reaction"])
    np.testing.assert_allclose(eb.residuals("pearson"), residual / eb.sigma)
    same, new = eb.simulate(400, seed=1), eb.simulate(400, new_groups=True, seed=1)
    pd.testing.assert_frame_equal(same, eb.simulate(400, seed=1))
    np.testing.assert_allclose(same.std(axis=1).mean(), eb.sigma, rtol=0.05)
    expected = np.sqrt(eb.predict(sleep, kind="response", marginal=True)["sd"] ** 2
                       - eb.predict(sleep, groups="population")["sd"] ** 2)  # fmt: skip
    np.testing.assert_allclose(new.std(axis=1), expected, rtol=0.2)


def test_a_missing_grouping_column_is_named() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    with pytest.raises(DataError, match="no column `Subject`"):
        eb.predict({"Days": [1.0]})


def test_predictions_are_made_of_parts(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    whole = fit.predict()["estimate"]
    fixed = fit.predict(include=("fixed",))
    groups = fit.predict(include=("groups",))
    np.testing.assert_allclose(fixed["estimate"] + groups["estimate"], whole)
    pd.testing.assert_frame_equal(fixed, fit.predict(groups="population"))
    pd.testing.assert_frame_equal(
        fit.predict(include=("fixed", "groups", "residual")), fit.predict(kind="response")
    )
    both = fit.predict(include=("groups", "residual"))["sd"]
    np.testing.assert_allclose(both**2, groups["sd"] ** 2 + fit.sigma**2)
    with pytest.raises(ArgumentError, match="include"):
        fit.predict(include=("random",))
    with pytest.raises(ArgumentError, match="give one"):
        fit.predict(groups="population", include=("fixed",))
    slow = sleepstudy.assign(slow=sleepstudy["Reaction"] > 300)
    binary = bmx.Model("slow ~ Days + (1 | Subject)", slow, family="bernoulli").fit_eb()
    with pytest.raises(NotSupportedError, match="logit link"):
        binary.predict(include=("groups",))
    effects = binary.group_effects()["estimate"]
    linear = binary.predict(kind="linear", include=("groups",))["estimate"]
    np.testing.assert_allclose(linear.iloc[::10], effects)
    odds = binary.group_effects(exponentiate=True)
    np.testing.assert_allclose(odds["estimate"], np.exp(effects))
    with pytest.raises(NotSupportedError, match="exponentiate"):
        fit.group_effects(exponentiate=True)
