"""Log densities of priors, without PyMC for those that are known here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from bayesmix.priors.distributions import pymc_distribution, standard_parameters
from bayesmix.priors.prior import Prior

__all__ = [
    "lkj_correlation", "lkj_log_density", "prior_distribution", "prior_log_density", "prior_median",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Folded:
    """The absolute value of a symmetric distribution."""

    base: Any

    def logpdf(self, x: Any) -> np.ndarray:
        return np.where(np.asarray(x) >= 0, np.log(2.0) + self.base.logpdf(x), -np.inf)

    def pdf(self, x: Any) -> np.ndarray:
        return np.exp(self.logpdf(x))

    def median(self) -> float:
        return float(self.base.ppf(0.75))

    def rvs(self, size: Any, random_state: Any) -> np.ndarray:
        return np.abs(self.base.rvs(size=size, random_state=random_state))


@functools.cache
def _known() -> dict[str, Callable[..., Any]]:
    """Return the makers of SciPy's distributions, by standard parameters.

    scipy.stats takes longer to import than most fits: it is imported where it is needed.
    """
    from scipy import stats

    return {
        "Normal": stats.norm,
        "StudentT": stats.t,
        "Cauchy": stats.cauchy,
        "Laplace": stats.laplace,
        "Logistic": stats.logistic,
        "HalfNormal": lambda sigma: stats.halfnorm(0.0, sigma),
        "HalfCauchy": lambda beta: stats.halfcauchy(0.0, beta),
        "HalfStudentT": lambda nu, sigma: _Folded(stats.t(nu, 0.0, sigma)),
        "Exponential": lambda lam: stats.expon(0.0, 1 / lam),
        "Gamma": lambda alpha, beta: stats.gamma(alpha, 0.0, 1 / beta),
        "InverseGamma": lambda alpha, beta: stats.invgamma(alpha, 0.0, beta),
        "LogNormal": lambda mu, sigma: stats.lognorm(sigma, 0.0, np.exp(mu)),
        "Weibull": lambda alpha, beta: stats.weibull_min(alpha, 0.0, beta),
        "Uniform": lambda lower, upper: stats.uniform(lower, upper - lower),
        "Beta": stats.beta,
    }


def prior_distribution(prior: Prior) -> Any:
    """Return a proper prior of one number as a distribution of SciPy.

    Parameters
    ----------
    prior : Prior

    Returns
    -------
    frozen distribution or None
        With ``logpdf``, ``pdf`` and ``rvs``; None if PyMC alone knows it.
    """
    make = _known().get(prior.distribution)
    if make is None:
        return None
    return make(*standard_parameters(prior.distribution, prior.parameters).values())


def prior_median(prior: Prior) -> float:
    """Median of a proper prior of one number that SciPy knows."""
    return float(prior_distribution(prior).median())


def prior_log_density(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Log density of a prior of one number.

    Parameters
    ----------
    prior : Prior
        Not an LKJ. An improper one has log density 0.
    values : ndarray

    Returns
    -------
    ndarray
        In the shape of `values`.
    """
    x = np.asarray(values, dtype=np.float64)
    if prior.distribution == "Flat":
        return np.zeros_like(x)
    if prior.distribution == "HalfFlat":
        return np.where(x >= 0, 0.0, -np.inf)
    known = prior_distribution(prior)
    if known is not None:
        return np.asarray(known.logpdf(x))
    import pymc as pm

    distribution = pymc_distribution(prior.distribution, prior.parameters)
    return np.asarray(pm.logp(distribution, x).eval(mode="FAST_COMPILE"))


def lkj_log_density(eta: float, R: np.ndarray) -> np.ndarray:
    """Log density of an LKJ at correlation matrices: |R|^(eta - 1), normalised.

    Parameters
    ----------
    eta : float
    R : ndarray, shape (..., q, q)

    Returns
    -------
    ndarray, shape (...)

    References
    ----------
    Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random correlation
    matrices based on vines and extended onion method. Journal of Multivariate
    Analysis 100, equation 16.
    """
    q = R.shape[-1]
    log_normalizer = 0.0
    for k in range(1, q):
        a = eta + (q - 1 - k) / 2
        log_normalizer += (q - k) * ((2 * a - 1) * np.log(2.0) + special.betaln(a, a))
    if eta == 1.0:
        return np.full(R.shape[:-2], -log_normalizer)
    log_det: np.ndarray = np.linalg.slogdet(R)[1]
    return (eta - 1.0) * log_det - log_normalizer


def lkj_correlation(eta: float, q: int) -> Any:
    """Return the distribution of one correlation under an LKJ: 2 Beta(a, a) - 1.

    Parameters
    ----------
    eta : float
    q : int
        Number of effects.

    Returns
    -------
    frozen distribution
    """
    from scipy import stats

    a = eta + (q - 2) / 2
    return stats.beta(a, a, loc=-1.0, scale=2.0)
