"""Rows that are alike are one in the algebra, and separate in all that is said of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.glmm import compressed
from bayesmix.inference.problems import glmm_problem

N = 2400


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Few covariates and groups, so that rows are alike, with a value of each kind."""
    rng = np.random.default_rng(5)
    g, x = rng.integers(0, 20, N), rng.integers(0, 3, N).astype(float)
    sex = rng.choice(["f", "m"], N)
    eta = -0.4 + 0.5 * x + 0.3 * (sex == "m") + rng.normal(size=20)[g] * 0.7
    trials = rng.integers(1, 4, N)
    return pd.DataFrame({
        "g": g, "x": x, "sex": sex, "yes": (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(int),
        "k": rng.binomial(trials, 1 / (1 + np.exp(-eta))), "n": trials,
        "count": rng.poisson(np.exp(0.3 * eta)),
        "many": rng.negative_binomial(2, 2 / (2 + np.exp(0.3 * eta))),
        "level": pd.Categorical(np.digitize(eta + rng.logistic(size=N), [-1, 1]), ordered=True),
        "w": rng.integers(0, 3, N).astype(float),
        "e": rng.choice([1.0, 2.0], N),
    })  # fmt: skip


CASES = {
    "bernoulli": ("yes ~ x + sex + (1 | g)", {"family": "bernoulli"}),
    "probit": ("yes ~ x + sex + (1 | g)", {"family": bmx.families.Bernoulli(link="probit")}),
    "binomial": ("proportion(k, n) ~ x + (1 | g)", {"family": "binomial"}),
    "poisson": ("count ~ x + sex + offset(np.log(e)) + (1 | g)", {"family": "poisson"}),
    "sqrt": ("count ~ 1 + (1 | g)", {"family": "negative_binomial"}),
    "cumulative": ("level ~ x + (1 | g)", {"family": "cumulative"}),
    "weighted": ("weighted(count, w) ~ x + (1 | g)", {"family": "poisson"}),
}


def both(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]
) -> tuple[Any, Any]:  # fmt: skip
    """What is made of compressed rows, and of all of them."""
    few = make()
    monkeypatch.setattr(compressed, "FEWEST_ROWS", N + 1)
    return few, make()


@pytest.mark.parametrize("name", CASES)
def test_estimates_and_what_is_said_of_rows_are_those_of_all_rows(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    formula, given = CASES[name]
    few, all_rows = both(monkeypatch, lambda: bmx.Model(formula, data, **given).fit_eb())
    assert 2 * few._law.gp.rows.n_obs <= N == all_rows._law.gp.rows.n_obs
    assert few.loglik == pytest.approx(all_rows.loglik, rel=1e-10)
    asked: list[Callable[[Any], pd.DataFrame]] = [
        lambda fit: fit.fixed_effects(), lambda fit: fit.variance_components(ci_method="wald"),
        lambda fit: fit.family_parameters(ci_method="wald"), lambda fit: fit.group_effects("g"),
        lambda fit: fit.predict().iloc[::50], lambda fit: fit.predict(kind="linear").iloc[::50],
        lambda fit: fit.vcov(),
    ]  # fmt: skip
    if name not in {"cumulative", "weighted"}:
        asked.append(lambda fit: fit.residuals("pearson").to_frame())
    for ask in asked:
        pd.testing.assert_frame_equal(ask(few), ask(all_rows), rtol=1e-3, atol=1e-4)


def test_a_binary_response_becomes_counts(data: pd.DataFrame) -> None:
    model = bmx.Model("yes ~ x + sex + (1 | g)", data, family="bernoulli")
    rows = glmm_problem(model).rows
    cells = data.groupby(["g", "x", "sex"])["yes"].agg(["sum", "size"])
    assert sorted(zip(rows.y, rows.trials, strict=True)) == sorted(
        zip(cells["sum"], cells["size"], strict=True)
    )
    assert glmm_problem(model, every_row=True).rows.n_obs == N


def test_rows_that_are_not_alike_stay(data: pd.DataFrame) -> None:
    apart = data.assign(x=np.random.default_rng(0).normal(size=N))
    model = bmx.Model("yes ~ x + (1 | g)", apart, family="bernoulli")
    assert glmm_problem(model).rows.n_obs == N
    assert glmm_problem(model) is glmm_problem(model)


def test_the_posterior_and_loo_are_those_of_all_rows(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = lambda: bmx.Model("yes ~ x + (1 | g)", data, family="bernoulli")  # noqa: E731
    few, rows = both(monkeypatch, lambda: model().fit(500, seed=1, progress=False))
    one, other = few.fixed_effects(), rows.fixed_effects()
    assert (np.abs(one["estimate"] - other["estimate"]) < 0.15 * one["sd"]).all()
    assert one["sd"].to_numpy() == pytest.approx(other["sd"].to_numpy(), rel=0.1)
    one, other = few.loo(), rows.loo()
    assert len(one.pointwise) == len(other.pointwise) == N
    assert one.elpd == pytest.approx(other.elpd, abs=0.5)


def test_separation_is_found_among_compressed_rows(data: pd.DataFrame) -> None:
    apart = data.assign(yes=np.where(data["sex"] == "m", 1, data["yes"]))
    with pytest.warns(bmx.errors.SeparationWarning, match="sex"):
        eb = bmx.Model("yes ~ x + sex + (1 | g)", apart, family="bernoulli").fit_eb()
    assert eb._law.gp.row_of is not None
