"""Laplace's approximation, against dense algebra and differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from bayesmix.gaussian.coordinates import expand
from bayesmix.inference.laplace import _value, maximise_laplace

from .models import FORMULAS, dense_parts, make_data, make_problem, with_priors


def dense_laplace(gp, co, x: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    """Poisson with log link: minimise over u densely, then -log|H| / 2."""
    d = int(co.sizes[0])
    n_L = len(co.T)
    L, Q = np.empty(n_L), np.empty(n_L)
    sd, C = np.empty((1, int(co.sizes[1]) + 1)), np.empty((1, n_L))
    expand(co.ints, co.floats, 1, x[:d].copy(), sd, C, L, Q)
    blocks, at = [], 0
    for q in gp.problem.equations.q.tolist():
        blocks.append(L[at : at + q * q].reshape(q, q))
        at += q * q
    A = dense_parts(gp, blocks)
    base = gp.rows.offset + gp.rows.X.T @ x[d:]
    y = gp.rows.y

    def minus(u: np.ndarray) -> tuple[float, np.ndarray]:
        eta = base + A @ u
        mu = np.exp(eta)
        return float((mu - y * eta).sum() + u @ u / 2), A.T @ (mu - y) + u

    if A.shape[1] == 0:
        return -minus(np.zeros(0))[0]
    found = optimize.minimize(
        minus, np.zeros(A.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10}
    )
    mu = np.exp(base + A @ found.x)
    H = A.T @ (mu[:, None] * A) + np.eye(A.shape[1])
    return -float(found.fun) - 0.5 * float(np.linalg.slogdet(H)[1])


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_value_is_that_of_dense_algebra_and_the_gradient_its_difference(
    kind: str, rng: np.random.Generator
) -> None:
    gp = make_problem(FORMULAS[kind], make_data(rng))
    co = gp.problem.absolute_coordinates()
    n_x = int(co.sizes[0]) + gp.problem.n_fixed
    x = rng.normal(0, 0.3, n_x)
    _, prior = with_priors(gp)
    gradient, scratch = np.empty(n_x), np.empty(n_x)
    u = np.zeros(gp.n_effects)
    value = _value(gp, co, prior, 0, x, u, gradient)
    assert value == pytest.approx(dense_laplace(gp, co, x), abs=1e-7)
    h = 1e-4
    for i in range(n_x):
        e = np.zeros(n_x)
        e[i] = h
        sides = [_value(gp, co, prior, 0, x + s * e, u, scratch) for s in (1, -1)]
        assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("priors", [1, 2])
@pytest.mark.parametrize(
    ("family", "link", "parameters"),
    [
        ("bernoulli", "probit", ()),
        ("negative_binomial", "log", ("alpha",)),
        ("gamma", "log", ("alpha",)),
        ("beta", "logit", ("phi",)),
    ],
)
def test_gradients_with_priors_and_family_parameters(
    family: str, link: str, parameters: tuple[str, ...], priors: int, rng: np.random.Generator
) -> None:
    data = make_data(rng)
    if family == "bernoulli":
        data["y"] = (data["y"] > 0).astype(float)
    if family == "beta":
        data["y"] = special.expit(data["y"] - 1 + rng.normal(size=len(data)))
    if family == "gamma":
        data["y"] += 0.5
    gp = make_problem(FORMULAS["crossed slopes"], data, family, link, parameters)
    co, prior = with_priors(gp)
    n_x = int(co.sizes[0]) + len(parameters) + gp.problem.n_fixed
    x = rng.normal(0, 0.3, n_x)
    gradient, scratch, u = np.empty(n_x), np.empty(n_x), np.zeros(gp.n_effects)
    assert np.isfinite(_value(gp, co, prior, priors, x, u, gradient))
    h = 1e-4
    for i in range(n_x):
        e = np.zeros(n_x)
        e[i] = h
        sides = [_value(gp, co, prior, priors, x + s * e, u, scratch) for s in (1, -1)]
        assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=2e-5, abs=2e-5)


def test_a_variance_of_zero_is_an_answer(rng: np.random.Generator) -> None:
    data = make_data(rng)
    data["y"] = 1.0 + (np.arange(len(data)) % 2)  # less variable than Poisson in every group
    gp = make_problem(FORMULAS["intercept"], data)
    found = maximise_laplace(gp, gp.problem.absolute_coordinates(), None, 0, 0.4)
    assert found.theta.converged
    assert found.theta.sd.tolist() == [0.0]
    assert np.isfinite(found.loglik)
