"""The collapsed log density as a value, with the factor it came from: what one draw costs.

No gradient is taken. Levels that share a pattern take one factor for all of them, one
grouping factor with one or two effects is one pass over its levels, and everything else
takes the blocked Cholesky. Each leaves the root's factor and half-solved right-hand side,
from which (beta, b) are drawn at the same theta.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmix.gaussian.combine import combine
from bayesmix.gaussian.conditional import residual_precision
from bayesmix.gaussian.coordinates import expand, scale_at, scale_prior, theta_at, value_at
from bayesmix.gaussian.criterion import times_prior
from bayesmix.gaussian.dense import factor_root, solve_lower
from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.linking import (
    FLOATS,
    INTS,
    f8,
    i8,
    inlined,
    inner,
    kernel,
    pointer,
    shifted,
)
from bayesmix.gaussian.patterns import factor_pattern, whiten_pattern
from bayesmix.gaussian.residual_classes import classes_at
from bayesmix.gaussian.residual_coordinates import phi_at
from bayesmix.gaussian.roots import VINE
from bayesmix.gaussian.structured import add_phi_priors
from bayesmix.gaussian.vine import vine_log_prior

__all__ = ["LEVELS", "PATTERNS", "WHOLE", "State", "factored_value", "state_at"]

# How equations are factored: level by level, pattern by pattern, or as a whole.
LEVELS, PATTERNS, WHOLE = range(3)

_factor_root, _factorise = factor_root.external, factorise.external
_expand, _combine = expand.external, combine.external


class State(NamedTuple):
    """One theta's factor, as pointers into one stretch of numbers; in Python its length.

    `precision` has one number, 1 / s2; `L`, `root` and `root_y` are as `factorise` has them,
    and so are `K` and `panels`, of equations that are factored as a whole; `products` are
    those of the residual structure at its parameters.
    """

    precision: Any
    L: Any
    root: Any
    root_y: Any
    products: Any
    K: Any
    panels: Any


@inlined
def state_at(eq, n_L, how, n_products, room):  # type: ignore[no-untyped-def]
    """Divide a stretch of numbers into a `State`."""
    n = eq.n_root
    at = 1 + n_L
    to_y = at + n * n
    to_K = to_y + n + n_products
    return State(
        room, shifted(room, 1), shifted(room, at), shifted(room, to_y), shifted(room, to_y + n),
        shifted(room, to_K), shifted(room, to_K + (eq.K_size if how == WHOLE else 0)),
    )  # fmt: skip


@inner
def _pass_scalar(eq, L, precision, m, reduced):  # type: ignore[no-untyped-def]
    scale = L[0] * precision
    square = L[0] * scale
    log_det, product = 0.0, 1.0
    B, panel = eq.K, eq.panel
    for g in range(eq.sizes[2]):
        k = 1.0 + square * B[g]
        product *= k
        if product > 1e100:
            log_det += np.log(product)
            product = 1.0
        h = 1.0 / k
        at = g * m
        for i in range(m):
            v = h * panel[at + i]
            for j in range(i + 1):
                reduced[i * m + j] += v * panel[at + j]
    for i in range(m * m):
        reduced[i] *= scale * scale
    return log_det + np.log(product)


@inner
def _pass_pair(eq, L, precision, m, reduced):  # type: ignore[no-untyped-def]
    l00, l10, l11 = L[0], L[2], L[3]
    log_det, product = 0.0, 1.0
    K, panel = eq.K, eq.panel
    b0, b1 = np.empty(m), np.empty(m)
    for g in range(eq.sizes[2]):
        a00, a10, a11 = K[4 * g], K[4 * g + 2], K[4 * g + 3]
        c00, c10 = a00 * l00 + a10 * l10, a10 * l00 + a11 * l10
        k00 = 1.0 + precision * (l00 * c00 + l10 * c10)
        k10 = precision * l11 * c10
        first = 1.0 / k00
        ratio = k10 * first
        schur = 1.0 + precision * l11 * a11 * l11 - ratio * k10
        if not (k00 > 0.0 and schur > 0.0):
            return np.nan
        product *= k00 * schur
        if product > 1e100:
            log_det += np.log(product)
            product = 1.0
        second = 1.0 / schur
        at = 2 * m * g
        for i in range(m):
            x, y = panel[at + i], panel[at + m + i]
            b0[i] = l00 * x + l10 * y
            b1[i] = l11 * y - ratio * b0[i]
        for i in range(m):
            x, y = first * b0[i], second * b1[i]
            for j in range(i + 1):
                reduced[i * m + j] += x * b0[j] + y * b1[j]
    for i in range(m * m):
        reduced[i] *= precision * precision
    return log_det + np.log(product)


@inner
def _pass_patterns(eq, L, precision, m, reduced):  # type: ignore[no-untyped-def]
    """Log determinant; what the levels take off their own square goes to the last element."""
    p, q = eq.sizes[4], eq.q[0]
    C, A, room, V = np.empty(q * q), np.empty(q * q), np.empty(q * q), np.empty(q * m)
    log_det, length = 0.0, 0.0
    for k in range(eq.n_patterns):
        if not factor_pattern(eq, k, L, precision, pointer(room), pointer(C), pointer(A)):
            return np.nan
        count = float(eq.pattern_count[k])
        for i in range(q):
            log_det += 2.0 * count * np.log(C[i * q + i])
        length += whiten_pattern(eq, k, A, precision, pointer(V))
        for i in range(q):
            for c in range(m):
                for d in range(c + 1):
                    times = count if c < p else (1.0 if d < p else 0.0)
                    reduced[c * m + d] += times * V[i * m + c] * V[i * m + d]
    reduced[m * m - 1] = length
    return log_det


@inner
def _factor_levels(eq, how, L, precision, prior, prior_y, root, root_y, out):  # type: ignore[no-untyped-def]
    """Factor equations of one grouping factor without keeping what belongs to its levels."""
    p = eq.sizes[4]
    m = p + 1
    room = np.zeros(m * m)
    reduced = pointer(room)
    if how == PATTERNS:
        log_det = _pass_patterns(eq, L, precision, m, reduced)
    elif eq.q[0] == 1:
        log_det = _pass_scalar(eq, L, precision, m, reduced)
    else:
        log_det = _pass_pair(eq, L, precision, m, reduced)
    for i in range(p):
        for j in range(i + 1):
            value = eq.root[i * p + j] * precision + prior[i * p + j] - reduced[i * m + j]
            root[i * p + j], root[j * p + i] = value, value
        root_y[i] = eq.root_y[i] * precision + prior_y[i] - reduced[p * m + i]
    length = reduced[m * m - 1]
    if not np.isfinite(log_det) or _factor_root(root, p) == 0:
        return 0
    solve_lower(root, p, p, root_y)
    log_det_x = 0.0
    for i in range(p):
        log_det_x += np.log(root[i * p + i])
        length += root_y[i] * root_y[i]
    room[0] = 0.0  # held till here
    out[0], out[1], out[2] = log_det, 2.0 * log_det_x, length
    return 1 if np.isfinite(length) else 0


@inner
def _log_prior(co, x):  # type: ignore[no-untyped-def]
    """Log density of theta's coordinates under the priors, up to a constant."""
    n_sd = co.sizes[1]
    value = 0.0
    two, four, six = np.empty(2), np.empty(4), np.empty(6)
    for block in range(co.sizes[2]):
        if co.block_code[block] == VINE:
            value += vine_log_prior(co, block, x)
            continue
        for i in range(co.block_n[block]):
            k = co.block_value[block] + i
            value_at(co, k, x[co.block_x[block] + i], six)
            scale_prior(co.value_kind[k], co.value_a[k], co.value_b[k], six[0], two)
            value += two[0] + six[4]
    for k in range(n_sd + co.sizes[3]):
        kind, a, b = co.prior_kind[k], co.prior_a[k], co.prior_b[k]
        scale_at(kind, a, b, x[k if k < n_sd else co.sizes[0] - 1], four)
        scale_prior(kind, a, b, four[0], two)
        value += two[0] + four[2]
    return value


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, i8, INTS, FLOATS, INTS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS,
    FLOATS, needs=(expand, combine, factorise, factor_root),
)  # fmt: skip
def factored_value(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, class_ints, class_floats, address, phi_ints, phi_floats, co_ints,
    co_floats, known, prior_precision, prior_mean, how, x, room,
):  # fmt: skip
    """Log density of the coordinates x, up to a constant, and the factor it came from.

    Parameters
    ----------
    eq_ints, eq_floats, co_ints, co_floats : ndarray
        The arrays of `Equations` and of `Coordinates`.
    class_ints, class_floats, address, phi_ints, phi_floats
        The residual structure, as `structured_criterion` takes it; not looked at where the
        address is zero.
    known : float
        Residual precision where it is known, or 0.
    prior_precision, prior_mean : ndarray
        What is known of the fixed effects beforehand.
    how : int
        LEVELS, PATTERNS or WHOLE.
    x : ndarray
        Coordinates of theta, then of the structure's parameters.
    room : ndarray
        Receives the `State`.

    Returns
    -------
    float
        Minus infinity where the equations cannot be factored.
    """
    own, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, n_L, d = own.sizes[4], co.L_size, co.sizes[0]
    n_products = 0
    if address != 0:
        n_products = classes_at(class_ints, class_floats).sizes[2]
    state = state_at(own, n_L, how, n_products, room)
    sd, C, Q, out = np.empty(co.n_effects + 1), np.empty(n_L), np.empty(n_L), np.empty(3)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, state.L, Q.ctypes)
    precision = residual_precision(co, sd, known)
    state.precision[0] = precision
    value = _log_prior(co, x)
    floats = eq_floats
    if address != 0:
        classes = classes_at(class_ints, class_floats)
        K, n_phi = classes.sizes[0], classes.sizes[1]
        c, by_x, log_det_R = np.empty(K), np.empty(K * n_phi), np.empty(1 + n_phi)
        _combine(
            eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, shifted(x, d),
            c.ctypes, by_x.ctypes, log_det_R.ctypes, state.products,
        )  # fmt: skip
        for k in range(K):
            if not np.isfinite(c[k]):
                return -np.inf
        value += 0.5 * log_det_R[0]
        value += add_phi_priors(
            phi_at(phi_ints, phi_floats), n_phi, shifted(x, d), True, pointer(by_x)
        )
        by_x[0] = 0.0  # held till here
        floats = state.products
    if not (np.isfinite(precision) and np.isfinite(value)):
        return -np.inf
    eq = equations_at(eq_ints, floats)
    prior_y = np.empty(p)
    prior_length = times_prior(prior_precision, prior_mean, p, prior_y)
    if how == WHOLE:
        fine = _factorise(
            eq_ints, floats, state.L, precision, prior_precision, prior_y.ctypes, state.K,
            state.panels, state.root, state.root_y, out.ctypes,
        )  # fmt: skip
    else:
        fine = _factor_levels(
            eq, how, state.L, precision, prior_precision, pointer(prior_y), state.root,
            state.root_y, pointer(out),
        )  # fmt: skip
    prior_y[:] = 0.0  # held till here
    if fine == 0:
        return -np.inf
    quadratic = eq.yy[0] * precision + prior_length - out[2]
    value += 0.5 * eq.sizes[5] * np.log(precision) - 0.5 * (out[0] + out[1] + quadratic)
    return value if np.isfinite(value) else -np.inf
