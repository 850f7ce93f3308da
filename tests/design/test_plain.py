"""Columns of numbers are made without formulaic's walk over them, and are the same."""

import numpy as np
import pandas as pd
import pytest

from bayesmix.design import plain
from bayesmix.design.matrices import build_columns
from bayesmix.formula import parse_formula

DATA = pd.DataFrame(
    {
        "x": [0.1, 1 / 3, -2.5, 7.0],
        "z z": [1e9, 2.0, 3.5, -1.0],
        "n": [1, 2, 3, 10],
        "yes": [True, False, True, True],
        "f": pd.Categorical(["a", "b", "a", "c"]),
    }
)


@pytest.mark.parametrize(
    "right", ["x", "x + n", "yes * x", "0 + `z z`", "x:`z z` + n:yes", "1", "n + yes - 1"]
)
def test_terms_of_numbers_have_formulaics_matrix_and_spec(
    right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = parse_formula(f"y ~ {right}").fixed
    quick, values = build_columns(terms, DATA, {})
    assert plain.plain_matrix(terms, DATA) is not None
    monkeypatch.setattr("bayesmix.design.matrices.plain_matrix", lambda *_: None)
    walked, expected = build_columns(terms, DATA, {})
    assert np.array_equal(values, expected)
    assert values.strides == expected.strides
    assert quick.names == walked.names
    assert quick.columns_of_terms() == walked.columns_of_terms()
    assert quick.spec.encoder_state == walked.spec.encoder_state
    assert str(quick.spec.structure) == str(walked.spec.structure)
    new = DATA.iloc[[3, 1]].reset_index(drop=True)
    assert np.array_equal(quick.build(new), walked.build(new))


@pytest.mark.parametrize("right", ["f", "x + f", "I(x**2)", "x:n:yes", "center(x)", "poly(x, 2)"])
def test_what_learns_from_data_is_left_to_formulaic(right: str) -> None:
    assert plain.plain_matrix(parse_formula(f"y ~ {right}").fixed, DATA) is None


def test_an_intercept_of_no_other_rows_is_kept_once() -> None:
    terms = parse_formula("y ~ 1").fixed
    one, other = (build_columns(terms, DATA.iloc[:n], {})[0].spec for n in (2, 4))
    assert one is other
