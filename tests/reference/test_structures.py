"""glmmTMB's fits of structured group effects, and how soon ours are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

# The formula in our words, and where glmmTMB's rho or range is in the entry.
CASES: dict[str, tuple[str, str, str]] = {
    "gpa_tmb_ar1_nugget": ("gpa ~ occasion + ar1(occasion | student)", "gaussian", "student"),
    "sim_poisson_ar1": ("y ~ x + ar1(t | g)", "poisson", "g"),
    "sim_spatial_exp": ("y ~ 1 + exp(lon + lat | 1)", "gaussian", "1"),
}


@pytest.fixture(scope="module")
def structures(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def model_of(name: str, entry: dict[str, Any], folder: Path) -> bmx.Model:
    formula, family, _ = CASES[name]
    return bmx.Model(formula, pd.read_csv(folder / "data" / entry["data"]), family=family)


@pytest.mark.parametrize("name", CASES)
def test_the_fit_is_glmmtmbs(name: str, structures: dict[str, Any], reference_folder: Path) -> None:
    entry, group = structures[name], CASES[name][2]
    fit = model_of(name, entry, reference_folder).fit_eb()
    assert fit.converged
    assert fit.loglik > entry["loglik"] - 1e-3
    assert fit.loglik == pytest.approx(entry["loglik"], abs=0.01)
    assert fit.df == entry["df"]
    fixed = fit.fixed_effects()
    se = np.asarray(list(entry["se"].values()))
    theirs = np.asarray(list(entry["fixed_effects"].values()))
    assert (np.abs(fixed["estimate"].to_numpy() - theirs) < 1e-3 * se).all()
    # glmmTMB's have, under REML, the uncertainty of theta in them.
    np.testing.assert_allclose(fixed["sd"], se, rtol=0.05)
    found = fit.variance_components().set_index("group")["sd"]
    assert found[group] == pytest.approx(next(iter(entry["sd"].values())), rel=5e-3)
    if "sigma" in entry:
        assert found["Residual"] == pytest.approx(entry["sigma"], rel=5e-3)
    if "correlations_by_column" in entry:
        rho = fit.hypothesis(f"rho({group}) > 0").table["estimate"][0]
        theirs = entry["correlations_by_column"][next(iter(entry["sd"]))][0]
        assert rho == pytest.approx(theirs, rel=5e-3)
    else:
        reach = fit.hypothesis(f"range({group}) > 0").table["estimate"][0]
        assert np.log(reach) == pytest.approx(entry["par"]["theta.1"], abs=0.01)
