"""Every family takes a value of each of its parameters for each row, as a predictor gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayesmix.families.functions import NUMPY
from bayesmix.statement.stated import StatedModel
from tests.families.cases import LEFT_SIDE, ORDINARY, family_data

DATA = family_data(12)
WITH_PARAMETERS = [
    name
    for name, family in ORDINARY.items()
    if not all(spec.is_vector for spec in family().parameters.values())
]


def stated(name: str) -> StatedModel:
    """A model in which every parameter that is one number has a predictor."""
    family = ORDINARY[name]()
    own = [p for p in family.parameters if p not in family.vector_parameters]
    formulas = [f"{LEFT_SIDE[name]} ~ x", *(f"{p} ~ x" for p in own)]
    return StatedModel(formulas, DATA, family=name)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_rows_are_as_if_each_were_alone(name: str, rng: np.random.Generator) -> None:
    model = stated(name)
    family, n = model.family, len(DATA)
    eta = rng.uniform(0.2, 1.0, (3, n))
    parameters = {p: rng.uniform(0.3, 0.7, (3, n)) for p in model.links if p != "mu"}
    log_prob = family.log_prob(model.y, eta, parameters, model.rows)
    mean = family.mean(eta, parameters, model.rows)
    variance = family.variance(eta, parameters, model.rows)
    assert family.simulate(eta, parameters, model.rows, rng).shape == (3, n)
    for s, i in np.ndindex(3, n):
        alone: dict[str, Any] = {p: values[s, i] for p, values in parameters.items()}
        rows = {key: values[i : i + 1] for key, values in model.rows.items()}
        at = eta[s, i : i + 1]
        found = family.log_prob(model.y[i : i + 1], at, alone, rows)
        assert log_prob[s, i] == pytest.approx(float(found[0]), rel=1e-12)
        assert mean[s, i] == pytest.approx(float(family.mean(at, alone, rows)[0]), rel=1e-12)
        found = family.variance(at, alone, rows)
        assert variance[s, i] == pytest.approx(float(found[0]), rel=1e-12)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_the_pymc_model_takes_them_too(name: str, rng: np.random.Generator) -> None:
    model = stated(name)
    pm_model = model.pymc_model
    point = {key: rng.normal(0, 0.3, v.shape) for key, v in pm_model.initial_point().items()}
    x = DATA["x"].to_numpy() - DATA["x"].mean()

    def eta(prefix: str) -> np.ndarray:
        found = point[f"{prefix}intercept_at_means"] + point[f"{prefix}coefficients"] * x
        return np.asarray(found)

    parameters = {
        p: link.inverse(NUMPY, eta(f"{p}_")) for p, link in model.links.items() if p != "mu"
    }
    expected = model.family.log_prob(model.y, eta(""), parameters, model.rows).sum()
    logp = pm_model.compile_logp(vars=pm_model.observed_RVs, mode="FAST_COMPILE")
    assert logp(point) == pytest.approx(expected, rel=1e-8)
