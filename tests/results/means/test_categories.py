"""Probabilities of categories as marginal means, against integration by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from tests.builders import non_normal

X_MEAN = 3.0


@pytest.fixture(scope="module")
def post() -> bmx.Posterior:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {
            "a": np.tile(["low", "mid", "high"], 40), "x": X_MEAN + np.repeat([-1.0, 1.0], 60),
            "g": np.repeat(np.arange(12), 10),
        }
    )  # fmt: skip
    frame["a"] = pd.Categorical(frame["a"], ["low", "mid", "high"])
    frame["x"] += rng.permutation(np.repeat([-0.5, 0.5], 60))
    return non_normal("cumulative", "size ~ a + x + (1 | g)", frame, rng)


def probabilities(post: bmx.Posterior, effect: float = 0.0) -> np.ndarray:
    """By hand, shape (levels, categories, draws)."""
    draws = post.idata["posterior"].to_dataset()
    beta = draws["beta"].to_numpy().reshape(-1, 3)
    cut = draws["thresholds"].to_numpy().reshape(-1, 2)
    sd = draws["sd_g"].to_numpy().reshape(-1)
    x = float(post.model.design.frame["x"].mean())
    levels = []
    for k in range(3):
        eta = (beta[:, k - 1] if k else 0.0) + x * beta[:, 2] + effect * sd
        below = special.expit(cut - eta[:, None])
        padded = np.column_stack([np.zeros(len(below)), below, np.ones(len(below))])
        levels.append(np.diff(padded, axis=1).T)
    return np.stack(levels)


def test_means_are_of_each_category(post: bmx.Posterior) -> None:
    assert list(post.model.design.mu.fixed_effects) == ["a[T.mid]", "a[T.high]", "x"]
    means = post.marginal_means("a", kind="probability")
    table, wanted = means.table, probabilities(post)
    assert means.by == ("category",)
    assert table["a"].tolist() == np.repeat(["low", "mid", "high"], 3).tolist()
    assert table["category"].tolist() == list("abc") * 3
    np.testing.assert_allclose(table["estimate"], wanted.mean(axis=2).ravel(), rtol=1e-10)
    np.testing.assert_allclose(
        table["lower"], np.quantile(wanted, 0.025, axis=2).ravel(), rtol=1e-8
    )
    np.testing.assert_allclose(table.groupby("a", observed=True)["estimate"].sum(), 1.0)
    assert "probabilities of the categories of size" in str(means)


def test_groups_are_integrated_out(post: bmx.Posterior) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    wanted = sum(
        w * probabilities(post, z) for z, w in zip(nodes, weights / weights.sum(), strict=True)
    )
    table = post.marginal_means("a", kind="probability", marginal=True).table
    np.testing.assert_allclose(table["estimate"], np.mean(wanted, axis=2).ravel(), atol=1e-6)


def test_contrasts_are_within_a_category_or_between_them(post: bmx.Posterior) -> None:
    means, p = post.marginal_means("a", kind="probability"), probabilities(post)
    within = means.contrasts("reference").table
    assert within["contrast"].tolist() == ["mid - low", "high - low"] * 3
    assert within["category"].tolist() == ["a", "a", "b", "b", "c", "c"]
    np.testing.assert_allclose(
        within["estimate"], (p[1:] - p[:1]).mean(axis=2).T.ravel(), atol=1e-12
    )
    between = means.contrasts({"top": {"c": 1, "a": -1}}, by="a").table
    np.testing.assert_allclose(between["estimate"], (p[:, 2] - p[:, 0]).mean(axis=1), atol=1e-12)
    slopes = post.trends("x", "a", kind="probability").table
    np.testing.assert_allclose(
        slopes.groupby("a", observed=True)["estimate"].sum(), 0.0, atol=1e-10
    )


def test_what_has_no_categories_is_refused(sleepstudy: pd.DataFrame, post: bmx.Posterior) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    with pytest.raises(NotSupportedError, match="categories"):
        fit.marginal_means(kind="probability")
    with pytest.raises(ArgumentError, match="probability"):
        post.marginal_means("a", kind="prob")
