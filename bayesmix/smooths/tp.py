"""Thin plate regression splines: the best basis of its size for the thin plate penalty."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import comb, factorial, gamma, pi
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.smooths.base import Basis, check_size, pieces
from bayesmix.smooths.points import centre_and_scale, distinct

__all__ = ["ThinPlate"]

_MOST_KNOTS = 2_000  # mgcv's max.knots
_SEED = 1
_ROWS = 4_096
_LANCZOS = 400  # knots from which the largest eigenvalues are sought instead of all


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinPlate(Basis):
    """A thin plate regression spline of any number of coordinates in one unit.

    A function is ``sum_i delta_i eta(|x - x_i|) + polynomial``, with delta within the
    k eigenvectors of eta at the knots that have the largest eigenvalues.

    Attributes
    ----------
    knots : ndarray, shape (n_knots, d)
        Distinct points in units of `scale` from `centre`; 2,000 of them where there are more.
    weights : ndarray, shape (n_knots, k - M)
        delta of each penalised column.
    penalties : ndarray, shape (k - M, k - M)
        Their penalty.
    taylor : ndarray, shape (2 m, n_knots, k - M)
        Coefficients of the polynomials right of each knot, where there is one coordinate.
        Empty where there are more.
    order : int
        m, that of the derivatives in the penalty.
    centre : ndarray, shape (d,)
    scale : float
        In units of the coordinates, the same for all of them: the spline turns with its
        coordinates. Of two coordinates it depends a little on their units, as in mgcv.

    References
    ----------
    Wood (2003), Journal of the Royal Statistical Society B 65, 95-114.
    """

    kind: ClassVar[str] = "tp"

    knots: np.ndarray
    weights: np.ndarray
    penalties: np.ndarray
    taylor: np.ndarray
    order: int
    centre: np.ndarray
    scale: float

    @classmethod
    def learn(cls, values: np.ndarray, k: int | None = None, m: Any = None, *, name: str) -> Self:
        """Take the distinct points as knots, and truncate their basis.

        Parameters
        ----------
        values : ndarray, shape (n, d)
        k : int, optional
            Number of basis functions; by default 8 (one coordinate), 27 (two) or 100 (more)
            beside the unpenalised ones.
        m : int, optional
            Order of the derivatives in the penalty, above d / 2; by default the least
            above (d + 1) / 2.
        name : str
            The term as written, for errors.

        Raises
        ------
        DataError
        """
        d = values.shape[1]
        order = _order(m, d, name)
        n_null = comb(order + d - 1, d)
        k = n_null + (8, 27, 100)[min(d, 3) - 1] if k is None else k
        points = distinct(values)
        check_size(name, k, n_null + 1, len(points))
        if len(points) > _MOST_KNOTS:
            if k > _MOST_KNOTS:
                raise DataError(f"{name}: k={k} is more than its {_MOST_KNOTS} knots")
            rng = np.random.default_rng(_SEED)
            points = points[np.sort(rng.choice(len(points), _MOST_KNOTS, replace=False))]
        centre, scale = centre_and_scale(values)
        knots = (points - centre) / scale
        # In the coordinates' own units, as in mgcv: r^p log r and so the basis depends on them.
        E = _radial(_squares(knots, knots), order, d, unit=scale)
        values_k, vectors = _largest(E, k)
        null = vectors.T @ _polynomials(knots, order)
        left, size, _ = np.linalg.svd(null)
        if size[-1] < 1e-7 * size[0]:
            raise DataError(
                f"{name}: the rows do not tell its {n_null} unpenalised functions apart (its "
                "variables lie on a line, or almost); take smooths of fewer variables"
            )
        free = left[:, n_null:]
        weights = vectors @ free
        penalties = free.T @ (values_k[:, None] * free)
        taylor = _taylor(knots[:, 0], weights, order) if d == 1 else np.zeros((0, 0, 0))
        return cls(
            knots=knots,
            weights=weights,
            penalties=(penalties + penalties.T) / 2,
            taylor=taylor,
            order=order,
            centre=centre,
            scale=scale,
        )

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of a point."""
        return int(self.knots.shape[1])

    @property
    def n_columns(self) -> int:
        """Penalised and unpenalised columns."""
        return int(self.weights.shape[1]) + self._n_null

    @property
    def _n_null(self) -> int:
        return comb(self.order + self.n_coordinates - 1, self.n_coordinates)

    @property
    def penalty(self) -> np.ndarray:
        """Integral of squared derivatives of order m, in the units of `knots`."""
        S = np.zeros((self.n_columns, self.n_columns))
        S[self._n_null :, self._n_null :] = self.penalties
        return S

    @property
    def null_space(self) -> np.ndarray:
        """Polynomials of a degree below m: the first columns."""
        return np.eye(self.n_columns, self._n_null)

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Columns at some points: polynomials, the constant first, then the penalised ones.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n, k)
        """
        points = (values - self.centre) / self.scale
        X = np.empty((len(points), self.n_columns))
        X[:, : self._n_null] = _polynomials(points, self.order)
        wiggly = X[:, self._n_null :]
        if self.n_coordinates == 1:
            self._piecewise(points[:, 0], wiggly)
            return X
        for rows in pieces(len(points), 16 * len(self.knots)):
            squares = _squares(points[rows], self.knots)
            wiggly[rows] = _radial(squares, self.order, self.n_coordinates) @ self.weights
        return X

    def _piecewise(self, x: np.ndarray, out: np.ndarray) -> None:
        """One coordinate: polynomials between knots, summed up from the knot to the left."""
        knots = self.knots[:, 0]
        for start in range(0, len(x), _ROWS):  # few enough rows for caches
            rows = slice(start, start + _ROWS)
            left = np.searchsorted(knots, x[rows], side="right") - 1
            beyond = (left < 0) | (left == len(knots) - 1)
            left = np.maximum(left, 0)
            step = (x[rows] - knots[left])[:, None]
            total = np.zeros((len(left), out.shape[1]))
            for i in range(len(self.taylor) - 1, -1, -1):
                terms = self.taylor[i][left]
                if i >= self.order:  # beyond the outer knots it is a polynomial of degree m - 1
                    terms[beyond] = 0.0
                total *= step
                total += terms
            out[rows] = total


def _taylor(knots: np.ndarray, weights: np.ndarray, order: int) -> np.ndarray:
    """Derivatives over i!, to the right of each knot, of the functions of one coordinate."""
    degree = 2 * order - 1
    far = knots[:, None] - knots
    sign = np.where(far < 0, -1.0, 1.0)  # to the right of its own knot, a function rises
    far = np.abs(far)
    power = sign**degree
    found = [power @ weights]
    for _ in range(degree):
        power = power * far * sign
        found.append(power @ weights)
    scale = [_constant(order, 1) * comb(degree, i) for i in range(degree + 1)]
    return np.stack([c * terms for c, terms in zip(scale, found[::-1], strict=True)])


def _order(m: Any, d: int, name: str) -> int:
    """Order of the derivatives: mgcv's default, or one that makes functions continuous."""
    if m is None:
        return (d + 1) // 2 + 1
    order = m[0] if isinstance(m, list | tuple) and len(m) == 1 else m
    if not isinstance(order, int | np.integer) or isinstance(order, bool) or 2 * order <= d:
        raise DataError(
            f"{name}: m={m!r} must be one whole number above {d}/2, such as {(d + 1) // 2 + 1}"
        )
    return int(order)


def _squares(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Squared distances of points to knots; shape (n, n_knots)."""
    squares = np.zeros((len(points), len(knots)))
    for j in range(points.shape[1]):
        squares += (points[:, [j]] - knots[:, j]) ** 2
    return squares


def _constant(order: int, d: int) -> float:
    """Factor of the radial functions, by which the penalty is the integral (Wood 2003, eq. 4)."""
    if d % 2 == 0:
        sign = (-1.0) ** (order + 1 + d // 2)
        below = 2 ** (2 * order - 1) * pi ** (d / 2) * factorial(order - 1)
        return float(sign / (below * factorial(order - d // 2)))
    below = 2 ** (2 * order) * pi ** (d / 2) * factorial(order - 1)
    return float(gamma(d / 2 - order) / below)


def _radial(squares: np.ndarray, order: int, d: int, unit: float = 1.0) -> np.ndarray:
    """Radial functions of squared distances in a unit, over the unit to the power 2m - d."""
    result: np.ndarray = _constant(order, d) * squares ** (order - d / 2)
    if d % 2 == 0:
        logs = np.log(np.maximum(squares, np.finfo(float).tiny))  # times 0 at distance 0
        logs += 2 * np.log(unit)
        logs /= 2
        result *= logs
    return result


def _polynomials(points: np.ndarray, order: int) -> np.ndarray:
    """Products of powers with a degree below the order, lowest degrees first."""
    return np.column_stack([
        np.prod(points ** np.asarray(powers), axis=1)
        for powers in _powers(points.shape[1], order)
    ])  # fmt: skip


@cache
def _powers(d: int, order: int) -> tuple[tuple[int, ...], ...]:
    found = [powers for powers in product(range(order), repeat=d) if sum(powers) < order]
    return tuple(sorted(found, key=lambda powers: (sum(powers), tuple(-p for p in powers))))


def _largest(E: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the largest size, k of them, with their vectors."""
    if len(E) >= _LANCZOS and 4 * k <= len(E):
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(_SEED).standard_normal(len(E))
        values, vectors = eigsh(E, k, which="LM", v0=start)
    else:
        values, vectors = np.linalg.eigh(E)
    order = np.argsort(-np.abs(values), kind="stable")[:k]
    return values[order], vectors[:, order]
