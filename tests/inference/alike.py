"""Two posteriors are alike within Monte Carlo error, or one has the tails of a known density."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesmix as bmx

HEAVY = {"sd": bmx.Prior("HalfCauchy", beta=1.0), "sigma": bmx.Prior("HalfCauchy", beta=1.0)}


TWO_GROUPS = pd.DataFrame({"y": [-0.4, 1.1, 0.2, 2.9, 1.7, 3.0], "g": list("aaabbb")})


def two_groups() -> bmx.Model:
    """Six rows in two groups, under priors with heavy tails."""
    priors = HEAVY | {"Intercept": bmx.Prior("Normal", mu=0, sigma=10)}
    return bmx.Model("y ~ 1 + (1 | g)", TWO_GROUPS, priors=priors)


def tail_of_two_groups() -> tuple[np.ndarray, np.ndarray]:
    """Grid of log sd, and its posterior density there by quadrature over log sigma."""
    u, s = np.linspace(-12, 12, 500), np.linspace(-5, 6, 250)
    tau, sigma = (np.exp(2 * v) for v in np.meshgrid(u, s, indexing="ij"))
    # Balanced: sums of squares within, between and of the mean, each with its variance.
    y = TWO_GROUPS["y"].to_numpy().reshape(2, 3)
    means = y.mean(axis=1)
    log_p = -2 * np.log(sigma) - 0.5 * ((y - means[:, None]) ** 2).sum() / sigma
    for square, variance in (
        (3 * ((means - means.mean()) ** 2).sum(), sigma + 3 * tau),
        (6 * means.mean() ** 2, sigma + 3 * tau + 600),
    ):
        log_p += -0.5 * np.log(variance) - 0.5 * square / variance
    log_p += 0.5 * np.log(tau) - np.log1p(tau) + 0.5 * np.log(sigma) - np.log1p(sigma)
    return u, np.exp(log_p).sum(axis=1)


def draws_of(post: bmx.Posterior) -> dict[str, np.ndarray]:
    found = post.idata["posterior"]
    return {name: found[name].values for name in found.data_vars}


def check_alike(a: bmx.Posterior, b: bmx.Posterior, ess: float = 1500) -> None:
    """Means within 5 standard errors, standard deviations within 15 %."""
    for name, ours in draws_of(a).items():
        x = ours.reshape(-1, *ours.shape[2:])
        y = draws_of(b)[name].reshape(-1, *ours.shape[2:])
        spread = np.sqrt((x.var(axis=0) + y.var(axis=0)) / 2)
        moves = spread > 1e-12
        apart = np.abs(x.mean(axis=0) - y.mean(axis=0))[moves]
        assert (apart < 5 * spread[moves] * np.sqrt(2 / ess)).all(), name
        np.testing.assert_allclose(x.std(axis=0)[moves], y.std(axis=0)[moves], rtol=0.15)


def check_tail(
    post: bmx.Posterior, log_sd: np.ndarray, density: np.ndarray, ess: float = 40_000
) -> None:
    """Share of draws beyond quantiles of the density of log sd on a grid, to 5 errors."""
    below = np.cumsum(density) / density.sum()
    x = np.log(draws_of(post)["sd_g"][..., 0])
    n = float(post.diagnostics().min_ess_bulk)
    assert n > ess
    for p in (0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
        at = np.interp(p, below, log_sd + (log_sd[1] - log_sd[0]) / 2)
        assert abs((x < at).mean() - p) < 5 * np.sqrt(p * (1 - p) / n), p
