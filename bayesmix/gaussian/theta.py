"""Variance parameters by name become coordinates again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_x

__all__ = ["pack_theta"]


def pack_theta(
    problem: Problem,
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    sigma: np.ndarray | None,
    parameters: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    residual: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Coordinates of given variance parameters, for `Problem.absolute_coordinates`.

    Parameters
    ----------
    problem : Problem
    sd : mapping of str to ndarray, shape (S, q)
        By grouping factor, of each effect, on the scale of the formula.
    corr : mapping of str to ndarray, shape (S, q, q)
        For those grouping factors that have correlations.
    sigma : ndarray, shape (S,), or None
        None where the residual standard errors are known.
    parameters : mapping of str to mapping of str to ndarray, shape (S,), optional
        By grouping factor, other parameters of its structures.

    residual : mapping of str to ndarray, shape (S, ...), optional
        Variables of R beside sigma, and the coefficients of sigma's predictor.

    Returns
    -------
    ndarray, shape (S, n_all)
    """
    co = problem.absolute_coordinates()
    known = [sigma, *sd.values(), *(residual or {}).values()]
    n_draws = len(next(values for values in known if values is not None))
    X = np.zeros((n_draws, co.n_x))
    at_sd, at = 0, co.n_sd
    for group in problem.groups:
        covariance = covariance_of(group)
        values = covariance.by_sd(sd[group.name])
        X[:, at_sd : at_sd + covariance.n_sd] = np.log(np.maximum(values, 1e-300))
        at_sd += covariance.n_sd
        for part in covariance.with_coordinates:
            given = {
                p.name: (parameters or {})[group.name][name]
                for name, p in part.named_parameters().items()
            }
            if part.covariance.free_correlations:
                given["corr"] = corr[group.name][:, part.effects, part.effects]
            n = part.covariance.n_coordinates
            X[:, at : at + n] = part.covariance.coordinates_of(given)
            at += n
    if sigma is not None:
        X[:, -1] = np.log(sigma)
    if not problem.phi:
        return X
    phi = {} if problem.scale is None else problem.scale.parameters_of(residual or {})
    if problem.residual is not None:
        phi |= problem.residual.parameters_of(residual or {})
    return np.column_stack([X, phi_x(problem.phi, phi)])
