"""The reference grid: levels of factors crossed, numbers at their mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import listed, plain
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.results.effect.counterfactual import no_predictor

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["ReferenceGrid", "reference_grid", "step_of"]

_MOST_VALUES = 12  # of a number that is named without at=
_MOST_POINTS = 200_000
_STEP = 1e-4  # of a slope, in ranges of the variable


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceGrid:
    """Points at which predictions are averaged.

    Attributes
    ----------
    frame : DataFrame, n rows
        Columns of the predictors.
    levels : mapping of str to list
        Values that each column takes on, where it takes on several or was named.
    counted : tuple of str
        Those of the columns whose values occur in the data and are counted.
    count : DataFrame
        Columns `counted` of the rows of the fit, in which rows are counted.
    nests : mapping of str to tuple of str
        For a nested factor the factors of which each of its levels has one.
    at_mean : mapping of str to float
        Numbers that have one value, by column.
    factors : frozenset of str
        Columns whose levels the formulas take, and not their numbers.
    """

    frame: pd.DataFrame
    levels: Mapping[str, list[Any]]
    counted: tuple[str, ...]
    count: pd.DataFrame
    nests: Mapping[str, tuple[str, ...]]
    at_mean: Mapping[str, float]
    factors: frozenset[str]


def reference_grid(
    model: StatedModel, parameters: Iterable[str], named: Sequence[str], at: Any, *,
    effects: bool, variable: str | None = None,
) -> ReferenceGrid:  # fmt: skip
    """Cross the levels of the factors of some linear predictors.

    Parameters
    ----------
    model : StatedModel
    parameters : iterable of str
        Whose linear predictors they are.
    named : sequence of str
        Columns by which there are results.
    at : mapping of str to value or sequence of values, or None
    effects : bool
        Whether columns count that vary by group.
    variable : str, optional
        A number that is to have one value, its mean unless `at` says otherwise.

    Returns
    -------
    ReferenceGrid

    Raises
    ------
    DataError
        If a column is no predictor, or has no such level.
    ArgumentError
        If `at` is no mapping, or a number is named whose values are many.
    NotSupportedError
        If the grid has too many points.
    """
    formulas = [model.design.predictors[name].formula for name in parameters]
    roles = ("fixed", "offset", *(("effect",) if effects else ()))
    columns = list(dict.fromkeys(c for one in formulas for c in one.columns_of(*roles)))
    categorical = {c for one in formulas for c in one.categorical}
    given = _given(at)
    for name in (*named, *given):
        if name not in columns:
            raise _no_column(model, name, columns)
    data = model.design.frame
    levels: dict[str, list[Any]] = {}
    at_mean: dict[str, float] = {}
    counted = []
    for name in columns:
        own, of_levels = _own_levels(data[name], categorical=name in categorical)
        if name in given:
            levels[name] = given[name] if own is None else _known(name, given[name], own)
            counted += [name] if own is not None else []
        elif own is not None and (of_levels or name != variable):
            levels[name] = own
            counted.append(name)
        elif name in named:
            levels[name] = _named_values(name, data[name])
            counted.append(name)
        else:
            at_mean[name] = float(data[name].mean())
    n = math.prod(len(values) for values in levels.values())
    if n > _MOST_POINTS:
        sizes = ", ".join(
            f"{name} {len(values) if len(values) <= _MOST_POINTS else 'more'}"
            for name, values in levels.items()
        )
        raise NotSupportedError(
            f"the levels of {sizes} cross at {n:,} points, more than {_MOST_POINTS:,}; give some "
            "of them fewer values with at=, or take predictions(), which averages over the rows"
        )
    points = pd.DataFrame(
        {name: _repeated(values, k, levels, data[name]) for k, (name, values)
         in enumerate(levels.items())},
        index=range(n),
    )  # fmt: skip
    factors = [name for name in counted if len(levels[name]) > 1]
    nests = _nests(data, factors)
    count = pd.DataFrame({name: _plain(data[name]) for name in counted})
    for name, outer in nests.items():
        columns_of = [name, *outer]
        seen = set(map(tuple, count[columns_of].drop_duplicates().to_numpy(dtype=object).tolist()))
        there = map(tuple, points[columns_of].to_numpy(dtype=object).tolist())
        points = points[[one in seen for one in there]]
    points = points.reset_index(drop=True)
    return ReferenceGrid(
        frame=points.assign(**at_mean) if columns else pd.DataFrame(index=range(1)),
        levels=levels, counted=tuple(counted), count=count, nests=nests, at_mean=at_mean,
        factors=frozenset(categorical),
    )  # fmt: skip


def step_of(model: StatedModel, grid: ReferenceGrid, variable: str) -> float:
    """Half the distance over which a slope is taken.

    Raises
    ------
    DataError
        If the variable is no predictor.
    NotSupportedError
        If it is no number.
    """
    if variable not in grid.frame.columns:
        raise _no_column(model, variable, list(grid.frame.columns))
    column = model.design.frame[variable]
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    if is_bool or not pd.api.types.is_numeric_dtype(column.dtype) or variable in grid.factors:
        raise NotSupportedError(
            f"`{variable}` is a factor and has no slope; marginal_means({variable!r}) has the "
            "means of its levels"
        )
    low, high = float(column.min()), float(column.max())
    return _STEP * ((high - low) or max(1.0, abs(low)))


def _given(at: Any) -> dict[str, list[Any]]:
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise ArgumentError(
            f'at={at!r} must be a dict of columns and values, such as at={{"x": [0, 1]}}'
        )
    found = {}
    for name, values in at.items():
        one = isinstance(values, str | bytes) or not isinstance(values, Iterable)
        some = (values,) if one else itertools.islice(values, _MOST_POINTS + 1)
        found[str(name)] = [plain(value) for value in some]
        if not found[str(name)]:
            raise ArgumentError(f"at= names no value of `{name}`")
    return found


def _own_levels(column: pd.Series[Any], *, categorical: bool) -> tuple[list[Any] | None, bool]:
    """Levels of a factor, or the values of a number that has two; None for other numbers.

    The second says whether it is a factor.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        present = set(column.dropna().unique())
        return [level for level in column.cat.categories if level in present], True
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    values = sorted(pd.unique(column).tolist())
    if categorical or is_bool or not numeric:
        return values, not is_bool or categorical
    return (values, False) if len(values) == 2 else (None, False)


def _named_values(name: str, column: pd.Series[Any]) -> list[Any]:
    values = sorted(pd.unique(column).tolist())
    if len(values) > _MOST_VALUES:
        raise ArgumentError(
            f"`{name}` is a number with {len(values)} values; say which are meant, such as "
            f'at={{"{name}": [{values[0]:g}, {values[-1]:g}]}}, or take trends({name!r})'
        )
    return values


def _known(name: str, given: list[Any], own: list[Any]) -> list[Any]:
    for value in given:
        if value not in own:
            raise DataError(f"at= gives `{name}` the value {value!r}; its levels are {listed(own)}")
    return given


def _repeated(
    values: list[Any], k: int, levels: Mapping[str, list[Any]], column: pd.Series[Any]
) -> Any:
    """Values of the k-th column of the crossed grid."""
    sizes = [len(one) for one in levels.values()]
    inner, outer = math.prod(sizes[k + 1 :]), math.prod(sizes[:k])
    at = np.tile(np.repeat(np.arange(len(values)), inner), outer)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(values, dtype=object).iloc[at].to_numpy()
    found = pd.Series(values).iloc[at]
    return found.to_numpy()


def _plain(column: pd.Series[Any]) -> Any:
    return column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _nests(data: pd.DataFrame, factors: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Factors each level of which occurs with one level of another."""
    found: dict[str, list[str]] = {}
    for inner, outer in itertools.permutations(factors, 2):
        pairs = data[[inner, outer]].drop_duplicates()
        n_inner, n_outer = pairs[inner].nunique(), pairs[outer].nunique()
        if len(pairs) == n_inner > n_outer:
            found.setdefault(inner, []).append(outer)
    return {name: tuple(outer) for name, outer in found.items()}


def _no_column(model: StatedModel, name: str, columns: list[str]) -> DataError:
    if name in model.formula.columns_of("group"):
        return DataError(
            f"`{name}` is a grouping factor, and marginal means are about the population of its "
            f"levels; group_coefficients({name!r}) and predictions(by={name!r}) are about them"
        )
    if name in model.formula.columns_of("effect"):
        return DataError(
            f"`{name}` enters through the groups' effects alone, which are zero in the population; "
            f"predictions(by={name!r}) averages over the groups of the data"
        )
    if name in model.formula.columns_of("fixed", "offset"):
        known = ", ".join(f"`{column}`" for column in columns) or "none"
        return DataError(f"`{name}` is no predictor here; there are {known}")
    return no_predictor(model, name)
