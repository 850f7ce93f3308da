"""Rows of fractions that may be 0 or 1."""

from __future__ import annotations

import math

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.joint import row_beta
from bayesmix.glmm.rows.links import IDENTITY, LOG, log_failure, log_success, mean_at
from bayesmix.glmm.rows.ordinal import log_between, log_slope

__all__ = ["row_ordbeta"]


@inner
def row_ordbeta(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Ordered beta: 0, a beta fraction or 1, as eta lies to the cut points."""
    cut, slope_c, bend_c = mean_at(links[2], a[2])
    gap, slope_g, bend_g = mean_at(links[3], a[3])
    link, lower, upper = links[0], a[0] - cut, a[0] - cut - gap
    for k in range(4):
        g[k] = 0.0
        for j in range(k + 1):
            H[k, j] = 0.0
    by_gap, eta_gap, gap_gap = 0.0, 0.0, 0.0
    if y <= 0.0:
        value, by, twice = log_failure(link, lower)
    elif y >= 1.0:
        value, by, twice = log_success(link, upper)
        by_gap, eta_gap, gap_gap = -by, -twice, twice
    else:
        value = log_between(link, lower, upper)
        log_low, turn_low = log_slope(link, lower)
        log_up, turn_up = log_slope(link, upper)
        low, up = math.exp(log_low - value), math.exp(log_up - value)
        by = low - up
        twice = turn_low * low - turn_up * up - by * by
        by_gap, eta_gap, gap_gap = up, turn_up * up - by * up, -turn_up * up - up * up
        value += row_beta(y, trials, links[:2], a[:2], order, g[:2], H[:2, :2])
    g[0] += by
    g[2], g[3] = -by, by_gap
    H[0, 0] += twice
    H[2, 0], H[2, 2] = -twice, twice
    H[3, 0], H[3, 2], H[3, 3] = eta_gap, -eta_gap, gap_gap
    if order > 0:
        chain(2, slope_c, bend_c, order, g, H)
        chain(3, slope_g, bend_g, order, g, H)
    return value


joint_kernel("ordbeta", row_ordbeta, (LOG, IDENTITY, LOG), alone=True)
