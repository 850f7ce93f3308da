"""What the data do not determine is NaN, with one warning that says why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataWarning, NotEstimableWarning
from tests.builders import fake_posterior, non_normal

NUMBERS = ["estimate", "sd", "lower", "upper"]


def table(seed: int = 1) -> pd.DataFrame:
    """Two factors without the cell (c, r), and a column that is twice another."""
    rng = np.random.default_rng(seed)
    cells = [(f, h) for f in "abc" for h in "pqr" for _ in range(10) if (f, h) != ("c", "r")]
    data = pd.DataFrame(cells, columns=["f", "h"])
    data["g"] = rng.integers(0, 8, len(data)).astype(str)
    data["x"] = rng.normal(size=len(data))
    data["x2"] = 2 * data["x"]
    data["year"] = 2000.0 + rng.integers(0, 10, len(data))
    data["y"] = data["x"] + rng.normal(size=len(data))
    data["count"] = rng.poisson(np.exp(0.5 * data["x"]))
    data["grade"] = pd.Categorical.from_codes(
        rng.integers(0, 3, len(data)), ["low", "mid", "top"], ordered=True
    )
    return data


def model(formula: str, **arguments: Any) -> bmx.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return bmx.Model(formula, table(), **arguments)


@pytest.fixture(scope="module")
def eb() -> bmx.EmpiricalBayes:
    return model("y ~ f * h + x + x2 + year + (1 | g)").fit_eb()


@pytest.fixture(scope="module")
def reduced() -> bmx.EmpiricalBayes:
    """The same fit of columns that the data tell apart."""
    data = table().assign(cell=lambda d: d["f"] + d["h"])
    return bmx.Model("y ~ cell + x + year + (1 | g)", data).fit_eb()


@pytest.fixture(scope="module")
def counts() -> bmx.EmpiricalBayes:
    return model("count ~ f * h + x + (1 | g)", family="poisson").fit_eb()


@pytest.fixture
def post(rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(model("y ~ f * h + x + x2 + year + (1 | g)"), rng)


NEW = pd.DataFrame(
    {"f": ["c", "c", "a"], "h": ["r", "q", "p"], "x": 1.0, "x2": [2.0, 2.0, 3.0],
     "year": 2005.0, "g": "1"},
    index=["empty", "seen", "apart"],
)  # fmt: skip


def test_rows_beyond_the_data_s_combinations_are_nan(
    eb: bmx.EmpiricalBayes, reduced: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    for fit in (eb, post):
        for kind in ("mean", "linear", "response"):
            with pytest.warns(NotEstimableWarning) as said:
                found = fit.predict(NEW, kind=kind)  # type: ignore[arg-type]
            assert len(said) == 1
            text = str(said[0].message)
            assert "2 of 3 predictions (rows empty, apart)" in text
            assert "`f[T.c]:h[T.r]` is zero in every row of the data" in text
            assert "`x2` is determined by `x` in the data" in text
            assert found.loc[["empty", "apart"]].isna().all(axis=None)
            assert found.loc["seen"].notna().all()
        with pytest.warns(NotEstimableWarning):
            draws = fit.predict_draws(NEW, draws=20)
        assert np.isnan(draws.to_numpy()).all(axis=(0, 1)).tolist() == [True, False, True]
    right = reduced.predict(NEW.assign(cell="cq").loc[["seen"]])
    pd.testing.assert_frame_equal(eb.predict(NEW.loc[["seen"]]), right, rtol=1e-6)


def test_rows_of_the_data_are_as_in_the_fit_of_independent_columns(
    eb: bmx.EmpiricalBayes, reduced: bmx.EmpiricalBayes
) -> None:
    pd.testing.assert_frame_equal(eb.predict(), reduced.predict(), rtol=1e-5)
    pd.testing.assert_frame_equal(eb.predict(table()), reduced.predict(), rtol=1e-5)
    far = NEW.loc[["seen"]].assign(x=300.0, x2=600.0, year=2100.0)
    pd.testing.assert_frame_equal(eb.predict(far), reduced.predict(far.assign(cell="cq")),
                                  rtol=1e-5)  # fmt: skip


def once(call: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    with pytest.warns(NotEstimableWarning) as said:
        found = call()
    assert len(said) == 1
    return found


def test_averages_with_an_empty_cell_are_nan(
    eb: bmx.EmpiricalBayes, reduced: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    for fit in (eb, post):
        found = once(lambda fit=fit: fit.predictions(at={"f": ["b", "c"]}))
        assert found[NUMBERS].isna().all(axis=1).tolist() == [False, True]
        found = once(lambda fit=fit: fit.predictions("h", at={"f": ["b", "c"]}, others="typical",
                                                     groups="population"))  # fmt: skip
        assert found["estimate"].isna().tolist() == [False] * 5 + [True]
    assert eb.predictions("f")["estimate"].notna().all()
    by_hand = [
        reduced.predict(table().assign(cell=lambda d: "b" + d["h"]))["estimate"].mean(),
        np.nan,
    ]
    found = once(lambda: eb.predictions(at={"f": ["b", "c"]}, groups="conditional"))
    np.testing.assert_allclose(found["estimate"], by_hand, rtol=1e-5)


def test_a_column_that_never_moves_alone_has_no_comparison_and_no_slope(
    eb: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    for fit in (eb, post):
        for name in ("x2", "x"):
            for call in (fit.comparisons, fit.slopes):
                found = once(lambda call=call, name=name: call(name))
                assert found[NUMBERS].isna().all(axis=None)
        assert once(lambda fit=fit: fit.slopes("x2", step=1e-8))["estimate"].isna().all()
        assert once(lambda fit=fit: fit.comparisons("x", by=False))["estimate"].isna().all()


def test_a_difference_is_known_where_the_unknown_cancels(
    eb: bmx.EmpiricalBayes, reduced: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    empty = {"f": "c", "h": "r"}
    for call in ("comparisons", "slopes"):
        found = getattr(eb, call)("year", at=empty)
        right = getattr(reduced, call)("year")
        np.testing.assert_allclose(found[NUMBERS], right[NUMBERS], rtol=1e-4)
        assert getattr(post, call)("year", at=empty)[NUMBERS].notna().all(axis=None)
    assert once(lambda: eb.comparisons("year", at=empty, compare="ratio"))["estimate"].isna().all()
    found = once(lambda: eb.comparisons("f", by="h", contrast="pairwise"))
    known = ~((found["h"] == "r") & found["contrast"].str.contains("c"))
    assert (found["estimate"].notna() == known).all()
    right = reduced.comparisons("cell", contrast=("ap", "cp"))
    row = found[(found["contrast"] == "c - a") & (found["h"] == "p")]
    np.testing.assert_allclose(row[NUMBERS], right[NUMBERS], rtol=1e-5)


def test_through_a_link_both_rows_must_be_known(counts: bmx.EmpiricalBayes) -> None:
    empty = {"f": "c", "h": "r"}
    found = counts.comparisons("x", at=empty, kind="linear")
    slope = counts.fixed_effects().set_index("term").loc["x", "estimate"]
    np.testing.assert_allclose(found["estimate"], slope, atol=0.05)
    for call in (counts.comparisons, counts.slopes):
        assert once(lambda call=call: call("x", at=empty))[NUMBERS].isna().all(axis=None)
    new = NEW.assign(f="c", h="r")
    assert once(lambda: counts.predict(new))["estimate"].isna().all()
    assert counts.comparisons("x")[NUMBERS].notna().all(axis=None)


def test_categories_that_are_not_known_are_nan(rng: np.random.Generator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        post = non_normal("cumulative", "grade ~ f * h + x", table(), rng)
    new = NEW.iloc[:2]
    found = once(lambda: post.predict(new, kind="probability"))
    assert found["category"].astype(str).tolist() == ["low", "mid", "top"] * 2
    assert found["estimate"].isna().tolist() == [True] * 3 + [False] * 3
    found = once(lambda: post.predict(new, kind="response"))
    assert found["category"].isna().tolist() == [True, False]


def test_a_left_out_coefficient_has_no_hypothesis(
    eb: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    for fit in (eb, post):
        found = fit.hypothesis(["x2 > 0", "year > 0"]).table
        assert found["estimate"].isna().tolist() == [True, False]
        assert "`x2` was left out" in found.loc[0, "note"]


def test_pictures_leave_out_what_is_not_known(eb: bmx.EmpiricalBayes) -> None:
    with pytest.warns(NotEstimableWarning, match=r"1 of 9 predictions \(row f c, h r\)") as said:
        eb.plot_predictions("f", by="h")
    assert len(said) == 1
