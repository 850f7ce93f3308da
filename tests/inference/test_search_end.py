"""Where a search for the best parameters ends, and what it then says."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.inference.search import Search


def _search(n: int, criterion: object) -> Search:
    none = np.zeros(0)
    return Search(criterion, n, 0, 0, none.astype(bool), none)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [3, 20])
def test_a_large_deviance_does_not_end_the_search_too_early(n: int) -> None:
    """A relative change of 1e-10 in a million is more than its gradient may be worth."""
    weight = np.logspace(0, 4, n)
    best = np.linspace(-1, 1, n)

    def criterion(x: np.ndarray, gradient: np.ndarray) -> float:
        away = x - best
        gradient[:] = weight * (away + np.sinh(away))
        return float(2e6 + np.sum(weight * (away**2 / 2 + np.cosh(away) - 1)))

    found = _search(n, criterion).run(np.zeros(n))
    assert found.converged, found.message
    np.testing.assert_allclose(found.x, best, atol=1e-2)
