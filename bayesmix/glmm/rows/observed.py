"""Rows of observations that are censored, truncated or weighted.

Such rows are given five numbers each in the place of the trials: see `GIVEN`. A row is its
family's density, or that of one of its tails, over the probability of the interval in which
it could be seen, to the power of its exponent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bayesmix.gaussian.linking import (
    Kernel,
    called,
    inner,
    inner_called,
    kernel,
    pointer,
    shifted,
)
from bayesmix.glmm.rows.counts import row_poisson
from bayesmix.glmm.rows.each import JOINT_ROWS, JointRow, each_row
from bayesmix.glmm.rows.kernels import SIGNATURE
from bayesmix.glmm.rows.nominal import NOMINAL
from bayesmix.glmm.rows.ordinal import rows_acat, rows_cratio, rows_cumulative, rows_sratio
from bayesmix.glmm.rows.proportions import row_binomial
from bayesmix.glmm.rows.tails import (
    tail_beta,
    tail_exponential,
    tail_gamma,
    tail_gaussian,
    tail_inverse_gaussian,
    tail_laplace,
    tail_lognormal,
    tail_negative_binomial,
    tail_negative_binomial1,
    tail_poisson,
    tail_student_t,
    tail_weibull,
    within_poisson,
)

__all__ = ["GIVEN", "OBSERVED_KERNELS", "given_rows"]

# What is given per row, in this order, and what stands for nothing.
GIVEN = {"trials": 1.0, "status": 0.0, "lower": -np.inf, "upper": np.inf, "exponent": 1.0}


def given_rows(rows: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Gather what is given per row, shape (n, 5); a normal response's weights are its trials."""
    out = np.empty((n, len(GIVEN)))
    for k, (name, nothing) in enumerate(GIVEN.items()):
        out[:, k] = rows.get(name, nothing)
    if "weights" in rows:
        out[:, 0] = rows["weights"]
    return out


@inner
def all_given(trials, i):  # type: ignore[no-untyped-def]
    """What is given for row i."""
    return shifted(trials, 5 * i)


def observed(row: Any, tail: Any, step: float, within: Any) -> Any:
    """Make the row of an observation of a family's row and tails.

    Parameters
    ----------
    row, tail, within : compiled function
        The last is the row of a value within limits where the density and the tails cancel, and
        NaN elsewhere.
    step : float
        1 for counts, 0 for other responses: a censored count of y or more is above y - 1.
    """

    @inner_called(f"observed_{row.__name__}")
    def rows(y, given, links, a, order, g, H):  # type: ignore[no-untyped-def]
        status, lower, upper, exponent = given[1], given[2], given[3], given[4]
        K, cut = len(g), lower > -np.inf or upper < np.inf
        s = 0.0
        if exponent == 0.0:
            for k in range(K):
                g[k] = 0.0
                for j in range(k + 1):
                    H[k, j] = 0.0
            return s
        if status == 0.0 and cut:
            s = within(y, lower, upper, links, a, order, g, H)
            if not math.isnan(s):
                for k in range(K):
                    g[k] *= exponent
                    for j in range(k + 1):
                        H[k, j] *= exponent
                return s * exponent
        if status == 0.0:
            s = row(y, given[0], links, a, order, g, H)
            if not s > -np.inf:
                return s
            if not cut and exponent == 1.0:
                return s
        # Tails in turn: that of a censored value; the larger one of the interval, on the side
        # where a difference is not lost; the smaller one. One call keeps the code short.
        by, twice, found = np.zeros((3, K)), np.zeros((3, K, K)), np.zeros(3)
        above, both = lower > -np.inf, lower > -np.inf and upper < np.inf
        turn, last = 0 if status != 0.0 else 1, 2 if both else 1 if cut else 0
        while turn <= last:
            side, at = above, upper
            if turn == 0:
                side, at = status > 0.0, y - step if status > 0.0 else y
            elif (turn == 1) == above:
                at = lower - step
            found[turn] = tail(at, given[0], links, a, order, by[turn], twice[turn], side)
            if turn == 1 and both and above and found[1] > -0.6931471805599453:
                above = False  # the lower limit lies left of the median
            else:
                turn += 1
        if status != 0.0:
            s = found[0]
            if not s > -np.inf:
                return s
            for k in range(K):
                g[k] = by[0, k]
                for j in range(k + 1):
                    H[k, j] = twice[0, k, j]
        odds = 0.0
        if both and found[2] > -np.inf:
            apart = found[2] - found[1]
            if not apart < 0.0:
                return -np.inf
            odds = 1.0 / np.expm1(-apart)
            s -= math.log(-np.expm1(apart))
        if cut:
            s -= found[1]
            for k in range(K):
                gap = by[1, k] - by[2, k]
                g[k] -= by[1, k] + odds * gap
                for j in range(k + 1):
                    other = by[1, j] - by[2, j]
                    H[k, j] -= (
                        twice[1, k, j] + odds * (twice[1, k, j] - twice[2, k, j])
                        - odds * (1.0 + odds) * gap * other
                    )  # fmt: skip
        s *= exponent
        for k in range(K):
            g[k] *= exponent
            for j in range(k + 1):
                H[k, j] *= exponent
        return s

    return rows


@inner
def no_tail(y, trials, links, a, order, g, H, above):  # type: ignore[no-untyped-def]
    """For families whose observations are neither censored nor truncated."""
    return math.nan


@inner
def no_within(y, lower, upper, links, a, order, g, H):  # type: ignore[no-untyped-def]
    """For families whose density is not far larger than that of the limits."""
    return math.nan


def weighted(name: str, plain: Kernel) -> Callable[..., float]:
    """Make a kernel's function of weighted rows of ordered categories, of plain ones' kernel."""
    one_row = plain.external

    @called(name)
    def rows(  # type: ignore[no-untyped-def]
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    ):
        most = int(trials[0]) - 1 if n > 0 else 0
        own, categories, three = np.zeros(most), np.zeros(1), np.zeros(3)
        for k in range(most):
            by_phi[k] = 0.0
        total = 0.0
        for i in range(n):
            exponent = trials[5 * i + 4]
            categories[0] = trials[5 * i]
            s = one_row(
                link, 1, shifted(y, i), categories.ctypes, shifted(eta, i), phi, order,
                three.ctypes, shifted(pointer(three), 1), shifted(pointer(three), 2), own.ctypes,
            )  # fmt: skip
            if exponent == 0.0:
                s, three[1], three[2] = 0.0, 0.0, 0.0
            if not s > -np.inf:
                return -np.inf
            total += exponent * s
            if order > 0:
                first[i] = exponent * three[1]
                for k in range(most):
                    by_phi[k] += exponent * own[k]
                if order > 1:
                    value[i], second[i] = exponent * s, exponent * three[2]
        return total

    return rows


# Tails of the families whose observations may be censored or truncated, and the step of counts.
_TAILS = {
    "poisson": (tail_poisson, 1.0),
    "negative_binomial": (tail_negative_binomial, 1.0),
    "gaussian": (tail_gaussian, 0.0),
    "student_t": (tail_student_t, 0.0),
    "laplace": (tail_laplace, 0.0),
    "lognormal": (tail_lognormal, 0.0),
    "gamma": (tail_gamma, 0.0),
    "inverse_gaussian": (tail_inverse_gaussian, 0.0),
    "exponential": (tail_exponential, 0.0),
    "weibull": (tail_weibull, 0.0),
    "beta": (tail_beta, 0.0),
    "negative_binomial1": (tail_negative_binomial1, 1.0),
}
# Rows of values within limits, where the density and the tails cancel far from the mean.
_WITHIN = {"poisson": within_poisson}
_OF_ONE_PARAMETER = {"poisson": JointRow(row_poisson, ()), "binomial": JointRow(row_binomial, ())}
_ORDERED = {
    "cumulative": rows_cumulative, "sratio": rows_sratio, "cratio": rows_cratio, "acat": rows_acat,
}  # fmt: skip

# By the name that families give to the kernel of their plain rows.
OBSERVED_KERNELS: dict[str, Kernel] = {}
for _name, _row in (JOINT_ROWS | _OF_ONE_PARAMETER).items():
    _tail, _step = _TAILS.get(_name, (no_tail, 0.0))
    _one = observed(_row.function, _tail, _step, _WITHIN.get(_name, no_within))
    OBSERVED_KERNELS[_name] = kernel(*SIGNATURE)(
        each_row(f"observed_{_name}", _one, _row.constants, all_given)
    )
for _name, _plain in _ORDERED.items():
    OBSERVED_KERNELS[_name] = kernel(*SIGNATURE, needs=(_plain,))(
        weighted(f"observed_{_name}", _plain)
    )
OBSERVED_KERNELS |= NOMINAL
