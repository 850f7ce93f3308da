"""Laplace's approximation, against dense algebra and differences."""

from __future__ import annotations

import numpy as np
import pytest
from numba import carray
from scipy import optimize, special

from bayesmix.gaussian.coordinates import expand
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, kernel
from bayesmix.glmm import predictor
from bayesmix.glmm.data import rows_at
from bayesmix.inference.laplace import (
    hessian,
    maximise_laplace,
    search_units,
    value_at,
)

from .models import (
    FORMULAS,
    dense_parts,
    make_data,
    make_problem,
    prior_covariance,
    with_priors,
)  # fmt: skip


def dense_laplace(gp, co, x: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    """Poisson with log link: minimise over u densely, then -log|H| / 2."""
    d = co.n_x
    n_L = len(co.T)
    L, Q = np.empty(n_L), np.empty(n_L)
    sd, C = np.empty((1, co.n_sd + 1)), np.empty((1, n_L))
    expand(co.ints, co.floats, 1, x[:d].copy(), sd, C, L, Q)
    blocks, at = [], 0
    for q in gp.problem.equations.q.tolist():
        blocks.append(L[at : at + q * q].reshape(q, q))
        at += q * q
    A, D = dense_parts(gp, blocks), prior_covariance(gp)
    P = np.linalg.inv(D)
    base = gp.rows.offset + gp.rows.X.T @ x[d:]
    y = gp.rows.y

    def minus(u: np.ndarray) -> tuple[float, np.ndarray]:
        eta = base + A @ u
        mu = np.exp(eta)
        return float((mu - y * eta).sum() + u @ P @ u / 2), A.T @ (mu - y) + P @ u

    if A.shape[1] == 0:
        return -minus(np.zeros(0))[0]
    found = optimize.minimize(
        minus, np.zeros(A.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10}
    )
    mu = np.exp(base + A @ found.x)
    H = A.T @ (mu[:, None] * A) + P
    log_det = np.linalg.slogdet(H)[1] + np.linalg.slogdet(D)[1]
    return -float(found.fun) - 0.5 * float(log_det)


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_value_is_that_of_dense_algebra_and_the_gradient_its_difference(
    kind: str, rng: np.random.Generator
) -> None:
    gp = make_problem(FORMULAS[kind], make_data(rng))
    co = gp.problem.absolute_coordinates()
    n_x = co.n_x + gp.problem.n_fixed
    x = rng.normal(0, 0.3, n_x)
    _, prior = with_priors(gp)
    gradient, scratch = np.empty(n_x), np.empty(n_x)
    u = np.zeros(gp.n_effects)
    value = value_at(gp, co, prior, 0, x, u, gradient)
    assert value == pytest.approx(dense_laplace(gp, co, x), abs=1e-7)
    h = 1e-4
    for i in range(n_x):
        e = np.zeros(n_x)
        e[i] = h
        sides = [value_at(gp, co, prior, 0, x + s * e, u, scratch) for s in (1, -1)]
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
    n_x = co.n_x + len(parameters) + gp.problem.n_fixed
    x = rng.normal(0, 0.3, n_x)
    gradient, scratch, u = np.empty(n_x), np.empty(n_x), np.zeros(gp.n_effects)
    assert np.isfinite(value_at(gp, co, prior, priors, x, u, gradient))
    h = 1e-4
    for i in range(n_x):
        e = np.zeros(n_x)
        e[i] = h
        sides = [value_at(gp, co, prior, priors, x + s * e, u, scratch) for s in (1, -1)]
        assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=2e-5, abs=2e-5)


def test_a_variance_of_zero_is_an_answer(rng: np.random.Generator) -> None:
    data = make_data(rng)
    data["y"] = 1.0 + (np.arange(len(data)) % 2)  # less variable than Poisson in every group
    gp = make_problem(FORMULAS["intercept"], data)
    found = maximise_laplace(gp, gp.problem.absolute_coordinates(), None, 0, 0.4)
    assert found.theta.converged
    assert found.theta.sd.tolist() == [0.0]
    assert np.isfinite(found.loglik)


@pytest.mark.parametrize(
    ("family", "link", "parameters", "unit"),
    [
        ("gamma", "inverse", ("alpha",), 1e4),
        ("gamma", "inverse", ("alpha",), 1e-4),
        ("gamma", "identity", ("alpha",), 1e-6),
        ("gamma", "identity", ("alpha",), 1e6),
        ("poisson", "identity", (), 1e2),
        ("poisson", "sqrt", (), 1e2),
        ("negative_binomial", "identity", ("alpha",), 1e2),
        ("student_t", "identity", ("nu", "sigma"), 1e-6),
        ("student_t", "identity", ("nu", "sigma"), 1e6),
        ("student_t", "log", ("nu", "sigma"), 1e6),
    ],
)
def test_gradients_in_any_unit_of_the_response(
    family: str, link: str, parameters: tuple[str, ...], unit: float, rng: np.random.Generator
) -> None:
    data = make_data(rng)
    data["y"] = unit * (10 + 0.3 * data["x"] + rng.gamma(4, 0.5, len(data)))
    if family in {"poisson", "negative_binomial"}:
        data["y"] = np.floor(data["y"])
    gp = make_problem(FORMULAS["slope"], data, family, link, parameters)
    co = gp.problem.absolute_coordinates()
    n_x = co.n_x + len(parameters) + gp.problem.n_fixed
    scale = search_units(gp, n_x)
    start = maximise_laplace(gp, co, None, 0, _link(link, float(data["y"].mean())))
    x = start.x + rng.normal(0, 0.02, n_x) * scale
    x[: co.n_sd] = np.log(0.05 * gp.link_unit)
    _, prior = with_priors(gp)
    gradient, scratch = np.empty(n_x), np.empty(n_x)
    assert np.isfinite(value_at(gp, co, prior, 0, x, np.zeros(gp.n_effects), gradient))
    for i in range(n_x):
        e = np.zeros(n_x)
        e[i] = 1e-4 * scale[i]
        sides = [
            value_at(gp, co, prior, 0, x + sign * e, np.zeros(gp.n_effects), scratch)
            for sign in (1, -1)
        ]
        slope = (sides[0] - sides[1]) / 2e-4
        assert gradient[i] * scale[i] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def _link(link: str, mean: float) -> float:
    return {"inverse": 1 / mean, "sqrt": mean**0.5, "log": np.log(mean)}.get(link, mean)


_rows, _each = rows_at, predictor.evaluate_each


@kernel(f8, INTS, FLOATS, i8, *(FLOATS,) * 3)
def curvatures(row_ints, row_floats, address, phi, ends, second):  # type: ignore[no-untyped-def]
    rows = _rows(row_ints, row_floats)
    n = rows.sizes[0]
    center, scratch = np.empty(n), np.empty(n)
    to = carray(ends, (n,))
    for i in range(n):
        center[i] = 2.0
    _each(rows, address, carray(phi, (1,)), center, center, to, scratch, scratch,
          carray(second, (n,)), np.empty(4))  # fmt: skip
    return 0.0


def test_rows_beyond_the_edge_stay_where_they_are(rng: np.random.Generator) -> None:
    data = make_data(rng)
    gp = make_problem(FORMULAS["intercept"], data, "poisson", "identity")
    n = len(data)
    ends, second = np.where(np.arange(n) % 3 == 0, -1.0, 3.0), np.empty(n)
    curvatures(gp.rows.ints, gp.rows.floats, gp.address(), np.ones(1), ends, second)
    outside = np.arange(n) % 3 == 0
    assert (ends == np.where(outside, 2.0, 3.0)).all()
    np.testing.assert_allclose(second, np.where(outside, 2.0, -data["y"] / 9.0))


def test_the_hessian_takes_the_side_that_is_there(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    gp = make_problem(FORMULAS["intercept"], make_data(rng))
    co = gp.problem.absolute_coordinates()
    found = maximise_laplace(gp, co, None, 0, 0.4)
    free = np.ones(len(found.x), dtype=bool)
    central = hessian(gp, co, None, 0, found.x, found.u, free)

    def edge(gp, co, prior, priors, x, u, gradient) -> float:  # type: ignore[no-untyped-def]
        value = value_at(gp, co, prior, priors, x, u, gradient)
        if x[1] > found.x[1] or x[2] != found.x[2]:
            gradient[:] = 0.0
            return -np.inf
        return value

    monkeypatch.setattr("bayesmix.inference.laplace.value_at", edge)
    sided = hessian(gp, co, None, 0, found.x, found.u, free)
    np.testing.assert_allclose(sided[:2, :2], central[:2, :2], rtol=1e-3, atol=1e-3)
    assert sided[2, 2] == 0.0  # nothing is known where there is no side


def test_the_start_is_in_units_of_the_response(rng: np.random.Generator) -> None:
    data = make_data(rng)
    data["y"] = rng.gamma(5, np.exp(rng.normal(0, 0.3, len(data))) / 5)
    found = {}
    for unit in (1.0, 1e6):
        gp = make_problem(
            FORMULAS["intercept"], data.assign(y=unit * data["y"]), "gamma", "identity", ("alpha",)
        )
        mean = unit * float(data["y"].mean())
        found[unit] = maximise_laplace(gp, gp.problem.absolute_coordinates(), None, 0, mean)
    assert found[1.0].theta.converged
    assert found[1e6].theta.converged
    np.testing.assert_allclose(found[1e6].theta.sd, 1e6 * found[1.0].theta.sd, rtol=1e-5)
