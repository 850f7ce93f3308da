"""Predictions along one predictor: the population's line, the levels' own, and the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of, whole_number
from bayesmix.errors import NotSupportedError
from bayesmix.laws.rows import Rows, rows_to_predict
from bayesmix.results.pictures.axes import (
    Axis,
    by_axis_of,
    held_values,
    is_ordered,
    x_axis_of,
)
from bayesmix.results.predict.estimable import quietly, unknown_rows

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["CurveKind", "Curves", "curves_of"]

CurveKind = Literal["mean", "response", "linear"]

_LEVEL_GRID = 25  # of a level's
_WINDOW = 11  # points of the line that a simulated band is steadied over
_POINTS = 4000  # of the data


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What a picture of predictions shows, in numbers.

    In all tables `x` is the predictor's value, or the number of a factor's level, and
    `by` the number of the colour.

    Attributes
    ----------
    x_label, y_label : str
    factor : tuple of str
        Levels along the x axis; empty for a number.
    ordered : bool
        Whether these have an order, so that lines between them mean something.
    by : str
        The predictor in colours; empty for none.
    by_labels : tuple of str
        One label where there is no second predictor.
    population : DataFrame
        x, by, estimate, lower, upper.
    levels : DataFrame
        level, x, by, estimate: the lines of some levels of the grouping factor.
    points : DataFrame
        x, by, y, status: rows of the data; status is -1 and 1 for censored ones.
    group : str
        Empty if levels have no lines.
    n_levels, n_shown : int
    categories : tuple of str
        Categories of an ordinal response, the lowest first.
    discrete : bool
        Whether the response takes few values, on which points would lie.
    band : str
        What the band holds, in words.
    held : tuple of (str, str)
        Predictors that are not drawn, and the value that each has in all lines.
    """

    x_label: str
    y_label: str
    factor: tuple[str, ...]
    ordered: bool
    by: str
    by_labels: tuple[str, ...]
    population: pd.DataFrame
    levels: pd.DataFrame
    points: pd.DataFrame
    group: str
    n_levels: int
    n_shown: int
    categories: tuple[str, ...]
    discrete: bool
    band: str
    held: tuple[tuple[str, str], ...] = ()


def curves_of(
    model: StatedModel,
    *,
    x: str | None,
    by: str | None,
    group: GroupingFactor | None,
    kind: CurveKind,
    at: Mapping[str, Any],
    marginal: bool,
    data: bool,
    max_levels: int,
    ci_prob: float,
    parameter: str,
    predict: Callable[..., pd.DataFrame],
    mean_of_rows: Callable[[Rows, CurveKind], np.ndarray],
) -> Curves:
    """Compute the lines of a picture.

    Parameters
    ----------
    model : Model
    x, by, kind, at, marginal, data, max_levels, ci_prob
        As of `plot_predictions`.
    group : GroupingFactor or None
    parameter : str
        The parameter of the family that is drawn; empty for the response.
    predict : callable
        As `Posterior.predict`.
    mean_of_rows : callable
        Takes rows and the kind, and returns the predicted means, shape (n,).

    Returns
    -------
    Curves

    Raises
    ------
    NotSupportedError, DataError
        As `plot_predictions`.
    """
    _check_kind(kind)
    whole_number("max_levels", max_levels, 1)
    x_axis = x_axis_of(model, x)
    by_axis = None if by is None else by_axis_of(model, by, x_axis.name)
    held = held_values(model, [a.name for a in (x_axis, by_axis) if a is not None], at)
    n_by = len(by_axis.values) if by_axis else 1
    spots = pd.DataFrame(
        [(i, k) for k in range(n_by) for i in range(len(x_axis.values))], columns=["i", "by"]
    )
    grid = _frame(model, held, x_axis, by_axis, np.asarray(x_axis.values, dtype=object)[spots["i"]],
                  spots["by"].to_numpy())  # fmt: skip
    grid.index = pd.Index(_places(grid, x_axis, by_axis))  # what a warning calls them
    shown = predict(
        grid, kind=kind, groups="population", marginal=marginal, ci_prob=ci_prob,
        parameter=parameter or None,
    )  # fmt: skip
    if kind == "response":  # simulated: its mean would jitter along the line
        with quietly():
            means = predict(grid, groups="population", marginal=marginal, ci_prob=ci_prob)
        shown = shown.assign(estimate=means["estimate"].to_numpy())
        if not x_axis.labels:
            shown[["lower", "upper"]] = _steadied(shown[["lower", "upper"]].to_numpy(), n_by)
    numbers = shown[["estimate", "lower", "upper"]].to_numpy(dtype=np.float64)
    if not parameter:
        numbers = numbers / _trials(model, grid, kind)[:, None]
    places = spots["i"] if x_axis.labels else [x_axis.values[i] for i in spots["i"]]
    population = pd.DataFrame(
        {"x": np.asarray(places, dtype=np.float64), "by": spots["by"],
         **dict(zip(("estimate", "lower", "upper"), numbers.T, strict=True))}
    )  # fmt: skip
    levels = pd.DataFrame({"level": [], "x": [], "by": [], "estimate": []})
    if group is not None and not {x_axis.name} & set(group.levels.columns):
        levels = _level_lines(
            model, group, held, x_axis, by_axis, kind, max_levels, parameter, mean_of_rows
        )
    else:
        group = None
    family = model.family
    return Curves(
        x_label=x_axis.name,
        y_label=_y_label(model, kind, parameter),
        factor=x_axis.labels,
        ordered=is_ordered(model, x_axis.name),
        by=by_axis.name if by_axis else "",
        by_labels=by_axis.labels
        if by_axis
        else ("average over groups" if marginal else "population",),
        population=population,
        levels=levels,
        points=_points(model, x_axis, by_axis, kind, data=data and not parameter),
        group=group.name if group else "",
        n_levels=group.n_levels if group else 0,
        n_shown=min(max_levels, group.n_levels) if group else 0,
        categories=() if parameter or kind == "linear" else _categories(model),
        discrete=family.discrete and len(np.unique(model.y)) <= 12 and "trials" not in model.rows,
        band=f"{100 * ci_prob:g} % "
        + ("of new observations" if kind == "response" else "interval"),
        held=_others(model, held, {a.name for a in (x_axis, by_axis) if a}, parameter),
    )


def _others(
    model: StatedModel, held: Mapping[str, Any], drawn: set[str], parameter: str
) -> tuple[tuple[str, str], ...]:
    """Predictors of what is drawn that are held, and their values as text."""
    own = model.design.predictors[parameter].formula if parameter else model.whole_formula
    used = set(own.columns_of("fixed", "effect", "offset"))
    return tuple(
        (name, f"{value:.3g}" if isinstance(value, float) else str(value))
        for name, value in held.items()
        if name in used and name not in drawn
    )


def _steadied(ends: np.ndarray, n_by: int) -> np.ndarray:
    """Running medians along each line: simulated quantiles jitter, those of counts by steps."""
    lines = ends.reshape(n_by, -1, 2)
    padded = np.pad(lines, ((0, 0), (_WINDOW // 2, _WINDOW // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)
    found: np.ndarray = np.median(windows, axis=-1).reshape(ends.shape)
    return found


# -- the rows of the lines ------------------------------------------------------


def _frame(
    model: StatedModel,
    held: Mapping[str, Any],
    x_axis: Axis,
    by_axis: Axis | None,
    x: np.ndarray,
    by: np.ndarray,
) -> pd.DataFrame:
    """Rows with some x and by, all else as held."""
    columns: dict[str, Any] = {name: [value] * len(x) for name, value in held.items()}
    columns[x_axis.name] = list(x)
    if by_axis is not None:
        columns[by_axis.name] = [by_axis.values[k] for k in by]
    frame = model.design.frame
    return pd.DataFrame({name: _like(frame.get(name), column) for name, column in columns.items()})


def _places(grid: pd.DataFrame, *axes: Axis | None) -> list[str]:
    """Say in words where each row is."""
    drawn = [axis for axis in axes if axis is not None]
    texts = [
        [f"{a.name} {value}" if a.labels else f"{a.name} {value:.4g}" for value in grid[a.name]]
        for a in drawn
    ]
    return [", ".join(parts) for parts in zip(*texts, strict=True)]


def _like(fitted: pd.Series[Any] | None, values: list[Any]) -> Any:
    if fitted is not None and isinstance(fitted.dtype, pd.CategoricalDtype):
        return pd.Series(values, dtype=fitted.dtype)
    return values


def _trials(model: StatedModel, grid: pd.DataFrame, kind: CurveKind) -> np.ndarray:
    """What counts are divided by to make proportions."""
    if "trials" not in model.rows or kind == "linear":
        return np.ones(len(grid))
    rows = rows_to_predict(model, grid, effects=False, levels=False, kind=kind)
    trials = np.asarray(rows.per_row["trials"], dtype=np.float64)
    return np.where(trials > 0, trials, np.nan)  # no share of nothing


# -- levels and data ----------------------------------------------------------


def _level_lines(
    model: StatedModel,
    group: GroupingFactor,
    held: Mapping[str, Any],
    x_axis: Axis,
    by_axis: Axis | None,
    kind: CurveKind,
    max_levels: int,
    parameter: str,
    mean_of_rows: Callable[[Rows, CurveKind], np.ndarray],
) -> pd.DataFrame:
    """Predictions of levels, where x and by were seen in them."""
    predictor = model.design.predictors[parameter or "mu"]
    chosen = np.unique(np.linspace(0, group.n_levels - 1, min(max_levels, group.n_levels)).round())
    by_row = by_axis.position if by_axis else np.zeros(model.design.n_obs, dtype=np.int64)
    seen = pd.DataFrame({"level": group.index, "by": by_row, "x": x_axis.position})
    seen = seen[seen["level"].isin(chosen)]
    parts = []
    for (level, by), places in seen.groupby(["level", "by"], sort=True)["x"]:
        if x_axis.labels or x_axis.name in model.whole_formula.columns_of("position"):
            x = np.unique(places.to_numpy())
        else:
            x = np.linspace(places.min(), places.max(), _LEVEL_GRID)
            x = x if places.min() < places.max() else x[:1]
        parts.append(np.column_stack([np.full(len(x), level), x, np.full(len(x), by)]))
    spots = pd.DataFrame(np.concatenate(parts), columns=["level", "x", "by"])
    spots = spots.astype({"level": np.int64, "by": np.int64})
    at = spots["x"].to_numpy()
    x = np.asarray(x_axis.values, dtype=object)[at.astype(int)] if x_axis.labels else at
    grid = _frame(model, held, x_axis, by_axis, x, spots["by"].to_numpy())
    kept = [other for other in predictor.all_groups if _holds(other, group)]
    row_of_level = pd.Series(np.arange(model.design.n_obs)).groupby(group.index).first()
    rows = model.design.frame.iloc[row_of_level.loc[spots["level"]]].reset_index(drop=True)
    drawn = {x_axis.name} | ({by_axis.name} if by_axis else set())
    for other in predictor.all_groups:
        for column in other.levels.columns:
            if column not in drawn and (other in kept or column not in grid):
                grid[column] = rows[column]
    wanted: CurveKind = "linear" if kind == "linear" else "mean"
    found = rows_to_predict(
        model, grid, effects=True, levels=True, kind=wanted, parameter=parameter
    )
    names = {other.name for other in kept}
    found = replace(
        found,
        index={name: index for name, index in found.index.items() if name in names},
        Z={name: Z for name, Z in found.Z.items() if name in names},
    )
    estimate = mean_of_rows(found, wanted)
    if not parameter:
        estimate = estimate / _trials(model, grid, wanted)
    unknown = unknown_rows(predictor, found)
    if unknown is not None:
        estimate = np.where(unknown.any(axis=1), np.nan, estimate)
    return spots.assign(estimate=estimate)


def _holds(outer: GroupingFactor, inner: GroupingFactor) -> bool:
    """Whether every level of `inner` lies within one level of `outer`."""
    pairs = inner.index.astype(np.int64) * outer.n_levels + outer.index
    return len(np.unique(pairs)) == inner.n_levels


def _points(
    model: StatedModel, x_axis: Axis, by_axis: Axis | None, kind: CurveKind, *, data: bool
) -> pd.DataFrame:
    n = model.design.n_obs
    y = np.asarray(model.y, dtype=np.float64)
    if "trials" in model.rows:
        trials = model.rows["trials"]
        y = y / np.where(trials > 0, trials, np.nan)
    by = by_axis.position if by_axis else np.zeros(n, dtype=np.int64)
    status = model.rows["status"] if "status" in model.rows else np.zeros(n)
    x = x_axis.position.astype(np.float64)
    found = pd.DataFrame({"x": x, "by": by, "y": y, "status": np.asarray(status)})
    found = found[found["y"].notna()]
    if not data or (kind == "linear" and not model.family.mean_is_linear):
        return found.iloc[:0]
    n = len(found)
    return found.iloc[np.linspace(0, n - 1, min(n, _POINTS)).astype(int)].reset_index(drop=True)


# -- words --------------------------------------------------------------------


def _check_kind(kind: Any) -> None:
    if kind == "probability":
        raise NotSupportedError(
            'kind="probability" has a line for each category and is not drawn; kind="mean" draws '
            "the mean category, and a table of predict() has the numbers for a picture of your own"
        )
    one_of("kind", kind, get_args(CurveKind))


def _categories(model: StatedModel) -> tuple[str, ...]:
    return tuple(str(level) for level in model.family.categories(model.design.response))


def _y_label(model: StatedModel, kind: CurveKind, parameter: str) -> str:
    formula, scale = model.formula, model.family.scale_in_words
    if parameter:
        link = model.links[parameter]
        on_link = kind == "linear" and not link.is_identity
        return f"{parameter}, on the {link.name} scale" if on_link else parameter
    category = model.family.seen_category(model.design.response)
    response = formula.response.text
    if kind == "linear" and scale:
        return f"linear predictor of {response}, {scale.removeprefix('the ')}"
    if "trials" in formula.extras:
        trials = formula.extras["trials"].text
        of = trials if trials.isidentifier() or not category else f"({trials})"
        return f"{category or response} / {of}"
    if model.family.binary:
        return f"probability that {response} = {category or _success(model)}"
    return response


def _success(model: StatedModel) -> str:
    dtype = model.design.response.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return str(dtype.categories[1])
    return "True" if dtype.kind == "b" else "1"
