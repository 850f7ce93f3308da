"""Effects whose variance no data of this design can tell from another's."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesmix.design.by_level import repeated
from bayesmix.design.directions import directions
from bayesmix.design.groups import Block, GroupingFactor
from bayesmix.design.rank import aliased_columns, combinations_of_others
from bayesmix.errors import OWN_FILES, DataWarning, FormulaError
from bayesmix.formula import Formula

__all__ = ["check_identified"]

_LARGEST = 24  # effects up to which blocks are compared with each other, not each by itself
_MOST_NUMBERS = 20_000_000  # of derivatives that are compared


def check_identified(groups: Sequence[GroupingFactor], X: np.ndarray, formula: Formula) -> None:
    """Refuse effects that cannot be told apart.

    Columns of Z that depend on each other are no matter where their variances
    are: an intercept and uncorrelated effects of all levels of a factor add up to
    a covariance of their own. So it is asked whether two matrices Sigma give
    the same Z Sigma Z'.

    Parameters
    ----------
    groups : sequence of GroupingFactor
    X : ndarray, shape (n, p)
        The fixed effects' columns, of full rank where p < n.
    formula : Formula

    Raises
    ------
    FormulaError
        If an effect's column is zero, or the effect cannot be told from others of
        its grouping factor, or of one with the same levels.

    Warns
    -----
    DataWarning
        If the fixed effects hold an effect for each level already.
    """
    groups = [group for group in groups if not (group.is_smooth or group.is_membership)]
    for group in groups:
        if group.smooth is not None:
            continue
        # Columns that are fixed effects too are known not to depend on each other.
        if None in group.fixed_column or X.shape[1] >= len(X):
            _check_group(group, formula)
    # Effects of a smooth share one sd, whatever their columns.
    for one, other in itertools.combinations(groups, 2):
        _check_pair(one, other, formula)
    if X.shape[1] < len(X):
        for group in groups:
            if group.n_levels <= X.shape[1]:
                _warn_of_fixed_levels(group, X)


def _check_group(group: GroupingFactor, formula: Formula) -> None:
    if group.effects == ("Intercept",) or group.n_effects >= len(group.Z):
        return
    aliased = aliased_columns(group.Z)
    if not aliased.size:
        return
    with_position = {
        j for b in group.blocks if b.positions is not None for j in range(b.start, b.stop)
    }
    zero = [j for j in aliased if j not in with_position and not group.Z[:, j].any()]
    if zero:
        raise _error(
            f"the effect `{group.effects[zero[0]]}` by `{group.name}` is zero in every row, so it "
            "has no variance to estimate; leave it out (of an interaction with empty cells, "
            "make one column of the combinations that occur)",
            group, zero[0], formula,
        )  # fmt: skip
    C = combinations_of_others(group.Z, aliased)
    j = _unidentified(C, aliased.tolist(), group.blocks)
    if j is not None:
        named = _names(group)
        used = dict.fromkeys(named[k] for k in np.flatnonzero(C[:, j]) if named[k] != named[j])
        placed = named[j] != f"the effect `{group.effects[j]}`"
        others = ", ".join(used) or "the others"
        why = (
            "covariances that it makes are made by them as well"
            if placed
            else "its column is the same, or a linear combination of theirs"
        )
        raise _error(
            f"{named[j]} by `{group.name}` cannot be told from "
            f"{others.replace('the effect ', '')}: {why}, so the data cannot share the variance "
            "out; leave one of them out",
            group, j, formula,
        )  # fmt: skip


def _names(group: GroupingFactor) -> list[str]:
    """What each effect is called in messages: those of positions by what makes them."""
    found = []
    for block in group.blocks:
        names = group.effects[block.start : block.stop]
        if block.positions is None:
            found += [f"the effect `{name}`" for name in names]
        else:
            found += [f"`{names[0].partition(')[')[0]})`"] * block.size
    return found


def _check_pair(one: GroupingFactor, other: GroupingFactor, formula: Formula) -> None:
    """Two grouping factors that divide the rows alike are one with two sets of terms."""
    if one.between is not other.between:  # relatives tell them apart
        return
    if one.n_levels != other.n_levels or one.n_effects + other.n_effects > len(one.Z):
        return
    partner = np.zeros(one.n_levels, dtype=np.int32)
    partner[one.index] = other.index
    if not np.array_equal(partner[one.index], other.index):
        return
    q = one.n_effects
    Z = np.concatenate([one.Z, other.Z], axis=1)
    aliased = aliased_columns(Z)
    if not aliased.size:
        return
    blocks = [
        *one.blocks,
        *(replace(block, start=q + block.start, stop=q + block.stop) for block in other.blocks),
    ]
    j = _unidentified(combinations_of_others(Z, aliased), aliased.tolist(), blocks)
    if j is not None and j >= q:
        raise _error(
            f"`{one.name}` and `{other.name}` put the same rows together, so the effect "
            f"`{other.effects[j - q]}` by the one cannot be told from that by the other; "
            "leave one of the two out",
            other, j - q, formula,
        )  # fmt: skip


def _unidentified(C: np.ndarray, aliased: list[int], blocks: Sequence[Block]) -> int | None:
    """Position of the first effect with which two Sigma give the same C Sigma C'.

    Parameters
    ----------
    C : ndarray, shape (q, q)
        The columns of Z as combinations of those that are not aliased.
    aliased : list of int
        In order.
    blocks : sequence of Block
    """
    block_of = {j: k for k, block in enumerate(blocks) for j in range(block.start, block.stop)}
    if not all(block.structure in {"us", "diag"} for block in blocks):
        return _unidentified_structure(C, aliased, blocks)
    for j in aliased:
        if C.shape[1] > _LARGEST:
            block = blocks[block_of[j]]
            used = np.flatnonzero(C[:, j])
            if block.unstructured and all(block.start <= k < block.stop for k in used):
                return j
            continue
        free = [
            (a, b)
            for a in range(j + 1)
            for b in range(a + 1)
            if a == b or (block_of[a] == block_of[b] and blocks[block_of[a]].unstructured)
        ]
        maps = [(np.outer(C[:, a], C[:, b]) + np.outer(C[:, b], C[:, a])).ravel() for a, b in free]
        if not _independent(maps):
            return j
    return None


def _unidentified_structure(
    C: np.ndarray, aliased: list[int], blocks: Sequence[Block]
) -> int | None:
    """The same where Sigma has fewer parameters than entries: by its derivatives somewhere."""
    kept = [k for k in range(len(C)) if k not in aliased]
    maps: list[np.ndarray] = []
    for block in blocks:
        D = directions(block)
        if (len(maps) + len(D)) * len(kept) ** 2 > _MOST_NUMBERS:
            return None
        own = C[kept, block.start : block.stop]
        maps += list((own @ D @ own.T).reshape(len(D), -1))
        if not _independent(maps):
            return next((j for j in aliased if block.start <= j < block.stop), block.stop - 1)
    return None


def _independent(maps: list[np.ndarray]) -> bool:
    sizes = [float(np.linalg.norm(row)) for row in maps]
    units = [row / size for row, size in zip(maps, sizes, strict=True) if size > 0]
    return all(sizes) and np.linalg.matrix_rank(np.asarray(units), tol=1e-6) == len(maps)


def _warn_of_fixed_levels(group: GroupingFactor, X: np.ndarray) -> None:
    """Say that any effect of the levels is a combination of the fixed effects already."""
    levels = np.random.default_rng(1).uniform(1.0, 2.0, group.n_levels)
    step = max(1, len(X) // (50 * (X.shape[1] + 1)))
    for k, effect in enumerate(group.effects):
        # A few rows show at little cost that it is none.
        for rows in dict.fromkeys((slice(None, None, step), slice(None))):
            some = X[rows]
            by_level = levels[group.index[rows]] * group.Z[rows, k]
            both = np.concatenate([some, by_level[:, None]], axis=1)
            held = X.shape[1] in aliased_columns(both)
            if not held:
                break
        if held:
            warnings.warn(
                f"the fixed effects hold the effect `{effect}` of each level of `{group.name}` "
                "already, so its variance cannot be told from them and depends on the "
                "priors; leave one of the two out",
                DataWarning,
                skip_file_prefixes=OWN_FILES,
            )
            return


def _error(reason: str, group: GroupingFactor, effect: int, formula: Formula) -> FormulaError:
    if group.smooth is not None:
        place = group.smooth.term
        return FormulaError(reason, text=formula.text, start=place.start, stop=place.stop)
    block = next(k for k, b in enumerate(group.blocks) if b.start <= effect < b.stop)
    terms = [term for term in formula.groups if term.name == group.name]
    term = repeated(terms, len(group.blocks))[block]
    return FormulaError(reason, text=formula.text, start=term.start, stop=term.stop)
