"""``mm(a, b)``: rows that belong to several levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, FormulaError, NotSupportedError

FORMULA = "y ~ x + (1 | mm(a, b, weights=[v, w])) + (1 | h)"


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    n = 120
    d = pd.DataFrame(
        {
            "a": rng.integers(0, 8, n),
            "b": rng.integers(1, 10, n),
            "v": rng.uniform(0.1, 1, n),
            "w": rng.uniform(0.1, 2, n),
            "x": rng.normal(size=n),
            "h": rng.integers(0, 5, n),
        }
    )
    u = 2 * rng.normal(size=10)
    share = d["v"] / (d["v"] + d["w"])
    d["y"] = d["x"] + share * u[d["a"]] + (1 - share) * u[d["b"]] + rng.normal(size=n)
    return d


def members(data: pd.DataFrame, *, scale: bool = True) -> np.ndarray:
    weights = data[["v", "w"]].to_numpy()
    if scale:
        weights = weights / weights.sum(axis=1, keepdims=True)
    Z = np.zeros((len(data), 10))
    for k, column in enumerate(("a", "b")):
        np.add.at(Z, (np.arange(len(data)), data[column]), weights[:, k])
    return Z


def test_weights_add_up_by_level(data: pd.DataFrame) -> None:
    assert (data["a"] == data["b"]).any()  # the same level twice
    group = bmx.Model(FORMULA, data).design.mu.group("mm(a, b)")
    assert group.effects == tuple("0123456789")
    np.testing.assert_allclose(group.Z, members(data))
    np.testing.assert_allclose(group.Z.sum(axis=1), 1.0)
    raw = FORMULA.replace("[v, w]", "[v, w], scale=False")
    np.testing.assert_allclose(
        bmx.Model(raw, data).design.mu.group("mm(a, b)").Z, members(data, scale=False)
    )
    equal = bmx.Model("y ~ x + (1 | mm(a, b))", data).design.mu.group("mm(a, b)")
    assert set(np.unique(equal.Z)) == {0.0, 0.5, 1.0}


def test_reml_is_that_of_dense_algebra(data: pd.DataFrame) -> None:
    eb = bmx.Model(FORMULA, data).fit_eb()
    variance = eb.variance_components()["variance"].to_numpy()
    Z, n = members(data), len(data)
    same = data["h"].to_numpy()[:, None] == data["h"].to_numpy()
    V = variance[0] * Z @ Z.T + variance[1] * same + variance[2] * np.eye(n)
    X = np.column_stack([np.ones(n), data["x"]])
    Vi = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ Vi @ X, X.T @ Vi @ data["y"])
    residual = data["y"] - X @ beta
    log_det = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ Vi @ X)[1]
    expected = -0.5 * (log_det + residual @ Vi @ residual + (n - 2) * np.log(2 * np.pi))
    assert eb.loglik == pytest.approx(expected, abs=1e-8)
    table = eb.group_effects("mm(a, b)")
    assert table["level"].tolist() == list("0123456789")
    assert set(table["effect"]) == {"Intercept"}
    b = variance[0] * Z.T @ Vi @ residual
    np.testing.assert_allclose(table["estimate"], b, atol=1e-8)
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    error = variance[0] - variance[0] ** 2 * np.einsum("ni,nm,mi->i", Z, P, Z)
    np.testing.assert_allclose(table["sd"] ** 2, error, rtol=1e-6)
    fitted = eb.predict(data.drop(columns="y"))["estimate"]
    by_h = table_of(eb, "h")[data["h"]]
    np.testing.assert_allclose(fitted, X @ beta + Z @ b + by_h, atol=1e-8)


def table_of(eb: bmx.EmpiricalBayes, group: str) -> np.ndarray:
    return eb.group_effects(group)["estimate"].to_numpy()


def test_other_data_may_have_other_levels(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + (1 | mm(a, b))", data)
    changed = model.update(data=data.assign(b=data["b"] + 3))
    assert changed.design.mu.group("mm(a, b)").effects == tuple(map(str, range(13)))
    population = model.fit_eb().predict(pd.DataFrame({"x": [0.0]}), groups="population")
    assert np.isfinite(population["estimate"]).all()


def test_a_new_member_has_an_effect_from_the_prior(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + (1 | mm(a, b, weights=[v, w], scale=False))", data)
    eb = model.fit_eb()
    rows = data.head(3).assign(x=0.5, a=[77, 77, 78], b=[2, 77, 77], v=0.3, w=0.4)
    found = eb.predict(rows)
    known = eb.predict(rows.head(1).assign(a=2, v=0.0)).iloc[0]  # weight 0: without the new one
    alone = eb.predict(rows.head(1), groups="population").iloc[0]
    sd = eb.variance_components()["sd"][0]
    assert found["estimate"].to_numpy() == pytest.approx(
        [known["estimate"], *[eb.fixed_effects()["estimate"] @ [1, 0.5]] * 2]
    )
    added = np.array([0.3**2, (0.3 + 0.4) ** 2, 0.3**2 + 0.4**2]) * sd**2
    V = eb.vcov().to_numpy()
    fixed = np.array([1, 0.5]) @ V @ np.array([1, 0.5])
    before = np.array([known["sd"] ** 2, fixed, fixed])
    assert found["sd"].to_numpy() ** 2 == pytest.approx(before + added)
    assert alone["sd"] ** 2 == pytest.approx(fixed)

    post = model.fit(draws=300, tune=300, chains=2, seed=3, progress=False)
    drawn = post.predict_draws(rows.assign(v=0.5, w=0.5).iloc[[1, 1]])
    first, second = drawn.transpose("row", "chain", "draw").to_numpy()
    assert first == pytest.approx(second)  # one member is one effect
    sds = post.idata.posterior["sd_mm(a, b)"].to_numpy()
    assert first.std() == pytest.approx(np.sqrt((sds**2).mean() + fixed), rel=0.15)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": -1.0}, r"the weights of mm\(\.\.\.\) are -1, .* in row 0"),
        ({"v": 0.0, "w": 0.0}, "sum above 0"),
        ({"b": None}, "`b` is missing in row 0"),
    ],
)
def test_what_new_rows_lack_is_said(
    data: pd.DataFrame, change: dict[str, object], reason: str
) -> None:
    eb = bmx.Model(FORMULA, data).fit_eb()
    with pytest.raises(DataError, match=reason):
        eb.predict(data.head(1).assign(**change))


def test_what_cannot_be_is_said(data: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match="an intercept may vary by mm"):
        bmx.Model("y ~ x + (x | mm(a, b))", data)
    with pytest.raises(DataError, match="have one level"):
        bmx.Model("y ~ x + (1 | mm(a, b))", data.assign(a=1, b=1))
    eb = bmx.Model(FORMULA, data).fit_eb()
    with pytest.raises(NotSupportedError, match="no level has an estimate from its own rows"):
        eb.shrinkage("mm(a, b)")
    assert "several a row" in repr(eb.model)
    with pytest.raises(NotSupportedError, match="no level has a regression of its own"):
        eb.model.no_pooling("mm(a, b)")
    assert set(eb.model.no_pooling()["group"]) == {"h"}  # the first that has one
    with pytest.raises(NotSupportedError, match="no level has a line of its own"):
        eb.plot_predictions("x", group="mm(a, b)")


def test_a_level_s_rows_are_those_that_belong_to_it(data: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + (1 | mm(a, b, weights=[v, w]))", data).fit_eb()
    rows = np.flatnonzero((data["a"] == 3) | (data["b"] == 3))
    Z = members(data)[rows]
    sd = eb.variance_components()["sd"].to_numpy()
    V = eb.marginal_covariance(3)
    np.testing.assert_allclose(V, sd[0] ** 2 * Z @ Z.T + sd[1] ** 2 * np.eye(len(rows)))
    assert list(V.index) == list(data.index[rows])
    with pytest.raises(ArgumentError, match="has no level 77"):
        eb.marginal_covariance(77)


def test_curves_of_the_population_need_no_levels(data: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + (1 | mm(a, b, weights=[v, w]))", data).fit_eb()
    (axes,) = eb.plot_predictions("x").axes
    (drawn,) = axes.lines
    at = drawn.get_xdata()
    expected = eb.predict(pd.DataFrame({"x": at}), groups="population")["estimate"]
    np.testing.assert_allclose(drawn.get_ydata(), expected)
