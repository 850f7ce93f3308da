"""R2, intraclass correlations and the variance partition, against R and plain numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import bayesmix as bmx
from bayesmix import families
from bayesmix.errors import NotSupportedError
from bayesmix.results.effect.observation_variance import observation_variance
from tests.builders import fake_posterior, family_posterior
from tests.families.cases import (
    CASES,
    IDS,
    LEFT_SIDE,
    family_data,
    make,
    scipy_distribution,
)
from tests.reference.cases import GLMM_CASES as GLMMS

REFERENCE = Path(__file__).parents[2] / "reference"
SUMMARY = ["estimate", "sd", "lower", "upper"]


def test_sleepstudy_has_the_published_r2() -> None:
    """0.279 and 0.799, as the R package performance prints them for lme4's fit."""
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy")).fit_eb()
    table = eb.r2()
    assert list(table.columns) == ["method", "kind", "estimate"]
    np.testing.assert_allclose(table["estimate"], [0.2786511, 0.7992199], atol=1e-5)
    assert eb.icc()["estimate"][0] == pytest.approx(0.7216603, abs=1e-5)
    parts = eb.variance_partition()
    assert parts["component"].tolist() == ["Fixed effects", "Subject", "Residual"]
    assert parts["estimate"].sum() == pytest.approx(1)
    assert parts["variance"][2] == pytest.approx(eb.sigma**2)


@pytest.mark.parametrize("name", GLMMS)
def test_beyond_the_normal_it_is_nakagawas(name: str) -> None:
    """`r2.R` has the formulas of Nakagawa et al. (2017) family by family."""
    expected: dict[str, Any] = json.loads((REFERENCE / "r2.json").read_text())[name]
    formula, family = GLMMS[name]
    fit = bmx.Model(formula, pd.read_csv(REFERENCE / "glmm.csv"), family=family).fit_eb()
    for approximation, found in expected.items():
        table = fit.r2(approximation=approximation)
        np.testing.assert_allclose(table["estimate"], found["r2"], rtol=2e-4)
        icc = fit.icc(approximation=approximation)
        np.testing.assert_allclose(icc["estimate"], found["icc"], rtol=2e-4)


@pytest.mark.parametrize(("name", "link"), CASES, ids=IDS)
def test_every_family_has_an_observation_variance(name: str, link: str) -> None:
    family, parameters = make(name, link)
    data = family_data()
    response = LEFT_SIDE[name]
    y = data["k" if "(" in response else response]
    y = np.asarray(y.cat.codes + 1 if hasattr(y, "cat") else y, dtype=float)
    rows = {"trials": data["m"].to_numpy(dtype=float)} if "trials" in family.needs else {}
    draws = {key: np.stack([np.asarray(v), np.asarray(v)]) for key, v in parameters.items()}
    if family.is_circular or name in {"sratio", "cratio", "acat"}:
        with pytest.raises(NotSupportedError, match=r"angles|no single latent variable"):
            observation_variance(family, draws, rows, y)
        return
    found = np.broadcast_to(observation_variance(family, draws, rows, y), (2,))
    assert found[0] == found[1]
    assert 0 < found[0] < np.inf
    if family.residual_variance(draws) is not None:
        return
    if name.startswith(("zero", "hurdle")) or (name, link) == ("lognormal", "log"):
        return  # shown apart
    share = y.sum() / rows["trials"].sum() if rows else y.mean()
    if name in {"skew_normal", "generalized_poisson", "tweedie", "ordbeta"}:  # not of scipy.stats
        v = _simulated_variance(family, parameters, float(share))
        assert found[0] == pytest.approx(np.log1p(v) if link == "log" else v, rel=0.02)
        return
    eta = np.asarray([family.link_function(share)]).ravel()
    trials = np.asarray([1.0]) if not rows else rows["trials"][rows["trials"] > 0]
    variance = np.asarray([scipy_distribution(family, eta, t).var()[0] for t in trials])
    h = 1e-5
    slope = (
        scipy_distribution(family, eta + h, trials[0]).mean()
        - scipy_distribution(family, eta - h, trials[0]).mean()
    ) / (2 * h)
    slope = slope * (trials / trials[0] if rows else 1.0)
    v = np.mean(variance / slope**2)
    assert found[0] == pytest.approx(np.log1p(v) if link == "log" else v, rel=1e-4)


def _simulated_variance(family: Any, parameters: dict[str, Any], level: float) -> float:
    """Variance of draws at a mean, by the squared slope of their mean."""

    def mean(eta: float) -> float:
        return float(np.asarray(family.mean(np.array([eta]), parameters)).ravel()[0])

    low, high = (1e-3, 30.0) if family.link in {"inverse", "identity", "sqrt"} else (-8.0, 8.0)
    eta = optimize.brentq(lambda x: mean(x) - level, low, high)
    drawn = family.draw(np.full(400_000, eta), parameters, {}, np.random.default_rng(8))
    assert drawn.mean() == pytest.approx(level, rel=0.02)
    return float(drawn.var() / ((mean(eta + 1e-5) - mean(eta - 1e-5)) / 2e-5) ** 2)


def test_extra_zeros_are_part_of_it() -> None:
    rng = np.random.default_rng(4)
    lam, zi, hu = 3.0, 0.2, 0.4
    mean, variance = (1 - zi) * lam, (1 - zi) * (lam + zi * lam**2)
    y = rng.permutation([mean] * 10)
    family = families.ZeroInflatedPoisson()
    found = observation_variance(family, {"zi": np.array([zi])}, {}, y)
    assert found[0] == pytest.approx(np.log1p(variance / mean**2))
    positive = stats.poisson(lam).pmf(np.arange(1, 60)) / -np.expm1(-lam)
    values = np.arange(1, 60)
    first = (1 - hu) * positive @ values
    spread = (1 - hu) * positive @ values**2 - first**2
    slope = (1 - hu) * lam * (1 - np.exp(-lam) - lam * np.exp(-lam)) / np.expm1(-lam) ** 2
    hurdle = families.HurdlePoisson()
    found = observation_variance(hurdle, {"hu": np.array([hu])}, {}, np.full(3, first))
    assert found[0] == pytest.approx(np.log1p(spread / slope**2), rel=1e-5)


def test_intervals_are_over_draws(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x + z + (x | g) + (1 | h)", data), rng)
    tree, X = post.idata["posterior"], post.model.design.mu.X
    fixed = (tree["beta"].values @ X.T).var(axis=-1, ddof=1)
    S = tree["corr_g"].values * tree["sd_g"].values[..., None] * tree["sd_g"].values[..., None, :]
    Z = post.model.design.mu.group("g").Z
    slopes = np.einsum("nk,cdkl,nl->cd", Z, S, Z) / len(Z)
    h = tree["sd_h"].values[..., 0] ** 2
    residual = tree["sigma"].values ** 2
    total = fixed + slopes + h + residual
    table = post.r2("nakagawa", 0.8)
    assert list(table.columns) == ["method", "kind", *SUMMARY]
    for row, value in zip(table.itertuples(), (fixed, total - residual), strict=True):
        share = (value / total).ravel()
        assert row.estimate == pytest.approx(np.median(share))
        assert row.sd == pytest.approx(share.std(ddof=1))
        assert row.lower == pytest.approx(np.quantile(share, 0.1))
    icc = post.icc(point="mean")
    np.testing.assert_allclose(icc["estimate"], [(v / (total - fixed)).mean() for v in (slopes, h)])
    parts = post.variance_partition(point="mean")
    assert parts["component"].tolist() == ["Fixed effects", "g", "h", "Residual"]
    assert parts["estimate"].sum() == pytest.approx(1)
    assert parts["variance"][1] == pytest.approx(slopes.mean())


@pytest.mark.parametrize("family", ["gaussian", "bernoulli", "poisson", "gamma"])
def test_the_bayesian_r2_is_gelmans(
    family: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    left = {"gaussian": "y", "bernoulli": "flag", "poisson": "h", "gamma": "u"}[family]
    model = bmx.Model(f"{left} ~ x + f + (1 | g)", data, family=family)
    post = family_posterior(model, rng, (2, 30))
    tree = post.idata["posterior"]
    fixed = np.einsum("cdp,np->cdn", tree["beta"], model.design.mu.X)
    b = tree["b_g"].values[:, :, model.design.mu.group("g").index, 0]
    parameters = {name: tree[name].values[..., None] for name in model.family.parameters}

    def r2(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        explained = mean.var(axis=-1, ddof=1)
        return (explained / (explained + variance.mean(axis=-1))).ravel()

    mean = model.family.mean(fixed + b, parameters)
    variance = np.broadcast_to(model.family.variance(fixed + b, parameters), mean.shape)
    table = post.r2("gelman", point="mean")
    conditional = r2(mean, variance)
    assert table["estimate"][1] == pytest.approx(conditional.mean())
    assert table["upper"][1] == pytest.approx(np.quantile(conditional, 0.975))
    # The marginal one: the moments of observations from very many groups.
    nodes = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    sd = tree["sd_g"].values[..., 0]
    first, second = np.zeros_like(fixed), np.zeros_like(fixed)
    for node in nodes:
        eta = fixed + node * sd[..., None]
        m = model.family.mean(eta, parameters)
        first += m / 400
        second += (m**2 + model.family.variance(eta, parameters)) / 400
    marginal = r2(first, second - first**2)
    assert table["estimate"][0] == pytest.approx(marginal.mean(), rel=0.03)
    some = post.r2("gelman", draws=20)
    assert some["estimate"][1] != table["estimate"][1]
    assert post.r2()["method"].tolist() == ["nakagawa"] * 2 + ["gelman"] * 2


def test_in_a_normal_model_the_marginal_versions_agree(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + offset(0 * z) + (x | g)", data), rng)
    table = post.r2()
    np.testing.assert_allclose(
        table.loc[0, SUMMARY].astype(float), table.loc[2, SUMMARY].astype(float)
    )


def test_without_groups_without_fixed_effects_without_variance(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    plain = fake_posterior(bmx.Model("y ~ x", data), rng)
    table = plain.r2()
    for method in (0, 2):
        assert table["estimate"][method] == table["estimate"][method + 1] > 0
    assert plain.icc().empty
    assert list(plain.icc().columns) == ["group", *SUMMARY]
    empty = fake_posterior(bmx.Model("y ~ 0 + (1 | g)", data), rng).r2()
    assert empty.query("kind == 'marginal'")["estimate"].tolist() == [0, 0]
    constant = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng)
    assert constant.r2("nakagawa")["estimate"][0] == 0
    # Levels that differ less than chance would have it: the sd is zero.
    even = data.assign(y=data["y"] - data.groupby("g")["y"].transform("mean"))
    fit = bmx.Model("y ~ x + (1 | g)", even).fit_eb()
    assert "is zero" in fit.singular
    assert fit.icc()["estimate"][0] == 0
    assert fit.r2()["estimate"][0] == fit.r2()["estimate"][1]


def test_known_standard_errors_are_the_residual(rng: np.random.Generator) -> None:
    studies = pd.DataFrame(
        {"effect": [0.1, 0.4, 0.5, 0.9], "se": [0.1, 0.2, 0.2, 0.1], "study": list("abcd")}
    )
    model = bmx.Model("effect ~ 1 + (1 | study)", studies, known_se="se")
    post = family_posterior(model, rng)
    tau2 = post.idata["posterior"]["sd_study"].values.ravel() ** 2
    expected = tau2 / (tau2 + np.mean(studies["se"] ** 2))
    assert post.icc()["estimate"][0] == pytest.approx(np.median(expected))
    fit = model.fit_eb()
    tau2 = fit.variance_components()["variance"][0]
    assert fit.icc()["estimate"][0] == pytest.approx(tau2 / (tau2 + np.mean(studies["se"] ** 2)))
    gelman = post.r2("gelman")
    assert gelman["estimate"][0] == 0


def test_heavy_tails_and_empty_counts_do_not_break_it(
    data: pd.DataFrame, rng: np.random.Generator
) -> None:
    post = family_posterior(bmx.Model("y ~ x + (1 | g)", data, family="student_t"), rng)
    post.idata["posterior"]["nu"].values[0] = 1.5  # no variance in half of the draws
    assert np.isfinite(post.icc()["estimate"]).all()
    parts = post.variance_partition(point="mean")
    assert parts["estimate"].sum() == pytest.approx(1)
    zero = data.assign(count=0)
    counts = family_posterior(bmx.Model("count ~ x + (1 | g)", zero, family="poisson"), rng)
    assert counts.icc()["estimate"][0] < 0.1
    trigamma = special.polygamma(1, 2.5)
    counts = family_posterior(
        bmx.Model("count ~ 1 + (1 | g)", data.assign(count=[2, 3] * 120), family="poisson"), rng
    )
    s2 = counts.idata["posterior"]["sd_g"].values.ravel() ** 2
    icc = counts.icc(approximation="trigamma")
    assert icc["estimate"][0] == pytest.approx(np.median(s2 / (s2 + trigamma)))


def test_arguments_are_checked(data: pd.DataFrame, rng: np.random.Generator) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    with pytest.raises(NotSupportedError, match="method='adjusted' is not one of 'nakagawa'"):
        post.r2("adjusted")
    with pytest.raises(NotSupportedError, match="approximation='log' is not one of"):
        post.icc(approximation="log")
    with pytest.raises(NotSupportedError, match="ci_prob=2"):
        post.r2(ci_prob=2)
