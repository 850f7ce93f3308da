"""Where the columns of a node's panel lie: in the root, and in the panels of its ancestors."""

from __future__ import annotations

from bayesmix.gaussian.linking import inlined

__all__ = ["columns_in_ancestor", "columns_in_root"]


@inlined
def columns_in_root(eq, node, first, where):  # type: ignore[no-untyped-def]
    """Fill `where` with the root column of each column behind the ancestors', in rising order.

    Parameters
    ----------
    eq : Arrays
    node : int
    first : int
        Number of the ancestors' columns.
    where : pointer to int
    """
    n_chain, r, p = eq.sizes[0], eq.sizes[3], eq.sizes[4]
    x0 = eq.width[node] - 1 - p
    if x0 > first:
        for e in range(eq.list_start[node], eq.list_start[node + 1]):
            block = eq.list_block[e]
            at, to = eq.list_column[e], eq.block_column[block]
            for c in range(eq.q[n_chain + eq.block_factor[block]]):
                where[at + c] = to + c
    for c in range(p):
        where[x0 + c] = r + c


@inlined
def columns_in_ancestor(eq, g, node, ancestor, column, entry, where):  # type: ignore[no-untyped-def]
    """Fill `where` with the column in an ancestor's panel of each column from `column` on.

    Parameters
    ----------
    eq : Arrays
    g : int
        Factor of the ancestor.
    node, ancestor : int
    column : int
        First column behind the ancestor's own.
    entry : pointer to int
        For each of the node's root blocks its position in the list of the ancestor
        before (of the node itself at first); moved on to this one.
    where : pointer to int
    """
    n_chain, p = eq.sizes[0], eq.sizes[4]
    m, m_a = eq.width[node], eq.width[ancestor]
    begin = eq.list_start[node]
    # Higher ancestors stand next to each other in both panels.
    higher = 0
    for h in range(g + 1, n_chain):
        higher += eq.q[h]
    for c in range(higher):
        where[column + c] = c
    for e in range(eq.list_start[node + 1] - begin):
        entry[e] = eq.list_parent[entry[e]]
        at, to = eq.list_column[begin + e], eq.list_column[entry[e]]
        for c in range(eq.q[n_chain + eq.block_factor[eq.list_block[begin + e]]]):
            where[at + c] = to + c
    for c in range(p + 1):
        where[m - 1 - p + c] = m_a - 1 - p + c
