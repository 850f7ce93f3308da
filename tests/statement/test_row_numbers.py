"""Columns that number the rows are no silent predictors of `.`."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataWarning


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"x": rng.normal(size=20), "y": rng.normal(size=20)})


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["X", "index", "level_0", "id"])
def test_row_numbers_under_a_dot_are_named(name: str, first: int) -> None:
    data = _data()
    data.insert(0, name, np.arange(first, first + 20))
    with pytest.warns(DataWarning, match=rf"`{name}`, .* numbers the rows: .*`\. - {name}`"):
        bmx.Model("y ~ .", data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = bmx.Model(f"y ~ . - {name}", data).fit_eb()
        bmx.Model(f"y ~ . + {name}", data)
        bmx.Model(f"y ~ x + {name}", data)
    assert fit.fixed_effects()["term"].tolist() == ["Intercept", "x"]
    np.testing.assert_allclose(
        fit.fixed_effects()["estimate"], np.polyfit(data["x"], data["y"], 1)[::-1]
    )


def test_other_columns_are_not() -> None:
    data = _data().assign(time=np.tile(np.arange(5), 4), late=np.arange(7, 27))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bmx.Model("y ~ .", data)
