"""Whether the covariance that one model's effects give the rows is a special case of another's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bayesmix.design import Block, GroupingFactor

__all__ = ["Nested", "covariance_is_nested", "has_rules", "same_levels"]

Nested = Literal["yes", "no", "unknown"]

_SPAN = 1e-7  # relative error up to which a covariance is expressed
_BELOW_ZERO = 1e-6  # relative size of an eigenvalue that is zero
_MORE_PROBES = 12
_DIRECTIONS = 40
_MOST_EFFECTS = 30
# Rules over the same effects of which another one is a special case.
_MORE = {
    "homdiag": {"homcs", "cs", "ar1", "hetar1", "homtoep", "toep"},
    "homcs": {"cs"},
    "ar1": {"hetar1"},
    "homtoep": {"toep"},
}


@dataclass(frozen=True, slots=True)
class _Term:
    """Effects whose covariance matrix is free: any positive semi-definite one.

    Attributes
    ----------
    group : GroupingFactor
    columns : ndarray, shape (n, q)
        Orthonormal, which a free covariance matrix does not notice and the algebra does.
    """

    group: GroupingFactor
    columns: np.ndarray

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Entries of its covariance matrix."""
        q = self.columns.shape[1]
        return [(a, b) for a in range(q) for b in range(a, q)]


def covariance_is_nested(
    small: Sequence[GroupingFactor],
    large: Sequence[GroupingFactor],
    residual: np.ndarray | None,
) -> Nested:
    """Tell whether each covariance of the rows under some effects is one under others.

    The covariance of the rows is V = sum_k Z_k (I kron Sigma_k) Z_k' + s R. The
    matrices of a model are a convex cone, whose rays under effects with a free
    Sigma_k are those with Sigma_k = v v'. One model is nested in another if
    each of its rays is in the cone of the other, whatever the terms are called:
    ``(1 | g/f)`` is in ``(0 + f | g)``, and ``(x || g)`` in ``(x | g)``.

    V is linear in the entries of Sigma_k and in s, so a ray is expressed by least
    squares. The n x n matrices are compared through w' V z at random w and z,
    more of them than the two models have entries: two matrices of a family of
    that dimension that agree there are equal with probability one. The entries
    that are found must make positive semi-definite matrices.

    Parameters
    ----------
    small, large : sequence of GroupingFactor
        Over the same n rows.
    residual : ndarray, shape (n,), or None
        Diagonal of R; None where there is no free residual variance.

    Returns
    -------
    {"yes", "no", "unknown"}
        Unknown where the other model expresses a covariance in several ways, and the
        one that was found is none that its effects can have.
    """
    if has_rules(small, large):
        if not has_rules(large) and _is_small(small):
            # A covariance by a rule is one of those without it.
            return (
                "yes"
                if covariance_is_nested(_freed(small), large, residual) == "yes"
                else "unknown"
            )
        if not _has_structures_of(large, small):
            return "unknown"
        # What the smaller one has by a rule the larger one has as well: the rest is compared.
        rest = covariance_is_nested(_free(small), _free(large), residual)
        return "yes" if rest == "yes" else "unknown"
    ones, others = list(_terms(small)), list(_terms(large))
    if not ones:
        return "yes"
    n = len(ones[0].columns)
    n_entries = sum(len(term.pairs) for term in ones + others) + 1
    rng = np.random.default_rng(20)
    given: list[list[float]] = []
    wanted: list[list[float]] = []
    for _ in range(n_entries + _MORE_PROBES):
        w, z = rng.normal(size=(2, n))
        wanted.append([value for term in ones for value in _at(term, w, z)])
        row = [value for term in others for value in _at(term, w, z)]
        given.append(row if residual is None else [*row, float(w @ (residual * z))])
    A, B = np.asarray(given), np.asarray(wanted)
    size_of_column = np.linalg.norm(A, axis=0)
    size_of_column[size_of_column == 0] = 1.0
    found, _, rank, _ = np.linalg.lstsq(A / size_of_column, B, rcond=1e-10)
    left = np.linalg.norm(B - (A / size_of_column) @ found, axis=0)
    if (left > _SPAN * np.linalg.norm(B, axis=0)).any():
        return "no"
    found /= size_of_column[:, None]
    if _are_covariances(ones, others, found, residual is not None, rng):
        return "yes"
    return "no" if rank == A.shape[1] else "unknown"


def has_rules(*models: Sequence[GroupingFactor]) -> bool:
    """Whether effects of one of the models have a covariance by a rule."""
    return any(_by_rule(b) for groups in models for group in groups for b in group.blocks)


def _is_small(groups: Sequence[GroupingFactor]) -> bool:
    return all(block.size <= _MOST_EFFECTS for group in groups for block in group.blocks)


def _freed(groups: Sequence[GroupingFactor]) -> list[GroupingFactor]:
    """The factors with free covariances in the place of those by a rule, which are among them."""
    return [
        replace(group, blocks=tuple(_without_rule(block) for block in group.blocks))
        for group in groups
    ]


def _without_rule(block: Block) -> Block:
    if not _by_rule(block):
        return block
    return replace(block, structure="diag" if block.structure == "homdiag" else "us", options={})


def _by_rule(block: Block) -> bool:
    """Whether its covariance has fewer parameters than entries."""
    return block.structure not in {"us", "diag"}


def _free(groups: Sequence[GroupingFactor]) -> list[GroupingFactor]:
    """The factors with those effects alone whose covariance is free."""
    kept = [replace(g, blocks=tuple(b for b in g.blocks if not _by_rule(b))) for g in groups]
    return [g for g in kept if g.blocks]


def _has_structures_of(large: Sequence[GroupingFactor], small: Sequence[GroupingFactor]) -> bool:
    """Whether the larger model has all effects with a covariance by a rule of the smaller one."""
    return all(
        any(
            same_levels(group, other) and _same(group, block, other, its)
            for other in large
            for its in other.blocks
        )
        for group in small
        for block in group.blocks
        if _by_rule(block)
    )


def _same(one: GroupingFactor, block: Block, other: GroupingFactor, its: Block) -> bool:
    Z, of_other = one.Z[:, block.start : block.stop], other.Z[:, its.start : its.stop]
    alike = block.structure == its.structure and dict(block.options) == dict(its.options)
    if block.structure == its.structure == "rr":
        alike = block.options["d"] <= its.options["d"]
    alike = alike or its.structure in _MORE.get(block.structure, ())
    known = block.positions is not None and its.positions is not None
    if block.structure != its.structure and known:
        alike = alike and np.array_equal(np.asarray(block.positions), np.asarray(its.positions))
    return alike and np.array_equal(Z, of_other)


def same_levels(one: GroupingFactor, other: GroupingFactor) -> bool:
    """Whether two factors divide the rows in the same way, as a:b and b:a do."""
    if (one.between is None) != (other.between is None) or (
        one.between is not None and not one.between.same_as(other.between)
    ):
        return False
    if one.name == other.name:
        return True
    pairs = one.index.astype(np.int64) * other.n_levels + other.index
    return one.n_levels == other.n_levels == np.unique(pairs).size


def _terms(groups: Sequence[GroupingFactor]) -> Iterator[_Term]:
    for group in groups:
        for block in group.blocks:
            ends = [(block.start, block.stop)]
            if not block.unstructured:
                ends = [(k, k + 1) for k in range(block.start, block.stop)]
            for start, stop in ends:
                yield _Term(group, np.linalg.qr(group.Z[:, start:stop])[0])


def _at(term: _Term, w: np.ndarray, z: np.ndarray) -> list[float]:
    """Take w' V z for each entry of the term's covariance matrix, the others being zero."""
    group, Q = term.group, term.columns
    one, other = (
        np.stack([np.bincount(group.index, column * p, group.n_levels) for column in Q.T])
        for p in (w, z)
    )
    M = one @ other.T if group.between is None else one @ group.between.covariance @ other.T
    return [float(M[a, b] if a == b else M[a, b] + M[b, a]) for a, b in term.pairs]


def _are_covariances(
    ones: Sequence[_Term],
    others: Sequence[_Term],
    found: np.ndarray,
    with_residual: bool,
    rng: np.random.Generator,
) -> bool:
    """Whether each ray of the first terms is made of positive semi-definite matrices."""
    at = 0
    for term in ones:
        pairs = term.pairs
        of_term = found[:, at : at + len(pairs)]
        at += len(pairs)
        q = term.columns.shape[1]
        directions = (
            np.eye(q) if q == 1 else np.vstack([np.eye(q), rng.normal(size=(_DIRECTIONS, q))])
        )
        for v in directions:
            entries = of_term @ np.asarray([v[a] * v[b] for a, b in pairs])
            size = float(np.abs(entries).max())
            if with_residual and entries[-1] < -_BELOW_ZERO * size:
                return False
            start = 0
            for other in others:
                own = other.pairs
                S = np.zeros((other.columns.shape[1],) * 2)
                for (a, b), value in zip(own, entries[start : start + len(own)], strict=True):
                    S[a, b] = S[b, a] = value
                start += len(own)
                if np.linalg.eigvalsh(S)[0] < -_BELOW_ZERO * size:
                    return False
    return True
