"""Refits of models in which several parameters have a linear predictor."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.resampling import Resampling
from bayesmix.laws.values import by_name
from bayesmix.results.testing.running import Progress
from tests.builders import several_data

DATA = several_data()
MODELS: dict[str, tuple[Any, str]] = {
    "zero-inflated": (["k ~ x + (1 | g)", "zi ~ x"], "zero_inflated_poisson"),
    "dispersion": (
        ["k ~ x + (1 | g)", "zi ~ 1", "alpha ~ x"], "zero_inflated_negative_binomial"
    ),
    "joined": (["k ~ x + (1 | p | g)", "zi ~ 1 + (1 | p | g)"], "zero_inflated_poisson"),
    "categorical": (["y ~ x", "mu3 ~ x + (1 | g)"], "categorical"),
    "multinomial": ("cbind(a, b, c) | trials(n) ~ x + (1 | g)", "multinomial"),
    "sigma": (["normal ~ x + (1 | g)", "sigma ~ x + (1 | g)"], "gaussian"),
}  # fmt: skip


@functools.cache
def fitted(name: str) -> bmx.EmpiricalBayes:
    formula, family = MODELS[name]
    return bmx.Model(formula, DATA, family=family).fit_eb("ml")


@pytest.mark.parametrize("name", MODELS)
def test_refits_are_fits_of_the_same_responses(name: str) -> None:
    fit = fitted(name)
    resampling = Resampling(fit._law)
    Y = resampling.responses("parametric", 3, (1,))
    assert Y.shape == (len(DATA), 3, *fit.model.y.shape[1:])
    worker = resampling.to(Y).worker(range(3))
    for k in range(3):
        mine = worker.fit(k, np.random.default_rng(1))
        theirs = fit._law.again(fit.model.with_parts(y=Y[:, k].copy()), "ml")
        assert mine.converged
        assert mine.deviance == pytest.approx(theirs.deviance, abs=1e-4)
        law = resampling.law_of([mine], 1)
        ours, other = by_name(fit.model, law.values), by_name(fit.model, theirs.values)
        assert list(ours) == list(other)
        for parameter, value in other.items():
            assert float(ours[parameter][0, 0]) == pytest.approx(float(value), abs=0.01)


def test_the_fit_itself_is_the_refit_of_its_response() -> None:
    fit = fitted("zero-inflated")
    resampling = Resampling(fit._law)
    again = resampling.to(fit.model.y[:, None]).worker(range(1)).fit(0, None)
    mine = resampling.of_fit()
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-6)
    np.testing.assert_allclose(again.beta, mine.beta, atol=1e-3)
    for g, effects in mine.effects.items():
        np.testing.assert_allclose(again.effects[g], effects, atol=1e-3)


@pytest.mark.parametrize("name", ["zero-inflated", "categorical", "multinomial"])
def test_spread_is_that_of_the_information(name: str) -> None:
    fit = fitted(name)
    boot = fit.bootstrap(120, seed=2, progress=False)
    assert boot.n_refits > 110
    mine, theirs = (f.fixed_effects(parameter="all") for f in (boot, fit))
    assert mine["parameter"].tolist() == theirs["parameter"].tolist()
    np.testing.assert_allclose(mine["sd"], theirs["sd"], rtol=0.3)
    far = (mine["estimate"] - theirs["estimate"]) / theirs["sd"]
    assert far.abs().max() < 0.7


def test_tables_predictions_and_intervals_know_every_predictor() -> None:
    fit = bmx.Model(
        ["k ~ x + (1 | g)", "zi ~ x + (1 | g)"], DATA, family="zero_inflated_poisson"
    ).fit_eb("ml")
    boot = fit.bootstrap(40, seed=2, progress=False)
    of_zi = boot.variance_components(parameter="zi")
    assert of_zi["group"].tolist() == ["g"]
    assert (of_zi["sd_lower"] >= 0).all() if "sd_lower" in of_zi else True
    names = boot.intervals()["parameter"].tolist()
    assert {"beta(x)", "zi_beta(x)", "sd(g, Intercept)", "zi_sd(g, Intercept)"} <= set(names)
    limits = boot.intervals("basic").set_index("parameter")
    assert limits.loc["zi_sd(g, Intercept)", "lower"] >= 0
    normal = boot.with_intervals("normal").fixed_effects(parameter="zi")
    expected = boot.intervals("normal").set_index("parameter").loc["zi_beta(x)"]
    assert normal.set_index("term").loc["x", "lower"] == pytest.approx(expected["lower"])
    zi = boot.predict(parameter="zi")["estimate"]
    np.testing.assert_allclose(zi, fit.predict(parameter="zi")["estimate"], atol=0.15)
    assert boot.predict()["estimate"].corr(fit.predict()["estimate"]) > 0.95
    assert boot.comparisons("x")["estimate"].iloc[0] == pytest.approx(
        fit.comparisons("x", seed=1)["estimate"].iloc[0], abs=0.4
    )
    assert "40 refits" in repr(boot)


def test_constants_between_limits_are_kept_as_they_are() -> None:
    # zi is a number here, on the scale of the logit in the search.
    fit = bmx.Model("k ~ x", DATA, family="zero_inflated_poisson").fit_eb("ml")
    boot = fit.bootstrap(60, seed=1, progress=False)
    zi = boot.draws()["zi"]
    assert zi.between(0, 1).all()
    assert zi.mean() == pytest.approx(float(fit._law.family_values["zi"]), abs=0.03)


def test_thresholds_are_refitted() -> None:
    grade = pd.cut(DATA["normal"], [-np.inf, 0, 1.5, np.inf], labels=["lo", "mid", "hi"])
    data = DATA.assign(grade=grade)
    fit = bmx.Model("grade ~ x", data, family="cumulative").fit_eb("ml")
    draws = fit.bootstrap(60, seed=1, progress=False).draws()
    cuts = draws[[name for name in draws if name.startswith("thresholds")]]
    np.testing.assert_allclose(cuts.mean(), fit._law.family_values["thresholds"], atol=0.15)


@pytest.mark.parametrize("name", ["zero-inflated", "joined", "multinomial"])
def test_whole_levels_are_drawn(name: str) -> None:
    fit = fitted(name)
    boot = fit.bootstrap(10, "cases", seed=4, progress=False)
    far = (
        boot.fixed_effects(parameter="all")["estimate"]
        - (fit.fixed_effects(parameter="all")["estimate"])
    )
    assert (far.abs() < 3 * fit.fixed_effects(parameter="all")["sd"]).all()


def test_kinds_that_take_residuals_are_refused_by_name() -> None:
    for name, said in (("zero-inflated", "residuals of a normal"), ("sigma", "has sigma ~")):
        fit = fitted(name)
        for kind in ("semiparametric", "wild"):
            with pytest.raises(NotSupportedError, match=rf'{said}.*take "parametric" or "cases"'):
                fit.bootstrap(10, kind, progress=False)


def test_an_interrupted_run_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted("zero-inflated")

    def say(_: Progress, done: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "say", say)
    boot = fit.bootstrap(100, seed=1, progress=False)
    assert boot.interrupted
    assert 20 < boot.n_refits < 100
    assert len(boot.fixed_effects(parameter="all")) == 4


@pytest.mark.parametrize("small", [["k ~ x", "zi ~ 1"], "k ~ x"])
def test_likelihood_ratios_of_other_predictors_are_bootstrapped(small: Any) -> None:
    settings = {"data": DATA, "family": "zero_inflated_poisson"}
    null = bmx.Model(small, **settings).fit_eb("ml")
    fit = bmx.Model(["k ~ x", "zi ~ x"], **settings).fit_eb("ml")
    plain = bmx.anova(null, fit).iloc[-1]
    drawn = bmx.anova(null, fit, test="bootstrap", n=100, seed=1, progress=False).iloc[-1]
    assert drawn["chisq"] == pytest.approx(plain["chisq"])
    assert drawn["p_value"] == pytest.approx(plain["p_value"], abs=0.07)


def test_each_predictor_has_the_covariance_of_its_coefficients() -> None:
    for name, parameter in (("zero-inflated", "zi"), ("multinomial", "mu3"), ("sigma", "sigma")):
        fit = fitted(name)
        found = fit.vcov(parameter)
        table = fit.fixed_effects(parameter=parameter)
        assert found.columns.tolist() == table["term"].tolist()
        np.testing.assert_allclose(np.sqrt(np.diag(found)), table["sd"], rtol=1e-6)
        with pytest.raises(NotSupportedError, match="fixed effects of mu"):
            fit.vcov(parameter, ddf="kenward-roger")
        with pytest.raises(ArgumentError, match="parameter"):
            fit.vcov("nu")
