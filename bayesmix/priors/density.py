"""Log densities of priors, without PyMC for those that are known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special, stats

from bayesmix.priors.distributions import pymc_distribution
from bayesmix.priors.prior import Prior

__all__ = ["lkj_log_density", "prior_log_density"]

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


# KeyError where the parameters are of two parametrisations: PyMC may know better.
_KNOWN: dict[str, Callable[[np.ndarray, _Parameters], np.ndarray]] = {
    "Flat": lambda x, _: np.zeros_like(x),
    "HalfFlat": lambda x, _: np.where(x >= 0, 0.0, -np.inf),
    "Normal": lambda x, p: stats.norm.logpdf(x, p.get("mu", 0.0), _sigma(p)),
    "StudentT": lambda x, p: stats.t.logpdf(x, p["nu"], p.get("mu", 0.0), _sigma(p)),
    "Cauchy": lambda x, p: stats.cauchy.logpdf(x, p["alpha"], p["beta"]),
    "Laplace": lambda x, p: stats.laplace.logpdf(x, p["mu"], p["b"]),
    "Logistic": lambda x, p: stats.logistic.logpdf(x, p.get("mu", 0.0), p.get("s", 1.0)),
    "HalfNormal": lambda x, p: stats.halfnorm.logpdf(x, 0.0, _sigma(p)),
    "HalfCauchy": lambda x, p: stats.halfcauchy.logpdf(x, 0.0, p["beta"]),
    "HalfStudentT": lambda x, p: np.where(
        x >= 0, np.log(2.0) + stats.t.logpdf(x, p["nu"], 0.0, _sigma(p)), -np.inf
    ),
    "Exponential": lambda x, p: stats.expon.logpdf(
        x, 0.0, p["scale"] if "scale" in p else 1.0 / p["lam"]
    ),
    "Gamma": lambda x, p: stats.gamma.logpdf(x, _gamma(p)[0], 0.0, 1.0 / _gamma(p)[1]),
    "InverseGamma": lambda x, p: stats.invgamma.logpdf(
        x, _inverse_gamma(p)[0], 0.0, _inverse_gamma(p)[1]
    ),
    "LogNormal": lambda x, p: stats.lognorm.logpdf(x, _sigma(p), 0.0, np.exp(p.get("mu", 0.0))),
    "Weibull": lambda x, p: stats.weibull_min.logpdf(x, p["alpha"], 0.0, p["beta"]),
    "Uniform": lambda x, p: stats.uniform.logpdf(
        x, p.get("lower", 0.0), p.get("upper", 1.0) - p.get("lower", 0.0)
    ),
    "Beta": lambda x, p: stats.beta.logpdf(x, *_beta(p)),
}


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
    if prior.distribution in _KNOWN:
        try:
            return np.asarray(_KNOWN[prior.distribution](x, prior.parameters))
        except KeyError:
            pass
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
