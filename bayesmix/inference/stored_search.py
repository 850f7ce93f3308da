"""Maximising Laplace's approximation where each evaluation is several passes over a file.

Evaluations are saved in three ways: a sample of the rows, in memory, says where the optimum is
about and how the criterion bends there; from there quasi-Newton steps go on with all rows, with
the curvature of the sample, and for the coefficients with that of the equations of all rows; and
each mode of the effects is sought from the last one.
"""

from __future__ import annotations

import time

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.announce import announce
from bayesmix.inference.empirical import blas_threads
from bayesmix.inference.laplace import (
    LaplaceOptimum,
    Priors,
    WarmMarginal,
    hessian,
    inner_mode,
    maximise_laplace,
    optimum_of,
    run_from,
    search_of,
    search_units,
)
from bayesmix.inference.sample_of_rows import Sample, sample_of_rows
from bayesmix.inference.search import HUGE, LARGEST_CORRELATION, Point, Search

__all__ = ["maximise_in_passes"]

_STEPS, _HALVINGS = 60, 12
_LEFT = 1e-9  # of the criterion, which one more step would gain
_LEAST_CURVATURE = 1e-3
_NEAR_ZERO = np.log(0.1)  # of a standard deviation, in its unit
_MANY = 1_000_000  # rows, of which a pass takes a good part of a second
_LONGEST = 2.0  # of a step, in logarithms and units


def maximise_in_passes(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, link_start: float
) -> LaplaceOptimum:
    """Find the best theta, family parameters and fixed effects of rows that are on disk.

    Parameters
    ----------
    gp : GlmmProblem
        Whose rows are stored.
    co, prior, priors, link_start
        As of `maximise_laplace`.
    """
    begin = time.perf_counter()
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    if gp.rows.n_obs > _MANY:
        announce(f"Going over {gp.rows.n_obs:,} rows in a temporary file ...", progress=True)
    with blas_threads(gp.problem):
        sample = sample_of_rows(gp)
        near = maximise_laplace(sample.gp, co, prior, priors, link_start)
        B = hessian(sample.gp, co, prior, priors, near.x, near.u, np.ones(len(near.x), dtype=bool))
        gp.known.clear()  # the equations are those of the sample
        marginal = WarmMarginal(gp, co, fixed, priors, near.u)
        marginal.u[:] = near.u
        search = search_of(marginal)
        search.polish = False
        scale = search_units(gp, len(near.x))
        x = near.x / scale
        best = None
        if near.theta.converged and _is_inside(search, x):
            best = _descend(search, x, _metric(marginal, near.x, B, sample))
        if best is None:  # to zero, perhaps, and never from there: what is small starts large
            n_sd = co.n_sd
            start = x.copy()
            small = search.may_be_zero & (start[:n_sd] < search.unit + _NEAR_ZERO)
            start[:n_sd][small] = search.unit[small] + np.log(0.5)
            start[n_sd : co.n_x] = np.clip(start[n_sd : co.n_x], -1.0, 1.0)
            best = run_from(search, start)
        return optimum_of(marginal, search, best, 1, time.perf_counter() - begin)


def _metric(marginal: WarmMarginal, x: np.ndarray, B: np.ndarray, sample: Sample) -> np.ndarray:
    """About the Hessian of the criterion of all rows, positive definite, in the search's units.

    The sample says it of theta, where its levels are those of all rows, and of the family's
    parameters by the number of rows; the equations of all rows at the sample's optimum say it
    of the coefficients.
    """
    gp, co = marginal.gp, marginal.co
    n_x, p = len(x), gp.problem.n_fixed
    grow = np.ones(n_x)
    grow[: co.n_x] = sample.levels
    grow[co.n_x :] = sample.rows
    B = 2.0 * B * np.sqrt(grow[:, None] * grow)
    if p:
        # The factor of the equations ends with the coefficients, given the effects' mode.
        eq = gp.problem.equations
        mode = inner_mode(
            gp, np.ascontiguousarray(factors_at(co, x).L), gp.phi.values(x[co.n_x : n_x - p]),
            FixedPrior(np.eye(p), x[n_x - p :]), beta=x[n_x - p :], u=marginal.u,
            with_fixed=False,
        )  # fmt: skip
        r = len(eq.root_y) - p
        if mode.status == 1:
            marginal.u[:] = mode.u
            C = np.tril(mode.root[r:, r:])
            unit = search_units(gp, n_x)[n_x - p :]
            at = slice(n_x - p, None)
            B[at], B[:, at] = 0.0, 0.0
            B[at, at] = 2.0 * (C @ C.T - np.eye(p)) * unit[:, None] * unit
    values, vectors = np.linalg.eigh((B + B.T) / 2)
    if not np.isfinite(values).all():
        return np.eye(n_x)
    return np.asarray((vectors * np.maximum(values, _LEAST_CURVATURE)) @ vectors.T)


def _descend(search: Search, x: np.ndarray, B: np.ndarray) -> Point | None:
    """Quasi-Newton steps with a Hessian that is about known (BFGS); None where they do not end.

    They do not where a standard deviation goes to zero or a correlation to its bound: what is to
    be done there the search knows.

    References
    ----------
    Nocedal, J. and Wright, S. J. (2006). Numerical Optimization, 2nd ed., chapter 6. Springer.
    """
    value, gradient = search.value(x)
    for _ in range(_STEPS):
        if value >= HUGE or not _is_inside(search, x):
            return None
        step = -np.linalg.solve(B, gradient)
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
        if -0.5 * float(step @ gradient) < _LEFT:
            return Point(x, value, float(np.abs(gradient).max()), True, "the steps have ended")
        size = 1.0
        for _ in range(_HALVINGS):
            new = x + size * step
            new_value, new_gradient = search.value(new)
            if new_value <= value + 1e-4 * size * float(step @ gradient):
                break
            # The minimum of the parabola through what is known of the line.
            slope = float(step @ gradient)
            bend = new_value - value - size * slope
            size *= float(np.clip(-0.5 * slope * size / max(bend, 1e-300), 0.1, 0.5))
        else:  # rounding, or no way down
            left = -0.5 * float(step @ gradient)
            if left < 1e-6:
                largest = float(np.abs(gradient).max())
                return Point(x, value, largest, True, "rounding is all that is left")
            return None
        s, y = new - x, new_gradient - gradient
        Bs = B @ s
        sBs, sy = float(s @ Bs), float(s @ y)
        theta = 1.0 if sy >= 0.2 * sBs else 0.8 * sBs / (sBs - sy)  # Powell's damping
        y = theta * y + (1.0 - theta) * Bs
        B = B + np.outer(y, y) / float(s @ y) - np.outer(Bs, Bs) / sBs
        x, value, gradient = new, new_value, new_gradient
    return None


def _is_inside(search: Search, x: np.ndarray) -> bool:
    """Whether no standard deviation is near zero, and no correlation near its bound."""
    small = search.may_be_zero & (x[: search.n_sd] < search.unit + _NEAR_ZERO)
    corr = np.abs(x[search.n_sd : search.n_sd + search.n_corr])
    return not small.any() and bool((corr < 0.5 * LARGEST_CORRELATION).all())
