"""Along which predictors a picture is drawn, and where the others are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, DataError, NotSupportedError

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["Axis", "by_axis_of", "held_values", "is_ordered", "x_axis_of"]

_GRID = 101  # points of the population's line
_MOST_BY = 7  # colours that are told apart
_FEW = 4  # values of a number that each have their colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A predictor of the picture.

    Attributes
    ----------
    name : str
    values : list
        Where predictions are made: of a number, or the levels of a factor.
    labels : tuple of str
        Names of a factor's levels, or of the colours; empty for a number along the x axis.
    position : ndarray, shape (n,)
        The number of each row of the data, or that of its level or colour.
    """

    name: str
    values: list[Any]
    labels: tuple[str, ...]
    position: np.ndarray


def _predictors(model: StatedModel) -> list[str]:
    formula = model.whole_formula
    return list(dict.fromkeys([*formula.columns_of("fixed", "effect"),
                               *formula.columns_of("offset")]))  # fmt: skip


def _is_factor(model: StatedModel, name: str) -> bool:
    dtype = model.design.frame[name].dtype
    return (
        isinstance(dtype, pd.CategoricalDtype)
        or dtype.kind == "b"
        or name in model.whole_formula.categorical
    )


def is_ordered(model: StatedModel, name: str) -> bool:
    """Whether the values of a predictor have an order, so that lines may join them."""
    dtype = model.design.frame[name].dtype
    ordered = dtype.ordered if isinstance(dtype, pd.CategoricalDtype) else dtype.kind in "iuf"
    return bool(ordered)


def _factor_values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return np.unique(column.to_numpy()).tolist()


def _factor_axis(model: StatedModel, name: str) -> Axis:
    column = model.design.frame[name]
    values = _factor_values(column)
    position = pd.Index(values).get_indexer(pd.Index(column.to_numpy()))
    return Axis(name=name, values=values, labels=tuple(map(str, values)), position=position)


def x_axis_of(model: StatedModel, x: str | None) -> Axis:
    """Return the axis along which the lines run: by default the first numeric predictor."""
    known = _predictors(model)
    if not known:
        raise NotSupportedError(
            f"the model {model.formula} has no predictor to draw along; plot_group_effects() "
            "shows its groups"
        )
    if x is None:
        numeric = [name for name in known if not _is_factor(model, name)]
        x = (numeric or known)[0]
    _check_predictor(model, "x", x, known)
    if _is_factor(model, x):
        return _factor_axis(model, x)
    column = model.design.frame[x].to_numpy(dtype=np.float64)
    grid = np.linspace(column.min(), column.max(), _GRID).tolist()
    return Axis(name=x, values=grid, labels=(), position=column)


def by_axis_of(model: StatedModel, by: str, x: str) -> Axis:
    """Return the predictor whose values have a colour each."""
    known = [name for name in _predictors(model) if name != x]
    _check_predictor(model, "by", by, known)
    if _is_factor(model, by):
        found = _factor_axis(model, by)
        if len(found.values) > _MOST_BY:
            raise NotSupportedError(
                f"by={by!r} has {len(found.values)} levels, and {_MOST_BY} colours are told "
                f"apart; draw it along the x axis, x={by!r}"
            )
        return found
    column = model.design.frame[by].to_numpy(dtype=np.float64)
    values = np.unique(column)
    if len(values) > _FEW:
        mean, sd = float(column.mean()), float(column.std(ddof=1))
        values = np.asarray([mean - sd, mean, mean + sd])
    nearest = np.abs(column[:, None] - values).argmin(axis=1)
    labels = tuple(f"{value:.3g}" for value in values)
    return Axis(name=by, values=values.tolist(), labels=labels, position=nearest)


def _check_predictor(model: StatedModel, argument: str, name: Any, known: list[str]) -> None:
    if name in known:
        return
    if not isinstance(name, str):
        raise ArgumentError(f"{argument}={name!r} must be the name of a predictor")
    if name in model.whole_formula.grouping_factors:
        advice = f"it is a grouping factor: group={name!r} draws a line for each of its levels"
    elif name in model.design.mu.fixed_effects or name in model.design.mu.terms:
        advice = f"that is a term; its columns are {', '.join(known)}"
    else:
        listed = ", ".join(map(repr, known)) or "no other"
        advice = did_you_mean(name, known).strip() or f"there is {listed}"
    raise ArgumentError(f"{argument}={name!r} is no predictor of the model; {advice}")


def held_values(model: StatedModel, drawn: list[str], at: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every column that a prediction needs beside the groups'."""
    frame, formula = model.design.frame, model.whole_formula
    predictors = _predictors(model)
    held: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if name in predictors:
            held[name] = column.mode().iloc[0] if _is_factor(model, name) else column.mean()
        elif set(formula.columns.get(name, ())) - {"group"}:  # a number of trials, a limit
            numeric = column.dtype.kind in "iuf"
            if "trials" in model.rows:  # a share of nothing cannot be drawn
                column = column[model.rows["trials"] > 0]
            held[name] = (
                float(column.quantile(interpolation="nearest"))
                if numeric
                else column.mode().iloc[0]
            )
    for row, name in model.row_columns.items():
        held.setdefault(name, float(np.median(model.design.row_data[row])))
    if not isinstance(at, Mapping):
        raise ArgumentError(f'at={at!r} must be a dict of columns and values, as {{"x": 1}}')
    for name, value in at.items():
        if name in drawn or name not in held:
            others = [repr(other) for other in predictors if other not in drawn]
            raise ArgumentError(
                f"at={{{name!r}: ...}} is no predictor that is held; there is "
                f"{', '.join(others) or 'none'}"
            )
        held[name] = _checked_value(model, name, value)
    return held


def _checked_value(model: StatedModel, name: str, value: Any) -> Any:
    if name not in model.design.frame:
        return value
    column = model.design.frame[name]
    if _is_factor(model, name):
        known = _factor_values(column)
        if value not in known:
            raise DataError(
                f"at={{{name!r}: {value!r}}}: `{name}` has the levels "
                f"{', '.join(map(repr, known[:12]))}"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise DataError(f"at={{{name!r}: {value!r}}}: `{name}` is a number")
    return float(value)
