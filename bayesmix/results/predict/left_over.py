"""Residuals of rows that are read in batches, and what they are within levels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design import Design
from bayesmix.errors import DataError
from bayesmix.laws.batches import laws_at_batches
from bayesmix.laws.residuals import Residual
from bayesmix.streaming import LevelSums

if TYPE_CHECKING:
    from bayesmix.laws.base import Law

__all__ = ["residual_table", "residuals_of_batches", "values_to_group_by"]


def residuals_of_batches(
    law: Law, kind: Residual, seed: int | None, data: Any = None
) -> Iterator[pd.Series[float]]:
    """Residuals of the rows of a fit, a batch at a time.

    Parameters
    ----------
    law : Law
    kind : str
    seed : int or None
    data : any, optional
        Where the rows are, if the fit does not know it.
    """
    for batch, own in laws_at_batches(law, data):
        yield pd.Series(own.residuals(kind, seed)[1], index=batch.labels, name="residual")


def residual_table(
    law: Law, by: str | None, kind: Residual, seed: int | None, data: Any = None
) -> pd.DataFrame:
    """Mean, sd and ends of residuals, over all rows or within levels.

    Parameters
    ----------
    law : Law
    by : str or None
        A grouping factor, or a column of the formula.
    kind : str
    seed : int or None
    data : any, optional
    """
    design, labels = law.model.design, _Labels()
    at = None if by is None else values_to_group_by(design, by)
    sums = LevelSums(1, 0 if at is None else design.mu.groups[at].n_levels)
    every = [law] if design.streamed is None else (own for _, own in laws_at_batches(law, data))
    for own in every:
        values = own.residuals(kind, seed)[1]
        index = np.zeros(len(values), dtype=np.int64)
        sums.update(values[None], index if by is None else labels.numbers(own.model.design, by))
    order, names = (np.zeros(1, dtype=np.int64), ["all"]) if by is None else labels.in_order()
    return pd.DataFrame({
        "level": names, "rows": sums.count[order], "mean": sums.means[0, order],
        "sd": sums.sd[0, order], "min": sums.least[0, order], "max": sums.largest[0, order],
    })  # fmt: skip


def values_to_group_by(design: Design, by: str) -> int | None:
    """Say which grouping factor it is, None where it is a column.

    Raises
    ------
    DataError
        If it is neither.
    """
    names = [group.name for group in design.mu.grouping]
    if by in names:
        if design.mu.group(by).is_membership:
            raise DataError(f"rows belong to several levels of {by}: take one of its columns")
        return [group.name for group in design.mu.groups].index(by)
    columns = [str(name) for name in design.fitted_columns.columns]
    if by in columns:
        return None
    known = list(dict.fromkeys([*names, *columns]))
    raise DataError(
        f"by={by!r} is neither a grouping factor nor a column of the formula; "
        f"{did_you_mean(by, known, '`')}there are {', '.join(f'`{name}`' for name in known)}"
    )


class _Labels:
    """Numbers of levels in the order in which batches show them."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._levels: np.ndarray | None = None

    def numbers(self, design: Design, by: str) -> np.ndarray:
        """Level of each row of a design."""
        at = values_to_group_by(design, by)
        if at is not None:
            group = design.mu.groups[at]
            self._levels = group.levels.labels
            return np.asarray(group.index, dtype=np.int64)
        local, values = pd.factorize(design.frame[by])
        numbers = [self._known.setdefault(value, len(self._known)) for value in values]
        return np.asarray(numbers, dtype=np.int64)[local]

    def in_order(self) -> tuple[np.ndarray, list[Any]]:
        """Numbers and labels as tables have them."""
        if self._levels is not None:
            return np.arange(len(self._levels)), list(self._levels)
        labels = pd.Series(list(self._known), dtype=object)
        try:
            order = labels.sort_values().index.to_numpy()
        except TypeError:  # values of several types
            order = labels.astype(str).sort_values().index.to_numpy()
        return order, labels.iloc[order].tolist()
