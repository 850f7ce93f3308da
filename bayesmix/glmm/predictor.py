"""The linear predictor of all rows, and derivatives by it gathered back."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.equations import Arrays
from bayesmix.gaussian.linking import inner, inner_sums
from bayesmix.glmm.data import RowArrays
from bayesmix.glmm.rows.each import link_of_mu
from bayesmix.glmm.rows.kernels import call_rows
from bayesmix.glmm.rows.links import SQRT

__all__ = ["evaluate", "evaluate_each", "gather", "predictor", "same_branch"]


@inner
def predictor(
    eq: Arrays, rows: RowArrays, beta: np.ndarray, b: np.ndarray, eta: np.ndarray
) -> None:
    """X beta + Z b + offset, column by column, shape (m n,)."""
    n = rows.sizes[0]
    for i in range(len(eta)):
        eta[i] = rows.offset[i]
    for j in range(rows.sizes[1]):
        column, coefficient = rows.X[j], beta[j]
        own = eta[rows.X_of[j] * n :]
        for i in range(n):
            own[i] += column[i] * coefficient
    for f in range(eq.n_factors):
        q, index = eq.q[f], rows.index[f]
        base = rows.u_start[f] - q * rows.first[f]
        for k in range(q):
            column = rows.Z[rows.z_start[f] + k]
            own = eta[rows.Z_of[rows.z_start[f] + k] * n :]
            for i in range(n):
                own[i] += column[i] * b[base + q * index[i] + k]


@inner_sums
def gather(
    eq: Arrays, rows: RowArrays, values: np.ndarray, by_beta: np.ndarray, by_b: np.ndarray
) -> None:
    """X'v and Z'v, where each column meets the values of its predictor."""
    n = rows.sizes[0]
    for j in range(rows.sizes[1]):
        column, s = rows.X[j], 0.0
        own = values[rows.X_of[j] * n :]
        for i in range(n):
            s += column[i] * own[i]
        by_beta[j] = s
    by_b[:] = 0.0
    for f in range(eq.n_factors):
        q, index = eq.q[f], rows.index[f]
        base = rows.u_start[f] - q * rows.first[f]
        for k in range(q):
            column = rows.Z[rows.z_start[f] + k]
            own = values[rows.Z_of[rows.z_start[f] + k] * n :]
            for i in range(n):
                by_b[base + q * index[i] + k] += column[i] * own[i]


@inner
def evaluate(
    rows: RowArrays, address: int, phi: np.ndarray, order: int, eta: np.ndarray,
    value: np.ndarray, first: np.ndarray, second: np.ndarray, by_phi: np.ndarray,
) -> float:  # fmt: skip
    """Log density of all rows and its derivatives, those that the order asks for."""
    return call_rows(
        address, rows.sizes[4], rows.sizes[0], rows.y.ctypes, rows.trials.ctypes, eta.ctypes,
        phi.ctypes, order, value.ctypes, first.ctypes, second.ctypes, by_phi.ctypes,
    )  # fmt: skip


@inner
def same_branch(rows: RowArrays, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether no row with a count has passed the zero of a mean that rises on both sides of it.

    The density of such a row is zero where its mean is, so that no path leads there;
    a step that lands beyond has jumped to another mode.
    """
    if link_of_mu(rows.sizes[4]) != SQRT:
        return True
    for i in range(rows.sizes[0]):
        if rows.y[i] > 0.0 and (before[i] < 0.0) != (after[i] < 0.0):
            return False
    return True


@inner
def evaluate_each(  # type: ignore[no-untyped-def]
    rows, address, phi, eta, second, eta_2, value_2, first_2, second_2, by_phi
):
    """Second derivatives at `eta_2`, row by row; where one cannot be there, it stays at `eta`."""
    if rows.sizes[6] > 1:
        _evaluate_each_of_several(rows, address, phi, eta, second, eta_2, second_2, by_phi)
        return
    for i in range(rows.sizes[0]):
        total = call_rows(
            address, rows.sizes[4], 1, rows.y[i:].ctypes, rows.trials[i:].ctypes,
            eta_2[i:].ctypes, phi.ctypes, 2, value_2[i:].ctypes, first_2[i:].ctypes,
            second_2[i:].ctypes, by_phi.ctypes,
        )  # fmt: skip
        if not np.isfinite(total):
            eta_2[i], second_2[i] = eta[i], second[i]


@inner
def _evaluate_each_of_several(  # type: ignore[no-untyped-def]
    rows, address, phi, eta, second, eta_2, second_2, by_phi
):
    """The same of m predictors: a row's numbers are gathered for the kernel."""
    n, m = rows.sizes[0], rows.sizes[6]
    size = m * (m + 1) // 2
    at, value, first, twice = np.empty(m), np.empty(1), np.empty(m), np.empty(size)
    for i in range(n):
        for k in range(m):
            at[k] = eta_2[k * n + i]
        total = call_rows(
            address, rows.sizes[4], 1, rows.y[i:].ctypes, rows.trials[i:].ctypes, at.ctypes,
            phi.ctypes, 2, value.ctypes, first.ctypes, twice.ctypes, by_phi.ctypes,
        )  # fmt: skip
        fine = np.isfinite(total)
        for k in range(m):
            if not fine:
                eta_2[k * n + i] = eta[k * n + i]
        for k in range(size):
            second_2[k * n + i] = twice[k] if fine else second[k * n + i]
