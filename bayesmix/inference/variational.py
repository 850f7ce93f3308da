"""The normal law of the group effects that is nearest to the one given the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.glmm.problem import GlmmProblem

__all__ = ["nearest_normal"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_STEPS = 60
_CLOSE = 1e-9  # of a linear predictor


def nearest_normal(
    gp: GlmmProblem,
    predictor: LinearPredictor,
    roots: Mapping[str, np.ndarray],
    phi: np.ndarray,
    fixed: np.ndarray,
    u: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], RowVariance] | None:
    """Find the mean and the covariance that are nearest in Kullback and Leibler's divergence.

    At a mode the rows' scores balance the effects; here their expectations do, and so the
    means of the rows come out right where groups are small and effects are skewed.

    Parameters
    ----------
    gp : GlmmProblem
    predictor : LinearPredictor
    roots : mapping of str to ndarray, shape (q, q)
        With b = root u.
    phi : ndarray
        The family's parameters.
    fixed : ndarray, shape (n,)
        Linear predictor without the effects.
    u : mapping of str to ndarray, shape (G, q)
        Where the search starts: the mode.

    Returns
    -------
    u : dict of str to ndarray, shape (G, q)
        The mean.
    covariance : RowVariance
        Covariance of the effects, the fixed effects being known.
    None, where the search does not converge.

    References
    ----------
    Ormerod, J. T. and Wand, M. P. (2012). Gaussian variational approximate inference for
    generalized linear mixed models. Journal of Computational and Graphical Statistics 21,
    2-17.
    """
    known = replace(predictor, X=np.zeros((predictor.n_obs, 0)))
    nothing, no_prior = known.X, np.zeros((0, 0))
    Z = {g.name: g.Z for g in predictor.groups}
    index = {g.name: g.index for g in predictor.groups}
    V = {g.name: g.Z @ roots[g.name] for g in predictor.groups}
    u = {name: values.copy() for name, values in u.items()}

    def linear() -> np.ndarray:
        parts = (np.einsum("nk,nk->n", V[name], u[name][index[name]]) for name in V)
        return fixed + sum(parts)

    eta = linear()
    variance = np.zeros(len(eta))
    for _ in range(_STEPS):
        score, weights = _expected(gp, phi, eta, variance)
        if not (np.isfinite(score).all() and np.isfinite(weights).all()):
            return None
        found = row_variance(known, roots, np.maximum(weights, 0.0), no_prior)
        uphill = {}
        for g in predictor.groups:
            pull = np.stack(
                [np.bincount(g.index, score * v, minlength=g.n_levels) for v in V[g.name].T], axis=1
            )
            uphill[g.name] = pull - u[g.name]
        step = found.solve(uphill)
        before, varied = eta, variance
        u = {name: values + step[name] for name, values in u.items()}
        eta = linear()
        variance = found.of_rows(nothing, Z, index)
        change = max(np.abs(eta - before).max(), np.abs(variance - varied).max())
        if not np.isfinite(change):
            return None
        if change < _CLOSE:
            return u, found
    return None


def _expected(
    gp: GlmmProblem, phi: np.ndarray, eta: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected score and curvature of each row over its normal linear predictor."""
    rows, kernel, n = gp.rows, gp.kernel, len(eta)
    value, first, second, by_phi = np.empty(n), np.empty(n), np.empty(n), np.zeros(4)
    score, weights, sd = np.zeros(n), np.zeros(n), np.sqrt(variance)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        kernel(
            rows.link, n, rows.y, rows.trials, eta + node * sd, np.append(phi, 1.0), 2,
            value, first, second, by_phi,
        )  # fmt: skip
        score += weight * first
        weights -= weight * second
    return score, weights
