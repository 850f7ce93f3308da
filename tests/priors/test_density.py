"""Log densities of priors are PyMC's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate

import bayesmix as bmx
from bayesmix.errors import PriorError
from bayesmix.gaussian.problem import scale_prior_codes
from bayesmix.priors.density import (
    lkj_correlation,
    lkj_log_density,
    prior_distribution,
    prior_log_density,
)
from bayesmix.priors.distributions import _KNOWN as KNOWN
from bayesmix.priors.distributions import pymc_distribution, standard_parameters

PRIORS = [
    bmx.Prior("Normal", mu=1, sigma=2),
    bmx.Prior("Normal", tau=4),
    bmx.Prior("StudentT", nu=3),
    bmx.Prior("StudentT", nu=3, mu=1, lam=0.25),
    bmx.Prior("Cauchy", alpha=1, beta=2),
    bmx.Prior("Laplace", mu=1, b=2),
    bmx.Prior("Logistic", mu=1, s=2),
    bmx.Prior("Logistic"),
    bmx.Prior("HalfNormal", sigma=2),
    bmx.Prior("HalfNormal", tau=2),
    bmx.Prior("HalfCauchy", beta=2),
    bmx.Prior("HalfStudentT", nu=4, sigma=2),
    bmx.Prior("HalfStudentT", nu=4, lam=2),
    bmx.Prior("Exponential", lam=2),
    bmx.Prior("Exponential", scale=2),
    bmx.Prior("Gamma", alpha=2, beta=3),
    bmx.Prior("Gamma", mu=2, sigma=3),
    bmx.Prior("InverseGamma", alpha=3, beta=2),
    bmx.Prior("InverseGamma", alpha=3),
    bmx.Prior("InverseGamma", mu=3, sigma=2),
    bmx.Prior("LogNormal", mu=1, sigma=2),
    bmx.Prior("LogNormal", tau=2),
    bmx.Prior("Weibull", alpha=2, beta=3),
    bmx.Prior("Uniform", lower=-1, upper=3),
    bmx.Prior("Uniform"),
    bmx.Prior("Beta", alpha=2, beta=3),
    bmx.Prior("Beta", mu=0.3, sigma=0.1),
    bmx.Prior("Beta", mu=0.3, nu=7),
    bmx.Prior("SkewNormal", mu=0, sigma=1, alpha=2),  # known to PyMC alone
]


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_each_is_pymcs(prior: bmx.Prior) -> None:
    import pymc as pm

    x = np.array([[-0.7, 0.05, 0.4], [0.9, 1.5, 6.0]])
    distribution = pymc_distribution(prior.distribution, prior.parameters)
    expected = pm.logp(distribution, x).eval(mode="FAST_COMPILE")
    # PyMC has some constants in single precision.
    np.testing.assert_allclose(prior_log_density(prior, x), expected, rtol=1e-5, atol=1e-6)


_VALUES = {"mu": 0.4, "sigma": 0.3, "alpha": 2.5, "beta": 1.5, "nu": 4.0, "upper": 3.0}


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"Flat", "HalfFlat", "LKJ"}))
def test_whatever_is_accepted_pymc_accepts_and_has_the_same_density(name: str) -> None:
    import pymc as pm

    keys = (*KNOWN[name].real, *KNOWN[name].positive)
    x = np.array([0.2, 0.7])
    n_accepted = 0
    for given in itertools.chain.from_iterable(
        itertools.combinations(keys, k) for k in range(len(keys) + 1)
    ):
        parameters = {key: _VALUES.get(key, 0.6) for key in given}
        try:
            prior = bmx.Prior(name, **parameters)
        except PriorError:
            continue
        n_accepted += 1
        expected = pm.logp(pymc_distribution(name, parameters), x).eval(mode="FAST_COMPILE")
        np.testing.assert_allclose(prior_log_density(prior, x), expected, rtol=1e-5, atol=1e-6)
        backwards = bmx.Prior(name, **dict(reversed(parameters.items())))
        assert standard_parameters(name, parameters) == standard_parameters(
            name, backwards.parameters
        )
        assert scale_prior_codes(backwards) == scale_prior_codes(prior)
    assert n_accepted > 0


def test_flat_priors_count_for_nothing() -> None:
    x = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(prior_log_density(bmx.Prior("Flat"), x), [0, 0])
    np.testing.assert_array_equal(prior_log_density(bmx.Prior("HalfFlat"), x), [-np.inf, 0])


@pytest.mark.parametrize("eta", [1.0, 2.0, 0.5])
def test_the_lkj_integrates_to_one(eta: float) -> None:
    def density(*rho: float) -> float:
        R = np.eye(2) + rho[0] * (1 - np.eye(2))
        return float(np.exp(lkj_log_density(eta, R)))

    total, _ = integrate.quad(density, -1, 1)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_the_lkj_of_three_integrates_to_one() -> None:
    rho = np.random.default_rng(1).uniform(-1, 1, (200_000, 3))
    R = np.broadcast_to(np.eye(3), (len(rho), 3, 3)).copy()
    for (i, k), values in zip(((0, 1), (0, 2), (1, 2)), rho.T, strict=True):
        R[:, i, k] = R[:, k, i] = values
    inside = np.linalg.eigvalsh(R)[:, 0] > 0
    density = np.where(inside, np.exp(lkj_log_density(2.0, R)), 0.0)
    assert 8 * density.mean() == pytest.approx(1.0, abs=0.02)


def test_one_correlation_of_an_lkj_is_a_beta() -> None:
    rho = np.array([-0.8, 0.0, 0.5])
    R = np.stack([np.array([[1.0, r], [r, 1.0]]) for r in rho])
    np.testing.assert_allclose(lkj_correlation(3.0, 2).logpdf(rho), lkj_log_density(3.0, R))


def test_distributions_draw_what_their_density_says(rng: np.random.Generator) -> None:
    prior = prior_distribution(bmx.Prior("HalfStudentT", nu=4, sigma=2))
    draws = prior.rvs(100_000, rng)
    inside = integrate.quad(prior.pdf, 0, 1)[0]
    assert np.mean(draws < 1) == pytest.approx(inside, abs=0.01)
    assert prior_distribution(bmx.Prior("SkewNormal", mu=0, sigma=1, alpha=2)) is None
