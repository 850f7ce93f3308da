"""Means of Laplace fits are at the estimates, and their draws are the spread around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import DataWarning
from tests.builders import several_data

DATA = several_data()
AT = {"x": [0.0, 1.0]}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def _coefficients(fit: Any, parameter: str = "mu") -> np.ndarray:
    return fit.fixed_effects(parameter=parameter)["estimate"].to_numpy()


def test_means_over_groups_of_several_predictors() -> None:
    formulas = ["k ~ x + (1 | g)", "zi ~ x"]
    fit = bmx.Model(formulas, DATA, family="zero_inflated_poisson").fit_eb()
    b, z = _coefficients(fit), _coefficients(fit, "zi")
    sd = fit.variance_components()["sd"][0]
    wanted = np.asarray(
        [(1 - special.expit(z @ [1, x])) * np.exp(b @ [1, x] + sd**2 / 2) for x in AT["x"]]
    )
    means = fit.marginal_means("x", at=AT, kind="mean", marginal=True)
    np.testing.assert_allclose(means.table["estimate"], wanted, rtol=1e-6)
    pair = means.contrasts("pairwise").table.iloc[0]
    assert pair["estimate"] == pytest.approx(wanted[0] - wanted[1], rel=1e-6)
    assert pair["lower"] < pair["estimate"] < pair["upper"]
    slope = fit.trends("x", at={"x": [0.0]}, kind="mean", marginal=True).table.iloc[0]
    p = special.expit(z[0])
    at_zero = (b[1] - z[1] * p) * wanted[0]
    assert slope["estimate"] == pytest.approx(at_zero, rel=1e-4)


def test_probabilities_of_ordered_categories() -> None:
    grade = pd.cut(DATA["normal"], [-np.inf, 0, 1.5, np.inf], labels=["lo", "mid", "hi"])
    fit = bmx.Model("grade ~ x + (1 | g)", DATA.assign(grade=grade), family="cumulative").fit_eb()
    cuts, (b,) = fit.family_parameters()["estimate"].to_numpy(), _coefficients(fit)
    sd = fit.variance_components()["sd"][0]
    for spread in (0.0, sd):
        below = [[WEIGHTS @ special.expit(t - b * x - spread * NODES) for t in cuts]
                 for x in AT["x"]]  # fmt: skip
        wanted = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)
        asked = {"at": AT, "marginal": spread > 0}
        found = fit.marginal_means("x", kind="probability", **asked).table
        np.testing.assert_allclose(found["estimate"], wanted.ravel(), rtol=1e-5)
        expected = fit.marginal_means("x", kind="mean", **asked).table
        np.testing.assert_allclose(expected["estimate"], wanted @ [1, 2, 3], rtol=1e-5)
    rows = fit.predict(pd.DataFrame(AT), kind="probability", groups="population")
    below = special.expit(cuts - np.outer(AT["x"], [b]))
    wanted = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)
    np.testing.assert_allclose(rows["estimate"], wanted.ravel(), rtol=1e-6)


def test_thresholds_beside_another_predictor() -> None:
    grade = pd.cut(DATA["normal"], [-np.inf, 0, 1.5, np.inf], labels=["lo", "mid", "hi"])
    data = DATA.assign(grade=grade)
    fit = bmx.Model(["grade ~ x", "disc ~ x"], data, family="cumulative").fit_eb()
    cuts, (b,), (d,) = (
        fit.family_parameters()["estimate"].to_numpy(), _coefficients(fit),
        _coefficients(fit, "disc"),
    )  # fmt: skip
    below = [special.expit(np.exp(d * x) * (cuts - b * x)) for x in AT["x"]]
    wanted = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)
    for kind, values in (("probability", wanted.ravel()), ("mean", wanted @ [1, 2, 3])):
        means = fit.marginal_means("x", at=AT, kind=kind).table
        np.testing.assert_allclose(means["estimate"], values, rtol=1e-6)


def test_categories_given_a_group_are_averaged_over_its_effect() -> None:
    """The mean with one scalar effect a group, in the predictor of one category."""
    fit = bmx.Model(["y ~ x", "mu3 ~ x + (1 | g)"], DATA, family="categorical").fit_eb()
    b, c = _coefficients(fit), _coefficients(fit, "mu3")
    sd = fit.variance_components(parameter="mu3")["sd"][0]
    names = list(fit.model.family.categories(fit.model.design.response))
    number = np.asarray([names.index(v) for v in DATA["y"]])
    X = np.column_stack([np.ones(len(DATA)), DATA["x"]])
    effects = np.linspace(-8 * sd, 8 * sd, 4001)

    def probabilities(rows: np.ndarray) -> np.ndarray:
        eta = np.zeros((len(rows), len(effects), 3))
        eta[..., 1] = (X[rows] @ b)[:, None]
        eta[..., 2] = (X[rows] @ c)[:, None] + effects
        return np.asarray(special.softmax(eta, axis=-1))

    found = fit.predict(DATA.iloc[:3], kind="probability")["estimate"].to_numpy().reshape(3, 3)
    for k in range(3):
        members = np.flatnonzero((DATA["g"] == DATA["g"].iloc[k]).to_numpy())
        P = probabilities(members)
        log = np.log(P[np.arange(len(members)), :, number[members]]).sum(axis=0)
        weight = np.exp(log - log.max() - 0.5 * (effects / sd) ** 2)
        own = probabilities(np.asarray([k]))[0]
        np.testing.assert_allclose(found[k], weight @ own / weight.sum(), atol=2e-4)
    of_last = fit.of_category(names[2]).predict(DATA.iloc[:3])["estimate"]
    np.testing.assert_allclose(of_last, found[:, 2], rtol=1e-6)


def test_an_empty_cell_is_unknown_in_probabilities_without_foreign_warnings() -> None:
    """R, MASS::polr(factor(y) ~ cell): means over the cells of each level of f."""
    rng = np.random.default_rng(110)
    f, h = np.array(list("abc"))[rng.integers(0, 3, 300)], rng.integers(0, 3, 300)
    h = np.array(list("PQR"))[h]
    there = ~((f == "c") & (h == "Q"))
    f, h = f[there], h[there]
    eta = 0.6 * (f == "b") - 0.7 * (h == "R") + 0.5 * ((f == "b") & (h == "R"))
    y = np.digitize(eta + rng.logistic(size=len(f)), [-1, 0.3, 1.4]) + 1
    data = pd.DataFrame({"y": pd.Categorical(y, ordered=True), "f": f, "h": h})
    with pytest.warns(DataWarning, match="already determine"):
        eb = bmx.Model("y ~ f * h", data, family="cumulative").fit_eb()
    found = eb.marginal_means("f", kind="probability").table
    cells = [
        [0.304713521, 0.299125751, 0.236551860, 0.1596088676],
        [0.291776931, 0.297183717, 0.242963171, 0.1680761813],
        [0.516332103, 0.271480700, 0.139857710, 0.0723294869],
    ]
    wanted = np.mean(cells, axis=0)
    np.testing.assert_allclose(found["estimate"][found["f"] == "a"], wanted, atol=1e-6)
    assert found[["estimate", "sd"]][found["f"] == "c"].isna().all(axis=None)
    assert found[["estimate", "sd"]][found["f"] != "c"].notna().all(axis=None)
