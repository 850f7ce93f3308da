"""Models of several formulas: residual structures and predictors of sigma, end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, FormulaError, NotSupportedError
from bayesmix.formula.residual import parse_residual
from bayesmix.gaussian import structured_problem
from bayesmix.gaussian.density import log_density

from .algebra import check_gradient, dense_likelihood
from .models import MODELS, R_of, check_pymc_model, dense_predictions, marginal, values_of


@pytest.fixture(scope="module")
def structures(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


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
    mean, variance = dense_predictions(model, eb, data)
    found = eb.predict()
    assert found["estimate"].to_numpy() == pytest.approx(mean, rel=1e-6)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(variance), rel=1e-5)
    response = eb.predict(kind="response")["sd"].to_numpy()
    R = np.diag(R_of(model, values_of(eb), data))
    assert response == pytest.approx(np.sqrt(variance + R), rel=1e-5)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", ["ar1", "ar1 with strata", "cs with strata", "covariate", "exp"])
def test_the_pymc_model_is_the_collapsed_density(name: str, data: pd.DataFrame) -> None:
    check_pymc_model(bmx.Model(MODELS[name], data, parametrization="centered"), data)


def close_to_published(eb: Any, fixed: list[dict[str, float]], own: Mapping[str, float]) -> None:
    """Estimates within 1e-3 of a standard error."""
    for row, found in zip(fixed, eb.fixed_effects().itertuples(index=False), strict=True):
        assert found.estimate == pytest.approx(row["estimate"], abs=1e-3 * row["se"])
        assert found.sd == pytest.approx(row["se"], rel=1e-2)  # of nlme by other parameters
    table = eb.family_parameters(ci_method="wald").set_index("parameter")
    for name, value in own.items():
        row = table.loc[name]
        assert row["estimate"] == pytest.approx(value, abs=1e-3 * row["sd"]), name


def test_published_fits(published: dict[str, Any], reference_folder: Path) -> None:
    ar1, het = published["gpa_ar1"], published["gpa_het"]
    gpa = pd.read_csv(reference_folder / "data" / ar1["data"])
    eb = bmx.Model([ar1["formula"], "residual ~ ar1(occasion | student)"], gpa).fit_eb()
    assert eb.loglik == pytest.approx(ar1["loglik_reml"], abs=1e-6)
    own = {"sigma": ar1["sigma"], "rho_residual": ar1["cor"]}
    close_to_published(eb, ar1["fixed_effects"], own)
    table = eb.family_parameters().set_index("parameter")["estimate"]
    assert table["sigma"] == pytest.approx(ar1["sigma"], rel=1e-4)
    assert table["rho_residual"] == pytest.approx(ar1["cor"], rel=1e-4)
    for row, found in zip(
        ar1["fixed_effects"], eb.fixed_effects().itertuples(index=False), strict=True
    ):
        assert found.sd == pytest.approx(row["se"], rel=1e-4)
    eb = bmx.Model([het["formula"], "sigma ~ 0 + C(occasion)"], gpa).fit_eb()
    assert eb.loglik == pytest.approx(het["loglik_reml"], abs=1e-6)
    close_to_published(eb, het["fixed_effects"], {})
    assert eb.variance_components()["sd"][0] == pytest.approx(het["group_sd"], abs=1e-5)
    of_sigma = eb.fixed_effects(parameter="sigma")
    expected = np.log(het["sigma"] * np.asarray([1.0, *het["var"]]))
    assert (np.abs(of_sigma["estimate"] - expected) < 1e-3 * of_sigma["sd"]).all()
    exp = published["wateruse_corexp"]
    water = pd.read_csv(reference_folder / "data" / exp["data"])
    water = water[(water.age == "A2") & (water.species == "S2") & (water.day != 268)].dropna()
    water = water.assign(ti=water.day / 100, ti2=(water.day / 100) ** 2)
    eb = bmx.Model([exp["formula"], "residual ~ exp(day | tree)"], water).fit_eb()
    assert eb.loglik == pytest.approx(exp["loglik_reml"], abs=1e-5)
    own = {"range_residual": exp["cor"], "sigma": exp["sigma"]}
    close_to_published(eb, exp["fixed_effects"], own)
    assert eb.variance_components()["sd"][0] == pytest.approx(exp["group_sd"], abs=1e-5)


class OfOneMatrix:
    """REML of gpa ~ occasion where all students have one covariance matrix V, by hand."""

    def __init__(self, gpa: pd.DataFrame) -> None:
        self.Y = gpa.sort_values(["student", "occasion"])["gpa"].to_numpy().reshape(-1, 6)
        self.X = np.column_stack([np.ones(6), np.arange(6.0)])

    def __call__(self, V: np.ndarray) -> float:
        G, inverse = len(self.Y), np.linalg.inv(V)
        precision = G * self.X.T @ inverse @ self.X
        beta = np.linalg.solve(precision, self.X.T @ inverse @ self.Y.sum(axis=0))
        left = self.Y - self.X @ beta
        value = G * np.linalg.slogdet(V)[1] + np.linalg.slogdet(precision)[1]
        value += float(np.einsum("gi,ij,gj->", left, inverse, left))
        return -0.5 * (value + (6 * G - 2) * np.log(2 * np.pi))


def lower_triangle(values: list[float]) -> np.ndarray:
    """A correlation matrix of what stands above its diagonal, column by column."""
    C = np.eye(6)
    C.T[np.tril_indices(6, -1)] = values
    C[np.tril_indices(6, -1)] = values
    return C


@pytest.mark.parametrize("name", ["gpa_tmb_cs", "gpa_tmb_us", "gpa_tmb_toep", "gpa_tmb_diag_disp"])
def test_published_fits_of_structures(
    name: str, structures: dict[str, Any], reference_folder: Path
) -> None:
    """All estimates of glmmTMB within 1e-3 of a standard error; toep against a tighter optimum.

    glmmTMB says of `us` and `toep` that it ended by false convergence. For `us` it is at the top to
    3e-9 of the log likelihood and 3e-4 of a standard error; for `toep` 8e-7 below it, and 1.2e-3
    of a standard error off in its first correlations.
    """
    table = structures[name]
    gpa = pd.read_csv(reference_folder / "data" / table["data"])
    eb = bmx.Model(table["formula"], gpa).fit_eb()
    assert eb.loglik > table["loglik"] - 1e-6
    assert eb.loglik == pytest.approx(table["loglik"], abs=1e-3)
    assert eb.df == table["df"]
    fixed = [{"estimate": table["fixed_effects"][k], "se": table["se"][k]} for k in table["se"]]
    if name == "gpa_tmb_diag_disp":
        close_to_published(eb, fixed, {})
        of_sigma = eb.fixed_effects(parameter="sigma")
        expected = np.asarray(list(table["log_residual_variance"].values())) / 2
        assert (np.abs(of_sigma["estimate"] - expected) < 1e-3 * of_sigma["sd"]).all()
        assert eb.variance_components()["sd"][0] == pytest.approx(table["sd"]["student"], rel=1e-5)
        return
    sd, C = table["sd"]["student"], lower_triangle(table["correlations_by_column"]["student"])
    likelihood = OfOneMatrix(gpa)
    theirs = likelihood(C * np.outer(sd, sd))
    assert theirs == pytest.approx(table["loglik"], abs=2e-5)
    assert eb.loglik >= theirs - 5e-9
    if name == "gpa_tmb_us":
        own = {f"sd_residual[{k}]": value for k, value in enumerate(sd)}
        own |= {f"corr_residual[{k}, {m}]": C[k, m] for m in range(6) for k in range(m)}
        close_to_published(eb, fixed, own)
        return
    of_sigma = eb.fixed_effects(parameter="sigma")
    if name == "gpa_tmb_cs":
        close_to_published(eb, fixed, {"rho_residual": C[0, 1]})
        assert (np.abs(of_sigma["estimate"] - np.log(sd)) < 1e-3 * of_sigma["sd"]).all()
        return
    lags = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))

    def criterion(x: np.ndarray) -> float:
        R = np.concatenate([[1.0], x[6:]])[lags]
        if np.linalg.eigvalsh(R).min() <= 0:
            return 1e10
        return -likelihood(R * np.outer(np.exp(x[:6]), np.exp(x[:6])))

    x = np.concatenate([np.log(sd), C[0, 1:]])
    for _ in range(5):  # Newton's steps, from where glmmTMB ended
        x = x - np.linalg.solve(*derivatives(criterion, x))
    assert -criterion(x) == pytest.approx(eb.loglik, abs=1e-9)
    assert -criterion(x) > theirs + 1e-7
    close_to_published(eb, fixed, {f"rho_residual[{k}]": x[5 + k] for k in range(1, 6)})
    assert (np.abs(of_sigma["estimate"] - x[:6]) < 1e-3 * of_sigma["sd"]).all()


def derivatives(function: Any, x: np.ndarray, h: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """Hessian and gradient by central differences."""
    steps = h * np.eye(len(x))
    gradient = np.asarray([(function(x + s) - function(x - s)) / (2 * h) for s in steps])
    H = np.asarray([
        [(function(x + s + t) - function(x + s - t) - function(x - s + t) + function(x - s - t))
         / (4 * h * h) for t in steps] for s in steps
    ])  # fmt: skip
    return H, gradient


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")  # of limits
def test_engines_agree(data: pd.DataFrame) -> None:
    model = bmx.Model(["y ~ x", "residual ~ ar1(t | g)", "sigma ~ f"], data)
    fast = model.fit(seed=1, progress=False)
    assert fast.idata.attrs["engine"].startswith("fast")
    slow = model.fit(engine="pymc", seed=2, draws=1000, chains=2, progress=False)
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
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")  # of limits
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


@pytest.mark.parametrize("unit", [1.0, 100.0])
@pytest.mark.parametrize("more", [[], ["residual ~ ar1(t | g)"]])
def test_coefficients_of_sigma_have_profiles(
    more: list[str], unit: float, data: pd.DataFrame
) -> None:
    """At an end the ML deviance of a model with that coefficient held is as high as it says."""
    wide = data.assign(z=unit * data["x"])
    eb = bmx.Model(["y ~ x + (1 | g)", "sigma ~ z", *more], wide).fit_eb()
    table = eb.fixed_effects(parameter="sigma", ci_method="profile").set_index("term")
    wald = eb.fixed_effects(parameter="sigma").set_index("term")
    best = bmx.Model(["y ~ x + (1 | g)", "sigma ~ z", *more], wide).fit_eb("ml").loglik
    for term, held in (
        ("z", "sigma ~ offset({} * z)"),
        ("Intercept", "sigma ~ 0 + z + offset({} + 0*z)"),
    ):
        row = table.loc[term]
        assert row["lower"] < row["estimate"] < row["upper"]
        assert row["upper"] - row["lower"] == pytest.approx(
            wald.loc[term, "upper"] - wald.loc[term, "lower"], rel=0.2
        )
        for end in (row["lower"], row["upper"]):
            there = bmx.Model(["y ~ x + (1 | g)", held.format(repr(float(end))), *more], wide)
            assert 2 * (best - there.fit_eb("ml").loglik) == pytest.approx(
                stats.chi2(1).ppf(0.95), abs=2e-3
            )


@pytest.mark.parametrize("structure", ["cs(g)", "toep(t | g)"])
def test_effects_of_groups_that_residuals_say_as_well_are_named(
    structure: str, data: pd.DataFrame
) -> None:
    """Their sum is what the likelihood knows: it is the same wherever they are."""
    eb = bmx.Model(["y ~ x + (1 | g)", f"residual ~ {structure}"], data).fit_eb()
    alone = bmx.Model(["y ~ x", f"residual ~ {structure}"], data).fit_eb()
    assert eb.loglik == pytest.approx(alone.loglik, abs=1e-6)
    assert "flat where sigma and rho of the residuals" in " ".join(str(eb).split())
    assert not np.isfinite(eb.family_parameters()["sd"]).any()
    for other in ("y ~ x", "y ~ x + (1 | h)"):
        fit = bmx.Model([other, f"residual ~ {structure}"], data).fit_eb()
        assert "flat where" not in " ".join(str(fit).split())
        assert np.isfinite(fit.family_parameters()["sd"]).all()


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
    with pytest.raises(FormulaError, match="did you mean 'residual'"):
        bmx.Model(["y ~ x", "residuals ~ ar1(t | g)"], data)


@pytest.fixture(scope="module")
def far_from_one() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n_g, n_t = 60, 8
    g, t, z = np.repeat(np.arange(n_g), n_t), np.tile(np.arange(n_t), n_g), rng.normal(size=480)
    C = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(n_t), np.arange(n_t))))
    e = (rng.normal(size=(n_g, n_t)) @ C.T).ravel() * np.exp(-0.3 + 0.4 * z)
    y = 1 + 0.5 * t + rng.normal(size=n_g)[g] + e
    far, tiny = 20_000 + 5000 * z, 1e-6 * z
    return pd.DataFrame({"g": g, "t": t, "z": z, "far": far, "tiny": tiny, "y": y})


@pytest.mark.parametrize("residual", [(), ("residual ~ ar1(t | g)",)], ids=["plain", "ar1"])
@pytest.mark.parametrize("method", ["reml", "map"])
@pytest.mark.parametrize(
    ("column", "unit"), [("far", 5000.0), ("tiny", 1e-6), ("0 + far + C(t)", 5000.0)]
)
def test_coefficients_of_sigma_do_not_mind_the_scale_of_their_column(
    far_from_one: pd.DataFrame, column: str, unit: float, method: Any, residual: Any
) -> None:
    found, expected = (
        bmx.Model(["y ~ t + (1 | g)", f"sigma ~ {one}", *residual], far_from_one).fit_eb(method)
        for one in (column, "0 + z + C(t)" if column.startswith("0") else "z")
    )
    assert found.converged
    if not column.startswith("0") or method == "reml":  # else priors hold other intercepts
        assert found.loglik == pytest.approx(expected.loglik, abs=1e-6)
        one, other = (
            fit.fixed_effects(parameter="sigma").set_index("term") for fit in (found, expected)
        )
        name = "far" if "far" in column else column
        values = one.loc[name, ["estimate", "sd"]].to_numpy(dtype=float) * unit
        np.testing.assert_allclose(
            values, other.loc["z", ["estimate", "sd"]].to_numpy(dtype=float), rtol=1e-5
        )


def test_draws_and_profiles_of_sigma_do_not_mind_it_either(far_from_one: pd.DataFrame) -> None:
    formulas = ["y ~ t + (1 | g)", "sigma ~ far", "residual ~ ar1(t | g)"]
    model = bmx.Model(formulas, far_from_one)
    eb = model.fit_eb("ml")
    wald, profile = (
        eb.fixed_effects(parameter="sigma", ci_method=how).set_index("term")
        for how in ("wald", "profile")
    )
    ends = ["lower", "upper"]
    np.testing.assert_allclose(profile.loc["far", ends].to_numpy(dtype=float),
                               wald.loc["far", ends].to_numpy(dtype=float), rtol=0.03)  # fmt: skip
    draws = model.fit(500, chains=2, seed=1, progress=False).fixed_effects(parameter="sigma")
    found = draws.set_index("term").loc["far"]
    assert found["estimate"] == pytest.approx(wald.loc["far", "estimate"], rel=0.05)
    assert found["sd"] == pytest.approx(wald.loc["far", "sd"], rel=0.15)
    prior = {"sigma: far": bmx.Prior("Normal", mu=0.0, sigma=1e-6)}
    own = bmx.Model(formulas, far_from_one, priors=prior)
    held = own.fit_eb("map").fixed_effects(parameter="sigma").set_index("term").loc["far"]
    assert abs(held["estimate"]) < 3e-6  # the prior is of the formula's coefficient
