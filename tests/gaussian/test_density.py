"""The collapsed log density: exact, with an exact gradient, on every structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayesmix import Prior
from bayesmix.covariance import covariance_of
from bayesmix.gaussian.density import log_density, log_likelihood, profiled_deviance

from .models import (
    FORMULAS,
    check_gradient,
    dense_covariance,
    dense_Z,
    make_data,
    make_problem,
    random_x,
    theta_at,
)  # fmt: skip


def dense_log_density(model: Any, problem: Any, x: np.ndarray, co: Any, options: Any) -> float:
    """log p(y, theta) with every effect integrated out, by an n x n covariance matrix."""
    data = options["data"]
    sd, corr, sigma = theta_at(co, x)
    n = problem.n_obs
    residual = np.full(n, sigma**2)
    if "weights" in options:
        residual = residual / data[options["weights"]].to_numpy()
    if "known_se" in options:
        residual = data[options["known_se"]].to_numpy() ** 2
    Z = dense_Z(problem)
    V = np.diag(residual) + Z @ dense_covariance(problem, sd, corr) @ Z.T
    X, priors = model.design.mu.X, model.prior_entries
    names = list(model.design.mu.fixed_effects)
    mean, cov = np.zeros(len(names)), np.zeros((len(names), len(names)))
    slopes = [j for j, name in enumerate(names) if priors.intercept is None or name != "Intercept"]
    for j, entry in zip(slopes, priors.coefficients, strict=True):
        cov[j, j] = entry.prior.parameters["sigma"] ** 2
        mean[j] = entry.prior.parameters["mu"]
    if priors.intercept is not None:
        at = names.index("Intercept")
        prior = priors.intercept.prior.parameters
        A = np.eye(len(names))
        mean[at], cov[at, at] = prior["mu"], prior["sigma"] ** 2
        if priors.intercept_is_centered:
            A[at, slopes] = -X[:, slopes].mean(axis=0)
        mean, cov = A @ mean, A @ cov @ A.T
    V += X @ cov @ X.T
    center = X @ mean + (0 if model.design.mu.offset is None else model.design.mu.offset)
    value = stats.multivariate_normal(center, V).logpdf(model.y)
    at = 0
    for group in problem.groups:
        firsts = covariance_of(group).effect_of_sd
        for k, entry in zip(firsts, priors.sd[group.name], strict=True):
            value += stats.halfcauchy(scale=entry.prior.parameters["beta"]).logpdf(sd[at + k])
        at += group.n_effects
    for group, R in zip(problem.groups, corr, strict=True):
        if covariance_of(group).has_correlations:
            value += (priors.corr[group.name].prior.parameters["eta"] - 1) * np.log(
                np.linalg.det(R)
            )
    if "known_se" not in options:
        beta = priors.family["sigma"].prior.parameters["beta"]
        value += stats.halfcauchy(scale=beta).logpdf(sigma)
    return float(value)


@pytest.mark.parametrize("weighting", [{}, {"weights": "weight"}, {"known_se": "se"}])
@pytest.mark.parametrize("kind", FORMULAS)
def test_differences_between_thetas_are_those_of_the_dense_model(
    kind: str, weighting: dict[str, str], rng: np.random.Generator
) -> None:
    data = make_data()
    model, problem = make_problem(FORMULAS[kind], data, **weighting)
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    options = {"data": data, **weighting}
    gradient = np.empty(co.n_x)
    ours, dense = [], []
    for _ in range(4):
        x = random_x(co, rng)
        ours.append(log_density(problem.equations, co, prior, x, False, gradient))
        dense.append(dense_log_density(model, problem, x, co, options))
    differences = np.diff(ours) - np.diff(dense)
    assert np.abs(differences).max() < 1e-8 * np.abs(dense).max()


@pytest.mark.parametrize("year", [0.0, 2000.0])
@pytest.mark.parametrize("kind", FORMULAS)
def test_gradients(kind: str, year: float, rng: np.random.Generator) -> None:
    model, problem = make_problem(FORMULAS[kind], make_data(year=year))
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    relative = problem.relative_coordinates()
    eq = problem.equations
    # Rounding of the value shows in differences of it: more where the slope is far from home.
    tolerance = 1e-7 if year == 0 else 2e-5
    for flag in (True, False):

        def density(x: np.ndarray, g: np.ndarray, flag: bool = flag) -> float:
            return log_density(eq, co, prior, x, flag, g)

        def likelihood(x: np.ndarray, g: np.ndarray, flag: bool = flag) -> float:
            return log_likelihood(eq, co, x, flag, g)

        def deviance(x: np.ndarray, g: np.ndarray, flag: bool = flag) -> float:
            return profiled_deviance(eq, relative, x, flag, 0.0, g)

        check_gradient(density, random_x(co, rng), tolerance)
        check_gradient(likelihood, random_x(co, rng), tolerance)
        if relative.n_x:
            check_gradient(deviance, rng.normal(-1, 0.5, relative.n_x), tolerance)


PRIORS = [
    Prior("HalfFlat"),
    Prior("HalfNormal", sigma=3),
    Prior("HalfNormal", tau=0.1),
    Prior("HalfCauchy", beta=2),
    Prior("HalfStudentT", nu=3, sigma=2),
    Prior("Exponential", lam=0.3),
    Prior("Exponential", scale=2),
    Prior("Gamma", alpha=2, beta=0.3),
    Prior("Gamma", mu=4, sigma=2),
    Prior("LogNormal", mu=0.5, sigma=2),
    Prior("InverseGamma", alpha=3, beta=2),
    Prior("InverseGamma", mu=4, sigma=2),
    Prior("Uniform", lower=0, upper=80),
]


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_every_prior_of_a_standard_deviation_is_pymc_s(
    prior: Prior, rng: np.random.Generator
) -> None:
    import pymc as pm

    model, problem = make_problem(
        "y ~ x + (x | k)",
        make_data(),
        {"sd(k, x)": prior, "sigma": prior, "corr": Prior("LKJ", eta=3)},
    )
    flat_model, _ = make_problem(
        "y ~ x + (x | k)", make_data(), {"sd": Prior("HalfFlat"), "sigma": Prior("HalfFlat"),
                                         "corr": Prior("LKJ", eta=3)},
    )  # fmt: skip
    co = problem.coordinates(model.prior_entries)
    other = problem.coordinates(flat_model.prior_entries)
    fixed = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    check_gradient(
        lambda x, g: log_density(problem.equations, co, fixed, x, True, g), random_x(co, rng)
    )
    gradient = np.empty(4)
    rv = getattr(pm, prior.distribution).dist(**prior.parameters)
    ours, theirs = [], []
    for _ in range(3):
        x = random_x(co, rng)
        sd, _, sigma = theta_at(co, x)
        flat_x = np.concatenate([np.log(sd), x[2:3], [np.log(sigma)]])
        with_prior = log_density(problem.equations, co, fixed, x, False, gradient)
        without = log_density(problem.equations, other, fixed, flat_x, False, gradient)
        default = model.prior_entries.sd["k"][0].prior.parameters["beta"]
        without += stats.halfcauchy(scale=default).logpdf(sd[0])
        ours.append(with_prior - without)
        theirs.append(
            float(pm.logp(rv, np.asarray([sd[1], sigma])).eval(mode="FAST_COMPILE").sum())
        )
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ["correlated", "four effects", "crossed slopes", "nested slopes"])
@pytest.mark.parametrize("level", [-12.0, 8.0])
def test_extreme_thetas_stay_finite_with_gradients_that_fit(
    kind: str, level: float, rng: np.random.Generator
) -> None:
    model, problem = make_problem(FORMULAS[kind], make_data())
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    n_sd = co.n_sd
    x = random_x(co, rng)
    x[:n_sd] = level
    x[n_sd:-1] = 4.0  # correlations of 0.9993
    check_gradient(
        lambda z, g: log_density(problem.equations, co, prior, z, True, g), x, tolerance=1e-6
    )
    x[:n_sd] = -600.0
    gradient = np.empty(len(x))
    assert np.isfinite(log_density(problem.equations, co, prior, x, True, gradient))
    assert np.isfinite(gradient).all()


def test_a_flat_prior_on_the_fixed_effects_is_reml(rng: np.random.Generator) -> None:
    flat = {"fixed": Prior("Flat"), "Intercept": Prior("Flat"), "sd": Prior("HalfFlat"),
            "sigma": Prior("HalfFlat"), "corr": Prior("LKJ", eta=1)}  # fmt: skip
    model, problem = make_problem("y ~ x + (x | k) + (1 | m)", make_data(), flat)
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    gradient = np.empty(co.n_x)
    values = [
        (
            log_density(problem.equations, co, prior, x, False, gradient),
            log_likelihood(problem.equations, co, x, True, gradient),
        )
        for x in (random_x(co, rng) for _ in range(3))
    ]
    bayes, reml = np.asarray(values).T
    np.testing.assert_allclose(np.diff(bayes), np.diff(reml), rtol=1e-10)
