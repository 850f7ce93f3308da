"""Allowance for the number of comparisons, in p-values and in intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import special

from bayesmix.results.means.multivariate_t import LargestT
from bayesmix.results.means.studentized_range import range_quantile, range_sf

__all__ = ["ADJUSTMENTS", "Adjust", "adjusted", "critical_values"]

Adjust = Literal["tukey", "mvt", "holm", "bonferroni", "sidak", "simultaneous"]
ADJUSTMENTS = ("tukey", "mvt", "holm", "bonferroni", "sidak")
_NODES = 8  # degrees of freedom at which quantiles are searched


def adjusted(
    t: np.ndarray, df: np.ndarray, sd: np.ndarray, covariance: np.ndarray, how: str | None,
    n_means: int,
) -> np.ndarray:  # fmt: skip
    """Two-sided p-values of a family of t statistics.

    Parameters
    ----------
    t, df, sd : ndarray, shape (K,)
        NaN where there is no estimate.
    covariance : ndarray, shape (K, K)
        The estimates' own.
    how : {"tukey", "mvt", "holm", "bonferroni", "sidak"} or None
    n_means : int
        Number of means whose differences they are, for Tukey's.

    Returns
    -------
    ndarray, shape (K,)
    """
    size = np.abs(t)
    alone = 2 * special.stdtr(df, -size)
    at = np.flatnonzero(np.isfinite(alone))
    p, m = alone[at], len(at)
    if how is None or m == 0:
        return alone
    out = np.full(len(t), np.nan)
    if how == "bonferroni":
        out[at] = np.minimum(m * p, 1.0)
    elif how == "sidak":
        out[at] = -np.expm1(m * np.log1p(-np.minimum(p, 1 - 1e-16)))
    elif how == "holm":
        order = np.argsort(p, kind="stable")
        stepped = np.maximum.accumulate(np.minimum((m - np.arange(m)) * p[order], 1.0))
        out[at[order]] = stepped
    elif how == "tukey":
        out[at] = np.maximum(range_sf(np.sqrt(2) * size[at], n_means, df[at]), p)
    else:
        law = LargestT(_correlation(covariance, sd, at))
        found = [law.sf(float(size[k]), float(df[k])) for k in at]
        out[at] = np.clip(found, p, np.minimum(m * p, 1.0))
    return out


def critical_values(
    prob: float, df: np.ndarray, sd: np.ndarray, covariance: np.ndarray, how: str | None,
    n_means: int,
) -> np.ndarray:  # fmt: skip
    """Half-widths of intervals in standard errors, shape (K,); Holm's are Bonferroni's."""
    at = np.flatnonzero(np.isfinite(sd) & ~np.isnan(df))
    out, m = np.full(len(df), np.nan), max(1, len(at))
    if how is None:
        return np.asarray(special.stdtrit(df, (1 + prob) / 2))
    if how in {"bonferroni", "holm"}:
        return np.asarray(-special.stdtrit(df, (1 - prob) / (2 * m)))
    if how == "sidak":
        return np.asarray(-special.stdtrit(df, -np.expm1(np.log(prob) / m) / 2))
    if not len(at):
        return out
    law = None if how == "tukey" else LargestT(_correlation(covariance, sd, at))

    def quantile(own: float) -> float:
        if law is None:
            return range_quantile(prob, n_means, own) / float(np.sqrt(2))
        return law.quantile(prob, own)

    out[at] = _over_df(quantile, df[at])
    return out


def _over_df(quantile: Callable[[float], float], df: np.ndarray) -> np.ndarray:
    """Quantiles at many degrees of freedom: between nodes where these are more than a few.

    Their logarithms are smooth functions of the inverse of degrees of freedom.
    """
    distinct, place = np.unique(np.round(df, 6), return_inverse=True)
    if len(distinct) <= _NODES:
        return np.asarray([quantile(float(own)) for own in distinct])[place]
    x = 1 / distinct
    angle = np.pi * np.arange(_NODES) / (_NODES - 1)
    nodes = x.min() + np.ptp(x) * (1 - np.cos(angle)) / 2
    with np.errstate(divide="ignore"):
        found = np.log([quantile(float(own)) for own in 1 / nodes])
    # Barycentric interpolation between Chebyshev's points (Berrut and Trefethen 2004, eq. 5.4).
    weight = (-1.0) ** np.arange(_NODES)
    weight[[0, -1]] /= 2
    gap = np.subtract.outer(x, nodes)
    at_node = np.abs(gap) < 1e-14 * np.ptp(x)
    share = weight / np.where(at_node, 1.0, gap)
    between = share @ found / share.sum(axis=1)
    return np.exp(np.where(at_node.any(axis=1), found[at_node.argmax(axis=1)], between))[place]


def _correlation(covariance: np.ndarray, sd: np.ndarray, at: np.ndarray) -> np.ndarray:
    R = covariance[np.ix_(at, at)] / np.outer(sd[at], sd[at])
    return np.asarray((R + R.T) / 2)
