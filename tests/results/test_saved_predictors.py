"""A model with several linear predictors comes back from a file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import FileError
from bayesmix.results.files.saved_model import model_from_saved, saved_model
from bayesmix.statement.stated import StatedModel


def make_data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 40
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "y": rng.normal(size=n),
            "g": rng.choice(list("abcde"), n),
        }
    )


def twice(x: np.ndarray) -> np.ndarray:
    return 2 * x


def test_formulas_and_priors_of_each_predictor_are_kept() -> None:
    formulas = ["y ~ x + (1 | g)", "sigma ~ twice(z) + (x | g)"]
    model = StatedModel(
        formulas, make_data(), functions={"twice": twice},
        priors={"sigma: sd(g, x)": bmx.Prior("HalfNormal", sigma=0.2)},
    )  # fmt: skip
    saved = saved_model(model)  # type: ignore[arg-type]
    assert json.loads(saved.attrs["specification"])["format"] == 3
    with pytest.raises(FileError, match="calls twice"):
        model_from_saved(StatedModel, saved, None)
    found = model_from_saved(StatedModel, saved, {"twice": twice})
    assert repr(found) == repr(model)
    assert found.specification.formula == tuple(formulas)
    for name, predictor in model.design.predictors.items():
        np.testing.assert_array_equal(found.design.predictors[name].X, predictor.X)


def test_one_predictor_is_saved_so_that_older_versions_read_it() -> None:
    saved = saved_model(bmx.Model("y ~ x + (1 | g)", make_data()))
    assert json.loads(saved.attrs["specification"])["format"] == 1
