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
}
PARAMETERS: dict[str, Any] = {
    "sigma": 0.8,
    "nu": 5.5,
    "alpha": 1.7,
    "lam": 2.3,
    "phi": 6.0,
    "zi": 0.23,
    "hu": 0.31,
    "thresholds": np.array([-1.1, 0.2, 0.9]),
}
CASES = [(name, link) for name, family in FAMILIES.items() for link in family.links]
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
        "laplace": lambda: stats.laplace(mu, p["sigma"]),
        "lognormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(mu)),
        "bernoulli": lambda: stats.bernoulli(mu),
        "binomial": lambda: stats.binom(trials, mu),
        "beta_binomial": lambda: stats.betabinom(trials, mu * p["phi"], (1 - mu) * p["phi"]),
        "poisson": lambda: stats.poisson(mu),
        "negative_binomial": lambda: stats.nbinom(a, a / (a + mu)),
        "gamma": lambda: stats.gamma(a, scale=mu / a),
        "inverse_gaussian": lambda: stats.invgauss(mu / p["lam"], scale=p["lam"]),
        "exponential": lambda: stats.expon(scale=mu),
        "weibull": lambda: stats.weibull_min(a, scale=mu / special.gamma(1 + 1 / a)),
        "beta": lambda: stats.beta(mu * p["phi"], (1 - mu) * p["phi"]),
    }
    return made[name]()


def step_by_step(family: Family, eta: np.ndarray) -> np.ndarray:
    """Probabilities of ordered categories from those of single steps, shape (n, K)."""
    F, tau = INVERSE[family.link], PARAMETERS["thresholds"]
    left, found = np.ones(len(eta)), []
    if family.name == "acat":
        weight = [left]
        for t in tau:
            up = F(eta - t)
            weight.append(weight[-1] * up / (1 - up))
        return np.stack(weight, axis=1) / np.sum(weight, axis=0)[:, None]
    for t in tau:
        stop = F(t - eta) if family.name == "sratio" else 1 - F(eta - t)
        found.append(left * stop)
        left = left * (1 - stop)
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
