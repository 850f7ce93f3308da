"""REML by conjugate gradients is that of the exact algebra, to its Monte Carlo error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.gaussian import structure


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 5000
    g, h, k = (rng.integers(0, size, n) for size in (160, 70, 9))
    x, w = rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    a = rng.normal(size=(160, 2)) @ np.array([[0.8, 0.2], [0.0, 0.4]])
    y = (
        40 + 0.5 * x + a[g, 0] + a[g, 1] * x + 0.5 * rng.normal(size=70)[h]
        + 0.3 * rng.normal(size=9)[k] + rng.normal(size=n) / np.sqrt(w)
    )  # fmt: skip
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "k": k, "w": w, "o": x / 2})


FORMULAS: dict[str, tuple[str, dict[str, Any]]] = {
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {}),
    "slopes": ("y ~ x + (x | g) + (1 | h)", {"weights": "w"}),
    "slopes of the smaller": ("y ~ x + (1 | g) + (1 + x | h) + (1 | k)", {}),
    "uncorrelated, offset": ("y ~ x + offset(o) + (x || g) + (1 | h)", {}),
    "one factor": ("y ~ x + (x | g)", {}),
}


@pytest.fixture(scope="module")
def fits(data: pd.DataFrame) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name, (formula, given) in FORMULAS.items():
        model = bmx.Model(formula, data, **given)
        found[name] = model.fit_eb(), model.fit_eb(algebra="iterative")
    return found


@pytest.mark.parametrize("name", FORMULAS)
def test_estimates_are_those_of_the_exact_algebra(fits: Any, name: str) -> None:
    exact, found = fits[name]
    assert found.converged
    one, other = exact.variance_components(ci_method="wald"), found.variance_components()
    assert one[["group", "effect"]].equals(other[["group", "effect"]])
    # Far within the standard errors of the estimates themselves.
    width = np.log(one["sd_upper"] / one["sd_lower"]) / 3.92
    apart = np.abs(np.log(other["sd"] / one["sd"])) / width
    assert apart.max() < 0.05
    np.testing.assert_allclose(
        np.log(other["sd_upper"] / other["sd_lower"]) / 3.92, width, rtol=0.1
    )
    one, other = exact.fixed_effects(), found.fixed_effects()
    assert (np.abs(one["estimate"] - other["estimate"]) / one["sd"]).max() < 0.01
    np.testing.assert_allclose(other["sd"], one["sd"], rtol=0.01)


@pytest.mark.parametrize("name", FORMULAS)
def test_effects_and_their_errors_are_those_of_the_exact_algebra(fits: Any, name: str) -> None:
    exact, found = fits[name]
    for group in ("g", "h"):
        if group not in {g.name for g in exact.model.design.mu.groups}:
            continue
        one, other = exact.group_effects(group), found.group_effects(group)
        assert (np.abs(one["estimate"] - other["estimate"]) / one["sd"]).max() < 0.05
        np.testing.assert_allclose(other["sd"], one["sd"], rtol=0.08)
        one, other = exact.group_coefficients(group), found.group_coefficients(group)
        np.testing.assert_allclose(other["sd"], one["sd"], rtol=0.08)


def test_the_criterion_is_within_its_error(fits: Any) -> None:
    for name, (exact, found) in fits.items():
        error = found._law._found.criterion_error
        if name == "one factor":
            assert error == 0
            assert found.reml_criterion == pytest.approx(exact.reml_criterion, abs=1e-5)
        else:
            assert 0 < error < 2
            assert abs(found.reml_criterion - exact.reml_criterion) < 4 * error


def test_correlations_have_intervals(fits: Any) -> None:
    exact, found = fits["slopes"]
    names = ["estimate", "lower", "upper"]
    one, other = exact.correlations(ci_method="wald")[names], found.correlations()[names]
    np.testing.assert_allclose(other.astype(float), one.astype(float), atol=0.01)


def test_rows_are_predicted_with_their_errors(fits: Any, data: pd.DataFrame) -> None:
    exact, found = fits["slopes of the smaller"]
    new = data.iloc[::250].assign(g=data["g"].iloc[::250].replace(3, 999))
    one, other = exact.predict(new), found.predict(new)
    assert (np.abs(one["estimate"] - other["estimate"]) / one["sd"]).max() < 0.05
    assert np.abs(np.log(other["sd"] / one["sd"])).mean() < 0.05
    np.testing.assert_allclose(other["sd"], one["sd"], rtol=0.25)  # of 400 drawn errors
    drawn = found.predict_draws(new, draws=600, seed=2)
    np.testing.assert_allclose(drawn.std(("chain", "draw")), one["sd"], rtol=0.2)
    np.testing.assert_allclose(found.residuals(), exact.residuals(), atol=0.05)


def test_a_fit_is_the_same_again_and_from_a_file(
    fits: Any, data: pd.DataFrame, tmp_path: Path
) -> None:
    found = fits["crossed"][1]
    again = found.model.fit_eb(algebra="iterative")
    pd.testing.assert_frame_equal(again.fixed_effects(), found.fixed_effects())
    loaded: Any = bmx.load(found.save(tmp_path / "a.nc"))
    assert loaded.loglik == found.loglik
    assert found.update(". ~ . - (1 | h)").summary() is not None


def test_the_summary_says_that_it_is_approximate(fits: Any) -> None:
    found = fits["crossed"][1]
    text = " ".join(str(found.summary()).split())
    assert "conjugate gradients (approximate)" in text
    assert "Monte Carlo standard error" in text
    assert "conjugate gradients" in str(found.methods())
    assert "conjugate" not in str(fits["crossed"][0].summary())


def test_a_variance_of_zero_is_zero(data: pd.DataFrame) -> None:
    rng = np.random.default_rng(7)
    flat = data.assign(z=rng.integers(0, 50, len(data)))
    y = flat["y"] - flat.groupby("z")["y"].transform("mean")  # no variance between levels
    model = bmx.Model("y ~ x + (1 | g) + (1 | z)", flat.assign(y=y))
    exact, found = model.fit_eb(), model.fit_eb(algebra="iterative")
    assert found.converged
    assert "z is zero" in found.singular
    one, other = exact.variance_components()["sd"], found.variance_components()["sd"]
    np.testing.assert_allclose(other, one, rtol=5e-3, atol=1e-3)
    assert (found.group_effects("z")["estimate"] == 0).all()


def test_beyond_the_dense_root_it_is_taken_by_itself(
    data: pd.DataFrame, fits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "MAX_ROOT", 60)
    monkeypatch.setattr("bayesmix.laws.iterative.MAX_ROOT", 60)
    model = bmx.Model("y ~ x + (1 | g) + (1 | h)", data)
    found = model.fit_eb()
    assert "approximate" in found._law.method_in_words
    pd.testing.assert_frame_equal(found.fixed_effects(), fits["crossed"][1].fixed_effects())
    with pytest.raises(NotSupportedError, match="at most 60 of them in memory"):
        model.fit_eb("ml")
    with pytest.raises(NotSupportedError, match="at most 60 of them in memory"):
        model.fit_eb(algebra="exact")


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", ["crossed", "slopes of the smaller"])
def test_searches_of_large_roots_start_near_their_end(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, name: str, method: Any
) -> None:
    formula, given = FORMULAS[name]
    usual = bmx.Model(formula, data, **given).fit_eb(method)
    monkeypatch.setattr("bayesmix.inference.iterative_start._LARGE", 1)
    found = bmx.Model(formula, data, **given).fit_eb(method)
    assert "approximate" not in found._law.method_in_words
    if name == "crossed":  # columns far from zero are searched among others
        assert "scoring" in found.optimizer.message
        assert found.optimizer.evaluations < usual.optimizer.evaluations / 2
    assert found.deviance == pytest.approx(usual.deviance, abs=1e-7)
    one, other = (fit.variance_components(ci_method="wald") for fit in (usual, found))
    pd.testing.assert_frame_equal(other, one, rtol=1e-4)


REFUSED = {
    "profile": (lambda eb: eb.variance_components(ci_method="profile"), "by conjugate gradients"),
    "bootstrap": (lambda eb: eb.bootstrap(2), "each refit would have"),
    "satterthwaite": (lambda eb: eb.fixed_effects(ddf="satterthwaite"), "tests=True"),
    "combinations": (lambda eb: eb.predictions(by="k"), "joint covariance of effects"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_exact_algebra_is_refused(fits: Any, name: str) -> None:
    ask, what = REFUSED[name]
    with pytest.raises(NotSupportedError, match=what):
        ask(fits["slopes of the smaller"][1])


@pytest.mark.parametrize(
    ("formula", "given", "what"),
    [
        ("y ~ x + (1 | g) + s(w)", {}, "no levels that are independent"),
        ("y ~ x + ar1(k | g)", {}, "covariance structure of `g`"),
        (["y ~ x + (1 | g)", "sigma ~ x"], {}, "one sigma"),
        ("y ~ x", {}, "without group effects"),
    ],
)
def test_models_that_it_does_not_take_are_refused(
    data: pd.DataFrame, formula: Any, given: dict[str, Any], what: str
) -> None:
    model = bmx.Model(formula, data, **given)
    with pytest.raises(NotSupportedError, match=what):
        model.fit_eb(algebra="iterative")


def test_words_that_are_no_algebra_are_refused(data: pd.DataFrame) -> None:
    model: Any = bmx.Model("y ~ x + (1 | g)", data)
    with pytest.raises(ArgumentError, match="algebra"):
        model.fit_eb(algebra="cg")
    with pytest.raises(NotSupportedError, match=r'method="ml": they know "reml"'):
        model.fit_eb("ml", algebra="iterative")
    poisson = bmx.Model("k ~ x + (1 | g)", data, family="poisson")
    with pytest.raises(NotSupportedError, match="normal response"):
        poisson.fit_eb(algebra="iterative")
