"""Grouping factors of a formula, built from data, or again from what others have learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Matrices
from bayesmix.design.by_level import by_levels, effects_there_are, repeated
from bayesmix.design.groups import AnyColumns, Block, GroupingFactor
from bayesmix.design.levels import Levels, learn_levels, levels_of_known_covariance
from bayesmix.design.matrices import Columns, Functions, OtherColumns, build_columns
from bayesmix.design.membership import MembershipColumns, learn_membership
from bayesmix.design.positions import PositionColumns, learn_positions
from bayesmix.design.smooths import SmoothParts
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["build_grouping_factors", "smooth_factors"]


def build_grouping_factors(
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    fixed: tuple[Columns, np.ndarray],
    labels: pd.Index[Any],
    learned: Sequence[GroupingFactor] = (),
    matrices: Matrices | None = None,
) -> tuple[GroupingFactor, ...]:
    """Build every grouping factor of a formula.

    Parameters
    ----------
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
    fixed : tuple of Columns and ndarray
        The fixed effects, whose columns are shared where the terms are the same.
    labels : Index, length n
        The labels of the rows in the caller's data, for messages.
    learned : sequence of GroupingFactor
        The same grouping factors of other data, whose columns are to be built again.
    matrices : Matrices, optional
        Known covariances between levels.

    Returns
    -------
    tuple of GroupingFactor

    Raises
    ------
    DataError
        If a grouping factor has one level, or a name that cannot be stored.
    FormulaError
        If a grouping factor is continuous.
    """
    factors = []
    for name in formula.grouping_factors:
        terms = [term for term in formula.groups if term.name == name]
        _check_name(name)
        if len({term.columns for term in terms}) > 1:
            raise DataError(f"the name `{name}` is that of a single group; rename the column")
        if terms[0].grouping is not None and terms[0].grouping.is_membership:
            before = [group for group in learned if group.name == name]
            factors.append(_membership_factor(terms[0], frame, labels, formula, before))
            continue
        between = (matrices or Matrices()).of(terms[0], formula)
        if between is None:
            levels, index = learn_levels(terms, frame, formula)
        else:
            levels, index = levels_of_known_covariance(between, terms[0], frame)
        if len({term.joined for term in terms}) > 1:
            raise FormulaError(
                f"the effects by `{name}` are all joined with those of other formulas, or none: "
                "write them into one term",
                text=formula.text, start=terms[-1].start, stop=terms[-1].stop,
            )  # fmt: skip
        known = [
            columns for group in learned if group.name == name for columns in group.terms
            if not isinstance(columns, OtherColumns)
        ]  # fmt: skip
        if known:
            built = [
                _built_again(columns, term, frame, fixed)
                for columns, term in zip(known, repeated(terms, len(known)), strict=True)
            ]
        else:
            built = [
                _positions(term, frame, functions, labels, formula)
                if term.has_positions
                else _effects(term, frame, functions, fixed)
                for term in terms
            ]
            if terms[0].grouping is not None and terms[0].grouping.by is not None:
                built = [
                    part
                    for term, (columns, values) in zip(terms, built, strict=True)
                    for part in by_levels(term, columns, values, frame, formula)
                ]
        terms = repeated(terms, len(built))
        effects = tuple(effect for columns, _ in built for effect in columns.names)
        for effect in effects:
            if effects.count(effect) > 1:
                raise FormulaError(
                    f"the effect `{effect}` varies by `{name}` twice",
                    text=formula.text,
                    start=terms[-1].start,
                    stop=terms[-1].stop,
                )
        parts = [values for _, values in built]
        factors.append(
            GroupingFactor(
                name=name,
                levels=levels,
                index=index,
                effects=effects,
                blocks=_blocks(terms, [columns for columns, _ in built], formula),
                Z=parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1),
                terms=tuple(columns for columns, _ in built),
                between=between,
                is_student=terms[0].grouping is not None and terms[0].grouping.dist == "student",
                joined=terms[0].joined,
                present=effects_there_are(
                    [columns for columns, _ in built], frame, index, levels.labels, name
                ),
            )
        )
    return tuple(factors)


def _membership_factor(
    term: GroupTerm, frame: pd.DataFrame, labels: pd.Index[Any], formula: Formula,
    learned: Sequence[GroupingFactor],
) -> GroupingFactor:  # fmt: skip
    """One level that all rows share, with an effect for each level of ``mm(...)``."""
    columns, Z = learn_membership(term, frame, formula, labels)
    if learned:
        (known,) = learned[0].terms
        assert isinstance(known, MembershipColumns)  # noqa: S101
        columns = known.with_places_of(frame)
        Z = columns.build(frame, labels)
    one = np.asarray([term.name], dtype=object)
    return GroupingFactor(
        name=term.name,
        levels=Levels(columns=(), labels=one, values={}),
        index=np.zeros(len(frame), dtype=np.int32),
        effects=columns.names,
        blocks=(Block(start=0, stop=len(columns.names), structure="homdiag", label="Intercept"),),
        Z=Z,
        terms=(columns,),
    )


def smooth_factors(
    smooths: Sequence[SmoothParts], frame: pd.DataFrame, formula: Formula
) -> tuple[GroupingFactor, ...]:
    """Make a grouping factor of the penalised columns of each smooth.

    That of the population has one level, called like the smooth; curves of levels have
    those of their factor.

    Parameters
    ----------
    smooths : sequence of SmoothParts
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    formula : Formula

    Returns
    -------
    tuple of GroupingFactor

    Raises
    ------
    DataError
        If the factor of a factor smooth has one level.
    FormulaError
        If it is continuous.
    """
    factors = []
    for parts in smooths:
        own = parts.smooth
        if own.at_levels:
            term = GroupTerm(
                effects=(),
                columns=(own.term.group,),
                structure="homdiag",
                start=own.term.start,
                stop=own.term.stop,
            )
            levels, index = learn_levels([term], frame, formula)
        else:
            labels = np.asarray([own.name], dtype=object)
            levels = Levels(columns=(), labels=labels, values={})
            index = np.zeros(len(frame), dtype=np.int32)
        stops = np.cumsum([size for _, size in own.blocks]).tolist()
        blocks = tuple(
            Block(start=stop - size, stop=stop, structure="homdiag", label=label)
            for (label, size), stop in zip(own.blocks, stops, strict=True)
        )
        factors.append(
            GroupingFactor(
                name=own.name,
                levels=levels,
                index=index,
                effects=own.effect_names,
                blocks=blocks,
                Z=parts.penalised,
                terms=(),
                smooth=own,
            )
        )
    return tuple(factors)


def _effects(
    term: GroupTerm,
    frame: pd.DataFrame,
    functions: Functions,
    fixed: tuple[Columns, np.ndarray],
) -> tuple[Columns, np.ndarray]:
    columns, X = fixed
    if list(columns.spec.formula) == list(term.effects):
        return fixed  # the same columns in the same coding: share the memory
    if [str(effect) for effect in term.effects] == ["1"] and columns.names[:1] == ("Intercept",):
        built = build_columns(term.effects, frame.iloc[:1], functions)[0]
        return built, X[:, :1]
    return build_columns(term.effects, frame, functions)


def _positions(
    term: GroupTerm, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any],
    formula: Formula,
) -> tuple[PositionColumns, np.ndarray]:  # fmt: skip
    columns = learn_positions(term, frame, functions, labels, formula)
    return columns, columns.build(frame)


def _built_again(
    columns: AnyColumns, term: GroupTerm, frame: pd.DataFrame,
    fixed: tuple[Columns, np.ndarray],
) -> tuple[AnyColumns, np.ndarray]:  # fmt: skip
    """Columns by what they learned; positions that are new come in addition.

    Positions without rows stay where their effects share a standard deviation. One of
    their own could not be told.
    """
    if columns is fixed[0]:
        return fixed
    if isinstance(columns, PositionColumns):
        tied = STRUCTURE_WORDS[term.structure].tied
        columns = columns.with_places_of(frame) if tied else columns.at_positions_of(frame)
    return columns, columns.build(frame)


def _blocks(
    terms: Sequence[GroupTerm],
    built: Sequence[AnyColumns],
    formula: Formula,
) -> tuple[Block, ...]:
    out: list[Block] = []
    for term, columns in zip(terms, built, strict=True):
        start, size = out[-1].stop if out else 0, len(columns.names)
        rank = term.options.get("d", 0)
        if rank >= size:
            raise FormulaError(
                f"the rank d={rank} of {term} must be below its number of effects, {size}: "
                f"write ({term.left} | {term.name}) for correlations without a bound on the rank",
                text=formula.text, start=term.start, stop=term.stop,
            )  # fmt: skip
        where = columns.positions if isinstance(columns, PositionColumns) else None
        out.append(
            Block(start=start, stop=start + size, structure=term.structure, positions=where,
                  options=term.options)
        )  # fmt: skip
    return tuple(out)


def _check_name(name: str) -> None:
    if name == "Residual":
        raise DataError("the name `Residual` is the residual's; rename the grouping factor")
    if "/" in name:
        raise DataError(
            f"the grouping factor `{name}` has a / in its name, which results cannot be "
            "stored under; rename the column"
        )
