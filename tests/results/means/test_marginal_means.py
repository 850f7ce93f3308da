"""Grids, words, errors, posteriors and what is printed of marginal means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.inference import Draws
from bayesmix.results.means.simultaneous import simultaneous_intervals
from tests.builders import fake_posterior, non_normal


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 240
    data = pd.DataFrame(
        {
            "a": rng.choice(["low", "mid", "high"], n), "b": rng.choice(["u", "v"], n),
            "flag": rng.random(n) < 0.3, "x": rng.normal(3, 2, n),
            "dose": rng.choice([0, 1, 4], n), "two": rng.choice([0, 1], n, p=[0.8, 0.2]),
            "g": np.repeat(np.arange(24), 10),
        }
    )  # fmt: skip
    effect = data["a"].map({"low": 0.0, "mid": 1.0, "high": 2.5})
    data["y"] = effect + 0.5 * data["x"] + 0.8 * data["flag"] + rng.normal(size=24)[data["g"]]
    data["y"] += rng.normal(size=n)
    data["count"] = rng.poisson(np.exp(0.2 * effect + 0.1 * data["x"]))
    data["a"] = pd.Categorical(data["a"], ["low", "mid", "high"])
    return data


@pytest.fixture(scope="module")
def eb(frame: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("y ~ a * b + flag + x + dose + two + (1 | g)", frame).fit_eb()


@pytest.fixture(scope="module")
def post(frame: pd.DataFrame) -> bmx.Posterior:
    rng = np.random.default_rng(6)
    return fake_posterior(bmx.Model("y ~ a * b + x + (x | g)", frame), rng)


@pytest.fixture(scope="module")
def counts(frame: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("count ~ a + x + (1 | g)", frame, family="poisson").fit_eb()


def by_hand(fit: bmx.EmpiricalBayes, grid: pd.DataFrame) -> float:
    return float(fit.predict(grid, groups="population", kind="linear")["estimate"].mean())


def test_means_are_averages_over_the_grid(eb: bmx.EmpiricalBayes, frame: pd.DataFrame) -> None:
    grid = pd.MultiIndex.from_product(
        [["mid"], ["u", "v"], [False, True], [0, 1]], names=["a", "b", "flag", "two"]
    ).to_frame(index=False)
    grid = grid.assign(x=frame["x"].mean(), dose=frame["dose"].mean())
    table = eb.marginal_means("a").table
    assert table["a"].tolist() == ["low", "mid", "high"]
    assert table["estimate"][1] == pytest.approx(by_hand(eb, grid))
    moved = eb.marginal_means("a", at={"x": 1.0, "two": 0, "flag": [True]}).table
    grid = grid[(grid["two"] == 0) & grid["flag"]].assign(x=1.0)
    assert moved["estimate"][1] == pytest.approx(by_hand(eb, grid))


def test_the_mean_of_all_and_of_booleans_and_numbers(eb: bmx.EmpiricalBayes) -> None:
    whole = eb.marginal_means()
    assert len(whole) == 1
    assert whole.table["estimate"][0] == pytest.approx(
        eb.marginal_means("a").table["estimate"].mean()
    )
    assert eb.marginal_means("flag").table["flag"].tolist() == [False, True]
    assert eb.marginal_means("dose").table["dose"].tolist() == [0, 1, 4]
    found = eb.marginal_means("x", at={"x": [0, 10]}).table
    slope = eb.fixed_effects().set_index("term").loc["x", "estimate"]
    assert np.diff(found["estimate"])[0] == pytest.approx(10 * slope)
    with pytest.raises(ArgumentError, match=r"`x` is a number with 240 values; say which"):
        eb.marginal_means("x")


@pytest.mark.parametrize("text", ["a | b", "~ a | b", " a|b", ["a"]])
def test_names_may_be_written_as_a_formula(text: Any, eb: bmx.EmpiricalBayes) -> None:
    by = "b" if text == ["a"] else None
    found = eb.marginal_means(text, by)
    assert (found.factors, found.by) == (("a",), ("b",))
    assert found.table["b"].tolist() == ["u"] * 3 + ["v"] * 3
    assert len(found.contrasts()) == 6
    assert len(found.contrasts(by=[])) == 15
    assert found.contrasts(by="a").table["contrast"].tolist() == ["u - v"] * 3


def test_several_factors(eb: bmx.EmpiricalBayes) -> None:
    for text in ("a * b", "a + b", ["a", "b"], "a:b"):
        assert eb.marginal_means(text).factors == ("a", "b")
    cells = eb.marginal_means("a * b")
    assert cells.contrasts().table["contrast"][0] == "low u - low v"
    joint = eb.marginal_means("a * b").joint_test()
    assert joint["term"].tolist() == ["a", "b", "a:b"]
    # An interaction that the model does not have is no hypothesis.
    assert eb.marginal_means("a * flag").joint_test()["term"].tolist() == ["a", "flag"]
    within = eb.marginal_means("a", by="b").joint_test()
    assert within["b"].tolist() == ["u", "v"]
    assert eb.marginal_means().joint_test()["num_df"].tolist() == [1]
    assert eb.marginal_means("a").joint_test("zero")["num_df"].tolist() == [3]


def test_contrasts_of_contrasts_and_of_the_callers_own(eb: bmx.EmpiricalBayes) -> None:
    means = eb.marginal_means("a | b")
    simple = means.contrasts("reference", adjust=None)
    twice = simple.contrasts("pairwise", by="contrast", adjust=None)
    assert twice.table.columns[:2].tolist() == ["contrast_of_contrasts", "contrast"]
    terms = eb.fixed_effects().set_index("term")["estimate"]
    np.testing.assert_allclose(
        twice.table["estimate"], [-terms["a[T.mid]:b[T.v]"], -terms["a[T.high]:b[T.v]"]]
    )
    own = eb.marginal_means("a").contrasts(
        {"ends": [-1, 0, 1], "middle": {"mid": 1, "low": -0.5, "high": -0.5}}
    )
    estimate = eb.marginal_means("a").table["estimate"]
    assert own.table["estimate"][0] == pytest.approx(estimate[2] - estimate[0])
    assert own.table["contrast"].tolist() == ["ends", "middle"]
    assert means.contrasts("reference", reference="high").table["contrast"][0] == "low - high"
    effects = eb.marginal_means("a").contrasts("effects").table["estimate"]
    assert effects.sum() == pytest.approx(0, abs=1e-9)


def test_polynomials_are_in_whole_numbers(frame: pd.DataFrame) -> None:
    from bayesmix.results.means.contrast_weights import contrast_weights

    names, C = contrast_weights("polynomial", list("abcd"), list("abcd"))
    assert names == ["linear", "quadratic", "cubic"]
    assert C.tolist() == [[-3, -1, 1, 3], [1, -1, -1, 1], [-1, 3, -3, 1]]
    _, C = contrast_weights("polynomial", list("abc"), list("abc"))
    assert C.tolist() == [[-1, 0, 1], [1, -2, 1]]


def test_what_is_asked_wrongly_is_said(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    means = eb.marginal_means("a")
    for call, error, words in [
        (lambda: eb.marginal_means("aa"), DataError, "did you mean `a`"),
        (lambda: eb.marginal_means("g"), DataError, "grouping factor"),
        (lambda: eb.marginal_means("a", "a"), ArgumentError, "named twice"),
        (lambda: eb.marginal_means("pairwise ~ a"), ArgumentError, r"\.contrasts\("),
        (lambda: eb.marginal_means("a", at={"b": "w"}), DataError, "its levels are 'u', 'v'"),
        (lambda: eb.marginal_means("a", at=["b"]), ArgumentError, "dict of columns"),
        (lambda: eb.marginal_means("a", kind="response"), ArgumentError, "back_transformed"),
        (lambda: eb.marginal_means("a", kind="back_transformed"), NotSupportedError, "identity"),
        (lambda: eb.marginal_means("a", weights="outer"), ArgumentError, "weights"),
        (lambda: eb.marginal_means("a", ddf="kr"), ArgumentError, "kenward-roger"),
        (lambda: eb.marginal_means("a", marginal=True), ArgumentError, 'kind="mean"'),
        (lambda: eb.marginal_means("a", parameter="zi"), NotSupportedError, "there is mu"),
        (lambda: means.contrasts("revpairwise"), ArgumentError, "pairwise"),
        (lambda: means.contrasts("reference", adjust="tukey"), ArgumentError, "mvt"),
        (lambda: means.contrasts(adjust="scheffe"), ArgumentError, "mvt"),
        (lambda: means.contrasts({"x": [1, 2]}), ArgumentError, "must have 3 weights"),
        (lambda: means.contrasts("reference", reference="no"), ArgumentError, "none of the means"),
        (lambda: means.contrasts(rope=(-1, 1)), NotSupportedError, "tests have none"),
        (lambda: means.contrasts(by="b"), DataError, "the means are by a"),
        (lambda: eb.marginal_means().contrasts(), NotSupportedError, "nothing to compare"),
        (lambda: eb.trends("a"), NotSupportedError, "is a factor and has no slope"),
        (lambda: eb.trends("z"), DataError, "no predictor"),
        (lambda: post.marginal_means("a", ddf="satterthwaite"), NotSupportedError, "posterior"),
        (lambda: post.marginal_means("a").contrasts(adjust="holm"), ArgumentError, "simultaneous"),
        (lambda: post.marginal_means("a").contrasts(rope=(1, 0)), ArgumentError, "lower first"),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_words_of_r_lead_here(eb: bmx.EmpiricalBayes, post: bmx.Posterior) -> None:
    for fit in (eb, post):
        for word, ours in [("emmeans", r"marginal_means\(\)"), ("emtrends", r"trends\(\)"),
                           ("pairs", "contrasts"), ("joint_tests", "joint_test")]:  # fmt: skip
            with pytest.raises(AttributeError, match=ours):
                getattr(fit, word)


def test_a_posterior_has_probabilities(post: bmx.Posterior) -> None:
    means = post.marginal_means("a | b")
    assert means.table.columns[2:].tolist() == ["estimate", "sd", "lower", "upper", "pd"]
    pairs = means.contrasts(rope=(-0.5, 0.5))
    draws = post.predict_draws(
        pd.DataFrame({"a": ["low", "mid"], "b": "u", "x": post.model.design.frame["x"].mean()}),
        kind="linear", groups="population",
    )  # fmt: skip
    low, mid = np.asarray(draws).reshape(-1, 2).T
    first = pairs.table.iloc[0]
    assert first["estimate"] == pytest.approx((low - mid).mean())
    assert first["positive"] == pytest.approx((low > mid).mean())
    assert first["pd"] == max(first["positive"], 1 - first["positive"])
    assert first["rope"] == pytest.approx((np.abs(low - mid) < 0.5).mean())
    wide = means.contrasts(adjust="simultaneous").table
    assert (wide["upper"] - wide["lower"] > pairs.table["upper"] - pairs.table["lower"]).all()
    joint = means.joint_test()
    assert ((joint["contour"] >= 0) & (joint["contour"] <= 1)).all()
    assert post.trends("x", by="b").table["positive"].between(0, 1).all()
    assert "rope" in post.trends("x", rope=(-1, 1)).table


def test_simultaneous_intervals_hold_together() -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 5))
    draws = A @ rng.normal(size=(5, 4000))
    lower, upper = simultaneous_intervals(draws, 0.9)
    inside = ((draws >= lower[:, None]) & (draws <= upper[:, None])).all(axis=0).mean()
    assert 0.9 <= inside < 0.905
    one = simultaneous_intervals(draws[:1], 0.9)
    np.testing.assert_allclose(np.ravel(one), np.quantile(draws[0], [0.05, 0.95]), atol=0.1)


def test_expected_responses_and_groups(counts: bmx.EmpiricalBayes) -> None:
    plain = counts.marginal_means("a", kind="mean").table
    averaged = counts.marginal_means("a", kind="mean", marginal=True).table
    sd = counts.variance_components()["sd"][0]
    np.testing.assert_allclose(averaged["estimate"], plain["estimate"] * np.exp(sd**2 / 2))
    back = counts.marginal_means("a", kind="back_transformed").table
    np.testing.assert_allclose(back["estimate"], plain["estimate"])
    assert (back["lower"] > 0).all()
    # The slope of a mean under the log link is the slope of its logarithm times the mean.
    slope = counts.trends("x", by="a", kind="mean").table["estimate"]
    one = counts.fixed_effects().set_index("term").loc["x", "estimate"]
    np.testing.assert_allclose(slope, one * plain["estimate"], rtol=1e-6)
    assert counts.marginal_means("a").joint_test().columns.tolist() == ["term", "chisq", "df", "p"]
    assert np.isinf(counts.marginal_means("a").table["df"]).all()


def test_a_posterior_mode_has_no_tests(frame: pd.DataFrame) -> None:
    mode = bmx.Model("y ~ a + (1 | g)", frame).fit_eb("map")
    table = mode.marginal_means("a").contrasts(rope=(-1, 1)).table
    assert {"pd", "rope", "positive"} <= set(table)
    with pytest.raises(NotSupportedError, match="posterior mode"):
        mode.marginal_means("a", ddf="satterthwaite")


def test_smooths_are_part_of_means_and_cancel_in_contrasts(frame: pd.DataFrame) -> None:
    smooth = bmx.Model("y ~ a + s(x, k=5) + (1 | g)", frame).fit_eb()
    means = smooth.marginal_means("a")
    assert np.isinf(means.table["df"]).all()
    assert np.isfinite(means.contrasts().table["df"]).all()
    at = pd.DataFrame({"a": ["mid"], "x": [frame["x"].mean()]})
    theirs = smooth.predict(at, groups="population")
    np.testing.assert_allclose(means.table[["estimate", "sd"]].iloc[1],
                               theirs[["estimate", "sd"]].iloc[0], rtol=1e-8)  # fmt: skip


def test_ordered_categories_and_zero_inflation(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    post = non_normal("cumulative", "size ~ a + x + (1 | g)", frame.copy(), rng)
    means = post.marginal_means("a", kind="mean")
    assert means.table["estimate"].between(1, 3).all()
    assert "expected numbers of the category" in str(means)
    assert len(post.marginal_means("a").contrasts()) == 3
    wins = non_normal("binomial", "proportion(count, n) ~ a + x + (1 | g)", frame.copy(), rng)
    shares = wins.marginal_means("a", kind="mean")
    assert shares.table["estimate"].between(0, 1).all()
    assert "of one trial" in str(shares)


def test_files_and_the_bootstrap(post: bmx.Posterior, frame: pd.DataFrame, tmp_path: Path) -> None:
    post.save(tmp_path / "fit.nc")
    again = bmx.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(again.marginal_means("a").table, post.marginal_means("a").table)
    fit = bmx.Model("y ~ a + (1 | g)", frame).fit_eb()
    fit.save(tmp_path / "eb.nc")
    pd.testing.assert_frame_equal(
        bmx.load(tmp_path / "eb.nc").marginal_means("a").table, fit.marginal_means("a").table
    )
    boot = fit.bootstrap(60, seed=1, progress=False)
    table = boot.marginal_means("a").contrasts().table
    np.testing.assert_allclose(
        table["estimate"], fit.marginal_means("a").contrasts().table["estimate"], atol=0.1
    )


def test_it_prints_and_draws(eb: bmx.EmpiricalBayes, counts: bmx.EmpiricalBayes) -> None:
    means = eb.marginal_means("a", by="b")
    text = str(means)
    assert text.startswith("Marginal means of a within b\n")
    assert "Averaged over flag, two, with equal weights." in text
    assert "degrees of freedom by Satterthwaite" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "<table>" in means._repr_html_()
    assert "Tukey" in str(means.contrasts())
    letters = means.letters()
    assert letters["letters"].str.len().gt(0).all()
    axis = means.plot().axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == [
        "b u", "low", "mid", "high", "b v", "low", "mid", "high"
    ]  # fmt: skip
    np.testing.assert_allclose(
        [line.get_xdata()[0] for line in axis.lines], means.table["estimate"]
    )
    ratios = counts.marginal_means("a", kind="back_transformed").contrasts()
    assert ratios.plot().axes[0].get_xscale() == "log"
    with pytest.raises(NotSupportedError, match="there is one"):
        eb.marginal_means().plot(arrows=True)


class Several(bmx.Model):
    """A model of several formulas, whatever engines know of it."""

    _takes_several_formulas = True


def test_each_linear_predictor_has_means(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(4)
    model = Several(["count ~ a + (1 | g)", "zi ~ b"], frame, family="zero_inflated_poisson")
    shape = (2, 100)
    drawn = {
        "beta": rng.normal(size=(*shape, 3)), "sd_g": rng.gamma(5, 0.1, (*shape, 1)),
        "b_g": rng.normal(size=(*shape, 24, 1)), "zi_beta": rng.normal(size=(*shape, 2)),
    }  # fmt: skip
    post = bmx.Posterior(
        model, Draws(posterior=drawn, sample_stats={}, engine="none", seconds={}, seed=1, tune=0)
    )
    beta, zi = drawn["beta"].reshape(-1, 3), drawn["zi_beta"].reshape(-1, 2)
    linear = post.marginal_means("b", parameter="zi").table["estimate"]
    np.testing.assert_allclose(linear, [zi[:, 0].mean(), zi.sum(axis=1).mean()])
    share = special.expit(np.stack([zi[:, 0], zi.sum(axis=1)]))
    for kind in ("mean", "back_transformed"):
        found = post.marginal_means("b", parameter="zi", kind=kind).table  # type: ignore[arg-type]
        np.testing.assert_allclose(found["estimate"], share.mean(axis=1))
    odds = post.marginal_means("b", parameter="zi", kind="back_transformed").contrasts()
    assert odds.table["estimate"][0] == pytest.approx(np.exp(-zi[:, 1]).mean())
    # The expected count knows both predictors: averaged over b, which mu does not have.
    mean = post.marginal_means("a", kind="mean").table["estimate"]
    expected = (np.exp(beta[:, 0]) * (1 - share)).mean()
    assert mean[0] == pytest.approx(expected)
    assert "Averaged over b" in str(post.marginal_means("a", kind="mean"))
    assert "Averaged over" not in str(post.marginal_means("a"))


def test_the_logarithm_of_sigma_has_means(frame: pd.DataFrame) -> None:
    eb = bmx.Model(["y ~ a + x + (1 | g)", "sigma ~ b + dose"], frame).fit_eb()
    theirs = eb.fixed_effects(parameter="sigma").set_index("term")
    pairs = eb.marginal_means("b", parameter="sigma").contrasts().table
    assert pairs["estimate"][0] == pytest.approx(-theirs.loc["b[T.v]", "estimate"])
    assert pairs["sd"][0] == pytest.approx(theirs.loc["b[T.v]", "sd"])
    slope = eb.trends("dose", parameter="sigma").table
    assert slope["sd"][0] == pytest.approx(theirs.loc["dose", "sd"], rel=1e-6)
    sd = eb.marginal_means("b", parameter="sigma", kind="mean").table
    logs = eb.marginal_means("b", parameter="sigma").table
    np.testing.assert_allclose(sd["estimate"], np.exp(logs["estimate"]))
    np.testing.assert_allclose(sd["sd"], sd["estimate"] * logs["sd"], rtol=1e-6)


def test_what_is_zero_has_no_test(frame: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ x + (1 | g)", frame).fit_eb()
    curve = eb.marginal_means("x", at={"x": [0, 1, 2, 3]}).contrasts("polynomial").table
    assert curve["estimate"].tolist()[1:] == [0.0, 0.0]
    assert curve["p"].isna().tolist() == [False, True, True]


def test_other_words_for_arguments_and_columns_lead_on(eb: bmx.EmpiricalBayes) -> None:
    means = eb.marginal_means("a")
    for call, words in [
        (lambda: eb.marginal_means(specs="a"), "take factors= and by="),  # type: ignore[call-arg]
        (lambda: eb.marginal_means("a", type="response"), 'take kind="linear"'),  # type: ignore[call-arg]
        (lambda: eb.trends(var="x"), "take variable="),  # type: ignore[call-arg]
        (lambda: means.contrasts(method="pairwise"), "take kind="),  # type: ignore[call-arg]
    ]:
        with pytest.raises(NotSupportedError, match=words):
            call()
    for name, ours in [("pairs", "contrasts"), ("cld", "letters"), ("to_csv", "table")]:
        with pytest.raises(AttributeError, match=ours):
            getattr(means, name)
    assert not hasattr(means, "nonsense")


def test_a_report_has_the_tables_that_are_asked_for(
    eb: bmx.EmpiricalBayes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(eb), "_pictures", lambda _: [])
    means = eb.marginal_means("a")
    tables = {"Levels of a": means, "Letters": means.letters()}
    page = eb.report(tmp_path / "fit.html", tables=tables).read_text()
    assert "<caption>Levels of a</caption>" in page
    assert "degrees of freedom by Satterthwaite" in page
    assert "<caption>Letters</caption>" in page
    with pytest.raises(ArgumentError, match="dict of tables"):
        eb.report(tmp_path / "fit.html", tables=[means])  # type: ignore[arg-type]


def test_laplace_of_several_predictors_is_exact(reference_folder: Path) -> None:
    frame = pd.read_csv(reference_folder / "data" / "salamanders.csv")
    formulas = ["count ~ mined + (1 | site)", "zi ~ mined"]
    eb = bmx.Model(formulas, frame, family="zero_inflated_poisson").fit_eb()
    for parameter in ("mu", "zi"):
        theirs = eb.fixed_effects(parameter=parameter)
        means = eb.marginal_means("mined", parameter=parameter)
        mine, slope = means.table, means.contrasts().table
        np.testing.assert_allclose(mine[["estimate", "sd"]].iloc[0],
                                   theirs[["estimate", "sd"]].iloc[0], rtol=1e-6)  # fmt: skip
        assert slope["estimate"][0] == pytest.approx(-theirs["estimate"][1])
        assert slope["sd"][0] == pytest.approx(theirs["sd"][1])
    new = pd.DataFrame({"mined": ["no", "yes"]})
    drawn = eb.predict(new, groups="population")
    mean = eb.marginal_means("mined", kind="mean").table
    np.testing.assert_allclose(mean["estimate"], drawn["estimate"], rtol=0.02)
    np.testing.assert_allclose(mean["sd"], drawn["sd"], rtol=0.1)
    averaged = eb.marginal_means("mined", kind="mean", marginal=True)
    assert (averaged.table["estimate"] > mean["estimate"]).all()
    assert "of draws around the mode" in str(averaged)
