"""Refits of a model to responses like its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import ArgumentError, ConvergenceWarning, NotSupportedError
from bayesmix.laws.cases import Cases
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.refit import Refit
from bayesmix.laws.refits import Refits, SomeResponses
from bayesmix.laws.resampled import resampled
from bayesmix.laws.resampling import Resampling
from bayesmix.results.testing.running import Progress
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
    Y = resampled(law, "parametric", 5, rng)
    worker = Refits(law).refitting(Y).worker(range(5))
    for k in range(5):
        mine = worker.fit(k, rng)
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
    # With balanced data the fixed effects' standard errors are those of the fit.
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
    bca = boot.intervals("bca", 0.9).set_index("parameter")
    assert bca.loc[name, "lower"] == pytest.approx(tables["bc"].loc[name, "lower"], abs=0.4)
    assert (bca["lower"] < bca["upper"]).all()
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
    for kind in ("semiparametric", "wild"):
        with pytest.raises(NotSupportedError, match="residuals of a normal response"):
            counts.bootstrap(10, kind)
    crossed = bmx.Model("y ~ x + (1 | g) + (1 | h)", frame).fit_eb()
    with pytest.raises(NotSupportedError, match="cross"):
        crossed.bootstrap(10, "wild")
    with pytest.raises(NotSupportedError, match=r"`h` cross|`g` cross"):
        crossed.bootstrap(10, "cases")
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    with pytest.raises(ArgumentError, match="kind"):
        fit.bootstrap(10, "jackknife")
    with pytest.raises(NotSupportedError, match="GB"):
        many_levels().bootstrap(10_000_000)
    with pytest.raises(NotSupportedError, match="save the fit"):
        fit.bootstrap(5, seed=1, progress=False).save("boot.nc")


def test_smooths_are_kept_and_relatives_stay_together(rng: np.random.Generator) -> None:
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
    with pytest.raises(NotSupportedError, match="are not"):
        related.bootstrap(10, "cases")
    assert related.bootstrap(25, seed=1, progress=False).n_refits == 25
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


def test_tables_and_predictions_have_the_intervals_that_are_chosen(
    sleepstudy: pd.DataFrame,
) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    boot = fit.bootstrap(100, seed=1, interval="basic", progress=False)
    wanted = boot.intervals("basic").set_index("parameter")
    own = boot.fixed_effects()
    np.testing.assert_allclose(own["lower"], wanted["lower"][:2])
    np.testing.assert_allclose(own["upper"], wanted["upper"][:2])
    bca = boot.with_intervals("bca")
    np.testing.assert_allclose(
        bca.variance_components()["sd_upper"][:2], bca.intervals("bca")["upper"][2:4], rtol=1e-8
    )
    assert "accelerated" in str(bca)
    rows = pd.DataFrame({"Days": [0.0], "Subject": [None]})
    population = bca.predict(rows, groups="population")
    assert population.loc[0, "lower"] == pytest.approx(bca.fixed_effects()["lower"][0])
    assert bca.predict(kind="response")["lower"].equals(boot.predict(kind="response")["lower"])
    assert own["estimate"].equals(bca.fixed_effects()["estimate"])


def test_few_refits_have_no_limits_and_the_footer_says_why(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    for n, known in ((1, False), (19, False), (20, True)):
        boot = fit.bootstrap(n, seed=1, progress=False)
        for table in (
            boot.fixed_effects(), boot.variance_components(), boot.group_effects(), boot.predict(),
            boot.predict(kind="response"), boot.predictions(by=True), boot.comparisons("Days"),
            boot.icc(), boot.marginal_means("Days", at={"Days": [0.0, 9.0]}).table,
        ):  # fmt: skip
            limits = table.filter(regex="lower|upper").to_numpy(dtype=float)
            assert limits.size
            assert np.isfinite(limits).all() if known else np.isnan(limits).all()
            assert np.isfinite(table.filter(regex="^(estimate|sd)$").iloc[:, 0]).all()
        why = f"limits need 20 refits or more, and there are {n}"
        assert (why in " ".join(str(boot.summary()).split())) is not known


def test_acceleration_of_a_mean_is_the_jackknifes_skewness(rng: np.random.Generator) -> None:
    y = rng.exponential(size=25)
    fit = bmx.Model("y ~ 1", pd.DataFrame({"y": y})).fit_eb()
    boot = fit.bootstrap(500, "cases", seed=1, progress=False)
    found = boot.intervals("bca").iloc[0]
    d = (y - y.mean()) / 24
    bend = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    draws = boot.draws()["beta(Intercept)"]
    shift = stats.norm.ppf((draws < y.mean()).mean())
    for end, z in (("lower", -1.959964), ("upper", 1.959964)):
        level = stats.norm.cdf(shift + (shift + z) / (1 - bend * (shift + z)))
        assert found[end] == pytest.approx(np.quantile(draws, level), rel=1e-6)
    assert draws.std() == pytest.approx(y.std() / 5, rel=0.1)


def test_cases_are_whole_levels_with_what_is_nested_in_them(rng: np.random.Generator) -> None:
    frame = nested_data(rng)
    frame["y"] += 3 * rng.normal(size=5)[frame["h"] - 1]
    model = bmx.Model("y ~ 1 + (1 | h/ward)", frame)
    cases = Cases(model, nested=True)
    assert (cases.unit, cases.n) == ("h", 5)
    drawn = cases.drawn(np.random.default_rng(3))
    outer, inner = sorted(drawn.design.mu.groups, key=lambda g: g.n_levels)
    assert (outer.n_levels, inner.n_levels) == (5, 15)
    assert len(set(map(tuple, np.stack([outer.index, inner.index], axis=1)))) == 15
    left = cases.without(0)
    assert left.design.mu.group("h").n_levels == 4
    boot = model.fit_eb().bootstrap(40, "cases", seed=1, progress=False)
    assert boot.n_refits + boot.n_failed == 40
    assert set(boot.group_effects("h")["level"]) == {"1", "2", "3", "4", "5"}


def test_counts_are_refitted_by_laplace(rng: np.random.Generator) -> None:
    frame = nested_data(rng)
    effect = rng.normal(size=8)[pd.factorize(frame["g"])[0]]
    frame["k"] = rng.poisson(np.exp(0.5 + 0.2 * frame["z"] + 0.6 * effect))
    fit = bmx.Model("k ~ z + (1 | g)", frame, family="poisson").fit_eb()
    resampling = Resampling(fit._law)
    Y = resampling.responses("parametric", 3, (1,))
    worker = resampling.to(Y).worker(range(3))
    for k in range(3):
        mine = worker.fit(k, rng)
        theirs = LaplaceLaw(fit.model.with_parts(y=Y[:, k].copy()), "ml")
        assert mine.deviance == pytest.approx(theirs.deviance, abs=1e-4)
        np.testing.assert_allclose(mine.beta, theirs.conditional.beta, atol=2e-3)
    boot = fit.bootstrap(150, seed=2, progress=False)
    spread = boot.fixed_effects()["sd"]
    np.testing.assert_allclose(spread, fit.fixed_effects()["sd"], rtol=0.25)
    mine, theirs = boot.group_effects(), fit.group_effects()
    np.testing.assert_allclose(mine["estimate"], theirs["estimate"], atol=0.15)
    assert boot.with_intervals("bca").fixed_effects()["lower"].notna().all()
    assert fit.bootstrap(25, "cases", seed=1, progress=False).n_refits > 20


def test_an_interrupted_run_keeps_what_it_has(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()

    def say(self: Progress, done: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    whole = fit.bootstrap(200, seed=1, progress=False).draws()
    monkeypatch.setattr(Progress, "say", say)
    boot = fit.bootstrap(200, seed=1, progress=False)
    assert boot.interrupted
    assert 60 < boot.n_refits < 200
    assert "of 200 (interrupted)" in str(boot)
    pd.testing.assert_frame_equal(boot.draws().head(60), whole.head(60))


def test_refits_that_fail_are_counted(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    own = SomeResponses.fit

    def fails(self: SomeResponses, k: int, rng: np.random.Generator | None) -> Refit:
        if k % 4 == 0:
            raise FloatingPointError
        return own(self, k, rng)

    monkeypatch.setattr(SomeResponses, "fit", fails)
    with pytest.warns(ConvergenceWarning, match="10 of 40"):
        boot = fit.bootstrap(40, seed=1, progress=False)
    assert (boot.n_refits, boot.n_failed) == (30, 10)


def test_a_statistic_of_a_fit_is_told_what_refits_have(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb()
    with pytest.raises(ArgumentError, match=r"no 'fixed_effects': they are beta, sd, .* and sigma"):
        fit.bootstrap(5, statistic=lambda refit: refit.fixed_effects(), seed=1, progress=False)
    with pytest.raises(AttributeError, match="'float' object has no attribute 'shape'"):
        fit.bootstrap(5, statistic=lambda refit: refit.sigma.shape, seed=1, progress=False)


def test_a_row_with_a_coefficient_of_its_own_is_not_blown_up(rng: np.random.Generator) -> None:
    """Its leverage is 1: there is no residual to be made larger."""
    frame = nested_data(rng)
    frame["f"] = np.where(np.arange(len(frame)) == 3, "z", "a")
    fit = bmx.Model("y ~ x + f + (1 | g)", frame).fit_eb()
    boot = fit.bootstrap(100, "wild", seed=1, progress=False)
    table, wanted = boot.fixed_effects(), fit.fixed_effects()
    assert table["sd"][2] < 2 * wanted["sd"][2]
    apart = abs(table["estimate"] - wanted["estimate"])
    assert (apart < 4 * wanted["sd"] / np.sqrt(100) + 1e-9).all()
