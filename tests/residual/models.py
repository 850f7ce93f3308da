"""Models of several formulas, their R by hand, and what tests ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, stats

import bayesmix as bmx
from bayesmix.gaussian.coordinates import correlation_matrices, unpack_theta
from bayesmix.gaussian.density import log_density
from bayesmix.inference.theta_draws import residual_variables

MODELS: dict[str, list[str]] = {
    "ar1": ["y ~ x + (1 | g)", "residual ~ ar1(t | g)"],
    "ar1 without groups": ["y ~ x", "residual ~ ar1(t | g)"],
    "ar1 with strata": ["y ~ x + (x | g)", "residual ~ ar1(t | g)", "sigma ~ 0 + f"],
    "ar1 finer": ["y ~ x + (1 | g) + (1 | h)", "residual ~ ar1(t | g)"],
    "cs": ["y ~ x", "residual ~ cs(g)"],
    "cs with strata": ["y ~ x + (0 + x | g)", "residual ~ cs(g)", "sigma ~ f"],
    "strata": ["y ~ x + (1 | g)", "sigma ~ f"],
    "covariate": ["y ~ x + (1 | g)", "sigma ~ x"],
    "toep": ["y ~ x + (1 | g)", "residual ~ toep(t | g)"],
    "toep with strata": ["y ~ x", "residual ~ toep(t | g)", "sigma ~ 0 + f"],
    "us": ["y ~ x + (1 | h)", "residual ~ us(s | k)"],
    "exp": ["y ~ x + (1 | g)", "residual ~ exp(u | g)"],
    "exp in a plane": ["y ~ x + (1 | g)", "residual ~ exp(u + t | g)", "sigma ~ f"],
    "gau": ["y ~ x", "residual ~ gau(u | g)"],
    "covariates": ["y ~ x + (1 | g) + (1 | h)", "sigma ~ x + f", "residual ~ ar1(t | g)"],
}

SLOPES = {
    "slopes with ar1": ["y ~ x + (x | g)", "residual ~ ar1(t | g)"],
    "slopes with exp": ["y ~ x + (x | g)", "residual ~ exp(u | g)", "sigma ~ x"],
    "slopes with us": ["y ~ x + (1 | g)", "residual ~ us(s | k)"],
    "slopes with toep": ["y ~ x + (x | g)", "residual ~ toep(t | g)"],
    "slopes with cs": ["y ~ x + (x | g)", "residual ~ cs(g)", "sigma ~ 0 + f"],
    "slopes with gau": ["y ~ x + (1 | g)", "residual ~ gau(u | g)"],
    "no fixed effects": ["y ~ 0 + (x | g)", "residual ~ ar1(t | g)"],
}


def R_of(model: bmx.Model, values: Mapping[str, Any], data: pd.DataFrame) -> np.ndarray:
    """R by hand: from the words of the formulas and columns of the data alone."""
    text = " ".join(model.specification.formula)
    series = data["k" if "us(" in text else "g"].to_numpy()
    same = series[:, None] == series
    u = np.abs(data["u"].to_numpy()[:, None] - data["u"].to_numpy())
    gap = np.abs(data["t"].to_numpy()[:, None] - data["t"].to_numpy())
    w = np.ones(len(data)) if model.design.weights is None else model.design.weights
    known = 0.0 if model.design.known_se is None else np.diag(model.design.known_se**2)
    C = np.eye(len(data))
    if "us(" in text:
        place = data["s"].map({"a0": 0, "a1": 1, "b2": 2}).to_numpy()
        sd = values["sd_residual"][place]
        C = np.where(C > 0, 1.0, same * values["corr_residual"][place[:, None], place])
        return C * np.outer(sd, sd) / np.sqrt(np.outer(w, w)) + known
    if "toep" in text:
        rho = np.concatenate([[1.0], values["rho_residual"]])
        C = same * rho[np.minimum(gap, 6)]
    elif "exp(u + t" in text:
        C = same * np.exp(-np.sqrt(u**2 + gap**2) / values["range_residual"])
    elif "exp" in text:
        C = same * np.exp(-u / values["range_residual"])
    elif "gau" in text:
        C = same * np.exp(-((u / values["range_residual"]) ** 2))
    elif "ar1" in text:
        C = same * values["rho_residual"] ** gap
    elif "cs" in text:
        C = np.where(np.eye(len(data)) > 0, 1.0, same * values["rho_residual"])
    if "sigma" in model.design.predictors:
        sd = np.exp(model.design.predictors["sigma"].X @ values["sigma_beta"])
    else:
        sd = np.full(len(data), values["sigma"])
    sd = sd / np.sqrt(w)
    return C * np.outer(sd, sd) + known


def values_of(eb: Any) -> dict[str, Any]:
    law = eb._law
    return {**law.family_values, **law.residual_values}


def marginal(model: bmx.Model, eb: Any, data: pd.DataFrame) -> np.ndarray:
    """V = Z Sigma Z' + R at the estimates."""
    V = R_of(model, values_of(eb), data)
    for group in model.design.mu.groups:
        root = eb._law.roots[group.name]
        ZL = group.Z @ root
        V = V + (group.index[:, None] == group.index) * (ZL @ ZL.T)
    return V


def check_pymc_model(model: bmx.Model, data: pd.DataFrame) -> None:
    """Joint density less the conditional normal's is the collapsed one, up to a constant."""
    problem, priors = model.gaussian_problem, model.prior_entries
    co = problem.coordinates(priors)
    prior = problem.fixed_prior(model.design.mu, priors.mu)
    post = model.fit(draws=20, tune=100, chains=1, seed=1, progress=False).idata["posterior"]
    pm_model = model.pymc_model
    logp = pm_model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    differences = []
    rng = np.random.default_rng(1)
    for s in range(3):
        x = rng.normal(0, 0.4, co.n_all)
        given = at_theta(model, x)
        point = pm_model.initial_point()
        free = {v.name for v in pm_model.free_RVs}
        values = {k: v for k, v in given.items() if k in free}
        mu, beta = model.design.mu, post["beta"].to_numpy()[0, s]
        values["coefficients"] = beta[list(mu.slopes)]
        values["intercept_at_means"] = beta[0] + mu.means[list(mu.slopes)] @ values["coefficients"]
        for group in mu.groups:
            values[f"b_{group.name}"] = post[f"b_{group.name}"].to_numpy()[0, s]
        joint = float(logp(placed(pm_model, point, values)))
        joint -= conditional_logp(model, given, values, data)
        differences.append(
            joint - log_density(problem.equations, co, prior, x, False, np.empty(co.n_all))
        )
    assert np.ptp(differences) < 1e-6 * max(1.0, abs(differences[0]))


def at_theta(model: bmx.Model, x: np.ndarray) -> dict[str, Any]:
    """Variables at coordinates, with the names that the PyMC model has for what has priors."""
    problem = model.gaussian_problem
    co = problem.coordinates(model.prior_entries)
    sd, C = unpack_theta(co, x)
    found: dict[str, Any] = {}
    at = 0
    for group, R in zip(problem.groups, correlation_matrices(co, C), strict=True):
        found[f"sd_{group.name}"] = sd[at : at + group.n_effects]
        at += group.n_effects
        if group.n_effects > 1:
            p = np.linalg.cholesky(R)
            # PyMC has it between 0 and 1.
            found[f"partial_corr_{group.name}"] = np.array([(1 + p[1, 0]) / 2])
    if not problem.sigma_is_known:
        found["sigma"] = sd[-1]
    found |= residual_variables(problem, x[co.n_x :])
    if "sigma_beta" in found and model.prior_entries.predictors["sigma"].intercept_is_centered:
        phi = x[co.n_x :]
        found["sigma_intercept_at_means"], found["sigma_coefficients"] = phi[0], phi[1:2]
    return found


def placed(pm_model: Any, point: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A point of the PyMC model at values of its free variables."""
    for variable in pm_model.free_RVs:
        value = pm_model.rvs_to_values[variable]
        transform = pm_model.rvs_to_transforms[variable]
        given = np.asarray(values[variable.name], dtype=np.float64)
        if transform is not None:
            given = transform.forward(given, *variable.owner.inputs).eval(mode="FAST_COMPILE")
        point[value.name] = np.asarray(given).reshape(np.shape(point[value.name]))
    return point


def conditional_logp(
    model: bmx.Model, given: Mapping[str, Any], values: Mapping[str, Any], data: pd.DataFrame
) -> float:
    """Log density of (beta, b) given theta and y, with the priors of beta, by dense algebra."""
    design, priors = model.design.mu, model.prior_entries.mu
    p = design.X.shape[1]
    slopes = list(design.slopes)
    A = np.eye(p)
    A[0, slopes] = design.means[slopes]
    entries = [priors.intercept, *priors.coefficients]
    mean = np.array([e.prior.parameters["mu"] for e in entries])
    weight = np.array([e.prior.parameters["sigma"] for e in entries]) ** -2.0
    blocks, prior_precision, prior_mean = (
        [design.X],
        [A.T @ np.diag(weight) @ A],
        [np.linalg.solve(A, mean)],
    )
    theta = [np.concatenate([[values["intercept_at_means"] - design.means[slopes]
                              @ np.atleast_1d(values["coefficients"])],
                             np.atleast_1d(values["coefficients"])])]  # fmt: skip
    for group in design.groups:
        Z = np.zeros((len(data), group.n_levels * group.n_effects))
        for k in range(group.n_effects):
            Z[np.arange(len(data)), group.index * group.n_effects + k] = group.Z[:, k]
        sd = given[f"sd_{group.name}"]
        corr = np.eye(group.n_effects)
        if group.n_effects > 1:
            corr[0, 1] = corr[1, 0] = 2 * given[f"partial_corr_{group.name}"][0] - 1
        Sigma = corr * np.outer(sd, sd)
        blocks.append(Z)
        prior_precision.append(np.kron(np.eye(group.n_levels), np.linalg.inv(Sigma)))
        prior_mean.append(np.zeros(Z.shape[1]))
        theta.append(np.ravel(values[f"b_{group.name}"]))
    W = np.column_stack(blocks)
    inverse = np.linalg.inv(R_of(model, given, data))
    P0 = linalg.block_diag(*prior_precision)
    precision = W.T @ inverse @ W + P0
    right = W.T @ inverse @ model.y + P0 @ np.concatenate(prior_mean)
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2
    law = stats.multivariate_normal(covariance @ right, covariance, allow_singular=True)
    return float(law.logpdf(np.concatenate(theta)))


def density_without(
    model: bmx.Model, x: np.ndarray, data: pd.DataFrame, member: np.ndarray
) -> list[float]:  # fmt: skip
    """Log p(y_g | y_-g, theta) with beta's prior among the covariances."""
    problem = model.gaussian_problem
    values = at_theta(model, x)
    V = R_of(model, values, data)
    for group in model.design.mu.groups:
        sd = np.atleast_1d(values[f"sd_{group.name}"])
        C = np.eye(len(sd))
        if len(sd) > 1:
            C[0, 1] = C[1, 0] = 2 * values[f"partial_corr_{group.name}"][0] - 1
        Z = group.Z * sd
        V = V + (group.index[:, None] == group.index) * (Z @ C @ Z.T)
    prior, p = problem.fixed_prior(model.design.mu, model.prior_entries.mu), problem.n_fixed
    D, mean = model.design.mu.X, np.zeros(len(V))
    if p:
        to_working = problem.scaling.TX / problem.scaling.y_scale
        mean = D @ np.linalg.solve(to_working, prior.mean + problem.scaling.beta_0)
        V = V + D @ np.linalg.inv(to_working.T @ prior.precision @ to_working) @ D.T
    found = []
    for g in range(member.max() + 1):
        own, rest = member == g, member != g
        gain = np.linalg.solve(V[np.ix_(rest, rest)], V[np.ix_(rest, own)]).T
        center = mean[own] + gain @ (model.y - mean)[rest]
        spread = V[np.ix_(own, own)] - gain @ V[np.ix_(rest, own)]
        found.append(stats.multivariate_normal(center, spread).logpdf(model.y[own]))
    return found


def dense_predictions(
    model: bmx.Model, eb: Any, data: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each row's linear predictor given y, and its variance with beta estimated too."""
    inverse = np.linalg.inv(marginal(model, eb, data))
    X = model.design.mu.X
    cov = np.linalg.inv(X.T @ inverse @ X)
    beta = cov @ X.T @ inverse @ model.y
    total = np.zeros((len(X), len(X)))
    for group in model.design.mu.groups:
        ZL = group.Z @ eb._law.roots[group.name]
        total = total + (group.index[:, None] == group.index) * (ZL @ ZL.T)
    left = X - total @ inverse @ X
    variance = total - total @ inverse @ total + left @ cov @ left.T
    return X @ beta + total @ inverse @ (model.y - X @ beta), np.diag(variance)
