"""Likelihood profiles of the ML deviance, and Wald intervals on unbounded scales."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayesmix.gaussian.combine import separate_theta
from bayesmix.gaussian.conditional import add_moments
from bayesmix.gaussian.coordinates import Coordinates, correlation_matrices, unpack_theta
from bayesmix.gaussian.density import FixedPrior, evaluate, flat_prior
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_edges
from bayesmix.inference.branches import Profile, off_zero, profile_end
from bayesmix.inference.determined import Determined
from bayesmix.inference.empirical import Optimum, log_units, start_point
from bayesmix.inference.search import HUGE, LARGEST_CORRELATION, ZERO, Point, Search

__all__ = [
    "Around", "Likelihood", "absolute_coordinates", "likelihood_at", "observed_covariance",
    "observed_information", "profile_coefficient", "profile_theta", "zero_there",
]  # fmt: skip

_FAR = 25.0  # in logarithms: 7e10 times the estimate
_HOLD = 0.01  # of a coefficient's standard error, how far it may stray
_ROUNDING = 1e-13  # of a sum of squares, what is lost of it
_REACH = 1e-2  # of what moves along a flat direction, as in `Determined`
_FAR_BELOW = np.log(1e-2)  # of the estimated sigma


class Around(Protocol):
    """What a profile needs of the deviance around an optimum; see `Likelihood`."""

    @property
    def x(self) -> np.ndarray: ...  # noqa: D102
    @property
    def unit(self) -> np.ndarray: ...  # noqa: D102
    @property
    def at_zero(self) -> np.ndarray: ...  # noqa: D102
    @property
    def starts(self) -> list[np.ndarray]: ...  # noqa: D102
    @property
    def n_corr(self) -> int: ...  # noqa: D102
    @property
    def polish(self) -> bool: ...  # noqa: D102
    @property
    def steady(self) -> bool: ...  # noqa: D102
    @property
    def edges(self) -> np.ndarray: ...  # noqa: D102

    def deviance(self, x: np.ndarray, gradient: np.ndarray) -> float: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
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
    at_zero : ndarray of bool, shape (n_sd,)
    starts : list of ndarray
        Where a search may start.
    """

    problem: Problem
    coordinates: Coordinates
    x: np.ndarray
    unit: np.ndarray
    at_zero: np.ndarray
    starts: list[np.ndarray]

    @property
    def polish(self) -> bool:
        """Whether a search's last digits are worth their evaluations."""
        return True

    @property
    def steady(self) -> bool:
        """Whether the last digits of the deviance do not depend on where it was asked before."""
        return True

    @property
    def n_corr(self) -> int:
        """Number of partial correlations among the coordinates."""
        return self.coordinates.n_structure

    @property
    def edges(self) -> np.ndarray:
        """How far the coordinates of R may go."""
        return phi_edges(self.problem.phi, 2 * LARGEST_CORRELATION)

    @functools.cached_property
    def least_sigma(self) -> float:
        """Log of the sigma below which rounding decides: sums of squares are divided by its square.

        Minus infinity where sigma is known.
        """
        co, problem = self.coordinates, self.problem
        if not co.n_sigma:
            return -np.inf
        lost = 0.5 * np.log(problem.n_obs * _ROUNDING) + np.log(problem.scaling.y_scale)
        return float(min(lost, self.x[co.n_x - 1] + _FAR_BELOW))

    def deviance(
        self, x: np.ndarray, gradient: np.ndarray, prior: FixedPrior | None = None
    ) -> float:
        """ML deviance up to a constant, with its gradient.

        A prior of the working fixed effects adds the length of what strays from it. Below
        `least_sigma` it stays what it is there.
        """
        held = flat_prior(self.problem.n_fixed) if prior is None else prior
        at = self.coordinates.n_x - 1
        below = x[at] < self.least_sigma
        if below:
            x = x.copy()
            x[at] = self.least_sigma
        value = evaluate(
            self.problem.equations, self.coordinates, held, np.ascontiguousarray(x), 0, 0.0,
            gradient, np.empty(1),
        )  # fmt: skip
        gradient *= -2.0
        if below:
            gradient[at] = 0.0
        return -2.0 * value if np.isfinite(value) else HUGE


def likelihood_at(problem: Problem, optimum: Optimum, *, centred: bool = False) -> Likelihood:
    """Gather the ML deviance around an optimum.

    Parameters
    ----------
    problem : Problem
    optimum : Optimum
        The optimum of ML.
    centred : bool
        Whether among the effects of centred columns, where the optimum has these.

    Returns
    -------
    Likelihood
    """
    co, x = absolute_coordinates(problem, optimum)
    zero = optimum.at_zero[co.effect_of_sd]
    n_sd, unit = co.n_sd, log_units(co)
    if centred and optimum.centred is not None:
        co, x = optimum.centred[0], optimum.centred[1].copy()
        unit = log_units(co)
        zero = zero_there(co, x)
    x[:n_sd][zero] = ZERO + unit[zero]
    start = start_point(problem, co)
    starts = [off_zero(x, unit)]
    for scale in (0.0, np.log(0.1), np.log(5.0)):
        other = start.copy()
        other[:n_sd] += scale
        starts.append(other)
    return Likelihood(problem=problem, coordinates=co, x=x, unit=unit, at_zero=zero, starts=starts)


def zero_there(co: Coordinates, x: np.ndarray) -> np.ndarray:
    """Which standard deviations are zero at coordinates, shape (n_sd,)."""
    return np.asarray(x[: co.n_sd] < log_units(co) + ZERO + 5.0)


def absolute_coordinates(problem: Problem, optimum: Optimum) -> tuple[Coordinates, np.ndarray]:
    """Coordinates with sigma among them, and those of an optimum.

    Parameters
    ----------
    problem : Problem
    optimum : Optimum
        The optimum of REML or ML.

    Returns
    -------
    Coordinates
    ndarray
    """
    co = problem.absolute_coordinates()
    n_sd = co.n_sd
    # Under ML sigma may be zero where REML's is not: there is no profile then.
    shift = 0.0 if problem.sigma_is_known else np.log(max(optimum.sigma, 1e-300))
    theta, phi = separate_theta(optimum.coordinates, optimum.x)
    of_sigma = [] if problem.sigma_is_known else [shift]
    x = np.concatenate([theta, of_sigma, phi])
    x[:n_sd] += shift
    return co, x


def observed_covariance(
    gradient_at: Callable[[np.ndarray, np.ndarray], object], x: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Inverse of the observed information, by central differences of a gradient.

    Parameters
    ----------
    gradient_at : callable
        Takes coordinates and an array that receives the gradient of the log
        likelihood, or of the log posterior density.
    x : ndarray
        Where it is largest.
    free : ndarray of bool
        Coordinates that are not at a boundary; the others have NaN.

    Returns
    -------
    ndarray, shape (n_x, n_x)
        Infinite variances where nothing is known.
    """
    out = np.full((len(x), len(x)), np.nan)
    found = observed_information(gradient_at, x, free)
    if found is None:
        return out
    at = np.flatnonzero(free)
    inverse = found.covariance[np.ix_(at, at)]
    unknown = (np.abs(found.flat[at]) > 1e-3).any(axis=1)
    inverse[unknown], inverse[:, unknown] = np.nan, np.nan
    inverse[unknown, unknown] = np.inf
    out[np.ix_(at, at)] = inverse
    return out


def observed_information(
    gradient_at: Callable[[np.ndarray, np.ndarray], object], x: np.ndarray, free: np.ndarray
) -> Determined | None:
    """Say what is known of coordinates at a maximum, and along which directions nothing is.

    Parameters are those of `observed_covariance`.

    Returns
    -------
    Determined or None
        What is not free counts as known; None where the curvature is no number.
    """
    at = np.flatnonzero(free)
    if at.size == 0:
        return None
    H = np.empty((at.size, at.size))
    up, down = np.empty(len(x)), np.empty(len(x))
    for i, k in enumerate(at):
        step = np.zeros(len(x))
        step[k] = 1e-4
        gradient_at(x + step, up)
        gradient_at(x - step, down)
        H[i] = -(up[at] - down[at]) / 2e-4
    if not np.isfinite(H).all():
        return None
    values, vectors = np.linalg.eigh((H + H.T) / 2)
    # A flat direction has a curvature of either sign, of the size of rounding.
    known = values > max(1e-6, 1e-10 * float(values.max()))
    kept = vectors[:, known]
    covariance = np.zeros((len(x), len(x)))
    covariance[np.ix_(at, at)] = (kept / values[known]) @ kept.T
    flat = np.zeros((len(x), int((~known).sum())))
    flat[at] = vectors[:, ~known]
    return Determined(covariance=covariance, flat=flat, floor=np.full(flat.shape[1], _REACH))


def profile_theta(
    likelihood: Around,
    k: int,
    ci_prob: float,
    *,
    may_be_zero: bool,
    below: float = np.nan,
    from_edge: bool = False,
) -> tuple[float, float]:
    """Interval of one coordinate of theta by the profile of the deviance.

    Parameters
    ----------
    likelihood : Around
    k : int
        Position of the coordinate, a logarithm.
    ci_prob : float
    may_be_zero : bool
        Whether minus infinity (a standard deviation of zero) is a possible end.
    below : float
        The lower end where the profile is still low far below; NaN says that it is not known.
    from_edge : bool
        Whether the coordinate is the logarithm of a number (or of odds) around 1, which where
        the search ran away is as far as it came: from there the way inwards is as long.

    Returns
    -------
    lower, upper : float
        In the coordinate; -inf where zero is inside, inf where no value is too
        large, NaN where no end was found.
    """
    x, n_sd = likelihood.x, len(likelihood.unit)
    rest = np.delete(np.arange(len(x)), k)
    sds = rest[rest < n_sd]
    full, slope = x.copy(), np.empty(len(x))
    edges = likelihood.edges
    if k >= len(x) - len(edges):
        edges = np.delete(edges, k - len(x) + len(edges))

    def search(value: float) -> Search:
        def of_rest(z: np.ndarray, gradient: np.ndarray) -> float:
            full[rest], full[k] = z, value
            height = likelihood.deviance(full, slope)
            gradient[:] = slope[rest]
            return height

        return Search(
            of_rest, rest.size, sds.size, likelihood.n_corr, np.ones(sds.size, dtype=bool),
            likelihood.unit[sds], polish=likelihood.polish, steady=likelihood.steady,
            edges=edges,
        )  # fmt: skip

    profile = Profile(
        search, lambda point, _: point.criterion, likelihood.deviance(x, slope), ci_prob,
        [start[rest] for start in likelihood.starts],
    )  # fmt: skip
    center = float(x[k])
    if not (may_be_zero and likelihood.at_zero[k]):
        profile.put(center, x[rest], 0.0)
        if may_be_zero and profile.inside(ZERO + float(likelihood.unit[k])):
            return -np.inf, profile_end(profile, center, 0.5, _FAR, np.inf)
        inwards = abs(center) if from_edge else 0.0
        down, up = (_FAR + inwards, _FAR) if center > 0 else (_FAR, _FAR + inwards)
        lower = profile_end(profile, center, -0.5, down, below)
        return lower, profile_end(profile, center, 0.5, up, np.inf)
    for log_unit in (1e-3, 1e-5, 1e-7, 1e-9):
        center = float(np.log(log_unit) + likelihood.unit[k])
        profile.put(center + ZERO, x[rest], 0.0)
        if profile.excess(center) < 0:
            return -np.inf, profile_end(profile, center, 0.5, _FAR, np.inf)
    return np.nan, np.nan


def profile_coefficient(
    likelihood: Likelihood, to_formula: np.ndarray, shift: float, ci_prob: float
) -> tuple[float, float]:
    """Interval of a fixed effect by the profile of the ML deviance.

    For given theta the deviance is quadratic in the coefficient, so that only
    theta has to be optimised anew. Its gradient is that under a prior so narrow
    that it holds the coefficient in place.

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
        NaN where no end was found.
    """
    at_best = _coefficient(likelihood, likelihood.x, to_formula, shift)
    if at_best is None:
        return np.nan, np.nan
    best, sd = at_best
    direction = to_formula / float(to_formula @ to_formula)
    precision = np.outer(to_formula, to_formula) / (_HOLD * sd) ** 2

    def search(value: float) -> Search:
        held = FixedPrior(precision, direction * (value - shift))

        def of_theta(x: np.ndarray, gradient: np.ndarray) -> float:
            return likelihood.deviance(x, gradient, held)

        n_sd = len(likelihood.unit)
        return Search(
            of_theta, len(likelihood.x), n_sd, likelihood.n_corr, np.ones(n_sd, dtype=bool),
            likelihood.unit, edges=likelihood.edges,
        )  # fmt: skip

    slope = np.empty(len(likelihood.x))

    def height(point: Point, value: float) -> float:
        found = _coefficient(likelihood, point.x, to_formula, shift)
        if found is None:
            return point.criterion
        return likelihood.deviance(point.x, slope) + ((value - found[0]) / found[1]) ** 2

    profile = Profile(
        search, height, likelihood.deviance(likelihood.x, slope), ci_prob, likelihood.starts
    )
    profile.put(best, likelihood.x, 0.0)
    lower, upper = (profile_end(profile, best, side * sd, 1e6 * sd) for side in (-1.0, 1.0))
    return lower, upper


def _coefficient(
    likelihood: Likelihood, x: np.ndarray, to_formula: np.ndarray, shift: float
) -> tuple[float, float] | None:
    """Best coefficient and its standard error at theta; none where it has no inverse."""
    problem = likelihood.problem
    eq = problem.equations
    p, n_u = problem.n_fixed, int((eq.q * eq.n_levels).sum())
    beta, cov = np.empty(p), np.empty((p, p))
    known = problem.known_precision
    fine = add_moments(
        eq, likelihood.coordinates, np.ascontiguousarray(x), known, flat_prior(p), True, beta,
        cov, np.empty(n_u), np.empty(int((eq.q**2 * eq.n_levels).sum())), np.empty((n_u, p)),
    )  # fmt: skip
    variance = float(to_formula @ cov @ to_formula) if fine else np.nan
    if not (np.isfinite(variance) and variance > 0):
        return None
    return float(to_formula @ beta) + shift, float(np.sqrt(variance))


def standard_deviations(co: Coordinates, x: np.ndarray) -> np.ndarray:
    """Standard deviations at coordinates, the residual's last."""
    return unpack_theta(co, x)[0]


def correlations(co: Coordinates, x: np.ndarray) -> list[np.ndarray]:
    """Correlation matrix of each factor at coordinates."""
    return correlation_matrices(co, unpack_theta(co, x)[1])
