"""``gr(g, by=f)``: the effects of a term for each level of f, with a covariance each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import listed
from bayesmix.design.matrices import Columns
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["LevelColumns", "by_levels", "effects_there_are", "repeated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelColumns:
    """The columns of a term where another column has one of its levels, zero elsewhere.

    Attributes
    ----------
    columns : Columns
        Those of the term.
    names : tuple of str
        ``Intercept:f[A]``.
    by : str
        The other column.
    levels : tuple of str
        Its levels.
    level : str
        The one of these columns.
    """

    columns: Columns
    names: tuple[str, ...]
    by: str
    levels: tuple[str, ...]
    level: str

    def columns_of_terms(self) -> dict[str, list[int]]:
        """Positions of the columns that each term made."""
        return self.columns.columns_of_terms()

    def build(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Build the columns for a prepared frame, shape (n, q)."""
        given = _text(frame[self.by])
        strange = np.flatnonzero(~np.isin(given, self.levels))
        if strange.size:
            where = "" if labels is None else f" in row {labels[strange[0]]}"
            raise DataError(
                f"`{self.by}` has the level {given[strange[0]]!r}{where}, for which the model has "
                f"no covariance; known are {listed(self.levels)}"
            )
        return self.columns.build(frame, labels) * (given == self.level)[:, None]


def by_levels(
    term: GroupTerm, columns: Any, values: np.ndarray, frame: pd.DataFrame, formula: Formula
) -> list[tuple[LevelColumns, np.ndarray]]:
    """Divide the columns of a term among the levels of ``by=``.

    Parameters
    ----------
    term : GroupTerm
        One with ``gr(g, by=f)``.
    columns : Columns
    values : ndarray, shape (n, q)
    frame : DataFrame, n rows
    formula : Formula

    Returns
    -------
    list of (LevelColumns, ndarray)
        One for each level, in the order of the column's own levels.

    Raises
    ------
    FormulaError
        For a structure whose effects have positions.
    DataError
        If the column has one level.
    """
    by = str(term.grouping and term.grouping.by)
    if STRUCTURE_WORDS[term.structure].left != "effects":
        raise FormulaError(
            f"by= divides effects of columns, (x | gr(g, by={by})), not those of "
            f"{term.structure}(...); write a term for each level, in columns of their own",
            text=formula.text, start=term.start, stop=term.stop,
        )  # fmt: skip
    given = _text(frame[by])
    levels = _levels(frame[by], given)
    if len(levels) < 2:
        raise DataError(
            f"by={by} has one level ({levels[0]}); without by= the covariance is the same"
        )
    return [
        (
            LevelColumns(
                columns=columns,
                names=tuple(f"{name}:{by}[{level}]" for name in columns.names),
                by=by,
                levels=levels,
                level=level,
            ),
            values * (given == level)[:, None],
        )
        for level in levels
    ]


def effects_there_are(
    terms: Sequence[Any], frame: pd.DataFrame, index: np.ndarray, labels: np.ndarray, name: str
) -> np.ndarray | None:
    """Which effects each level has: those of its own level of ``by=``.

    Parameters
    ----------
    terms : sequence of Columns
        Those of the grouping factor, block by block.
    frame : DataFrame, n rows
    index : ndarray of int, shape (n,)
        Level of each row.
    labels : ndarray of str, shape (G,)
    name : str
        That of the grouping factor.

    Returns
    -------
    ndarray of bool, shape (G, q), or None
        None where all levels have all effects.

    Raises
    ------
    DataError
        Naming a level of the grouping factor that has two.
    """
    if not any(isinstance(columns, LevelColumns) for columns in terms):
        return None
    by = terms[0].by
    given = _text(frame[by])
    own = np.empty(len(labels), dtype=object)
    own[index] = given
    wrong = np.flatnonzero(own[index] != given)
    if wrong.size:
        at = wrong[0]
        raise DataError(
            f"level {labels[index[at]]!r} of `{name}` has `{by}` {given[at]!r} and "
            f"{own[index[at]]!r}; gr({name}, by={by}) divides the levels, so {by} must be the same "
            "in all rows of one"
        )
    parts = [np.repeat((own == t.level)[:, None], len(t.names), axis=1) for t in terms]
    return np.concatenate(parts, axis=1)


def repeated(terms: Sequence[GroupTerm], n_blocks: int) -> list[GroupTerm]:
    """The term of each block of a grouping factor."""
    each = n_blocks // len(terms)
    return [term for term in terms for _ in range(each)]


def _text(column: pd.Series[Any]) -> np.ndarray:
    return np.asarray([_label(value) for value in column.astype(object)], dtype=object)


def _label(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _levels(column: pd.Series[Any], given: np.ndarray) -> tuple[str, ...]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = [_label(value) for value in column.cat.categories]
        there = set(given.tolist())
        return tuple(level for level in known if level in there)
    return tuple(_label(value) for value in np.unique(column.to_numpy()))
