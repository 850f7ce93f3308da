"""Predictions at the mode of Laplace's approximation; glmmTMB's are in tests/reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import bayesmix as bmx
from bayesmix import families
from bayesmix.errors import DataError, NotSupportedError, SeparationWarning
from bayesmix.results.laplace_fit import LaplaceFit


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    n = 500
    h, w = rng.integers(0, 12, n), rng.integers(0, 3, n)
    x = rng.normal(size=n)
    eta = 0.4 + 0.6 * x + rng.normal(0, 0.8, 12)[h] + rng.normal(0, 1.0, 36)[3 * h + w]
    return pd.DataFrame(
        {
            "x": x, "h": [f"h{k}" for k in h], "w": [f"w{k}" for k in w],
            "hours": rng.uniform(1, 4, n), "m": rng.integers(1, 9, n),
            "won": (rng.random(n) < special.expit(eta)).astype(int),
            "count": rng.poisson(np.exp(eta)), "size": rng.gamma(3, np.exp(eta) / 3),
        }
    ).assign(k=lambda d: rng.binomial(d["m"], special.expit(eta)))  # fmt: skip


@pytest.fixture(scope="module")
def nested(data: pd.DataFrame) -> LaplaceFit:
    fit = bmx.Model("won ~ x + (1 | h/w)", data, family="bernoulli").fit_eb()
    assert isinstance(fit, LaplaceFit)
    return fit


def test_the_error_of_a_row_agrees_with_that_of_the_coefficients(nested: LaplaceFit) -> None:
    """At x = 0 the linear predictor of a known hospital's new ward is h's coefficient."""
    rows = pd.DataFrame(
        {"x": 0.0, "h": nested.model.design.mu.group("h").levels.labels, "w": "new"}
    )
    table = nested.predict(rows, kind="linear")
    coefficients = nested.group_coefficients("h")
    ward_sd = nested.variance_components().query("group == 'h:w'")["sd"].iloc[0]
    np.testing.assert_allclose(table["estimate"], coefficients["estimate"])
    np.testing.assert_allclose(table["sd"] ** 2, coefficients["sd"] ** 2 + ward_sd**2)


def test_means_go_through_the_inverse_link(nested: LaplaceFit, data: pd.DataFrame) -> None:
    linear, mean = nested.predict(data, kind="linear"), nested.predict(data)
    p = special.expit(linear)
    for column in ("lower", "upper"):
        np.testing.assert_allclose(mean[column], p[column])
    # The estimate averages over the group effects, and so to the data's mean.
    typical = nested.predict(data, groups="population")
    np.testing.assert_allclose(
        typical["estimate"],
        special.expit(nested.predict(data, kind="linear", groups="population")["estimate"]),
    )
    assert mean["estimate"].mean() == pytest.approx(data["won"].mean(), abs=1e-3)
    slope = p["estimate"] * (1 - p["estimate"])
    np.testing.assert_allclose(mean["sd"], slope * linear["sd"], rtol=1e-6)
    pd.testing.assert_frame_equal(nested.fitted(), mean)
    pd.testing.assert_frame_equal(nested.predict(), mean)


def test_new_missing_and_partly_new_levels(nested: LaplaceFit) -> None:
    rows = pd.DataFrame({"x": 0.3, "h": ["h1", "h1", "new", None], "w": ["w1", None, "w1", None]})
    linear = nested.predict(rows, kind="linear")
    sd = nested.variance_components().set_index("group")["sd"]
    typical = nested.predict(rows[["x"]], kind="linear", groups="population")
    np.testing.assert_allclose(linear["estimate"][2:], typical["estimate"][2:])
    total = typical["sd"] ** 2 + sd["h"] ** 2 + sd["h:w"] ** 2
    np.testing.assert_allclose(linear["sd"][2:] ** 2, total[2:])
    assert linear["sd"][0] < linear["sd"][1] < linear["sd"][2]
    with pytest.raises(DataError, match="no column `h`"):
        nested.predict({"x": [0.0]})


def test_draws_have_the_moments_of_the_normal_distribution(nested: LaplaceFit) -> None:
    rows = pd.DataFrame(
        {"x": 0.3, "h": ["h1", "h1", "h1", "new", "new"], "w": ["w1", "w1", None, "w1", "w1"]}
    )
    draws = nested.predict_draws(rows, kind="linear", draws=8000, seed=3).values[0]
    table = nested.predict(rows, kind="linear")
    error = table["sd"] / np.sqrt(8000)
    assert (np.abs(draws.mean(axis=0) - table["estimate"]) < 4 * error).all()
    np.testing.assert_allclose(draws.std(axis=0), table["sd"], rtol=0.04)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_array_equal(draws[:, 3], draws[:, 4])
    again = nested.predict_draws(rows.iloc[[3]], kind="linear", draws=8000, seed=3)
    np.testing.assert_allclose(again.values[0, :, 0], draws[:, 3])
    assert nested.predict_draws(rows, draws=7).sizes == {"chain": 1, "draw": 7, "row": 5}
    with pytest.raises(NotSupportedError, match="draws=0"):
        nested.predict_draws(rows, draws=0)


def test_a_normal_fit_has_draws_too() -> None:
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    rows = pd.DataFrame({"Days": [0.0, 9.0, 5.0], "Subject": ["308", "308", "new"]})
    for kind in ("mean", "response"):
        draws = eb.predict_draws(rows, kind=kind, draws=8000).values[0]
        table = eb.predict(rows, kind=kind)
        np.testing.assert_allclose(draws.mean(axis=0), table["estimate"], atol=2)
        np.testing.assert_allclose(draws.std(axis=0), table["sd"], rtol=0.04)


def test_the_average_over_groups_is_an_integral(nested: LaplaceFit) -> None:
    rows = {"x": [-1.0, 0.5]}
    table = nested.predict({**rows, "h": [None] * 2, "w": [None] * 2}, marginal=True)
    sd = np.sqrt((nested.variance_components().query("group != 'Residual'")["sd"] ** 2).sum())
    eta = nested.predict(rows, kind="linear", groups="population")

    def average(at: float) -> float:
        found, _ = integrate.quad(lambda u: special.expit(at + sd * u) * stats.norm.pdf(u), -9, 9)
        return float(found)

    for column in ("estimate", "lower", "upper"):
        np.testing.assert_allclose(table[column], [average(v) for v in eta[column]], rtol=1e-6)
    slope = [(average(v + 1e-3) - average(v - 1e-3)) / 2e-3 for v in eta["estimate"]]
    np.testing.assert_allclose(table["sd"], np.multiply(slope, eta["sd"]), rtol=1e-4)


def test_an_observation_varies_more_than_its_mean(data: pd.DataFrame) -> None:
    text = "proportion(k, m) ~ x + (1 | h)"
    fit = bmx.Model(text, data, family="binomial").fit_eb()
    rows = data[["x", "h", "m"]].head(40).assign(m=30)
    mean, drawn = fit.predict(rows), fit.predict(rows, kind="response", draws=4000)
    np.testing.assert_allclose(drawn["estimate"], mean["estimate"], rtol=0.05)
    p = mean["estimate"] / 30
    np.testing.assert_allclose(drawn["sd"], np.sqrt(30 * p * (1 - p) + mean["sd"] ** 2), rtol=0.06)
    draws = fit.predict_draws(rows, kind="response", draws=50).values
    assert set(np.unique(draws)) <= set(range(31))
    pd.testing.assert_frame_equal(drawn, fit.predict(rows, kind="response", draws=4000))
    other = fit.predict(rows, kind="response", draws=4000, seed=8)
    assert not drawn.equals(other)
    with pytest.raises(DataError, match="trials"):
        fit.predict(rows.drop(columns="m"))
    # Each row from a group of its own varies more than one from a typical group.
    own = fit.predict(rows, kind="response", marginal=True, draws=4000)
    typical = fit.predict(rows, kind="response", groups="population", draws=4000)
    assert (own["sd"] > 1.1 * typical["sd"]).all()


def test_an_exposure_multiplies_the_expected_count(data: pd.DataFrame) -> None:
    text = "count ~ x + offset(np.log(hours)) + (1 | h)"
    fit = bmx.Model(text, data, family="poisson").fit_eb()
    rows = pd.DataFrame({"x": 0.0, "h": "h1", "hours": [1.0, 10.0]})
    table = fit.predict(rows)
    np.testing.assert_allclose(table.loc[1], 10 * table.loc[0], rtol=1e-6)


def test_residuals_of_a_right_model_look_normal(data: pd.DataFrame) -> None:
    fit = bmx.Model("size ~ x + (1 | h)", data, family="gamma").fit_eb()
    y = fit.simulate(seed=5)["sim_1"]
    again = bmx.Model("size ~ x + (1 | h)", data.assign(size=y), family="gamma").fit_eb()
    response = again.residuals()
    at_modes = np.exp(again.predict(kind="linear")["estimate"])
    np.testing.assert_allclose(response + at_modes, y)
    alpha = again.family_parameters()["estimate"][0]
    expected = response / (at_modes / np.sqrt(alpha))
    np.testing.assert_allclose(again.residuals("pearson"), expected)
    quantile = again.residuals("quantile")
    assert stats.kstest(quantile, "norm").pvalue > 0.01
    pd.testing.assert_series_equal(quantile, again.residuals("quantile"))
    with pytest.raises(NotSupportedError, match="'wrong'"):
        again.residuals("wrong")  # type: ignore[arg-type]


def test_replicates_keep_or_redraw_the_groups(data: pd.DataFrame) -> None:
    fit = bmx.Model("count ~ x + (1 | h)", data, family="poisson").fit_eb()
    same, new = fit.simulate(300, seed=1), fit.simulate(300, new_groups=True, seed=1)
    pd.testing.assert_frame_equal(same, fit.simulate(300, seed=1))
    np.testing.assert_allclose(same.mean(axis=1).mean(), fit.fitted()["estimate"].mean(), rtol=0.02)
    np.testing.assert_allclose(same.var(axis=1) / fit.fitted()["estimate"], 1.0, rtol=0.5)
    by_level = new.groupby(data["h"]).mean().std(axis=1).mean()
    assert by_level > 3 * same.groupby(data["h"]).mean().std(axis=1).mean()
    with pytest.raises(NotSupportedError, match="n=0"):
        fit.simulate(0)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("count ~ x + (1 | h)", families.Poisson(link="sqrt")),
        ("size ~ 1 + (1 | h)", families.Gamma(link="inverse")),
    ],
)
def test_intervals_under_links_that_turn_at_zero(
    text: str, family: families.Family, data: pd.DataFrame
) -> None:
    fit = bmx.Model(text, data, family=family).fit_eb()
    rows = pd.DataFrame({"x": [0.0, -2.0], "h": ["h1", None]})
    table = fit.predict(rows, ci_prob=0.999999)
    linear = fit.predict(rows, kind="linear", ci_prob=0.999999)
    assert (table["lower"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["upper"]).all()
    around = (linear["lower"] < 0) & (linear["upper"] > 0)
    assert around[1]
    assert (table["lower"][1] == 0) if family.link == "sqrt" else (table["upper"][1] == np.inf)


def test_at_a_boundary_and_under_separation() -> None:
    d = pd.DataFrame({"g": np.repeat(list("abcdef"), 10), "x": np.tile([0, 1], 30), "y": 0})
    d.loc[[3, 33], "y"] = 1
    fit = bmx.Model("y ~ 1 + (1 | g)", d, family="bernoulli").fit_eb()
    table = fit.predict(d)
    np.testing.assert_allclose(table["estimate"], 2 / 60, rtol=1e-4)
    np.testing.assert_allclose(fit.predict(d, groups="population")["sd"], table["sd"])
    with pytest.warns(SeparationWarning):
        split = bmx.Model("y ~ x + (1 | g)", d.assign(y=d["x"]), family="bernoulli").fit_eb()
    found = split.predict(d)
    np.testing.assert_allclose(found["estimate"], d["x"], atol=1e-3)
    assert found[["sd", "lower", "upper"]].isna().all(axis=None)  # every row is separated
    assert split.predict(d, kind="response")["estimate"].between(0, 1).all()


def test_arguments_out_of_range_are_named(nested: LaplaceFit) -> None:
    for options, match in (
        ({"kind": "odds"}, "kind='odds'"),
        ({"groups": "all"}, "groups='all'"),
        ({"ci_prob": 2}, "ci_prob=2"),
        ({"kind": "response", "seed": -1}, "seed=-1"),
    ):
        with pytest.raises(NotSupportedError, match=match):
            nested.predict(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("family", "link"), [("poisson", np.exp), ("bernoulli", special.expit)])
def test_the_spread_of_a_new_level_is_that_of_its_means(
    family: str, link: Callable[[np.ndarray], np.ndarray]
) -> None:
    """By integration over the normal distribution of the linear predictor."""
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(60), 5), rng.normal(size=300)
    eta = 0.5 + 0.3 * x + 1.5 * rng.normal(size=60)[g]
    y = rng.poisson(np.exp(eta)) if family == "poisson" else rng.binomial(1, special.expit(eta))
    data = pd.DataFrame({"g": g, "x": x, "y": y})
    eb = bmx.Model("y ~ x + (1 | g)", data, family=family).fit_eb()
    new = pd.DataFrame({"x": [0.0, 1.0], "g": ["new", None]})
    linear, found = eb.predict(new, kind="linear"), eb.predict(new)
    for k in range(2):
        nodes = np.linspace(-12, 12, 20_001)
        mean = link(linear["estimate"][k] + linear["sd"][k] * nodes)
        weight = stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
        center = weight @ mean
        by_hand = np.sqrt(weight @ (mean - center) ** 2)
        np.testing.assert_allclose(found["sd"][k], by_hand, rtol=1e-6)
        assert found["estimate"][k] == pytest.approx(center, rel=0.03)  # beta is known there
