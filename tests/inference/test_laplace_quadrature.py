"""Adaptive quadrature where some of its nodes have no finite density."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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
