"""Rows of amounts that are zero or positive: Tweedie's compound Poisson distribution."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.gaussian.linking import inner
from bayesmix.glmm.rows.each import chain, joint_kernel
from bayesmix.glmm.rows.links import LOG, LOGIT, complement_at, log_mean_at, mean_at
from bayesmix.glmm.special import digamma, trigamma

__all__ = ["row_tweedie"]

_NOTHING = 37.0  # logarithms below the largest term: beyond what a double holds


@inner
def _term(j, a, base):  # type: ignore[no-untyped-def]
    """Logarithm of the j-th term of the series."""
    return j * base - math.lgamma(j + 1.0) - math.lgamma(j * a)


@inner
def row_tweedie(y, trials, links, at, order, g, H):  # type: ignore[no-untyped-def]
    """Tweedie with mean mu, variance phi mu^p and the power p = 1 + xi.

    The number of gamma distributed amounts is summed out around its most likely value
    (Dunn and Smyth 2005).
    """
    log_mu, slope, bend = log_mean_at(links[0], at[0])
    phi, slope_p, bend_p = mean_at(links[1], at[1])
    xi, slope_x, bend_x = mean_at(links[2], at[2])
    rest = complement_at(links[2], at[2])  # 2 - p
    if not (log_mu < np.inf and phi > 0.0 and xi > 0.0 and rest > 0.0):
        return -np.inf
    up = math.exp(rest * log_mu) / phi  # mu^(2 - p) / phi
    down = y * math.exp(-xi * log_mu) / phi  # y mu^(1 - p) / phi
    value = -up / rest - down / xi
    # Derivatives of the exponent by log mu, phi and xi.
    g[0] = down - up
    g[1] = (up / rest + down / xi) / phi
    g[2] = up * (log_mu / rest - 1.0 / (rest * rest)) + down * (log_mu / xi + 1.0 / (xi * xi))
    H[0, 0] = -xi * down - rest * up
    H[1, 0] = (up - down) / phi
    H[1, 1] = -2.0 * (up / rest + down / xi) / (phi * phi)
    H[2, 0] = log_mu * (up - down)
    H[2, 1] = -g[2] / phi
    H[2, 2] = -up * (log_mu * log_mu / rest - 2.0 * log_mu / rest**2 + 2.0 / rest**3) - down * (
        log_mu * log_mu / xi + 2.0 * log_mu / xi**2 + 2.0 / xi**3
    )
    if y > 0.0:
        a = rest / xi
        a1, a2 = -1.0 / (xi * xi), 2.0 / (xi * xi * xi)  # derivatives of a by xi
        log_part = math.log(y) - math.log(xi) - math.log(phi)
        base = a * log_part - math.log(phi) - math.log(rest)
        own = -a / xi + 1.0 / rest  # of the base by xi, a held
        middle = max(1.0, math.floor(math.exp(rest * math.log(y)) / (phi * rest) + 0.5))
        top = _term(middle, a, base)
        total, m_j, m_jj, m_s, m_ss, m_js, m_t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for side in range(2):
            j = middle if side == 0 else middle - 1.0
            while j >= 1.0:
                size = _term(j, a, base) - top
                if size < -_NOTHING:
                    break
                weight = math.exp(size)
                total += weight
                if order > 0:
                    inside = log_part - digamma(j * a)
                    s = j * (own + a1 * inside)
                    m_j += weight * j
                    m_s += weight * s
                    if order > 1:
                        m_jj += weight * j * j
                        m_ss += weight * s * s
                        m_js += weight * j * s
                        m_t += weight * j * (
                            a2 * inside - a1 * j * a1 * trigamma(j * a) - 2.0 * a1 / xi
                            + a / (xi * xi) + 1.0 / (rest * rest)
                        )  # fmt: skip
                j += 1.0 if side == 0 else -1.0
        value += top + math.log(total) - math.log(y)
        if order > 0:
            m_j, m_s = m_j / total, m_s / total
            per = -(1.0 + a) / phi  # each term's logarithm by phi is j times this
            g[1] += per * m_j
            g[2] += m_s
            if order > 1:
                spread = m_jj / total - m_j * m_j
                both = m_js / total - m_j * m_s
                H[1, 1] += per * per * spread - per / phi * m_j
                H[2, 1] += per * both - a1 / phi * m_j
                H[2, 2] += m_ss / total - m_s * m_s + m_t / total
    if order > 0:
        chain(0, slope, bend, order, g, H)
        chain(1, slope_p, bend_p, order, g, H)
        chain(2, slope_x, bend_x, order, g, H)
    return value


joint_kernel("tweedie", row_tweedie, (LOG, LOGIT), alone=True)
