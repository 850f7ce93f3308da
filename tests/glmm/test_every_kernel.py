"""Every family's rows in compiled code: its density, derivatives by differences, far tails.

The densities are `Family.log_prob`'s, which `tests/families/test_densities.py` holds to
scipy.stats.
"""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from scipy import stats

from bayesmix.families import FAMILIES, Family
from bayesmix.glmm.rows import (
    JOINT_KERNELS,
    LINKS,
    OBSERVED_KERNELS,
    ROW_KERNELS,
    constant,
    given_rows,
)
from tests.families.cases import LEFT_SIDE, ORDINARY, family_data, linear_predictor, make

DATA = family_data(80)
WITH_KERNEL = [name for name, family in ORDINARY.items() if family.row_kernel]
# Those with tails, and two without: the others' exponents are the same lines of code.
OBSERVED = [
    name
    for name, family in FAMILIES.items()
    if "status" in family.accepts or name in {"binomial", "ordbeta", "cumulative"}
]
Found = tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def response(name: str) -> np.ndarray:
    column = {"proportion(k, m)": "k"}.get(LEFT_SIDE[name], LEFT_SIDE[name])
    if column == "grade":
        return np.asarray(DATA["grade"].cat.codes + 1.0)
    y = DATA[column].to_numpy(dtype=float)
    if name.startswith(("zero", "hurdle")):
        y = np.where(np.arange(len(y)) % 4 == 0, 0.0, y)
    return np.ascontiguousarray(y)


def trials(family: Family) -> np.ndarray:
    """Values of the response, or the number of categories."""
    if "trials" in family.accepts:
        return DATA["m"].to_numpy(dtype=float)
    return np.full(len(DATA), 4.0 if family.vector_parameters else 1.0)


def packed(family: Family, parameters: dict[str, Any]) -> np.ndarray:
    parts = [np.atleast_1d(np.asarray(parameters[name], float)) for name in family.parameters]
    return np.concatenate([*parts, [1.0]])


def run(
    kernel: Any, link: str, y: np.ndarray, given: np.ndarray, eta: np.ndarray, phi: np.ndarray,
    order: int = 2,
) -> Found:  # fmt: skip
    n = len(y)
    value, first, second, by_phi = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(8)
    total = kernel(
        LINKS[link], n, y, np.ascontiguousarray(given), np.ascontiguousarray(eta), phi, order,
        value, first, second, by_phi,
    )  # fmt: skip
    return total, value, first, second, by_phi


def check_derivatives(
    kernel: Any, link: str, y: np.ndarray, given: np.ndarray, eta: np.ndarray, phi: np.ndarray
) -> None:
    """First and second in eta, the first by the parameters, and the short evaluation."""
    total, value, first, second, by_phi = run(kernel, link, y, given, eta, phi)
    assert total == pytest.approx(value.sum(), rel=1e-11, abs=1e-11)
    h = 1e-5
    up, down = (run(kernel, link, y, given, eta + s * h, phi) for s in (1, -1))
    np.testing.assert_allclose(first, (up[1] - down[1]) / (2 * h), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(second, (up[2] - down[2]) / (2 * h), rtol=1e-5, atol=1e-5)
    for k in range(len(phi) - 1):
        step = h * phi[k] * np.eye(len(phi))[k]
        sides = [run(kernel, link, y, given, eta, phi + s * step)[0] for s in (1, -1)]
        difference = (sides[0] - sides[1]) / (2 * h * phi[k])
        assert by_phi[k] == pytest.approx(difference, rel=2e-6, abs=2e-5)
    short = run(kernel, link, y, given, eta, phi, 1)
    assert short[0] == pytest.approx(total, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(short[2], first, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(short[4], by_phi, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", WITH_KERNEL)
def test_rows_are_the_familys_and_derivatives_are_differences(
    name: str, rng: np.random.Generator
) -> None:
    for link in FAMILIES[name].links:
        family, parameters = make(name, link)
        y, eta = response(name), linear_predictor(family, len(DATA), rng)
        rows = {"trials": trials(family)}
        given = rows["trials"]
        kernel, phi = ROW_KERNELS[family.row_kernel].kernel, packed(family, parameters)
        order = 1 if family.has_corner else 2
        total = run(kernel, link, y, given, eta, phi, order)[0]
        expected = family.log_prob(y, eta, parameters, rows)
        left_out = constant(family.row_kernel, y, rows)
        assert total + left_out.sum() == pytest.approx(expected.sum(), rel=1e-10, abs=1e-9)
        if family.has_corner:  # which is rounded where a mode is sought
            continue
        value = run(kernel, link, y, given, eta, phi)[1]
        np.testing.assert_allclose(value + left_out, expected, rtol=1e-9, atol=1e-9)
        check_derivatives(kernel, link, y, given, eta, phi)


def test_every_kernel_has_one_for_observations() -> None:
    assert set(ROW_KERNELS) == set(OBSERVED_KERNELS)


def test_the_corner_of_a_laplace_density_is_rounded_for_modes_alone() -> None:
    kernel, phi = ROW_KERNELS["laplace"].kernel, np.array([0.7, 1.0])
    y, eta = np.array([0.0, 50.0]), np.array([0.0, 0.0])
    exact = run(kernel, "identity", y, np.ones(2), eta, phi, 1)
    assert exact[0] == pytest.approx(stats.laplace(0, 0.7).logpdf(y).sum(), rel=1e-12)
    np.testing.assert_allclose(exact[2], [0.0, 1 / 0.7])
    rounded = run(kernel, "identity", y, np.ones(2), eta, phi, 2)
    assert rounded[3][0] == pytest.approx(-1 / 0.7**2)  # the information of a row
    assert rounded[2][1] == pytest.approx(1 / 0.7, rel=1e-3)


def observed_rows(family: Family, y: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = len(y)
    rows = {
        "trials": trials(family),
        "exponent": rng.choice([0.0, 0.5, 1.0, 2.5], n),
    }
    if "status" in family.accepts:
        rows["status"] = rng.choice([-1.0, 0.0, 1.0], n)
        low, high = np.quantile(y, [0.15, 0.9])
        if family.discrete:
            low, high = 1.0, np.ceil(high)
        some, others = rng.random(n) < 0.5, rng.random(n) < 0.5
        rows["lower"] = np.where(some, np.minimum(low, y), -np.inf)
        rows["upper"] = np.where(others, np.maximum(high, y + (y == low)), np.inf)
        rows["upper"] = np.where(rows["upper"] > rows["lower"], rows["upper"], np.inf)
    return rows


@pytest.mark.parametrize("name", OBSERVED)
def test_censored_truncated_and_weighted_rows(name: str, rng: np.random.Generator) -> None:
    link = FAMILIES[name].links[0]
    family, parameters = make(name, link)
    y, eta = response(name), linear_predictor(family, len(DATA), rng)
    rows = observed_rows(family, y, rng)
    kernel, phi = OBSERVED_KERNELS[family.row_kernel], packed(family, parameters)
    given = given_rows(rows, len(y))
    order = 1 if family.has_corner else 2
    total = run(kernel, link, y, given, eta, phi, order)[0]
    expected = family.log_prob(y, eta, parameters, rows)
    left_out = (
        constant(family.row_kernel, y, rows) if family.row_kernel in ROW_KERNELS else np.zeros(1)
    )
    assert total + left_out.sum() == pytest.approx(expected.sum(), rel=1e-9, abs=1e-8)
    if not family.has_corner:
        check_derivatives(kernel, link, y, given, eta, phi)


TAILS: list[tuple[str, float, dict[str, float], Any]] = [
    ("poisson", 0.0, {}, stats.poisson(1.0)),
    ("negative_binomial", 0.0, {"alpha": 2.0}, stats.nbinom(2.0, 2 / 3)),
    ("gamma", 0.0, {"alpha": 2.0}, stats.gamma(2, scale=0.5)),
    ("exponential", 0.0, {}, stats.expon()),
    ("lognormal", 0.0, {"sigma": 0.8}, stats.lognorm(0.8)),
    ("student_t", 0.0, {"nu": 5.0, "sigma": 1.0}, stats.t(5)),
    ("beta", 0.0, {"phi": 6.0}, stats.beta(3, 3)),
]


@pytest.mark.parametrize(("name", "at", "parameters", "base"), TAILS, ids=[t[0] for t in TAILS])
def test_both_tails_keep_their_digits(
    name: str, at: float, parameters: dict[str, float], base: Any
) -> None:
    """Where 1 - cdf has none left."""
    family = FAMILIES[name]()
    step = 1 if family.discrete else 0
    for far in (1e-12, 1e-60):
        upper = base.isf(far) if name not in {"poisson", "negative_binomial"} else 40.0
        y = np.array([upper])
        rows = {"status": np.ones(1)}
        found = run(
            OBSERVED_KERNELS[family.row_kernel], family.link, y, given_rows(rows, 1),
            np.full(1, at), packed(family, parameters),
        )  # fmt: skip
        assert found[0] == pytest.approx(float(base.logsf(y[0] - step)), rel=1e-8)
        assert np.isfinite([found[2], found[3]]).all()
        if not step:
            low = base.ppf(far)
            rows = {"status": -np.ones(1)}
            found = run(
                OBSERVED_KERNELS[family.row_kernel], family.link, np.array([low]),
                given_rows(rows, 1), np.full(1, at), packed(family, parameters),
            )  # fmt: skip
            assert found[0] == pytest.approx(float(base.logcdf(low)), rel=1e-8)
            assert np.isfinite([found[2], found[3]]).all()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("zero_inflated_poisson", {"zi": 0.3}),
        ("hurdle_poisson", {"hu": 0.3}),
        ("hurdle_negative_binomial", {"alpha": 2.0, "hu": 0.3}),
        ("weibull", {"alpha": 1.5}),
        ("beta_binomial", {"phi": 5.0}),
        ("generalized_poisson", {"delta": 0.4}),
        ("negative_binomial1", {"alpha": 0.5}),
        ("tweedie", {"phi": 1.2, "xi": 0.5}),
        ("ordbeta", {"phi": 4.0, "cut": -1.0, "gap": 2.0}),
        ("cumulative", {"thresholds": np.array([-1.0, 0.0, 1.0])}),
        ("acat", {"thresholds": np.array([-1.0, 0.0, 1.0])}),
    ],
)
def test_linear_predictors_far_out_have_finite_derivatives(
    name: str, parameters: dict[str, Any]
) -> None:
    family = FAMILIES[name]()
    y = np.array([1.0, 2.0, 3.0]) / (4 if name == "ordbeta" else 1)
    given = np.full(3, 4.0)
    for far in (-30.0, 30.0 if family.mean_is_fraction else 12.0):
        found = run(
            ROW_KERNELS[family.row_kernel].kernel, family.link, y, given, np.full(3, far),
            packed(family, parameters),
        )  # fmt: skip
        assert np.isfinite(found[0])
        for part in found[1:4]:
            assert np.isfinite(part).all()


def _compiled_in(function: Any) -> list[Any]:
    """What a kernel's function holds that is compiled, and what that holds."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    found = [cell for cell in cells if isinstance(cell, Dispatcher)]
    return found + [inner for one in found for inner in _compiled_in(one.py_func)]


def test_closures_in_kernels_have_names_of_their_own() -> None:
    """Kernels on disk are found and linked by name: alike ones would be taken for one another."""
    kernels = [*(one.kernel for one in ROW_KERNELS.values()), *JOINT_KERNELS.values()]
    kernels += OBSERVED_KERNELS.values()
    functions: dict[str, Any] = {}
    for made in {id(one): one for one in kernels}.values():
        held = [one.py_func for one in _compiled_in(made._function)]
        for function in (made._function, *held):
            name = function.__qualname__
            assert "<locals>" not in name
            assert functions.setdefault(name, function.__code__) is function.__code__
            assert name == made.name or name not in {one.name for one in kernels}
    assert len({one.name for one in kernels}) == len({id(one) for one in kernels})
    assert any(name.startswith("observed_row_") for name in functions)


def test_kernels_made_of_closures_are_found_again_by_another_process() -> None:
    names = ("exponential", "acat")
    for name in names:
        OBSERVED_KERNELS[name].load()
    code = (
        "from bayesmix.glmm.rows import OBSERVED_KERNELS as found; "
        f"print([found[name].is_compiled() for name in {names}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout.strip() == "[True, True]"


@pytest.mark.parametrize("mu", [50.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, 8.0), (5.0, 8.0), (-np.inf, 0.0)])
def test_counts_far_below_their_mean_keep_their_derivatives(
    mu: float, lower: float, upper: float
) -> None:
    """A density and a tail that differ by 1 / mu each lose all digits there."""
    exact = Fraction(mu)
    terms = [Fraction(1)]
    for j in range(int(upper - max(lower, 0.0))):
        terms.append(terms[-1] * (int(upper) - j) / exact)
    total = sum(terms)
    mean = sum(j * t for j, t in enumerate(terms)) / total
    square = sum(j * j * t for j, t in enumerate(terms)) / total
    for y in (upper, max(upper - 1, 0.0)):
        rows = {"lower": np.array([lower]), "upper": np.array([upper])}
        found = run(
            OBSERVED_KERNELS["poisson"], "log", np.array([y]), given_rows(rows, 1),
            np.log(np.array([mu])), np.zeros(0),
        )  # fmt: skip
        value = (y - upper) * np.log(mu) + math.lgamma(upper + 1) - np.log(float(total))
        np.testing.assert_allclose(
            [float(np.squeeze(part)) for part in (found[0], found[2], found[3])],
            [value, y - upper + float(mean), float(mean * mean - square)],
            rtol=1e-11, atol=1e-300,
        )  # fmt: skip
