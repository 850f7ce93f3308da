"""Where the effects of structured terms are: learned, named, refused, built again."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design import Design, build_design, design_rows
from bayesmix.errors import DataError, DataWarning, FormulaError
from bayesmix.formula import parse_formula


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n_g, n_t = 8, 5
    t = np.tile([1, 2, 4, 5, 10], n_g)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n_g * n_t), "g": np.repeat(np.arange(n_g), n_t), "t": t,
            "text": t.astype(str), "word": np.array(list("badce"))[np.tile(range(n_t), n_g)],
            "u": t / 10, "v": rng.choice([0.1, 0.2, 0.7], n_g * n_t), "half": t / 2,
            "one": 3, "truth": t > 2, "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(t, "D"),
        }
    ).assign(ordered=lambda d: pd.Categorical(d["word"], list("edcba")))  # fmt: skip


def built(text: str, data: pd.DataFrame) -> Design:
    return build_design(parse_formula(f"y ~ {text}"), data)


def test_positions_are_sorted_and_distinct_and_name_the_effects(table: pd.DataFrame) -> None:
    shuffled = table.sample(frac=1, random_state=1)
    (group,) = built("ar1(t | g)", shuffled).mu.groups
    (block,) = group.blocks
    assert block.positions is not None
    np.testing.assert_array_equal(block.positions, [[1], [2], [4], [5], [10]])
    assert group.effects[::4] == ("ar1(t)[1]", "ar1(t)[10]")
    np.testing.assert_array_equal(group.Z.sum(axis=1), 1)
    where = block.positions[group.Z.argmax(axis=1), 0]
    np.testing.assert_array_equal(where, shuffled["t"])


@pytest.mark.parametrize("left", ["t", "0 + C(t)", "C(t)", "text", "0 + text", "C(text)"])
def test_a_factor_of_whole_numbers_is_these_numbers(table: pd.DataFrame, left: str) -> None:
    (group,) = built(f"ar1({left} | g)", table).mu.groups
    (want,) = built("ar1(t | g)", table).mu.groups
    np.testing.assert_array_equal(group.blocks[0].positions, want.blocks[0].positions)
    np.testing.assert_array_equal(group.Z, want.Z)


def test_text_whose_numbers_the_alphabet_disorders_is_warned_of(table: pd.DataFrame) -> None:
    table["week"] = [f"w{t}" for t in table["t"]]  # w1, w10, w2, w4, w5
    with pytest.warns(DataWarning, match=r"w1, w10, w2, w4, .* and not .* w1, w2, w4, w5, "):
        built("ar1(week | g)", table)
    ordered = pd.Categorical(table["week"], ["w1", "w2", "w4", "w5", "w10"], ordered=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built("cs(week | g)", table)  # without an order
        (group,) = built("ar1(week | g)", table.assign(week=ordered)).mu.groups
    assert group.effects[-1] == "ar1(week)[w10]"


def test_whole_numbers_far_apart_stay_apart(table: pd.DataFrame) -> None:
    """However long the span, 1 and 2 are two times; of places, what is near is one."""
    far = table.assign(t=table["t"].replace(10, 10**12))
    (group,) = built("ar1(t | g)", far).mu.groups
    assert group.effects == tuple(f"ar1(t)[{t}]" for t in ("1", "2", "4", "5", "1e+12"))
    np.testing.assert_array_equal(group.Z.sum(axis=0), 8)
    with pytest.raises(DataError, match="rescale"):
        design_rows(built("ar1(t | g)", table), {"g": [1], "t": [1e300]})


def test_positions_of_another_factor_are_its_levels_in_order(table: pd.DataFrame) -> None:
    (group,) = built("ar1(ordered | g)", table).mu.groups
    assert group.effects == tuple(f"ar1(ordered)[{level}]" for level in "edcba")
    np.testing.assert_array_equal(group.blocks[0].positions, np.arange(1.0, 6.0)[:, None])


def test_places_have_several_coordinates(table: pd.DataFrame) -> None:
    (group,) = built("exp(u + v | 1)", table).mu.groups
    (block,) = group.blocks
    places = table[["u", "v"]].drop_duplicates()
    assert block.positions is not None
    assert block.positions.shape == (len(places), 2)
    assert f"exp(u, v)[{places['u'].iloc[0]:g}, {places['v'].iloc[0]:g}]" in group.effects
    assert group.levels.labels.tolist() == ["1"]
    assert len(set(group.effects)) == len(group.effects)


def test_names_of_near_places_differ(table: pd.DataFrame) -> None:
    near = table.assign(u=1 + table["t"] * 1e-8)
    (group,) = built("ou(u | g)", near).mu.groups
    assert len(set(group.effects)) == 5


def test_places_that_differ_by_rounding_are_one(table: pd.DataFrame) -> None:
    noisy = table.assign(u=table["u"] + np.tile([0.0, 1e-16], 20))
    (group,) = built("ou(u | g)", noisy).mu.groups
    assert len(group.effects) == 5
    np.testing.assert_array_equal(group.Z.sum(axis=1), 1)


def test_several_blocks_on_one_factor(table: pd.DataFrame) -> None:
    (group,) = built("(1 | g) + ar1(t | g)", table).mu.groups
    assert [(b.start, b.stop, b.structure) for b in group.blocks] == [(0, 1, "us"), (1, 6, "ar1")]
    assert group.effects[:2] == ("Intercept", "ar1(t)[1]")


@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ar1(half | g)", r"whole numbers, and `half` is 0.5 in row 0: ou\(half \| g\)"),
        ("cs(half | g)", r"whole numbers.*cut `half` into classes"),
        ("ar1(one | g)", r"a single position, 3, .* write \(1 \| g\)"),
        ("ou(word | g)", "holds text such as 'b', and ou needs numbers"),
        ("exp(u + word | g)", "holds text such as 'b', and exp needs numbers"),
        ("ar1(day | g)", r"holds dates, .* ou\(days \| g\)"),
        ("rr(0 + word | g, d=5)", r"rank d=5 .* below its number of effects, 5"),
        ("(1 | g) + homcs(t | g)", r"`homcs\(t\)` by `g` cannot be told from `Intercept`"),
        ("homcs(t | g) + (1 | g)", r"cannot be told from"),
        ("(1 | g) + homtoep(t | g)", r"`homtoep\(t\)` by `g` cannot be told from `Intercept`"),
        ("(t | g) + us(0 + C(t) | g)", "cannot be told from"),
        ("(0 + C(t) | g) + ar1(t | g)", r"`ar1\(t\)` by `g` cannot be told from"),
    ],
)
def test_what_makes_no_positions_is_refused(table: pd.DataFrame, text: str, message: str) -> None:
    twice = pd.concat([table, table], ignore_index=True)
    with pytest.raises(FormulaError, match=message):
        built(text, twice)


@pytest.mark.parametrize(
    "text",
    [
        "(1 | g) + ar1(t | g)",
        "(t | g) + ar1(t | g)",
        "(1 | g) + ou(u | g)",
        "(1 | g) + cs(t | g)",
        "(1 | g) + hetar1(t | g)",
        "(1 | g) + homdiag(0 + C(t) | g)",
        "ar1(t | g) + exp(u + v | 1)",
        "homdiag(0 + word | g)",
        "rr(0 + word | g, d=2)",
        "ar1(truth | g)",
    ],
)
def test_what_can_be_told_apart_passes(table: pd.DataFrame, text: str) -> None:
    twice = pd.concat([table, table], ignore_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(text, twice)


@pytest.mark.parametrize("word", ["ar1", "hetar1", "cs", "toep"])
def test_one_row_for_each_position_is_enough_where_correlations_follow_a_rule(
    table: pd.DataFrame, word: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(f"{word}(t | g)", table)


@pytest.mark.parametrize("text", ["homcs(t | g)", "homtoep(t | g)", "homdiag(0 + C(t) | g)"])
def test_a_part_of_each_row_is_the_residual(table: pd.DataFrame, text: str) -> None:
    with pytest.raises(DataError, match="cannot be told from the residual variance"):
        built(text, table)


def test_missing_and_infinite_positions(table: pd.DataFrame) -> None:
    holes = table.assign(u=table["u"].where(table.index != 3))
    with pytest.warns(DataWarning, match="`u` 1"):
        assert built("ou(u | g)", holes).n_obs == len(table) - 1
    infinite = table.assign(u=table["u"].where(table.index != 3, np.inf))
    with pytest.raises(DataError, match=r"position of ou\(u\), `u` is inf in row 3"):
        built("ou(u | g)", infinite)


def test_too_many_positions_offer_the_residual_structure(table: pd.DataFrame) -> None:
    long = pd.DataFrame({"y": np.arange(402.0) % 7, "g": [0, 1] * 201, "t": np.arange(402) // 2})
    with pytest.raises(FormulaError, match=r"201 positions.*residual ~ ar1\(t \| g\)"):
        built("ar1(t | g)", long)


def test_new_data_have_the_same_columns(table: pd.DataFrame) -> None:
    design = built("ou(scale(u) | g)", table)
    rows = design_rows(design, table.iloc[[7, 2]].drop(columns="y"))
    np.testing.assert_array_equal(rows.Z["g"], design.mu.groups[0].Z[[7, 2]])


def test_a_series_along_the_groups_is_likely_the_other_way_round() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"who": np.repeat(np.arange(30), 4), "when": np.tile(np.arange(4), 30)})
    table["y"] = rng.normal(size=120)
    table = pd.concat([table, table.assign(y=rng.normal(size=120))])
    with pytest.warns(DataWarning, match=r"over when in each who write ar1\(when \| who\)"):
        bmx.Model("y ~ when + ar1(who | when)", table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bmx.Model("y ~ when + ar1(when | who)", table)
        bmx.Model("y ~ 1 + ar1(who | when)", table)


def test_no_residual_beside_a_structure_says_the_formula_that_has_one() -> None:
    walks = np.random.default_rng(1).normal(size=(30, 4)).cumsum(axis=1)
    table = pd.DataFrame({"who": np.repeat(np.arange(30), 4), "when": np.tile(np.arange(4), 30)})
    table["y"] = walks.ravel()
    with pytest.raises(DataError, match=r"`residual ~ toep\(when \| who\)`"):
        bmx.Model("y ~ when + toep(when | who)", table).fit_eb()
