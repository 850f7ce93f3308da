"""Refits whose outcomes separate: coefficients that ran away are counted, not averaged."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError, SeparationWarning
from bayesmix.laws.refits_law import limits_of
from bayesmix.laws.resampling import Resampling

FORMULA = "y ~ x + f + (1 | g)"


@pytest.fixture(scope="module")
def nearly() -> pd.DataFrame:
    """One success among the twelve rows of a level."""
    rng = np.random.default_rng(9)
    n = 60
    x = rng.normal(size=n)
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(2.2 - 1.2 * x))).astype(int)
    f = np.where(np.arange(n) % 10 < 2, "r", "s")
    y[f == "r"] = [1] + [0] * 11
    return pd.DataFrame({"y": y, "x": x, "f": f, "g": np.repeat(np.arange(6), 10)})


def _fitted(
    data: pd.DataFrame, family: str = "bernoulli", formula: str | list[str] = FORMULA
) -> bmx.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bmx.Model(formula, data, family=family).fit_eb()


def test_refits_know_what_fits_by_hand_know(nearly: pd.DataFrame) -> None:
    resampling = Resampling(_fitted(nearly)._law)
    Y = resampling.responses("parametric", 12, (1, 0, 0))
    worker = resampling.to(Y).worker(range(12))
    separated = 0
    for k in range(12):
        refit, by_hand = worker.fit(k, None), _fitted(nearly.assign(y=Y[:, k].astype(int)))
        gone = {
            name
            for j, name in enumerate(by_hand.model.design.mu.fixed_effects)
            if refit.ran_away is not None and refit.ran_away[j]
        }
        assert gone == {
            name
            for name in by_hand.model.design.mu.fixed_effects
            if name in by_hand.separation.split(" separate")[0].split(", ")
        }
        separated += bool(gone)
        if gone:
            np.testing.assert_array_equal(np.sign(refit.beta[[0, 2]]), refit.ran_away[[0, 2]])
    assert 0 < separated < 12


def test_what_ran_away_has_no_mean_and_infinite_tails(nearly: pd.DataFrame) -> None:
    with pytest.warns(SeparationWarning, match=r"f\[T.s\] in \d+ of 40 refits ran away"):
        boot = _fitted(nearly).bootstrap(40, seed=1, progress=False)
    draws, table = boot.draws(), boot.fixed_effects().set_index("term")
    slope, level = draws["beta(x)"], draws["beta(f[T.s])"]
    assert np.isfinite(slope).all()
    gone = int(np.isinf(level).sum())
    assert 2 <= gone <= 20
    assert f"f[T.s] in {gone} of 40" in boot.separation
    assert (level[np.isinf(level)] > 0).all()
    assert table.loc[["Intercept", "f[T.s]"], ["estimate", "sd"]].isna().all(axis=None)
    assert table.loc["x", "sd"] == pytest.approx(slope.std())
    assert table.loc["f[T.s]", "upper"] == np.inf
    assert table.loc["f[T.s]", "lower"] == pytest.approx(
        np.quantile(np.where(np.isinf(level), 1e6, level), 0.025)
    )
    # Limits stand while fewer ran away than a tail holds.
    half = boot.fixed_effects(ci_prob=1 - 2 * (gone + 1) / 39).set_index("term")
    assert half.loc["f[T.s]", "upper"] == pytest.approx(level.sort_values().iloc[-gone - 2])
    around = boot.fixed_effects(point="median").set_index("term")
    assert around.loc["f[T.s]", "estimate"] == pytest.approx(np.median(np.fmin(level, 1e6)))
    known = boot.intervals().set_index("parameter")
    assert known.loc["beta(f[T.s])", ["bias", "se"]].isna().all()
    normal = boot.intervals("normal").set_index("parameter")
    assert normal.loc["beta(f[T.s])", ["lower", "upper"]].isna().all()
    assert normal.loc["beta(x)", ["lower", "upper"]].notna().all()
    levels = boot.group_coefficients()
    assert levels["sd"].isna().all()
    assert (levels["lower"] == -np.inf).all()
    assert boot.group_effects()["sd"].notna().all()
    # Probabilities have finite means, wherever a search has stopped.
    assert boot.predict(nearly).notna().all(axis=None)
    for text in (str(boot.summary(groups=False)), " ".join(boot.methods().sentences)):
        assert "refits ran away" in " ".join(text.split())
    with pytest.raises(NotSupportedError, match="no finite value"):
        boot.hypothesis("f[T.s] > 0")
    assert boot.hypothesis("x > 0").table["estimate"].notna().all()


def test_refits_that_do_not_separate_say_nothing(nearly: pd.DataFrame) -> None:
    counts = nearly.assign(y=nearly["y"] + 3 * (nearly["g"] + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SeparationWarning)
        boot = _fitted(counts, "poisson").bootstrap(20, seed=1, progress=False)
    assert boot.separation == ""
    assert boot.fixed_effects().notna().all(axis=None)
    assert not any("eparat" in text for text in boot.methods().sentences)


def test_samples_of_levels_that_separate_are_counted(nearly: pd.DataFrame) -> None:
    before = list(warnings.filters)
    with pytest.warns(SeparationWarning, match="of 20 refits|of 1. refits"):
        boot = _fitted(nearly).bootstrap(20, "cases", seed=2, cores=4, progress=False)
    assert warnings.filters == before  # no thread has left its own behind
    cases = boot.draws()["beta(f[T.s])"]
    # The one success of the level is in no row of such a sample.
    assert 3 <= np.isinf(cases).sum() <= 14  # (5/6)^6 = 0.33 of 20
    assert f"f[T.s] in {np.isinf(cases).sum()} of {boot.n_refits}" in boot.separation


def test_a_zero_inflation_that_runs_away_is_counted(nearly: pd.DataFrame) -> None:
    counts = np.random.default_rng(3).poisson(6.0, 60) + 1
    level = (nearly["f"] == "r").to_numpy()
    counts[np.flatnonzero(level)[:1]] = 0  # one row of twelve; none in (11/12)^12 = 0.35 of refits
    counts[np.flatnonzero(~level)[:20]] = 0
    fit = _fitted(nearly.assign(y=counts), "zero_inflated_poisson", ["y ~ x + (1 | g)", "zi ~ f"])
    with pytest.warns(SeparationWarning, match=r"zi: f\[T.s\] in"):
        boot = fit.bootstrap(20, seed=1, progress=False)
    gone = np.isinf(boot.draws()["zi_beta(f[T.s])"]).to_numpy()
    assert 1 <= gone.sum() <= 14
    assert f"zi: f[T.s] in {gone.sum()}" in boot.separation
    assert boot.fixed_effects()["sd"].notna().all()
    assert boot.fixed_effects(parameter="zi")["sd"].isna().all()


@pytest.mark.parametrize("kind", ["percentile", "basic", "bc"])
def test_limits_beyond_a_tail_are_infinite(kind: str) -> None:
    finite = np.random.default_rng(1).normal(size=(200, 1))
    some = finite.copy()
    some[finite[:, 0] > np.sort(finite[:, 0])[-4]] = np.inf  # 3 of 200, in a tail of 5
    few, whole = (
        np.ravel(limits_of(kind, v, np.zeros(1), np.zeros((0, 1)), 0.95)) for v in (some, finite)
    )
    np.testing.assert_allclose(few, whole)
    some[finite[:, 0] > np.sort(finite[:, 0])[-21]] = np.inf
    many = np.ravel(limits_of(kind, some, np.zeros(1), np.zeros((0, 1)), 0.95))
    assert np.isinf(many).tolist() == ([True, False] if kind == "basic" else [False, True])
