"""Rows of real responses beside the normal."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import CONSTANT_LOG, chain, each_row, joint_kernel
from bayesmix.glmm.rows.joint import row_gaussian
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import mean_at
from bayesmix.glmm.special import digamma

__all__ = ["rows_laplace", "rows_lognormal", "rows_student_t"]


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


@inner
def row_lognormal(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Log-normal: log y is normal around mu with standard deviation sigma."""
    log_y = math.log(y)
    return row_gaussian(log_y, 1.0, links, a, order, g, H) - log_y


_lognormal = each_row(row_lognormal, 2, CONSTANT_LOG << 5)


@joint_kernel("lognormal", alone=True)
def rows_lognormal(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses whose logarithm is normal."""
    return _lognormal(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


@inner
def row_laplace(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Double exponential around mu.

    At mu it has a corner, where no Newton step stops: from order 2 on, which is for modes
    alone, the corner is rounded over a scale, by the root of z^2 + 1.
    """
    mu, slope, bend = mean_at(links[0], a[0])
    sigma, slope_s, bend_s = mean_at(links[1], a[1])
    if not sigma > 0.0:
        return -np.inf
    z = (y - mu) / sigma
    size = abs(z) if order < 2 else math.sqrt(1.0 + z * z)
    if order > 0:
        lean = z / size if size > 0.0 else 0.0
        g[0], g[1] = lean / sigma, (lean * z - 1.0) / sigma
        if order > 1:
            sharp = 1.0 / (size * size * size)
            square = sigma * sigma
            H[0, 0] = -sharp / square
            H[1, 0] = -(lean + z * sharp) / square
            H[1, 1] = (1.0 - 2.0 * lean * z - z * z * sharp) / square
        chain(0, slope, bend, order, g, H)
        chain(1, slope_s, bend_s, order, g, H)
    return -size - math.log(2.0 * sigma)


_laplace = each_row(row_laplace, 2, CONSTANT_LOG << 5)


@joint_kernel("laplace", alone=True)
def rows_laplace(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses with double exponential tails."""
    return _laplace(link, n, y, trials, eta, phi, order, value, first, second, by_phi)
