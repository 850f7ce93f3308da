"""Draws of theta's coordinates become the variables that a posterior has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.coordinates import (
    Coordinates,
    correlation_matrices,
    structure_values,
    unpack_theta,
)
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_values

__all__ = ["GroupVariables", "residual_variables", "theta_variables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupVariables:
    """Names of one grouping factor's variables.

    Attributes
    ----------
    sd, corr, b : str
    parameters : mapping of str to str
        By the parameter's name in the grouping factor.
    """

    sd: str
    corr: str
    b: str
    parameters: Mapping[str, str]


def theta_variables(
    problem: Problem, co: Coordinates, x: np.ndarray, names: Mapping[str, GroupVariables]
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Standard deviations, correlation matrices and structures' parameters.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
    x : ndarray, shape (chains, draws, n_x)
    names : mapping of str to GroupVariables
        By grouping factor.

    Returns
    -------
    dict of str to ndarray, shape (chains, draws, ...)
        By the variables' names.
    sd, C : ndarray
        As `unpack_theta` has them, all draws behind each other.
    """
    n_chains, n_draws = x.shape[:2]
    flat = np.ascontiguousarray(np.concatenate(x)[:, : co.n_x])
    sd, C = unpack_theta(co, flat)
    found: dict[str, np.ndarray] = {}
    blocks = iter(structure_values(co, flat))
    for f, group in enumerate(problem.groups):
        covariance, own, first = covariance_of(group), names[group.name], int(co.sd_start[f])
        of_sd = covariance.by_sd(sd[:, first : first + group.n_effects])
        found[own.sd] = of_sd.reshape(n_chains, n_draws, covariance.n_sd)
        for part in covariance.with_coordinates:
            values = next(blocks)
            for k, name in enumerate(part.named_parameters()):
                found[own.parameters[name]] = values[:, k].reshape(n_chains, n_draws)
        if covariance.has_correlations:
            R = correlation_matrices(co, C)[f]
            R[..., range(group.n_effects), range(group.n_effects)] = 1.0
            found[own.corr] = R.reshape(n_chains, n_draws, *R.shape[1:])
    return found, sd, C


def residual_variables(problem: Problem, x: np.ndarray) -> dict[str, np.ndarray]:
    """Variables of R beside sigma, or of sigma's predictor.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (..., n_phi)
        Coordinates.

    Returns
    -------
    dict of str to ndarray, shape (..., ...)
    """
    found = phi_values(problem.phi, x)
    out: dict[str, np.ndarray] = {}
    if problem.scale is not None:
        own = [found.pop(one.name) for one in problem.scale.parameters]
        out |= problem.scale.variables(np.stack(own, axis=-1))
    if problem.residual is not None:
        out |= problem.residual.variables(found)
    return out
