"""Averages of rows with their joint law: what means, contrasts and joint tests are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse

from bayesmix.laws.combinations import Combinations
from bayesmix.laws.ran_away import RanAway, limits_along
from bayesmix.laws.rows import Rows

if TYPE_CHECKING:
    from bayesmix.inference.determined import Determined
    from bayesmix.laws.combinations import NormalEffects
    from bayesmix.laws.predictor import Predictor

__all__ = [
    "Averaged",
    "DrawnJointly",
    "Inverse",
    "Jointly",
    "NormalJointly",
    "coefficients_jointly",
    "normal_jointly",
    "of_categories",
    "replace_estimates",
]

_ROUNDING = 1e-11
Inverse = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """Rows, and the weights that make K averages of them.

    Attributes
    ----------
    rows : Rows
    weights : sparse matrix, shape (K, n)
    """

    rows: Rows
    weights: sparse.csr_matrix


class Jointly(ABC):
    """K quantities with their joint law."""

    __slots__ = ()

    @property
    @abstractmethod
    def estimate(self) -> np.ndarray:
        """Shape (K,)."""

    @property
    @abstractmethod
    def spread(self) -> np.ndarray:
        """Covariance matrix, shape (K, K)."""

    @property
    @abstractmethod
    def unknown(self) -> np.ndarray:
        """Which have no standard error, shape (K,)."""

    @abstractmethod
    def combined(self, C: np.ndarray) -> Self:
        """Linear combinations, C of shape (M, K)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalJointly(Jointly):
    """Quantities that are normal, as functions of the coefficients.

    Attributes
    ----------
    estimate : ndarray, shape (K,)
    spread : ndarray, shape (K, K)
    X : ndarray, shape (K, p)
        What they are of the fixed effects.
    rest : ndarray, shape (K, r)
        What they are of the effects of smooths.
    determined : Determined or None
        What is known of the fixed effects, where some may have run away.
    """

    estimate: np.ndarray
    spread: np.ndarray
    X: np.ndarray
    rest: np.ndarray
    determined: Determined | None = None

    @property
    def unknown(self) -> np.ndarray:
        """Which change along a direction of which nothing is known, shape (K,)."""
        if self.determined is None:
            return np.zeros(len(self.X), dtype=bool)
        return self.determined.lost(self.X)

    @property
    def untold(self) -> np.ndarray:
        """Which have no estimate, as no row says anything of them, shape (K,)."""
        if self.determined is None:
            return np.zeros(len(self.X), dtype=bool)
        return self.determined.unknown(self.X)

    @property
    def of_fixed(self) -> np.ndarray:
        """Which are functions of the fixed effects alone, shape (K,)."""
        size = np.abs(self.X).max(axis=1, initial=0.0)
        return np.asarray(np.abs(self.rest).max(axis=1, initial=0.0) <= 1e-10 * size)

    def combined(self, C: np.ndarray) -> NormalJointly:
        """Linear combinations, C of shape (M, K); what cancels is zero."""
        X, rest = cancelled(C, self.X), cancelled(C, self.rest)
        spread = C @ self.spread @ C.T
        nothing = ~(X.any(axis=1) | rest.any(axis=1))
        spread[nothing], spread[:, nothing] = 0.0, 0.0
        return NormalJointly(
            estimate=cancelled(C, self.estimate), spread=spread, X=X, rest=rest,
            determined=self.determined,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnJointly(Jointly):
    """Quantities that have draws.

    Attributes
    ----------
    draws : ndarray, shape (K, S)
    at : ndarray, shape (K,), or None
        Their values at the estimates, around which the draws are; None where the means of the
        draws are the estimates.
    X : ndarray, shape (K, p), or None
        What linear quantities of refits are of the fixed effects.
    gone : tuple of RanAway or None
        In each of S refits, directions along which the fixed effects have no finite estimate.
    """

    draws: np.ndarray
    at: np.ndarray | None = None
    X: np.ndarray | None = None
    gone: tuple[RanAway | None, ...] = ()

    @property
    def stated(self) -> np.ndarray:
        """Draws in which what ran away is infinite, or NaN, shape (K, S)."""
        beyond = None if self.X is None else limits_along(self.gone, self.X)
        return self.draws if beyond is None else self.draws + beyond

    @property
    def estimate(self) -> np.ndarray:
        """Values at the estimates, or means of the draws, shape (K,)."""
        return np.asarray(self.draws.mean(axis=1)) if self.at is None else self.at

    @property
    def spread(self) -> np.ndarray:
        """Covariance of the draws, shape (K, K)."""
        return np.atleast_2d(np.cov(self.draws))

    @property
    def unknown(self) -> np.ndarray:
        """Which ran away in some draw, shape (K,)."""
        if not self.gone:
            return np.zeros(len(self.draws), dtype=bool)
        return ~np.isfinite(self.stated).all(axis=1)

    def combined(self, C: np.ndarray) -> DrawnJointly:
        """Linear combinations, C of shape (M, K)."""
        at, X = (None if own is None else cancelled(C, own) for own in (self.at, self.X))
        return DrawnJointly(draws=cancelled(C, self.draws), at=at, X=X, gone=self.gone)


def replace_estimates(found: Jointly, at: np.ndarray) -> Jointly:
    """Put values at the estimates in the place of means of draws, which stay as the spread."""
    assert isinstance(found, DrawnJointly)  # noqa: S101
    return replace(found, at=at)


def cancelled(C: np.ndarray, values: np.ndarray) -> np.ndarray:
    """C times values, with zero for what is left of sums that cancel."""
    found = C @ values
    return np.where(np.abs(found) <= _ROUNDING * (np.abs(C) @ np.abs(values)), 0.0, found)


def normal_jointly(
    effects: NormalEffects, parts: Sequence[Averaged], estimate: np.ndarray | None = None,
    determined: Determined | None = None,
) -> NormalJointly:  # fmt: skip
    """Add up combinations of rows under the normal law of the effects.

    Parameters
    ----------
    effects : NormalEffects
    parts : sequence of Averaged
        K averages each.
    estimate : ndarray, shape (K,), optional
        The value of what the parts are the derivatives of; their own by default.
    determined : Determined, optional
    """
    found = [effects.combined((part.rows,), part.weights)[0] for part in parts]
    total = _sum(found)
    dense = [V.toarray() for V in total.V.values()]
    return NormalJointly(
        estimate=effects.mean(total) if estimate is None else estimate,
        spread=effects.covariance(total, total, pairs=True),
        X=np.asarray(total.X),
        rest=np.concatenate([np.zeros((len(total.X), 0)), *dense], axis=1),
        determined=determined,
    )


def of_categories(predictor: Predictor, part: Averaged) -> np.ndarray:
    """Draws of averages of each category's probability.

    Parameters
    ----------
    predictor : Predictor
    part : Averaged
        K averages.

    Returns
    -------
    ndarray, shape (K C, S)
        The C categories of an average behind each other.
    """
    P = predictor.category_block(slice(0, part.rows.n_rows))
    averages = np.stack([part.weights @ draws for draws in P], axis=1)
    return np.asarray(averages.reshape(-1, P.shape[-1]))


def coefficients_jointly(
    parts: Sequence[Averaged], beta: np.ndarray, known: Determined, inverse: Inverse | None
) -> NormalJointly:
    """Add up averages of rows of a predictor without effects, whose coefficients are normal.

    Parameters
    ----------
    parts : sequence of Averaged
        K averages each.
    beta : ndarray, shape (p,)
    known : Determined
        What is known of them.
    inverse : callable, optional
        From linear predictors to what is averaged: then by the delta method.
    """
    K = parts[0].weights.shape[0]
    estimate, X = np.zeros(K), np.zeros((K, len(beta)))
    for part in parts:
        rows = part.rows
        eta = rows.X @ beta + (0.0 if rows.offset is None else rows.offset)
        values, slope = eta, np.ones(len(eta))
        if inverse is not None:
            step = 1e-5 * (1.0 + np.abs(eta))
            values = inverse(eta)
            slope = (inverse(eta + step) - inverse(eta - step)) / (2 * step)
        estimate = estimate + part.weights @ values
        X = X + part.weights @ (slope[:, None] * rows.X)
    return NormalJointly(
        estimate=estimate, spread=X @ known.covariance @ X.T, X=X, rest=np.zeros((len(X), 0)),
        determined=known,
    )  # fmt: skip


def _sum(parts: Sequence[Combinations]) -> Combinations:
    first = parts[0]
    return Combinations(
        X=np.sum([part.X for part in parts], axis=0),
        offset=np.sum([part.offset for part in parts], axis=0),
        V={name: sum((part.V[name] for part in parts[1:]), first.V[name]) for name in first.V},
        new={name: sum((part.new[name] for part in parts[1:]), first.new[name])
             for name in first.new},
    )  # fmt: skip
