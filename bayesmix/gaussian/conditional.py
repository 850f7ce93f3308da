"""The normal distribution of (beta, b) given theta and y: its moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import carray

from bayesmix.gaussian.combine import equations_for, separate_theta
from bayesmix.gaussian.coordinates import Coordinates, expand, theta_at
from bayesmix.gaussian.dense import lower
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.effects import effects
from bayesmix.gaussian.equations import Equations, equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.layout import Theta
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.selected_inverse import inverse_moments
from bayesmix.gaussian.triangular import add_half_solved, backward_solve

__all__ = [
    "Conditional", "add_moments", "conditional_moments", "prior_times_mean", "residual_precision",
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
_inverse_moments = inverse_moments.external


@inner
def residual_precision(co: Theta, sd: np.ndarray, known: float) -> float:
    """1 / s2: what is known, or that of sigma, the last of the standard deviations."""
    if known > 0.0:
        return known
    sigma = sd[co.n_effects] / co.unit[0]
    return 1.0 / (sigma * sigma)


@inner
def prior_times_mean(P: np.ndarray, mean: np.ndarray, out: np.ndarray) -> None:
    """Write the prior precision of the fixed effects times their prior mean."""
    for i in range(len(mean)):
        out[i] = 0.0
        for j in range(len(mean)):
            out[i] += P[i, j] * mean[j]


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
    root, root_y, scalars = np.empty(n * n), np.empty(n), np.empty(6)
    prior_y = np.empty(p)
    prior_times_mean(carray(prior_precision, (p, p)), carray(prior_mean, (p,)), prior_y)
    _expand(co_ints, co_floats, 1, x, sd.ctypes, C.ctypes, L.ctypes, Q.ctypes)
    if _factorise(
        eq_ints, eq_floats, L.ctypes, residual_precision(co, sd, known), prior_precision,
        prior_y.ctypes, K.ctypes, panels.ctypes, root.ctypes, root_y.ctypes, scalars.ctypes,
    ) == 0:  # fmt: skip
        return 0
    u = np.zeros(n_b)
    add_half_solved(eq, panels, u)
    _backward(eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 1, u.ctypes, root_y.ctypes)
    for i in range(r):
        u[n_nodes + i] = root_y[i]
    effects(eq, L, u, carray(b, (n_b,)))
    # The inverse may stand where the factor did, if that is not asked for another one.
    apart = np.empty(n * n if with_fixed == 0 else 1)
    inverse = pointer(apart) if with_fixed == 0 else pointer(root)
    blocks = np.empty(eq.K_size)
    _inverse_moments(
        eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 1, inverse, S.ctypes,
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
            beta_cov[i * p + j] = inverse[lower(n, r + i, r + j)]
    if with_fixed == 0:
        _inverse_moments(
            eq_ints, eq_floats, K.ctypes, panels.ctypes, root.ctypes, 0, inverse, S.ctypes,
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
                        block[i, j] = inverse[lower(n, first + i, first + j)]
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
    root[:1], apart[0] = 0.0, 0.0  # held till here
    return 1


def add_moments(
    eq: Equations, co: Coordinates, x: np.ndarray, known: float, prior: FixedPrior,
    with_fixed: bool, beta: np.ndarray, beta_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray,
    cross: np.ndarray,
) -> bool:  # fmt: skip
    """Conditional means and covariance blocks at one theta, in working units.

    Parameters
    ----------
    eq, co, x, known, prior
        As in `effect_draws.draw_effects`.
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
