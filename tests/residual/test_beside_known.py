"""Residual structures and a predictor of sigma beside known standard errors, end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import DataError, NotApplicableError, NotSupportedError
from bayesmix.gaussian import structured_problem
from bayesmix.gaussian.density import log_density
from bayesmix.gaussian.leave_group_out import log_density_of_groups

from .algebra import check_gradient, dense_likelihood
from .models import (
    MODELS,
    SLOPES,
    R_of,
    at_theta,
    check_pymc_model,
    dense_predictions,
    density_without,
    marginal,
    values_of,
)

EVERY = MODELS | {name: SLOPES[name] for name in ("slopes with exp", "slopes with cs")}


@pytest.fixture(scope="module")
def known(data: pd.DataFrame) -> pd.DataFrame:
    se = np.random.default_rng(8).uniform(0.2, 0.9, len(data))
    noise = np.random.default_rng(9).normal(0, se)
    return data.assign(se=se, y=data["y"] + noise)


@pytest.mark.parametrize("name", EVERY)
def test_reml_is_the_dense_likelihood_at_its_top(name: str, known: pd.DataFrame) -> None:
    model = bmx.Model(EVERY[name], known, known_se="se")
    for method in ("reml", "ml"):
        eb = model.fit_eb(method)
        X, n = model.design.mu.X, len(known)
        log_V, log_X, length = dense_likelihood(marginal(model, eb, known), X, model.y)
        value = -0.5 * (log_V + length + n * np.log(2 * np.pi))
        if method == "reml":
            value += 0.5 * (X.shape[1] * np.log(2 * np.pi) - log_X)
        assert eb.loglik == pytest.approx(value, abs=1e-6)
        assert eb.converged


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_those_of_differences(name: str, known: pd.DataFrame) -> None:
    model = bmx.Model(EVERY[name], known, known_se="se")
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


@pytest.mark.parametrize("name", ["ar1", "us", "covariates"])
def test_passes_over_pairs_are_the_sums_of_classes(
    name: str, known: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cost in (1e9, -1e9):
        monkeypatch.setattr(structured_problem, "_PASS", cost)
        model = bmx.Model(MODELS[name], known, known_se="se")
        problem = model.gaussian_problem
        assert problem.equations.classes is not None
        assert bool(problem.equations.classes.sizes[7]) == (cost < 0)
        co = problem.coordinates(model.prior_entries)
        prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
        gradient = np.empty(co.n_all)
        x = np.random.default_rng(1).normal(0, 0.5, co.n_all)
        value = log_density(problem.equations, co, prior, x, True, gradient)
        found.append([value, *gradient])
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_prediction_errors_are_those_of_the_dense_model(name: str, known: pd.DataFrame) -> None:
    model = bmx.Model(EVERY[name], known, known_se="se")
    eb = model.fit_eb()
    mean, variance = dense_predictions(model, eb, known)
    found = eb.predict()
    assert found["estimate"].to_numpy() == pytest.approx(mean, rel=1e-6)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(variance), rel=1e-5)
    R = R_of(model, values_of(eb), known)
    if name == "toep":  # whose constant part is the effects of groups as well
        assert eb.predict(kind="response")["sd"].isna().all()
        assert "sigma and rho of the residuals" in " ".join(str(eb).split())
    else:
        response = eb.predict(kind="response")["sd"].to_numpy()
        assert response == pytest.approx(np.sqrt(variance + np.diag(R)), rel=1e-5)
    plain = eb.residuals("response").to_numpy()
    assert eb.residuals("pearson").to_numpy() == pytest.approx(plain / np.sqrt(np.diag(R)))
    white = eb.residuals("normalized").to_numpy()
    assert white @ white == pytest.approx(plain @ np.linalg.solve(R, plain))
    residual = eb.variance_components().set_index("group").loc["Residual"]
    if name == "toep":
        assert np.isnan(residual["variance"])
    else:
        assert residual["variance"] == pytest.approx(np.diag(R).mean())


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1", "ar1 with strata", "cs with strata", "covariate", "exp"])
def test_the_pymc_model_is_the_collapsed_density(name: str, known: pd.DataFrame) -> None:
    check_pymc_model(
        bmx.Model(MODELS[name], known, known_se="se", parametrization="centered"), known
    )


@pytest.mark.parametrize("name", ["toep", "us", "gau", "exp in a plane"])
def test_the_pymc_likelihood_is_the_dense_normal(name: str, known: pd.DataFrame) -> None:
    model = bmx.Model(MODELS[name], known, known_se="se")
    point = model.pymc_model.initial_point()
    names = {v.name for v in model.pymc_model.free_RVs + model.pymc_model.deterministics}
    here = model.pymc_model.replace_rvs_by_values([model.pymc_model[n] for n in sorted(names)])
    found = model.pymc_model.compile_fn(
        [model.pymc_model.observedlogp, *here], mode="FAST_COMPILE"
    )(point)
    values = dict(zip(sorted(names), found[1:], strict=True))
    mu = model.design.mu.X @ values["beta"]
    for group in model.design.mu.groups:
        mu = mu + np.ravel(values[f"b_{group.name}"])[group.index]
    R = R_of(model, values, known)
    assert float(found[0]) == pytest.approx(stats.multivariate_normal(mu, R).logpdf(model.y))


@pytest.mark.parametrize("by", ["g", "t"])
@pytest.mark.parametrize("name", EVERY)
def test_a_group_left_out(name: str, by: str, known: pd.DataFrame) -> None:
    model = bmx.Model(EVERY[name], known, known_se="se")
    problem = model.gaussian_problem
    X = np.random.default_rng(4).normal(0, 0.5, (2, problem.absolute_coordinates().n_all))
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    member = np.unique(known[by], return_inverse=True)[1]
    found = log_density_of_groups(
        problem, model.design.mu, model.y, None, prior, X, member, model.rows
    )
    for s, x in enumerate(X):
        assert found[s] == pytest.approx(
            density_without(model, x, known, member), rel=1e-7, abs=1e-6
        )
    assert at_theta(model, X[0])


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1", "us", "covariates", "covariate"])
def test_rows_given_the_others_of_their_series(
    name: str, known: pd.DataFrame, tmp_path: Path
) -> None:
    model = bmx.Model(MODELS[name], known, known_se="se")
    post = model.fit(draws=30, tune=100, chains=1, seed=1, progress=False)
    found = post.log_likelihood()["log_likelihood"].to_dataset()
    found = next(iter(found.data_vars.values())).to_numpy()[0]
    draws = {k: v.to_numpy()[0] for k, v in post.idata["posterior"].data_vars.items()}
    for s in (0, 4):
        R = R_of(model, {k: v[s] for k, v in draws.items()}, known)
        mean = model.design.mu.X @ draws["beta"][s]
        for group in model.design.mu.groups:
            mean = mean + draws[f"b_{group.name}"][s][group.index, 0]
        for i in (0, 7, 30):
            rest = np.delete(np.arange(len(R)), i)
            gain = np.linalg.solve(R[np.ix_(rest, rest)], R[rest, i])
            expected = mean[i] + gain @ (model.y - mean)[rest]
            sd = np.sqrt(R[i, i] - gain @ R[rest, i])
            assert found[s, i] == pytest.approx(stats.norm(expected, sd).logpdf(model.y[i]))
    again = bmx.load(post.save(tmp_path / "post.nc"))
    assert again.family_parameters().equals(post.family_parameters())
    assert np.isfinite(post.loo(by=known["g"]).elpd)
    assert post.r2().notna().all(axis=None)


def test_replicates_are_correlated_as_the_model_says(known: pd.DataFrame) -> None:
    few = known[known["g"] < 3].reset_index(drop=True)
    for formulas in (["y ~ x", "residual ~ ar1(t | g)", "sigma ~ f"],
                     ["y ~ x", "residual ~ ar1(t | g)"], ["y ~ x", "sigma ~ x"]):  # fmt: skip
        model = bmx.Model(formulas, few, known_se="se")
        eb = model.fit_eb()
        R = R_of(model, values_of(eb), few)
        drawn = eb.simulate(3000, seed=1).to_numpy()
        assert np.cov(drawn) == pytest.approx(R, abs=0.12 * R.max())


def test_forecasts_continue_from_what_was_observed(known: pd.DataFrame) -> None:
    model = bmx.Model(
        ["y ~ x + (1 | g)", "residual ~ ar1(t | g)", "sigma ~ f"], known, known_se="se"
    )
    eb = model.fit_eb()
    new = pd.DataFrame({
        "g": [0, 0, 5, 99], "t": [7, 9, 8, 1], "x": 5.0, "f": list("abab"),
        "se": [0.3, 0.6, 0.1, 0.4],
    })  # fmt: skip
    found = eb.predict(new, kind="response", forecast=True, draws=8000, seed=1)
    both = pd.concat([known, new], ignore_index=True)
    values, n = values_of(eb), len(known)
    same = both["g"].to_numpy()[:, None] == both["g"].to_numpy()
    gap = np.abs(both["t"].to_numpy()[:, None] - both["t"].to_numpy())
    beta = eb._law.residual_values["sigma_beta"]
    sd = np.exp(beta[0] + beta[1] * (both["f"] == "b").to_numpy())
    V = same * values["rho_residual"] ** gap * np.outer(sd, sd) + np.diag(both["se"] ** 2)
    V = V + same * float(eb._law.roots["g"][0, 0]) ** 2
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


def test_a_sigma_of_its_own_is_a_parameter_like_others(known: pd.DataFrame, tmp_path: Path) -> None:
    formulas = ["y ~ x + (1 | g)", "residual ~ ar1(t | g)"]
    model = bmx.Model(
        formulas, known, known_se="se", priors={"sigma": bmx.Prior("Exponential", lam=1)}
    )
    words = repr(model)
    assert "sigma ~ Exponential(lam=1)" in words
    assert "residuals ar1(t | g) beside known standard errors" in " ".join(words.split())
    assert r"\text{se}_i" in model.equation()
    eb = model.fit_eb()
    assert eb.family_parameters()["parameter"].tolist() == ["sigma", "rho_residual"]
    wide = eb.family_parameters(ci_method="profile").set_index("parameter").loc["sigma"]
    assert wide["lower"] < wide["estimate"] < wide["upper"]
    again = bmx.load(eb.save(tmp_path / "fit.nc"))
    assert again.loglik == pytest.approx(eb.loglik)
    assert eb.model.update(". ~ . - x").residual == model.residual
    fine = eb.bootstrap(20, seed=1, progress=False)
    assert fine.draws().shape[0] == 20
    with pytest.raises(NotSupportedError, match="beside known standard errors"):
        model.fit_eb("mivque0")
    with pytest.raises(DataError, match="standard error of each row"):
        eb.predict(known.drop(columns="se").iloc[:2], kind="response")
    plain = bmx.Model("y ~ x + (1 | g)", known, known_se="se")
    assert plain.parameters == ()
    # Without correlation the same as an effect for each row.
    rows = known.assign(row=np.arange(len(known)))
    alone = bmx.Model(["y ~ x + (1 | g)", "sigma ~ 1"], rows, known_se="se").fit_eb()
    effect = bmx.Model("y ~ x + (1 | g) + (1 | row)", rows, known_se="se").fit_eb()
    assert alone.loglik == pytest.approx(effect.loglik, abs=1e-6)
    with pytest.raises(NotSupportedError, match="on sigma beside known standard errors"):
        bmx.Model(["y ~ x", "sigma ~ (1 | g)"], known, known_se="se").fit_eb()


def test_a_sigma_of_nothing_beside_known_errors_is_zero_and_says_so() -> None:
    rng = np.random.default_rng(5)
    se = rng.uniform(0.5, 1.4, 80)
    rows = pd.DataFrame({
        "x": rng.uniform(0, 1, 80), "g": np.repeat(np.arange(16), 5), "t": np.tile(range(5), 16),
        "se": se,
    })  # fmt: skip
    rows["y"] = 1 + rows["x"] + 0.8 * rng.normal(0, se)
    plain = bmx.Model("y ~ x", rows, known_se="se").fit_eb()
    eb = bmx.Model(["y ~ x", "residual ~ ar1(t | g)"], rows, known_se="se").fit_eb()
    assert eb.loglik == pytest.approx(plain.loglik, abs=1e-5)
    assert eb.singular == "sigma beside the known standard errors is zero"
    table = eb.family_parameters(ci_method="profile").set_index("parameter")
    assert table.loc["sigma", "lower"] == 0
    assert 0.1 < table.loc["sigma", "upper"] < 1
    assert eb.sigma == table.loc["sigma", "estimate"]
    assert eb.fixed_effects()["sd"].to_numpy() == pytest.approx(
        plain.fixed_effects()["sd"].to_numpy(), rel=1e-4
    )
    varies = bmx.Model(["y ~ x", "sigma ~ t"], rows).fit_eb()
    with pytest.raises(NotApplicableError, match="from row to row"):
        _ = varies.sigma
    assert not hasattr(varies, "sigma")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1", "us"])
def test_engines_agree(name: str, known: pd.DataFrame) -> None:
    model = bmx.Model(MODELS[name], known, known_se="se")
    fast = model.fit(seed=1, progress=False)
    slow = model.fit(engine="pymc", seed=2, draws=500, chains=2, progress=False)
    for own in ("beta", *model.residual.dims):
        one, other = (np.concatenate(p.idata["posterior"][own].to_numpy()) for p in (fast, slow))
        error = np.sqrt(one.var(axis=0) / 1000 + other.var(axis=0) / 300) + 1e-9
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4 * error), own
