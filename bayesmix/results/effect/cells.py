"""Rows of a grid, as they are and a step to either side, and tables of their averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.errors import DataError
from bayesmix.laws.averages import Cells, Transform
from bayesmix.laws.request import PredictionRequest
from bayesmix.results.effect.contrasts import numeric_column, slope_step
from bayesmix.results.effect.counterfactual import Grid, counterfactual_rows
from bayesmix.results.tabular.tables import text_column

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.laws.rows import Rows

__all__ = ["cells_of", "either_side", "joined", "own_values", "table_of_cells"]


def own_values(grid: Grid, point: Mapping[str, Any], name: str) -> np.ndarray:
    """Values of a numeric predictor before it is changed, shape (n,)."""
    if name not in point and name not in grid.frame.columns:
        raise DataError(f"the data have no column `{name}`, which is to be changed")
    values = point[name] if name in point else grid.frame[name]
    return numeric_column(name, values, len(grid.frame))


def either_side(
    law: Law,
    grid: Grid,
    point: Mapping[str, Any],
    name: str,
    step: float | None,
    request: PredictionRequest,
) -> tuple[Law, tuple[Rows, ...], np.ndarray]:
    """Rows a step above and a step below, with their law, and the distance between the two."""
    default, lowest, highest = slope_step(law.model, name)
    own = own_values(grid, point, name)
    h = default if step is None else float(step)

    def rows(ends: Sequence[np.ndarray]) -> tuple[Law, tuple[Rows, ...]]:
        versions = [{**point, name: end} for end in ends]
        return counterfactual_rows(law, grid.frame, versions, request)

    ends = (own + h, own - h)
    try:
        return *rows(ends), ends[0] - ends[1]
    except DataError:  # beyond the domain of a logarithm, the knots of a spline
        low, high = np.minimum(lowest, own), np.maximum(highest, own)
        ends = (np.minimum(own + h / 100, high), np.maximum(own - h / 100, low))
        return *rows(ends), ends[0] - ends[1]


def cells_of(
    grid: Grid, parts: tuple[Rows, ...], name: str, transform: Transform,
    divisor: np.ndarray | None = None,
) -> Cells:  # fmt: skip
    """The rows of a grid as cells to average; `divisor` is a step for slopes."""
    return Cells(
        parts=parts,
        weight=grid.weight if divisor is None else grid.weight / divisor,
        cell=grid.cell,
        n_cells=grid.n_cells,
        transform=transform,
        name=name,
    )


def table_of_cells(
    keys: Mapping[str, Any], grid: Grid, summary: np.ndarray, rows: Rows
) -> pd.DataFrame:
    """Key columns, then the summary; a row per cell."""
    n = grid.n_cells
    columns = {
        name: text_column([value] * n) if isinstance(value, str) else [value] * n
        for name, value in keys.items()
    }
    names = ("estimate", "sd", "lower", "upper")
    numbers = dict(zip(names, summary, strict=True))
    left = pd.DataFrame(columns, index=range(n))
    table = pd.concat([left, grid.keys, pd.DataFrame(numbers)], axis=1)
    if grid.cell is None:
        table.index = rows.labels
    return table


def joined(tables: list[pd.DataFrame], grid: Grid, note: str = "") -> pd.DataFrame:
    """Put tables below each other, with what is to be said of them."""
    table = pd.concat(tables, ignore_index=grid.cell is not None)
    if note:
        table.attrs["note"] = note
    return table
