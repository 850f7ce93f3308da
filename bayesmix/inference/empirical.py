"""Empirical Bayes for normal models: REML, ML and the marginal posterior mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bayesmix.covariance.vine import partials_of_unit_factors
from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, correlation_matrices, unpack_theta
from bayesmix.gaussian.density import (
    MANY_COLUMNS,
    FixedPrior,
    deviance_function,
    log_density,
    profiled_variance,
)
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_edges, phi_start, phi_values
from bayesmix.inference.centred import Centred, centred, column_change, working_factors
from bayesmix.inference.cost import seconds_of_evaluation
from bayesmix.inference.roots import searched_among_roots
from bayesmix.inference.search import HUGE, LARGEST_CORRELATION, Point, Search
from bayesmix.threads import one_blas_thread

__all__ = [
    "Method",
    "Near",
    "Optimum",
    "blas_threads",
    "correlated_starts",
    "log_units",
    "maximise",
    "optimum_at",
    "start_of_residual",
    "start_point",
]  # fmt: skip

Method = Literal["reml", "ml", "map", "mivque0"]

_AGAIN_SECONDS = 0.3  # of further searches from a boundary
_SCORING_STEPS = 12
_SCORED = 1e-9  # of twice the likelihood, that a step would gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Where an end is nearly, and what is known of it.

    Attributes
    ----------
    x : ndarray, shape (n_x,)
    covariance : ndarray, shape (n_x, n_x)
        Inverse of the information of the likelihood there, about.
    """

    x: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """Where the criterion is best, and how it was found.

    Attributes
    ----------
    x : ndarray
        Coordinates: relative standard deviations for REML and ML, absolute ones
        and log sigma for the posterior mode.
    coordinates : Coordinates
        What `x` means.
    criterion : float
        Deviance (REML criterion, ML deviance, or -2 log density) in working units.
    sd : ndarray, shape (n_effects,)
        Standard deviation of each group effect on the scale of the formula, zero
        at a boundary, factor behind factor.
    sigma : float
    corr : list of ndarray, shape (q, q)
        Correlation matrix of each factor.
    converged : bool
    gradient : float
        Largest component of the gradient away from a boundary, in units of the
        criterion.
    evaluations : int
    starts : int
    seconds : float
    message : str
    at_zero : ndarray of bool, shape (n_effects,)
        Standard deviations at zero.
    dependent : ndarray of bool, shape (n_effects,)
        Effects that the effects before them determine: what is left of their
        standard deviation is below 1e-4 sigma in units of their (centred) column.
    phi : mapping of str to float
        Parameters of R beside sigma.
    centred : tuple of Coordinates and ndarray, or None
        The same theta among the effects of centred columns, where these are others:
        what is computed from it loses no digits.
    flat : ndarray of bool, shape (n_effects,), or None
        Standard deviations of which other values are as good.
    """

    x: np.ndarray
    coordinates: Coordinates
    criterion: float
    sd: np.ndarray
    sigma: float
    corr: list[np.ndarray]
    converged: bool
    gradient: float
    evaluations: int
    starts: int
    seconds: float
    message: str
    at_zero: np.ndarray
    dependent: np.ndarray
    phi: Mapping[str, float] = field(default_factory=dict)
    centred: tuple[Coordinates, np.ndarray] | None = None
    flat: np.ndarray | None = None


def maximise(
    problem: Problem,
    method: Method,
    coordinates: Coordinates | None = None,
    prior: FixedPrior | None = None,
    near: Near | None = None,
) -> Optimum:
    """Find the best theta.

    Quasi-Newton steps with the analytic gradient from a start in units of the
    data; standard deviations that shrink towards zero are put on zero and kept
    there if that is no worse; further starts if the first ends badly.

    Parameters
    ----------
    problem : Problem
    method : {"reml", "ml", "map"}
    coordinates : Coordinates, optional
        With the priors; for "map".
    prior : FixedPrior, optional
        The prior of the working fixed effects, for "map".
    near : Near, optional
        Relative coordinates near the end, if some are known; for "reml" and "ml".

    Returns
    -------
    Optimum
    """
    begin = time.perf_counter()
    with blas_threads(problem):
        return _maximise(problem, method, coordinates, prior, begin, near)


def blas_threads(problem: Problem) -> AbstractContextManager[object]:
    """One thread, but where a root of many columns is work enough for more."""
    many = len(problem.equations.root_y) >= MANY_COLUMNS
    return nullcontext() if many else one_blas_thread()


def _maximise(
    problem: Problem, method: Method, coordinates: Coordinates | None, prior: FixedPrior | None,
    begin: float, near: Near | None,
) -> Optimum:  # fmt: skip
    centre: Centred | None = None
    criterion: Callable[[np.ndarray, np.ndarray], float]
    if method == "map":
        if coordinates is None or prior is None:
            raise ValueError("the posterior mode needs the coordinates and the priors")
        co, fixed = coordinates, prior

        def of_posterior(x: np.ndarray, gradient: np.ndarray) -> float:
            value = log_density(problem.equations, co, fixed, x, False, gradient)
            gradient *= -2.0
            return -2.0 * value

        criterion = of_posterior
    else:
        formula = problem.relative_coordinates()
        known = problem.known_precision
        centre = centred(problem, formula, problem.scaling.y_scale if known else 1.0)
        co = formula if centre is None else centre.coordinates
        criterion = deviance_function(problem.equations, co, method == "reml", known)

    unit = log_units(co)
    search = Search(
        criterion, co.n_all, co.n_sd, co.n_structure, co.prior_kind[:-1] != UNIFORM, unit,
        edges=phi_edges(problem.phi, 2 * LARGEST_CORRELATION),
    )  # fmt: skip
    start = np.append(_start(co, unit), start_of_residual(problem))

    def run(x: np.ndarray) -> Point:
        if method != "map":
            x, evaluations = searched_among_roots(
                problem, co, x, method == "reml", search.zero, LARGEST_CORRELATION
            )
            search.evaluations += evaluations
        return search.run(x)

    found = None if near is None or centre is not None else _scored(search, near)
    best = run(start) if found is None else found
    ends = [best]
    others = correlated_starts(co, start) if found is None else []
    if not best.converged or search.at_boundary(best):
        # At a boundary there may be another optimum, and rounding decides which one is found.
        spare = _AGAIN_SECONDS / (seconds_of_evaluation(problem) * max(search.evaluations, 1))
        if not best.converged or spare > 1:
            others += _other_starts(search, start, best)[: max(3, int(spare))]
    if others:
        for other in others:
            end = run(other)
            ends.append(end)
            room = 1e-7 * (1 + abs(best.criterion)) if best.converged else 1e-9
            if end.criterion < best.criterion - room or (end.converged and not best.converged
                    and end.criterion < best.criterion + 1e-6):  # fmt: skip
                best = end
    seconds = time.perf_counter() - begin
    out = _optimum(problem, co, method, best, search, len(ends), seconds, centre)
    return replace(out, flat=_flat(search, best, ends)[co.effect_sd])


def _scored(search: Search, near: Near) -> Point | None:
    """Scoring steps from where the end is near, of an evaluation each; None if they do not end."""
    x = near.x
    value, gradient = search.value(x)
    for _ in range(_SCORING_STEPS):
        if value >= HUGE:
            return None
        largest = float(np.abs(gradient).max(initial=0.0))
        step = 0.5 * near.covariance @ gradient  # the criterion is twice a likelihood
        if float(gradient @ step) < _SCORED * (1 + 1e-10 * abs(value)):
            return Point(x, value, largest, True, "scoring steps have nothing left to gain")
        if np.abs(step).max() > 1.0:
            return None
        new, new_gradient = search.value(x - step)
        if new > value + 1e-12 * abs(value):
            return None
        x, value, gradient = x - step, new, new_gradient
    return None


def correlated_starts(co: Coordinates, start: np.ndarray) -> list[np.ndarray]:
    """Where effects are correlated by a rule: strongly, and half as much as their rows vary.

    A search from uncorrelated effects may end where these take the place of residuals.

    Parameters
    ----------
    co : Coordinates
    start : ndarray
        Where the first search begins.

    Returns
    -------
    list of ndarray
        Empty where there are no such effects.
    """
    ranges = [
        co.coordinates_of_block(block)
        for block in range(co.n_blocks)
        if not co.structures[block].any_columns
    ]
    by_rule = [at for at in ranges if at.stop > at.start]
    out = []
    for coordinate in (1.5, 4.0) if by_rule else ():
        other = start.copy()
        for at in by_rule:
            other[at] = coordinate
        out.append(other)
    return out


def _other_starts(search: Search, start: np.ndarray, best: Point) -> list[np.ndarray]:
    """Further sizes of all standard deviations, and each of them small in its turn."""
    n_sd = search.n_sd
    corr = slice(n_sd, n_sd + search.n_corr)
    out = []
    for scale in (0.1, 5.0) if best.converged else (0.1, 5.0, 0.01):
        other = start.copy()
        other[:n_sd] += np.log(scale)
        out.append(other)
    near = best.x.copy()
    near[:n_sd] = np.maximum(near[:n_sd], search.unit + np.log(0.03))
    near[corr] = start[corr]
    out.append(near)
    for j in range(n_sd) if n_sd > 1 else ():
        other = start.copy()
        other[j] += np.log(0.01)
        out.append(other)
        other = near.copy()
        other[j] = search.unit[j]
        out.append(other)
    return out


def _flat(search: Search, best: Point, ends: list[Point]) -> np.ndarray:
    """Standard deviations of which other values are as good.

    Those along which the criterion does not bend at its end, and those that differ
    between ends of further searches which are equally good.
    """
    n_sd = search.n_sd
    out = np.zeros(n_sd, dtype=bool) if best.flat is None else best.flat[:n_sd].copy()
    room = 1e-7 * (1 + abs(best.criterion))
    sd = np.exp(np.clip(best.x[:n_sd], search.zero, None))
    for end in ends:
        if end.converged and end.criterion < best.criterion + room:
            other = np.exp(np.clip(end.x[:n_sd], search.zero, None))
            out |= np.abs(other - sd) > 0.05 * np.maximum(other, sd) + 1e-3 * np.exp(search.unit)
    return out & search.may_be_zero


def start_point(problem: Problem, co: Coordinates) -> np.ndarray:
    """Where a search among absolute coordinates may start."""
    return np.append(_start(co, log_units(co)), start_of_residual(problem))


def start_of_residual(problem: Problem) -> np.ndarray:
    """Where a search for the parameters of R begins: sigma is one unit, in each stratum."""
    if problem.residual is None:
        return np.zeros(0)
    start = phi_start(problem.residual.parameters)
    if problem.scale is None:
        return start
    unit = np.log(problem.scaling.y_scale) - problem.scale.offset
    return np.append(np.linalg.lstsq(problem.scale.X, unit, rcond=None)[0], start)


def log_units(co: Coordinates) -> np.ndarray:
    """Log of what one unit of a working column is, in units of the response, shape (n_sd,)."""
    diagonals = [np.diag(_change(co, f)) for f in range(len(co.q))]
    if not diagonals:
        return np.zeros(0)
    return -np.log(np.abs(np.concatenate(diagonals)))[co.effect_of_sd]


def _change(co: Coordinates, f: int) -> np.ndarray:
    q, at = int(co.q[f]), int(co.L_start[f])
    return co.T[at : at + q * q].reshape(q, q)


def _start(co: Coordinates, unit: np.ndarray) -> np.ndarray:
    """One unit of each working column, uncorrelated there.

    For a predictor far from zero, that is a strong correlation with the intercept
    on the formula's scale, which a search that starts without it may never find.
    """
    n_sd = co.n_sd
    x = np.zeros(co.n_x)
    uniform = co.prior_kind == UNIFORM
    x[:n_sd] = unit
    if co.n_sigma and not uniform[-1]:
        x[-1] = np.log(co.unit[0])
    for block in range(co.n_blocks):
        here, effects = co.coordinates_of_block(block), co.effects_of_block(block)
        if not co.structures[block].any_columns:
            continue  # zero, the middle of each parameter's scale
        f, first = int(co.block_factor[block]), int(co.block_first[block])
        rows = slice(first, first + int(co.block_size[block]))
        T = _change(co, f)[rows, rows]
        if co.scaled[f]:
            continue  # they are uncorrelated on both scales
        half = np.linalg.inv(T)
        covariance = half @ half.T
        sd = np.sqrt(np.diag(covariance))
        x[co.effect_sd[effects]] += np.log(sd) - np.log(np.diag(half))
        C = np.linalg.cholesky(covariance / np.outer(sd, sd) + 1e-15 * np.eye(len(sd)))
        x[here] = partials_of_unit_factors(C[None], 1e-13)[0]
    x[:n_sd][uniform[:-1]] = 0.0
    return x


def _optimum(
    problem: Problem, co: Coordinates, method: Method, best: Point, search: Search,
    starts: int, seconds: float, centre: Centred | None,
) -> Optimum:  # fmt: skip
    factor = 1.0
    if method != "map" and not problem.sigma_is_known:
        variance = profiled_variance(problem.equations, co, best.x, method == "reml")
        factor = float(np.sqrt(variance)) * problem.scaling.y_scale
    if centre is None:
        sd, C = unpack_theta(co, best.x)
        sigma = float(sd[-1]) * factor
        return optimum_at(problem, co, best, search, sd[:-1] * factor, C, sigma, starts, seconds)
    other = centre.absolute(best.x, factor)
    L = centre.factors_at(best.x, factor)
    search.unit = log_units(centre.formula)
    best = replace(best, x=centre.back(best.x, search.zero, LARGEST_CORRELATION))
    sd, C = unpack_theta(centre.formula, best.x)
    found = optimum_at(problem, centre.formula, best, search, sd[:-1] * factor, C,
                       float(sd[-1]) * factor, starts, seconds, L)  # fmt: skip
    return replace(found, centred=other)


def optimum_at(
    problem: Problem, co: Coordinates, best: Point, search: Search, sd: np.ndarray,
    C: np.ndarray, sigma: float, starts: int, seconds: float, L: list[np.ndarray] | None = None,
) -> Optimum:  # fmt: skip
    """Say what a search has found.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
    best : the point that was found
    search : Search
    sd : ndarray, shape (n_effects,)
        On the scale of the formula.
    C : ndarray, shape (n_L,)
        Cholesky factors of the correlation matrices, flat.
    sigma : float
        Residual standard deviation; 1 where there is none.
    starts : int
    seconds : float
    L : list of ndarray, shape (q, q), optional
        Cholesky factors of the covariance of centred columns' effects, where these
        are known better than from `sd` and `C`.

    Returns
    -------
    Optimum
    """
    at_zero = (best.x[: search.n_sd] <= search.zero + 1e-9)[co.effect_sd]
    q, at = problem.equations.q, problem.equations.L_start
    factors = [C[at[f] : at[f + 1]].reshape(q[f], q[f]) for f in range(len(q))]
    sd = np.where(at_zero, 0.0, sd)
    dependent = np.zeros(len(sd), dtype=bool)
    for f, own in enumerate(L or working_factors(problem, sd, factors)):
        here = slice(int(co.sd_start[f]), int(co.sd_start[f]) + int(q[f]))
        dependent[here] = _dependent(own, column_change(problem, f), sd[here], 1e-4 * sigma)
    return Optimum(
        x=best.x[: co.n_all],
        coordinates=co,
        criterion=best.criterion,
        sd=sd,
        sigma=sigma,
        corr=correlation_matrices(co, C),
        converged=best.converged and bool(np.isfinite(sigma)),
        phi={k: float(v) for k, v in phi_values(problem.phi, best.x[co.n_x : co.n_all]).items()},
        gradient=best.gradient,
        evaluations=search.evaluations,
        starts=starts,
        seconds=seconds,
        message=best.message,
        at_zero=at_zero,
        dependent=dependent,
    )


def _dependent(L: np.ndarray, T: np.ndarray, sd: np.ndarray, small: float) -> np.ndarray:
    """Effects that others determine, by the factor of the centred columns' covariance."""
    left, size = np.diag(L), np.sqrt((L**2).sum(axis=1))
    found = (sd > 0) & (left < small) & (left < 0.999 * size)
    # An intercept that varies at zero and not at the predictors' means: the slopes tell it.
    for k in np.flatnonzero((size < small) & (sd * np.abs(np.diag(T)) >= small)).tolist():
        slopes = [j for j in np.flatnonzero(T[k]).tolist() if j > k and sd[j] > 0]
        found[slopes[:1]] = True
    return found
