"""Log densities of priors, without PyMC for those that are known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from bayesmix.priors.distributions import pymc_distribution
from bayesmix.priors.prior import Prior

__all__ = ["lkj_correlation", "lkj_log_density", "prior_distribution", "prior_log_density"]

_Parameters = Mapping[str, float]


def _sigma(p: _Parameters) -> float:
    """Scale, given as such, as a precision (tau, lam), or 1."""
    for precision in ("tau", "lam"):
        if precision in p:
            return float(p[precision] ** -0.5)
    return p.get("sigma", 1.0)


def _gamma(p: _Parameters) -> tuple[float, float]:
    if "mu" in p:
        return p["mu"] ** 2 / p["sigma"] ** 2, p["mu"] / p["sigma"] ** 2
    return p["alpha"], p["beta"]


def _inverse_gamma(p: _Parameters) -> tuple[float, float]:
    if "mu" in p:
        mean, variance = p["mu"], p["sigma"] ** 2
        return (2 * variance + mean**2) / variance, mean * (mean**2 + variance) / variance
    return p["alpha"], p.get("beta", 1.0)


def _beta(p: _Parameters) -> tuple[float, float]:
    if "mu" in p:
        mean = p["mu"]
        size = p["nu"] if "nu" in p else mean * (1 - mean) / p["sigma"] ** 2 - 1
        return mean * size, (1 - mean) * size
    return p["alpha"], p["beta"]


@dataclass(frozen=True, slots=True)
class _Folded:
    """The absolute value of a symmetric distribution."""

    base: Any

    def logpdf(self, x: Any) -> np.ndarray:
        return np.where(np.asarray(x) >= 0, np.log(2.0) + self.base.logpdf(x), -np.inf)

    def pdf(self, x: Any) -> np.ndarray:
        return np.exp(self.logpdf(x))

    def rvs(self, size: Any, random_state: Any) -> np.ndarray:
        return np.abs(self.base.rvs(size=size, random_state=random_state))


# KeyError where the parameters are of two parametrisations: PyMC may know better.
_KNOWN: dict[str, Callable[[_Parameters], Any]] = {
    "Normal": lambda p: stats.norm(p.get("mu", 0.0), _sigma(p)),
    "StudentT": lambda p: stats.t(p["nu"], p.get("mu", 0.0), _sigma(p)),
    "Cauchy": lambda p: stats.cauchy(p["alpha"], p["beta"]),
    "Laplace": lambda p: stats.laplace(p["mu"], p["b"]),
    "Logistic": lambda p: stats.logistic(p.get("mu", 0.0), p.get("s", 1.0)),
    "HalfNormal": lambda p: stats.halfnorm(0.0, _sigma(p)),
    "HalfCauchy": lambda p: stats.halfcauchy(0.0, p["beta"]),
    "HalfStudentT": lambda p: _Folded(stats.t(p["nu"], 0.0, _sigma(p))),
    "Exponential": lambda p: stats.expon(0.0, p["scale"] if "scale" in p else 1.0 / p["lam"]),
    "Gamma": lambda p: stats.gamma(_gamma(p)[0], 0.0, 1.0 / _gamma(p)[1]),
    "InverseGamma": lambda p: stats.invgamma(_inverse_gamma(p)[0], 0.0, _inverse_gamma(p)[1]),
    "LogNormal": lambda p: stats.lognorm(_sigma(p), 0.0, np.exp(p.get("mu", 0.0))),
    "Weibull": lambda p: stats.weibull_min(p["alpha"], 0.0, p["beta"]),
    "Uniform": lambda p: stats.uniform(
        p.get("lower", 0.0), p.get("upper", 1.0) - p.get("lower", 0.0)
    ),
    "Beta": lambda p: stats.beta(*_beta(p)),
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
    try:
        return _KNOWN[prior.distribution](prior.parameters)
    except KeyError:
        return None


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
    a = eta + (q - 2) / 2
    return stats.beta(a, a, loc=-1.0, scale=2.0)
