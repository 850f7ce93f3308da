"""Likelihood profiles of the ML deviance, and Wald intervals on unbounded scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from bayesmix.gaussian.conditional import add_moments
from bayesmix.gaussian.coordinates import Coordinates, unpack_theta
from bayesmix.gaussian.density import flat_prior, log_likelihood
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.empirical import Optimum

__all__ = ["Likelihood", "absolute_coordinates", "profile_coefficient", "profile_theta",
           "theta_covariance"]  # fmt: skip

_ZERO = -30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The ML deviance around its best theta, sigma among the coordinates.

    Attributes
    ----------
    problem : Problem
    coordinates : Coordinates
        Absolute standard deviations; without priors.
    x : ndarray
        Where the deviance is smallest; a standard deviation of zero is far below.
    unit : ndarray, shape (n_sd,)
        Log of one unit of each standard deviation.
    """

    problem: Problem
    coordinates: Coordinates
    x: np.ndarray
    unit: np.ndarray

    def deviance(self, x: np.ndarray, gradient: np.ndarray) -> float:
        """ML deviance up to a constant, with its gradient."""
        value = log_likelihood(
            self.problem.equations, self.coordinates, np.ascontiguousarray(x), False, gradient
        )
        gradient *= -2.0
        return -2.0 * value if np.isfinite(value) else 1e300


def absolute_coordinates(problem: Problem, optimum: Optimum) -> tuple[Coordinates, np.ndarray]:
    """Coordinates with sigma among them, and those of an optimum.

    Parameters
    ----------
    problem : Problem
    optimum : Optimum
        Of REML or ML.

    Returns
    -------
    Coordinates
    ndarray
    """
    co = problem.absolute_coordinates()
    n_sd = int(co.sizes[1])
    shift = 0.0 if problem.sigma_is_known else np.log(optimum.sigma)
    x = np.empty(int(co.sizes[0]))
    x[: len(optimum.x)] = optimum.x
    x[:n_sd] += shift
    if not problem.sigma_is_known:
        x[-1] = shift
    return co, x


def theta_covariance(
    problem: Problem, co: Coordinates, x: np.ndarray, reml: bool, free: np.ndarray
) -> np.ndarray:
    """Inverse of the observed information of theta, in its coordinates.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
    x : ndarray
    reml : bool
    free : ndarray of bool
        Coordinates that are not at a boundary; the others have NaN.

    Returns
    -------
    ndarray, shape (n_x, n_x)
    """
    at = np.flatnonzero(free)
    H = np.empty((at.size, at.size))
    up, down = np.empty(len(x)), np.empty(len(x))
    for i, k in enumerate(at):
        step = np.zeros(len(x))
        step[k] = 1e-4
        log_likelihood(problem.equations, co, x + step, reml, up)
        log_likelihood(problem.equations, co, x - step, reml, down)
        H[i] = -(up[at] - down[at]) / 2e-4
    out = np.full((len(x), len(x)), np.nan)
    values, vectors = np.linalg.eigh((H + H.T) / 2)
    if np.all(values > 0):
        out[np.ix_(at, at)] = (vectors / values) @ vectors.T
    return out


def profile_theta(
    likelihood: Likelihood, k: int, ci_prob: float, *, may_be_zero: bool
) -> tuple[float, float]:
    """Interval of one coordinate of theta by the profile of the ML deviance.

    Parameters
    ----------
    likelihood : Likelihood
    k : int
        Position of the coordinate.
    ci_prob : float
    may_be_zero : bool
        Whether minus infinity (a standard deviation of zero) is a possible end.

    Returns
    -------
    lower, upper : float
        In the coordinate; -inf where zero is inside, NaN where no end was found.
    """
    threshold = float(stats.chi2(1).ppf(ci_prob))
    rest = np.delete(np.arange(len(likelihood.x)), k)
    gradient = np.empty(len(likelihood.x))
    lowest = likelihood.deviance(likelihood.x, gradient)
    start = _inside(likelihood, likelihood.x.copy())
    center = float(likelihood.x[k])
    solved = {center: start}

    def excess(value: float) -> float:
        x = solved[min(solved, key=lambda other: abs(other - value))].copy()
        x[k] = value

        def of_rest(z: np.ndarray) -> tuple[float, np.ndarray]:
            x[rest] = z
            return likelihood.deviance(x, gradient), gradient[rest]

        if rest.size:
            found = optimize.minimize(
                of_rest, x[rest], jac=True, method="L-BFGS-B",
                options={"ftol": 1e-12, "gtol": 1e-5, "maxiter": 200},
            )  # fmt: skip
            x[rest] = found.x
            solved[value] = x
            height = float(found.fun)
        else:
            height = likelihood.deviance(x, gradient)
        # The square root is nearly linear in the coordinate.
        return float(np.sqrt(max(height - lowest, 0.0)) - np.sqrt(threshold))

    zero = may_be_zero and center <= _ZERO + likelihood.unit[k] + 1
    if zero:
        center = float(np.log(1e-3) + likelihood.unit[k])
    at_center = excess(center) if zero else -float(np.sqrt(threshold))
    upper = _end(excess, center, +0.5, at_center)
    lower = -np.inf
    if not zero:
        if may_be_zero and excess(_ZERO + float(likelihood.unit[k])) < 0:
            return lower, upper
        lower = _end(excess, center, -0.5, at_center)
    return lower, upper


def profile_coefficient(
    likelihood: Likelihood, to_formula: np.ndarray, shift: float, ci_prob: float
) -> tuple[float, float]:
    """Interval of a fixed effect by the profile of the ML deviance.

    For given theta the deviance is quadratic in the coefficient, so that only
    theta has to be optimised anew.

    Parameters
    ----------
    likelihood : Likelihood
    to_formula : ndarray, shape (p,)
        The coefficient as a combination of the working ones.
    shift : float
        What is added to that combination.
    ci_prob : float

    Returns
    -------
    lower, upper : float
    """
    problem, co = likelihood.problem, likelihood.coordinates
    threshold = float(stats.chi2(1).ppf(ci_prob))
    gradient = np.empty(len(likelihood.x))
    lowest = likelihood.deviance(likelihood.x, gradient)
    at_best = _inside(likelihood, likelihood.x.copy())
    best, sd = _coefficient(problem, co, likelihood.x, to_formula, shift)
    warm = at_best.copy()

    def excess(value: float) -> float:
        def total(x: np.ndarray) -> float:
            estimate, spread = _coefficient(problem, co, x, to_formula, shift)
            return likelihood.deviance(x, gradient) + ((value - estimate) / spread) ** 2

        height = total(likelihood.x)
        if warm.size:
            found = optimize.minimize(total, warm, method="L-BFGS-B", options={"ftol": 1e-11})
            warm[:] = found.x
            height = min(height, float(found.fun))
        return float(np.sqrt(max(height - lowest, 0.0)) - np.sqrt(threshold))

    ends = []
    for side in (-1.0, 1.0):
        warm[:] = at_best
        ends.append(_end(excess, best, side * sd, -float(np.sqrt(threshold))))
    return ends[0], ends[1]


def _coefficient(
    problem: Problem, co: Coordinates, x: np.ndarray, to_formula: np.ndarray, shift: float
) -> tuple[float, float]:
    eq = problem.equations
    p, n_u = problem.n_fixed, int((eq.q * eq.n_levels).sum())
    beta, cov = np.empty(p), np.empty((p, p))
    known = problem.scaling.y_scale**2 if problem.sigma_is_known else 0.0
    fine = add_moments(
        eq, co, np.ascontiguousarray(x), known, flat_prior(p), True, beta, cov, np.empty(n_u),
        np.empty(int((eq.q**2 * eq.n_levels).sum())), np.empty((n_u, p)),
    )  # fmt: skip
    if not fine:
        return 0.0, 1e-150
    return float(to_formula @ beta) + shift, float(np.sqrt(to_formula @ cov @ to_formula))


def _inside(likelihood: Likelihood, x: np.ndarray) -> np.ndarray:
    """Move standard deviations off zero, where the gradient would hold them."""
    n_sd = len(likelihood.unit)
    x[:n_sd] = np.maximum(x[:n_sd], likelihood.unit + np.log(1e-2))
    return x


def _end(excess: Callable[[float], float], center: float, step: float, at_center: float) -> float:
    """Walk outwards until the profile is high enough, then close in."""
    if not np.isfinite(step) or step == 0:
        return float("nan")
    known = {center: at_center}  # not computed anew: the optimiser's start would differ
    inner, outer = center, center + 2 * step
    for _ in range(40):
        known[outer] = excess(outer)
        if known[outer] > 0:
            break
        inner, outer = outer, outer + 1.5 * (outer - inner)
    else:
        return float("nan")

    def height(value: float) -> float:
        return known[value] if value in known else excess(value)

    found = optimize.brentq(height, inner, outer, xtol=1e-4 * abs(step), rtol=1e-10)
    return float(found)


def standard_deviations(co: Coordinates, x: np.ndarray) -> np.ndarray:
    """Standard deviations at coordinates, the residual's last."""
    return unpack_theta(co, x)[0]


def correlations(co: Coordinates, x: np.ndarray) -> list[np.ndarray]:
    """Correlation matrix of each factor at coordinates."""
    C = unpack_theta(co, x)[1]
    out = []
    for f, q in enumerate(co.q.tolist()):
        factor = C[co.L_start[f] : co.L_start[f] + q * q].reshape(q, q)
        out.append(factor @ factor.T)
    return out
