"""The same design with positions and members of other rows, which none of its own rows has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.design import Design
from bayesmix.design.frame import column_names, select_columns
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.likeness import like_fitted
from bayesmix.design.membership import MembershipColumns
from bayesmix.design.positions import PositionColumns
from bayesmix.errors import NotSupportedError

__all__ = ["design_reaching", "places_among"]

_Placed = PositionColumns | MembershipColumns  # whose effects are at what the rows hold


def design_reaching(design: Design, tables: Iterable[Any]) -> Design:
    """Add the positions of further rows, and members of ``mm(...)``, to the effects of a design.

    Parameters
    ----------
    design : Design
    tables : iterable of tables
        Rows that are to be predicted.

    Returns
    -------
    Design
        The same object where all of them are known.

    Raises
    ------
    DataError
        As `design_rows`, for what is in the columns of positions.
    NotSupportedError
        If the effects are joined with those of another predictor.
    """
    known = [group for own in design.predictors.values() for group in own.groups]
    terms = [term for group in known for term in group.terms]
    if not any(isinstance(term, _Placed) for term in terms):
        return design
    formulas = [own.formula for own in design.predictors.values()]
    names = tuple(dict.fromkeys(c for one in formulas for c in one.columns_of("position")))
    members = {c for term in terms if isinstance(term, MembershipColumns) for c in term.columns}
    frames = []
    for table in tables:
        if not {*names, *members} <= set(column_names(table)):
            return design  # where the rows are made, it is said what is missing
        given = select_columns(table, (*names, *sorted(members - set(names))))
        labels, given = given.index, given.reset_index(drop=True)
        at = {name: like_fitted(given[name], design.frame[name], labels) for name in names}
        frames.append(given.assign(**at))
    groups = {
        parameter: tuple(_reaching(group, frames) for group in own.groups)
        for parameter, own in design.predictors.items()
    }
    wider = {
        (parameter, new.name)
        for parameter, own in design.predictors.items()
        for new, old in zip(groups[parameter], own.groups, strict=True)
        if new is not old
    }
    if not wider:
        return design
    for own in design.predictors.values():
        for lent in own.borrowed:
            if (lent.owner, lent.name) in wider:
                raise NotSupportedError(
                    f"effects by `{lent.name}` are joined with those of another predictor, and "
                    "those at positions or of members that the model has not seen are not to be "
                    'had: predict with groups="population"'
                )
    predictors = {
        parameter: replace(own, groups=groups[parameter])
        for parameter, own in design.predictors.items()
    }
    return replace(design, predictors=predictors)


def places_among(old: GroupingFactor, new: GroupingFactor) -> np.ndarray:
    """Where each effect of a factor is among those of the same with further positions."""
    found = {name: k for k, name in enumerate(new.effects)}
    places: list[int] = []
    for block, wider in zip(old.blocks, new.blocks, strict=True):
        if wider.size == block.size:
            places += range(wider.start, wider.stop)
        else:
            places += [found[name] for name in old.effects[block.start : block.stop]]
    return np.asarray(places, dtype=np.int64)


def _reaching(group: GroupingFactor, frames: Iterable[pd.DataFrame]) -> GroupingFactor:
    terms = list(group.terms)
    for k, term in enumerate(terms):
        if isinstance(term, _Placed):
            for frame in frames:
                terms[k] = term = term.with_places_of(frame)  # noqa: PLW2901
    if all(new is old for new, old in zip(terms, group.terms, strict=True)):
        return group
    effects: list[str] = []
    fixed: list[int | None] = []
    blocks = []
    places: list[int] = []
    for block, term in zip(group.blocks, terms, strict=True):
        start, names = len(effects), group.effects[block.start : block.stop]
        where = block.positions
        at = np.arange(block.size)
        if isinstance(term, PositionColumns) and where is not None:
            at = term.index_of(where)
            names, where = term.names, term.positions
        elif isinstance(term, MembershipColumns):
            names = term.names  # further ones behind
        own: list[int | None] = [None] * len(names)
        for old, k in enumerate(at.tolist(), block.start):
            own[k] = group.fixed_column[old]
        effects += names
        fixed += own
        places += (start + at).tolist()
        blocks.append(replace(block, start=start, stop=len(effects), positions=where))
    Z = np.zeros((len(group.Z), len(effects)))
    Z[:, places] = group.Z
    return replace(
        group, effects=tuple(effects), blocks=tuple(blocks), Z=Z, terms=tuple(terms),
        fixed_column=tuple(fixed),
    )  # fmt: skip
