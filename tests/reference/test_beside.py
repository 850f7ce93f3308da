"""No pooling and complete pooling against R; `beside.R` made the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "lmlist.json").read_text())
    return found


@pytest.fixture(scope="module")
def nested() -> pd.DataFrame:
    return pd.read_csv(HERE / "nested.csv")


@pytest.mark.parametrize("sigma", ["pooled", "own"])
def test_no_pooling_is_nlmes_lmlist(
    sigma: Any, table: dict[str, Any], sleepstudy: pd.DataFrame
) -> None:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy)
    found = model.no_pooling(sigma=sigma)
    assert found["level"].tolist() == [name for name in table["levels"] for _ in range(2)]
    np.testing.assert_allclose(found["estimate"], np.ravel(table[sigma]["estimate"]))
    np.testing.assert_allclose(found["sd"], np.ravel(table[sigma]["se"]))
    if sigma == "pooled":
        lower, _, upper = table["interval"]  # nlme's intervals: t with the pooled df
        assert found.loc[1, ["lower", "upper"]].tolist() == pytest.approx([lower, upper])


def test_complete_pooling_is_lm(table: dict[str, Any], sleepstudy: pd.DataFrame) -> None:
    found = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).complete_pooling()
    np.testing.assert_allclose(found[["estimate", "sd"]], table["lm"])
    np.testing.assert_allclose(found[["lower", "upper"]], table["lm_interval"])


def test_no_pooling_of_a_binary_response_is_glm(
    table: dict[str, Any], nested: pd.DataFrame
) -> None:
    model = bmx.Model("bin ~ x + (x | hospital)", nested, family="bernoulli")
    found = model.no_pooling().set_index("level")
    for level, expected in table["glm"].items():
        np.testing.assert_allclose(found.loc[level, ["estimate", "sd"]], expected, rtol=1e-6)


def test_complete_pooling_of_a_binary_response_is_glm(
    table: dict[str, Any], nested: pd.DataFrame
) -> None:
    model = bmx.Model("bin ~ x + sex + (1 | hospital)", nested, family="bernoulli")
    np.testing.assert_allclose(
        model.complete_pooling()[["estimate", "sd"]], table["all"], rtol=1e-6
    )
