"""Rows of ordered categories whose discrimination has a linear predictor: disc (tau_k - eta).

phi holds the thresholds; in the place of the trials stands the number of categories. The first
predictor is eta, the second the logarithm of disc. So every distance x from a threshold has the
derivatives disc by eta, up to its sign, and x by log disc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bayesmix.gaussian.linking import called, inner, kernel
from bayesmix.glmm.rows.each import JOINT_KERNELS, link_of_mu
from bayesmix.glmm.rows.kernels import SIGNATURE
from bayesmix.glmm.rows.links import LOGIT, log_failure, log_success
from bayesmix.glmm.rows.ordinal import log_between, log_slope

__all__: list[str] = []


@inner
def add_distance(s, x, d, sign, slope, bend, sums):  # type: ignore[no-untyped-def]
    """Add a term of one distance x = sign d (eta - tau), with its derivatives by x, to sums.

    These are the value, the derivatives by eta and log disc, and the second ones: twice by eta,
    mixed, twice by log disc.
    """
    sums[0] += s
    sums[1] += sign * d * slope
    sums[2] += x * slope
    sums[3] += d * d * bend
    sums[4] += sign * d * (slope + x * bend)
    sums[5] += x * (slope + x * bend)


@inner
def cumulative_row(link, k, last, eta, d, phi, order, by_phi, work, sums):  # type: ignore[no-untyped-def]
    """P(Y <= k) = F(disc (tau_k - eta))."""
    if k <= 1 or k >= last:
        at = 0 if k <= 1 else last - 2
        x = d * (phi[at] - eta)
        s, slope, bend = log_success(link, x) if k <= 1 else log_failure(link, x)
        add_distance(s, x, d, -1.0, slope, bend, sums)
        if order > 0:
            by_phi[at] += d * slope
        return
    up, low = d * (phi[k - 1] - eta), d * (phi[k - 2] - eta)
    s = log_between(link, up, low)
    if not s > -np.inf:
        sums[0] = -np.inf
        return
    log_up, turn_up = log_slope(link, up)
    log_low, turn_low = log_slope(link, low)
    a, b = math.exp(log_up - s), -math.exp(log_low - s)
    aa = a * turn_up - a * a if a > 0.0 else 0.0
    bb = b * turn_low - b * b if b < 0.0 else 0.0
    ab = -a * b
    add_distance(s, up, d, -1.0, a, aa, sums)
    add_distance(0.0, low, d, -1.0, b, bb, sums)
    sums[3] += 2.0 * d * d * ab
    sums[4] -= d * (up + low) * ab
    sums[5] += 2.0 * up * low * ab
    if order > 0:
        by_phi[k - 1] += d * a
        by_phi[k - 2] += d * b


@inner
def passed(link, k, last, eta, d, phi, order, by_phi, sums, sign):  # type: ignore[no-untyped-def]
    """Categories that are passed one after another; `sign` as of `ordinal.sequential`."""
    stops = sign < 0.0
    for j in range(min(k, last - 1)):
        x = sign * d * (eta - phi[j])
        succeeds = stops if j == k - 1 else not stops
        s, slope, bend = log_success(link, x) if succeeds else log_failure(link, x)
        add_distance(s, x, d, sign, slope, bend, sums)
        if order > 0:
            by_phi[j] -= sign * d * slope


@inner
def sratio_row(link, k, last, eta, d, phi, order, by_phi, work, sums):  # type: ignore[no-untyped-def]
    """P(Y = k | Y >= k) = F(disc (tau_k - eta))."""
    passed(link, k, last, eta, d, phi, order, by_phi, sums, -1.0)


@inner
def cratio_row(link, k, last, eta, d, phi, order, by_phi, work, sums):  # type: ignore[no-untyped-def]
    """P(Y > k | Y >= k) = F(disc (eta - tau_k))."""
    passed(link, k, last, eta, d, phi, order, by_phi, sums, 1.0)


@inner
def acat_row(link, k, last, eta, d, phi, order, by_phi, work, sums):  # type: ignore[no-untyped-def]
    """P(Y = k + 1) over P(Y = k) has the odds of F(disc (eta - tau_k))."""
    slope, bend, p = work[0], work[1], work[2]
    at, own, top = 0.0, 0.0, 0.0
    p[0] = 0.0
    for j in range(last - 1):
        x = d * (eta - phi[j])
        if link == LOGIT:
            odds, slope[j], bend[j] = x, 1.0, 0.0
        else:
            v, first, second = log_success(link, x)
            w, other, twice = log_failure(link, x)
            odds, slope[j], bend[j] = v - w, first - other, second - twice
        at += odds
        p[j + 1] = at
        top = max(top, at)
        if j == k - 2:
            own = at
    scale = 0.0
    for j in range(last):
        p[j] = math.exp(p[j] - top)
        scale += p[j]
    # For the thresholds below a category: moments of the sums of derivatives by eta and log disc.
    above, by_eta, by_disc = 1.0, 0.0, 0.0
    m_e, m_d, m_ee, m_ed, m_dd = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(last - 1):
        x = d * (eta - phi[j])
        above -= p[j] / scale
        gap = (1.0 if j < k - 1 else 0.0) - above
        add_distance(0.0, x, d, 1.0, gap * slope[j], gap * bend[j], sums)
        if order > 0:
            by_phi[j] -= gap * d * slope[j]
        by_eta += d * slope[j]
        by_disc += x * slope[j]
        share = p[j + 1] / scale
        m_e += share * by_eta
        m_d += share * by_disc
        m_ee += share * by_eta * by_eta
        m_ed += share * by_eta * by_disc
        m_dd += share * by_disc * by_disc
    sums[0] += own - top - math.log(scale)
    sums[3] -= m_ee - m_e * m_e
    sums[4] -= m_ed - m_e * m_d
    sums[5] -= m_dd - m_d * m_d


def discriminating(name: str, row: Callable[..., None]) -> Callable[..., float]:
    """Make a kernel's function of one of the rows above."""

    @called(name)
    def rows(  # type: ignore[no-untyped-def]
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    ):
        most = int(trials[0]) if n > 0 else 1
        mu = link_of_mu(link)
        work, sums = np.zeros((3, most)), np.zeros(6)
        if order > 0:
            for k in range(most - 1):
                by_phi[k] = 0.0
        total = 0.0
        for i in range(n):
            sums[:] = 0.0
            d = math.exp(eta[n + i])
            if not (0.0 < d < np.inf):
                return -np.inf
            row(mu, int(y[i]), most, eta[i], d, phi, order, by_phi, work, sums)
            if not sums[0] > -np.inf:
                return -np.inf
            total += sums[0]
            if order > 0:
                first[i], first[n + i] = sums[1], sums[2]
            if order > 1:
                value[i] = sums[0]
                second[i], second[n + i], second[2 * n + i] = sums[3], sums[4], sums[5]
        return total

    return rows


for _name, _row in (
    ("cumulative", cumulative_row),
    ("sratio", sratio_row),
    ("cratio", cratio_row),
    ("acat", acat_row),
):
    JOINT_KERNELS[_name] = kernel(*SIGNATURE)(discriminating(f"disc_{_name}", _row))
