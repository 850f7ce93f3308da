"""Levels that share a factor: the algebra is that of levels one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmix.gaussian.conditional import add_moments
from bayesmix.gaussian.density import FixedPrior, log_density
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.moments import GENERAL, WITH_FIXED, moments
from bayesmix.gaussian.patterns import share_patterns, sum_responses
from bayesmix.gaussian.problem import Problem
from tests.gaussian.models import make_data, make_problem


def balanced(rng: np.random.Generator) -> pd.DataFrame:
    """Twenty levels at times 0 to 4, of which some are missing for every fourth."""
    table = pd.DataFrame({"k": np.repeat(np.arange(20), 5), "t": np.tile(np.arange(5), 20)})
    table = table[(table["k"] % 4 > 0) | (table["t"] < 3)].reset_index(drop=True)
    table["y"] = 5 + 30 * rng.normal(size=len(table)) + 20 * rng.normal(size=20)[table["k"]]
    return table.sample(frac=1.0, random_state=1)  # rows of a level in any order


TEXTS = [
    "y ~ t + ar1(t | k)", "y ~ 1 + (t + I(t**2) | k)", "y ~ t + (1 | k) + exp(t | k)",
    "y ~ t + (t | k)", "y ~ t + (t || k)", "y ~ t + (1 | k)",
]  # fmt: skip


def one_by_one(equations: Equations) -> Equations:
    """Without the patterns."""
    nothing = np.zeros(0)
    return equations.replace(
        pattern=nothing, pattern_count=nothing, pattern_block=nothing, pattern_panel=nothing,
        pattern_y=nothing, pattern_yy=nothing,
    )  # fmt: skip


def shared_problem(text: str, rng: np.random.Generator) -> Problem:
    _, problem = make_problem(text, balanced(rng))
    assert problem.equations.pattern_count.tolist() in ([5, 15], [15, 5])
    return problem


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("with_fixed", [True, False])
def test_the_moments_are_those_of_levels_one_by_one(
    text: str, with_fixed: bool, rng: np.random.Generator
) -> None:
    eq = shared_problem(text, rng).equations
    p, q = eq.n_fixed, int(eq.q[0])
    L = np.tril(rng.normal(size=(q, q))).ravel()
    P = np.eye(p) * 0.3
    out = []
    for way in (0, GENERAL):
        S, U, beta, scalars = np.empty(q * q), np.empty(q * q), np.empty(p), np.empty(6)
        flags = way | (WITH_FIXED if with_fixed else 0)
        assert moments(
            eq.ints, eq.floats, L, 1.7, P, P @ np.ones(p), flags, S, U, beta, np.empty((p, p)),
            scalars,
        )  # fmt: skip
        scalars[5] = scalars[5] if with_fixed else 0.0
        out.append(np.concatenate([S, U, beta, scalars]))
    np.testing.assert_allclose(out[0], out[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("text", TEXTS)
def test_the_density_has_its_gradient(text: str, rng: np.random.Generator) -> None:
    problem = shared_problem(text, rng)
    co = problem.absolute_coordinates()
    prior = FixedPrior(np.eye(problem.n_fixed) * 0.1, np.ones(problem.n_fixed))
    x = np.append(np.log(10.0) + rng.normal(size=co.n_sd), rng.normal(size=co.n_x - co.n_sd))
    gradient = np.empty(len(x))

    def density(z: np.ndarray) -> float:
        return log_density(problem.equations, co, prior, z, True, np.empty(len(z)))

    value = log_density(problem.equations, co, prior, x, True, gradient)
    alone = one_by_one(problem.equations)
    np.testing.assert_allclose(value, log_density(alone, co, prior, x, True, gradient), rtol=1e-8)
    steps = 1e-5 * np.eye(len(x))
    numerical = [(density(x + step) - density(x - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("text", TEXTS[:2])
def test_draws_are_from_the_normal_of_levels_one_by_one(
    text: str, rng: np.random.Generator
) -> None:
    problem = shared_problem(text, rng)
    eq, co, n = problem.equations, problem.absolute_coordinates(), 4000
    p, q = problem.n_fixed, int(eq.q[0])
    prior = FixedPrior(np.zeros((p, p)), np.zeros(p))
    x = np.full(co.n_x, 0.3)
    x[: co.n_sd] = np.log(20.0)
    x[-1] = np.log(25.0)
    n_b = q * 20
    mean, cov, b_mean = np.empty(p), np.empty((p, p)), np.empty(n_b)
    b_cov, cross = np.empty(q * n_b), np.empty((n_b, p))
    assert add_moments(eq, co, x, 0.0, prior, True, mean, cov, b_mean, b_cov, cross)
    beta, b = rng.normal(size=(n, p)), rng.normal(size=(n, n_b))
    assert draw_effects(eq, co, 0.0, prior, np.tile(x, (n, 1)), beta, b)
    sd = np.sqrt(b_cov.reshape(20, q, q)[:, range(q), range(q)]).ravel()
    assert np.abs((b.mean(axis=0) - b_mean) / sd).max() < 5 / np.sqrt(n)
    np.testing.assert_allclose(b.std(axis=0), sd, rtol=5 / np.sqrt(n))
    np.testing.assert_allclose(np.cov(beta.T), cov, rtol=0.2, atol=0.02)
    joint = np.cov(b.T, beta.T)[:n_b, n_b:]
    scale = sd[:, None] * np.sqrt(np.diag(cov))
    assert np.abs((joint - cross) / scale).max() < 6 / np.sqrt(n)
    within = np.cov(b[:, :q].T)
    np.testing.assert_allclose(
        within / np.outer(sd[:q], sd[:q]), b_cov[: q * q].reshape(q, q) / np.outer(sd[:q], sd[:q]),
        atol=6 / np.sqrt(n),
    )  # fmt: skip


def test_levels_that_differ_share_nothing() -> None:
    _, problem = make_problem("y ~ x + (x + z + u | k)", make_data())
    assert not len(problem.equations.pattern)
    assert share_patterns(problem.equations) is problem.equations


@pytest.mark.parametrize("text", ["y ~ t + (1 | k)", "y ~ t + (t | k)"])
def test_few_levels_to_a_pattern_share_nothing(text: str, rng: np.random.Generator) -> None:
    """One or two effects have a pass of their own, cheaper than a factor for a few levels."""
    alike = balanced(rng).query("k % 4 > 0")
    for n in (7, 8):
        levels = alike[alike["k"].isin(alike["k"].unique()[:n])]
        _, problem = make_problem(text, levels)
        assert len(problem.equations.pattern_count) == (n == 8)


@pytest.mark.parametrize(("n_kinds", "found"), [(3, 3), (900, 0)])
def test_the_first_levels_tell_whether_patterns_are_looked_for(
    n_kinds: int, found: int, rng: np.random.Generator
) -> None:
    at = rng.normal(size=(n_kinds, 3))[np.arange(9000) % n_kinds]
    table = pd.DataFrame({"k": np.repeat(np.arange(9000), 3), "t": at.ravel()})
    table["y"] = rng.normal(size=len(table))
    _, problem = make_problem("y ~ t + (1 | k)", table)
    assert len(problem.equations.pattern_count) == found


def test_sums_follow_another_response(rng: np.random.Generator) -> None:
    eq = shared_problem(TEXTS[0], rng).equations.replace()
    y = rng.normal(size=(20, 5))
    eq.panel.reshape(20, 5, -1)[:, :, -1] = y
    sum_responses(eq)
    for k in range(2):
        own = y[eq.pattern == k]
        np.testing.assert_allclose(eq.pattern_y.reshape(2, 5)[k], own.sum(axis=0))
        np.testing.assert_allclose(eq.pattern_yy.reshape(2, 5, 5)[k], own.T @ own)
