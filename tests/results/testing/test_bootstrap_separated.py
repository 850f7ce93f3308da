"""Refits whose outcomes separate: coefficients that ran away are counted, not averaged."""

from __future__ import annotations

import warnings
from typing import Any

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
        names = by_hand.model.design.mu.fixed_effects
        limits = np.zeros(3) if refit.ran_away is None else refit.ran_away.limits(np.eye(3))
        gone = {name for name, limit in zip(names, limits, strict=True) if limit}
        assert gone == {
            name for name in names if name in by_hand.separation.split(" separate")[0].split(", ")
        }
        separated += bool(gone)
        if gone:
            np.testing.assert_array_equal(np.sign(refit.beta[[0, 2]]), np.sign(limits[[0, 2]]))
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


@pytest.fixture(scope="module")
def boot(nearly: pd.DataFrame) -> Any:
    with pytest.warns(SeparationWarning):
        return _fitted(nearly).bootstrap(40, seed=1, progress=False)


def test_what_moves_with_them_is_infinite_on_the_link_scale(boot: Any) -> None:
    draws = boot.draws()
    b, x, s = (draws[f"beta({name})"].to_numpy() for name in ("Intercept", "x", "f[T.s]"))
    rows = pd.DataFrame({"x": [0.0, 1.0, 0.0, 1.0], "f": ["r", "r", "s", "s"]})
    where_ended = boot._law.beta[0, :, 0] + boot._law.beta[0, :, 2]  # their sum is finite
    wanted = [b, b + x, where_ended, where_ended + x]
    assert np.isinf(b).sum() >= 2
    found = boot.predict(rows, kind="linear", groups="population")
    for k, values in enumerate(wanted):
        far = np.where(np.isinf(values), -1e6, values)
        ends = np.quantile(far, [0.025, 0.975])
        ends = np.where(np.abs(ends) > 1e4, -np.inf, ends)
        np.testing.assert_allclose(found.loc[k, ["lower", "upper"]].astype(float), ends)
        has_mean = bool(np.isfinite(values).all())
        assert found.loc[k, ["estimate", "sd"]].notna().all() == has_mean
        if has_mean:
            assert found.loc[k, "estimate"] == pytest.approx(values.mean())
    # Probabilities have a limit, and so a mean.
    probability = boot.predict(rows, groups="population")
    expected = np.stack([1 / (1 + np.exp(-v)) for v in wanted])
    np.testing.assert_allclose(probability["estimate"], expected.mean(axis=1))
    assert probability["lower"][0] == 0.0
    assert (s[np.isinf(s)] > 0).all()


def test_averages_and_contrasts_know_what_of_them_is_finite(boot: Any) -> None:
    draws = boot.draws()
    x, s = draws["beta(x)"], draws["beta(f[T.s])"]
    slope = boot.comparisons("x", kind="linear").iloc[0]  # finite in level r too
    assert slope["estimate"] == pytest.approx(x.mean())
    assert slope["sd"] == pytest.approx(x.std())
    assert boot.slopes("x", kind="linear")["sd"][0] == pytest.approx(x.std())
    level = boot.comparisons("f", kind="linear").iloc[0]
    assert level[["estimate", "sd"]].isna().all()
    assert level["upper"] == np.inf
    lower = np.quantile(np.fmin(s, 1e6), 0.025)
    assert level["lower"] == pytest.approx(lower)
    means = boot.marginal_means("f")
    assert means.table["sd"].isna().tolist() == [True, False]
    assert means.table["lower"].tolist()[0] == -np.inf
    pair = means.contrasts("pairwise").table.iloc[0]
    assert (pair["lower"], pair["upper"]) == (-np.inf, pytest.approx(-lower))
    assert pair[["estimate", "sd"]].isna().all()
    assert means.joint_test()["contour"].isna().all()
    assert boot.trends("x", by="f").table["sd"].tolist() == pytest.approx([x.std()] * 2)
    by = boot.predictions(by="f", kind="linear")
    assert by["sd"].isna().tolist() == [True, False]
    assert boot.predictions(by="f").notna().all(axis=None)
    assert np.isfinite(boot.residuals()).all()
    for kind in ("basic", "bc", "normal"):
        known = boot.with_intervals(kind).predict(
            pd.DataFrame({"x": [0.0, 0.0], "f": ["r", "s"]}), kind="linear", groups="population"
        )
        assert np.isfinite(known.loc[1]).all()
        assert not np.isfinite(known.loc[0, ["lower", "upper"]].astype(float)).all()


def _graded(seed: int, lowest: str) -> pd.DataFrame:
    """Three categories; one row of a level is not in the lowest."""
    rng = np.random.default_rng(seed)
    f, g = np.tile(list("abcd"), 30), rng.integers(0, 6, 120)
    eta = (f == "b") * 0.8 + rng.normal(0, 0.5, 6)[g]
    y = np.digitize(eta + rng.logistic(size=120), [-0.5, 0.8])
    y[f == lowest] = 0
    y[np.flatnonzero(f == lowest)[0]] = 1
    names = ["lo", "mid", "hi"]
    return pd.DataFrame({"y": pd.Categorical.from_codes(y, names, ordered=True), "f": f, "g": g})


@pytest.mark.parametrize("family", ["cumulative", "sratio", "cratio", "acat"])
@pytest.mark.parametrize("lowest", ["c", "a"])
def test_refits_of_ordered_categories_know_what_fits_by_hand_know(family: str, lowest: str) -> None:
    data = _graded(2, lowest)
    fit = _fitted(data, family, "y ~ f + (1 | g)")
    resampling = Resampling(fit._law)
    Y = resampling.responses("parametric", 12, (3,))
    worker, separated = resampling.to(Y).worker(range(12)), 0
    for k in range(12):
        gone, categories = worker.fit(k, None).ran_away, data["y"].cat.categories
        y = pd.Categorical.from_codes(Y[:, k].astype(int) - 1, categories, ordered=True)
        by_hand = _fitted(data.assign(y=y), family, "y ~ f + (1 | g)")
        limits = np.zeros(3) if gone is None else gone.limits(np.eye(3))
        names = by_hand.model.design.mu.fixed_effects
        expected = {n for n in names if n in by_hand.separation.split(" separate")[0]}
        assert {n for n, limit in zip(names, limits, strict=True) if limit} == expected
        only_lowest = (y[data["f"] == lowest] == "lo").all()
        assert bool(expected) == only_lowest
        if gone is None:
            continue
        separated += 1
        assert gone.thresholds is not None
        of_thresholds = gone.limits_of_thresholds()
        if lowest == "c":  # one coefficient falls, and no threshold moves
            assert limits.tolist() == [0, -np.inf, 0]
            assert not of_thresholds.any()
        else:  # everything rises above the reference
            assert (limits == np.inf).all()
            assert (of_thresholds == np.inf).all()
    assert separated


def test_thresholds_that_ran_away_are_counted_and_infinite() -> None:
    with pytest.warns(SeparationWarning, match=r"thresholds\[lo\|mid\] in"):
        boot = _fitted(_graded(2, "a"), "cumulative", "y ~ f + (1 | g)").bootstrap(
            40, seed=1, progress=False
        )
    gone = np.isinf(boot.draws()["thresholds[lo|mid]"]).sum()
    assert 4 <= gone <= 25
    assert f"thresholds[lo|mid] in {gone}" in boot.separation
    table = boot.family_parameters()
    assert table["sd"].isna().all()
    assert (table["upper"] == np.inf).all()
    means = boot.predict(pd.DataFrame({"f": ["a"]}), kind="probability", groups="population")
    assert means.notna().all(axis=None)
    pairs = boot.marginal_means("f").contrasts("pairwise").table.set_index("contrast")
    assert np.isfinite(pairs.loc["b - c", ["estimate", "sd"]].astype(float)).all()
    assert np.isnan(pairs.loc["a - b", "sd"])


def test_shares_of_variance_tend_to_one_where_fixed_effects_ran_away(boot: Any) -> None:
    """Where they ran away X beta has all of the variance; where search ended does not matter."""
    gone = np.isinf(boot.draws()["beta(f[T.s])"]).to_numpy()
    law, X = boot._law, boot.model.design.mu.X
    fixed = np.where(gone, np.inf, np.var(X @ law.beta[0].T, axis=0, ddof=1))
    between = law.sd["g"][0, :, 0] ** 2
    total = fixed + between + np.pi**2 / 3
    with np.errstate(invalid="ignore"):
        marginal = np.where(gone, 1.0, fixed / total)
    found = boot.r2(method="nakagawa").set_index("kind")
    assert found.loc["marginal", "estimate"] == pytest.approx(np.median(marginal))
    assert found.loc["marginal", "upper"] == 1.0
    assert found.loc["marginal", "sd"] == pytest.approx(marginal.std(ddof=1))
    parts = boot.variance_partition().set_index("component")
    share = np.where(gone, 0.0, np.pi**2 / 3 / total)
    assert parts.loc["Residual", "estimate"] == pytest.approx(np.median(share))
    assert parts.loc["Residual", "lower"] == 0.0
    assert boot.icc().notna().all(axis=None)  # no part of it


def test_an_intercept_that_ran_away_moves_no_row_apart() -> None:
    data = pd.DataFrame({"y": [0] * 39 + [1], "x": np.tile([0.0, 1.0], 20), "g": np.arange(40) % 4})
    with pytest.warns(SeparationWarning, match="Intercept in"):
        boot = _fitted(data, formula="y ~ 1 + (1 | g)").bootstrap(30, seed=1, progress=False)
    assert np.isinf(boot.draws()["beta(Intercept)"]).any()
    found = boot.r2(method="nakagawa").set_index("kind")
    assert found.loc["marginal", "upper"] == 0.0
