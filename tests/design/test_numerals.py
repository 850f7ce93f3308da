"""Numbers that came as text are named as such, with the way to read them."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design.numerals import not_numbers
from bayesmix.errors import DataError, DataWarning, FormulaError

READ = r"data\['x'\] = pd.to_numeric\(data\['x'\]"


@pytest.fixture
def text(rng: np.random.Generator) -> pd.DataFrame:
    """A data set whose x is read from a file as text."""
    x = rng.normal(size=60).round(3)
    return pd.DataFrame({"y": rng.normal(size=60), "x": x.astype(str), "g": np.arange(60) % 6})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "2", "3.5"], "it holds numbers as text; write"),
        (["1", "2", "?"], "it holds numbers as text, and '?'; write"),
        (["a", "2"], "it holds '2', 'a'"),
        (["low", "high"], "it holds 'high', 'low'"),
        (["4.5%", "-3 %", "12%"], "it holds numbers with percent signs, such as '-3 %'; write"),
        (["$4.50", "-$3", "$1,200"], "it holds numbers with signs of a currency, such as"),
        (["3 €", "4,5 €"], "it holds numbers with signs of a currency, such as"),
        (["1,250.5", "-2,000", "7.5"], "it holds numbers with commas between thousands, such as"),
        (["837.0", "12.5", "-1,250.5"], "it holds numbers with commas between thousands, such as"),
        (["0,134", "-1,046", "3"], "it holds numbers with decimal commas, such as '-1,046'"),
        (["0,134", "-1,25", "3"], "it holds numbers with decimal commas, such as '-1,25'"),
        (["2020-01-01", "2020-02-01"], "it holds '2020-01-01', '2020-02-01'"),
        (["(0.5, 1.5]", "(1.5, 2.5]"], "it holds '(0.5, 1.5]', '(1.5, 2.5]'"),
    ],
)
def test_text_is_numbers_where_most_of_it_reads_as_numbers(values: list[str], said: str) -> None:
    assert not_numbers(pd.Series(values, name="x", dtype="category")).startswith(said)


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ 1 + (x | g)"])
def test_a_predictor_of_many_numbers_as_text_is_warned_of(text: pd.DataFrame, formula: str) -> None:
    with pytest.warns(DataWarning) as seen:
        bmx.Model(formula, text)
    first = str(seen[0].message)
    assert "`x` is taken as" in first
    assert "data['x'] = pd.to_numeric(data['x'])" in first


@pytest.mark.parametrize("formula", ["y ~ C(x)", "y ~ 1 + (1 | x)"])
def test_categories_that_are_meant_are_not_warned_of(text: pd.DataFrame, formula: str) -> None:
    text["x"] = (text.index % 15).astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bmx.Model(formula, text)
        bmx.Model("y ~ x", text.assign(x=text["x"].astype("category")))
        bmx.Model("y ~ x", text.assign(x=(text.index % 9).astype(str)))  # such as years


@pytest.mark.parametrize("formula", ["x ~ 1", "y ~ offset(x)", "y ~ np.log(x)", "y ~ I(x**2)"])
def test_where_only_numbers_will_do_the_error_says_how_to_read_them(
    text: pd.DataFrame, formula: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(FormulaError, match=READ):
            bmx.Model(formula, text)


def test_a_column_of_both_names_the_text(text: pd.DataFrame) -> None:
    mixed = text.assign(x=[1, "n/a"] * 30)
    with pytest.raises(DataError, match=r"values of kind .*such as 'n/a'; pd.to_numeric"):
        bmx.Model("y ~ x", mixed)


@pytest.mark.parametrize(
    "write",
    ["{:.1f}%", "${:.2f}", "{:.2f} €", "{:,.1f}", "decimal comma"],
    ids=["percent", "dollar", "euro", "thousands", "decimal comma"],
)
def test_numbers_in_the_notation_of_a_spreadsheet_are_warned_of_and_can_be_read(
    text: pd.DataFrame, write: str
) -> None:
    """What the warning says to write reads the numbers."""
    x = (np.arange(60) % 20 + 1) * 137.5
    shown = [
        f"{v:.1f}".replace(".", ",") if write == "decimal comma" else write.format(v) for v in x
    ]
    data = text.assign(x=shown)
    with pytest.warns(DataWarning, match="taken as 20 categories, but it holds numbers with") as w:
        bmx.Model("y ~ x", data)
    advice = re.search(
        r"write data\['x'\] = (pd.to_numeric\(.+, regex=True\)\))", str(w[0].message)
    )
    assert advice is not None
    read = eval(advice[1], {"pd": pd, "data": data})  # noqa: S307
    np.testing.assert_allclose(read, x, atol=0.051)


def test_codes_that_a_double_cannot_hold_are_warned_of() -> None:
    """A missing value makes pandas read whole numbers as doubles, and 2^53 + 1 as 2^53."""
    codes = [2**53 + k for k in range(4)]
    whole = pd.DataFrame({"y": np.sin(np.arange(24.0)), "id": codes * 6})
    merged = whole.astype({"id": float})
    with pytest.warns(DataWarning, match=r"`id` holds 9007199254740996 as a floating-point.*text"):
        model = bmx.Model("y ~ 1 + (1 | id)", merged)
    assert model.design.mu.groups[0].n_levels == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kept in (whole, whole.astype(str).astype({"y": float}), whole.astype({"id": "Int64"})):
            assert bmx.Model("y ~ 1 + (1 | id)", kept).design.mu.groups[0].n_levels == 4
        bmx.Model("y ~ 1 + (1 | id)", merged.assign(id=merged["id"] - 2.0**53))
