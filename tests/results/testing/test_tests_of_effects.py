"""Tests of effects against lmerTest, pbkrtest and RLRsim, and what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    FormulaError,
    NotSupportedError,
)
from tests.builders import nested_data

LEFT_OUT = [2, 3, 4, 30, 31, 76, 77, 78, 79, 119]
CASES = {
    "tests_sleepstudy_unbalanced": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "tests_irrigation": ("irrigation", "yield ~ irrigation * variety + (1 | field)"),
    "tests_gpa": ("gpa", "gpa ~ occasion * sex + (occasion | student)"),
    "tests_cake": ("cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
}
_METHODS = {"satt": "satterthwaite", "kr": "kenward-roger"}


@pytest.fixture(scope="module")
def structures(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "structures_and_tests.json").read_text()
    return dict(json.loads(text))


@pytest.fixture(scope="module")
def fits(reference_folder: Path) -> dict[str, bmx.EmpiricalBayes]:
    found = {}
    for name, (data, formula) in CASES.items():
        frame = pd.read_csv(reference_folder / "data" / f"{data}.csv")
        if data == "sleepstudy":
            frame = frame.drop(index=LEFT_OUT)
        if data == "gpa":
            frame["sex"] = pd.Categorical(frame["sex"], categories=["female", "male"])
        found[name] = bmx.Model(formula, frame).fit_eb()
    return found


@pytest.mark.parametrize(
    ("name", "method", "kind"),
    [
        *((name, "satt", 3) for name in CASES),
        *((name, "satt", kind) for name in CASES if name != "tests_gpa" for kind in (1, 2)),
        *((name, "kr", 3) for name in CASES if name != "tests_gpa"),
    ],
)
def test_tables_are_those_of_lmertest(
    name: str, method: str, kind: Any, fits: dict[str, Any], structures: dict[str, Any]
) -> None:
    wanted = structures[name][f"anova{kind}_{method}"]
    table = fits[name].anova(kind, ddf=_METHODS[method])
    assert table["term"].tolist() == [row["_row"] for row in wanted]
    for column, theirs, rtol in (
        ("num_df", "NumDF", 0), ("den_df", "DenDF", 1e-3), ("f", "F value", 1e-4),
        ("p", "Pr(>F)", 1e-3), ("sum_sq", "Sum Sq", 1e-4), ("mean_sq", "Mean Sq", 1e-4),
    ):  # fmt: skip
        np.testing.assert_allclose(table[column], [row[theirs] for row in wanted], rtol=rtol)


@pytest.mark.parametrize("name", CASES)
def test_single_coefficients_are_those_of_lmertest(
    name: str, fits: dict[str, Any], structures: dict[str, Any]
) -> None:
    fit = fits[name]
    names = fit.model.design.mu.fixed_effects
    for key, method in (("coef", "satterthwaite"), ("coef_kr", "kenward-roger")):
        for term, row in zip(names, structures[name].get(key, []), strict=False):
            found = fit.test(f"{term} = 0", ddf=method).iloc[0]
            assert found["den_df"] == pytest.approx(row["df"], rel=1e-3)
            assert found["f"] == pytest.approx(row["t value"] ** 2, rel=1e-4)
            assert found["p"] == pytest.approx(row["Pr(>|t|)"], rel=1e-3)


@pytest.mark.parametrize("name", ["tests_sleepstudy_unbalanced", "tests_irrigation", "tests_cake"])
def test_adjusted_covariance_is_that_of_pbkrtest(
    name: str, fits: dict[str, Any], structures: dict[str, Any]
) -> None:
    fit = fits[name]
    np.testing.assert_allclose(
        fit.vcov(ddf="kenward-roger"), structures[name]["vcov_kr"], rtol=1e-3
    )
    np.testing.assert_allclose(fit.vcov(), structures[name]["vcov"], rtol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_ranova_is_that_of_lmertest(
    name: str, fits: dict[str, Any], structures: dict[str, Any]
) -> None:
    whole, *wanted = structures[name]["ranova"]
    table = fits[name].ranova()
    assert table["loglik"].tolist() == pytest.approx(
        [whole["logLik"], *(row["logLik"] for row in wanted)], abs=1e-3
    )
    assert table["statistic"].tolist()[1:] == pytest.approx([r["LRT"] for r in wanted], abs=2e-3)
    assert table["statistic_df"].tolist()[1:] == [row["Df"] for row in wanted]
    assert table["p"].tolist()[1:] == pytest.approx([r["Pr(>Chisq)"] for r in wanted], rel=5e-3)
    assert (table["p_boundary"][1:] < table["p"][1:]).all()


@pytest.mark.parametrize(
    ("data", "formula", "effect", "key"),
    [
        ("irrigation", "yield ~ irrigation * variety + (1 | field)", "Intercept", "irrigation"),
        ("pulp", "bright ~ 1 + (1 | operator)", "Intercept", "pulp"),
        ("sleepstudy", "Reaction ~ Days + (Days || Subject)", "Days", "sleepstudy_slope"),
    ],
)
def test_exact_rlrt_is_that_of_rlrsim(
    data: str, formula: str, effect: str, key: str, reference_folder: Path,
    structures: dict[str, Any],
) -> None:  # fmt: skip
    frame = pd.read_csv(reference_folder / "data" / f"{data}.csv")
    table = bmx.Model(formula, frame).fit_eb().exact_rlrt(50_000, seed=1)
    row, wanted = table[table["effect"] == effect].iloc[0], structures["exact_rlrt"][key]
    assert row["statistic"] == pytest.approx(wanted["stat"], abs=1e-4)
    assert abs(row["p"] - wanted["p"]) < 3 * row["p_error"] + 1e-4


def unbalanced(rng: np.random.Generator, n: int = 120) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "a": rng.choice(["p", "q", "r"], n, p=[0.5, 0.3, 0.2]),
            "b": rng.choice(["u", "v"], n, p=[0.7, 0.3]),
            "x": rng.normal(3, 2, n),
            "g": rng.integers(0, 12, n),
        }
    )
    return frame.assign(y=rng.normal(size=n) + 0.5 * rng.normal(size=12)[frame["g"]])


def test_type_3_does_not_depend_on_the_coding(rng: np.random.Generator) -> None:
    frame = unbalanced(rng)
    tables = [
        bmx.Model(f"y ~ {a} * {b} + x + (1 | g)", frame).fit_eb().anova()
        for a, b in (("a", "b"), ("C(a, contr.sum)", "C(b, contr.helmert)"))
    ]
    for column in ("num_df", "den_df", "f", "p"):
        np.testing.assert_allclose(tables[0][column], tables[1][column], rtol=1e-6)
    # And it is that of the coefficients themselves where factors are coded by sums to zero.
    coded = bmx.Model("y ~ C(a, contr.sum) * C(b, contr.sum) + x + (1 | g)", frame).fit_eb()
    names = coded.model.design.mu.terms["C(a, contr.sum)"]
    joint = coded.test([f"`{name}` = 0" for name in names])
    assert joint["f"][0] == pytest.approx(tables[0]["f"][0], rel=1e-6)


def test_types_1_and_2_go_by_the_order_and_by_containment(rng: np.random.Generator) -> None:
    frame = unbalanced(rng)
    fit = bmx.Model("y ~ a + b + a:b + x + (1 | g)", frame).fit_eb()
    first, second = fit.anova(1), fit.anova(2)
    # Without its interaction a model has the same hypotheses of type 2, with other variances;
    # the last term of a sequence and the highest of a hierarchy are tested after all others.
    last = dict(zip(first["term"], first["f"], strict=True))
    assert last["a:b"] == pytest.approx(dict(zip(second["term"], second["f"], strict=True))["a:b"])
    # a before b is not a after b.
    assert abs(first["f"][0] - second["f"][0]) > 1e-3


def test_weights_and_known_errors_are_taken(rng: np.random.Generator) -> None:
    frame = unbalanced(rng).assign(w=lambda d: rng.uniform(0.5, 2, len(d)))
    fit = bmx.Model("y ~ x + (1 | g)", frame, weights="w").fit_eb()
    other = bmx.Model("y ~ x + (1 | g)", frame.assign(w=3 * frame["w"]), weights="w").fit_eb()
    for method in ("satterthwaite", "kenward-roger"):
        mine, theirs = (each.anova(ddf=method) for each in (fit, other))
        np.testing.assert_allclose(mine[["den_df", "f"]], theirs[["den_df", "f"]], rtol=1e-4)
    frame["se"] = 0.8
    known = bmx.Model("y ~ 1 + (1 | g)", frame.groupby("g", as_index=False).first(),
                      known_se="se").fit_eb()  # fmt: skip
    table = known.test("Intercept = 0", ddf="kenward-roger")
    assert np.isfinite(table[["f", "den_df", "p"]].to_numpy()).all()


@pytest.fixture(scope="module")
def tutorials(reference_folder: Path) -> dict[str, Any]:
    return dict(json.loads((reference_folder / "reference" / "tutorial_tables.json").read_text()))


def tutorial(name: str, folder: Path) -> bmx.EmpiricalBayes:
    formula = {
        "irrigation": "yield ~ irrigation * variety + (1 | field)",
        "penicillin": "yield ~ treat + (1 | blend)",
        "rats": "y ~ t:Treatment + (1 | rat)",
    }[name]
    frame = pd.read_csv(folder / "data" / f"{name}.csv")
    if name == "rats" and "t" not in frame:
        frame["t"] = np.log(1 + (frame["age"] - 45) / 10)
    return bmx.Model(formula, frame).fit_eb()


@pytest.mark.parametrize(
    ("key", "name", "ddf"),
    [
        ("anova_kr_irrigation", "irrigation", "kenward-roger"),
        ("anova_satt_penicillin", "penicillin", "satterthwaite"),
        ("anova_satt_rats", "rats", "satterthwaite"),
    ],
)
def test_tables_of_the_tutorials(
    key: str, name: str, ddf: Any, tutorials: dict[str, Any], reference_folder: Path
) -> None:
    table, wanted = tutorial(name, reference_folder).anova(ddf=ddf), tutorials[key]
    assert table["term"].tolist() == [row["_row"] for row in wanted]
    for column, theirs, rtol in (
        ("num_df", "NumDF", 0), ("den_df", "DenDF", 1e-3), ("f", "F value", 1e-4),
        ("p", "Pr(>F)", 1e-3),
    ):  # fmt: skip
        np.testing.assert_allclose(table[column], [row[theirs] for row in wanted], rtol=rtol)


def test_the_tutorials_coefficients_and_exact_test(
    tutorials: dict[str, Any], reference_folder: Path
) -> None:
    fit = tutorial("irrigation", reference_folder)
    table, wanted = fit.fixed_effects(ddf="satterthwaite"), tutorials["lmertest_irrigation"]
    for column, theirs, rtol in (
        ("estimate", "Estimate", 1e-4), ("sd", "Std. Error", 1e-4), ("df", "df", 1e-3),
        ("t", "t value", 5e-5), ("p", "Pr(>|t|)", 1e-3),
    ):  # fmt: skip
        np.testing.assert_allclose(table[column], [row[theirs] for row in wanted], rtol=rtol)
    row, exact = fit.exact_rlrt(50_000, seed=1).iloc[0], tutorials["exactRLRT_irrigation"]
    assert row["statistic"] == pytest.approx(exact["stat"], abs=1e-4)
    theirs = np.sqrt(exact["p"] * (1 - exact["p"]) / 10_000)  # RLRsim's own draws
    assert abs(row["p"] - exact["p"]) < 3 * np.hypot(row["p_error"], theirs)


# lmerTest 3.1 on cake without the rows and the cell below: F, degrees of freedom of the
# denominator, p, by type and term.
EMPTY_CELL = {
    1: [(0.399134737, 41.6850644, 6.73436804e-01), (16.533161097, 187.0028145, 1.66499402e-13),
        (1.286390390, 186.9897149, 2.46659403e-01)],
    2: [(0.284161605, 41.9063354, 7.54083642e-01), (16.533161097, 187.0028145, 1.66499402e-13),
        (1.286390390, 186.9895635, 2.46659410e-01)],
    3: [(0.284469733, 41.9100827, 7.53854305e-01), (16.621007973, 187.0147752, 1.43711937e-13),
        (1.286390390, 186.9895635, 2.46659410e-01)],
}  # fmt: skip

# lmerTest on other rows of cake, recipe * temp: degrees of freedom by type.
UNBALANCED = {
    1: [41.3608034, 178.2885560, 178.2968027], 2: [41.3656783, 178.2885560, 178.2971728],
    3: [41.4857340, 178.3019121, 178.2971728],
}  # fmt: skip


@pytest.mark.parametrize(
    "coding", ["recipe * C(temp)", "C(recipe, contr.sum) * C(temp, contr.helmert)"]
)
def test_with_an_empty_cell_tests_are_lmertests(coding: str, reference_folder: Path) -> None:
    frame = pd.read_csv(reference_folder / "data" / "cake.csv")
    frame = frame.drop(index=[2, 9, 10, 39, 76, 77, 78, 119, 199])
    frame = frame[~((frame["recipe"] == "C") & (frame["temp"] == 225))]
    with pytest.warns(DataWarning, match="left out"):
        fit = bmx.Model(f"angle ~ {coding} + (1 | recipe:replicate)", frame).fit_eb()
    for kind, wanted in EMPTY_CELL.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = fit.anova(kind)
        # Where factors are coded otherwise, types 1 and 2 have other rows of the same hypotheses.
        np.testing.assert_allclose(table["f"], [row[0] for row in wanted], rtol=1e-5)
        rtol = 1e-5 if coding.startswith("recipe") else 1e-2
        np.testing.assert_allclose(table["den_df"], [row[1] for row in wanted], rtol=rtol)
        np.testing.assert_allclose(table["p"], [row[2] for row in wanted], rtol=10 * rtol)
        told = [str(one.message) for one in caught if one.category is DataWarning]
        assert len(told) == (kind == 3)
        assert all("225" in text and "C" in text and "type=2" in text for text in told)


def test_a_term_that_another_determines_in_part_is_tested_in_what_is_left(
    rng: np.random.Generator,
) -> None:
    frame = unbalanced(rng)
    frame["level"] = frame["a"].map({"p": 1.0, "q": 2.5, "r": 3.0})
    with pytest.warns(DataWarning, match="left out"):
        fit = bmx.Model("y ~ level + a + x + (1 | g)", frame).fit_eb()
    with (
        pytest.warns(DataWarning, match=r"a part of what type 3 tests of a,.*other terms"),
        pytest.warns(DataWarning, match="type 3 of level"),
    ):
        table = fit.anova().set_index("term")
    # Beyond a straight line in level there is one comparison of the three levels.
    assert table.loc["a", "num_df"] == 1
    assert table.loc["a", "f"] == pytest.approx(fit.anova(2).set_index("term").loc["a", "f"])
    assert np.isnan(table.loc["level", "f"])
    whole = bmx.Model("y ~ a + x + (1 | g)", frame).fit_eb().anova().set_index("term")
    assert table.loc["x", "f"] == pytest.approx(whole.loc["x", "f"], rel=1e-6)


def test_degrees_of_freedom_of_unbalanced_factors_are_lmertests(reference_folder: Path) -> None:
    """Rows of a hypothesis decide on Satterthwaite's: differences from the first level."""
    frame = pd.read_csv(reference_folder / "data" / "cake.csv")
    frame = frame.drop(index=[*range(3, 60, 4), *range(100, 140, 3), 200, 210, 211])
    fit = bmx.Model("angle ~ recipe * C(temp) + (1 | recipe:replicate)", frame).fit_eb()
    for kind, wanted in UNBALANCED.items():
        np.testing.assert_allclose(fit.anova(kind)["den_df"], wanted, rtol=1e-5)


def test_beyond_the_normal_it_is_walds_test(rng: np.random.Generator) -> None:
    frame = unbalanced(rng).assign(k=rng.poisson(2.0, 120))
    fit = bmx.Model("k ~ a + x + (1 | g)", frame, family="poisson").fit_eb()
    table = fit.anova(2).set_index("term")
    names = fit.model.design.mu.fixed_effects
    at = [names.index(name) for name in fit.model.design.mu.terms["a"]]
    beta, cov = fit.fixed_effects()["estimate"].to_numpy(), fit.vcov().to_numpy()
    chisq = beta[at] @ np.linalg.solve(cov[np.ix_(at, at)], beta[at])
    assert table.loc["a", "chisq"] == pytest.approx(chisq, rel=1e-6)
    assert table.loc["a", "p"] == pytest.approx(stats.chi2.sf(chisq, 2), rel=1e-6)
    small = bmx.Model("k ~ x + (1 | g)", frame, family="poisson").fit_eb()
    dropped = fit.drop1().set_index("term")
    assert dropped.loc["a", "chisq"] == pytest.approx(2 * (fit.loglik - small.loglik), abs=1e-5)
    assert fit.ranova()["group"].tolist() == ["", "g"]
    with pytest.raises(NotSupportedError, match="of normal responses"):
        fit.anova(ddf="satterthwaite")


def test_drop1_and_anova_of_two_models(rng: np.random.Generator) -> None:
    frame = unbalanced(rng)
    large = bmx.Model("y ~ a * b + x + (1 | g)", frame).fit_eb()
    small = bmx.Model("y ~ a + b + x + (1 | g)", frame).fit_eb()
    dropped = large.drop1().set_index("term")
    assert dropped.index.tolist() == ["<none>", "x", "a:b"]
    lrt = bmx.anova(small, large)
    assert dropped.loc["a:b", "chisq"] == pytest.approx(lrt["chisq"][1], abs=1e-5)
    kr = bmx.anova(large, small, test="kenward-roger")
    assert kr["f"][1] == pytest.approx(
        large.anova(2, ddf="kenward-roger").set_index("term").loc["a:b", "f"], rel=1e-6
    )
    with pytest.raises(NotSupportedError, match="fixed parts"):
        bmx.anova(bmx.Model("y ~ a + (x | g)", frame).fit_eb(), large, test="kenward-roger")
    with pytest.raises(DataError, match="not nested"):
        bmx.anova(bmx.Model("y ~ I(x**2) + (1 | g)", frame).fit_eb(), large, test="kenward-roger")


def test_what_is_refused(rng: np.random.Generator) -> None:
    frame = unbalanced(rng)
    model = bmx.Model("y ~ a + x + (x | g)", frame)
    fit = model.fit_eb()
    with pytest.raises(ArgumentError, match="type=4"):
        fit.anova(4)
    with pytest.raises(ArgumentError, match="ddf"):
        fit.anova(ddf="between-within")
    with pytest.raises(FormulaError, match="no linear equation"):
        fit.test("x > 0")
    with pytest.raises(FormulaError, match="no linear equation"):
        fit.test("x * x = 1")
    with pytest.raises(FormulaError, match="sd"):
        fit.test("sd(g, x) = 0")
    with pytest.raises(ArgumentError, match="contradict"):
        fit.test(["x = 0", "x = 1"])
    assert fit.test(["x = 0", "2 * x = 0"])["num_df"][0] == 1
    with pytest.raises(NotSupportedError, match="correlated"):
        fit.exact_rlrt()
    with pytest.raises(NotSupportedError, match="REML"):
        model.fit_eb(method="ml").anova(ddf="kenward-roger")
    with pytest.raises(NotSupportedError, match="posterior mode"):
        model.fit_eb(method="map").anova()
    with pytest.raises(NotSupportedError, match="no group effects"):
        bmx.Model("y ~ x", frame).fit_eb().ranova()


def test_what_was_left_out_is_said_to_be_so() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=40), "g": np.repeat(range(8), 5)})
    data["x2"], data["y"] = 2 * data["x"], rng.normal(size=40)
    with pytest.warns(DataWarning, match="x2"):
        fit = bmx.Model("y ~ x + x2 + (1 | g)", data).fit_eb()
    for text in ("x2 = 0", "beta(x2) = x"):
        with pytest.raises(NotSupportedError, match=r"`x2` of .* was left out"):
            fit.test(text)


def test_results_of_ml_and_of_no_groups(rng: np.random.Generator) -> None:
    frame = unbalanced(rng)
    ols = bmx.Model("y ~ a + x", frame).fit_eb()
    for method in ("satterthwaite", "kenward-roger"):
        table = ols.anova(ddf=method)
        np.testing.assert_allclose(table["den_df"], len(frame) - 4, rtol=1e-4)
    assert np.isfinite(bmx.Model("y ~ a + (1 | g)", frame).fit_eb(method="ml").anova()["p"]).all()


@pytest.mark.parametrize("name", CASES)
def test_the_table_of_fixed_effects_is_lmertests_summary(
    name: str, fits: dict[str, Any], structures: dict[str, Any]
) -> None:
    for key, method in (("coef", "satterthwaite"), ("coef_kr", "kenward-roger")):
        wanted = structures[name].get(key, [])
        if not wanted:
            continue
        table = fits[name].fixed_effects(ddf=method)
        for column, theirs in (
            ("estimate", "Estimate"), ("sd", "Std. Error"), ("df", "df"), ("t", "t value"),
            ("p", "Pr(>|t|)"),
        ):  # fmt: skip
            # At 1e-175 the last digits of lme4's own search decide.
            values = [row[theirs] for row in wanted]
            np.testing.assert_allclose(table[column], values, rtol=1e-3, atol=1e-100)
        width = table["upper"] - table["estimate"]
        np.testing.assert_allclose(width, stats.t.ppf(0.975, table["df"]) * table["sd"])


def test_summaries_say_what_their_tests_rest_on(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    assert "df are Satterthwaite's" in str(fit.summary(ddf="satterthwaite"))
    assert "Kenward and Roger's: sd allows" in str(fit.summary(ddf="kenward-roger"))
    assert "Satterthwaite" not in str(fit.summary())
    assert fit.fixed_effects(tests=True).equals(fit.fixed_effects(ddf="satterthwaite"))
    with pytest.raises(NotSupportedError, match='by "ml"'):
        fit.update(method="ml").fixed_effects(ddf="kenward-roger")
    with pytest.raises(NotSupportedError, match="no tests of zero"):
        fit.update(method="map").fixed_effects(tests=True)
    with pytest.raises(ArgumentError, match="ddf"):
        fit.fixed_effects(ddf="between-within")


def test_beyond_the_normal_response_tests_are_walds(rng: np.random.Generator) -> None:
    frame = unbalanced(rng).assign(k=rng.poisson(2.0, 120))
    fit = bmx.Model("k ~ x + (1 | g)", frame, family="poisson").fit_eb()
    table = fit.fixed_effects(tests=True)
    np.testing.assert_allclose(table["z"], table["estimate"] / table["sd"])
    np.testing.assert_allclose(table["p"], 2 * stats.norm.sf(abs(table["z"])))
    assert fit.anova()["p"][0] == pytest.approx(table["p"][1])
    assert "z and p are Wald's" in str(fit.summary(tests=True))
    with pytest.raises(NotSupportedError, match="normal responses"):
        fit.fixed_effects(ddf="satterthwaite")


def test_draws_have_the_probability_of_direction(sleepstudy: pd.DataFrame) -> None:
    post = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit(
        500, chains=2, seed=1, progress=False
    )
    draws = post.idata["posterior"]["beta"].to_numpy().reshape(-1, 2)
    table = post.fixed_effects(tests=True)
    np.testing.assert_allclose(table["pd"], (draws > 0).mean(axis=0))
    # MCMCglmm: twice the smaller share, and of none half a draw.
    share = np.maximum(0.5 / len(draws), 1 - (draws > 0).mean(axis=0))
    np.testing.assert_allclose(table["p_mcmc"], 2 * share)
    assert list(table)[-5:] == ["pd", "p_mcmc", "ess_bulk", "ess_tail", "r_hat"]
    with pytest.raises(NotSupportedError, match=r"no ddf=.*pd"):
        post.fixed_effects(ddf="satterthwaite")


@pytest.mark.slow
def test_kenward_roger_keeps_the_level_with_eight_groups() -> None:
    """Four groups a treatment: the type I error of the nominal 5 %."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"g": np.repeat(np.arange(8), 5)})
    frame["treatment"] = np.where(frame["g"] < 4, "a", "b")
    frame["y"] = rng.normal(size=40)
    model = bmx.Model("y ~ treatment + (1 | g)", frame)
    n, rejected = 3000, 0
    for _ in range(n):
        y = 0.7 * rng.normal(size=8)[frame["g"]] + rng.normal(size=40)
        fit = model.with_parts(y=y).fit_eb()
        rejected += fit.test("treatment[T.b] = 0", ddf="kenward-roger")["p"][0] < 0.05
    assert 0.04 < rejected / n < 0.06


@pytest.mark.parametrize("kind", [1, 2])
def test_a_term_that_others_determine_leaves_the_others_tests(
    kind: Any, rng: np.random.Generator
) -> None:
    data = nested_data(rng).assign(x2=lambda d: 2 * d["x"])
    with pytest.warns(DataWarning, match="x2"):
        fit = bmx.Model("y ~ x + x2 + z + (1 | g)", data).fit_eb()
    with pytest.warns(DataWarning, match=f"of type {kind} of x2: .* others determine a column"):
        found = fit.anova(kind).set_index("term")
    wanted = bmx.Model("y ~ x + z + (1 | g)", data).fit_eb().anova(kind).set_index("term")
    assert found.loc["x2", "num_df"] == 0
    assert np.isnan(found.loc["x2", "p"])
    pd.testing.assert_frame_equal(found.loc[["x", "z"]], wanted.loc[["x", "z"]], rtol=1e-6)


def test_a_column_that_rounding_alone_tells_apart_is_not_tested_by_type_3(
    rng: np.random.Generator,
) -> None:
    data = nested_data(rng).assign(x2=lambda d: (2 * d["x"]).astype(np.float32))
    with pytest.warns(DataWarning, match="x2"):
        fit = bmx.Model("y ~ x + x2 + z * f + (1 | g)", data).fit_eb()
    with pytest.warns(DataWarning, match="of type 3 of x, x2"):
        found = fit.anova().set_index("term")
    assert found.loc[["x", "x2"], "num_df"].tolist() == [0, 0]
    wanted = bmx.Model("y ~ x + z * f + (1 | g)", data).fit_eb().anova().set_index("term")
    rest = ["z", "f", "z:f"]
    pd.testing.assert_frame_equal(found.loc[rest], wanted.loc[rest], rtol=1e-5)


def _sigma_by_kind(family: str) -> bmx.EmpiricalBayes:
    rng = np.random.default_rng(6)
    n = 240
    kind, x = np.array(list("abc"))[np.arange(n) % 3], rng.normal(size=n)
    g = np.repeat(np.arange(20), n // 20)
    sd = np.where(kind == "c", 2.0, 1.0)
    y = x + rng.normal(0, 0.5, 20)[g] + sd * rng.normal(size=n)
    mean, shape = np.exp(1.0 + 0.4 * x), np.where(kind == "c", 3.0, 1.5)
    k = rng.negative_binomial(shape, shape / (shape + mean))
    data = pd.DataFrame({"y": y, "k": k, "kind": kind, "x": x, "g": g})
    if family == "gaussian":
        return bmx.Model(["y ~ x + (1 | g)", "sigma ~ kind + x"], data).fit_eb()
    formulas = ["k ~ x + kind", "alpha ~ kind + x"]
    return bmx.Model(formulas, data, family="negative_binomial").fit_eb()


@pytest.mark.parametrize(("family", "parameter"), [
    ("gaussian", "sigma"), ("negative_binomial", "alpha"), ("negative_binomial", "mu"),
])  # fmt: skip
def test_terms_of_each_predictor_have_walds_tests(family: str, parameter: str) -> None:
    eb = _sigma_by_kind(family)
    table = eb.anova(parameter=parameter).set_index("term")
    covariance = eb.vcov(parameter)
    beta = eb.fixed_effects(parameter=parameter).set_index("term")["estimate"]
    names = [name for name in covariance.index if name.startswith("kind")]
    part = covariance.loc[names, names].to_numpy()
    expected = beta[names] @ np.linalg.solve(part, beta[names])
    assert table.loc["kind", "chisq"] == pytest.approx(expected, rel=1e-6)
    assert table.loc["kind", "df"] == 2
    assert table.loc["kind", "p"] == pytest.approx(stats.chi2.sf(expected, 2), rel=1e-6)
    assert table.loc["x", "chisq"] == pytest.approx(beta["x"] ** 2 / covariance.loc["x", "x"])
    if parameter != "mu":
        with pytest.raises(NotSupportedError, match=parameter):
            eb.anova(parameter=parameter, ddf="satterthwaite")
    with pytest.raises(bmx.errors.ArgumentError, match="parameter"):
        eb.anova(parameter="zi")
