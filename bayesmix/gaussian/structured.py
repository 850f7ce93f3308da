"""The criterion where the residual structure has parameters, with their derivatives.

By Fisher's identity the derivative of the log likelihood by a parameter phi of R is

    1/2 d log|R^-1| - 1/2 sum_k c_k'(phi) E[r' M_k r | y] / sigma^2,

and E[r' M_k r | y] is a sum over the products of class k. What each product counts in it
is the same for all classes: `expected_products`, which needs no more of the inverse than
the blocks that the factor has room for.
"""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.combine import combine
from bayesmix.gaussian.coordinates import chain_rule, expand, scale_prior, theta_at
from bayesmix.gaussian.criterion import (
    JACOBIAN,
    PRIORS,
    PROFILED,
    WITH_FIXED,
    finish,
    times_prior,
)
from bayesmix.gaussian.dense import lower
from bayesmix.gaussian.equations import equations_at, node_starts
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.moments import general_moments, moments
from bayesmix.gaussian.pairwise import contract_pairs
from bayesmix.gaussian.residual_classes import classes_at
from bayesmix.gaussian.residual_coordinates import NORMAL, POSITIVE, VINE, parameter_at, phi_at

__all__ = ["add_phi_priors", "structured_criterion"]

LOG_2 = float(np.log(2.0))

_expand, _combine, _contract = expand.external, combine.external, contract_pairs.external
_general, _moments = general_moments.external, moments.external


@kernel(
    types.void, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS
)  # fmt: skip
def expected_products(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, L, unit, u, values, diagonal, across, inverse, out
):
    """Derivative of E[r'Mr | y] by each product of M.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`; its products are not looked at.
    L : ndarray
        Each factor's q x q matrix with b = L u, flat.
    unit : float
        Unit of squared means, relative to which covariances are.
    u, values : ndarray
        Means of the nodes' u, and of the root's u and beta.
    diagonal, across, inverse : ndarray
        Covariances of each node, with its columns, and of the root.
    out : ndarray
        Laid out like the floats of `Equations`.
    """
    eq, to = equations_at(eq_ints, eq_floats), equations_at(eq_ints, out)
    n_chain, r, p, n = eq.sizes[0], eq.sizes[3], eq.sizes[4], eq.n_root
    start = node_starts(eq)
    m_max, q_max = 1, 1
    for node in range(eq.sizes[2]):
        m_max = max(m_max, eq.width[node])
    for f in range(eq.n_factors):
        q_max = max(q_max, eq.q[f])
    room = np.empty(max(m_max, n, q_max))
    # Means as effects b = L u, of which the products are.
    b, fixed = np.empty(max(start[n_chain], 1)), np.empty(max(n, 1))
    at = 0
    for f in range(n_chain):
        for _ in range(eq.n_levels[f]):
            _times_root(shifted(L, eq.L_start[f]), eq.q[f], shifted(u, at), b, at)
            at += eq.q[f]
    at = 0
    for f in range(n_chain, eq.n_factors):
        for _ in range(eq.n_levels[f]):
            _times_root(shifted(L, eq.L_start[f]), eq.q[f], shifted(values, at), fixed, at)
            at += eq.q[f]
    for j in range(p):
        fixed[r + j] = values[r + j]
    _of_nodes(eq, to, L, unit, b, fixed, diagonal, across, start, room, np.empty(m_max))
    for i in range(n):
        for j in range(n):
            to.root[i * n + j] = inverse[lower(n, i, j)]
    for block in range(eq.n_blocks):
        f, first = n_chain + eq.block_factor[block], eq.block_column[block]
        own = shifted(L, eq.L_start[f])
        _times_transpose(to.root, n, n, first, own, eq.q[f], pointer(room))
    for block in range(eq.n_blocks):
        f, first = n_chain + eq.block_factor[block], eq.block_column[block]
        _rows_times(to.root, n, first, shifted(L, eq.L_start[f]), eq.q[f], pointer(room))
    for i in range(n):
        for j in range(n):
            to.root[i * n + j] += fixed[i] * fixed[j] / unit
        to.root_y[i] = -2.0 * fixed[i] / unit
    to.yy[0] = 1.0 / unit


@inner
def _of_nodes(eq, to, L, unit, b, fixed, diagonal, across, start, room, mean):  # type: ignore[no-untyped-def]
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    room = pointer(room)
    for f in range(n_chain):
        q, own = eq.q[f], shifted(L, eq.L_start[f])
        for node in range(eq.node_start[f], eq.node_start[f + 1]):
            m = eq.width[node]
            K, panel = shifted(to.K, eq.K_start[node]), shifted(to.panel, eq.panel_start[node])
            at = start[f] + q * (node - eq.node_start[f])
            for i in range(q * q):
                K[i] = diagonal[eq.K_start[node] + i]
            _times_transpose(K, q, q, 0, own, q, room)
            _rows_times(K, q, 0, own, q, room)
            for i in range(q):
                for j in range(q):
                    K[i * q + j] += b[at + i] * b[at + j] / unit
            for i in range(q * m):
                panel[i] = 2.0 * across[eq.panel_start[node] + i]
            ancestor, column = node, 0
            for g in range(f + 1, n_chain):
                ancestor = eq.parent[ancestor]
                _times_transpose(panel, q, m, column, shifted(L, eq.L_start[g]), eq.q[g], room)
                for c in range(eq.q[g]):
                    mean[column + c] = b[start[g] + eq.q[g] * (ancestor - eq.node_start[g]) + c]
                column += eq.q[g]
            for e in range(eq.list_start[node], eq.list_start[node + 1]):
                block, first = eq.list_block[e], eq.list_column[e]
                g = n_chain + eq.block_factor[block]
                _times_transpose(panel, q, m, first, shifted(L, eq.L_start[g]), eq.q[g], room)
                for c in range(eq.q[g]):
                    mean[first + c] = fixed[eq.block_column[block] + c]
            for c in range(p):
                mean[m - 1 - p + c] = fixed[r + c]
            mean[m - 1] = -1.0
            for i in range(q):
                panel[i * m + m - 1] = 0.0
            _rows_times(panel, m, 0, own, q, room)
            for i in range(q):
                for c in range(m):
                    panel[i * m + c] += 2.0 * b[at + i] * mean[c] / unit


@inner
def _times_root(L, q, u, b, at):  # type: ignore[no-untyped-def]
    """L times q elements of u, from `at` on in b."""
    for i in range(q):
        s = 0.0
        for k in range(q):
            s += L[i * q + k] * u[k]
        b[at + i] = s


@inner
def _times_transpose(A, rows, stride, first, L, q, room):  # type: ignore[no-untyped-def]
    """Replace q columns of A by themselves times L'."""
    for i in range(rows):
        for c in range(q):
            s = 0.0
            for k in range(q):
                s += A[i * stride + first + k] * L[c * q + k]
            room[c] = s
        for c in range(q):
            A[i * stride + first + c] = room[c]


@inner
def _rows_times(A, stride, first, L, q, room):  # type: ignore[no-untyped-def]
    """Replace q rows of A by L times themselves."""
    for j in range(stride):
        for c in range(q):
            s = 0.0
            for k in range(q):
                s += L[c * q + k] * A[(first + k) * stride + j]
            room[c] = s
        for c in range(q):
            A[(first + c) * stride + j] = room[c]


_expected = expected_products.external


@inner
def _expected_of_scalars(eq, to, L, precision, unit, with_fixed, beta, beta_cov):  # type: ignore[no-untyped-def]
    """The same where levels of one factor have one effect each: no more of them is kept."""
    p, scale = eq.sizes[4], L[0] * precision
    C = beta_cov if with_fixed != 0 else np.zeros((p, p))
    for g in range(eq.sizes[2]):
        X, counts = shifted(eq.panel, g * (p + 1)), shifted(to.panel, g * (p + 1))
        h = 1.0 / (1.0 + eq.K[g] * L[0] * scale)
        left, variance = X[p], h
        for c in range(p):
            left -= X[c] * beta[c]
            s = 0.0
            for d in range(p):
                s -= h * scale * X[d] * C[d, c]  # the covariance of u and beta
            variance -= h * scale * X[c] * s
            counts[c] = 2.0 * L[0] * s
        b = L[0] * h * scale * left
        to.K[g] = L[0] * L[0] * variance + b * b / unit
        for c in range(p):
            counts[c] += 2.0 * b * beta[c] / unit
        counts[p] = -2.0 * b / unit
    for i in range(p):
        for j in range(p):
            to.root[i * p + j] = C[i, j] + beta[i] * beta[j] / unit
        to.root_y[i] = -2.0 * beta[i] / unit
    to.yy[0] = 1.0 / unit


@inner
def add_phi_priors(co, n_phi, x, jacobian, gradient):  # type: ignore[no-untyped-def]
    """Log density of the priors of phi; their gradient is added."""
    value = 0.0
    two, four = np.empty(2), np.empty(4)
    for j in range(n_phi):
        parameter_at(co.support[j], co.lower[j], co.upper[j], x[j], four)
        a, b = co.prior_a[j], co.prior_b[j]
        if co.prior_kind[j] == NORMAL:
            z = (four[0] - a) / b
            value -= 0.5 * z * z
            gradient[j] -= z / b * four[1]
        elif co.prior_kind[j] == VINE:  # of log(1 - p^2), which is log p' + log 2
            power = a + (b if jacobian else 0.0)
            value += power * (four[2] + LOG_2)
            gradient[j] += power * four[3]
        elif co.support[j] == POSITIVE:
            scale_prior(co.prior_kind[j], a, b, four[0], two)
            value += two[0]
            gradient[j] += two[1]
        if jacobian:
            value += four[2]
            gradient[j] += four[3]
    return value


@inner
def _criterion(  # type: ignore[no-untyped-def]
    eq_ints, products, class_ints, class_floats, classes, c, by_x, log_det_R, phi, co_ints,
    co_floats, prior_precision, prior_mean, x, flags, known, gradient, variance,
):  # fmt: skip
    """The criterion with the sum of the classes' products at hand."""
    eq, co = equations_at(eq_ints, pointer(products)), theta_at(co_ints, co_floats)
    K, n_phi, size = classes.sizes[0], classes.sizes[1], classes.sizes[2]
    d, n_L = co.sizes[0], co.L_size
    profiled = flags & PROFILED != 0
    n, p = eq.n_root, eq.sizes[4]
    sd = np.empty(co.n_effects + 1)
    C, L, Q = np.empty(n_L), np.empty(n_L), np.empty(n_L)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    sigma = 1.0
    precision = known if known > 0.0 else 1.0
    if not profiled:
        sigma = sd[co.n_effects] / co.unit[0]
        precision = 1.0 / (sigma * sigma)
    prior_y = np.empty(p)
    prior_length = times_prior(prior_precision, prior_mean, p, prior_y)
    E, U = np.empty(n_L), np.empty(n_L)
    beta, beta_cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    scalars_alone = eq.sizes[0] == 1 and eq.sizes[1] == 0 and eq.q[0] == 1
    u, values, inverse = np.empty(node_starts(eq)[-1]), np.empty(n), np.empty((n, n))
    # Nodes without a column that varies are left out: their covariances with them are zero.
    diagonal, across = np.empty(eq.K_size), np.zeros(eq.panel_size)
    finite = np.isfinite(precision) and np.isfinite(log_det_R[0])
    for k in range(K):
        finite = finite and np.isfinite(c[k])
    fine = 0
    if finite and scalars_alone:
        fine = _moments(
            eq_ints, products.ctypes, L.ctypes, precision, prior_precision, prior_y.ctypes,
            flags & WITH_FIXED, E.ctypes, U.ctypes, beta.ctypes, beta_cov.ctypes, scalars.ctypes,
        )  # fmt: skip
    elif finite:
        fine = _general(
            eq_ints, products.ctypes, L.ctypes, precision, prior_precision, prior_y.ctypes,
            flags & WITH_FIXED, E.ctypes, U.ctypes, beta.ctypes, beta_cov.ctypes, scalars.ctypes,
            u.ctypes, values.ctypes, inverse.ctypes, 1, diagonal.ctypes, across.ctypes,
        )  # fmt: skip
    if fine == 0:
        for i in range(d + n_phi):
            gradient[i] = 0.0
        variance[0] = np.nan
        return np.inf if profiled else -np.inf
    value, unit = finish(
        eq, co, co_ints, co_floats, prior_precision, prior_mean, x, C, Q, flags, known,
        precision, sigma, prior_length, E, U, beta, scalars, gradient, variance,
    )  # fmt: skip
    counts = np.empty(size)
    if scalars_alone:
        _expected_of_scalars(
            eq, equations_at(eq_ints, pointer(counts)), L, precision, unit, flags & WITH_FIXED,
            beta, beta_cov,
        )  # fmt: skip
    else:
        _expected(
            eq_ints, products.ctypes, L.ctypes, unit, u.ctypes, values.ctypes, diagonal.ctypes,
            across.ctypes, inverse.ctypes, counts.ctypes,
        )  # fmt: skip
    by_phi = shifted(gradient, d)
    for j in range(n_phi):
        by_phi[j] = 0.5 * log_det_R[1 + j]
    of_class = np.empty(K)
    if classes.sizes[7] > 0:
        _contract(eq_ints, class_ints, class_floats, counts.ctypes, of_class.ctypes)
    else:
        for k in range(K):
            own, s = shifted(classes.products, k * size), 0.0
            for i in range(size):
                s += own[i] * counts[i]
            of_class[k] = s
    for k in range(K):
        for j in range(n_phi):
            by_phi[j] -= 0.5 * precision * by_x[k * n_phi + j] * of_class[k]
    if profiled:
        for j in range(n_phi):
            by_phi[j] *= -2.0
        return value - log_det_R[0]
    value += 0.5 * log_det_R[0]
    if flags & PRIORS != 0:
        value += add_phi_priors(phi, n_phi, shifted(x, d), flags & JACOBIAN != 0, by_phi)
    return value


@kernel(
    f8, INTS, INTS, FLOATS, i8, INTS, FLOATS, INTS, FLOATS, FLOATS, FLOATS, FLOATS, i8, f8, FLOATS,
    FLOATS,
    needs=(
        expand, combine, moments, general_moments, expected_products, contract_pairs, chain_rule,
    ),
)  # fmt: skip
def structured_criterion(  # type: ignore[no-untyped-def]
    eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, co_ints, co_floats,
    prior_precision, prior_mean, x, flags, known, gradient, variance,
):  # fmt: skip
    """The computation of `criterion`, with the parameters of R behind the coordinates of theta.

    Parameters
    ----------
    eq_ints : ndarray
        The integers of `Equations`.
    class_ints, class_floats, phi_ints, phi_floats : ndarray
        The arrays of `ResidualClasses` and of `ResidualCoordinates`.
    address : int
        Address of the compiled coefficients.
    co_ints, co_floats, prior_precision, prior_mean, x, flags, known, gradient, variance
        As of `criterion`.

    Returns
    -------
    float
    """
    classes = classes_at(class_ints, class_floats)
    K, n_phi, size = classes.sizes[0], classes.sizes[1], classes.sizes[2]
    c, by_x, log_det_R = np.empty(K), np.empty(K * n_phi), np.empty(1 + n_phi)
    products = np.empty(size)
    d = theta_at(co_ints, co_floats).sizes[0]
    _combine(
        eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, shifted(x, d), c.ctypes,
        by_x.ctypes, log_det_R.ctypes, products.ctypes,
    )  # fmt: skip
    return _criterion(
        eq_ints, products, class_ints, class_floats, classes, c, by_x, log_det_R,
        phi_at(phi_ints, phi_floats), co_ints, co_floats, prior_precision,
        prior_mean, x, flags, known, gradient, variance,
    )  # fmt: skip
