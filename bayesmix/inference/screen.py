"""An approximation of a dear density: a polynomial through points where it is known.

It says which proposed points are worth an evaluation. Chains that accept by it first and by the
density then have the density as their law, however rough the polynomial is; a rough one only
holds them up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from bayesmix.inference.proposal import Proposal

__all__ = ["Screen", "fit_screen"]

_DEGREES = (4, 3, 2)
_POINTS_EACH = 3  # for each coefficient
_ROUGHEST = 0.3  # error of a log density: with it three in four of what is let through are accepted
_FRACTION = 3.0  # logarithm of the usual weight over the least: 1 in 20 points are let through
_FAR = 20.0  # below the highest log density: what lies there is as good as nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A polynomial in whitened coordinates, constant along rays outside of the points' reach.

    Weights are held above a fraction of their usual size: where the polynomial is far too low,
    some points are let through all the same, and a chain that stays at one is not held for long.

    Attributes
    ----------
    proposal : Proposal
        Its centre and root whiten.
    powers : ndarray of int, shape (K, d)
    coefficients : ndarray, shape (K,)
    reach : float
        Largest length of a whitened point that was fitted.
    lowest, highest : float
        What values are held between.
    top : float
        The log density of which they are differences.
    least : float
        What logarithms of weights are held above.
    error : float
        That of a log density, by leaving points out.
    """

    proposal: Proposal
    powers: np.ndarray
    coefficients: np.ndarray
    reach: float
    lowest: float
    highest: float
    top: float
    least: float
    error: float

    def log_weights(self, X: np.ndarray, log_q: np.ndarray) -> np.ndarray:
        """Logarithms of approximate weights of points, shape (n,), from those of the proposal."""
        return np.maximum(self.log_density(X) - log_q, self.least)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Approximate log density of each point less the highest that is known, shape (n,)."""
        z = _whitened(self.proposal, X)
        length = np.sqrt((z * z).sum(axis=1))
        z *= np.minimum(1.0, self.reach / np.maximum(length, 1e-300))[:, None]
        return np.clip(_terms(z, self.powers) @ self.coefficients, self.lowest, self.highest)


def fit_screen(X: np.ndarray, log_density: np.ndarray, proposal: Proposal) -> Screen | None:
    """Fit a polynomial to known values of a log density.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    log_density : ndarray, shape (n,)
    proposal : Proposal

    Returns
    -------
    Screen or None
        None if no polynomial is near the values.
    """
    top = float(log_density.max(initial=-np.inf))
    near = log_density > top - _FAR
    z, below = _whitened(proposal, X[near]), top - log_density[near]
    n, d = z.shape
    weight = np.exp(-below / 2)  # chains are where the density is high
    usual = float(np.average(-below - proposal.log_density(X[near]), weights=weight)) if n else 0.0
    found: Screen | None = None
    for degree in _DEGREES:
        powers = _powers(d, degree)
        if len(powers) * _POINTS_EACH > n:
            continue
        A = _terms(z, powers) * np.sqrt(weight)[:, None]
        Q, R = np.linalg.qr(A)
        if np.abs(np.diag(R)).min() < 1e-10 * np.abs(np.diag(R)).max():
            continue
        y = -below * np.sqrt(weight)
        by_points = Q.T @ y
        left_out = (y - Q @ by_points) / np.maximum(1 - (Q * Q).sum(axis=1), 1e-3)
        error = float(np.sqrt(left_out @ left_out / weight.sum()))
        if error < (_ROUGHEST if found is None else found.error):
            found = Screen(
                proposal=proposal, powers=powers, coefficients=np.linalg.solve(R, by_points),
                reach=float(np.sqrt((z * z).sum(axis=1)).max()), lowest=-_FAR, highest=1.0, top=top,
                least=usual - _FRACTION, error=error,
            )  # fmt: skip
    return found


def _whitened(proposal: Proposal, X: np.ndarray) -> np.ndarray:
    return np.linalg.solve(proposal.root, (X - proposal.center).T).T


def _powers(d: int, degree: int) -> np.ndarray:
    """Exponents of all monomials of at most that degree."""
    found = [p for p in itertools.product(range(degree + 1), repeat=d) if sum(p) <= degree]
    return np.asarray(found, dtype=np.int64).reshape(-1, d)


def _terms(z: np.ndarray, powers: np.ndarray) -> np.ndarray:
    out = np.ones((len(z), len(powers)))
    for j in range(z.shape[1]):
        out *= z[:, j, None] ** powers[:, j]
    return out
