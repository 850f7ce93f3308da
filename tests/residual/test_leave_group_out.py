"""A group left out beside correlated residuals, against dense normal distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian import leave_group_out
from bayesmix.gaussian.leave_group_out import log_density_of_groups
from bayesmix.inference import Draws
from bayesmix.results.check.loo import group_log_density

from .models import MODELS, SLOPES, R_of, density_without

EVERY = MODELS | SLOPES


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by", ["g", "t", "f"])
@pytest.mark.parametrize("name", EVERY)
def test_the_ratio_of_likelihoods_is_the_conditional_density(
    name: str, by: str, data: pd.DataFrame, *, weighted: bool
) -> None:
    model = bmx.Model(EVERY[name], data, weights="w" if weighted else None)
    problem = model.gaussian_problem
    co = problem.absolute_coordinates()
    X = np.random.default_rng(4).normal(0, 0.5, (2, co.n_all))
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    member = np.unique(data[by], return_inverse=True)[1]
    assert problem.residual is not None
    weights = problem.residual.pairs(model.rows, len(data)).weights
    found = log_density_of_groups(
        problem, model.design.mu, model.y, weights, prior, X, member, model.rows
    )
    for s, x in enumerate(X):
        expected = density_without(model, x, data, member)
        assert found[s] == pytest.approx(expected, rel=1e-7, abs=1e-6)


def test_levels_that_hold_their_series_are_left_out_all_at_once(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("group by group")

    monkeypatch.setattr(leave_group_out, "log_density_without", refuse)
    for name in (*SLOPES, "ar1", "covariate"):
        model = bmx.Model(EVERY[name], data)
        problem = model.gaussian_problem
        X = np.zeros((1, problem.absolute_coordinates().n_all))
        prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
        found = log_density_of_groups(
            problem, model.design.mu, model.y, None, prior, X, data["g"].to_numpy(), model.rows
        )
        assert np.isfinite(found).all()


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1 with strata", "us", "covariate"])
def test_draws_of_theta_are_those_of_the_fit(name: str, data: pd.DataFrame) -> None:
    """Leave one group out, at each draw by hand: the average density of importance weights."""
    model = bmx.Model(MODELS[name], data)
    post = model.fit(draws=30, tune=100, chains=2, seed=1, progress=False)
    member = np.unique(data["g"], return_inverse=True)[1]
    found = group_log_density(post._law, member)
    draws = {k: v.to_numpy() for k, v in post.idata["posterior"].data_vars.items()}
    for chain, s in ((0, 3), (1, 29)):
        values = {k: v[chain, s] for k, v in draws.items()}
        V = R_of(model, values, data)
        for group in model.design.mu.groups:
            sd = np.atleast_1d(values[f"sd_{group.name}"])
            C = values.get(f"corr_{group.name}", np.eye(len(sd)))
            V = V + (group.index[:, None] == group.index) * (
                (group.Z * sd) @ C @ (group.Z * sd).T
            )  # fmt: skip
        problem, D = model.gaussian_problem, model.design.mu.X
        prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
        to_working = problem.scaling.TX / problem.scaling.y_scale
        mean = D @ np.linalg.solve(to_working, prior.mean + problem.scaling.beta_0)
        V = V + D @ np.linalg.inv(to_working.T @ prior.precision @ to_working) @ D.T
        for g in (0, 7):
            own, rest = member == g, member != g
            gain = np.linalg.solve(V[np.ix_(rest, rest)], V[np.ix_(rest, own)]).T
            center = mean[own] + gain @ (model.y - mean)[rest]
            spread = V[np.ix_(own, own)] - gain @ V[np.ix_(rest, own)]
            expected = stats.multivariate_normal(center, spread).logpdf(model.y[own])
            assert found[chain, s, g] == pytest.approx(expected, rel=1e-6)
    loo = post.loo(by=data["g"])
    assert len(loo.pointwise) == 12
    assert np.isfinite(loo.elpd)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_what_does_not_integrate_out_is_refused(data: pd.DataFrame) -> None:
    priors = {"x": bmx.Prior("StudentT", nu=4, mu=0, sigma=1)}
    model = bmx.Model(MODELS["ar1"], data, priors=priors)
    # Draws under other priors will do, which need no compiled PyMC model.
    plain = bmx.Model(MODELS["ar1"], data).fit(30, tune=30, chains=1, seed=1, progress=False)
    values = {k: v.to_numpy() for k, v in plain.idata["posterior"].data_vars.items()}
    draws = Draws(posterior=values, sample_stats={}, engine="invented", seconds={}, seed=1, tune=30)
    post = bmx.Posterior(model, draws)
    with pytest.raises(NotSupportedError, match=r"residuals ar1.*StudentT"):
        post.loo(by="g")
