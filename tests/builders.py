"""Models, data and fits that tests of several subjects share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.inference import Draws
from bayesmix.results import Posterior


def nested_data(rng: np.random.Generator, n: int = 240) -> pd.DataFrame:
    """Rows with two predictors, a factor, and nested, crossed and boolean groups."""
    return pd.DataFrame(
        {
            "y": rng.normal(50, 4, n),
            "x": rng.normal(3, 2, n),
            "z": rng.uniform(-1, 1, n),
            "u": rng.exponential(2, n),
            "f": rng.choice(["low", "mid", "high"], n),
            "g": rng.choice(list("abcdefgh"), n),
            "h": rng.integers(1, 6, n),
            "ward": rng.integers(1, 4, n),
            "flag": rng.integers(0, 2, n).astype(bool),
        }
    )


def random_correlations(rng: np.random.Generator, shape: tuple[int, ...], q: int) -> np.ndarray:
    A = rng.normal(size=(*shape, q, q + 2))
    S = A @ np.swapaxes(A, -1, -2)
    d = np.sqrt(np.einsum("...ii->...i", S))
    return S / d[..., :, None] / d[..., None, :]


def fake_posterior(
    model: bmx.Model, rng: np.random.Generator, n_chains: int = 3, n_draws: int = 200
) -> Posterior:
    """A posterior of invented draws: the tables are to summarise whatever is there."""
    shape = (n_chains, n_draws)
    posterior = {"sigma": rng.gamma(20, 0.1, shape)}
    if model.design.mu.fixed_effects:
        posterior["beta"] = rng.normal(size=(*shape, len(model.design.mu.fixed_effects)))
    for group in model.design.mu.groups:
        q = group.n_effects
        posterior[f"sd_{group.name}"] = rng.gamma(10, 0.1, (*shape, q))
        posterior[f"b_{group.name}"] = rng.normal(size=(*shape, group.n_levels, q))
        if covariance_of(group).has_correlations:
            R = np.broadcast_to(np.eye(q), (*shape, q, q)).copy()
            for block in covariance_of(group).free:
                at = slice(block.start, block.stop)
                R[..., at, at] = random_correlations(rng, shape, block.size)
            posterior[f"corr_{group.name}"] = R
    stats = {"diverging": np.zeros(shape, dtype=bool), "energy": rng.normal(size=shape)}
    return Posterior(
        model,
        Draws(
            posterior=posterior,
            sample_stats=stats,
            engine="invented",
            seconds={"sample": 0.5},
            seed=1,
            tune=0,
        ),
    )


def non_normal(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator
) -> bmx.Posterior:
    """Invented draws of a model with a link, each coefficient around 0.3."""
    data["count"] = rng.poisson(3, len(data))
    data["n"] = data["count"] + rng.integers(1, 9, len(data))
    data["won"] = rng.integers(0, 2, len(data))
    data["size"] = pd.Categorical(rng.choice(list("abc"), len(data)), ordered=True)
    model = bmx.Model(text, data, family=family)
    shape = (2, 300)
    posterior: dict[str, np.ndarray] = {
        "beta": 0.3 * rng.normal(size=(*shape, len(model.design.mu.fixed_effects)))
    }
    for group in model.design.mu.groups:
        posterior[f"sd_{group.name}"] = rng.gamma(30, 0.05, (*shape, 1))
        posterior[f"b_{group.name}"] = rng.normal(size=(*shape, group.n_levels, 1))
    for name in model.family.parameters:
        posterior[name] = rng.gamma(30, 0.1, shape)
        if name in model.family.unit_parameters:
            posterior[name] = rng.beta(3, 7, shape)
        if name == "thresholds":
            posterior[name] = np.sort(rng.normal(size=(*shape, 2)), axis=-1)
    return bmx.Posterior(
        model,
        Draws(posterior=posterior, sample_stats={}, engine="invented", seconds={}, seed=1, tune=0),
    )


def long_names(rng: np.random.Generator) -> pd.DataFrame:
    n = 120
    levels = [f"a school whose name is rather long, no. {k:02d}" for k in range(12)]
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "a_predictor_with_a_very_long_name_indeed": rng.normal(size=n),
            "treatment": rng.choice(["standard care and a follow-up in a year", "new"], n),
            "school": np.resize(levels, n),
        }
    )


def family_posterior(
    model: bmx.Model, rng: np.random.Generator, shape: tuple[int, int] = (2, 60)
) -> bmx.Posterior:
    """Invented draws for a model of any family with random intercepts."""
    posterior = {"beta": 0.3 * rng.normal(size=(*shape, len(model.design.mu.fixed_effects)))}
    for group in model.design.mu.groups:
        posterior[f"sd_{group.name}"] = rng.gamma(30, 0.02, (*shape, group.n_effects))
        posterior[f"b_{group.name}"] = 0.5 * rng.normal(
            size=(*shape, group.n_levels, group.n_effects)
        )
    for name in model.family.parameters:
        posterior[name] = rng.gamma(30, 0.1, shape)
        if name in model.family.unit_parameters:
            posterior[name] = rng.beta(3, 7, shape)
        if name == "thresholds":
            k = len(model.names.parameter_labels["thresholds"])
            posterior[name] = np.sort(rng.normal(size=(*shape, k)), axis=-1)
    return bmx.Posterior(
        model,
        Draws(posterior=posterior, sample_stats={}, engine="invented", seconds={}, seed=1, tune=0),
    )


def several_data(n: int = 240, n_groups: int = 16, seed: int = 3) -> pd.DataFrame:
    """Responses of several kinds, with effects of x and of groups."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(0, n_groups, n)
    b = rng.normal(size=(n_groups, 2)) * [0.6, 0.8]
    count = rng.poisson(np.exp(1.2 + 0.4 * x + b[g, 0]))
    zero = rng.random(n) < special.expit(-0.7 + 0.6 * x + b[g, 1])
    odds = np.column_stack([np.zeros(n), 0.4 + 0.8 * x + b[g, 0], -0.3 - 0.5 * x])
    p = special.softmax(odds, axis=1)
    trials = rng.integers(2, 7, n)
    counts = dict(zip("abc", rng.multinomial(trials, p).T, strict=True))
    y = np.array(list("uvw"))[(rng.random(n)[:, None] > np.cumsum(p, 1)[:, :-1]).sum(1)]
    normal = 1 + x + b[g, 0] + np.exp(-0.2 + 0.4 * x + 0.5 * b[g, 1]) * rng.normal(size=n)
    return pd.DataFrame(
        {"x": x, "g": [f"g{k:02d}" for k in g], "k": np.where(zero, 0, count), "y": y,
         "normal": normal, "n": trials, **counts}
    )  # fmt: skip
