"""Pictures of predictions draw what predict() says, over the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, NotSupportedError
from tests.builders import fake_posterior, non_normal
from tests.results.plots.pictures import check_texts, drawn

TEXT = "y ~ x * f + np.log(u) + (x | g) + (1 | h)"


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return fake_posterior(bmx.Model(TEXT, data), rng)


def held(data: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """A grid with the other predictors at mean or mode."""
    base = {"x": data["x"].mean(), "u": data["u"].mean(), "f": data["f"].mode()[0]}
    return pd.DataFrame({**base, **columns})


def line(axis: Any, gid: str, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
    found = [one for one in drawn(axis, gid) if hasattr(one, "get_xdata")][k]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def points(axis: Any) -> np.ndarray:
    found = np.concatenate([one.get_offsets() for one in drawn(axis, "data")])
    return np.asarray(found[np.lexsort(found.T)])


def test_the_population_is_predicted_along_x(post: bmx.Posterior, data: pd.DataFrame) -> None:
    figure = post.plot_predictions(ci_prob=0.8)
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "y")
    x, estimate = line(axis, "population")
    assert (x[0], x[-1]) == (data["x"].min(), data["x"].max())
    expected = post.predict(held(data, x=x), groups="population", ci_prob=0.8)
    np.testing.assert_allclose(estimate, expected["estimate"])
    band = drawn(axis, "band")[0].get_paths()[0].vertices
    for name in ("lower", "upper"):
        at = (x[40], expected[name].iloc[40])
        assert np.isclose(band, at).all(axis=1).any()
    assert not np.isclose(band, (x[40], expected["lower"].iloc[40] - 0.1)).all(axis=1).any()
    np.testing.assert_allclose(points(axis), sorted_pairs(data["x"], data["y"]))
    check_texts(figure)


def sorted_pairs(x: Any, y: Any) -> np.ndarray:
    pairs = np.column_stack([x, y])
    return np.asarray(pairs[np.lexsort(pairs.T)])


def test_transformed_predictors_come_right(post: bmx.Posterior, data: pd.DataFrame) -> None:
    u, estimate = line(post.plot_predictions("u").axes[0], "population")
    expected = post.predict(held(data, u=u), groups="population")["estimate"]
    np.testing.assert_allclose(estimate, expected)
    bend = np.diff(estimate, 2)
    assert np.abs(bend).max() > 1e-6  # the logarithm is no straight line


def test_levels_have_their_own_lines_where_they_were_seen(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    axis = post.plot_predictions("x").axes[0]
    lines = drawn(axis, "level")
    assert len(lines) == data["g"].nunique()
    draws, b = post.idata["posterior"], post.idata["posterior"]["b_g"]
    x, estimate = line(axis, "level", 2)  # of level c; h, which crosses, is at zero
    own = data[data["g"] == "c"]["x"]
    np.testing.assert_allclose((x[0], x[-1]), (own.min(), own.max()))
    beta = {
        str(n): float(draws["beta"].sel(fixed_effect=n).mean())
        for n in post.model.design.mu.fixed_effects
    }
    effect = b.sel(g_level="c").mean(("chain", "draw"))
    f = data["f"].mode()[0]
    expected = beta["Intercept"] + float(effect[0]) + (beta["x"] + float(effect[1])) * x
    expected = expected + beta["np.log(u)"] * np.log(data["u"].mean())
    if f != "high":
        expected = expected + beta[f"f[T.{f}]"] + beta[f"x:f[T.{f}]"] * x
    np.testing.assert_allclose(estimate, expected)
    few = post.plot_predictions("x", max_levels=3)
    assert len(drawn(few.axes[0], "level")) == 3
    assert "3 of 8 levels of g" in [text.get_text() for text in few.legends[0].get_texts()]
    assert len(drawn(post.plot_predictions("x", group="h").axes[0], "level")) == 5
    assert not drawn(post.plot_predictions("x", group=False).axes[0], "level")


def test_nested_levels_include_what_holds_them(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | h/ward)", data), rng)
    axis = post.plot_predictions(group="h:ward").axes[0]
    first = data.iloc[post.model.design.mu.groups[1].index == 0].iloc[0]
    x, estimate = line(axis, "level")
    grid = pd.DataFrame({"x": x, "h": first["h"], "ward": first["ward"]})
    np.testing.assert_allclose(estimate, post.predict(grid)["estimate"])
    x, estimate = line(post.plot_predictions(group="h").axes[0], "level")
    b = float(post.idata["posterior"]["b_h"][:, :, 0, 0].mean())
    population = post.predict(pd.DataFrame({"x": x}), groups="population")["estimate"]
    np.testing.assert_allclose(estimate, population + b)


def test_a_second_predictor_has_colours(post: bmx.Posterior, data: pd.DataFrame) -> None:
    figure = post.plot_predictions("x", by="f")
    axis = figure.axes[0]
    for k, f in enumerate(["high", "low", "mid"]):
        x, estimate = line(axis, "population", k)
        expected = post.predict(held(data, x=x).assign(f=f), groups="population")["estimate"]
        np.testing.assert_allclose(estimate, expected)
    assert len({one.get_color() for one in drawn(axis, "population")}) == 3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:4] == ["f: high", "f: low", "f: mid", "95 % interval"]
    check_texts(figure)
    numeric = post.plot_predictions("x", by="u")
    names = [text.get_text() for text in numeric.legends[0].get_texts()][:3]
    wanted = data["u"].mean() + data["u"].std() * np.array([-1, 0, 1])
    assert names == [f"u: {value:.3g}" for value in wanted]


def test_a_factor_along_x_has_points(post: bmx.Posterior, data: pd.DataFrame) -> None:
    figure = post.plot_predictions("f", data=False, ci_prob=0.5)
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["high", "low", "mid"]
    marks = axis.containers[0]
    grid = held(data, f=["high", "low", "mid"])
    expected = post.predict(grid, groups="population", ci_prob=0.5)
    np.testing.assert_allclose(marks[0].get_ydata().astype(float), expected["estimate"])
    bars = np.asarray([s[:, 1] for s in marks[2][0].get_segments()])
    np.testing.assert_allclose(bars, expected[["lower", "upper"]])
    assert not drawn(axis, "data")
    both = post.plot_predictions("f", by="x")
    assert len(both.axes[0].containers) == 3
    check_texts(both)


def test_others_can_be_held_elsewhere(post: bmx.Posterior, data: pd.DataFrame) -> None:
    x, estimate = line(post.plot_predictions("x", at={"f": "mid", "u": 2}).axes[0], "population")
    expected = post.predict(held(data, x=x, u=2.0, f="mid"), groups="population")["estimate"]
    np.testing.assert_allclose(estimate, expected)
    with pytest.raises(DataError, match="`f` has the levels 'high', 'low', 'mid'"):
        post.plot_predictions("x", at={"f": "huge"})
    with pytest.raises(DataError, match="`u` is a number"):
        post.plot_predictions("x", at={"u": "two"})
    with pytest.raises(NotSupportedError, match=r"at=\{'x': ...\} is no predictor that is held"):
        post.plot_predictions("x", at={"x": 1})
    with pytest.raises(NotSupportedError, match="there is 'f', 'u'"):
        post.plot_predictions("x", at={"g": "a"})


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda p: p.plot_predictions("xx"), NotSupportedError, "did you mean 'x'"),
        (lambda p: p.plot_predictions("g"), NotSupportedError, "group='g' draws a line for each"),
        (lambda p: p.plot_predictions("np.log(u)"), NotSupportedError, "that is a term; its col"),
        (lambda p: p.plot_predictions("x", by="x"), NotSupportedError, "by='x' is no predictor"),
        (lambda p: p.plot_predictions(kind="probability"), NotSupportedError, "for each category"),
        (lambda p: p.plot_predictions(kind="mode"), NotSupportedError, "kind='mode' is not one of"),
        (lambda p: p.plot_predictions(max_levels=0), NotSupportedError, "max_levels=0 must be"),
        (lambda p: p.plot_predictions(group="k"), DataError, "no grouping factor `k`"),
    ],
)
def test_what_is_not_there_is_named(
    post: bmx.Posterior, ask: Callable[[Any], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        ask(post)


def test_models_without_predictors_or_with_many_levels_are_refused(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    only = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng)
    with pytest.raises(NotSupportedError, match="no predictor to draw along; plot_group_effects"):
        only.plot_predictions()
    many = fake_posterior(bmx.Model("y ~ x + g", data), rng)
    with pytest.raises(NotSupportedError, match="8 levels, and 7 colours are told apart"):
        many.plot_predictions("x", by="g")
    assert not drawn(many.plot_predictions("x").axes[0], "level")


def test_every_kind_of_predictor_is_drawn(data: pd.DataFrame, rng: np.random.Generator) -> None:
    text = "y ~ poly(x, 2) + C(h) + flag + offset(z) + h:u + (flag | g) + (1 | h)"
    d = data.assign(x=data["x"].astype("float32"))
    with pytest.warns(DataWarning, match="of each level of `h`"):
        model = bmx.Model(text, d)
    post = fake_posterior(model, rng)
    assert [t.get_text() for t in post.plot_predictions("flag").axes[0].get_xticklabels()] == [
        "False", "True",
    ]  # fmt: skip
    axis = post.plot_predictions("h").axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    assert not drawn(post.plot_predictions("h", group="h").axes[0], "level")
    x, estimate = line(post.plot_predictions("x", by="flag").axes[0], "population", 1)
    grid = {
        "x": x,
        "flag": True,
        "h": data["h"].mode()[0],
        "u": data["u"].mean(),
        "z": data["z"].mean(),
    }
    expected = post.predict(pd.DataFrame(grid), groups="population")["estimate"]
    np.testing.assert_allclose(estimate, expected)
    z, offset = line(post.plot_predictions("z").axes[0], "population")
    np.testing.assert_allclose(np.diff(offset), np.diff(z))


def test_new_observations_have_a_band_of_their_own(
    post: bmx.Posterior, sleepstudy: pd.DataFrame
) -> None:
    mean = line(post.plot_predictions("x").axes[0], "population")[1]
    figure = post.plot_predictions("x", kind="response")
    np.testing.assert_allclose(line(figure.axes[0], "population")[1], mean)
    assert "95 % of new observations" in figure.legends[0].get_texts()[0].get_text()
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    axis = eb.plot_predictions(kind="response").axes[0]
    x = line(axis, "population")[0]
    wanted = eb.predict(pd.DataFrame({"Days": x}), "response", "population")
    band = drawn(axis, "band")[0].get_paths()[0].vertices
    for name in ("lower", "upper"):
        assert np.isclose(band, (x[70], wanted[name].iloc[70])).all(axis=1).any()


def test_proportions_are_drawn_as_such(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = non_normal("binomial", "proportion(count, n) ~ x + (1 | g)", data, rng)
    axis = post.plot_predictions().axes[0]
    assert axis.get_ylabel() == "count / n"
    x, estimate = line(axis, "population")
    grid = pd.DataFrame({"x": x, "n": 1})
    np.testing.assert_allclose(estimate, post.predict(grid, groups="population")["estimate"])
    y = post.model.y / post.model.rows["trials"]
    np.testing.assert_allclose(points(axis), sorted_pairs(post.model.design.frame["x"], y))
    x, estimate = line(axis, "level")
    grid = pd.DataFrame({"x": x, "n": 1, "g": post.model.design.mu.groups[0].levels.labels[0]})
    np.testing.assert_allclose(estimate, post.predict(grid)["estimate"])
    response = post.plot_predictions(kind="response").axes[0]
    assert drawn(response, "band")[0].get_paths()[0].vertices[:, 1].max() <= 1
    linear = post.plot_predictions(kind="linear").axes[0]
    assert not drawn(linear, "data")
    assert linear.get_ylabel() == "linear predictor of count, logit scale"


@pytest.mark.filterwarnings("error")
def test_rows_without_a_trial_are_no_points(rng: np.random.Generator) -> None:
    d = pd.DataFrame({"x": rng.normal(size=120), "g": np.arange(120) % 8})
    d["n"] = np.where(rng.random(120) < 0.6, 0, 4)  # so that the median is 0
    d["k"] = rng.binomial(d["n"], 0.4)
    eb = bmx.Model("proportion(k, n) ~ x + (1 | g)", d, family="binomial").fit_eb()
    axis = eb.plot_predictions("x").axes[0]
    some = d[d["n"] > 0]
    np.testing.assert_allclose(points(axis), sorted_pairs(some["x"], some["k"] / some["n"]))
    x, estimate = line(axis, "population")
    grid = pd.DataFrame({"x": x, "n": 1})
    np.testing.assert_allclose(estimate, eb.predict(grid, groups="population")["estimate"])


def test_ordered_categories_are_on_the_axis(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = non_normal("cumulative", "size ~ x + (1 | g)", data, rng)
    figure = post.plot_predictions()
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [str(level) for level in post.model.design.response.cat.categories]
    estimate = line(figure.axes[0], "population")[1]
    assert ((estimate >= 1) & (estimate <= len(labels))).all()
    check_texts(figure)


@pytest.mark.parametrize(
    ("family", "text"), [("bernoulli", "won ~ x + f + (1 | g)"), ("poisson", "count ~ x + (1 | g)")]
)
def test_other_families_are_on_the_scale_of_the_response(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal(family, text, data, rng)
    figure = post.plot_predictions(marginal=True)
    x, estimate = line(figure.axes[0], "population")
    base = {"x": x, "f": data["f"].mode()[0]}
    expected = post.predict(pd.DataFrame(base), groups="population", marginal=True)["estimate"]
    np.testing.assert_allclose(estimate, expected)
    assert "average over groups" in figure.legends[0].get_texts()[0].get_text()
    check_texts(figure)


def test_censored_rows_have_their_markers(data: pd.DataFrame, rng: np.random.Generator) -> None:
    d = data.assign(status=np.where(data["y"] > 54, "right", "none"))
    post = fake_posterior(bmx.Model("censored(y, status) ~ x + (1 | g)", d), rng)
    figure = post.plot_predictions()
    sizes = [len(one.get_offsets()) for one in drawn(figure.axes[0], "data")]
    assert sizes == [(d["status"] == "none").sum(), (d["status"] == "right").sum()]
    assert "data, at least" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_empirical_bayes_predicts_the_same_picture(sleepstudy: pd.DataFrame) -> None:
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    axis = eb.plot_predictions().axes[0]
    x, estimate = line(axis, "population")
    expected = eb.predict(pd.DataFrame({"Days": x}), groups="population")["estimate"]
    np.testing.assert_allclose(estimate, expected)
    x, estimate = line(axis, "level", 5)
    subject = eb.model.design.mu.groups[0].levels.labels[5]
    grid = pd.DataFrame({"Days": x, "Subject": subject})
    np.testing.assert_allclose(estimate, eb.predict(grid)["estimate"])


def test_laplace_fits_are_drawn_on_the_scale_of_the_response(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    n = rng.integers(3, 9, len(data))
    d = data.assign(n=n, k=rng.binomial(n, 0.4))
    eb = bmx.Model("proportion(k, n) ~ x + (1 | g)", d, family="binomial").fit_eb()
    axis = eb.plot_predictions().axes[0]
    x, estimate = line(axis, "population")
    grid = pd.DataFrame({"x": x, "n": 1})
    np.testing.assert_allclose(estimate, eb.predict(grid, groups="population")["estimate"])
    x, estimate = line(axis, "level", 3)
    grid = pd.DataFrame({"x": x, "n": 1, "g": eb.model.design.mu.groups[0].levels.labels[3]})
    np.testing.assert_allclose(estimate, eb.predict(grid)["estimate"])


def test_weights_of_new_observations_are_the_median(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    d = data.assign(w=rng.uniform(1, 4, len(data)))
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", d, weights="w"), rng)
    assert post.plot_predictions(kind="response").axes


def test_long_names_and_many_categories_can_be_read(rng: np.random.Generator) -> None:
    from tests.builders import long_names

    x = "a_predictor_with_a_very_long_name_indeed"
    d = long_names(rng)
    post = fake_posterior(bmx.Model(f"y ~ treatment * {x} + (1 | school)", d), rng)
    check_texts(post.plot_predictions(x, by="treatment"))
    check_texts(post.plot_predictions("treatment", by=x))
    flat = fake_posterior(bmx.Model("y ~ school", d), rng)
    figure = flat.plot_predictions()
    assert len(figure.axes[0].get_xticklabels()) == 12
    check_texts(figure)


def test_data_of_a_lognormal_response_are_not_drawn_among_its_logarithms(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = non_normal("lognormal", "np.exp(y) ~ x + (1 | g)", data, rng)
    linear = post.plot_predictions(kind="linear").axes[0]
    assert not drawn(linear, "data")  # the axis is of log y
    assert "log scale" in linear.get_ylabel()
    assert drawn(post.plot_predictions().axes[0], "data")


def test_a_picture_says_where_other_predictors_are(post: bmx.Posterior) -> None:
    def said(figure: Any) -> str:
        return str(figure.axes[0].get_title(loc="left"))

    assert said(post.plot_predictions("x", at={"f": "mid", "u": 2})) == "at f = mid, u = 2"
    assert said(post.plot_predictions("x", by="f", at={"u": 0.125})) == "at u = 0.125"
    worded = post.plot_predictions("u", by="x", at={"f": "mid"}, labels={"f": "dose of $z$"})
    assert said(worded) == r"at dose of \$z\$ = mid"
    narrow = post.plot_predictions("x", figsize=(3.0, 2.6), labels={"f": "a" * 30, "u": "b" * 30})
    assert all(len(line) < 40 for line in said(narrow).split("\n"))
