"""Power scaling: the log prior is the model's, and conflicts are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from tests.builders import fake_posterior, non_normal

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep_post() -> bmx.Posterior:
    model = bmx.Model(SLEEP, bmx.load_dataset("sleepstudy"))
    return model.fit(seed=1, progress=False)


def pymc_log_prior(model: bmx.Model, points: list[dict[str, Any]]) -> np.ndarray:
    """Log density of all variables but the standardised group effects."""
    pm_model = model.pymc_model
    free = [v for v in pm_model.free_RVs if not v.name.startswith("z_")]
    logp = pm_model.compile_fn(
        pm_model.logp(vars=free, jacobian=False), inputs=pm_model.value_vars,
        mode="FAST_COMPILE", on_unused_input="ignore",
    )  # fmt: skip
    start = pm_model.initial_point()
    return np.asarray([float(logp({**start, **point})) for point in points])


@pytest.mark.parametrize("own_intercept", [False, True])
def test_the_log_prior_is_the_models(
    own_intercept: bool, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    """PyMC's parameters are log standard deviations and a partial correlation."""
    priors = {"sd(g, x)": bmx.Prior("Gamma", alpha=2, beta=0.5)}
    if own_intercept:
        priors |= {
            "Intercept": bmx.Prior("Normal", mu=50, sigma=3),
            "x": bmx.Prior("StudentT", nu=4, mu=0, sigma=2),
        }
    model = bmx.Model("y ~ x + z + (x | g)", data, priors=priors)
    post = fake_posterior(model, rng, n_chains=1, n_draws=3)
    tree = post.log_prior()["log_prior"]
    assert set(tree.data_vars) == {"beta", "sd_g", "corr_g", "sigma"}
    assert tree["beta"].dims == ("chain", "draw")
    mine = sum(values.values[0] for values in tree.data_vars.values())
    draws = post.idata["posterior"]
    points = []
    for s in range(3):
        beta = draws["beta"].values[0, s]
        sd = draws["sd_g"].values[0, s]
        rho = draws["corr_g"].values[0, s, 0, 1]
        point = {
            "sigma_log__": np.log(draws["sigma"].values[0, s]),
            "partial_corr_g_logodds__": np.atleast_1d(np.log1p(rho) - np.log1p(-rho)),
            "sd_g[Intercept]_log__": np.log(sd[0]),
            "sd_g[x]_log__": np.log(sd[1]),
        }
        if own_intercept:
            point |= {"intercept": beta[0], "coefficients[x]": beta[1], "coefficients[z]": beta[2]}
        else:
            at_means = beta[0] + model.design.mu.X[:, 1:].mean(axis=0) @ beta[1:]
            point |= {"intercept_at_means": at_means, "coefficients": beta[1:]}
        points.append(point)
    theirs = pymc_log_prior(model, points)
    # Up to the Jacobian of rho = 2 u - 1, a constant.
    np.testing.assert_allclose(np.diff(mine), np.diff(theirs), rtol=1e-8)


def test_thresholds_have_their_prior_at_the_means(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("cumulative", "size ~ x + (1 | g)", data, rng)
    mine = post.log_prior()["log_prior"]
    draws = post.idata["posterior"]
    points = []
    for s in range(3):
        beta = draws["beta"].values[0, s]
        raw = draws["thresholds"].values[0, s] - post.model.design.mu.X.mean(axis=0) @ beta
        points.append(
            {
                "coefficients": beta, "beta": beta,
                "sd_g_log__": np.log(draws["sd_g"].values[0, s]),
                "thresholds_at_means_ordered__": np.array([raw[0], np.log(raw[1] - raw[0])]),
            }
        )  # fmt: skip
    names = {v.name for v in post.model.pymc_model.value_vars}
    points = [{k: v for k, v in point.items() if k in names} for point in points]
    total = sum(values.values[0, :3] for values in mine.data_vars.values())
    np.testing.assert_allclose(total, pymc_log_prior(post.model, points), rtol=1e-8)


def test_weak_priors_show_no_sign_of_trouble(sleep_post: bmx.Posterior) -> None:
    table = sleep_post.prior_sensitivity()
    assert list(table.columns) == ["parameter", "prior", "likelihood", "diagnosis"]
    assert list(table["parameter"]) == [
        "Intercept", "Days", "sd(Subject, Intercept)", "sd(Subject, Days)",
        "corr(Subject, Intercept, Days)", "sigma",
    ]  # fmt: skip
    assert (table["diagnosis"] == "no sign of trouble").all()
    assert (table["prior"] < 0.05).all()


def test_the_numbers_are_arviz_s(sleep_post: bmx.Posterior) -> None:
    import arviz_stats

    sleep_post.log_prior()
    tree = sleep_post.log_likelihood()
    theirs = arviz_stats.psense_summary(tree, var_names=["beta", "sigma"], round_to=10)
    mine = sleep_post.prior_sensitivity().iloc[[0, 1, 5]]
    np.testing.assert_allclose(mine["prior"], theirs["prior"], atol=1e-8)
    np.testing.assert_allclose(mine["likelihood"], theirs["likelihood"], atol=1e-8)


def test_a_prior_against_the_data_is_named() -> None:
    tight = {
        "Days": bmx.Prior("Normal", mu=0, sigma=1),
        "sd(Subject, Days)": bmx.Prior("HalfNormal", sigma=1),
    }
    model = bmx.Model(SLEEP, bmx.load_dataset("sleepstudy"), priors=tight)
    table = model.fit(seed=1, progress=False).prior_sensitivity().set_index("parameter")
    assert table.loc["Days", "prior"] > 0.1
    assert table.loc["sd(Subject, Days)", "diagnosis"] == "potential prior-data conflict"
    strict = model.fit(seed=1, progress=False).prior_sensitivity(threshold=10.0)
    assert (strict["diagnosis"] == "no sign of trouble").all()


def test_a_prior_that_the_data_cannot_change_is_strong(rng: np.random.Generator) -> None:
    """Two groups say next to nothing about a standard deviation between groups."""
    data = pd.DataFrame({"y": rng.normal(size=200), "g": np.repeat(["a", "b"], 100)})
    model = bmx.Model("y ~ 1 + (1 | g)", data, priors={"sd": bmx.Prior("Gamma", alpha=90, beta=30)})
    post = model.fit(seed=1, progress=False)
    table = post.prior_sensitivity().set_index("parameter")
    assert table.loc["sd(g, Intercept)", "prior"] > 0.05
    assert table.loc["sigma", "prior"] < 0.05


def test_effects_kept_as_moments_are_drawn_again() -> None:
    model = bmx.Model(SLEEP, bmx.load_dataset("sleepstudy"))
    # NUTS draws the same variance parameters either way; independent draws have others.
    how = {"seed": 1, "sampler": "nuts", "progress": False}
    kept = model.fit(**how).prior_sensitivity()
    moments = model.fit(group_draws="moments", **how).prior_sensitivity()
    # From 0.002 to 0.02, and from 0.02 to 0.44.
    np.testing.assert_allclose(moments["prior"], kept["prior"], atol=0.001)
    np.testing.assert_allclose(moments["likelihood"], kept["likelihood"], atol=0.02)


@pytest.mark.parametrize("family", ["poisson", "cumulative"])
def test_every_family_has_one(family: str, data: pd.DataFrame, rng: np.random.Generator) -> None:
    text = {"poisson": "count ~ x + (1 | g)", "cumulative": "size ~ x + (1 | g)"}[family]
    post = non_normal(family, text, data, rng)
    table = post.prior_sensitivity(draws=200)
    assert np.isfinite(table[["prior", "likelihood"]]).all(axis=None)
    if family == "cumulative":
        assert {"thresholds[a|b]", "thresholds[b|c]"} <= set(table["parameter"])


def test_what_has_no_sensitivity_says_so(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    for threshold in (0, -1, "big", True):
        with pytest.raises(NotSupportedError, match="threshold="):
            post.prior_sensitivity(threshold=threshold)  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="draws=0"):
        post.prior_sensitivity(draws=0)
    post.idata.attrs["prior_only"] = 1
    with pytest.raises(NotSupportedError, match="prior_only"):
        post.prior_sensitivity()
