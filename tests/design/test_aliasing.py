"""Which rows have an estimate although columns were left out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design import Design, build_design, design_rows
from bayesmix.errors import DataError, DataWarning
from bayesmix.formula import parse_formula


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    n = 120
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n)})
    data["f"] = np.asarray(list("abc"))[np.arange(n) % 3]
    data["h"] = np.asarray(list("pqr"))[(np.arange(n) // 3) % 3]
    data["year"] = 2000 + rng.integers(0, 12, n).astype(float)
    data["x2"], data["later"] = 2 * data["x"], data["year"] - 1990
    data["seven"], data["nothing"] = 7.0, 0.0
    data["total"] = data["x"] + data["year"]
    return data


def quiet_design(text: str, data: pd.DataFrame) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return build_design(parse_formula(text), data)


def unknown(built: Design, new: pd.DataFrame) -> np.ndarray:
    rows = design_rows(built, new)
    return built.mu.aliasing.of_rows(rows.X, rows.left_out).found.any(axis=1)


def distance(built: Design, data: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """The part of each new row from the row space of the full design, by its null space."""
    full = built.mu.fixed_columns.build(data)
    unit = np.abs(full).max(axis=0)
    unit[unit == 0] = 1.0
    _, values, V = np.linalg.svd(full / unit)
    null = V[int((values > 1e-9 * values[0]).sum()) :]
    return np.linalg.norm(built.mu.fixed_columns.build(new) / unit @ null.T, axis=1)


CELLS = ["y ~ f * h", "y ~ 0 + f * h", "y ~ 0 + f + h + f:h"]
OTHERS = [
    "y ~ x + x2",
    "y ~ x2 * f + x",
    "y ~ x + seven + nothing",
    "y ~ 0 + seven + x + x2",
    "y ~ year + later",
    "y ~ 0 + year + later + seven",
    "y ~ x + year + total + f",
    "y ~ poly(x, 2) + I(x**2) + x2",
    "y ~ bs(x, df=4) + x2 + h",
    "y ~ f + f:h + h:x",
]


@pytest.mark.parametrize(
    ("text", "missing"),
    [(text, cell) for text in CELLS for cell in (("c", "r"), ("a", "p"), ("b", "q"))]
    + [(text, ("a", "q")) for text in OTHERS],
)
def test_estimable_rows_are_those_in_the_row_space(
    text: str, missing: tuple[str, str], data: pd.DataFrame, rng: np.random.Generator
) -> None:
    data = data[~((data["f"] == missing[0]) & (data["h"] == missing[1]))].reset_index(drop=True)
    built = quiet_design(text, data)
    assert built.mu.aliased
    assert not unknown(built, data).any()
    # Any combination of the columns' own values, and half of them as they go together.
    new = pd.DataFrame({name: rng.permutation(data[name].to_numpy()) for name in data})
    new.loc[::2, "x2"] = 2 * new["x"]
    new.loc[::4, "later"] = new["year"] - 1990
    new.loc[::5, "total"] = new["x"] + new["year"]
    new.loc[::3, "seven"] = 8.0
    new.loc[::7, "nothing"] = 1.0
    far = distance(built, data, new)
    assert not np.any((far > 1e-9) & (far < 1e-6))
    np.testing.assert_array_equal(unknown(built, new), far > 1e-6)
    assert np.any(far > 1e-6)


@pytest.mark.parametrize("scale", [1e-60, 1e-9, 1.0, 1e9, 1e60])
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e8])
def test_scales_and_far_means_do_not_matter(scale: float, shift: float, data: pd.DataFrame) -> None:
    data["u"] = scale * (data["x"] + shift)
    data["v"] = 3 * data["u"]
    built = quiet_design("y ~ u + v", data)
    assert built.mu.aliased == ("v",)
    assert not unknown(built, data).any()
    beyond = data.assign(u=data["u"] + 100 * scale)
    assert not unknown(built, beyond.assign(v=3 * beyond["u"])).any()
    assert unknown(built, beyond).all()
    assert unknown(built, data.assign(v=data["v"] + 0.01 * scale)).all()


def test_columns_that_were_rounded_leave_their_own_rows_known(data: pd.DataFrame) -> None:
    data["rounded"] = (2 * data["x"]).round(8)
    built = quiet_design("y ~ x + rounded + f", data)
    assert built.mu.aliased == ("rounded",)
    assert not unknown(built, data).any()


def test_what_is_not_known_cancels_in_a_difference(data: pd.DataFrame) -> None:
    data = data[~((data["f"] == "c") & (data["h"] == "r"))].reset_index(drop=True)
    built = quiet_design("y ~ f * h + year + x + x2", data)
    empty = data.assign(f="c", h="r")

    def columns(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        rows = design_rows(built, frame)
        assert rows.left_out is not None
        return rows.X, rows.left_out

    def differs(high: pd.DataFrame, low: pd.DataFrame) -> np.ndarray:
        return built.mu.aliasing.of_changes(columns(high), columns(low)).found.any(axis=1)

    assert unknown(built, empty).all()
    for step in (1.0, 1e-4, 1e-7):
        assert not differs(empty.assign(year=empty["year"] + step), empty).any()
        # However small the step, x2 alone has no slope.
        assert differs(data.assign(x2=data["x2"] + step), data).all()
        together = data.assign(x=data["x"] + step, x2=data["x2"] + 2 * step)
        assert not differs(together, data).any()
    assert differs(empty, empty.assign(h="p")).all()


def test_a_design_of_full_rank_asks_nothing(data: pd.DataFrame) -> None:
    built = build_design(parse_formula("y ~ x + f * h"), data)
    assert built.mu.aliasing is None
    assert design_rows(built, data).left_out is None


def test_cells_without_rows_do_not_count_against_the_rows() -> None:
    """An augmented design: checks in all blocks, new entries in one, nested in their type."""
    rows = [(b, "check", f"c{k}") for _ in range(2) for b in range(4) for k in range(3)]
    rows += [(b, "new", f"n{b * 5 + k:02d}") for b in range(4) for k in range(5)]
    data = pd.DataFrame(rows, columns=["block", "type", "entry"])
    i = np.arange(len(data))
    data["y"] = 10 + (7 * i * i + 3 * i) % 23 / 5 + 2 * data["block"]
    data["block"] = data["block"].astype(str)
    with pytest.warns(DataWarning, match="left out because earlier columns"):  # 46 for 44 rows
        eb = bmx.Model("y ~ type / entry + (1 | block)", data).fit_eb()
    # lme4 and emmeans
    assert eb.loglik == pytest.approx(-42.2457724, abs=1e-6)
    np.testing.assert_allclose(eb.variance_components()["sd"], [3.14318841, 1.19256955], rtol=1e-5)
    table = eb.fixed_effects().dropna()
    np.testing.assert_allclose(table["estimate"][:2], [15.55, -1.22150836], rtol=1e-6)
    np.testing.assert_allclose(table["sd"][:2], [1.6271712, 1.33177035], rtol=1e-5)
    means = eb.marginal_means("type").table
    np.testing.assert_allclose(means["estimate"], [14.9166667, 15.04], rtol=1e-7)


def test_more_columns_than_rows_of_which_few_differ_are_told(rng: np.random.Generator) -> None:
    names = [f"x{k}" for k in range(24)]
    data = pd.DataFrame(np.repeat(rng.normal(size=(10, 24)), 2, axis=0), columns=names)
    data["y"] = rng.normal(size=20)
    with pytest.warns(DataWarning, match="25 fixed effects for 20 rows"):
        model = bmx.Model(f"y ~ {' + '.join(names)}", data)
    with pytest.raises(DataError, match="of which the rows tell 10 apart"):
        model.fit_eb()
