"""Links under which two linear predictors have one mean: on which side each level is.

Under a square root the mean is the square of the linear predictor. A row with a count
has no density at zero, so that the effects of a level have a mode on either side, and
a search stays on the sides where it began.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.empirical import blas_threads
from bayesmix.inference.laplace import (
    LaplaceOptimum,
    Priors,
    WarmMarginal,
    branch_of,
    linear_predictor,
    optimum_of,
    run_from,
    search_of,
    search_units,
    value_at,
)

__all__ = ["best_branches", "rows_below_zero"]

_MOST_LEVELS = 500
_ROUNDS = 10
_PARTS = (1.0, 0.5, 0.75, 1.25, 0.25)  # of the way to the other side, and beyond
_GAIN = 1e-4  # of the log density, to go over to the other side


def rows_below_zero(gp: GlmmProblem, co: Coordinates, optimum: LaplaceOptimum) -> int:
    """Number of rows with a count whose linear predictor is below zero."""
    return int((branch_of(gp, co, optimum.x, optimum.u) < 0).sum())


def best_branches(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors,
    optimum: LaplaceOptimum,
) -> LaplaceOptimum:  # fmt: skip
    """Go over to the other side with each level for which that is better, and search on.

    It begins at an optimum with all on the positive side, and at larger standard
    deviations, which make the other side likelier. With more than 500 levels the
    optimum is left where it is.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior, priors
        As in `maximise_laplace`.
    optimum : LaplaceOptimum

    Returns
    -------
    LaplaceOptimum
    """
    n_levels = int(gp.problem.equations.n_levels.sum())
    if not gp.link_is_even or n_levels > _MOST_LEVELS or not np.isfinite(optimum.loglik):
        return optimum
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    n_sd, best = co.n_sd, optimum
    with blas_threads(gp.problem):
        for shift in (0.0, np.log(2.0)):
            x = best.x.copy()
            x[:n_sd] += shift
            for _ in range(_ROUNDS):
                u = _other_sides(gp, co, fixed, priors, x, best.u)
                if u is None:
                    break
                found = _search_on(gp, co, fixed, priors, x, u, best)
                if not found.loglik > best.loglik + _GAIN:
                    break
                best, x = found, found.x
    return best


def _search_on(
    gp: GlmmProblem, co: Coordinates, fixed: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray, before: LaplaceOptimum,
) -> LaplaceOptimum:  # fmt: skip
    begin = time.perf_counter()
    marginal = WarmMarginal(gp, co, fixed, priors, u)
    marginal.u[:], marginal.branch = u, branch_of(gp, co, x, u)
    search = search_of(marginal)
    found = run_from(search, x / search_units(gp, len(x)))
    search.evaluations += before.theta.evaluations
    seconds = before.theta.seconds + time.perf_counter() - begin
    out = optimum_of(marginal, search, found, before.theta.starts + 1, seconds)
    return out if np.isfinite(out.u).all() else replace(out, loglik=-np.inf)


def _other_sides(
    gp: GlmmProblem, co: Coordinates, fixed: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Modes at x with levels on their better sides, one after the other; none if none moves."""
    rows, eq, L = gp.rows, gp.problem.equations, factors_at(co, x).L
    gradient, moved = np.empty(len(x)), False
    best_u = u.copy()
    value = value_at(gp, co, fixed, priors, x, best_u, gradient)
    for f, q in enumerate(eq.q.tolist()):
        block = L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q)
        Z = rows.Z[rows.z_start[f] : rows.z_start[f + 1]]
        level = rows.index[f] - rows.first[f]
        for g in range(int(eq.n_levels[f])):
            at = np.flatnonzero((level == g) & (rows.y > 0))
            if at.size == 0:
                continue
            eta = linear_predictor(gp, co, x, best_u)[at]
            step = np.linalg.lstsq(Z[:, at].T @ block, -2.0 * eta, rcond=1e-8)[0]
            start = int(rows.u_start[f]) + g * q
            base = best_u.copy()
            for part in _PARTS:
                other = base.copy()
                other[start : start + q] += part * step
                there = value_at(gp, co, fixed, priors, x, other, gradient)
                if there > value + _GAIN:
                    value, best_u, moved = there, other, True
    return best_u if moved else None
