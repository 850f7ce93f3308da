"""The seam of residual structures: exact against dense algebra, with exact gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.families import Gaussian, GaussianKnownSE
from bayesmix.gaussian import structure as elimination
from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.gaussian.coordinates import Coordinates, unpack_theta
from bayesmix.gaussian.density import flat_prior, log_density, log_likelihood, profiled_deviance
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.gaussian.residual_coordinates import phi_values
from bayesmix.gaussian.structure import plan_elimination
from bayesmix.priors.resolve import resolve_priors
from bayesmix.residual import (
    Independent,
    KnownStandardErrors,
    PairClasses,
    Residual,
    Weighted,
    residual_by_rows,
)
from bayesmix.statement.pymc_model import build_pymc_model
from tests.gaussian.models import MATRICES, dense_covariance, dense_Z, make_data

from .algebra import check_gradient, dense_likelihood
from .toys import CompoundSymmetry, Levels, Ratios

FORMULAS = {
    "no groups": "y ~ x",
    "intercept": "y ~ x + (1 | k)",
    "slopes": "y ~ x + (x | k)",
    "slopes apart": "y ~ x + (x || k)",
    "no fixed effects": "y ~ 0 + (1 | h/w)",
    "nested": "y ~ x + (x | h/w)",
    "three deep": "y ~ x + (1 | h/w/k)",
    "crossed": "y ~ x + (x | k) + (z | m)",
    "nested and crossed": "y ~ x + z + (x | h/w) + (z | k) + (1 | m)",
    "offset": "y ~ x + offset(z) + (x | k)",
    "related": "y ~ x + (x | gr(k, cov=A))",
}
STRUCTURES: dict[str, Residual] = {
    "ratios": Ratios(3),
    "levels": Levels(3),
    "cs": CompoundSymmetry(),
}


class Case:
    """A structured model beside what dense algebra needs of it."""

    def __init__(self, formula: str, residual: Residual, series: str = "k") -> None:
        data = make_data(n=130)
        rng = np.random.default_rng(11)
        self.rows = {
            "stratum": rng.integers(0, 3, len(data)),
            # Within every grouping factor, so that each may be eliminated: pairs of rows.
            "series": data.groupby(["h", "w", "k", "m"] if series == "fine" else series)
            .ngroup()
            .to_numpy(),
        }
        self.model = bmx.Model(formula, data, matrices=MATRICES)
        self.residual = residual
        self.problem: Problem = build_problem(
            self.model.design.mu, self.model.y, residual=residual, rows=self.rows
        )
        self.priors = resolve_priors(
            self.model.design, self.model.family, self.model.y, residual=residual
        )

    def random_x(self, co: Coordinates, rng: np.random.Generator, spread: float) -> np.ndarray:
        x = rng.normal(0, spread, int(co.sizes[0]))
        x[: int(co.sizes[1])] += 1
        if co.sizes[3]:
            x[-1] = 3 + rng.normal(0, 0.5 * spread)
        phi = rng.normal(0, spread, len(self.residual.parameters))
        if isinstance(self.residual, Levels):
            phi += 3
        return np.concatenate([x, phi])

    def values(self, co: Coordinates, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], Any]:
        d = int(co.sizes[0])
        sd, C = unpack_theta(co, x[:d])
        ends = [*co.L_start[1:], len(C)]
        factors = [C[a:b].reshape(q, q) for a, b, q in zip(co.L_start, ends, co.q, strict=False)]
        parameters = phi_values(self.residual.parameters, x[d:])
        return sd[:-1], [F @ F.T for F in factors], parameters | {"sigma": float(sd[-1])}

    def V(self, co: Coordinates, x: np.ndarray) -> np.ndarray:
        sd, corr, parameters = self.values(co, x)
        Z = dense_Z(self.problem)
        R = self.residual.covariance(parameters, self.rows, self.problem.n_obs)
        return R + Z @ dense_covariance(self.problem, sd, corr) @ Z.T

    @property
    def response(self) -> np.ndarray:
        offset = self.model.design.mu.offset
        return self.model.y - (0.0 if offset is None else offset)


def cases() -> list[Any]:
    return [
        pytest.param(formula, structure, id=f"{name} {word}")
        for name, formula in FORMULAS.items()
        for word, structure in STRUCTURES.items()
    ]


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("formula", "structure"), cases())
def test_reml_and_ml_are_those_of_the_dense_model(
    formula: str, structure: Residual, reml: bool, rng: np.random.Generator
) -> None:
    case = Case(formula, structure, "fine")
    co, X = case.problem.relative_coordinates(), case.model.design.mu.X
    for spread in (0.5, 1.0, 2.0):
        x = case.random_x(co, rng, spread)
        gradient = np.empty(len(x))
        known = case.problem.known_precision
        ours = profiled_deviance(case.problem.equations, co, x, reml, known, gradient)
        ours += case.problem.criterion_offset(reml=reml)
        log_V, log_X, length = dense_likelihood(case.V(co, x), X, case.response)
        n = len(X) - (X.shape[1] if reml else 0)
        variance = length / n if structure.estimates_sigma else 1.0
        dense = log_V + length / variance + n * np.log(2 * np.pi * variance)
        dense += log_X if reml else 0.0
        assert ours == pytest.approx(dense, rel=1e-8, abs=1e-7)


@pytest.mark.parametrize(("formula", "structure"), cases())
def test_the_collapsed_log_density_is_that_of_the_dense_model(
    formula: str, structure: Residual, rng: np.random.Generator
) -> None:
    case = Case(formula, structure, "fine")
    problem, priors = case.problem, case.priors
    co, X = problem.coordinates(priors), case.model.design.mu.X
    prior = problem.fixed_prior(case.model.design.mu, priors.mu)
    # The prior of beta, brought back from the working columns.
    back = problem.scaling.TX / problem.scaling.y_scale
    precision = back.T @ prior.precision @ back
    mean = np.linalg.solve(back, prior.mean + problem.scaling.beta_0) if len(back) else np.zeros(0)
    ours, dense = [], []
    for _ in range(4):
        x = case.random_x(co, rng, 1.0)
        ours.append(log_density(problem.equations, co, prior, x, False, np.empty(len(x))))
        sd, corr, parameters = case.values(co, x)
        V = case.V(co, x) + X @ np.linalg.inv(precision) @ X.T if len(back) else case.V(co, x)
        value = stats.multivariate_normal(X @ mean, V).logpdf(case.response)
        of_sd = [entry for group in problem.groups for entry in priors.sd[group.name]]
        for s, entry in zip(sd, of_sd, strict=True):
            value += stats.halfcauchy(scale=entry.prior.parameters["beta"]).logpdf(s)
        for group, R in zip(problem.groups, corr, strict=True):
            if covariance_of(group).has_correlations:
                value += np.linalg.slogdet(R)[1]  # LKJ(2)
        if structure.estimates_sigma:
            scale = priors.family["sigma"].prior.parameters["beta"]
            value += stats.halfcauchy(scale=scale).logpdf(parameters["sigma"])
        for name in priors.residual:
            phi = parameters[name]
            value += {
                "ratio": stats.lognorm(1.0), "log": stats.norm(3.0, 1.5),
                "rho": stats.uniform(0.0, 1.0),
            }[name.split("_")[0]].logpdf(phi)  # fmt: skip
        dense.append(value)
    assert np.abs(np.diff(ours) - np.diff(dense)).max() < 1e-8 * np.abs(dense).max()


@pytest.mark.parametrize("extreme", [0.0, 3.0, -3.0])
@pytest.mark.parametrize(("formula", "structure"), cases())
def test_gradients_are_those_of_finite_differences(
    formula: str, structure: Residual, extreme: float, rng: np.random.Generator
) -> None:
    case = Case(formula, structure, "fine")
    problem = case.problem
    eq, relative, absolute = (
        problem.equations, problem.relative_coordinates(), problem.absolute_coordinates(),
    )  # fmt: skip
    with_priors = problem.coordinates(case.priors)
    prior = problem.fixed_prior(case.model.design.mu, case.priors.mu)
    known = problem.known_precision
    x = case.random_x(absolute, rng, 0.7)
    x[int(absolute.sizes[0]) :] += extreme
    y = case.random_x(relative, rng, 0.7)
    y[int(relative.sizes[0]) :] += extreme
    for reml in (True, False):
        check_gradient(lambda z, g, r=reml: log_likelihood(eq, absolute, z, r, g), x, 1e-7)
        check_gradient(
            lambda z, g, r=reml: profiled_deviance(eq, relative, z, r, known, g), y, 1e-7
        )
    for jacobian in (True, False):
        check_gradient(
            lambda z, g, j=jacobian: log_density(eq, with_priors, prior, z, j, g), x, 1e-7
        )


@pytest.mark.parametrize(("formula", "structure"), cases())
def test_conditional_moments_are_those_of_the_dense_model(
    formula: str, structure: Residual, rng: np.random.Generator
) -> None:
    case = Case(formula, structure, "fine")
    problem, X = case.problem, case.model.design.mu.X
    co = problem.absolute_coordinates()
    x = case.random_x(co, rng, 0.7)
    found = conditional_moments(
        problem, co, x, flat_prior(problem.n_fixed), known=problem.known_precision
    )
    inverse = np.linalg.inv(case.V(co, x))
    cov = np.linalg.inv(X.T @ inverse @ X)
    beta = cov @ X.T @ inverse @ case.response
    assert found.beta == pytest.approx(beta, rel=1e-7)
    assert found.beta_cov == pytest.approx(cov, rel=1e-6, abs=1e-9)
    sd, corr, _ = case.values(co, x)
    b = dense_covariance(problem, sd, corr) @ dense_Z(problem).T @ inverse
    b = b @ (case.response - X @ beta)
    ours = [found.b[group.name].ravel() for group in problem.groups]
    if ours:
        assert np.concatenate(ours) == pytest.approx(b, rel=1e-6, abs=1e-7)


def test_effects_are_drawn_at_each_value_of_the_parameters(rng: np.random.Generator) -> None:
    case = Case("y ~ x + (x | k)", Ratios(3))
    problem = case.problem
    co, p = problem.absolute_coordinates(), problem.n_fixed
    X = np.stack([case.random_x(co, rng, 0.5) for _ in range(3)])
    n_u = int((problem.equations.q * problem.equations.n_levels).sum())
    beta, b = np.zeros((3, p)), np.zeros((3, n_u))
    assert draw_effects(problem.equations, co, 0.0, flat_prior(p), X, beta, b)
    back = np.linalg.inv(problem.scaling.TX) * problem.scaling.y_scale
    for s in range(3):  # without noise a draw is the mean
        found = conditional_moments(problem, co, X[s], flat_prior(p))
        ours = back @ (beta[s] + problem.scaling.beta_0)
        assert ours == pytest.approx(found.beta, rel=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
def test_the_pymc_model_states_the_same_likelihood(
    structure: Residual, rng: np.random.Generator
) -> None:
    case = Case("y ~ x + (1 | k)", structure)
    model, design = case.model, case.model.design
    family = model.family if structure.estimates_sigma else GaussianKnownSE()
    stated = build_pymc_model(
        design, family, model.y, case.priors, model.names, "centered", structure, case.rows
    )
    point = stated.initial_point()
    point = {name: value + rng.normal(0, 0.3, np.shape(value)) for name, value in point.items()}
    names = ["beta", "b_k", *priors_of(structure)]
    variables = stated.replace_rvs_by_values([stated[name] for name in names])
    found = stated.compile_fn(
        variables, inputs=stated.value_vars, on_unused_input="ignore", mode="FAST_COMPILE"
    )(point)
    values = dict(zip(names, found, strict=True))
    beta, b = values["beta"], values["b_k"]
    mean = design.mu.X @ beta + np.einsum(
        "nk,nk->n", design.mu.groups[0].Z, b[design.mu.groups[0].index]
    )
    R = structure.covariance(values, case.rows, len(mean))
    dense = stats.multivariate_normal(mean, R).logpdf(model.y)
    ours = stated.compile_logp(vars=stated.observed_RVs, jacobian=False, mode="FAST_COMPILE")(point)
    assert float(ours) == pytest.approx(dense, rel=1e-9)


def priors_of(structure: Residual) -> list[str]:
    sigma = ["sigma"] if structure.estimates_sigma else []
    return [*sigma, *(one.name for one in structure.parameters)]


def test_a_factor_that_changes_within_a_series_goes_to_the_root() -> None:
    case = Case("y ~ x + (1 | h/w)", CompoundSymmetry(), "h")
    names = [case.model.design.mu.groups[k].name for k in case.problem.plan.chain]
    assert names == ["h"]
    names = [case.model.design.mu.groups[k].name for k in case.problem.plan.rest]
    assert names == ["h:w"]


@pytest.mark.parametrize("series", ["h", "k"])
@pytest.mark.parametrize("formula", ["y ~ x + (x | h/w)", "y ~ x + (x | h) + (z | k) + (1 | m)"])
def test_series_that_cross_other_factors_are_exact_too(
    formula: str, series: str, rng: np.random.Generator
) -> None:
    case = Case(formula, CompoundSymmetry(), series)
    co, X = case.problem.relative_coordinates(), case.model.design.mu.X
    x = case.random_x(co, rng, 1.0)
    ours = profiled_deviance(case.problem.equations, co, x, True, 0.0, np.empty(len(x)))
    ours += case.problem.criterion_offset(reml=True)
    log_V, log_X, length = dense_likelihood(case.V(co, x), X, case.response)
    n = len(X) - X.shape[1]
    assert ours == pytest.approx(log_V + log_X + n + n * np.log(2 * np.pi * length / n), rel=1e-8)
    eq = case.problem.equations
    check_gradient(lambda z, g: profiled_deviance(eq, co, z, True, 0.0, g), x, 1e-7)


def test_a_root_too_large_names_the_factor_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    design = bmx.Model("y ~ x + (1 | h/w)", make_data()).design
    rows = {"series": design.mu.groups[0].index if design.mu.groups[0].name == "h" else
            design.mu.groups[1].index}  # fmt: skip
    pairs = CompoundSymmetry().pairs(rows, design.n_obs)
    monkeypatch.setattr(elimination, "MAX_ROOT", 3)
    with pytest.raises(NotSupportedError, match="`h:w` changes within a series"):
        plan_elimination(design.mu.groups, pairs)


def test_pairs_say_which_classes_are_possible() -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        PairClasses(n_classes=2, diagonal=np.array([0, 2]))
    with pytest.raises(ValueError, match="as many of each"):
        PairClasses(first=np.array([0]))


def test_data_given_per_row_decide_on_the_structure() -> None:
    ones = np.ones(3)
    assert residual_by_rows({}) == Independent()
    assert residual_by_rows({"weights": ones}) == Weighted()
    assert residual_by_rows({"known_se": ones}) == KnownStandardErrors()


@pytest.mark.parametrize(
    ("structure", "expected"),
    [(Independent(), 2.0), (Weighted(), 1.0), (KnownStandardErrors(), 3.0)],
)
def test_structures_whiten_and_draw_by_each_rows_own_sd(
    structure: Residual, expected: float
) -> None:
    rows = {"weights": np.full(4000, 4.0), "known_se": np.full(4000, 3.0)}
    drawn = structure.draw(4000, {"sigma": 2.0}, rows, np.random.default_rng(1))
    assert drawn.std() == pytest.approx(expected, rel=0.05)
    assert structure.whiten(drawn, {"sigma": 2.0}, rows) == pytest.approx(drawn / expected)
    mean, cov = structure.conditional(rows, drawn, {k: v[:2] for k, v in rows.items()}, 2,
                                      {"sigma": 2.0})  # fmt: skip
    assert mean == pytest.approx(np.zeros(2))
    assert cov == pytest.approx(expected**2 * np.eye(2))


def test_responses_are_simulated_with_the_structures_own_residuals() -> None:
    rows = {"stratum": np.repeat([0, 1, 2], 3000)}
    eta = np.full((2, 9000), 5.0)
    parameters = {"sigma": [[1.0], [2.0]], "ratio_1": [[2.0], [1.0]], "ratio_2": [[0.5], [3.0]]}
    drawn = Ratios(3).simulate(Gaussian(), eta, parameters, rows, np.random.default_rng(2))
    sd = drawn.reshape(2, 3, 3000).std(axis=2)
    assert sd == pytest.approx(np.array([[1.0, 2.0, 0.5], [2.0, 2.0, 6.0]]), rel=0.06)
    assert drawn.mean() == pytest.approx(5.0, abs=0.1)
