"""The covariance of fixed effects, of one predictor and of all together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError


def test_that_of_all_predictors_is_the_inverse_of_the_whole_information() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=400)
    y = rng.poisson(np.exp(0.5 + 0.4 * x)) * (rng.uniform(size=400) > special.expit(-1 + x))
    data = pd.DataFrame({"y": y, "x": x})
    fit = bmx.Model(["y ~ x", "zi ~ x"], data, family="zero_inflated_poisson").fit_eb()
    found = fit.vcov("all")
    assert list(found) == list(found.index) == ["Intercept", "x", "zi: Intercept", "zi: x"]

    def loglik(b: np.ndarray) -> float:
        mu, zi = np.exp(b[0] + b[1] * x), special.expit(b[2] + b[3] * x)
        return float(np.log(zi * (y == 0) + (1 - zi) * stats.poisson(mu).pmf(y)).sum())

    at = np.concatenate([fit.fixed_effects(parameter=p)["estimate"] for p in ("mu", "zi")])
    h, steps = 1e-3, 1e-3 * np.eye(4)
    H = np.asarray([
        [(loglik(at + a + b) - loglik(at + a - b) - loglik(at - a + b) + loglik(at - a - b))
         / (4 * h * h) for b in steps] for a in steps
    ])  # fmt: skip
    assert found.to_numpy() == pytest.approx(np.linalg.inv(-H), rel=1e-3, abs=1e-7)
    assert abs(found.loc["Intercept", "zi: Intercept"]) > 1e-3
    for name, at_own in (("mu", slice(0, 2)), ("zi", slice(2, 4))):
        assert found.iloc[at_own, at_own].to_numpy() == pytest.approx(fit.vcov(name).to_numpy())
    with pytest.raises(ArgumentError, match="'all'"):
        fit.vcov("every")


def test_means_and_sigma_of_a_normal_response_are_independent() -> None:
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=120), np.repeat(np.arange(12), 10)
    y = x + rng.normal(size=12)[g] + rng.normal(size=120) * np.exp(0.3 * x)
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    fit = bmx.Model(["y ~ x + (1 | g)", "sigma ~ x"], data).fit_eb()
    found = fit.vcov("all")
    assert list(found) == ["Intercept", "x", "sigma: Intercept", "sigma: x"]
    assert (found.iloc[:2, 2:] == 0).all(axis=None)
    assert found.iloc[:2, :2].to_numpy() == pytest.approx(fit.vcov().to_numpy())
    assert found.iloc[2:, 2:].to_numpy() == pytest.approx(fit.vcov("sigma").to_numpy())
    alone = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    assert alone.vcov("all").equals(alone.vcov())
    counts = bmx.Model("n ~ x + (1 | g)", data.assign(n=g % 3), family="poisson").fit_eb()
    assert counts.vcov("all").equals(counts.vcov())
