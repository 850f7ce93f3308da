"""Every picture takes a size, a place in the caller's figure, and the caller's words."""

from __future__ import annotations

import inspect
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
from bayesmix.results.tabular.wording import in_words
from tests.builders import fake_posterior
from tests.results.plots.pictures import check_texts, cut_off, texts

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


@pytest.mark.parametrize("name", ["group effects", "fixed effects", "means"])
def test_at_the_width_of_a_column_nothing_hides_anything(name: str) -> None:
    rng = np.random.default_rng(1)
    levels = np.repeat([f"a school of the county with number {k:03d}" for k in range(200)], 3)
    long = "`a predictor with a name of forty letters`"
    data = pd.DataFrame({long.strip("`"): rng.normal(size=600), "school": levels})
    data["arm"] = rng.choice(["the first of some long names", "the second of some long names"], 600)
    data["y"] = 1e6 * (rng.normal(size=600) + np.repeat(rng.normal(size=200), 3))
    eb = bmx.Model(f"y ~ {long} + arm + (1 | school)", data).fit_eb()
    check_texts(PICTURES[name](eb, figsize=(3.5, 3.2)))


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
