"""Means, contrasts, trends and joint tests are those of R's emmeans (tests/reference/emmeans.R)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataWarning

HERE = Path(__file__).parents[2] / "reference" / "emmeans.json"
THEIRS: dict[str, list[dict[str, Any]]] = json.loads(HERE.read_text())
NAMES = {
    "emmean": "estimate", "estimate": "estimate", "response": "estimate", "rate": "estimate",
    "prob": "estimate", "ratio": "estimate", "odds.ratio": "estimate", "temp.trend": "estimate",
    "SE": "sd", "df": "df", "lower.CL": "lower", "upper.CL": "upper", "asymp.LCL": "lower",
    "asymp.UCL": "upper", "t.ratio": "t", "z.ratio": "t", "p.value": "p",
}  # fmt: skip
# Digits that estimates of variances leave.
RTOL = {"df": 1e-3, "p": 1e-3}


def agree(mine: Any, name: str, *, rtol: float = 1e-4) -> None:
    table, theirs = mine.table, pd.DataFrame(THEIRS[name])
    assert len(table) == len(theirs)
    for their_name in theirs.columns:
        column = NAMES.get(their_name)
        if column is None:
            continue
        values = pd.to_numeric(theirs[their_name], errors="coerce").to_numpy(dtype=float)
        if column == "df" and np.isinf(table["df"]).all():
            continue
        np.testing.assert_allclose(
            table[column], values, rtol=max(rtol, RTOL.get(column, 0.0)), atol=1e-7, err_msg=column
        )


@pytest.fixture(scope="module")
def oats(reference_folder: Path) -> pd.DataFrame:
    frame = pd.read_csv(reference_folder / "data" / "oats.csv")
    return frame.assign(nf=frame["nitro"].astype(str))


@pytest.fixture(scope="module")
def unbalanced(oats: pd.DataFrame) -> pd.DataFrame:
    gone = [0, 4, 16, 17, 29, 43, 44, 45, 59, 70]
    return oats.drop(index=gone).reset_index(drop=True)


@pytest.fixture(scope="module")
def eb(unbalanced: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("yield ~ nf * Variety + (1 | Block/Variety)", unbalanced).fit_eb()


@pytest.fixture(scope="module")
def salamanders(reference_folder: Path) -> pd.DataFrame:
    frame = pd.read_csv(reference_folder / "data" / "salamanders.csv")
    hours, found = np.resize([1, 2, 4], len(frame)), (frame["count"] > 0).astype(int)
    return frame.assign(hours=hours, found=found)


@pytest.fixture(scope="module")
def counts(salamanders: pd.DataFrame) -> bmx.EmpiricalBayes:
    model = bmx.Model("count ~ spp + mined + (1 | site)", salamanders, family="poisson")
    return model.fit_eb()


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_an_unbalanced_split_plot(eb: bmx.EmpiricalBayes, ddf: Any) -> None:
    means = eb.marginal_means("Variety", ddf=ddf)
    agree(means, f"means_{ddf}")
    agree(means.contrasts(), f"pairs_{ddf}")
    agree(eb.marginal_means("Variety", by="nf", ddf=ddf).contrasts(), f"simple_{ddf}")
    joint = eb.marginal_means(["nf", "Variety"], ddf=ddf).joint_test()
    theirs = pd.DataFrame(THEIRS[f"joint_{ddf}"])
    assert joint["term"].tolist() == theirs["model term"].tolist()
    np.testing.assert_allclose(joint["f"], theirs["F.ratio"], atol=6e-4)
    # Degrees of freedom of several rows are lmerTest's and pbkrtest's, which emmeans
    # approximates.
    np.testing.assert_allclose(joint["den_df"], theirs["df2"], rtol=0.03)
    anova = eb.anova(ddf=ddf)
    # Fai and Cornelius' depend a little on how a hypothesis is written.
    np.testing.assert_allclose(joint["den_df"], anova["den_df"], rtol=2e-3)
    np.testing.assert_allclose(joint["f"], anova["f"], rtol=1e-6)


@pytest.mark.parametrize("weights", ["proportional", "cells"])
def test_weights(eb: bmx.EmpiricalBayes, weights: Any) -> None:
    agree(eb.marginal_means("Variety", weights=weights), weights)


@pytest.mark.parametrize("adjust", ["none", "bonferroni", "holm", "sidak"])
def test_adjustments(eb: bmx.EmpiricalBayes, adjust: str) -> None:
    agree(eb.marginal_means("nf").contrasts(adjust=adjust), f"adjust_{adjust}")


def test_differences_of_differences(eb: bmx.EmpiricalBayes) -> None:
    found = eb.marginal_means("nf * Variety").contrasts(
        "consecutive", interaction=True, adjust=None
    )
    theirs = pd.DataFrame(THEIRS["interaction"]).sort_values("estimate")
    mine = found.table.sort_values("estimate")
    np.testing.assert_allclose(mine[["estimate", "sd"]], theirs[["estimate", "SE"]], rtol=1e-4)
    assert mine["contrast"].str.count(" : ").eq(1).all()


def test_precision_weights(unbalanced: pd.DataFrame) -> None:
    frame = unbalanced.assign(w=np.resize([1.0, 2.0, 3.0], len(unbalanced)))
    model = bmx.Model("yield ~ nf + Variety + (1 | Block/Variety)", frame, weights="w")
    agree(model.fit_eb().marginal_means("Variety"), "weights")


def test_the_logarithm_of_the_response(unbalanced: pd.DataFrame) -> None:
    eb = bmx.Model("np.log(yield_) ~ nf * Variety + (1 | Block/Variety)",
                   unbalanced.rename(columns={"yield": "yield_"})).fit_eb()  # fmt: skip
    means = eb.marginal_means("Variety", kind="back_transformed")
    agree(means, "log_means")
    ratios = means.contrasts()
    agree(ratios, "log_pairs")
    assert ratios.table["contrast"][0] == "Golden Rain / Marvellous"
    assert "ratios of yield_" in str(ratios)


def test_nested_factors(unbalanced: pd.DataFrame) -> None:
    frame = unbalanced.assign(g=np.where(unbalanced["Variety"] == "Victory", "old", "new"))
    with pytest.warns(DataWarning, match="already determine"):
        model = bmx.Model("yield ~ g + Variety + nf + (1 | Block/Variety)", frame)
    eb = model.fit_eb()
    inner = eb.marginal_means("Variety")
    agree(inner, "nested_inner")
    assert inner.table.columns[:2].tolist() == ["Variety", "g"]
    assert inner.by == ("g",)
    assert inner.contrasts().table["contrast"].tolist() == ["Golden Rain - Marvellous"]
    assert len(inner.contrasts(by=[])) == 3
    agree(eb.marginal_means("g"), "nested_outer")
    agree(eb.marginal_means("nf"), "nested_beside")


def test_an_empty_cell(oats: pd.DataFrame) -> None:
    frame = oats[(oats["nf"] != "0.6") | (oats["Variety"] != "Victory")]
    with pytest.warns(DataWarning, match="already determine"):
        model = bmx.Model("yield ~ nf * Variety + (1 | Block/Variety)", frame)
    eb = model.fit_eb()
    means = eb.marginal_means("Variety")
    agree(means, "empty_means", rtol=2e-4)
    assert means.table["estimate"].isna().tolist() == [False, False, True]
    assert "zero in every row of the data" in means.why_nan
    pairs = eb.marginal_means("Variety | nf").contrasts()
    known = pairs.table["estimate"].notna()
    assert known.sum() == 10
    np.testing.assert_allclose(
        pairs.table["p"][known], [r["p.value"] for r in THEIRS["empty_pairs"] if r["p.value"]],
        rtol=2e-3,
    )  # fmt: skip
    joint = eb.marginal_means(["nf", "Variety"]).joint_test()
    theirs = pd.DataFrame(THEIRS["empty_joint"]).iloc[:3]
    assert joint["num_df"].tolist() == theirs["df1"].tolist()
    np.testing.assert_allclose(joint["f"], theirs["F.ratio"], rtol=2e-3)
    np.testing.assert_allclose(joint["den_df"], theirs["df2"], rtol=1e-3)


def test_covariates_and_trends(reference_folder: Path) -> None:
    cake = pd.read_csv(reference_folder / "data" / "cake.csv")
    eb = bmx.Model("angle ~ recipe * temp + (1 | recipe:replicate)", cake).fit_eb()
    agree(eb.trends("temp", by="recipe"), "trends")
    agree(eb.trends("temp", "recipe").contrasts(), "trend_pairs")
    agree(eb.marginal_means("recipe", "temp", at={"temp": [180, 200]}), "means_at")
    curved = bmx.Model("angle ~ recipe + poly(temp, 2) + (1 | recipe:replicate)", cake).fit_eb()
    agree(curved.marginal_means("recipe"), "poly_means")
    # There slopes are differences to one side, a thousandth of the range long.
    agree(curved.trends("temp", "temp", at={"temp": [180, 200, 220]}), "poly_trends", rtol=5e-3)


def test_counts(counts: bmx.EmpiricalBayes) -> None:
    agree(counts.marginal_means("mined"), "poisson_link", rtol=1e-3)
    back = {"kind": "back_transformed"}
    agree(counts.marginal_means("mined", **back), "poisson_back", rtol=1e-3)
    ratios = counts.marginal_means("spp", **back).contrasts()
    theirs = pd.DataFrame(THEIRS["poisson_ratios"])
    np.testing.assert_allclose(ratios.table["estimate"], theirs["ratio"], rtol=1e-3)
    np.testing.assert_allclose(ratios.table["lower"], theirs["asymp.LCL"], rtol=1e-3)
    assert np.abs(ratios.table["p"] - theirs["p.value"]).max() < 1e-4
    means = counts.marginal_means("mined", kind="mean")
    agree(means, "poisson_mean", rtol=1e-3)
    agree(means.contrasts(), "poisson_mean_pairs", rtol=1e-3)


def test_offsets_and_odds(salamanders: pd.DataFrame) -> None:
    formula = "count ~ mined + offset(log(hours)) + (1 | site)"
    rates = bmx.Model(formula, salamanders, family="poisson").fit_eb()
    agree(rates.marginal_means("mined"), "offset", rtol=1e-3)
    agree(rates.marginal_means("mined", at={"hours": 1}), "offset_at", rtol=1e-3)
    odds = bmx.Model("found ~ mined + (1 | site)", salamanders, family="bernoulli").fit_eb()
    means = odds.marginal_means("mined", kind="back_transformed")
    agree(means, "probabilities", rtol=2e-3)
    agree(means.contrasts(), "odds", rtol=5e-3)
