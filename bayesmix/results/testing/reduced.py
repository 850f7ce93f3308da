"""A model with one of its terms left out: the same rows, with fewer columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance.layout import structure_of
from bayesmix.design import Block, Design, GroupingFactor, LinearPredictor
from bayesmix.design.matrices import Columns
from bayesmix.priors.resolve import resolve_priors

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["Reduced", "without_each_effect", "without_term"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A model without some effects of a grouping factor.

    Attributes
    ----------
    group, effect : str
        What was left out.
    model : FittableModel
    n_left : int
        Effects that were correlated with those left out, and stay.
    n_out : int
        Standard deviations that went.
    single : int or None
        The position of the effect that went, where it is one and independent of all others.
    """

    group: str
    effect: str
    model: FittableModel
    n_left: int
    n_out: int
    single: int | None


def without_term(model: FittableModel, term: str) -> FittableModel:
    """Leave out the columns of a fixed term."""
    mu = model.design.mu
    gone = set(mu.terms[term])
    kept = [j for j, name in enumerate(mu.fixed_effects) if name not in gone]
    names = tuple(mu.fixed_effects[j] for j in kept)
    position = {j: k for k, j in enumerate(kept)}
    groups = tuple(
        replace(g, fixed_column=tuple(None if j is None else position.get(j) for j in
                                      g.fixed_column))
        for g in mu.groups
    )  # fmt: skip
    terms = {other: own for other, own in mu.terms.items() if other != term}
    means = None if mu.learned_means is None else mu.learned_means[kept]
    return _with_mu(
        model,
        replace(mu, X=mu.X[:, kept], fixed_effects=names, terms=terms, groups=groups,
                learned_means=means),
    )  # fmt: skip


def without_each_effect(model: FittableModel) -> Iterator[Reduced]:
    """Leave out each effect that may go by itself: a slope, or all that is there.

    In a term of correlated effects each slope goes that no other effect contains, and the
    intercept only where it stands alone; uncorrelated effects go one by one; a term of another
    structure goes as a whole.
    """
    for group in model.design.mu.groups:
        if group.smooth is not None:
            continue
        for number, (block, columns) in enumerate(zip(group.blocks, group.terms, strict=True)):
            structure = structure_of(block)
            everything = list(range(block.start, block.stop))
            whole = not (structure.free_correlations or _independent(block))
            if block.size == 1 or whole or not isinstance(columns, Columns):
                words = group.effects[block.start]
                if block.size > 1:
                    words = ", ".join(structure.sd_labels(group.effects[block.start : block.stop]))
                yield _reduced(model, group, number, everything, words)
                continue
            if _independent(block):
                for k in everything:
                    yield _reduced(model, group, number, [k], group.effects[k])
                continue
            terms = {
                term: [block.start + j for j in at]
                for term, at in columns.columns_of_terms().items()
            }
            slopes = {term: at for term, at in terms.items() if term != "1"}
            if len(slopes) == len(terms) == 1:  # all columns are of one factor
                yield _reduced(model, group, number, everything, next(iter(slopes)))
                continue
            for term, at in slopes.items():
                parts = set(term.split(":"))
                if not any(parts < set(other.split(":")) for other in slopes):
                    yield _reduced(model, group, number, at, term)


def _independent(block: Block) -> bool:
    structure = structure_of(block)
    return not structure.n_coordinates and not structure.tied


def _reduced(
    model: FittableModel, group: GroupingFactor, number: int, gone: list[int], words: str
) -> Reduced:
    block = group.blocks[number]
    structure = structure_of(block)
    kept = [k for k in range(group.n_effects) if k not in gone]
    blocks, at = [], 0
    for k, other in enumerate(group.blocks):
        size = other.size - (len(gone) if k == number else 0)
        if size:
            blocks.append(replace(other, start=at, stop=at + size))
        at += size
    changed = replace(
        group,
        effects=tuple(group.effects[k] for k in kept),
        blocks=tuple(blocks),
        Z=group.Z[:, kept],
        fixed_column=tuple(group.fixed_column[k] for k in kept),
    )
    mu = model.design.mu
    groups = [changed if g is group else g for g in mu.groups]
    groups = [g for g in groups if g.n_effects]
    correlated = structure.free_correlations
    return Reduced(
        group=group.name,
        effect=words,
        model=_with_mu(model, replace(mu, groups=tuple(groups))),
        n_left=block.size - len(gone) if correlated else 0,
        n_out=len(gone) if correlated or len(gone) == 1 else structure.n_sd,
        single=gone[0] if len(gone) == 1 and not (correlated and block.size > 1) else None,
    )


def _with_mu(model: FittableModel, mu: LinearPredictor) -> FittableModel:
    design: Design = replace(model.design, predictors={**model.design.predictors, "mu": mu})
    priors = resolve_priors(design, model.family, np.asarray(model.y), residual=model.residual)
    return model.with_parts(design=design, priors=priors)
