"""How much of the variance a model explains, draw by draw. No labels here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayesmix.design import Design
from bayesmix.families import Family
from bayesmix.families.functions import large_is_infinite
from bayesmix.laws.components import variance_parts
from bayesmix.laws.family_draws import FamilyDraws
from bayesmix.laws.in_order import InOrder
from bayesmix.laws.linear import LinearDraws, for_each_block
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows
from bayesmix.residual import Residual
from bayesmix.summed import Summed

__all__ = ["LinkVariance", "bayesian_r2", "link_variance"]

# Points that integrate over the groups, by their largest sd on the link's scale: of a logit
# the error stays below 1e-5.
_POINTS = ((1.0, 9), (2.0, 15), (np.inf, 31))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkVariance:
    """The parts of the variance on the scale of the linear predictor.

    Attributes
    ----------
    fixed : ndarray, shape (...)
        Variance over the rows of X beta.
    groups : mapping of str to ndarray, shape (...)
        By grouping factor, the mean over the rows of z' Sigma z.
    residual : ndarray, shape (...)
    """

    fixed: np.ndarray
    groups: Mapping[str, np.ndarray]
    residual: np.ndarray

    @property
    def between(self) -> np.ndarray:
        """What all grouping factors have together."""
        return np.sum([np.zeros_like(self.fixed), *self.groups.values()], axis=0)

    @property
    def total(self) -> np.ndarray:
        """All parts together."""
        return self.fixed + self.between + self.residual

    def r2(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the marginal and the conditional R2 of Nakagawa and Schielzeth (2013)."""
        all_of_it = np.isinf(self.fixed)  # a share tends to 1 as X beta runs away
        with np.errstate(invalid="ignore"):
            marginal, conditional = (
                np.where(all_of_it, 1.0, part / self.total)
                for part in (self.fixed, self.fixed + self.between)
            )
        return marginal, conditional

    def icc(self, group: str) -> np.ndarray:
        """Return a grouping factor's share of the variance that X leaves."""
        with np.errstate(invalid="ignore"):
            return self.groups[group] / (self.between + self.residual)


def link_variance(
    design: Design,
    beta: np.ndarray,
    smooths: Mapping[str, np.ndarray],
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    residual: np.ndarray,
) -> LinkVariance:
    """Divide the variance on the scale of the linear predictor.

    Parameters
    ----------
    design : Design
    beta : ndarray, shape (..., p)
    smooths : mapping of str to ndarray, shape (..., q)
        Effects of the smooths of the population, which are part of X beta here.
    sd : mapping of str to ndarray, shape (..., q)
    corr : mapping of str to ndarray, shape (..., q, q)
    residual : ndarray, shape (...)

    Returns
    -------
    LinkVariance
        The variance of X beta has n - 1 in its denominator, as R's ``var``; the offset
        is no part of it.
    """
    curves = [group for group in design.mu.groups if group.is_smooth]
    X = design.mu.X
    if curves:
        X = np.concatenate([X, *(group.Z for group in curves)], axis=1)
        beta = np.concatenate([beta, *(smooths[group.name] for group in curves)], axis=-1)
    n, p = X.shape
    fixed = np.zeros(beta.shape[:-1])
    if p and n > 1:
        if isinstance(X, Summed):
            products = X.centred_products()
        else:
            X = X - X.mean(axis=0)
            products = X.T @ X
        fixed = np.einsum("...i,ij,...j->...", beta, products / (n - 1), beta)
    parts = variance_parts(design.mu.grouping, sd, corr, residual)
    groups = {name: np.sum(part, axis=-1) for name, part in parts.effects.items()}
    return LinkVariance(
        fixed=np.maximum(fixed, 0.0), groups=groups, residual=np.broadcast_to(residual, fixed.shape)
    )


def bayesian_r2(
    family: Family, parameters: ParameterDraws, rows: Rows, seed: int, *, marginal: bool,
    residual: Residual | None = None,
) -> np.ndarray:  # fmt: skip
    """Variance of the expected response over that plus the expected residual variance.

    Parameters
    ----------
    family : Family
    parameters : ParameterDraws
    rows : Rows
        With levels for the conditional, with effects alone for the marginal R2.
    seed : int
    marginal : bool
        Whether the group effects belong to the residual: means and variances are then
        those of an observation from a group of its own.
    residual : Residual, optional
        The structure of a normal response's residuals, which knows each row's variance.

    Returns
    -------
    ndarray, shape (S,)

    References
    ----------
    Gelman, A., Goodrich, B., Gabry, J. and Vehtari, A. (2019). R-squared for Bayesian
    regression models. The American Statistician 73, 307-309.
    """
    linear = LinearDraws(parameters, rows, seed)
    own = FamilyDraws(family, parameters, rows, seed, marginal=marginal)
    n_draws, n = parameters.n_draws, rows.n_rows
    moments = np.zeros((3, n_draws))  # sums of mean - shift, its square, variance
    order = InOrder()
    straight = family.mean_is_linear and family.has_constant_variance

    @large_is_infinite
    def of_rows(block: slice) -> tuple[np.ndarray, np.ndarray]:
        eta, columns = linear.block(block), own.block(block)
        per_row = {name: values[block] for name, values in rows.per_row.items()}

        def mean_and_variance(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean = np.asarray(family.mean(eta.T, columns, per_row)).T
            if residual is None:
                variance = np.asarray(family.variance(eta.T, columns, per_row))
            else:
                variance = residual.row_variance(columns, per_row)
            return mean, np.broadcast_to(variance, eta.T.shape).T

        if not marginal:
            return mean_and_variance(eta)
        if straight:
            mean, variance = mean_and_variance(eta)
            return mean, variance + linear.group_variance(block)
        return _over_groups(mean_and_variance, eta, np.sqrt(linear.group_variance(block)))

    shift = of_rows(slice(0, 1))[0][0].copy()

    @large_is_infinite
    def add(number: int, block: slice) -> None:
        found = np.zeros_like(moments)
        try:
            mean, variance = of_rows(block)
            deviation = mean - shift
            found = np.stack([deviation.sum(0), (deviation**2).sum(0), variance.sum(0)])
        finally:
            with order.turn(number):
                np.add(moments, found, out=moments)

    for_each_block(n, n_draws, add)
    with np.errstate(invalid="ignore", over="ignore"):
        first, second, residual = moments / n
        explained = np.maximum(second - first**2, 0.0)
        if n > 1:
            explained *= n / (n - 1)
        return explained / (explained + residual)


def _over_groups(
    mean_and_variance: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    eta: np.ndarray,
    spread: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of an observation from a group of its own."""
    mean, square = np.zeros_like(eta), np.zeros_like(eta)
    inside = np.zeros_like(eta)
    center = mean_and_variance(eta)[0]
    widest = float(spread.max(initial=0.0))
    n_points = next(points for limit, points in _POINTS if widest <= limit)
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_points)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        m, v = mean_and_variance(eta + node * spread)
        m = m - center
        mean += weight * m
        square += weight * m**2
        inside += weight * v
    return center + mean, inside + square - mean**2
