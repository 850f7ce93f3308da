"""Words of R, patsy and brms get what to write instead; formulaic's never come through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import BayesmixError, FormulaError
from bayesmix.formula import parse_formula


def reason(text: str) -> str:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("y ~ as.factor(x)", "write C(x)"),
        ("y ~ log(as.numeric(x))", 'data["x"] = pd.to_numeric(data["x"])'),
        ("as.integer(y) ~ x", 'data["x"] = pd.to_numeric(data["x"])'),
        ("y ~ as.ordered(x)", "contr.poly"),
        ("bf(y ~ x + (1 | g))", 'Model("y ~ x + (x | g)", data)'),
        ("lmer(y ~ x)", 'Model("y ~ x + (x | g)", data)'),
        ("y ~ ifelse(x > 0, 1, 0)", "np.where(x > 0, 1, 0)"),
        ("y ~ cut(x, 3)", "pd.cut"),
        ("y ~ te(x, z)", "t2(x, z) for a surface"),
        ("mvbind(y, z) ~ x", "fit a model to each"),
        ("y | se(s) ~ x", 'known_se="column"'),
        ("y | weights(w) ~ x", 'weights="w"'),
        ("y | x ~ z", "weighted(...)"),
        ("y ~ diag(x || g)", "one bar, diag(... | g)"),
        ("y ~ ar1(0 + factor(t) | g)", "write C(x)"),
        ("y ~ ar1(t)", "stands around a group term: ar1(time | g)"),
        ("y ~ ar(t, gr=g)", "write ar1(time | g)"),
        ("y ~ exp(x + z || g)", "one bar, exp(... | g)"),
        ("y ~ cs(1 + x | g)", "an intercept is no position"),
        ("y ~ I(exp(x | g))", "it is a term by itself"),
        ("y ~ propto(0 + x | g)", "this covariance is not available"),
        ("y ~ gr(g, cov=A)", "gr(...) stands behind a bar: (1 | gr(g, cov=A))"),
        ("y ~ x + mm(g, h)", "mm(...) stands behind a bar: (1 | mm(g, h))"),
        ("y ~ x(1 | g)", "is a + missing before the parenthesis?"),
        ("y ~ (1 | factor(g))", "`g` is enough behind the bar"),
        ("y ~ (1 | C(g))", "`g` is enough behind the bar"),
        ("y ~ (x | a:as.factor(g))", "`g` is enough behind the bar"),
        ("y ~ (1 | interaction(g, h))", "write g:h behind the bar"),
        ("y ~ (1 | cut(x, 3))", "pd.cut"),
        ("y ~ C(x, Sum)", "write C(x, contr.sum)"),
        ("y ~ C(x, Treatment)", "write C(x, contr.treatment)"),
        ('y ~ C(x, Treatment("a"))', "write C(x, contr.treatment(base='a'))"),
        ("y ~ C(x, Treatment(reference='a'))", "write C(x, contr.treatment(base='a'))"),
        ("y ~ C(x, contr.sdif)", "write C(x, contr.diff)"),
        ("y ~ C(x, 'contr.sum')", "write C(x, contr.sum)"),
        ("y ~ C(`my x`, sum)", "contr.sum"),
    ],
)
def test_what_other_packages_call_it_gets_what_it_is_called_here(text: str, way_out: str) -> None:
    message = reason(text)
    assert way_out in message
    assert "known are" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y ~ x +", "a term is missing beside `+`"),
        ("y ~ (x + ) + z", "a term is missing beside `+`"),
        ("y ~ x:", "a term is missing beside `:`"),
        ("y ~ * x", "a term is missing between the tilde and `*`"),
        ("y + ~ x", "a term is missing between the tilde and `+`"),
        ("y ~ (1 + | g)", "a term is missing beside the bar"),
        ("y ~ x + ()", "nothing stands between these parentheses"),
        ("y ~ ()", "nothing stands between these parentheses"),
        ("y ~ (1 | g]", "`(` is closed by `]`"),
        ("score>0 ~ x", "write {score>0} ~ ..."),
        ("score != 0 ~ x", "write {score != 0} ~ ..."),
        ("y ~ x == 0", "as in {x > 0}"),
        ("y ~ [Days|Subject]", "group terms stand in round parentheses: (x | g)"),
        ("y ~ x // 2", "for arithmetic write {x // z}"),
        ("y ~ x % 2", "for arithmetic write {x % z}"),
        ("y ~ f %%in%% x", "`%%in%%` is no operator of a formula; nesting is written f %in% g"),
        ("y ~ f %% x", "`%%` is no operator of a formula; for arithmetic write {x % z}"),
        ("y ~ f %o% x", "`%o%` is no operator of a formula"),
        ("y ~ x & z", "for arithmetic write {x & z}"),
        ("y ~ x, z", "terms are joined by +"),
        ("y ~ x ? z", "`?` is no operator"),
        ("!y ~ x", "`!` is no operator of a formula; write {x == 0}"),
        ("y ~ !x", "`!` is no operator of a formula; write {x == 0}"),
        ("y ~ I(!x)", "`!` is no operator of a formula: I(!x); write ~x for a boolean x"),
        ("event(y, !x) ~ 1", "`!` is no operator of a formula: event(y, !x); write ~x"),
        ("y ~ $x", "`$` is no operator"),
        ("y ~ log(x", "the formula ends where a ) is missing"),
        ("y ~ exp(x) * 2", "for arithmetic write {2 * x}"),
        # What formulaic takes for x with half the slope, and for x + z + x:z.
        ("y ~ 2:x", "numbers other than 0 and 1 are no terms"),
        ("y ~ (x + z)/2", "for arithmetic write {2 * x} or {x / 2}"),
        ("y ~ x/10", "for arithmetic write {2 * x} or {x / 2}"),
        ("y ~ z + (x/2 | g)", "for arithmetic write {2 * x} or {x / 2}"),
        ("y ~ x + 1..2", "numbers other than 0 and 1 are no terms"),
        ("y ~ x**2.5", "must be an integer from 1 to 10"),
        ("y ~ `` + x", "no name stands between these backquotes"),
        ("y ~ x + (1 | ``)", "no name stands between these backquotes"),
        ("y ~ (x > 0) + z", "a comparison stands in braces"),
        ("y ~ z + (0 == x):z", "a comparison stands in braces"),
        ("y ~ (x > -1)", "a comparison stands in braces"),
        ("y ~ (x - 1) + z", "an intercept cannot be removed inside parentheses"),
        ("y ~ 'x'", "text in quotes is no term"),
        ("y ~ x ~ z", "one tilde"),
        ("k / n ~ x", "write proportion(k, n) for successes of trials, {k / n} for others"),
        ("k - n ~ x", "for arithmetic write {k - n}"),
        ("-k ~ x", "for arithmetic write {-k}"),
        ("k + k ~ x", "for arithmetic write {k + k}"),
    ],
)
def test_a_slip_is_told_in_our_words(text: str, said: str) -> None:
    message = reason(text)
    assert said in message
    for foreign in (
        "insuffient",
        "Unknown operator",
        "incorrectly",
        "literals",
        "quote context",
        "scaling",
    ):
        assert foreign not in message


@pytest.fixture
def rows(rng: np.random.Generator) -> pd.DataFrame:
    """Successes of five trials, their share, and a rating in whole numbers."""
    hatched = rng.binomial(5, 0.5, size=40)
    return pd.DataFrame(
        {
            "hatched": hatched,
            "eggs": 5,
            "prop": hatched / 5,
            "x": rng.normal(size=40),
            "rating": np.tile([1, 2, 3, 10], 10),
            "flag": np.tile([True, False], 20),
            "word": pd.Categorical(np.tile(["lo", "hi"], 20)),
        }
    )


@pytest.mark.parametrize(
    ("formula", "given", "written"),
    [
        ("{hatched/eggs} ~ x", {}, "proportion(hatched, eggs)"),
        ("{hatched/eggs} ~ x", {"weights": "eggs"}, "proportion(hatched, eggs)"),
        ("prop ~ x", {"weights": "eggs"}, "proportion(np.round(prop * eggs), eggs)"),
    ],
)
@pytest.mark.parametrize("family", ["binomial", "beta_binomial"])
def test_a_share_of_trials_is_written_as_a_proportion_that_works(
    rows: pd.DataFrame, family: str, formula: str, given: dict[str, str], written: str
) -> None:
    with pytest.raises(BayesmixError) as caught:
        bmx.Model(formula, rows, family=family, **given)
    assert f" {written} " in str(caught.value)
    model = bmx.Model(f"{written} ~ x", rows, family=family)
    np.testing.assert_array_equal(model.y, rows["hatched"])


def test_weights_of_other_families_are_an_exponent(rows: pd.DataFrame) -> None:
    for formula, family in (
        ("hatched ~ x", "poisson"),
        ("proportion(hatched, eggs) ~ x", "binomial"),
    ):
        with pytest.raises(BayesmixError, match=r"weighted\(y, w\)"):
            bmx.Model(formula, rows, family=family, weights="eggs")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rating", "holds numbers; "),
        ("flag", "holds truth values; "),
        ("word", "has categories without an order ('hi', 'lo'); "),
    ],
)
def test_an_ordinal_response_is_made_as_the_error_says(
    rows: pd.DataFrame, name: str, said: str
) -> None:
    with pytest.raises(FormulaError) as caught:
        bmx.Model(f"{name} ~ x", rows, family="cumulative")
    assert said in caught.value.reason
    code = caught.value.reason.partition("categorical: ")[2]
    exec(code.replace("[lowest, ..., highest]", "['lo', 'hi']"), {"data": rows, "pd": pd})  # noqa: S102
    model = bmx.Model(f"{name} ~ x", rows, family="cumulative")
    assert model.y.max() == rows[name].nunique()
