"""``gr(...)`` and ``mm(...)`` behind a bar."""

from __future__ import annotations

import pytest

from bayesmix.errors import FormulaError
from bayesmix.formula import parse_formula
from bayesmix.formula.update import updated_formula


@pytest.mark.parametrize(
    ("text", "written", "name"),
    [
        ("y ~ (1 | gr(g, cov=A))", "(1 | gr(g, cov=A))", "g"),
        ("y ~ (x | gr(g,precision = Q))", "(1 + x | gr(g, precision=Q))", "g"),
        ("y ~ (x || gr(`my g`, by=f))", "(1 + x || gr(my g, by=f))", "my g"),
        ('y ~ (1 | gr(g, dist="student"))', '(1 | gr(g, dist="student"))', "g"),
        ("y ~ (1 | gr(g))", "(1 | g)", "g"),
        ("y ~ (1 | gr(g, dist='gaussian'))", "(1 | g)", "g"),
        ("y ~ (1 | mm(a, b))", "(1 | mm(a, b))", "mm(a, b)"),
        (
            "y ~ (1 | mm(a, b, weights=cbind(v, w), scale=FALSE))",
            "(1 | mm(a, b, weights=[v, w], scale=False))",
            "mm(a, b)",
        ),
    ],
)
def test_what_stands_behind_the_bar(text: str, written: str, name: str) -> None:
    (group,) = parse_formula(text).groups
    assert str(group) == written
    assert group.name == name
    assert str(parse_formula(f"y ~ {written.replace('my g', '`my g`')}").groups[0]) == written


def test_columns_have_their_roles() -> None:
    formula = parse_formula("y ~ x + (1 | gr(g, by=f)) + (1 | mm(a, b, weights=[v, w]))")
    assert formula.columns_of("group") == ("g", "a", "b")
    assert formula.columns_of("effect") == ("f", "v", "w")
    assert "A" not in parse_formula("y ~ (1 | gr(g, cov=A))").columns


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("y ~ (1 | gr(g, cov=A) / h)", "stands alone behind the bar"),
        ("y ~ (1 | h:gr(g, cov=A))", "stands alone behind the bar"),
        ("y ~ (1 | gr(g, h))", "gr(...) takes one column, not 2"),
        ("y ~ (1 | gr(g:h, cov=A))", "this is not readable"),
        ("y ~ (1 | gr(g / h, cov=A))", "gr(...) takes columns, not `g / h`"),
        ("y ~ (1 | gr(g, vcov=A))", "no argument vcov; did you mean `cov`"),
        ("y ~ (1 | gr(g, cor=False))", "for uncorrelated effects write (x || gr(g))"),
        ("y ~ (1 | gr(g, cov=A + 1))", 'cov= takes a name of matrices={"A": ...}, not `A + 1`'),
        ("y ~ (1 | gr(g, cov=A, precision=Q))", "not both"),
        ("y ~ (1 | gr(g, cov=A, by=f))", "cov= and by= together are not available"),
        ("y ~ (1 | gr(g, by=g))", "by=g is the grouping factor itself"),
        ('y ~ (1 | gr(g, dist="cauchy"))', "dist='cauchy' is not available"),
        ("y ~ (1 | mm(a))", "mm(...) takes a column for each membership"),
        ("y ~ (1 | mm(a, a))", "has the column `a` twice"),
        ("y ~ (1 | mm(a, b, weights=w))", "weights= takes a list of 2 columns"),
        ("y ~ (1 | mm(a, b, scale=False))", "scale=False belongs to weights="),
        ("y ~ (1 | mm(a, b, weights=[v, w], scale=2))", "scale= takes True or False, not `2`"),
        ("y ~ (1 | g) + (1 | gr(g, cov=A))", "`g` is grouped by in two ways, g and gr(g, cov=A)"),
        ("y ~ (1 | gr(g, cov=A)) + (1 | gr(g, cov=A))", "is written twice"),
        ("y ~ (1 + x | gr(g, cov=A)) + (0 + x | gr(g, cov=A))", "in two terms"),
    ],
)
def test_what_cannot_stand_there_is_said(text: str, reason: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert reason in str(caught.value)


def test_formulas_with_them_are_updated() -> None:
    old = "y ~ x + (1 | gr(g, cov=A)) + (1 | h)"
    assert updated_formula(old, ". ~ . - (1|gr(g,cov=A))") == "y ~ x + (1 | h)"
    assert updated_formula("y ~ x", ". ~ . + (1 | gr(g, cov=A))").endswith("(1 | gr(g, cov=A))")
