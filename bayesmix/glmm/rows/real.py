"""Rows of real responses beside the normal."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.joint import row_gaussian
from bayesmix.glmm.rows.kernels import row_kernel
from bayesmix.glmm.rows.links import IDENTITY, LOG, mean_at
from bayesmix.glmm.special import inverse_mills, log_half_rising, log_normal_cdf

__all__ = ["row_laplace", "row_lognormal", "row_skew_normal", "rows_student_t"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_SQRT_PI_HALF = 0.5 * math.log(0.5 * math.pi)  # of sqrt(2 pi) over 2
_C = 2.0 / math.pi


@row_kernel("student_t")
def rows_student_t(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Student's t with nu degrees of freedom and scale sigma."""
    nu, sigma = phi[0], phi[1]
    base, by_half, _ = log_half_rising(0.5 * nu)
    base -= _HALF_LOG_2PI + math.log(sigma)
    by_base = 0.5 * by_half
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


joint_kernel("lognormal", row_lognormal, (LOG,), alone=True)


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


joint_kernel("laplace", row_laplace, (LOG,), alone=True)


@inner
def row_skew_normal(y, trials, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """Skew normal with mean mu and standard deviation sigma: 2 phi(z) Phi(alpha z) / omega."""
    mu, slope, bend = mean_at(links[0], a[0])
    sigma, slope_s, bend_s = mean_at(links[1], a[1])
    alpha, slope_a, bend_a = mean_at(links[2], a[2])
    if not sigma > 0.0:
        return -np.inf
    one = 1.0 + alpha * alpha
    delta = alpha / math.sqrt(one)
    by_alpha = 1.0 / (one * math.sqrt(one))
    k = math.sqrt(1.0 - _C * delta * delta)
    root = math.sqrt(_C)
    t = (y - mu) / sigma
    z = k * t + root * delta
    if order > 0:
        twice_alpha = -3.0 * alpha * by_alpha / one
        k1 = -_C * delta * by_alpha / k
        k2 = -(_C * (by_alpha * by_alpha + delta * twice_alpha) + k1 * k1) / k
        z1, z2 = k1 * t + root * by_alpha, k2 * t + root * twice_alpha
        r = inverse_mills(alpha * z)
        r1 = -r * (alpha * z + r)
        by_z, twice_z = -z + alpha * r, -1.0 + alpha * alpha * r1
        across, own = r + alpha * z * r1, z * z * r1
        by_t, twice_t = by_z * k, twice_z * k * k
        t_alpha = twice_z * k * z1 + by_z * k1 + across * k
        g[0], g[1] = -by_t / sigma, -(1.0 + t * by_t) / sigma
        g[2] = k1 / k + by_z * z1 + z * r
        if order > 1:
            square = sigma * sigma
            H[0, 0], H[1, 0] = twice_t / square, (by_t + t * twice_t) / square
            H[1, 1] = (1.0 + 2.0 * t * by_t + t * t * twice_t) / square
            H[2, 0], H[2, 1] = -t_alpha / sigma, -t * t_alpha / sigma
            H[2, 2] = (
                k2 / k - (k1 / k) ** 2 + twice_z * z1 * z1 + by_z * z2 + 2.0 * across * z1 + own
            )
        chain(0, slope, bend, order, g, H)
        chain(1, slope_s, bend_s, order, g, H)
        chain(2, slope_a, bend_a, order, g, H)
    return (
        math.log(k) - math.log(sigma) - 0.5 * z * z + log_normal_cdf(alpha * z)
        - _LOG_SQRT_PI_HALF
    )  # fmt: skip


joint_kernel("skew_normal", row_skew_normal, (LOG, IDENTITY), alone=True)
