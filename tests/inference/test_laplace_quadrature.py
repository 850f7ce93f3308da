"""Adaptive quadrature where some of its nodes have no finite density."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_expit, logsumexp

import bayesmix as bmx
from bayesmix.families import Poisson
from bayesmix.gaussian.coordinates import factors_at
from bayesmix.gaussian.density import flat_prior
from bayesmix.inference.laplace import inner_mode
from bayesmix.inference.quadrature import _Quadrature

LEVELS, ROWS = 30, 10


@pytest.fixture
def model(rng: np.random.Generator) -> bmx.Model:
    g = rng.permutation(np.repeat(np.arange(LEVELS), ROWS))  # levels are not in order
    mean = (3 + 1.2 * rng.normal(size=LEVELS)[g]).clip(0.05)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=len(g)), "y": rng.poisson(mean)})
    return bmx.Model("y ~ x + (1 | g)", d, family=Poisson(link="identity"))


@pytest.mark.parametrize("n_points", [7, 15, 40])
def test_impossible_nodes_count_as_zero(n_points: int, model: bmx.Model) -> None:
    gp = model.glmm_problem
    co = gp.problem.absolute_coordinates()
    x = np.log([1.2])
    mode = inner_mode(
        gp, factors_at(co, x).L, np.ones(0), flat_prior(2), beta=np.asarray([3.0, 0.1]),
        u=np.zeros(gp.n_effects), with_fixed=False,
    )  # fmt: skip
    assert mode.status == 1
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_points)
    level = gp.rows.index[0] - gp.rows.first[0]
    scale = 1 / mode.K[: gp.n_effects]
    expected, impossible = 0.0, 0
    for g in range(gp.n_effects):
        mine = level == g
        y, eta = gp.rows.y[mine], mode.eta[mine]
        total = 0.0
        for node, weight in zip(nodes, weights, strict=True):
            u = mode.u[g] + scale[g] * node
            mu = eta + 1.2 * scale[g] * node
            impossible += int(mu.min() <= 0)
            if mu.min() > 0:
                density = np.exp((y * np.log(mu) - mu).sum() - u**2 / 2 + node**2 / 2)
                total += weight * density * scale[g]
        expected += np.log(total / np.sqrt(2 * np.pi))
    assert impossible > 0
    assert _Quadrature(gp, n_points)(mode, np.ones(1)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("error")
def test_more_points_change_little(model: bmx.Model) -> None:
    logliks = [model.fit_eb(n_quadrature=k).loglik for k in (9, 15, 25)]
    assert np.ptp(logliks) < 1.0
    assert max(logliks) < model.fit_eb().loglik + 30


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ApproximationWarning")
def test_standard_errors_are_of_the_integral_not_of_the_approximation(
    rng: np.random.Generator,
) -> None:
    """Rare outcomes in pairs, where Laplace's curvature is far off at the same estimates."""
    g, x = np.repeat(np.arange(150), 2), rng.normal(size=300)
    y = rng.binomial(1, 1 / (1 + np.exp(3.5 - 0.7 * x - 1.5 * rng.normal(size=150)[g])))
    d = pd.DataFrame({"g": g, "x": x, "y": y})
    fit = bmx.Model("y ~ x + (1 | g)", d, family="bernoulli").fit_eb(n_quadrature=25)

    z = np.linspace(-10, 10, 801)
    log_weight = -(z**2) / 2 - np.log(np.exp(-(z**2) / 2).sum())

    def loglik(at: np.ndarray) -> float:
        eta = (at[0] + at[1] * x)[:, None] + np.exp(at[2]) * z
        rows = log_expit(np.where(y == 1, 1, -1)[:, None] * eta)
        return float(logsumexp(rows[::2] + rows[1::2] + log_weight, axis=1).sum())

    best = np.r_[fit.fixed_effects()["estimate"], np.log(fit.variance_components()["sd"][0])]
    step = 1e-3 * np.eye(3)
    H = [
        [sum(s * t * loglik(best + s * a + t * b) for s in (1, -1) for t in (1, -1)) for a in step]
        for b in step
    ]
    expected = np.sqrt(np.diag(np.linalg.inv(-np.asarray(H) / 4e-6)))
    np.testing.assert_allclose(fit.fixed_effects()["sd"], expected[:2], rtol=2e-3)
    interval = fit.variance_components(ci_method="wald").iloc[0]
    spread = np.log(interval["sd_upper"] / interval["sd_lower"]) / (2 * 1.959964)
    assert spread == pytest.approx(expected[2], rel=2e-3)
