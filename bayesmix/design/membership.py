"""``mm(a, b)``: rows that belong to several levels, with a weight for each membership."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design.known_covariance import as_label
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.memory import check_memory

__all__ = ["MembershipColumns", "learn_membership"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipColumns:
    """A column for each level: the sum of the weights with which a row belongs to it.

    Attributes
    ----------
    names : tuple of str, length q
        The levels: the union over the columns.
    columns : tuple of str
        The columns that hold levels.
    weights : tuple of str
        Those with the weights; empty for equal ones.
    scale : bool
        Whether the weights of a row are divided by their sum.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    weights: tuple[str, ...]
    scale: bool

    def build(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Build the columns for a frame, shape (n, q); a level twice in a row counts twice.

        Raises
        ------
        DataError
            For a level that is not known, a missing one, or weights without a sum.
        """
        n = len(frame)
        check_memory(
            f"memberships of {n:,} rows in {len(self.names):,} levels", n * len(self.names),
            "use a factor with fewer levels",
        )  # fmt: skip
        known = pd.Index(self.names)
        weights = self._weights(frame, labels)
        out = np.zeros((n, len(self.names)))
        for k, column in enumerate(self.columns):
            codes, values = pd.factorize(frame[column])
            found = [as_label(value) for value in values]
            place = np.append(known.get_indexer(pd.Index(found, dtype=object)), -1)[codes]
            bad = np.flatnonzero(place < 0)
            if bad.size:
                where = "" if labels is None else f" in row {labels[bad[0]]}"
                if codes[bad[0]] < 0:
                    raise DataError(f"`{column}` is missing{where}: each membership has a level")
                level = found[codes[bad[0]]]
                near = did_you_mean(level, self.names) if len(self.names) < 10_000 else ""
                raise DataError(
                    f"`{column}` has the level {level!r}{where}, which none of "
                    f"{', '.join(f'`{c}`' for c in self.columns)} had in fitting; {near}predict "
                    'with groups="population", or fit with it in the data'
                )
            np.add.at(out, (np.arange(n), place), weights[:, k])
        return out

    def with_places_of(self, frame: pd.DataFrame) -> MembershipColumns:
        """Add the levels that other data have."""
        new = [level for level in _levels(frame, self.columns) if level not in set(self.names)]
        return replace(self, names=(*self.names, *new)) if new else self

    def _weights(self, frame: pd.DataFrame, labels: pd.Index[Any] | None) -> np.ndarray:
        """Weights by row and membership, shape (n, m)."""
        m = len(self.columns)
        if not self.weights:
            return np.full((len(frame), m), 1.0 / m)
        try:
            given = np.column_stack(
                [frame[column].to_numpy(dtype=np.float64) for column in self.weights]
            )
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the weights {', '.join(self.weights)} of mm(...) are no numbers: {error}"
            ) from None
        bad = np.flatnonzero(~np.isfinite(given).all(axis=1) | (given < 0).any(axis=1))
        total = given.sum(axis=1)
        if self.scale and not bad.size:
            bad = np.flatnonzero(total <= 0)
        if bad.size:
            where = "" if labels is None else f" in row {labels[bad[0]]}"
            values = ", ".join(f"{value:g}" for value in given[bad[0]])
            raise DataError(
                f"the weights of mm(...) are {values}{where}; they are to be 0 or more"
                + (" and to have a sum above 0" if self.scale else "")
            )
        return given / total[:, None] if self.scale else given


def learn_membership(
    term: GroupTerm, frame: pd.DataFrame, formula: Formula, labels: pd.Index[Any]
) -> tuple[MembershipColumns, np.ndarray]:
    """Find the levels of a term with ``mm(...)``, and its columns.

    Parameters
    ----------
    term : GroupTerm
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    formula : Formula
    labels : Index, length n
        The labels of the rows in the caller's data, for messages.

    Returns
    -------
    MembershipColumns
    ndarray, shape (n, q)

    Raises
    ------
    FormulaError
        If anything but an intercept varies.
    DataError
        If there is one level, or weights cannot be used.
    """
    grouping = term.grouping
    assert grouping is not None  # noqa: S101
    if [str(effect) for effect in term.effects] != ["1"] or term.has_positions:
        raise FormulaError(
            f"an intercept may vary by {grouping}, (1 | mm(...)), and nothing else; for slopes "
            "take a grouping factor with one level per row",
            text=formula.text, start=term.start, stop=term.stop,
        )  # fmt: skip
    levels = _levels(frame, grouping.columns)
    if len(levels) < 2:
        raise DataError(
            f"the columns of {grouping} have one level ({levels[0]}); a variance between levels "
            "needs at least two"
        )
    columns = MembershipColumns(
        names=tuple(levels), columns=grouping.columns, weights=grouping.weights,
        scale=grouping.scale,
    )  # fmt: skip
    return columns, columns.build(frame, labels)


def _levels(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    """All levels as text: numbers in their order, before others in theirs."""
    found = {as_label(value) for column in columns for value in pd.unique(frame[column].dropna())}
    return sorted(found, key=_in_order)


def _in_order(label: str) -> tuple[bool, float, str]:
    try:
        return False, float(label), label
    except ValueError:
        return True, 0.0, label
