"""Profiles find the lowest branch, and end where the likelihood says or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.density import FixedPrior
from bayesmix.inference.branches import profile_end
from bayesmix.inference.profile import likelihood_at

THRESHOLD = float(stats.chi2(1).ppf(0.95))


def few_levels(seed: int) -> pd.DataFrame:
    """Six levels of eight rows: likelihoods with several branches."""
    rng = np.random.default_rng(seed)
    h, x = np.repeat(np.arange(6), 8), rng.normal(size=48)
    b, slope, e = rng.normal(size=6)[h], 0.3 * rng.normal(size=6)[h], rng.normal(size=48)
    return pd.DataFrame({"h": h, "x": x, "y": 1 + x + b + slope * x + e})


def two_of_one_row(n: int = 90) -> pd.DataFrame:
    """Most levels with one row, and no variation between them."""
    rng = np.random.default_rng(1)
    level = np.r_[np.zeros(60, int), np.arange(1, n - 59)]
    x = rng.normal(size=n)
    return pd.DataFrame({"level": level, "x": x, "y": 1 + x + rng.normal(size=n)})


def states(seed: int) -> pd.DataFrame:
    """Twelve series of four states, each seen with an error."""
    rng = np.random.default_rng(seed)
    effects = np.zeros((12, 4))
    for level in effects:
        state = rng.normal()
        for k in range(4):
            state = 0.7 * state + 0.7 * rng.normal()
            level[k] = state
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 4), "t": np.tile(np.arange(4), 12)})
    data["y"] = 1 + effects.ravel() + 0.5 * rng.normal(size=48)
    return data


@pytest.mark.parametrize("seed", [0, 4, 16, 28])  # where one warm start stops short
def test_the_deviance_rises_by_the_threshold_to_each_end_of_a_coefficient(seed: int) -> None:
    data = few_levels(seed)
    fit = bmx.Model("y ~ x + (x | h)", data).fit_eb("ml")
    table = fit.fixed_effects(ci_method="profile").set_index("term")
    for end in ("lower", "upper"):
        held = data.assign(of_x=table.loc["x", end] * data["x"])
        there = bmx.Model("y ~ 1 + offset(of_x) + (x | h)", held).fit_eb("ml")
        assert there.deviance - fit.deviance == pytest.approx(THRESHOLD, abs=2e-3)


def test_the_deviance_rises_by_the_threshold_to_the_end_of_a_standard_deviation() -> None:
    fit = bmx.Model("y ~ x + (x | h)", few_levels(0)).fit_eb("ml")
    upper = float(fit.variance_components(ci_method="profile")["sd_upper"].iloc[1])
    around = likelihood_at(fit._law.problem, fit._law.optimum)
    gradient, lowest = np.empty(4), np.inf
    rng = np.random.default_rng(0)
    for _ in range(40):
        start = around.x + rng.normal(size=4)
        start[2] = rng.normal()

        def of_rest(z: np.ndarray) -> tuple[float, np.ndarray]:
            x = np.insert(z, 1, np.log(upper))
            value = around.deviance(x, gradient)
            return value, np.delete(gradient, 1)

        found = optimize.minimize(of_rest, np.delete(start, 1), jac=True, method="L-BFGS-B")
        lowest = min(lowest, float(found.fun))
    rise = lowest - around.deviance(around.x, gradient)
    assert rise == pytest.approx(THRESHOLD, abs=5e-3)


def test_a_coefficient_is_held_with_the_exact_gradient() -> None:
    fit = bmx.Model("y ~ x + (x | h)", few_levels(1)).fit_eb("ml")
    around, a = fit._law._likelihood, np.array([0.3, 1.2])
    prior = FixedPrior(np.outer(a, a) * 50.0, a)
    x, ignored, gradient = around.x + 0.1, np.empty(4), np.empty(4)
    around.deviance(x, gradient, prior)
    for k, step in enumerate(1e-5 * np.eye(4)):
        up, down = (around.deviance(x + s * step, ignored, prior) for s in (1, -1))
        assert gradient[k] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_response_far_from_zero_has_the_same_intervals() -> None:
    data = few_levels(3)
    near, far = (
        bmx.Model("y ~ x + (x | h)", data.assign(y=data["y"] + shift)).fit_eb()
        for shift in (0.0, 1e8)
    )
    ours, theirs = (fit.fixed_effects(ci_method="profile").iloc[1, 1:] for fit in (near, far))
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), atol=2e-3)
    intercept = far.fixed_effects(ci_method="profile").iloc[0]
    assert intercept["lower"] < intercept["estimate"] < intercept["upper"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_standard_deviations_at_zero_leave_the_other_intervals(method: str) -> None:
    fit = bmx.Model("y ~ x + (x | level)", two_of_one_row()).fit_eb(method)  # type: ignore[arg-type]
    for ci_method in ("profile", "wald"):
        table = fit.variance_components(ci_method=ci_method)  # type: ignore[arg-type]
        zero = table["sd"] == 0
        assert zero.any()
        assert (table.loc[zero, "sd_lower"] == 0).all()
        residual = table.iloc[-1]
        assert residual["sd_lower"] < residual["sd"] < residual["sd_upper"]
    assert fit.correlations()[["estimate", "lower", "upper"]].isna().all(axis=None)
    fixed = fit.fixed_effects(ci_method="profile")
    assert (fixed["lower"] < fixed["estimate"]).all()
    assert (fixed["estimate"] < fixed["upper"]).all()


class _Curve:
    """A profile that is known everywhere."""

    def __init__(self, excess: Callable[[float], float]) -> None:
        self.excess = excess

    def moves_on(self, value: float) -> bool:
        return False


def test_an_end_that_is_not_there_is_nan_or_infinite() -> None:
    rises = _Curve(lambda v: abs(v) - 1.96)
    assert profile_end(rises, 0.0, 0.5, 25.0) == pytest.approx(1.96, abs=1e-3)  # type: ignore[arg-type]
    assert profile_end(rises, 0.0, -0.5, 25.0) == pytest.approx(-1.96, abs=1e-3)  # type: ignore[arg-type]
    flat = _Curve(lambda _: -1.96)
    assert profile_end(flat, 0.0, 0.5, 25.0, np.inf) == np.inf  # type: ignore[arg-type]
    assert np.isnan(profile_end(flat, 0.0, 0.5, 25.0))  # type: ignore[arg-type]
    jumps = _Curve(lambda v: 1000.0 if v > 3 else -1.96)
    assert np.isnan(profile_end(jumps, 0.0, 0.5, 25.0))  # type: ignore[arg-type]
    outside = _Curve(lambda _: 5.0)  # rounding is all there is
    assert np.isnan(profile_end(outside, 0.0, 0.5, 25.0))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*has not converged")
@pytest.mark.parametrize("noise", [1e-4, 5e-6])
def test_intervals_of_an_almost_perfect_fit_contain_the_estimate_or_are_not_there(
    noise: float,
) -> None:
    data = few_levels(2)
    y = 3 + 2 * data["x"] + np.sin(data["h"]) + noise * data["y"]
    fit = bmx.Model("y ~ x + (1 | h)", data.assign(y=y)).fit_eb()
    table = fit.variance_components(ci_method="profile")
    inside = (table["sd_lower"] <= table["sd"]) & (table["sd"] <= table["sd_upper"])
    assert (inside | table[["sd_lower", "sd_upper"]].isna().any(axis=1)).all()


# -- the posterior mode -------------------------------------------------------------


def test_intervals_of_a_posterior_mode_know_its_priors() -> None:
    data = few_levels(5).assign(y=lambda d: d["y"] + 2 * d["h"])
    tight = {"sd": bmx.Prior("HalfNormal", sigma=0.5)}
    fit = bmx.Model("y ~ x + (1 | h)", data, priors=tight).fit_eb("map")
    row = fit.variance_components().iloc[0]
    assert 0 < row["sd_lower"] < row["sd"] < row["sd_upper"]
    # The likelihood alone has an estimate far outside.
    flat = bmx.Model("y ~ x + (1 | h)", data).fit_eb("ml").variance_components().iloc[0]
    assert row["sd_upper"] < flat["sd"]


@pytest.mark.parametrize("prior", [bmx.Prior("HalfFlat"), bmx.Prior("Uniform", lower=0, upper=50)])
def test_a_mode_under_flat_priors_has_the_intervals_of_reml(prior: bmx.Prior) -> None:
    data = few_levels(6)
    text = "y ~ 0 + x + (1 | h)"
    priors = {"sd": prior, "sigma": bmx.Prior("HalfFlat"), "x": bmx.Prior("Flat")}
    mode = bmx.Model(text, data, priors=priors).fit_eb("map")
    reml = bmx.Model(text, data).fit_eb("reml")
    ends = ["sd", "sd_lower", "sd_upper"]
    ours, theirs = (fit.variance_components(ci_method="wald")[ends] for fit in (mode, reml))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_there_is_no_likelihood_profile_of_a_posterior_mode() -> None:
    fit = bmx.Model("y ~ x + (1 | h)", few_levels(7)).fit_eb("map")
    for table in (fit.fixed_effects, fit.variance_components):
        with pytest.raises(NotSupportedError, match="does not know the priors"):
            table(ci_method="profile")


# -- predictors far from zero ---------------------------------------------------------


@pytest.mark.parametrize("mean", [2e3, 1e6])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_intervals_do_not_mind_where_a_predictor_has_its_zero(method: Any, mean: float) -> None:
    data = bmx.load_dataset("sleepstudy")
    text = "Reaction ~ Days + (Days | Subject)"
    near = bmx.Model(text, data).fit_eb(method)
    far = bmx.Model(text, data.assign(Days=data["Days"] + mean)).fit_eb(method)
    for ci_method in ("wald", "profile"):
        one, other = (fit.variance_components(ci_method=ci_method) for fit in (near, far))
        columns = ["sd", "sd_lower", "sd_upper"]
        np.testing.assert_allclose(other.loc[1:, columns], one.loc[1:, columns], rtol=1e-6)
        # The levels' sd at a zero that far away is the slopes' sd times the distance.
        assert other["sd"][0] == pytest.approx(mean * one["sd"][1], rel=5e-3)
        one, other = (fit.fixed_effects(ci_method=ci_method) for fit in (near, far))
        columns = ["estimate", "lower", "upper"]
        np.testing.assert_allclose(
            other.loc[1, columns].astype(float), one.loc[1, columns].astype(float), rtol=1e-6
        )
    row = far.correlations().iloc[0]
    assert -1 <= row["lower"] < row["estimate"] < row["upper"] < -0.9999


@pytest.mark.parametrize("seed", [21, 31])
def test_a_profile_does_not_go_where_rounding_decides(seed: int) -> None:
    """A positions' structure may carry all variance: sigma goes to zero along the profile of rho.

    Below a sigma of 1e-6 the deviance is noise, so that a limit was lost in one of two
    models that differ by a position without rows, and hence have the same likelihood.
    """
    data = states(seed)
    fewer = data[data["t"] != 3]
    formula = "y ~ 1 + ar1(t | g)"
    updated = bmx.Model(formula, data).update(data=fewer).fit_eb()
    fresh = bmx.Model(formula, fewer).fit_eb()
    tables = [fit.covariance_parameters().set_index("parameter") for fit in (updated, fresh)]
    limits = [t.loc["rho", ["lower", "upper"]].to_numpy(dtype=float) for t in tables]
    np.testing.assert_allclose(limits[0], limits[1], rtol=0, atol=1e-3)
    # The limit of rho is where the deviance, at the best other parameters, has risen by 3.84.
    y = fewer["y"].to_numpy().reshape(12, 3)

    def deviance(logs: np.ndarray, rho: float) -> float:
        steps = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
        V = np.exp(2 * logs[0]) * rho**steps + np.exp(2 * logs[1]) * np.eye(3)
        W = np.linalg.inv(V)
        mean = (W @ y.T).sum() / (12 * W.sum())
        z = y - mean
        return float(12 * np.linalg.slogdet(V)[1] + np.einsum("ij,jk,ik", z, W, z))

    def lowest(rho: float) -> float:
        return min(
            optimize.minimize(deviance, start, (rho,), bounds=[(-7, 5)] * 2).fun
            for start in ([0.0, 0.0], [0.0, -3.0], [-3.0, 0.0])
        )

    best = min(lowest(rho) for rho in np.linspace(0.2, 0.9999, 30))
    assert lowest(limits[1][0]) - best == pytest.approx(3.8415, abs=0.05)


def test_a_residual_that_may_be_nothing_has_zero_in_its_interval() -> None:
    data = states(21)
    table = bmx.Model("y ~ 1 + ar1(t | g)", data[data["t"] != 3]).fit_eb().variance_components()
    residual = table.set_index("group").loc["Residual"]
    assert residual["sd_lower"] == 0.0
    assert 0.3 < residual["sd"] < residual["sd_upper"] < 1.5
