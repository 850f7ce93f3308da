"""Rows as they are and as they might be: the frames that effects are computed over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean, listed, one_of
from bayesmix.design.frame import column_names, select_columns
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.inference.announce import announce
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows, new_rows

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "By",
    "Grid",
    "base_frame",
    "counterfactual_rows",
    "grid_of",
    "is_categorical",
    "no_predictor",
]

By = str | Sequence[str] | bool
_OWN_COLUMNS = ("term", "contrast", "estimate", "sd", "lower", "upper")
_ROLES = ("fixed", "effect", "offset")
_MOST_POINTS = 10_000  # combinations of values
_SECONDS = 0.02  # for each
_SLOW = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The rows that averages are over, in which columns they are changed, and the cells.

    Attributes
    ----------
    frame : DataFrame, n rows
        The rows before anything is changed.
    points : tuple of dict
        Values of the columns of `at`, one combination each.
    cell : ndarray of int, shape (n,), or None
        None where each row is a cell.
    keys : DataFrame, a row per cell
        What the cells are called: the columns of `by`.
    """

    frame: pd.DataFrame
    points: tuple[dict[str, Any], ...]
    cell: np.ndarray | None
    keys: pd.DataFrame

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.keys)

    @property
    def weight(self) -> np.ndarray:
        """One over the number of rows of each row's cell, shape (n,)."""
        if self.cell is None:
            return np.ones(len(self.frame))
        weight: np.ndarray = 1.0 / np.bincount(self.cell, minlength=self.n_cells)[self.cell]
        return weight


def base_frame(model: StatedModel, data: Any) -> pd.DataFrame:
    """Return the columns of the caller's rows, or of those of the fit, as a new frame.

    Parameters
    ----------
    model : Model
    data : table, or None

    Raises
    ------
    DataError
        If there are no rows.
    """
    if data is None:
        frame = model.design.frame.copy(deep=False)
        frame.index = model.design.row_labels
        return frame
    frame = select_columns(data, column_names(data)).copy(deep=False)
    if not len(frame):
        raise DataError("the data have no rows to average over")
    return frame


def grid_of(model: StatedModel, data: Any, by: Any, at: Any, others: Any) -> Grid:
    """Check `by`, `at` and `others`, and say which rows they mean.

    Parameters
    ----------
    model : Model
    data : table, or None
    by : str, sequence of str, or bool
    at : mapping of str to value or sequence, or None
    others : {"observed", "typical"}

    Raises
    ------
    DataError
        If there is no such column.
    NotSupportedError
        For an argument that is out of its range.
    """
    one_of("others", others, ("observed", "typical"))
    frame = base_frame(model, data)
    points = _points(model, frame, at)
    fixed = tuple(points[0])
    names = [name for name in _by_columns(by, frame) if name not in fixed]
    for name in (*fixed, *names):
        if name in _OWN_COLUMNS:
            raise NotSupportedError(
                f"the table has a column `{name}` of its own; rename that of the data"
            )
    if others == "typical":
        frame = _typical(model, frame, names, by)
        by = True if by is False else by
    if by is False:
        return Grid(
            frame=frame, points=points, cell=None, keys=pd.DataFrame(index=range(len(frame)))
        )
    if not names:
        cell: np.ndarray = np.zeros(len(frame), dtype=np.int64)
        keys = pd.DataFrame(index=range(1))
    else:
        columns = frame[names].reset_index(drop=True)
        groups = columns.groupby(names, sort=True, dropna=False, observed=True)
        cell = groups.ngroup().to_numpy(dtype=np.int64)
        first = np.unique(cell, return_index=True)[1]
        keys = pd.DataFrame({name: _key(frame[name].iloc[first]) for name in names})
    return Grid(frame=frame, points=points, cell=cell, keys=keys)


def counterfactual_rows(
    law: Law, frame: pd.DataFrame, versions: Iterable[Mapping[str, Any]],
    request: PredictionRequest, *, one_trial: bool = False,
) -> tuple[Law, tuple[Rows, ...]]:  # fmt: skip
    """Build the arrays of rows in which some columns have other values.

    Parameters
    ----------
    law : Law
    frame : DataFrame, n rows
    versions : iterable of mapping of str to value or array, shape (n,)
        What is changed, version by version.
    request : PredictionRequest
    one_trial : bool
        Whether the mean is to be a proportion where it is a number of successes.

    Returns
    -------
    Law
        The law of a model whose effects are where the changed rows are.
    tuple of Rows

    Raises
    ------
    DataError
        If the changed rows do not fit the model.
    """
    frames = []
    for changed in versions:
        other = frame
        for name, values in changed.items():
            whole = values if isinstance(values, pd.Series | np.ndarray) else [values] * len(frame)
            other = other.assign(**{name: pd.Series(whole, index=frame.index)})
        frames.append(other)
    if request.uses_effects:
        law = law.reaching(*frames)
    found = []
    for other in frames:
        rows = new_rows(
            law.model, other, effects=request.uses_effects, levels=request.uses_levels,
            kind=request.kind, parameter=request.parameter,
        )  # fmt: skip
        if one_trial and "trials" in rows.per_row:
            rows = replace(rows, per_row={**rows.per_row, "trials": np.ones(len(frame))})
        found.append(rows)
    return law, tuple(found)


def is_categorical(model: StatedModel, name: str, column: pd.Series[Any]) -> bool:
    """Whether the levels of a column, and not its numbers, are compared."""
    formula = model.whole_formula
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if pd.api.types.is_bool_dtype(column.dtype) or not numeric:
        return True
    only_group = name in formula.columns_of("group") and name not in formula.columns_of(*_ROLES)
    return only_group or name in formula.categorical


def _is_one(given: Any) -> bool:
    """Whether one value is given, and not several; a long range is not written out for that."""
    one = isinstance(given, str | bytes | Mapping | Set) or not hasattr(given, "__len__")
    return one or getattr(given, "ndim", 1) == 0


def _points(model: StatedModel, frame: pd.DataFrame, at: Any) -> tuple[dict[str, Any], ...]:
    if at is None:
        return ({},)
    if not isinstance(at, Mapping):
        raise ArgumentError(
            f'at={at!r} must be a dict of columns and values, such as at={{"x": [0, 1]}}'
        )
    known = model.whole_formula.columns_of(*_ROLES, "group")
    extras = {c for c in model.whole_formula.columns if c not in known} & set(frame.columns)
    values: dict[str, list[Any]] = {}
    counts: list[int] = []
    for name, given in at.items():
        if name not in known and name not in extras:
            raise no_predictor(model, str(name))
        scalar = _is_one(given)
        counts.append(1 if scalar else len(given))
        points = [given] if scalar else list(itertools.islice(given, _MOST_POINTS + 1))
        if not points:
            raise ArgumentError(f"at= names no value of `{name}`")
        values[str(name)] = points
    n_points = math.prod(counts)
    if n_points > _MOST_POINTS:
        shown = " x ".join(map(str, counts)) + f" = {n_points}" * (len(counts) > 1)
        raise NotSupportedError(
            f"at= names {shown} values, each of which is a copy of all {len(frame)} rows; "
            f"{_MOST_POINTS} are the most: take a grid of them, or predict(data) of rows that "
            "have the values"
        )
    if n_points * _SECONDS > _SLOW:
        announce(f"Averaging {n_points} copies of {len(frame)} rows ...", progress=True)
    return tuple(
        dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())
    )


def no_predictor(model: StatedModel, name: str) -> DataError:
    """Build the error for a column that the model does not use."""
    known = list(model.whole_formula.columns_of(*_ROLES, "group"))
    if name in known:
        parameters = [
            p for p, own in model.design.predictors.items() if name in own.formula.columns
        ]
        return DataError(
            f"`{name}` is no predictor of mu, but of {listed(parameters)}: "
            f"parameter={parameters[0]!r} is about that"
        )
    meant = did_you_mean(name, known, "`")
    return DataError(
        f"`{name}` is no predictor of `{model.formula}`; {meant}there are "
        f"{', '.join(f'`{column}`' for column in known) or 'none'}"
    )


def _by_columns(by: Any, frame: pd.DataFrame) -> list[str]:
    if isinstance(by, bool):
        return []
    several = isinstance(by, Iterable) and not isinstance(by, Mapping)
    names = [by] if isinstance(by, str) else list(by) if several else []
    if not several or not all(isinstance(name, Hashable) for name in names):
        raise ArgumentError(
            f"by={by!r} must be a column's name, several of them, True for the average over "
            "all rows, or False for a row each"
        )
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"by={name!r}: there is no such column; "
                f"{did_you_mean(name, map(str, frame.columns), '`')}there are "
                f"{', '.join(map(str, frame.columns[:12]))} (give data= for columns that the "
                "formula does not use)"
            )
    return list(dict.fromkeys(names))


def _typical(model: StatedModel, frame: pd.DataFrame, names: list[str], by: Any) -> pd.DataFrame:
    """One row per cell, the other predictors at their mean or their commonest value."""
    formula = model.whole_formula
    if by is False:
        raise ArgumentError(
            'by=False asks for every row and others="typical" for one; take by=True'
        )
    cells = frame[names].drop_duplicates().reset_index(drop=True) if names else None
    n = 1 if cells is None else len(cells)
    predictors = formula.columns_of(*_ROLES)
    out: dict[str, Any] = {}
    for name in frame.columns:
        if cells is not None and name in names:
            out[name] = cells[name]
        elif name in formula.columns_of("group") and name not in predictors:
            out[name] = np.full(n, None, dtype=object)
        elif name in formula.columns:
            column = frame[name]
            if name not in predictors or is_categorical(model, name, column):
                value = column.mode(dropna=True).iloc[0]
            else:
                value = float(column.mean())
            out[name] = pd.Series([value] * n).astype(
                column.dtype if is_categorical(model, name, column) else np.float64
            )
    return pd.DataFrame(out)


def _key(column: pd.Series[Any]) -> Any:
    """Values of a key column: categories as text, the rest as it is."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    return column.to_numpy()
