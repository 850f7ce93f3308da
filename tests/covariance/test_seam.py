"""A structure from outside the package is exact, in every engine and table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.gaussian.coordinates import structure_values, unpack_theta
from bayesmix.gaussian.density import log_density, log_likelihood, profiled_deviance
from bayesmix.gaussian.theta import pack_theta
from bayesmix.inference.problems import gaussian_problem, glmm_problem
from tests.gaussian.models import check_gradient

from .models import CASES, PLACES, case, dense_deviance
from .structures import Decay, Tied, entered, with_structure


@pytest.fixture(autouse=True)
def _entered() -> Iterator[None]:
    with entered():
        yield


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 240
    g, f = rng.integers(0, 15, n), rng.integers(0, 4, n)
    x = 3.0 + rng.normal(size=n)
    b = 3.0 * (0.6 * rng.normal(size=(15, 1)) + 0.8 * rng.normal(size=(15, 4)))
    eta = 0.5 * (x - 3.0) + b[g, f]
    return pd.DataFrame(
        {
            "y": 5 + eta + rng.normal(size=n), "count": rng.poisson(np.exp(0.3 * eta)),
            "x": x, "g": g, "h": rng.integers(0, 6, n), "f": np.array(list("abcd"))[f],
            "e": np.array(list("uvw"))[rng.integers(0, 3, n)],
        }
    )  # fmt: skip


def points(co: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Random coordinates, and extreme ones: correlations near their ends, sds far apart."""
    n, n_sd = int(co.sizes[0]), int(co.sizes[1])
    shape = slice(n_sd, n_sd + co.n_structure)
    found = [rng.normal(0, 1, n) for _ in range(3)]
    for size in (-6.0, 6.0):
        x = rng.normal(0, 0.5, n)
        x[shape] = size / 4 if (co.value_width == 0).any() else size
        x[:n_sd] += np.linspace(-4, 3, n_sd)
        found.append(x)
    return found


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kind", CASES)
def test_the_criterion_is_that_of_dense_algebra(
    kind: str, reml: bool, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case(kind, data)
    problem = gaussian_problem(model)
    co = problem.absolute_coordinates()
    n = problem.n_obs - (problem.n_fixed if reml else 0)
    for x in points(co, rng):
        ours = -2 * log_likelihood(problem.equations, co, x, reml, np.empty(len(x)))
        ours += problem.criterion_offset(reml=reml) + n * np.log(2 * np.pi)
        assert ours == pytest.approx(dense_deviance(model, problem, co, x, reml), rel=1e-8)


@pytest.mark.parametrize("kind", CASES)
def test_gradients_are_those_of_differences(
    kind: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case(kind, data)
    problem = gaussian_problem(model)
    eq, relative = problem.equations, problem.relative_coordinates()
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    for x in points(relative, rng):
        for reml in (True, False):
            check_gradient(
                lambda z, g, reml=reml: profiled_deviance(eq, relative, z, reml, 0.0, g), x, 1e-6
            )
    for x in points(co, rng):
        for jacobian in (True, False):
            check_gradient(
                lambda z, g, jacobian=jacobian: log_density(eq, co, prior, z, jacobian, g), x, 1e-6
            )


@pytest.mark.parametrize("kind", CASES)
def test_coordinates_of_what_they_stand_for_are_the_same(
    kind: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case(kind, data)
    problem = gaussian_problem(model)
    co = problem.absolute_coordinates()
    X = rng.normal(size=(5, int(co.sizes[0])))
    sd, C = unpack_theta(co, X)
    by_group, corr, structure = {}, {}, {}
    values = iter(structure_values(co, X))
    for f, group in enumerate(problem.groups):
        first, q = int(co.sd_start[f]), group.n_effects
        by_group[group.name] = sd[:, first : first + q]
        F = C[:, co.L_start[f] :][:, : q * q].reshape(-1, q, q)
        corr[group.name] = F @ np.swapaxes(F, 1, 2)
        own: dict[str, np.ndarray] = {}
        for part in covariance_of(group).with_coordinates:
            found = next(values)
            own |= {name: found[:, k] for k, name in enumerate(part.named_parameters())}
        structure[group.name] = own
    again = pack_theta(problem, by_group, corr, sd[:, -1], structure)
    np.testing.assert_allclose(again, X, rtol=1e-6, atol=1e-8)


def collapsed(
    model: bmx.Model, stated: Callable[..., Any], values: dict[str, Any]
) -> tuple[float, float]:
    """log p of everything under the PyMC model, and minus that of the effects given the rest."""
    design, priors = model.design.mu, model.prior_entries.mu
    group = design.groups[0]
    part = covariance_of(group).parts[0]
    name = part.covariance.parameters()[0].name
    C = part.covariance.roots({name: np.array([values["shape"]])})[0]
    L = values["sd"] * C
    Z = np.zeros((len(model.y), group.n_levels, group.n_effects))
    Z[np.arange(len(model.y)), group.index] = group.Z
    A = np.concatenate([design.X, (Z @ L).reshape(len(model.y), -1)], axis=1)
    # Prior of (beta, z): beta's slope and the intercept at the means, z standard normal.
    p = 2
    to_means = np.array([[1.0, design.X[:, 1].mean()], [0.0, 1.0]])
    assert priors.intercept is not None
    entries = [priors.intercept.prior.parameters, priors.coefficients[0].prior.parameters]
    P, m = np.eye(A.shape[1]), np.zeros(A.shape[1])
    P[:p, :p] = to_means.T @ np.diag([e["sigma"] ** -2.0 for e in entries]) @ to_means
    m[:p] = np.linalg.solve(to_means, [e["mu"] for e in entries])
    precision = A.T @ A / values["sigma"] ** 2 + P
    mean = np.linalg.solve(precision, A.T @ model.y / values["sigma"] ** 2 + P @ m)
    w = np.concatenate([values["beta"], values["z"].ravel()])
    d = w - mean
    given = 0.5 * (np.linalg.slogdet(precision)[1] - d @ precision @ d - len(w) * np.log(2 * np.pi))
    pm_model = model.pymc_model
    point = {
        "intercept_at_means": (to_means @ values["beta"])[0], "coefficients": values["beta"][1:],
        "sd_g_log__": np.log([values["sd"]]), "z_g": values["z"],
        "sigma_log__": np.log(values["sigma"]),
    }  # fmt: skip
    value = pm_model.rvs_to_values[pm_model[f"{name}_g"]].name
    point[value] = part.covariance.parameters()[0].coordinate(values["shape"])
    if value.endswith("_log__"):
        point[value] = np.log(values["shape"])
    return float(stated({k: np.asarray(v) for k, v in point.items()})), float(given)


def test_the_pymc_model_is_the_collapsed_density_times_the_effects(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = case("tied", data)
    problem = gaussian_problem(model)
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    compiled = model.pymc_model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    stated, ours = [], []
    for _ in range(3):
        values = {
            "sd": float(rng.exponential(2)), "sigma": float(rng.exponential(2)) + 0.5,
            "shape": float(rng.uniform(-0.3, 0.95)), "z": rng.normal(size=(15, 4)),
            "beta": rng.normal(size=2),
        }  # fmt: skip
        logp, given = collapsed(model, compiled, values)
        stated.append(logp - given)
        rho = covariance_of(model.design.mu.groups[0]).parameters()["rho"]
        x = np.array([
            np.log(values["sd"]), rho.coordinate(np.array(values["shape"])), np.log(values["sigma"])
        ])  # fmt: skip
        ours.append(log_density(problem.equations, co, prior, x, False, np.empty(3)))
    np.testing.assert_allclose(np.diff(ours), np.diff(stated), rtol=1e-8)


def test_priors_of_a_structure_are_in_the_density(data: pd.DataFrame) -> None:
    """The derivative by the range is that of the likelihood plus that of the prior."""
    model = case("decay", data)
    problem = gaussian_problem(model)
    co = problem.coordinates(model.prior_entries)
    assert problem.n_fixed == 2
    own = covariance_of(model.design.mu.groups[0]).parameters()["range"]
    x, at = np.array([0.3, 0.1, -0.2, 0.5, 0.7, 0.2]), 4
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    eq, plain = problem.equations, problem.absolute_coordinates()
    gradients = [np.empty(6), np.empty(6), np.empty(6)]
    log_density(eq, co, prior, x, False, gradients[0])
    log_density(eq, co, prior, x, True, gradients[1])
    flat = type(prior)(np.zeros((2, 2)), np.zeros(2))
    log_density(eq, plain, flat, x, False, gradients[2])
    value = own.at(np.array(x[at]))
    density = stats.lognorm(1.0, scale=own.unit)
    steps = [density.logpdf(value * np.exp(s)) for s in (1e-5, -1e-5)]
    # Priors of beta change it too, but little: they are wide.
    expected = (steps[0] - steps[1]) / 2e-5
    assert gradients[0][at] - gradients[2][at] == pytest.approx(expected, abs=0.05)
    assert gradients[1][at] - gradients[0][at] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["tied", "decay", "beside free slopes"])
def test_reml_finds_the_best_and_its_tables_have_a_row_for_each_parameter(
    kind: str, data: pd.DataFrame
) -> None:
    model = case(kind, data)
    fit = model.fit_eb()
    problem = gaussian_problem(model)
    co, x = fit._law.absolute
    assert fit.converged
    assert fit.deviance == pytest.approx(dense_deviance(model, problem, co, x, True), rel=1e-8)
    slope = np.empty(len(x))
    log_likelihood(problem.equations, co, x, True, slope)
    assert np.abs(slope).max() < 1e-3
    table = fit.variance_components()
    labels = [
        (g.name, label) for g in model.design.mu.groups for label in covariance_of(g).sd_labels
    ]
    assert list(zip(table["group"], table["effect"], strict=True)) == [*labels, ("Residual", "")]
    assert table["variance_share"].sum() == pytest.approx(1.0)
    assert (table["sd_lower"] <= table["sd"]).all()
    assert (table["sd"] < table["sd_upper"]).all()
    if kind == "tied":
        assert labels == [("g", "tied(f[a], f[b], f[c], f[d])")]
        assert fit.df == 2 + 2 + 1
        assert len(fit.correlations()) == 0
    assert len(fit.group_effects("g")) == 15 * model.design.mu.groups[0].n_effects


def test_the_posterior_has_the_parameters_of_the_structure(data: pd.DataFrame) -> None:
    model = case("tied", data)
    post = model.fit(draws=300, tune=300, chains=2, seed=5, progress=False)
    assert post.idata.attrs["engine"].startswith("fast")
    found = post.idata["posterior"]
    assert found["sd_g"].shape == (2, 300, 1)
    assert found["rho_g"].shape == (2, 300)
    assert float(found["rho_g"].min()) > -1 / 3
    eb = model.fit_eb()
    table = post.variance_components()
    assert list(table["effect"]) == ["tied(f[a], f[b], f[c], f[d])", ""]
    assert table["sd"][0] == pytest.approx(float(eb.variance_components()["sd"][0]), rel=0.2)
    rows = model.design.frame.iloc[:3]
    assert np.isfinite(post.predict(rows)["estimate"]).all()


def test_priors_names_words_and_latex_ask_the_structure(data: pd.DataFrame) -> None:
    model = case("beside an intercept", data)
    names = list(model.priors["parameter"])
    assert "sd(g, tied(f[a], f[b], f[c], f[d]))" in names
    assert "rho(g)" in names
    assert not any(name.startswith("corr(") for name in names)
    assert "(tied)" in repr(model)
    assert r"\rho_{\text{g}} &\sim \operatorname{Uniform}(-0.3333, 1)" in model.equation()


def test_names_of_two_structures_in_one_factor_differ(data: pd.DataFrame) -> None:
    model = case("two in one factor", data)
    assert set(model.prior_entries.mu.structure["g"]) == {"rho_0", "rho_1"}
    assert {"rho_0_g", "rho_1_g"} <= set(model.pymc_model.named_vars)


@pytest.mark.parametrize("kind", ["tied", "decay"])
def test_beyond_the_normal_value_and_gradient_know_the_structure(
    kind: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    from bayesmix.gaussian.density import FixedPrior
    from bayesmix.inference.laplace import value_at

    model = with_structure(
        bmx.Model("count ~ x + (0 + f | g)", data, family="poisson"), "g", {0: kind}, PLACES
    )
    gp = glmm_problem(model)
    co = gp.problem.coordinates(model.prior_entries)
    prior = FixedPrior(np.eye(2) / 4.0, np.zeros(2))

    def value(x: np.ndarray, gradient: np.ndarray) -> float:
        return value_at(gp, co, prior, 2, x, np.zeros(gp.n_effects), gradient)

    for x in points(co, rng)[:2]:
        check_gradient(value, np.concatenate([0.3 * x, [0.3, 0.1]]), 1e-5)


def test_effects_at_new_places_follow_their_normal_law_given_the_others() -> None:
    old, new = PLACES[:3], PLACES[3:]
    rng = np.random.default_rng(1)
    reach = rng.uniform(0.5, 3.0, 4)
    found = Decay(3, old).conditional({"range": reach}, new)
    for s, r in enumerate(reach):
        gaps = np.sqrt(((PLACES[:, None] - PLACES[None]) ** 2).sum(axis=-1))
        R = np.exp(-gaps / r)
        weights = R[3:, :3] @ np.linalg.inv(R[:3, :3])
        np.testing.assert_allclose(found.weights[s], weights, rtol=1e-10, atol=1e-11)
        left = R[3:, 3:] - weights @ R[:3, 3:]
        np.testing.assert_allclose(found.root[s] @ found.root[s].T, left, rtol=1e-10, atol=1e-11)
    with pytest.raises(bmx.errors.NotSupportedError, match="no positions"):
        Tied(3).conditional({"rho": np.array([0.5])}, new)


def test_hypotheses_know_the_parameters_of_a_structure(data: pd.DataFrame) -> None:
    fit = case("tied", data).fit_eb()
    table = fit.hypothesis("rho(g) > 0").table
    co, x = fit._law.absolute
    assert table["estimate"][0] == pytest.approx(float(structure_values(co, x)[0][0]))
    assert table["lower"][0] < table["estimate"][0] < table["upper"][0]


def test_a_correlation_matrix_that_is_singular_to_rounding_has_a_root(data: pd.DataFrame) -> None:
    problem = gaussian_problem(case("decay", data))
    co, gradient = problem.absolute_coordinates(), np.empty(6)

    def at(log_range: float) -> float:
        x = np.array([0.0, 0.0, 0.0, 0.0, log_range, 0.0])
        return log_likelihood(problem.equations, co, x, True, gradient)

    # All effects of a level become one: the likelihood has an end, and the slope is zero there.
    assert at(25.0) == pytest.approx(at(60.0), abs=1e-6)
    assert abs(gradient[4]) < 1e-6
