"""Forests show the tables, and their labels can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.results.plots.forest import ForestRow, plot_forest
from bayesmix.results.plots.labels import wrap
from tests.builders import fake_posterior, long_names, non_normal
from tests.results.plots.pictures import check_texts, segments

TEXT = "y ~ x + z + f + (x | g) + (1 | h:ward)"


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(bmx.Model(TEXT, data), rng)


def labels(axis) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axis.get_yticklabels()]


def points(axis) -> list[float]:  # type: ignore[no-untyped-def]
    return [float(line.get_xdata()[0]) for line in axis.lines if line.get_marker() == "o"]


def test_fixed_effects_are_those_of_the_table(post: bmx.Posterior) -> None:
    axis = post.plot_fixed_effects(ci_prob=0.8, ci_kind="hdi").axes[0]
    table = post.fixed_effects(0.8, ci_kind="hdi").iloc[1:]
    assert labels(axis) == list(table["term"])
    np.testing.assert_allclose(points(axis), table["estimate"])
    np.testing.assert_allclose(segments(axis), table[["lower", "upper"]])
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first on top
    assert axis.get_xlabel() == "coefficient, 80 % interval"


def test_terms_are_chosen_by_coefficient_or_term(post: bmx.Posterior) -> None:
    assert labels(post.plot_fixed_effects(intercept=True).axes[0])[0] == "Intercept"
    assert labels(post.plot_fixed_effects(["f", "x"]).axes[0]) == ["f[T.low]", "f[T.mid]", "x"]
    assert labels(post.plot_fixed_effects("Intercept").axes[0]) == ["Intercept"]
    with pytest.raises(NotSupportedError, match=r"no fixed effect 'f\[T.lowe\]'; did you mean"):
        post.plot_fixed_effects(["f[T.lowe]"])
    with pytest.raises(NotSupportedError, match="names no fixed effect"):
        post.plot_fixed_effects([])


def test_only_an_intercept_is_drawn_and_nothing_is_refused(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    only = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng)
    assert labels(only.plot_fixed_effects().axes[0]) == ["Intercept"]
    with pytest.raises(NotSupportedError, match="no fixed effect but the intercept"):
        only.plot_fixed_effects(intercept=False)
    none = fake_posterior(bmx.Model("y ~ 0 + (1 | g)", data), rng)
    with pytest.raises(NotSupportedError, match="has no fixed effects"):
        none.plot_fixed_effects()


def test_coefficients_per_standard_deviation(post: bmx.Posterior, data: pd.DataFrame) -> None:
    plain, scaled = post.plot_fixed_effects("x"), post.plot_fixed_effects("x", per_sd=True)
    ratio = points(scaled.axes[0])[0] / points(plain.axes[0])[0]
    assert ratio == pytest.approx(data["x"].std())
    assert "per sd" in scaled.axes[0].get_xlabel()


def test_ratios_have_a_logarithmic_axis_and_one_in_the_middle(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("poisson", "count ~ x + (1 | g)", data, rng)
    axis = post.plot_fixed_effects(exponentiate=True).axes[0]
    table = post.fixed_effects(exponentiate=True).iloc[1:]
    np.testing.assert_allclose(points(axis), table["estimate"])
    np.testing.assert_allclose(segments(axis), table[["lower", "upper"]])
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel().startswith("rate ratios")
    assert 1.0 in axis.get_xticks()
    check_texts(axis.figure)
    normal = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    with pytest.raises(NotSupportedError, match="exponentiate=True makes no sense"):
        normal.plot_fixed_effects(exponentiate=True)


def test_intervals_that_leave_out_zero_have_another_colour(sleepstudy: pd.DataFrame) -> None:
    from bayesmix.results.plots.figure import ACCENT, MAIN

    rows = [ForestRow(label="a", estimate=1, lower=0.5, upper=2),
            ForestRow(label="b", estimate=1, lower=-0.5, upper=2)]  # fmt: skip
    axis = plot_forest(rows, x_label="", line=0.0).axes[0]
    dots = [
        (line.get_color(), line.get_marker()) for line in axis.lines if len(line.get_xdata()) == 1
    ]
    assert dots == [(ACCENT, "D"), (MAIN, "o")]


def test_an_interval_without_an_end_reaches_the_edge() -> None:
    rows = [ForestRow(label="a", estimate=1, lower=0.5, upper=np.inf),
            ForestRow(label="b", estimate=1, lower=np.nan, upper=np.nan),
            ForestRow(label="c", estimate=2, lower=0, upper=4)]  # fmt: skip
    axis = plot_forest(rows, x_label="", line=None).axes[0]
    assert len(segments(axis)) == 2
    assert segments(axis)[0, 1] == axis.get_xlim()[1] < 10
    assert [line.get_marker() for line in axis.lines] == [">", "o", "o", "o"]


def test_variance_components_have_their_groups_as_headings(post: bmx.Posterior) -> None:
    axis = post.plot_variance_components().axes[0]
    table = post.variance_components()
    assert labels(axis) == ["g", "Intercept", "x", "h:ward", "Intercept", "Residual"]
    np.testing.assert_allclose(points(axis), table["sd"])
    np.testing.assert_allclose(segments(axis), table[["sd_lower", "sd_upper"]])
    assert axis.get_xlim()[0] == 0
    weights = [label.get_fontweight() for label in axis.get_yticklabels()]
    assert weights == ["bold", "normal", "normal", "bold", "normal", "bold"]
    assert labels(post.plot_variance_components(residual=False).axes[0])[-1] == "Intercept"


def test_a_latent_residual_is_an_open_point(data: pd.DataFrame, rng: np.random.Generator) -> None:
    axis = (
        non_normal("bernoulli", "won ~ x + (1 | g)", data, rng).plot_variance_components().axes[0]
    )
    assert labels(axis)[-1] == "Residual, latent"
    assert len(segments(axis)) == 1
    assert axis.lines[-1].get_markerfacecolor() == "white"
    assert "logit scale" in axis.get_xlabel()


def test_nothing_that_varies_is_refused(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x", data), rng)
    with pytest.raises(NotSupportedError, match="residual=True draws it"):
        post.plot_variance_components(residual=False)
    with pytest.raises(NotSupportedError, match="has no group effects"):
        post.plot_group_effects()


def test_empirical_bayes_has_the_same_pictures(sleepstudy: pd.DataFrame) -> None:
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    axis = eb.plot_fixed_effects(ci_method="profile").axes[0]
    table = eb.fixed_effects(ci_method="profile").iloc[1:]
    np.testing.assert_allclose(segments(axis), table[["lower", "upper"]])
    axis = eb.plot_variance_components().axes[0]
    np.testing.assert_allclose(
        segments(axis), eb.variance_components()[["sd_lower", "sd_upper"]], atol=1e-9
    )
    figure = eb.plot_group_effects()
    assert [a.get_title() for a in figure.axes] == ["Intercept", "Days"]
    table = eb.group_effects().query("effect == 'Days'").sort_values("estimate")
    np.testing.assert_allclose(
        np.sort(np.concatenate([line.get_xdata() for line in figure.axes[1].lines[:2]])),
        table["estimate"],
    )
    assert eb.plot_shrinkage(effects="Days").axes[0].get_xlabel() == "coefficient of Days"
    found = eb.shrinkage().table().set_index(["level", "effect"])["partial_pooling"]
    expected = eb.group_coefficients().set_index(["level", "effect"])["estimate"]
    pd.testing.assert_series_equal(found, expected, check_names=False)
    with pytest.raises(NotSupportedError, match="exponentiate=True makes no sense"):
        eb.plot_fixed_effects(exponentiate=True)


def test_laplace_fits_have_their_tables_drawn(data: pd.DataFrame, rng: np.random.Generator) -> None:
    d = data.assign(won=rng.integers(0, 2, len(data)))
    eb = bmx.Model("won ~ x + (1 | g)", d, family="bernoulli").fit_eb()
    axis = eb.plot_fixed_effects(exponentiate=True).axes[0]
    table = eb.fixed_effects(exponentiate=True).iloc[1:]
    np.testing.assert_allclose(segments(axis), table[["lower", "upper"]])
    assert labels(eb.plot_variance_components().axes[0]) == ["g", "Intercept", "Residual, latent"]
    label = eb.plot_group_effects().axes[0].get_xlabel()
    assert label == "estimate and 95 % interval,\nlogit scale"
    assert eb.plot_shrinkage().axes


def test_long_names_and_many_rows_can_be_read(rng: np.random.Generator) -> None:
    x = "a_predictor_with_a_very_long_name_indeed"
    model = bmx.Model(f"y ~ treatment * {x} + ({x} | school)", long_names(rng))
    post = fake_posterior(model, rng)
    for figure in (
        post.plot_fixed_effects(intercept=True),
        post.plot_variance_components(),
        post.plot_group_effects(),
        post.plot_group_effects(max_levels=6),
        post.plot_shrinkage(),
        post.plot_shrinkage(effects=[x]),
    ):
        check_texts(figure)
    many = pd.DataFrame(rng.normal(size=(80, 26)), columns=[f"x{k}" for k in range(26)])
    many = many.assign(g=np.resize(list("abcd"), 80))
    text = "x0 ~ " + " + ".join(f"x{k}" for k in range(1, 26)) + " + (1 | g)"
    figure = fake_posterior(bmx.Model(text, many), rng).plot_fixed_effects()
    assert len(labels(figure.axes[0])) == 25
    check_texts(figure)


def test_two_hundred_groups_can_be_read(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(200), 3)
    data = pd.DataFrame({"y": rng.normal(size=600), "x": rng.normal(size=600), "g": g})
    post = fake_posterior(bmx.Model("y ~ x + (x | g)", data), rng)
    figure = post.plot_group_effects()
    check_texts(figure)
    assert figure.get_figheight() < 14
    figure = post.plot_group_effects(max_levels=30)
    check_texts(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["170 more"]
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in dots) == 30
    check_texts(post.plot_shrinkage())
    with pytest.raises(NotSupportedError, match="max_levels=1 must be a whole number"):
        post.plot_group_effects(max_levels=1)
    with pytest.raises(NotSupportedError, match="names none of Intercept, x"):
        post.plot_group_effects(effects=[])


def test_labels_break_where_words_end() -> None:
    assert wrap("short") == "short"
    assert wrap("treatment[T.new]:predictor_x", 18) == "treatment[T.new]:\npredictor_x"
    assert wrap("corr(Subject, Intercept, Days)", 14, 3) == "corr(Subject,\nIntercept,\nDays)"
    assert wrap("x" * 30, 10) == "xxxx…xxxxx"
    assert wrap("one two three four", 8).count("\n") == 1


def test_an_argument_that_no_table_has_is_named_with_the_one_to_take(
    post: bmx.Posterior, sleepstudy: pd.DataFrame
) -> None:
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    for fit in (post, eb):
        with pytest.raises(
            NotSupportedError, match=r"plot_fixed_effects\(\) has .*'var_names'.*te"
        ):
            fit.plot_fixed_effects(var_names=["x"])
        with pytest.raises(NotSupportedError, match=r"plot_group_effects\(\) .* effects= chooses?"):
            fit.plot_group_effects(wide=True)
        with pytest.raises(NotSupportedError, match=r"plot_variance_components\(\) has no"):
            fit.plot_variance_components(terms="x")
    with pytest.raises(NotSupportedError, match="did you mean 'ci_kind'"):
        post.plot_fixed_effects(ci_kin="hdi")
    with pytest.raises(NotSupportedError, match="an empirical Bayes fit has no ci_kind="):
        eb.plot_fixed_effects(ci_kind="hdi")
