"""The nearest normal law of the effects, and what it is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.gaussian.rowvariance import row_variance
from bayesmix.inference.variational import variances_by_level


@pytest.mark.parametrize(
    "groups", ["(1 | g)", "(1 | g) + (1 | h)", "(x | g) + (x | h) + (1 | k)", "(x | g) + (1 | h)"]
)
def test_variances_by_level_are_those_of_the_rows(groups: str) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.normal(size=300), "x": rng.normal(size=300)})
    for name, n_levels in {"g": 20, "h": 7, "k": 5}.items():
        data[name] = rng.integers(0, n_levels, 300).astype(str)
    design = bmx.Model(f"y ~ x + {groups}", data).design.mu
    roots = {g.name: np.tril(rng.normal(size=(g.n_effects,) * 2)) for g in design.groups}
    Z = {g.name: g.Z for g in design.groups}
    index = {g.name: g.index for g in design.groups}
    known = replace(design, X=np.zeros((300, 0)))
    found = row_variance(known, roots, rng.gamma(2.0, size=300), np.zeros((0, 0)))
    np.testing.assert_allclose(
        variances_by_level(found, {name: Z[name] @ roots[name] for name in Z}, index),
        found.of_rows(known.X, Z, index),
        rtol=1e-9,
    )


def test_weights_too_large_for_a_double_are_no_law() -> None:
    """Where steps run away a level's block is singular to rounding: NaN, and no error of numpy."""
    rows = pd.DataFrame({"y": [1, 0, 2, 3], "f": list("abab"), "g": [0, 0, 1, 1]})
    predictor = bmx.Model("y ~ 1 + (0 + f | g)", rows, family="poisson").design.mu
    known = replace(predictor, X=np.zeros((4, 0)))
    weights = np.array([1e18, 1e18, 1.0, 1.0])
    found = row_variance(known, {"g": np.ones((2, 2))}, weights, np.zeros((0, 0)))
    assert np.isnan(found.K_inverse[0]).all()
    np.testing.assert_allclose(found.K_inverse[1], np.array([[3, -2], [-2, 3]]) / 5)
