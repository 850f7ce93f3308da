"""Adaptive Gauss-Hermite quadrature, for one grouping factor with one effect."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from scipy import optimize

from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.laplace import (
    OUTSIDE,
    InnerMode,
    LaplaceOptimum,
    inner_mode,
    search_units,
    value_at,
)
from bayesmix.inference.search import HUGE

__all__ = ["LevelRows", "QuadratureMarginal", "quadrature_optimum"]

_STEPS = (1e-2, 1e-3, 1e-4)  # of second differences, as far as the density is finite


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
    d = co.n_x
    scale = search_units(gp, len(start.x))
    marginal = QuadratureMarginal(gp, co, prior, start.u, n_points)

    def at_distance(z: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(start.x + z * scale)

    with np.errstate(over="ignore", invalid="ignore"):  # differences of what is not finite
        found = optimize.minimize(
            lambda z: marginal.minus(at_distance(z)), np.zeros(len(start.x)), jac="3-point",
            method="BFGS", options={"gtol": 1e-5},
        )  # fmt: skip
        slope = float(np.abs(np.asarray(found.jac, dtype=np.float64)).max(initial=0.0))
    x = at_distance(found.x)
    at, mode = factors_at(co, x), marginal.mode_at(x)
    finite_end = mode.status == 1 and found.fun < HUGE
    theta = replace(
        start.theta, x=x[:d], sd=at.sd[:1], criterion=2 * float(found.fun),
        evaluations=start.theta.evaluations + marginal.evaluations, gradient=slope,
        converged=finite_end and slope < 1e-2,
        message=str(found.message) if finite_end else OUTSIDE,
        at_zero=at.sd[:1] < 1e-12 * gp.link_unit, seconds=time.perf_counter() - begin,
    )  # fmt: skip
    return LaplaceOptimum(
        theta=theta, x=x, u=mode.u, loglik=-float(found.fun) if finite_end else -np.inf,
        gradient=np.asarray(found.jac),
    )  # fmt: skip


class LevelRows:
    """Log density of the rows of each level of a grouping factor, all levels at once.

    Parameters
    ----------
    gp : GlmmProblem
    f : int
        The factor.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        The rows level by level, so that a level without a finite density is taken out alone.
    level : ndarray of int, shape (n,)
        In that order.
    n_levels : int
    """

    def __init__(self, gp: GlmmProblem, f: int) -> None:
        rows = gp.rows
        self.kernel, self.link = gp.kernel, rows.link
        q = int(rows.z_start[f + 1] - rows.z_start[f])
        self.n_levels = int(rows.u_start[f + 1] - rows.u_start[f]) // q
        level = rows.index[f] - rows.first[f]
        self.order = np.argsort(level, kind="stable")
        self.level = level[self.order]
        self.y, self.trials = rows.y[self.order], rows.trials[self.order]
        self.bounds = np.searchsorted(self.level, np.arange(self.n_levels + 1))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum values of the rows, in their order here, by level."""
        return np.bincount(self.level, values, minlength=self.n_levels)

    def __call__(self, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Return the log density of each level's rows, minus infinity where a mean cannot be."""
        n = len(eta)
        value, first, second, by_phi = np.empty(n), np.empty(n), np.empty(n), np.zeros(len(phi) + 4)
        there = self.kernel(
            self.link, n, self.y, self.trials, eta, phi, 2, value, first, second, by_phi
        )  # fmt: skip
        if np.isfinite(there):
            return self.sums(value)
        out = np.zeros(self.n_levels)
        for g in range(self.n_levels):
            part = slice(self.bounds[g], self.bounds[g + 1])
            if part.start < part.stop:
                there = self.kernel(
                    self.link, part.stop - part.start, self.y[part], self.trials[part], eta[part],
                    phi, 2, value, first, second, by_phi,
                )  # fmt: skip
                out[g] = there if np.isfinite(there) else -np.inf
        return out


class QuadratureMarginal:
    """Marginal log density by adaptive quadrature, modes sought from the optimum's.

    Parameters
    ----------
    gp : GlmmProblem
        With one grouping factor and one effect.
    co : Coordinates
    prior : FixedPrior or None
        With the priors' part as in `maximise_laplace` with `priors` 1.
    u : ndarray
        Effects at the optimum of Laplace's approximation.
    n_points : int
    """

    def __init__(
        self, gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, u: np.ndarray,
        n_points: int,
    ) -> None:  # fmt: skip
        self.gp, self.co, self.prior = gp, co, prior
        self.fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
        self.integrate = _Quadrature(gp, n_points)
        self.u, self.finite = u.copy(), u.copy()
        self.evaluations = 0

    def _phi(self, x: np.ndarray) -> np.ndarray:
        d = self.co.n_x
        return self.gp.phi.values(x[d : d + len(self.gp.phi)])

    def mode_at(self, x: np.ndarray) -> InnerMode:
        """Mode of the effects, without which there is no quadrature."""
        L, phi = factors_at(self.co, x).L, self._phi(x)
        beta = x[self.co.n_x + len(phi) :]
        for other in (self.u, np.zeros(self.gp.n_effects), self.finite):
            mode = inner_mode(
                self.gp, L, phi, self.fixed, beta=beta, u=other, with_fixed=False
            )  # fmt: skip
            if mode.status == 1:
                self.finite[:] = mode.u
                break
        return mode

    def minus(self, x: np.ndarray) -> float:
        """Minus the log density, huge where it is not finite."""
        self.evaluations += 1
        mode = self.mode_at(x)
        if mode.status != 1:
            return HUGE
        result = self.integrate(mode, np.append(self._phi(x), 1.0))
        if self.prior is not None:
            gradient = np.empty(len(x))
            work = mode.u.copy()
            with_priors = value_at(self.gp, self.co, self.fixed, 1, x, work, gradient)
            result += with_priors - value_at(self.gp, self.co, self.fixed, 0, x, work, gradient)
        return -result if np.isfinite(result) else HUGE

    def curvature(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Minus the Hessian along directions, by second differences.

        Parameters
        ----------
        x : ndarray, shape (n_x,)
        directions : ndarray, shape (n_x, m)
            Each of the size over which a step of a hundredth is small, and not lost in rounding.

        Returns
        -------
        ndarray, shape (m, m)
            With zeros where no step leads to a finite density.
        """
        m = directions.shape[1]
        H = np.zeros((m, m))
        for size in _STEPS:
            steps = size * directions.T
            center = self.minus(x)
            sides = [self._both_sides(x, step) - 2 * center for step in steps]
            for i in range(m):
                H[i, i] = sides[i]
                for j in range(i):
                    both = self._both_sides(x, steps[i] + steps[j]) - 2 * center
                    H[i, j] = H[j, i] = (both - sides[i] - sides[j]) / 2
            H /= size**2
            if (np.abs(H) < HUGE).all():
                break
        return np.where(np.abs(H) < HUGE, H, 0.0)

    def _both_sides(self, x: np.ndarray, step: np.ndarray) -> float:
        return self.minus(x + step) + self.minus(x - step)


class _Quadrature:
    """Log-likelihood by adaptive Gauss-Hermite quadrature, all levels at once.

    Parameters
    ----------
    gp : GlmmProblem
        With one grouping factor and one effect.
    n_points : int
    """

    def __init__(self, gp: GlmmProblem, n_points: int) -> None:
        self.nodes, weights = np.polynomial.hermite_e.hermegauss(n_points)
        self.log_weights = np.log(weights) + self.nodes**2 / 2
        self.rows = LevelRows(gp, 0)
        self.z = gp.rows.Z[0][self.rows.order]

    def __call__(self, mode: InnerMode, phi: np.ndarray) -> float:
        """Integrate over the effects around their mode."""
        rows = self.rows
        scale = 1.0 / mode.K[: rows.n_levels]  # of the Cholesky factor of the curvature
        z = self.z * mode.L[0]
        base = mode.eta[rows.order] - z * mode.u[rows.level]
        terms = np.empty((len(self.nodes), rows.n_levels))
        for k, node in enumerate(self.nodes):
            u = mode.u + scale * node
            terms[k] = rows(base + z * u[rows.level], phi) - u**2 / 2 + self.log_weights[k]
        top = terms.max(axis=0)
        if not np.isfinite(top).all():
            return -np.inf
        total = top + np.log(np.exp(terms - top).sum(axis=0)) + np.log(scale)
        return float(total.sum()) - rows.n_levels * 0.5 * float(np.log(2 * np.pi))
