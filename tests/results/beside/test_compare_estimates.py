"""Estimates side by side: of bayesmix, of statsmodels and of R."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayesmix as bmx
from bayesmix.errors import (
    DataError,
    DataWarning,
    FileError,
    NotSupportedError,
    SeparationWarning,
)
from bayesmix.results import EmpiricalBayes, EstimateComparison
from bayesmix.results.beside.matching import GroupNames, TermNames
from tests.builders import fake_posterior
from tests.results.plots.pictures import check_texts, drawn

REFERENCE = Path(__file__).parents[2] / "reference"


@pytest.fixture(scope="module")
def reml() -> EmpiricalBayes:
    data = bmx.load_dataset("sleepstudy")
    return bmx.Model("Reaction ~ Days + (Days | Subject)", data).fit_eb()


@pytest.fixture(scope="module")
def nested() -> EmpiricalBayes:
    data = pd.read_csv(REFERENCE / "nested.csv")
    return bmx.Model("y ~ x * sex + old + (1 | hospital / ward)", data).fit_eb()


@pytest.fixture(scope="module")
def mixedlm() -> Any:
    import statsmodels.formula.api as smf

    data = bmx.load_dataset("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return smf.mixedlm(
            "Reaction ~ Days", data, groups="Subject", re_formula="~Days"
        ).fit()  # fmt: skip


def assert_same(
    comparison: EstimateComparison, one: str, two: str, rtol: float, atol: float = 0.0
) -> pd.DataFrame:
    """Every quantity of the second fit is in the first, with the same estimate."""
    table = comparison.table()
    both = table[table[two].notna()]
    np.testing.assert_allclose(both[one], both[two], rtol=rtol, atol=atol)
    return both


# -- names ------------------------------------------------------------------------

TERMS = [
    "Intercept", "x", "sex[T.M]", "C(f)[T.2]", "flag[T.True]", "np.log(z)", "I(x**2)",
    "x:sex[T.M]", "old", "poly(x, 2)[1]",
]  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("(Intercept)", "Intercept"),
        ("const", "Intercept"),
        ("sexM", "sex[T.M]"),
        ("sex[T.M]", "sex[T.M]"),
        ("factor(f)2", "C(f)[T.2]"),
        ("as.factor(f)2", "C(f)[T.2]"),
        ("f2", "C(f)[T.2]"),
        ("flagTRUE", "flag[T.True]"),
        ("oldTRUE", "old"),
        ("log(z)", "np.log(z)"),
        ("I(x^2)", "I(x**2)"),
        ("I(x ** 2)", "I(x**2)"),
        ("sexM:x", "x:sex[T.M]"),
        ("`x`", "x"),
        ("poly(x, 2)1", "poly(x, 2)[1]"),
    ],
)
def test_a_term_is_known_by_its_other_names(theirs: str, ours: str) -> None:
    assert TermNames(TERMS).name(theirs) == ours


@pytest.mark.parametrize("unknown", ["sexF", "sex", "x:sexF", "xsex", "z", "M"])
def test_what_is_not_known_keeps_its_name(unknown: str) -> None:
    assert TermNames(TERMS).match(unknown) is None
    assert TermNames(TERMS).name(unknown) == unknown


def test_a_name_that_fits_two_terms_fits_none() -> None:
    known = TermNames(["a[T.bc]", "ab[T.c]", "abd", "ab[T.d]"])
    assert known.match("abc") is None
    assert known.match("abd") == "abd"  # word for word comes first


def test_levels_follow_the_order_of_the_grouping_factor() -> None:
    known = GroupNames({"h:w": ("Intercept",)}, {"h:w": ["a:1", "a:2"]}, TermNames([]))
    assert known.group("w:h") == "h:w"
    assert known.level("w:h", "1:a") == "a:1"
    assert known.level("h:w", "a:2") == "a:2"
    assert known.level("w:h", "9:b") == "b:9"  # not in our data
    assert known.group("w:h:k") == "w:h:k"


# -- bayesmix beside itself -----------------------------------------------------------


def test_the_tables_are_those_of_the_fits(reml: EmpiricalBayes, rng: np.random.Generator) -> None:
    post = fake_posterior(reml.model, rng)
    both = bmx.compare_estimates(post, reml, ci_prob=0.8)
    assert list(both.fits) == ["NUTS (invented)", "REML"]
    fixed = both.fixed_effects
    assert list(fixed.columns) == ["term", "fit", "estimate", "sd", "lower", "upper"]
    assert fixed["term"].tolist() == ["Intercept", "Intercept", "Days", "Days"]
    for name, fit in (("NUTS (invented)", post), ("REML", reml)):
        for part in ("fixed_effects", "variance_components", "correlations", "group_effects"):
            long = getattr(both, part)
            mine = long[long["fit"] == name].drop(columns="fit")
            if part == "variance_components":  # which intervals, is a matter of time
                mine = mine[["group", "effect", "variance", "sd"]]
            own = getattr(fit, part)(ci_prob=0.8)[list(mine.columns)]
            pd.testing.assert_frame_equal(mine.reset_index(drop=True), own)
    wide = both.table()
    assert list(wide.columns[4:]) == [
        "NUTS (invented)", "NUTS (invented) lower", "NUTS (invented) upper",
        "REML", "REML lower", "REML upper",
    ]  # fmt: skip
    assert len(wide) == 2 + 3 + 1 + 36
    assert wide.notna().all(axis=None)
    assert len(both.to_dataframe()) == 2 * len(wide)
    pd.testing.assert_frame_equal(
        both.table("correlations"), wide[wide["part"] == "correlations"].reset_index(drop=True)
    )


def test_fits_of_other_terms_leave_blanks(reml: EmpiricalBayes) -> None:
    other = reml.update(". ~ . - (Days | Subject) + (1 | Subject)")
    quadratic = reml.update(". ~ . + I(Days**2)", method="ml")
    table = bmx.compare_estimates(reml, other, quadratic).table().set_index(["part", "term"])
    assert list(table.columns[2:]) == [
        f"{fit}{end}" for fit in ("REML", "REML 2", "ML") for end in ("", " lower", " upper")
    ]
    square = table.loc[[("fixed_effects", "I(Days ** 2)")]].iloc[0]
    assert square[["REML", "REML 2"]].isna().all()
    assert np.isfinite(square["ML"])
    slopes = table.loc[[("variance_components", "Days")]]
    assert slopes["REML"].notna().all()
    assert slopes["REML 2"].isna().all()


def test_beyond_the_normal_and_without_groups(rng: np.random.Generator) -> None:
    data = pd.read_csv(REFERENCE / "glmm.csv")
    model = bmx.Model("count ~ x + (1 | g)", data, family="poisson")
    mixed, plain = model.fit_eb(), model.update("count ~ x").fit_eb()
    both = bmx.compare_estimates(mixed, plain, pooled=model.complete_pooling())
    assert list(both.fits) == ["ML (Laplace)", "ML (Laplace) 2", "pooled"]
    table = both.table("fixed_effects")
    np.testing.assert_allclose(table["ML (Laplace) 2"], table["pooled"], rtol=1e-5)
    np.testing.assert_allclose(table["ML (Laplace) 2 lower"], table["pooled lower"], rtol=1e-4)
    assert both.plot().axes


def test_names_of_ones_own(reml: EmpiricalBayes) -> None:
    both = bmx.compare_estimates({"a": reml, "b": reml}, c=reml)
    assert list(both.fits) == ["a", "b", "c"]
    with pytest.raises(NotSupportedError, match="two fits called 'a'"):
        bmx.compare_estimates({"a": reml}, a=reml)


def test_different_numbers_of_rows_are_told(reml: EmpiricalBayes) -> None:
    fewer = reml.update(data=bmx.load_dataset("sleepstudy").iloc[:150])
    with pytest.warns(DataWarning, match=r"rows \(all 180, some 150\)"):
        bmx.compare_estimates(all=reml, some=fewer)


# -- R --------------------------------------------------------------------------------


def test_lme4s_table_is_matched_line_by_line(reml: EmpiricalBayes) -> None:
    both = bmx.compare_estimates(reml, lme4=REFERENCE / "broom_sleepstudy.csv")
    same = assert_same(both, "REML", "lme4", rtol=1e-4)
    assert len(same) == len(both.table()) == 2 + 3 + 1 + 36
    fixed = both.table("fixed_effects")
    np.testing.assert_allclose(fixed["REML lower"], fixed["lme4 lower"], rtol=1e-5)
    given = reml.group_effects(fixed_uncertainty=False)  # lme4's condVar
    found = both.group_effects.query("fit == 'lme4'")
    np.testing.assert_allclose(found["sd"], given["sd"], rtol=1e-4)
    assert "intervals of lme4 are those of its table" in repr(both)


def test_nested_factors_contrasts_and_truth_values_of_r(nested: EmpiricalBayes) -> None:
    """lme4 calls the wards ward:hospital, the contrast sexM and the flag oldTRUE."""
    both = bmx.compare_estimates(nested, str(REFERENCE / "broom_nested.csv"))
    assert list(both.fits) == ["REML", "broom_nested"]
    same = assert_same(both, "REML", "broom_nested", rtol=1e-3, atol=1e-4)
    assert len(same) == len(both.table()) == 5 + 3 + 6 + 18
    assert set(same["group"]) == {"", "hospital", "hospital:ward", "Residual"}


def test_variances_covariances_and_coefficients_become_ours(reml: EmpiricalBayes) -> None:
    """scales = "vcov" and effects = "ran_coefs" say the same in other numbers."""
    both = bmx.compare_estimates(
        REFERENCE / "broom_sleepstudy.csv", reml, vcov=REFERENCE / "broom_vcov.csv"
    )
    same = assert_same(both, "broom_sleepstudy", "vcov", rtol=1e-8, atol=1e-10)
    assert len(same) == 42
    intervals = both.table("fixed_effects")  # made from the standard errors
    np.testing.assert_allclose(intervals["vcov lower"], intervals["REML lower"], rtol=1e-5)
    assert both.table("group_effects")["vcov lower"].isna().all()
    narrow = bmx.compare_estimates(reml, vcov=REFERENCE / "broom_vcov.csv", ci_prob=0.5)
    table = narrow.table("fixed_effects")
    np.testing.assert_allclose(table["vcov upper"], table["REML upper"], rtol=1e-5)


def test_other_spellings_of_broom(reml: EmpiricalBayes) -> None:
    """nlme has one underscore and turns pairs round, old broom the group in the term."""
    nlme = pd.DataFrame(
        {
            "effect": ["fixed", "ran_pars", "ran_pars", "ran_pars", "ran_pars"],
            "group": [None, "Subject", "Subject", "Subject", "Residual"],
            "term": ["(Intercept)", "sd_(Intercept)", "cor_Days.(Intercept)", "sd_Days",
                     "sd_Observation"],
            "estimate": [251.4, 24.74, 0.066, 5.92, 25.59],
        }
    )  # fmt: skip
    old = pd.DataFrame(
        {
            "term": ["(Intercept)", "sd_(Intercept).Subject", "cor_(Intercept).Days.Subject",
                     "sd_Days.Subject", "sd_Observation.Residual"],
            "group": ["fixed", "Subject", "Subject", "Subject", "Residual"],
            "effect": ["fixed", *["ran_pars"] * 4],
            "estimate": nlme["estimate"],
        }
    )  # fmt: skip
    both = bmx.compare_estimates(reml, nlme=nlme, old=old.assign(group=None))
    for name in ("nlme", "old"):
        assert len(assert_same(both, "REML", name, rtol=0.02)) == 5


def test_what_cannot_be_matched_stays(reml: EmpiricalBayes) -> None:
    table = pd.DataFrame(
        {
            "effect": ["fixed", "fixed", "ran_pars", "ran_pars", "ran_vals", "ran_vals", "fixed"],
            "component": ["cond", "zi", "cond", "cond", "cond", "cond", "cond"],
            "group": [None, None, "Item", "Subject", "Item", "Subject", None],
            "level": [None, None, None, None, 3.0, 308.0, None],
            "term": ["sexM", "(Intercept)", "sd__x", "phi", "x", "Days", "sexM"],
            "estimate": [1.0, -2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        }
    )
    wide = bmx.compare_estimates(reml, r=table).table()
    found = wide.loc[wide["r"].notna()].set_index("r")[["group", "level", "term"]]
    assert found.loc[1.0].tolist() == ["", "", "sexM"]
    assert found.loc[7.0].tolist() == ["", "", "sexM"]  # said twice, kept twice
    assert found.loc[-2.0].tolist() == ["", "", "zi.(Intercept)"]
    assert found.loc[3.0].tolist() == ["Item", "", "x"]
    assert found.loc[4.0].tolist() == ["", "", "phi (Subject)"]
    assert found.loc[5.0].tolist() == ["Item", "3", "x"]
    assert found.loc[6.0].tolist() == ["Subject", "308", "Days"]
    assert len(found) == len(table)


def test_names_with_dots_in_a_correlation(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"y": rng.normal(size=60), "a.b": rng.normal(size=60),
                         "g": np.tile(list("abcdef"), 10)})  # fmt: skip
    fit = bmx.Model("y ~ `a.b` + (`a.b` | g)", data).fit_eb()
    effect = fit.model.design.mu.groups[0].effects[1]
    table = pd.DataFrame({"effect": ["ran_pars"], "group": ["g"], "estimate": [0.25],
                          "term": ["cor__(Intercept).a.b"]})  # fmt: skip
    found = bmx.compare_estimates(fit, r=table).correlations.query("fit == 'r'")
    assert found[["effect_1", "effect_2"]].to_numpy().tolist() == [["Intercept", effect]]


def test_tables_of_other_kinds(reml: EmpiricalBayes) -> None:
    file = pl.read_csv(REFERENCE / "broom_sleepstudy.csv", null_values="NA")
    assert len(assert_same(bmx.compare_estimates(reml, r=file), "REML", "r", rtol=1e-4)) == 42
    own = bmx.compare_estimates(reml, own=reml.fixed_effects())
    assert (
        own.table("fixed_effects")["REML upper"].tolist()
        == own.table("fixed_effects")["own upper"].tolist()
    )


# -- statsmodels --------------------------------------------------------------------------


def test_a_mixed_model_of_statsmodels(reml: EmpiricalBayes, mixedlm: Any) -> None:
    both = bmx.compare_estimates(reml, mixedlm)
    assert list(both.fits) == ["REML", "MixedLM"]
    same = assert_same(both, "REML", "MixedLM", rtol=1e-3, atol=1e-3)
    assert len(same) == len(both.table()) == 42
    fixed = both.table("fixed_effects")
    np.testing.assert_allclose(fixed["REML lower"], fixed["MixedLM lower"], rtol=1e-4)
    given = reml.group_effects(fixed_uncertainty=False)
    found = both.group_effects.query("fit == 'MixedLM'")
    np.testing.assert_allclose(found["sd"], given["sd"], rtol=1e-3)


def test_regressions_of_statsmodels(reml: EmpiricalBayes, sleepstudy: pd.DataFrame) -> None:
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    ols = smf.ols("Reaction ~ Days", sleepstudy).fit()
    glm = sm.GLM(
        sleepstudy["Reaction"].to_numpy(), sm.add_constant(sleepstudy["Days"].to_numpy(float))
    ).fit()
    pooled = reml.model.complete_pooling(0.9)
    table = bmx.compare_estimates(reml, ols, glm, pooled=pooled, ci_prob=0.9).table()
    table = table.set_index("term")
    assert {"REML", "OLS", "GLM", "pooled"} <= set(table.columns)
    rows = ["Intercept", "Days"]
    fixed = table[table["part"] == "fixed_effects"].loc[rows]
    for end in ("", " lower", " upper"):
        np.testing.assert_allclose(fixed[f"OLS{end}"], fixed[f"pooled{end}"])
    assert table.loc["x1", "GLM"] == pytest.approx(ols.params["Days"])  # an array has no names
    assert fixed.loc["Intercept", "GLM"] == pytest.approx(ols.params["Intercept"])
    residual = table[table["group"] == "Residual"]
    assert residual["OLS"].item() == pytest.approx(np.sqrt(ols.scale))


def test_variance_components_of_statsmodels_have_their_own_rows(
    reml: EmpiricalBayes, sleepstudy: pd.DataFrame
) -> None:
    import statsmodels.formula.api as smf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = smf.mixedlm(
            "Reaction ~ Days", sleepstudy, groups="Subject", vc_formula={"slope": "0 + Days"}
        ).fit()
    table = bmx.compare_estimates(reml, fit).variance_components
    assert "vc slope" in table.query("fit == 'MixedLM'")["effect"].tolist()


def stand_in(**more: Any) -> Any:
    class Probit:
        exog_names = ("const", "Days")

    return SimpleNamespace(
        model=Probit(), params=np.asarray([1.0, 2.0]), bse=np.asarray([0.5, 0.25]),
        conf_int=lambda alpha: np.asarray([[0.0, 2.0], [1.5, 2.5]]) * (1 - alpha), **more,
    )  # fmt: skip


def test_a_result_is_known_by_what_it_has(reml: EmpiricalBayes) -> None:
    table = bmx.compare_estimates(reml, stand_in(), ci_prob=0.5).fixed_effects
    mine = table[table["fit"] == "Probit"]
    assert mine["term"].tolist() == ["Intercept", "Days"]
    assert mine["estimate"].tolist() == [1.0, 2.0]
    assert mine["upper"].tolist() == [1.0, 1.25]
    with pytest.warns(DataWarning, match="REML 180, Probit 12"):
        bmx.compare_estimates(reml, stand_in(nobs=12.0))
    odd = stand_in()
    odd.params = np.ones((2, 2))
    with pytest.raises(NotSupportedError, match="2-dimensional"):
        bmx.compare_estimates(reml, odd)


# -- errors -------------------------------------------------------------------------------


def test_what_is_refused(reml: EmpiricalBayes, tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match="at least one"):
        bmx.compare_estimates()
    with pytest.raises(NotSupportedError, match="does not know Model"):
        bmx.compare_estimates(reml.model)
    with pytest.raises(NotSupportedError, match="ci_prob=95"):
        bmx.compare_estimates(reml, ci_prob=95)
    with pytest.raises(FileError, match=r"no file .*nothing\.csv"):
        bmx.compare_estimates(tmp_path / "nothing.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(FileError, match="cannot be read"):
        bmx.compare_estimates(empty)
    with pytest.raises(DataError, match="no column 'term' or 'estimate'"):
        bmx.compare_estimates(pd.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="'estimate' of 'bad' does not hold numbers"):
        bmx.compare_estimates(bad=pd.DataFrame({"term": ["x"], "estimate": ["1,5"]}))
    with pytest.raises(DataError, match="group coefficients"):
        bmx.compare_estimates(reml, apart=reml.model.no_pooling())


# -- print and picture --------------------------------------------------------------------


@pytest.mark.parametrize("n_fits", [1, 2, 3, 7])
def test_it_prints_within_eighty_columns(n_fits: int, nested: EmpiricalBayes) -> None:
    fits = {f"a fit with a long name {k}": nested for k in range(n_fits)}
    both = bmx.compare_estimates(fits)
    text = repr(both)
    assert max(map(len, text.splitlines())) <= 80
    assert "Standard deviations" in text
    assert "and 12 more levels: .group_effects" in text
    assert "sex[T.M]" in text
    assert "<table>" in both._repr_html_()


def test_html_is_escaped(reml: EmpiricalBayes) -> None:
    html = bmx.compare_estimates({"<b>x</b>": reml})._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_the_picture_has_a_panel_for_each_quantity(reml: EmpiricalBayes, mixedlm: Any) -> None:
    both = bmx.compare_estimates(reml, mixedlm, lme4=REFERENCE / "broom_sleepstudy.csv")
    figure = both.plot()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [
        "Intercept", "Days", "sd: Intercept by Subject", "sd: Days by Subject", "sd: Residual",
        "corr: Intercept, Days by Subject", "Intercept by Subject", "Days by Subject",
    ]  # fmt: skip
    labels = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
    modes = reml.group_effects().query("effect == 'Days'").sort_values("estimate")
    assert labels == modes["level"].tolist()
    colours = {line.get_color() for line in figure.axes[0].lines if line.get_marker() != "None"}
    assert len(colours) == 3
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["REML", "MixedLM", "lme4"]
    assert len(both.plot("fixed_effects").axes) == 2
    only = both.plot("group_effects", effects="Days", max_levels=5)
    assert len(only.axes) == 1
    ends = [text.get_text() for text in only.axes[0].get_yticklabels()]
    assert ends == labels[:2] + labels[-3:]


@pytest.mark.parametrize("away", [False, True])
def test_what_cannot_be_estimated_leaves_the_panels_their_room(away: bool) -> None:
    """An empty line had its place in the corner: all panels were drawn over each other."""
    rng = np.random.default_rng(9)
    k = np.arange(360)
    data = pd.DataFrame({"g": k // 6, "f": k % 9, "h": k % 2, "x": k % 6.0})
    data["f"], data["h"] = data["f"].map("b{}".format), data["h"].map("h{}".format)
    data["y"] = rng.normal(size=60)[data["g"]] * 2 + 0.3 * data["x"] + rng.normal(size=360)
    with pytest.warns(DataWarning, match="already determine"):
        eb = bmx.Model("y ~ f * h + x + (1 | g)", data).fit_eb()
    if away:
        data["z"] = (data["x"] > 2) & (rng.uniform(size=360) < 0.5)
        with pytest.warns(SeparationWarning):
            eb = bmx.Model("z ~ C(x) + (1 | g)", data, family="bernoulli").fit_eb()
    figure = bmx.compare_estimates(eb).plot(max_levels=10)
    figure.canvas.draw()  # matplotlib warns where panels have no room
    for one, other in itertools.combinations([axis.get_position() for axis in figure.axes], 2):
        assert not one.overlaps(other)
    marks = [drawn(axis, "unknown") for axis in figure.axes]
    assert sum(map(len, marks)) == eb.fixed_effects()["estimate"].isna().sum()
    check_texts(figure)


def test_the_picture_says_what_there_is(nested: EmpiricalBayes) -> None:
    both = bmx.compare_estimates(nested)
    figure = both.plot("group_effects", group="hospital:ward")
    assert [axis.get_title() for axis in figure.axes] == ["Intercept by hospital:ward"]
    with pytest.raises(NotSupportedError, match="group='ward' is not one of 'hospital'"):
        both.plot(group="ward")
    with pytest.raises(NotSupportedError, match="no effect 'x'"):
        both.plot(effects=["x"])
    with pytest.raises(NotSupportedError, match="part='all'"):
        both.plot("all")  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="max_levels=0"):
        both.plot(max_levels=0)
    with pytest.raises(NotSupportedError, match="none of the fits has correlations"):
        both.plot("correlations")
