"""Posteriors of smooths: both engines have one, and it is calibrated."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

from .calibration import p_value

pytestmark = pytest.mark.slow


def make_rows(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.uniform(0, 1, n), "g": np.arange(n) % 8})


@pytest.mark.parametrize("response", ["y", "count"])
def test_the_engines_agree_on_a_smooth(response: str) -> None:
    rng, data = np.random.default_rng(4), make_rows(120)
    eta = np.sin(6 * data["x"]) + rng.normal(0, 0.4, 8)[data["g"]]
    data["y"] = rng.normal(eta, 0.5)
    data["count"] = rng.poisson(np.exp(eta))
    family = "gaussian" if response == "y" else "poisson"
    model = bmx.Model(f"{response} ~ s(x, k=7) + (1 | g)", data, family=family)
    fast = model.fit(seed=1, engine="fast", draws=1500, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.ConvergenceWarning)  # of the slower engine
        pymc = model.fit(seed=2, engine="pymc", draws=1500, target_accept=0.97, progress=False)
    at = pd.DataFrame({"x": np.linspace(0.05, 0.95, 10), "g": 1})
    one, other = (fit.predict(at, kind="linear", groups="population") for fit in (fast, pymc))
    assert (np.abs(one["estimate"] - other["estimate"]) < 0.12 * one["sd"]).all()
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=0.1)
    first, second = fast.smooths(), pymc.smooths()
    np.testing.assert_allclose(first["edf"], second["edf"], atol=0.25)
    np.testing.assert_allclose(first["sd"], second["sd"], rtol=0.1)


def test_ranks_of_a_smooth_are_uniform() -> None:
    rng, data = np.random.default_rng(11), make_rows(60)
    priors = {
        "Intercept": bmx.Prior("Normal", mu=0, sigma=0.7),
        "s(x)": bmx.Prior("Normal", mu=0, sigma=0.7),
        "sd(s(x))": bmx.Prior("HalfNormal", sigma=1.0),
        "sigma": bmx.Prior("HalfNormal", sigma=1.0),
    }
    mu = bmx.Model("y ~ s(x, k=7)", data.assign(y=data["x"])).design.mu
    (group,) = mu.groups
    found: dict[str, list[int]] = {}
    for simulation in range(120):
        truth = {
            "slope": rng.normal(0, 0.7), "sd": abs(rng.normal()), "sigma": abs(rng.normal()),
        }  # fmt: skip
        b = rng.normal(0, truth["sd"], group.n_effects)
        truth["first"] = b[0]
        truth["curve"] = truth["slope"] * mu.X[5, 1] + group.Z[5] @ b
        eta = rng.normal(0, 0.7) + truth["slope"] * mu.X[:, 1] + group.Z @ b
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            model = bmx.Model(
                "y ~ s(x, k=7)", data.assign(y=rng.normal(eta, truth["sigma"])), priors=priors
            )
            post = model.fit(draws=495, chains=2, seed=simulation, progress=False)
        draws = post.idata["posterior"]
        beta, effects = draws["beta"].values, draws["b_s(x)"].values[:, :, 0]
        values = {
            "slope": beta[..., 1], "sd": draws["sd_s(x)"].values[..., 0],
            "sigma": draws["sigma"].values, "first": effects[..., 0],
            "curve": beta[..., 1] * mu.X[5, 1] + effects @ group.Z[5],
        }  # fmt: skip
        for key, of_name in values.items():
            thinned = of_name.reshape(-1)[::10]
            found.setdefault(key, []).append(int((thinned < truth[key]).sum()))
    for key, of_key in found.items():
        ranks = np.asarray(of_key)
        assert p_value(np.bincount(ranks // 20, minlength=5)) > 1e-3, key
        inside = ((ranks >= 25) & (ranks < 75)).mean()
        assert abs(inside - 0.5) < 4 * np.sqrt(0.25 / len(ranks)), key
