"""REML, ML and their intervals reproduce lme4's published results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayesmix as bmx

from .cases import REML_CASES, model_of


@pytest.fixture(scope="module", params=REML_CASES)
def fitted(
    request: pytest.FixtureRequest, published: dict[str, Any], reference_folder: Path
) -> tuple[dict[str, Any], bmx.EmpiricalBayes, bmx.EmpiricalBayes]:
    case = published[request.param]
    model = model_of(case, reference_folder)
    return case, model.fit_eb(), model.fit_eb("ml")


def test_criteria(fitted: tuple[Any, ...]) -> None:
    case, reml, ml = fitted
    assert reml.reml_criterion <= case["reml_criterion"] + 1e-4
    assert reml.reml_criterion == pytest.approx(case["reml_criterion"], abs=1e-3)
    assert reml.loglik >= case["loglik"] - 1e-4
    assert ml.loglik >= case["loglik_ml"] - 1e-4
    assert ml.loglik == pytest.approx(case["loglik_ml"], abs=1e-3)
    assert ml.aic == pytest.approx(case["aic_ml"], abs=1e-3)
    assert ml.bic == pytest.approx(case["bic_ml"], abs=1e-3)
    assert reml.converged
    assert ml.converged


def test_fixed_effects(fitted: tuple[Any, ...]) -> None:
    case, reml, _ = fitted
    table = reml.fixed_effects()
    estimates = [row["estimate"] for row in case["fixed_effects"]]
    errors = [row["se"] for row in case["fixed_effects"]]
    np.testing.assert_allclose(table["estimate"], estimates, rtol=1e-5)
    np.testing.assert_allclose(table["sd"], errors, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(reml.vcov())), table["sd"])


def test_standard_deviations_and_correlations(fitted: tuple[Any, ...]) -> None:
    case, reml, _ = fitted
    assert reml.sigma == pytest.approx(case["sigma"], rel=1e-4)
    found = reml.variance_components(ci_method="wald").set_index(["group", "effect"])["sd"]
    for row in case["variance_components"]:
        ours = found[row["group"], row["effect"]]
        if row["sd"] == 0:
            assert ours <= 1e-3 * reml.sigma
        else:
            assert ours == pytest.approx(row["sd"], rel=1e-4)
    assert bool(reml.singular) == case["singular"]
    pairs = reml.correlations()
    for ours, theirs in zip(pairs["estimate"], case["correlations"], strict=True):
        assert ours == pytest.approx(theirs["corr"], abs=1e-3)


def test_conditional_modes(fitted: tuple[Any, ...]) -> None:
    case, reml, _ = fitted
    for group, rows in case["group_effects_head"].items():
        table = reml.group_effects(group).set_index(["level", "effect"])
        sd = reml.variance_components(ci_method="wald").query("group == @group")["sd"].max()
        for row in rows:
            for name, value in row.items():
                if name in {"level", "_row"}:
                    continue
                effect = "Intercept" if name == "(Intercept)" else name
                ours = table.loc[(row["level"], effect), "estimate"]
                assert ours == pytest.approx(value, abs=1e-3 * sd)


@pytest.mark.parametrize(("name", "key"), [("gpa_int", "confint_gpa"), ("pulp", "confint_pulp")])
def test_profile_intervals(
    name: str, key: str, published: dict[str, Any], reference_folder: Path
) -> None:
    fit = model_of(published[name], reference_folder).fit_eb()
    components = fit.variance_components(ci_method="profile")
    fixed = fit.fixed_effects(ci_method="profile")
    ours = [
        *components[["sd_lower", "sd_upper"]].to_numpy(),
        *fixed[["lower", "upper"]].to_numpy(),
    ]
    assert len(ours) == len(published[key])
    for found, row in zip(ours, published[key], strict=True):
        width = row["97.5 %"] - row["2.5 %"]
        np.testing.assert_allclose(found, [row["2.5 %"], row["97.5 %"]], atol=0.01 * width)
