"""Structured effects by both engines: one posterior, within Monte Carlo error."""

from __future__ import annotations

import warnings

import arviz as az
import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

pytestmark = pytest.mark.slow

CASES = {
    "ar1": "y ~ x + ar1(t | g)",
    "homcs": "y ~ x + (1 | h) + homcs(t | g)",
    "ou": "y ~ x + ou(s | g)",
    "exp": "y ~ x + exp(a + b | 1)",
    "homtoep": "y ~ x + homtoep(t | g)",
    "ar1 of counts": "count ~ x + ar1(t | g)",
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n_levels, q = 25, 4
    # Two rows for each effect: what it varies by is told from the residual.
    g, t = np.repeat(np.arange(n_levels), q), np.tile(np.arange(q), n_levels)
    rows = {"g": np.tile(g, 2), "t": np.tile(t, 2)}
    root = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(q), np.arange(q))))
    b = np.tile((rng.normal(size=(n_levels, q)) @ root.T).ravel(), 2)
    n = len(b)
    x = rng.normal(size=n)
    places = rng.uniform(size=(20, 2))
    at = rng.integers(0, 20, n)
    # The moments of four kinds, so that there are not too many positions.
    s = np.array([0.0, 0.4, 1.5, 3.0])[rows["t"]]
    return pd.DataFrame(
        rows
        | {
            "x": x, "s": s, "h": rng.integers(0, 8, n), "a": places[at, 0], "b": places[at, 1],
            "y": 2 + 0.5 * x + b + 0.7 * rng.normal(size=n),
            "count": rng.poisson(np.exp(0.5 + 0.3 * x + 0.5 * b)),
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_engines_agree(name: str, data: pd.DataFrame) -> None:
    family = "poisson" if "counts" in name else "gaussian"
    model = bmx.Model(CASES[name], data, family=family)
    fast = model.fit(seed=1, engine="fast", draws=2000, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.ConvergenceWarning)  # of the slower engine
        pymc = model.fit(seed=2, engine="pymc", draws=1500, progress=False)
    assert fast.diagnostics().ok
    known = [v for v in fast.idata["posterior"].data_vars if not str(v).startswith("b_")]
    assert any(str(v).startswith(("rho_", "range_", "partial_")) for v in known)
    for variable in known:
        values = [post.idata["posterior"][variable].values for post in (fast, pymc)]
        shapes = [v.reshape(*v.shape[:2], -1) for v in values]
        for k in range(shapes[0].shape[2]):
            a, b = (v[..., k] for v in shapes)
            error = np.hypot(*(float(az.mcse(v, method="mean")) for v in (a, b)))
            assert abs(a.mean() - b.mean()) < 5 * error, (variable, k)
            # Spread: within a sixth, where the posterior has tails that are not too long.
            low, high = (np.quantile(v, [0.1, 0.9]) for v in (a, b))
            assert np.ptp(low) == pytest.approx(np.ptp(high), rel=0.17), (variable, k)
