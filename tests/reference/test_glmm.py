"""Laplace's approximation against glmer and glmmTMB.

`glmm.csv` is simulated; `glmm.json` holds what glmmTMB 1.1 (with a relative
tolerance of 1e-14) and, for "quadrature", glmer with nAGQ = 9 make of it. For the
gamma family glmmTMB's sigma is one over the root of the shape.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

from .cases import GLMM_CASES

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.read_csv(HERE / "glmm.csv")


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "glmm.json").read_text())
    return found


@pytest.mark.parametrize("name", GLMM_CASES)
def test_laplace_is_glmmtmbs(name: str, data: pd.DataFrame, table: dict[str, Any]) -> None:
    formula, family = GLMM_CASES[name]
    fit = bmx.Model(formula, data, family=family).fit_eb()
    expected = table[name]
    assert fit.converged
    assert fit.method == "ml"
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-5)
    assert fit.df == expected["df"]
    fixed = fit.fixed_effects()
    np.testing.assert_allclose(fixed["estimate"], expected["beta"], rtol=1e-4)
    np.testing.assert_allclose(fixed["sd"], expected["se"], rtol=1e-3)
    components = fit.variance_components()
    sd = components.loc[components["group"] != "Residual", "sd"]
    np.testing.assert_allclose(sd, expected["sd"], rtol=1e-4)
    np.testing.assert_allclose(fit.correlations()["estimate"], expected["corr"], rtol=1e-4)
    parameters = fit.family_parameters()["estimate"].tolist()
    if name == "gamma":
        assert parameters[0] ** -0.5 == pytest.approx(expected["sigma"], rel=1e-4)
    elif parameters:
        assert parameters[0] == pytest.approx(expected["sigma"], rel=1e-4)


def test_adaptive_quadrature_is_glmers(data: pd.DataFrame, table: dict[str, Any]) -> None:
    model = bmx.Model("bin ~ x + (1 | g)", data, family="bernoulli")
    fit = model.fit_eb(n_quadrature=9)
    expected = table["quadrature"]
    np.testing.assert_allclose(fit.fixed_effects()["estimate"], expected["beta"], rtol=1e-4)
    assert fit.variance_components()["sd"][0] == pytest.approx(expected["sd"][0], rel=1e-4)
    # One point is Laplace's approximation, many change nothing any more.
    assert fit.loglik != pytest.approx(model.fit_eb().loglik, abs=1e-3)
    assert fit.loglik == pytest.approx(model.fit_eb(n_quadrature=25).loglik, abs=1e-4)


def test_conditional_modes_are_glmers(data: pd.DataFrame) -> None:
    """`ranef(fit, condVar = TRUE)` of glmer, nAGQ = 1."""
    fit = bmx.Model("bin ~ x + (1 | g)", data, family="bernoulli").fit_eb()
    effects = fit.group_effects(fixed_uncertainty=False).head(3)
    np.testing.assert_allclose(effects["estimate"], [0.678601, -0.613714, -0.136951], atol=2e-4)
    np.testing.assert_allclose(effects["sd"], [0.415978, 0.403745, 0.416652], atol=2e-4)
    assert (fit.group_effects()["sd"] > fit.group_effects(fixed_uncertainty=False)["sd"]).all()


def test_speed_dating_is_glmers(published: dict[str, Any], reference_folder: Path) -> None:
    expected = published["speed_dating"]
    data = pd.read_csv(reference_folder / "data" / expected["data"])
    data["decision"] = (data["decision"] == "Yes").astype(int)
    with pytest.warns(bmx.errors.DataWarning, match="missing"):
        model = bmx.Model(expected["formula"], data, family="bernoulli")
    fit = model.fit_eb()
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-3)
    assert fit.aic == pytest.approx(expected["aic"], abs=2e-3)
    fixed = fit.fixed_effects()
    np.testing.assert_allclose(
        fixed["estimate"], [e["estimate"] for e in expected["fixed_effects"]], rtol=1e-3
    )
    np.testing.assert_allclose(fixed["sd"], [e["se"] for e in expected["fixed_effects"]], rtol=1e-2)
    sd = fit.variance_components()["sd"][0]
    assert sd == pytest.approx(expected["variance_components"][0]["sd"], rel=1e-3)
