"""Rows of angles."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.links import LOG, mean_at
from bayesmix.glmm.special import log_bessel

__all__ = ["row_von_mises"]

_LOG_2PI = math.log(2.0 * math.pi)


@inner
def row_von_mises(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Von Mises around the direction mu with concentration kappa."""
    mu, slope, bend = mean_at(links[0], a[0])
    kappa, slope_k, bend_k = mean_at(links[1], a[1])
    if not (kappa > 0.0 and kappa < np.inf):
        return -np.inf
    scaled, ratio, turn = log_bessel(kappa)
    half = math.sin(0.5 * (y - mu))
    short = 2.0 * half * half  # 1 - cos
    if order > 0:
        across = math.sin(y - mu)
        g[0], g[1] = kappa * across, 1.0 - short - ratio
        H[0, 0], H[1, 0], H[1, 1] = -kappa * (1.0 - short), across, -turn
        chain(0, slope, bend, order, g, H)
        chain(1, slope_k, bend_k, order, g, H)
    return -kappa * short - scaled - _LOG_2PI


joint_kernel("von_mises", row_von_mises, (LOG,), alone=True)
