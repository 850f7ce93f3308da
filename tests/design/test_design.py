"""The design makes the arrays that the formula means."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.design import Design, build_design
from bayesmix.design.rank import aliased_columns
from bayesmix.errors import DataError, DataWarning, FormulaError
from bayesmix.formula import parse_formula


def design(text: str, data: object, **options: object) -> Design:
    return build_design(parse_formula(text), data, **options)  # type: ignore[arg-type]


def test_sleepstudy(sleepstudy: pd.DataFrame) -> None:
    built = design("Reaction ~ Days + (Days | Subject)", sleepstudy)
    assert built.mu.fixed_effects == ("Intercept", "Days")
    np.testing.assert_array_equal(built.mu.X[:, 1], sleepstudy["Days"])
    (group,) = built.mu.groups
    assert (group.n_levels, group.effects) == (18, ("Intercept", "Days"))
    assert group.index.dtype == np.int32
    np.testing.assert_array_equal(group.levels.labels[group.index], sleepstudy["Subject"])
    np.testing.assert_array_equal(group.Z, built.mu.X)


def test_Z_has_the_columns_of_the_group_term(data: pd.DataFrame) -> None:
    built = design("y ~ x + (x * z | g) + (0 + C(f) | h)", data)
    first, second = built.mu.groups
    assert first.effects == ("Intercept", "x", "z", "x:z")
    np.testing.assert_allclose(first.Z[:, 3], data["x"] * data["z"])
    assert second.effects == ("C(f)[high]", "C(f)[low]", "C(f)[mid]")
    np.testing.assert_array_equal(second.Z[:, 1], data["f"] == "low")


def test_several_terms_on_one_grouping_factor_are_gathered(data: pd.DataFrame) -> None:
    (group,) = design("y ~ x + (1 + x | g) + (0 + z | g)", data).mu.groups
    assert group.effects == ("Intercept", "x", "z")
    assert [(b.start, b.stop, b.structure) for b in group.blocks] == [(0, 2, "us"), (2, 3, "us")]
    assert len(covariance_of(group).free) == 1
    (double,) = design("y ~ x + (x || g)", data).mu.groups
    assert double.effects == ("Intercept", "x")
    assert covariance_of(double).is_diagonal


@pytest.mark.parametrize("kind", ["str", "category", "int", "bool", "float"])
def test_grouping_columns_of_any_kind(data: pd.DataFrame, kind: str) -> None:
    column = {
        "str": data["g"],
        "category": data["g"].astype("category"),
        "int": data["h"],
        "bool": data["flag"],
        "float": data["h"].astype(float),
    }[kind]
    (group,) = design("y ~ 1 + (1 | k)", data.assign(k=column)).mu.groups
    assert group.n_levels == column.nunique()
    wanted = column.astype(int) if kind == "float" else column
    np.testing.assert_array_equal(group.levels.labels[group.index], wanted.astype(str))


def test_levels_of_integers_are_in_numeric_order() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 6], "g": [10, 2, 1, 10, 2, 1]})
    assert list(design("y ~ 1 + (1 | g)", data).mu.groups[0].levels.labels) == ["1", "2", "10"]


def test_categories_keep_their_order_and_lose_the_unused() -> None:
    kind = pd.CategoricalDtype(["z", "a", "m"])
    data = pd.DataFrame({"y": [1.0, 2, 4, 3], "g": pd.Series(list("azaz"), dtype=kind)})
    assert list(design("y ~ 1 + (1 | g)", data).mu.groups[0].levels.labels) == ["z", "a"]
    with pytest.warns(DataWarning, match="`g` has the category without rows, .* out: 'm'"):
        assert design("y ~ g", data).mu.fixed_effects == ("Intercept", "g[T.a]")


def test_nested_codes_that_repeat_across_parents(data: pd.DataFrame) -> None:
    parent, child = design("y ~ 1 + (1 | h / ward)", data).mu.groups
    assert (parent.n_levels, child.n_levels) == (5, 15)
    assert list(child.levels.labels[:4]) == ["1:1", "1:2", "1:3", "2:1"]
    expected = data["h"].astype(str) + ":" + data["ward"].astype(str)
    np.testing.assert_array_equal(child.levels.labels[child.index], expected)


def test_only_observed_combinations_are_levels() -> None:
    data = pd.DataFrame({"y": range(6), "a": list("xxyyzz"), "b": list("pqpprr")})
    (group,) = design("y ~ 1 + (1 | a:b)", data).mu.groups
    assert list(group.levels.labels) == ["x:p", "x:q", "y:p", "z:r"]


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
def test_other_tables_give_the_same_design(data: pd.DataFrame, convert: object) -> None:
    text = "y ~ poly(x, 2) * f + flag + (z | g) + (1 | h:ward)"
    data = data.assign(g=data["g"].astype("category"))
    ours = design(text, data)
    theirs = design(text, convert(data))  # type: ignore[operator]
    assert theirs.mu.fixed_effects == ours.mu.fixed_effects
    np.testing.assert_allclose(theirs.mu.X, ours.mu.X)
    for mine, other in zip(ours.mu.groups, theirs.mu.groups, strict=True):
        np.testing.assert_array_equal(mine.index, other.index)
        np.testing.assert_array_equal(mine.levels.labels, other.levels.labels)
        np.testing.assert_allclose(mine.Z, other.Z)


def test_missing_values_in_polars_and_arrow_keep_integer_levels() -> None:
    frame = pl.DataFrame({"y": [1.0, 2, 3, 4, 5], "g": [1, 1, None, 2, 2]})
    for table in (frame, frame.to_arrow()):
        with pytest.warns(DataWarning, match="1 of 5 rows"):
            built = design("y ~ 1 + (1 | g)", table)
        assert list(built.mu.groups[0].levels.labels) == ["1", "2"]


def test_pandas_extension_types_are_read() -> None:
    data = pd.DataFrame({"y": [1.5, 2, 3, 5], "x": [1, 2, 3, 5], "s": list("aabb")})
    data = data.convert_dtypes()
    built = design("y ~ x + s", data)
    assert built.mu.X.dtype == np.float64
    assert built.mu.fixed_effects == ("Intercept", "x", "s[T.b]")


def test_the_callers_frame_is_untouched(data: pd.DataFrame) -> None:
    data.loc[3, "x"] = np.nan
    before = data.copy()
    with pytest.warns(DataWarning):
        built = design("y ~ scale(x) + f + (x | g)", data)
    built.mu.X[:] = 0
    pd.testing.assert_frame_equal(data, before)


def test_memory_does_not_grow_with_the_number_of_levels() -> None:
    n = 200_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n)})
    peaks = []
    for n_levels in (10, 50_000):
        data["g"] = rng.integers(0, n_levels, n)
        formula = parse_formula("y ~ x + (x | g)")
        tracemalloc.start()
        build_design(formula, data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # An n x (q G) matrix would need 160 GB; what grows is the list of labels.
    assert peaks[1] < peaks[0] + 40e6
    # X with its columns before they are put together, and an index: 7 numbers a row.
    assert peaks[0] < 1.6 * data.memory_usage().sum()


@pytest.mark.filterwarnings("ignore:the grouping factor `g` holds:bayesmix.errors.DataWarning")
@pytest.mark.parametrize(
    "values",
    [
        np.asarray([3, 5, 9]),
        np.asarray([-7, 0, 2]),
        np.asarray([-(2**63), 0, 2**63 - 1]),
        np.asarray([2**64 - 3, 2**64 - 2, 2**64 - 1], dtype=np.uint64),
        np.asarray([3, 100, 255], dtype=np.uint8),
        np.asarray([-128, 3, 127], dtype=np.int8),
        np.asarray([1, 10**12, 10**15]),
        np.asarray([0.0, 2.0, 1e300]),
    ],
)
def test_whole_numbers_of_any_size_name_levels_in_their_order(values: np.ndarray) -> None:
    at = np.tile([2, 0, 1, 1], 10)
    data = pd.DataFrame({"y": np.arange(40.0), "g": values[at]})
    group = design("y ~ 1 + (1 | g)", data).mu.groups[0]
    np.testing.assert_array_equal(group.index, at)
    assert group.index.dtype == np.int32
    assert list(group.levels.labels) == [str(int(value)) for value in values]


# -- rows ---------------------------------------------------------------------


def test_incomplete_rows_are_dropped_with_a_count_by_column(data: pd.DataFrame) -> None:
    data.loc[[1, 2], "x"] = np.nan
    data.loc[[2, 5], "g"] = None
    data["unused"] = np.nan
    with pytest.warns(DataWarning, match=r"3 of 240 rows .*`x` 2, `g` 2"):
        built = design("y ~ x + (1 | g)", data)
    assert built.n_obs == 237
    assert built.n_rows_given == 240
    assert built.rows is not None
    np.testing.assert_array_equal(built.rows[:4], [0, 3, 4, 6])
    np.testing.assert_array_equal(built.response, data["y"].drop([1, 2, 5]))


def test_missing_raise_refuses(data: pd.DataFrame) -> None:
    data.loc[1, "x"] = np.nan
    with pytest.raises(DataError, match="missing value"):
        design("y ~ x", data, missing="raise")
    with pytest.raises(DataError, match="missing='ignore' is not known"):
        design("y ~ x", data, missing="ignore")


def test_a_repeated_index_does_not_matter(data: pd.DataFrame) -> None:
    shuffled = data.set_index(np.zeros(len(data), dtype=int))
    shuffled.iloc[0, shuffled.columns.get_loc("x")] = np.nan
    with pytest.warns(DataWarning):
        assert design("y ~ x + f + (1 | g)", shuffled).n_obs == 239


def test_infinite_values_name_column_and_row(data: pd.DataFrame) -> None:
    labelled = data.set_index("r" + data.index.astype(str))
    labelled.loc["r7", "x"] = np.inf
    with pytest.raises(DataError, match=r"`x` is inf in row r7"):
        design("y ~ x", labelled)
    with pytest.raises(DataError, match=r"by `g` `x` is inf in row r7"):
        design("y ~ 1 + (x | g)", labelled)
    with pytest.raises(DataError, match=r"np.log\(z\)` is nan in row .* more rows"):
        design("y ~ np.log(z)", data)


@pytest.mark.parametrize(
    ("text", "change", "error", "message"),
    [
        ("y ~ x", {"x": None}, DataError, "no row is complete"),
        ("y ~ 1 + (1 | g)", {"g": "a"}, DataError, r"`g` has one level \(a\)"),
        ("y ~ 1 + (1 | g)", {"g": range(240)}, DataError, "a level for each of the 240 rows"),
        ("y ~ 1 + (1 | x)", {}, FormulaError, "`x` is continuous"),
        ("y ~ 1 + (1 | a/b)", {"a/b": 1}, FormulaError, "no column `a`"),
        ("y ~ 1 + (1 | `a/b`)", {"a/b": [1, 2] * 120}, DataError, "has a / in its name"),
        ("y ~ X", {}, FormulaError, r"no column `X`; did you mean `x`\?"),
        ("y ~ ward + hh", {}, FormulaError, r"no column `hh`"),
        ("y ~ x", {"x": [1, "a"] * 120}, DataError, "holds values of kind"),
        ("y ~ scale(x, foo=2)", {}, FormulaError, "foo"),
        ("y ~ C(f, contr.treatment(base='lo'))", {}, FormulaError, "lo"),
        ("y ~ bs(x, df=2)", {}, FormulaError, "df"),
        ("y ~ offset(f)", {}, FormulaError, "not numeric"),
        ("y ~ 1 + (1 | a:b)", {"a": ["p:q", "p"] * 120, "b": ["r", "q:r"] * 120}, DataError,
         "same label"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_end_in_a_named_error(
    data: pd.DataFrame, text: str, change: dict[str, object], error: type[Exception], message: str
) -> None:
    changed = data.assign(**change)
    with pytest.raises(error, match=message):
        design(text, changed)


def test_an_empty_frame_and_what_is_no_table(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no rows"):
        design("y ~ x", data.head(0))
    with pytest.raises(DataError, match="collect"):
        design("y ~ x", pl.from_pandas(data).lazy())
    with pytest.raises(DataError, match=r"read it first: pd.read_csv\('frogs.csv'\)"):
        design("y ~ x", "frogs.csv")
    with pytest.raises(DataError, match="the formula comes first"):
        design("y ~ x", "y ~ x")
    with pytest.raises(DataError, match="ndarray are not a table"):
        design("y ~ x", np.zeros((3, 2)))
    with pytest.raises(DataError, match="2 columns called `x`"):
        design("y ~ x", pd.concat([data, data[["x"]]], axis=1))


def test_unknown_columns_point_into_the_formula(data: pd.DataFrame) -> None:
    text = "y ~ x + np.log(wardd) + (1 | g)"
    with pytest.raises(FormulaError, match="did you mean `ward`") as caught:
        design(text, data)
    assert text[caught.value.start : caught.value.stop] == "wardd"


def test_more_coefficients_than_rows_are_a_warning(rng: np.random.Generator) -> None:
    data = pd.DataFrame(rng.normal(size=(5, 7)), columns=list("yabcdef"))
    with pytest.warns(DataWarning, match="7 fixed effects for 5 rows"):
        built = design("y ~ a + b + c + d + e + f", data)
    assert len(built.mu.fixed_effects) == 7
    assert not built.mu.aliased


def test_more_effects_than_rows_are_a_warning(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"y": rng.normal(size=8), "x": rng.normal(size=8), "g": list("aabbccdd")})
    with pytest.warns(DataWarning, match="4 levels x 2 effects for 8 rows"):
        design("y ~ 1 + (x | g)", data)


# -- rank ---------------------------------------------------------------------


def test_aliased_columns_are_dropped_and_named(data: pd.DataFrame) -> None:
    data["twice"] = 2 * data["x"] + 1
    data["nothing"] = 0.0
    data["seven"] = 7.0
    with pytest.warns(DataWarning, match="twice, nothing, seven"):
        built = design("y ~ x + twice + z + nothing + seven", data)
    assert built.mu.fixed_effects == ("Intercept", "x", "z")
    assert built.mu.aliased == ("twice", "nothing", "seven")
    assert built.mu.terms["twice"] == ()


def test_an_empty_cell_of_an_interaction_is_aliased(data: pd.DataFrame) -> None:
    data["k"] = np.where(data["f"] == "low", "p", "q")
    with pytest.warns(DataWarning, match=r"k\[T.q\]"):
        built = design("y ~ f * k", data)
    assert np.linalg.matrix_rank(built.mu.X) == built.mu.X.shape[1] == 3


def test_a_large_mean_is_not_taken_for_the_constant(rng: np.random.Generator) -> None:
    n = 100
    data = pd.DataFrame({"y": rng.normal(size=n), "year": 1e8 + rng.normal(size=n)})
    data["tiny"] = rng.normal(size=n) * 1e-9
    assert design("y ~ year + tiny", data).mu.aliased == ()
    assert design("y ~ 0 + year + tiny", data).mu.aliased == ()


# -- offset -------------------------------------------------------------------


def test_offsets_add_up(data: pd.DataFrame) -> None:
    built = design("y ~ x + offset(np.log(h)) + offset(z)", data)
    assert built.mu.fixed_effects == ("Intercept", "x")
    np.testing.assert_allclose(built.mu.offset, np.log(data["h"]) + data["z"])
    assert design("y ~ x", data).mu.offset is None


# -- what messy data bring ------------------------------------------------------


def test_columns_called_like_numbers_are_columns(data: pd.DataFrame) -> None:
    wide = data[["y", "x", "z", "g"]].set_axis([0, 1, 2, 3], axis=1)
    built = design("`0` ~ `1` + `2` + (`1` | `3`)", wide)
    assert built.mu.fixed_effects == ("Intercept", "1", "2")
    np.testing.assert_array_equal(built.mu.X[:, 1], data["x"])
    (group,) = built.mu.groups
    assert group.effects == ("Intercept", "1")
    np.testing.assert_array_equal(group.Z[:, 1], data["x"])
    known = list(map(str, wide.columns))
    everything = build_design(parse_formula("`0` ~ . + (1 | `3`)", available=known), wide)
    assert everything.mu.fixed_effects == ("Intercept", "1", "2")


def test_large_whole_numbers_do_not_overflow(data: pd.DataFrame) -> None:
    big = data.assign(p=np.arange(240) * 10**9, q=np.arange(240) * 7919 % 241 * 10**10)
    built = design("y ~ I(p**2) + p:q + np.square(q)", big)
    p, q = big["p"].astype(float), big["q"].astype(float)
    np.testing.assert_allclose(
        built.mu.X[:, 1:], np.stack([p**2, q**2, p * q], axis=1)[:, [0, 1, 2]]
    )


def test_huge_group_numbers_keep_their_labels() -> None:
    codes = np.asarray([2**63 + 5, 2**63 + 6] * 3, dtype=np.uint64)
    data = pd.DataFrame({"y": range(6), "g": codes, "o": [2**70, 2**71] * 3})
    assert list(design("y ~ 1 + (1 | g)", data).mu.groups[0].levels.labels) == [
        str(2**63 + 5), str(2**63 + 6),
    ]  # fmt: skip
    assert set(design("y ~ 1 + (1 | o)", data).mu.groups[0].levels.labels) == {
        str(2**70), str(2**71),
    }  # fmt: skip


def test_categories_from_whole_numbers_have_whole_names(data: pd.DataFrame) -> None:
    assert design("y ~ C(ward)", data).mu.fixed_effects == (
        "Intercept",
        "C(ward)[T.2]",
        "C(ward)[T.3]",
    )


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_extreme_scales_are_not_taken_for_aliased(data: pd.DataFrame, scale: float) -> None:
    x = data["x"].to_numpy()
    X = np.stack([np.ones(len(x)), scale * x, 2 * scale * x], axis=1)
    np.testing.assert_array_equal(aliased_columns(X), [2])


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_columns_beyond_all_sizes_are_refused(data: pd.DataFrame, scale: float) -> None:
    extreme = data.assign(q=data["x"] * scale)
    with pytest.raises(DataError, match=r"the fixed effect `q` is .* in size; rescale it"):
        design("y ~ q + (1 | g)", extreme)
    with pytest.raises(DataError, match=r"the effect by `g` `q` is .* in size; rescale it"):
        design("y ~ x + (0 + q | g)", extreme)
    assert design("y ~ q + (q | g)", data.assign(q=data["x"] * scale**0.4)).n_obs == len(data)


def test_dates_may_group_however_they_are_stored(data: pd.DataFrame) -> None:
    stamps = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["h"], unit="D")
    for column in (stamps, stamps.dt.date):
        (group,) = design("y ~ 1 + (1 | day)", data.assign(day=column)).mu.groups
        assert group.levels.labels[0] == "2020-01-02"
    arrow = pa.Table.from_pandas(data.assign(day=stamps.dt.date))
    assert design("y ~ 1 + (1 | day)", arrow).mu.groups[0].levels.labels[0] == "2020-01-02"


@pytest.mark.parametrize(
    ("text", "change", "error", "message"),
    [
        ("y ~ x + q", {"q": "only"}, FormulaError, "`q` makes no column: a factor needs two"),
        ("y ~ 1 + (1 | k)", {"k": [1.0, np.inf] * 120}, FormulaError, "continuous"),
        ("y ~ 1 + (1 | Residual)", {"Residual": [1, 2] * 120}, DataError, "Residual"),
        ("y ~ broken(x)", {}, FormulaError, "no luck"),
        ("y ~ short(x)", {}, FormulaError, "."),
    ],
)
def test_more_that_does_not_fit(
    data: pd.DataFrame, text: str, change: dict[str, object], error: type[Exception], message: str
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no luck")

    functions = {"broken": broken, "short": lambda x: np.asarray(x)[:3]}
    formula = parse_formula(text, functions=functions)
    with pytest.raises(error, match=message):
        build_design(formula, data.assign(**change), functions=functions)


def test_a_column_that_the_table_hides_is_named(data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match=r"`g`; it is the index: pass data.reset_index\(\)"):
        design("y ~ x + (1 | g)", data.set_index("g"))
    with pytest.raises(FormulaError, match=r"`y`; all there is is 'y;x': .*sep=';'"):
        design("y ~ x", pd.DataFrame({"y;x": ["1;2", "3;4"]}))


def test_tables_with_repeated_columns_or_none(data: pd.DataFrame) -> None:
    twice = pa.table([data["x"], data["x"], data["y"]], names=["x", "x", "y"])
    with pytest.raises(DataError, match="x"):
        design("y ~ x", twice)
    with pytest.raises(DataError, match="do not make a table, each a list with a value per row"):
        design("y ~ x", {"y": [1, 2, 4], "x": {1, 2, 3}})
    with pytest.raises(FormulaError, match="there are none"):
        design("y ~ x", pd.DataFrame(index=range(3)))


def test_warnings_point_at_the_callers_line(data: pd.DataFrame) -> None:
    data.loc[1, "x"] = np.nan
    with pytest.warns(DataWarning) as caught:
        design("y ~ x", data)
    assert caught[0].filename == __file__


def test_categories_without_rows_are_named_once() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=60), "g": list("stuvw") * 12})
    ordered = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)
    data["r"] = pd.Series(rng.choice(["low", "high"], 60)).astype(ordered)
    data["f"] = pd.Categorical(rng.choice(["a", "c"], 60), categories=["a", "b", "c"])
    data["h"] = pd.Categorical(data["g"], categories=list("stuvwz"))
    with pytest.warns(
        DataWarning, match="`r` has the category without rows, .* out: 'mid'"
    ) as said:
        model = bmx.Model("r ~ x + (1 | h)", data, family="cumulative")
    assert len(said) == 1  # a group without rows is no category that is left out
    assert model.family.categories(model.design.response) == ("low", "high")
    with pytest.warns(DataWarning, match="column `f` has the category without rows"):
        whole = bmx.Model("x ~ f + (1 | g)", data)
    # A refit keeps the levels of the whole data, and has nothing to say of its rows.
    whole.update(data=data[data["x"] > 0])
