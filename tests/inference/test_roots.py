"""Searches for many correlated effects, which are combinations of fewer."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning
from bayesmix.gaussian.coordinates import factors_at
from bayesmix.gaussian.density import profiled_deviance
from bayesmix.gaussian.problem import Problem
from bayesmix.inference import empirical
from bayesmix.inference.roots import RootCriterion

_EFFECTS = 9


def _data(rank: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    loadings = rng.normal(size=(_EFFECTS, rank))
    u = rng.normal(size=(60, rank)) @ loadings.T * 0.5
    g = np.repeat(np.arange(60), 20)
    X = np.column_stack([np.ones(1200), rng.normal(size=(1200, _EFFECTS - 1))])
    data = pd.DataFrame(X[:, 1:], columns=[f"x{k}" for k in range(1, _EFFECTS)])
    data["y"] = X @ rng.normal(size=_EFFECTS) + (X * u[g]).sum(axis=1) + rng.normal(size=1200)
    data["g"] = [f"g{level:02d}" for level in g]
    return data


def _model(rank: int) -> bmx.Model:
    terms = " + ".join(f"x{k}" for k in range(1, _EFFECTS))
    return bmx.Model(f"y ~ {terms} + ({terms} | g)", _data(rank))


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """What the searches of a test are made on."""
    seen, inner = list[Problem](), empirical.searched_among_roots

    def noted(problem: Problem, *rest: object) -> tuple[np.ndarray, int]:
        seen.append(problem)
        return inner(problem, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(empirical, "searched_among_roots", noted)
    return seen


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("rank", [3, _EFFECTS])
def test_many_correlated_effects_converge_also_where_they_are_combinations_of_few(
    rank: int, method: str
) -> None:
    model = _model(rank)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fit = model.fit_eb(method=method)
    found = fit._law.optimum
    assert found.converged
    assert found.gradient < 1e-2
    assert found.evaluations < 1000


@pytest.mark.parametrize("reml", [True, False])
def test_value_and_derivatives_by_the_entries_of_the_root(
    problems: list[Problem], reml: bool
) -> None:
    _model(_EFFECTS).fit_eb()
    problem, rng = problems[0], np.random.default_rng(5)
    co = problem.relative_coordinates()
    x = rng.normal(scale=0.3, size=co.n_x)
    criterion = RootCriterion(problem, reml)
    root = factors_at(co, x).L.reshape(_EFFECTS, _EFFECTS)
    value, (by_root,) = criterion([root])
    expected = profiled_deviance(problem.equations, co, x, reml, 0.0, np.empty(co.n_x))
    assert value == pytest.approx(expected, rel=1e-12)
    along = np.tril(rng.normal(size=root.shape))
    change = [criterion([root + step * along])[0] for step in (1e-6, -1e-6)]
    assert (by_root * along).sum() == pytest.approx((change[0] - change[1]) / 2e-6, rel=1e-5)
