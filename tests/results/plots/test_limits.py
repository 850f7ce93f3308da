"""A limit that is missing or out of sight is marked, and spoils no axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import BayesmixWarning, SeparationWarning
from bayesmix.results.beside.shrinkage import Shrinkage
from bayesmix.results.pictures.curves import Curves
from bayesmix.results.plots.caterpillar import plot_caterpillar
from bayesmix.results.plots.curves import plot_curves
from bayesmix.results.plots.estimates import plot_estimates
from bayesmix.results.plots.figure import ACCENT
from bayesmix.results.plots.forest import ForestRow, plot_forest
from bayesmix.results.plots.intervals import shown_range
from bayesmix.results.plots.shrinkage import plot_shrinkage
from bayesmix.results.plots.smooth import density
from tests.builders import fake_posterior, non_normal
from tests.results.plots.pictures import check_texts, drawn, segments

NAN, INF = np.nan, np.inf


def legend(figure: Any) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def dotted(axis: Any) -> np.ndarray:
    """Ends of the lines that stand for limits that are not known, shape (k, 2)."""
    found = [s[:, 0] for one in drawn(axis, "unknown") for s in one.get_segments()]
    return np.sort(np.asarray(found), axis=1)


def dots(axis: Any) -> list[float]:
    return [x for line in axis.lines if line.get_marker() in ("o", "D") for x in line.get_xdata()]


def row(label: str, *numbers: float, **more: Any) -> ForestRow:
    return ForestRow(
        label=label, **dict(zip(("estimate", "lower", "upper"), numbers, strict=False)), **more
    )


def test_a_forest_marks_limits_that_are_not_known() -> None:
    rows = [row("a", 1, NAN, 2), row("b", 1.5, NAN, NAN), row("c", 1, 0.5, INF), row("d", NAN)]
    figure = plot_forest(rows, x_label="", line=0.0)
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    assert dots(axis) == [1, 1.5, 1]  # the last in another colour
    np.testing.assert_allclose(sorted(dotted_of_forest(axis)), [(low, 1), (low, 1.5), (1.5, high)])
    np.testing.assert_allclose(segments(axis), [(1, 2), (0.5, high)])
    assert high < 3
    assert "limit not known" in legend(figure)
    (question,) = [line for line in axis.lines if line.get_marker() == "$?$"]
    assert question.get_ydata() == [3]
    check_texts(figure)


def dotted_of_forest(axis: Any) -> list[tuple[float, float]]:
    found = [
        s for one in axis.collections if one.get_gid() == "unknown" for s in one.get_segments()
    ]
    return [tuple(np.sort(s[:, 0])) for s in found]


def test_scales_that_differ_have_panels() -> None:
    rows = [
        row("school", heading=True), row("Intercept", 25_000, 20_000, 31_000),
        row("x", 0.01, 0.005, 0.02), row("class", heading=True), row("z", 0.3, 0.1, 0.5),
        row("w", 300, 100, 400), row("slope", 0.3, 3e-26, 1.7e21), row("none", 0.0, 0.0, 0.0),
    ]  # fmt: skip
    figure = plot_forest(rows, x_label="standard deviation", line=None)
    found = [[text.get_text() for text in axis.get_yticklabels()] for axis in figure.axes]
    assert found == [
        ["school", "Intercept", "class", "w"],
        ["school", "x", "class", "z", "none"],
        ["class", "slope"],
    ]
    for axis, high in zip(figure.axes, (31_000, 0.5, 1.7e21), strict=True):
        assert high < axis.get_xlim()[1] < 1.2 * high
    assert "each panel has a scale of its own" in figure.axes[-1].get_xlabel()
    check_texts(figure)


def test_two_orders_share_an_axis_and_a_ratio_is_logarithmic() -> None:
    rows = [row("a", 100, 90, 110), row("b", 1.2, 1.1, 1.3)]
    assert len(plot_forest(rows, x_label="", line=0.0).axes) == 1
    assert (
        len(plot_forest([*rows, row("c", 1e-9, 1e-10, 1e-8)], x_label="", line=1.0, log=True).axes)
        == 1
    )


def effects() -> pd.DataFrame:
    numbers = {
        "estimate": [1.0, 2, -1, 0, 0.5, -3], "lower": [0.5, NAN, -1e9, -1, -INF, NAN],
        "upper": [2.0, 3, 0, 1, 1, NAN],
    }  # fmt: skip
    return pd.DataFrame({"group": "g", "effect": "x", "level": list("abcdef"), **numbers})


def test_group_effects_without_a_limit_and_with_one_far_away() -> None:
    figure = plot_caterpillar(effects(), ["x"], ci_prob=0.95)
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    assert -6 < low < -3
    assert 3 < high < 6
    np.testing.assert_allclose(dotted(axis)[:, 0].min(), low)
    assert len(dotted(axis)) == 3
    (arrows,) = [line for line in axis.lines if line.get_marker() == "<"]
    assert len(arrows.get_xdata()) == 2
    assert sorted(dots(axis)) == sorted(effects()["estimate"])
    assert legend(figure) == ["interval leaves out 0", "limit not known"]
    check_texts(figure)


def test_a_second_colour_is_explained_where_there_is_one() -> None:
    plain = effects().assign(lower=-5.0, upper=5.0)
    assert legend(plot_caterpillar(plain, ["x"], ci_prob=0.95)) == []
    figure = plot_caterpillar(plain.assign(lower=[0.5, *[-5.0] * 5]), ["x"], ci_prob=0.95)
    assert legend(figure) == ["interval leaves out 0"]
    assert figure.legends[0].get_lines()[0].get_color() == ACCENT
    figure = plot_forest([row("a", 2, 1.5, 3)], x_label="", line=1.0, log=True)
    assert legend(figure) == ["interval leaves out 1"]


def test_effects_that_do_not_vary_say_why_they_have_no_intervals() -> None:
    figure = plot_caterpillar(
        effects().assign(estimate=0.0, lower=0.0, upper=0.0), ["x"], ci_prob=0.95
    )
    assert figure.axes[0].get_xlabel().startswith("all are zero")
    check_texts(figure)


def test_estimates_of_fits_mark_limits_that_are_not_known() -> None:
    levels = effects().assign(term="x", part="group_effects", fit="one")
    scalars = levels.iloc[:2].assign(part="fixed_effects", group="", fit=["one", "two"])
    figure = plot_estimates(scalars, levels, ["one", "two"], ci_prob=0.9, max_levels=20)
    assert legend(figure) == ["one", "two", "limit not known"]
    assert all(np.abs(axis.get_xlim()).max() < 6 for axis in figure.axes)
    assert len(dotted(figure.axes[1])) == 1  # what has no interval at all is a point
    check_texts(figure)


def curves(factor: tuple[str, ...]) -> Curves:
    population = pd.DataFrame({
        "x": [0.0, 1, 2, 3], "by": 0, "estimate": [0.5, 0.4, 0.6, NAN],
        "lower": [NAN, 0.2, 0.5, NAN], "upper": [0.7, INF, 0.8, NAN],
    })  # fmt: skip
    levels = pd.DataFrame({"level": [], "x": [], "by": [], "estimate": []})
    points = pd.DataFrame({"x": [0.0, 1, 2], "by": 0, "y": [0.0, 1, 0], "status": 0})
    return Curves(
        x_label="x", y_label="y", factor=factor, ordered=False, by="", by_labels=("population",),
        population=population, levels=levels, points=points, group="", n_levels=0, n_shown=0,
        categories=(), discrete=False, band="95 % interval",
    )  # fmt: skip


@pytest.mark.parametrize("factor", [(), ("a", "b", "c", "d")])
def test_predictions_without_a_limit(factor: tuple[str, ...]) -> None:
    figure = plot_curves(curves(factor))
    (axis,) = figure.axes
    assert -0.2 < axis.get_ylim()[0] < axis.get_ylim()[1] < 1.2
    assert {"limit not known", "cannot be estimated"} <= set(legend(figure))
    assert any(line.get_marker() == "$?$" for line in drawn(axis, "unknown"))
    check_texts(figure)


def test_separate_estimates_that_ran_away_leave_the_others_in_sight() -> None:
    rng = np.random.default_rng(1)
    alone = rng.normal(size=(30, 2))
    alone[0], alone[1], alone[2] = [1e8, 1], [INF, 0], [NAN, NAN]
    found = Shrinkage(
        group="g", effects=("Intercept", "x"), levels=tuple(f"l{k}" for k in range(30)),
        no_pooling=alone, partial_pooling=rng.normal(size=(30, 2)) * 1e-3,
        complete_pooling=np.array([0.0, NAN]), fixed_effect=np.zeros(2), n_obs=np.full(30, 4),
    )  # fmt: skip
    one = plot_shrinkage(found, ["Intercept"]).axes[0]
    assert 1 < np.nanmax(alone[3:, 0]) < one.get_xlim()[1] < 10
    (arrows,) = [line for line in one.lines if line.get_marker() == ">" and len(line.get_xdata())]
    assert len(arrows.get_xdata()) == 2
    two = plot_shrinkage(found, ["Intercept", "x"])
    assert two.axes[0].get_xlim()[1] < 10
    assert legend(two)[0] == "no pooling (2 not known, 1 beyond the edge)"
    assert "no pooling (1 not known, 2 beyond the edge)" in legend(one.figure)
    check_texts(two)


def test_a_coefficient_that_ran_away_is_an_arrow_at_the_edge() -> None:
    rng = np.random.default_rng(2)
    f = np.resize(list("abc"), 240)
    y = rng.poisson(np.where(f == "c", 0.0, 2.0))
    d = pd.DataFrame({"y": y, "f": f, "x": rng.normal(size=240)})
    with pytest.warns(BayesmixWarning, match="separat|finite"):
        eb = bmx.Model("y ~ x + f", d, family="poisson").fit_eb()
    for figure in (eb.plot_fixed_effects(), eb.plot_fixed_effects(exponentiate=True)):
        (axis,) = figure.axes
        assert [tick.get_text() for tick in axis.get_yticklabels()] == ["x", "f[T.b]", "f[T.c]"]
        (arrow,) = [line for line in axis.lines if line.get_marker() == "<"]
        assert arrow.get_ydata() == [2]
        np.testing.assert_allclose(dotted(axis), [axis.get_xlim()])
        assert "limit not known" in legend(figure)


def test_a_marginal_mean_that_ran_away_is_an_arrow_at_the_edge(
    rng: np.random.Generator,
) -> None:
    d = pd.DataFrame({"f": np.array(list("abc"))[np.arange(150) % 3], "y": rng.poisson(3, 150)})
    d.loc[d["f"] == "c", "y"] = 0
    with pytest.warns(SeparationWarning):
        eb = bmx.Model("y ~ f", d, family="poisson").fit_eb()
    axis = eb.marginal_means("f").plot().axes[0]
    assert axis.get_xlim()[0] > -2  # the others are near 1, and this one below -15
    assert [line.get_marker() for line in axis.lines].count("<") == 1


def test_the_range_shows_what_is_finite() -> None:
    low, high = shown_range([1.0, 2], [NAN, -INF], [3, 1e9])
    assert (low, high) == pytest.approx((0.9, 3.1))
    assert shown_range([NAN], [NAN], [INF]) == (-1, 1)
    # What has run away, and has no limits, leaves the others their axis, but if it is near.
    assert shown_range([-28, 0.5], [NAN, 0], [NAN, 1]) == shown_range([0.5], [0], [1])
    assert shown_range([-1.5, 0.5], [NAN, 0], [NAN, 1])[0] < -1.5
    assert shown_range([-28, 0.5], [NAN, 0], [NAN, 1], far=INF)[0] < -28
    assert shown_range([0.0], [NAN], [NAN]) == (-0.5, 0.5)
    # One whose interval is not known stands where it is.
    low, high = shown_range([-1e6], [NAN], [NAN])
    assert low < -1e6 < high


def test_draws_that_are_not_finite_leave_the_others_their_density() -> None:
    rng = np.random.default_rng(2)
    values, grid = rng.normal(size=500), np.linspace(-3, 3, 50)
    np.testing.assert_allclose(density(np.append(values, [INF, NAN]), grid), density(values, grid))
    assert not density(np.array([NAN]), grid).any()


def test_two_hundred_levels_name_the_extremes() -> None:
    rng = np.random.default_rng(3)
    levels = [f"a school of the county that is called number {k:03d}" for k in range(200)]
    estimate = rng.normal(size=200) * 1e6
    table = pd.DataFrame({"group": "school", "effect": "Intercept", "level": levels})
    table = table.assign(estimate=estimate, lower=estimate - 1e5, upper=estimate + 1e5)
    figure = plot_caterpillar(table, ["Intercept"], ci_prob=0.95)
    (axis,) = figure.axes
    names = [text.get_text() for text in axis.get_yticklabels()]
    order = [f"number {k:03d}" for k in np.argsort(estimate)]
    assert [name[-10:] for name in names[:20]] == order[:20]
    assert [name[-10:] for name in names[-20:]] == order[-20:]
    assert names[20] == "160 levels without their names"
    assert len(dots(axis)) == 200
    assert figure.get_figheight() < 14
    check_texts(figure)
    some = plot_caterpillar(table, ["Intercept"], ci_prob=0.95, max_levels=100)
    assert some.axes[0].texts[0].get_text() == "100 more"
    assert "60 levels without their names" in [t.get_text() for t in some.axes[0].get_yticklabels()]
    check_texts(some)


def test_levels_without_an_order_are_not_joined(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    d = data.assign(arm=pd.Categorical(rng.choice(["a", "b", "c"], len(data)), ordered=True))
    free = d.assign(arm=d["arm"].astype(str))
    for frame, style in ((d, "-"), (free, "None")):
        post = non_normal("bernoulli", "won ~ arm + (1 | g)", frame, rng)
        figure = post.plot_predictions("arm")
        lines = [one for one in drawn(figure.axes[0], "level") if len(one.get_xdata()) > 1]
        assert {one.get_linestyle() for one in lines} == {style}
        assert figure.axes[0].get_ylabel() == "probability that won = 1"
        check_texts(figure)


def test_the_caps_of_an_interval_are_wider_than_its_point() -> None:
    axis = plot_curves(curves(("a", "b", "c", "d"))).axes[0]
    (bars,) = axis.containers
    point, caps, _ = bars
    assert all(cap.get_markersize() > 2 * point.get_markersize() for cap in caps)


def test_names_along_a_legend_are_whole(rng: np.random.Generator) -> None:
    arms = [f"standard care and a follow-up in the year after, arm {k}" for k in "abc"]
    n = 90
    d = pd.DataFrame({"y": rng.normal(size=n) * 1e6, "x": rng.normal(size=n),
                      "treatment_of_the_patient": np.resize(arms, n)})  # fmt: skip
    eb = bmx.Model("y ~ x + treatment_of_the_patient", d).fit_eb()
    figure = eb.plot_predictions("x", by="treatment_of_the_patient")
    found = [text.replace("\n", " ") for text in legend(figure)]
    assert [f"treatment_of_the_patient: {arm}" for arm in arms] == found[:3]
    check_texts(figure)


def test_values_of_a_million_overprint_nothing() -> None:
    size, rng = -1e6, np.random.default_rng(8)
    n = 120
    response = "the_response_with_a_name_of_forty_letters"
    school = "the_school_of_the_child_in_that_year"
    d = pd.DataFrame({"x": rng.normal(size=n), school: np.resize(np.arange(12), n)})
    d[response] = size * (1 + 0.01 * d["x"] + 0.02 * rng.normal(size=12)[d[school]]
                          + 0.01 * rng.normal(size=n))  # fmt: skip
    model = bmx.Model(f"{response} ~ x + (1 | {school})", d)
    eb, post = model.fit_eb(), fake_posterior(model, rng)
    for values in post.idata["posterior"].data_vars.values():
        values.values[...] *= abs(size)
    for figure in (
        eb.check(), eb.plot_fixed_effects(intercept=True), eb.plot_group_effects(),
        eb.plot_predictions(), post.plot_prior_posterior(), post.plot_trace(),
    ):  # fmt: skip
        check_texts(figure)
        for axes in figure.axes:
            assert not axes.xaxis.get_offset_text().get_text()
            assert not axes.yaxis.get_offset_text().get_text()


def test_a_mean_beyond_its_interval_is_drawn() -> None:
    """Draws with a long tail have their mean above the upper limit."""
    given = curves(("a", "b", "c", "d"))
    table = given.population.assign(estimate=0.9, lower=[0.1, 0.2, 0.3, 0.4], upper=0.6)
    (axis,) = plot_curves(replace(given, population=table)).axes
    (arms,) = axis.containers[0][2]
    ends = [(segment[0, 1], segment[-1, 1]) for segment in arms.get_segments()]
    np.testing.assert_allclose(ends, [(low, 0.9) for low in table["lower"]])


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_means_and_contrasts_of_any_size_can_be_read(size: float) -> None:
    blends = bmx.load_dataset("penicillin").assign(drug=lambda d: size * d["yield"])
    means = bmx.Model("drug ~ treat + (1 | blend)", blends).fit_eb().marginal_means("treat")
    for shown in (means, means.contrasts()):
        figure = shown.plot()
        check_texts(figure)
        (axis,) = figure.axes
        numbers = [label.get_text() for label in axis.get_xticklabels() if label.get_text()]
        assert len(numbers) == len(set(numbers)) > 2
