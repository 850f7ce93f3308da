"""Draws of (beta, b) given theta and y, exact, once for each of many thetas."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import carray

from bayesmix.gaussian.combine import add_up, equations_for, separate_theta
from bayesmix.gaussian.conditional import prior_times_mean, residual_precision
from bayesmix.gaussian.coordinates import Coordinates, expand, theta_at
from bayesmix.gaussian.dense import factor_root
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.effects import effects
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer
from bayesmix.gaussian.moments import WITH_FIXED, moments
from bayesmix.gaussian.patterns import draw_by_pattern
from bayesmix.gaussian.triangular import add_half_solved, backward_solve

__all__ = ["draw_effects", "draw_fixed", "draw_levels"]

_expand, _factorise, _backward = expand.external, factorise.external, backward_solve.external
_moments, _factor_root = moments.external, factor_root.external


@inner
def draw_levels(eq, L, precision, beta, b):  # type: ignore[no-untyped-def]
    """Draw b of one grouping factor with one or two effects, each level by itself given beta.

    `b` holds standard normals, and receives the draws.
    """
    p, q, n_levels = eq.sizes[4], eq.q[0], eq.n_levels[0]
    m = p + 1
    for g in range(n_levels):
        at, panel = q * g, q * m * g
        r0 = eq.panel[panel + p]
        for j in range(p):
            r0 -= eq.panel[panel + j] * beta[j]
        if q == 1:
            k = 1.0 + L[0] * L[0] * precision * eq.K[g]
            r0 *= L[0] * precision
            b[at] = L[0] * (r0 / k + b[at] / np.sqrt(k))
            continue
        r1 = eq.panel[panel + m + p]
        for j in range(p):
            r1 -= eq.panel[panel + m + j] * beta[j]
        # With L lower triangular: u = M^-1 L'r and noise, through M = C C'.
        a00, a10, a11 = eq.K[4 * g], eq.K[4 * g + 2], eq.K[4 * g + 3]
        l00, l10, l11 = L[0], L[2], L[3]
        c00, c10 = a00 * l00 + a10 * l10, a10 * l00 + a11 * l10
        k00 = 1.0 + precision * (l00 * c00 + l10 * c10)
        k10 = precision * l11 * c10
        k11 = 1.0 + precision * l11 * a11 * l11
        f00 = np.sqrt(k00)
        f10 = k10 / f00
        f11 = np.sqrt(k11 - f10 * f10)
        t0 = precision * (l00 * r0 + l10 * r1) / f00
        t1 = (precision * l11 * r1 - f10 * t0) / f11
        u1 = (t1 + b[at + 1]) / f11
        u0 = (t0 + b[at] - f10 * u1) / f00
        b[at], b[at + 1] = l00 * u0, l10 * u0 + l11 * u1


@inner
def _draw_one_factor(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, known, prior_precision, prior_mean, n_draws, X, beta, b
):
    """One grouping factor with few effects or patterns: beta first, then each level by itself."""
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, q, d, n_L = eq.sizes[4], eq.q[0], co.sizes[0], co.L_size
    n_levels = eq.n_levels[0]
    X_, beta_ = carray(X, (n_draws, d)), carray(beta, (n_draws, p))
    b_ = carray(b, (n_draws, n_levels * q))
    sd = np.empty(co.n_effects + 1)
    C, L, Q, S, U = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    mean, cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    prior_y = np.empty(p)
    square, room, A = np.empty(q * q), np.empty(q * q), np.empty((eq.n_patterns, q * q + q))
    prior_times_mean(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X_[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        precision = residual_precision(co, sd, known)
        fine = _moments(
            eq_ints, eq_floats, L.ctypes, precision, prior_precision, prior_y.ctypes, WITH_FIXED,
            S.ctypes, U.ctypes, mean.ctypes, cov.ctypes, scalars.ctypes,
        )  # fmt: skip
        if fine == 0 or _factor_root(cov.ctypes, p) == 0:
            return 0
        for i in range(p - 1, -1, -1):
            value = mean[i]
            for j in range(i + 1):
                value += cov[i, j] * beta_[s, j]
            beta_[s, i] = value
        if eq.n_patterns > 0:
            if not draw_by_pattern(eq, pointer(L), precision, beta_[s], square, A, room, b_[s]):
                return 0
            continue
        draw_levels(eq, pointer(L), precision, pointer(beta_[s]), pointer(b_[s]))
    return 1


@kernel(
    i8, INTS, FLOATS, INTS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS, i8, FLOATS,
    needs=(expand, factorise, backward_solve, moments, factor_root),
)  # fmt: skip
def draw_all(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, known, prior_precision, prior_mean, n_draws, X, beta,
    n_b, b,
):  # fmt: skip
    """Draw working (beta, b) at each of `n_draws` thetas; see `draw_effects`."""
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    r, p, d, n_L = eq.sizes[3], eq.sizes[4], co.sizes[0], co.L_size
    n = r + p
    if eq.sizes[0] == 1 and eq.sizes[1] == 0 and (eq.q[0] <= 2 or eq.n_patterns > 0):
        return _draw_one_factor(
            eq_ints, eq_floats, co_ints, co_floats, known, prior_precision, prior_mean, n_draws, X,
            beta, b,
        )  # fmt: skip
    X, beta, b = carray(X, (n_draws, d)), carray(beta, (n_draws, p)), carray(b, (n_draws, n_b))
    sd, C, L, Q = np.empty(co.n_effects + 1), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    K, panels = np.empty(eq.K_size), np.empty(eq.panel_size)
    root, root_y, scalars = np.empty((n, n)), np.empty(n), np.empty(6)
    prior_y = np.empty(p)
    prior_times_mean(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    n_nodes = n_b - r
    u = np.empty(n_b)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        if _factorise(
            eq_ints, eq_floats, L.ctypes, residual_precision(co, sd, known), prior_precision,
            prior_y.ctypes, K.ctypes, panels.ctypes, root.ctypes, root_y.ctypes, scalars.ctypes,
        ) == 0:  # fmt: skip
            return 0
        for i in range(r):
            root_y[i] += b[s, n_nodes + i]
        for i in range(p):
            root_y[r + i] += beta[s, i]
        for i in range(n_nodes):
            u[i] = b[s, i]
        add_half_solved(eq, panels, u)
        _backward(
            eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 1, u.ctypes, root_y.ctypes
        )
        for i in range(r):
            u[n_nodes + i] = root_y[i]
        effects(eq, L, u, b[s])
        for i in range(p):
            beta[s, i] = root_y[r + i]
    return 1


@kernel(
    i8, INTS, FLOATS, INTS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS,
    needs=(expand, moments, factor_root),
)  # fmt: skip
def draw_beta(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, known, prior_precision, prior_mean, n_draws, X, beta
):
    """Draw working beta at each of `n_draws` thetas; see `draw_fixed`."""
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, d, n_L = eq.sizes[4], co.sizes[0], co.L_size
    X, beta = carray(X, (n_draws, d)), carray(beta, (n_draws, p))
    sd = np.empty(co.n_effects + 1)
    C, L, Q, S, U = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    mean, cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    prior_y = np.empty(p)
    prior_times_mean(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        fine = _moments(
            eq_ints, eq_floats, L.ctypes, residual_precision(co, sd, known), prior_precision,
            prior_y.ctypes, WITH_FIXED, S.ctypes, U.ctypes, mean.ctypes, cov.ctypes,
            scalars.ctypes,
        )  # fmt: skip
        if fine == 0 or _factor_root(cov.ctypes, p) == 0:
            return 0
        for i in range(p - 1, -1, -1):
            value = mean[i]
            for j in range(i + 1):
                value += cov[i, j] * beta[s, j]
            beta[s, i] = value
    return 1


def draw_effects(
    eq: Equations, co: Coordinates, known: float, prior: FixedPrior, X: np.ndarray,
    beta: np.ndarray, b: np.ndarray,
) -> bool:  # fmt: skip
    """Draw working (beta, b) exactly, once for each theta.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    known : float
        Residual precision, or 0 to take it from the coordinates.
    prior : FixedPrior
    X : ndarray, shape (S, n_x)
        Coordinates of S thetas.
    beta : ndarray, shape (S, p)
    b : ndarray, shape (S, sum of G q)
        Both hold standard normals on entry, and the draws on return; b in working
        units, factor behind factor.

    Returns
    -------
    bool
        False if the equations could not be factored at some theta.
    """
    return all(
        draw_all(
            at.ints, at.floats, co.ints, co.floats, known, prior.precision, prior.mean,
            len(theta), theta, beta[rows], b.shape[1], b[rows],
        )
        for at, theta, rows in _thetas(eq, co, X)
    )  # fmt: skip


def _thetas(
    eq: Equations, co: Coordinates, X: np.ndarray
) -> Iterator[tuple[Equations, np.ndarray, slice]]:
    """Equations, thetas and their positions: all at once where R has no parameters."""
    if eq.classes is None:
        yield eq, X, slice(None)
        return
    at = equations_for(eq, co, X[0]) if len(X) else eq
    theta = separate_theta(co, X)[0]
    for s in range(len(X)):
        add_up(eq, co, X[s], at)
        yield at, theta[s : s + 1], slice(s, s + 1)


def draw_fixed(
    eq: Equations, co: Coordinates, known: float, prior: FixedPrior, X: np.ndarray,
    beta: np.ndarray,
) -> bool:  # fmt: skip
    """Draw working beta alone, once for each theta, without memory for b.

    Parameters
    ----------
    eq, co, known, prior, X
        As in `draw_effects`.
    beta : ndarray, shape (S, p)
        Standard normals on entry, the draws on return.

    Returns
    -------
    bool
    """
    return all(
        draw_beta(
            at.ints, at.floats, co.ints, co.floats, known, prior.precision, prior.mean,
            len(theta), theta, beta[rows],
        )
        for at, theta, rows in _thetas(eq, co, X)
    )  # fmt: skip
