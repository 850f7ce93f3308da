"""Which grouping factors are eliminated block by block, and which form the dense root."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.design import GroupingFactor
from bayesmix.errors import NotSupportedError
from bayesmix.residual import PairClasses

__all__ = ["MAX_ROOT", "Elimination", "heaviest_chain", "plan_elimination", "root_columns"]

MAX_ROOT = 6000  # columns; a dense factor of that size takes 0.3 GB


@dataclass(frozen=True, slots=True, kw_only=True)
class Elimination:
    """The order in which grouping factors are eliminated.

    Attributes
    ----------
    chain : tuple of int
        Positions among the grouping factors: each is nested in the next, the
        finest first.
    rest : tuple of int
        The others, which stay in the root.
    parents : tuple of ndarray of int64
        For each factor of the chain but the last, the level of the next one that
        each of its levels lies in.
    """

    chain: tuple[int, ...]
    rest: tuple[int, ...]
    parents: tuple[np.ndarray, ...]


def _columns(group: GroupingFactor) -> int:
    return group.n_levels * group.n_effects


def _divide(
    groups: Sequence[GroupingFactor], pairs: PairClasses | None = None
) -> tuple[tuple[int, ...], tuple[int, ...], dict[tuple[int, int], np.ndarray]]:
    """The heaviest chain of nested factors, the others, and parents by pair of factors."""
    order = sorted(
        (k for k in range(len(groups)) if _may_be_eliminated(groups[k], pairs)),
        key=lambda k: -groups[k].n_levels,
    )
    parent: dict[tuple[int, int], np.ndarray] = {}
    for i, fine in enumerate(order):
        for coarse in order[i + 1 :]:
            found = _parents(groups[fine], groups[coarse])
            if found is not None:
                parent[fine, coarse] = found

    # The heaviest chain that ends in each factor, from the coarsest on.
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for fine in reversed(order):
        options = [best[c] for c in order if (fine, c) in parent and c in best]
        weight, tail = max(options, default=(0, ()))
        best[fine] = (weight + _columns(groups[fine]), (fine, *tail))
    chain = max(best.values(), default=(0, ()))[1]
    rest = tuple(k for k in range(len(groups)) if k not in chain)
    return chain, rest, parent


def heaviest_chain(groups: Sequence[GroupingFactor]) -> tuple[int, ...]:
    """Positions of the chain of nested factors with the most columns, the finest first."""
    return _divide(groups)[0]


def _may_be_eliminated(group: GroupingFactor, pairs: PairClasses | None) -> bool:
    """Whether a level has nothing to do with others but through coarser factors."""
    return group.between is None and not _splits(group, pairs)


def _splits(group: GroupingFactor, pairs: PairClasses | None) -> bool:
    """Whether rows whose residuals are correlated lie in different levels."""
    return pairs is not None and bool((group.index[pairs.first] != group.index[pairs.second]).any())


def root_columns(groups: Sequence[GroupingFactor], pairs: PairClasses | None = None) -> str:
    """Say that the root would be too large, in words; empty if it is not."""
    chain, rest, _ = _divide(groups, pairs)
    n_root = sum(_columns(groups[k]) for k in rest)
    if n_root <= MAX_ROOT:
        return ""
    names = ", ".join(f"`{groups[k].name}` ({_columns(groups[k])} columns)" for k in rest)
    changing = ", ".join(f"`{groups[k].name}`" for k in rest if _splits(groups[k], pairs))
    if changing:
        return (
            f"{changing} changes within a series of correlated residuals, so that {n_root} columns "
            f"({names}) are left when the other grouping factors are eliminated, and the exact "
            f"algebra holds at most {MAX_ROOT} of them in memory"
        )
    related = ", ".join(f"`{groups[k].name}`" for k in rest if groups[k].between is not None)
    if related:
        return (
            f"the levels of {related} are related, so that {n_root} columns ({names}) are left, "
            f"and the exact algebra holds at most {MAX_ROOT} of them in memory; a covariance of "
            "the levels in the data alone has fewer (A.loc[levels, levels], or "
            "relationship.matrix(levels))"
        )
    return (
        f"the grouping factors crossed with `{groups[chain[0]].name}` have {n_root} columns "
        f"({names}), and the exact algebra holds at most {MAX_ROOT} of them in memory"
    )


def plan_elimination(
    groups: Sequence[GroupingFactor], pairs: PairClasses | None = None
) -> Elimination:
    """Choose the chain with the most columns and leave the rest to the root.

    A factor is nested in another if each of its levels meets one level of the
    other only: eliminating it then fills in nothing. A factor that changes within a
    series of correlated residuals belongs to the root.

    Parameters
    ----------
    groups : sequence of GroupingFactor
    pairs : PairClasses, optional
        The pairs of rows whose residuals are correlated.

    Returns
    -------
    Elimination

    Raises
    ------
    NotSupportedError
        If the root would have more than `MAX_ROOT` columns.
    """
    too_large = root_columns(groups, pairs)
    if too_large:
        raise NotSupportedError(f'{too_large}; engine="pymc" has no such limit')
    chain, rest, parent = _divide(groups, pairs)
    return Elimination(
        chain=chain,
        rest=rest,
        parents=tuple(parent[pair] for pair in itertools.pairwise(chain)),
    )


def _parents(fine: GroupingFactor, coarse: GroupingFactor) -> np.ndarray | None:
    """Level of `coarse` of each level of `fine`; None if they are not nested."""
    parent = np.zeros(fine.n_levels, dtype=np.int64)
    parent[fine.index] = coarse.index
    return parent if np.array_equal(parent[fine.index], coarse.index) else None
