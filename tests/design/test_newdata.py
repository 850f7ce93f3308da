"""A fitted design builds the same columns for new data."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesmix.design import build_design, design_rows
from bayesmix.design.known_covariance import as_label
from bayesmix.errors import DataError, DataWarning
from bayesmix.formula import parse_formula

TEXT = (
    "y ~ scale(x) + poly(z, 2) + bs(u, df=4) + f * flag + C(h, contr.sum) + offset(z)"
    " + (center(x) + f | g) + (1 | h:ward)"
)


def test_the_fitting_data_give_the_same_rows(data: pd.DataFrame) -> None:
    built = build_design(parse_formula(TEXT), data)
    again = design_rows(built, data.drop(columns="y"))
    np.testing.assert_allclose(again.X, built.mu.X)
    np.testing.assert_allclose(again.offset, built.mu.offset)
    for group in built.mu.groups:
        np.testing.assert_allclose(again.Z[group.name], group.Z)
        np.testing.assert_array_equal(again.index[group.name], group.index)


def test_transforms_remember_the_fitting_data(data: pd.DataFrame) -> None:
    built = build_design(parse_formula(TEXT), data)
    for rows in (data.iloc[[17]], data.iloc[100:103], pl.from_pandas(data.iloc[[17]])):
        new = design_rows(built, rows)
        start = 100 if len(rows) == 3 else 17
        np.testing.assert_allclose(new.X, built.mu.X[start : start + len(rows)])
        np.testing.assert_allclose(new.Z["g"], built.mu.groups[0].Z[start : start + len(rows)])


def test_extra_columns_are_ignored_and_lacking_ones_named(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + (1 | g)"), data)
    new = design_rows(built, data[["g", "x"]].assign(other="text"))
    assert new.X.shape == (240, 2)
    with pytest.raises(DataError, match="no column `x`"):
        design_rows(built, data[["g"]])


def test_unseen_levels_of_a_group_are_minus_one(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + (1 | g) + (1 | h:ward)"), data)
    new = data.head(4).assign(g=["a", "never", None, "b"], ward=[1, 2, 77, 3])
    index = design_rows(built, new).index
    labels = built.mu.groups[0].levels.labels
    assert list(labels[index["g"][[0, 3]]]) == ["a", "b"]
    assert list(index["g"][1:3]) == [-1, -1]
    assert index["h:ward"][2] == -1
    assert (index["h:ward"][[0, 1, 3]] >= 0).all()


def test_integer_levels_meet_floats_and_text(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + (1 | h)"), data)
    for column in (data["h"].astype(float), data["h"].astype(str), data["h"].astype("category")):
        new = design_rows(built, data.assign(h=column))
        np.testing.assert_array_equal(new.index["h"], built.mu.groups[0].index)


def test_dates_group_and_are_found_again(data: pd.DataFrame) -> None:
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["h"], unit="D")
    built = build_design(parse_formula("y ~ x + (1 | day)"), data.assign(day=day))
    assert built.mu.groups[0].levels.labels[0] == "2020-01-02"
    new = design_rows(built, data.assign(day=day))
    np.testing.assert_array_equal(new.index["day"], built.mu.groups[0].index)


_AS = {
    "datetimes": lambda day: day,
    "objects": lambda day: day.astype(object),
    "categories": lambda day: day.astype("category"),
    "days": lambda day: day.dt.date,
    "text": lambda day: day.dt.strftime("%Y-%m-%d"),
    "text with the time": lambda day: day.dt.strftime("%Y-%m-%d %H:%M:%S"),
}


@pytest.mark.parametrize("new", _AS)
@pytest.mark.parametrize("fitted", _AS)
def test_a_day_is_found_again_however_its_column_holds_it(
    data: pd.DataFrame, fitted: str, new: str
) -> None:
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["h"], unit="D")
    formula = parse_formula("y ~ x + (1 | day)")
    built = build_design(formula, data.assign(day=_AS[fitted](day)))
    rows = design_rows(built, data.assign(day=_AS[new](day)))
    np.testing.assert_array_equal(rows.index["day"], built.mu.groups[0].index)


@pytest.mark.parametrize("fitted", _AS)
def test_a_day_is_the_level_of_a_known_covariance(fitted: str) -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=4))
    label = (
        build_design(
            parse_formula("y ~ (1 | day)"),
            pd.DataFrame(
                {"y": np.arange(8.0), "day": pd.concat([_AS[fitted](days)] * 2).to_numpy()}
            ),
        )
        .mu.groups[0]
        .levels.labels
    )
    assert [as_label(day) for day in days] == list(label)


def test_midnight_among_other_times_is_found_again_alone(data: pd.DataFrame) -> None:
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["h"] * 12, unit="h")
    built = build_design(parse_formula("y ~ x + (1 | time)"), data.assign(time=time))
    for hours in (0, 12):
        rows = (time.dt.hour == hours).to_numpy()
        new = design_rows(built, data.assign(time=time)[rows])
        np.testing.assert_array_equal(new.index["time"], built.mu.groups[0].index[rows])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": "never"}, r"level 'never'.*known are 'high', 'low', 'mid'"),
        ({"x": "text"}, r"`x` was numeric"),
        ({"x": np.nan}, r"missing value in column `x`"),
        ({"x": np.inf}, r"is inf"),
        ({"h": 99}, r"99"),
    ],
)
def test_new_data_that_do_not_fit(
    data: pd.DataFrame, change: dict[str, object], message: str
) -> None:
    built = build_design(parse_formula("y ~ x + f + C(h) + (1 | g)"), data)
    with pytest.raises(DataError, match=message):
        design_rows(built, data.head(3).assign(**change))


def test_aliased_columns_stay_out(data: pd.DataFrame) -> None:
    data["twice"] = 2 * data["x"]
    with pytest.warns(DataWarning):
        built = build_design(parse_formula("y ~ x + twice + z"), data)
    np.testing.assert_allclose(design_rows(built, data).X, built.mu.X)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + offset(center(z))",
        "y ~ center(`a b` + `a b`)",
        "y ~ {`a b` + center(`a b`)}",
        "y ~ poly(`a b` * `a b`, 2) + I(`a b c` + `a b`)",
    ],
)
def test_state_is_kept_wherever_a_transform_stands(data: pd.DataFrame, text: str) -> None:
    data = data.assign(**{"a b": data["x"], "a b c": data["u"]})
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    built = build_design(parse_formula(text), data)
    new = design_rows(built, data.iloc[5:9])
    np.testing.assert_allclose(new.X, built.mu.X[5:9])
    if built.mu.offset is not None:
        np.testing.assert_allclose(new.offset, built.mu.offset[5:9])
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_no_rows_give_no_rows(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + f + offset(z) + (x | g)"), data)
    rows = design_rows(built, data.head(0).assign(f=pd.Series([], dtype=object)))
    assert rows.X.shape == (0, built.mu.X.shape[1])
    assert len(rows.index["g"]) == 0


def test_an_offset_without_a_value_is_named(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + offset(z) + offset(log(u))"), data.assign(u=2.0))
    with pytest.raises(DataError, match=r"`offset\(log\(u\)\)` is -inf in row 0"):
        design_rows(built, data.head(3).assign(u=0.0))


def test_a_level_that_is_new_only_in_its_zeros_is_warned_of() -> None:
    table = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9], "g": ["001", "001", "002", "002", "b", "b"]})
    design = build_design(parse_formula("y ~ 1 + (1 | g)"), table)
    with pytest.warns(DataWarning, match=r"the level '1', .* knows it as '001'.*dtype"):
        rows = design_rows(design, pd.DataFrame({"g": [1, 7, None]}))
    assert list(rows.index["g"]) == [-1, -1, -1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # other numbers, names and holes are new without a word
        rows = design_rows(design, pd.DataFrame({"g": ["003", "c", None, "002"]}))
    assert list(rows.index["g"]) == [-1, -1, -1, 1]
