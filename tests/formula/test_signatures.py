"""Calls of a formula's functions that do not fit are refused by what is written."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from formulaic.transforms import TRANSFORMS

import bayesmix as bmx
from bayesmix.errors import FormulaError
from bayesmix.formula.signatures import CODINGS, SIGNATURES, Signature

_NOT_OURS = {"hash_func", "_state", "_context", "_metadata", "_spec"}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {"y": rng.normal(size=24), "x": rng.normal(size=24), "z": rng.uniform(1, 3, 24)}
    return pd.DataFrame({**columns, "f": list("abcd") * 6})


def arguments(signature: Signature) -> list[str]:
    return [*signature.by_place, *signature.by_name]


def test_the_signatures_are_formulaics() -> None:
    for name, signature in SIGNATURES.items():
        names = [p for p in inspect.signature(TRANSFORMS[name]).parameters if p not in _NOT_OURS]
        assert arguments(signature) == names[1:], name
    for name, signature in CODINGS.items():
        coding = getattr(TRANSFORMS["contr"], name.removeprefix("contr."))
        assert arguments(signature) == list(inspect.signature(coding).parameters), name


@pytest.mark.parametrize(
    ("call", "said"),
    [
        # too many, unknown, twice, too few
        ("center(x, 3)", "center with 2 arguments by place"),
        ("I(x, z)", "I with 2 arguments by place"),
        ("scale(x, sclae=True)", "did you mean `scale`"),
        ("poly(x, 2, degree=3)", "`degree` of poly twice"),
        ("bs(x, df=4, intercept=True)", "did you mean `include_intercept`"),
        ("cr(x, k=5)", "write df="),
        ("cc(x)", "df=... or knots=... is missing"),
        ("hashed(f)", "hashed without levels"),
        ("C(f, ref='a')", r"contr\.treatment\(base="),
        ("C(f, contr.sum, contr.sum)", "C with 3 arguments by place"),
        ("C(f, contr.sum('a'))", "contr.sum with 1 argument by place"),
        ("C(f, contr.helmert(rev=True))", "did you mean `reverse`"),
        # of a wrong type
        ("scale(x, 'a')", "center is 'a'"),
        ("scale(x, ddof=-1)", "ddof is -1"),
        ("scale(x, ddof=24)", "ddof is 24, and there are 24 rows"),
        ("standardize(x, rescale='no')", "rescale is 'no'"),
        ("poly(x, 2, raw='no')", "raw is 'no'"),
        ("bs(x, df=0)", "df is 0; it must be 3 or more"),
        ("bs(x, df=4, degree=5)", "df is 4; it must be 5 or more"),
        ("bs(x, df=4, lower_bound=[1])", r"lower_bound is \[1\]"),
        ("bs(x, lower_bound=5)", "lower bound, 5, is above"),
        ("bs(x, knots=[100])", "knot 100 is outside the range"),
        ("bs(x, knots=z)", "knots must be written out"),
        ("bs(x, df=4, extrapolation='clop')", "did you mean 'clip'"),
        ("bs(x, df=5, knots=[0])", "exclude each other"),
        ("cr(x, df=2)", "df is 2; it must be 3 or more"),
        ("cr(x, knots=[])", "knots is empty"),
        ("cc(x, df=1)", "df is 1; it must be 2 or more"),
        ("cr(x, 4, None, None, None, 'foo')", "constraints is 'foo'"),
        ("C(f, levels='abcd')", "levels is 'abcd'"),
        ("C(f, levels=['a', 'a', 'b', 'c', 'd'])", "levels has 'a' twice"),
        ("C(f, contr.treatment('zz'))", "base 'zz' is none of the levels, 'a', 'b', 'c', 'd'"),
        ("C(f, contr.helmert('a'))", "reverse is 'a'"),
        ("C(f, contr.poly([1, 2]))", "2 scores are given for 4 levels"),
        ("C(f, contr.poly([1, 1, 2, 3]))", "scores must differ"),
        ("C(f, {'s': [1, 2]})", "2 numbers for 4 levels"),
        ("C(f, {'s': ['a', 1, 2, 3]})", "contrasts must be numbers"),
        ("C(f, [1, 2, 3, 4])", "a number for each level"),
        ("hashed(f, 3, contr.treatment('a'))", "none of the levels, 0, 1, 2"),
        ("hashed(f, 3, 'a')", "hashed"),
        # row-wise functions and comparisons
        ("np.where(x > 0, f, 'b')", "np.where takes numbers, not 'b'"),
        ("np.where(x > 0, f, f)", "np.where takes numbers"),
        ("np.where(f, 1, 0)", "condition of np.where is text"),
        ("np.power(x, 'a')", "takes numbers, not 'a'"),
        ("np.log(3)", "one number and no column"),
        ("{x == None}", "a comparison with None"),
        # R's operators
        ("f %/% x", "`%/%` is no operator of a formula; for a whole quotient write {x // z}"),
        ("{x %/% 2}", "x // z"),
        ("f %*% x", r"`%\*%` is no operator"),
        ("(x %|% f)", r"`%\|%` is no operator"),
        ("f %IN% x", "nesting is written f %in% g"),
        ("(1 | f %/% x)", "`%/%` is no operator"),
    ],
)
def test_what_does_not_fit_is_named(call: str, said: str, data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match=said) as caught:
        bmx.Model(f"y ~ {call}", data)
    assert "Unable to evaluate" not in str(caught.value) or "np.where" in call


def test_knots_may_stand_in_any_order(data: pd.DataFrame) -> None:
    inside = bmx.Model("y ~ bs(x, knots=[0.1, 0.5])", data).design.mu.X
    np.testing.assert_array_equal(
        bmx.Model("y ~ bs(x, knots=[0.5, 0.1])", data).design.mu.X, inside
    )
    one = bmx.Model("y ~ bs(x, knots=[0.1])", data).design.mu.X
    np.testing.assert_array_equal(bmx.Model("y ~ bs(x, knots=0.1)", data).design.mu.X, one)


def test_options_may_be_numbers_where_r_has_them(data: pd.DataFrame) -> None:
    X = bmx.Model("y ~ scale(x, 1, 2) + poly(z, 2, 1)", data).design.mu.X
    np.testing.assert_allclose(X[:, 1], (data["x"] - 1) / 2)
    np.testing.assert_allclose(X[:, 3], data["z"] ** 2)


def test_a_function_of_the_callers_own_takes_what_it_likes(data: pd.DataFrame) -> None:
    def center(x: pd.Series, by: float, *, twice: bool) -> pd.Series:
        return (x - by) * (2 if twice else 1)

    model = bmx.Model("y ~ center(x, 3, twice=True)", data, functions={"center": center})
    np.testing.assert_allclose(model.design.mu.X[:, 1], 2 * (data["x"] - 3))
