"""Effective degrees of freedom of smooths: how many free coefficients they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.gaussian.theta import pack_theta
from bayesmix.inference.engines import why_not_collapsed
from bayesmix.inference.problems import gaussian_problem
from bayesmix.laws.correlations import correlations_at
from bayesmix.laws.levels import covariance_roots
from bayesmix.laws.rows import rows_of_fit
from bayesmix.laws.values import residual_values

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Law
    from bayesmix.laws.values import Values
    from bayesmix.statement.stated import StatedModel

__all__ = ["degrees_of_draws", "penalised_degrees"]

_MOST_DRAWS = 100
_WORK = 1_000_000  # rows x draws
_STEP = 1e-3  # of differences in the linear predictor


def penalised_degrees(variance: np.ndarray, sd: np.ndarray) -> float:
    """Trace of the penalised columns' part of the hat matrix: sum of 1 - var(b | y) / sd^2.

    Parameters
    ----------
    variance : ndarray, shape (G, q)
        Variance of the effects given the data and the variance parameters, with that of
        the fixed effects.
    sd : ndarray, shape (q,)
    """
    known = sd > 0
    # Each lies between 0 and 1, but for rounding where columns hardly differ.
    return float(np.clip(1.0 - variance[:, known] / sd[known] ** 2, 0.0, 1.0).sum())


def degrees_of_draws(law: Law) -> dict[str, float]:
    """Mean over some draws of each smooth's penalised degrees of freedom.

    Parameters
    ----------
    law : Law
        Its values are draws.

    Returns
    -------
    dict of str to float
        By grouping factor. Beyond the normal, rows count by the curvature of their log
        density at the posterior mean of their linear predictor.
    """
    model, drawn = law.model, law.values
    smooths = [group for group in model.design.mu.groups if group.smooth is not None]
    normal = not why_not_collapsed(
        model.design, model.family, model.rows, model.prior_entries, model.residual
    )
    n_draws = drawn.beta.shape[0] * drawn.beta.shape[1]
    most = _MOST_DRAWS if normal else int(np.clip(_WORK // model.design.n_obs, 10, _MOST_DRAWS))
    chosen = np.unique(np.linspace(0, n_draws - 1, min(most, n_draws)).astype(int))

    def some(values: np.ndarray) -> np.ndarray:
        return values.reshape(n_draws, *values.shape[2:])[chosen]

    sd = {name: some(values) for name, values in drawn.sd.items()}
    corr = correlations_at(drawn.corr, some)
    variances = (
        _of_normal(model, drawn, sd, corr, some) if normal else _of_any(law, smooths, sd, corr)
    )
    found = dict.fromkeys((group.name for group in smooths), 0.0)
    for s, variance in enumerate(variances):
        for name in found:
            found[name] += penalised_degrees(variance[name], sd[name][s]) / len(chosen)
    return found


def _of_normal(model: StatedModel, drawn: Values, sd: Mapping, corr: Mapping, some):  # type: ignore[no-untyped-def]
    problem = gaussian_problem(model)
    sigma = None if problem.sigma_is_known else some(drawn.parameters["sigma"])
    structure = {g: {n: some(v) for n, v in own.items()} for g, own in drawn.structure.items()}
    residual = {name: some(own) for name, own in residual_values(model, drawn).items()}
    X = pack_theta(problem, sd, corr, sigma, structure, residual)
    co = problem.absolute_coordinates()
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    for x in X:
        yield conditional_moments(problem, co, x, prior, known=problem.known_precision).b_var


def _of_any(law: Law, smooths: list[GroupingFactor], sd: Mapping, corr: Mapping):  # type: ignore[no-untyped-def]
    weights = _curvature(law)
    mu, priors = law.model.design.mu, law.model.prior_entries.mu
    scale = [entry.prior.parameters.get("sigma", np.inf) for entry in priors.coefficients]
    precision = np.zeros((mu.X.shape[1],) * 2)
    at = list(mu.slopes)
    precision[at, at] = 1.0 / np.asarray(scale, dtype=np.float64) ** 2
    names = [group.name for group in mu.groups]
    for s in range(len(next(iter(sd.values())))):
        roots = {
            name: covariance_roots(sd[name][[s]], corr[name][[s]] if name in corr else None)[0]
            for name in names
        }
        found = row_variance(mu, roots, weights, precision)
        yield {group.name: _variances(found, group, mu.X.shape[1]) for group in smooths}


def _curvature(law: Law) -> np.ndarray:
    """Minus the second derivative of each row's log density in its linear predictor."""
    model = law.model
    rows = rows_of_fit(model, "linear")
    eta = law.mean_of_rows(rows, "linear")
    values = {name: np.asarray(value) for name, value in law.point_estimates()[2].items()}
    step = _STEP * max(1.0, float(np.std(eta)))
    low, at, high = (
        np.asarray(model.family.log_prob(model.y, (eta + shift)[None], values, rows.per_row))[0]
        for shift in (-step, 0.0, step)
    )
    found = -(low - 2 * at + high) / step**2
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)


def _variances(found: RowVariance, group: GroupingFactor, n_fixed: int) -> np.ndarray:
    """Variance of each effect of a grouping factor, shape (G, q): each is a row of its own."""
    G, q = group.n_levels, group.n_effects
    Z, index = np.tile(np.eye(q), (G, 1)), np.repeat(np.arange(G), q)
    own = found.of_rows(np.zeros((G * q, n_fixed)), {group.name: Z}, {group.name: index})
    return own.reshape(G, q)
