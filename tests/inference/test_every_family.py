"""Families that once went to PyMC alone: joint density, Laplace's approximation, other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.density import flat_prior
from bayesmix.inference.laplace import value_at
from bayesmix.inference.problems import glmm_problem
from tests.families.cases import family_data
from tests.glmm.models import non_centred_density

MODELS: dict[str, tuple[str, str]] = {
    "beta_binomial": ("proportion(k, m)", "beta_binomial"),
    "hurdle": ("count", "hurdle_negative_binomial"),
    "ordered": ("grade", "cumulative"),
    "adjacent": ("grade", "acat"),
    "ordbeta": ("any_fraction", "ordbeta"),
    "skew": ("real", "skew_normal"),
    "events": ("event(positive, seen)", "weibull"),
    "truncated": ("truncated(count, None, 30)", "negative_binomial"),
    "weighted": ("weighted(grade, w)", "sratio"),
    "tobit": ("censored(real, late)", "gaussian"),
}


def make_data(n: int = 120) -> pd.DataFrame:
    data = family_data(n)
    return data.assign(
        seen=(np.arange(n) % 4 != 0).astype(int), late=(np.arange(n) % 5 == 0).astype(int)
    )


def model_of(name: str) -> bmx.Model:
    left, family = MODELS[name]
    return bmx.Model(f"{left} ~ x + (1 | g)", make_data(), family=family)


def raw_name(point: dict[str, np.ndarray], name: str) -> str:
    """A parameter's free variable: on its own scale, or on an unbounded one."""
    found = [k for k in point if k == name or k.startswith((f"{name}_lo", f"{name}_at_means"))]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("name", list(MODELS))
def test_the_joint_density_is_pymcs(name: str, rng: np.random.Generator) -> None:
    model = model_of(name)
    gp, priors = glmm_problem(model), model.prior_entries
    co, prior = gp.coordinates(priors), gp.fixed_prior(priors)
    logp = model.pymc_model.compile_logp(mode="FAST_COMPILE")
    shapes = {k: v.shape for k, v in model.pymc_model.initial_point().items()}
    predictor, ours, theirs = model.design.mu, [], []
    for _ in range(4):
        point = {k: rng.normal(-0.2, 0.3, shape) for k, shape in shapes.items()}
        theirs.append(float(logp(point)))
        phi = [point[raw_name(point, n)].ravel() for n in gp.parameters]
        t = np.concatenate([np.atleast_1d(point["sd_g_log__"]), *phi])
        if model.family.replaces_intercept:
            beta = np.ravel(point["beta"])
        else:
            slopes = np.ravel(point["coefficients"])
            center = float(point["intercept_at_means"]) - predictor.means[1:] @ slopes
            beta = np.append(center, slopes)
        inside = np.concatenate([point["z_g"].ravel(), gp.problem.scaling.TX @ beta])
        value = non_centred_density(gp, co, prior, t, inside)
        ours.append(value)
    assert np.diff(ours) == pytest.approx(np.diff(theirs), rel=1e-8, abs=1e-7)


@pytest.mark.parametrize("name", list(MODELS))
def test_gradients_of_the_approximation_are_differences(
    name: str, rng: np.random.Generator
) -> None:
    model = model_of(name)
    gp = glmm_problem(model)
    co, p = gp.coordinates(model.prior_entries), gp.problem.n_fixed
    n_x = co.n_x + len(gp.phi) + p
    start = np.zeros(n_x)
    start[co.n_x : n_x - p] = gp.phi.coordinates(gp.phi_start)
    start[n_x - p] = 0.0 if model.family.replaces_intercept else model.link_start

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient, u = np.empty(n_x), np.zeros(gp.n_effects)
        return value_at(gp, co, flat_prior(p), 0, x, u, gradient), gradient

    x = start + 0.2 * rng.normal(size=n_x)
    here, gradient = value(x)
    assert np.isfinite(here)
    for k in range(n_x):
        step = 1e-5 * np.eye(n_x)[k]
        difference = (value(x + step)[0] - value(x - step)[0]) / 2e-5
        assert gradient[k] == pytest.approx(difference, rel=2e-4, abs=5e-4)


def dense_log_likelihood(model: bmx.Model, fit: Any) -> float:
    """By the trapezoidal rule over seven standard deviations, with `Family.log_prob`."""
    node = np.linspace(-7.0, 7.0, 1401)
    group, table = model.design.mu.groups[0], fit.family_parameters()
    estimates = np.asarray(table["estimate"], dtype=float)
    if model.family.vector_parameters:
        parameters: dict[str, Any] = {"thresholds": estimates}
    else:
        parameters = dict(zip(model.family.parameters, estimates, strict=True))
    eta = model.design.mu.X @ np.asarray(fit.fixed_effects()["estimate"], dtype=float)
    sd = float(fit.variance_components()["sd"].iloc[0])
    terms = [
        np.bincount(
            group.index,
            model.family.log_prob(model.y, eta + sd * z * group.Z[:, 0], parameters, model.rows),
            minlength=group.n_levels,
        )
        for z in node
    ]
    log_weight = np.log(node[1] - node[0]) - 0.5 * (node**2 + np.log(2 * np.pi))
    return float(special.logsumexp(np.asarray(terms).T + log_weight, axis=1).sum())


def grouped(n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = rng.integers(0, 15, n)
    x = rng.normal(2, 1, n)
    eta = 0.5 * (x - 2) + rng.normal(0, 0.6, 15)[g]
    time = rng.weibull(1.6, n) * np.exp(0.4 + eta)
    limit = rng.exponential(4, n)
    grade = np.digitize(eta + rng.logistic(size=n), [-1.2, 0.1, 1.4])
    y = 1 + eta + rng.normal(0, 0.7, n)
    return pd.DataFrame(
        {
            "x": x,
            "g": g.astype(str),
            "time": np.minimum(time, limit),
            "event": (time <= limit).astype(int),
            "grade": pd.Categorical(grade, range(4), ordered=True),
            "y": np.minimum(y, 1.8),
            "late": (y > 1.8).astype(int),
            "count": rng.poisson(np.exp(0.5 + eta)),
            "w": rng.choice([0.5, 1.0, 2.0], n),
        }
    )


INTEGRATED: list[tuple[str, str]] = [
    ("grade", "cumulative"),
    ("grade", "cratio"),
    ("grade", "acat"),
    ("event(time, event)", "weibull"),
    ("event(time, event)", "gamma"),
    ("censored(y, late)", "gaussian"),
    ("truncated(count, 1)", "poisson"),
    ("weighted(count, w)", "negative_binomial"),
]


@pytest.mark.parametrize(("left", "family"), INTEGRATED)
def test_quadrature_has_the_likelihood_that_dense_integration_has(left: str, family: str) -> None:
    data = grouped()
    if left.startswith("truncated"):
        data = data[data["count"] > 0].reset_index(drop=True)
    model = bmx.Model(f"{left} ~ x + (1 | g)", data, family=family)
    fit = model.fit_eb(n_quadrature=15)
    assert fit.converged
    assert fit.loglik == pytest.approx(dense_log_likelihood(model, fit), abs=1e-4)
    assert abs(model.fit_eb().loglik - fit.loglik) < 0.3  # Laplace's approximation is near


def test_thresholds_have_standard_errors_wherever_the_predictor_lies() -> None:
    """A shift of x moves the thresholds by the slope, and leaves everything else."""
    data = grouped()
    here = bmx.Model("grade ~ x + (1 | g)", data, family="cumulative").fit_eb()
    moved = data.assign(x=data["x"] + 100.0)
    there = bmx.Model("grade ~ x + (1 | g)", moved, family="cumulative").fit_eb()
    slope = float(here.fixed_effects()["estimate"].iloc[0])
    assert there.loglik == pytest.approx(here.loglik, abs=1e-6)
    one, two = here.family_parameters(), there.family_parameters()
    np.testing.assert_allclose(two["estimate"], one["estimate"] + 100 * slope, atol=1e-2)
    assert list(one["parameter"]) == ["thresholds[0|1]", "thresholds[1|2]", "thresholds[2|3]"]
    se = float(here.fixed_effects()["sd"].iloc[0])
    assert ((one["lower"] < one["estimate"]) & (one["estimate"] < one["upper"])).all()
    assert (two["sd"] > 90 * se).all()  # far from the data they are as uncertain as the slope


# Fits by glmmTMB 1.1.5 of salamanders: log-likelihood, slope of mined, sd of site.
GLMMTMB: dict[tuple[str, str], tuple[float, float, float]] = {
    ("count", "zero_inflated_poisson"): (-961.35115373, 2.161525218, 0.533257269),
    ("count", "zero_inflated_negative_binomial"): (-869.054794771, 2.25042581, 0.521351038),
    ("count", "hurdle_poisson"): (-1026.10448652, 0.959713135, 0.212648487),
    ("count", "hurdle_negative_binomial"): (-942.272418907, 1.13000949, 0.105303844),
    ("count", "hurdle_gamma"): (-961.6152168723, 0.678763595, 0.12267219),
    ("count", "negative_binomial1"): (-862.301787379, 1.87337287, 0.439321094),
    ("count", "generalized_poisson"): (-862.803849932, 1.89710225, 0.455612623),
    ("count", "tweedie"): (-876.060708176, 2.16999367, 0.4539859),
    ("proportion(k, m)", "beta_binomial"): (-823.3872000795, 2.06109775, 0.485358652),
    ("proportion(k, m)", "zero_inflated_binomial"): (-957.0922082619, 2.59098279, 0.662040308),
    ("truncated(count, 1)", "poisson"): (-592.9294169343, 0.959710765, 0.212648136),
    ("truncated(count, 1)", "negative_binomial"): (-509.0973493165, 1.130009415, 0.10530343),
    ("weighted(count, w)", "negative_binomial"): (-1735.038870901, 2.3376956, 0.69790624),
    ("one_more", "lognormal"): (-611.7726231298 - 331.4124635, 0.688657441, 0.148406276),
}


@pytest.mark.parametrize(("left", "family"), list(GLMMTMB))
def test_glmmtmb_has_the_same_fit(left: str, family: str, reference_folder: Path) -> None:
    loglik, slope, sd = GLMMTMB[left, family]
    data = pd.read_csv(reference_folder / "data" / "salamanders.csv")
    data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    data["k"], data["m"] = np.minimum(data["count"], 8), 8
    data["w"], data["one_more"] = np.resize([1.0, 2.0, 3.0], len(data)), data["count"] + 1.0
    if left.startswith("truncated"):
        data = data[data["count"] > 0].reset_index(drop=True)
    fit = bmx.Model(f"{left} ~ mined + (1 | site)", data, family=family).fit_eb()
    assert fit.converged
    assert fit.loglik == pytest.approx(loglik, abs=1e-3)
    assert fit.fixed_effects()["estimate"].iloc[1] == pytest.approx(slope, abs=2e-3)
    assert fit.variance_components()["sd"].iloc[0] == pytest.approx(sd, abs=2e-3)


def test_a_corner_has_the_fast_engine_and_no_laplace_approximation() -> None:
    data = family_data(60)
    model = bmx.Model("real ~ x + (1 | g)", data, family="laplace")
    with pytest.raises(NotSupportedError, match="the family is laplace"):
        model.fit_eb()
    fit = model.fit(draws=1000, chains=2, seed=1, progress=False)
    assert fit.idata.attrs["engine"].startswith("fast")


def test_draws_of_an_ordered_response_are_around_the_mode() -> None:
    model = bmx.Model("grade ~ x + (1 | g)", grouped(), family="cumulative")
    fit = model.fit(draws=1000, seed=3, progress=False)
    mode = model.fit_eb(method="map")
    ours, theirs = fit.family_parameters(), mode.family_parameters()
    assert fit.idata.attrs["engine"].startswith("fast")
    np.testing.assert_allclose(
        ours["estimate"], theirs["estimate"], atol=float(theirs["sd"].max()) / 2
    )
    assert (np.diff(fit.idata["posterior"]["thresholds"].to_numpy(), axis=-1) > 0).all()
