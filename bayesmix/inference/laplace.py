"""Maximising Laplace's approximation: empirical Bayes beyond the normal."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.laplace import laplace
from bayesmix.glmm.mode import find_mode
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.empirical import (
    HUGE,
    Optimum,
    Point,
    Search,
    blas_threads,
    log_units,
    optimum_at,
)

__all__ = [
    "OUTSIDE", "InnerMode", "LaplaceOptimum", "curvature", "hessian", "inner_mode",
    "log_marginal", "log_posterior", "maximise_laplace", "search_units", "value_at",
]  # fmt: skip

OUTSIDE = "no finite density was found: the means leave what the family allows"
_TINY = np.log(0.02)

Priors = Literal[0, 1, 2]  # of the kernel: none, priors, priors and Jacobian


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceOptimum:
    """Where Laplace's approximation of the marginal likelihood is largest.

    Attributes
    ----------
    theta : Optimum
        Standard deviations and correlations, and how the search went.
    x : ndarray
        Coordinates of theta, logarithms of the family's parameters, working beta.
    u : ndarray
        Mode of the standardised group effects.
    loglik : float
        At the optimum, without the constants that the row kernels leave out.
    gradient : ndarray
        Of the criterion, in the units that `search_units` gives.
    """

    theta: Optimum
    x: np.ndarray
    u: np.ndarray
    loglik: float
    gradient: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerMode:
    """The mode of (u, beta) or of u given theta, with the factor of the Hessian there."""

    beta: np.ndarray
    u: np.ndarray
    K: np.ndarray
    panels: np.ndarray
    root: np.ndarray
    eta: np.ndarray
    weights: np.ndarray
    L: np.ndarray
    status: int


def value_at(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
    """Laplace's approximation at x and its gradient, as the kernel `laplace` gives them."""
    eq, rows = gp.problem.equations, gp.rows
    value: float = laplace(
        eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, gp.address(),
        prior.precision, prior.mean, x, priors, u, gradient,
    )  # fmt: skip
    return value


def inner_mode(
    gp: GlmmProblem, L: np.ndarray, phi: np.ndarray, prior: FixedPrior, *, beta: np.ndarray,
    u: np.ndarray, with_fixed: bool,
) -> InnerMode:  # fmt: skip
    """Find the mode of the effects given theta.

    Parameters
    ----------
    gp : GlmmProblem
    L : ndarray
        Flat triangular factors, as `expand` makes them.
    phi : ndarray
    prior : FixedPrior
    beta, u : ndarray
        Starts; not changed.
    with_fixed : bool
        Whether beta is at its mode as well.

    Returns
    -------
    InnerMode
    """
    eq, rows = gp.problem.equations, gp.rows
    n, n_root = len(rows.y), len(eq.root_y)
    beta, u = beta.copy(), u.copy()
    K, panels, root = np.empty(len(eq.K)), np.empty(len(eq.panel)), np.empty((n_root, n_root))
    eta, first, second = np.empty(n), np.empty(n), np.empty(n)
    status = find_mode(
        eq.ints, eq.floats, rows.ints, rows.floats, gp.address(), L,
        np.append(np.asarray(phi, dtype=np.float64), 1.0), int(with_fixed), prior.precision,
        prior.mean, beta, u, K, panels, root, eta, first, second, np.empty(6),
    )  # fmt: skip
    return InnerMode(
        beta=beta,
        u=u,
        K=K,
        panels=panels,
        root=root,
        eta=eta,
        weights=-second,
        L=L,
        status=int(status),
    )


def search_units(gp: GlmmProblem, n_x: int) -> np.ndarray:
    """Unit of each of n_x coordinates: that of the linear predictor for beta, 1 for logarithms."""
    out = np.ones(n_x)
    out[n_x - gp.problem.n_fixed :] = gp.link_unit
    return out


def start_of_laplace(
    gp: GlmmProblem, co: Coordinates, link_start: float
) -> tuple[np.ndarray, np.ndarray]:
    """Start in units of the response and of each working column, with effects to match.

    Returns
    -------
    x : ndarray
    u : ndarray
        Effects at which the density is finite, if any were found.
    """
    n_sd, p, unit = int(co.sizes[1]), gp.problem.n_fixed, gp.link_unit
    x = np.zeros(int(co.sizes[0]))
    x[:n_sd] = np.log(0.5 * unit) + log_units(co)
    x[:n_sd][co.prior_kind[:-1] == UNIFORM] = 0.0  # the middle of the interval
    beta, u = np.zeros(p), np.zeros(gp.n_effects)
    names_constant = np.flatnonzero(np.ptp(gp.rows.X, axis=1) == 0) if p else np.zeros(0, int)
    if names_constant.size:
        beta[names_constant[0]] = link_start / gp.rows.X[names_constant[0], 0]
    elif p:  # no intercept: spread over the columns
        beta = np.linalg.lstsq(gp.rows.X.T, np.full(len(gp.rows.y), link_start), rcond=None)[0]
    found = inner_mode(
        gp, factors_at(co, x).L, gp.phi_start, FixedPrior(1e-4 / unit**2 * np.eye(p), beta),
        beta=beta, u=u, with_fixed=True,
    )  # fmt: skip
    if found.status == 1 and np.abs(found.beta).max(initial=0.0) < 50 * unit:
        beta, u = found.beta, found.u
    return np.concatenate([x, np.log(gp.phi_start), beta]), u


def maximise_laplace(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, link_start: float
) -> LaplaceOptimum:
    """Find the best theta, family parameters and fixed effects together.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior or None
        Of the working beta; None for flat.
    priors : {0, 1, 2}
        Maximum likelihood; the posterior mode of (sd, R, phi, beta); or that of the
        coordinates themselves.
    link_start : float
        Linear predictor of the mean response, for the intercept's start.

    Returns
    -------
    LaplaceOptimum
    """
    begin = time.perf_counter()
    problem = gp.problem
    fixed = flat_prior(problem.n_fixed) if prior is None else prior
    d, n_sd = int(co.sizes[0]), int(co.sizes[1])
    n_x = d + len(gp.parameters) + problem.n_fixed
    scale = search_units(gp, n_x)
    u, finite = np.zeros(gp.n_effects), np.zeros(gp.n_effects)

    def criterion(z: np.ndarray, gradient: np.ndarray) -> float:
        x = z * scale
        if not np.isfinite(u).all():
            u[:] = 0.0
        value = value_at(gp, co, fixed, priors, x, u, gradient)
        for other in (0.0, finite):
            if np.isfinite(value):
                finite[:] = u
                break
            u[:] = other
            value = value_at(gp, co, fixed, priors, x, u, gradient)
        gradient *= -2.0 * scale
        return -2.0 * value

    with blas_threads(problem):
        unit = log_units(co) + np.log(gp.link_unit)
        search = Search(criterion, n_x, n_sd, d - n_sd, co.prior_kind[:-1] != UNIFORM, unit)
        start, finite[:] = start_of_laplace(gp, co, link_start)
        start /= scale
        best = _run(search, start)
        starts = 1
        for shift in (np.log(0.2), np.log(4.0)):
            if best.converged:
                break
            other = start.copy()
            other[:n_sd] += shift
            best = _better(best, _run(search, other))
            starts += 1
        # At a tiny standard deviation no gradient says that a large one is better.
        tiny = (best.x[:n_sd] < unit + _TINY) & (best.x[:n_sd] > search.zero) & search.may_be_zero
        if tiny.any():
            other = best.x.copy()
            other[:n_sd][tiny] = unit[tiny] + np.log(0.5)
            best = _better(best, _run(search, other))
            starts += 1
        gradient = np.empty(n_x)
        criterion(best.x, gradient)
    x = best.x * scale
    at = factors_at(co, x)
    theta = optimum_at(
        problem, co, best, search, at.sd[:n_sd], at.C, gp.link_unit, starts,
        time.perf_counter() - begin,
    )  # fmt: skip
    return LaplaceOptimum(
        theta=replace(theta, sigma=1.0), x=x, u=u, loglik=-best.criterion / 2, gradient=gradient
    )


def _run(search: Search, start: np.ndarray) -> Point:
    """Search from a start; one without a finite density has a gradient of zero as well."""
    found = search.run(start)
    if not found.criterion < HUGE:
        found.converged = False
        found.message = OUTSIDE
    return found


def _better(best: Point, found: Point) -> Point:
    """Of two ends of a search the lower; of equal ones that which has converged."""
    room = 1e-6 if found.converged and not best.converged else 0.0
    return found if found.criterion < best.criterion + room else best


def hessian(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, x: np.ndarray,
    u: np.ndarray, free: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Minus the Hessian of the approximation, by differences of its gradient.

    They are central where both sides are possible; a coordinate without any has zeros.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior or None
    priors : {0, 1, 2}
    x, u : ndarray
        The optimum; not changed.
    free : ndarray of bool
        Coordinates that count.

    Returns
    -------
    ndarray, shape (n_free, n_free)
        In the units that `search_units` gives.
    """
    return curvature(gp, co, prior, priors, x, u, np.diag(search_units(gp, len(x)))[:, free])


def curvature(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, x: np.ndarray,
    u: np.ndarray, directions: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Minus the Hessian of the approximation along directions, as `hessian` along coordinates.

    Parameters
    ----------
    gp, co, prior, priors, x, u
        As of `hessian`.
    directions : ndarray, shape (n_x, m)
        Each of the size over which a step of a thousandth is small, and not lost in rounding.

    Returns
    -------
    ndarray, shape (m, m)
    """
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    center = _gradient(gp, co, fixed, priors, x, u)
    m = directions.shape[1]
    H = np.zeros((m, m))
    for row in range(m):
        for size in (1e-3, 1e-4, 1e-5):
            step = size * directions[:, row]
            up, down = (_gradient(gp, co, fixed, priors, x + s * step, u) for s in (1, -1))
            width = size * ((up is not None) + (down is not None))
            if width < 2 * size and size > 1e-5:
                continue
            up, down = center if up is None else up, center if down is None else down
            if up is not None and down is not None and width > 0:
                H[row] = -(up - down) @ directions / width
            break
    return (H + H.T) / 2


def _gradient(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Gradient at x; None where the density is not finite."""
    gradient = np.empty(len(x))
    value = value_at(gp, co, prior, priors, x, u.copy(), gradient)
    return gradient if np.isfinite(value) and np.isfinite(gradient).all() else None


def log_marginal(gp: GlmmProblem, co: Coordinates, x: np.ndarray, u: np.ndarray) -> float:
    """Approximate log-likelihood at x, leaving the equations with the weights there."""
    p = gp.problem.n_fixed
    return value_at(gp, co, flat_prior(p), 0, np.ascontiguousarray(x), u.copy(), np.empty(len(x)))


def log_posterior(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, x: np.ndarray, u: np.ndarray
) -> float:
    """Approximate log posterior density of the coordinates x, up to a constant."""
    return value_at(gp, co, prior, 2, np.ascontiguousarray(x), u.copy(), np.empty(len(x)))
