"""Responses that a model fits perfectly: no residual variance is left to estimate."""

from __future__ import annotations

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.design.rank import aliased_columns
from bayesmix.errors import DataError
from bayesmix.formula.structures import as_residual
from bayesmix.gaussian.combine import separate_theta
from bayesmix.gaussian.density import profiled_deviance, profiled_variance
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_values
from bayesmix.inference.empirical import Optimum, log_units, start_of_residual
from bayesmix.summed import Summed

__all__ = ["refuse_no_residual", "refuse_perfect_fit", "refuse_saturated"]

_LARGE = np.log(1e7)  # of a standard deviation that shrinks nothing, relative to sigma
_LEAST_SIGMA = 1e-6  # of what least squares leaves
_SMALL_SIGMA = 1e-3  # the same, at which it is asked whether that is the best
_NOTHING = 1e-12  # of the variance: what is lost in computing it


def refuse_saturated(problem: Problem, predictor: LinearPredictor) -> None:
    """Refuse REML and ML where the fixed effects alone reproduce every row.

    Raises
    ------
    DataError
    """
    n, p = problem.n_obs, problem.n_fixed
    if n <= p and not problem.sigma_is_known:
        known = len(predictor.X) == n  # not where the rows are elsewhere
        different = p - len(aliased_columns(predictor.X)) if known else n
        if different < n:  # of which no choice is made among more columns than rows
            raise DataError(
                f"{p} fixed effects for {n} rows, of which the rows tell {different} apart: leave "
                "out terms that others determine, or take fit(), whose priors decide"
            )
        raise DataError(
            f"{p} fixed effects for {n} rows leave no residual variance: the likelihood has no "
            "maximum; leave terms out, or take fit(), whose priors decide"
        )


def refuse_no_residual(problem: Problem, optimum: Optimum) -> None:
    """Refuse an optimum at a residual variance of zero, where nothing else has a meaning.

    Raises
    ------
    DataError
    """
    beside = problem.residual is not None and problem.residual.beside_known
    if problem.scale is not None and not beside:  # of which something is left, whatever sigma is
        _refuse_row_without_residual(problem, optimum)
    if problem.sigma_is_known:
        return
    effects = sum(g.n_levels * g.n_effects for g in problem.groups)
    sigma = optimum.sigma / problem.scaling.y_scale
    if sigma > _LEAST_SIGMA and not (sigma < _SMALL_SIGMA and _no_worse_beyond(problem, optimum)):
        return
    placed = [
        as_residual(
            block.structure,
            g.effects[block.start].partition(")[")[0].removeprefix(f"{block.structure}("),
            g.name,
        )
        for g in problem.groups
        for block in g.blocks
        if block.positions is not None
    ]
    instead = (
        f"say in a second formula, `{placed[0]}`, that the residuals are correlated, in place of "
        "the group effects (and in a third, sigma ~ ..., where their variances differ)"
        if placed
        else "take group effects out"
    )
    raise DataError(
        f"the residual variance is estimated as zero: {problem.n_fixed} fixed and {effects} group "
        f"effects for {problem.n_obs} rows leave nothing; {instead}, or fit(), whose priors keep "
        "it from zero"
    )


def _refuse_row_without_residual(problem: Problem, optimum: Optimum) -> None:
    """Refuse a sigma of nothing in some rows alone, which other effects then reproduce."""
    co, scale = optimum.coordinates, problem.scale
    if co.n_sigma or scale is None:  # of the posterior mode priors take care
        return
    phi = separate_theta(co, optimum.x)[1]
    values = phi_values(problem.phi, phi)
    beta = np.stack(
        [
            np.log(values[one.name]) if one.support == "positive" else values[one.name]
            for one in scale.parameters
        ]
    )
    log_sigma = (scale.X @ beta + scale.offset)[scale.stratum]
    small = np.flatnonzero(log_sigma < np.log(_LEAST_SIGMA * problem.scaling.y_scale))
    if not small.size:
        return
    where = f"row {small[0]}" if small.size == 1 else f"{small.size} rows (first: row {small[0]})"
    raise DataError(
        f"sigma is estimated as zero in {where}, which the other effects reproduce: the likelihood "
        "rises for ever as sigma falls there; leave a term out of the formula of sigma or of the "
        'response, or take method="map" or fit(), whose priors keep sigma from zero'
    )


def _no_worse_beyond(problem: Problem, optimum: Optimum) -> bool:
    """Whether a sigma a hundred times smaller is as good.

    Where the best sigma is zero a search stops somewhere on the way.
    """
    co = optimum.coordinates
    if co.n_sigma:  # the posterior mode, of which priors take care
        return False
    further = optimum.x.copy()
    further[: co.n_sd] += np.log(100.0)
    for reml in (True, False):
        here, there = (
            profiled_deviance(problem.equations, co, x, reml, 0.0, np.empty(len(x)))
            for x in (optimum.x, further)
        )
        if there < here + 1e-3:
            return True
    return False


def refuse_perfect_fit(
    problem: Problem, predictor: LinearPredictor, y: np.ndarray | Summed
) -> None:
    """Refuse a response of which fixed and group effects together leave nothing.

    Its likelihood grows without bound as sigma goes to zero, and the posterior of sigma
    is no distribution.

    Parameters
    ----------
    problem : Problem
    predictor : LinearPredictor
    y : ndarray, shape (n,)

    Raises
    ------
    DataError
        Saying which grouping factor tells the response, if one does.
    """
    eq = problem.equations
    n, p = problem.n_obs, problem.n_fixed
    if problem.sigma_is_known or p >= n:
        return
    name = f"`{predictor.formula.response.text}`"
    # The unit of the response is the residual of least squares, unless that is rounding.
    if eq.yy[0] < 0.99 * n:
        raise DataError(
            f"the fixed effects reproduce the response {name} to the last digit, so there is no "
            "residual variance to estimate; is a predictor a copy of the response?"
        )
    if p + sum(g.n_levels * g.n_effects for g in predictor.groups) >= n or not predictor.groups:
        return
    co = problem.relative_coordinates()
    x = np.append(np.zeros(co.n_x), start_of_residual(problem))
    x[: co.n_sd] = log_units(co) + _LARGE
    variance = profiled_variance(eq, co, x, False)
    if not variance < _NOTHING:
        return
    advice = "is one of the predictors a copy of it?"
    for group in () if isinstance(y, Summed) else predictor.groups:
        order = np.argsort(group.index, kind="stable")
        first = np.searchsorted(group.index[order], np.arange(group.n_levels))
        if np.array_equal(np.maximum.reduceat(y[order], first),
                          np.minimum.reduceat(y[order], first)):  # fmt: skip
            advice = (
                f"it is the same in all rows of each level of `{group.name}`, so take one row for "
                "each level"
            )
            break
    raise DataError(
        f"fixed and group effects leave less than a millionth of the response {name}, so there is "
        f"no residual variance to estimate; {advice}"
    )
