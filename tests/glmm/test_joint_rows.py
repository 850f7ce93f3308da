"""Kernels of several predictors: the families' densities, derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.families import FAMILIES
from bayesmix.families.functions import NUMPY
from bayesmix.glmm.rows import JOINT_KERNELS, LINKS, ROW_KERNELS, constant, packed_links
from bayesmix.glmm.rows.each import JOINT_ROWS

N = 60
Found = tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
NAMES = [name for name in JOINT_ROWS if not FAMILIES[name].has_corner]
CASES = [(name, link) for name in NAMES for link in FAMILIES[name].links if link in LINKS]


def trials(name: str) -> np.ndarray:
    return np.full(N, 12.0 if "trials" in FAMILIES[name].accepts else 1.0)


def response(name: str, rng: np.random.Generator) -> np.ndarray:
    if FAMILIES[name].discrete:
        return np.asarray(rng.poisson(2.0, N) * (rng.random(N) < 0.7), dtype=float)
    some = rng.random(N) < 0.7
    if FAMILIES[name].mean_is_fraction:
        inside = rng.uniform(0.05, 0.95, N)
        return inside if name == "beta" else np.where(some, inside, np.round(inside))
    if name in {"gaussian", "student_t", "skew_normal"}:
        return rng.normal(0, 2, N)
    y = rng.gamma(2, 1, N)
    return y * some if name in {"tweedie", "hurdle_gamma"} else y


def values(name: str, link: str, rng: np.random.Generator) -> np.ndarray:
    """Link-scale values of mu and of each parameter, shape (K, n)."""
    found = rng.normal(0, 0.7, (1 + len(FAMILIES[name].parameters), N))
    if link in {"identity", "inverse", "sqrt"}:
        found[0] = np.abs(found[0]) + 0.3
    return found


def run(name: str, link: int, y: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> Found:
    m = len(eta)
    first, second = np.zeros((m, N)), np.zeros((m * (m + 1) // 2, N))
    value, by_phi = np.zeros(N), np.zeros(4)
    total = JOINT_KERNELS[name](
        link, N, y, trials(name), np.ascontiguousarray(eta), phi, 2, value, first, second, by_phi
    )
    return total, value, first, second, by_phi[: len(phi)]


@pytest.mark.parametrize(("name", "link"), CASES)
def test_the_density_and_its_derivatives(name: str, link: str, rng: np.random.Generator) -> None:
    family = FAMILIES[name](link=link)
    y, eta = response(name, rng), values(name, link, rng)
    links = {p: family.parameter_link(p) for p in family.parameters}
    packed = packed_links(link, {p: own.name for p, own in links.items()})
    at = {p: own.inverse(NUMPY, e) for (p, own), e in zip(links.items(), eta[1:], strict=True)}
    phi = np.ones(len(links))
    total, value, first, second, _ = run(name, packed, y, eta, phi)
    rows = {"trials": trials(name)}
    left_out = constant(name, y, rows) if name in ROW_KERNELS else 0.0
    expected = family.log_prob(y, eta[0], at, rows)
    np.testing.assert_allclose(value + left_out, expected, rtol=1e-9, atol=1e-9)
    assert total == pytest.approx(value.sum())
    for k in range(len(eta)):
        step = 1e-5 * np.eye(len(eta))[k][:, None]
        up, down = (run(name, packed, y, eta + s * step, phi) for s in (1, -1))
        np.testing.assert_allclose((up[1] - down[1]) / 2e-5, first[k], rtol=2e-6, atol=2e-6)
        for j in range(len(eta)):
            low, high = min(j, k), max(j, k)
            slope = (up[2][j] - down[2][j]) / 2e-5
            found = second[high * (high + 1) // 2 + low]
            np.testing.assert_allclose(slope, found, rtol=2e-6, atol=5e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_is_a_predictor_without_columns(name: str, rng: np.random.Generator) -> None:
    family = FAMILIES[name]()
    y, eta = response(name, rng), values(name, family.link, rng)
    links = {p: family.parameter_link(p) for p in family.parameters}
    eta[1:] = eta[1:, :1]
    phi = np.array(
        [own.inverse(NUMPY, e[0]) for own, e in zip(links.values(), eta[1:], strict=True)]
    )
    whole = packed_links(family.link, {p: own.name for p, own in links.items()})
    alone = packed_links(family.link, dict.fromkeys(links))
    expected, found = run(name, whole, y, eta, phi), run(name, alone, y, eta[:1], phi)
    assert alone == LINKS[family.link]
    np.testing.assert_allclose(found[1], expected[1])
    np.testing.assert_allclose(found[2][0], expected[2][0])
    np.testing.assert_allclose(found[3][0], expected[3][0])
    for k in range(len(phi)):
        sides = []
        for sign in (1, -1):
            moved = phi.copy()
            moved[k] += sign * 1e-6
            sides.append(run(name, alone, y, eta[:1], moved)[0])
        slope = (sides[0] - sides[1]) / 2e-6
        assert found[4][k] == pytest.approx(slope, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("size", [15.0, 40.0, 300.0])
@pytest.mark.parametrize("name", ["zero_inflated_poisson", "zero_inflated_negative_binomial"])
def test_extreme_values_stay_finite(name: str, size: float, rng: np.random.Generator) -> None:
    y = response(name, rng)
    family = FAMILIES[name]()
    links = {p: family.parameter_link(p).name for p in family.parameters}
    eta = values(name, "log", rng)
    for sign in (1.0, -1.0):
        eta[-1] = sign * size
        total, value, first, second, _ = run(
            name, packed_links("log", links), y, eta, np.ones(len(links))
        )
        assert np.isfinite(total)
        assert np.isfinite(first).all()
        assert np.isfinite(second).all()
        left_out = constant(name.removeprefix("zero_inflated_"), y, {}) * (y > 0)
        at = {"zi": 1 / (1 + np.exp(-eta[-1])), "alpha": np.exp(eta[1])}
        expected = family.log_prob(y, eta[0], at)
        if sign < 0 and size < 40:
            np.testing.assert_allclose(value + left_out, expected, rtol=1e-8)
