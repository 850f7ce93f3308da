"""Conditional means, variances and draws of (beta, b), against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.gaussian.conditional import (
    conditional_moments,
    split_by_group,
)
from bayesmix.gaussian.dense import factor_root, root_inverse
from bayesmix.gaussian.effect_draws import draw_effects, draw_fixed
from bayesmix.gaussian.moments import GENERAL, WITH_FIXED, moments
from bayesmix.gaussian.structure import plan_elimination

from .models import (
    FORMULAS,
    dense_covariance,
    dense_Z,
    make_data,
    make_problem,
    random_x,
    theta_at,
)  # fmt: skip


@pytest.mark.parametrize("kind", FORMULAS)
def test_moments_and_draws(kind: str, rng: np.random.Generator) -> None:
    model, problem = make_problem(FORMULAS[kind], make_data(year=100.0))
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    x = random_x(co, rng, 0.5)
    sd, corr, sigma = theta_at(co, x)
    Z, X = dense_Z(problem), model.design.mu.X
    y = model.y if model.design.mu.offset is None else model.y - model.design.mu.offset
    p, n_b = X.shape[1], Z.shape[1]
    # Prior precision of (b, beta) on the formula's scale.
    back = np.linalg.inv(problem.scaling.TX) * problem.scaling.y_scale
    forward = np.linalg.inv(back)
    P = forward.T @ prior.precision @ forward
    mean = back @ (prior.mean + problem.scaling.beta_0)
    A = np.concatenate([Z, X], axis=1)
    M = A.T @ A / sigma**2
    M[:n_b, :n_b] += np.linalg.inv(dense_covariance(problem, sd, corr))
    M[n_b:, n_b:] += P
    rhs = A.T @ y / sigma**2
    rhs[n_b:] += P @ mean
    V = np.linalg.inv(M)
    expected = V @ rhs

    found = conditional_moments(problem, co, x, prior)
    np.testing.assert_allclose(found.beta, expected[n_b:], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.beta_cov, V[n_b:, n_b:], rtol=1e-5, atol=1e-8)
    at = 0
    alone = conditional_moments(problem, co, x, prior, fixed_uncertainty=False)
    V_alone = np.linalg.inv(M[:n_b, :n_b]) if n_b else np.zeros((0, 0))
    for group in problem.groups:
        size = group.n_levels * group.n_effects
        shape = (group.n_levels, group.n_effects)
        rows = slice(at, at + size)
        b = expected[rows].reshape(shape)
        np.testing.assert_allclose(found.b[group.name], b, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            found.b_var[group.name], np.diag(V)[rows].reshape(shape), rtol=1e-5
        )
        np.testing.assert_allclose(
            alone.b_var[group.name], np.diag(V_alone)[rows].reshape(shape), rtol=1e-5
        )
        np.testing.assert_allclose(
            found.cross[group.name], V[rows, n_b:].reshape(*shape, p), rtol=1e-4, atol=1e-5
        )
        at += size

    n_draws = 4000
    beta = rng.normal(size=(n_draws, p))
    u = rng.normal(size=(n_draws, n_b))
    assert draw_effects(problem.equations, co, 0.0, prior, np.tile(x, (n_draws, 1)), beta, u)
    alone = rng.normal(size=(n_draws, p))
    assert draw_fixed(problem.equations, co, 0.0, prior, np.tile(x, (n_draws, 1)), alone)
    np.testing.assert_allclose(alone.mean(axis=0), beta.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(np.cov(alone.T), np.cov(beta.T), rtol=0.2, atol=1e-2)
    draws = (beta + problem.scaling.beta_0) @ back.T
    groups = split_by_group(problem, u)
    everything = np.concatenate(
        [groups[g.name].reshape(n_draws, -1) for g in problem.groups] + [draws], axis=1
    )
    # Whitened by the exact covariance the draws are standard normals.
    white = np.linalg.solve(np.linalg.cholesky(V), (everything - expected).T)
    assert np.abs(white.mean(axis=1)).max() < 5 / np.sqrt(n_draws)
    cov = white @ white.T / n_draws
    assert np.abs(cov - np.eye(len(cov))).max() < 6.5 / np.sqrt(n_draws)


@pytest.mark.parametrize("text", ["y ~ x + (1 | k)", "y ~ x + z + (x | k)", "y ~ 0 + (x || k)"])
@pytest.mark.parametrize("with_fixed", [True, False])
def test_the_short_way_for_one_factor_is_the_general_one(
    text: str, with_fixed: bool, rng: np.random.Generator
) -> None:
    _, problem = make_problem(text, make_data())
    eq = problem.equations
    p, q = problem.n_fixed, int(eq.q[0])
    L = np.tril(rng.normal(size=(q, q))).ravel()
    P = np.eye(p) * 0.3
    out = []
    for way in (0, GENERAL):
        S, U, beta, scalars = np.empty(q * q), np.empty(q * q), np.empty(p), np.empty(6)
        cov = np.empty((p, p))
        flags = way | (WITH_FIXED if with_fixed else 0)
        assert moments(
            eq.ints, eq.floats, L, 1.7, P, P @ np.ones(p), flags, S, U, beta, cov, scalars
        )
        scalars[5] = scalars[5] if with_fixed else 0.0
        out.append(np.concatenate([S, U, beta, scalars]))
    np.testing.assert_allclose(out[0], out[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "chain", "rest"),
    [
        ("intercept", ["k"], []),
        ("nested", ["h:w", "h"], []),
        ("three deep", ["h:w:k", "h:w", "h"], []),
        ("crossed", ["k"], ["m"]),
        ("nested and crossed", ["h:w", "h"], ["k", "m"]),
    ],
)
def test_the_plan_finds_the_chain(kind: str, chain: list[str], rest: list[str]) -> None:
    model, _ = make_problem(FORMULAS[kind], make_data())
    plan = plan_elimination(model.design.mu.groups)
    assert [model.design.mu.groups[i].name for i in plan.chain] == chain
    assert [model.design.mu.groups[i].name for i in plan.rest] == rest


def test_too_many_crossed_columns_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmix.errors import NotSupportedError
    from bayesmix.gaussian import structure

    monkeypatch.setattr(structure, "MAX_ROOT", 4)
    with pytest.raises(NotSupportedError, match=r"`m` \(5 columns\).*engine=\"pymc\""):
        make_problem("y ~ x + (1 | k) + (1 | m)", make_data())


@pytest.mark.parametrize("n", [1, 2, 8, 9, 64, 65, 200])
def test_roots_of_any_size_are_factored_and_inverted(n: int, rng: np.random.Generator) -> None:
    A = rng.normal(size=(n, n + 5))
    A = A @ A.T
    root, inverse = A.copy(), np.empty((n, n))
    assert factor_root(root, n)
    root_inverse(root, n, n, inverse)
    np.testing.assert_allclose(np.tril(root), np.linalg.cholesky(A), rtol=1e-8, atol=1e-10)
    whole = np.tril(inverse) + np.tril(inverse, -1).T  # the lower triangle counts
    np.testing.assert_allclose(whole @ A, np.eye(n), atol=1e-6)
    A[n // 2, n // 2] = -1.0
    assert not factor_root(A, n)


def test_many_crossed_levels_with_many_effects_converge(rng: np.random.Generator) -> None:
    """A root of some hundred columns that is close to singular on the way."""
    import pandas as pd

    import bayesmix as bmx

    n = 900
    f = rng.integers(0, 2, (n, 2)) * 2 - 1.0
    data = pd.DataFrame({"s": np.repeat(np.arange(45), 20), "i": rng.integers(0, 25, n)})
    data = data.assign(a=f[:, 0], b=f[:, 1])
    data["y"] = 500 + 30 * rng.normal(size=45)[data["s"]] * data["a"] + 60 * rng.normal(size=n)
    fit = bmx.Model("y ~ a * b + (a * b | s) + (a * b | i)", data).fit_eb()
    assert fit.converged
    assert np.isfinite(fit.reml_criterion)
