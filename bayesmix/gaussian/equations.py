"""The mixed-model equations of a data set, as arrays that kernels read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.gaussian.linking import inlined, inner, shifted
from bayesmix.gaussian.packing import HEADER, Packed

if TYPE_CHECKING:
    from bayesmix.gaussian.residual_classes import ResidualClasses

__all__ = ["Arrays", "Equations", "equations_at", "node_starts", "widest"]


class Equations(Packed):
    """The mixed-model equations of a data set.

    Cross-products are of columns already shifted and scaled, and weighted.

    Attributes
    ----------
    sizes : ndarray of int64
        n_chain, n_rest, n_nodes, n_root_group_columns, p, n_obs.
    q : ndarray of int64, shape (n_factors,)
        Effects per level: the chain's factors first, then the others.
    n_levels : ndarray of int64, shape (n_factors,)
    L_start : ndarray of int64, shape (n_factors + 1,)
        Where each factor's q x q matrix starts in the flat array of all.
    node_start : ndarray of int64, shape (n_chain + 1,)
        First node of each factor of the chain.
    parent : ndarray of int64, shape (n_nodes,)
        Node of the next coarser factor; -1 in the last.
    K_start, panel_start : ndarray of int64, shape (n_nodes + 1,)
        Where a node's q x q block and its q x m panel start.
    width : ndarray of int64, shape (n_nodes,)
        Columns m of a panel: ancestors, root blocks, fixed effects, response.
    list_start : ndarray of int64, shape (n_nodes + 1,)
        A node's range in the lists of root blocks.
    list_block, list_column, list_parent : ndarray of int64
        The root block of an entry, its first column in the node's panel, and the
        entry of the same block in the parent's list.
    block_factor, block_column : ndarray of int64, shape (n_blocks,)
        Factor of a root block (among the rest) and its first root column.
    related : ndarray of int64, shape (n_rest,)
        Where in memory the precision between the levels of a factor is; 0 where they are
        independent.
    pattern : ndarray of int64, shape (n_levels,) or (0,)
        Pattern of each level of the one factor, where levels share factors (`patterns.py`).
    pattern_count : ndarray of int64, shape (n_patterns,)
        Levels of each pattern.
    K : ndarray
        Z'WZ of each node.
    panel : ndarray
        Z'W [ancestors, root blocks, X, y] of each node.
    root : ndarray, shape (n_root, n_root)
        Z'WZ, Z'WX and X'WX of the root; symmetric.
    root_y : ndarray, shape (n_root,)
    yy : ndarray, shape (1,)
        y'Wy.
    pattern_block, pattern_panel, pattern_y, pattern_yy : ndarray
        By pattern, q x q, q x p, q and q x q: Z'WZ and Z'WX of a level, and sums over the
        levels of Z'Wy and of its outer products.
    classes : ResidualClasses or None
        The products by class of pairs of rows, where they add up to those of the model
        by coefficients that have parameters.
    precisions : tuple of ndarray or None
        What `related` points to, by factor of the rest: log|A|, then A^-1 of its levels.
    """

    _INTS = (
        "sizes", "q", "n_levels", "L_start", "node_start", "parent", "K_start", "panel_start",
        "width", "list_start", "list_block", "list_column", "list_parent", "block_factor",
        "block_column", "related", "pattern", "pattern_count",
    )  # fmt: skip
    _FLOATS = (
        "K", "panel", "root", "root_y", "yy", "pattern_block", "pattern_panel", "pattern_y",
        "pattern_yy",
    )  # fmt: skip
    _BESIDE = ("classes", "precisions")

    classes: ResidualClasses | None = None
    _precisions: tuple[np.ndarray | None, ...] = ()

    sizes: np.ndarray
    q: np.ndarray
    n_levels: np.ndarray
    L_start: np.ndarray
    node_start: np.ndarray
    parent: np.ndarray
    K_start: np.ndarray
    panel_start: np.ndarray
    width: np.ndarray
    list_start: np.ndarray
    list_block: np.ndarray
    list_column: np.ndarray
    list_parent: np.ndarray
    block_factor: np.ndarray
    block_column: np.ndarray
    related: np.ndarray
    pattern: np.ndarray
    pattern_count: np.ndarray
    K: np.ndarray
    panel: np.ndarray
    root: np.ndarray
    root_y: np.ndarray
    yy: np.ndarray
    pattern_block: np.ndarray
    pattern_panel: np.ndarray
    pattern_y: np.ndarray
    pattern_yy: np.ndarray

    @property
    def precisions(self) -> tuple[np.ndarray | None, ...]:
        """What `related` points to."""
        return self._precisions

    @precisions.setter
    def precisions(self, value: tuple[np.ndarray | None, ...]) -> None:
        self._precisions = value
        for k, precision in enumerate(value):
            self.related[k] = 0 if precision is None else precision.ctypes.data

    @property
    def n_chain(self) -> int:
        """Number of factors of the chain."""
        return int(self.sizes[0])

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects p."""
        return int(self.sizes[4])

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return int(self.sizes[5])

    @n_obs.setter
    def n_obs(self, value: int) -> None:
        self.sizes[5] = value


class Arrays(NamedTuple):
    """The same arrays within a kernel, as pointers, and how many there are of what."""

    sizes: Any
    q: Any
    n_levels: Any
    L_start: Any
    node_start: Any
    parent: Any
    K_start: Any
    panel_start: Any
    width: Any
    list_start: Any
    list_block: Any
    list_column: Any
    list_parent: Any
    block_factor: Any
    block_column: Any
    related: Any
    pattern: Any
    pattern_count: Any
    K: Any
    panel: Any
    root: Any
    root_y: Any
    yy: Any
    pattern_block: Any
    pattern_panel: Any
    pattern_y: Any
    pattern_yy: Any
    n_patterns: Any
    n_factors: Any
    n_blocks: Any
    n_root: Any
    K_size: Any
    panel_size: Any


_I = HEADER  # where the offsets of the integer arrays start
_F = HEADER + len(Equations._INTS) + 1


@inlined
def equations_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `Equations`, from the addresses of its buffers."""
    sizes = shifted(a, a[_I])
    return Arrays(
        sizes, shifted(a, a[_I + 1]), shifted(a, a[_I + 2]), shifted(a, a[_I + 3]),
        shifted(a, a[_I + 4]), shifted(a, a[_I + 5]), shifted(a, a[_I + 6]),
        shifted(a, a[_I + 7]), shifted(a, a[_I + 8]), shifted(a, a[_I + 9]),
        shifted(a, a[_I + 10]), shifted(a, a[_I + 11]), shifted(a, a[_I + 12]),
        shifted(a, a[_I + 13]), shifted(a, a[_I + 14]), shifted(a, a[_I + 15]),
        shifted(a, a[_I + 16]), shifted(a, a[_I + 17]),
        shifted(b, a[_F]), shifted(b, a[_F + 1]), shifted(b, a[_F + 2]), shifted(b, a[_F + 3]),
        shifted(b, a[_F + 4]), shifted(b, a[_F + 5]), shifted(b, a[_F + 6]),
        shifted(b, a[_F + 7]), shifted(b, a[_F + 8]), a[_I + 18] - a[_I + 17],
        sizes[0] + sizes[1], a[_I + 14] - a[_I + 13], sizes[3] + sizes[4], a[_F + 1] - a[_F],
        a[_F + 2] - a[_F + 1],
    )  # fmt: skip


@inlined
def widest(eq: Arrays) -> tuple[int, int]:
    """Columns of the widest panel, and the most root blocks of a node (at least 1)."""
    m_max, entries_max = 1, 1
    for node in range(eq.sizes[2]):
        m_max = max(m_max, eq.width[node])
        entries_max = max(entries_max, eq.list_start[node + 1] - eq.list_start[node])
    return m_max, entries_max


@inner
def node_starts(eq: Arrays) -> np.ndarray:
    """Return where each factor of the chain starts in a vector of effects, and their number."""
    start = np.zeros(eq.sizes[0] + 1, dtype=np.int64)
    for f in range(eq.sizes[0]):
        start[f + 1] = start[f] + eq.q[f] * eq.n_levels[f]
    return start
