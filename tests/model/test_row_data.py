"""Precision weights and known standard errors, by every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, NotSupportedError


@pytest.fixture
def rows(data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return data.assign(w=rng.uniform(0.3, 3, 240), se=rng.uniform(1, 4, 240))


def dense_deviance(model: bmx.Model, sd: float, residual: np.ndarray, beta: np.ndarray) -> float:
    Z = np.eye(8)[model.design.mu.groups[0].index]
    V = np.diag(residual) + sd**2 * Z @ Z.T
    return float(-2 * stats.multivariate_normal(model.design.mu.X @ beta, V).logpdf(model.y))


def test_weights_are_precisions(rows: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + (1 | g)", rows, weights="w").fit_eb("ml")
    sd = fit.variance_components()["sd"]
    beta = fit.fixed_effects()["estimate"].to_numpy()
    expected = dense_deviance(fit.model, sd[0], sd[1] ** 2 / rows["w"].to_numpy(), beta)
    assert fit.deviance == pytest.approx(expected, rel=1e-9)
    by_array = bmx.Model("y ~ x + (1 | g)", rows, weights=rows["w"].to_numpy()).fit_eb("ml")
    assert by_array.deviance == fit.deviance
    twice = bmx.Model("y ~ x + (1 | g)", rows, weights=2 * rows["w"]).fit_eb("ml")
    assert twice.sigma == pytest.approx(fit.sigma * np.sqrt(2))


def test_known_standard_errors_leave_no_sigma(rows: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + (1 | g)", rows, known_se="se")
    assert "sigma" not in set(model.priors["parameter"])
    fit = model.fit_eb("ml")
    sd = fit.variance_components()["sd"]
    assert len(sd) == 1
    beta = fit.fixed_effects()["estimate"].to_numpy()
    expected = dense_deviance(model, sd[0], rows["se"].to_numpy() ** 2, beta)
    assert fit.deviance == pytest.approx(expected, rel=1e-9)
    assert fit.df == 3


def test_a_meta_analysis_has_one_row_per_level() -> None:
    """Rubin's eight schools: REML of the between-school sd is zero, Bayes is not."""
    schools = pd.DataFrame(
        {
            "effect": [28.0, 8, -3, 7, -1, 1, 18, 12],
            "se": [15.0, 10, 16, 11, 9, 11, 10, 18],
            "school": list("ABCDEFGH"),
        }
    )
    model = bmx.Model("effect ~ 1 + (1 | school)", schools, known_se="se")
    reml = model.fit_eb()
    weights = schools["se"] ** -2.0
    pooled = (weights * schools["effect"]).sum() / weights.sum()
    assert reml.singular
    assert reml.fixed_effects()["estimate"][0] == pytest.approx(pooled)
    assert reml.fixed_effects()["sd"][0] == pytest.approx(weights.sum() ** -0.5)
    posterior = model.fit(seed=1, progress=False)
    assert posterior.diagnostics().ok
    # Gelman et al. (2013), section 5.5: effects between 5 and 12 or so.
    effects = posterior.group_coefficients()["estimate"]
    assert 5 < effects.min() < effects.max() < 13
    assert effects.idxmax() == 0
    assert "sigma" not in posterior.idata["posterior"]
    assert "known standard errors" in str(posterior)


@pytest.mark.parametrize("given", [{"weights": "w"}, {"known_se": "se"}])
def test_the_pymc_model_is_the_same_model(rows: pd.DataFrame, given: dict[str, Any]) -> None:
    model = bmx.Model("y ~ x + (1 | g)", rows, **given)
    pm_model = model.pymc_model
    logp = pm_model.compile_logp(mode="FAST_COMPILE")
    point = pm_model.initial_point()
    sigma = np.exp(point["sigma_log__"]) if "sigma_log__" in point else 1.0
    scale = sigma / np.sqrt(rows["w"]) if "weights" in given else rows["se"]
    X, y = model.design.mu.X, model.y

    def likelihood(shift: float) -> float:
        beta0 = point["intercept_at_means"] + shift
        eta = beta0 + point["coefficients"][0] * (X[:, 1] - X[:, 1].mean())
        sd = np.exp(point["sd_g_log__"][0])
        eta = eta + sd * point["z_g"][model.design.mu.groups[0].index, 0]
        prior = model.prior_entries.intercept.prior.parameters
        return float(
            stats.norm(eta, scale).logpdf(y).sum()
            + stats.norm(prior["mu"], prior["sigma"]).logpdf(beta0)
        )

    moved = {**point, "intercept_at_means": point["intercept_at_means"] + 0.7}
    assert logp(moved) - logp(point) == pytest.approx(likelihood(0.7) - likelihood(0), rel=1e-8)
    assert "weights" in model.equation() or "w_i" in model.equation() or "se" in model.equation()


def test_rows_without_a_weight_are_dropped(rows: pd.DataFrame) -> None:
    rows.loc[4, "w"] = np.nan
    with pytest.warns(DataWarning, match=r"1 of 240 rows .*`weights=` 1"):
        model = bmx.Model("y ~ x + (1 | g)", rows, weights="w")
    assert model.design.weights is not None
    assert len(model.design.weights) == 239


def _but_one(value: float) -> np.ndarray:
    values = np.ones(240)
    values[7] = value
    return values


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"weights": "nope"}, DataError, r"no such column; there are `"),
        ({"weights": [1, 2]}, DataError, r"shape \(2,\), the data have 240 rows"),
        ({"weights": np.ones((240, 1))}, DataError, r"shape \(240, 1\), the data have 240 rows"),
        ({"weights": 3.0}, DataError, r"shape \(\), the data"),
        ({"weights": _but_one(np.inf)}, DataError, "is inf in row 7: .* above zero and finite"),
        ({"weights": _but_one(0.0)}, DataError, "is 0 in row 7: .* above zero and finite"),
        ({"weights": _but_one(1e-320)}, DataError, "in row 7: it must be between 1e-100 and"),
        ({"known_se": _but_one(1e300)}, DataError, "in row 7: it must be between 1e-100 and"),
        ({"known_se": _but_one(1e9)}, DataError, "from 1 in row 0 to 1e.09 in row 7: .* 1e.08"),
        ({"weights": _but_one(1e-17)}, DataError, "from 1e-17 in row 7 to 1 in row 0: .* 1e.16"),
        ({"weights": "f"}, DataError, "not numeric"),
        ({"weights": "z"}, DataError, "weights is -.* it must be above zero"),
        ({"known_se": "z"}, DataError, "known_se is -"),
        ({"weights": "w", "known_se": "se"}, NotSupportedError, "not both"),
    ],
)
def test_what_is_no_weight_is_refused(
    rows: pd.DataFrame, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        bmx.Model("y ~ x + (1 | g)", rows, **given)


@pytest.mark.parametrize("argument", ["weights", "known_se"])
def test_a_series_goes_by_its_labels(rows: pd.DataFrame, argument: str) -> None:
    values = rows["w"].to_numpy()
    shuffled = rows["w"].sample(frac=1.0, random_state=1)
    for given in (rows["w"], shuffled, values, list(values)):
        model = bmx.Model("y ~ x + (1 | g)", rows, **{argument: given})
        np.testing.assert_array_equal(getattr(model.design, argument), values)
    part = rows[rows["w"] > rows["w"].median()]
    with pytest.raises(DataError, match=r"the label 0, which is no row .*\.to_numpy\(\)"):
        bmx.Model("y ~ x", part.set_axis(range(1, len(part) + 1)),
                  **{argument: part["w"].reset_index(drop=True)})  # fmt: skip
    twice = rows.set_axis(np.arange(len(rows)) // 2)
    model = bmx.Model("y ~ x + (1 | g)", twice, **{argument: twice["w"]})
    np.testing.assert_array_equal(getattr(model.design, argument), values)
    with pytest.raises(DataError, match="labels that occur twice"):
        bmx.Model("y ~ x", twice, **{argument: twice["w"].sample(frac=1.0, random_state=1)})


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_a_response_beyond_all_sizes_is_refused(rows: pd.DataFrame, scale: float) -> None:
    with pytest.raises(DataError, match=r"of the response `y` is .* rescale it"):
        bmx.Model("y ~ x + (1 | g)", rows.assign(y=rows["y"] * scale))


@pytest.mark.parametrize("scale", [1e90, 1e-90])
def test_a_response_of_unusual_size_is_fitted(rows: pd.DataFrame, scale: float) -> None:
    plain = bmx.Model("y ~ x + (1 | g)", rows).fit_eb()
    fit = bmx.Model("y ~ x + (1 | g)", rows.assign(y=rows["y"] * scale)).fit_eb()
    assert fit.sigma / scale == pytest.approx(plain.sigma, rel=1e-6)


@pytest.mark.parametrize("nothing", [None, np.nan])
def test_a_column_without_a_name_is_no_predictor_of_a_dot(nothing: Any) -> None:
    values = np.random.default_rng(1).normal(size=(30, 3))
    data = pd.DataFrame(values).set_axis(["y", nothing, "x"], axis=1)
    with pytest.warns(DataWarning, match="row names, or a column without a name"):
        model = bmx.Model("y ~ .", data)
    assert list(model.design.mu.fixed_effects) == ["Intercept", "x"]
    named = bmx.Model("y ~ .", data.set_axis(["y", "nan", "x"], axis=1))
    assert list(named.design.mu.fixed_effects) == ["Intercept", "nan", "x"]
