"""Every family and link: log density, moments and replicates, against scipy.stats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.families import FAMILIES
from tests.families.cases import (
    CASES,
    IDS,
    INVERSE,
    LEFT_SIDE,
    ORDINARY,
    PARAMETERS,
    family_data,
    linear_predictor,
    make,
    scipy_distribution,
    scipy_log_prob,
)

DATA = family_data()


def model_of(name: str, link: str, left: str | None = None) -> bmx.Model:
    return bmx.Model(f"{left or LEFT_SIDE[name]} ~ x + (1 | g)", DATA, family=make(name, link)[0])


@pytest.mark.parametrize(("name", "link"), CASES, ids=IDS)
def test_log_density_is_that_of_scipy(name: str, link: str, rng: np.random.Generator) -> None:
    model = model_of(name, link)
    family, parameters = make(name, link)
    eta = linear_predictor(family, len(DATA), rng)
    trials = DATA["m"].to_numpy()
    expected = scipy_log_prob(family, model.y, eta, trials)
    found = family.log_prob(model.y, eta, parameters, model.rows)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    # Draws stand in front; parameters have their own.
    draws = {
        p: np.stack([np.asarray(v)] * 3).reshape(3, 1, *np.shape(v)) for p, v in parameters.items()
    }
    stacked = family.log_prob(model.y, np.stack([eta, eta, eta]), draws, model.rows)
    np.testing.assert_allclose(stacked, np.stack([found] * 3), rtol=1e-13)


@pytest.mark.parametrize(("name", "link"), CASES, ids=IDS)
def test_replicates_have_the_mean_and_variance(
    name: str, link: str, rng: np.random.Generator
) -> None:
    family, parameters = make(name, link)
    n, draws = 4, 40_000
    rows = {"trials": np.array([7.0, 1, 0, 12])}
    eta = linear_predictor(family, n, rng)
    y = family.simulate(np.broadcast_to(eta, (draws, n)), parameters, rows, rng)
    mean, variance = family.mean(eta, parameters, rows), family.variance(eta, parameters, rows)
    assert y.shape == (draws, n)
    assert np.shape(mean) == np.shape(variance) == (n,)
    if family.is_circular:
        turned = np.exp(1j * (y - mean)).mean(axis=0)
        assert np.abs(np.angle(turned)).max() < 0.02
        assert 1 - np.abs(turned) == pytest.approx(variance, abs=0.01)
        return
    error = y.std(axis=0) / np.sqrt(draws) + 1e-12
    assert np.all(np.abs(y.mean(axis=0) - mean) < 4.5 * error)
    squares = (y - mean) ** 2
    error = squares.std(axis=0) / np.sqrt(draws) + 1e-12
    # The fourth moment of Student's t with 5.5 degrees of freedom makes that error rough.
    assert np.all(np.abs(squares.mean(axis=0) - variance) < 6 * error)


@pytest.mark.parametrize(("name", "link"), CASES, ids=IDS)
def test_links_invert_each_other(name: str, link: str) -> None:
    family, _ = make(name, link)
    eta = np.linspace(0.2, 2, 7)
    np.testing.assert_allclose(family.inverse_link(eta), INVERSE[link](eta), rtol=1e-12)
    np.testing.assert_allclose(family.link_function(family.inverse_link(eta)), eta, rtol=1e-9)


@pytest.mark.parametrize("link", FAMILIES["bernoulli"].links)
def test_both_tails_of_a_binary_response_stay_finite(link: str) -> None:
    family = FAMILIES["bernoulli"](link=link)
    far = {"logit": 500.0, "probit": 37.0, "cloglog": 5.0, "cauchit": 1e12}[link]
    lp = family.log_prob(np.array([0.0, 1.0]), np.array([far, -far]), {})
    assert np.all(np.isfinite(lp))
    assert np.all(lp < -4)
    expected = {
        "logit": [-500, -500],
        "probit": [stats.norm.logsf(37), stats.norm.logcdf(-37)],
        "cloglog": [-np.exp(5.0), np.log(-np.expm1(-np.exp(-5.0)))],
        "cauchit": [np.log(1 / (np.pi * 1e12))] * 2,
    }[link]
    np.testing.assert_allclose(lp, expected, rtol=1e-12)


@pytest.mark.parametrize("link", FAMILIES["cumulative"].links)
def test_a_narrow_category_far_out_keeps_its_probability(link: str) -> None:
    """The difference of two distribution functions would be zero there."""
    family = FAMILIES["cumulative"](link=link)
    for eta in (-9.0, 3.0):
        thresholds = np.array([0.0, 1e-9])
        lp = family.log_prob(np.array([2.0]), np.array([eta]), {"thresholds": thresholds})
        density = {
            "logit": stats.logistic.logpdf(-eta),
            "probit": stats.norm.logpdf(-eta),
            "cloglog": stats.gumbel_l.logpdf(-eta),
        }[link]
        np.testing.assert_allclose(lp, density + np.log(1e-9), rtol=1e-5)


def test_a_negative_binomial_with_a_huge_alpha_is_poisson() -> None:
    y, eta = np.arange(20.0), np.full(20, 1.5)
    found = FAMILIES["negative_binomial"]().log_prob(y, eta, {"alpha": 1e13})
    np.testing.assert_allclose(found, stats.poisson(np.exp(1.5)).logpmf(y), rtol=1e-10)


def test_huge_counts_and_empty_trials_have_a_density() -> None:
    y = np.array([1e6])
    for name in ("poisson", "negative_binomial", "hurdle_negative_binomial"):
        family, parameters = make(name, "log")
        assert np.isfinite(family.log_prob(y, np.array([13.0]), parameters)).all()
    for name in ("binomial", "beta_binomial"):
        family, parameters = make(name, "logit")
        lp = family.log_prob(np.zeros(1), np.array([3.0]), parameters, {"trials": np.zeros(1)})
        np.testing.assert_allclose(lp, 0, atol=1e-12)


CENSORED = [name for name, family in FAMILIES.items() if "status" in family.accepts]


@pytest.mark.filterwarnings("error")
def test_counts_of_an_infinite_mean_are_infinite(rng: np.random.Generator) -> None:
    """As draws from wide priors have under a log link."""
    poisson = bmx.families.Poisson()
    model = bmx.Model("y ~ 1", {"y": [0, 1, 2, 3]}, family=poisson)
    eta = np.array([0.0, 40.0, 800.0, 800.0])
    with np.errstate(over="ignore"):
        found = poisson.simulate(eta, {}, model.rows, rng)
    assert np.isinf(found[2:]).all()
    assert found[1] == pytest.approx(np.exp(40.0), rel=1e-6)


@pytest.mark.parametrize("name", CENSORED)
def test_censored_and_truncated_densities(name: str, rng: np.random.Generator) -> None:
    family, parameters = make(name, "")
    n = 40
    eta = linear_predictor(family, n, rng)
    base = scipy_distribution(family, eta, np.ones(n))
    y = np.asarray(base.rvs(random_state=3), dtype=float)
    step = 1 if family.discrete else 0
    status = rng.choice([-1.0, 0, 1], n)
    lp = family.log_prob(y, eta, parameters)
    found = family.log_prob(y, eta, parameters, {"status": status})
    expected = np.select([status > 0, status < 0], [base.logsf(y - step), base.logcdf(y)], lp)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)

    low, high = np.quantile(y, [0.2, 0.9])
    if family.discrete:
        low, high = max(np.floor(low), 1), np.ceil(high)
    y = np.clip(y, low, high)
    for rows, log_inside in (
        ({"lower": np.full(n, low)}, base.logsf(low - step)),
        ({"upper": np.full(n, high)}, base.logcdf(high)),
        (
            {"lower": np.full(n, low), "upper": np.full(n, high)},
            np.log(base.cdf(high) - base.cdf(low - step)),
        ),
    ):
        found = family.log_prob(y, eta, parameters, rows)
        expected = family.log_prob(y, eta, parameters) - log_inside
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
        drawn = family.simulate(np.broadcast_to(eta, (50, n)), parameters, rows, rng)
        assert np.all(drawn >= rows.get("lower", -np.inf))
        assert np.all(drawn <= rows.get("upper", np.inf))
        assert np.isneginf(family.log_prob(high + 1 + 0 * y, eta, parameters, rows)).all() or (
            "upper" not in rows
        )


@pytest.mark.parametrize("name", ["gaussian", "gamma", "poisson"])
def test_truncation_far_out_draws_from_the_tail(name: str, rng: np.random.Generator) -> None:
    """Rejection would wait for ever; the distribution of the draws is still exact."""
    family, parameters = make(name, "")
    eta = np.zeros(2000)
    base = scipy_distribution(family, eta[:1], np.ones(1))
    low = np.ceil(base.isf(1e-7))[0]
    drawn = family.simulate(eta, parameters, {"lower": np.full(2000, low)}, rng)
    step = 1 if family.discrete else 0
    median = float(base.isf(base.sf(low - step) / 2)[0])
    above = np.mean(drawn > median)
    exact = float(base.sf(median)[0] / base.sf(low - step)[0])
    assert abs(above - exact) < 4.5 * np.sqrt(exact * (1 - exact) / 2000)


def test_where_no_probability_is_left_the_near_limit_is_drawn(rng: np.random.Generator) -> None:
    limits = {"lower": np.full(2, 5.0), "upper": np.full(2, 7.0)}
    drawn = FAMILIES["poisson"]().simulate(np.array([9.0, -200]), {}, limits, rng)
    np.testing.assert_array_equal(drawn, [7, 5])


def test_a_mean_that_the_link_makes_impossible_has_no_replicate(rng: np.random.Generator) -> None:
    family = FAMILIES["poisson"](link="identity")
    y = family.simulate(np.array([-1.0, 3.0]), {}, {}, rng)
    assert np.isnan(y[0])
    assert y[1] >= 0
    assert np.isneginf(family.log_prob(np.array([1.0]), np.array([-1.0]), {}))[0]


def test_a_right_censored_value_far_out_keeps_its_tail() -> None:
    """log(1 - cdf) would be minus infinity."""
    lp = FAMILIES["gamma"]().log_prob(
        np.array([300.0]), np.zeros(1), {"alpha": 2.0}, {"status": np.ones(1)}
    )
    np.testing.assert_allclose(lp, stats.gamma(2, scale=0.5).logsf(300), rtol=1e-10)


def test_the_exponent_multiplies() -> None:
    family, parameters = make("poisson", "log")
    y, eta, w = np.array([3.0, 4, 0]), np.array([0.1, 1.2, 2]), np.array([2.0, 0.5, 0])
    plain = family.log_prob(y, eta, parameters)
    np.testing.assert_allclose(family.log_prob(y, eta, parameters, {"exponent": w}), w * plain)


WRAPPED: list[tuple[str, str]] = [
    ("gamma", "censored(positive, status)"),
    ("poisson", "truncated(count, None, 30)"),
    ("student_t", "truncated(real, -4, 9)"),
    ("gaussian", "weighted(censored(real, status), w)"),
    ("binomial", "weighted(proportion(k, m), w)"),
    ("cumulative", "weighted(grade, w)"),
]


@pytest.mark.parametrize(
    ("name", "link", "left"),
    [*((name, link, LEFT_SIDE[name]) for name, link in CASES), *((n, "", le) for n, le in WRAPPED)],
)
def test_the_pymc_model_has_this_density_and_these_priors(name: str, link: str, left: str) -> None:
    model = model_of(name, link, left)
    pm_model = model.pymc_model
    logp = pm_model.compile_logp(mode="FAST_COMPILE")
    start = dict(pm_model.initial_point())
    if model.family.mean_is_positive and model.family.link in {"identity", "inverse", "sqrt"}:
        start["intercept_at_means"] = np.asarray(1.4)
    rng = np.random.default_rng(8)

    def expected(point: dict[str, Any]) -> float:
        """Likelihood and normal priors, the parts that move with the effects."""
        design = model.design
        parameters, eta = {}, np.zeros(design.n_obs)
        slope = point["beta" if "beta" in point else "coefficients"]
        x = design.mu.X[:, -1] - design.mu.X[:, -1].mean()
        eta = eta + x * slope[0]
        prior = model.prior_entries.coefficients[0].prior.parameters
        total = stats.norm(prior["mu"], prior["sigma"]).logpdf(slope[0])
        if model.prior_entries.intercept is not None:
            prior = model.prior_entries.intercept.prior.parameters
            total += stats.norm(prior["mu"], prior["sigma"]).logpdf(point["intercept_at_means"])
            eta = eta + point["intercept_at_means"]
        eta = eta + (np.exp(point["sd_g_log__"]) * point["z_g"])[design.mu.groups[0].index, 0]
        total += stats.norm.logpdf(point["z_g"]).sum()
        for p in model.family.parameters:
            if f"{p}_log__" in point:
                parameters[p] = np.exp(point[f"{p}_log__"])
            elif f"{p}_logodds__" in point:
                parameters[p] = 1 / (1 + np.exp(-point[f"{p}_logodds__"]))
            elif p in point or f"{p}_at_means" in point:
                parameters[p] = point[p if p in point else f"{p}_at_means"]
            else:
                raw = point[f"{p}_at_means_ordered__"]
                parameters[p] = raw[0] + np.concatenate([[0], np.cumsum(np.exp(raw[1:]))])
        return float(total + model.family.log_prob(model.y, eta, parameters, model.rows).sum())

    def moved(by: float) -> dict[str, Any]:
        names = ("intercept_at_means", "coefficients", "beta", "z_g")
        return {
            key: np.asarray(value) + (by * rng.uniform(0, 0.2, np.shape(value)))
            if key in names
            else value
            for key, value in start.items()
        }

    for _ in range(2):
        one, two = moved(1.0), moved(2.0)
        change = expected(two) - expected(one)
        assert logp(two) - logp(one) == pytest.approx(change, rel=1e-8, abs=1e-9)


def test_the_parameters_of_the_cases_are_all_there() -> None:
    assert set(LEFT_SIDE) == set(FAMILIES)
    assert {p for family in ORDINARY.values() for p in family().parameters} == set(PARAMETERS)
