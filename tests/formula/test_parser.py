"""The formula language reads what lme4's users write."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataWarning, FormulaError
from bayesmix.formula import Formula, parse_formula
from bayesmix.formula.quoting import decode, encode, encode_quoted


def groups(text: str, **options: object) -> list[str]:
    return [str(term) for term in parse_formula(text, **options).groups]  # type: ignore[arg-type]


def fixed(text: str, **options: object) -> list[str]:
    return [decode(str(term)) for term in parse_formula(text, **options).fixed]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ (1 | g)", ["(1 | g)"]),
        ("y ~ (x | g)", ["(1 + x | g)"]),
        ("y ~ (1 + x | g)", ["(1 + x | g)"]),
        ("y ~ (x + 1 | g)", ["(1 + x | g)"]),
        ("y ~ (0 + x | g)", ["(0 + x | g)"]),
        ("y ~ (-1 + x | g)", ["(0 + x | g)"]),
        ("y ~ (x - 1 | g)", ["(0 + x | g)"]),
        ("y ~ (x + 0 | g)", ["(0 + x | g)"]),
        ("y ~ (x || g)", ["(1 + x || g)"]),
        ("y ~ (0 + x || g)", ["(0 + x || g)"]),
        ("y~(1|a:b)", ["(1 | a:b)"]),
        ("y ~ (1 | a/b)", ["(1 | a)", "(1 | a:b)"]),
        ("y ~ (x | a/b/c)", ["(1 + x | a)", "(1 + x | a:b)", "(1 + x | a:b:c)"]),
        ("y ~ (1 | a) + (1 | b)", ["(1 | a)", "(1 | b)"]),
        ("y ~ (1 | a * b)", ["(1 | a)", "(1 | b)", "(1 | a:b)"]),
        ("y ~ (x1 | a) + (x2 | b)", ["(1 + x1 | a)", "(1 + x2 | b)"]),
        ("y ~ (1 | g) + (0 + x | g)", ["(1 | g)", "(0 + x | g)"]),
        ("y ~ (x * z | g)", ["(1 + x + z + x:z | g)"]),
        ("y ~ (poly(x, 2) | g)", ["(1 + poly(x, 2) | g)"]),
        ("y ~ (0 + C(f) | g)", ["(0 + C(f) | g)"]),
        ("y ~ ((x | g))", ["(1 + x | g)"]),
        ("y ~ ((1 + x) | (a:b))", ["(1 + x | a:b)"]),
        ("y ~ (1 | `my group`)", ["(1 | my group)"]),
        ("y ~ x + (1 | g) - (1 | g)", []),
    ],
)
def test_group_terms_mean_what_lme4_means(text: str, expected: list[str]) -> None:
    assert groups(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ 1", ["1"]),
        ("y ~ x", ["1", "x"]),
        ("y ~ 0 + x", ["x"]),
        ("y ~ x - 1", ["x"]),
        ("y ~ -1 + x + (1 | g)", ["x"]),
        ("y ~ +x", ["1", "x"]),
        ("y ~ -x", ["1"]),
        ("y ~ (1 | g)", ["1"]),
        ("y ~ 0 + (1 | g)", []),
        ("y ~ (1 | g) + x * z", ["1", "x", "z", "x:z"]),
        ("y ~ a:b + a", ["1", "a", "a:b"]),
        ("y ~ a / b", ["1", "a", "a:b"]),
        ("y ~ (a + b + c)**2", ["1", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("y ~ (a + b + c)^3", ["1", "a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]),
        ("y ~ x %in% a", ["1", "x:a"]),
        ("y ~ a + x %in% a", ["1", "a", "x:a"]),
        ("y ~ a * b %in% c", ["1", "a", "b:c", "a:b:c"]),
        ("y ~ a:b %in% c", ["1", "a:b:c"]),
        ("y ~ a %in% b %in% c", ["1", "a:b:c"]),
        ("y ~ (a + b) %in% (c + d)", ["1", "a:c:d", "b:c:d"]),
        ("y ~ bs(x, knots=[-1, 2.5]) + np.log(z)", ["1", "bs(x, knots=[-1, 2.5])", "np.log(z)"]),
    ],
)
def test_fixed_terms_and_the_intercept(text: str, expected: list[str]) -> None:
    assert fixed(text) == expected


def test_an_intercept_in_a_group_term_does_not_touch_the_fixed_part() -> None:
    assert fixed("y ~ 0 + x + (1 | g)") == ["x"]
    assert fixed("y ~ x + (0 + x | g)") == ["1", "x"]


def test_a_formula_may_extend_over_lines() -> None:
    text = """y ~ x
           + (1 | g)
           + (0 + x | g)"""
    assert groups(text) == ["(1 | g)", "(0 + x | g)"]
    assert str(parse_formula(text)) == "y ~ x + (1 | g) + (0 + x | g)"


def test_the_response_may_be_transformed_or_quoted() -> None:
    assert parse_formula("np.log(y) ~ x").response.expr == "np.log(y)"
    assert parse_formula("`my y` ~ x").response.text == "my y"
    assert parse_formula("{y / 2} ~ x").response.expr == "y / 2"


def test_names_may_be_python_s_keywords() -> None:
    formula = parse_formula("yield ~ lambda + (lambda | class)")
    assert formula.response.text == "yield"
    assert set(formula.columns) == {"yield", "lambda", "class"}
    quoted = parse_formula("np.log(`yield`) ~ I(`class` * 2)")
    assert set(quoted.columns) == {"yield", "class"}
    with pytest.raises(FormulaError, match="not a readable expression"):
        parse_formula("np.log(yield) ~ x")


@pytest.mark.parametrize(
    "name",
    ["1", "0", ".", "a b", "yield", "I(x)", "offset(x)", "a:b", "Größe", "__x__", "bmxq_61_q"],
)
def test_any_column_can_be_named_between_backquotes(name: str) -> None:
    assert decode(encode(name)) == name
    formula = parse_formula(f"y ~ `{name}` + I(`{name}` * 2) + (`{name}` | `{name}`)")
    assert formula.columns[name] == ("fixed", "effect", "group")
    assert fixed(f"y ~ `{name}`") == ["1", name]
    assert parse_formula(f"`{name}` ~ x").response.text == name


def test_names_in_expressions_are_those_that_are_written(rng: np.random.Generator) -> None:
    """Python reads a wide x as x, and the micro sign as the Greek letter."""
    wide = "\uff58"
    data = pd.DataFrame({name: rng.normal(size=20) for name in ["x", wide, "µ", "Größe", "x²"]})
    model = bmx.Model(f"I({wide} * 2) ~ I(µ + 1) + np.abs(Größe) + {{x² - x}}", data)
    np.testing.assert_array_equal(model.y, 2 * data[wide])
    wanted = [data["µ"] + 1, abs(data["Größe"]), data["x²"] - data["x"]]
    np.testing.assert_array_equal(model.design.mu.X[:, 1:], np.transpose(wanted))
    assert model.design.mu.fixed_columns.names[1:] == ("I(µ + 1)", "np.abs(Größe)", "x² - x")


def test_backquotes_in_text_are_text() -> None:
    assert encode_quoted("np.where(f == '`a b`', `a b`, 0)") == (
        f"np.where(f == '`a b`',  {encode('a b')} , 0)"
    )


def test_an_interaction_is_the_same_in_either_order() -> None:
    with pytest.raises(FormulaError, match="in two terms"):
        parse_formula("y ~ (x:z | g) + (0 + z:x | g)")
    formula = parse_formula("y ~ (1 | g:h) + (0 + x | h:g)")
    assert formula.grouping_factors == ("g:h",)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ " + " * ".join("abcdefghijklmnop"),
        "y ~ (" + " + ".join("abcdefghijklmnopqrst") + ")**10",
        "y ~ (1 | " + " * ".join("abcdefghijklmnop") + ")",
        "y ~ " + " + ".join(f"x{i}" for i in range(2100)),
    ],
    ids=["star", "power", "group", "plus"],
)
def test_too_many_terms_are_refused_before_they_are_made(text: str) -> None:
    with pytest.raises(FormulaError, match="more than 2000 terms"):
        parse_formula(text)


def test_arithmetic_may_start_with_a_sign() -> None:
    assert fixed("y ~ {-x}") == ["1", "-x"]
    assert groups("y ~ ({-x} | g)") == ["(1 + -x | g)"]


def test_offsets_are_taken_out_of_the_fixed_terms() -> None:
    formula = parse_formula("y ~ x + offset(np.log(e)) + offset(w) + (1 | g)")
    assert [piece.expr for piece in formula.offsets] == ["np.log(e)", "w"]
    assert [str(term) for term in formula.fixed] == ["1", "x"]
    assert formula.columns["e"] == ("offset",)


def test_columns_are_known_with_their_roles() -> None:
    formula = parse_formula("np.log(y) ~ x + C(f) + (x | a/b)")
    assert dict(formula.columns) == {
        "y": ("response",),
        "x": ("fixed", "effect"),
        "f": ("fixed",),
        "a": ("group",),
        "b": ("group",),
    }
    assert formula.grouping_factors == ("a", "a:b")


def test_a_dot_stands_for_the_columns_not_used_otherwise() -> None:
    assert fixed("y ~ . + (1 | g)", available=["y", "x", "g", "z"]) == ["1", "x", "z"]
    with pytest.raises(FormulaError, match="no data here"):
        parse_formula("y ~ .")


def test_a_name_with_a_dot_is_a_column() -> None:
    assert fixed("y ~ Sepal.Length") == ["1", "Sepal.Length"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("y ~ x + x | g", r"outside parentheses", "|"),
        ("y ~ x || g", r"outside parentheses", "||"),
        ("y | x ~ z", r"left-hand side", "|"),
        ("y ~ x + ( | g)", r"nothing stands before the bar", "|"),
        ("y ~ (x | )", r"no grouping factor", "|"),
        ("y ~ (0 | g)", r"nothing varies by this group", "g"),
        ("y ~ ", r"right-hand side is empty", "~"),
        ("~ x", r"left-hand side is empty", "~"),
        ("y ~ x ~ z", r"one tilde", "~"),
        ("y ~ (1 | g) + (1 | g)", r"\(1 \| g\) is written twice", "g"),
        ("y ~ (x | g) + (1 | g)", r"the intercept varies by `g` in two terms", "g"),
        ("y ~ (1 | a/b) + (1 | a)", r"written twice", "a"),
        ("y ~ (x || g) + (0 + x | g)", r"`x` varies by `g` in two terms", "g"),
        ("y ~ (1 | a:b) + (1 | b:a)", r"in two terms", "b:a"),
        ("y ~ x * (1 | g)", r"cannot be multiplied", "g"),
        ("y ~ (1 | id | h | g)", r"two bars", "|"),
        ("y ~ x + (1 / g)", r"nested in the number 1: write \(1 \| g\)", "/"),
        ("y ~ (1 | np.log(g))", r"made of columns", "np.log(g)"),
        ("y ~ (1 | 2)", r"not the literal 2", "2"),
        ("y ~ (1 | a - b)", r"cannot join grouping factors", "-"),
        ("y ~ x + (z", r"never closed", "("),
        ("y ~ x)", r"never opened", ")"),
        ("y1 + y2 ~ x", r"one response", "y1 + y2 "),
        ("1 ~ x", r"the response must be a column", "1"),
        ("y ~ y + x", r"also a predictor", "y"),
        ("y ~ log(y)", r"also a predictor", "y"),
        ("y ~ x + (y | g)", r"also a predictor", "y"),
        ("y ~ Intercept", r"cannot be told from the intercept", "Intercept"),
        ("y ~ x z", r"Missing operator .* between backquotes", "x z"),
        ("y ~ ln(x)", r"write log\(x\)", "ln(x)"),
        ("y ~ pd.cut(x, 3)", r"`.cut` .* as a column of the data first", "pd.cut(x, 3)"),
        ("y ~ (x - 1)", r"inside parentheses", "1"),
        ("y ~ ((0 + x) | g)", r"inside parentheses", "0"),
        ("y ~ offset(x):z", r"stands alone", "offset(x)"),
        ("y ~ log + log(x)", r"called as a function and used as a column", "log"),
        ("y ~ x(1 | g)", r"is a \+ missing", "x(1 | g)"),
        ("y ~ 'text'", r"text in quotes", "'text'"),
    ],
)
def test_errors_say_what_is_wrong_and_point_at_it(text: str, message: str, place: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse_formula(text)
    error = caught.value
    assert error.start is not None
    assert text[error.start : error.stop or error.start + 1] == place
    lines = str(error).splitlines()
    assert lines[-2].strip() == text.strip()
    assert lines[-1].count("^") == len(place)
    assert lines[-1].index("^") == lines[-2].index(text[:4]) + error.start


def test_the_caret_stands_in_the_right_line() -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula("y ~ x\n  + x | g")
    assert str(caught.value).splitlines()[-2:] == ["      + x | g", "          ^"]


@pytest.mark.parametrize("text", ["", "y", "y x", None, 3])
def test_what_is_no_formula_is_refused(text: object) -> None:
    with pytest.raises(FormulaError):
        parse_formula(text)  # type: ignore[arg-type]


def test_a_large_exponent_is_refused_before_it_is_expanded() -> None:
    with pytest.raises(FormulaError, match="from 1 to 10"):
        parse_formula("y ~ (a + b + c + d)**40")


def test_parsing_twice_gives_the_same_formula() -> None:
    text = "y ~ x * z + (x || a/b)"
    first, second = parse_formula(text), parse_formula(text)
    assert isinstance(first, Formula)
    assert [str(t) for t in first.groups] == [str(t) for t in second.groups]


@pytest.mark.parametrize(
    "name", ["", "Unnamed: 0", "Unnamed: 0.1", "...1", "rownames", "__index_level_0__"]
)
def test_row_names_are_no_predictors_of_a_dot(name: str) -> None:
    columns = [name, "y", "x", "g"]
    with pytest.warns(DataWarning, match=f"leaves out `{name}`: row names"):
        formula = parse_formula("y ~ . + (1 | g)", available=columns)
    assert [str(term) for term in formula.fixed] == ["1", "x"]
    assert parse_formula("y ~ x", available=columns).columns_of("fixed") == ("x",)
    if name:
        for text in (f"y ~ `{name}` + x", f"y ~ x + . + `{name}` + (1 | g)"):
            assert set(parse_formula(text, available=columns).columns_of("fixed")) == {name, "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y ~ " + " + ".join(f"(1 | g{i})" for i in range(300)), "300 group terms; 200"),
        ("y ~ (1 | " + " * ".join(f"g{i}" for i in range(9)) + ")", "511 group terms; 200"),
        ("y ~ (" + " * ".join(f"x{i}" for i in range(9)) + " | a / b / c / d)", "2000 terms"),
        ("y ~ " + ":".join(f"x{i}" for i in range(400)), "product of more than 30 columns"),
        ("y ~ " + "/".join(f"x{i}" for i in range(400)), "product of more than 30 columns"),
        ("y ~ .**9", "more than 2000 terms"),
        ("y ~ x**" + "9" * 5000, "must be an integer from 1 to 10"),
        ("y ~ x**1e9", r"`\*\*1e9` must be an integer from 1 to 10"),
        ("y ~ " + "x + " * 5000 + "x", "10003 names and signs; 8000"),
        ("y ~ " + "x" * 60_000, "60004 characters; 50000"),
        ("y ~ {" + "x+" * 20_000 + "x}", "is not a readable expression"),
        ("y ~ " + " + ".join(f"offset(x{i})" for i in range(200)), "200 offsets"),
        ("y ~ (x | g)**2", "group terms are joined by"),
        ("y ~ I(bmxq_ff_q)", "`bmxq_ff_q` is a name of the form that bayesmix makes"),
        ("y ~ C(x, levels=['bmxq_78_q'])", "`bmxq_78_q` is a name of the form"),
        ("y ~ `\ud800`", "lone surrogate, U.D800, at position 5"),
        ("y ~ I(x + '\udfff')", "lone surrogate"),
        ("y ~ x\0", "NUL at position 5"),
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_explodes_or_cannot_be_written_ends_at_once(text: str, said: str) -> None:
    start = time.process_time()
    with pytest.raises(FormulaError, match=said):
        parse_formula(text, available=["y", *(f"z{i}" for i in range(20))])
    assert time.process_time() - start < 30


def test_long_sums_are_read_in_no_time() -> None:
    names = [f"column_{i}" for i in range(1900)]
    start = time.process_time()
    formula = parse_formula("y ~ " + " + ".join(names))
    assert time.process_time() - start < 60
    assert [str(term) for term in formula.fixed] == ["1", *names]
    start, stop = formula.places["column_19"]
    assert formula.text[start : stop + 1] == "column_19 "


def test_a_text_is_read_once_and_a_dot_each_time() -> None:
    assert parse_formula("y ~ x + (x | g)") is parse_formula("y ~ x + (x | g)")
    one, other = (parse_formula("y ~ .", available=["y", *names]) for names in ("ab", "cd"))
    assert [str(term) for term in one.fixed] == ["1", "a", "b"]
    assert [str(term) for term in other.fixed] == ["1", "c", "d"]
    functions: dict[str, Any] = {"half": lambda x: x / 2}
    assert parse_formula("y ~ half(x)", functions=functions).fixed
    with pytest.raises(FormulaError, match="half"):
        parse_formula("y ~ half(x)")
