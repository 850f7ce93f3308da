"""Cubic regression splines: natural cubic splines given by their values at the knots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.smooths.base import Basis, check_size
from bayesmix.smooths.points import centre_and_scale, distinct

__all__ = ["CubicRegression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CubicRegression(Basis):
    """A cubic regression spline, a straight line beyond its outer knots.

    Attributes
    ----------
    knots : ndarray, shape (k,)
        Ascending: quantiles of the distinct values, in units of `scale` from `centre`.
    curvature : ndarray, shape (k, k)
        Second derivatives at the knots are this times the values at the knots.
    centre, scale : float
        In units of the variable.

    References
    ----------
    Wood (2017), Generalized Additive Models, 2nd edition, section 5.3.1.
    """

    kind: ClassVar[str] = "cr"

    knots: np.ndarray
    curvature: np.ndarray
    centre: float
    scale: float

    @classmethod
    def learn(cls, values: np.ndarray, k: int | None = None, m: Any = None, *, name: str) -> Self:
        """Place knots at the quantiles of the distinct values.

        Parameters
        ----------
        values : ndarray, shape (n, 1)
        k : int, optional
            Number of knots, 10 by default.
        m : None
            Its penalty is the squared second derivative, and no other.
        name : str
            The term as written, for errors.

        Raises
        ------
        DataError
        """
        if values.shape[1] != 1:
            raise DataError(
                f'{name}: bs="cr" takes one variable, not {values.shape[1]}; take bs="tp" or t2()'
            )
        if m is not None and m != 2:
            raise DataError(
                f'{name}: bs="cr" penalises second derivatives, not m={m!r}; leave m out'
            )
        unique = distinct(values)[:, 0]
        k = 10 if k is None else k
        check_size(name, k, 3, len(unique))
        centre, scale = centre_and_scale(values)
        knots = np.quantile((unique - centre[0]) / scale, np.linspace(0, 1, k))
        if (np.diff(knots) <= 0).any():
            raise DataError(
                f"{name}: most values are too close together for k={k} knots between them; take "
                "a smaller k, or transform them first, as in log(x)"
            )
        D, B = _curves(knots)
        curvature = np.zeros((k, k))
        curvature[1:-1] = np.linalg.solve(B, D)
        return cls(knots=knots, curvature=curvature, centre=float(centre[0]), scale=scale)

    @property
    def n_coordinates(self) -> int:
        """Always 1."""
        return 1

    @property
    def n_columns(self) -> int:
        """Number of knots."""
        return len(self.knots)

    @property
    def penalty(self) -> np.ndarray:
        """Integral of the squared second derivative, in the units of `knots`."""
        D, B = _curves(self.knots)
        S = D.T @ np.linalg.solve(B, D)
        result: np.ndarray = (S + S.T) / 2
        return result

    @property
    def null_space(self) -> np.ndarray:
        """Constant and straight line."""
        return np.column_stack([np.ones_like(self.knots), self.knots])

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Columns at some values: a function's values at the knots times these are the function.

        Parameters
        ----------
        values : ndarray, shape (n, 1)

        Returns
        -------
        ndarray, shape (n, k)
        """
        x = (values[:, 0] - self.centre) / self.scale
        knots = self.knots
        inside = np.clip(x, knots[0], knots[-1])
        left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
        h = np.diff(knots)[left]
        below, above = inside - knots[left], knots[left + 1] - inside
        X = ((above**3 / h - h * above) / 6)[:, None] * self.curvature[left]
        X += ((below**3 / h - h * below) / 6)[:, None] * self.curvature[left + 1]
        rows = np.arange(len(x))
        X[rows, left] += above / h
        X[rows, left + 1] += below / h
        for row, first, past in ((0, 0, x < knots[0]), (1, -2, x > knots[-1])):
            if past.any():
                X[past] += np.outer((x - inside)[past], self._slopes(first)[row])
        return X

    def _slopes(self, first: int) -> np.ndarray:
        """Derivatives at the two ends of an interval, by the values at the knots."""
        first %= len(self.knots)
        h = self.knots[first + 1] - self.knots[first]
        slope = np.zeros(len(self.knots))
        slope[first], slope[first + 1] = -1 / h, 1 / h
        at, after = self.curvature[first], self.curvature[first + 1]
        return np.stack([slope - h * (2 * at + after) / 6, slope + h * (at + 2 * after) / 6])


def _curves(knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D and B of Wood's table 5.1: B times the inner second derivatives is D times the values."""
    h = np.diff(knots)
    k = len(knots)
    D, B = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    i = np.arange(k - 2)
    D[i, i], D[i, i + 1], D[i, i + 2] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    B[i, i] = (h[:-1] + h[1:]) / 3
    B[i[:-1], i[1:]] = B[i[1:], i[:-1]] = h[1:-1] / 6
    return D, B
