"""Thresholds of Laplace fits are as uncertain as coefficients are, in all that is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.results.empirical_bayes import EmpiricalBayes


@pytest.fixture(scope="module")
def grades() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    g, x = rng.integers(0, 20, 400), rng.normal(size=400)
    latent = 0.8 * x + rng.normal(0, 0.8, 20)[g] + rng.logistic(size=400)
    y = pd.Categorical.from_codes(np.searchsorted([-1, 0.5, 2], latent), list("abcd"), ordered=True)
    return pd.DataFrame({"y": y, "x": x, "g": g, "f": rng.choice(list("uv"), 400)})


@pytest.fixture(scope="module")
def pair(grades: pd.DataFrame) -> tuple[EmpiricalBayes, bmx.Posterior]:
    model = bmx.Model("y ~ x + f + (1 | g)", grades, family="cumulative")
    return model.fit_eb(), model.fit(seed=1, progress=False)


NEW = pd.DataFrame({"x": [0.0, 1.0], "f": ["u", "v"], "g": [0, 1]})


@pytest.mark.parametrize("kind", ["probability", "mean"])
@pytest.mark.parametrize("groups", ["population", "conditional"])
def test_predictions_are_as_uncertain_as_a_posteriors(
    pair: tuple[EmpiricalBayes, bmx.Posterior], kind: str, groups: str
) -> None:
    eb, post = (fit.predict(NEW, kind=kind, groups=groups) for fit in pair)
    np.testing.assert_allclose(eb["estimate"], post["estimate"], atol=0.02)
    # Known groups: effects are given the standard deviation's estimate.
    np.testing.assert_allclose(eb["sd"], post["sd"], rtol=0.15)
    assert (eb["lower"] < eb["estimate"]).all()
    assert (eb["estimate"] < eb["upper"]).all()


@pytest.mark.parametrize("kind", ["probability", "mean"])
def test_marginal_means_are(pair: tuple[EmpiricalBayes, bmx.Posterior], kind: str) -> None:
    eb, post = (fit.marginal_means("f", kind=kind).table for fit in pair)
    np.testing.assert_allclose(eb["estimate"], post["estimate"], atol=0.03)
    np.testing.assert_allclose(eb["sd"], post["sd"], rtol=0.12)


def test_without_groups_draws_have_the_covariance_of_the_likelihood(grades: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x", grades, family="cumulative").fit_eb()
    drawn = eb._law.draw({}, 20_000, 3)
    found = np.cov(np.column_stack([drawn.beta.T, drawn.family["thresholds"]]).T)

    def deviance(at: np.ndarray) -> float:
        eta, tau = at[0] * grades["x"].to_numpy(), np.concatenate([[-np.inf], at[1:], [np.inf]])
        code = grades["y"].cat.codes.to_numpy()
        F = 1 / (1 + np.exp(-(tau[:, None] - eta)))
        rows = np.arange(len(code))
        return -np.log(F[code + 1, rows] - F[code, rows]).sum()

    best = np.concatenate([eb.fixed_effects()["estimate"], eb.family_parameters()["estimate"]])
    n, h = len(best), 1e-3
    H, unit = np.empty((n, n)), np.eye(n) * h
    for i in range(n):
        for j in range(n):
            ends = [
                s * t * deviance(best + s * unit[i] + t * unit[j]) for s in (1, -1) for t in (1, -1)
            ]
            H[i, j] = sum(ends) / (4 * h * h)
    expected = np.linalg.inv(H)
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        found / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.05
    )


def test_fits_with_disc_have_uncertain_thresholds_too(grades: pd.DataFrame) -> None:
    eb = bmx.Model(["y ~ x + (1 | g)", "disc ~ f"], grades, family="cumulative").fit_eb()
    parameters = eb.family_parameters()
    drawn = eb._law.draw({"g": np.arange(20)}, 4000, 1)
    thresholds = drawn.family["thresholds"]
    np.testing.assert_allclose(thresholds.mean(axis=0), parameters["estimate"], atol=0.03)
    np.testing.assert_allclose(thresholds.std(axis=0), parameters["sd"], rtol=0.06)
