"""The approximate likelihood around a fit beyond the normal, for profiles over its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.branches import Profile, off_zero, profile_end
from bayesmix.inference.empirical import log_units
from bayesmix.inference.laplace import LaplaceOptimum, WarmMarginal, branch_of, search_units
from bayesmix.inference.quadrature import QuadratureMarginal
from bayesmix.inference.search import HUGE, ZERO, Search

__all__ = [
    "LaplaceLikelihood", "laplace_likelihood_at", "profile_working_coefficient",
    "seconds_of_profiles",
]  # fmt: skip

_EVALUATIONS = 120  # of a profile, both ends together, by number of coordinates
_STEP = 1e-5  # of a difference, where the gradient is none that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplaceLikelihood:
    """The deviance around the best parameters, in the units that `search_units` gives.

    Attributes
    ----------
    marginal : callable
        Log likelihood at coordinates, and its gradient.
    x : ndarray
        Log standard deviations, partial correlations, logarithms of the family's
        parameters and the working fixed effects, where the deviance is smallest.
    scale : ndarray
        Unit of each.
    unit : ndarray, shape (n_sd,)
        Log of one unit of each standard deviation.
    at_zero : ndarray of bool, shape (n_sd,)
    n_corr : int
        Number of partial correlations.
    starts : list of ndarray
        Where a search may start.
    polish : bool
        Not worth its evaluations for an interval: the deviance is flat at its bottom.
    steady : bool
        Each evaluation starts where the one before it has ended.
    """

    marginal: Callable[[np.ndarray, np.ndarray], float]
    x: np.ndarray
    scale: np.ndarray
    unit: np.ndarray
    at_zero: np.ndarray
    n_corr: int
    starts: list[np.ndarray]
    polish: bool = False
    steady: bool = False

    @property
    def edges(self) -> np.ndarray:
        """R has no parameters here."""
        return np.zeros(0)

    def deviance(self, x: np.ndarray, gradient: np.ndarray) -> float:
        """Minus twice the log likelihood up to a constant, with its gradient."""
        value = self.marginal(np.ascontiguousarray(x * self.scale), gradient)
        gradient *= -2.0 * self.scale
        return -2.0 * value if np.isfinite(value) else HUGE


def laplace_likelihood_at(
    gp: GlmmProblem, co: Coordinates, optimum: LaplaceOptimum, n_quadrature: int
) -> LaplaceLikelihood:
    """Gather the likelihood around an optimum of maximum likelihood.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
        Without priors.
    optimum : LaplaceOptimum
    n_quadrature : int
        Points of quadrature; 1 for Laplace's approximation.

    Returns
    -------
    LaplaceLikelihood
    """
    scale = search_units(gp, len(optimum.x))
    n_sd, at_zero = co.n_sd, optimum.theta.at_zero[co.effect_of_sd]
    unit = log_units(co) + np.log(gp.sd_units(co))
    x = optimum.x / scale
    x[:n_sd][at_zero] = ZERO + unit[at_zero]
    starts = [off_zero(x, unit)]
    for log_size in (np.log(0.1), np.log(0.5)):
        other = x.copy()
        other[:n_sd] = unit + log_size
        other[n_sd : co.n_x] = 0.0
        starts.append(other)
    if n_quadrature == 1:
        warm = WarmMarginal(gp, co, flat_prior(gp.problem.n_fixed), 0, optimum.u)
        warm.u[:] = optimum.u
        if warm.branch is not None:
            warm.branch = branch_of(gp, co, optimum.x, optimum.u)
        marginal: Callable[[np.ndarray, np.ndarray], float] = warm
    else:
        quadrature = QuadratureMarginal(gp, co, None, optimum.u, n_quadrature)
        marginal = functools.partial(_with_differences, quadrature, scale)
    return LaplaceLikelihood(
        marginal=marginal, x=x, scale=scale, unit=unit, at_zero=at_zero,
        n_corr=co.n_x - n_sd, starts=starts,
    )  # fmt: skip


def _with_differences(
    quadrature: QuadratureMarginal, scale: np.ndarray, x: np.ndarray, gradient: np.ndarray
) -> float:
    value = -quadrature.minus(x)
    for k in range(len(x)):
        step = np.zeros(len(x))
        step[k] = _STEP * scale[k]
        up, down = (-quadrature.minus(x + s * step) for s in (1, -1))
        gradient[k] = (up - down) / (2 * step[k]) if min(up, down) > -HUGE else 0.0
    return value if value > -HUGE else -np.inf


def profile_working_coefficient(
    likelihood: LaplaceLikelihood, to_formula: np.ndarray, sd: float, ci_prob: float
) -> tuple[float, float]:
    """Interval of a fixed effect by the profile of the approximate deviance.

    Given the coefficient, the working one that weighs most in it follows from the
    others.

    Parameters
    ----------
    likelihood : LaplaceLikelihood
    to_formula : ndarray, shape (p,)
        The coefficient as a combination of the working ones.
    sd : float
        Its standard error, the length of a step.
    ci_prob : float

    Returns
    -------
    lower, upper : float
        NaN where no end was found.
    """
    x, p = likelihood.x, len(to_formula)
    weights = to_formula * likelihood.scale[-p:]
    pivot = len(x) - p + int(np.argmax(np.abs(weights)))
    ratio = np.zeros(len(x))
    ratio[-p:] = weights / weights[pivot - len(x)]
    rest = np.delete(np.arange(len(x)), pivot)
    full, slope, n_sd = x.copy(), np.empty(len(x)), len(likelihood.unit)

    def search(value: float) -> Search:
        def of_rest(z: np.ndarray, gradient: np.ndarray) -> float:
            full[rest] = z
            full[pivot] = value / weights[pivot - len(x)] - float(ratio[rest] @ z)
            height = likelihood.deviance(full, slope)
            gradient[:] = slope[rest] - ratio[rest] * slope[pivot]
            return height

        return Search(
            of_rest, rest.size, n_sd, likelihood.n_corr, np.ones(n_sd, dtype=bool),
            likelihood.unit, polish=likelihood.polish, steady=likelihood.steady,
        )  # fmt: skip

    profile = Profile(
        search, lambda point, _: point.criterion, likelihood.deviance(x, slope), ci_prob,
        [start[rest] for start in likelihood.starts],
    )  # fmt: skip
    center = float(weights @ x[-p:])
    profile.put(center, x[rest], 0.0)
    lower, upper = (profile_end(profile, center, side * sd, 1e6 * sd) for side in (-1.0, 1.0))
    return lower, upper


def seconds_of_profiles(gp: GlmmProblem, n_quadrature: int) -> float:
    """Roughly what the profiles of all variance parameters take: by size, as load would differ.

    With one intercept a second is reached at some 5,000 rows, with correlated slopes
    at some 400.
    """
    rows, eq = gp.rows, gp.problem.equations
    n, columns, n_root = rows.n_obs, max(int(rows.z_start[-1]), 1), len(eq.root_y)
    co = gp.problem.absolute_coordinates()
    profiled = co.n_x + len(gp.phi)
    n_x = profiled + gp.problem.n_fixed
    evaluation = 1.5e-4 + 5e-7 * n * columns + 3e-9 * float(n_root) ** 3
    if n_quadrature > 1:  # with a gradient by differences
        evaluation = (2 * n_x + 1) * (2e-4 + 5e-8 * n * (n_quadrature + 5))
    return _EVALUATIONS * profiled * n_x * evaluation
