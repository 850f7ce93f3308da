"""Variance parameters by name become coordinates again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayesmix.gaussian.problem import Problem

__all__ = ["pack_theta"]


def pack_theta(
    problem: Problem,
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    sigma: np.ndarray | None,
) -> np.ndarray:
    """Coordinates of given variance parameters, for `Problem.absolute_coordinates`.

    Parameters
    ----------
    problem : Problem
    sd : mapping of str to ndarray, shape (S, q)
        By grouping factor, on the scale of the formula.
    corr : mapping of str to ndarray, shape (S, q, q)
        For those grouping factors that have correlations.
    sigma : ndarray, shape (S,), or None
        None where the residual standard errors are known.

    Returns
    -------
    ndarray, shape (S, n_x)
    """
    co = problem.absolute_coordinates()
    n_draws = len(sigma) if sigma is not None else len(next(iter(sd.values())))
    X = np.zeros((n_draws, co.n_x))
    if sd:
        values = np.concatenate([sd[group.name] for group in problem.groups], axis=1)
        X[:, : values.shape[1]] = np.log(np.maximum(values, 1e-300))
    for block in range(co.n_blocks):
        group = problem.groups[int(co.block_factor[block])]
        first, size = int(co.block_first[block]), int(co.block_size[block])
        R = corr[group.name][:, first : first + size, first : first + size]
        at = int(co.block_x[block])
        C = _cholesky(R)
        for i in range(1, size):
            left = np.ones(n_draws)
            for j in range(i):
                z = np.clip(C[:, i, j] / np.maximum(left, 1e-300), -1 + 1e-15, 1 - 1e-15)
                X[:, at] = np.arctanh(z)
                left *= np.sqrt(1 - z**2)
                at += 1
    if sigma is not None:
        X[:, -1] = np.log(sigma)
    return X


def _cholesky(R: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(R)
    except np.linalg.LinAlgError:  # singular up to rounding
        return np.linalg.cholesky(R + 1e-12 * np.eye(R.shape[1]))
