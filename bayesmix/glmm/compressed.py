"""Rows that are alike become one: the likelihood of all of them, at the cost of few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bayesmix.glmm.problem import GlmmProblem
from bayesmix.glmm.rows import OBSERVED_KERNELS, ROW_KERNELS, given_rows

__all__ = ["FEWEST_ROWS", "compressed"]

FEWEST_ROWS = 2000  # below, an evaluation takes no time
_EXPONENT = -1  # its place among what is given per row


def compressed(gp: GlmmProblem) -> GlmmProblem:
    """Add up rows that are alike, where that leaves half of them or fewer.

    Rows are alike that have the same levels, columns and offset, and so the same linear
    predictor whatever the parameters are. Where a family's log density is linear in the
    response and the trials (`RowKernel.adds`) the sums of these stand for the rows: a
    bernoulli response becomes counts. Elsewhere rows with the same response are one to the
    power of their number.

    Parameters
    ----------
    gp : GlmmProblem
        With one linear predictor.

    Returns
    -------
    GlmmProblem
        The same where rows are not alike, or the mean has two branches.
    """
    rows, n = gp.rows, gp.rows.n_obs
    if n < FEWEST_ROWS or rows.n_predictors > 1 or gp.link_is_even:
        return gp
    given = rows.trials.reshape(n, -1)
    adds = ROW_KERNELS[gp.row_kernel].adds and given.shape[1] == 1
    if not adds and gp.row_kernel not in OBSERVED_KERNELS:
        return gp
    key = [*rows.index, *rows.X, *rows.Z, rows.offset]
    if not adds:
        key += [rows.y, *given.T[: _EXPONENT if given.shape[1] > 1 else None]]
    row_of, first = _alike(key, n)
    m = len(first)
    if 2 * m > n:
        return gp
    if adds:
        y = np.bincount(row_of, rows.y, minlength=m)
        trials = np.bincount(row_of, given[:, 0], minlength=m)
    else:
        y = rows.y[first]
        exponent = given[:, _EXPONENT] if given.shape[1] > 1 else np.ones(n)
        trials = given_rows({"trials": given[:, 0]}, n) if given.shape[1] == 1 else given
        trials = trials[first]
        trials[:, _EXPONENT] = np.bincount(row_of, exponent, minlength=m)
    made = rows.replace(
        sizes=np.concatenate([[m], rows.sizes[1:]]),
        index=rows.index[:, first],
        y=y,
        trials=trials,
        offset=rows.offset[first],
        X=rows.X[:, first],
        Z=rows.Z[:, first],
    )
    return replace(gp, rows=made, row_of=row_of)


def _alike(key: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Number rows by what they have: of each row its number, of each number its first row."""
    found = np.zeros(n, dtype=np.uint64)
    for column in key:
        bits = np.ascontiguousarray(column + 0.0, dtype=np.float64).view(np.uint64)
        found ^= bits
        found *= np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    row_of, unique = pd.factorize(found)
    first = np.empty(len(unique), dtype=np.int64)
    first[row_of[::-1]] = np.arange(n)[::-1]
    if 2 * len(first) <= n and not all((column[first][row_of] == column).all() for column in key):
        return np.arange(n), np.arange(n)  # two kinds of rows have one number
    return row_of, first
