"""Which averages and comparisons the data do not determine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from bayesmix.arguments import plain
from bayesmix.design.aliasing import Aliasing, Departure
from bayesmix.families import Family
from bayesmix.laws.averages import Cells
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows
from bayesmix.results.predict.estimable import warn_not_estimable

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["UnknownCells"]


class UnknownCells:
    """Sets the results of cells to NaN that are not estimable, and warns of all of them once.

    Where predictions are linear in the coefficients, an average is estimable if the
    average of the rows' columns is, and a difference if that of the columns is: what is
    not known may cancel. Elsewhere every row has to be.

    Parameters
    ----------
    model : Model
    request : PredictionRequest
    """

    def __init__(self, model: StatedModel, request: PredictionRequest) -> None:
        self._design = model.design
        self._parameter = request.parameter or "mu"
        self._linear = request.kind == "linear" or (
            not request.parameter and _is_linear(model.family)
        )
        self._n_cells = 0
        self._n_unknown = 0
        self._first = ""
        self._columns: dict[str, np.ndarray] = {}

    def masked(
        self, summary: np.ndarray, cells: Cells, keys: Mapping[str, Any], by: pd.DataFrame
    ) -> np.ndarray:
        """Return the summaries, shape (4, cells), with NaN for cells without an estimate.

        Parameters
        ----------
        summary : ndarray, shape (4, cells)
        cells : Cells
        keys : mapping
            What all of the cells share: term, contrast, values of `at`.
        by : DataFrame, a row per cell
            The columns of `by`.
        """
        self._n_cells += cells.n_cells
        unknown = np.zeros(cells.n_cells, dtype=bool)
        others = () if self._linear else cells.parts[0].others
        for parameter in (self._parameter, *others):
            own = cells
            if parameter != self._parameter:
                own = replace(cells, parts=tuple(rows.others[parameter] for rows in cells.parts))
            aliasing = self._design.predictors[parameter].aliasing
            if aliasing is None or any(rows.left_out is None for rows in own.parts):
                continue
            found = self._found(aliasing, own)
            unknown |= found.any(axis=1)
            known = self._columns.get(parameter, np.zeros(found.shape[1], dtype=bool))
            self._columns[parameter] = known | found.any(axis=0)
        if not unknown.any():
            return summary
        if not self._n_unknown:
            at = int(np.flatnonzero(unknown)[0])
            named = {**keys, **{str(name): by[name].iloc[at] for name in by.columns}}
            words = [f"{name} {plain(value)!s}" for name, value in named.items()]
            if cells.cell is None:
                words.append(f"row {plain(cells.parts[0].labels[at])!s}")
            self._first = f" (first: {', '.join(words)})" if words else ""
        self._n_unknown += int(unknown.sum())
        return np.where(unknown, np.nan, summary)

    def warn(self) -> None:
        """Warn of the cells without an estimate, if there are any.

        Warns
        -----
        NotEstimableWarning
        """
        if self._n_unknown:
            what = f"{self._n_unknown} of {self._n_cells} results{self._first}"
            for parameter, columns in self._columns.items():
                if columns.any():
                    warn_not_estimable(what, self._design.predictors[parameter], columns)

    def _found(self, aliasing: Aliasing, cells: Cells) -> np.ndarray:
        """Whether cells depart from the data, by left-out column; shape (cells, m)."""
        if cells.name == "difference":
            high, low = cells.parts
            change = aliasing.of_changes(_columns(high), _columns(low))
            if self._linear:
                return _average(cells, change).found
            return _any(cells, change.found | aliasing.of_rows(*_columns(low)).found)
        parts = [aliasing.of_rows(*_columns(rows)) for rows in cells.parts]
        if self._linear:
            found = [_average(cells, part).found for part in parts]
        else:
            found = [_any(cells, part.found) for part in parts]
        return np.asarray(np.logical_or.reduce(found))


def _is_linear(family: Family) -> bool:
    """Whether the mean is the linear predictor itself."""
    return family.mean_is_linear


def _columns(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    assert rows.left_out is not None  # noqa: S101
    return rows.X, rows.left_out


def _average(cells: Cells, rows: Departure) -> Departure:
    if cells.cell is None:
        return rows
    n = len(cells.weight)
    A = sparse.csr_matrix((cells.weight, (cells.cell, np.arange(n))), shape=(cells.n_cells, n))
    return Departure(value=A @ rows.value, tolerance=np.abs(A) @ rows.tolerance)


def _any(cells: Cells, rows: np.ndarray) -> np.ndarray:
    if cells.cell is None:
        return rows
    found = np.zeros((cells.n_cells, rows.shape[1]), dtype=bool)
    np.logical_or.at(found, cells.cell, rows)
    return found
