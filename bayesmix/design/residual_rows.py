"""Series of rows and their places in these, which a residual structure is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.dates import holds_dates
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.levels import Levels
from bayesmix.design.missing import check_size
from bayesmix.design.steps import ORDERED, factor_steps, warn_of_alphabet
from bayesmix.errors import DataError
from bayesmix.formula import Formula
from bayesmix.formula.residual import coordinates_of

__all__ = ["ResidualRows", "order_in_series", "residual_rows"]

_WHOLE = frozenset({"ar1", "toep"})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ResidualRows:
    """What the formula of the residuals says of the rows.

    Attributes
    ----------
    formula : Formula
    levels : Levels
        The series.
    index : ndarray of int64, shape (n,)
        Series of each row.
    coordinates : mapping of str to ndarray, shape (n,)
        By column.
    categories : mapping of str to tuple
        Values of the coordinates that are categories, in their order.
    """

    formula: Formula
    levels: Levels
    index: np.ndarray
    coordinates: Mapping[str, np.ndarray]
    categories: Mapping[str, tuple[Any, ...]]

    @property
    def word(self) -> str:
        """The word of the structure."""
        return self.formula.groups[0].structure

    @property
    def text(self) -> str:
        """The structure as the formula writes it."""
        return " ".join(self.formula.text.partition("~")[2].split())

    @property
    def row_data(self) -> dict[str, np.ndarray]:
        """Series and coordinates of each row, under the names that structures know."""
        found = {"residual_series": self.index}
        for k, values in enumerate(self.coordinates.values()):
            found["residual_time" if k == 0 else f"residual_time_{k + 1}"] = values
        return found

    def of_rows(self, rows: np.ndarray) -> ResidualRows:
        """The same for some of the rows; the series keep their numbers."""
        return replace(
            self,
            index=self.index[rows],
            coordinates={name: values[rows] for name, values in self.coordinates.items()},
        )

    def of_new(self, frame: pd.DataFrame, labels: pd.Index[Any]) -> dict[str, np.ndarray]:
        """Series and coordinates of new rows, as `row_data` has them.

        Series that the fit does not have get numbers of their own behind those it has. Rows
        of a grid, of which two have one place in a series or one is between whole times, have
        coordinates and no series.

        Raises
        ------
        DataError
            If a coordinate has a value that it cannot have.
        """
        index = self.levels.index_of(frame).astype(np.int64)
        new = index < 0
        if new.any():
            index[new] = len(self.levels) + _codes(frame.loc[new, list(self.levels.columns)])
        found = replace(
            self,
            index=index,
            coordinates={
                name: _coordinate(frame[name], self.categories.get(name), self.formula, labels)
                for name in self.coordinates
            },
        )
        given = found.row_data
        if _not_whole(found) is not None or _same_place(found) is not None:
            del given["residual_series"]
        return given


def residual_rows(
    formula: Formula, frame: pd.DataFrame, labels: pd.Index[Any],
    learned: ResidualRows | None = None, groups: Sequence[GroupingFactor] = (),
) -> ResidualRows:  # fmt: skip
    """Evaluate the formula of the residuals.

    Parameters
    ----------
    formula : Formula
        As `parse_residual` reads it.
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    labels : Index, length n
        Row labels of the caller's data.
    learned : ResidualRows, optional
        Those of other data, whose categories are kept.
    groups : sequence of GroupingFactor
        Factors of the same rows, of which one may have the series as its levels.

    Returns
    -------
    ResidualRows

    Raises
    ------
    DataError
        If two rows of a series have the same place, or a time is no whole number where it
        must be one.
    """
    levels, index = _series(formula, frame, groups)
    categories = {} if learned is None else dict(learned.categories)
    names = coordinates_of(formula)
    for name in names:
        if learned is None and isinstance(frame[name].dtype, pd.CategoricalDtype):
            _check_categories(frame[name], formula)
            categories[name] = tuple(frame[name].cat.categories)
    found = ResidualRows(
        formula=formula, levels=levels, index=index, categories=categories,
        coordinates={
            name: _coordinate(frame[name], categories.get(name), formula, labels) for name in names
        },
    )  # fmt: skip
    _check(found, labels)
    return found


def _series(
    formula: Formula, frame: pd.DataFrame, groups: Sequence[GroupingFactor]
) -> tuple[Levels, np.ndarray]:
    """The series and the one of each row: the levels of a factor of the same columns."""
    columns = formula.groups[0].columns
    for group in groups:
        of_rows = group.smooth is None and group.between is None and not group.is_membership
        if of_rows and columns and group.levels.columns == columns:
            return group.levels, group.index.astype(np.int64)
    index = _codes(frame[list(columns)])
    _, first = np.unique(index, return_index=True)
    values = {name: frame[name].array[first] for name in columns}
    bare = Levels(columns=columns, labels=np.zeros(0, dtype=object), values=values)
    return replace(bare, labels=bare.labels_of(pd.DataFrame(values))), index


def _codes(frame: pd.DataFrame) -> np.ndarray:
    """Number the combinations of the columns from zero."""
    grouped = frame.groupby(list(frame.columns), observed=True, sort=True, dropna=False)
    return grouped.ngroup().to_numpy().astype(np.int64)


def _coordinate(
    column: pd.Series[Any], categories: tuple[Any, ...] | None, formula: Formula,
    labels: pd.Index[Any],
) -> np.ndarray:  # fmt: skip
    """Numbers of one coordinate: of a category its place among all of them."""
    word = formula.groups[0].structure
    if categories is not None:
        gaps = word in ORDERED
        steps = factor_steps(tuple(map(str, categories))) if gaps else range(len(categories))
        place = dict(zip(categories, steps, strict=True))
        found = np.asarray([place.get(value, np.nan) for value in column], dtype=np.float64)
        strange = np.flatnonzero(np.isnan(found))
        if strange.size:
            raise DataError(
                f"`{column.name}` is {column.iloc[strange[0]]!r} in row {labels[strange[0]]}, "
                f"which is no place that {word} has seen; there are "
                f"{', '.join(map(str, categories[:8]))}"
            )
        return found
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(
            f"`{column.name}` of {word} holds {column.dtype}; numbers or categories are wanted"
        ) from None
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"`{column.name}` of {word} is {values[bad[0]]} in row {labels[bad[0]]}; a number is "
            "wanted"
        )
    check_size(values[:, None], (str(column.name),), f"the position of {word},")
    return values


def _check_categories(column: pd.Series[Any], formula: Formula) -> None:
    """Refuse categories where gaps between them mean nothing, and warn of a doubtful order."""
    word, name, text = formula.groups[0].structure, column.name, formula.text.partition("~")[2]
    levels = list(map(str, column.cat.categories))
    if word == "us":
        return
    if holds_dates(levels):
        raise DataError(
            f"`{name}` of {word} holds dates, whose gaps a factor does not count: make a column "
            f"that counts the days, and write exp(days | {formula.groups[0].name}) where they are "
            "irregular"
        )
    if word not in ORDERED:
        raise DataError(
            f"`{name}` of {word} holds text such as {levels[0]!r}, and {word} needs numbers: give "
            "its coordinates as columns of the data"
        )
    warn_of_alphabet(text.strip(), column)


def _check(found: ResidualRows, labels: pd.Index[Any]) -> None:
    _check_whole(found, labels)
    same = _same_place(found)
    if same is not None:
        first, second = same
        columns, group = found.coordinates, found.formula.groups[0].name
        at = ", ".join(f"{values[first]:g}" for values in columns.values())
        raise DataError(
            f"rows {labels[first]} and {labels[second]} have the same {', '.join(columns)} ({at}) "
            f"in one series of `{group}`: {found.word} needs one row at each place; make series "
            "finer (a:b), or add a group term for what such rows share"
        )


def _check_whole(found: ResidualRows, labels: pd.Index[Any]) -> None:
    broken = _not_whole(found)
    if broken is not None:
        name, values = next(iter(found.coordinates.items()))
        raise DataError(
            f"`{name}` is {values[broken]:g} in row {labels[broken]}: {found.word} counts gaps in "
            f"whole numbers; exp({name} | {found.formula.groups[0].name}) takes times of any kind "
            "(rho^gap is its exp(-gap / range))"
        )


def _not_whole(found: ResidualRows) -> int | None:
    """A row whose time is no whole number where it must be one."""
    if found.word not in _WHOLE:
        return None
    values = next(iter(found.coordinates.values()))
    broken = np.flatnonzero(values != np.floor(values))
    return int(broken[0]) if broken.size else None


def order_in_series(series: np.ndarray, coordinates: Sequence[np.ndarray]) -> np.ndarray:
    """Sort rows by their series, within these by their coordinates.

    Parameters
    ----------
    series : ndarray of int, shape (n,)
    coordinates : sequence of ndarray, shape (n,)

    Returns
    -------
    ndarray of int, shape (n,)
        Rows that are alike stay in their order.
    """
    if len(coordinates) == 1:  # data are mostly in this order as they come
        step, later = np.diff(series), np.diff(coordinates[0]) >= 0
        if ((step > 0) | ((step == 0) & later)).all():
            return np.arange(len(series))
    return np.lexsort((*coordinates[::-1], series))


def _same_place(found: ResidualRows) -> tuple[int, int] | None:
    """Two rows that have one place in a series, if there are such."""
    columns = list(found.coordinates.values())
    if not columns:
        return None
    order = order_in_series(found.index, columns)
    keys = np.column_stack([found.index, *columns])[order]
    same = np.flatnonzero((keys[1:] == keys[:-1]).all(axis=1))
    if not same.size:
        return None
    first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
    return first, second
