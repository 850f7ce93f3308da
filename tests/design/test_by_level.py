"""``gr(g, by=f)``: a covariance for each level of f."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, FormulaError


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    g = rng.integers(0, 12, 120)
    kind = np.asarray(["b", "a", "c"])[np.arange(12) % 3]
    d = pd.DataFrame({"g": g, "f": kind[g], "x": rng.normal(size=120)})
    d["y"] = d["x"] + (rng.normal(size=12) * (1 + np.arange(12) % 3))[g] + rng.normal(size=120)
    return d


def test_each_level_has_effects_of_its_own(data: pd.DataFrame) -> None:
    group = bmx.Model("y ~ x + (x | gr(g, by=f))", data).design.mu.group("g")
    assert group.effects == (
        "Intercept:f[a]", "x:f[a]", "Intercept:f[b]", "x:f[b]", "Intercept:f[c]", "x:f[c]",
    )  # fmt: skip
    assert [(b.start, b.stop, b.structure) for b in group.blocks] == [
        (0, 2, "us"), (2, 4, "us"), (4, 6, "us"),
    ]  # fmt: skip
    np.testing.assert_array_equal(group.Z[:, 3], data["x"] * (data["f"] == "b"))
    assert group.present is not None
    assert group.present.sum(axis=1).tolist() == [2] * 12
    assert group.present[0].tolist() == [False, False, True, True, False, False]


def test_the_likelihood_is_that_of_a_covariance_for_each(data: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + (1 | gr(g, by=f))", data).fit_eb("ml")
    table = eb.variance_components().set_index("effect")
    by_row = table.loc["Intercept:f[" + data["f"] + "]", "variance"].to_numpy()
    same = data["g"].to_numpy()[:, None] == data["g"].to_numpy()
    V = same * np.sqrt(np.outer(by_row, by_row)) + eb.sigma**2 * np.eye(len(data))
    X = np.column_stack([np.ones(len(data)), data["x"]])
    residual = data["y"] - X @ eb.fixed_effects()["estimate"].to_numpy()
    log_det = np.linalg.slogdet(2 * np.pi * V)[1]
    expected = -0.5 * (log_det + residual @ np.linalg.solve(V, residual))
    assert eb.loglik == pytest.approx(expected, abs=1e-8)


def test_tables_have_the_effects_that_there_are(data: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + (1 | gr(g, by=f))", data).fit_eb()
    table = eb.group_effects()
    assert len(table) == 12
    assert table.loc[:2, "effect"].tolist() == [f"Intercept:f[{v}]" for v in "bac"]
    new = pd.DataFrame({"x": [0.0, 0.0], "g": [0, 99], "f": ["b", "c"]})
    predicted = eb.predict(new)
    assert predicted["estimate"][0] == pytest.approx(
        eb.fixed_effects()["estimate"][0] + table["estimate"][0]
    )
    typical = eb.predict(new, groups="population")
    sd = eb.variance_components().set_index("effect").loc["Intercept:f[c]", "sd"]
    added = predicted["sd"][1] ** 2 - typical["sd"][1] ** 2
    assert added == pytest.approx(sd**2)


def test_an_update_with_another_group_is_the_fit_of_all_rows(data: pd.DataFrame) -> None:
    text = "y ~ x + (x | gr(g, by=f))"
    more = pd.concat([data, data.iloc[:6].assign(g=77, f="a")], ignore_index=True)
    again = bmx.Model(text, data).fit_eb().update(data=more)
    assert again.loglik == pytest.approx(bmx.Model(text, more).fit_eb().loglik, abs=1e-6)
    assert "77" in again.group_effects()["level"].astype(str).tolist()


def test_priors_are_those_without_by(data: pd.DataFrame) -> None:
    plain = bmx.Model("y ~ x + (1 | g)", data).priors.set_index("parameter")["prior"]
    divided = bmx.Model("y ~ x + (1 | gr(g, by=f))", data).priors.set_index("parameter")["prior"]
    assert divided["sd(g, Intercept:f[a])"] == plain["sd(g, Intercept)"]


def test_what_is_wrong_is_said(data: pd.DataFrame) -> None:
    mixed = data.assign(f=np.where(np.arange(120) == 7, "zz", data["f"]))
    with pytest.raises(DataError, match=r"of `g` has `f` .* must be the same in all rows of one"):
        bmx.Model("y ~ x + (1 | gr(g, by=f))", mixed)
    with pytest.raises(DataError, match=r"by=f has one level \(a\)"):
        bmx.Model("y ~ x + (1 | gr(g, by=f))", data.assign(f="a"))
    with pytest.raises(FormulaError, match=r"by= divides effects of columns"):
        bmx.Model("y ~ x + ar1(t | gr(g, by=f))", data.assign(t=np.arange(120) % 5))
    eb = bmx.Model("y ~ x + (1 | gr(g, by=f))", data).fit_eb()
    with pytest.raises(DataError, match="the level 'new'"):
        eb.predict(pd.DataFrame({"x": [0.0], "g": [0], "f": ["new"]}))
