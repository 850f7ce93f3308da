"""Rows of categories in no order, and of counts of them.

In the place of the trials stands the number K of categories, for counts with these behind it
(`counted_rows`); the predictors are those of the second category to the last, of which each is the
log odds against the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import gammaln

from bayesmix.gaussian.linking import Kernel, called, inner, kernel
from bayesmix.glmm.rows.each import JOINT_KERNELS
from bayesmix.glmm.rows.kernels import ROW_KERNELS, SIGNATURE, RowKernel

__all__ = ["NOMINAL", "counted_rows"]


@inner
def odds_of_row(i, n, m, eta, p):  # type: ignore[no-untyped-def]
    """Fill the probabilities of all categories but the first; the logarithm of the odds' sum."""
    top = 0.0
    for k in range(m):
        top = max(top, eta[k * n + i])
    total = math.exp(-top)
    for k in range(m):
        p[k] = math.exp(eta[k * n + i] - top)
        total += p[k]
    for k in range(m):
        p[k] /= total
    return top + math.log(total)


@inner
def fill_curvature(i, n, m, p, size, second):  # type: ignore[no-untyped-def]
    """Fill the second derivatives of a row of so many trials, a triangle row by row."""
    for a in range(m):
        for b in range(a):
            second[(a * (a + 1) // 2 + b) * n + i] = size * p[a] * p[b]
        second[(a * (a + 1) // 2 + a) * n + i] = -size * p[a] * (1.0 - p[a])


def categories(name: str, width: int) -> Callable[..., float]:
    """Make a kernel's function.

    Parameters
    ----------
    name : str
        The kernel's.
    width : int
        How many numbers are given per row: K alone, or those of weighted rows, the exponent last.
    """

    @called(name)
    def rows(  # type: ignore[no-untyped-def]
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    ):
        m = int(trials[0]) - 1 if n > 0 else 1
        p = np.empty(m)
        total = 0.0
        for i in range(n):
            weight = 1.0 if width == 1 else trials[width * i + width - 1]
            k = int(y[i]) - 2
            s = -odds_of_row(i, n, m, eta, p)
            if k >= 0:
                s += eta[k * n + i]
            s = weight * s if weight > 0.0 else 0.0
            if not s > -np.inf:
                return -np.inf
            total += s
            if order > 0:
                for a in range(m):
                    first[a * n + i] = weight * ((1.0 if a == k else 0.0) - p[a])
            if order > 1:
                value[i] = s
                fill_curvature(i, n, m, p, weight, second)
        return total

    return rows


@called("rows_multinomial")
def rows_multinomial(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Counts of K categories, without the multinomial coefficient."""
    m = int(trials[0]) - 1 if n > 0 else 1
    p = np.empty(m)
    total = 0.0
    for i in range(n):
        at = (m + 3) * i
        weight, size = trials[at + m + 2], trials[at + 1]
        s = 0.0
        for a in range(m):
            count = trials[at + 2 + a]
            size += count
            if count > 0.0:
                s += count * eta[a * n + i]
        s -= size * odds_of_row(i, n, m, eta, p)
        s = weight * s if weight > 0.0 else 0.0
        if not s > -np.inf:
            return -np.inf
        total += s
        if order > 0:
            for a in range(m):
                first[a * n + i] = weight * (trials[at + 2 + a] - size * p[a])
        if order > 1:
            value[i] = s
            fill_curvature(i, n, m, p, weight * size, second)
    return total


def counted_rows(y: np.ndarray, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Gather K, the counts and the exponent of each row, shape (n, K + 2)."""
    n, n_categories = y.shape
    exponent = np.broadcast_to(rows.get("exponent", 1.0), n)
    return np.column_stack([np.full(n, float(n_categories)), y, exponent])


def coefficients(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Logarithms of the multinomial coefficients of counts, shape (n,)."""
    return np.asarray(gammaln(y.sum(axis=1) + 1.0) - gammaln(y + 1.0).sum(axis=1))


JOINT_KERNELS["multinomial"] = kernel(*SIGNATURE)(rows_multinomial)
ROW_KERNELS["multinomial"] = RowKernel(JOINT_KERNELS["multinomial"], coefficients, -1)
JOINT_KERNELS["categorical"] = kernel(*SIGNATURE)(categories("rows_categorical", 1))
ROW_KERNELS["categorical"] = RowKernel(JOINT_KERNELS["categorical"], None, -1)

# Those of rows with an exponent.
NOMINAL: dict[str, Kernel] = {
    "categorical": kernel(*SIGNATURE)(categories("observed_categorical", 5)),
    "multinomial": JOINT_KERNELS["multinomial"],
}
