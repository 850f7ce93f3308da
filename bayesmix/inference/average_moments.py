"""Posterior moments of the group effects: conditional ones, averaged over draws of theta."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bayesmix.gaussian.conditional import add_moments, conditional_moments, to_formula_scale
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.draws import GroupMoments

__all__ = ["average_moments"]

_MOST_THETAS = 200
_PARTS = 4  # whatever the cores: sums would round differently


def average_moments(
    problem: Problem, co: Coordinates, prior: FixedPrior, X: np.ndarray, cores: int
) -> dict[str, GroupMoments]:
    """Average the conditional moments over some of the draws of theta.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
    prior : FixedPrior
    X : ndarray, shape (n, d)
        Draws of theta's coordinates, of which 200 are taken.
    cores : int
        Threads at the same time.

    Returns
    -------
    dict of str to GroupMoments
        By grouping factor.
    """
    chosen = X[np.linspace(0, len(X) - 1, min(_MOST_THETAS, len(X))).astype(int)]
    # Second moments are taken about beta at one theta: it may be large beside its spread.
    about = _moments_at(problem, co, prior, chosen[0])[0]

    def sums(part: np.ndarray) -> list[np.ndarray]:
        out = _sums_at(problem, co, prior, part[0], about)
        for x in part[1:]:
            _add(out, _sums_at(problem, co, prior, x, about))
        return out

    with ThreadPoolExecutor(max_workers=min(cores, _PARTS)) as pool:
        parts = pool.map(sums, np.array_split(chosen, min(_PARTS, len(chosen))))
        means = next(parts)
        for part in parts:
            _add(means, part)
    return _on_formula_scale(problem, about, *(total / len(chosen) for total in means))


def _add(totals: list[np.ndarray], more: list[np.ndarray]) -> None:
    for total, own in zip(totals, more, strict=True):
        np.add(total, own, out=total)


def _moments_at(
    problem: Problem, co: Coordinates, prior: FixedPrior, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of beta, mean and covariance blocks of b, and those of b with beta.

    In working units; on the formula's scale where levels are turned into combinations.
    """
    eq, p, known = problem.equations, problem.n_fixed, problem.known_precision
    if problem.turn is not None:
        found = conditional_moments(problem, co, x, prior, known=known)
        (b,), (b_var,), (cross,) = (v.values() for v in (found.b, found.b_var, found.cross))
        return found.beta, found.beta_cov, b.ravel(), b_var.ravel(), cross.reshape(b.size, p)
    n_u = int((eq.q * eq.n_levels).sum())
    beta, beta_cov, cross = np.empty(p), np.empty((p, p)), np.empty((n_u, p))
    b, b_cov = np.empty(n_u), np.empty(int((eq.q**2 * eq.n_levels).sum()))
    add_moments(eq, co, x, known, prior, True, beta, beta_cov, b, b_cov, cross)
    return beta, beta_cov, b, b_cov, cross


def _sums_at(
    problem: Problem, co: Coordinates, prior: FixedPrior, x: np.ndarray, about: np.ndarray
) -> list[np.ndarray]:
    """First moments of beta - `about` and b, and their second ones within a level."""
    beta, beta_cov, b, b_cov, cross = _moments_at(problem, co, prior, x)
    beta = beta - about
    beta_cov += np.outer(beta, beta)
    cross += b[:, None] * beta
    at = to = 0
    for q, n_levels in zip(problem.equations.q, problem.equations.n_levels, strict=True):
        own = b[at : at + q * n_levels].reshape(-1, q)
        blocks = b_cov[to : to + q * q * n_levels].reshape(-1, q, q)
        for i in range(q):
            for j in range(q):
                blocks[:, i, j] += own[:, i] * own[:, j]
        at, to = at + q * n_levels, to + q * q * n_levels
    return [beta, beta_cov, b, b_cov, cross]


def _on_formula_scale(
    problem: Problem, about: np.ndarray, beta: np.ndarray, beta_square: np.ndarray,
    b: np.ndarray, b_square: np.ndarray, cross: np.ndarray,
) -> dict[str, GroupMoments]:  # fmt: skip
    scaling, turned = problem.scaling, problem.turn is not None
    back, origin = np.eye(len(beta)), about
    if not turned:
        back, origin = np.linalg.inv(scaling.TX) * scaling.y_scale, about + scaling.beta_0
    center = back @ (beta + origin)
    beta_cov = back @ (beta_square - np.outer(beta, beta)) @ back.T
    out, at, to = {}, 0, 0
    for f, group in enumerate(problem.groups):
        q, n_levels = group.n_effects, group.n_levels
        T = np.eye(1) if turned else to_formula_scale(problem, f)
        own = b[at : at + q * n_levels].reshape(-1, q)
        square = b_square[to : to + q * q * n_levels].reshape(-1, q, q)
        mean = own @ T.T
        variance = np.einsum("ik,gkl,il->gi", T, square - own[:, :, None] * own[:, None, :], T)
        with_beta = cross[at : at + q * n_levels] - own.reshape(-1, 1) * beta
        covariance = T @ with_beta.reshape(n_levels, q, len(beta)) @ back.T
        total, total_variance = mean.copy(), variance.copy()
        for k, j in enumerate(group.fixed_column):
            if j is not None:
                total[:, k] += center[j]
                total_variance[:, k] += beta_cov[j, j] + 2 * covariance[:, k, j]
        out[group.name] = GroupMoments(
            mean=mean,
            sd=np.sqrt(np.maximum(variance, 0.0)),
            coefficient_mean=total,
            coefficient_sd=np.sqrt(np.maximum(total_variance, 0.0)),
        )
        at, to = at + q * n_levels, to + q * q * n_levels
    return out
