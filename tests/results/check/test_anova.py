"""Likelihood-ratio tests are of nested models of the same data, and of nothing else."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, DataWarning, NotSupportedError
from bayesmix.results.check.nested import covariance_is_nested

anova_module = importlib.import_module("bayesmix.results.check.anova")

SLEEP = "Reaction ~ Days + (Days | Subject)"


def test_anova_of_the_random_part_compares_reml_fits(sleepstudy: pd.DataFrame) -> None:
    one = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    two = bmx.Model(SLEEP, sleepstudy).fit_eb()
    table = bmx.anova(two, one)
    assert list(table["df"]) == [4, 6]
    assert table["chisq"][1] == pytest.approx(1786.4650853949 - 1743.62827196, abs=1e-4)
    assert table["p_value"][1] == pytest.approx(stats.chi2(2).sf(table["chisq"][1]))


def test_anova_of_the_fixed_part_refits_by_ml(sleepstudy: pd.DataFrame) -> None:
    one = bmx.Model("Reaction ~ 1 + (Days | Subject)", sleepstudy).fit_eb()
    two = bmx.Model(SLEEP, sleepstudy).fit_eb()
    table = bmx.anova(one, two)
    assert set(table["method"]) == {"ml"}
    # Published: lme4's anova of these two models, chisq 23.537 on 1 df, p 1.226e-06.
    assert table["chisq"][1] == pytest.approx(23.537, abs=1e-3)
    assert table["p_value"][1] == pytest.approx(1.226e-06, rel=1e-3)


def test_the_same_rows_may_come_from_another_table(sleepstudy: pd.DataFrame) -> None:
    data = sleepstudy.assign(age=np.arange(180) % 7.0)
    data.loc[[3, 50], "age"] = np.nan
    with pytest.warns(DataWarning, match="left out"):
        aged = bmx.Model("Reaction ~ Days + age + (1 | Subject)", data).fit_eb("ml")
    plain = bmx.Model("Reaction ~ Days + (1 | Subject)", data).fit_eb("ml")
    with pytest.raises(DataError, match="178 rows of 180 and 180 of 180"):
        bmx.anova(plain, aged)
    table = bmx.anova(plain.update(data=data.dropna()), aged)
    dropped = aged.drop1().set_index("term")
    assert table["chisq"][1] == pytest.approx(dropped["chisq"]["age"], abs=1e-5)


def test_anova_refuses_what_does_not_compare(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model(SLEEP, sleepstudy).fit_eb()
    with pytest.raises(DataError, match="other data"):
        bmx.anova(fit, bmx.Model(SLEEP, sleepstudy.head(170)).fit_eb())
    with pytest.raises(NotSupportedError, match="posterior mode"):
        bmx.anova(fit, fit.model.fit_eb("map"))
    with pytest.raises(NotSupportedError, match="two or more"):
        bmx.anova(fit)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 160
    g, h = np.repeat(np.arange(20), 8), np.tile(np.arange(8), 20)
    x, u = rng.normal(size=n), rng.normal(size=n)
    mean = 1 + 0.3 * x + 0.5 * rng.normal(size=20)[g] + 0.8 * rng.normal(size=8)[h]
    return pd.DataFrame(
        {
            "g": g, "h": h, "x": x, "u": u, "w": rng.uniform(1, 2, size=n),
            "y": mean + rng.normal(size=n), "count": rng.poisson(np.exp(mean)),
        }
    )  # fmt: skip


def fit(data: pd.DataFrame, text: str = "y ~ x + (1 | g)", **more: Any) -> bmx.EmpiricalBayes:
    return bmx.Model(text, data, **more).fit_eb("ml")


def test_anova_names_the_row_data_that_differ(rows: pd.DataFrame) -> None:
    plain, larger = fit(rows), "y ~ x + (x | g)"
    with pytest.raises(DataError, match=r"different values of weights$"):
        bmx.anova(plain, fit(rows, larger, weights="w"))
    with pytest.raises(DataError, match=r"different values of known_se$"):
        bmx.anova(fit(rows, larger, known_se="w"), plain)
    weights = 2 * rows["w"].to_numpy()
    with pytest.raises(DataError, match=r"different values of weights$"):
        bmx.anova(fit(rows, weights="w"), fit(rows, larger, weights=weights))
    with pytest.raises(DataError, match="different offsets"):
        bmx.anova(plain, fit(rows, "y ~ x + offset(u) + (x | g)"))
    with pytest.raises(DataError, match="the responses"):
        bmx.anova(plain, fit(rows, "np.exp(y) ~ x + (x | g)"))
    same = bmx.anova(fit(rows, weights="w"), fit(rows, larger, weights=rows["w"].to_numpy()))
    assert same["p_value"].notna().iloc[1]


@pytest.mark.parametrize("column", ["g", "x"])
def test_anova_names_columns_with_other_values(column: str, rows: pd.DataFrame) -> None:
    other = rows.assign(**{column: rows[column].to_numpy()[::-1]})
    with pytest.raises(DataError, match=f"column `{column}`$"):
        bmx.anova(fit(rows), fit(other, "y ~ x + (x | g)"))


def test_levels_may_be_stored_in_another_way(rows: pd.DataFrame) -> None:
    texts = rows.assign(g=rows["g"].astype(str).astype("category"))
    table = bmx.anova(fit(rows), fit(texts, "y ~ x + (x | g)"))
    assert table["chisq"].iloc[1] >= 0


def test_an_offset_may_become_a_coefficient(rows: pd.DataFrame) -> None:
    held, free = fit(rows, "y ~ 1 + offset(x) + (1 | g)"), fit(rows, "y ~ x + (1 | g)")
    table = bmx.anova(held, free)
    assert table["chisq"].iloc[1] == pytest.approx(held.deviance - free.deviance)
    assert table["p_value"].iloc[1] < 1e-6  # the coefficient is 0.3


def test_anova_compares_models_of_one_family(rows: pd.DataFrame) -> None:
    text = "count ~ x + (1 | g)"
    poisson = fit(rows, text, family="poisson")
    with pytest.raises(NotSupportedError, match="gaussian family"):
        bmx.anova(poisson, fit(rows, text))
    wider = fit(rows, text, family="negative_binomial")
    table = bmx.anova(poisson, wider)
    assert table["chisq"].iloc[1] == pytest.approx(2 * (wider.loglik - poisson.loglik))
    finer = bmx.Model("count ~ x + u + (1 | g)", rows, family="poisson").fit_eb(n_quadrature=5)
    with pytest.raises(NotSupportedError, match="n_quadrature=1 and n_quadrature=5"):
        bmx.anova(poisson, finer)


@pytest.mark.parametrize(
    ("small", "large", "why"),
    [
        ("y ~ x + (1 | h)", "y ~ u + (u | g)", "no effects by h"),
        ("y ~ x + (1 | g)", "y ~ u + (u | g)", "lacks fixed effects"),
        ("y ~ x + (1 | g)", "y ~ u + I(u**2) + (1 | g)", "lacks fixed effects"),
    ],
)
def test_models_that_are_not_nested_have_no_test(
    small: str, large: str, why: str, rows: pd.DataFrame
) -> None:
    with pytest.warns(DataWarning, match=f"not nested.*{why}"):
        table = bmx.anova(fit(rows, large), fit(rows, small))
    assert table[["chisq", "p_value"]].isna().all(axis=None)
    assert table["aic"].notna().all()


def test_another_coding_of_a_factor_is_nested(rows: pd.DataFrame) -> None:
    data = rows.assign(f=(rows["h"] % 3).astype(str))
    table = bmx.anova(fit(data, "y ~ 1 + (1 | g)"), fit(data, "y ~ 0 + f + (1 | g)"))
    assert table["p_value"].notna().iloc[1]


def test_a_higher_deviance_of_the_larger_model_is_no_test(rows: pd.DataFrame) -> None:
    small, large = fit(rows), fit(rows, "y ~ x + (x | g)")
    # As where the search of the larger one ended early.
    large._law.optimum = replace(large._law.optimum, criterion=large._law.optimum.criterion + 9.0)
    assert large.deviance > small.deviance + 1
    with pytest.warns(DataWarning, match="its deviance is higher"):
        table = bmx.anova(small, large)
    assert np.isnan(table["p_value"].iloc[1])


def test_models_of_the_same_size_have_no_test(rows: pd.DataFrame) -> None:
    table = bmx.anova(fit(rows), fit(rows, "y ~ u + (1 | g)"))
    assert table["chisq_df"].iloc[1] == 0
    assert table[["chisq", "p_value"]].isna().all(axis=None)


def test_an_interaction_is_the_same_in_another_order(rows: pd.DataFrame) -> None:
    data = rows.assign(a=rows["g"] // 4, b=rows["h"] // 2)
    table = bmx.anova(fit(data, "y ~ 1 + (1 | a:b)"), fit(data, "y ~ x + (1 | b:a)"))
    assert table["p_value"].notna().iloc[1]


SCORES = """
52.0 52.8 53.1 51.8 52.8 53.1 60.0 60.2 58.4 51.1 52.3 50.3 50.9 51.8 51.4 46.4 44.8 49.2
62.1 62.6 64.0 59.7 60.0 59.0 68.6 65.8 69.7 63.2 62.8 62.2 64.8 65.0 65.4 43.7 44.2 43.0
67.5 67.2 66.9 61.5 61.7 62.3 70.8 70.6 71.0 64.1 66.2 64.0 72.1 72.0 71.1 62.0 61.4 60.5
"""  # productivity of six workers on machines A, B and C (Milliken and Johnson 1992)


@pytest.fixture(scope="module")
def machines() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "score": [float(word) for word in SCORES.split()],
            "Machine": np.repeat(["A", "B", "C"], 18),
            "Worker": np.tile(np.repeat(np.arange(6), 3), 3),
        }
    )


def test_compound_symmetry_is_nested_in_a_free_covariance(machines: pd.DataFrame) -> None:
    one = bmx.Model("score ~ Machine + (1 | Worker/Machine)", machines).fit_eb()
    two = bmx.Model("score ~ Machine + (0 + Machine | Worker)", machines).fit_eb()
    row = bmx.anova(one, two).iloc[1]
    # lme4's anova(refit = FALSE): chisq 7.37635 on 4 df, p 0.11729.
    assert row["chisq"] == pytest.approx(7.37635, abs=2e-4)
    assert row["chisq_df"] == 4
    assert row["p_value"] == pytest.approx(0.11729, abs=1e-5)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ("(1 | g)", "(x | g)", "yes"),
        ("(x || g)", "(x | g)", "yes"),
        ("(x | g)", "(x || g)", "no"),
        ("(0 + x | g)", "(x || g)", "yes"),
        ("(I(x - 3) | g)", "(x | g)", "yes"),
        ("(I(x - 3) || g)", "(x | g)", "yes"),
        ("(I(x - 3) || g)", "(x || g)", "no"),
        ("(I(x - 2000) | g)", "(u + x | g)", "yes"),
        ("(x | g)", "(u | g) + (1 | h)", "no"),
        ("(1 | g/f)", "(0 + f | g)", "yes"),
        ("(1 | g) + (1 | g:f)", "(f | g)", "yes"),
        ("(1 | g:f)", "(f | g)", "yes"),
        ("(0 + f || g)", "(f | g)", "yes"),
        ("(1 | g)", "(0 + f || g)", "no"),
        ("(1 | g:f)", "(0 + f || g)", "yes"),
        ("(1 | g)", "(1 | g:f)", "no"),
        ("(1 | f:g)", "(1 | g:f) + (1 | h)", "yes"),
        ("(0 + f | g)", "(1 | g/f)", "no"),
        ("(x | g:f)", "(0 + f + f:x | g)", "yes"),
        ("(1 | h)", "(x | g)", "no"),
    ],
)
def test_nested_is_what_the_larger_covariance_can_be(
    small: str, large: str, expected: str, rows: pd.DataFrame
) -> None:
    data = rows.assign(f=np.where(np.arange(len(rows)) % 3 == 0, "a", "b"))
    designs = [bmx.Model(f"y ~ u + {text}", data).design for text in (small, large)]
    found = covariance_is_nested(designs[0].mu.groups, designs[1].mu.groups, np.ones(len(data)))
    assert found == expected


def test_a_negative_variance_is_no_special_case(rows: pd.DataFrame) -> None:
    """Within a level of two rows, (1 | g) is in the span of (1 | pair) and the residual."""
    data = rows.assign(pair=np.arange(len(rows)) // 2, sign=np.tile([1.0, -1.0], len(rows) // 2))
    designs = [
        bmx.Model(f"y ~ u + {text}", data).design for text in ("(0 + sign | pair)", "(1 | pair)")
    ]
    # s s' = 2 I - 1 1' in each pair: the intercept's variance would be below zero.
    groups = [design.mu.groups for design in designs]
    assert covariance_is_nested(groups[0], groups[1], np.ones(len(data))) == "no"
    assert covariance_is_nested(groups[0], groups[1], None) == "no"


def test_where_nestedness_does_not_show_the_test_says_so(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fit(rows, "count ~ x + (1 | g)", family="poisson")
    large = fit(rows, "count ~ x + (x | g)", family="poisson")
    monkeypatch.setattr(anova_module, "covariance_is_nested", lambda *_: "unknown")
    with pytest.warns(DataWarning, match="does not show.*the test takes it to be"):
        table = bmx.anova(small, large)
    assert table["p_value"].notna().iloc[1]


def test_bootstrap_p_values_are_those_of_theory(sleepstudy: pd.DataFrame) -> None:
    slopes = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    uncorrelated = bmx.Model("Reaction ~ Days + (Days || Subject)", sleepstudy).fit_eb()
    table = bmx.anova(slopes, uncorrelated, test="bootstrap", n=400, seed=1, progress=False)
    row = table.iloc[1]
    assert table["method"].tolist() == ["reml", "reml"]
    assert row["n_refits"] == 400
    assert row["p_error"] == pytest.approx(np.sqrt(row["p_value"] * (1 - row["p_value"]) / 400))
    # No variance is at its boundary, so that the chi-square is near.
    assert row["p_value"] == pytest.approx(row["p_lrt"], abs=0.06)
    # pbkrtest counts the data as one more response.
    strong = bmx.anova(slopes, slopes.update(". ~ . - Days"), test="bootstrap", n=99, seed=1,
                       progress=False)  # fmt: skip
    assert strong["p_value"][1] == pytest.approx(0.01)
    assert strong["method"].tolist() == ["ml", "ml"]


def test_the_bootstrap_knows_that_a_variance_is_at_its_boundary(rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": rng.normal(size=60)})
    frame["y"] = rng.normal(size=60) + 0.35 * rng.normal(size=10)[frame["g"]]
    one = bmx.Model("y ~ x + (1 | g)", frame).fit_eb()
    none = bmx.Model("y ~ x", frame).fit_eb()
    row = bmx.anova(none, one, test="bootstrap", n=600, seed=1, progress=False).iloc[1]
    exact = one.exact_rlrt(seed=1).iloc[0]
    assert row["p_value"] < 0.75 * row["p_lrt"]
    assert abs(row["p_value"] - exact["p"]) < 4 * row["p_error"]


def test_the_bootstrap_tests_counts_and_refuses_what_is_not_nested(
    rng: np.random.Generator,
) -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": rng.normal(size=60)})
    frame["z"] = rng.normal(size=60)
    frame["k"] = rng.poisson(np.exp(0.3 + 0.4 * rng.normal(size=10)[frame["g"]]))
    whole, without, other = (
        bmx.Model(f"k ~ {term} + (1 | g)", frame, family="poisson").fit_eb()
        for term in ("x + z", "x", "np.exp(x)")
    )
    row = bmx.anova(without, whole, test="bootstrap", n=60, seed=1, progress=False).iloc[1]
    assert abs(row["p_value"] - row["p_lrt"]) < 0.2
    with (
        pytest.raises(NotSupportedError, match="not nested"),
        pytest.warns(DataWarning, match="not nested"),
    ):
        bmx.anova(other, whole, test="bootstrap", n=20)
    with pytest.raises(ArgumentError, match="two fits"):
        bmx.anova(without, whole, other, test="bootstrap")


def test_models_of_one_first_formula_are_told_apart(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"t": np.tile(range(4), 10), "g": np.repeat(range(10), 4)})
    data["y"] = rng.normal(size=40)
    fits = [
        bmx.Model(["y ~ t", f"residual ~ {word}(t | g)"], data).fit_eb("ml")
        for word in ("ar1", "toep")
    ]
    table = bmx.anova(*fits)
    assert table["model"].tolist() == [
        "y ~ t; residual ~ ar1(t | g)",
        "y ~ t; residual ~ toep(t | g)",
    ]
    assert table["chisq_df"][1] == 2


@pytest.mark.parametrize(
    ("small", "large", "reason"),
    [
        ([], ["residual ~ ar1(t | g)"], ""),
        (["residual ~ ar1(t | g)"], ["residual ~ toep(t | g)"], ""),
        (["residual ~ ar1(t | g)"], ["residual ~ toep(age | g)"], ""),
        (["residual ~ ar1(s | g)"], ["residual ~ us(t | g)"], ""),
        (["residual ~ cs(g)"], ["residual ~ toep(t | g)"], ""),
        (["residual ~ exp(t | g)"], ["residual ~ us(t | g)"], ""),
        (["sigma ~ C(t)"], ["residual ~ us(t | g)"], ""),
        (["sigma ~ x"], ["sigma ~ x + C(t)"], ""),
        ([], ["sigma ~ 0 + C(t)"], ""),
        (["residual ~ ar1(t | g)"], ["sigma ~ C(t)"], "residuals of the latter are independent"),
        (["residual ~ cs(g)"], ["sigma ~ x", "residual ~ ar1(t | g)"], "cannot have each corr"),
        (["residual ~ ar1(t | g)"], ["residual ~ toep(s | g)"], "cannot have each correlation"),
        (["sigma ~ x"], ["residual ~ toep(t | g)"], "has no formula of sigma"),
        (["sigma ~ x"], ["residual ~ us(t | g)"], "has no formula of sigma"),
        (["sigma ~ x"], ["sigma ~ C(t)"], "sigma of the latter lacks columns"),
        ([], ["sigma ~ 0 + x + s"], "cannot be one number"),
    ],
)
def test_residuals_and_sigma_are_nested_or_not(
    small: list[str], large: list[str], reason: str, rng: np.random.Generator
) -> None:
    data = pd.DataFrame({"t": np.tile(range(4), 30), "g": np.repeat(range(30), 4)})
    data["s"] = data["t"].map({0: 0, 1: 2, 2: 1, 3: 3})
    data["age"] = 7 + data["g"] % 5 - data["t"]
    data["x"] = rng.normal(size=120)
    data["y"] = rng.normal(size=120) + rng.normal(size=30)[data["g"]]
    fits = [bmx.Model(["y ~ t", *more], data).fit_eb("ml") for more in (small, large)]
    if not reason:
        table = bmx.anova(*fits)
        assert table["chisq"][1] >= 0
        assert 0 < table["p_value"][1] <= 1
        return
    with pytest.warns(DataWarning, match=reason):
        table = bmx.anova(*fits)
    assert np.isnan(table["p_value"][1])


def test_formulas_of_other_parameters_are_nested_or_not(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"x": rng.normal(size=200), "g": np.arange(200) % 8})
    data["y"] = np.where(rng.random(200) < 0.3, 0, rng.poisson(3, 200))
    fits = {
        text: bmx.Model(["y ~ x", text], data, family="zero_inflated_poisson").fit_eb()
        for text in ("zi ~ 1", "zi ~ x", "zi ~ 1 + (1 | g)")
    }
    assert 0 < bmx.anova(fits["zi ~ 1"], fits["zi ~ x"])["p_value"][1] <= 1
    other = bmx.Model(["y ~ x + (1 | g)", "zi ~ 1"], data, family="zero_inflated_poisson")
    with pytest.warns(DataWarning, match="zi of the latter lacks columns"):
        table = bmx.anova(fits["zi ~ x"], other.update("y ~ x + (x | g)").fit_eb())
    assert np.isnan(table["p_value"]).all()


def test_rules_for_a_covariance_lie_within_each_other() -> None:
    """Chi-squares of maxima over explicit 8 x 8 covariances by BFGS; no doubt is raised."""
    rng = np.random.default_rng(116)
    n_groups, t = 40, np.repeat(np.arange(4), 2)
    S = [[1, 0.5, 0.3, 0.2], [0.5, 1.5, 0.6, 0.3], [0.3, 0.6, 1.2, 0.5], [0.2, 0.3, 0.5, 0.8]]
    b = rng.normal(size=(n_groups, 4)) @ np.linalg.cholesky(np.array(S)).T
    data = pd.DataFrame({"g": np.repeat(np.arange(n_groups), 8), "t": np.tile(t, n_groups)})
    effect = b[data["g"], data["t"]]
    data["y"] = 2 + 0.3 * data["t"] + effect + rng.normal(size=len(data)) * 0.7
    data["f"] = np.array(list("abcd"))[data["t"]]
    terms = {
        "homdiag": "homdiag(0 + f | g)", "diag": "diag(0 + f | g)", "homcs": "homcs(f | g)",
        "cs": "cs(f | g)", "ar1": "ar1(t | g)", "hetar1": "hetar1(t | g)", "toep": "toep(t | g)",
        "homtoep": "homtoep(t | g)", "one": "rr(0 + f | g, d=1)", "two": "rr(0 + f | g, d=2)",
        "us": "(0 + f | g)",
    }  # fmt: skip
    fits = {name: bmx.Model(f"y ~ t + {term}", data).fit_eb("ml") for name, term in terms.items()}
    for small, large, chisq, df in [
        ("homdiag", "diag", 4.16870, 3), ("homdiag", "homcs", 22.01629, 1),
        ("homcs", "cs", 4.77676, 3), ("cs", "us", 3.36196, 5), ("ar1", "hetar1", 5.13756, 3),
        ("homtoep", "toep", 5.11054, 3), ("toep", "us", 2.24983, 3), ("one", "two", 25.01256, 3),
        ("two", "us", 39.96880, 3),
    ]:  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataWarning)
            found = bmx.anova(fits[small], fits[large]).iloc[1]
        assert found["chisq"] == pytest.approx(chisq, abs=2e-5)
        assert found["chisq_df"] == df
    with pytest.warns(DataWarning, match="rules for the covariance of effects"):
        bmx.anova(fits["one"], fits["cs"])
