"""Maximising Laplace's approximation: empirical Bayes beyond the normal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.laplace import laplace
from bayesmix.glmm.mode import find_mode
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.empirical import Optimum, blas_threads, log_units, optimum_at
from bayesmix.inference.passes import Passed, in_passes, laplace_in_passes
from bayesmix.inference.search import HUGE, Point, Search

__all__ = [
    "OUTSIDE", "InnerMode", "LaplaceOptimum", "WarmMarginal", "branch_of", "curvature", "hessian",
    "inner_mode", "linear_predictor", "log_marginal", "log_posterior", "maximise_laplace",
    "optimum_of", "run_from", "search_of", "search_units", "value_at",
]  # fmt: skip

OUTSIDE = "no finite density was found: the means leave what the family allows"
_TINY = np.log(0.02)
_FEW_ROWS = 2000  # up to which two more searches from a boundary cost little

Priors = Literal[0, 1, 2]  # of the kernel: none, priors, priors and Jacobian


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceOptimum:
    """Where Laplace's approximation of the marginal likelihood is largest.

    Attributes
    ----------
    theta : Optimum
        Standard deviations and correlations, and how the search went.
    x : ndarray
        Coordinates of theta and of the family's parameters, working beta.
    u : ndarray
        Mode of the standardised group effects.
    loglik : float
        At the optimum, without the constants that the row kernels leave out.
    gradient : ndarray
        Gradient of the criterion, in the units that `search_units` gives.
    """

    theta: Optimum
    x: np.ndarray
    u: np.ndarray
    loglik: float
    gradient: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerMode:
    """The mode of (u, beta) or of u given theta, with the factor of the Hessian there.

    Where rows are on disk there are no `eta` and no `weights`, and `passed` has what they are
    computed from.
    """

    beta: np.ndarray
    u: np.ndarray
    K: np.ndarray
    panels: np.ndarray
    root: np.ndarray
    eta: np.ndarray
    weights: np.ndarray
    L: np.ndarray
    status: int
    passed: Passed | None = None


def value_at(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: Priors, x: np.ndarray,
    u: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
    """Laplace's approximation at x and its gradient, as the kernel `laplace` gives them.

    Rows on disk are gone over as often as it takes.
    """
    eq, rows = gp.problem.equations, gp.rows
    if rows.is_stored:
        return laplace_in_passes(gp, co, prior, priors, x, u, gradient)
    value: float = laplace(
        eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, gp.address(),
        prior.precision, prior.mean, x, priors, u, gradient,
    )  # fmt: skip
    return value


class WarmMarginal:
    """Laplace's approximation along a search: each mode is sought from the last one found.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior
    priors : {0, 1, 2}
    u : ndarray
        Effects at which the density is finite, if any are known.

    Attributes
    ----------
    u : ndarray
        The mode where the approximation was last taken.
    branch : ndarray of int or None
        The branch of the link to stay on, as `branch_of` tells it; at first the positive.
    """

    def __init__(
        self, gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: Priors, u: np.ndarray
    ) -> None:
        self.gp, self.co, self.prior, self.priors = gp, co, prior, priors
        self.u, self._finite = np.zeros(gp.n_effects), u.copy()
        self.branch = (gp.rows.y > 0).astype(np.int64) if gp.link_is_even else None

    def __call__(self, x: np.ndarray, gradient: np.ndarray) -> float:
        """Approximate log density at x, with its gradient; minus infinity without a mode."""
        u, finite = self.u, self._finite
        if not np.isfinite(u).all():
            u[:] = 0.0
        value = value_at(self.gp, self.co, self.prior, self.priors, x, u, gradient)
        for other in self._other_starts(x):
            if np.isfinite(value) and self._on_branch(x):
                finite[:] = u
                return value
            u[:] = other
            value = value_at(self.gp, self.co, self.prior, self.priors, x, u, gradient)
        return value if self._on_branch(x) else -np.inf

    def _other_starts(self, x: np.ndarray) -> Iterator[np.ndarray]:
        yield np.zeros_like(self.u)
        yield self._finite
        if self.branch is not None:
            for amount in (0.3, 1.0, 3.0):
                yield pushed(self.gp, self.co, x, self._finite, amount * self.branch)

    def _on_branch(self, x: np.ndarray) -> bool:
        """Whether each row's mean is on its branch of the link, where there are several."""
        if self.branch is None:
            return True
        return bool((self.branch == branch_of(self.gp, self.co, x, self.u)).all())


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
        Whether beta is at its mode as well. Otherwise its part of the factor is of no use, and
        has a prior of precision 1, without which it is singular where rows are separated.

    Returns
    -------
    InnerMode
    """
    eq, rows = gp.problem.equations, gp.rows
    if not with_fixed:
        prior = FixedPrior(np.eye(len(beta)), beta)
    if rows.is_stored:
        return _of_passes(gp, L, phi, prior, beta=beta, u=u, with_fixed=with_fixed)
    m, n_root = rows.n_predictors, len(eq.root_y)
    n = m * rows.n_obs
    beta, u = beta.copy(), u.copy()
    K, panels, root = np.empty(len(eq.K)), np.empty(len(eq.panel)), np.empty((n_root, n_root))
    eta, first, second = np.empty(n), np.empty(n), np.empty(m * (m + 1) // 2 * rows.n_obs)
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


def _of_passes(
    gp: GlmmProblem, L: np.ndarray, phi: np.ndarray, prior: FixedPrior, *, beta: np.ndarray,
    u: np.ndarray, with_fixed: bool,
) -> InnerMode:  # fmt: skip
    phi = np.append(np.asarray(phi, dtype=np.float64), 1.0)
    found = in_passes(gp, L, phi, prior, beta=beta, u=u, with_fixed=with_fixed)
    none = np.zeros(0)
    return InnerMode(
        beta=found.beta, u=found.u, K=found.K, panels=found.panels, root=found.root, eta=none,
        weights=none, L=L, status=found.status, passed=found,
    )  # fmt: skip


def branch_of(gp: GlmmProblem, co: Coordinates, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Sign of the linear predictor of each row with a count, 0 for the others."""
    eta = linear_predictor(gp, co, x, u)
    return np.where(gp.rows.y > 0, np.where(eta < 0, -1, 1), 0)


def linear_predictor(gp: GlmmProblem, co: Coordinates, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """X beta + Z b + offset of mu at coordinates and standardised effects, shape (n,)."""
    rows, eq = gp.rows, gp.problem.equations
    L = factors_at(co, x).L
    p_mu = int((rows.X_of == 0).sum())  # its columns stand first
    at = len(x) - gp.problem.n_fixed
    eta = rows.offset[: rows.n_obs] + x[at : at + p_mu] @ rows.X[:p_mu]
    for f, q in enumerate(eq.q.tolist()):
        block = L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q)
        b = u[rows.u_start[f] : rows.u_start[f + 1]].reshape(-1, q) @ block.T
        Z = rows.Z[rows.z_start[f] : rows.z_start[f + 1]]
        Z = Z * (rows.Z_of[rows.z_start[f] : rows.z_start[f + 1]] == 0)[:, None]
        eta = eta + (b[rows.index[f] - rows.first[f]].T * Z).sum(axis=0)
    return np.asarray(eta)


def pushed(
    gp: GlmmProblem, co: Coordinates, x: np.ndarray, u: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """Effects of the finest factor moved so that its rows' predictors change by `change`."""
    rows, eq = gp.rows, gp.problem.equations
    out, q = u.copy(), int(eq.q[0]) if len(eq.q) else 0
    if q == 0:
        return out
    half = factors_at(co, x).L[: q * q].reshape(q, q)
    if not np.isfinite(half).all():  # a step of the search to where no standard deviation is
        return out
    level = rows.index[0] - rows.first[0]
    for g in np.unique(level[change != 0]).tolist():
        at = np.flatnonzero((level == g) & (change != 0))
        start = int(rows.u_start[0]) + g * q
        step = np.linalg.lstsq(rows.Z[:q, at].T @ half, change[at], rcond=1e-8)[0]
        out[start : start + q] += step
    return out


def search_units(gp: GlmmProblem, n_x: int) -> np.ndarray:
    """Unit of each of n_x coordinates: that of the linear predictor for beta, 1 for logarithms."""
    out = np.ones(n_x)
    out[n_x - gp.problem.n_fixed :] = gp.units[gp.rows.X_of]
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
    n_sd, p, unit = co.n_sd, gp.problem.n_fixed, gp.units[gp.rows.X_of]
    x = np.zeros(co.n_x)
    x[:n_sd] = np.log(0.5 * gp.sd_units(co)) + log_units(co)
    x[:n_sd][co.prior_kind[:-1] == UNIFORM] = 0.0  # the middle of the interval
    beta, u = np.zeros(p), np.zeros(gp.n_effects)
    for at, start in zip(gp.stack.columns.values(), (link_start, *gp.starts.values()), strict=True):
        X = gp.rows.X[at]
        names_constant = np.flatnonzero(np.ptp(X, axis=1) == 0) if len(X) else np.zeros(0, int)
        if names_constant.size:
            beta[at.start + names_constant[0]] = start / X[names_constant[0], 0]
        elif len(X):  # no intercept: spread over the columns
            beta[at] = np.linalg.lstsq(X.T, np.full(len(gp.rows.y), start), rcond=None)[0]
    found = inner_mode(
        gp, factors_at(co, x).L, gp.phi_start, FixedPrior(np.diag(1e-4 / unit**2), beta),
        beta=beta, u=u, with_fixed=True,
    )  # fmt: skip
    if found.status == 1 and (np.abs(found.beta) < 50 * unit).all():
        beta, u = found.beta, found.u
    return np.concatenate([x, gp.phi.coordinates(gp.phi_start), beta]), u


def maximise_laplace(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors, link_start: float
) -> LaplaceOptimum:
    """Find the best theta, family parameters and fixed effects together.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior or None
        The prior of the working beta; None for a flat one.
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
    n_sd = co.n_sd
    with blas_threads(problem):
        start, effects = start_of_laplace(gp, co, link_start)
        marginal = WarmMarginal(gp, co, fixed, priors, effects)
        search = search_of(marginal)
        unit = search.unit
        start /= search_units(gp, len(start))
        best = run_from(search, start)
        starts = 1
        for shift in (np.log(0.2), np.log(4.0)):
            if best.converged:
                break
            other = start.copy()
            other[:n_sd] += shift
            best = _better(best, run_from(search, other))
            starts += 1
        # At a tiny standard deviation no gradient says that a large one is better.
        tiny = (best.x[:n_sd] < unit + _TINY) & (best.x[:n_sd] > search.zero) & search.may_be_zero
        if tiny.any():
            other = best.x.copy()
            other[:n_sd][tiny] = unit[tiny] + np.log(0.5)
            best = _better(best, run_from(search, other))
            starts += 1
        # At a boundary rounding may have decided which of several optima was found.
        if search.at_boundary(best) and gp.rows.n_obs <= _FEW_ROWS:
            for size in (0.1, 1.0):
                other = start.copy()
                other[:n_sd] = unit + np.log(size)
                other[search.n_x - gp.problem.n_fixed :] = best.x[search.n_x - gp.problem.n_fixed :]
                best = _better(best, run_from(search, other))
                starts += 1
        return optimum_of(marginal, search, best, starts, time.perf_counter() - begin)


def search_of(marginal: WarmMarginal) -> Search:
    """Search for the best coordinates, in the units that `search_units` gives."""
    gp, co = marginal.gp, marginal.co
    d, n_sd = co.n_x, co.n_sd
    n_x = d + len(gp.phi) + gp.problem.n_fixed
    scale = search_units(gp, n_x)

    def criterion(z: np.ndarray, gradient: np.ndarray) -> float:
        value = marginal(z * scale, gradient)
        gradient *= -2.0 * scale
        return -2.0 * value

    unit = log_units(co) + np.log(gp.sd_units(co))
    return Search(
        criterion, n_x, n_sd, d - n_sd, co.prior_kind[:-1] != UNIFORM, unit, steady=False
    )  # fmt: skip


def optimum_of(
    marginal: WarmMarginal, search: Search, best: Point, starts: int, seconds: float
) -> LaplaceOptimum:
    """Say what a search has found, with the mode there."""
    gp, co = marginal.gp, marginal.co
    gradient = np.empty(search.n_x)
    search.criterion(best.x, gradient)
    x = best.x * search_units(gp, search.n_x)
    at = factors_at(co, x)
    theta = optimum_at(
        gp.problem, co, best, search, at.sd[:-1], at.C, gp.link_unit, starts, seconds
    )
    return LaplaceOptimum(
        theta=replace(theta, sigma=1.0), x=x, u=marginal.u.copy(), loglik=-best.criterion / 2,
        gradient=gradient,
    )  # fmt: skip


def run_from(search: Search, start: np.ndarray) -> Point:
    """Search from a start; one without a finite density has a gradient of zero as well."""
    found = search.run(start)
    if not found.criterion < HUGE:
        found.converged = False
        found.message = OUTSIDE
    return found


def _better(best: Point, found: Point) -> Point:
    """Choose the lower of two ends of a search, and the converged one of two equal ends."""
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
