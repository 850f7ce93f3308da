"""Responses drawn from models that are stated by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError

SLEEP = {
    "Intercept": 251.0, "day": 10.5, "sd(subject, Intercept)": 24.0, "sd(subject, day)": 6.0,
    "corr(subject, Intercept, day)": 0.4, "sigma": 25.0,
}  # fmt: skip


def test_factors_cross_and_nest() -> None:
    frame = bmx.design(subject=12, day=range(3), replicates=2)
    assert frame.shape == (72, 2)
    assert frame["subject"].unique().tolist()[:2] == ["01", "02"]
    nested = bmx.design(
        school=2, room=2, pupil=3, arm=["a", "b"], nested={"pupil": "room", "room": "school"}
    )
    assert nested.groupby("pupil")[["room", "school"]].nunique().max().tolist() == [1, 1]
    assert nested["pupil"].nunique() == 12
    assert nested.groupby("pupil")["arm"].nunique().min() == 2
    between = bmx.design(subject=5, arm=["a", "b"], nested={"subject": "arm"})
    assert between.groupby("subject")["arm"].nunique().max() == 1
    assert bmx.design({"a b": 2}, c=[1.5]).columns.tolist() == ["a b", "c"]
    assert bmx.design.Design.__name__ == "Design"  # the package of that name is there as well


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs columns"),
        ({"a": "text"}, "one text"),
        ({"a": []}, "no level"),
        ({"a": True}, "number of levels"),
        ({"a": 2, "nested": {"b": "a"}}, "no column 'b'"),
        ({"a": 2, "b": 2, "nested": {"a": "b", "b": "a"}}, "within itself"),
    ],
)
def test_designs_that_are_none_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        bmx.design(**given)


def test_a_fit_finds_the_numbers_again() -> None:
    frame = bmx.design(subject=800, day=range(10))
    data = bmx.simulate("rt ~ day + (day | subject)", frame, SLEEP, seed=1)
    fit = bmx.Model("rt ~ day + (day | subject)", data).fit_eb()
    found = bmx.Scenario.of_fit(fit).parameters
    assert set(found) == set(SLEEP)
    for name, tolerance in (
        ("Intercept", 3.0), ("day", 0.7), ("sd(subject, Intercept)", 2.5),
        ("sd(subject, day)", 0.5), ("corr(subject, Intercept, day)", 0.12), ("sigma", 0.6),
    ):  # fmt: skip
        assert found[name] == pytest.approx(SLEEP[name], abs=tolerance)


@pytest.mark.parametrize(
    ("formula", "frame", "numbers", "family"),
    [
        ("k ~ x + (1 | g)", {"g": 300, "x": [0, 1]}, {"Intercept": 0.5, "x": 0.4, "sd(g)": 0.6},
         "poisson"),
        ("k ~ x + (1 | g)", {"g": 300, "x": [0, 1, 2]},
         {"Intercept": 1.0, "x": 0.4, "sd(g)": 0.5, "alpha": 3.0}, "negative_binomial"),
        ("k ~ x + (1 | g)", {"g": 300, "x": [0, 1] * 4},
         {"Intercept": 0.5, "x": -0.8, "sd(g)": 0.7}, "bernoulli"),
        ("k ~ x + (1 | g)", {"g": 300, "x": [0, 1]},
         {"Intercept": 0.5, "x": -0.8, "sd(g)": 0.7, "alpha": 4.0}, "gamma"),
    ],
)  # fmt: skip
def test_other_families_are_drawn(
    formula: str, frame: dict[str, Any], numbers: dict[str, float], family: str
) -> None:
    data = bmx.simulate(formula, bmx.design(**frame), numbers, family, seed=3)
    table = bmx.Model(formula, data, family=family).fit_eb().fixed_effects()
    error = table["estimate"] - [numbers["Intercept"], numbers["x"]]
    assert (error.abs() < 3.5 * table["sd"]).all()


def test_categories_and_trials() -> None:
    numbers = {"x": 0.8, "sd(g)": 0.7, "thresholds[low|mid]": -1, "thresholds[mid|high]": 1}
    data = bmx.simulate("y ~ x + (1 | g)", bmx.design(g=50, x=[0, 1]), numbers, "cumulative",
                        seed=2)  # fmt: skip
    assert data["y"].cat.categories.tolist() == ["low", "mid", "high"]
    with pytest.raises(ArgumentError, match=r"thresholds\[low\|mid\]"):
        bmx.simulate("y ~ x + (1 | g)", bmx.design(g=5, x=[0, 1]), {"x": 1}, "cumulative")
    trials = bmx.design(g=50, x=[0, 1]).assign(n=10)
    data = bmx.simulate("proportion(s, n) ~ x + (1 | g)", trials,
                        {"Intercept": 0, "x": 1, "sd(g)": 0.5}, "binomial", seed=2)  # fmt: skip
    assert data["s"].between(0, 10).all()
    assert data.groupby("x")["s"].mean().diff()[1] > 1


def test_structures_of_effects_and_residuals() -> None:
    frame = bmx.design(g=150, day=range(6))
    formula = ["y ~ day + (1 | g)", "residual ~ ar1(day | g)"]
    numbers = {"Intercept": 0, "day": 0.3, "sd(g)": 0.8, "sigma": 1, "rho_residual": 0.5}
    fit = bmx.Model(formula, bmx.simulate(formula, frame, numbers, seed=2)).fit_eb()
    row = fit.covariance_parameters().iloc[0]
    assert abs(row["estimate"] - 0.5) < 4 * row["sd"]
    numbers = {"Intercept": 0, "sd(g)": 1.5, "rho(g)": 0.7, "sigma": 0.5}
    data = bmx.simulate("y ~ 1 + ar1(day | g)", frame, numbers, seed=2)
    lag = data.pivot_table(index="g", columns="day", values="y").corr().to_numpy()
    expected = 1.5**2 * 0.7 / (1.5**2 + 0.5**2)
    assert np.diag(lag, 1).mean() == pytest.approx(expected, abs=0.08)
    unstructured = bmx.Model(["y ~ 1", "residual ~ us(day | g)"], data).fit_eb()
    own = bmx.Scenario.of_fit(unstructured).parameters
    again = bmx.simulate(["y ~ 1", "residual ~ us(day | g)"], frame, own, seed=1)
    one, other = (
        d.pivot_table(index="g", columns="day", values="y").cov().to_numpy() for d in (data, again)
    )
    assert np.abs(one - other).max() < 1.0


def test_seeds_and_several_data_sets() -> None:
    scenario = bmx.Scenario(
        "rt ~ day + (day | subject)", bmx.design(subject=4, day=range(3)), SLEEP
    )
    one, two = scenario.simulate(2, seed=5), scenario.simulate(2, seed=5)
    pd.testing.assert_frame_equal(one, two)
    assert one["simulation"].tolist() == [1] * 12 + [2] * 12
    assert not one["rt"][:12].equals(one["rt"][12:].reset_index(drop=True))
    assert "sigma = 25" in str(scenario)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sigma": None}, "no value of sigma; needed are Intercept, day, sd"),
        ({"dya": 1}, "no parameter 'dya'; did you mean 'day'"),
        ({"sigma": -1}, "sigma = -1.0 must be above zero"),
        ({"sd(subject, day)": -1}, "must not be negative"),
        ({"corr(subject, Intercept, day)": 1.5}, "no covariance"),
        ({"sigma": "wide"}, "no number"),
        ({"sigma": np.inf}, "not finite"),
    ],
)
def test_numbers_that_state_no_model_are_refused(change: dict[str, Any], words: str) -> None:
    numbers = {k: v for k, v in {**SLEEP, **change}.items() if v is not None}
    with pytest.raises(ArgumentError, match=words):
        bmx.simulate("rt ~ day + (day | subject)", bmx.design(subject=4, day=range(3)), numbers)


def test_the_response_is_a_column() -> None:
    with pytest.raises(ArgumentError, match="no column"):
        bmx.simulate("np.log(y) ~ 1", bmx.design(x=9), {"Intercept": 0, "sigma": 1})
    numbers = {"Intercept": 2, "sigma": 1}
    drawn = bmx.simulate("`reaction time` ~ 1", bmx.design(x=9), numbers, seed=1)
    plain = bmx.simulate("y ~ 1", bmx.design(x=9), numbers, seed=1)
    assert drawn["reaction time"].tolist() == plain["y"].tolist()


def test_posteriors_give_their_draws_one_after_the_other(sleepstudy: pd.DataFrame) -> None:
    model = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy)
    prior = model.fit(draws=30, chains=1, seed=1, prior_only=True, progress=False)
    scenario = bmx.Scenario.of_fit(prior)
    sigma = prior._law.parameters["sigma"][0]
    spread = [
        np.std(scenario.response((1, k), k) - scenario.response((2, k), k)) for k in range(30)
    ]
    assert np.corrcoef(np.log(spread), np.log(sigma))[0, 1] > 0.5
    assert scenario.parameters["sigma"] == pytest.approx(sigma.mean())
