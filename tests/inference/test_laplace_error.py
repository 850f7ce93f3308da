"""Whether Laplace's approximation is good enough, and what is said where it is not."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.errors import ApproximationWarning
from bayesmix.inference.laplace_error import laplace_shifts
from bayesmix.results.laplace_fit import LaplaceFit


def _binary(seed: int, sizes: np.ndarray, sd: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=len(g))
    eta = 0.3 + 0.8 * x + rng.normal(0, sd, len(sizes))[g]
    d = pd.DataFrame({"g": [f"g{k}" for k in g], "x": x, "y": rng.binomial(1, special.expit(eta))})
    return d.assign(k=rng.poisson(np.exp(np.clip(eta - 1, -4, 3))))


def _tiny(seed: int) -> pd.DataFrame:
    return _binary(seed, np.random.default_rng(seed).integers(1, 3, 300), 2.0)


def _loglik(data: pd.DataFrame, beta: np.ndarray, sd: float) -> float:
    """By plain Gauss-Hermite quadrature with many points, around zero."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    eta = beta[0] + beta[1] * data["x"].to_numpy()
    sign = np.where(data["y"] == 1, 1, -1)[:, None]
    rows = -np.logaddexp(0, -sign * (eta[:, None] + sd * nodes))
    level = pd.factorize(data["g"])[0]
    total = np.zeros((level.max() + 1, len(nodes)))
    np.add.at(total, level, rows)
    return float(special.logsumexp(total, b=weights / np.sqrt(2 * np.pi), axis=1).sum())


@pytest.fixture(scope="module")
def rough() -> LaplaceFit:
    """Groups of one or two binary rows, whose effects have the sd 2."""
    with pytest.warns(ApproximationWarning, match="take n_quadrature=15"):
        fit = bmx.Model("y ~ x + (1 | g)", _tiny(2), family="bernoulli").fit_eb()
    assert isinstance(fit, LaplaceFit)
    return fit


def test_the_shift_is_where_quadrature_goes(rough: LaplaceFit) -> None:
    (shift,) = rough._law._shifts
    exact = rough.model.fit_eb(n_quadrature=15)
    sd, right = (f.variance_components()["sd"][0] for f in (rough, exact))
    assert right > 1.5 * sd
    assert shift.sd == pytest.approx(right, rel=0.05)
    assert shift.errors > 1
    assert exact.approximation == ""  # type: ignore[attr-defined]


def test_that_is_the_maximum_of_the_integral(rough: LaplaceFit) -> None:
    d = _tiny(2)
    exact = rough.model.fit_eb(n_quadrature=15)
    beta = exact.fixed_effects()["estimate"].to_numpy()
    sd = exact.variance_components()["sd"][0]
    best = _loglik(d, beta, sd)
    assert exact.loglik == pytest.approx(best, abs=0.01)
    laplace = rough.fixed_effects()["estimate"].to_numpy()
    assert best > _loglik(d, laplace, rough.variance_components()["sd"][0]) + 0.5


def test_the_summary_says_so(rough: LaplaceFit) -> None:
    text = " ".join(str(rough).split())
    assert "Laplace's approximation is rough here: the sd of Intercept by g is" in text
    assert "take n_quadrature=15" in text


def test_large_groups_and_exact_cases_are_silent() -> None:
    d = _binary(1, np.full(30, 30), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for response, family in (("y", "bernoulli"), ("k", "poisson")):
            fit = bmx.Model(f"{response} ~ x + (1 | g)", d, family=family).fit_eb()
            assert fit.approximation == ""  # type: ignore[attr-defined]
            assert "rough" not in str(fit)


def test_between_a_quarter_and_half_of_a_standard_error_the_summary_alone_says_so() -> None:
    d = _binary(1, np.full(100, 5), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = bmx.Model("y ~ x + (1 | g)", d, family="bernoulli").fit_eb()
    right = fit.model.fit_eb(n_quadrature=15).variance_components()["sd"][0]
    said = re.search(r"about ([\d.]+)\s+without it \(0\.3\s+standard errors", str(fit))
    assert said is not None
    assert float(said[1]) == pytest.approx(right, rel=0.01)


@pytest.mark.parametrize("term", ["(1 | g) + (1 | h)", "(x | g)"])
def test_with_several_effects_each_is_checked(term: str) -> None:
    d = _tiny(2)
    d["h"] = np.random.default_rng(5).integers(0, 8, len(d)).astype(str)
    if term == "(x | g)":  # slopes that vary need rows: here four each
        d = _binary(3, np.full(150, 3), 2.0)
    with pytest.warns(ApproximationWarning, match="the sd of Intercept by g is .* take fit"):
        bmx.Model(f"y ~ x + {term}", d, family="bernoulli").fit_eb()


def test_counts_with_an_effect_for_each_row(rng: np.random.Generator) -> None:
    """Laplace's sd is too large there, and the way down is found as well."""
    x = rng.normal(size=400)
    d = pd.DataFrame({"x": x, "row": np.arange(400).astype(str)})
    d["k"] = rng.poisson(np.exp(0.5 * x - 1 + rng.normal(0, 1.2, 400)))
    model = bmx.Model("k ~ x + (1 | row)", d, family="poisson")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ApproximationWarning)
        fit: Any = model.fit_eb()
    right = model.fit_eb(n_quadrature=25).variance_components()["sd"][0]
    found = laplace_shifts(fit._law.gp, fit._law.co, None, 0, fit._law.laplace, fit._law.determined)
    guess = found[0].sd if found else fit.variance_components()["sd"][0]
    assert guess == pytest.approx(right, rel=0.03)


def test_a_posterior_mode_is_checked_with_its_priors() -> None:
    model = bmx.Model("y ~ x + (1 | g)", _tiny(2), family="bernoulli")
    with pytest.warns(ApproximationWarning):
        fit = model.fit_eb("map")
    exact = model.fit_eb("map", n_quadrature=15)
    found = fit._law._shifts[0].sd  # type: ignore[attr-defined]
    assert found == pytest.approx(exact.variance_components()["sd"][0], rel=0.05)
