"""Published fits with residual structures, by the algebra behind the seam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import bayesmix as bmx
from bayesmix.gaussian.density import profiled_deviance, profiled_variance
from bayesmix.gaussian.problem import build_problem

from .toys import Ratios


def test_strata_reproduce_nlme(published: dict[str, Any], reference_folder: Path) -> None:
    """`varIdent`: a residual standard deviation per occasion, the first one's being sigma."""
    table = published["gpa_het"]
    data = pd.read_csv(reference_folder / "data" / table["data"])
    model = bmx.Model(table["formula"], data)
    rows = {"stratum": data["occasion"].to_numpy()}
    problem = build_problem(model.design.mu, model.y, residual=Ratios(6), rows=rows)
    co, eq = problem.relative_coordinates(), problem.equations

    def criterion(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty(len(x))
        return profiled_deviance(eq, co, np.ascontiguousarray(x), True, 0.0, gradient), gradient

    options = {"ftol": 1e-14, "gtol": 1e-7}
    found = optimize.minimize(criterion, np.zeros(6), jac=True, options=options, method="L-BFGS-B")
    log_likelihood = -(found.fun + problem.criterion_offset(reml=True)) / 2
    assert log_likelihood == pytest.approx(table["loglik_reml"], abs=1e-6)
    sigma = np.sqrt(profiled_variance(eq, co, found.x, True)) * problem.scaling.y_scale
    assert sigma == pytest.approx(table["sigma"], rel=1e-4)
    assert sigma * np.exp(found.x[0]) == pytest.approx(table["group_sd"], rel=1e-4)
    assert np.exp(found.x[1:]) == pytest.approx(table["var"], rel=1e-4)
