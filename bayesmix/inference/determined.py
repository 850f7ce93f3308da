"""What a likelihood says of the parameters at its maximum, and along what it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Determined", "determined_at"]

_FLAT = 1e-4  # curvature of a logarithm, or in units of a coefficient's own: a sd of 100
_REACH = 1e-2  # by ten units nothing moves along a flat direction that has a meaning
_NOISE = 1e-6  # of a curvature by differences
_ILL = 1e-4
_SHARE = 0.01
_EXACT = 1e-16
_ROUNDING = 1e-7  # relative to what adds up to a move


@dataclass(frozen=True, slots=True, kw_only=True)
class Determined:
    """Covariance of parameters, beside the directions along which the likelihood is flat.

    A flat direction has no part in the covariance. What does not change along it keeps its
    standard error; what does has none.

    Attributes
    ----------
    covariance : ndarray, shape (n, n)
    flat : ndarray, shape (n, k)
    floor : ndarray, shape (k,)
        Along each of them: what moves by a as the parameters move by one unit of the
        direction is held against a standard error as if its variance were a^2 / floor.
    silent : ndarray, shape (n, j)
        Flat directions in which no row moves that says anything: what moves along them has
        no estimate either, nor a limit that it tends to.
    """

    covariance: np.ndarray
    flat: np.ndarray
    floor: np.ndarray
    silent: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def moved(self, M: np.ndarray) -> Determined:
        """Return the same of M times the parameters."""
        return Determined(
            covariance=M @ self.covariance @ M.T, flat=M @ self.flat, floor=self.floor,
            silent=_without_noise(M, self.silent) if self.silent.size else self.silent,
        )  # fmt: skip

    def part(self, at: np.ndarray | slice) -> Determined:
        """Return the same of some of the parameters."""
        return Determined(
            covariance=self.covariance[at][:, at], flat=self.flat[at], floor=self.floor,
            silent=self.silent[at] if self.silent.size else self.silent,
        )  # fmt: skip

    def lost(self, A: np.ndarray) -> np.ndarray:
        """Say which linear combinations change along a flat direction.

        Parameters
        ----------
        A : ndarray, shape (m, n)

        Returns
        -------
        ndarray of bool, shape (m,)
        """
        if not self.flat.shape[1]:
            return np.zeros(len(A), dtype=bool)
        variance = np.einsum("mi,mi->m", A @ self.covariance, A)
        added = ((A @ self.flat) ** 2 / self.floor).sum(axis=1)
        return np.asarray(added > _SHARE * variance + 1e-300)

    def unknown(self, A: np.ndarray) -> np.ndarray:
        """Say of which linear combinations no row tells anything.

        Parameters
        ----------
        A : ndarray, shape (m, n)

        Returns
        -------
        ndarray of bool, shape (m,)
        """
        if not self.silent.size:
            return np.zeros(len(A), dtype=bool)
        moves, size = np.abs(A @ self.silent), np.abs(A) @ np.abs(self.silent)
        return np.asarray((moves > _ROUNDING * np.maximum(size, 1e-300)).any(axis=1))

    def variance(self, A: np.ndarray) -> np.ndarray:
        """Variance of linear combinations, NaN of those that are lost; shape (m,)."""
        variance = np.einsum("mi,mi->m", A @ self.covariance, A)
        return np.where(self.lost(A), np.nan, variance)

    def table(self) -> np.ndarray:
        """Covariance matrix with NaN in the rows and columns of the parameters that are lost."""
        out = self.covariance.copy()
        lost = self.lost(np.eye(len(out)))
        out[lost], out[:, lost] = np.nan, np.nan
        return out


def determined_at(
    along: Callable[[np.ndarray], np.ndarray], D: np.ndarray, is_log: np.ndarray,
    exactly_flat: np.ndarray,
) -> Determined:  # fmt: skip
    """Invert minus a Hessian where it is not flat.

    Where some of its eigenvalues are small it is taken again along its eigenvectors, each
    with a step in its own size, so that they are not lost beside the large ones.

    Parameters
    ----------
    along : callable
        From directions, shape (n, m), to minus the Hessian along them, shape (m, m).
    D : ndarray, shape (n, m)
        Directions in the size of standard errors, or of 1 for logarithms.
    is_log : ndarray of bool, shape (m,)
    exactly_flat : ndarray, shape (n, k)
        Directions that are known to be flat, apart from `D`.

    Returns
    -------
    Determined
        What is known of the n parameters. Directions of negative curvature are flat as
        well: no normal distribution has its mode there.
    """
    unit, values, vectors = _eigen(along(D), is_log)
    if values.size and values[0] < _ILL * max(float(values[-1]), 1.0):
        V = vectors * unit[:, None]
        # A logarithm moves by 1 at most, a coefficient by a hundred standard errors.
        most = np.maximum(np.abs(V) / np.where(is_log, 1.0, 100.0)[:, None], 1e-300).max(axis=0)
        size = np.minimum(1.0 / np.sqrt(np.maximum(values, 1e-300)), 1.0 / most)
        D = (D @ V) * size
        unit, values, vectors = _eigen(along(D), np.ones(len(values), dtype=bool))
    sure = values > _FLAT
    D = (D * unit) @ vectors
    half = D[:, sure] / np.sqrt(values[sure])
    return Determined(
        covariance=half @ half.T,
        flat=np.concatenate([exactly_flat, D[:, ~sure]], axis=1),
        floor=np.r_[np.full(exactly_flat.shape[1], _EXACT), np.full(int((~sure).sum()), _REACH)],
    )


def _without_noise(M: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """M times directions, zero where what adds up cancels."""
    out, size = M @ directions, np.abs(M) @ np.abs(directions)
    return np.where(np.abs(out) > _ROUNDING * size, out, 0.0)


def _eigen(H: np.ndarray, is_log: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units in which no curvature is above 1, with eigenvalues and eigenvectors in these.

    What is no logarithm has the curvature 1, unless it cannot be told from zero.
    """
    diagonal = np.diag(H)
    has_own = (diagonal > 1.0) | (~is_log & (diagonal > _NOISE))
    unit = 1.0 / np.sqrt(np.where(has_own, diagonal, 1.0))
    values, vectors = np.linalg.eigh(H * np.outer(unit, unit))
    return unit, values, vectors
