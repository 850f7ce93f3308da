"""Directions along which estimates ran away, and what moves with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import bayesmix as bmx
from bayesmix.errors import SeparationWarning
from bayesmix.inference.separation import rising_directions
from bayesmix.laws.ran_away import RanAway, limits_along, ran_away_along

ALL = np.ones(3, dtype=bool)


def _of_rows(X: np.ndarray, rises: np.ndarray) -> RanAway:
    flat = rising_directions(X, rises)
    reaches = np.abs(flat).max(axis=1, initial=0.0) > 1e-9
    return ran_away_along(flat, (X * rises[:, None]) @ flat, reaches)


def test_one_direction_has_two_ways() -> None:
    gone = RanAway(directions=np.array([[1.0], [-1.0], [0.0]]), upwards=np.array([[-1.0]]))
    A = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [2, 1, 5]])
    assert gone.limits(A).tolist() == [-np.inf, np.inf, 0, 0, -np.inf]


def test_what_two_levels_differ_by_can_be_any_number() -> None:
    """Intercept and dummies of b and c; b and c have nothing but failures."""
    X = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=float).repeat(4, axis=0)
    rises = np.array([1, -1, 1, 1] + [-1] * 8, dtype=float)
    gone = _of_rows(X, rises)
    A = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, -1], [0, 1, 1], [0, -2, -1], [1, 1, 0]])
    found = gone.limits(A)
    np.testing.assert_array_equal(found, [0, -np.inf, -np.inf, np.nan, -np.inf, np.inf, -np.inf])


@pytest.mark.parametrize("outcomes", ["mx10", "0m1m", "1000", "0101", "m10m", "1x11"])
def test_limits_are_those_of_linear_programming(outcomes: str) -> None:
    """Levels of a factor with both outcomes, with one, or ("x") as a number separates them."""
    rng = np.random.default_rng(1)
    level, x = np.arange(80) % 4, rng.normal(size=80)
    X = np.column_stack([np.ones(80), np.eye(4)[level][:, 1:], x])
    y = np.where(rng.random(80) < 0.5, 1.0, -1.0)
    for k, of in enumerate(outcomes):
        own = {"m": y, "0": -np.ones(80), "1": np.ones(80), "x": np.sign(x - 0.1)}[of]
        y = np.where(level == k, own, y)
    gone = _of_rows(X, y)
    flat = gone.directions
    assert flat.shape[1]
    rows = (X * y[:, None]) @ flat
    rows = rows[np.abs(rows).max(axis=1) > 1e-9]
    A = np.concatenate([np.eye(5), rng.integers(-2, 3, (30, 5)), X[:10]])
    expected = []
    for a in A @ flat:
        # Directions of recession fill a cone; a linear function of them has one sign or two.
        ends = [
            s * optimize.linprog(s * a, A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1)).fun
            for s in (1, -1)
        ]
        low, high = (0.0 if abs(end) < 1e-8 else end for end in ends)
        some = {(False, False): 0.0, (False, True): np.inf, (True, False): -np.inf}
        expected.append(some.get((low < 0, high > 0), np.nan))
    np.testing.assert_array_equal(gone.limits(A), expected)


def test_many_rows_are_thinned_to_the_same_cone() -> None:
    rng = np.random.default_rng(1)
    rows = np.concatenate([np.eye(3), rng.random((400, 3))])
    gone = ran_away_along(np.eye(3), rows, ALL)
    assert len(gone.upwards) <= 60
    A = np.array([[0.2, 0.1, 0.7], [1, 1, -0.1], [-1, 0, -2]])
    np.testing.assert_array_equal(gone.limits(A), [np.inf, np.nan, -np.inf])
    plane = ran_away_along(np.eye(3)[:, :2], rows[:, :2], ALL)
    assert len(plane.upwards) == 2
    np.testing.assert_array_equal(plane.limits(A), [np.inf, np.inf, -np.inf])


def test_refits_without_directions_add_nothing() -> None:
    assert limits_along((None, None), np.eye(2)) is None
    gone = RanAway(directions=np.array([[1.0], [0.0]]), upwards=np.array([[1.0]]))
    found = limits_along((None, gone), np.eye(2))
    assert found is not None
    assert found.tolist() == [[0, np.inf], [0, 0]]


def test_standard_deviations_of_effects_that_reproduce_every_outcome_have_no_bound() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10), 2)
    p = 1 / (1 + np.exp(-2 * rng.normal(size=10)[g]))
    data = pd.DataFrame({"g": [f"g{i}" for i in g], "y": rng.binomial(1, p)})
    fit = bmx.Model("y ~ 1 + (1 | g)", data, family="bernoulli").fit_eb()
    with pytest.warns(SeparationWarning, match="Intercept in"):
        boot = fit.bootstrap(60, seed=1)
    sd = boot.draws()["sd(g, Intercept)"].to_numpy()
    endless = np.isinf(sd)
    assert 2 <= endless.sum() < 15  # refits in which each group has but one outcome
    assert "Intercept in" in boot.separation
    table = boot.variance_components()
    assert table["sd_upper"][0] == np.inf
    assert table["sd"][0] == pytest.approx(np.median(sd))
    half = boot.variance_components(ci_prob=0.5)  # whose tail holds them
    assert half["sd_upper"][0] == pytest.approx(np.quantile(sd, 0.75))
    row = boot.intervals().set_index("parameter").loc["sd(g, Intercept)"]
    assert row["upper"] == np.inf
    assert np.isnan(row["se"])
