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

from bayesmix.gaussian.linking import Kernel, inner, inner_called, kernel, pointer, shifted
from bayesmix.glmm.rows.angles import row_von_mises
from bayesmix.glmm.rows.counts import row_generalized_poisson, row_negative_binomial1, row_poisson
from bayesmix.glmm.rows.each import CONSTANT_LOG, CONSTANT_LOGIT, CONSTANT_REAL, each_row
from bayesmix.glmm.rows.hurdle import (
    row_hurdle_gamma,
    row_hurdle_negative_binomial,
    row_hurdle_poisson,
)
from bayesmix.glmm.rows.inflated import (
    row_zero_inflated_binomial,
    row_zero_inflated_negative_binomial,
    row_zero_inflated_poisson,
)
from bayesmix.glmm.rows.joint import (
    row_beta,
    row_gamma,
    row_gaussian,
    row_negative_binomial,
    row_student_t,
)
from bayesmix.glmm.rows.kernels import SIGNATURE
from bayesmix.glmm.rows.ordbeta import row_ordbeta
from bayesmix.glmm.rows.ordinal import rows_acat, rows_cratio, rows_cumulative, rows_sratio
from bayesmix.glmm.rows.positive import row_exponential, row_inverse_gaussian, row_weibull
from bayesmix.glmm.rows.proportions import row_beta_binomial, row_binomial
from bayesmix.glmm.rows.real import row_laplace, row_lognormal, row_skew_normal
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
)
from bayesmix.glmm.rows.tweedie import row_tweedie

__all__ = ["GIVEN", "OBSERVED_KERNELS", "given_rows"]

# What is given per row, in this order, and what stands for nothing.
GIVEN = {"trials": 1.0, "status": 0.0, "lower": -np.inf, "upper": np.inf, "exponent": 1.0}
OBSERVED_KERNELS: dict[str, Kernel] = {}


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


def observed(row: Any, tail: Any, step: float) -> Any:
    """Make the row of an observation of a family's row and tails.

    Parameters
    ----------
    row, tail : compiled function
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


def observed_kernel(name: str, *needs: Kernel) -> Callable[[Callable[..., Any]], Kernel]:
    """Register a kernel by the name that families give to that of their plain rows."""

    def register(function: Callable[..., Any]) -> Kernel:
        made = kernel(*SIGNATURE, needs=needs, reorder=True)(function)
        OBSERVED_KERNELS[name] = made
        return made

    return register


_ONE, _TWO = CONSTANT_LOG << 5, (CONSTANT_LOG << 5) + (CONSTANT_LOG << 10)
_UNIT, _LOG_UNIT = CONSTANT_LOGIT << 5, (CONSTANT_LOG << 5) + (CONSTANT_LOGIT << 10)

_poisson = each_row(observed(row_poisson, tail_poisson, 1.0), 1, 0, all_given)


@observed_kernel("poisson")
def observed_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Poisson counts."""
    return _poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_negative_binomial = each_row(
    observed(row_negative_binomial, tail_negative_binomial, 1.0), 2, _ONE, all_given
)


@observed_kernel("negative_binomial")
def observed_negative_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Counts that vary more than Poisson's."""
    return _negative_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_gaussian = each_row(observed(row_gaussian, tail_gaussian, 0.0), 2, _ONE, all_given)


@observed_kernel("gaussian")
def observed_gaussian(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Normal responses."""
    return _gaussian(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_student_t = each_row(observed(row_student_t, tail_student_t, 0.0), 3, _TWO, all_given)


@observed_kernel("student_t")
def observed_student_t(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses with Student's t distribution."""
    return _student_t(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_laplace = each_row(observed(row_laplace, tail_laplace, 0.0), 2, _ONE, all_given)


@observed_kernel("laplace")
def observed_laplace(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses with double exponential tails."""
    return _laplace(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_lognormal = each_row(observed(row_lognormal, tail_lognormal, 0.0), 2, _ONE, all_given)


@observed_kernel("lognormal")
def observed_lognormal(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses whose logarithm is normal."""
    return _lognormal(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_gamma = each_row(observed(row_gamma, tail_gamma, 0.0), 2, _ONE, all_given)


@observed_kernel("gamma")
def observed_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Positive responses with a gamma distribution."""
    return _gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_inverse_gaussian = each_row(
    observed(row_inverse_gaussian, tail_inverse_gaussian, 0.0), 2, _ONE, all_given
)


@observed_kernel("inverse_gaussian")
def observed_inverse_gaussian(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Responses with an inverse Gaussian distribution."""
    return _inverse_gaussian(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_exponential = each_row(observed(row_exponential, tail_exponential, 0.0), 1, 0, all_given)


@observed_kernel("exponential")
def observed_exponential(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Times with a constant hazard."""
    return _exponential(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_weibull = each_row(observed(row_weibull, tail_weibull, 0.0), 2, _ONE, all_given)


@observed_kernel("weibull")
def observed_weibull(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Times whose hazard is a power."""
    return _weibull(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_beta = each_row(observed(row_beta, tail_beta, 0.0), 2, _ONE, all_given)


@observed_kernel("beta")
def observed_beta(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Fractions."""
    return _beta(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_binomial = each_row(observed(row_binomial, no_tail, 1.0), 1, 0, all_given)


@observed_kernel("binomial")
def observed_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Successes of trials."""
    return _binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_beta_binomial = each_row(observed(row_beta_binomial, no_tail, 1.0), 2, _ONE, all_given)


@observed_kernel("beta_binomial")
def observed_beta_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Successes of trials that vary more."""
    return _beta_binomial(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_zero_inflated_poisson = each_row(
    observed(row_zero_inflated_poisson, no_tail, 1.0), 2, _UNIT, all_given
)


@observed_kernel("zero_inflated_poisson")
def observed_zero_inflated_poisson(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Zero-inflated Poisson counts."""
    return _zero_inflated_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_zero_inflated_negative_binomial = each_row(
    observed(row_zero_inflated_negative_binomial, no_tail, 1.0), 3, _LOG_UNIT, all_given
)


@observed_kernel("zero_inflated_negative_binomial")
def observed_zero_inflated_negative_binomial(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Zero-inflated negative binomial counts."""
    return _zero_inflated_negative_binomial(
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    )


_zero_inflated_binomial = each_row(
    observed(row_zero_inflated_binomial, no_tail, 1.0), 2, _UNIT, all_given
)


@observed_kernel("zero_inflated_binomial")
def observed_zero_inflated_binomial(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Zero-inflated successes of trials."""
    return _zero_inflated_binomial(
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    )


_hurdle_poisson = each_row(observed(row_hurdle_poisson, no_tail, 1.0), 2, _UNIT, all_given)


@observed_kernel("hurdle_poisson")
def observed_hurdle_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Zeros apart from Poisson counts."""
    return _hurdle_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_hurdle_negative_binomial = each_row(
    observed(row_hurdle_negative_binomial, no_tail, 1.0), 3, _LOG_UNIT, all_given
)


@observed_kernel("hurdle_negative_binomial")
def observed_hurdle_negative_binomial(  # type: ignore[no-untyped-def]
    link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Zeros apart from negative binomial counts."""
    return _hurdle_negative_binomial(
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    )


_hurdle_gamma = each_row(observed(row_hurdle_gamma, no_tail, 0.0), 3, _LOG_UNIT, all_given)


@observed_kernel("hurdle_gamma")
def observed_hurdle_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Zeros apart from gamma distributed values."""
    return _hurdle_gamma(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_negative_binomial1 = each_row(
    observed(row_negative_binomial1, tail_negative_binomial1, 1.0), 2, _ONE, all_given
)


@observed_kernel("negative_binomial1")
def observed_negative_binomial1(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Counts with variance mu (1 + alpha)."""
    return _negative_binomial1(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_generalized_poisson = each_row(
    observed(row_generalized_poisson, no_tail, 1.0), 2, _UNIT, all_given
)


@observed_kernel("generalized_poisson")
def observed_generalized_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Generalized Poisson counts."""
    return _generalized_poisson(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_tweedie = each_row(observed(row_tweedie, no_tail, 0.0), 3, _LOG_UNIT, all_given)


@observed_kernel("tweedie")
def observed_tweedie(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Amounts with zeros."""
    return _tweedie(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_skew_normal = each_row(
    observed(row_skew_normal, no_tail, 0.0), 3, _ONE + (CONSTANT_REAL << 10), all_given
)


@observed_kernel("skew_normal")
def observed_skew_normal(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Skew normal responses."""
    return _skew_normal(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_ordbeta = each_row(
    observed(row_ordbeta, no_tail, 0.0),
    4,
    _ONE + (CONSTANT_REAL << 10) + (CONSTANT_LOG << 15),
    all_given,
)


@observed_kernel("ordbeta")
def observed_ordbeta(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Fractions with zeros and ones."""
    return _ordbeta(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_von_mises = each_row(observed(row_von_mises, no_tail, 0.0), 2, _ONE, all_given)


@observed_kernel("von_mises")
def observed_von_mises(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Angles."""
    return _von_mises(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


def weighted(plain: Kernel) -> Any:
    """Make the loop of weighted rows of ordered categories, of the kernel of plain ones."""
    one_row = plain.external

    @inner_called(f"weighted_{plain.name}")
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


_cumulative = weighted(rows_cumulative)


@observed_kernel("cumulative", rows_cumulative)
def observed_cumulative(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Ordered categories, cumulative."""
    return _cumulative(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_sratio = weighted(rows_sratio)


@observed_kernel("sratio", rows_sratio)
def observed_sratio(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Ordered categories, by stopping ratios."""
    return _sratio(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_cratio = weighted(rows_cratio)


@observed_kernel("cratio", rows_cratio)
def observed_cratio(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Ordered categories, by continuation ratios."""
    return _cratio(link, n, y, trials, eta, phi, order, value, first, second, by_phi)


_acat = weighted(rows_acat)


@observed_kernel("acat", rows_acat)
def observed_acat(link, n, y, trials, eta, phi, order, value, first, second, by_phi):  # type: ignore[no-untyped-def]
    """Ordered categories, each against the one below."""
    return _acat(link, n, y, trials, eta, phi, order, value, first, second, by_phi)
