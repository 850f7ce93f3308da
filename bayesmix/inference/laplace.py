"""Maximising Laplace's approximation: empirical Bayes beyond the normal."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import optimize

from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.laplace import laplace
from bayesmix.glmm.mode import find_mode
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.glmm.rows import ROW_KERNELS
from bayesmix.inference.empirical import Optimum, Search, blas_threads, optimum_at, units

__all__ = [
    "InnerMode", "LaplaceOptimum", "hessian", "inner_mode", "log_marginal", "log_posterior",
    "maximise_laplace", "quadrature_optimum",
]  # fmt: skip

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


def _value(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
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


def start_of_laplace(gp: GlmmProblem, co: Coordinates, link_start: float) -> np.ndarray:
    """One unit of each working column, the family's parameters at 1, and beta to match."""
    n_sd, p = int(co.sizes[1]), gp.problem.n_fixed
    x = np.zeros(int(co.sizes[0]))
    x[:n_sd] = np.log(0.5) + units(gp.problem)
    x[:n_sd][co.prior_kind[:-1] == UNIFORM] = 0.0  # the middle of the interval
    phi = np.ones(len(gp.parameters))
    beta = np.zeros(p)
    names_constant = np.flatnonzero(np.ptp(gp.rows.X, axis=1) == 0) if p else np.zeros(0, int)
    if names_constant.size:
        beta[names_constant[0]] = link_start / gp.rows.X[names_constant[0], 0]
    elif p:  # no intercept: spread over the columns
        beta = np.linalg.lstsq(gp.rows.X.T, np.full(len(gp.rows.y), link_start), rcond=None)[0]
    found = inner_mode(
        gp, factors_at(co, x).L, phi, FixedPrior(1e-4 * np.eye(p), beta), beta=beta,
        u=np.zeros(gp.n_effects), with_fixed=True,
    )  # fmt: skip
    if found.status == 1 and np.abs(found.beta).max(initial=0.0) < 50:
        beta = found.beta
    return np.concatenate([x, np.log(phi), beta])


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
    u = np.zeros(gp.n_effects)

    def criterion(x: np.ndarray, gradient: np.ndarray) -> float:
        if not np.isfinite(u).all():
            u[:] = 0.0
        value = _value(gp, co, fixed, priors, x, u, gradient)
        if not np.isfinite(value):
            u[:] = 0.0
            value = _value(gp, co, fixed, priors, x, u, gradient)
        gradient *= -2.0
        return -2.0 * value

    with blas_threads(problem):
        search = Search(
            criterion, n_x, n_sd, d - n_sd, co.prior_kind[:-1] != UNIFORM, units(problem)
        )
        start = start_of_laplace(gp, co, link_start)
        best = search.run(start)
        starts = 1
        for shift in (np.log(0.2), np.log(4.0)):
            if best.converged:
                break
            other = start.copy()
            other[:n_sd] += shift
            found = search.run(other)
            starts += 1
            if found.criterion < best.criterion:
                best = found
        gradient = np.empty(n_x)
        criterion(best.x, gradient)
    at = factors_at(co, best.x)
    theta = optimum_at(
        problem, co, best, search, at.sd[:n_sd], at.C, 1.0, starts,
        time.perf_counter() - begin,
    )  # fmt: skip
    return LaplaceOptimum(theta=theta, x=best.x, u=u, loglik=-best.criterion / 2, gradient=gradient)


def hessian(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, x: np.ndarray,
    u: np.ndarray, free: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Minus the Hessian of the approximation, by central differences of its gradient.

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
    """
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    at = np.flatnonzero(free)
    H = np.empty((len(at), len(at)))
    up, down, work = np.empty(len(x)), np.empty(len(x)), u.copy()
    for row, i in enumerate(at.tolist()):
        step = np.zeros(len(x))
        step[i] = 1e-3
        work[:] = u
        _value(gp, co, fixed, priors, x + step, work, up)
        work[:] = u
        _value(gp, co, fixed, priors, x - step, work, down)
        H[row] = -(up - down)[at] / 2e-3
    return (H + H.T) / 2


def log_marginal(gp: GlmmProblem, co: Coordinates, x: np.ndarray, u: np.ndarray) -> float:
    """Approximate log-likelihood at x, leaving the equations with the weights there."""
    p = gp.problem.n_fixed
    return _value(gp, co, flat_prior(p), 0, np.ascontiguousarray(x), u.copy(), np.empty(len(x)))


def log_posterior(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, x: np.ndarray, u: np.ndarray
) -> float:
    """Approximate log posterior density of the coordinates x, up to a constant."""
    return _value(gp, co, prior, 2, np.ascontiguousarray(x), u.copy(), np.empty(len(x)))


def quadrature_optimum(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, start: LaplaceOptimum, n_points: int
) -> LaplaceOptimum:
    """Improve Laplace's optimum by adaptive Gauss-Hermite quadrature.

    Parameters
    ----------
    gp : GlmmProblem
        With one grouping factor and one effect.
    co : Coordinates
    prior : FixedPrior or None
        With the priors' part as in `maximise_laplace` with `priors` 1.
    start : LaplaceOptimum
    n_points : int

    Returns
    -------
    LaplaceOptimum
    """
    begin = time.perf_counter()
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_points)
    log_weights = np.log(weights) + nodes**2 / 2
    d = int(co.sizes[0])
    n_phi = len(gp.parameters)
    rows = gp.rows
    level = rows.index[0] - rows.first[0]
    n, n_levels = len(rows.y), gp.n_effects
    value, first, second = np.empty(n), np.empty(n), np.empty(n)
    u_start = start.u.copy()
    kernel = ROW_KERNELS[gp.family]
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    evaluations = 0

    def minus(x: np.ndarray) -> float:
        nonlocal evaluations
        evaluations += 1
        x = np.ascontiguousarray(x)
        L = factors_at(co, x).L
        phi = np.append(np.exp(x[d : d + n_phi]), 1.0)
        beta = x[d + n_phi :]
        mode = inner_mode(gp, L, phi, fixed, beta=beta, u=u_start, with_fixed=False)
        if mode.status != 1:
            return 1e300
        scale = 1.0 / mode.K[:n_levels]  # of the Cholesky factor of the curvature
        z = rows.Z[0] * L[0]
        base = mode.eta - z * mode.u[level]
        terms = np.empty((len(nodes), n_levels))
        for k, node in enumerate(nodes):
            u = mode.u + scale * node
            eta = base + z * u[level]
            kernel(
                rows.sizes[4], n, rows.y, rows.trials, eta, phi, 2, value, first, second,
                np.zeros(4),
            )  # fmt: skip
            terms[k] = np.bincount(level, value, minlength=n_levels) - u**2 / 2 + log_weights[k]
        top = terms.max(axis=0)
        total = top + np.log(np.exp(terms - top).sum(axis=0)) + np.log(scale)
        result = float(total.sum()) - n_levels * 0.5 * float(np.log(2 * np.pi))
        if prior is not None:
            gradient = np.empty(len(x))
            work = mode.u.copy()
            with_priors = _value(gp, co, fixed, 1, x, work, gradient)
            result += with_priors - _value(gp, co, fixed, 0, x, work, gradient)
        return -result

    found = optimize.minimize(minus, start.x, jac="3-point", method="BFGS", options={"gtol": 1e-5})
    x = np.ascontiguousarray(found.x)
    slope = float(np.abs(np.asarray(found.jac, dtype=np.float64)).max())
    at = factors_at(co, x)
    mode = inner_mode(
        gp, at.L, np.exp(x[d : d + n_phi]), fixed, beta=x[d + n_phi :], u=u_start, with_fixed=False
    )
    theta = replace(
        start.theta, x=x[:d], sd=at.sd[:1], criterion=2 * float(found.fun),
        evaluations=start.theta.evaluations + evaluations, gradient=slope,
        converged=slope < 1e-2, message=str(found.message),
        at_zero=at.sd[:1] < 1e-12, seconds=time.perf_counter() - begin,
    )  # fmt: skip
    return LaplaceOptimum(
        theta=theta, x=x, u=mode.u, loglik=-float(found.fun), gradient=np.asarray(found.jac)
    )
