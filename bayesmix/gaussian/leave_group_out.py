"""Density of the rows of one group given all other rows and theta, effects integrated out.

p(y_g | y_-g, theta) is the ratio of two collapsed likelihoods: of all rows, and of the rows
without the group's. Both are exact, so that leave-one-group-out cross-validation is left with
importance weights over theta alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.coordinates import unpack_theta
from bayesmix.gaussian.crossproducts import build_equations
from bayesmix.gaussian.density import FixedPrior, log_density
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.series_left_out import SeriesLeftOut, groups_hold_series, without_rows
from bayesmix.gaussian.structure import plan_elimination
from bayesmix.residual import PairClasses, Rows
from bayesmix.threads import one_blas_thread

__all__ = [
    "add_own_products", "constants_of_groups", "expected_seconds", "log_density_by_level",
    "log_density_of_groups", "log_density_without",
]  # fmt: skip

_CHUNK = 2_000_000  # numbers


def log_density_of_groups(
    problem: Problem,
    predictor: LinearPredictor,
    y: np.ndarray,
    weights: np.ndarray | None,
    prior: FixedPrior,
    X: np.ndarray,
    member: np.ndarray,
    rows: Rows | None = None,
) -> np.ndarray:
    """Log p(y_g | y_-g, theta) for each theta and each group of rows.

    Where residuals are correlated within series, the rows that stay keep the covariance that
    they have among themselves: that of a series which loses some of its rows is its part.

    Parameters
    ----------
    problem : Problem
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    weights : ndarray, shape (n,), or None
        Precision of each row relative to 1 / sigma^2 (absolute where it is known).
    prior : FixedPrior
    X : ndarray, shape (S, n_all)
        Thetas, in `Problem.absolute_coordinates`, then the parameters of R.
    member : ndarray of int, shape (n,)
        Group of each row, 0 to m - 1.
    rows : mapping of str to ndarray, shape (n,), optional
        What the residual structure needs to know of each row, where R has parameters.

    Returns
    -------
    ndarray, shape (S, m)

    Raises
    ------
    NotSupportedError
        If the other groups do not determine a fixed effect that has a flat prior.
    """
    n_groups = int(member.max()) + 1
    level_of, given = _level_of(problem, member, n_groups, rows), rows or {}
    with one_blas_thread(), np.errstate(all="ignore"):
        if problem.phi and level_of is not None:
            left_out = SeriesLeftOut(problem, predictor, y, given)
            found = _by_level_of_series(problem, left_out, prior, X)[:, level_of]
        elif problem.phi:
            found = log_density_without(
                problem, prior, X, range(n_groups),
                lambda g: without_rows(problem, predictor, y, given, member == g),
            )  # fmt: skip
        elif level_of is not None:
            found = _by_level(problem, predictor, y, weights, prior, X)[:, level_of]
        else:
            found = _by_removal(problem, predictor, y, weights, prior, X, member, n_groups)
    sizes = np.bincount(member, minlength=n_groups)
    log_weights = np.zeros(n_groups)
    if weights is not None:
        log_weights = np.bincount(member, np.log(weights), minlength=n_groups)
    return found + constants_of_groups(problem, found, sizes, log_weights)


def constants_of_groups(
    problem: Problem, found: np.ndarray, sizes: np.ndarray, log_weights: np.ndarray
) -> np.ndarray:
    """What a log density of working responses lacks of that of the data, by group.

    Parameters
    ----------
    problem : Problem
    found : ndarray, shape (S, m)
        Log densities, which have to be finite.
    sizes : ndarray of int, shape (m,)
        Rows of each group.
    log_weights : ndarray, shape (m,)
        Sums of the logarithms of their precisions.

    Raises
    ------
    NotSupportedError
        If the other groups do not determine a fixed effect that has a flat prior.
    """
    if not np.isfinite(found).all():
        bad = int(np.flatnonzero(~np.isfinite(found).all(axis=0))[0])
        raise NotSupportedError(
            f"without the {sizes[bad]} rows of group number {bad + 1} the model "
            "is not determined: a fixed effect that only they know has a flat prior; give it a "
            "proper one"
        )
    constant = -sizes * (0.5 * np.log(2 * np.pi) + np.log(problem.scaling.y_scale))
    return np.asarray(constant + 0.5 * log_weights)


def expected_seconds(
    problem: Problem, prior: FixedPrior, X: np.ndarray, member: np.ndarray,
    rows: Rows | None = None,
) -> float:  # fmt: skip
    """Say how long `log_density_of_groups` may take, from a few evaluations."""
    n_groups = int(member.max()) + 1
    if _level_of(problem, member, n_groups, rows) is not None:
        return 0.0
    co, gradient = problem.absolute_coordinates(), np.empty(X.shape[1])
    log_density(problem.equations, co, prior, X[0], False, gradient)
    start = time.perf_counter()
    for x in X[:5]:
        log_density(problem.equations, co, prior, x, False, gradient)
    each = (time.perf_counter() - start) / len(X[:5])
    return each * len(X) * n_groups / min(n_groups, os.cpu_count() or 1)


def _level_of(
    problem: Problem, member: np.ndarray, n_groups: int, rows: Rows | None
) -> np.ndarray | None:
    """Level of each group, if these are the levels of the only grouping factor."""
    if len(problem.groups) != 1 or problem.groups[0].between is not None:
        return None
    if problem.phi and not groups_hold_series(problem, rows or {}, member):
        return None
    index = problem.groups[0].index
    level_of = np.full(n_groups, -1, dtype=np.int64)
    level_of[member] = index
    if not np.array_equal(level_of[member], index) or len(set(level_of)) < n_groups:
        return None
    return level_of


def _by_removal(
    problem: Problem, predictor: LinearPredictor, y: np.ndarray, weights: np.ndarray | None,
    prior: FixedPrior, X: np.ndarray, member: np.ndarray, n_groups: int,
) -> np.ndarray:  # fmt: skip
    """Any model: the likelihood again with each group's rows at weight zero."""
    plan = problem.plan if problem.turn is None else plan_elimination(predictor.groups)

    def without(g: int) -> Equations:
        w = np.ones(len(y)) if weights is None else weights.copy()
        w[member == g] = 0.0
        kept = PairClasses(weights=w)
        equations, _ = build_equations(predictor, y, kept, problem.scaling, plan)
        equations.n_obs = int((member != g).sum())
        return equations

    return log_density_without(problem, prior, X, range(n_groups), without)


def log_density_without(
    problem: Problem, prior: FixedPrior, X: np.ndarray, groups: Sequence[int],
    without: Callable[[int], Equations],
) -> np.ndarray:  # fmt: skip
    """Log density of each group's working response, by the likelihood of all other rows.

    Parameters
    ----------
    problem : Problem
    prior : FixedPrior
    X : ndarray, shape (S, n_x)
        Thetas, in `Problem.absolute_coordinates`.
    groups : sequence of int
    without : callable
        Makes the equations of the rows that are not in a group.

    Returns
    -------
    ndarray, shape (S, m)
    """
    co = problem.absolute_coordinates()
    X = np.ascontiguousarray(X)
    gradient_size = X.shape[1]

    def values(equations: Equations) -> np.ndarray:
        gradient = np.empty(gradient_size)
        return np.asarray([log_density(equations, co, prior, x, False, gradient) for x in X])

    whole = values(problem.equations)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        rest = list(pool.map(lambda g: values(without(g)), groups))
    return whole[:, None] - np.stack(rest, axis=1)


def _by_level(
    problem: Problem, predictor: LinearPredictor, y: np.ndarray, weights: np.ndarray | None,
    prior: FixedPrior, X: np.ndarray,
) -> np.ndarray:  # fmt: skip
    group, k = predictor.groups[0], problem.n_fixed + 1
    own = np.zeros((group.n_levels, k, k))
    add_own_products(own, problem, predictor.X, y, weights, group.index)
    sizes = np.bincount(group.index, minlength=group.n_levels)
    return log_density_by_level(problem, prior, X, own, sizes)


def log_density_by_level(
    problem: Problem, prior: FixedPrior, X: np.ndarray, own: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """One grouping factor, left out level by level: all levels and many thetas at once.

    Parameters
    ----------
    problem : Problem
    prior : FixedPrior
    X : ndarray, shape (S, n_x)
        Thetas, in `Problem.absolute_coordinates`.
    own : ndarray, shape (G, p + 1, p + 1)
        What `add_own_products` made of all rows.
    sizes : ndarray of int, shape (G,)
        Rows of each level.

    Returns
    -------
    ndarray, shape (S, G)
        Log densities of the working response.
    """
    eq = problem.equations
    q, p, n_levels = int(eq.q[0]), problem.n_fixed, int(eq.n_levels[0])
    B = eq.K.reshape(n_levels, q, q)
    panel = eq.panel.reshape(n_levels, q, p + 1)
    whole, of_prior = _whole(eq, p), _of_prior(prior)
    L, sigma = _roots(problem, X)

    def chunk(rows: slice) -> np.ndarray:
        precision = sigma[rows] ** -2.0
        Ls = L[rows]
        LBL = np.einsum("ska,gkl,slb->sgab", Ls, B, Ls, optimize=True)
        K = LBL * precision[:, None, None, None]
        K[..., range(q), range(q)] += 1.0
        V = np.einsum("ska,gkm->sgam", Ls, panel, optimize=True)
        V *= precision[:, None, None, None]
        factor = np.linalg.cholesky(K)
        W = _solve_lower(factor, V)
        log_det = 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
        products = np.swapaxes(W, -1, -2) @ W
        root = precision[:, None, None] * whole + of_prior - products.sum(axis=1)
        rest = root[:, None] - precision[:, None, None, None] * own + products
        all_rows = _log_ratio(root)
        without = _log_ratio(rest)
        return -0.5 * (log_det + all_rows[:, None] - without) - sizes * np.log(sigma[rows, None])

    step = max(1, _CHUNK // (n_levels * (p + 1) * (p + 1 + q)))
    pieces = [slice(start, start + step) for start in range(0, len(X), step)]
    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            return np.concatenate(list(pool.map(chunk, pieces)))
    except np.linalg.LinAlgError:
        return np.full((len(X), n_levels), np.nan)


def _by_level_of_series(
    problem: Problem, left_out: SeriesLeftOut, prior: FixedPrior, X: np.ndarray
) -> np.ndarray:
    """One grouping factor whose levels hold whole series: all levels at each theta."""
    eq, p = problem.equations, problem.n_fixed
    q, n_levels = int(eq.q[0]), int(eq.n_levels[0])
    of_prior, n_x = _of_prior(prior), problem.absolute_coordinates().n_x
    L, sigma = _roots(problem, X[:, :n_x])
    by_level = left_out.log_determinants(X)
    sizes = np.bincount(problem.groups[0].index, minlength=n_levels)
    found = np.full((len(X), n_levels), np.nan)
    for s, x in enumerate(X):
        own, of_all = left_out.products(x)
        K, panel = of_all.K.reshape(n_levels, q, q), of_all.panel.reshape(n_levels, q, p + 1)
        precision = sigma[s] ** -2.0
        try:
            factor = np.linalg.cholesky(precision * (L[s].T @ K @ L[s]) + np.eye(q))
            W = _solve_lower(factor, precision * (L[s].T @ panel))
            products = np.swapaxes(W, -1, -2) @ W
            root = precision * _whole(of_all, p) + of_prior - products.sum(axis=0)
            rest = _log_ratio(root - precision * own + products)
            log_det = 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
            found[s] = -0.5 * (log_det + _log_ratio(root) - rest) - sizes * np.log(sigma[s])
        except np.linalg.LinAlgError:
            continue
    return found + 0.5 * by_level


def _whole(eq: Equations, p: int) -> np.ndarray:
    """Products of [X, y] over all rows, shape (p + 1, p + 1)."""
    whole = np.empty((p + 1, p + 1))
    whole[:p, :p], whole[p, :p], whole[:p, p] = eq.root, eq.root_y, eq.root_y
    whole[p, p] = eq.yy[0]
    return whole


def _of_prior(prior: FixedPrior) -> np.ndarray:
    """What the fixed effects' prior adds to these."""
    p = len(prior.mean)
    found = np.empty((p + 1, p + 1))
    found[:p, :p] = prior.precision
    found[p, :p] = found[:p, p] = prior.precision @ prior.mean
    found[p, p] = prior.mean @ prior.precision @ prior.mean
    return found


def _roots(problem: Problem, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root of the covariance of the one factor's effects and sigma, both in working units."""
    co, q = problem.absolute_coordinates(), int(problem.equations.q[0])
    sd, C = unpack_theta(co, X)
    T = co.T.reshape(q, q)
    L = T @ (sd[:, :q, None] * C.reshape(-1, q, q))
    # The lower triangle of L = L_new Q keeps the digits where columns are nearly parallel.
    L = np.swapaxes(np.linalg.qr(np.swapaxes(L, 1, 2), mode="r"), 1, 2)
    return L, sd[:, -1] / problem.scaling.y_scale


def _log_ratio(M: np.ndarray) -> np.ndarray:
    """log|M_xx| plus what is left of M_yy, for matrices with y last."""
    diagonal = np.diagonal(np.linalg.cholesky(M), axis1=-2, axis2=-1)
    found: np.ndarray = 2 * np.log(diagonal[..., :-1]).sum(axis=-1) + diagonal[..., -1] ** 2
    return found


def _solve_lower(C: np.ndarray, V: np.ndarray) -> np.ndarray:
    """C^-1 V for many small triangular C; V is overwritten."""
    for i in range(C.shape[-1]):
        for k in range(i):
            V[..., i, :] -= C[..., i, k, None] * V[..., k, :]
        V[..., i, :] /= C[..., i, i, None]
    return V


def add_own_products(
    out: np.ndarray, problem: Problem, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None,
    index: np.ndarray,
) -> None:  # fmt: skip
    """Add the products of each level's own rows of [X, y].

    Parameters
    ----------
    out : ndarray, shape (G, p + 1, p + 1)
        Receives them.
    problem : Problem
    X : ndarray, shape (n, p)
    y : ndarray, shape (n,)
        Response minus offset.
    weights : ndarray, shape (n,), or None
    index : ndarray of int, shape (n,)
    """
    scaling, n_levels = problem.scaling, len(out)
    A = np.empty((len(y), problem.n_fixed + 1))
    A[:, :-1] = (X - scaling.X_shift) / scaling.X_scale
    A[:, -1] = y / scaling.y_scale - A[:, :-1] @ scaling.beta_0
    for i in range(A.shape[1]):
        left = A[:, i] if weights is None else A[:, i] * weights
        for j in range(i + 1):
            product = np.bincount(index, left * A[:, j], minlength=n_levels)
            out[:, i, j] += product
            if i != j:
                out[:, j, i] += product
