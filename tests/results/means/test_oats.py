"""Marginal means, contrasts and joint tests of the split plot of oats, as R's emmeans has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx


@pytest.fixture(scope="module")
def tables(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def oats(reference_folder: Path) -> bmx.EmpiricalBayes:
    frame = pd.read_csv(reference_folder / "data" / "oats.csv")
    return bmx.Model("yield ~ C(nitro) * Variety + (1 | Block/Variety)", frame).fit_eb()


def agree(table: pd.DataFrame, rows: list[dict[str, Any]], label: str, *, limits: bool) -> None:
    theirs = pd.DataFrame(rows)
    t = "t.ratio" if "t.ratio" in theirs else None
    estimate = theirs["emmean"] if "emmean" in theirs else theirs["estimate"]
    np.testing.assert_allclose(table["estimate"], estimate, rtol=1e-6)
    np.testing.assert_allclose(table["sd"], theirs["SE"], rtol=1e-5)
    np.testing.assert_allclose(table["df"], theirs["df"], rtol=1e-3)
    if label:
        assert table[label].tolist() == theirs[label].tolist()
    if limits:
        np.testing.assert_allclose(table["lower"], theirs["lower.CL"], rtol=1e-4)
        np.testing.assert_allclose(table["upper"], theirs["upper.CL"], rtol=1e-4)
    if t:
        np.testing.assert_allclose(table["t"], theirs[t], rtol=1e-5)
        np.testing.assert_allclose(table["p"], theirs["p.value"], rtol=1e-3)


def test_means(oats: bmx.EmpiricalBayes, tables: dict[str, Any]) -> None:
    agree(oats.marginal_means("Variety").table, tables["emm_oats"]["means"], "Variety", limits=True)


def test_pairs(oats: bmx.EmpiricalBayes, tables: dict[str, Any]) -> None:
    means = oats.marginal_means("Variety")
    theirs = tables["emm_oats"]
    tukey = means.contrasts()
    agree(tukey.table, theirs["pairs"], "contrast", limits=False)
    assert np.abs(tukey.table["p"] - [row["p.value"] for row in theirs["pairs"]]).max() < 1e-6
    agree(means.contrasts(adjust=None).table, theirs["pairs_none"], "contrast", limits=False)


@pytest.mark.parametrize(
    ("kind", "called"),
    [("polynomial", "poly"), ("consecutive", "consec"), ("reference", "ctrl"), ("effects", "eff")],
)
def test_kinds_of_contrasts(
    kind: Any, called: str, oats: bmx.EmpiricalBayes, tables: dict[str, Any]
) -> None:
    found = oats.marginal_means("nitro").contrasts(kind, adjust=None).table
    agree(found, tables["emm_oats_poly"][called], "", limits=False)


def test_joint_tests(oats: bmx.EmpiricalBayes, tables: dict[str, Any]) -> None:
    found = oats.marginal_means(["nitro", "Variety"]).joint_test()
    theirs = pd.DataFrame(tables["joint_tests_oats"])
    assert found["num_df"].tolist() == theirs["df1"].tolist()
    np.testing.assert_allclose(found["den_df"], theirs["df2"], rtol=1e-3)
    np.testing.assert_allclose(found["f"], theirs["F.ratio"], atol=6e-4)
    np.testing.assert_allclose(found["p"], theirs["p.value"], rtol=1e-3)
    assert found["term"].tolist() == ["nitro", "Variety", "nitro:Variety"]
    # One factor alone, and the contrasts of its means, say the same.
    alone = oats.marginal_means("nitro")
    for other in (alone.joint_test(), alone.contrasts().joint_test()):
        assert other["f"][0] == pytest.approx(found["f"][0])
