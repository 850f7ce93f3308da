"""The functions of the left-hand side, and what is wrong where."""

from __future__ import annotations

import pytest

from bayesmix.errors import FormulaError
from bayesmix.formula import parse_formula
from bayesmix.formula.response import read_response


def extras(text: str) -> dict[str, str]:
    return {name: piece.text for name, piece in parse_formula(text).extras.items()}


def test_each_function_gives_its_rows() -> None:
    assert extras("y ~ x") == {}
    assert extras("proportion(k, n) ~ x") == {"trials": "n"}
    assert extras("censored(y, s) ~ x") == {"status": "s"}
    assert extras("truncated(y, 0, 10) ~ x") == {"lower": "0", "upper": "10"}
    assert extras("truncated(y, None, top) ~ x") == {"upper": "top"}
    assert extras("truncated(y, upper=top) ~ x") == {"upper": "top"}
    assert extras("truncated(y, -1.5) ~ x") == {"lower": "-1.5"}
    assert extras("weighted(y, w) ~ x") == {"exponent": "w"}
    assert extras("event(t, d == 2) ~ x") == {"event": "d == 2"}


def test_they_nest_around_any_response() -> None:
    formula = parse_formula("weighted(proportion(`my k`, a + b), w / 2) ~ x + (x | g)")
    assert formula.response.text == "my k"
    assert {n: p.text for n, p in formula.extras.items()} == {
        "trials": "a + b", "exponent": "w / 2",
    }  # fmt: skip
    assert set(formula.columns_of("response")) == {"my k", "a", "b", "w"}
    assert parse_formula("weighted(np.log(y), w) ~ x").response.text == "np.log(y)"
    assert set(extras("truncated(censored(y, s), 0) ~ x")) == {"status", "lower"}


def test_a_function_of_the_caller_of_that_name_comes_first() -> None:
    formula = parse_formula("weighted(y, 2) ~ x", functions={"weighted": lambda y, w: y * w})
    assert formula.extras == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proportion(k) ~ x", r"write proportion\(successes, trials\)"),
        ("proportion(k, n, m) ~ x", r"write proportion\(successes, trials\)"),
        ("weighted(y, None) ~ x", r"write weighted\(y, w\)"),
        ("truncated(y) ~ x", "where one of the limits may be None"),
        ("truncated(y, None, None) ~ x", "where one of the limits may be None"),
        ("truncated(y, low=1) ~ x", "no argument `low`"),
        ("weighted(weighted(y, w), w) ~ x", "written twice"),
        ("censored(y, s) + 1 ~ x", "must be one response"),
        ("proportion(k, n.max()) ~ x", "attribute access"),
        ("censored(y, __import__('os')) ~ x", "not allowed"),
        ("y ~ proportion(k, n)", r"proportion\(successes, trials\) is a left-hand side"),
        ("cbind(k) ~ x", "two or more"),
        ("k | trials(n) ~ x", r"write proportion\(successes, trials\)"),
        ("p(k, n) ~ x", r"write proportion\(successes, trials\)"),
        ("Surv(t, d) ~ x", r"write event\(time, status\).*1 or True is an event.*censored"),
        ("t | cens(d) ~ x", r"write censored\(y, status\).*where 1 is an event, write event"),
        ("event(t) ~ x", r"write event\(time, status\)"),
        ("censored(event(t, d), d) ~ x", "write one of them"),
        ("y ~ event(t, d)", r"event\(time, status\) is a left-hand side"),
        ("proportion(k, n) ~ k", "`k` is also a predictor"),
    ],
)
def test_what_cannot_stand_there_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_formula(text)


def test_a_dot_leaves_out_what_the_left_hand_side_names() -> None:
    formula = parse_formula("weighted(y, w) ~ .", available=["y", "w", "x", "z"])
    assert [str(term) for term in formula.fixed] == ["1", "x", "z"]


def test_the_trials_may_be_a_predictor() -> None:
    assert parse_formula("proportion(k, n) ~ n").columns["n"] == ("response", "fixed")


def test_true_is_one_for_every_row() -> None:
    for status, seen in (("True", "1"), ("False", "0")):
        assert read_response(f"event(t, {status})").extras == {"event": seen}
