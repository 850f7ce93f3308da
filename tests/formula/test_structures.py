"""Structured group terms: the bar makes a word's call a group term, and nothing else does."""

from __future__ import annotations

import pytest

from bayesmix.errors import FormulaError
from bayesmix.formula import Formula, parse_formula
from bayesmix.formula.update import updated_formula


def read(text: str) -> Formula:
    return parse_formula(f"y ~ {text}")


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("us(x | g)", ["(1 + x | g)"]),
        ("us(0 + x | g)", ["(0 + x | g)"]),
        ("diag(x | g)", ["(1 + x || g)"]),
        ("homdiag(0 + f | g)", ["homdiag(0 + f | g)"]),
        ("ar1(t | g)", ["ar1(t | g)"]),
        ("ar1(0 + C(t) | g)", ["ar1(t | g)"]),
        ("ar1( t|g )", ["ar1(t | g)"]),
        ("exp(x + z | 1)", ["exp(x + z | 1)"]),
        ("toep(t | a/b)", ["toep(t | a)", "toep(t | a:b)"]),
        ("hetar1(t | a:b)", ["hetar1(t | a:b)"]),
        ("rr(0 + f | g, d=2)", ["rr(0 + f | g, d=2)"]),
        ("(1 | g) + ar1(t | g)", ["(1 | g)", "ar1(t | g)"]),
        ("(t | g) + ar1(t | g)", ["(1 + t | g)", "ar1(t | g)"]),
        ("ou(np.log(t) | g)", ["ou(np.log(t) | g)"]),
        ("mat(scale(x) + scale(z) | g)", ["mat(scale(x) + scale(z) | g)"]),
        ("ar1(`odd name` | `its group`)", ["ar1(odd name | its group)"]),
    ],
)
def test_a_word_around_a_bar_is_a_group_term(text: str, groups: list[str]) -> None:
    found = read(text)
    assert [str(term) for term in found.groups] == groups
    assert [str(term) for term in found.fixed] == ["1"]


def test_the_bar_decides_between_a_function_and_a_structure() -> None:
    found = read("exp(x) + cs(z, df=3) + exp(x | g) + cs(t | g)")
    assert [str(term) for term in found.fixed] == ["1", "exp(x)", "cs(z, df=3)"]
    assert [term.structure for term in found.groups] == ["exp", "cs"]


def test_a_function_of_the_caller_hides_the_word() -> None:
    found = parse_formula("y ~ ar1(a | b)", functions={"ar1": abs})
    assert not found.groups
    assert [str(term) for term in found.fixed] == ["1", "ar1(a | b)"]


def test_the_intercept_is_that_of_the_formula_alone() -> None:
    assert [str(term) for term in read("0 + ar1(t | g)").fixed] == []
    (term,) = read("ar1(t | g)").groups
    assert [str(effect) for effect in term.effects] == ["t"]


def test_options_and_one_field() -> None:
    (term,) = read("rr(0 + f | g, d = 3)").groups
    assert dict(term.options) == {"d": 3}
    (field,) = read("exp(x + z | 1)").groups
    assert field.columns == ()
    assert field.name == "1"
    assert "1" not in read("exp(x + z | 1)").columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ar1(a*b | g)", "`a:b` is an interaction and no position"),
        ("ar1(a + b | g)", "`a` and `b` are 2 columns: ar1 takes one column of whole numbers"),
        ("ar1(1 | g)", "an intercept is no position"),
        ("ar1(0 | g)", "nothing stands on the left"),
        ("ar1(| g)", "nothing stands before the bar"),
        ("ar1(t | )", "no grouping factor stands behind the bar"),
        ("ar1(t || g)", r"one bar, ar1\(... \| g\)"),
        ("ar1(t | g, d=2)", "takes nothing behind the grouping factor"),
        ("rr(x | g, k=3)", "takes d= behind"),
        ("rr(x | g, 2)", "takes d= behind"),
        ("rr(x | g, d=0)", "whole number from 1"),
        ("rr(x | g, d=two)", "whole number from 1"),
        ("exp(x, z | g)", "joined by \\+, not by a comma"),
        ("cs(t | 1)", "needs a grouping factor of several levels"),
        ("us(x | 1)", "needs a grouping factor of several levels"),
        ("arr1(t | g)", "did you mean `ar1`"),
        ("matern(x + z | g)", "did you mean `mat`"),
        ("ou(C(t) | g)", "makes categories or several columns"),
        ("ar1(poly(t, 2) | g)", "makes categories or several columns"),
        ("z * ar1(t | g)", "cannot be multiplied"),
        ("ar1(t | g):z", "cannot be multiplied"),
        ("ar1(t | g) + ar1(t | g)", "written twice"),
        ("ar1(t | f(g))", "is made of columns"),
        ("ar1(t | g)(z)", "is not allowed"),
        ("(1 | ar1(t | g))", "cannot join grouping factors"),
        ("ar1(__import__('os').system('ls') | g)", "`__import__` is not allowed"),
        ("ar1(t | g, d=__import__('os'))", "is no option"),
        ("rr(x | g, d=__import__('os'))", "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        read(text)


def test_the_message_points_into_the_formula() -> None:
    with pytest.raises(FormulaError) as caught:
        read("x + ar1(t | no:such(g))")
    assert caught.value.text is not None
    with pytest.raises(FormulaError) as caught:
        read("x + ar1(a:b | g)")
    error = caught.value
    assert error.text is not None
    assert error.text[error.start : error.stop] == "ar1(a:b | g)"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("y ~ x + (1 | g)", "~ . + ar1(t | g)", "y ~ x + (1 | g) + ar1(t | g)"),
        ("y ~ x + ar1(t | g)", "~ . - ar1(0 + C(t)|g)", "y ~ x"),
        ("y ~ x + us(x | g)", "~ . - (x | g)", "y ~ x"),
        ("y ~ exp(x) + exp(x | 1)", "~ . - exp(x | 1)", "y ~ exp(x)"),
        ("y ~ x + rr(0 + f | g, d=2)", "~ . - rr(0+f|g,d=2) + (1|g)", "y ~ x + (1|g)"),
    ],
)
def test_update_adds_and_takes_out(old: str, new: str, wanted: str) -> None:
    assert updated_formula(old, f".{new}") == wanted


def test_update_does_not_take_out_another_structure() -> None:
    with pytest.raises(FormulaError, match="there is no group term"):
        updated_formula("y ~ x + ar1(t | g)", ". ~ . - hetar1(t | g)")
