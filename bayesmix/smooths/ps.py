"""P-splines: equally spaced B-splines under a penalty on differences of their coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.smooths.base import Basis, check_size
from bayesmix.smooths.points import distinct

__all__ = ["PSpline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PSpline(Basis):
    """A P-spline, a straight line beyond its range.

    Attributes
    ----------
    low, step : float
        First inner knot and distance of the knots, in units of the variable: the
        range of the data, widened by a thousandth at both ends, in equal intervals.
    n_intervals : int
    degree : int
        That of the B-splines, 3 by default.
    differences : int
        Order of the differences that are penalised, 2 by default.

    References
    ----------
    Eilers and Marx (1996), Statistical Science 11, 89-121; Wood (2017), section 5.3.3.
    """

    kind: ClassVar[str] = "ps"

    low: float
    step: float
    n_intervals: int
    degree: int
    differences: int

    @classmethod
    def learn(cls, values: np.ndarray, k: int | None = None, m: Any = None, *, name: str) -> Self:
        """Lay equal intervals over the range of the values.

        Parameters
        ----------
        values : ndarray, shape (n, 1)
        k : int, optional
            Number of B-splines, 10 by default.
        m : int or pair of int, optional
            Degree of the B-splines less one, and order of the differences; (2, 2).
        name : str
            The term as written, for errors.

        Raises
        ------
        DataError
        """
        if values.shape[1] != 1:
            raise DataError(
                f'{name}: bs="ps" takes one variable, not {values.shape[1]}; take bs="tp" or t2()'
            )
        order, differences = _orders(m, name)
        k = max(10, order + 2) if k is None else k
        check_size(name, k, max(order + 2, differences + 1), len(distinct(values)))
        low, high = float(values.min()), float(values.max())
        margin = 0.001 * (high - low)
        n_intervals = k - order - 1
        step = (high - low + 2 * margin) / n_intervals
        if not (np.isfinite(step) and low + step > low):
            raise DataError(f"{name}: its values lie between {low!r} and {high!r}; scale them")
        return cls(low=low - margin, step=step, n_intervals=n_intervals, degree=order + 1,
                   differences=differences)  # fmt: skip

    @property
    def n_coordinates(self) -> int:
        """Always 1."""
        return 1

    @property
    def n_columns(self) -> int:
        """Number of B-splines."""
        return self.n_intervals + self.degree

    @property
    def penalty(self) -> np.ndarray:
        """Sum of squared differences of neighbouring coefficients."""
        D = np.diff(np.eye(self.n_columns), n=self.differences, axis=0)
        result: np.ndarray = D.T @ D
        return result

    @property
    def null_space(self) -> np.ndarray:
        """Coefficients that are polynomials of their number, Legendre's."""
        places = np.linspace(-1, 1, self.n_columns)
        return np.polynomial.legendre.legvander(places, self.differences - 1)

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """B-splines at some values.

        Parameters
        ----------
        values : ndarray, shape (n, 1)

        Returns
        -------
        ndarray, shape (n, k)
        """
        x = (values[:, 0] - self.low) / self.step
        inside = np.clip(x, 0, self.n_intervals)
        X = self._splines(inside, self.degree)
        past = x != inside
        if past.any():
            # The derivative of a B-spline is a difference of two of one degree less.
            lower = self._splines(inside[past], self.degree - 1)
            edge = np.zeros((len(lower), 1))
            slopes = np.hstack([edge, lower]) - np.hstack([lower, edge])
            X[past] += (x - inside)[past, None] * slopes
        return X

    def _splines(self, x: np.ndarray, degree: int) -> np.ndarray:
        """B-splines of one degree, x in intervals from the first inner knot."""
        interval = np.clip(x.astype(np.int64), 0, self.n_intervals - 1)
        part = x - interval
        local = np.ones((len(x), 1))
        for d in range(1, degree + 1):  # de Boor's recursion, for knots at whole numbers
            rising = (part[:, None] + np.arange(d - 1, -1, -1)) / d
            grown = np.zeros((len(x), d + 1))
            grown[:, 1:] = rising * local
            grown[:, :-1] += (1 - rising) * local
            local = grown
        X = np.zeros((len(x), self.n_intervals + degree))
        X[np.arange(len(x))[:, None], interval[:, None] + np.arange(degree + 1)] = local
        return X


def _orders(m: Any, name: str) -> tuple[int, int]:
    """Read m: order of the splines and of the differences."""
    if m is None:
        return 2, 2
    pair = (m, m) if isinstance(m, int | np.integer) else m
    whole = isinstance(pair, list | tuple | np.ndarray) and len(pair) == 2
    if not (whole and all(isinstance(i, int | np.integer) for i in pair)):
        raise DataError(f"{name}: m={m!r} must be one or two whole numbers, such as (2, 2)")
    order, differences = int(pair[0]), int(pair[1])
    if not (0 <= order <= 10 and 1 <= differences <= 10):
        raise DataError(f"{name}: m={m!r} must lie between (0, 1) and (10, 10)")
    return order, differences
