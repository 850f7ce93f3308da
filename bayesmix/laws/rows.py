"""The rows that a prediction is for: those of the fit, or new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.design import Design, design_rows
from bayesmix.design.frame import column_names, prepare_column, select_columns
from bayesmix.design.rowdata import positive_values, response_extras, row_column
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.formula.quoting import encode
from bayesmix.laws.request import Kind

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

# Censoring and exponents belong to observations that were made.
_OF_NEW_ROWS = {
    "weights": "precision weight",
    "known_se": "standard error",
    "trials": "number of trials",
    "lower": "lower limit of the truncation",
    "upper": "upper limit of the truncation",
}

__all__ = ["Rows", "levels_of", "new_rows", "rows_of_fit", "rows_to_predict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a prediction needs to know of its rows.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    offset : ndarray, shape (n,), or None
    Z : mapping of str to ndarray, shape (n, q)
    index : mapping of str to ndarray of int, shape (n,)
        Level of each row by grouping factor, -1 where it is new or missing; of smooths only,
        whose one level has every row, where levels play no part.
    new_levels : mapping of str to ndarray of object
        Labels of the rows whose level is -1; None where it is missing.
    labels : Index, length n
        Row labels of the caller's data.
    positions : ndarray of int, shape (n,)
        Positions in the caller's data.
    per_row : mapping of str to ndarray, shape (n,)
        Weights, known standard errors, trials: what the family wants beside y.
    left_out : ndarray, shape (n, P - p), or None
        The formula's columns that are not in X, where some were left out as aliased;
        None for rows of the fit, which all have an estimate.
    others : mapping of str to Rows
        By parameter of the family that has a linear predictor of its own, the same rows
        of that; empty where mu's linear predictor is all that is wanted.
    """

    X: np.ndarray
    offset: np.ndarray | None
    Z: Mapping[str, np.ndarray]
    index: Mapping[str, np.ndarray]
    new_levels: Mapping[str, np.ndarray]
    labels: pd.Index[Any]
    positions: np.ndarray
    per_row: Mapping[str, np.ndarray]
    left_out: np.ndarray | None = None
    others: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return len(self.X)

    def with_new_groups(self, design: Design, parameter: str = "mu") -> Rows:
        """Return the same rows, with a new level in place of every level.

        Rows that share a level share the new one.

        Parameters
        ----------
        design : Design
            The design of the fit whose rows these are.
        parameter : str
            Whose linear predictor they are of.
        """
        every = design.predictors[parameter].all_groups
        grouping = [g for g in every if not g.is_smooth and g.name in self.index]
        labels = {g.name: g.levels.labels[self.index[g.name]] for g in grouping}
        return replace(
            self,
            index={**self.index, **{g.name: np.full_like(g.index, -1) for g in grouping}},
            new_levels={**self.new_levels, **labels},
            others={name: rows.with_new_groups(design, name) for name, rows in self.others.items()},
        )


def levels_of(*parts: Rows) -> dict[str, np.ndarray]:
    """Levels that some of the rows have, by grouping factor."""
    return {
        name: np.unique(np.concatenate([rows.index[name][rows.index[name] >= 0] for rows in parts]))
        for name in parts[0].index
    }


def rows_of_fit(model: StatedModel, kind: Kind) -> Rows:
    """The rows of the fit, with their effects and levels."""
    return rows_to_predict(model, None, effects=True, levels=True, kind=kind)


def rows_to_predict(
    model: StatedModel,
    data: Any,
    *,
    effects: bool,
    levels: bool,
    kind: Kind,
    forecast: bool = False,
    parameter: str = "",
) -> Rows:
    """Gather the rows of a prediction.

    Parameters
    ----------
    model : Model
    data : table, or None
        None for the rows of the fit.
    effects, levels : bool
        Whether the columns that vary by group, and those of the levels, matter.
    kind : {"mean", "response", "linear", "probability"}
        What is predicted: a response may need weights, known standard errors or
        trials.
    forecast : bool
        Whether rows of known series continue from what was observed.
    parameter : str
        The one parameter of the family whose rows are wanted; empty for the response's.

    Returns
    -------
    Rows

    Raises
    ------
    DataError
        If the data do not fit the model.
    NotSupportedError
        If probabilities of categories are asked for where there are none.
    """
    design = model.design
    if kind == "mean" and model.family.is_nominal and not parameter:
        model.family.mean(np.zeros(0), {})  # refuses
    if kind == "probability" and not model.family.categories(design.response):
        raise NotSupportedError(
            'kind="probability" is for categories, as of family="cumulative"; the family is '
            f'{model.family}: kind="mean" is the expected response (of a bernoulli response the '
            "probability of 1)"
        )
    if data is None and parameter:
        return _rows_of_fit(design, parameter, effects=effects, levels=levels)
    if data is None:
        parts = {
            name: _rows_of_fit(design, name, effects=effects, levels=levels)
            for name in design.predictors
        }
        mu = replace(parts.pop("mu"), per_row=dict(model.rows))
        return replace(mu, others=parts)
    return new_rows(
        model, data, effects=effects, levels=levels, kind=kind, forecast=forecast,
        parameter=parameter,
    )  # fmt: skip


def new_rows(
    model: StatedModel, data: Any, *, effects: bool, levels: bool, kind: Kind,
    forecast: bool = False, parameter: str = "",
) -> Rows:  # fmt: skip
    """Gather new rows, each predictor's; the arguments are those of `rows_to_predict`.

    Where a `parameter` is named they are of its predictor alone.
    """
    design = model.design
    if parameter:
        return _new_rows(design, data, parameter, effects=effects, levels=levels)
    wanted = ("mu",) if kind == "linear" else tuple(design.predictors)
    parts = {name: _new_rows(design, data, name, effects=effects, levels=levels) for name in wanted}
    mu = parts.pop("mu")
    return replace(
        mu, per_row=new_per_row(model, data, mu.labels, kind, forecast=forecast), others=parts
    )


def _rows_of_fit(design: Design, parameter: str, *, effects: bool, levels: bool) -> Rows:
    predictor = design.predictors[parameter]
    varying = [g for g in predictor.all_groups if effects or g.is_smooth]
    placed = [g for g in predictor.all_groups if levels or g.is_smooth]
    return Rows(
        X=predictor.X,
        offset=predictor.offset,
        Z={g.name: g.Z for g in varying},
        index={g.name: g.index for g in placed},
        new_levels={g.name: np.zeros(0, dtype=object) for g in placed},
        labels=design.row_labels,
        positions=design.row_positions,
        per_row={},
    )


def _new_rows(design: Design, data: Any, parameter: str, *, effects: bool, levels: bool) -> Rows:
    found = design_rows(design, data, parameter=parameter, effects=effects, levels=levels)
    return Rows(
        X=found.X,
        offset=found.offset,
        Z=found.Z,
        index=found.index,
        new_levels=found.new_levels,
        labels=found.row_labels,
        positions=np.arange(len(found.X)),
        per_row={},
        left_out=found.left_out,
    )


def new_per_row(
    model: StatedModel, data: Any, labels: pd.Index[Any], kind: Kind, *, forecast: bool = False
) -> dict[str, np.ndarray]:
    """Find weights, known standard errors or trials of new rows, where they matter.

    Raises
    ------
    DataError
        If a response is to be predicted and they are not there.
    """
    found: dict[str, np.ndarray] = {}
    if kind == "linear":
        return found
    known = column_names(data)
    given = model.design.residual
    if given is not None and (forecast or kind == "response"):
        columns = tuple(dict.fromkeys([*given.levels.columns, *given.coordinates]))
        if set(columns) <= set(known):  # else rows are in no known series
            found |= given.of_new(select_columns(data, columns).reset_index(drop=True), labels)
        elif model.residual is not None and model.residual.sd_by_place:
            raise DataError(
                f'kind="response" needs {", ".join(f"`{c}`" for c in columns)} of each row: '
                f"{model.residual.in_words} have a standard deviation for each place"
            )
    for name in model.rows:
        if name not in _OF_NEW_ROWS:
            continue
        values, why_not = _new_values(name, model, data, known, labels, kind)
        if values is not None:
            found[name] = values
        elif kind == "response" or (name == "trials" and kind != "probability"):
            hint = "; of one trial the mean is the probability" if kind == "mean" else ""
            raise DataError(
                f'kind="{kind}" needs the {_OF_NEW_ROWS[name]} of each row, and {why_not} '
                f'(kind="linear" does not need it{hint})'
            )
    return found


def _new_values(
    name: str, model: StatedModel, data: Any, known: list[str], labels: pd.Index[Any], kind: Kind
) -> tuple[np.ndarray | None, str]:
    """Values of one of these for new rows, or why there are none."""
    formula = model.formula
    piece = formula.extras.get(name)
    if piece is not None:  # said by the left-hand side
        needed = [column for column in formula.columns if _mentions(piece.expr, column)]
        lacking = [column for column in needed if column not in known]
        if lacking:
            advice = ""
            if name == "trials" and formula.counts:
                advice = f"; {formula.response.text} | trials(n) ~ ... names a column of totals"
            return None, f"the new data have no column `{lacking[0]}`{advice}"
        frame = select_columns(data, needed).reset_index(drop=True)
        prepared = pd.DataFrame(
            {c: prepare_column(frame[c]) for c in needed}, index=range(len(labels))
        )
        only = replace(formula, extras={name: piece})
        extras = response_extras(
            only, prepared, model.design.functions, labels, whole_trials=kind == "response"
        )
        return extras[name], ""
    column = model.row_columns.get(name)
    if column is None:
        return None, (
            f"the model was given {name}= as an array, which says nothing of new rows; give it a "
            "column's name"
        )
    if column not in known:
        return None, f"the new data have no column `{column}`"
    values = row_column(name, column, data, known, len(labels))
    return positive_values(name, values, labels), ""


def _mentions(expr: str, column: str) -> bool:
    """Whether a checked expression uses a column."""
    return re.search(rf"(?<![\w.]){re.escape(encode(column))}(?!\w)", expr) is not None
