"""A formula changed by another one says what R's update would."""

from __future__ import annotations

import pytest

from bayesmix.errors import FormulaError
from bayesmix.formula import parse_formula
from bayesmix.formula.update import updated_formula

OLD = "y ~ x * z + np.log(w + 1) + (1 + x | g) + (1 | `the school`)"


@pytest.mark.parametrize(
    ("change", "same_as"),
    [
        (". ~ . + u", OLD + " + u"),
        (". ~ .", OLD),
        (". ~ . + x*z", OLD),
        (". ~ . - x:z", "y ~ x + z + np.log(w + 1) + (x | g) + (1 | `the school`)"),
        (". ~ . - np.log(w+1)", "y ~ x * z + (x | g) + (1 | `the school`)"),
        (". ~ . - (x | g)", "y ~ x * z + np.log(w + 1) + (1 | `the school`)"),
        (". ~ . - (1|`the school`) + (1 | h)", "y ~ x*z + np.log(w + 1) + (x | g) + (1 | h)"),
        (". ~ . - 1", "y ~ 0 + x * z + np.log(w + 1) + (x | g) + (1 | `the school`)"),
        ("log(.) ~ .", OLD.replace("y", "log(y)", 1)),
        ("np.log(. + 0.5) ~ u", "np.log(y + 0.5) ~ u"),
        ("v ~ u + (1 | h)", "v ~ u + (1 | h)"),
        (". ~ -1 + .", "y ~ -1 + x * z + np.log(w + 1) + (x | g) + (1 | `the school`)"),
        (". ~ 1", "y ~ 1"),
        (". ~ . - -u", OLD + " + u"),
    ],
)
def test_updates_parse_to_what_they_say(change: str, same_as: str) -> None:
    found, wanted = parse_formula(updated_formula(OLD, change)), parse_formula(same_as)
    assert found.response.text == wanted.response.text
    assert set(map(str, found.fixed)) == set(map(str, wanted.fixed))
    assert set(map(str, found.groups)) == set(map(str, wanted.groups))


def test_all_terms_taken_out_leave_an_intercept() -> None:
    assert updated_formula("y ~ x", ". ~ . - x") == "y ~ 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (". ~ . - v", "no term v to take out; there are: x, z"),
        (". ~ . - (1 | h)", r"no group term \(1 \| h\).*there are: \(1 \+ x \| g\)"),
        (". + x", "one `~`"),
        ("~ . + x", "two sides"),
        (". ~ . +", "a sign stands without a term"),
        (". ~ .:u", "the dot of `.:u` must stand by itself"),
        (". ~ - .", "take out everything"),
        (3, "not int"),
        (". ~ . + " + " + ".join(f"(1 | g{i})" for i in range(3000)), "3005 terms; 2000"),
        (". ~ . - " + " - ".join(f"v{i}" for i in range(300)), "300 terms are taken out"),
        (". ~ . + " + "v" * 60_000, "characters; 50000 are the most"),
    ],
)
def test_what_is_not_there_cannot_be_taken_out(change: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        updated_formula(OLD, change)


def test_spaces_between_backquotes_tell_columns_apart() -> None:
    assert updated_formula("y ~ `a b` + x", ". ~ . + `ab` + x") == "y ~ `a b` + x + `ab`"
    assert updated_formula("y ~ `a b` + `ab`", ". ~ . - `ab`") == "y ~ `a b`"
