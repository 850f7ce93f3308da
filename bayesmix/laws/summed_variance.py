"""The precision of all effects from the cross-products, where no rows are kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.rowvariance import RowVariance, check_dense, eliminated

__all__ = ["row_variance_of_sums"]


def row_variance_of_sums(
    problem: Problem, roots: Mapping[str, np.ndarray], precision: float, prior: np.ndarray
) -> RowVariance:
    """Factor the precision matrix of all effects: `row_variance` without rows.

    Parameters
    ----------
    problem : Problem
    roots : mapping of str to ndarray, shape (q, q)
        By grouping factor, a root of the covariance of its effects.
    precision : float
        Inverse residual variance of a row of weight 1.
    prior : ndarray, shape (p, p)
        Prior precision of the fixed effects.

    Returns
    -------
    RowVariance

    Raises
    ------
    NotSupportedError
        If more than `MAX_DENSE` columns are left when the largest factor is eliminated.
    """
    groups, scaling = problem.groups, problem.scaling
    order = (*problem.plan.chain, *problem.plan.rest)
    blocks = [
        sparse.kron(sparse.eye_array(g.n_levels), scaling.TZ[k] @ roots[g.name])
        for k, g in zip(order, groups, strict=True)
    ]
    T = sparse.block_diag([*blocks, scaling.TX], format="csr")
    N = (precision * (T.T @ _normal_matrix(problem) @ T)).tocsr()
    sizes = [g.n_levels * g.n_effects for g in groups]
    starts, p = np.cumsum([0, *sizes]), problem.n_fixed
    biggest = int(np.argmax(sizes)) if groups else -1
    others = [k for k in range(len(groups)) if k != biggest]
    # As `row_variance` orders them: the larger first.
    others.sort(key=lambda k: -sizes[k])
    m = sum(sizes[k] for k in others) + p
    check_dense(m)
    left = np.concatenate(
        [*(np.arange(starts[k], starts[k + 1]) for k in others), starts[-1] + np.arange(p)]
    ).astype(np.int64)
    M = N[left][:, left].toarray()
    M[range(m - p), range(m - p)] += 1.0
    M[m - p :, m - p :] += prior
    kept = tuple(groups[k] for k in others)
    if biggest < 0:
        return eliminated(None, kept, roots, np.zeros((0, 0, 0)), sparse.csr_matrix((0, m)), M)
    first = groups[biggest]
    own, q = slice(int(starts[biggest]), int(starts[biggest + 1])), first.n_effects
    within = N[own, own].tocoo()
    K = np.tile(np.eye(q), (first.n_levels, 1, 1))
    np.add.at(K, (within.row // q, within.row % q, within.col % q), within.data)
    return eliminated(first, kept, roots, K, N[own][:, left].tocsr(), M)


def _normal_matrix(problem: Problem) -> sparse.csr_matrix:
    """A'WA of the working columns of all effects, factor behind factor, then X."""
    eq = problem.equations
    n_chain, n_rest, _, r, p = (int(size) for size in eq.sizes[:5])
    q, levels = eq.q, eq.n_levels
    starts = np.concatenate([[0], np.cumsum(q * levels)]).astype(np.int64)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        found.append((rows, columns, values))

    first_block = np.cumsum(levels[n_chain:]) - levels[n_chain:]
    for f in range(n_chain):
        nodes = np.arange(eq.node_start[f], eq.node_start[f + 1])
        for i in range(q[f]):
            row = starts[f] + np.arange(levels[f]) * q[f] + i
            at = eq.panel_start[nodes] + i * eq.width[nodes]
            for j in range(q[f]):
                values = eq.K[eq.K_start[nodes] + i * q[f] + j]
                add(row, row - i + j, values / 2)  # the whole is added to its transpose
            column, above = 0, nodes
            for a in range(f + 1, n_chain):
                above = eq.parent[above]
                base = starts[a] + (above - eq.node_start[a]) * q[a]
                for c in range(q[a]):
                    add(row, base + c, eq.panel[at + column])
                    column += 1
            for c in range(p):
                add(
                    row,
                    np.full(len(row), starts[-1] + c),
                    eq.panel[at + eq.width[nodes] - p - 1 + c],
                )
            lengths = np.zeros(0, dtype=np.int64)
            if n_rest:
                lengths = eq.list_start[nodes + 1] - eq.list_start[nodes]
            if lengths.sum():
                here = slice(int(eq.list_start[nodes[0]]), int(eq.list_start[nodes[-1] + 1]))
                block, of_node = eq.list_block[here], np.repeat(np.arange(len(nodes)), lengths)
                for g in range(n_rest):
                    mine = np.flatnonzero(eq.block_factor[block] == g)
                    k = n_chain + g
                    base = starts[k] + (block[mine] - first_block[g]) * q[k]
                    places = at[of_node[mine]] + eq.list_column[here][mine]
                    for c in range(q[k]):
                        add(row[of_node[mine]], base + c, eq.panel[places + c])
    # The root holds the rest's columns and X as they stand at the end.
    n, start = r + p, int(starts[n_chain])
    below = sparse.coo_matrix(sparse.tril(np.asarray(eq.root).reshape(n, n)))
    root = np.where(below.row == below.col, 0.5, 1.0) * below.data  # the other half is added
    add(below.row + start, below.col + start, root)
    rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    size = int(starts[-1]) + p
    half = sparse.coo_matrix((values, (rows, columns)), shape=(size, size)).tocsr()
    return half + half.T
