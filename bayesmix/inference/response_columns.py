"""Columns whose products with a response are all that the equations know of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.empty_equations import first_positions
from bayesmix.gaussian.problem import Problem

__all__ = ["response_columns"]


def response_columns(mu: LinearPredictor, problem: Problem) -> tuple[sparse.csr_array, np.ndarray]:
    """Working columns of effects and fixed effects, and where their products with y stand.

    Parameters
    ----------
    mu : LinearPredictor
    problem : Problem
        Its own.

    Returns
    -------
    sparse matrix, shape (n, number of effects and fixed effects)
        Effects in the order of the equations, level by level, then fixed effects.
    ndarray of int64
        Where in the floats of the equations the product of each column and the response is.
    """
    eq, scaling = problem.equations, problem.scaling
    order: Sequence[int] = (*problem.plan.chain, *problem.plan.rest)
    n, n_chain = mu.n_obs, eq.n_chain
    panel, root_y = (
        (a.ctypes.data - eq.floats.ctypes.data) // eq.floats.itemsize for a in (eq.panel, eq.root_y)
    )
    first = first_positions(eq)
    parts, positions = [], []
    rows = np.arange(n)
    for f, k in enumerate(order):
        group = mu.groups[k]
        q = group.n_effects
        Z = (group.Z - scaling.Z_shift[k]) / scaling.Z_scale[k]
        at = (group.index[:, None].astype(np.int64) * q + np.arange(q)).ravel()
        parts.append(
            sparse.csr_array((Z.ravel(), (np.repeat(rows, q), at)), shape=(n, group.n_levels * q))
        )
        place = first[f] + np.arange(group.n_levels)
        if f < n_chain:
            start, width = eq.panel_start[place], eq.width[place]
            where = start[:, None] + np.arange(q) * width[:, None] + width[:, None] - 1 + panel
        else:
            where = eq.block_column[place][:, None] + np.arange(q) + root_y
        positions.append(where.ravel())
    X = (mu.X - scaling.X_shift) / scaling.X_scale
    parts.append(sparse.csr_array(X))
    positions.append(root_y + len(eq.root_y) - X.shape[1] + np.arange(X.shape[1]))
    where = np.concatenate(positions).astype(np.int64)
    return sparse.csr_array(sparse.hstack(parts)), where
