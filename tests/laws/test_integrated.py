"""Groups left out beyond the normal: their density against brute-force integration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.families import Family, get_family
from bayesmix.inference import Draws
from bayesmix.results.check.loo import group_log_density, groups_of_rows
from tests.builders import random_correlations
from tests.families.cases import CASES, LEFT_SIDE, family_data, make


def invented(
    model: bmx.Model, rng: np.random.Generator, parameters: dict[str, Any], n_draws: int = 2,
    scale: float = 0.8,
) -> bmx.Posterior:  # fmt: skip
    """A posterior of a few draws, the same parameters of the family in all of them."""
    shape = (1, n_draws)
    posterior = {}
    if model.design.mu.fixed_effects:
        posterior["beta"] = 0.3 * rng.normal(size=(*shape, len(model.design.mu.fixed_effects)))
        posterior["beta"][..., 0] += 0.6
    for group in model.design.mu.groups:
        q = group.n_effects
        posterior[f"sd_{group.name}"] = rng.uniform(0.5, 1.5, (*shape, q)) * scale
        posterior[f"b_{group.name}"] = rng.normal(size=(*shape, group.n_levels, q)) * scale
        if covariance_of(group).has_correlations:
            posterior[f"corr_{group.name}"] = random_correlations(rng, shape, q)
    for name, value in parameters.items():
        posterior[name] = np.broadcast_to(value, (*shape, *np.shape(value))).copy()
    draws = Draws(
        posterior=posterior, sample_stats={}, engine="invented", seconds={}, seed=1, tune=0
    )
    return bmx.Posterior(model, draws)


def left_out(post: bmx.Posterior, by: Any) -> np.ndarray:
    """Log densities, shape (S, groups)."""
    _, _, member = groups_of_rows(post.model, by)
    return group_log_density(post._law, member)[0]


def sigma_root(post: bmx.Posterior, name: str, s: int) -> np.ndarray:
    draws = post._law
    sd = draws.sd[name][0, s]
    R = draws.corr[name][0, s] if name in draws.corr else np.eye(len(sd))
    root: np.ndarray = np.linalg.cholesky(np.diag(sd) @ R @ np.diag(sd))
    return root


def rows_density(post: bmx.Posterior, own: np.ndarray, s: int, eta: np.ndarray) -> np.ndarray:
    """Density of some rows together at linear predictors, shape (points,)."""
    model = post.model
    parameters = {name: values[0, s] for name, values in post._law.parameters.items()}
    per_row = {name: values[own] for name, values in model.rows.items()}
    log_p = model.family.log_prob(model.y[own], eta, parameters, per_row).sum(axis=-1)
    density: np.ndarray = np.exp(log_p)
    return density


# A normal response on its own scale is exact, by the algebra of the normal.
@pytest.mark.parametrize(
    ("name", "link"), [case for case in CASES if case != ("gaussian", "identity")]
)
def test_one_effect_is_integrated_for_every_family(name: str, link: str) -> None:
    rng = np.random.default_rng(3)
    family: Family
    family, parameters = make(name, link)
    data = family_data(40)
    # Means that must be above zero: effects that keep them there.
    narrow = family.mean_is_positive and link in {"identity", "inverse", "sqrt"}
    model = bmx.Model(f"{LEFT_SIDE[name]} ~ 1 + x + (1 | g)", data, family=family)
    post = invented(model, rng, parameters, scale=0.05 if narrow else 0.8)
    if narrow:
        post.idata["posterior"]["beta"].values[:] = [1.6, 0.05]
    found = left_out(post, "g")
    group, X = model.design.mu.groups[0], model.design.mu.X
    u = np.linspace(-9, 9, 4001)
    for s in range(2):
        sd = sigma_root(post, "g", s)[0, 0]
        for level in range(group.n_levels):
            own = np.flatnonzero(group.index == level)
            beta = post._law.beta[0, s]
            eta = X[own] @ beta + sd * u[:, None]
            density = np.nan_to_num(rows_density(post, own, s, eta))
            expected = np.log(integrate.simpson(density * stats.norm.pdf(u), x=u))
            # A density with kinks is no polynomial.
            tolerance = 0.05 if name == "laplace" else 2e-3
            assert found[s, level] == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("n", [1, 3, 200])
@pytest.mark.parametrize("sd", [1e-9, 0.3, 3.0, 30.0])
def test_one_effect_near_the_boundaries(n: int, sd: float) -> None:
    """One row or many, all successes, hardly any or a huge variance."""
    data = pd.DataFrame({"y": np.r_[np.ones(n), np.zeros(n)], "g": np.repeat(["a", "b"], n)})
    model = bmx.Model("y ~ 1 + (1 | g)", data.astype({"y": int}), family="bernoulli")
    post = invented(model, np.random.default_rng(1), {})
    post.idata["posterior"]["sd_g"].values[:] = sd
    found = left_out(post, "g")
    for s in range(2):
        beta = post._law.beta[0, s, 0]

        def integrand(u: float, beta: float = beta) -> float:
            return float(np.exp(n * special.log_expit(beta + sd * u)) * stats.norm.pdf(u))

        turn = float(np.clip(-beta / sd, -8, 8))
        expected, _ = integrate.quad(integrand, -12, 12, points=[turn], limit=500, epsabs=1e-14)
        # With a standard deviation of 30 the integrand is nearly half a normal.
        assert found[s, 0] == pytest.approx(np.log(expected), abs=0.1 if sd > 10 else 0.005)


def many_points(d: int, n: int) -> np.ndarray:
    """Standard normals, nearly evenly spread."""
    return stats.norm.ppf(stats.qmc.Sobol(d, seed=2).random(n))


@pytest.mark.parametrize(
    ("text", "family", "tolerance"),
    [
        ("won ~ x + (x | g)", "bernoulli", 0.01),
        ("count ~ x + (x + z | g)", "poisson", 0.02),
        ("won ~ x + (1 | g/ward)", "bernoulli", 0.03),
        ("count ~ x + (x + z | g) + (1 | h)", "poisson", 0.02),
    ],
)
def test_several_effects_of_a_group(
    text: str, family: str, tolerance: float, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    """Slopes, wards within the group, and other factors that keep their effects."""
    data["x"] = (data["x"] - 3) / 2
    data["count"], data["won"] = rng.poisson(2, 240), rng.integers(0, 2, 240)
    data = data.groupby("g").head(9)
    model = bmx.Model(text, data, family=family)
    post = invented(model, rng, {}, n_draws=300 if "ward" in text else 2)
    found = left_out(post, "g")
    design, draws = model.design, post._law
    group = design.mu.group("g")
    inner = design.mu.group("g:ward") if "ward" in text else None
    # The mean over draws of importance samples counts: each draw here is the same.
    if inner is not None:
        for values in (draws.beta, *draws.sd.values(), *draws.b.values()):
            values[:] = values[:, :1]
        found = left_out(post, "g")
    for level in range(3):
        own = np.flatnonzero(group.index == level)
        eta = (design.mu.X[own] @ draws.beta[0, 0])[None, :]
        wards = np.unique(inner.index[own]) if inner is not None else []
        z = many_points(group.n_effects + len(wards), 2**15)
        eta = eta + z[:, : group.n_effects] @ sigma_root(post, "g", 0).T @ group.Z[own].T
        for k, ward in enumerate(wards):
            assert inner is not None
            column = z[:, group.n_effects + k] * sigma_root(post, "g:ward", 0)[0, 0]
            eta = eta + column[:, None] * (inner.index[own] == ward)
        if text.endswith("(1 | h)"):
            h = design.mu.group("h")
            eta = eta + draws.b["h"][0, 0, h.index[own], 0]
        expected = np.log(rows_density(post, own, 0, eta).mean())
        mine = special.logsumexp(found[:, level]) - np.log(len(found)) if inner else found[0, level]
        assert mine == pytest.approx(expected, abs=tolerance)


def test_censored_normal_groups_are_integrated(rng: np.random.Generator) -> None:
    n = 40
    data = pd.DataFrame(
        {"y": rng.normal(size=n), "x": rng.normal(size=n), "g": rng.choice(list("abcde"), n),
         "status": rng.choice(["none", "right"], n)}
    )  # fmt: skip
    model = bmx.Model("censored(y, status) ~ x + (1 | g)", data)
    post = invented(model, rng, {"sigma": 0.8})
    found = left_out(post, "g")
    group = model.design.mu.groups[0]
    own = np.flatnonzero(group.index == 2)
    u = np.linspace(-9, 9, 4001)
    eta = model.design.mu.X[own] @ post._law.beta[0, 1] + u[:, None] * post._law.sd["g"][0, 1, 0]
    density = rows_density(post, own, 1, eta) * stats.norm.pdf(u)
    assert found[1, 2] == pytest.approx(np.log(integrate.simpson(density, x=u)), abs=1e-3)


def test_a_partition_without_effects_of_its_own(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    """Halves of the rows that cut through every group: the rows' densities add up."""
    data["won"] = rng.integers(0, 2, 240)
    model = bmx.Model("won ~ x + (1 | g)", data, family="bernoulli")
    post = invented(model, rng, {})
    by = np.where(np.arange(240) % 2, "odd", "even")
    tree = post.log_likelihood()["log_likelihood"][model.names.observed].values[0]
    expected = np.stack([tree[:, ::2].sum(axis=1), tree[:, 1::2].sum(axis=1)], axis=1)
    np.testing.assert_allclose(left_out(post, by), expected)


@pytest.mark.slow
def test_leaving_groups_out_agrees_with_refits() -> None:
    rng = np.random.default_rng(8)
    n = 160
    g, x = np.repeat(np.arange(20), 8), rng.normal(size=n)
    eta = 0.4 + 0.8 * x + rng.normal(0, 0.9, 20)[g]
    data = pd.DataFrame({"x": x, "g": [f"g{k:02}" for k in g], "y": rng.poisson(np.exp(eta))})
    model = bmx.Model("y ~ x + (1 | g)", data, family="poisson")
    post = model.fit(seed=1, progress=False)
    found = post.loo(by="g")
    assert found.by == "g"
    assert list(found.pointwise.index) == sorted(set(data["g"]))
    assert found.pointwise["pareto_k"].notna().all()
    refits = post.kfold(20, by="g", draws=500, progress=False)
    difference = (found.pointwise["elpd"] - refits.pointwise["elpd"])[
        found.pointwise["pareto_k"] < 0.5
    ]
    assert len(difference) > 15
    assert np.abs(difference).max() < 0.25
    # New groups are harder to predict than new rows of known ones.
    assert found.elpd < post.loo().elpd - 10
    table = bmx.compare({"weights": found, "refits": refits})
    assert set(table["model"]) == {"weights", "refits"}


def test_a_density_that_is_not_there_is_named(data: pd.DataFrame, rng: np.random.Generator) -> None:
    data["count"] = rng.poisson(3, 240) + 1
    family = get_family("poisson")
    model = bmx.Model("count ~ x + (1 | g)", data, family=type(family)(link="identity"))
    post = invented(model, rng, {})
    post.idata["posterior"]["beta"].values[:] = [-500.0, 0.0]
    with pytest.raises(NotSupportedError, match=r"8 groups .* kfold"):
        post.loo(by="g")
