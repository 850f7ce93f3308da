"""The density of a group given the others, against dense normal distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.leave_group_out import log_density_of_groups
from bayesmix.gaussian.theta import pack_theta
from tests.builders import random_correlations
from tests.gaussian.models import dense_covariance, dense_Z, make_data, make_problem

CASES = {
    "one factor": ("y ~ x + (x | k)", "k"),
    "another column": ("y ~ x + (x | k)", "m"),
    "crossed": ("y ~ x + (1 | k) + (z | m)", "m"),
    "crossed, the eliminated one": ("y ~ x + (1 | k) + (z | m)", "k"),
    "nested": ("y ~ x + (x | h/w)", "h"),
    "no groups": ("y ~ x + offset(z)", "k"),
    "no fixed effects": ("y ~ 0 + (x + z | k)", "k"),
}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (name, given)
        for name in CASES
        for given in ("nothing", "weights", "known_se")
        if (name, given) != ("no groups", "known_se")  # there is no theta at all
    ],
)
def test_the_ratio_of_likelihoods_is_the_conditional_density(name: str, given: str) -> None:
    text, by = CASES[name]
    data = make_data()
    options = {"weights": {"weights": "weight"}, "known_se": {"known_se": "se"}}.get(given, {})
    model, problem = make_problem(text, data, **options)
    rng = np.random.default_rng(2)
    sd, corr = {}, {}
    for group in problem.groups:
        q = group.n_effects
        sd[group.name] = rng.uniform(2, 20, (3, q))
        if covariance_of(group).has_correlations:
            corr[group.name] = random_correlations(rng, (3,), q)
    sigma = None if given == "known_se" else rng.uniform(10, 40, 3)
    X = pack_theta(problem, sd, corr, sigma)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    member = np.unique(data[by], return_inverse=True)[1]
    z = model.y if model.design.mu.offset is None else model.y - model.design.mu.offset
    w = {"weights": data["weight"], "known_se": data["se"] ** -2.0}.get(given)
    weights = None if w is None else w.to_numpy()
    found = log_density_of_groups(problem, model.design.mu, z, weights, prior, X, member)

    p = problem.n_fixed
    to_working = problem.scaling.TX / problem.scaling.y_scale
    mean = np.linalg.solve(to_working, prior.mean + problem.scaling.beta_0) if p else np.zeros(0)
    precision = to_working.T @ prior.precision @ to_working
    A, D = dense_Z(problem), model.design.mu.X
    for s in range(3):
        R = [corr[g.name][s] if g.name in corr else np.eye(g.n_effects) for g in problem.groups]
        flat = np.concatenate([sd[g.name][s] for g in problem.groups]) if sd else np.zeros(0)
        noise = 1.0 if sigma is None else sigma[s] ** 2
        V = A @ dense_covariance(problem, flat, R) @ A.T
        V += np.diag(noise / (np.ones(len(z)) if weights is None else weights))
        if p:
            V += D @ np.linalg.inv(precision) @ D.T
        mu = D @ mean
        for g in range(member.max() + 1):
            own, rest = member == g, member != g
            gain = np.linalg.solve(V[np.ix_(rest, rest)], V[np.ix_(rest, own)]).T
            center = mu[own] + gain @ (z[rest] - mu[rest])
            spread = V[np.ix_(own, own)] - gain @ V[np.ix_(rest, own)]
            expected = stats.multivariate_normal(center, spread).logpdf(z[own])
            assert found[s, g] == pytest.approx(expected, rel=1e-7, abs=1e-6)
