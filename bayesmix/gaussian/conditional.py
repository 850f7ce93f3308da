"""The normal distribution of (beta, b) given theta and y: moments and draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from bayesmix.gaussian.coordinates import Coordinates, expand, make_triangular
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.kernels import (
    Equations,
    _chol_in_place,
    factorise,
    inverse_moments,
    solve_nodes,
)
from bayesmix.gaussian.moments import moments
from bayesmix.gaussian.problem import Problem

__all__ = ["Conditional", "add_moments", "conditional_moments", "draw_effects", "draw_fixed"]


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


@njit(cache=True, nogil=True, error_model="numpy")
def _at_theta(
    eq: Equations, co: Coordinates, x: np.ndarray, known: float, prior: FixedPrior,
    L: np.ndarray, K: np.ndarray, panels: np.ndarray, root: np.ndarray, root_y: np.ndarray,
    scalars: np.ndarray,
) -> bool:  # fmt: skip
    """Factor the equations at the coordinates x; `known` overrides the residual precision."""
    sd = np.empty(co.sizes[1] + 1)
    C, Q = np.empty(len(co.T)), np.empty(len(co.T))
    expand(co, x, sd, C, L)
    make_triangular(co, L, Q)
    precision = known
    if known <= 0.0:
        sigma = sd[co.sizes[1]] / co.unit[0]
        precision = 1.0 / (sigma * sigma)
    p = eq.sizes[4]
    prior_y = np.zeros(p)
    for i in range(p):
        for j in range(p):
            prior_y[i] += prior.precision[i, j] * prior.mean[j]
    return factorise(eq, L, precision, prior.precision, prior_y, K, panels, root, root_y, scalars)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_root(root: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(values) - 1, -1, -1):
        s = values[i]
        for k in range(i + 1, len(values)):
            s -= root[k, i] * values[k]
        values[i] = s / root[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _effects_from_u(eq: Equations, L: np.ndarray, u: np.ndarray, b: np.ndarray) -> None:
    """B = L u by level, factor behind factor."""
    at = 0
    for f in range(len(eq.q)):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L[start + i * q + k] * u[at + k]
                b[at + i] = s
            at += q


@njit(cache=True, nogil=True, error_model="numpy")
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
    r, p = eq.sizes[3], eq.sizes[4]
    n = r + p
    L = np.empty(len(co.T))
    K, panels = np.empty(len(eq.K)), np.empty(len(eq.panel))
    root, root_y, scalars = np.empty((n, n)), np.empty(n), np.empty(6)
    n_nodes_u = b.shape[1] - r
    u = np.empty(b.shape[1])
    for s in range(len(X)):
        if not _at_theta(eq, co, X[s], known, prior, L, K, panels, root, root_y, scalars):
            return False
        for i in range(r):
            root_y[i] += b[s, n_nodes_u + i]
        for i in range(p):
            root_y[r + i] += beta[s, i]
        _solve_root(root, root_y)
        nodes = b[s, :n_nodes_u].copy()
        solve_nodes(eq, K, panels, root_y, nodes)
        u[:n_nodes_u] = nodes
        u[n_nodes_u:] = root_y[:r]
        _effects_from_u(eq, L, u, b[s])
        for i in range(p):
            beta[s, i] = root_y[r + i]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
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
    p, n_L = eq.sizes[4], len(co.T)
    sd = np.empty(co.sizes[1] + 1)
    C, L, Q, S, U = np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    mean, cov, scalars = np.empty(p), np.empty((p, p)), np.empty(6)
    prior_y = np.zeros(p)
    for i in range(p):
        for j in range(p):
            prior_y[i] += prior.precision[i, j] * prior.mean[j]
    for s in range(len(X)):
        expand(co, X[s], sd, C, L)
        make_triangular(co, L, Q)
        precision = known
        if known <= 0.0:
            sigma = sd[co.sizes[1]] / co.unit[0]
            precision = 1.0 / (sigma * sigma)
        fine = moments(
            eq, L, precision, prior.precision, prior_y, True, S, U, mean, cov, scalars
        ) and _chol_in_place(cov, p)
        if not fine:
            return False
        for i in range(p - 1, -1, -1):
            value = mean[i]
            for j in range(i + 1):
                value += cov[i, j] * beta[s, j]
            beta[s, i] = value
    return True


@njit(cache=True, nogil=True, error_model="numpy")
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
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    n = r + p
    L, S = np.empty(len(co.T)), np.empty(len(co.T))
    K, panels = np.empty(len(eq.K)), np.empty(len(eq.panel))
    root, root_y, scalars = np.empty((n, n)), np.empty(n), np.empty(6)
    if not _at_theta(eq, co, x, known, prior, L, K, panels, root, root_y, scalars):
        return False
    _solve_root(root, root_y)
    u = np.zeros(len(b))
    nodes = np.zeros(len(b) - r)
    solve_nodes(eq, K, panels, root_y, nodes)
    u[: len(b) - r] = nodes
    u[len(b) - r :] = root_y[:r]
    _effects_from_u(eq, L, u, b)
    inverse = np.empty((n, n))
    blocks = np.empty(len(eq.K))
    inverse_moments(eq, K, panels, root, True, inverse, S, blocks, cross)
    for j in range(p):
        column_of_u = cross[:, j].copy()
        column_of_b = np.empty(len(b))
        _effects_from_u(eq, L, column_of_u, column_of_b)
        cross[:, j] = column_of_b
    for i in range(p):
        beta[i] = root_y[r + i]
        for j in range(p):
            beta_cov[i, j] = inverse[r + i, r + j]
    if not with_fixed:
        inverse_moments(eq, K, panels, root, False, inverse, S, blocks, np.empty((0, 0)))
    at, column = 0, 0
    for f in range(len(eq.q)):
        q, start = eq.q[f], eq.L_start[f]
        block = np.empty((q, q))
        half = np.empty((q, q))
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                for j in range(q):
                    if f < n_chain:
                        block[i, j] = blocks[at + i * q + j]
                    else:
                        block[i, j] = inverse[column + i, column + j]
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
                column += q
    return True


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
    scaling = problem.scaling
    back = np.linalg.inv(scaling.TX) * scaling.y_scale
    variances = {}
    at = 0
    for f, group in enumerate(problem.groups):
        q, size = int(eq.q[f]), int(eq.q[f] ** 2 * eq.n_levels[f])
        blocks = b_cov[at : at + size].reshape(-1, q, q)
        at += size
        T = to_formula_scale(problem, f)
        variances[group.name] = np.einsum("ik,gkl,il->gi", T, blocks, T)
    return Conditional(
        beta=back @ (beta + scaling.beta_0),
        beta_cov=back @ beta_cov @ back.T,
        b=split_by_group(problem, b),
        b_var=variances,
        cross={
            name: np.moveaxis(values, 0, -1) @ back.T
            for name, values in split_by_group(problem, cross.T).items()
        },
    )


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
        values = b[..., at : at + size].reshape(*b.shape[:-1], group.n_levels, group.n_effects)
        out[group.name] = values @ to_formula_scale(problem, f).T
        at += size
    return out
