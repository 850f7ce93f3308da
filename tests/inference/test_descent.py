"""The descent is SciPy's, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.inference import descent


def _valley(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Rosenbrock's function, whose lowest point is at ones."""
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[1:] += 200 * a
    gradient[:-1] += -400 * x[:-1] * a - 2 * b
    return float((100 * a**2 + b**2).sum()), gradient


@pytest.mark.parametrize("edge", [np.inf, 0.7])
@pytest.mark.parametrize(("ftol", "gtol"), [(1e-13, 1e-6), (1e-4, 1e-3)])
def test_it_ends_where_scipy_ends_for_the_same_reason(
    monkeypatch: pytest.MonkeyPatch, edge: float, ftol: float, gtol: float
) -> None:
    start, edges = np.array([-1.2, 1.0, 0.4]), np.array([np.inf, edge, edge])
    ours = descent.descend(_valley, start, edges, ftol, gtol)
    monkeypatch.setattr(descent, "_PARTS", [None])
    theirs = descent.descend(_valley, start, edges, ftol, gtol)
    assert np.array_equal(ours.x, theirs.x)
    assert np.array_equal(ours.gradient, theirs.gradient)
    assert ours.message == theirs.message
    assert start.tolist() == [-1.2, 1.0, 0.4]


def test_a_criterion_that_keeps_one_gradient_is_not_followed_into_the_next() -> None:
    kept = np.empty(2)

    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        kept[:] = 2 * (x - 3)
        return float(((x - 3) ** 2).sum()), kept.copy()

    found = descent.descend(bowl, np.zeros(2), np.full(2, np.inf), 1e-13, 1e-8)
    assert found.x == pytest.approx([3, 3])


def test_a_criterion_is_asked_what_scipy_asks_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[float]] = []

    def noted(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(x.tolist())
        return _valley(x)

    start, edges = np.array([-1.2, 1.0]), np.full(2, np.inf)
    descent.descend(noted, start, edges, 1e-13, 1e-8)
    ours, asked = asked, []
    monkeypatch.setattr(descent, "_PARTS", [None])
    descent.descend(noted, start, edges, 1e-13, 1e-8)
    assert ours == asked
