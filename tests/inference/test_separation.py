"""Directions along which a likelihood rises for ever."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix import families
from bayesmix.inference.separation import rising_directions


def _ways(y: np.ndarray) -> np.ndarray:
    return np.where(y > 0, 1.0, -1.0)


def _spans(basis: np.ndarray, direction: np.ndarray) -> bool:
    left = direction - basis @ (basis.T @ direction)
    return bool(np.abs(left).max() < 1e-9)


def test_overlapping_outcomes_have_no_such_direction(rng: np.random.Generator) -> None:
    X = np.column_stack([np.ones(200), rng.normal(size=(200, 3))])
    y = rng.random(200) < 0.4
    assert rising_directions(X, _ways(y)).shape == (4, 0)
    assert rising_directions(X, _ways(y), np.abs(y - 0.4)).shape == (4, 0)


def test_complete_separation_leaves_nothing_determined(rng: np.random.Generator) -> None:
    X = np.column_stack([np.ones(50), rng.normal(size=(50, 2))])
    y = X @ [0.1, 1.0, -2.0] > 0
    assert rising_directions(X, _ways(y)).shape == (3, 3)
    # Wrong scores cannot prove that there is no such direction.
    assert rising_directions(X, _ways(y), np.full(50, 0.5)).shape == (3, 3)


def test_quasi_separation_by_a_level_leaves_the_others() -> None:
    level = np.repeat([0, 1, 2], 6)
    x = np.tile([0.0, 1, 2, 3, 4, 5], 3)
    y = np.array([0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    X = np.column_stack([np.ones(18), x, level == 1, level == 2]).astype(float)
    found = rising_directions(X, _ways(y))
    assert found.shape == (4, 1)
    assert _spans(found, np.array([0.0, 0, 0, 1]))


def test_a_limit_that_separates_in_turn_is_searched_too() -> None:
    """Rows at x = 1 are tied, and the second predictor separates these alone."""
    x = np.array([0.0, 0.5, 1, 1, 1, 1, 1.5, 2])
    z = np.array([3.0, -2, -1, -2, 1, 2, -3, 2])
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    X = np.column_stack([np.ones(8), x, z])
    assert rising_directions(X, _ways(y)).shape == (3, 3)


def test_rows_with_both_outcomes_or_a_count_must_not_move() -> None:
    X = np.array([[1.0, 0], [1, 1], [1, 2], [1, 3]])
    assert rising_directions(X, np.array([0.0, 0, -1, -1])).shape == (2, 0)
    one = rising_directions(X, np.array([0.0, -1, -1, -1]))  # a slope of minus infinity
    assert one.shape == (2, 1)
    assert _spans(one, np.array([0.0, 1]))
    assert rising_directions(X, np.full(4, -1.0)).shape == (2, 2)


@pytest.mark.parametrize(
    ("family", "y", "rows", "ways"),
    [
        (families.Bernoulli(link="cauchit"), [0, 1], {}, [-1, 1]),
        (families.Binomial(), [0, 2, 4], {"trials": [4, 4, 4]}, [-1, 0, 1]),
        (families.Poisson(), [0, 1], {}, [-1, 0]),
        (families.Poisson(link="sqrt"), [0, 1], {}, [0, 0]),  # reached at eta = 0
        (families.NegativeBinomial(), [0, 3], {}, [-1, 0]),
        (families.Gamma(), [0.1, 3], {}, [0, 0]),
        (families.HurdlePoisson(), [0, 1, 3], {}, [np.nan, -1, 0]),
    ],
)
def test_which_way_likelihoods_rise(family, y, rows, ways) -> None:  # type: ignore[no-untyped-def]
    given = {name: np.asarray(values, dtype=float) for name, values in rows.items()}
    values = np.asarray(y, dtype=float)
    np.testing.assert_array_equal(family.rises(values, given), ways)
    # As the log density says: it rises to its supremum that way, and falls the other.
    parameters = dict.fromkeys(family.parameters, 0.5)
    at = np.array([-30.0, -3.0, 3.0, 30.0])[:, None] * np.ones(len(values))
    if family.link != "sqrt":
        logs = np.diff(family.log_prob(values, at, parameters, given), axis=0)
        for way, steps in zip(ways, logs.T, strict=True):
            if way in (-1, 1):
                assert (way * steps >= -1e-12).all()
