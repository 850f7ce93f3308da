"""The search for the best coordinates of a criterion with its gradient, and where it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayesmix.inference.descent import Descent, descend
from bayesmix.inference.polish import bounded_newton

__all__ = ["HUGE", "LARGEST_CORRELATION", "ZERO", "Point", "Search"]

ZERO = -30.0  # log of a standard deviation that is zero, relative to its unit
LARGEST_CORRELATION = 17.0  # in atanh: 1 - 3e-15
_NEWTON_SIZE = 12
_SMALL = np.log(2e-3)
_PERHAPS_ZERO = np.log(0.1)
_ENOUGH = 1e-2  # largest component of the gradient, in units of the criterion
_LEVEL = 1e-4  # curvature in logarithms of what the data do not tell
_NEARLY_ONE = 4.0  # in atanh: 1 - 7e-4
_BEYOND = 1e100  # of a curvature
HUGE = 1e300  # in place of a criterion that is not finite


@dataclass(slots=True)
class Point:
    """Where a search has ended, whether it has converged there, and its gradient's size."""

    x: np.ndarray
    criterion: float
    gradient: float
    converged: bool
    message: str
    flat: np.ndarray | None = None  # coordinates along which it hardly bends


class Search:
    """Minimise a criterion whose standard deviations may end at zero.

    Parameters
    ----------
    criterion : callable
        Called with the coordinates and a gradient to fill; returns the value.
    n_x, n_sd, n_corr : int
        Number of coordinates; the first are log standard deviations, the next
        inverse hyperbolic tangents of partial correlations.
    may_be_zero : ndarray of bool, shape (n_sd,)
    unit : ndarray, shape (n_sd,)
        Logarithm of each standard deviation's unit.
    polish : bool
        Whether Newton steps find the last digits, where parameters are few.
    steady : bool
        Whether the last digits of the criterion do not depend on where it was asked before; if
        they do, it is asked again where it will stay.
    edges : ndarray, optional
        How far from zero the last coordinates may go, infinite for those without end.
    """

    def __init__(
        self,
        criterion: Callable[[np.ndarray, np.ndarray], float],
        n_x: int,
        n_sd: int,
        n_corr: int,
        may_be_zero: np.ndarray,
        unit: np.ndarray,
        *,
        polish: bool = True,
        steady: bool = True,
        edges: np.ndarray | None = None,
    ) -> None:
        self.criterion, self.polish, self.steady = criterion, polish, steady
        self.edge = np.full(n_x, np.inf)
        self.edge[n_sd : n_sd + n_corr] = LARGEST_CORRELATION
        if edges is not None and len(edges):
            self.edge[-len(edges) :] = edges
        self.n_x, self.n_sd, self.n_corr = n_x, n_sd, n_corr
        self.may_be_zero = may_be_zero
        self.unit = unit
        self.evaluations = 0

    @property
    def zero(self) -> np.ndarray:
        """Logarithms of standard deviations that stand for zero."""
        return ZERO + self.unit

    def value(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the criterion, huge where it is not finite, and its gradient."""
        gradient = np.empty(self.n_x)
        self.evaluations += 1
        value = self.criterion(np.ascontiguousarray(x), gradient)
        return (value if np.isfinite(value) else HUGE), gradient

    def run(self, start: np.ndarray) -> Point:
        """Search from a start."""
        if self.n_x == 0:
            value, _ = self.value(start)
            return Point(start, value, 0.0, True, "nothing to optimise")
        frozen = np.zeros(self.n_x, dtype=bool)
        point = self._descend(start, frozen)
        for _ in range(2 * self.n_sd + 1):
            moved = self._put_small_on_zero(point, frozen) or self._free_from_zero(point, frozen)
            if moved is None:
                break
            point, frozen = moved
        return point

    def _descend(self, start: np.ndarray, frozen: np.ndarray) -> Point:
        free = np.flatnonzero(~frozen)
        x = start.copy()
        if free.size == 0:
            value, _ = self.value(x)
            return Point(x, value, 0.0, True, "every standard deviation is zero")

        def of_free(z: np.ndarray) -> tuple[float, np.ndarray]:
            x[free] = z
            value, gradient = self.value(x)
            return value, gradient[free]

        edge = self.edge[free]
        is_corr = np.isfinite(edge)
        few = free.size <= _NEWTON_SIZE

        # A few parameters are polished by Newton; of many the last digits cost dear.
        found = descend(of_free, start[free], edge, 1e-13 if few else 1e-10, 1e-6)
        if not few and _ENOUGH <= _left(found.x, found.gradient, is_corr) < np.inf:
            # With many rows a digit of the deviance is more than a gradient can still gain.
            found = descend(of_free, found.x, edge, 1e-15, _ENOUGH / 2)
        z, value, gradient, flat = self._newton(of_free, found, is_corr)
        if not self.steady:
            value, gradient = of_free(z)
        # What is left to gain, not the gradient's size, says whether it has converged.
        largest = _left(z, gradient, is_corr)
        if _ENOUGH <= largest < np.inf and value < HUGE and self.polish and z.size <= _NEWTON_SIZE:
            z = bounded_newton(of_free, z, -edge, edge, 1e-6)
            value, gradient = of_free(z)
            largest = _left(z, gradient, is_corr)
        x[free] = z
        if value >= HUGE:
            return Point(x.copy(), value, largest, False, "the equations cannot be factored")
        if largest >= _ENOUGH:
            return Point(x.copy(), value, largest, False, f"a gradient of {largest:.2g} is left")
        level = np.zeros(self.n_x, dtype=bool)
        level[free] = flat
        return Point(x.copy(), value, largest, True, found.message, level)

    def _newton(
        self, of_free: Callable[[np.ndarray], tuple[float, np.ndarray]], found: Descent,
        is_corr: np.ndarray,
    ) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:  # fmt: skip
        """Polish with Newton steps on differences of gradients, where these are cheap.

        Returns the end, with value and gradient, and which coordinates lie along a direction
        without curvature.
        """
        z, value, gradient = found.x, found.value, found.gradient
        flat = np.zeros(z.size, dtype=bool)
        if z.size > _NEWTON_SIZE or not self.polish:
            return z, value, gradient, flat
        if not self.steady:
            value, gradient = of_free(z)
        for _ in range(4):
            if np.max(np.abs(gradient)) < 1e-9:
                break
            H = np.empty((z.size, z.size))
            for i in range(z.size):
                step = np.zeros(z.size)
                step[i] = 1e-4
                H[i] = (of_free(z + step)[1] - of_free(z - step)[1]) / 2e-4
            if not np.abs(H).max() < _BEYOND:  # far out, where a likelihood rises for ever
                break
            eigenvalues, vectors = np.linalg.eigh((H + H.T) / 2)
            flat = (np.abs(vectors[:, np.abs(eigenvalues) < _LEVEL]) > 0.3).any(axis=1)
            if eigenvalues.min() <= 1e-8:
                break
            step = -vectors @ ((vectors.T @ gradient) / eigenvalues)
            new = z + step * min(1.0, 0.5 / max(1e-300, np.max(np.abs(step))))
            new[is_corr] = np.clip(new[is_corr], -LARGEST_CORRELATION, LARGEST_CORRELATION)
            new_value, new_gradient = of_free(new)
            if not new_value <= value + 1e-10 * abs(value):
                break
            z, value, gradient = new, new_value, new_gradient
        return z, value, gradient, flat

    def _put_small_on_zero(
        self, point: Point, frozen: np.ndarray
    ) -> tuple[Point, np.ndarray] | None:
        candidates = np.flatnonzero(self.may_be_zero & ~frozen[: self.n_sd]).tolist()
        small = [k for k in candidates if point.x[k] < _PERHAPS_ZERO + self.unit[k]]
        for k in sorted(small, key=lambda k: point.x[k]):
            x = point.x.copy()
            x[k] = ZERO + self.unit[k]
            value, _ = self.value(x)
            if value <= point.criterion + 1e-7 * (1 + abs(point.criterion)):
                new = frozen.copy()
                new[k] = True
                return self._descend(x, new), new
        return None

    def _free_from_zero(self, point: Point, frozen: np.ndarray) -> tuple[Point, np.ndarray] | None:
        """Leave zero again if a small standard deviation would be better."""
        for k in np.flatnonzero(frozen).tolist():
            x = point.x.copy()
            x[k] = self._small(k) + np.log(10.0)
            value, _ = self.value(x)
            if value < point.criterion - 1e-6:
                new = frozen.copy()
                new[k] = False
                found = self._descend(x, new)
                if found.x[k] > self._small(k) and found.criterion < point.criterion:
                    return found, new
        return None

    def _small(self, k: int) -> float:
        return float(_SMALL + self.unit[k])

    def at_boundary(self, point: Point) -> bool:
        """Whether a standard deviation is zero, or a partial correlation nearly -1 or 1."""
        corr = point.x[self.n_sd : self.n_sd + self.n_corr]
        zero = point.x[: self.n_sd] <= self.zero + 1e-9
        return bool((zero & self.may_be_zero).any() or (np.abs(corr) > _NEARLY_ONE).any())


def _left(z: np.ndarray, gradient: np.ndarray, is_corr: np.ndarray) -> float:
    """Largest component of the gradient, but of correlations at their bounds."""
    at_bound = is_corr & (np.abs(z) >= LARGEST_CORRELATION - 1e-6)
    return float(np.max(np.abs(np.where(at_bound, 0.0, gradient)), initial=0.0))
