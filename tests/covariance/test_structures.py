"""Every structure of the package against dense algebra, differences and the PyMC model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.covariance import STRUCTURES, covariance_of
from bayesmix.gaussian.coordinates import structure_values, unpack_theta
from bayesmix.gaussian.density import log_density, log_likelihood, profiled_deviance
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.problems import gaussian_problem, glmm_problem
from bayesmix.priors.resolve import resolve_priors
from tests.gaussian.models import check_gradient, dense_Z

from .oracles import correlation, loadings
from .structures import with_structure

# Whole-number times with gaps, odd and even, and none of them; places in a plane.
TIMES = np.array([[0.0], [1.0], [3.0], [4.0], [9.0]])
MOMENTS = np.array([[-0.7], [0.1], [0.13], [2.0], [9.5]])
PLACES = np.array([[0.0, 0.0], [1.0, 0.5], [2.5, 0.0], [3.0, 3.0], [1.0, 0.6]])
WORDS = (
    "homdiag", "cs", "homcs", "ar1", "hetar1", "ou", "toep", "homtoep", "exp", "gau", "mat",
    "rr",
)  # fmt: skip
# The formula, the grouping factor, and the block of that structure.
COMBINED = {
    "alone": ("y ~ x + (0 + f | g)", "g", 0),
    "of three": ("y ~ x + (0 + e | g)", "g", 0),
    "beside an intercept": ("y ~ x + (1 | g) + (0 + f || g)", "g", 1),
    "beside free slopes": ("y ~ x + (x | g) + (0 + f || g)", "g", 1),
    "nested": ("y ~ x + (0 + f | g) + (1 | g:h)", "g", 0),
    "crossed": ("y ~ x + (x | h) + (0 + f | g)", "g", 0),
    "crossed the other way": ("y ~ x + (1 | g) + (0 + f | h)", "h", 0),
}
EACH = [(word, "alone") for word in WORDS] + [
    (word, kind)
    for word in ("ar1", "cs", "exp")
    for kind in COMBINED
    if kind not in {"alone", "of three"}
]
EACH += [(word, "of three") for word in ("toep", "mat")]  # their kernels take memory of their own


def positions_of(word: str) -> np.ndarray:
    return {"ou": MOMENTS, "exp": PLACES, "gau": PLACES, "mat": PLACES}.get(word, TIMES)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 160
    g, f = rng.integers(0, 12, n), rng.integers(0, 5, n)
    x = 3.0 + rng.normal(size=n)
    b = 2.0 * (0.6 * rng.normal(size=(12, 1)) + 0.8 * rng.normal(size=(12, 5)))
    eta = 0.5 * (x - 3.0) + b[g, f]
    return pd.DataFrame(
        {
            "y": 5 + eta + rng.normal(size=n), "count": rng.poisson(np.exp(0.3 * eta)), "x": x,
            "g": g, "h": rng.integers(0, 5, n), "f": np.array(list("abcde"))[f],
            "e": np.array(list("uvw"))[f % 3],
            "w": rng.uniform(0.5, 2.0, n),
        }
    )  # fmt: skip


def case(word: str, kind: str, data: pd.DataFrame, **options: Any) -> bmx.Model:
    text, group, block = COMBINED[kind]
    model = bmx.Model(text, data, **options)
    return with_structure(model, group, {block: word}, positions_of(word))


def points(co: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Random coordinates, and extreme ones: correlations near their ends, sds far apart."""
    shape = slice(co.n_sd, co.n_sd + co.n_structure)
    found = [rng.normal(0, 1, co.n_x) for _ in range(2)]
    wide = (co.value_width == 0).any()
    for size in (-5.0, 5.0) if wide else (-9.0, 9.0):
        x = rng.normal(0, 0.5, co.n_x)
        x[shape] = size
        if co.n_structure > 1:  # all of them near an end leave nothing to rounding
            x[co.n_sd + 1 : co.n_sd + co.n_structure] /= 10
        x[: co.n_sd] += np.linspace(-3, 2, co.n_sd)
        found.append(x)
    return found


def dense_covariance(problem: Problem, co: Any, x: np.ndarray) -> np.ndarray:
    """Covariance of all group effects, from the definitions."""
    sd, C = unpack_theta(co, x)
    values = iter(structure_values(co, x))
    blocks, at = [], 0
    for f, group in enumerate(problem.groups):
        q = group.n_effects
        R = np.eye(q)
        for part in covariance_of(group).with_coordinates:
            here, own = part.effects, next(values)
            if part.covariance.free_correlations:
                F = C[co.L_start[f] :][: q * q].reshape(q, q)[here, here]
                R[here, here] = F @ F.T
            else:
                named = {p.name: v for p, v in zip(part.covariance.parameters(), own, strict=True)}
                where = part.covariance.positions
                assert where is not None
                R[here, here] = correlation(part.covariance.word, where, named)
        s = sd[at : at + q]
        at += q
        blocks.append(np.kron(np.eye(group.n_levels), s[:, None] * R * s))
    total, at = np.zeros((sum(map(len, blocks)),) * 2), 0
    for block in blocks:
        total[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return total


def dense_deviance(
    model: bmx.Model, problem: Problem, co: Any, x: np.ndarray, reml: bool, w: np.ndarray
) -> float:
    Z, X = dense_Z(problem), model.design.mu.X
    V = Z @ dense_covariance(problem, co, x) @ Z.T + np.diag(np.exp(2 * x[-1]) / w)
    inverse = np.linalg.inv(V)
    A = X.T @ inverse @ X
    rest = model.y - X @ np.linalg.solve(A, X.T @ inverse @ model.y)
    n = len(Z) - (X.shape[1] if reml else 0)
    value = np.linalg.slogdet(V)[1] + rest @ inverse @ rest + n * np.log(2 * np.pi)
    return float(value + (np.linalg.slogdet(A)[1] if reml else 0.0))


@pytest.mark.parametrize(("word", "kind"), EACH)
def test_the_criterion_is_that_of_dense_algebra(
    word: str, kind: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    weights = "w" if kind in {"alone", "nested"} else None
    model = case(word, kind, data, weights=weights)
    w = data["w"].to_numpy() if weights else np.ones(len(data))
    problem = gaussian_problem(model)
    co = problem.absolute_coordinates()
    for x in points(co, rng):
        for reml in (True, False):
            n = problem.n_obs - (problem.n_fixed if reml else 0)
            ours = -2 * log_likelihood(problem.equations, co, x, reml, np.empty(co.n_x))
            ours += problem.criterion_offset(reml=reml) + n * np.log(2 * np.pi)
            assert ours == pytest.approx(dense_deviance(model, problem, co, x, reml, w), rel=1e-8)


def test_a_field_of_more_places_than_columns_is_that_of_dense_algebra(
    rng: np.random.Generator,
) -> None:
    """One level whose effects are many more than the fixed columns beside them."""
    rows = pd.DataFrame(rng.uniform(size=(30, 2)), columns=["u", "v"])
    rows["y"] = rows["u"] + rng.normal(size=30)
    model = bmx.Model("y ~ 1 + exp(u + v | 1)", rows)
    problem = gaussian_problem(model)
    co, relative = problem.absolute_coordinates(), problem.relative_coordinates()
    n = problem.n_obs - problem.n_fixed
    for x in rng.normal(size=(3, co.n_x)):
        ours = -2 * log_likelihood(problem.equations, co, x, True, np.empty(co.n_x))
        ours += problem.criterion_offset(reml=True) + n * np.log(2 * np.pi)
        dense = dense_deviance(model, problem, co, x, True, np.ones(30))
        assert ours == pytest.approx(dense, rel=1e-8)
        check_gradient(
            lambda z, g: profiled_deviance(problem.equations, relative, z, True, 0.0, g),
            x[: relative.n_x], 1e-6,
        )  # fmt: skip


@pytest.mark.parametrize(("word", "kind"), EACH)
def test_gradients_are_those_of_differences(
    word: str, kind: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case(word, kind, data)
    problem = gaussian_problem(model)
    eq, relative = problem.equations, problem.relative_coordinates()
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    for x in points(relative, rng):
        check_gradient(lambda z, g: profiled_deviance(eq, relative, z, True, 0.0, g), x, 1e-6)
    for x in points(co, rng):
        check_gradient(lambda z, g: log_density(eq, co, prior, z, True, g), x, 1e-6)


def stated_minus_given(
    model: bmx.Model, logp: Callable[..., Any], x: np.ndarray, rng: np.random.Generator
) -> float:
    """log p of everything under the PyMC model, minus that of beta and effects given the rest.

    At coordinates x; `logp` is the PyMC model's, the conditional law is that of dense algebra.
    """
    design, priors = model.design.mu, model.prior_entries.mu
    group = design.groups[0]
    problem = gaussian_problem(model)
    co = problem.absolute_coordinates()
    sd, C = unpack_theta(co, x)
    L = sd[:-1, None] * C.reshape(len(sd) - 1, -1)
    Z = np.zeros((len(model.y), group.n_levels, group.n_effects))
    Z[np.arange(len(model.y)), group.index] = group.Z
    A = np.concatenate([design.X, (Z @ L).reshape(len(model.y), -1)], axis=1)
    to_means = np.array([[1.0, design.X[:, 1].mean()], [0.0, 1.0]])
    assert priors.intercept is not None
    entries = [priors.intercept.prior.parameters, priors.coefficients[0].prior.parameters]
    P, m = np.eye(A.shape[1]), np.zeros(A.shape[1])
    P[:2, :2] = to_means.T @ np.diag([e["sigma"] ** -2.0 for e in entries]) @ to_means
    m[:2] = np.linalg.solve(to_means, [e["mu"] for e in entries])
    precision = A.T @ A / sd[-1] ** 2 + P
    mean = np.linalg.solve(precision, A.T @ model.y / sd[-1] ** 2 + P @ m)
    beta, z = rng.normal(size=2), rng.normal(size=(group.n_levels, group.n_effects))
    d = np.concatenate([beta, z.ravel()]) - mean
    given = 0.5 * (np.linalg.slogdet(precision)[1] - d @ precision @ d - len(d) * np.log(2 * np.pi))
    covariance = covariance_of(group)
    point: dict[str, Any] = {
        "intercept_at_means": (to_means @ beta)[0], "coefficients": beta[1:], "z_g": z,
        "sd_g_log__": x[: co.n_sd], "sigma_log__": x[-1],
    }  # fmt: skip
    pm_model = model.pymc_model
    own = structure_values(co, x)[0] if co.n_blocks else []
    for (name, p), value in zip(covariance.parameters().items(), own, strict=True):
        called = pm_model.rvs_to_values[pm_model[f"{name}_g"]].name
        point[called] = value if p.is_real else p.coordinate(value)
        if called.endswith("_log__"):
            point[called] = np.log(value)
    return float(logp({k: np.asarray(v) for k, v in point.items()})) - float(given)


@pytest.mark.parametrize("word", WORDS)
def test_the_pymc_model_is_the_collapsed_density_times_the_effects(
    word: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case(word, "alone", data)
    problem = gaussian_problem(model)
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    logp = model.pymc_model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    stated, ours = [], []
    for _ in range(3):
        x = rng.normal(0, 1, co.n_x)
        stated.append(stated_minus_given(model, logp, x, rng))
        ours.append(log_density(problem.equations, co, prior, x, False, np.empty(co.n_x)))
    np.testing.assert_allclose(np.diff(ours), np.diff(stated), rtol=1e-8)


@pytest.mark.parametrize("word", WORDS)
def test_plain_python_makes_the_root_that_the_kernels_make(
    word: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    problem = gaussian_problem(case(word, "alone", data))
    co = problem.absolute_coordinates()
    X = rng.normal(0, 2, size=(4, co.n_x))
    compiled = unpack_theta(co, X)[1].reshape(4, 5, 5)
    own = STRUCTURES[word](5, positions_of(word))
    values = own.values_at(X[:, co.n_sd : co.n_sd + co.n_structure])
    plain = np.broadcast_to(own.roots(values), compiled.shape)
    # Where rank is lost, rounding shows in what the nugget alone leaves.
    np.testing.assert_allclose(compiled, plain, rtol=1e-9, atol=1e-9 if word == "rr" else 1e-12)
    np.testing.assert_allclose((plain**2).sum(axis=2), 1.0, rtol=2e-12)
    if values:
        again = own.coordinates_of(values)
        np.testing.assert_allclose(own.values_at(again)[next(iter(values))],
                                   values[next(iter(values))], rtol=1e-10)  # fmt: skip


@pytest.mark.parametrize("word", ["ar1", "homcs", "mat", "toep"])
def test_beyond_the_normal_value_and_gradient_know_the_structure(
    word: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    from bayesmix.gaussian.density import FixedPrior
    from bayesmix.inference.laplace import value_at

    plain = bmx.Model("count ~ x + (0 + f | g)", data, family="poisson")
    model = with_structure(plain, "g", {0: word}, positions_of(word))
    gp = glmm_problem(model)
    co = gp.problem.coordinates(model.prior_entries)
    prior = FixedPrior(np.eye(2) / 4.0, np.zeros(2))

    def value(x: np.ndarray, gradient: np.ndarray) -> float:
        return value_at(gp, co, prior, 2, x, np.zeros(gp.n_effects), gradient)

    for x in points(co, rng)[:2]:
        check_gradient(value, np.concatenate([0.3 * x, [0.3, 0.1]]), 1e-5)


@pytest.mark.parametrize("word", ["cs", "ar1"])
def test_a_narrower_uniform_prior_leaves_the_root_as_it_is(
    word: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    """The kernels' distances are those from the ends of the parameter's range."""
    model = case(word, "alone", data)
    narrow = model.with_parts(
        design=model.design,
        priors=resolve_priors(
            model.design, model.family, model.y,
            {"rho(g)": bmx.Prior("Uniform", lower=0.2, upper=0.7)},
        ),
    )  # fmt: skip
    problem = gaussian_problem(narrow)
    co = problem.coordinates(narrow.prior_entries)
    x = rng.normal(size=co.n_x)
    C = unpack_theta(co, x)[1].reshape(5, 5)
    rho = float(structure_values(co, x)[0][0])
    assert 0.2 < rho < 0.7
    np.testing.assert_allclose(C @ C.T, correlation(word, positions_of(word), {"rho": rho}),
                               rtol=1e-12)  # fmt: skip


def test_one_effect_has_no_correlation_to_estimate() -> None:
    for word in WORDS:
        one = STRUCTURES[word](1, TIMES[:1])
        assert one.n_coordinates == 0
        assert one.latex({}) is None
        np.testing.assert_array_equal(one.roots({}), np.ones((1, 1, 1)))


def test_reduced_rank_has_standard_deviations_that_follow_from_the_loadings(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case("rr", "alone", data)
    co = gaussian_problem(model).absolute_coordinates()
    x = rng.normal(size=co.n_x)
    sd, C = unpack_theta(co, x)
    covariance = covariance_of(model.design.mu.groups[0])
    values = dict(zip(covariance.parameters(), structure_values(co, x)[0], strict=True))
    A = loadings(5, values)
    np.testing.assert_allclose(sd[:5], np.exp(x[0]) * np.linalg.norm(A, axis=1), rtol=1e-12)
    L = sd[:5, None] * C.reshape(5, 5)
    np.testing.assert_allclose(L @ L.T, np.exp(2 * x[0]) * A @ A.T, rtol=1e-10, atol=1e-10)
    assert np.linalg.matrix_rank(L @ L.T, tol=1e-8) == 2
    # As many parameters as a matrix of that rank has.
    assert covariance.n_coordinates == 2 * 5 - 1
    of_sd = covariance.by_sd(sd[:5])
    assert covariance.sd_labels == ("f[a]",)
    given = {name: np.asarray(value) for name, value in values.items()}
    np.testing.assert_allclose(covariance.by_effect(of_sd, given), sd[:5], rtol=1e-12)


def test_reml_of_reduced_rank_lies_between_a_lower_rank_and_no_structure(
    data: pd.DataFrame,
) -> None:
    fit = case("rr", "alone", data).fit_eb()
    assert fit.converged
    free = bmx.Model("y ~ x + (0 + f | g)", data).fit_eb()
    one = bmx.Model("y ~ x + rr(0 + f | g, d=1)", data).fit_eb()
    assert free.loglik > fit.loglik - 1e-6
    assert fit.loglik > one.loglik - 1e-6
    assert fit.df == 2 + 9 + 1


@pytest.mark.parametrize("shape", [4e-8, 0.5, 3.0, 40.0, 60.0, 1e4, 2.4e7])
def test_matern_correlations_go_over_to_the_squared_exponential(shape: float) -> None:
    """At every shape that a search visits: few nodes, one at distance zero, both ways the same."""
    places = np.array([[0.0, 0.0], [1e-9, 0.0], [1.0, 0.5], [2.5, 0.0], [3.0, 3.0]])
    matern = STRUCTURES["mat"](5, places)
    scale = 1.5 / np.sqrt(4 * max(shape, 1.0))
    R = np.zeros(25)
    started = time.process_time()
    matern.fill(5, (scale, 0.0, 0.0, shape), matern.data(), R)
    assert time.process_time() - started < 0.5  # interpreted, and not compiled
    R = R.reshape(5, 5)
    if shape > 0.1:
        assert R[0, 1] == pytest.approx(1.0, abs=1e-8)
    if shape > 1e3:
        gau = np.exp(-(matern.distances() ** 2) / (4 * shape * scale**2))
        np.testing.assert_allclose(R, gau, atol=1 / shape)
        assert R[0, 1] == pytest.approx(1.0, abs=1e-12)
    C = matern.roots({"range": np.asarray([scale]), "shape": np.asarray([shape])})[0]
    np.testing.assert_allclose(C @ C.T, R, atol=1e-10 if shape > 0.1 else 1e-2)
