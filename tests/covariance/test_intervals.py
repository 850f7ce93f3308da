"""Intervals of what structures have beside standard deviations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.problems import gaussian_problem
from bayesmix.laws.base import Asked
from bayesmix.results.tabular.tables import covariance_parameters_table

from .models import PLACES, case, dense_deviance
from .structures import entered, with_structure

COLUMNS = ["group", "parameter", "estimate", "sd", "lower", "upper"]


@pytest.fixture(autouse=True)
def _entered() -> Iterator[None]:
    with entered():
        yield


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 240
    g, f = rng.integers(0, 15, n), rng.integers(0, 4, n)
    b = 3.0 * (0.6 * rng.normal(size=(15, 1)) + 0.8 * rng.normal(size=(15, 4)))
    x = rng.normal(size=n)
    b = b @ np.array([[1, 0.6, 0.1, 0], [0, 0.8, 0.3, 0], [0, 0, 0.9, 0], [0, 0, 0, 1.0]])
    eta = 0.5 * x + b[g, f]
    return pd.DataFrame(
        {
            "y": 5 + eta + rng.normal(size=n), "count": rng.poisson(np.exp(0.3 * eta)),
            "x": x, "g": g, "h": rng.integers(0, 6, n), "f": np.array(list("abcd"))[f],
            "e": np.array(list("uvw"))[rng.integers(0, 3, n)],
        }
    )  # fmt: skip


def own_parameter(model: bmx.Model, group: str = "g"):  # type: ignore[no-untyped-def]
    return next(iter(covariance_of(model.design.mu.group(group)).parameters().values()))


@pytest.mark.parametrize("kind", ["tied", "decay"])
def test_at_the_ends_of_a_profile_the_dense_deviance_has_risen_as_it_should(
    kind: str, data: pd.DataFrame
) -> None:
    model = case(kind, data)
    row = model.fit_eb("ml").covariance_parameters(0.9, ci_method="profile").iloc[0]
    problem, own = gaussian_problem(model), own_parameter(model)
    co = problem.absolute_coordinates()
    k = co.n_sd

    def lowest(at: float) -> float:
        full = np.zeros(co.n_x)
        rest = np.delete(np.arange(co.n_x), k)

        def of_rest(z: np.ndarray) -> float:
            full[rest], full[k] = z, at
            return dense_deviance(model, problem, co, full, False)

        return float(optimize.minimize(of_rest, np.full(co.n_x - 1, 0.5), method="BFGS").fun)

    best = lowest(float(own.coordinate(np.asarray(row["estimate"]))))
    for end in ("lower", "upper"):
        rise = lowest(float(own.coordinate(np.asarray(row[end])))) - best
        assert rise == pytest.approx(stats.chi2(1).ppf(0.9), rel=2e-3)
    assert own.lower < row["lower"] < row["estimate"] < row["upper"] < own.upper


@pytest.mark.parametrize("kind", ["tied", "decay"])
def test_a_normal_interval_is_that_of_the_scale_without_ends(kind: str, data: pd.DataFrame) -> None:
    model = case(kind, data)
    row = model.fit_eb().covariance_parameters(0.8, ci_method="wald").iloc[0]
    own = own_parameter(model)
    low, middle, high = (
        float(own.coordinate(np.asarray(row[name]))) for name in ("lower", "estimate", "upper")
    )
    se = (high - low) / 2 / stats.norm.ppf(0.9)
    assert (low + high) / 2 == pytest.approx(middle)
    slope = (own.at(np.asarray(middle + 1e-6)) - own.at(np.asarray(middle - 1e-6))) / 2e-6
    assert row["sd"] == pytest.approx(float(slope) * se, rel=1e-6)


def test_a_parameter_at_the_end_of_its_range_is_said_and_has_one_limit(
    data: pd.DataFrame,
) -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(6, 4))
    b -= b.mean(axis=1, keepdims=True)  # effects of a level cancel out: rho = -1 / 3
    f = pd.factorize(data["f"], sort=True)[0]
    model = case("crossed the other way", data.assign(y=3 * b[data["h"], f] + data["y"] / 9))
    fit = model.fit_eb("ml")
    row = fit.covariance_parameters(ci_method="profile").iloc[0]
    assert row["estimate"] == pytest.approx(-1 / 3, abs=1e-4)
    assert row["lower"] == -1 / 3
    assert -1 / 3 < row["upper"] < 0
    assert np.isnan(row["sd"])
    assert fit.singular == "rho by h is at its lower limit, -0.3333"
    table, why = covariance_parameters_table(fit._law, Asked(ci_method="wald"))
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert why.startswith("rho by h: the likelihood is flat there, or the end of its range near")
    assert "At the boundary: " in str(fit)


def test_effects_without_correlation_have_a_range_that_has_no_lower_limit(
    data: pd.DataFrame,
) -> None:
    rng = np.random.default_rng(3)
    b, f = rng.normal(size=(15, 4)), pd.factorize(data["f"], sort=True)[0]
    fit = case("decay", data.assign(y=3 * b[data["g"], f] + data["y"] / 9)).fit_eb("ml")
    row = fit.covariance_parameters(ci_method="profile").iloc[0]
    assert fit.singular == "range by g is at its lower limit, 0"
    assert row["lower"] == 0
    assert row["estimate"] < row["upper"] < np.inf


def test_what_does_not_vary_has_no_correlation(data: pd.DataFrame) -> None:
    b = 3.0 * np.random.default_rng(4).normal(size=(15, 4))
    rest = data["x"] - data.groupby(["g", "e"])["x"].transform("mean")  # nothing varies by e
    y = b[data["g"], pd.factorize(data["f"], sort=True)[0]] + rest
    model = case("two in one factor", data.assign(y=y, x=data["h"]))
    fit = model.fit_eb()
    table = fit.covariance_parameters()
    assert list(table.columns) == COLUMNS
    assert list(table["group"]) == ["g", "g"]
    assert list(table["parameter"]) == [
        "rho_0 of tied(f[a], f[b], f[c], f[d])", "rho_1 of tied(e[u], e[v], e[w])",
    ]  # fmt: skip
    assert fit.variance_components()["sd"][1] == 0
    assert table.iloc[1, 2:].isna().all()
    assert np.isfinite(table["estimate"][0])
    text = " ".join(str(fit).split())
    assert "rho_1 by g: the standard deviation is zero, and nothing has it" in text


def test_beyond_the_normal_profiles_and_normal_intervals_are_near_each_other(
    data: pd.DataFrame,
) -> None:
    model = with_structure(
        bmx.Model("count ~ x + (0 + f | g)", data, family="poisson"), "g", {0: "tied"}, PLACES
    )
    fit = model.fit_eb()
    rows = [fit.covariance_parameters(ci_method=how).iloc[0] for how in ("profile", "wald")]
    assert rows[0]["estimate"] == rows[1]["estimate"]
    for end in ("lower", "upper"):
        assert rows[0][end] == pytest.approx(rows[1][end], abs=0.25 * rows[0]["sd"])
        assert rows[0][end] != rows[1][end]


def test_the_posterior_mode_has_no_profile(data: pd.DataFrame) -> None:
    fit = case("tied", data).fit_eb("map")
    row = fit.covariance_parameters().iloc[0]
    assert -1 / 3 < row["lower"] < row["estimate"] < row["upper"] < 1
    with pytest.raises(NotSupportedError, match="does not know the priors"):
        fit.covariance_parameters(ci_method="profile")


def test_a_model_without_such_structures_has_an_empty_table(data: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + (x | g)", data).fit_eb()
    table = fit.covariance_parameters()
    assert table.empty
    assert list(table.columns) == COLUMNS
    assert "Covariance parameters" not in str(fit)
    with pytest.raises(NotSupportedError, match="has a parameter to draw"):
        fit.plot_covariance_parameters()
