"""Bases of smooths: what they can be, what they penalise, and how they go on outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import BSpline, CubicSpline

from bayesmix.errors import DataError, NotSupportedError
from bayesmix.smooths import (
    CubicRegression,
    PSpline,
    Smooth,
    TensorProduct,
    ThinPlate,
    learn_smooth,
)
from bayesmix.smooths.base import Moments, standardised
from bayesmix.smooths.tp import _radial, _squares

ONE = ["cr", "ps", "tp"]


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(3, 9, (90, 1))


def second_derivative(basis: Any, at: np.ndarray, h: float = 1e-3) -> np.ndarray:
    X = [basis.matrix((at + d * h)[:, None]) for d in (-1, 0, 1)]
    return np.asarray((X[0] - 2 * X[1] + X[2]) / h**2)


def test_cr_is_the_natural_spline_through_its_values(
    x: np.ndarray, rng: np.random.Generator
) -> None:
    basis = CubicRegression.learn(x, 8, name="s(x)")
    knots = basis.centre + basis.scale * basis.knots
    np.testing.assert_allclose(knots, np.quantile(np.unique(x), np.linspace(0, 1, 8)))
    values = rng.normal(size=8)
    spline = CubicSpline(knots, values, bc_type="natural")
    np.testing.assert_allclose(basis.matrix(x) @ values, spline(x[:, 0]), atol=1e-12)
    beyond = np.array([[-20.0], [2.0], [9.5], [40.0]])
    ends = np.array([knots[0], knots[0], knots[-1], knots[-1]])
    line = spline(ends) + spline(ends, 1) * (beyond[:, 0] - ends)
    np.testing.assert_allclose(basis.matrix(beyond) @ values, line, rtol=1e-11)


def test_ps_is_made_of_b_splines(x: np.ndarray) -> None:
    basis = PSpline.learn(x, 11, name="s(x)")
    knots = basis.low + basis.step * np.arange(-3, basis.n_intervals + 4)
    wanted = BSpline.design_matrix(x[:, 0], knots, 3).toarray()
    np.testing.assert_allclose(basis.matrix(x), wanted, atol=1e-12)


@pytest.mark.parametrize("kind", [CubicRegression, ThinPlate])
def test_the_penalty_is_the_integral_of_the_squared_second_derivative(
    kind: Any, rng: np.random.Generator
) -> None:
    basis = kind.learn(rng.uniform(-1, 1, (14, 1)), 7, name="s(x)")
    b = rng.normal(size=7)
    b[: 2 if kind is ThinPlate else 0] = 0  # the straight line, which rounding would enlarge
    low, high = basis.knots.min(), basis.knots.max()

    def integrand(z: float) -> float:
        at = np.array([basis.centre + basis.scale * z]).ravel()
        return float((basis.scale**2 * second_derivative(basis, at, 1e-4) @ b)[0]) ** 2

    found = quad(integrand, low, high, limit=400, points=np.ravel(basis.knots)[1:-1])[0]
    assert b @ basis.penalty @ b == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("kind", ONE)
def test_beyond_the_data_a_curve_goes_on_as_a_line(kind: str, x: np.ndarray) -> None:
    smooth = learn_smooth(kind, x)
    width = x.max() - x.min()
    for start, sign in ((x.max() + 0.002 * width, 1), (x.min() - 0.002 * width, -1)):
        steps = start + sign * width * np.array([0.0, 0.5, 1.0, 7.0])
        columns = np.hstack(smooth.columns(steps[:, None]))
        slopes = np.diff(columns, axis=0) / np.diff(steps)[:, None]
        np.testing.assert_allclose(slopes[1:], slopes[:-1], rtol=1e-7, atol=1e-9)
    near = np.array([[x.max()], [x.max() + 1e-7 * width]])  # and without a jump
    assert np.abs(np.diff(np.hstack(smooth.columns(near)), axis=0)).max() < 1e-5
    assert smooth.outside(np.array([[x.min()], [x.max()], [9.5]])).tolist() == [False, False, True]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_thin_plates_of_one_coordinate_are_piecewise_polynomials(m: int, x: np.ndarray) -> None:
    basis = ThinPlate.learn(x, 12, m, name="s(x)")
    at = np.linspace(1, 11, 57)[:, None]
    z = (at - basis.centre) / basis.scale
    summed = _radial(_squares(z, basis.knots), m, 1) @ basis.weights
    found = basis.matrix(at)[:, m:]
    np.testing.assert_allclose(found, summed, atol=1e-9 * np.abs(summed).max())


def test_a_full_thin_plate_spline_interpolates(rng: np.random.Generator) -> None:
    points = rng.normal(size=(25, 2))
    basis = ThinPlate.learn(points, 25, name="s(x, z)")
    y = rng.normal(size=25)
    b = np.linalg.solve(basis.matrix(points), y)
    np.testing.assert_allclose(basis.matrix(points) @ b, y, atol=1e-10)
    # The interpolant of the least energy: any other that is 0 at the points adds to it.
    smaller = ThinPlate.learn(points, 15, name="s(x, z)")
    assert np.linalg.matrix_rank(np.hstack([basis.matrix(points), smaller.matrix(points)])) == 25


def test_many_points_are_thinned_the_same_way_each_time(rng: np.random.Generator) -> None:
    points = rng.normal(size=(2_600, 2))
    first = ThinPlate.learn(points, 12, name="s(x, z)")
    again = ThinPlate.learn(points[::-1].repeat(2, axis=0), 12, name="s(x, z)")
    assert len(first.knots) == 2_000
    for key, value in first.state().items():
        np.testing.assert_array_equal(value, again.state()[key])


@pytest.mark.parametrize("kind", ONE)
@pytest.mark.parametrize(("shift", "unit"), [(0, 1e-9), (0, 1e12), (2e9, 1.0), (-1e6, 1e3)])
def test_the_units_of_the_variable_do_not_matter(
    kind: str, shift: float, unit: float, x: np.ndarray
) -> None:
    plain, other = learn_smooth(kind, x), learn_smooth(kind, shift + unit * x)
    at = np.linspace(0, 12, 30)[:, None]
    for a, b in zip(plain.columns(at), other.columns(shift + unit * at), strict=True):
        np.testing.assert_allclose(a @ a.T, b @ b.T, rtol=1e-4, atol=1e-4)


CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("cr", 1, {}), ("ps", 1, {"m": (3, 3)}), ("tp", 1, {"m": 3}), ("tp", 2, {}),
    ("tp", 3, {"k": 14}), ("t2", 2, {"bs": ("cr", "ps")}), ("t2", 3, {"d": (2, 1), "k": (8, 4)}),
    ("t2", 2, {"full": True}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "d", "options"), CASES)
def test_the_mixed_form_spans_the_basis(
    kind: str, d: int, options: dict[str, Any], rng: np.random.Generator
) -> None:
    values = rng.uniform(0, 1, (400, d))
    smooth = learn_smooth(kind, values, **options)
    columns = smooth.columns(values)
    n, k = len(values), smooth.basis.n_columns
    everything = np.hstack([np.ones((n, 1)), *columns])
    assert everything.shape[1] == k  # less the constant, for which the intercept stands
    both = np.hstack([everything, smooth.basis.matrix(values)])
    assert np.linalg.matrix_rank(both, tol=1e-9) == np.linalg.matrix_rank(everything, tol=1e-9)
    for part, own in zip(smooth.parts, columns, strict=True):
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-9)
        if part.penalised:
            gram = own.T @ own / n
            assert np.trace(gram) == pytest.approx(1)
            np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-9)
            fixed = np.hstack([c for p, c in zip(smooth.parts, columns, strict=True)
                               if not p.penalised])  # fmt: skip
            np.testing.assert_allclose(fixed.T @ own / n, 0, atol=1e-9)
        else:
            np.testing.assert_allclose(np.mean(own**2, axis=0), 1)


@pytest.mark.parametrize(("kind", "d", "options"), CASES[:5])
def test_effects_have_the_identity_as_their_penalty(
    kind: str, d: int, options: dict[str, Any], rng: np.random.Generator
) -> None:
    smooth = learn_smooth(kind, rng.uniform(0, 1, (300, d)), **options)
    effects, S = smooth.parts[-1], smooth.basis.penalty
    eye = effects.map.T @ S @ effects.map / effects.energy
    np.testing.assert_allclose(eye, np.eye(len(eye)), atol=1e-8)
    for fixed in smooth.parts[:-1]:
        np.testing.assert_allclose(S @ fixed.map, 0, atol=1e-8 * np.abs(S).max())


def test_a_tensor_product_of_additive_curves_has_them_in_parts_of_their_own(
    rng: np.random.Generator,
) -> None:
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 20), np.linspace(0, 1, 20)), -1).reshape(-1, 2)
    smooth = learn_smooth("t2", grid, bs="ps", k=6, full=True)
    columns = dict(zip((part.name for part in smooth.parts), smooth.columns(grid), strict=True))
    assert list(columns) == ["null", "rr", "r1", "r2", "1r", "2r"]
    alone = learn_smooth("ps", grid[:, :1], k=6).columns(grid[:, :1])
    one = np.hstack([np.ones((400, 1)), columns["null"], columns["r1"]])
    rest = alone[1] - one @ np.linalg.lstsq(one, alone[1], rcond=None)[0]
    assert np.abs(rest).max() < 1e-8


def test_by_multiplies_every_column(x: np.ndarray, rng: np.random.Generator) -> None:
    by = rng.normal(size=len(x))
    smooth = learn_smooth("cr", x, centred=False)
    assert [part.name for part in smooth.parts] == ["constant", "null", "range"]
    plain, multiplied = smooth.columns(x), smooth.columns(x, by)
    np.testing.assert_allclose(multiplied[0][:, 0], by)
    for a, b in zip(plain, multiplied, strict=True):
        np.testing.assert_allclose(a * by[:, None], b)


def test_parts_of_a_factor_smooth_are_level_slope_and_curve(x: np.ndarray) -> None:
    smooth = learn_smooth("fs", x, k=6, base="cr")
    assert smooth.grouped
    assert [(p.name, p.map.shape[1], p.penalised) for p in smooth.parts] == [
        ("range", 4, True), ("constant", 1, True), ("null1", 1, True),
    ]  # fmt: skip
    _, constant, line = smooth.columns(x)
    np.testing.assert_allclose(constant, 1)
    np.testing.assert_allclose(line[:, 0], (x[:, 0] - x.mean()) / x.std())


@pytest.mark.parametrize("n_variables", [0, 1, 2])
def test_random_effects_have_one_column_a_level(n_variables: int, rng: np.random.Generator) -> None:
    values = rng.normal(size=(5, n_variables))
    smooth = learn_smooth("re", values)
    np.testing.assert_allclose(smooth.columns(values)[0][:, 0], np.prod(values, axis=1))


@pytest.mark.parametrize(
    ("kind", "d", "options"), [*CASES, ("fs", 1, {}), ("fs", 2, {"k": 9}), ("re", 1, {})]
)
def test_a_smooth_is_made_again_of_its_arrays(
    kind: str, d: int, options: dict[str, Any], rng: np.random.Generator
) -> None:
    smooth = learn_smooth(kind, rng.normal(size=(60, d)), **options)
    state = smooth.state()
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in state.values())
    again = Smooth.from_state(state)
    at = rng.normal(size=(9, d))
    for a, b in zip(smooth.columns(at), again.columns(at), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("cr", {"k": 12}, r"s\(x\): k=12 basis functions need as many points, of 9 distinct "
                          "values; take k=9 or fewer"),
        ("tp", {"k": 10}, "k=10 basis functions need as many points, of 9 distinct values"),
        ("ps", {}, "k=10 basis functions need as many points, of 9 distinct values"),
        ("cr", {"k": 2}, "k=2 is too few basis functions; this kind takes 3 or more"),
        ("tp", {"k": 2}, "k=2 is too few basis functions; this kind takes 3 or more"),
        ("cr", {"k": 4.5}, "k=4.5 must be a whole number"),
        ("cs", {}, "there is no basis bs='cs'; there are 'cr'"),
        ("tp", {"m": 0}, "m=0 must be one whole number above 1/2, such as 2"),
        ("ps", {"m": "a"}, "m='a' must be one or two whole numbers"),
        ("cr", {"m": 3}, "penalises second derivatives, not m=3"),
        ("t2", {}, "two margins or more"),
    ],
)  # fmt: skip
def test_what_the_data_do_not_bear_is_said(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        learn_smooth(kind, np.arange(9.0).repeat(5)[:, None], name="s(x)", **options)


def test_constants_lines_and_gaps_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match="of one distinct value; take a factor or a straight line"):
        learn_smooth("cr", np.ones((9, 1)))
    line = rng.normal(size=(50, 1)) * [1.0, 2.0]
    for kind in ("tp", "t2"):
        with pytest.raises(DataError, match="its variables lie on a line, or almost"):
            learn_smooth(kind, line)
    clusters = np.concatenate([1e-9 * rng.normal(size=40), 1 + 1e-9 * rng.normal(size=40)])
    with pytest.raises(DataError, match="its values lie so unevenly that 10 basis functions"):
        learn_smooth("tp", clusters[:, None])
    # Which of the two it is may be a matter of rounding.
    with pytest.raises(DataError, match=r"nearly all values lie in one place|lie so unevenly"):
        learn_smooth("cr", np.random.default_rng(1).standard_cauchy(size=(400, 2))[:, :1] ** 5)
    one_place = Moments(mean=np.array([1.0, 0.0]), gram=np.diag([1.0, 1e-40]))
    with pytest.raises(DataError, match="nearly all values lie in one place"):
        standardised(np.eye(2), one_place, "s(x)")
    with pytest.raises(DataError, match="4 unpenalised functions go through all rows"):
        learn_smooth("t2", rng.permutation(np.array([[0, 0], [1, 2], [2, 1.0], [0, 1]])), k=3)
    with pytest.raises(DataError, match=r"row 2 has the value \[nan\]"):
        learn_smooth("cr", np.array([[1.0], [2], [np.nan]]))
    with pytest.raises(DataError, match="one variable, not 2"):
        learn_smooth("ps", rng.normal(size=(50, 2)))
    with pytest.raises(DataError, match="makes 3,375 products, more than the 2,000"):
        learn_smooth("t2", rng.normal(size=(50, 3)), k=15)


def test_what_memory_does_not_hold_is_refused(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = learn_smooth("cr", x)
    monkeypatch.setattr("bayesmix.memory.available_bytes", lambda: 1e3)
    with pytest.raises(NotSupportedError, match="k=10 at 90 rows would take"):
        smooth.columns(x)


def test_a_large_table_is_quick(rng: np.random.Generator) -> None:
    from time import process_time

    values = rng.normal(size=(300_000, 1))
    for kind in ONE:
        start = process_time()
        learn_smooth(kind, values).columns(values)
        assert process_time() - start < 60, kind  # mostly below 1


def test_margins_of_a_tensor_product_have_their_own_sizes(rng: np.random.Generator) -> None:
    basis = TensorProduct.learn(rng.normal(size=(99, 2)), (4, 6), bs=("cr", "tp"), name="t2")
    assert [margin.n_columns for margin in basis.margins] == [4, 6]
    assert [margin.kind for margin in basis.margins] == ["cr", "tp"]
