"""Rows of real responses beside the normal."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import mean_at
from bayesmix.glmm.special import digamma

__all__ = ["rows_student_t"]


@row_kernel("student_t")
def rows_student_t(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Student's t with nu degrees of freedom and scale sigma."""
    nu, sigma = phi[0], phi[1]
    base = (
        math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)
        - math.log(sigma)
    )  # fmt: skip
    by_base = 0.5 * (digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / nu)
    total, by_nu, by_sigma = 0.0, 0.0, 0.0
    for i in range(n):
        mu, slope, bend = mean_at(link, eta[i])
        z = (y[i] - mu) / sigma
        square = z * z
        log_part = np.log1p(square / nu)
        s = base - 0.5 * (nu + 1.0) * log_part
        total += s
        if order > 0:
            by_mu = (nu + 1.0) * z / (sigma * (nu + square))
            first[i] = by_mu * slope
            by_nu += by_base - 0.5 * log_part + 0.5 * (nu + 1.0) * square / (nu * (nu + square))
            by_sigma += ((nu + 1.0) * square / (nu + square) - 1.0) / sigma
            if order > 1:
                twice = -(nu + 1.0) * (nu - square) / (sigma * (nu + square)) ** 2
                second[i], value[i] = by_mu * bend + twice * slope * slope, s
    by_phi[0], by_phi[1] = by_nu, by_sigma
    return total
