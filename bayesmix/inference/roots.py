"""A search among the entries of the effects' Cholesky factors, for many correlated effects.

Where effects are combinations of fewer, correlations end at -1 and 1. Logarithms of standard
deviations and inverse hyperbolic tangents of partial correlations have no curvature there, and
of hundreds of such coordinates each digit takes hundreds of steps. In the entries of the factor
L of the covariance the criterion is smooth, also where its diagonal is zero (Bates et al.
2015), and the search is short.

References
----------
Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects models
using lme4. Journal of Statistical Software 67(1), section 2.
"""

from __future__ import annotations

import numpy as np

from bayesmix.covariance.vine import lower_factor, partials_of_factor
from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.criterion import WITH_FIXED
from bayesmix.gaussian.moments import LENGTH, LOG_DET_U, LOG_DET_X, moments
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.descent import descend
from bayesmix.inference.search import HUGE

__all__ = ["RootCriterion", "searched_among_roots"]

_MANY = 12  # coordinates; fewer are polished by Newton steps
# The least of the diagonal, in working units, where equations for derivatives keep ten digits. The
# sign of a column is no matter, so a diagonal entry may cross zero, and needs no bound there.
_SMALLEST = 1e-6
_FTOL, _GTOL = 1e-15, 1e-4


class RootCriterion:
    """REML criterion or ML deviance, with sigma at its best, as a function of the factors.

    Parameters
    ----------
    problem : Problem
    reml : bool
    """

    def __init__(self, problem: Problem, reml: bool) -> None:
        eq, p = problem.equations, problem.n_fixed
        self.eq, self.reml, self.known = eq, reml, float(problem.known_precision)
        self.n = float(eq.n_obs - (p if reml else 0))
        self.n_obs = float(eq.n_obs)
        self.squares = float(np.asarray(eq.yy).ravel()[0])
        self.levels = [int(n) for n in eq.n_levels]
        self.q = [int(q) for q in eq.q]
        self.prior, self.prior_y = np.zeros((p, p)), np.zeros(p)

    def __call__(self, roots: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        """Return the value, and its derivatives by the lower triangles' entries.

        Parameters
        ----------
        roots : list of ndarray, shape (q, q)
            Lower triangular, without zeros on the diagonals.
        """
        L = np.concatenate([root.ravel() for root in roots])
        E, U, scalars = np.empty(len(L)), np.empty(len(L)), np.empty(6)
        p, precision = len(self.prior_y), self.known if self.known > 0 else 1.0
        fine = moments(
            self.eq.ints, self.eq.floats, L, precision, self.prior, self.prior_y,
            WITH_FIXED if self.reml else 0, E, U, np.empty(p), np.empty((p, p)), scalars,
        )  # fmt: skip
        if not fine:
            return np.inf, [np.zeros_like(root) for root in roots]
        quadratic = max(self.squares * precision - float(scalars[LENGTH]), 1e-300)
        unit = 1.0 if self.known > 0 else quadratic / self.n
        value = scalars[LOG_DET_U] + (scalars[LOG_DET_X] if self.reml else 0.0)
        value += quadratic / unit + self.n * np.log(2 * np.pi * unit)
        if self.known > 0:
            value -= self.n_obs * np.log(self.known)
        by_roots, at = [], 0
        for root, n_levels in zip(roots, self.levels, strict=True):
            q = len(root)
            here = slice(at, at + q * q)
            by_log = (E[here] + U[here] / unit).reshape(q, q) - n_levels * np.eye(q)
            by_roots.append(-2.0 * np.tril(np.linalg.solve(root.T, by_log)))
            at += q * q
        return float(value), by_roots


def searched_among_roots(
    problem: Problem, co: Coordinates, x: np.ndarray, reml: bool, zero: np.ndarray, limit: float
) -> tuple[np.ndarray, int]:
    """Where a search among partial correlations had better begin: at the best factors.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
        Relative to sigma, without priors.
    x : ndarray
        A start.
    reml : bool
    zero : ndarray, shape (n_sd,)
        Logarithms of standard deviations that stand for zero.
    limit : float
        Largest inverse hyperbolic tangent of a partial correlation.

    Returns
    -------
    ndarray
        `x` itself where parameters are few, or covariances not free.
    int
        Evaluations that it took.
    """
    if co.n_all <= _MANY or co.n_all > co.n_x or not _are_free(co):
        return x, 0
    criterion = RootCriterion(problem, reml)
    lower = [np.tril_indices(q) for q in criterion.q]
    ends = np.cumsum([len(rows) for rows, _ in lower])
    diagonal = np.concatenate([rows == columns for rows, columns in lower])
    flat = factors_at(co, x).L
    blocks = np.split(flat, np.cumsum(np.square(criterion.q)))[:-1]
    start = np.concatenate(
        [block.reshape(q, q)[at] for block, q, at in zip(blocks, criterion.q, lower, strict=True)]
    )

    def roots(entries: np.ndarray) -> list[np.ndarray]:
        beyond = np.copysign(np.maximum(np.abs(entries), _SMALLEST), entries)
        safe = np.where(diagonal, beyond, entries)
        out = []
        for part, q, at in zip(np.split(safe, ends[:-1]), criterion.q, lower, strict=True):
            root = np.zeros((q, q))
            root[at] = part
            out.append(root)
        return out

    evaluations = 0

    def of(entries: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations
        evaluations += 1
        value, by_roots = criterion(roots(entries))
        gradient = [part[at] for part, at in zip(by_roots, lower, strict=True)]
        return (value if np.isfinite(value) else HUGE), np.concatenate(gradient)

    found = descend(of, start, np.full(start.size, np.inf), _FTOL, _GTOL)
    return _back(co, x, roots(found.x), zero, limit), evaluations


def _are_free(co: Coordinates) -> bool:
    """Whether each factor's effects have any covariance, with more than one effect somewhere."""
    one_each = co.n_blocks == len(co.q) and co.n_sd == len(co.effect_sd)
    free = all(structure.any_columns for structure in co.structures)
    return bool(one_each and free and max(co.q, default=0) > 1)


def _back(
    co: Coordinates, x: np.ndarray, roots: list[np.ndarray], zero: np.ndarray, limit: float
) -> np.ndarray:
    out = x.copy()
    for block, f in enumerate(np.asarray(co.block_factor).tolist()):
        q, at, first = int(co.q[f]), int(co.L_start[f]), int(co.sd_start[f])
        T = co.T[at : at + q * q].reshape(q, q)
        F = lower_factor(np.linalg.solve(T, roots[f]))
        size = np.sqrt((F**2).sum(axis=1))
        at_sd = co.effect_sd[first : first + q]
        out[at_sd] = np.maximum(np.log(np.maximum(size, 1e-300)), zero[at_sd])
        out[co.coordinates_of_block(block)] = partials_of_factor(F, limit)
    return out
