"""Empirical Bayes answers to the tables of the design, and says what it is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, DataError, DataWarning, NotSupportedError
from bayesmix.laws import mode

SLEEP = "Reaction ~ Days + (Days | Subject)"
COLUMNS = {
    "fixed_effects": ["term", "estimate", "sd", "lower", "upper"],
    "group_effects": ["group", "level", "effect", "estimate", "sd", "lower", "upper"],
    "group_coefficients": ["group", "level", "effect", "estimate", "sd", "lower", "upper"],
    "variance_components": [
        "group", "effect", "variance", "sd", "sd_lower", "sd_upper", "variance_share",
    ],
    "correlations": ["group", "effect_1", "effect_2", "estimate", "lower", "upper"],
}  # fmt: skip


@pytest.fixture(scope="module")
def sleep_fit() -> bmx.EmpiricalBayes:
    return bmx.Model(SLEEP, bmx.load_dataset("sleepstudy")).fit_eb()


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("method", ["reml", "ml", "map"])
def test_the_columns_are_those_of_a_posterior(name: str, method: str, data: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + f + (x | g) + (1 | h:ward)", data).fit_eb(method)  # type: ignore[arg-type]
    table = getattr(fit, name)()
    assert list(table.columns) == COLUMNS[name]
    text = {"term", "group", "level", "effect", "effect_1", "effect_2"}
    for column in table.columns:
        assert table[column].dtype == (pd.Series(["a"]).dtype if column in text else np.float64), (
            column
        )


@pytest.mark.parametrize("text", ["y ~ x", "y ~ 0 + (1 | g)", "y ~ 1 + (1 | g)", "y ~ 0 + f"])
def test_models_with_little_in_them(text: str, data: pd.DataFrame) -> None:
    fit = bmx.Model(text, data).fit_eb()
    assert fit.converged
    assert str(fit)
    assert len(fit.correlations()) == 0


def test_a_model_without_groups_is_least_squares(data: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + z", data).fit_eb()
    X = np.column_stack([np.ones(240), data["x"], data["z"]])
    beta, rss, *_ = np.linalg.lstsq(X, data["y"].to_numpy(), rcond=None)
    np.testing.assert_allclose(fit.fixed_effects()["estimate"], beta)
    assert fit.sigma == pytest.approx(np.sqrt(rss[0] / 237))
    np.testing.assert_allclose(fit.vcov(), fit.sigma**2 * np.linalg.inv(X.T @ X), rtol=1e-9)


def test_the_summary_says_that_components_are_point_estimates(
    sleep_fit: bmx.EmpiricalBayes,
) -> None:
    text = str(sleep_fit)
    assert "REML criterion 1743.63" in text
    assert "Variance components are point estimates" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "<table" in sleep_fit._repr_html_()


def test_a_summary_without_groups_does_not_speak_of_them(data: pd.DataFrame) -> None:
    assert "point estimates" not in str(bmx.Model("y ~ x", data).fit_eb().summary())


def test_information_criteria(sleep_fit: bmx.EmpiricalBayes) -> None:
    fit = sleep_fit
    assert fit.df == 6
    assert fit.aic == pytest.approx(fit.reml_criterion + 12)
    assert fit.bic == pytest.approx(fit.reml_criterion + 6 * np.log(180))
    assert fit.aicc == pytest.approx(fit.aic + 2 * 6 * 7 / (180 - 7))
    assert fit.optimizer.gradient < 1e-6
    with pytest.raises(NotSupportedError, match="no REML criterion"):
        _ = fit.model.fit_eb("ml").reml_criterion


def test_prediction_errors_are_wider_than_condvar(sleep_fit: bmx.EmpiricalBayes) -> None:
    with_fixed = sleep_fit.group_effects()["sd"]
    alone = sleep_fit.group_effects(fixed_uncertainty=False)["sd"]
    assert (with_fixed > alone).all()
    # lme4's condVar of the first subject: sqrt of 145.71 and 5.312
    np.testing.assert_allclose(alone[:2], [12.0709, 2.3048], rtol=1e-3)


def test_group_coefficients_account_for_the_covariance(sleep_fit: bmx.EmpiricalBayes) -> None:
    """Against the dense covariance of fixed plus group effect."""
    model = sleep_fit.model
    group = model.design.mu.groups[0]
    n = model.design.n_obs
    Z = np.zeros((n, 18, 2))
    Z[np.arange(n), group.index] = group.Z
    A = np.concatenate([Z.reshape(n, -1), model.design.mu.X], axis=1)
    sd = sleep_fit._law.optimum.sd
    Sigma = np.diag(sd) @ sleep_fit._law.optimum.corr[0] @ np.diag(sd)
    M = A.T @ A / sleep_fit.sigma**2
    M[:36, :36] += np.kron(np.eye(18), np.linalg.inv(Sigma))
    V = np.linalg.inv(M)
    table = sleep_fit.group_coefficients()
    for level in (0, 7):
        for k in (0, 1):
            at = np.zeros(38)
            at[2 * level + k] = at[36 + k] = 1
            assert table["sd"][2 * level + k] == pytest.approx(np.sqrt(at @ V @ at), rel=1e-5)
    effects = sleep_fit.group_effects()["estimate"].to_numpy().reshape(18, 2)
    expected = effects + sleep_fit.fixed_effects()["estimate"].to_numpy()
    np.testing.assert_allclose(table["estimate"], expected.ravel())


def test_the_mode_is_that_of_the_density_with_the_priors(data: pd.DataFrame) -> None:
    priors = {"sd": bmx.Prior("Gamma", alpha=4, beta=1), "sigma": bmx.Prior("Exponential", lam=1)}
    model = bmx.Model("y ~ x + (1 | g)", data, priors=priors)
    fit = model.fit_eb("map")
    X, y = model.design.mu.X, model.y
    Z = np.eye(8)[model.design.mu.groups[0].index]
    intercept = model.prior_entries.intercept.prior.parameters
    slope = model.prior_entries.coefficients[0].prior.parameters["sigma"]
    A = np.asarray([[1, -data["x"].mean()], [0, 1]])
    prior_cov = A @ np.diag([intercept["sigma"] ** 2, slope**2]) @ A.T
    mean = X @ (A @ [intercept["mu"], 0])

    def minus_log(theta: np.ndarray) -> float:
        tau, sigma = theta
        V = sigma**2 * np.eye(240) + tau**2 * Z @ Z.T + X @ prior_cov @ X.T
        value = stats.multivariate_normal(mean, V).logpdf(y)
        return -(value + stats.gamma(4, scale=1).logpdf(tau) + stats.expon(scale=1).logpdf(sigma))

    best = optimize.minimize(minus_log, [2.0, 4.0], method="Nelder-Mead",
                             options={"xatol": 1e-6, "fatol": 1e-9})  # fmt: skip
    found = fit.variance_components(ci_method="wald")["sd"]
    np.testing.assert_allclose(found, best.x, rtol=1e-4)


def test_a_prior_that_does_not_integrate_out_is_named(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x", data, priors={"x": bmx.Prior("StudentT", nu=3)})
    with pytest.raises(NotSupportedError, match="x ~ StudentT"):
        model.fit_eb("map")
    assert model.fit_eb("reml").converged
    with pytest.raises(NotSupportedError, match="method='mle'"):
        model.fit_eb("mle")  # type: ignore[arg-type]


# -- edges ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_unit_of_the_response_does_not_matter(
    scale: float, sleepstudy: pd.DataFrame, sleep_fit: bmx.EmpiricalBayes
) -> None:
    scaled = sleepstudy.assign(Reaction=sleepstudy["Reaction"] * scale)
    fit = bmx.Model(SLEEP, scaled).fit_eb()
    np.testing.assert_allclose(
        fit.fixed_effects()["estimate"], sleep_fit.fixed_effects()["estimate"] * scale, rtol=1e-6
    )
    expected = sleep_fit.variance_components()[["sd", "sd_lower", "sd_upper"]] * scale
    found = fit.variance_components()[["sd", "sd_lower", "sd_upper"]]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize(("shift", "scale"), [(2000, 1), (20_000, 1), (0, 1e-6), (0, 1e6)])
def test_the_unit_and_origin_of_a_predictor_do_not_matter(
    shift: float, scale: float, sleepstudy: pd.DataFrame, sleep_fit: bmx.EmpiricalBayes
) -> None:
    moved = sleepstudy.assign(Days=shift + sleepstudy["Days"] * scale)
    fit = bmx.Model(SLEEP, moved).fit_eb()
    assert fit.converged
    # The criterion changes by log|X'X| only.
    expected = sleep_fit.reml_criterion + 2 * np.log(scale)
    assert fit.reml_criterion == pytest.approx(expected, abs=1e-5)
    slope = fit.fixed_effects().loc[1, ["estimate", "sd"]].astype(float) * scale
    np.testing.assert_allclose(
        slope, sleep_fit.fixed_effects().loc[1, ["estimate", "sd"]].astype(float), rtol=1e-5
    )


def test_one_row_in_some_levels_and_many_in_others(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(30), [1] * 20 + [40] * 10)
    y = rng.normal(size=30)[g] + rng.normal(size=len(g))
    fit = bmx.Model("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g})).fit_eb()
    assert fit.converged
    shrunk = fit.group_effects()["sd"]
    assert shrunk[0] > 2 * shrunk[25]


def test_fewer_rows_than_effects(rng: np.random.Generator) -> None:
    data = pd.DataFrame(
        {"y": rng.normal(size=12), "x": rng.normal(size=12), "g": list("aabbccddeeff")}
    )
    with pytest.warns(DataWarning):
        model = bmx.Model("y ~ x + (x | g)", data)
    fit = model.fit_eb()
    assert np.isfinite(fit.loglik)
    assert str(fit)


def test_a_group_without_variance_is_a_result(rng: np.random.Generator) -> None:
    """The shape of Dyestuff2: the means of groups vary less than chance."""
    y = rng.normal(size=(6, 5))
    y -= y.mean(axis=1, keepdims=True)
    data = pd.DataFrame({"y": y.ravel(), "g": np.repeat(list("abcdef"), 5)})
    fit = bmx.Model("y ~ 1 + (1 | g)", data).fit_eb()
    assert fit.converged
    assert fit.singular == "the sd of Intercept by g is zero"
    table = fit.variance_components()
    assert table["sd"][0] == table["sd_lower"][0] == 0
    assert table["sd_upper"][0] > 0
    assert (fit.group_effects()["estimate"] == 0).all()
    assert "At the boundary" in str(fit)


def test_a_perfect_correlation(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(12), 10)
    x = rng.normal(size=120)
    b = rng.normal(size=12)
    data = pd.DataFrame({"y": b[g] + b[g] * x + 0.3 * rng.normal(size=120), "x": x, "g": g})
    fit = bmx.Model("y ~ x + (x | g)", data).fit_eb()
    assert fit.converged
    assert fit.correlations()["estimate"][0] > 0.95


@pytest.mark.parametrize("method", ["reml", "ml", "map"])
@pytest.mark.parametrize("terms", ["(x | g)", "(x + z | g)"])
def test_a_correlation_of_effects_that_do_not_vary_takes_no_interval_from_the_rest(
    method: str, terms: str, data: pd.DataFrame
) -> None:
    fit = bmx.Model(f"y ~ x + z + {terms}", data).fit_eb(method)  # type: ignore[arg-type]
    assert "is zero" in fit.singular
    residual = fit.variance_components(ci_method="wald").iloc[-1]
    width = np.log(residual["sd_upper"] / residual["sd_lower"]) / (2 * 1.96)
    assert width == pytest.approx(1 / np.sqrt(2 * 240), rel=0.05)


def test_data_that_fit_perfectly(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(5), 4)
    x = np.tile(np.arange(4.0), 5)
    exact = 1 + 2 * x + np.arange(5.0)[g]
    noise = rng.normal(size=20)
    sds = []
    for size in (1e-2, 1e-3, 1e-4):
        data = pd.DataFrame({"y": exact + size * noise, "x": x, "g": g})
        fit = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
        assert fit.converged
        sds.append(fit.variance_components()["sd"][0])
    assert sds[0] == pytest.approx(sds[2], rel=5e-3)
    assert sds[2] == pytest.approx(np.std(np.arange(5), ddof=1), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("exact ~ x + (1 | g)", "less than a millionth of the response `exact`"),
        ("exact ~ x + (x | g)", "less than a millionth"),
        ("exact ~ x + (1 | g) + (1 | h)", "less than a millionth"),
        ("level ~ x + (1 | g)", "the same in all rows of each level of `g`"),
        ("line ~ x + (1 | g)", "the fixed effects reproduce the response `line`"),
        ("line ~ x", "is a predictor a copy"),
    ],
)
@pytest.mark.parametrize("method", ["reml", "ml", "map", "nuts"])
def test_a_perfect_fit_is_refused(text: str, advice: str, method: Any) -> None:
    """sigma goes to zero and the likelihood to infinity."""
    g, x = np.repeat(np.arange(5), 8), np.tile(np.arange(8.0), 5)
    level = np.asarray([0.3, -1.2, 2.1, 0.4, 1.7])[g]
    data = pd.DataFrame({"x": x, "g": g, "h": x.astype(int) % 4, "level": level, "line": 1 + 2 * x,
                         "exact": 1 + 2 * x + level})  # fmt: skip
    model = bmx.Model(text, data)
    fit = partial(model.fit, progress=False) if method == "nuts" else partial(model.fit_eb, method)
    with pytest.raises(DataError, match="no residual variance") as caught:
        fit()
    assert advice in str(caught.value)


def test_a_residual_variance_of_zero_is_refused() -> None:
    """As many effects as rows: at the maximum they leave nothing."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.normal(size=8), "g": np.repeat(np.arange(4), 2),
                         "x": rng.normal(size=8)})  # fmt: skip
    with pytest.warns(DataWarning):
        model = bmx.Model("y ~ 1 + (x || g)", data)
    for method in ("reml", "ml"):
        with pytest.raises(DataError, match=r"as zero: 1 fixed and 8 group effects for 8 rows"):
            model.fit_eb(method)  # type: ignore[arg-type]


def test_as_many_coefficients_as_rows_need_priors(rng: np.random.Generator) -> None:
    data = pd.DataFrame(rng.normal(size=(4, 4)), columns=list("yabc"))
    with pytest.warns(DataWarning, match="4 fixed effects for 4 rows"):
        model = bmx.Model("y ~ a + b + c", data)
    for method in ("reml", "ml"):
        with pytest.raises(DataError, match=r"no maximum; .* or take fit\(\)"):
            model.fit_eb(method)  # type: ignore[arg-type]
    assert model.fit_eb("map").sigma > 0


def test_a_fit_that_has_not_converged_warns(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximise = mode.maximise

    def stopped_early(*arguments: Any, **given: Any) -> Any:
        found = maximise(*arguments, **given)
        return replace(found, converged=False, message="a gradient of 0.1 is left")

    monkeypatch.setattr(mode, "maximise", stopped_early)
    with pytest.warns(ConvergenceWarning, match=r"has not converged \(a gradient of 0.1 is left\)"):
        fit = bmx.Model(SLEEP, sleepstudy).fit_eb()
    assert "Not converged: a gradient of 0.1 is left." in str(fit)


SHIFTED = ["y ~ z + (z | g)", "y ~ z + (x + z | g)", "y ~ z + (z | g) + (1 | h)"]


@pytest.mark.parametrize("mean", [2e3, 1e6, -1e7])
@pytest.mark.parametrize("text", SHIFTED)
def test_predictors_far_from_zero_give_the_same_fit(text: str, mean: float) -> None:
    rng = np.random.default_rng(3)
    g, h = np.repeat(np.arange(20), 12), rng.integers(0, 8, 240)
    data = pd.DataFrame({"x": rng.normal(size=240), "z": rng.normal(size=240), "g": g, "h": h})
    b = rng.normal(size=(20, 2)) * [1, 0.5]
    data["y"] = b[g, 0] + b[g, 1] * data["z"] + rng.normal(size=8)[h] + rng.normal(size=240)
    near = bmx.Model(text, data).fit_eb()
    far = bmx.Model(text, data.assign(z=data["z"] + mean)).fit_eb()
    assert near.converged
    assert far.converged
    assert (far.singular == "") == (near.singular == "")
    assert far.reml_criterion == pytest.approx(near.reml_criterion, abs=1e-4)
    for table in ("fixed_effects", "group_effects"):
        one, other = (getattr(fit, table)() for fit in (near, far))
        column = "term" if table == "fixed_effects" else "effect"
        chosen = (one[column] == "z").to_numpy()
        for name in ("estimate", "sd"):
            np.testing.assert_allclose(other[name][chosen], one[name][chosen], rtol=2e-4, atol=1e-5)
    slopes = [f.variance_components(ci_method="wald").set_index("effect")["sd"]["z"]
              for f in (near, far)]  # fmt: skip
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-4)
