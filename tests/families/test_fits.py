"""From formula to tables for responses beyond the normal; simulate, fit, recover for each."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, NotSupportedError
from bayesmix.families import FAMILIES
from tests.families.cases import LEFT_SIDE, PARAMETERS, family_data, make

N, LEVELS = 600, 12
INTERCEPT, SLOPE, SD = 0.4, 0.6, 0.5
GRADES = ["poor", "fair", "good", "best"]


def simulated(name: str, seed: int = 11) -> pd.DataFrame:
    """Rows of a family with known coefficients, under its default link."""
    rng = np.random.default_rng(seed)
    family, parameters = make(name, "")
    data = family_data(N, seed).assign(g=np.resize(np.arange(LEVELS), N))
    b = rng.normal(0, SD, LEVELS)
    b -= b.mean()  # so that the intercept is known as well as the slope
    intercept = 0.0 if family.replaces_intercept else INTERCEPT
    eta = intercept + SLOPE * data["x"].to_numpy() + b[data["g"]]
    trials = {"trials": data["m"].to_numpy()} if "trials" in family.accepts else {}
    y = family.simulate(eta, parameters, trials, rng)
    column = "k" if trials else LEFT_SIDE[name]
    if y.ndim == 2:  # counts of two categories
        data["k"], data["count"] = y[:, 0], y[:, 1] - 1
        return data[y.sum(axis=1) > 0]
    if family.replaces_intercept:
        data[column] = pd.Categorical.from_codes(y.astype(int) - 1, GRADES, ordered=True)
    else:
        data[column] = y
    return data


def fitted(name: str, **settings: Any) -> bmx.Posterior:
    model = bmx.Model(f"{LEFT_SIDE[name]} ~ x + (1 | g)", simulated(name), family=name)
    return sampled(model, **settings)


def sampled(model: bmx.Model, **settings: Any) -> bmx.Posterior:
    with warnings.catch_warnings():
        # So few draws are enough for what is asked here, and not for every diagnostic.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(seed=3, target_accept=0.9, progress=False, **settings)


def assert_recovered(posterior: bmx.Posterior) -> None:
    """Every known number lies within 4 posterior standard deviations."""
    family = posterior.model.family
    table = posterior.fixed_effects(diagnostics=False).set_index("term")
    truth = {"x": SLOPE} | ({} if family.replaces_intercept else {"Intercept": INTERCEPT})
    for term, value in truth.items():
        sd = np.hypot(table.loc[term, "sd"], 0.02)
        assert abs(table.loc[term, "estimate"] - value) < 4 * sd, term
    own = posterior.family_parameters(diagnostics=False)
    values = np.concatenate([np.atleast_1d(PARAMETERS[p]) for p in family.parameters] or [[]])
    assert len(own) == len(values)
    assert np.all(np.abs(own["estimate"] - values) < 4 * own["sd"])
    sd = posterior.variance_components(diagnostics=False).loc[0]
    assert sd["sd_lower"] < 1.6 * SD
    assert sd["sd_upper"] > SD / 1.6


@pytest.fixture(scope="module")
def binary() -> bmx.Posterior:
    return fitted("bernoulli", draws=500, tune=600, chains=2)


@pytest.mark.compiled
def test_a_binary_response_from_formula_to_tables(binary: bmx.Posterior) -> None:
    assert_recovered(binary)
    assert "fast" in binary.idata.attrs["engine"]
    text = str(binary)
    assert "coefficients and group effects are on the logit scale" in text
    assert "Family parameters" not in text
    odds = binary.fixed_effects(exponentiate=True)
    plain = binary.fixed_effects()
    for column in ("estimate", "lower", "upper"):
        np.testing.assert_allclose(odds[column], np.exp(plain[column]))
    np.testing.assert_allclose(odds["sd"], np.exp(plain["estimate"]) * plain["sd"])
    components = binary.variance_components()
    assert components.loc[1, ["group", "effect"]].tolist() == ["Residual", "latent"]
    assert components.loc[1, "variance"] == pytest.approx(np.pi**2 / 3)
    s2 = binary.idata["posterior"]["sd_g"].to_numpy() ** 2
    assert binary.icc()["estimate"][0] == pytest.approx(np.median(s2 / (s2 + np.pi**2 / 3)))
    shrunk = binary.shrinkage().table()
    coefficients = binary.group_coefficients(diagnostics=False)["estimate"]
    np.testing.assert_allclose(shrunk["partial_pooling"], coefficients)
    assert shrunk["no_pooling"].abs().max() < 15


@pytest.mark.compiled
def test_counts_from_formula_to_tables() -> None:
    posterior = fitted("negative_binomial", draws=500, tune=600, chains=2)
    assert_recovered(posterior)
    assert posterior.family_parameters()["parameter"].tolist() == ["alpha"]
    assert "Family parameters" in str(posterior)
    tree = posterior.idata["posterior"]
    between = tree["sd_g"].to_numpy()[..., 0] ** 2
    residual = np.log1p(1 / posterior.model.y.mean() + 1 / tree["alpha"].to_numpy())
    share = np.median(between / (between + residual))
    assert posterior.icc()["estimate"][0] == pytest.approx(share)


@pytest.mark.compiled
def test_ordered_categories_from_formula_to_tables() -> None:
    posterior = fitted("cumulative", draws=500, tune=600, chains=2)
    assert_recovered(posterior)
    draws = posterior.idata["posterior"]["thresholds"]
    assert draws.dims == ("chain", "draw", "threshold")
    assert draws["threshold"].to_numpy().tolist() == ["poor|fair", "fair|good", "good|best"]
    assert np.all(np.diff(draws.to_numpy(), axis=-1) > 0)
    own = posterior.family_parameters()
    assert own["parameter"].tolist() == [f"thresholds[{label}]" for label in
                                         draws["threshold"].to_numpy()]  # fmt: skip
    assert own["r_hat"].notna().all()
    assert "thresholds[poor|fair]" in str(posterior)
    probabilities = posterior.model.family.probabilities(
        np.zeros(3), {"thresholds": draws.to_numpy()[:, :, None, :]}
    )
    assert probabilities.shape == (2, 500, 3, 4)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1)


def test_draws_from_the_prior_have_ordered_thresholds() -> None:
    model = bmx.Model("grade ~ x + (1 | g)", simulated("cumulative"), family="cumulative")
    prior = model.fit(200, chains=2, prior_only=True, seed=1, progress=False)
    assert np.all(np.diff(prior.idata["posterior"]["thresholds"].to_numpy(), axis=-1) > 0)
    # As the formula writes them, one half of the first lies below the lowest of three t(3).
    user = bmx.Model("grade ~ x", simulated("cumulative"), family="cumulative",
                     priors={"thresholds": bmx.Prior("Normal", mu=1, sigma=2)})  # fmt: skip
    assert user.priors["note"].iloc[-1] == "each, in order, as the formula writes it"
    drawn = user.fit(2000, chains=1, prior_only=True, seed=1, progress=False)
    middle = drawn.idata["posterior"]["thresholds"].to_numpy()[..., 1]
    assert middle.mean() == pytest.approx(1, abs=4.5 * middle.std() / np.sqrt(2000))


def test_ratios_exist_only_where_they_mean_something() -> None:
    assert FAMILIES["poisson"]().ratio == "rate ratios"
    assert FAMILIES["gamma"]().ratio == "ratios of means"
    assert FAMILIES["lognormal"]().ratio == "ratios of medians"
    assert FAMILIES["cumulative"]().ratio == "odds ratios"
    for family in (FAMILIES["bernoulli"]("probit"), FAMILIES["gaussian"]()):
        assert family.ratio == ""
    model = bmx.Model("real ~ x", family_data())
    posterior = model.fit(50, tune=50, chains=2, prior_only=True, progress=False)
    with pytest.raises(NotSupportedError, match="no logarithms of ratios"):
        posterior.fixed_effects(exponentiate=True)


def test_empirical_bayes_says_what_it_does_not_know() -> None:
    with pytest.raises(NotSupportedError, match=r"fit_eb\(\) .*take fit\(\)"):
        bmx.Model("real ~ x + (1 | g)", family_data(), family="laplace").fit_eb()
    with pytest.raises(NotSupportedError, match=r"reml.*of weighted.*take \"ml\""):
        bmx.Model("weighted(real, w) ~ x + (1 | g)", family_data()).fit_eb(method="reml")


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_family_recovers_what_made_the_data(name: str) -> None:
    posterior = fitted(name, draws=500, tune=1000, chains=2, engine="pymc")
    assert posterior.diagnostics().divergences == 0
    assert_recovered(posterior)


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize(
    ("name", "link", "intercept"),
    [("poisson", "identity", 6.0), ("poisson", "sqrt", 3.0), ("gamma", "identity", 6.0),
     ("gamma", "inverse", 3.0), ("exponential", "identity", 6.0)],
)  # fmt: skip
def test_links_that_can_leave_the_means_are_sampled(name: str, link: str, intercept: float) -> None:
    rng = np.random.default_rng(4)
    family, parameters = make(name, link)
    data = pd.DataFrame({"x": rng.uniform(-1, 1, N), "g": np.resize(np.arange(LEVELS), N)})
    eta = intercept + SLOPE * data["x"] + rng.normal(0, 0.3, LEVELS)[data["g"]]
    data["y"] = family.simulate(eta, parameters, {}, rng)
    model = bmx.Model("y ~ x + (1 | g)", data, family=family)
    posterior = sampled(model, draws=1000, chains=2)
    slope = posterior.fixed_effects().set_index("term").loc["x"]
    assert abs(slope["estimate"] - SLOPE) < 4 * slope["sd"]


@pytest.mark.slow
@pytest.mark.compiled
def test_censored_and_truncated_rows_recover_what_they_hide() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=1500)
    y = rng.gamma(2, np.exp(0.4 + 0.6 * x) / 2)
    limit = rng.uniform(0.5, 4, 1500)
    data = pd.DataFrame(
        {"x": x, "y": np.minimum(y, limit), "late": (y > limit).astype(int), "count": rng.poisson(
            np.exp(0.4 + 0.6 * x))}
    )  # fmt: skip
    hidden = bmx.Model("censored(y, late) ~ x", data, family="gamma")
    cut = bmx.Model("truncated(count, 1) ~ x", data[data["count"] > 0], family="poisson")
    for model in (hidden, cut):
        table = sampled(model, draws=500, chains=2).fixed_effects()
        assert np.all(np.abs(table["estimate"] - [0.4, 0.6]) < 4 * table["sd"])
