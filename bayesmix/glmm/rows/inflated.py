"""Rows of counts with extra zeros, several predictors at a time."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.counts import factorials, row_poisson
from bayesmix.glmm.rows.each import each_row, joint_kernel
from bayesmix.glmm.rows.joint import row_negative_binomial
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import LOG, LOGIT, log_failure, log_success
from bayesmix.glmm.rows.proportions import choices, row_binomial
from bayesmix.glmm.special import exp

__all__ = [
    "inflated",
    "row_zero_inflated_binomial",
    "row_zero_inflated_negative_binomial",
    "row_zero_inflated_poisson",
    "rows_zero_inflated_poisson",
]


@inner
def inflated(y, s, links, a, k, order, g, H):  # type: ignore[no-untyped-def]
    """Add zeros to a row: of a base family's log density s, with its derivatives in g and H.

    Parameters
    ----------
    y, s : float
    links, a : ndarray
    k : int
        Place of the zeros' probability, behind the base family's parameters.
    order : int
    g, H : ndarray
        The base family's; receive the mixture's.
    """
    log_zi, up_1, up_2 = log_success(links[k], a[k])
    log_rest, down_1, down_2 = log_failure(links[k], a[k])
    s += log_rest
    if y > 0.0:
        if order > 0:
            g[k] = down_1
            if order > 1:
                for j in range(k):
                    H[k, j] = 0.0
                H[k, k] = down_2
        return s
    top = max(s, log_zi)
    value = top + np.log1p(math.exp(-abs(s - log_zi)))
    if order > 0:
        base = math.exp(s - value)  # how likely the zero is one of the base family's
        extra = math.exp(log_zi - value)
        if order > 1:
            both = base * extra
            for i in range(k):
                for j in range(i + 1):
                    H[i, j] = base * H[i, j] + both * g[i] * g[j]
                H[k, i] = both * g[i] * (down_1 - up_1)
            H[k, k] = extra * up_2 + base * down_2 + both * (up_1 - down_1) ** 2
        for i in range(k):
            g[i] *= base
        g[k] = extra * up_1 + base * down_1
    return value


@inner
def row_zero_inflated_poisson(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Poisson counts with extra zeros of probability zi."""
    s = row_poisson(y, trials, links, a, order, g, H)
    if not s > -np.inf:
        return s
    return inflated(y, s, links, a, 1, order, g, H)


joint_kernel("zero_inflated_poisson", row_zero_inflated_poisson, (LOGIT,))
_rows = inner(each_row("rows_zero_inflated_poisson_each", row_zero_inflated_poisson, (LOGIT,)))


@inner
def _log_zero_inflated_poisson(n, y, eta, zi, first, by_phi):  # type: ignore[no-untyped-def]
    """The log link and one probability of extra zeros, whose logarithms are taken once."""
    total, by_zi, above = 0.0, 0.0, 0
    for i in range(n):
        mu = exp(eta[i])
        if y[i] > 0.0:
            total += y[i] * eta[i] - mu
            first[i] = y[i] - mu
            above += 1
            continue
        none = exp(-mu)
        zero = zi + (1.0 - zi) * none  # at least zi
        total += math.log(zero)
        first[i] = -mu * ((1.0 - zi) * none / zero)
        by_zi += (1.0 - none) / zero
    by_phi[0] = by_zi - above / (1.0 - zi)
    return total + above * np.log1p(-zi)


@row_kernel("zero_inflated_poisson", factorials, fast_link=LOG)
def rows_zero_inflated_poisson(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Poisson counts with extra zeros of one probability."""
    if link == LOG and order == 1 and phi[0] > 1e-290 and phi[0] < 1.0:
        return _log_zero_inflated_poisson(n, y, eta, phi[0], first, by_phi)
    return _rows(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


@inner
def row_zero_inflated_negative_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Negative binomial counts with extra zeros of probability zi."""
    s = row_negative_binomial(y, trials, links, a, order, g, H)
    if not s > -np.inf:
        return s
    return inflated(y, s, links, a, 2, order, g, H)


joint_kernel(
    "zero_inflated_negative_binomial",
    row_zero_inflated_negative_binomial,
    (LOG, LOGIT),
    factorials,
    alone=True,
)


@inner
def row_zero_inflated_binomial(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Successes of trials with extra zeros of probability zi."""
    s = row_binomial(y, trials, links, a, order, g, H)
    return inflated(y, s, links, a, 1, order, g, H)


joint_kernel("zero_inflated_binomial", row_zero_inflated_binomial, (LOGIT,), choices, alone=True)
