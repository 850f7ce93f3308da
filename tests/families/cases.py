"""Data for every family, and its density by scipy.stats, written down independently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from bayesmix.families import FAMILIES, Family

LEFT_SIDE = {
    "gaussian": "real",
    "student_t": "real",
    "laplace": "real",
    "lognormal": "positive",
    "bernoulli": "binary",
    "binomial": "proportion(k, m)",
    "beta_binomial": "proportion(k, m)",
    "zero_inflated_binomial": "proportion(k, m)",
    "poisson": "count",
    "negative_binomial": "count",
    "zero_inflated_poisson": "count",
    "zero_inflated_negative_binomial": "count",
    "hurdle_poisson": "count",
    "hurdle_negative_binomial": "count",
    "gamma": "positive",
    "inverse_gaussian": "positive",
    "exponential": "positive",
    "weibull": "positive",
    "beta": "fraction",
    "cumulative": "grade",
    "sratio": "grade",
    "cratio": "grade",
    "acat": "grade",
    "hurdle_gamma": "positive_or_zero",
    "negative_binomial1": "count",
    "generalized_poisson": "count",
    "skew_normal": "real",
    "tweedie": "positive_or_zero",
    "ordbeta": "any_fraction",
    "von_mises": "angle",
    "categorical": "grade",
    "multinomial": "cbind(k, count + 1)",
}
PARAMETERS: dict[str, Any] = {
    "sigma": 0.8,
    "nu": 5.5,
    "alpha": 1.7,
    "lam": 2.3,
    "phi": 6.0,
    "zi": 0.23,
    "hu": 0.31,
    "delta": 0.27,
    "kappa": 2.6,
    "xi": 0.45,
    "cut": -1.3,
    "gap": 2.6,
    "thresholds": np.array([-1.1, 0.2, 0.9]),
}
# Categories in no order have no mean, and a parameter for each: tests of their own.
ORDINARY = {name: family for name, family in FAMILIES.items() if not family.is_nominal}
CASES = [(name, link) for name, family in ORDINARY.items() for link in family.links]
IDS = [f"{name}-{link}" for name, link in CASES]


def make(name: str, link: str) -> tuple[Family, dict[str, Any]]:
    """A family and values for its parameters."""
    family = FAMILIES[name](link=link)
    return family, {p: PARAMETERS[p] for p in family.parameters}


def family_data(n: int = 60, seed: int = 5) -> pd.DataFrame:
    """Responses of every kind beside a predictor and a grouping factor."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": rng.choice(list("abcde"), n),
            "real": rng.normal(2, 1.5, n),
            "positive": rng.gamma(2, 1, n),
            "binary": rng.integers(0, 2, n),
            "count": rng.poisson(2.5, n),
            "k": rng.integers(0, 5, n),
            "fraction": rng.beta(2, 3, n),
            "w": rng.choice([0.0, 0.5, 1, 3], n),
            "status": rng.choice(["none", "right", "left"], n),
        }
    )
    data["m"] = data["k"] + rng.integers(0, 4, n)
    data["positive_or_zero"] = np.where(rng.random(n) < 0.3, 0.0, data["positive"])
    grades = ["poor", "fair", "good", "best"]
    data["grade"] = pd.Categorical(rng.choice(grades, n), categories=grades, ordered=True)
    data["any_fraction"] = np.select(
        [rng.random(n) < 0.2, rng.random(n) < 0.2], [0.0, 1.0], data["fraction"]
    )
    data["angle"] = rng.vonmises(0.4, 2.0, n)
    return data


def linear_predictor(family: Family, n: int, rng: np.random.Generator) -> np.ndarray:
    """Values at which the mean is possible under every link."""
    if family.link in {"identity", "inverse", "sqrt"} and family.mean_is_positive:
        return rng.uniform(0.3, 2.5, n)
    return rng.normal(0.2, 0.8, n)


INVERSE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda e: e,
    "log": np.exp,
    "sqrt": np.square,
    "inverse": lambda e: 1 / e,
    "tan_half": lambda e: 2 * np.arctan(e),
    "logit": special.expit,
    "probit": stats.norm.cdf,
    "cloglog": stats.gumbel_l.cdf,
    "cauchit": stats.cauchy.cdf,
}


def scipy_distribution(family: Family, eta: np.ndarray, trials: np.ndarray) -> Any:
    """The distribution of scipy.stats that the base of a family is."""
    mu = INVERSE[family.link](eta)
    p = PARAMETERS
    name = family.name
    for prefix in ("zero_inflated_", "hurdle_"):
        name = name.removeprefix(prefix)
    a = p["alpha"]
    made: Mapping[str, Callable[[], Any]] = {
        "gaussian": lambda: stats.norm(mu, p["sigma"]),
        "student_t": lambda: stats.t(p["nu"], mu, p["sigma"]),
        "von_mises": lambda: stats.vonmises(p["kappa"], mu),
        "laplace": lambda: stats.laplace(mu, p["sigma"]),
        "lognormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(mu)),
        "bernoulli": lambda: stats.bernoulli(mu),
        "binomial": lambda: stats.binom(trials, mu),
        "beta_binomial": lambda: stats.betabinom(trials, mu * p["phi"], (1 - mu) * p["phi"]),
        "poisson": lambda: stats.poisson(mu),
        "negative_binomial": lambda: stats.nbinom(a, a / (a + mu)),
        "negative_binomial1": lambda: stats.nbinom(mu / a, 1 / (1 + a)),
        "gamma": lambda: stats.gamma(a, scale=mu / a),
        "inverse_gaussian": lambda: stats.invgauss(mu / p["lam"], scale=p["lam"]),
        "exponential": lambda: stats.expon(scale=mu),
        "weibull": lambda: stats.weibull_min(a, scale=mu / special.gamma(1 + 1 / a)),
        "beta": lambda: stats.beta(mu * p["phi"], (1 - mu) * p["phi"]),
    }
    return made[name]()


def generalized_poisson(family: Family, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Consul and Jain's formula."""
    mu, delta = INVERSE[family.link](eta), PARAMETERS["delta"]
    theta = mu * (1 - delta)
    log_power = (y - 1) * np.log(theta + delta * y)
    return np.log(theta) + log_power - theta - delta * y - special.gammaln(y + 1)


def skew_normal(family: Family, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Azzalini's, moved and scaled to its mean and standard deviation."""
    shape = PARAMETERS["alpha"]
    mean, variance = stats.skewnorm.stats(shape)
    omega = PARAMETERS["sigma"] / np.sqrt(variance)
    return stats.skewnorm.logpdf(y, shape, INVERSE[family.link](eta) - omega * mean, omega)


def tweedie(family: Family, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """A Poisson number of gamma distributed amounts."""
    mu, phi, xi = INVERSE[family.link](eta), PARAMETERS["phi"], PARAMETERS["xi"]
    rate, scale = mu ** (1 - xi) / (phi * (1 - xi)), phi * xi * mu**xi
    total = np.where(y == 0, np.exp(-rate), 0.0)
    for j in range(1, 200):
        amounts = stats.gamma(j * (1 - xi) / xi, scale=scale).pdf(np.where(y > 0, y, 1.0))
        total += np.where(y > 0, stats.poisson(rate).pmf(j) * amounts, 0.0)
    return np.log(total)


def ordbeta(family: Family, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Kubinec's formula."""
    F, p = INVERSE[family.link], PARAMETERS
    below, above = 1 - F(eta - p["cut"]), F(eta - p["cut"] - p["gap"])
    a, b = F(eta) * p["phi"], (1 - F(eta)) * p["phi"]
    inside = stats.beta(a, b).pdf(np.where((y > 0) & (y < 1), y, 0.5)) * (1 - below - above)
    return np.log(np.select([y == 0, y == 1], [below, above], inside))


WRITTEN_OUT: dict[str, Callable[[Family, np.ndarray, np.ndarray], np.ndarray]] = {
    "generalized_poisson": generalized_poisson,
    "skew_normal": skew_normal,
    "tweedie": tweedie,
    "ordbeta": ordbeta,
}


def step_by_step(family: Family, eta: np.ndarray) -> np.ndarray:
    """Probabilities of ordered categories from those of single steps, shape (n, K)."""
    F, tau = INVERSE[family.link], PARAMETERS["thresholds"]
    rest = {"logit": stats.logistic.sf, "probit": stats.norm.sf, "cloglog": stats.gumbel_l.sf}
    left, found = np.ones(len(eta)), []
    if family.name == "acat":
        weight = [left]
        for t in tau:
            weight.append(weight[-1] * F(eta - t) / rest[family.link](eta - t))
        return np.stack(weight, axis=1) / np.sum(weight, axis=0)[:, None]
    for t in tau:
        x = t - eta if family.name == "sratio" else eta - t
        sides = F(x), rest[family.link](x)
        stop, go = sides if family.name == "sratio" else sides[::-1]
        found.append(left * stop)
        left = left * go
    return np.stack([*found, left], axis=1)


def scipy_log_prob(
    family: Family, y: np.ndarray, eta: np.ndarray, trials: np.ndarray
) -> np.ndarray:
    """Log density of each observation, by scipy.stats."""
    if family.name == "cumulative":
        F = INVERSE[family.link]
        edges = np.concatenate([[-np.inf], PARAMETERS["thresholds"], [np.inf]])
        at = y.astype(int)
        return np.log(F(edges[at] - eta) - F(edges[at - 1] - eta))
    if family.name in {"sratio", "cratio", "acat"}:
        return np.log(step_by_step(family, eta)[np.arange(len(y)), y.astype(int) - 1])
    if family.name in WRITTEN_OUT:
        return WRITTEN_OUT[family.name](family, y, eta)
    base = scipy_distribution(family, eta, trials)
    if hasattr(base.dist, "logpmf") and family.name != "hurdle_gamma":
        lp, zero = base.logpmf(y), base.pmf(0 * y)
    else:
        with np.errstate(divide="ignore"):
            lp, zero = base.logpdf(y), 0 * y
    if family.name.startswith("zero_inflated"):
        zi = PARAMETERS["zi"]
        return np.where(y == 0, np.log(zi + (1 - zi) * zero), np.log1p(-zi) + lp)
    if family.name.startswith("hurdle"):
        hu = PARAMETERS["hu"]
        return np.where(y == 0, np.log(hu), np.log1p(-hu) + lp - np.log1p(-zero))
    return lp
