"""Smooths of a formula are read, not called; what is wrong with one is named."""

from __future__ import annotations

import pytest

from bayesmix.errors import FormulaError
from bayesmix.formula import parse_formula
from bayesmix.formula.update import updated_formula


@pytest.mark.parametrize(
    ("text", "names", "groups"),
    [
        ("y ~ s(x)", ["s(x)"], []),
        ('y ~ z + s(x, k=20, bs="cr") + (1 | g)', ["s(x)"], ["(1 | g)"]),
        ("y ~ s(log(x)) + s(`my x`)", ["s(log(x))", "s(my x)"], []),
        ("y ~ s(x, by=z) + s(x, by=C(f))", ["s(x):z", "s(x):f"], []),
        ('y ~ t2(x, z, k=(5, 6), bs=("cr", "ps"))', ["t2(x, z)"], []),
        ('y ~ s(g, bs="re")', [], ["(1 | g)"]),
        ('y ~ s(x, g, bs="fs", k=5)', ["s(x, g)"], []),
    ],
)
def test_smooths_are_terms_of_their_own(text: str, names: list[str], groups: list[str]) -> None:
    formula = parse_formula(text)
    assert [smooth.name for smooth in formula.smooths] == names
    assert [str(group) for group in formula.groups] == groups


def test_what_stands_in_a_smooth_is_kept() -> None:
    (smooth,) = parse_formula('y ~ s(x, k=-1, bs="ps", m=(2, 1), by=z)').smooths
    assert (smooth.kind, smooth.k, smooth.m, smooth.by) == ("ps", None, [2, 1], "z")
    (smooth,) = parse_formula('y ~ s(x, g, bs="fs", xt="cr")').smooths
    assert (smooth.variables, smooth.group, smooth.options) == (("x",), "g", {"base": "cr"})


def test_columns_have_the_roles_of_their_smooth() -> None:
    formula = parse_formula('y ~ s(x, by=f) + s(z, g, bs="fs")')
    assert formula.columns_of("fixed") == ("x", "f")
    assert formula.columns_of("effect") == ("z",)
    assert formula.columns_of("group") == ("g",)
    dotted = parse_formula("y ~ . + s(x)", available=["y", "x", "z"])
    assert [str(term) for term in dotted.fixed] == ["1", "z"]


def test_functions_of_the_user_come_first() -> None:
    formula = parse_formula("y ~ s(x)", functions={"s": abs})
    assert not formula.smooths
    assert [str(term) for term in formula.fixed] == ["1", "s(x)"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("y ~ s(x):z", "a smooth has no interactions; s(x, by=z)"),
        ("y ~ s(x) * z", "a smooth has no interactions"),
        ("y ~ (s(x) | g)", 's(x, g, bs="fs")'),
        ('y ~ s(x, bs="tq")', "has bs='tq'; there are 'tp', 'cr', 'ps', 're', 'fs'"),
        ('y ~ s(x, bs="cc")', "cyclic smooths are not available"),
        ('y ~ s(x, bss="cr")', "has the argument `bss`; did you mean 'bs'?"),
        ("y ~ s(x, fx=TRUE)", "a curve without a penalty is bs(x, df=...)"),
        ("y ~ s()", "has no variable; write s(x)"),
        ("y ~ s(x, 10)", "options have names, as in s(x, k=10)"),
        ("y ~ t2(x, z, k=c(5, 5))", "write k=(5, 5)"),
        ("y ~ s(x, k=10.5)", "has k=10.5; write a whole number"),
        ("y ~ s(x, k=True)", "has k=True"),
        ("y ~ s(x, x)", "has a variable twice"),
        ("y ~ s(a, b, c, d, e, f, g)", "has 7 variables; 6 are the most"),
        ("y ~ t2(x)", "has one variable; write s(x)"),
        ('y ~ s(x, z, bs="re")', "write (0 + x | z) for slopes"),
        ('y ~ s(g, bs="re", by=z)', 'has by= and bs="re"'),
        ('y ~ s(x, bs="fs")', 's(x, x, bs="fs")'),
        ('y ~ s(x, z, xt="cr")', 'only bs="fs" takes it'),
        ("y ~ s(C(f))", "write by=f for a smooth of each level"),
        ("y ~ s(x, by=C(f, contr.sum))", "by= takes a number or a factor"),
        ('y ~ s(x) + s(x, bs="cr")', "are two smooths s(x)"),
        ("y ~ log(s(x))", "a smooth is a term by itself"),
        ("s(y) ~ x", "a smooth is a term by itself"),
        ("y ~ s(y)", "the response `y` is also a predictor"),
        ("y ~ s(__import__('os'))", "calling `__import__` is not allowed"),
        ("y ~ s(x.real)", "attribute access `.real` is not allowed"),
        ("y ~ s(x, k=[9]*9)", "has k=[9] * 9"),
        ("y ~ s(x, **k)", "has a ** argument"),
    ],
)
def test_what_is_wrong_with_a_smooth_is_named(text: str, reason: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert reason in str(caught.value)


def test_smooths_are_added_and_taken_out() -> None:
    assert updated_formula("y ~ x", ". ~ . + s(z)") == "y ~ x + s(z)"
    assert updated_formula("y ~ x + s(z, k=5)", ". ~ . - s(z,k = 5)") == "y ~ x"
    with pytest.raises(FormulaError, match=r"there are: x, s\(z, k=5\)"):
        updated_formula("y ~ x + s(z, k=5)", ". ~ . - s(z)")
