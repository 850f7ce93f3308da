"""Refits of a model to responses like its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.refits import Refits
from bayesmix.laws.resampled import resampled
from tests.builders import nested_data

FORMULAS = [
    "y ~ x + (x | g)",
    "y ~ x + (1 | g) + (1 | h)",
    "y ~ x + f + (z || g) + (1 | g:ward)",
    "y ~ 1 + (1 | h/ward)",
    "y ~ x",
]


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_refits_are_fits(formula: str, method: str, rng: np.random.Generator) -> None:
    frame = nested_data(rng)
    frame["y"] += 3 * rng.normal(size=8)[pd.factorize(frame["g"])[0]]
    model = bmx.Model(formula, frame)
    law = model.fit_eb(method=method)._law
    refits = Refits(law)
    Y = resampled(law, "parametric", 5, rng)
    products, yy = refits.products(Y)
    equations = refits.equations()
    for k in range(5):
        mine = refits.fit(equations, products[k], float(yy[k]), rng)
        theirs = NormalLaw(model.with_parts(y=Y[:, k].copy()), method)
        assert mine.converged
        assert mine.deviance == pytest.approx(theirs.deviance, abs=1e-5)
        np.testing.assert_allclose(mine.beta, theirs.conditional.beta, rtol=1e-3, atol=1e-3)
        assert mine.sigma == pytest.approx(theirs.optimum.sigma, rel=1e-3)


def test_the_response_itself_gives_the_fit(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    again = Refits(fit._law).of(fit.model.y)
    assert again.deviance == pytest.approx(fit.reml_criterion, abs=1e-6)
    np.testing.assert_allclose(again.sd["Subject"], fit._law.optimum.sd, rtol=1e-4)


def test_spread_is_that_of_theory(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    boot = fit.bootstrap(600, seed=2, progress=False)
    table = boot.intervals("normal").set_index("parameter")
    sd = fit.fixed_effects()["sd"].to_numpy()
    # Of balanced data the fixed effects' standard errors are those of the fit.
    np.testing.assert_allclose(table["se"][:2], sd, rtol=0.1)
    assert table.loc["sigma", "se"] == pytest.approx(25.592 / np.sqrt(2 * 144), rel=0.12)
    # Effects have the spread that they have given the data, and that of the estimates.
    mine, theirs = boot.group_effects(), fit.group_effects()
    np.testing.assert_allclose(mine["sd"], theirs["sd"], rtol=0.25)
    np.testing.assert_allclose(mine["estimate"], theirs["estimate"], atol=4.0)
    # Predictions know that beta and b err together.
    one, other = boot.predict(sleepstudy.head(10)), fit.predict(sleepstudy.head(10))
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=0.25)


@pytest.mark.parametrize("kind", ["semiparametric", "wild"])
def test_other_kinds_have_the_spread_of_fixed_effects(kind: str, sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    boot = fit.bootstrap(400, kind, seed=3, progress=False)
    np.testing.assert_allclose(boot.draws().iloc[:, :2].std(), fit.fixed_effects()["sd"], rtol=0.15)


def test_semiparametric_effects_have_the_estimated_covariance(rng: np.random.Generator) -> None:
    frame = nested_data(rng)
    frame["y"] += 3 * rng.normal(size=8)[pd.factorize(frame["g"])[0]]
    law = bmx.Model("y ~ 1 + (1 | g)", frame).fit_eb()._law
    Y = resampled(law, "semiparametric", 4000, rng)
    levels = law.model.design.mu.groups[0].index
    means = np.stack([Y[levels == k].mean(axis=0) for k in range(8)])
    own = law.optimum.sd[0] ** 2 + law.optimum.sigma**2 / np.bincount(levels).mean()
    assert means.var() == pytest.approx(own, rel=0.1)


def test_seeds_threads_and_statistics(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    one, two = (fit.bootstrap(40, seed=7, cores=c, progress=False) for c in (1, 3))
    pd.testing.assert_frame_equal(one.draws(), two.draws())
    assert not one.draws().equals(fit.bootstrap(40, seed=8, progress=False).draws())
    boot = fit.bootstrap(
        40, seed=7, statistic=lambda r: r.sd["Subject"][0] / r.sigma, progress=False
    )
    row = boot.intervals().iloc[-1]
    components = fit.variance_components()["sd"]
    assert row["parameter"] == "statistic"
    assert row["estimate"] == pytest.approx(components[0] / components[1], rel=1e-4)
    assert "40 refits" in str(boot)
    assert "ess_bulk" not in boot.fixed_effects()


def test_kinds_of_intervals(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    boot = fit.bootstrap(200, seed=1, progress=False)
    tables = {k: boot.intervals(k, 0.9).set_index("parameter") for k in
              ("percentile", "basic", "normal", "bc")}  # fmt: skip
    name = "beta(Days)"
    draws = boot.draws()[name]
    low, high = np.quantile(draws, [0.05, 0.95])
    estimate = fit.fixed_effects()["estimate"][1]
    assert tables["percentile"].loc[name, "lower"] == pytest.approx(low)
    assert tables["basic"].loc[name, "lower"] == pytest.approx(2 * estimate - high)
    assert tables["normal"].loc[name, "upper"] == pytest.approx(
        2 * estimate - draws.mean() + 1.6449 * draws.std(), rel=1e-4
    )
    assert tables["bc"].loc[name, "lower"] == pytest.approx(low, abs=0.4)
    with pytest.raises(ArgumentError, match="kind"):
        boot.intervals("studentized")
    with pytest.raises(NotSupportedError, match="20 refits"):
        fit.bootstrap(10, seed=1, progress=False).intervals()


def test_a_variance_at_zero_is_found_at_zero(rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"y": rng.normal(size=60), "g": np.repeat(np.arange(6), 10)})
    fit = bmx.Model("y ~ 1 + (1 | g)", frame).fit_eb()
    draws = fit.bootstrap(60, seed=1, progress=False).draws()["sd(g, Intercept)"]
    assert (draws == 0).mean() > 0.2
    assert draws.max() > 0.1


def test_what_is_refused(rng: np.random.Generator, sleepstudy: pd.DataFrame) -> None:
    frame = nested_data(rng).assign(k=rng.poisson(2.0, 240))
    counts = bmx.Model("k ~ x + (1 | g)", frame, family="poisson").fit_eb()
    with pytest.raises(NotSupportedError, match="normal responses"):
        counts.bootstrap(10)
    crossed = bmx.Model("y ~ x + (1 | g) + (1 | h)", frame).fit_eb()
    with pytest.raises(NotSupportedError, match="cross"):
        crossed.bootstrap(10, "wild")
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    with pytest.raises(ArgumentError, match="kind"):
        fit.bootstrap(10, "jackknife")
    with pytest.raises(NotSupportedError, match="GB"):
        many_levels().bootstrap(10_000_000)
    with pytest.raises(NotSupportedError, match="save the fit"):
        fit.bootstrap(5, seed=1, progress=False).save("boot.nc")


def test_smooths_are_kept_and_relatives_refused(rng: np.random.Generator) -> None:
    frame = nested_data(rng, 200)
    frame["y"] += 4 * np.sin(2 * frame["z"]) + rng.normal(size=8)[pd.factorize(frame["g"])[0]]
    fit = bmx.Model("y ~ s(z, k=6) + (1 | g)", frame).fit_eb()
    means = resampled(fit._law, "parametric", 3000, rng).mean(axis=1)
    curve = fit.predict(groups="population")["estimate"]
    np.testing.assert_allclose(means, curve, atol=0.4)
    assert fit.bootstrap(30, "wild", seed=1, progress=False).n_refits == 30
    A = pd.DataFrame(
        np.eye(8) + 0.2, index=sorted(set(frame["g"])), columns=sorted(set(frame["g"]))
    )
    related = bmx.Model("y ~ x + (1 | gr(g, cov=A))", frame, matrices={"A": A}).fit_eb()
    with pytest.raises(NotSupportedError, match="related"):
        related.bootstrap(10)
    with pytest.raises(NotSupportedError, match="related"):
        related.anova(ddf="kenward-roger")
    assert np.isfinite(related.anova()["p"]).all()
    with pytest.raises(NotSupportedError, match="between levels"):
        related.exact_rlrt()
    structured = bmx.Model("y ~ x + ar1(h | g)", frame).fit_eb()
    with pytest.raises(NotSupportedError, match=r"ar1.*satterthwaite"):
        structured.anova(ddf="kenward-roger")
    assert np.isfinite(structured.anova()["p"]).all()
    assert structured.bootstrap(25, seed=1, progress=False).covariance_parameters()["sd"][0] > 0


def many_levels() -> bmx.EmpiricalBayes:
    data = pd.DataFrame({"y": np.arange(4000.0) % 7, "g": np.arange(4000) % 2000})
    return bmx.Model("y ~ 1 + (1 | g)", data).fit_eb()
