"""The equations of a design before anything is summed: where each product will stand."""

from __future__ import annotations

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.structure import Elimination

__all__ = ["empty_equations", "first_positions"]


def first_positions(equations: Equations) -> np.ndarray:
    """Return the first node of each factor of the chain, the first block of each other."""
    n_chain = equations.n_chain
    blocks = np.cumsum(equations.n_levels[n_chain:]) - equations.n_levels[n_chain:]
    return np.concatenate([equations.node_start[:n_chain], blocks]).astype(np.int64)


def empty_equations(predictor: LinearPredictor, plan: Elimination) -> Equations:
    """Lay out the equations of a design, with zeros for all products.

    Parameters
    ----------
    predictor : LinearPredictor
    plan : Elimination

    Returns
    -------
    Equations
    """
    groups = [predictor.groups[k] for k in (*plan.chain, *plan.rest)]
    n_chain, n_rest = len(plan.chain), len(plan.rest)
    p = len(predictor.fixed_effects)
    q = np.asarray([g.n_effects for g in groups], dtype=np.int64)
    n_levels = np.asarray([g.n_levels for g in groups], dtype=np.int64)
    L_start = np.concatenate([[0], np.cumsum(q**2)]).astype(np.int64)
    node_start = np.concatenate([[0], np.cumsum(n_levels[:n_chain])]).astype(np.int64)
    n_nodes = int(node_start[-1])

    parent = np.full(n_nodes, -1, dtype=np.int64)
    for f, of_level in enumerate(plan.parents):
        parent[node_start[f] : node_start[f + 1]] = node_start[f + 1] + of_level

    # Root blocks: a level of a factor of the rest each.
    block_factor = np.repeat(np.arange(n_rest, dtype=np.int64), n_levels[n_chain:])
    sizes_of_blocks = q[n_chain:][block_factor] if n_rest else np.zeros(0, dtype=np.int64)
    block_column = np.concatenate([[0], np.cumsum(sizes_of_blocks)])[:-1].astype(np.int64)
    block_start = np.concatenate([[0], np.cumsum(n_levels[n_chain:])]).astype(np.int64)
    n_root_groups = int(sizes_of_blocks.sum())

    list_start, list_block, list_parent = _node_lists(groups, plan, node_start, parent, block_start)
    ancestors = np.asarray([int(q[f + 1 : n_chain].sum()) for f in range(n_chain)], dtype=np.int64)
    factor_of_node = np.repeat(np.arange(n_chain), n_levels[:n_chain])
    entry_sizes = sizes_of_blocks[list_block] if n_rest else np.zeros(0, dtype=np.int64)
    running = np.concatenate([[0], np.cumsum(entry_sizes)]).astype(np.int64)
    in_lists = running[list_start[1:]] - running[list_start[:-1]]
    node_of_entry = np.repeat(np.arange(n_nodes), np.diff(list_start))
    list_column = (
        running[:-1] - running[list_start[node_of_entry]] + ancestors[factor_of_node[node_of_entry]]
    )
    width = ancestors[factor_of_node] + in_lists + p + 1
    K_start = np.concatenate([[0], np.cumsum(q[factor_of_node] ** 2)]).astype(np.int64)
    panel_start = np.concatenate([[0], np.cumsum(q[factor_of_node] * width)]).astype(np.int64)

    n_root = n_root_groups + p
    made = Equations(
        sizes=np.asarray(
            [n_chain, n_rest, n_nodes, n_root_groups, p, predictor.n_obs], dtype=np.int64
        ),
        q=q,
        n_levels=n_levels,
        L_start=L_start,
        node_start=node_start,
        parent=parent,
        K_start=K_start,
        panel_start=panel_start,
        width=width.astype(np.int64),
        list_start=list_start,
        list_block=list_block,
        list_column=list_column.astype(np.int64),
        list_parent=list_parent,
        block_factor=block_factor,
        block_column=block_column,
        related=np.zeros(n_rest, dtype=np.int64),
        pattern=np.zeros(0, dtype=np.int64),
        pattern_count=np.zeros(0, dtype=np.int64),
        K=np.zeros(int(K_start[-1])),
        panel=np.zeros(int(panel_start[-1])),
        root=np.zeros((n_root, n_root)),
        root_y=np.zeros(n_root),
        yy=np.zeros(1),
        **{f"pattern_{name}": np.zeros(0) for name in ("block", "panel", "y", "yy")},
    )
    made.precisions = tuple(
        None if g.between is None else g.between.precision_buffer for g in groups[n_chain:]
    )
    return made


def _node_lists(
    groups: list, plan: Elimination, node_start: np.ndarray, parent: np.ndarray,
    block_start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """For each node the root blocks it is observed with, or its descendants are."""
    n_chain, n_nodes = len(plan.chain), int(node_start[-1])
    empty = np.zeros(0, dtype=np.int64)
    if not plan.rest or not plan.chain:
        return np.zeros(n_nodes + 1, dtype=np.int64), empty, empty
    n_blocks = int(block_start[-1])
    finest = groups[0].index.astype(np.int64)
    keys = [
        np.unique(finest * n_blocks + block_start[j] + groups[n_chain + j].index)
        for j in range(len(plan.rest))
    ]
    # Node and block in one number, sorted: ancestors take the union of their children.
    pairs = np.unique(np.concatenate(keys))
    levels = [pairs]
    for f in range(n_chain - 1):
        node = levels[f] // n_blocks
        levels.append(np.unique(parent[node] * n_blocks + levels[f] % n_blocks))
    everything = np.concatenate(levels)
    node, block = everything // n_blocks, everything % n_blocks
    list_start = np.searchsorted(node, np.arange(n_nodes + 1)).astype(np.int64)
    list_parent = np.full(len(everything), -1, dtype=np.int64)
    has_parent = parent[node] >= 0
    wanted = parent[node[has_parent]] * n_blocks + block[has_parent]
    list_parent[has_parent] = np.searchsorted(everything, wanted)
    return list_start, block.astype(np.int64), list_parent
