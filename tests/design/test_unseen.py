"""What a fit has not seen is named: where it stands, what was seen, what to do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design import build_design, design_rows
from bayesmix.errors import DataError, DataWarning, FormulaError
from bayesmix.formula import parse_formula


@pytest.fixture
def rows(rng: np.random.Generator) -> pd.DataFrame:
    """Ten times, four years and a truth value."""
    return pd.DataFrame(
        {
            "y": rng.normal(size=80),
            "time": np.tile(np.arange(10.0), 8),
            "year": np.repeat([2005, 2006, 2007, 2008], 20),
            "sex": np.tile(["f", "m"], 40),
            "flag": np.tile([True, False], 40),
            "my time": np.tile(np.arange(10.0), 8),
            "g": np.repeat(np.arange(8), 10),
        }
    )


def refused(formula: str, rows: pd.DataFrame, **new: Any) -> str:
    built = build_design(parse_formula(formula), rows)
    with pytest.raises(DataError) as caught:
        design_rows(built, rows.head(3).assign(**new).set_index(pd.Index(["a", "b", "c"])))
    return str(caught.value)


@pytest.mark.parametrize(
    ("formula", "new", "said"),
    [
        (
            "y ~ bs(time, df=4)",
            {"time": [1, 11, 12]},
            "`time` is 11 in row b, beyond the range 0 to 9 that `bs(time, df=4)` is known on",
        ),
        ("y ~ 1 + (bs(time, df=3) | g)", {"time": [1, 2, -1]}, "`time` is -1 in row c"),
        ("y ~ bs(np.log(time + 1), df=3)", {"time": 19}, "`np.log(time + 1)` is 2.99573 in row a"),
        ("y ~ bs(center(time), df=3)", {"time": 19}, "is 14.5 in row a, beyond the range -4.5 to"),
        ("y ~ bs(`my time`, df=3)", {"my time": 10}, "`my time` is 10 in row a"),
        (
            "y ~ bs(time, df=3, lower_bound=-1, upper_bound=10)",
            {"time": [0, 10, 11]},
            "`time` is 11 in row c, beyond the range -1 to 10",
        ),
        ("y ~ sex * bs(time, df=4) + cr(year, df=3)", {"time": 12, "year": 2010}, "`time` is 12"),
        ("y ~ cr(time, df=3, extrapolation='raise')", {"time": 12}, "refit with cr(..., extrapo"),
    ],
)
@pytest.mark.filterwarnings("ignore:left out")
def test_values_beyond_a_spline_are_named_with_its_range(
    rows: pd.DataFrame, formula: str, new: dict[str, Any], said: str
) -> None:
    message = refused(formula, rows, **new)
    assert said in message
    assert 'extrapolation="extend"' in message


@pytest.mark.parametrize("how", ["extend", "clip"])
def test_the_way_out_of_a_splines_range_works(rows: pd.DataFrame, how: str) -> None:
    text = f"y ~ bs(time, df=4, extrapolation='{how}')"
    built = build_design(parse_formula(text), rows)
    assert np.isfinite(design_rows(built, rows.head(3).assign(time=12)).X).all()


def test_bounds_that_leave_rows_of_the_fit_out_are_named(rows: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match="`time` is 0, beyond the range 1 to 10"):
        bmx.Model("y ~ bs(time, df=3, lower_bound=1, upper_bound=10)", rows)


def test_a_default_step_that_leaves_the_spline_says_so(rows: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ bs(time, df=4) + (1 | g)", rows).fit_eb()
    with pytest.raises(DataError, match=r"step \+1 takes `time` beyond its range 0 to 9.*\(0, 9\)"):
        fit.comparisons("time")
    assert len(fit.comparisons("time", contrast=(0, 9))) == 1
    for outside in ({"contrast": (0, 19)}, {"data": rows.assign(time=12.0)}):
        with pytest.raises(DataError, match=r"`time` is \d+ in row 0, beyond"):
            fit.comparisons("time", **outside)
    assert len(fit.slopes("time")) == 1


@pytest.mark.parametrize(
    ("formula", "new", "said"),
    [
        ("y ~ C(year)", {"year": [2005, 2009, 2010]}, "column `year` has the level 2009 in row b"),
        ("y ~ 1 + (C(year) | g)", {"year": 2009}, "column `year` has the level 2009 in row a"),
        ("y ~ sex:C(year, contr.sum)", {"year": 2009}, "known are 2005, 2006, 2007, 2008"),
        ("y ~ C(time // 5)", {"time": 50}, "`time // 5` has the level 10.0"),
        ("y ~ sex", {"sex": [1, 2, 3]}, "column `sex` has the level 1, which the model has not"),
        ("y ~ C(sex)", {"sex": "z"}, "known are 'f', 'm'"),
    ],
)
def test_unseen_levels_are_named_plainly(
    rows: pd.DataFrame, formula: str, new: dict[str, Any], said: str
) -> None:
    message = refused(formula, rows, **new)
    assert said in message
    assert "np." not in message


def test_levels_that_a_formula_leaves_out_are_named(rows: pd.DataFrame) -> None:
    text = "y ~ C(year, levels=[2005, 2006, 2007])"
    with pytest.raises(FormulaError, match=r"`year` has the level 2008, which .* does not list"):
        bmx.Model(text, rows)


@pytest.mark.parametrize("value", [2, 0.5, -1, "TRUE"])
@pytest.mark.parametrize("formula", ["y ~ flag", "y ~ C(flag)"])
def test_a_truth_value_is_nothing_else(rows: pd.DataFrame, formula: str, value: object) -> None:
    message = refused(formula, rows, flag=value)
    assert f"column `flag` is {value!r} in row a" in message


@pytest.mark.parametrize("formula", ["y ~ flag", "y ~ C(flag)"])
def test_one_and_zero_are_truth_values(rows: pd.DataFrame, formula: str) -> None:
    built = build_design(parse_formula(formula), rows)
    for new in ([1, 0], [1.0, 0.0], pd.array([True, False], dtype="boolean")):
        np.testing.assert_array_equal(
            design_rows(built, rows.head(2).assign(flag=new)).X, built.mu.X[:2]
        )


DAYS = pd.Series(pd.date_range("2020-01-01", periods=80))


@pytest.mark.parametrize(
    ("column", "way_out"),
    [
        (DAYS, 'data.assign(days=(data["day"] - data["day"].min()).dt.days)'),
        (DAYS.dt.tz_localize("UTC"), 'data.assign(days=(data["day"] - data["day"].min()).dt.days)'),
        (DAYS.dt.date, 'date = pd.to_datetime(data["day"]); data.assign(days=(date - date.min())'),
        (DAYS.dt.to_period("M"), 'date = data["day"].dt.to_timestamp(); data.assign(days=('),
        (DAYS.astype(str), 'date = pd.to_datetime(data["day"]); data.assign(days=('),
    ],
)
@pytest.mark.parametrize("formula", ["y ~ day", "y ~ 1 + (day | g)"])
def test_dates_that_become_categories_are_warned_of(
    rows: pd.DataFrame, column: pd.Series[Any], way_out: str, formula: str
) -> None:
    data = rows.assign(day=column)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        bmx.Model(formula, data)
    assert seen[0].category is DataWarning
    first = str(seen[0].message)
    assert f"`day` holds dates and is taken as {column.nunique()} categories" in first
    assert way_out.replace('"', "'") in first
    names: dict[str, Any] = {"pd": pd, "data": data}
    advice = first.partition("of their own: ")[2].partition("; C(day)")[0]
    *before, last = advice.split("; ")
    for line in before:
        exec(line, names)  # noqa: S102
    assert eval(last, names)["days"].max() in {79, 60}  # noqa: S307


@pytest.mark.parametrize("formula", ["y ~ C(day)", "y ~ 1 + (1 | day)"])
def test_dates_that_are_meant_as_categories_are_not(rows: pd.DataFrame, formula: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bmx.Model(formula, rows.assign(day=np.tile(DAYS[:8], 10)))
        bmx.Model("y ~ day", rows.assign(day=np.tile(["2020-01-01", "2020-02-01"], 40)))
