"""Moments that stand for draws of effects are means and spreads of mixtures of normals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.inference.average_moments import average_moments

CASES = {
    "slopes and crossed": "y ~ z + (z + x | g) + (1 | h)",
    "no fixed effect": "y ~ 0 + (x | g)",
    "relatives": "y ~ x + (1 | gr(g, cov=A))",
}


@pytest.mark.parametrize("case", CASES)
def test_they_are_those_of_the_mixture_whatever_the_cores(
    case: str, rng: np.random.Generator
) -> None:
    n, labels = 90, [f"g{k}" for k in range(9)]
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("yxz"))
    data["g"], data["h"] = np.repeat(labels, 10), rng.integers(0, 4, n)
    near = np.eye(9) + 0.4 * (np.abs(np.subtract.outer(np.arange(9), np.arange(9))) == 1)
    A = pd.DataFrame(near, index=labels, columns=labels)
    matrices = {"matrices": {"A": A}} if "cov=A" in CASES[case] else {}
    model = bmx.Model(CASES[case], data, **matrices)
    problem = model.gaussian_problem
    assert (problem.turn is not None) == (case == "relatives")
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    X = 0.3 * rng.normal(size=(7, co.n_all))
    each = [conditional_moments(problem, co, x, prior) for x in X]
    found, again = (average_moments(problem, co, prior, X, cores) for cores in (1, 3))
    for group in problem.groups:
        name, own = group.name, found[group.name]
        b = np.stack([at.b[name] for at in each])
        square = np.stack([at.b_var[name] for at in each])
        np.testing.assert_allclose(own.mean, b.mean(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(own.sd**2, square.mean(axis=0) + b.var(axis=0), rtol=1e-8)
        for k, j in enumerate(group.fixed_column):
            total, spread = b[:, :, k], square[:, :, k]
            if j is not None:
                total = total + np.array([[at.beta[j]] for at in each])
                spread = spread + [at.beta_cov[j, j] + 2 * at.cross[name][:, k, j] for at in each]
            np.testing.assert_allclose(own.coefficient_mean[:, k], total.mean(axis=0), rtol=1e-9)
            np.testing.assert_allclose(
                own.coefficient_sd[:, k] ** 2, spread.mean(axis=0) + total.var(axis=0), rtol=1e-8
            )
        np.testing.assert_array_equal(own.coefficient_sd, again[name].coefficient_sd)
