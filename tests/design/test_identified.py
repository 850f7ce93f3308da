"""Effects whose variance no data can tell from another's are refused, all others pass."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design import build_design
from bayesmix.design import identified as module
from bayesmix.errors import BayesmixWarning, DataError, DataWarning, FormulaError
from bayesmix.formula import parse_formula


@pytest.fixture
def table(rng: np.random.Generator) -> pd.DataFrame:
    n = 240
    g = rng.integers(0, 12, n)
    f = rng.integers(0, 3, n)
    x, u = rng.normal(size=(2, n))
    return pd.DataFrame(
        {
            "y": rng.normal(size=n) + f, "g": g, "g2": [f"L{v}" for v in 5 * g % 12], "x": x,
            "u": u, "f": np.array(list("abc"))[f], "h": rng.integers(0, 4, n), "zero": 0.0,
            "one": 1, "same": -2.5e8 * x, "sum": x + 1e-6 * u, "far": x + 1e6,
        }
    )  # fmt: skip


def build(text: str, data: pd.DataFrame) -> None:
    build_design(parse_formula(text), data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ x + (zero | g)", r"`zero` by `g` is zero in every row"),
        ("y ~ x + (1 | g) + (0 + zero | g)", r"`zero` by `g` is zero in every row"),
        ("y ~ x + (0 + zero | g)", r"`zero` by `g` is zero in every row"),
        ("y ~ x + (one | g)", r"`one` by `g` cannot be told from `Intercept`"),
        ("y ~ x + (x + same | g)", r"`same` by `g` cannot be told from `x`"),
        ("y ~ x + (x + u + sum | g)", r"`sum` by `g` cannot be told from `x`, `u`"),
        ("y ~ x + (x + far | g)", r"`far` by `g` cannot be told from `Intercept`, `x`"),
        ("y ~ x + (x || g) + (0 + same | g)", r"`same` by `g` cannot be told from `x`"),
        ("y ~ x + (1 | g) + (0 + C(f) | g)", r"`C\(f\)\[c\]` by `g` cannot be told from"),
        ("y ~ x + (1 | g) + (1 | g2)", r"`g` and `g2` put the same rows together"),
        ("y ~ x + (x | g2) + (u | g)", r"`g2` and `g` put the same rows.* `Intercept` by"),
        ("y ~ x + (x | g) + (0 + same | g2)", r"`g` and `g2` put the same rows.*`same`"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(table: pd.DataFrame, text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        build(text, table)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + (x + u | g)",
        "y ~ x + (x + u + far || g)",
        "y ~ x + (far | g)",
        "y ~ x + (C(f) | g)",
        "y ~ x + (0 + C(f) | g)",
        "y ~ x + (1 | g) + (0 + C(f) || g)",  # what levels share, and a variance of each
        "y ~ x + (1 | g) + (0 + x | g2)",
        "y ~ x + (1 | g) + (1 | h) + (1 | g:h)",
        "y ~ f + h + (1 | f:h)",
        "y ~ C(f) + x + (1 | g)",
        "y ~ f * x + (1 | g)",
        "y ~ f + (0 + x | f)",
    ],
)
def test_what_can_be_told_apart_passes(table: pd.DataFrame, text: str) -> None:
    build(text, table)


def test_the_place_is_shown(table: pd.DataFrame) -> None:
    text = "y ~ x + (1 | g) + (0 + zero | g) + (1 | h)"
    with pytest.raises(FormulaError) as caught:
        build(text, table)
    assert caught.value.start == text.index("g) + (1 | h)")


@pytest.mark.parametrize(
    ("text", "effect", "factor"),
    [
        ("y ~ f + (1 | f)", "Intercept", "f"),
        ("y ~ x + 0 + C(f) + (1 | f)", "Intercept", "f"),
        ("y ~ C(h) * f + (1 | f:h)", "Intercept", "f:h"),
        ("y ~ f:x + (0 + x | f)", "x", "f"),
    ],
)
def test_levels_that_are_fixed_effects_too_are_told(
    table: pd.DataFrame, text: str, effect: str, factor: str
) -> None:
    with pytest.warns(DataWarning, match=f"hold the effect `{effect}` of each level of `{factor}`"):
        build(text, table)


def test_it_is_asked_of_all_rows_before_it_is_told(table: pd.DataFrame) -> None:
    """A column that follows the levels in all rows but one is no copy of them."""
    n = 100_000
    f = np.arange(n) % 3
    data = pd.DataFrame({"y": np.arange(n) / n, "f": f, "a": f == 1, "b": f == 2})
    with pytest.warns(DataWarning, match="of each level of `f`"):
        build("y ~ a + b + (1 | f)", data)
    data.loc[n - 1, "a"] = not data.loc[n - 1, "a"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build("y ~ a + b + (1 | f)", data)


def test_many_effects_are_compared_within_their_block(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1)
    with pytest.raises(FormulaError, match="`same` by `g` cannot be told from `x`"):
        build("y ~ x + (x + same | g)", table)
    build("y ~ x + (1 | g) + (0 + C(f) || g)", table)


def test_few_rows_leave_it_to_the_priors() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 3.0], "u": [1.0, 2.0, 7.0],
                         "g": [1, 2, 2]})  # fmt: skip
    with pytest.warns(DataWarning, match="without the priors"):
        build("y ~ 1 + (x + u | g)", data)


def test_a_fold_that_leaves_a_column_of_zeros_is_named(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(8), 6)
    late = (g == 7) * np.tile([0.0, 1.0], 24)
    data = pd.DataFrame({"y": rng.normal(size=48), "g": g, "late": late})
    model = bmx.Model("y ~ 1 + (1 | g) + (0 + late | g)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        post = model.fit(draws=30, tune=50, chains=1, seed=1, progress=False)
    with pytest.raises(DataError, match=r"without fold \d of 8: the effect `late`.*only that fold"):
        post.kfold(k=8, by="g")
