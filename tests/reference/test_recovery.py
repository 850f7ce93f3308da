"""A simulation whose truth is known recovers it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

pytestmark = [pytest.mark.compiled, pytest.mark.slow]


def simulate(seed: int) -> tuple[pd.DataFrame, dict[str, float], np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = {"Intercept": 2.0, "x": -1.5, "sd0": 1.0, "sd1": 0.6, "rho": -0.5, "sigma": 0.8}
    n_levels, n_rows = 150, 12
    g = np.repeat(np.arange(n_levels), n_rows)
    x = rng.normal(1, 1, len(g))
    cov = truth["rho"] * truth["sd0"] * truth["sd1"]
    Sigma = [[truth["sd0"] ** 2, cov], [cov, truth["sd1"] ** 2]]
    b = rng.multivariate_normal([0, 0], Sigma, n_levels)
    y = truth["Intercept"] + b[g, 0] + (truth["x"] + b[g, 1]) * x
    y += rng.normal(0, truth["sigma"], len(g))
    return pd.DataFrame({"y": y, "x": x, "g": g}), truth, b


def test_intervals_cover_the_truth() -> None:
    data, truth, b = simulate(11)
    posterior = bmx.Model("y ~ x + (x | g)", data).fit(seed=11, engine="pymc", progress=False)
    fixed = posterior.fixed_effects(0.99).set_index("term")
    for term in ("Intercept", "x"):
        assert fixed.loc[term, "lower"] < truth[term] < fixed.loc[term, "upper"]
    components = posterior.variance_components(0.99).set_index(["group", "effect"])
    for key, name in (
        (("g", "Intercept"), "sd0"),
        (("g", "x"), "sd1"),
        (("Residual", ""), "sigma"),
    ):
        row = components.loc[key]
        assert row["sd_lower"] < truth[name] < row["sd_upper"]
    (rho,) = posterior.correlations(0.99).itertuples()
    assert rho.lower < truth["rho"] < rho.upper
    effects = posterior.group_effects("g", 0.9, diagnostics=False)
    covered = (effects["lower"] < b.ravel()) & (b.ravel() < effects["upper"])
    # 300 intervals at 90 %: a binomial standard error of 0.017, more as they are related.
    assert covered.mean() == pytest.approx(0.9, abs=0.06)
