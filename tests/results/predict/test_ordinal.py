"""Predictions of ordered categories: probabilities, and categories of the response's type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from tests.builders import fake_posterior, non_normal


@pytest.fixture
def post(data: pd.DataFrame, rng: np.random.Generator) -> bmx.Posterior:
    return non_normal("cumulative", "size ~ x + (1 | g)", data, rng)


def by_hand(post: bmx.Posterior, shift: float | np.ndarray = 0.0) -> np.ndarray:
    """P(y = k) of each row of the fit, in plain numpy, shape (S, n, 3)."""
    eta = post.predict_draws(kind="linear").values.reshape(600, -1) + shift
    tau = post.idata["posterior"]["thresholds"].values.reshape(600, 1, 2)
    below = special.expit(tau - eta[..., None])
    zero, one = np.zeros((600, eta.shape[1], 1)), np.ones((600, eta.shape[1], 1))
    return np.diff(np.concatenate([zero, below, one], axis=2), axis=2)


def test_each_row_has_a_probability_for_each_category(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    p = by_hand(post)
    new = data.drop(columns="size").set_axis([f"r{i}" for i in range(240)])
    table = post.predict(new, kind="probability", ci_prob=0.8)
    assert list(table.columns) == ["category", "estimate", "sd", "lower", "upper"]
    assert list(table.index[:4]) == ["r0", "r0", "r0", "r1"]
    assert list(table["category"][:4]) == ["a", "b", "c", "a"]
    assert table["category"].cat.ordered
    np.testing.assert_allclose(table["estimate"], p.mean(axis=0).ravel())
    np.testing.assert_allclose(table["sd"], p.std(axis=0, ddof=1).ravel())
    np.testing.assert_allclose(table["lower"], np.quantile(p, 0.1, axis=0).ravel())
    np.testing.assert_allclose(table["upper"], np.quantile(p, 0.9, axis=0).ravel())
    np.testing.assert_allclose(table["estimate"].groupby(level=0).sum(), 1.0)
    wide = table.reset_index().pivot_table(
        index="index", columns="category", values="estimate", observed=False
    )
    assert list(wide.columns) == ["a", "b", "c"]


def test_draws_have_a_dimension_for_the_categories(post: bmx.Posterior) -> None:
    draws = post.predict_draws(kind="probability", draws=100)
    assert draws.dims == ("chain", "draw", "row", "response_category")
    assert draws.shape == (2, 50, 240, 3)
    np.testing.assert_allclose(draws.sum("response_category"), 1.0)
    every = post.predict_draws(kind="probability")
    np.testing.assert_allclose(every.values.reshape(600, 240, 3), by_hand(post))
    mean = (every * np.arange(1, 4)).sum("response_category")
    np.testing.assert_allclose(mean, post.predict_draws(kind="mean"))


def test_probabilities_of_a_typical_group_and_of_all(
    post: bmx.Posterior, data: pd.DataFrame
) -> None:
    rows = data.head(3)
    typical = post.predict_draws(rows, kind="probability", groups="population")
    average = post.predict_draws(rows, kind="probability", marginal=True)
    sd = post.idata["posterior"]["sd_g"].values.reshape(600, 1)
    eta = post.predict_draws(rows, kind="linear", groups="population").values.reshape(600, 3)
    tau = post.idata["posterior"]["thresholds"].values.reshape(600, 2)
    np.testing.assert_allclose(
        typical.sel(response_category="a").values.reshape(600, 3), special.expit(tau[:, :1] - eta)
    )
    z = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    lowest = special.expit(tau[:, :1, None] - eta[..., None] - sd[..., None] * z).mean(axis=-1)
    found = average.sel(response_category="a").values.reshape(600, 3)
    np.testing.assert_allclose(found, lowest, atol=1e-3)
    assert np.abs(found - typical.sel(response_category="a").values.reshape(600, 3)).max() > 0.01
    # A new group and one that is missing are drawn.
    new = post.predict(rows.assign(g=["new", None, "a"]), kind="probability")
    assert new["estimate"].groupby(np.repeat(range(3), 3)).sum().to_numpy() == pytest.approx(1.0)


def test_a_response_is_a_category(post: bmx.Posterior, data: pd.DataFrame) -> None:
    table = post.predict(kind="response")
    assert list(table.columns) == ["category", "estimate", "sd", "lower", "upper"]
    drawn = post.predict_draws(kind="response").values.reshape(600, 240)
    share = np.stack([(drawn == k).mean(axis=0) for k in (1, 2, 3)])
    assert list(table["category"].cat.codes) == list(share.argmax(axis=0))
    np.testing.assert_allclose(share.T, by_hand(post).mean(axis=0), atol=0.1)
    simulated = post.simulate(2)
    assert simulated["sim_1"].dtype == post.model.design.response.dtype
    # What is simulated can be fitted again.
    bmx.Model("size ~ x + (1 | g)", data.assign(size=simulated["sim_2"]), family="cumulative")


def test_numbers_as_categories_stay_numbers(data: pd.DataFrame, rng: np.random.Generator) -> None:
    data = data.assign(size=0)
    post = non_normal("cumulative", "size ~ x + (1 | g)", data, rng)
    rated = data.assign(size=data["size"].cat.rename_categories({"a": 2, "b": 5, "c": 9}))
    model = bmx.Model("size ~ x + (1 | g)", rated, family="cumulative")
    post.model = model
    table = post.predict(rated.head(1), kind="probability")
    assert list(table["category"]) == [2, 5, 9]
    assert list(post.predict_draws(kind="probability")["response_category"]) == ["2", "5", "9"]


def test_other_families_say_what_they_have(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    eb = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    for predict in (post.predict, post.predict_draws, eb.predict, eb.predict_draws):
        with pytest.raises(NotSupportedError, match="is for categories"):
            predict(kind="probability")  # type: ignore[operator]
