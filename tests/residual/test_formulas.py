"""Models of several formulas: residual structures and predictors of sigma, end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, FormulaError, NotSupportedError
from bayesmix.formula.residual import parse_residual
from bayesmix.gaussian import structured_problem
from bayesmix.gaussian.density import log_density

from .algebra import check_gradient, dense_likelihood

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


@pytest.fixture(scope="module")
def structures(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


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


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_reml_is_the_dense_likelihood_at_its_top(
    name: str, data: pd.DataFrame, *, weighted: bool
) -> None:
    model = bmx.Model(MODELS[name], data, weights="w" if weighted else None)
    for method in ("reml", "ml"):
        eb = model.fit_eb(method)
        X = model.design.mu.X
        log_V, log_X, length = dense_likelihood(marginal(model, eb, data), X, model.y)
        n = len(X)
        dense = -0.5 * (log_V + length + n * np.log(2 * np.pi))
        if method == "reml":
            dense += 0.5 * (X.shape[1] * np.log(2 * np.pi) - log_X)
        assert eb.loglik == pytest.approx(dense, abs=1e-6)
        assert eb.converged


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_density_with_priors(name: str, data: pd.DataFrame) -> None:
    model = bmx.Model(MODELS[name], data)
    problem, priors = model.gaussian_problem, model.prior_entries
    co = problem.coordinates(priors)
    prior = problem.fixed_prior(model.design.mu, priors.mu)
    rng = np.random.default_rng(5)
    for spread in (0.3, 2.0):
        x = rng.normal(0, spread, co.n_all)
        for jacobian in (True, False):
            check_gradient(
                lambda z, g, j=jacobian: log_density(problem.equations, co, prior, z, j, g), x,
                1e-6,
            )  # fmt: skip


@pytest.mark.parametrize("name", ["ar1 finer", "us", "exp in a plane", "covariates"])
def test_passes_over_pairs_are_the_sums_of_classes(
    name: str, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cost in (1e9, -1e9):
        monkeypatch.setattr(structured_problem, "_PASS", cost)
        model = bmx.Model(MODELS[name], data, weights="w")
        problem = model.gaussian_problem
        assert bool(problem.equations.classes.sizes[7]) == (cost < 0)
        co = problem.coordinates(model.prior_entries)
        prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
        gradient = np.empty(co.n_all)
        x = np.random.default_rng(1).normal(0, 0.5, co.n_all)
        value = log_density(problem.equations, co, prior, x, True, gradient)
        found.append([value, *gradient])
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_prediction_errors_are_those_of_the_dense_model(name: str, data: pd.DataFrame) -> None:
    model = bmx.Model(MODELS[name], data)
    eb = model.fit_eb()
    inverse = np.linalg.inv(marginal(model, eb, data))
    X = model.design.mu.X
    cov = np.linalg.inv(X.T @ inverse @ X)
    beta = cov @ X.T @ inverse @ model.y
    mean, total = X @ beta, np.zeros((len(X), len(X)))
    for group in model.design.mu.groups:
        ZL = group.Z @ eb._law.roots[group.name]
        total = total + (group.index[:, None] == group.index) * (ZL @ ZL.T)
    mean = mean + total @ inverse @ (model.y - X @ beta)
    # Var(x'beta + z'b | y) with both estimated.
    left = X - total @ inverse @ X
    variance = total - total @ inverse @ total + left @ cov @ left.T
    found = eb.predict()
    assert found["estimate"].to_numpy() == pytest.approx(mean, rel=1e-6)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(np.diag(variance)), rel=1e-5)
    response = eb.predict(kind="response")["sd"].to_numpy()
    R = np.diag(R_of(model, values_of(eb), data))
    assert response == pytest.approx(np.sqrt(np.diag(variance) + R), rel=1e-5)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1", "ar1 with strata", "cs with strata", "covariate", "exp"])
def test_the_pymc_model_is_the_collapsed_density(name: str, data: pd.DataFrame) -> None:
    check_pymc_model(bmx.Model(MODELS[name], data, parametrization="centered"), data)


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
    from bayesmix.gaussian.coordinates import correlation_matrices, unpack_theta
    from bayesmix.inference.theta_draws import residual_variables

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


def test_published_fits(published: dict[str, Any], reference_folder: Path) -> None:
    ar1, het = published["gpa_ar1"], published["gpa_het"]
    gpa = pd.read_csv(reference_folder / "data" / ar1["data"])
    eb = bmx.Model([ar1["formula"], "residual ~ ar1(occasion | student)"], gpa).fit_eb()
    assert eb.loglik == pytest.approx(ar1["loglik_reml"], abs=1e-6)
    table = eb.family_parameters().set_index("parameter")["estimate"]
    assert table["sigma"] == pytest.approx(ar1["sigma"], rel=1e-4)
    assert table["rho_residual"] == pytest.approx(ar1["cor"], rel=1e-4)
    for row, found in zip(
        ar1["fixed_effects"], eb.fixed_effects().itertuples(index=False), strict=True
    ):
        assert found.estimate == pytest.approx(row["estimate"], abs=1e-3 * row["se"])
        assert found.sd == pytest.approx(row["se"], rel=1e-4)
    eb = bmx.Model([het["formula"], "sigma ~ 0 + C(occasion)"], gpa).fit_eb()
    assert eb.loglik == pytest.approx(het["loglik_reml"], abs=1e-6)
    sd = np.exp(eb._law.residual_values["sigma_beta"])
    assert sd[0] == pytest.approx(het["sigma"], rel=1e-4)
    exp = published["wateruse_corexp"]
    water = pd.read_csv(reference_folder / "data" / exp["data"])
    water = water[(water.age == "A2") & (water.species == "S2") & (water.day != 268)].dropna()
    water = water.assign(ti=water.day / 100, ti2=(water.day / 100) ** 2)
    eb = bmx.Model([exp["formula"], "residual ~ exp(day | tree)"], water).fit_eb()
    assert eb.loglik == pytest.approx(exp["loglik_reml"], abs=1e-5)
    values = values_of(eb)
    assert values["range_residual"] == pytest.approx(exp["cor"], rel=1e-4)
    assert values["sigma"] == pytest.approx(exp["sigma"], rel=1e-4)
    assert sd[1:] / sd[0] == pytest.approx(het["var"], rel=1e-4)


@pytest.mark.parametrize("name", ["gpa_tmb_cs", "gpa_tmb_us", "gpa_tmb_toep", "gpa_tmb_diag_disp"])
def test_published_fits_of_structures(
    name: str, structures: dict[str, Any], reference_folder: Path
) -> None:
    table = structures[name]
    gpa = pd.read_csv(reference_folder / "data" / table["data"])
    eb = bmx.Model(table["formula"], gpa).fit_eb()
    assert eb.loglik > table["loglik"] - 1e-3
    assert eb.df == table["df"]
    for row in eb.fixed_effects().itertuples(index=False):
        term = "(Intercept)" if row.term == "Intercept" else row.term
        assert row.estimate == pytest.approx(
            table["fixed_effects"][term], abs=1e-2 * table["se"][term]
        )


@pytest.mark.slow
def test_engines_agree(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x", "residual ~ ar1(t | g)", "sigma ~ f"], data)
    fast = model.fit(seed=1, progress=False)
    assert fast.idata.attrs["engine"].startswith("fast")
    slow = model.fit(engine="pymc", seed=2, draws=500, chains=2, progress=False)
    for name in ("beta", "sigma_beta", "rho_residual"):
        one, other = (np.concatenate(p.idata["posterior"][name].to_numpy()) for p in (fast, slow))
        error = np.sqrt(one.var(axis=0) / 1000 + other.var(axis=0) / 300)
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4 * error), name
        assert one.std(axis=0) == pytest.approx(other.std(axis=0), rel=0.2)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_a_row_is_left_out_given_the_others_of_its_series(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x + (1 | g)", "residual ~ ar1(t | g)"], data)
    post = model.fit(draws=5, tune=50, chains=1, seed=1, progress=False)
    found = post.log_likelihood()["log_likelihood"].to_dataset()
    found = next(iter(found.data_vars.values())).to_numpy()[0]
    draws = {k: v.to_numpy()[0] for k, v in post.idata["posterior"].data_vars.items()}
    for s in (0, 4):
        R = R_of(model, {k: v[s] for k, v in draws.items()}, data)
        mean = model.design.mu.X @ draws["beta"][s]
        mean += draws["b_g"][s][model.design.mu.groups[0].index, 0]
        for i in (0, 7, 30):
            rest = np.delete(np.arange(len(R)), i)
            gain = np.linalg.solve(R[np.ix_(rest, rest)], R[rest, i])
            expected = mean[i] + gain @ (model.y - mean)[rest]
            sd = np.sqrt(R[i, i] - gain @ R[rest, i])
            assert found[s, i] == pytest.approx(stats.norm(expected, sd).logpdf(model.y[i]))


def test_replicates_are_correlated_as_the_model_says(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x", "residual ~ ar1(t | g)", "sigma ~ f"], data)
    eb = model.fit_eb()
    R = R_of(model, values_of(eb), data)
    drawn = eb.simulate(4000, seed=1).to_numpy()
    assert np.cov(drawn) == pytest.approx(R, abs=0.12 * R.max())
    post = model.fit(seed=1, progress=False)
    drawn = post.predict_draws(kind="response", seed=3).to_numpy().reshape(4000, -1)
    mean = post.predict_draws(kind="mean").to_numpy().reshape(4000, -1)
    assert np.corrcoef((drawn - mean).T) == pytest.approx(
        R / np.sqrt(np.outer(np.diag(R), np.diag(R))), abs=0.2
    )


def test_forecasts_continue_from_what_was_observed(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x + (1 | g)", "residual ~ ar1(t | g)", "sigma ~ f"], data)
    eb = model.fit_eb()
    new = pd.DataFrame({"g": [0, 0, 5, 99], "t": [7, 9, 8, 1], "x": 5.0, "f": list("abab")})
    found = eb.predict(new, kind="response", forecast=True, draws=40_000, seed=1)
    # The best linear predictor of the new rows, by dense algebra over all of them.
    both = pd.concat([data, new], ignore_index=True)
    sd = np.exp(np.array([1.0, 0.0]) @ eb._law.residual_values["sigma_beta"])
    ratio = np.exp(eb._law.residual_values["sigma_beta"][1])
    sds = np.where(both["f"] == "a", sd, sd * ratio)
    same = both["g"].to_numpy()[:, None] == both["g"].to_numpy()
    gap = np.abs(both["t"].to_numpy()[:, None] - both["t"].to_numpy())
    V = same * eb._law.family_values["rho_residual"] ** gap * np.outer(sds, sds)
    V = V + same * float(eb._law.roots["g"][0, 0]) ** 2
    n = len(data)
    X = np.column_stack([np.ones(len(both)), both["x"]])
    inverse = np.linalg.inv(V[:n, :n])
    cov = np.linalg.inv(X[:n].T @ inverse @ X[:n])
    beta = cov @ X[:n].T @ inverse @ model.y
    gain = V[n:, :n] @ inverse
    mean = X[n:] @ beta + gain @ (model.y - X[:n] @ beta)
    left = X[n:] - gain @ X[:n]
    variance = np.diag(V[n:, n:] - gain @ V[:n, n:] + left @ cov @ left.T)
    assert found["estimate"].to_numpy() == pytest.approx(mean, abs=0.03)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(variance), rel=0.03)
    with pytest.raises(DataError, match="where a row of its series was observed"):
        eb.predict(data.iloc[:1], kind="response", forecast=True)
    with pytest.raises(NotSupportedError, match="independent"):
        bmx.Model("y ~ x + (1 | g)", data).fit_eb().predict(new, forecast=True)


def test_normalized_residuals_are_white(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x", "residual ~ ar1(t | g)", "sigma ~ f"], data)
    eb = model.fit_eb()
    R = R_of(model, values_of(eb), data)
    plain = eb.residuals("response").to_numpy()
    white = eb.residuals("normalized").to_numpy()
    assert white @ white == pytest.approx(plain @ np.linalg.solve(R, plain))
    first = data.groupby("g")["t"].idxmin().to_numpy()  # as they are, at the head of a series
    assert white[first] == pytest.approx(plain[first] / np.sqrt(np.diag(R)[first]))


@pytest.mark.slow
def test_an_unstructured_posterior(data: pd.DataFrame, tmp_path: Path) -> None:
    model = bmx.Model(["y ~ x", "residual ~ us(s | k)"], data)
    post = model.fit(seed=1, progress=False)
    table = post.family_parameters()
    assert table["parameter"].tolist() == [
        "sd_residual[a0]", "sd_residual[a1]", "sd_residual[b2]", "corr_residual[a0, a1]",
        "corr_residual[a0, b2]", "corr_residual[a1, b2]",
    ]  # fmt: skip
    again = bmx.load(post.save(tmp_path / "us.nc"))
    assert again.family_parameters().equals(table)
    assert post.predict(data.iloc[:3], kind="response").notna().all(axis=None)
    with pytest.raises(DataError, match="no place that us has seen"):
        post.predict(data.iloc[:2].assign(s="zz"), kind="response")
    with pytest.raises(NotSupportedError, match="no sigma beside"):
        bmx.Model(["y ~ x", "residual ~ us(s | k)", "sigma ~ f"], data)
    slow = model.fit(engine="pymc", seed=2, draws=500, chains=2, progress=False)
    for name in ("sd_residual", "corr_residual"):
        one, other = (np.concatenate(p.idata["posterior"][name].to_numpy()) for p in (post, slow))
        error = np.sqrt(one.var(axis=0) / 1000 + other.var(axis=0) / 300) + 1e-9
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4 * error), name


def test_pearson_residuals_are_divided_by_each_rows_own_sd(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x + (1 | g)", "sigma ~ f"], data)
    eb = model.fit_eb()
    sd = np.sqrt(np.diag(R_of(model, values_of(eb), data)))
    plain = eb.residuals("response").to_numpy()
    assert eb.residuals("pearson").to_numpy() == pytest.approx(plain / sd)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_files_updates_and_words(data: pd.DataFrame, tmp_path: Path) -> None:
    formulas = ["y ~ x + (1 | g)", "residual ~ ar1(t | g)", "sigma ~ f"]
    model = bmx.Model(formulas, data)
    eb = model.fit_eb()
    again = bmx.load(eb.save(tmp_path / "fit.nc"))
    assert again.loglik == pytest.approx(eb.loglik)
    post = model.fit(draws=50, tune=100, chains=2, seed=1, progress=False)
    again = bmx.load(post.save(tmp_path / "post.nc"))
    assert again.family_parameters().equals(post.family_parameters())
    words = repr(model)
    assert "residuals ar1(t | g)" in words
    assert "rho_residual ~ Uniform(lower=-1, upper=1)" in words
    assert r"\rho^{|t_i - t_j|}" in model.equation()
    other = eb.model.update("  . ~ . - x")
    assert other.residual == model.residual
    assert eb.model.update(formulas[:2]).specification.formula == tuple(formulas[:2])
    half = model.update(data=data.iloc[:40])
    assert half.design.n_obs == 40
    assert half.residual == model.residual


@pytest.mark.parametrize(
    ("formulas", "error", "match"),
    [
        (["y ~ x", "residual ~ ar1(x | g)"], DataError, r"exp\(x \| g\)"),
        (["y ~ x", "residual ~ ar1(t | h)"], DataError, "same t .* in one series"),
        (["y ~ x", "residual ~ ar(t | g)"], FormulaError, "no residual structure ar; .*ar1"),
        (["y ~ x", "residual ~ t"], FormulaError, "one structure"),
        (["y ~ x", "residual ~ ar1(g)"], FormulaError, "needs the time"),
        (["y ~ x", "residual ~ cs(t | g)"], FormulaError, r"cs has no times: cs\(g\)"),
        (["y ~ x", "residual ~ ar1(t | g/h)"], FormulaError, "levels of one factor"),
        (["y ~ x", "residual ~ ar1(t | g)", "residual ~ cs(g)"], FormulaError, "two formulas"),
        (["y ~ x", "nu ~ x"], FormulaError, "no parameter nu"),
        (["y ~ x", "residual ~ ar1(zz | g)"], FormulaError, "no column `zz`"),
        (["weighted(y, w) ~ x", "residual ~ ar1(t | g)"], NotSupportedError, "seen as"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    formulas: list[str], error: type[Exception], match: str, data: pd.DataFrame
) -> None:
    with pytest.raises(error, match=match):
        bmx.Model(formulas, data)


@pytest.mark.parametrize("word", ["ar1", "toep"])
def test_levels_that_are_whole_numbers_are_these_numbers(word: str, data: pd.DataFrame) -> None:
    """As in group terms: the gap from 2 to 4 counts, and 10 lies behind 9."""
    late = data.assign(t=data["t"] + 5)
    text = bmx.Model(["y ~ x", f"residual ~ {word}(t | g)"], late.assign(t=late["t"].astype(str)))
    number = bmx.Model(["y ~ x", f"residual ~ {word}(t | g)"], late)
    assert text.fit_eb().loglik == pytest.approx(number.fit_eb().loglik, abs=1e-9)


@pytest.mark.parametrize("formula", ["sigma ~ 0", "sigma ~ 0 + offset(x)"])
def test_a_predictor_of_sigma_without_a_coefficient_is_refused(
    formula: str, data: pd.DataFrame
) -> None:
    with pytest.raises(NotSupportedError, match=r"no coefficient of sigma .* known_se="):
        bmx.Model(["y ~ x + (1 | g)", formula], data).fit_eb()


def test_text_is_in_an_order_or_refused(data: pd.DataFrame) -> None:
    given = data.assign(
        week=[f"w{t + 5}" for t in data["t"]],
        day=(pd.Timestamp("2024-01-30") + pd.to_timedelta(data["t"], "D")).astype(str),
    )
    with pytest.warns(DataWarning, match="w10, w11, w5, w6"):
        bmx.Model(["y ~ x", "residual ~ ar1(week | g)"], given)
    with pytest.raises(DataError, match=r"holds text such as .* exp needs numbers"):
        bmx.Model(["y ~ x", "residual ~ exp(week | g)"], given)
    with pytest.raises(DataError, match="counts the days"):
        bmx.Model(["y ~ x", "residual ~ ar1(day | g)"], given)


def test_as_many_correlations_as_steps_of_a_huge_gap_are_refused(data: pd.DataFrame) -> None:
    late = data.assign(t=data["t"].replace(6, 10**9))
    with pytest.raises(NotSupportedError, match="each of 1000000000 steps"):
        bmx.Model("y ~ x + toep(t | g)", late)
    with pytest.raises(DataError, match="1000000000 lags"):
        bmx.Model(["y ~ x", "residual ~ toep(t | g)"], late)
    fit = bmx.Model("y ~ x + toep(t | g)", data).fit_eb("map")
    with pytest.raises(NotSupportedError, match=r"has not seen|steps"):
        fit.predict(pd.DataFrame({"x": [5.0], "g": [1], "t": [10**9]}))


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_positions_of_another_size_are_refused_by_name(size: float, data: pd.DataFrame) -> None:
    far = data.assign(u=data["u"] * size)
    for formula in (["y ~ x", "residual ~ exp(u | g)"], "y ~ x + gau(u | g)"):
        with pytest.raises(DataError, match=r"the position of .* `u` is .* rescale"):
            bmx.Model(formula, far)


def test_other_families_are_refused_by_name(data: pd.DataFrame) -> None:
    counts = data.assign(n=np.arange(len(data)) % 4)
    with pytest.raises(NotSupportedError, match="the family is poisson"):
        bmx.Model(["n ~ x", "residual ~ ar1(t | g)"], counts, family="poisson")
    assert bmx.Model(["y ~ x", "sigma ~ x"], data, family="student_t").parameters == ("nu",)


def test_words_of_the_formula_are_read_as_everywhere() -> None:
    found = parse_residual("residual ~ ar1(`a b` | g:h)")
    assert found.groups[0].columns == ("g", "h")
    assert found.groups[0].structure == "ar1"


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize(
    "more", [["residual ~ ar1(t | g)"], ["sigma ~ x"], ["residual ~ us(s | k)"]]
)
def test_smooths_beside_them_have_degrees_of_freedom(more: list[str], data: pd.DataFrame) -> None:
    curved = data.assign(y=data["y"] + np.sin(2 * data["x"]))
    model = bmx.Model(["y ~ s(x)", *more], curved)
    post = model.fit(draws=100, tune=100, chains=2, seed=1, progress=False)
    edf = post.smooths(diagnostics=False)["edf"].iloc[0]
    assert edf == pytest.approx(model.fit_eb().smooths()["edf"].iloc[0], rel=0.4)
    assert post.r2().notna().all(axis=None)


def test_coefficients_of_sigma_have_a_table(data: pd.DataFrame) -> None:
    fit = bmx.Model(["y ~ x + (1 | g)", "sigma ~ x"], data).fit_eb(method="ml")
    table = fit.fixed_effects(parameter="sigma")
    assert table["term"].tolist() == ["Intercept", "x"]
    np.testing.assert_allclose(table["estimate"], fit._law.residual_values["sigma_beta"])
    assert ((table["lower"] < table["estimate"]) & (table["estimate"] < table["upper"])).all()
    both = fit.fixed_effects(parameter="all")
    assert both["parameter"].tolist() == ["mu", "mu", "sigma", "sigma"]
    assert "sigma" in str(fit)
    # The standard error is that of the curvature: the deviance rises by one at one of them.
    shifted = data.assign(u=(table["estimate"][1] + table["sd"][1]) * data["x"])
    held = bmx.Model(["y ~ x + (1 | g)", "sigma ~ 1 + offset(u)"], shifted).fit_eb(method="ml")
    assert held.deviance - fit.deviance == pytest.approx(1, abs=0.25)
    assert fit.variance_components(parameter="sigma").empty
    with pytest.raises(NotSupportedError, match="profile"):
        fit.fixed_effects(parameter="sigma", ci_method="profile")
    with pytest.raises(FormulaError, match="did you mean 'residual'"):
        bmx.Model(["y ~ x", "residuals ~ ar1(t | g)"], data)
