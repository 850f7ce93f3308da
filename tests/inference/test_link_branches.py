"""Means that two linear predictors have: the search takes the likelier side, and says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning
from bayesmix.gaussian.density import flat_prior
from bayesmix.inference.laplace import WarmMarginal

Z = np.linspace(-8, 8, 2001)


def counts(seed: int, intercept: float, sd: float) -> pd.DataFrame:
    """Twelve groups, whose linear predictors are a square root of the mean."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 12, 240), rng.normal(size=240)
    eta = intercept + 0.5 * x + rng.normal(0, sd, 12)[g]
    return pd.DataFrame({"y": rng.poisson(eta**2), "x": x, "g": g})


def best_by_quadrature(data: pd.DataFrame, start: list[float]) -> tuple[float, np.ndarray]:
    """Largest log-likelihood by a grid over the effect, both sides of zero together."""
    log_density = -(Z**2) / 2 - 0.5 * np.log(2 * np.pi) + np.log(Z[1] - Z[0])
    parts = [(p["y"].to_numpy()[:, None], p["x"].to_numpy()) for _, p in data.groupby("g")]

    def minus(at: np.ndarray) -> float:
        total = 0.0
        for y, x in parts:
            mean = np.maximum((at[0] + at[1] * x[:, None] + np.exp(at[2]) * Z) ** 2, 1e-300)
            total += float(logsumexp((y * np.log(mean) - mean).sum(axis=0) + log_density))
        return float(gammaln(data["y"] + 1).sum()) - total

    found = minimize(minus, start, method="Nelder-Mead", options={"fatol": 1e-4})
    return -float(found.fun), found.x


@pytest.mark.parametrize("seed", [0, 4])  # glmmTMB 1.1.5 ends at -440.9 and -395.8
def test_levels_beyond_zero_are_found_where_they_are(seed: int) -> None:
    data = counts(seed, 1.2, 1.5)
    model = bmx.Model("y ~ x + (1 | g)", data, family=bmx.families.Poisson(link="sqrt"))
    with pytest.warns(ConvergenceWarning, match="counts have linear predictors below zero"):
        fit = model.fit_eb()
    estimate = fit.fixed_effects()["estimate"].tolist()
    sd = float(fit.variance_components(ci_method="wald")["sd"][0])
    top, at = best_by_quadrature(data, [*estimate, float(np.log(sd))])
    assert fit.converged
    assert fit.loglik == pytest.approx(top, abs=0.1)
    assert [*estimate, sd] == pytest.approx([at[0], at[1], np.exp(at[2])], abs=0.01)
    assert "Branches of the mean" in str(fit.summary())


def test_one_branch_is_glmmtmbs_and_says_nothing() -> None:
    data = counts(7, 4.0, 0.8)
    model = bmx.Model("y ~ x + (1 | g)", data, family=bmx.families.Poisson(link="sqrt"))
    fit = model.fit_eb()
    assert fit.mean_branch == ""
    assert "Branches" not in str(fit.summary())
    top, _ = best_by_quadrature(data, [4.0, 0.5, float(np.log(0.8))])
    assert fit.loglik == pytest.approx(top, abs=0.01)


def test_a_search_may_step_to_where_no_sd_is_finite() -> None:
    """As those of a profile do when the sd of the slopes is at zero."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(8), 10), rng.uniform(size=80)
    data = pd.DataFrame({"x": x, "g": g})
    data["y"] = rng.poisson((1.2 + 0.5 * x + 0.9 * rng.normal(size=8)[g]) ** 2)
    model = bmx.Model("y ~ x + (x | g)", data, family=bmx.families.Poisson(link="sqrt"))
    gp, co = model.glmm_problem, model.glmm_problem.problem.absolute_coordinates()
    marginal = WarmMarginal(gp, co, flat_prior(2), 0, np.zeros(gp.n_effects))
    for log_sd in (800.0, np.inf, np.nan):
        assert marginal(np.array([log_sd, 0.0, 0.0, 1.0, 0.0]), np.empty(5)) == -np.inf
