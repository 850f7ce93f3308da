"""The normal distribution of (beta, b) given theta and y: moments and draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import carray

from bayesmix.gaussian.combine import add_up, equations_for, separate_theta
from bayesmix.gaussian.coordinates import Coordinates, expand, theta_at
from bayesmix.gaussian.dense import factor_root
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.effects import effects
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.layout import Theta
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer
from bayesmix.gaussian.moments import WITH_FIXED, moments
from bayesmix.gaussian.patterns import draw_by_pattern
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.selected_inverse import inverse_moments
from bayesmix.gaussian.triangular import add_half_solved, backward_solve

__all__ = [
    "Conditional", "add_moments", "conditional_moments", "draw_effects", "draw_fixed",
    "split_by_group", "variances_by_group",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """Mean and covariance of the effects at one theta, on the scale of the formula.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    beta_cov : ndarray, shape (p, p)
    b : dict of str to ndarray, shape (G, q)
    b_var : dict of str to ndarray, shape (G, q)
        Variances of the group effects, with the fixed effects' uncertainty
        (prediction error variances) or without (lme4's condVar).
    cross : dict of str to ndarray, shape (G, q, p)
        Covariances of group and fixed effects.
    """

    beta: np.ndarray
    beta_cov: np.ndarray
    b: dict[str, np.ndarray]
    b_var: dict[str, np.ndarray]
    cross: dict[str, np.ndarray]


_expand, _factorise, _backward = expand.external, factorise.external, backward_solve.external
_inverse_moments, _moments = inverse_moments.external, moments.external
_factor_root = factor_root.external


@inner
def _residual_precision(co: Theta, sd: np.ndarray, known: float) -> float:
    if known > 0.0:
        return known
    sigma = sd[co.n_effects] / co.unit[0]
    return 1.0 / (sigma * sigma)


@inner
def _times(P: np.ndarray, mean: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(mean)):
        out[i] = 0.0
        for j in range(len(mean)):
            out[i] += P[i, j] * mean[j]


@inner
def _draw_one_factor(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, known, prior_precision, prior_mean, n_draws, X, beta, b
):
    """One grouping factor with few effects or patterns: beta first, then each level by itself."""
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    p, q, d, n_L = eq.sizes[4], eq.q[0], co.sizes[0], co.L_size
    n_levels, m = eq.n_levels[0], eq.sizes[4] + 1
    X_, beta_ = carray(X, (n_draws, d)), carray(beta, (n_draws, p))
    b_ = carray(b, (n_draws, n_levels * q))
    sd = np.empty(co.n_effects + 1)
    C, L, Q, S, U = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    mean, cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    prior_y = np.empty(p)
    square, room, A = np.empty(q * q), np.empty(q * q), np.empty((eq.n_patterns, q * q + q))
    _times(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X_[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        precision = _residual_precision(co, sd, known)
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
        for g in range(n_levels):
            at, panel = q * g, q * m * g
            r0 = eq.panel[panel + p]
            for j in range(p):
                r0 -= eq.panel[panel + j] * beta_[s, j]
            if q == 1:
                k = 1.0 + L[0] * L[0] * precision * eq.K[g]
                r0 *= L[0] * precision
                b_[s, at] = L[0] * (r0 / k + b_[s, at] / np.sqrt(k))
                continue
            r1 = eq.panel[panel + m + p]
            for j in range(p):
                r1 -= eq.panel[panel + m + j] * beta_[s, j]
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
            u1 = (t1 + b_[s, at + 1]) / f11
            u0 = (t0 + b_[s, at] - f10 * u1) / f00
            b_[s, at], b_[s, at + 1] = l00 * u0, l10 * u0 + l11 * u1
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
    _times(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    n_nodes = n_b - r
    u = np.empty(n_b)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        if _factorise(
            eq_ints, eq_floats, L.ctypes, _residual_precision(co, sd, known), prior_precision,
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
    _times(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    for s in range(n_draws):
        _expand(co_ints, co_floats, 1, X[s].ctypes, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
        fine = _moments(
            eq_ints, eq_floats, L.ctypes, _residual_precision(co, sd, known), prior_precision,
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


@kernel(
    i8, INTS, FLOATS, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS, i8, FLOATS,
    FLOATS, FLOATS, needs=(expand, factorise, backward_solve, inverse_moments),
)  # fmt: skip
def effect_moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, x, known, prior_precision, prior_mean, with_fixed,
    beta, beta_cov, n_b, b, b_cov, cross,
):  # fmt: skip
    """Conditional means and covariance blocks at one theta; see `add_moments`."""
    eq, co = equations_at(eq_ints, eq_floats), theta_at(co_ints, co_floats)
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    n, n_L = r + p, co.L_size
    n_nodes = n_b - r
    sd, C, L, Q = np.empty(co.n_effects + 1), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    S = np.empty(n_L)
    K, panels = np.empty(eq.K_size), np.empty(eq.panel_size)
    root, root_y, scalars = np.empty((n, n)), np.empty(n), np.empty(6)
    prior_y = np.empty(p)
    _times(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    if _factorise(
        eq_ints, eq_floats, L.ctypes, _residual_precision(co, sd, known), prior_precision,
        prior_y.ctypes, K.ctypes, panels.ctypes, root.ctypes, root_y.ctypes, scalars.ctypes,
    ) == 0:  # fmt: skip
        return 0
    u = np.zeros(n_b)
    add_half_solved(eq, panels, u)
    _backward(eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 1, u.ctypes, root_y.ctypes)
    for i in range(r):
        u[n_nodes + i] = root_y[i]
    effects(eq, L, u, carray(b, (n_b,)))
    inverse = np.empty((n, n))
    blocks = np.empty(eq.K_size)
    _inverse_moments(
        eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 1, inverse.ctypes, S.ctypes,
        len(blocks), blocks.ctypes, n_b, cross, 0, cross,
    )  # fmt: skip
    cross_array = carray(cross, (n_b, p))
    column = np.empty(n_b)
    for j in range(p):
        for i in range(n_b):
            u[i] = cross_array[i, j]
        effects(eq, L, u, column)
        for i in range(n_b):
            cross_array[i, j] = column[i]
    for i in range(p):
        beta[i] = root_y[r + i]
        for j in range(p):
            beta_cov[i * p + j] = inverse[r + i, r + j]
    if with_fixed == 0:
        _inverse_moments(
            eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 0, inverse.ctypes, S.ctypes,
            len(blocks), blocks.ctypes, 0, cross, 0, cross,
        )  # fmt: skip
    at, first = 0, 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        block = np.empty((q, q))
        half = np.empty((q, q))
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                for j in range(q):
                    if f < n_chain:
                        block[i, j] = blocks[at + i * q + j]
                    else:
                        block[i, j] = inverse[first + i, first + j]
            for i in range(q):
                for j in range(q):
                    s = 0.0
                    for k in range(q):
                        s += L[start + i * q + k] * block[k, j]
                    half[i, j] = s
            for i in range(q):
                for j in range(q):
                    s = 0.0
                    for k in range(q):
                        s += half[i, k] * L[start + j * q + k]
                    b_cov[at + i * q + j] = s
            at += q * q
            if f >= n_chain:
                first += q
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


def add_moments(
    eq: Equations, co: Coordinates, x: np.ndarray, known: float, prior: FixedPrior,
    with_fixed: bool, beta: np.ndarray, beta_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray,
    cross: np.ndarray,
) -> bool:  # fmt: skip
    """Conditional means and covariance blocks at one theta, in working units.

    Parameters
    ----------
    eq, co, x, known, prior
        As in `draw_effects`.
    with_fixed : bool
        Whether covariances account for the fixed effects' uncertainty.
    beta : ndarray, shape (p,)
    beta_cov : ndarray, shape (p, p)
    b : ndarray, shape (sum of G q,)
    b_cov : ndarray, shape (sum of G q^2,)
        b_cov holds a q x q block per level.
    cross : ndarray, shape (sum of G q, p)
        Covariances of group and fixed effects. All receive their values.

    Returns
    -------
    bool
    """
    at, theta = equations_for(eq, co, x), separate_theta(co, x)[0]
    return bool(effect_moments(
        at.ints, at.floats, co.ints, co.floats, theta, known, prior.precision, prior.mean,
        int(with_fixed), beta, beta_cov, len(b), b, b_cov, cross,
    ))  # fmt: skip


def conditional_moments(
    problem: Problem,
    co: Coordinates,
    x: np.ndarray,
    prior: FixedPrior,
    *,
    known: float = 0.0,
    fixed_uncertainty: bool = True,
) -> Conditional:
    """Conditional means and variances at one theta, on the scale of the formula.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
    x : ndarray
    prior : FixedPrior
    known : float
        Residual precision in working units, or 0 to take it from `x`.
    fixed_uncertainty : bool

    Returns
    -------
    Conditional
    """
    eq = problem.equations
    p = problem.n_fixed
    n_u = int((eq.q * eq.n_levels).sum())
    beta, beta_cov = np.empty(p), np.empty((p, p))
    b, b_cov = np.empty(n_u), np.empty(int((eq.q**2 * eq.n_levels).sum()))
    cross = np.empty((n_u, p))
    add_moments(eq, co, x, known, prior, fixed_uncertainty, beta, beta_cov, b, b_cov, cross)
    if problem.turn is not None:
        b_cov = _turned_variances(
            problem.turn, b_cov, cross, beta_cov if fixed_uncertainty else None
        )
    scaling = problem.scaling
    back = np.linalg.inv(scaling.TX) * scaling.y_scale
    return Conditional(
        beta=back @ (beta + scaling.beta_0),
        beta_cov=back @ beta_cov @ back.T,
        b=split_by_group(problem, b),
        b_var=variances_by_group(problem, b_cov),
        cross={
            name: np.moveaxis(values, 0, -1) @ back.T
            for name, values in split_by_group(problem, cross.T).items()
        },
    )


def _turned_variances(
    turn: np.ndarray, variances: np.ndarray, cross: np.ndarray, beta_cov: np.ndarray | None
) -> np.ndarray:
    """Variances of the levels from those of independent combinations, given beta or with it.

    Parameters
    ----------
    turn : ndarray, shape (G, G)
    variances : ndarray, shape (G,)
        Those of the combinations.
    cross : ndarray, shape (G, p)
        Their covariances with beta.
    beta_cov : ndarray, shape (p, p), or None
        None where beta is given.

    Returns
    -------
    ndarray, shape (G,)
    """
    if beta_cov is None or not len(beta_cov):
        given: np.ndarray = turn**2 @ variances
        return given
    moves = np.linalg.solve(beta_cov, cross.T).T  # what beta tells of each
    alone = variances - np.einsum("gi,gi->g", moves, cross)
    turned = turn @ moves
    with_beta: np.ndarray = turn**2 @ alone + np.einsum("gi,gi->g", turned @ beta_cov, turned)
    return with_beta


def variances_by_group(problem: Problem, b_cov: np.ndarray) -> dict[str, np.ndarray]:
    """Variances of the effects, shape (G, q), on the formula's scale.

    Parameters
    ----------
    problem : Problem
    b_cov : ndarray, shape (sum of G q^2,)
        Covariance of each level's working effects.

    Returns
    -------
    dict of str to ndarray, shape (G, q)
    """
    out, at = {}, 0
    for f, group in enumerate(problem.groups):
        q = group.n_effects
        size = q * q * group.n_levels
        T = to_formula_scale(problem, f)
        blocks = b_cov[at : at + size].reshape(-1, q, q)
        out[group.name] = np.einsum("ik,gkl,il->gi", T, blocks, T)
        at += size
    return out


def to_formula_scale(problem: Problem, f: int) -> np.ndarray:
    """Matrix that brings working effects of the f-th factor to the formula's scale."""
    k = (*problem.plan.chain, *problem.plan.rest)[f]
    inverse: np.ndarray = np.linalg.inv(problem.scaling.TZ[k]) * problem.scaling.y_scale
    return inverse


def split_by_group(problem: Problem, b: np.ndarray) -> dict[str, np.ndarray]:
    """Working effects, shape (..., sum of G q), as (..., G, q) by factor on the formula's scale."""
    out = {}
    at = 0
    for f, group in enumerate(problem.groups):
        size = group.n_levels * group.n_effects
        values = b[..., at : at + size]
        if problem.turn is not None:
            values = values @ problem.turn.T
        values = values.reshape(*b.shape[:-1], group.n_levels, group.n_effects)
        out[group.name] = values @ to_formula_scale(problem, f).T
        at += size
    return out
