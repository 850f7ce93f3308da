"""Estimates of theta from many responses of the same rows, each search in compiled code.

A search takes the steps and knows the ends of `inference/search.py`, with BFGS in the place of
L-BFGS-B: standard deviations that shrink are put on zero if that is no worse, leave it again if
that is better, and an end at a boundary is compared with those of further starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from bayesmix.gaussian.conditional import effect_moments
from bayesmix.gaussian.criterion import PROFILED, WITH_FIXED, criterion
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.layout import theta_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted

__all__ = ["CONVERGED", "moments_of_many", "search_many"]

FAILED, CONVERGED, SHRINKING = 0, 1, 2

_HUGE = 1e300  # in place of a criterion that is not finite
_ZERO = -30.0  # log of a standard deviation that is zero, relative to its unit
_LARGEST_CORRELATION = 17.0
_NEARLY_ONE = 4.0
_SHRINKING, _PERHAPS_ZERO, _SMALL = np.log(0.05), np.log(0.1), np.log(2e-3)
_STEPS, _CUTS = 200, 20
_GAIN = 1e-11  # of the criterion that a further step may promise
_ENOUGH, _FINE = 1e-2, 1e-3  # largest component of the gradient: at an end, and without a doubt
_LONGEST = 1.5  # of a step

_criterion, _effect_moments = criterion.external, effect_moments.external


class _Search(NamedTuple):
    """What all searches have in common, and room to work in."""

    eq_ints: Any
    eq_floats: Any
    co_ints: Any
    co_floats: Any
    precision: Any
    mean: Any
    flags: Any
    known: Any
    d: Any
    n_sd: Any
    unit: Any
    may_be_zero: Any
    inverse: Any
    H: Any
    variance: Any
    step: Any
    new: Any
    new_gradient: Any
    moved: Any
    changed: Any
    trial: Any
    slopes: Any
    frozen: Any
    stays: Any
    tried: Any


@inner
def _write_response(eq, eq_floats, n_products, positions, products, yy):  # type: ignore[no-untyped-def]
    """Put one response's products into the equations."""
    for i in range(n_products):
        eq_floats[positions[i]] = products[i]
    eq.yy[0] = yy
    if eq.n_patterns == 0:
        return
    q, m = eq.q[0], eq.sizes[4] + 1
    for i in range(eq.n_patterns * q):
        eq.pattern_y[i] = 0.0
    for i in range(eq.n_patterns * q * q):
        eq.pattern_yy[i] = 0.0
    for g in range(eq.n_levels[0]):
        k, panel = eq.pattern[g], shifted(eq.panel, g * q * m)
        for i in range(q):
            y = panel[i * m + m - 1]
            eq.pattern_y[k * q + i] += y
            for j in range(q):
                eq.pattern_yy[(k * q + i) * q + j] += y * panel[j * m + m - 1]


@inner
def _copy(n, source, target):  # type: ignore[no-untyped-def]
    for i in range(n):
        target[i] = source[i]


@inner
def _value(of, x, gradient):  # type: ignore[no-untyped-def]
    value = _criterion(
        of.eq_ints, of.eq_floats, of.co_ints, of.co_floats, of.precision, of.mean, x,
        of.flags, of.known, gradient, of.variance,
    )  # fmt: skip
    return value if np.isfinite(value) else _HUGE


@inner
def _is_free(of, x, gradient, i):  # type: ignore[no-untyped-def]
    """Whether a coordinate may move: not one put on zero, nor one pressed against its bound."""
    if of.frozen[i] != 0:
        return False
    if i >= of.n_sd:
        outward = -gradient[i] * x[i] >= 0.0
        return not (outward and abs(x[i]) >= _LARGEST_CORRELATION - 1e-6)
    return True


@inner
def _plan_step(of, x, gradient):  # type: ignore[no-untyped-def]
    """Fill the step; return what it promises, its length and the gradient's largest component."""
    promised, longest, largest = 0.0, 0.0, 0.0
    for i in range(of.d):
        of.step[i] = 0.0
        if not _is_free(of, x, gradient, i):
            continue
        s = 0.0
        for j in range(of.d):
            if _is_free(of, x, gradient, j):
                s -= of.H[i * of.d + j] * gradient[j]
        of.step[i] = s
        promised -= s * gradient[i]
        longest, largest = max(longest, abs(s)), max(largest, abs(gradient[i]))
    return promised, longest, largest


@inner
def _take_step(of, x, value, promised, longest):  # type: ignore[no-untyped-def]
    """Shorten the step until it descends enough; return the new value, huge where none does."""
    scale = min(1.0, _LONGEST / longest)
    for _ in range(_CUTS):
        for i in range(of.d):
            of.new[i] = x[i] + scale * of.step[i]
            if i >= of.n_sd:
                of.new[i] = min(max(of.new[i], -_LARGEST_CORRELATION), _LARGEST_CORRELATION)
        new = _value(of, of.new, of.new_gradient)
        if new <= value - 1e-4 * scale * promised:
            return new
        # Near the end the value is rounded where the gradient still tells (Hager & Zhang 2005).
        if new <= value + 1e-12 * (1.0 + abs(value)):
            slope = 0.0
            for i in range(of.d):
                slope += of.new_gradient[i] * of.step[i]
            if abs(slope) <= 0.9 * promised:
                return new
        scale *= 0.4
    return _HUGE


@inner
def _update_inverse(of):  # type: ignore[no-untyped-def]
    """The update of Broyden, Fletcher, Goldfarb and Shanno, where the criterion bends upwards."""
    along, across = 0.0, 0.0
    for i in range(of.d):
        along += of.moved[i] * of.changed[i]
        s = 0.0
        for j in range(of.d):
            s += of.H[i * of.d + j] * of.changed[j]
        of.step[i] = s
        across += s * of.changed[i]
    if not along > 1e-14:
        return
    for i in range(of.d):
        for j in range(of.d):
            of.H[i * of.d + j] += (1.0 + across / along) * of.moved[i] * of.moved[j] / along
            of.H[i * of.d + j] -= (of.step[i] * of.moved[j] + of.moved[i] * of.step[j]) / along


@inner
def _descend(of, x, gradient):  # type: ignore[no-untyped-def]
    """Descend from x, which becomes the end; return the criterion there and how it ended."""
    for i in range(of.d * of.d):
        of.H[i] = of.inverse[i]
    value = _value(of, x, gradient)
    if value >= _HUGE:
        return value, FAILED
    again = False  # whether the curvature was forgotten once
    for _ in range(_STEPS):
        promised, longest, largest = _plan_step(of, x, gradient)
        new = _HUGE
        if promised >= _GAIN:
            new = _take_step(of, x, value, promised, longest)
        elif largest < _FINE or again:
            return value, CONVERGED if largest < _ENOUGH else FAILED
        if new >= _HUGE:
            if again:
                return value, CONVERGED if largest < _ENOUGH and promised < 1e-6 else FAILED
            again = True
            for i in range(of.d):
                for j in range(of.d):
                    of.H[i * of.d + j] = 1.0 if i == j else 0.0
            continue
        for i in range(of.d):
            free = of.frozen[i] == 0
            of.moved[i] = of.new[i] - x[i]
            of.changed[i] = of.new_gradient[i] - gradient[i] if free else 0.0
            x[i], gradient[i] = of.new[i], of.new_gradient[i]
        value = new
        _update_inverse(of)
        for k in range(of.n_sd):
            if (
                of.may_be_zero[k] != 0 and of.frozen[k] == 0 and of.stays[k] == 0
                and x[k] < of.unit[k] + _SHRINKING
            ):  # fmt: skip
                return value, SHRINKING
    return value, FAILED


@inner
def _put_on_zero(of, x, value):  # type: ignore[no-untyped-def]
    """Freeze the smallest standard deviation of which zero is no worse; whether there is one."""
    for k in range(of.n_sd):
        small = of.may_be_zero[k] != 0 and of.frozen[k] == 0
        of.tried[k] = 0 if small and x[k] < _PERHAPS_ZERO + of.unit[k] else 1
    while True:
        k = -1
        for i in range(of.n_sd):
            if of.tried[i] == 0 and (k < 0 or x[i] < x[k]):
                k = i
        if k < 0:
            return False
        of.tried[k] = 1
        _copy(of.d, x, of.trial)
        of.trial[k] = _ZERO + of.unit[k]
        if _value(of, of.trial, of.new_gradient) <= value + 1e-7 * (1.0 + abs(value)):
            of.frozen[k] = 1
            _copy(of.d, of.trial, x)
            return True
        of.stays[k] = 1


@inner
def _leave_zero(of, x, value, gradient):  # type: ignore[no-untyped-def]
    """Free a standard deviation for which a small one is better; the value, and how it ended."""
    _copy(of.d, x, of.trial)
    _copy(of.d, gradient, of.slopes)
    for k in range(of.n_sd):
        if of.frozen[k] == 0:
            continue
        x[k] = of.unit[k] + _SMALL + np.log(10.0)
        if _value(of, x, gradient) < value - 1e-6:
            of.frozen[k], of.stays[k] = 0, 1
            new, end = _descend(of, x, gradient)
            if x[k] > of.unit[k] + _SMALL and new < value:
                return new, end
            of.frozen[k] = 1
        _copy(of.d, of.trial, x)
        _copy(of.d, of.slopes, gradient)
    return value, -1


@inner
def _run(of, x, gradient, hurried):  # type: ignore[no-untyped-def]
    """Search from x; see `Search.run`. In a hurry what shrinks is tried at zero at once."""
    for i in range(of.d):
        of.frozen[i] = 0
    for k in range(of.n_sd):
        of.stays[k] = 0 if hurried else 1
    value, end = _descend(of, x, gradient)
    for _ in range(4 * of.n_sd + 1):
        if _put_on_zero(of, x, value) or end == SHRINKING:
            value, end = _descend(of, x, gradient)
            continue
        value, left = _leave_zero(of, x, value, gradient)
        if left < 0:
            break
        end = left
    return value, end


@inner
def _at_boundary(of, x):  # type: ignore[no-untyped-def]
    for k in range(of.n_sd):
        if of.may_be_zero[k] != 0 and x[k] <= _ZERO + of.unit[k] + 1e-9:
            return True
    found = False
    for k in range(of.n_sd, of.d):
        found = found or abs(x[k]) > _NEARLY_ONE
    return found


@inner
def _other_start(of, number, start, best, x):  # type: ignore[no-untyped-def]
    """Fill x with the start of that number; see `_other_starts` of `inference/empirical.py`."""
    _copy(of.d, start, x)
    if number < 2:
        for k in range(of.n_sd):
            x[k] += np.log(0.1) if number == 0 else np.log(5.0)
        return
    j, far = (number - 3) // 2, number > 2 and (number - 3) % 2 == 0
    if far:
        x[j] += np.log(0.01)
        return
    for k in range(of.n_sd):
        x[k] = max(best[k], of.unit[k] + np.log(0.03))
    if number > 2:
        x[j] = of.unit[j]


@kernel(
    types.void, INTS, FLOATS, INTS, FLOATS, FLOATS, i8, f8, FLOATS, INTS, FLOATS, FLOATS,
    FLOATS, i8, FLOATS, i8, i8, INTS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, INTS,
    needs=(criterion,),
)  # fmt: skip
def search_many(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, prior, reml, known, unit, may_be_zero,
    inverse, first, start, n_more, more, n_others, n_products, positions, n, products, yy, X,
    values, variances, ends,
):  # fmt: skip
    """Search for the best coordinates of each of n responses.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats : ndarray
        The arrays of `Equations`, which are overwritten, and of relative `Coordinates`.
    prior : ndarray, shape (p p + p,)
        Zeros.
    reml : int
    known : float
        Residual precision, or 0.
    unit : ndarray, shape (n_sd,)
        Logarithms of the standard deviations' units.
    may_be_zero : ndarray of int64, shape (n_sd,)
    inverse : ndarray, shape (d, d)
        Inverse second derivatives near the first start.
    first, start : ndarray, shape (d,)
        Where each search begins, and what further starts are made from.
    n_more : int
    more : ndarray, shape (n_more, d)
        Further starts of every search.
    n_others : int
        How many further starts there may be, for ends at a boundary.
    n_products : int
    positions : ndarray of int64, shape (n_products,)
        Where in `eq_floats` the products with a response stand.
    n : int
    products : ndarray, shape (n, n_products)
    yy : ndarray, shape (n,)
    X : ndarray, shape (n, d)
        Receives the coordinates.
    values, variances : ndarray, shape (n,)
        Receive the criterion and the residual variance.
    ends : ndarray of int64, shape (n,)
        Receives `CONVERGED`, or another number.
    """
    co = theta_at(co_ints, co_floats)
    d, n_sd = co.sizes[0], co.sizes[1]
    room, counts = np.empty(d * d + 12 * d + 1), np.empty(3 * d, dtype=np.int64)
    p = equations_at(eq_ints, eq_floats).sizes[4]
    flags = PROFILED | (WITH_FIXED if reml != 0 else 0)
    _search_many(
        eq_ints, eq_floats, co_ints, co_floats, prior, shifted(prior, p * p), flags, known, d, n_sd,
        unit, may_be_zero, inverse, first, start, n_more, more, n_others, n_products, positions, n,
        products, yy, X, values, variances, ends, room, counts,
    )  # fmt: skip


@inner
def _search_many(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, precision, mean, flags, known, d, n_sd, unit,
    may_be_zero, inverse, first, start, n_more, more, n_others, n_products, positions, n, products,
    yy, X, values, variances, ends, room, counts,
):  # fmt: skip
    eq, at, ints = equations_at(eq_ints, eq_floats), pointer(room), pointer(counts)
    rest = shifted(at, d * d + 1)
    of = _Search(
        eq_ints, eq_floats, co_ints, co_floats, precision, mean, flags, known, d, n_sd, unit,
        may_be_zero, inverse, shifted(at, 1), at, rest, shifted(rest, d), shifted(rest, 2 * d),
        shifted(rest, 3 * d), shifted(rest, 4 * d), shifted(rest, 5 * d), shifted(rest, 6 * d),
        ints, shifted(ints, d), shifted(ints, 2 * d),
    )  # fmt: skip
    x, gradient = shifted(rest, 7 * d), shifted(rest, 8 * d)
    best, origin = shifted(rest, 9 * d), shifted(rest, 10 * d)
    for k in range(n):
        _write_response(
            eq, eq_floats, n_products, positions, shifted(products, k * n_products), yy[k]
        )
        _copy(d, first, best)
        value, end = _run(of, best, gradient, True)
        others = n_more
        if d > 0 and (end != CONVERGED or _at_boundary(of, best)):
            others += min(n_others, 3 + (2 * n_sd if n_sd > 1 else 0))
        room_for = 1e-7 * (1.0 + abs(value)) if end == CONVERGED else 1e-9
        _copy(d, best, origin)
        for number in range(others):
            if number < n_more:
                _copy(d, shifted(more, number * d), x)
            else:
                _other_start(of, number - n_more, start, origin, x)
            new, other = _run(of, x, gradient, False)
            if new < value - room_for or (
                other == CONVERGED and end != CONVERGED and new < value + 1e-6
            ):
                value, end = new, other
                _copy(d, x, best)
        values[k], ends[k] = _value(of, best, gradient), end
        variances[k] = of.variance[0]
        _copy(d, best, shifted(X, k * d))


@kernel(
    i8, INTS, FLOATS, INTS, FLOATS, FLOATS, f8, i8, INTS, i8, FLOATS, FLOATS, i8, FLOATS, i8,
    FLOATS, FLOATS, FLOATS, needs=(effect_moments,),
)  # fmt: skip
def moments_of_many(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, prior, known, n_products, positions, n, products, yy,
    d, X, n_b, beta, beta_cov, cross,
):  # fmt: skip
    """Fixed effects of each of n responses at its own coordinates, with their covariances.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats, prior, known, n_products, positions, n, products, yy
        As of `search_many`, with absolute coordinates.
    d : int
    X : ndarray, shape (n, d)
    n_b : int
        Number of group effects.
    beta : ndarray, shape (n, p)
    beta_cov : ndarray, shape (n, p, p)
    cross : ndarray, shape (n, n_b, p)
        All receive their values, in working units.

    Returns
    -------
    int
        0 if the equations cannot be factored at some point.
    """
    eq = equations_at(eq_ints, eq_floats)
    p = eq.sizes[4]
    b, b_cov = np.empty(n_b), np.empty(_blocks(eq))
    for k in range(n):
        _write_response(
            eq, eq_floats, n_products, positions, shifted(products, k * n_products), yy[k]
        )
        if _effect_moments(
            eq_ints, eq_floats, co_ints, co_floats, shifted(X, k * d), known, prior,
            shifted(prior, p * p), 1, shifted(beta, k * p), shifted(beta_cov, k * p * p), n_b,
            b.ctypes, b_cov.ctypes, shifted(cross, k * n_b * p),
        ) == 0:  # fmt: skip
            return 0
    return 1


@inner
def _blocks(eq):  # type: ignore[no-untyped-def]
    """Numbers in the levels' covariances."""
    size = 0
    for f in range(eq.n_factors):
        size += eq.q[f] * eq.q[f] * eq.n_levels[f]
    return size
