"""Averages beyond the normal are those of predict(), with effects as skewed as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix import families
from bayesmix.errors import SeparationWarning
from bayesmix.laws.given_data import EffectsGivenData
from bayesmix.results.laplace_fit import LaplaceFit

NUMBERS = ["estimate", "sd", "lower", "upper"]
THESE = {"groups": "conditional"}
GRID = np.linspace(-9, 9, 4001)


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    """Counts in groups of two rows, whose effects are anything but normal."""
    rng = np.random.default_rng(1)
    n_groups, n = 400, 800
    g = np.repeat(np.arange(n_groups), 2)
    t = np.where(rng.integers(0, 2, n), "new", "old")
    mean = np.exp(-1 + 0.5 * (t == "new") + 1.2 * rng.normal(size=n_groups)[g])
    return pd.DataFrame({"g": g, "t": t, "y": rng.poisson(mean)})


@pytest.fixture(scope="module")
def fit(pairs: pd.DataFrame) -> LaplaceFit:
    found = bmx.Model("y ~ t + (1 | g)", pairs, family="poisson").fit_eb()
    assert isinstance(found, LaplaceFit)
    return found


def fixed_part(fit: LaplaceFit, t: np.ndarray) -> np.ndarray:
    beta = fit.fixed_effects()["estimate"].to_numpy()
    return beta[0] + beta[1] * (t == "old")


def expected_given_y(fit: LaplaceFit, pairs: pd.DataFrame, t: np.ndarray) -> np.ndarray:
    """E[mu | y] of each row at the estimates, with other treatments, by a fine grid."""
    sd = fit.variance_components()["sd"].iloc[0]
    eta = fixed_part(fit, pairs["t"].to_numpy())[:, None] + sd * GRID
    rows = pairs["y"].to_numpy()[:, None] * eta - np.exp(eta)
    log = rows[0::2] + rows[1::2] - GRID**2 / 2
    p = np.exp(log - log.max(axis=1, keepdims=True))
    p = np.repeat(p / p.sum(axis=1, keepdims=True), 2, axis=0)
    found: np.ndarray = (p * np.exp(fixed_part(fit, t)[:, None] + sd * GRID)).sum(axis=1)
    return found


def test_predictions_are_expected_means_given_the_data(
    fit: LaplaceFit, pairs: pd.DataFrame
) -> None:
    exact = expected_given_y(fit, pairs, pairs["t"].to_numpy())
    np.testing.assert_allclose(fit.predict()["estimate"], exact, rtol=1e-5)
    np.testing.assert_allclose(fit.fitted()["estimate"], exact, rtol=1e-5)
    average = fit.predictions()
    assert average["estimate"][0] == pytest.approx(fit.predict()["estimate"].mean(), rel=1e-12)
    assert average["estimate"][0] == pytest.approx(0.9074, abs=1e-4)  # the data's: 0.910
    assert average["lower"][0] < pairs["y"].mean() < average["upper"][0]
    pd.testing.assert_frame_equal(fit.predictions(by=False), fit.predict())
    # What is simulated has the same mean.
    drawn = fit.predict(kind="response", draws=2000)["estimate"].mean()
    assert drawn == pytest.approx(average["estimate"][0], abs=4 * average["sd"][0] / 2000**0.5)


def test_comparisons_are_differences_of_predictions(fit: LaplaceFit, pairs: pd.DataFrame) -> None:
    new, old = (expected_given_y(fit, pairs, np.full(800, t)) for t in ("new", "old"))
    table = fit.comparisons("t", **THESE)
    assert table["estimate"][0] == pytest.approx((old - new).mean(), rel=1e-5)
    assert table["estimate"][0] == pytest.approx(-0.5365, abs=1e-3)
    ratio = fit.comparisons("t", compare="ratio", **THESE)["estimate"][0]
    assert ratio == pytest.approx(old.mean() / new.mean(), rel=1e-5)
    rows = fit.comparisons("t", by=False, **THESE)
    np.testing.assert_allclose(rows["estimate"], old - new, rtol=1e-5)
    # The typical group's mean is the inverse link of the fixed part, and known as well.
    typical = fit.comparisons("t")
    ends = np.exp(fixed_part(fit, np.array(["new", "old"])))
    assert typical["estimate"][0] == pytest.approx(ends[1] - ends[0])


def test_scores_vanish_so_that_averages_are_the_datas(pairs: pd.DataFrame) -> None:
    """At the maximum of the likelihood sum(y - E[mu | y]) = 0, in each level of a factor."""
    exact = bmx.Model("y ~ t + (1 | g)", pairs, family="poisson").fit_eb(n_quadrature=31)
    table = exact.predictions(by="t", **THESE)
    np.testing.assert_allclose(table["estimate"], pairs.groupby("t")["y"].mean(), rtol=1e-3)


@pytest.mark.parametrize("seed", [1])
def test_two_engines_agree(fit: LaplaceFit, seed: int) -> None:
    post = fit.model.fit(seed=seed, chains=2, draws=500, tune=500, progress=False)
    for call in (
        lambda f: f.predictions(),
        lambda f: f.comparisons("t", **THESE),
        lambda f: f.comparisons("t"),
        lambda f: f.predictions(by="t"),
    ):
        ours, theirs = call(fit), call(post)
        assert (np.abs(ours["estimate"] - theirs["estimate"]) < 0.4 * theirs["sd"]).all()
        np.testing.assert_allclose(ours["sd"], theirs["sd"], rtol=0.2)


def test_an_unknown_group_has_the_average_over_groups(fit: LaplaceFit) -> None:
    rows = pd.DataFrame({"t": ["new", "old"], "g": ["none", None]})
    found, average = fit.predict(rows), fit.predict(rows, marginal=True)
    np.testing.assert_allclose(found["estimate"], average["estimate"], rtol=1e-9)


def test_a_separated_level_is_averaged_at_its_own_end() -> None:
    rng = np.random.default_rng(1)
    f = np.repeat(np.arange(50), 20)
    c = np.array(list("abcd"))[np.arange(1000) % 4]
    y = rng.binomial(1, special.expit(rng.normal(size=50)[f])) * (c != "c")
    data = pd.DataFrame({"f": f, "c": c, "y": y})
    with pytest.warns(SeparationWarning):
        eb = bmx.Model("y ~ c + (1 | f)", data, family="bernoulli").fit_eb()
    table = eb.predictions(by="c", **THESE).set_index("c")
    np.testing.assert_allclose(table["estimate"], data.groupby("c")["y"].mean(), atol=0.01)
    assert table["estimate"]["c"] < 1e-6
    assert table.loc[["a", "b", "d"], "sd"].between(0.02, 0.04).all()
    assert table.loc["c", ["sd", "lower", "upper"]].isna().all()  # flat: nothing is known
    differences = eb.comparisons("c", **THESE).set_index("contrast")
    assert differences["estimate"]["c - a"] == pytest.approx(-table["estimate"]["a"], abs=1e-6)
    assert differences["sd"]["b - a"] == pytest.approx(0.04, abs=0.01)


@pytest.fixture(scope="module")
def slopes() -> LaplaceFit:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(60), 3), rng.normal(size=180)
    b = rng.normal(size=(60, 2)) * [1.2, 0.8]
    y = rng.poisson(np.exp(-0.5 + 0.4 * x + b[g, 0] + b[g, 1] * x))
    data = pd.DataFrame({"g": g, "x": x, "y": y})
    found = bmx.Model("y ~ x + (x || g)", data, family="poisson").fit_eb()
    assert isinstance(found, LaplaceFit)
    return found


def test_two_effects_agree_with_a_grid_in_the_plane(slopes: LaplaceFit) -> None:
    """Means given the data, and the spread of an average, where quadrature is by hand."""
    frame = slopes.model.design.frame
    x, y, g = (frame[name].to_numpy() for name in ("x", "y", "g"))
    beta = slopes.fixed_effects()["estimate"].to_numpy()
    sd = slopes.variance_components()["sd"].to_numpy()
    nodes = np.linspace(-6, 6, 121)
    first, second = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    exact, variance = np.empty(len(y)), 0.0
    for level in range(60):
        rows = np.flatnonzero(g == level)
        eta = (beta[0] + beta[1] * x[rows])[:, None] + sd[0] * first
        eta = eta + np.multiply.outer(x[rows], sd[1] * second)
        log = (y[rows][:, None] * eta - np.exp(eta)).sum(axis=0) - (first**2 + second**2) / 2
        p = np.exp(log - log.max())
        p /= p.sum()
        exact[rows] = np.exp(eta) @ p
        total = np.exp(eta).sum(axis=0)
        variance += p @ total**2 - (p @ total) ** 2
    at_modes = np.exp(slopes.predict(kind="linear")["estimate"])
    found = slopes.predict()["estimate"]
    off, off_at_modes = np.abs(np.log(found / exact)), np.abs(np.log(at_modes / exact))
    assert off.mean() < 0.03
    assert off.mean() < off_at_modes.mean() / 4
    assert slopes.predictions()["estimate"][0] == pytest.approx(exact.mean(), rel=2e-3)
    # Draws at fixed parameters have these moments.
    given = EffectsGivenData(slopes._law)
    draws = given._sampled["g"]
    eta = (beta[0] + beta[1] * x)[:, None] + draws[0, g] + draws[1, g] * x[:, None]
    averages = np.exp(eta).mean(axis=0)
    spread = np.sqrt(variance) / len(y)
    assert averages.mean() == pytest.approx(exact.mean(), abs=4 * spread / np.sqrt(len(averages)))
    assert averages.std() == pytest.approx(spread, rel=0.1)


def test_draws_of_one_effect_have_the_law_of_the_grid(fit: LaplaceFit, pairs: pd.DataFrame) -> None:
    given = EffectsGivenData(fit._law)
    sd = fit.variance_components()["sd"].iloc[0]
    eta = fixed_part(fit, pairs["t"].to_numpy())
    drawn = given._sampled["g"][0] / sd
    for level in (0, 17, int(pairs.groupby("g")["y"].sum().idxmax())):
        rows = [2 * level, 2 * level + 1]
        at = eta[rows][:, None] + sd * GRID
        log = (pairs["y"].to_numpy()[rows][:, None] * at - np.exp(at)).sum(axis=0) - GRID**2 / 2
        cdf = np.cumsum(np.exp(log - log.max()))
        uniform = np.interp(drawn[level], GRID, cdf / cdf[-1])
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("left", "family"),
    [
        ("won", "bernoulli"),
        ("won", families.Bernoulli(link="cloglog")),
        ("proportion(k, m)", "binomial"),
        ("count", families.Poisson(link="sqrt")),
        ("count", "negative_binomial"),
        ("size", "gamma"),
        ("size", families.Gamma(link="inverse")),
        ("share", "beta"),
    ],
)
def test_an_average_is_that_of_predict_in_every_family(left: str, family: str) -> None:
    rng = np.random.default_rng(8)
    g, h, x = np.arange(120) % 20, rng.integers(0, 5, 120), rng.normal(size=120)
    eta = 0.6 * rng.normal(size=20)[g] + 0.3 * x + 0.5
    p = special.expit(eta)
    data = pd.DataFrame(
        {
            "g": g, "h": h, "x": x, "won": rng.binomial(1, p), "m": 4, "k": rng.binomial(4, p),
            "count": rng.poisson(np.exp(eta)), "size": rng.gamma(5, (2 + 0.2 * np.tanh(eta)) / 5),
            "share": np.clip(rng.beta(4 * p, 4 * (1 - p)), 0.01, 0.99),
        }
    )  # fmt: skip
    few = {"groups": "conditional", "draws": 100}
    for groups in ("(1 | g)", "(1 | g) + (1 | h)"):
        eb = bmx.Model(f"{left} ~ x + {groups}", data, family=family).fit_eb()
        new = data.assign(x=1.0)
        table = eb.predictions(at={"x": 1}, **few)
        rows = eb.predict(new)["estimate"]
        assert table["estimate"][0] == pytest.approx(rows.mean())
        assert table["lower"][0] < table["estimate"][0] < table["upper"][0]
        step = eb.comparisons("x", contrast=(0, 1), **few)["estimate"][0]
        assert step == pytest.approx((rows - eb.predict(data.assign(x=0.0))["estimate"]).mean())
        linear = eb.predictions(at={"x": 1}, kind="linear", **few)
        assert linear["estimate"][0] == pytest.approx(
            eb.predict(new, kind="linear")["estimate"].mean()
        )


@pytest.mark.filterwarnings("ignore::bayesmix.errors.SeparationWarning")
@pytest.mark.parametrize("hurdle", ["hu ~ f", "hu ~ 1"])
def test_a_level_that_says_nothing_spoils_no_other(hurdle: str) -> None:
    """Every response of level c is zero: nothing is known there of what lies behind the hurdle."""
    rng = np.random.default_rng(4)
    f = np.repeat(list("abc"), 50)
    y = np.where(rng.random(150) < 0.3, 0, rng.poisson(3, 150) + 1)
    y[f == "c"] = 0
    data = pd.DataFrame({"y": y, "f": f})
    eb = bmx.Model(["y ~ f", hurdle], data, family="hurdle_poisson").fit_eb()
    known = bmx.Model(["y ~ f", hurdle], data.query("f != 'c'"), family="hurdle_poisson").fit_eb()
    rows = data.iloc[[0, 50, 100]]
    for found in (eb.predict(rows), eb.predictions(by="f")):
        assert found.loc[found.index[2], ["sd", "lower", "upper"]].isna().all()
        if hurdle == "hu ~ f":  # else c takes part in it
            expected = known.predict(rows.iloc[:2])
            np.testing.assert_allclose(found["estimate"][:2], expected["estimate"], rtol=0.02)
            np.testing.assert_allclose(found["sd"][:2], expected["sd"], rtol=0.08)
        assert np.isfinite(found.iloc[:2][["estimate", "sd", "lower", "upper"]]).all(axis=None)
    table = eb.comparisons("f")
    assert np.isfinite(table.loc[0, ["estimate", "sd"]].astype(float)).all()
    assert np.isnan(table.loc[1, "sd"])
