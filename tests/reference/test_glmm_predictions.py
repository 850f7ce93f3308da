"""Predictions at the mode against glmmTMB's; `glmm_predictions.R` wrote the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx

HERE = Path(__file__).parent
FULL = "~ x + (x | g) + (1 | h)"
CASES = {
    "poisson": f"count {FULL}",
    "binomial": f"proportion(k, trials) {FULL}",
    "negative_binomial": f"over {FULL}",
}


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "glmm_predictions.json").read_text())
    return found


@pytest.mark.parametrize("name", CASES)
def test_predictions_and_their_errors_are_glmmtmbs(name: str, table: dict[str, Any]) -> None:
    data, expected = pd.read_csv(HERE / "glmm.csv"), table[name]
    fit = bmx.Model(CASES[name], data, family=name).fit_eb()
    rows = data.iloc[expected["rows"]]
    # glmmTMB predicts a proportion, and a binomial response here is a number of successes.
    trials = rows["trials"].to_numpy() if name == "binomial" else 1.0

    linear = fit.predict(rows, kind="linear")
    np.testing.assert_allclose(linear["estimate"], expected["link"]["fit"], atol=1e-5)
    np.testing.assert_allclose(linear["sd"], expected["given_theta"], rtol=1e-5)
    # glmmTMB's own errors have in them that the variance parameters are estimates.
    ratio = linear["sd"] / expected["link"]["se.fit"]
    assert ratio.between(0.93, 1.0).all()

    # glmmTMB's mean is the inverse link at the modes, ours an average over the group effects.
    inverse = special.expit if name == "binomial" else np.exp
    np.testing.assert_allclose(inverse(linear["estimate"]), expected["response"]["fit"], rtol=1e-5)
    mean = fit.predict(rows)
    np.testing.assert_allclose(
        mean["sd"] / trials, expected["response"]["se.fit"] * ratio, rtol=1e-4
    )

    typical = fit.predict(rows, kind="linear", groups="population")
    np.testing.assert_allclose(typical["estimate"], expected["population"]["fit"], atol=1e-5)
    np.testing.assert_allclose(typical["sd"], expected["population"]["se.fit"], rtol=1e-4)
    typical = fit.predict(rows, groups="population")
    np.testing.assert_allclose(
        typical["sd"] / trials, expected["population_response"]["se.fit"], rtol=1e-4
    )

    # g is new, h is known.
    new = fit.predict(rows.assign(g=[f"new{i}" for i in range(8)]), kind="linear")
    np.testing.assert_allclose(new["estimate"], expected["new_group"]["fit"], atol=1e-5)
    np.testing.assert_allclose(new["sd"], expected["new_group"]["se.fit"], rtol=3e-3)

    pearson = fit.residuals("pearson").iloc[expected["rows"]]
    np.testing.assert_allclose(pearson, expected["pearson"], atol=1e-5)
