"""What is compared speaks of the population; of the groups in the data where they are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataWarning

NUMBERS = ["estimate", "sd", "lower", "upper"]
WITHIN = "`recipe` does not vary within `recipe:replicate`.* are for the groups in the data"


@pytest.fixture(scope="module")
def cake(reference_folder: Path) -> bmx.EmpiricalBayes:
    data = pd.read_csv(reference_folder / "data" / "cake.csv")
    return bmx.Model("angle ~ recipe + C(temp) + (1 | recipe:replicate)", data).fit_eb()


@pytest.fixture(scope="module")
def oats(reference_folder: Path) -> bmx.EmpiricalBayes:
    data = pd.read_csv(reference_folder / "data" / "oats.csv")
    return bmx.Model("yield ~ C(nitro) * Variety + (1 | Block/Variety)", data).fit_eb()


def test_whole_plots_are_compared_with_the_error_of_whole_plots(
    oats: bmx.EmpiricalBayes, reference_folder: Path
) -> None:
    """Means, pairs and their standard errors are those of R's emmeans."""
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    published = json.loads(text)["emm_oats"]
    means = oats.predictions(by="Variety")
    expected = pd.DataFrame(published["means"])
    np.testing.assert_allclose(means["estimate"], expected["emmean"], rtol=1e-6)
    np.testing.assert_allclose(means["sd"], expected["SE"], rtol=1e-4)
    pairs = oats.comparisons("Variety", contrast="pairwise")
    expected = pd.DataFrame(published["pairs_none"])
    np.testing.assert_allclose(pairs["estimate"], -expected["estimate"], rtol=1e-6)
    np.testing.assert_allclose(pairs["sd"], expected["SE"], rtol=1e-4)
    at = oats.predictions(at={"Variety": ["Victory"]})
    np.testing.assert_allclose(at[NUMBERS].iloc[0], means[NUMBERS].iloc[2])


def test_conditional_intervals_say_for_whom_they_hold(cake: bmx.EmpiricalBayes) -> None:
    table = cake.comparisons("recipe")
    assert table["sd"].tolist() == pytest.approx([2.4563] * 2, abs=1e-3)  # emmeans
    with pytest.warns(DataWarning, match=WITHIN):
        these = cake.comparisons("recipe", groups="conditional")
    assert these["sd"][0] < table["sd"][0] / 3
    assert "not for groups like them" in these.attrs["note"]
    # Temperature varies within each batch: the groups cancel, and there is nothing to say.
    inside = cake.comparisons("temp", groups="conditional")
    assert inside["sd"][0] == pytest.approx(cake.comparisons("temp")["sd"][0], rel=1e-6)
    assert not inside.attrs


def test_both_kinds_of_fit_have_one_default(cake: bmx.EmpiricalBayes) -> None:
    post = cake.model.fit(seed=1, chains=2, draws=300, tune=300, progress=False)
    table, exact = post.comparisons("recipe"), cake.comparisons("recipe")
    np.testing.assert_allclose(table["sd"], exact["sd"], rtol=0.15)
    pd.testing.assert_frame_equal(table, post.comparisons("recipe", groups="population"))
    with pytest.warns(DataWarning, match=WITHIN):
        post.comparisons("recipe", groups="conditional")
    for fit in (post, cake):  # nothing is varied: the rows as they are
        rows = fit.predict()["estimate"].mean()
        assert fit.predictions()["estimate"][0] == pytest.approx(rows)


def test_a_call_that_names_groups_is_about_these(oats: bmx.EmpiricalBayes) -> None:
    blocks = oats.predictions(by="Block")
    pd.testing.assert_frame_equal(blocks, oats.predictions(by="Block", groups="conditional"))
    assert blocks["estimate"].nunique() == 6
    assert oats.predictions(at={"Block": ["I", "V"]})["estimate"].nunique() == 2
    assert oats.comparisons("Block")["estimate"].abs().min() > 0
    assert oats.comparisons("Variety", by="Block")["estimate"].nunique() == 12
    sleep = bmx.load_dataset("sleepstudy")
    within = bmx.Model("Reaction ~ 1 + (0 + Days | Subject)", sleep).fit_eb()
    # Days has no coefficient of its own, and the typical subject no slope.
    assert within.slopes("Days")["estimate"][0] > 0


def test_slopes_of_what_differs_between_groups_are_those_of_the_population() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 10)
    data = pd.DataFrame({"g": g, "z": rng.normal(size=12)[g], "x": rng.normal(size=120)})
    data["y"] = data["z"] + data["x"] + rng.normal(size=12)[g] + rng.normal(size=120)
    eb = bmx.Model("y ~ x + z + (1 | g)", data).fit_eb()
    own = eb.fixed_effects().set_index("term")
    slopes = eb.slopes(["x", "z"])
    np.testing.assert_allclose(slopes[NUMBERS], own.loc[["x", "z"], NUMBERS], rtol=1e-5)
    with pytest.warns(DataWarning, match="`z` does not vary within `g`"):
        these = eb.slopes(["x", "z"], groups="conditional")
    # A step in z leaves the rows in their groups, which cancel where all is additive ...
    np.testing.assert_allclose(these[NUMBERS], slopes[NUMBERS], rtol=1e-6)
    # ... but the average over rows holds the groups as they are.
    high = data.assign(high=data["z"] > 0)
    both = eb.predictions("high", data=high)
    conditional = eb.predictions("high", data=high, groups="conditional")
    assert (conditional["sd"] < both["sd"] / 2).all()
