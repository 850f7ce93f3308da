"""Rows of positive responses."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import LOG, mean_at
from bayesmix.glmm.special import digamma

__all__ = ["rows_gamma"]


@row_kernel("gamma")
def rows_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Gamma with shape alpha and mean mu."""
    alpha = phi[0]
    base = alpha * math.log(alpha) - math.lgamma(alpha)
    slope_base = math.log(alpha) + 1.0 - digamma(alpha)
    total, by_alpha = 0.0, 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        if not mu > 0.0:
            return -np.inf
        log_mu = eta[i] if link == LOG else math.log(mu)
        log_y, ratio = math.log(y[i]), y[i] / mu
        s = base + alpha * (log_y - log_mu - ratio) - log_y
        total += s
        if order > 0:
            first[i] = alpha * (ratio - 1.0) * (1.0 if link == LOG else slope / mu)
            by_alpha += slope_base + log_y - log_mu - ratio
        if order > 1:
            value[i] = s
            if link == LOG:
                second[i] = -alpha * ratio
            else:
                relative = slope / mu
                second[i] = alpha * (
                    (ratio - 1.0) * bend / mu + (1.0 - 2.0 * ratio) * relative * relative
                )
    by_phi[0] = by_alpha
    return total
