"""Simulation-based calibration: parameters from the prior, data from them, ranks among draws.

Run as ``python -m tests.inference.calibration`` to write the rank histograms that
`calibration.json` keeps.

References
----------
Talts, S., Betancourt, M., Simpson, D., Vehtari, A. and Gelman, A. (2018). Validating
Bayesian inference algorithms with simulation-based calibration. arXiv:1804.06788.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import bayesmix as bmx

KEPT = Path(__file__).with_name("calibration.json")
N_LEVELS, N_ROWS, N_RANKS, N_BINS = 8, 64, 99, 20
PRIORS: dict[str, bmx.Prior] = {
    "Intercept": bmx.Prior("Normal", mu=0.3, sigma=0.7),
    "x": bmx.Prior("Normal", mu=0, sigma=0.6),
    "sd": bmx.Prior("HalfNormal", sigma=0.7),
}
FAMILIES = ("gaussian", "bernoulli", "poisson")


def ranks(family: str, n_simulations: int, seed: int) -> dict[str, np.ndarray]:
    """Ranks of the true parameters among 99 thinned draws, by parameter."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    priors = dict(PRIORS)
    if family == "gaussian":
        priors["sigma"] = bmx.Prior("HalfNormal", sigma=1.0)
    for simulation in range(n_simulations):
        truth = {
            "Intercept": rng.normal(0.3, 0.7), "x": rng.normal(0, 0.6),
            "sd": abs(rng.normal(0, 0.7)),
        }  # fmt: skip
        x, g = rng.normal(size=N_ROWS), np.arange(N_ROWS) % N_LEVELS
        b = rng.normal(0, truth["sd"], N_LEVELS)
        truth["b"] = b[0]
        eta = truth["Intercept"] + truth["x"] * x + b[g]
        if family == "gaussian":
            truth["sigma"] = abs(rng.normal(0, 1.0))
            y = rng.normal(eta, truth["sigma"])
        elif family == "bernoulli":
            y = rng.binomial(1, 1 / (1 + np.exp(-eta)))
        else:
            y = rng.poisson(np.exp(eta))
        data = pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            model = bmx.Model("y ~ x + (1 | g)", data, family=family, priors=priors)
            post = model.fit(
                draws=495, chains=2, cores=2, seed=simulation, engine="fast", progress=False
            )
        draws = post.idata["posterior"]
        values: dict[str, Any] = {
            "Intercept": draws["beta"].values[..., 0], "x": draws["beta"].values[..., 1],
            "sd": draws["sd_g"].values[..., 0], "b": draws["b_g"].values[:, :, 0, 0],
        }  # fmt: skip
        if family == "gaussian":
            values["sigma"] = draws["sigma"].values
        for name, of_name in values.items():
            thinned = of_name.reshape(-1)[::10]
            found.setdefault(name, []).append(int((thinned < truth[name]).sum()))
    return {name: np.asarray(of_name) for name, of_name in found.items()}


STRUCTURED = {"ar1": "y ~ 1 + ar1(t | g)", "exp": "y ~ 1 + exp(a + b | 1)"}


def structured_ranks(word: str, n_simulations: int, seed: int) -> dict[str, np.ndarray]:
    """The same for a covariance structure, whose rho or range has its default prior."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    places = np.random.default_rng(0).uniform(size=(12, 2))
    apart = np.sqrt(((places[:, None] - places) ** 2).sum(axis=-1))
    times = np.array([0, 1, 2, 4, 5])
    priors = {
        "Intercept": bmx.Prior("Normal", mu=0.3, sigma=0.7),
        "sd": bmx.Prior("HalfNormal", sigma=1.0),
        "sigma": bmx.Prior("HalfNormal", sigma=1.0),
    }
    name, group = ("rho", "g") if word == "ar1" else ("range", "1")
    for simulation in range(n_simulations):
        truth = {
            "Intercept": rng.normal(0.3, 0.7), "sd": abs(rng.normal(0, 1.0)),
            "sigma": abs(rng.normal(0, 1.0)),
        }  # fmt: skip
        if word == "ar1":
            truth[name] = rng.uniform(-1, 1)
            R = truth[name] ** np.abs(times[:, None] - times).astype(float)
            b = truth["sd"] * rng.normal(size=(20, 5)) @ np.linalg.cholesky(R).T
            at = {"g": np.repeat(np.arange(20), 5), "t": np.tile(times, 20)}
            effect = b.ravel()
        else:
            median = np.median(apart[np.tril_indices(12, -1)])
            truth[name] = median * np.exp(rng.normal())
            R = np.exp(-apart / truth[name])
            b = truth["sd"] * (np.linalg.cholesky(R) @ rng.normal(size=12))[None]
            which = np.repeat(np.arange(12), 5)
            at, effect = {"a": places[which, 0], "b": places[which, 1]}, b[0, which]
        y = rng.normal(truth["Intercept"] + effect, truth["sigma"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            model = bmx.Model(STRUCTURED[word], pd.DataFrame({"y": y} | at), priors=priors)
            post = model.fit(
                draws=495, chains=2, cores=2, seed=simulation, engine="fast", progress=False
            )
        draws = post.idata["posterior"]
        # Effects by their positions: the first level's first.
        effects = draws[f"b_{group}"].values[:, :, 0, :]
        first = 0 if word == "ar1" else int(np.lexsort((places[:, 1], places[:, 0]))[0])
        truth["b"] = b[0, first]
        values = {
            "Intercept": draws["beta"].values[..., 0], "sd": draws[f"sd_{group}"].values[..., 0],
            "sigma": draws["sigma"].values, name: draws[f"{name}_{group}"].values,
            "b": effects[..., 0],
        }  # fmt: skip
        for key, of_name in values.items():
            thinned = of_name.reshape(-1)[::10]
            found.setdefault(key, []).append(int((thinned < truth[key]).sum()))
    return {key: np.asarray(of_name) for key, of_name in found.items()}


POOR_NORMAL = ("four levels", "no variance", "three effects")


def poor_ranks(case: str, n_simulations: int, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Ranks where the data say little, and the share of fits that had independent draws."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    n_levels, q = {"four levels": (4, 1), "no variance": (6, 1), "three effects": (8, 3)}[case]
    scale = 0.1 if case == "no variance" else 0.7
    heavy = case == "four levels"
    priors = {
        "Intercept": bmx.Prior("Normal", mu=0.3, sigma=0.7),
        "sd": bmx.Prior("HalfCauchy", beta=0.5) if heavy else bmx.Prior("HalfNormal", sigma=scale),
        "sigma": bmx.Prior("HalfNormal", sigma=1.0),
    }
    g = np.repeat(np.arange(n_levels), 6)
    Z = np.column_stack([np.ones(len(g)), rng.normal(size=(len(g), 2))])[:, :q]
    independent = 0
    for simulation in range(n_simulations):
        sd = np.abs(0.5 * rng.standard_cauchy(q) if heavy else scale * rng.normal(size=q))
        sigma, mean = abs(rng.normal()), rng.normal(0.3, 0.7)
        C = np.eye(q)
        if q == 3:  # the C-vine of LKJ(2): partial correlations 2 Beta(a, a) - 1
            r1, r2 = 2 * rng.beta(2.5, 2.5, 2) - 1
            z = 2 * rng.beta(2.0, 2.0) - 1
            C[1, :2] = r1, np.sqrt(1 - r1**2)
            left = np.sqrt(1 - r2**2)
            C[2] = r2, z * left, left * np.sqrt(1 - z**2)
        b = rng.normal(size=(n_levels, q)) @ C.T * sd
        y = rng.normal(mean + (Z * b[g]).sum(axis=1), sigma)
        data = pd.DataFrame({"y": y, "g": [f"g{i}" for i in g]})
        text = "y ~ 1 + (1 | g)"
        if q == 3:
            data["x"], data["z"] = Z[:, 1], Z[:, 2]
            text = "y ~ 1 + (x + z | g)"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            post = bmx.Model(text, data, priors=priors).fit(
                draws=495, chains=2, cores=2, seed=simulation, sampler="auto", progress=False
            )
        independent += "independent" in post.idata.attrs["engine"]
        draws = post.idata["posterior"]
        truth = {"Intercept": mean, "sd": sd[-1], "sigma": sigma, "b": b[0, 0]}
        values = {
            "Intercept": draws["beta"].values[..., 0], "sd": draws["sd_g"].values[..., -1],
            "sigma": draws["sigma"].values, "b": draws["b_g"].values[:, :, 0, 0],
        }  # fmt: skip
        if q == 3:
            truth["corr"] = (C @ C.T)[2, 1]
            values["corr"] = draws["corr_g"].values[..., 2, 1]
        for name, of_name in values.items():
            thinned = of_name.reshape(-1)[::10]
            found.setdefault(name, []).append(int((thinned < truth[name]).sum()))
    ranks_of = {name: np.asarray(of_name) for name, of_name in found.items()}
    return ranks_of, independent / n_simulations


NORMAL = bmx.Prior("Normal", mu=0, sigma=1.5)
UNIT = bmx.Prior("Beta", alpha=2, beta=2)
POOR = ("poisson slopes", "poisson observations", "bernoulli slopes")
KINDS = ("zero-inflated", "hurdle", "ordinal", "heteroscedastic", "groups of sigma")


def simulated(kind: str, rng: np.random.Generator) -> tuple[Any, ...]:  # noqa: PLR0915
    """Formula, family, data, priors and the true values, by the name of variable and position."""
    x, g = rng.normal(size=N_ROWS), np.arange(N_ROWS) % N_LEVELS
    a, slope = rng.normal(0.3, 0.7), rng.normal(0, 0.6)
    sd = np.abs(rng.normal(0, 0.7, 2))
    z = rng.normal(size=(N_LEVELS, 2))
    b = sd[0] * z[:, 0]
    eta = a + slope * x + b[g]
    priors, text, family = dict(PRIORS), "y ~ x + (1 | g)", "poisson"
    truth: dict[tuple[str, int], float] = {
        ("beta", 0): a, ("beta", 1): slope, ("sd_g", 0): sd[0], ("b_g", 0): b[0]
    }  # fmt: skip
    other: dict[str, Any] = {}
    if kind in POOR:
        text, family = "y ~ x + (x | g)", kind.split(maxsplit=1)[0]
        if "observations" in kind:
            effect, text = sd[1] * rng.normal(size=N_ROWS), "y ~ x + (1 | g) + (1 | row)"
            other["row"] = [f"r{i:02d}" for i in range(N_ROWS)]
            eta, truth["sd_row", 0] = eta + effect, sd[1]
        else:
            priors["corr"] = bmx.Prior("LKJ", eta=2)
            r = 2 * rng.beta(2, 2) - 1
            eta = eta + sd[1] * (r * z[:, 0] + np.sqrt(1 - r * r) * z[:, 1])[g] * x
            truth |= {("sd_g", 1): sd[1], ("corr_g", 1): r}
    mean = np.exp(np.minimum(eta, 15.0))
    if kind in ("zero-inflated", "hurdle"):
        name = "zi" if kind == "zero-inflated" else "hu"
        family = "zero_inflated_poisson" if name == "zi" else "hurdle_poisson"
        priors[name] = UNIT
        truth[name, 0] = zero = rng.beta(2, 2)
        above = rng.uniform(np.exp(-mean) if name == "hu" else np.zeros(N_ROWS), 1.0)
        y: Any = np.where(rng.random(N_ROWS) < zero, 0, stats.poisson.ppf(above, mean))
    elif kind == "ordinal":
        family, priors = "cumulative", {"x": PRIORS["x"], "sd": PRIORS["sd"], "thresholds": NORMAL}
        tau = np.sort(rng.normal(0, 1.5, 2))
        del truth["beta", 0]
        truth = {(k, 0 if k == "beta" else at): v for (k, at), v in truth.items()}
        truth |= {("thresholds", k): tau[k] for k in range(2)}
        latent = eta - a + rng.logistic(size=N_ROWS)
        y = pd.Categorical.from_codes(np.searchsorted(tau, latent), list("abc"), ordered=True)
    elif kind in ("heteroscedastic", "groups of sigma"):
        family, text = "gaussian", [text, "sigma ~ x"]
        priors |= {
            "sigma: Intercept": bmx.Prior("Normal", mu=0, sigma=0.5),
            "sigma: x": bmx.Prior("Normal", mu=0, sigma=0.3),
        }
        own, of_x = rng.normal(0, 0.5), rng.normal(0, 0.3)
        truth |= {("sigma_beta", 0): own, ("sigma_beta", 1): of_x}
        log_sigma = own + of_x * x
        if kind == "groups of sigma":
            text[1] += " + (1 | g)"
            priors["sigma: sd"] = bmx.Prior("HalfNormal", sigma=0.7)
            log_sigma, truth["sigma_sd_g", 0] = log_sigma + sd[1] * z[g, 1], sd[1]
        y = rng.normal(eta, np.exp(log_sigma))
    else:
        y = rng.poisson(mean) if family == "poisson" else rng.binomial(1, mean / (1 + mean))
    data = pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g], **other})
    return text, family, data, priors, truth


def kind_ranks(kind: str, n_simulations: int, seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Ranks by parameter, and how many fits diverged at the default settings."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    n_diverged = done = 0
    while done < n_simulations:
        text, family, data, priors, truth = simulated(kind, rng)
        # Data that say nothing are not fitted; ranks given the others are uniform as well.
        if data["y"].nunique() < (3 if kind == "ordinal" else 2):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            post = bmx.Model(text, data, family=family, priors=priors).fit(
                draws=495, chains=2, cores=1, seed=done, engine="fast", progress=False
            )
        done += 1
        n_diverged += bool(post.idata["sample_stats"]["diverging"].any())
        for (name, at), value in truth.items():
            draws = post.idata["posterior"][name].values
            thinned = draws.reshape(draws.shape[0] * draws.shape[1], -1)[::10, at]
            found.setdefault(f"{name} {at}", []).append(int((thinned < value).sum()))
    return {name: np.asarray(of_name) for name, of_name in found.items()}, n_diverged


def histogram(of_ranks: np.ndarray) -> np.ndarray:
    return np.bincount(of_ranks * N_BINS // (N_RANKS + 1), minlength=N_BINS)


def p_value(counts: np.ndarray) -> float:
    """The p-value of the chi-squared test that ranks are uniform."""
    return float(stats.chisquare(counts).pvalue)


def main() -> None:
    kept: dict[str, Any] = {}
    for family in FAMILIES:
        found = ranks(family, 500, 20261121)
        kept[family] = {name: histogram(of_name).tolist() for name, of_name in found.items()}
        print(family, {k: round(p_value(np.asarray(v)), 3) for k, v in kept[family].items()})
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
