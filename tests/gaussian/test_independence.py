"""Values without gradients, and chains whose effects come from the factor of each draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayesmix.gaussian.density import log_density
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.independence import Chain, ValueDensity
from bayesmix.gaussian.value import LEVELS, PATTERNS, WHOLE

from .models import FORMULAS, make_data, make_problem, random_x

WEIGHTINGS = ({}, {"weights": "weight"}, {"known_se": "se"})


def density_of(model: Any, problem: Any) -> ValueDensity:
    priors = model.prior_entries
    return ValueDensity(
        eq=problem.equations, co=problem.coordinates(priors),
        prior=problem.fixed_prior(model.design.mu, priors.mu), known=problem.known_precision,
    )  # fmt: skip


def check_values(density: ValueDensity, points: np.ndarray) -> None:
    """Values are those of the density that has a gradient."""
    gradient = np.empty(density.n_coordinates)
    wanted = [log_density(density.eq, density.co, density.prior, x, True, gradient) for x in points]
    np.testing.assert_allclose(density.values(points), wanted, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("kind", FORMULAS)
def test_values_are_those_of_the_density_with_a_gradient(
    kind: str, weighting: dict[str, str], rng: np.random.Generator
) -> None:
    model, problem = make_problem(FORMULAS[kind], make_data(), **weighting)
    density = density_of(model, problem)
    if not density.n_coordinates:
        return
    check_values(density, np.stack([random_x(density.co, rng) for _ in range(4)]))


def test_levels_that_share_a_pattern_have_one_factor(rng: np.random.Generator) -> None:
    data = make_data(n=210).assign(k=np.repeat(np.arange(30), 7), x=np.tile(np.arange(7.0), 30))
    data["z"] = data["x"] ** 2
    ways = {
        "y ~ x + (x | k)": PATTERNS, "y ~ x + (1 | k)": PATTERNS, "y ~ u + (x | k)": LEVELS,
        "y ~ x + (x + z | k)": PATTERNS, "y ~ x": WHOLE,
    }  # fmt: skip
    for text, how in ways.items():
        density = density_of(*make_problem(text, data))
        assert density.how == how
        check_values(density, np.stack([random_x(density.co, rng) for _ in range(4)]))


@pytest.mark.parametrize("kind", FORMULAS)
def test_effects_have_the_mean_and_covariance_of_draws_at_the_same_theta(
    kind: str, rng: np.random.Generator
) -> None:
    """Draws are affine in their noise: none gives the mean, units a root of the covariance."""
    model, problem = make_problem(FORMULAS[kind], make_data())
    density = density_of(model, problem)
    p, n_b = problem.n_fixed, int((problem.equations.q * problem.equations.n_levels).sum())
    x = random_x(density.co, rng)
    noise = np.vstack([np.zeros(p + n_b), np.eye(p + n_b)])
    X = np.repeat(x[None], len(noise), axis=0)
    found = []
    for ours in (True, False):
        beta, b = noise[:, :p].copy(), noise[:, p:].copy()
        if ours:
            Chain(density).steps(X, np.zeros(len(X)), np.zeros(len(X)), 1, beta, b)
        else:
            draw_effects(density.eq, density.co, 0.0, density.prior, X, beta, b)
        both = np.hstack([beta, b])
        root = both[1:] - both[0]
        found.append((both[0], root.T @ root))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8 * np.abs(b).max())


def test_rejected_points_leave_a_chain_where_it_is(rng: np.random.Generator) -> None:
    model, problem = make_problem(FORMULAS["nested and crossed"], make_data())
    density = density_of(model, problem)
    n_b = int((problem.equations.q * problem.equations.n_levels).sum())
    X = np.stack([random_x(density.co, rng) for _ in range(24)])
    log_w = rng.choice([0.0, 3.0], len(X))
    beta, b = rng.normal(size=(12, problem.n_fixed)), rng.normal(size=(12, n_b))
    noise, effects = beta.copy(), b.copy()
    log_u = np.log(rng.random(len(X)))
    kept, lp, acceptance, found = Chain(density).steps(
        X, density.values(X) - log_w, log_u, 2, beta, b
    )
    at, expected = 0, []
    for s in range(len(X)):
        if log_u[s] < log_w[s] - log_w[at]:
            at = s
        expected.append(at)
    np.testing.assert_array_equal(kept, X[expected[1::2]])
    np.testing.assert_allclose(found, log_w, atol=1e-9)
    np.testing.assert_allclose(lp, density.values(kept), rtol=1e-12)
    assert ((acceptance > 0) & (acceptance <= 1)).all()
    assert len(np.unique(kept[:, 0])) < len(kept)
    # New effects at every draw, from the factor of the place the chain is at.
    draw_effects(density.eq, density.co, 0.0, density.prior, kept, noise, effects)
    np.testing.assert_allclose(beta, noise, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(b, effects, rtol=1e-7, atol=1e-9)


def test_a_chain_in_stretches_is_the_same_chain(rng: np.random.Generator) -> None:
    model, problem = make_problem(FORMULAS["crossed slopes"], make_data())
    density = density_of(model, problem)
    X = np.stack([random_x(density.co, rng) for _ in range(30)])
    log_q, log_u = density.values(X) - 2 * rng.random(30), np.log(rng.random(30))
    n_b = int((problem.equations.q * problem.equations.n_levels).sum())
    beta, b = rng.normal(size=(30, problem.n_fixed)), rng.normal(size=(30, n_b))
    whole = Chain(density).steps(X, log_q, log_u, 1, beta.copy(), b.copy())
    chain = Chain(density)
    parts = [
        chain.steps(X[at], log_q[at], log_u[at], 1, beta[at], b[at])
        for at in (slice(0, 7), slice(7, 8), slice(8, 30))
    ]
    for k in range(4):
        np.testing.assert_array_equal(whole[k], np.concatenate([part[k] for part in parts]))


@pytest.mark.parametrize("group", [1, 3])
def test_a_screened_chain_goes_where_two_acceptances_lead(
    group: int, rng: np.random.Generator
) -> None:
    """Steps by approximate weights, then one by what these leave: written out step by step."""
    model, problem = make_problem(FORMULAS["nested and crossed"], make_data())
    density = density_of(model, problem)
    n = 60
    X = np.stack([random_x(density.co, rng) for _ in range(n)])
    log_w = rng.choice([0.0, 2.0], n)
    log_s = log_w + rng.choice([0.0, 1.0], n)
    log_u, log_v = np.log(rng.random((2, n)))
    beta, b = np.zeros((n // group, problem.n_fixed)), np.zeros((n // group, 0))
    log_q, chain, parts = density.values(X) - log_w, Chain(density), []
    for first in range(0, n, 2 * group):  # in stretches, as it runs
        own, draws = slice(first, first + 2 * group), slice(first // group, first // group + 2)
        screen = (group, log_s[own], log_v[own])
        part = chain.steps(X[own], log_q[own], log_u[own], group, beta[draws], b[draws], screen)
        parts.append(part)
    kept, lp, acceptance, found = (np.concatenate([part[k] for part in parts]) for k in range(4))
    at, expected, evaluated = -1, [], set()
    for first in range(0, n, group):
        there = at
        for s in range(first, first + group):
            if at < 0:  # the first point that there is
                at = there = s
                evaluated.add(s)
            elif log_v[s] < log_s[s] - log_s[there]:
                there = s
        if there != at:
            evaluated.add(there)
            if log_u[there] < (log_w - log_s)[there] - (log_w - log_s)[at]:
                at = there
        expected.append(at)
    np.testing.assert_array_equal(kept, X[expected])
    assert set(np.flatnonzero(~np.isnan(found))) == evaluated
    assert 10 < len(evaluated) < n
    where = sorted(evaluated)
    np.testing.assert_allclose(found[where], (log_w - log_s)[where], atol=1e-8)
    np.testing.assert_allclose(lp, density.values(kept), rtol=1e-12)
    assert ((acceptance >= 0) & (acceptance <= 1)).all()
