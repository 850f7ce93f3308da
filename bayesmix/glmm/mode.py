"""The mode of the effects given theta: penalised iteratively reweighted least squares."""

from __future__ import annotations

import numpy as np
from numba import carray

from bayesmix.gaussian.crossproducts import add_products
from bayesmix.gaussian.effects import effects
from bayesmix.gaussian.equations import Arrays, equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.linking import FLOATS, INTS, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.related import related_length
from bayesmix.gaussian.triangular import add_half_solved, backward_solve
from bayesmix.glmm.data import rows_at
from bayesmix.glmm.predictor import evaluate, predictor, same_branch
from bayesmix.glmm.several import add_joint_products, make_concave, working_response

__all__ = ["BETA", "LOG_DET", "add_weighted", "complete_root", "find_mode"]

_factorise, _backward = factorise.external, backward_solve.external

# Positions in the vector of results.
ROWS, PENALTY, LOG_DET_U, LOG_DET_X, ITERATIONS = range(5)
BETA, LOG_DET = 1, LOG_DET_U
_MOST = 100


@kernel(
    i8, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, needs=(factorise, backward_solve),
)  # fmt: skip
def find_mode(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, row_ints, row_floats, address, L, phi, with_fixed, prior, prior_mean,
    beta, u, K, panels, root, eta, first, second, out,
):  # fmt: skip
    """Newton's method for u, or for (u, beta), with step halving.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`; its products are overwritten by those with weights.
    row_ints, row_floats : ndarray
        The arrays of `RowData`.
    address : int
        Address of the family's row kernel.
    L : ndarray
        Each factor's q x q matrix with b = L u, flat.
    phi : ndarray
        The family's parameters.
    with_fixed : int
        Whether beta is at its mode as well, or given.
    prior, prior_mean : ndarray, shape (p, p) and (p,)
        Prior precision and mean of beta, where beta is at its mode.
    beta, u : ndarray
        Start; receive the mode.
    K, panels, root : ndarray
        Receive the factor of minus the Hessian at the mode.
    eta, first : ndarray, shape (m n,)
    second : ndarray, shape (m (m + 1) / 2 n,)
        Receive the linear predictors and the rows' derivatives at the mode.
    out : ndarray, shape (6,)
        Receives the rows' log density, the penalty u'u / 2 (and beta's prior),
        log|M_uu|, log|M| - log|M_uu|, and the number of iterations.

    Returns
    -------
    int
        1 if it was found; 0 if the Hessian there is not negative definite; -1 if the
        log density is not finite at the start; -2 after too many iterations. Under a
        square root it is a mode on the start's branch of the mean.
    """
    eq, rows = equations_at(eq_ints, eq_floats), rows_at(row_ints, row_floats)
    p, r, m = rows.sizes[1], eq.sizes[3], rows.sizes[6]
    n = m * rows.sizes[0]
    n_second = n * (m + 1) // 2
    n_u, n_L = rows.u_start[-1], eq.L_start[eq.n_factors]
    n_nodes_u = n_u - r
    L_, phi_ = carray(L, (n_L,)), carray(phi, (max(rows.sizes[3], 1),))
    beta_, u_ = carray(beta, (p,)), carray(u, (n_u,))
    eta_, first_, second_ = carray(eta, (n,)), carray(first, (n,)), carray(second, (n_second,))
    P, mean = carray(prior, (p, p)), carray(prior_mean, (p,))
    prior_y = np.zeros(p)
    for i in range(p):
        for j in range(p):
            prior_y[i] += P[i, j] * mean[j]
    b, w, work = np.empty(n_u), np.empty(n_second), np.empty(n)
    start = np.empty(n)
    value, by_phi = np.empty(rows.sizes[0]), np.empty(rows.sizes[3] + 4)
    new_u, new_root, scalars = np.empty(n_u), np.empty(r + p), np.empty(6)
    try_u, try_beta = np.empty(n_u), np.empty(p)
    effects(eq, L_, u_, b)
    predictor(eq, rows, beta_, b, eta_)
    total = evaluate(rows, address, phi_, 2, eta_, value, first_, second_, by_phi)
    if not np.isfinite(total):
        return -1
    start[:] = eta_
    penalty = _penalty(eq, u_, beta_, P, mean, with_fixed)
    done = False
    iteration = 0
    while True:
        for i in range(n_second):
            w[i] = -second_[i]
        if not done and m == 1:
            for i in range(n):
                if not w[i] > 0.0:
                    w[i] = 0.0
        elif not done:
            make_concave(rows.sizes[0], m, w)
        _products(eq, rows, beta_, eta_, first_, w, work, with_fixed)
        fine = _factorise(
            eq_ints, eq_floats, L, 1.0, prior, prior_y.ctypes, K, panels, root, new_root.ctypes,
            scalars.ctypes,
        )  # fmt: skip
        if fine == 0:
            return 0
        if done:
            break
        if iteration >= _MOST:
            return -2
        iteration += 1
        new_u[:] = 0.0
        add_half_solved(eq, panels, new_u)
        if with_fixed == 0:
            for j in range(p):
                new_root[r + j] = 0.0
        _backward(eq_ints, eq_floats, K, panels, root, with_fixed, new_u.ctypes, new_root.ctypes)
        for i in range(r):
            new_u[n_nodes_u + i] = new_root[i]
        step, size = 1.0, 0.0
        for i in range(n_u):
            size = max(size, abs(new_u[i] - u_[i]) / (1.0 + abs(u_[i])))
        if with_fixed != 0:
            for j in range(p):
                size = max(size, abs(new_root[r + j] - beta_[j]) / (1.0 + abs(beta_[j])))
        better = False
        for _ in range(40):
            for i in range(n_u):
                try_u[i] = u_[i] + step * (new_u[i] - u_[i])
            for j in range(p):
                try_beta[j] = beta_[j]
                if with_fixed != 0:
                    try_beta[j] += step * (new_root[r + j] - beta_[j])
            effects(eq, L_, try_u, b)
            predictor(eq, rows, try_beta, b, eta_)
            new_total = evaluate(rows, address, phi_, 2, eta_, value, first_, second_, by_phi)
            new_penalty = _penalty(eq, try_u, try_beta, P, mean, with_fixed)
            gain = (new_total - new_penalty) - (total - penalty)
            if gain >= -1e-11 * (1.0 + abs(total)) and same_branch(rows, start, eta_):
                better = True
                break
            step *= 0.5
        if better:
            total, penalty = new_total, new_penalty
            for i in range(n_u):
                u_[i] = try_u[i]
            for j in range(p):
                beta_[j] = try_beta[j]
        else:  # rounding: where it is is the mode
            effects(eq, L_, u_, b)
            predictor(eq, rows, beta_, b, eta_)
            evaluate(rows, address, phi_, 2, eta_, value, first_, second_, by_phi)
        done = not better or (size < 1e-7 and step == 1.0)
    out[ROWS], out[PENALTY] = total, penalty
    out[LOG_DET_U], out[LOG_DET_X], out[ITERATIONS] = scalars[0], scalars[1], iteration
    return 1


@inner
def _penalty(
    eq: Arrays, u: np.ndarray, beta: np.ndarray, P: np.ndarray, mean: np.ndarray, with_fixed: int
) -> float:
    s, at = 0.0, 0
    for f in range(eq.n_factors):
        size = eq.q[f] * eq.n_levels[f]
        if f >= eq.sizes[0] and eq.related[f - eq.sizes[0]] != 0:
            s += related_length(eq, f, shifted(pointer(u), at))
        else:
            for i in range(at, at + size):
                s += u[i] * u[i]
        at += size
    if with_fixed != 0:
        for i in range(len(beta)):
            for j in range(len(beta)):
                s += (beta[i] - mean[i]) * P[i, j] * (beta[j] - mean[j])
    return 0.5 * s


@inner
def _products(eq, rows, beta, eta, first, w, work, with_fixed):  # type: ignore[no-untyped-def]
    """Fill the equations with the weights and the working response."""
    n, m = eq.n_root, rows.sizes[6]
    for i in range(eq.K_size):
        eq.K[i] = 0.0
    for i in range(eq.panel_size):
        eq.panel[i] = 0.0
    for i in range(n * n):
        eq.root[i] = 0.0
    for i in range(n):
        eq.root_y[i] = 0.0
    if m == 1:
        add_weighted(eq, rows, beta, eta, first, w, work, with_fixed)
    else:
        working_response(rows, beta, eta, first, w, work, with_fixed)
        add_joint_products(eq, rows, work, w, with_fixed)
    complete_root(eq)


@inner
def add_weighted(eq, rows, beta, eta, first, w, work, with_fixed):  # type: ignore[no-untyped-def]
    """Add the rows of one predictor to the equations, with their weights and working response."""
    for i in range(rows.sizes[0]):
        part = eta[i] - rows.offset[i]
        if with_fixed == 0:
            for j in range(len(beta)):
                part -= rows.X[j, i] * beta[j]
        work[i] = first[i] + w[i] * part
    add_products(eq, rows.X.T, work, w, rows.Z.T, rows.index)


@inner
def complete_root(eq):  # type: ignore[no-untyped-def]
    """Fill the root's upper triangle where it is read: with several effects a level."""
    n = eq.n_root
    if eq.n_blocks != eq.sizes[3]:
        for i in range(n):
            for j in range(i):
                eq.root[j * n + i] = eq.root[i * n + j]
