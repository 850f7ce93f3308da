"""`tidy`: one table with broom's columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from tests.builders import fake_posterior

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def eb() -> Any:
    return bmx.Model(FORMULA, bmx.load_dataset("sleepstudy")).fit_eb()


def test_it_has_all_estimates_under_brooms_names(eb: Any) -> None:
    table = eb.tidy()
    assert table.columns.tolist() == [
        "effect", "group", "term", "estimate", "std.error", "conf.low", "conf.high"
    ]  # fmt: skip
    assert table["term"].tolist() == [
        "Intercept", "Days", "sd__Intercept", "sd__Days", "sd__Observation", "cor__Intercept.Days"
    ]  # fmt: skip
    assert table["group"].tolist() == ["", "", "Subject", "Subject", "Residual", "Subject"]
    fixed, parts = eb.fixed_effects(), eb.variance_components()
    assert table["estimate"][:2].tolist() == fixed["estimate"].tolist()
    assert table["std.error"][:2].tolist() == fixed["sd"].tolist()
    assert table["estimate"][2:5].tolist() == parts["sd"].tolist()
    assert table["conf.high"][2:5].tolist() == parts["sd_upper"].tolist()
    levels = eb.tidy("ran_vals")
    assert levels["level"].tolist()[:2] == ["308", "308"]
    assert levels["estimate"].tolist() == eb.group_effects()["estimate"].tolist()


def test_what_reads_brooms_tables_reads_it(eb: Any) -> None:
    both = bmx.compare_estimates(eb, other=eb.tidy(["fixed", "ran_pars", "ran_vals"]))
    for table, number in (
        (both.fixed_effects, "estimate"), (both.variance_components, "sd"),
        (both.correlations, "estimate"), (both.group_effects, "estimate"),
    ):  # fmt: skip
        own, read = (table[table["fit"] == name][number].to_numpy() for name in both.fits)
        assert own == pytest.approx(read)


def test_draws_have_rhat_and_components_stand_apart(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    assert {"rhat", "ess"} <= set(post.tidy().columns)
    data["count"] = (data["u"] * 3).astype(int)
    zi = bmx.Model(
        ["count ~ x + (1 | g)", "zi ~ 1"], data, family="zero_inflated_poisson"
    ).fit_eb().tidy()  # fmt: skip
    assert zi["component"].unique().tolist() == ["mu", "zi"]
    with pytest.raises(bmx.errors.ArgumentError, match="effects='random' is not one of"):
        post.tidy("random")  # type: ignore[arg-type]
