"""Separation: directions of the fixed effects along which a likelihood rises for ever.

A row of zeros among counts, or of nothing but failures or successes, has a likelihood that
rises to 1 as its linear predictor falls (or grows). Where a direction of the coefficients
moves such rows that way and no other row at all, there is no finite estimate, whatever the
group effects do: it holds row by row given them, and so for the integral.

References
----------
Albert, A. and Anderson, J. A. (1984). On the existence of maximum likelihood estimates in
logistic regression models. Biometrika 71(1), 1-10.

Konis, K. (2007). Linear programming algorithms for detecting separated data in binary
logistic regression models. DPhil thesis, University of Oxford.

Santos Silva, J. M. C. and Tenreyro, S. (2010). On the existence of the maximum likelihood
estimates in Poisson regression. Economics Letters 107(2), 310-312.

Geyer, C. J. (2009). Likelihood inference in exponential families and directions of
recession. Electronic Journal of Statistics 3, 259-289.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

__all__ = ["null_space", "rising_directions"]

_ROUNDING = 1e-9  # relative to the length of a row
_BEYOND = 1e-6  # of rows of length one: further than this from the hyperplane


def rising_directions(
    X: np.ndarray, rises: np.ndarray, score: np.ndarray | None = None
) -> np.ndarray:
    """Find the directions along which no row's likelihood falls and some rise for ever.

    Rows are separated by a direction d where x'd is not zero; d is one of recession if it
    moves each of these the way it rises. Separated rows are set aside, as in the limit they
    have the likelihood 1, and the others searched again. What the rows that are left do not
    determine is flat: there estimates run away, and what they do determine has the estimates
    and standard errors of these rows alone.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        A matrix of full column rank, its columns of one size.
    rises : ndarray, shape (n,)
        1 where a row's likelihood rises for ever with its linear predictor, -1 where it
        does as that falls, 0 where it has its maximum at a finite value.
    score : ndarray, shape (n,), optional
        Size of each row's derivative at an estimate. By Stiemke's lemma there is no such
        direction if positive numbers exist that weight the one-sided rows to zero, and
        near a finite estimate these can be had from the scores for the price of a step of
        Newton's method; linear programming costs a hundred times that.

    Returns
    -------
    ndarray, shape (p, k)
        An orthonormal basis; k is zero where the estimates are finite.
    """
    p = X.shape[1]
    one_sided = rises != 0
    basis = null_space(X[~one_sided], p)
    if not (basis.shape[1] and one_sided.any()):
        return np.zeros((p, 0))
    A = (X[one_sided] * rises[one_sided, None]) @ basis
    if score is not None and _balanced(A, score[one_sided]):
        return np.zeros((p, 0))
    size = np.sqrt(np.sum(A**2, axis=1))
    moved = size > _ROUNDING * np.sqrt(np.sum(X[one_sided] ** 2, axis=1))
    A = np.unique(np.round(A[moved] / size[moved, None], 12), axis=0)
    n_rows = len(A)
    while len(A):
        found = optimize.linprog(
            -A.mean(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=(-1, 1), method="highs"
        )
        beyond = A @ found.x > _BEYOND if found.x is not None else np.zeros(len(A), dtype=bool)
        if not beyond.any():
            break
        A = A[~beyond]
    if len(A) == n_rows:
        return np.zeros((p, 0))
    return np.asarray(basis @ null_space(A, basis.shape[1]))


def _balanced(A: np.ndarray, score: np.ndarray) -> bool:
    """Whether positive weights near the scores are found with which the rows add up to zero."""
    W = np.where(np.isfinite(score), score, 0.0)
    if not (W > 0).all():
        return False
    H = (A.T * W) @ A
    values = np.linalg.eigvalsh(H)
    if not values[0] > 1e-8 * values[-1]:
        return False
    return bool((A @ np.linalg.solve(H, A.T @ W)).max() < 0.99)  # of weights W (1 - this)


def null_space(A: np.ndarray, p: int) -> np.ndarray:
    """Find what rows do not determine.

    Parameters
    ----------
    A : ndarray, shape (n, p)
    p : int

    Returns
    -------
    ndarray, shape (p, k)
        An orthonormal basis of the directions in which no row moves.
    """
    if not len(A):
        return np.eye(p)
    values, vectors = np.linalg.eigh(A.T @ A)
    # Squares lose half of the digits, and mostly say already that there is nothing.
    if values[0] > 1e-8 * values[-1]:
        return np.zeros((p, 0))
    R = np.linalg.qr(A, mode="r")
    _, values, vectors = np.linalg.svd(R, full_matrices=True)
    rank = int(np.sum(values > 1e-11 * max(values[0], 1e-300)))
    return np.asarray(vectors[rank:].T)
