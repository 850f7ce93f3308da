"""Posteriors and both kinds of empirical Bayes fit answer to the same calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from tests.builders import fake_posterior

TABLES = ["fixed_effects", "group_effects", "group_coefficients", "variance_components",
          "correlations"]  # fmt: skip


@pytest.fixture
def normal(data: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("y ~ x + z + (x | g)", data).fit_eb()


@pytest.fixture
def counts(data: pd.DataFrame) -> bmx.EmpiricalBayes:
    data["count"] = (data["u"] * 3).astype(int)
    return bmx.Model("count ~ x + (1 | g)", data, family="poisson").fit_eb()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("argument", ["ci_kind", "point", "diagnostics"])
def test_what_only_draws_have_is_refused_by_name(
    name: str, argument: str, normal: Any, counts: Any
) -> None:
    value = {"ci_kind": "hdi", "point": "median", "diagnostics": False}[argument]
    for fit in (normal, counts):
        with pytest.raises(
            NotSupportedError, match=rf"{name}\(\) of an empirical Bayes fit has no {argument}="
        ):
            getattr(fit, name)(**{argument: value})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("r2", "ci_prob"), ("r2", "draws"), ("r2", "method"), ("icc", "ci_kind"),
        ("variance_partition", "point"), ("summary", "ci_kind"), ("summary", "point"),
        ("family_parameters", "diagnostics"),
    ],
)  # fmt: skip
def test_so_is_it_beyond_the_tables(name: str, argument: str, normal: Any, counts: Any) -> None:
    for fit in (normal, counts):
        with pytest.raises(NotSupportedError, match=rf"{name}\(\) .* has no {argument}=.*fit\(\)"):
            getattr(fit, name)(**{argument: "any"})
    with pytest.raises(NotSupportedError, match="has no ci_kind="):
        normal.hypothesis("x = 0", ci_kind="hdi")
    with pytest.raises(TypeError, match="nonsense"):  # a word of nobody's is Python's matter
        normal.fixed_effects(nonsense=1)


def test_a_posterior_refuses_what_empirical_bayes_has(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post: Any = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    with pytest.raises(NotSupportedError, match=r"has no ci_method=.*ci_kind"):
        post.fixed_effects(ci_method="profile")
    with pytest.raises(NotSupportedError, match="has no fixed_uncertainty="):
        post.group_effects(fixed_uncertainty=False)


@pytest.mark.parametrize("method", ["reml", "ml", "map"])
def test_the_family_parameter_of_a_normal_response_is_sigma(
    method: Any, data: pd.DataFrame
) -> None:
    fit = bmx.Model("y ~ x + z + (x | g)", data).fit_eb(method)
    table = fit.family_parameters(0.9)
    assert list(table.columns) == ["parameter", "estimate", "sd", "lower", "upper"]
    row = table.set_index("parameter").loc["sigma"]
    assert row["estimate"] == fit.sigma
    residual = fit.variance_components(0.9).set_index("group").loc["Residual"]
    assert tuple(row[["lower", "upper"]]) == tuple(residual[["sd_lower", "sd_upper"]])
    wald = fit.family_parameters(0.9, ci_method="wald").iloc[0]
    z = stats.norm.ppf(0.95)
    assert wald["upper"] == pytest.approx(fit.sigma * np.exp(z * row["sd"] / fit.sigma))


def test_the_standard_error_of_sigma_is_that_of_least_squares(data: pd.DataFrame) -> None:
    row = bmx.Model("y ~ x + z", data).fit_eb().family_parameters().iloc[0]
    assert row["sd"] == pytest.approx(row["estimate"] / np.sqrt(2 * 237), rel=1e-3)


def test_known_standard_errors_leave_no_family_parameter(data: pd.DataFrame) -> None:
    data["se"] = 1.0
    fit = bmx.Model("y ~ x + (1 | g)", data, known_se="se").fit_eb()
    table = fit.family_parameters()
    assert list(table.columns) == ["parameter", "estimate", "sd", "lower", "upper"]
    assert table.empty


def test_ratios_are_those_of_the_link(normal: Any, counts: Any) -> None:
    plain, ratios = counts.fixed_effects(), counts.fixed_effects(exponentiate=True)
    np.testing.assert_allclose(ratios["estimate"], np.exp(plain["estimate"]))
    assert normal.fixed_effects(exponentiate=False).equals(normal.fixed_effects())
    with pytest.raises(NotSupportedError, match="exponentiate=True makes no sense"):
        normal.fixed_effects(exponentiate=True)


def test_one_call_predicts_from_all_fits(
    normal: Any, counts: Any, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    for fit in (post, normal, counts):
        for kind in ("mean", "response"):
            assert len(fit.predict(kind=kind, draws=50, seed=3)) == 240
        assert len(fit.residuals("quantile", seed=3)) == 240
        with pytest.raises(NotSupportedError, match="draws=0"):
            fit.predict(kind="response", draws=0)
        with pytest.raises(NotSupportedError, match="seed=-1"):
            fit.predict(kind="response", seed=-1)
    assert normal.predict(draws=50, seed=3).equals(normal.predict())


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("sd(g, x) = 0", True), ("sd(g, x)^2 = 0", True), ("sd(g, x) > 0", True),
        ("2 * sd(g, x) = 0", True), ("sigma = 0", True), ("sd(g, x) = 0.5", False),
        ("sd(g, x) = sd(g, Intercept)", False), ("log(sd(g, x)) = 0", False), ("x = 0", False),
        ("corr(g) = 0", False),
    ],
)  # fmt: skip
def test_a_standard_deviation_of_zero_is_on_the_boundary(
    text: str, noted: bool, sleepstudy: pd.DataFrame
) -> None:
    renamed = sleepstudy.rename(columns={"Reaction": "y", "Days": "x", "Subject": "g"})
    fit = bmx.Model("y ~ x + (x | g)", renamed).fit_eb()
    found = fit.hypothesis(text)
    assert ("boundary of the parameter space" in found.table["note"].iloc[0]) == noted
    assert ("anova" in str(found)) == noted
