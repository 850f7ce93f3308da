"""Which models conjugate gradients take, and how their covariances are coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance.vine import partials_of_correlations
from bayesmix.gaussian.scaling import scale_design
from bayesmix.inference.crossed_sums import crossed_sums
from bayesmix.inference.empirical import Near
from bayesmix.inference.iterative import IterativeOptimum, iterative_reml
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.gaussian.problem import Problem
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "coordinates_of", "covariances_at", "derivatives", "estimated_entries", "estimates_of",
    "mode_of_large", "start_of_large", "why_not_iterative",
]  # fmt: skip

_LARGE = 1000  # columns of a root whose factor takes longer than all of conjugate gradients


def start_of_large(model: StatedModel, problem: Problem, method: str) -> Near | None:
    """Where a search for REML or ML starts, if its evaluations are dear: near its end.

    Parameters
    ----------
    model : StatedModel
    problem : Problem
        Its own, with the exact equations.
    method : str

    Returns
    -------
    Near or None
        Relative coordinates; None where the usual start will do.
    """
    if method not in ("reml", "ml"):
        return None
    return _near_end(model, problem, relative=True)


def mode_of_large(model: StatedModel, problem: Problem) -> Near | None:
    """Where the posterior of theta is, if evaluations are dear: about the end of REML.

    Returns
    -------
    Near or None
        Absolute coordinates, log sigma the last; None where the usual search will do.
    """
    return _near_end(model, problem, relative=False)


def _near_end(model: StatedModel, problem: Problem, *, relative: bool) -> Near | None:
    if len(problem.equations.root_y) < _LARGE or why_not_iterative(model, "reml"):
        return None
    mu, residual = model.design.mu, model.residual
    assert residual is not None  # noqa: S101
    y = model.y if mu.offset is None else model.y - mu.offset
    weights = residual.pairs(model.rows, mu.n_obs).weights
    with one_blas_thread():
        sums = crossed_sums(mu, y, weights, scale_design(mu, y, weights))
        found = iterative_reml(sums, [estimated_entries(mu.groups[k]) for k in sums.order])
    if not found.converged or np.concatenate(found.at_zero).any():
        return None
    names = [mu.groups[k].name for k in sums.order]
    order = [names.index(group.name) for group in problem.groups]

    def coordinates(theta: np.ndarray) -> np.ndarray:
        G = covariances_at(found, theta)
        if relative:
            return coordinates_of(problem, [G[k] / theta[-1] for k in order], 1.0, 1.0)[:-1]
        return coordinates_of(problem, [G[k] for k in order], theta[-1], problem.scaling.y_scale)

    theta = estimates_of(found)
    J = derivatives(coordinates, theta, found)
    return Near(x=coordinates(theta), covariance=J @ np.linalg.inv(found.information) @ J.T)


def estimates_of(found: IterativeOptimum) -> np.ndarray:
    """Entries of the covariances, and sigma^2, in working units."""
    G = [found.covariances[f][i, j] * found.variance for f, i, j in found.entries]
    return np.append(G, found.variance)


def covariances_at(found: IterativeOptimum, theta: np.ndarray) -> list[np.ndarray]:
    """Covariance matrices with other entries."""
    G = [np.zeros_like(own) for own in found.covariances]
    for (f, i, j), value in zip(found.entries, theta[:-1], strict=True):
        G[f][i, j] = G[f][j, i] = value
    return G


def derivatives(
    function: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, found: IterativeOptimum
) -> np.ndarray:
    """Derivatives of a function of the estimates, shape (values, entries + 1)."""
    columns = []
    for k in range(len(theta)):
        size = found.variance
        if k < len(found.entries):
            f, i, j = found.entries[k]
            size *= float(np.sqrt(found.covariances[f][i, i] * found.covariances[f][j, j]))
        step = np.zeros(len(theta))
        step[k] = 1e-6 * size
        columns.append((function(theta + step) - function(theta - step)) / (2 * step[k]))
    return np.stack(columns, axis=1)


def why_not_iterative(model: StatedModel, method: str) -> str:
    """Why conjugate gradients do not take a model, in words; empty if they do."""
    if method != "reml":
        return f'method="{method}": they know "reml"'
    residual = model.residual
    if residual is None or residual.parameters or residual.correlated:
        return "residuals that are not independent with one sigma"
    if model.design.known_se is not None or "sigma" in model.design.predictors:
        return "residuals that are not independent with one sigma"
    if model.design.streamed is not None:
        return "data that are read in batches"
    for group in model.design.mu.groups:
        if group.between is not None or group.is_membership or group.is_smooth:
            return f"`{group.name}`, whose effects are no levels that are independent"
        if any(block.structure not in {"us", "diag"} for block in group.blocks):
            return f"the covariance structure of `{group.name}`: they know us and diag"
    return "" if model.design.mu.groups else "a model without group effects"


def estimated_entries(group: GroupingFactor) -> list[tuple[int, int]]:
    """Entries of the covariance of a level's effects that are estimated."""
    found = []
    for block in group.blocks:
        for i in range(block.start, block.stop):
            found += [(i, j) for j in range(block.start if block.unstructured else i, i + 1)]
    return found


def coordinates_of(
    problem: Problem, G: list[np.ndarray], variance: float, scale: float
) -> np.ndarray:
    """Coordinates of covariances, in working units of the response."""
    sds, partials = [], []
    for group, own in zip(problem.groups, G, strict=True):
        sd = np.sqrt(np.maximum(np.diag(own), 1e-300))
        sds.append(np.log(sd * scale))
        for block in group.blocks:
            here = slice(block.start, block.stop)
            if block.unstructured and block.size > 1:
                R = own[here, here] / np.outer(sd[here], sd[here])
                partials.append(partials_of_correlations(R[None])[0])
    return np.concatenate([*sds, *partials, [np.log(np.sqrt(variance) * scale)]])
