"""The normal law of the group effects that is nearest to the one given the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.glmm.problem import GlmmProblem

__all__ = ["nearest_normal", "variances_by_level"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_STEPS = 60
_MOST = 20_000_000  # numbers, of products of two factors' levels
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
    no_prior = np.zeros((0, 0))
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
            own = u[g.name] if g.between is None else g.between.precision @ u[g.name]
            uphill[g.name] = pull - own
        step = found.solve(uphill)
        before, varied = eta, variance
        u = {name: values + step[name] for name, values in u.items()}
        eta = linear()
        if np.prod(found.B.shape) <= _MOST:
            variance = variances_by_level(found, V, index)
        else:
            variance = found.of_rows(known.X, Z, index)
        change = max(np.abs(eta - before).max(), np.abs(variance - varied).max())
        if not np.isfinite(change):
            return None
        if change < _CLOSE:
            return u, found
    return None


def variances_by_level(
    found: RowVariance, V: Mapping[str, np.ndarray], index: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Variance of each row's linear predictor, the fixed effects being known, shape (n,).

    As `RowVariance.of_rows`, by levels and not by rows: with t = K^-1 v for the eliminated
    factor, v' t + t' B S B' t - 2 t' B S w + w' S w, in which each row looks its blocks up.
    """
    S, starts, at = found.covariance, {}, 0
    for g in found.others:
        starts[g.name] = at
        at += g.n_levels * g.n_effects

    def places(name: str) -> np.ndarray:
        q = V[name].shape[1]
        return starts[name] + index[name][:, None] * q + np.arange(q)

    out = np.zeros(len(next(iter(V.values()))))
    for one in starts:
        for two in starts:
            for i, rows in enumerate(places(one).T):
                for j, columns in enumerate(places(two).T):
                    out += V[one][:, i] * V[two][:, j] * S[rows, columns]
    if found.first is not None:
        name, q = found.first.name, found.first.n_effects
        level, v = index[name], V[name]
        t = np.einsum("nij,nj->ni", found.K_inverse[level], v)
        BS = (found.B @ S).reshape(found.first.n_levels, q, len(S))
        out += np.einsum("ni,ni->n", t, v)
        B = found.B.toarray().reshape(BS.shape)
        out += np.einsum("ni,nij,nj->n", t, np.einsum("gim,gjm->gij", BS, B)[level], t)
        for other in starts:
            for j, columns in enumerate(places(other).T):
                for i in range(q):
                    out -= 2 * t[:, i] * V[other][:, j] * BS[level, i, columns]
    return out


def _expected(
    gp: GlmmProblem, phi: np.ndarray, eta: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected score and curvature of each row over its normal linear predictor."""
    rows, kernel, n = gp.rows, gp.kernel, len(eta)
    value, first, second, by_phi = np.empty(n), np.empty(n), np.empty(n), np.zeros(len(phi) + 4)
    score, weights, sd = np.zeros(n), np.zeros(n), np.sqrt(variance)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        kernel(
            rows.link, n, rows.y, rows.trials, eta + node * sd, np.append(phi, 1.0), 2,
            value, first, second, by_phi,
        )  # fmt: skip
        score += weight * first
        weights -= weight * second
    return score, weights
