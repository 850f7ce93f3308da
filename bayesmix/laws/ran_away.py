"""Directions along which a refit's estimates ran away, and what moves with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

__all__ = ["RanAway", "limits_along", "ran_away_along"]

_ROUNDING = 1e-7  # relative to what adds up to a move
_CONE = 1e-6  # of a vector of length one: further than this from the cone
_MANY = 60  # rows that separate, of which more are thinned out
_SURE = 0.25  # cosine with where a search went, where no row says which way is up


@dataclass(frozen=True, slots=True, kw_only=True)
class RanAway:
    """What has no finite estimate: the coefficients move without a bound along k directions.

    Attributes
    ----------
    directions : ndarray, shape (p, k)
        They are those of the coefficients, on the scale of the formula.
    upwards : ndarray, shape (m, k)
        Combinations of the directions, each of length one, that grow for ever on every way on
        which the likelihood rises to its bound: the linear predictors of the separated rows,
        each the way that it rises. A combination of coefficients grows for ever if it is a sum
        of these with positive weights, falls if its negative is, and else can be any number.
    is_exact : bool
        Whether `upwards` holds them all. Otherwise it is the one along which a search went, and
        tells the way of what moves along it mainly.
    thresholds : ndarray, shape (T, k), or None
        The same of the thresholds of ordered categories.
    with_sds : bool
        Whether standard deviations of group effects grow with them: effects that reproduce every
        outcome.
    """

    directions: np.ndarray
    upwards: np.ndarray
    is_exact: bool = True
    thresholds: np.ndarray | None = None
    with_sds: bool = False

    def of(self, columns: slice) -> RanAway:
        """The same of some of the coefficients."""
        return replace(self, directions=self.directions[columns], thresholds=None)

    def limits(self, A: np.ndarray) -> np.ndarray:
        """Where linear combinations of the coefficients tend to.

        Parameters
        ----------
        A : ndarray, shape (m, p)

        Returns
        -------
        ndarray, shape (m,)
            Infinite where they have no bound, NaN where they can be any number, 0 where they do
            not move.
        """
        return self._limits(A @ self.directions, np.abs(A) @ np.abs(self.directions))

    def limits_of_thresholds(self) -> np.ndarray:
        """The same of the thresholds, shape (T,)."""
        assert self.thresholds is not None  # noqa: S101
        return self._limits(self.thresholds, np.abs(self.thresholds).max(initial=0.0))

    # -- inside ---------------------------------------------------------------

    def _limits(self, moves: np.ndarray, sizes: np.ndarray | float) -> np.ndarray:
        moves = np.where(np.abs(moves) <= _ROUNDING * np.asarray(sizes), 0.0, moves)
        out = np.zeros(len(moves))
        length = np.sqrt((moves**2).sum(axis=1))
        moved = np.flatnonzero(length > 0)
        if not moved.size:
            return out
        ways, back = np.unique(
            np.round(moves[moved] / length[moved, None], 9), axis=0, return_inverse=True
        )
        out[moved] = np.asarray([self._limit(way) for way in ways])[back.reshape(-1)]
        return out

    def _limit(self, way: np.ndarray) -> float:
        """Limit of one combination of the directions, of length one."""
        if not self.is_exact:
            along = float(self.upwards[0] @ way)
            return float(np.copysign(np.inf, along)) if abs(along) > _SURE else np.nan
        if len(way) == 1:
            return float(np.copysign(np.inf, way[0] * self.upwards[0, 0]))
        for sign in (1.0, -1.0):
            if optimize.nnls(self.upwards.T, sign * way)[1] < _CONE:
                return sign * np.inf
        return np.nan


def ran_away_along(
    directions: np.ndarray, rows: np.ndarray, reaches: np.ndarray,
    thresholds: np.ndarray | None = None,
) -> RanAway:  # fmt: skip
    """Gather directions and the rows that separate along them.

    Parameters
    ----------
    directions : ndarray, shape (p, k)
    rows : ndarray, shape (n, k)
        How the linear predictors of one-sided rows move along the directions, each the way
        that its likelihood rises; those that do not move are left out.
    reaches : ndarray of bool, shape (p,)
        Coefficients that move more than by rounding.
    thresholds : ndarray, shape (T, k), optional

    Returns
    -------
    RanAway
    """
    length = np.sqrt((rows**2).sum(axis=1))
    kept = length > _ROUNDING * length.max(initial=0.0)
    unit = np.unique(np.round(rows[kept] / length[kept, None], 9), axis=0)
    return RanAway(
        directions=np.where(reaches[:, None], directions, 0.0),
        upwards=_generators(unit), thresholds=thresholds,
    )  # fmt: skip


def _generators(unit: np.ndarray) -> np.ndarray:
    """Vectors of length one without those that are sums of others, where there are many."""
    if unit.shape[1] == 1:
        return unit[:1]
    if unit.shape[1] == 2:  # in a plane the two outermost
        centre = unit.sum(axis=0)
        turned = np.arctan2(
            unit[:, 1] * centre[0] - unit[:, 0] * centre[1], unit @ centre
        )  # angles from the middle
        return unit[np.unique([turned.argmin(), turned.argmax()])]
    while len(unit) > _MANY:
        kept = np.ones(len(unit), dtype=bool)
        for k in range(len(unit)):
            kept[k] = False
            near = np.flatnonzero(kept)[np.argsort(-(unit[kept] @ unit[k]))[:_MANY]]
            kept[k] = optimize.nnls(unit[near].T, unit[k])[1] > _CONE
        if kept.all():
            break
        unit = unit[kept]
    return unit


def limits_along(gone: Sequence[RanAway | None], A: np.ndarray) -> np.ndarray | None:
    """Where linear combinations tend to in each of many refits.

    Parameters
    ----------
    gone : sequence of RanAway or None
        S of them; None where all is finite.
    A : ndarray, shape (m, p)

    Returns
    -------
    ndarray, shape (m, S), or None
        What is to be added to finite values; None where nothing is.
    """
    if all(one is None for one in gone):
        return None
    out = np.zeros((len(A), len(gone)))
    for k, one in enumerate(gone):
        if one is not None:
            out[:, k] = one.limits(A)
    return out
