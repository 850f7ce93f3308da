"""Points and probabilities of a level's effects given the data, in several predictors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from bayesmix.design import GroupingFactor

__all__ = ["effect_points", "normal_points", "one_partition"]

_NODES = {1: 31, 2: 21, 3: 9}  # of each dimension
_POINTS = 2048  # where these are more dimensions
_MOST_EFFECTS = 6  # of a level, all predictors together
_MOST_VALUES = 50_000_000  # rows x points
_ROUNDS = 4


def one_partition(groups: Sequence[GroupingFactor]) -> bool:
    """Whether the levels of all factors are the same groups of rows, independent of each other."""
    return bool(groups) and all(
        g.smooth is None and g.integrates and not g.is_membership
        and g.n_levels == groups[0].n_levels and np.array_equal(g.index, groups[0].index)
        for g in groups
    )  # fmt: skip


def effect_points(
    log_density: Callable[[np.ndarray], np.ndarray], fixed: np.ndarray, V: np.ndarray,
    index: np.ndarray, mode: np.ndarray, weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:  # fmt: skip
    """Integrate over the effects of each level, by points that follow their moments.

    Parameters
    ----------
    log_density : callable
        From linear predictors, shape (m, n), to the rows' log densities, shape (n,).
    fixed : ndarray, shape (m, n)
        Linear predictors without the effects.
    V : ndarray, shape (m, n, d)
        Columns of the standardised effects in each predictor.
    index : ndarray of int, shape (n,)
        Level of each row.
    mode : ndarray, shape (G, d)
    weights : ndarray, shape (n, m, m)
        Curvature of each row's log density at the mode.

    Returns
    -------
    u : ndarray, shape (G, K, d)
    probability : ndarray, shape (G, K)
        Or None where the effects, or the rows, are too many.

    References
    ----------
    Naylor, J. C. and Smith, A. F. M. (1982). Applications of a method for the efficient
    computation of posterior distributions. Applied Statistics 31, 214-225.
    """
    n_levels, d = mode.shape
    if d > _MOST_EFFECTS:
        return None
    z, log_weight = normal_points(d)
    if len(z) * len(index) > _MOST_VALUES:
        return None
    centre, root = mode, _first_root(V, weights, index, n_levels)
    for _ in range(_ROUNDS):
        u = centre[:, None] + np.einsum("gij,kj->gki", root, z)
        terms = log_weight + np.sum(z**2, axis=1) / 2 - np.sum(u**2, axis=2) / 2
        for k in range(len(z)):
            eta = fixed + np.einsum("mnd,nd->mn", V, u[index, k])
            terms[:, k] += np.bincount(index, log_density(eta), n_levels)
        terms[np.isnan(terms)] = -np.inf
        probability = np.exp(terms - terms.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
        centre = np.einsum("gk,gki->gi", probability, u)
        apart = u - centre[:, None]
        spread = np.einsum("gk,gki,gkj->gij", probability, apart, apart)
        root = np.linalg.cholesky(spread + 1e-12 * np.eye(d))
    return u, probability


def _first_root(V: np.ndarray, weights: np.ndarray, index: np.ndarray, n_levels: int) -> np.ndarray:
    d = V.shape[2]
    rows = np.einsum("jni,njk,knl->nil", V, weights, V).reshape(len(index), -1)
    total = np.stack([np.bincount(index, column, n_levels) for column in rows.T], axis=1)
    values, vectors = np.linalg.eigh(total.reshape(-1, d, d) + np.eye(d))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1.0))[:, None])


def normal_points(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a standard normal distribution and logarithms of their weights.

    Parameters
    ----------
    d : int
        Number of dimensions.

    Returns
    -------
    ndarray, shape (K, d)
    ndarray, shape (K,)
    """
    if d in _NODES:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES[d])
        z = np.array(list(itertools.product(nodes, repeat=d)))
        log_weight = np.log(np.array(list(itertools.product(weights, repeat=d)))).sum(axis=1)
    else:
        from scipy import special
        from scipy.stats import qmc

        z = special.ndtri(qmc.Sobol(d, seed=np.random.default_rng(0)).random(_POINTS))
        log_weight = np.zeros(len(z))
    return z, log_weight - np.log(np.exp(log_weight).sum())
