"""Laplace fits whose linear predictor is far from one, or at the edge of what may be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, NotSupportedError
from bayesmix.families import Gamma, NegativeBinomial, Poisson
from bayesmix.inference import laplace
from bayesmix.inference.laplace import start_of_laplace

LEVELS, ROWS = 30, 10


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    g = np.repeat(np.arange(LEVELS), ROWS)
    x = rng.normal(size=len(g))
    mean = 1 + 0.05 * x + 0.2 * rng.normal(size=LEVELS)[g]
    return pd.DataFrame({"g": g.astype(str), "x": x, "y": rng.gamma(5, mean.clip(0.3) / 5)})


@pytest.mark.parametrize("link", ["identity", "inverse"])
@pytest.mark.parametrize("unit", [1e-5, 1e6])
def test_another_unit_of_the_response_is_the_same_fit(
    link: str, unit: float, data: pd.DataFrame
) -> None:
    fits = [
        bmx.Model("y ~ x + (1 | g)", data.assign(y=data["y"] * u), family=Gamma(link=link)).fit_eb()
        for u in (1.0, unit)
    ]
    factor = unit if link == "identity" else 1 / unit
    assert fits[0].converged
    assert fits[1].converged
    assert fits[0].variance_components()["sd"][0] > 0.1
    for table in ("fixed_effects", "variance_components", "group_effects"):
        one, other = (getattr(fit, table)() for fit in fits)
        columns = [c for c in ("estimate", "lower", "upper", "sd", "sd_lower", "sd_upper")
                   if c in one]  # fmt: skip
        np.testing.assert_allclose(other[columns], one[columns] * factor, rtol=2e-4,
                                   atol=1e-6 * factor)  # fmt: skip
    np.testing.assert_allclose(
        fits[1].family_parameters()["estimate"], fits[0].family_parameters()["estimate"], rtol=1e-4
    )
    log_jacobian = len(data) * np.log(unit)
    assert fits[1].loglik == pytest.approx(fits[0].loglik - log_jacobian, abs=1e-5)


def test_the_posterior_mode_in_another_unit(data: pd.DataFrame) -> None:
    fits = [
        bmx.Model("y ~ x + (1 | g)", data.assign(y=data["y"] * unit),
                  family=Gamma(link="identity")).fit_eb("map")
        for unit in (1.0, 1e6)
    ]  # fmt: skip
    assert fits[1].converged
    one, other = (fit.fixed_effects() for fit in fits)
    np.testing.assert_allclose(other[["estimate", "sd"]], 1e6 * one[["estimate", "sd"]], rtol=1e-3)


@pytest.mark.parametrize("start", [1e-2, 1e-6, 1e3])
def test_the_start_does_not_matter(
    start: float, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bmx.Model("y ~ x + (1 | g)", data.assign(y=1e6 * data["y"]),
                      family=Gamma(link="identity"))  # fmt: skip
    expected = model.fit_eb()

    def elsewhere(gp, co, link_start):  # type: ignore[no-untyped-def]
        x, u = start_of_laplace(gp, co, link_start)
        x[0] = np.log(start * gp.link_unit)
        return x, u

    monkeypatch.setattr(laplace, "start_of_laplace", elsewhere)
    fit = model.fit_eb()
    assert fit.converged
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-6)


def test_a_tiny_standard_deviation_is_found(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(LEVELS), ROWS)
    mean = np.exp(0.01 * rng.normal(size=LEVELS)[g])
    d = pd.DataFrame({"g": g, "y": rng.gamma(1e4, mean / 1e4)})
    fit = bmx.Model("y ~ 1 + (1 | g)", d, family="gamma").fit_eb()
    assert fit.converged
    assert fit.optimizer.starts > 1  # the last looks whether a large one is better
    assert fit.variance_components()["sd"][0] == pytest.approx(0.01, rel=0.4)


def test_large_counts_with_the_identity_link(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(LEVELS), ROWS)
    mean = 1e6 * (1 + 0.1 * rng.normal(size=LEVELS)[g])
    d = pd.DataFrame({"g": g, "y": rng.poisson(mean * rng.gamma(50, 1 / 50, len(g)))})
    fit = bmx.Model("y ~ 1 + (1 | g)", d, family=NegativeBinomial(link="identity")).fit_eb()
    assert fit.converged
    assert fit.variance_components()["sd"][0] == pytest.approx(1e5, rel=0.5)
    assert fit.family_parameters()["estimate"][0] == pytest.approx(50, rel=0.5)
    assert fit.singular == ""


@pytest.mark.parametrize("mean", [5, 100, 2000])
def test_counts_less_variable_than_poisson_end_at_poisson(
    mean: float, rng: np.random.Generator
) -> None:
    g = np.repeat(np.arange(LEVELS), ROWS)
    mu = mean * np.exp(0.3 * rng.normal(size=LEVELS)[g])
    y = np.round(mu + 0.5 * np.sqrt(mu) * rng.normal(size=len(g))).clip(0)
    d = pd.DataFrame({"g": g, "y": y, "x": rng.normal(size=len(g))})
    fits = [
        bmx.Model("y ~ x + (1 | g)", d, family=family).fit_eb()
        for family in ("negative_binomial", "poisson")
    ]
    assert fits[0].converged
    assert fits[1].loglik - 1e-4 < fits[0].loglik <= fits[1].loglik + 1e-6
    np.testing.assert_allclose(
        fits[0].fixed_effects()[["estimate", "sd"]], fits[1].fixed_effects()[["estimate", "sd"]],
        rtol=1e-3, atol=1e-6,
    )  # fmt: skip
    assert 'no overdispersion: family="poisson"' in fits[0].singular
    assert "no overdispersion" in str(fits[0])
    assert fits[1].singular == ""


def test_overdispersed_counts_are_not_called_poisson(rng: np.random.Generator) -> None:
    g = np.repeat(np.arange(LEVELS), ROWS)
    d = pd.DataFrame({"g": g, "y": rng.poisson(100 * rng.gamma(100, 1 / 100, len(g)))})
    fit = bmx.Model("y ~ 1 + (1 | g)", d, family="negative_binomial").fit_eb()
    assert "overdispersion" not in fit.singular


def test_without_a_possible_mean_nothing_has_converged() -> None:
    d = pd.DataFrame({"x": np.tile([-1.0, 1.0], 10), "y": np.arange(20) % 4})
    with pytest.warns(ConvergenceWarning, match="no finite density"):
        fit = bmx.Model("y ~ 0 + x", d, family=Poisson(link="identity")).fit_eb()
    assert not fit.converged
    assert "no finite density" in fit.optimizer.message
    assert "Not converged" in str(fit)


def test_without_moments_nothing_has_converged(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmix.laws.laplace_mode.add_moments", lambda *_: False)
    with pytest.warns(ConvergenceWarning, match="no covariance"):
        fit = bmx.Model("y ~ x + (1 | g)", data, family="gamma").fit_eb()
    assert not fit.converged
    assert "no covariance" in fit.optimizer.message
    assert fit.group_effects()["sd"].isna().all()


def test_a_prior_that_no_kernel_knows_is_none_of_maximum_likelihoods(
    rng: np.random.Generator,
) -> None:
    g = np.repeat(np.arange(LEVELS), ROWS)
    d = pd.DataFrame({"g": g, "y": rng.poisson(3 * rng.gamma(2, 1 / 2, len(g)))})
    model = bmx.Model("y ~ 1 + (1 | g)", d, family="negative_binomial")
    weibull = model.update(priors={"alpha": bmx.Prior("Weibull", alpha=1, beta=1)})
    assert weibull.fit_eb().loglik == model.fit_eb().loglik
    with pytest.raises(NotSupportedError, match="Weibull"):
        weibull.fit_eb("map")


@pytest.mark.parametrize("ci_prob", [0, 1, 2, float("nan")])
def test_an_interval_has_a_probability(ci_prob: float, data: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + (1 | g)", data, family="gamma").fit_eb()
    with pytest.raises(NotSupportedError, match="ci_prob"):
        fit.family_parameters(ci_prob)
