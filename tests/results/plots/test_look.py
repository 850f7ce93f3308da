"""Every picture takes a size, a place in the caller's figure, and the caller's words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError
from bayesmix.results.beside.estimate_comparison import EstimateComparison
from bayesmix.results.laplace_fit import LaplaceFit
from bayesmix.results.means.marginal_means import MarginalMeans
from bayesmix.results.plots.figure import COLOURS
from bayesmix.results.plots.forest import ForestRow, plot_forest
from bayesmix.results.plots.heatmap import plot_heatmap
from bayesmix.results.plots.look import columns_of, drawn_with
from bayesmix.results.plots.ticks import number_ticks
from bayesmix.results.tabular.wording import in_words
from tests.builders import fake_posterior
from tests.results.plots.pictures import check_texts, cut_off, overlaps, texts

WORDS = {
    "Days": "days without sleep", "Subject": "person", "Reaction": "reaction time (ms)",
    "308": "the first", "arm": "treatment",
}  # fmt: skip
PICTURES: dict[str, Callable[..., Any]] = {
    "fixed effects": lambda f, **k: f.plot_fixed_effects(**k),
    "components": lambda f, **k: f.plot_variance_components(**k),
    "group effects": lambda f, **k: f.plot_group_effects(**k),
    "shrinkage": lambda f, **k: f.plot_shrinkage(**k),
    "one effect": lambda f, **k: f.plot_shrinkage(effects="Days", **k),
    "predictions": lambda f, **k: f.plot_predictions("Days", by="arm", **k),
    "factor": lambda f, **k: f.plot_predictions("arm", **k),
    "check": lambda f, **k: f.check(**k),
    "statistic": lambda f, **k: f.check("mean", "Subject", **k),
    "covariance": lambda f, **k: f.plot_marginal_covariance("308", **k),
    "means": lambda f, **k: f.marginal_means("arm").plot(**k),
    "contrasts": lambda f, **k: f.marginal_means("arm").contrasts().plot(**k),
    "comparison": lambda f, **k: bmx.compare_estimates(f, again=f).plot(**k),
}
OF_DRAWS: dict[str, Callable[..., Any]] = {
    "trace": lambda f, **k: f.plot_trace(["Days", "sigma"], **k),
    "pairs": lambda f, **k: f.plot_pairs(["Days", "sd(Subject)"], **k),
    "priors": lambda f, **k: f.plot_prior_posterior(["Days", "sigma"], **k),
}


@pytest.fixture(scope="module")
def model(sleepstudy: pd.DataFrame) -> bmx.Model:
    data = sleepstudy.assign(arm=np.resize(["a", "b", "c"], len(sleepstudy)))
    return bmx.Model("Reaction ~ Days + arm + (Days | Subject)", data)


@pytest.fixture(scope="module")
def eb(model: bmx.Model) -> bmx.EmpiricalBayes:
    return model.fit_eb()


@pytest.fixture(scope="module")
def post(model: bmx.Model) -> bmx.Posterior:
    return fake_posterior(model, np.random.default_rng(4))


def words_of(figure: Any) -> str:
    return "\n".join(text.get_text().replace("\n", " ") for text in texts(figure))


@pytest.mark.parametrize("name", [*PICTURES, *OF_DRAWS])
def test_size_words_and_axes(name: str, eb: Any, post: Any) -> None:
    draw, fit = (PICTURES[name], eb) if name in PICTURES else (OF_DRAWS[name], post)
    figure = draw(fit, figsize=(6.5, 5.5), labels=WORDS)
    assert tuple(figure.get_size_inches()) == (6.5, 5.5)
    seen = words_of(figure)
    assert not [word for word in ("Days", "Subject", "Reaction", "308") if word in seen]
    assert cut_off(figure) == []
    own, (left, right) = plt.subplots(1, 2, figsize=(12, 7), layout="constrained")
    right.set_title("$a$: mine")
    found = np.atleast_1d(draw(fit, ax=left))
    assert all(axis.figure is own and axis.has_data() for axis in found)
    assert right.get_title() == "$a$: mine"
    assert own.legends == []
    assert own.axes[0] is left or left not in own.axes
    check_texts(own)
    plt.close(own)


LONG = {
    "Days": "a predictor with a name of forty letters", "arm": "what they were given, at length",
    "Subject": "the school that the pupil has gone to", "Reaction": "what was measured in the end",
}  # fmt: skip


@pytest.fixture(scope="module")
def long_names() -> tuple[Any, Any]:
    """Fits with 62 levels, whose names are long, of a response in millions."""
    rng = np.random.default_rng(1)
    levels = ["308", *(f"a school of the county with number {k:03d}" for k in range(61))]
    data = pd.DataFrame({"Subject": np.repeat(levels, 4), "Days": 1e6 * rng.normal(size=248)})
    kinds = ["the first of some long names", "the second of some long names", "the third of them"]
    data["arm"] = np.resize(kinds, 248)
    data["Reaction"] = data["Days"] + 1e6 * (rng.normal(size=248) + rng.normal(size=62).repeat(4))
    model = bmx.Model("Reaction ~ Days + arm + (Days | Subject)", data)
    return model.fit_eb(), fake_posterior(model, rng, n_draws=40)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.parametrize("name", [*PICTURES, *OF_DRAWS])
def test_at_the_width_of_a_column_nothing_hides_anything(name: str, long_names: Any) -> None:
    draw, fit = (PICTURES[name], long_names[0]) if name in PICTURES else (
        OF_DRAWS[name], long_names[1]
    )  # fmt: skip
    try:
        figure = draw(fit, figsize=(3.5, 2.8), labels=LONG)
    except ArgumentError as error:  # it has too many panels, and says what is enough
        ((width, height),) = re.findall(r"about \(([\d.]+), ([\d.]+)\)", str(error))
        figure = draw(fit, figsize=(float(width), float(height)), labels=LONG)
    check_texts(figure)


def test_a_size_without_room_is_refused_with_one_that_has_it(post: Any) -> None:
    said = r"figsize=\(2, 2\) leaves the 4 panels .* about \(5.9, 2.3\)"
    with pytest.raises(ArgumentError, match=said):
        post.plot_trace(["Days", "sigma"], figsize=(2, 2))
    check_texts(post.plot_trace(["Days", "sigma"], figsize=(5.9, 2.3)))


def test_panels_stand_as_the_size_has_room() -> None:
    assert columns_of(8, 4, (3.5, 3.5)) == 4
    for size, columns in [((4, 14), 2), ((3, 30), 1), ((7, 7), 3), ((20, 4), 8), ((12, 6), 4)]:
        with drawn_with({"figsize": size}):
            assert columns_of(8, 4, (3.5, 3.5)) == columns


def test_captions_that_are_longer_than_their_picture_are_broken() -> None:
    V = np.array([[2.0, -1.0], [-1.0, 3.0]])
    title = "the school that the pupil has gone to: the first of the county"
    figure = plot_heatmap(V, ["a", "b"], bar_label="covariance", title=title, largest=None)
    check_texts(figure)
    assert figure.axes[0].get_title().count("\n") >= 1
    assert figure.axes[0].get_title().replace("\n", " ").startswith("the school that the pupil")
    row = ForestRow(label="x", estimate=1, lower=0, upper=2)
    words = "coefficient on the scale of log odds against the reference category, 95 % interval"
    figure = plot_forest([row], x_label=words, line=0.0)
    check_texts(figure)
    assert figure.axes[0].get_xlabel().replace("\n", " ") == words
    # Negative numbers stand on a patch, and not in the hatching.
    texts = plot_heatmap(V, ["a", "b"], bar_label="", title="", largest=None).axes[0].texts
    assert {text.get_text() for text in texts if text.get_bbox_patch()} == {"-1"}


@pytest.mark.parametrize("end", [3.6e6, 3.6e-6, 0.27, 31.0])
def test_an_axis_has_two_numbers_at_least(end: float) -> None:
    figure = plt.figure(figsize=(1.4, 1))
    axis = figure.add_axes((0.05, 0.3, 0.9, 0.6))
    axis.set_xlim(-end, end)
    axis.set_yticks([])
    number_ticks(axis.xaxis, 4)
    at = axis.get_xticks()
    assert ((at >= -end) & (at <= end)).sum() >= 2
    assert overlaps(figure) == []
    plt.close(figure)


def test_panels_take_as_many_axes(eb: Any) -> None:
    own, axes = plt.subplots(2, 1)
    assert list(eb.plot_group_effects(ax=axes)) == list(axes)
    assert all(axis.has_data() for axis in axes)
    with pytest.raises(ArgumentError, match="2 axes, and this picture has 1 panels"):
        eb.plot_predictions("Days", ax=axes)
    plt.close(own)
    with pytest.raises(ArgumentError, match="no place of a grid"):
        eb.plot_group_effects(ax=plt.figure().add_axes((0, 0, 1, 1)))
    plt.close("all")


def test_what_is_refused(eb: Any) -> None:
    with pytest.raises(ArgumentError, match="width and height in inches"):
        eb.plot_shrinkage(figsize=(3, -1))
    with pytest.raises(ArgumentError, match=r"plt\.subplots"):
        eb.plot_shrinkage(ax="left")
    with pytest.raises(ArgumentError, match="dict of words by names"):
        eb.plot_shrinkage(labels=["Days"])
    with pytest.raises(ArgumentError, match="give one of them"):
        eb.plot_shrinkage(ax=plt.figure().add_subplot(), figsize=(3, 3))
    plt.close("all")


def test_every_method_that_draws_has_the_three() -> None:
    for owner in (bmx.Posterior, bmx.EmpiricalBayes, LaplaceFit, MarginalMeans, EstimateComparison):
        for name in dir(owner):
            if name.startswith("plot") or name == "check":
                method = getattr(owner, name)
                own = inspect.signature(method).parameters
                assert {"figsize", "ax", "labels"} <= set(own), name
                assert "figsize : tuple" in method.__doc__, name


def test_a_column_that_names_rows_is_no_word(eb: Any) -> None:
    figure = eb.plot_marginal_covariance("308", labels="Days")
    assert "rows by Days" in figure.axes[0].get_title()


def test_an_axis_of_contrasts_says_so(eb: Any) -> None:
    means = eb.marginal_means("arm")
    (axis,) = means.contrasts().plot(labels=WORDS).axes
    assert axis.get_xlabel() == "contrast of reaction time (ms), 95 % interval"
    assert means.plot(labels=WORDS).axes[0].get_xlabel().startswith("reaction time (ms), 95 %")


def test_names_within_names() -> None:
    words = {"x": "age", "f[b]": "second", "f": "arm"}
    assert in_words("x:f[b]", words) == "age:second"
    assert in_words("exp(x) + x_2 + fx", words) == "exp(age) + x_2 + fx"
    assert in_words("f[c]", words) == "arm[c]"
    assert in_words("x y", words, whole=True) == "x y"


def test_kinds_are_told_apart_without_colours(eb: Any) -> None:
    figure = eb.plot_fixed_effects(intercept=True)
    marks = {
        (line.get_color(), line.get_marker())
        for axis in figure.axes
        for line in axis.lines
        if len(line.get_xdata()) == 1
    }
    assert len({marker for _, marker in marks}) == len({colour for colour, _ in marks}) == 2
    lines = [
        line for line in eb.plot_predictions("Days", by="arm").axes[0].lines
        if line.get_gid() == "population"
    ]  # fmt: skip
    assert {line.get_color() for line in lines} == set(COLOURS[:3])
    assert len({line.get_linestyle() for line in lines}) == 3


def test_a_long_level_over_a_small_matrix_is_not_cut_off() -> None:
    level = "lev Sankt-Margarethen-am-Heideweg-Nordost-000"
    figure = plot_heatmap(np.eye(6), range(6), bar_label="covariance", title=level, largest=None)
    check_texts(figure)
