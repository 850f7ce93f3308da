"""Log densities of the rows against scipy, their derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from bayesmix.families import FAMILIES
from bayesmix.glmm.rows import LINKS, ROW_KERNELS, constant

MEANS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda e: e,
    "log": np.exp,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda e: -np.expm1(-np.exp(e)),
    "cauchit": stats.cauchy.cdf,
    "sqrt": np.square,
    "inverse": lambda e: 1 / e,
}
BINOMIAL = ("logit", "probit", "cloglog", "cauchit")
CASES = [
    *(("bernoulli", link) for link in BINOMIAL),
    *(("binomial", link) for link in BINOMIAL),
    *(("poisson", link) for link in ("log", "identity", "sqrt")),
    *(("negative_binomial", link) for link in ("log", "identity", "sqrt")),
    *(("gamma", link) for link in ("log", "inverse", "identity")),
    *(("beta", link) for link in ("logit", "probit", "cloglog")),
    *(("student_t", link) for link in ("identity", "log")),
]
PHI = {"negative_binomial": [1.7], "gamma": [2.3], "beta": [5.0], "student_t": [4.2, 1.3]}


def make_rows(
    family: str, link: str, rng: np.random.Generator, n: int = 700
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eta = (
        rng.uniform(0.3, 3, n) if link in {"identity", "inverse", "sqrt"} else rng.normal(0, 1.2, n)
    )
    if family == "beta":
        eta = np.clip(eta, -3, 1)
    mu, trials = MEANS[link](eta), np.ones(n)
    if family == "binomial":
        trials = rng.integers(0, 9, n).astype(float)
    y = {
        "bernoulli": lambda: rng.binomial(1, mu),
        "binomial": lambda: rng.binomial(trials.astype(int), mu),
        "poisson": lambda: rng.poisson(mu),
        "negative_binomial": lambda: rng.poisson(10 * mu * rng.gamma(1, 1, n)),
        "gamma": lambda: rng.gamma(2.3, mu / 2.3),
        "beta": lambda: np.clip(rng.beta(5 * mu, 5 * (1 - mu)), 1e-6, 1 - 1e-6),
        "student_t": lambda: mu + rng.standard_t(3, n),
    }[family]()
    return np.asarray(y, dtype=float), trials, eta


def by_scipy(
    family: str, y: np.ndarray, trials: np.ndarray, mu: np.ndarray, phi: list[float]
) -> np.ndarray:
    if family in {"bernoulli", "binomial"}:
        return stats.binom.logpmf(y, trials, mu)
    if family == "poisson":
        return stats.poisson.logpmf(y, mu)
    if family == "negative_binomial":
        return stats.nbinom.logpmf(y, phi[0], phi[0] / (phi[0] + mu))
    if family == "gamma":
        return stats.gamma.logpdf(y, phi[0], scale=mu / phi[0])
    if family == "beta":
        return stats.beta.logpdf(y, mu * phi[0], (1 - mu) * phi[0])
    return stats.t.logpdf(y, phi[0], loc=mu, scale=phi[1])


def left_out(family: str, y: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    return constant(FAMILIES[family].row_kernel, y, rows)


def run(
    family: str, link: str, y: np.ndarray, trials: np.ndarray, eta: np.ndarray, phi: list[float],
    order: int,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    n = len(y)
    value, first, second, by_phi = np.empty(n), np.empty(n), np.empty(n), np.zeros(4)
    parameters = np.asarray([*phi, 1.0])
    total = ROW_KERNELS[FAMILIES[family].row_kernel].kernel(
        LINKS[link], n, y, trials, eta, parameters, order, value, first, second, by_phi
    )
    return total, value, first, second, by_phi


@pytest.mark.parametrize(("family", "link"), CASES)
def test_rows_are_scipys_and_derivatives_are_differences(
    family: str, link: str, rng: np.random.Generator
) -> None:
    y, trials, eta = make_rows(family, link, rng)
    phi = PHI.get(family, [])
    total, value, first, second, _ = run(family, link, y, trials, eta, phi, 2)
    expected = by_scipy(family, y, trials, MEANS[link](eta), phi)
    np.testing.assert_allclose(
        value + left_out(family, y, {"trials": trials}), expected, rtol=1e-9, atol=1e-9
    )
    assert total == pytest.approx(value.sum(), rel=1e-12)
    h = 1e-5
    up, down = (run(family, link, y, trials, eta + s * h, phi, 2) for s in (1, -1))
    np.testing.assert_allclose(first, (up[1] - down[1]) / (2 * h), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, (up[2] - down[2]) / (2 * h), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "link"), CASES)
def test_the_short_evaluation_is_the_full_one(
    family: str, link: str, rng: np.random.Generator
) -> None:
    y, trials, eta = make_rows(family, link, rng)
    phi = PHI.get(family, [])
    total, _, first, _, by_phi = run(family, link, y, trials, eta, phi, 1)
    full, _, full_first, _, _ = run(family, link, y, trials, eta, phi, 2)
    assert total == pytest.approx(full, rel=1e-12)
    np.testing.assert_allclose(first, full_first, rtol=1e-12, atol=1e-13)
    for k in range(len(phi)):
        h = 1e-5 * phi[k]
        sides = []
        for s in (1, -1):
            moved = list(phi)
            moved[k] += s * h
            sides.append(run(family, link, y, trials, eta, moved, 1)[0])
        assert by_phi[k] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("link", BINOMIAL)
def test_probabilities_next_to_zero_and_one(link: str) -> None:
    """The tails keep their digits: no log of zero, no derivative of zero where there is one."""
    ends = {"logit": 600.0, "probit": 30.0, "cloglog": 600.0, "cauchit": 1e12}
    eta = np.asarray([-ends[link], ends[link] if link != "cloglog" else 6.0])
    for y in (np.zeros(2), np.ones(2)):
        total, value, first, second, _ = run("bernoulli", link, y, np.ones(2), eta, [], 2)
        assert np.isfinite(total)
        assert np.isfinite(value).all()
        assert np.isfinite(first).all()
        assert np.isfinite(second).all()
        assert (value <= 0).all()
    left = run("bernoulli", link, np.ones(2), np.ones(2), eta, [], 2)
    assert left[1][0] < -20


def test_a_success_far_beyond_one_is_certain_under_cloglog() -> None:
    """Where exp(eta) has no square the derivatives are zero, not NaN."""
    eta = np.asarray([5.0, 6.5, 300.0, 400.0, 600.0, 1e5])
    _, value, first, second, _ = run("bernoulli", "cloglog", np.ones(6), np.ones(6), eta, [], 2)
    m = np.exp(eta[:2])
    np.testing.assert_allclose(first[:2], m * np.exp(-m), rtol=1e-12)
    np.testing.assert_allclose(second[:2], m * (1 - m) * np.exp(-m), rtol=1e-12)
    for found in (value, first, second):
        np.testing.assert_array_equal(found[2:], 0.0)


def test_huge_counts(rng: np.random.Generator) -> None:
    y, eta = np.asarray([1e6, 999_000.0]), np.log([1e6, 1e6])
    for family, phi in (("poisson", []), ("negative_binomial", [1e8])):
        _, value, first, _, _ = run(family, "log", y, np.ones(2), eta, phi, 2)
        expected = by_scipy(family, y, np.ones(2), np.exp(eta), phi)
        np.testing.assert_allclose(
            value + left_out(family, y, {}), expected, rtol=2e-5 if phi else 1e-7
        )
        assert np.isfinite(first).all()


def test_means_outside_their_range_have_no_density() -> None:
    one = np.ones(1)
    for family, link in (("poisson", "identity"), ("gamma", "identity"), ("gamma", "inverse")):
        assert run(family, link, one, one, -one, PHI.get(family, []), 2)[0] == -np.inf
