"""Expressions are arithmetic on numbers: a truth value is 0 or 1, a whole number a double."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayesmix as bmx
from bayesmix.design import build_design, design_rows
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import parse_formula


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Two columns of truth values, p and q, two measurements and a group."""
    rng = np.random.default_rng(3)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "p": rng.uniform(size=n) < 0.5,
            "q": rng.uniform(size=n) < 0.5,
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "g": np.arange(n) % 6,
        }
    )


def as_pandas(data: pd.DataFrame) -> pd.DataFrame:
    return data


KINDS = {
    "numpy": as_pandas,
    "0 and 1": lambda d: d.astype({"p": int, "q": int}),
    "nullable": lambda d: d.astype({"p": "boolean", "q": "boolean"}),
    "object": lambda d: d.astype({"p": object, "q": object}),
    "pandas with arrow": lambda d: d.astype({"p": "bool[pyarrow]", "q": "bool[pyarrow]"}),
    "polars": pl.from_pandas,
    "arrow": lambda d: pa.table(d.to_dict("list")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_truth_values_are_numbers_in_arithmetic(truth: pd.DataFrame, kind: str) -> None:
    p, q = truth["p"].to_numpy(float), truth["q"].to_numpy(float)
    x, z = truth["x"].to_numpy(), truth["z"].to_numpy()
    right = {
        "I(p + q)": p + q,
        "p - q": p - q,
        "I(-p)": -p,
        "I(1 - p)": 1 - p,
        "I(p * q)": p * q,
        "I((p + 1) ** (-1))": 1 / (p + 1),
        "(x > 0) + (z > 0)": (x > 0) * 1.0 + (z > 0),
        "(x > 0) - p": (x > 0) * 1.0 - p,
        "np.add(p, q)": p + q,
        "np.subtract(p, q)": p - q,
        "np.exp(p + 0 * x) - np.exp(p)": np.zeros(len(p)),  # numpy: exp(True) has three digits
        "np.sqrt(p + q)": np.sqrt(p + q),
        "np.where(p, q, 2)": np.where(p == 1, q, 2),
        "center(p + q)": p + q - (p + q).mean(),
        "~p": 1 - p,
        "p & q": p * q,
        "p | (x > 0)": np.maximum(p, x > 0),
        "p == q": (p == q) * 1.0,
    }
    terms = " + ".join(f"offset({expr})" for expr in right)
    built = build_design(parse_formula(f"y ~ x + {terms}"), KINDS[kind](truth))
    rows = design_rows(built, KINDS[kind](truth.drop(columns="y")))
    for piece, columns in zip(built.formula.offsets, built.mu.offset_columns, strict=True):
        np.testing.assert_allclose(
            columns.build(built.frame)[:, 0], right[piece.text], rtol=1e-15, err_msg=piece.text
        )
    np.testing.assert_allclose(built.mu.offset, sum(right.values()), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(rows.offset, built.mu.offset)


def test_truth_values_are_numbers_in_responses_and_group_terms(truth: pd.DataFrame) -> None:
    numbers = truth.astype({"p": float, "q": float})
    for text in ("I(p + q) ~ x", "{p - q} ~ x", "y ~ (0 + I(p + q) | g)", "y ~ p:q + (p || g)"):
        one, other = bmx.Model(text, truth).design, bmx.Model(text, numbers).design
        np.testing.assert_array_equal(one.response, other.response)
        np.testing.assert_array_equal(one.mu.X, other.mu.X)
        for group, same in zip(one.mu.groups, other.mu.groups, strict=True):
            assert group.effects == same.effects
            np.testing.assert_array_equal(group.Z, same.Z)


def test_a_sum_of_truth_values_has_the_slope_of_the_counts() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.uniform(size=(2, 400)) < 0.5
    y = 3.0 * (p * 1 + q * 1) + 0.1 * rng.normal(size=400)
    data = pd.DataFrame({"y": y, "p": p, "q": q, "g": rng.integers(0, 10, 400)})
    eb = bmx.Model("y ~ I(p + q) + (1 | g)", data).fit_eb()
    slope, constant = np.polyfit(p * 1.0 + q * 1.0, y, 1)
    np.testing.assert_allclose(eb.fixed_effects()["estimate"], [constant, slope], atol=0.01)
    assert eb.sigma == pytest.approx(0.1, rel=0.1)


def test_categories_and_names_keep_truth_values(truth: pd.DataFrame) -> None:
    design = bmx.Model("y ~ p + C(q) + C(x > 0)", truth).design
    assert design.mu.fixed_effects == ("Intercept", "p", "C(q)[T.True]", "C(x > 0)[T.True]")
    model = bmx.Model("p ~ x + q", truth, family="bernoulli")
    np.testing.assert_array_equal(model.y, truth["p"])


def test_whole_numbers_that_also_name_groups_do_not_overflow(truth: pd.DataFrame) -> None:
    v = np.arange(60) % 7
    data = truth.assign(k=truth["g"] * 2**40 + 1, u=truth["g"].astype("uint64"), v=v)
    design = bmx.Model("y ~ k:v + I(k**2) + I(u % 2 - 3) + (1 | k:v) + (1 | u)", data).design
    k = data["k"].to_numpy(float)
    np.testing.assert_array_equal(design.mu.X[:, 1], k**2)
    np.testing.assert_array_equal(design.mu.X[:, 2], data["g"] % 2 - 3.0)
    np.testing.assert_array_equal(design.mu.X[:, 3], k * data["v"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y ~ {x & z}", "`x` holds"),
        ("y ~ {~x}", "take truth values, or 0 and 1"),
        ("y ~ {g | p}", "`g` holds 2"),
        ("y ~ {0 < x < 1}", r"write \(0 < x\) & \(x < 3\)"),
        ("y ~ {x > 0 & z > 0}", "each comparison has parentheses"),
        ("y ~ {not p}", "write ~"),
    ],
)
def test_logic_of_numbers_is_refused(truth: pd.DataFrame, text: str, said: str) -> None:
    with pytest.raises(FormulaError, match=said):
        bmx.Model(text, truth)


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("hashed(f, levels=1000 * 1000 * 1000)", "levels is 1000000000; at most 1000"),
        ("hashed(f, levels=1e9)", "levels is 1000000000"),
        ("hashed(f, 40)", "40 rows bear at most 39 columns"),
        ("hashed(f, levels=x)", "must be one whole number, not a column"),
        ("hashed(f, levels=-1)", "levels is -1; it must be 1 or more"),
        ("bs(x, df=5, degree=-1)", "degree is -1; it must be 0 or more"),
        ("hashed(f, levels=2.5)", "one whole number, not 2.5"),
        ("poly(x, 300 * 300)", "degree is 90000"),
        ("poly(x, 0)", "it must be 1 or more"),
        ("poly(h, 3)", "3 distinct values determine polynomials up to degree 2"),
        ("poly(poly(x, 2), 2)", "takes one column"),
        ("bs(x, df=100 * 100 * 100)", "df is 1000000"),
        ("bs(x, degree=1000)", "bear at most 39 columns"),
        ("bs(x, degree=30)", "up to degree 25"),
        (f"bs(x, knots={[k / 100 for k in range(90)]})", "number of knots is 90"),
        ("cr(x, df=10 * 1000)", "df is 10000"),
        ("C(x) * C(z) * C(y2)", "columns for 40 rows, and 2000 are the most"),
        (f"C(f, levels={list(range(1001))})", "1001 levels are listed"),
        ("C(f, {'a': [1, 2], 'b': [2, 1], 'c': [1, 1]})", "more than there are levels"),
        ("poly(x, None)", r"`poly\(x, None\)`: degree must be one whole number, not None"),
        ("poly(x, raw=x)", r"`poly\(x, raw=x\)`: raw must be written out, and is a column"),
        ("bs(x, knots='a')", "knots must be numbers, not 'a'"),
    ],
)
def test_rows_bound_what_transforms_make(term: str, said: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(40, 4)), columns=["y", "x", "z", "y2"])
    data = data.assign(f=np.tile(["a", "b"], 20), h=np.arange(40) % 3)
    with pytest.raises(FormulaError, match=said):
        bmx.Model(f"y ~ {term}", data)


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("C(f, contr.treatment(base=f))", "`contr.treatment(base=f)`: base must be written out"),
        ("C(f, contr.treatment(x))", "`contr.treatment(x)`: argument 1 must be written out"),
        ("C(f, levels=x)", "`C(f, levels=x)`: levels must be written out, and is a column"),
        ("C(f, 3)", "`C(f, 3)`: the coding must be one such as contr.treatment"),
    ],
)
def test_a_column_in_the_place_of_an_option_is_named_and_not_printed(term: str, said: str) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(40, 2)), columns=["y", "x"]).assign(f=["a", "b"] * 20)
    with pytest.raises(FormulaError, match=re.escape(said)) as raised:
        bmx.Model(f"y ~ {term}", data)
    assert len(str(raised.value)) < 120


def test_what_the_rows_bear_is_built_and_met_again() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"y": rng.normal(size=40), "x": rng.normal(size=40), "f": list("abcd") * 10}
    )
    text = "y ~ poly(x, 2 * 2) + hashed(f, levels=1e1) + bs(x, df=3 + 2)"
    with pytest.warns(bmx.errors.DataWarning, match="left out because"):
        design = bmx.Model(text, data).design
    np.testing.assert_allclose(design_rows(design, data.head(2)).X, design.mu.X[:2])
    basis = design.mu.fixed_columns.build(design.frame)[:, 1:5]
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-10)


def test_texts_and_columns_that_no_file_can_take_are_named() -> None:
    data = pd.DataFrame({"y": [1.0, 2, 3, 4], "f": pd.Series(["a\ud800", "b"] * 2, dtype=object)})
    for text in ("y ~ f", "y ~ (1 | f)"):
        with pytest.raises(DataError, match=r"`f` has the value .* a lone surrogate, U\+D800"):
            build_design(parse_formula(text), data)
    with pytest.raises(DataError, match="holds the character NUL at position 1"):
        build_design(parse_formula("y ~ f"), data.assign(f=["a\0b", "c"] * 2))
    with pytest.raises(FormulaError, match="whose name holds a lone surrogate"):
        bmx.Model("y ~ .", data.set_axis(pd.Index(["y", "\ud800"], dtype=object), axis=1))


def test_numbers_of_128_bits_are_read_where_64_suffice() -> None:
    table = pl.DataFrame({"y": [1.0, 2.5, 3.0, 5.0], "k": pl.Series([1, 2, 3, 5], dtype=pl.Int128)})
    np.testing.assert_array_equal(bmx.Model("y ~ k", table).design.mu.X[:, 1], [1, 2, 3, 5])
    with pytest.raises(DataError, match="values beyond 64 bits; cast it"):
        bmx.Model("y ~ k", table.with_columns(k=pl.Series([2**100, 2, 3, 5], dtype=pl.Int128)))


def test_numbers_of_another_byte_order_are_read() -> None:
    """As FITS and SAS files hold them; pandas can neither take nor sort their rows."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"y": rng.normal(size=24), "x": rng.normal(size=24), "g": [1, 2, 3] * 8})
    swapped = table.astype({"y": ">f8", "x": ">f4", "g": ">i4"})
    plain = bmx.Model("y ~ x + (1 | g)", table.astype({"x": "f4"})).fit_eb()
    fit = bmx.Model("y ~ x + (1 | g)", swapped).fit_eb()
    assert fit.loglik == plain.loglik
    pd.testing.assert_frame_equal(fit.predict(swapped), plain.predict())
    assert swapped["x"].dtype == ">f4"


def test_raw_powers_are_called_by_their_degrees(truth: pd.DataFrame) -> None:
    """As orthogonal polynomials are: [1] is the line, and not the square."""
    for text in ("poly(x, 3)", "poly(x, 3, raw=True)"):
        design = build_design(parse_formula(f"y ~ {text}"), truth)
        assert design.mu.fixed_effects[1:] == tuple(f"{text}[{degree}]" for degree in (1, 2, 3))
    np.testing.assert_allclose(design.mu.X[:, 1:], truth[["x"]].to_numpy() ** [1, 2, 3])
