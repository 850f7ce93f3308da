"""Which points of a reference grid are averaged, and with which weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from bayesmix.results.means.grid import ReferenceGrid

__all__ = ["Averaging", "Weights", "averaging"]

Weights = Literal["equal", "proportional", "cells"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaging:
    """Averages over a grid.

    Attributes
    ----------
    keys : DataFrame, K rows
        Values of the columns by which there are results.
    weights : sparse matrix, shape (K, n)
        Rows sum to one; a row that is zero has no rows of the data to take weights from.
    over : tuple of str
        Columns that are averaged over.
    """

    keys: pd.DataFrame
    weights: sparse.csr_matrix
    over: tuple[str, ...]


def averaging(
    grid: ReferenceGrid, factors: Sequence[str], by: Sequence[str], kind: Weights
) -> Averaging:
    """Average the points of a grid that share the values of some columns.

    Parameters
    ----------
    grid : ReferenceGrid
    factors, by : sequence of str
        These columns; means of one level of `by` stand together.
    kind : {"equal", "proportional", "cells"}

    Returns
    -------
    Averaging
    """
    frame, names = grid.frame, (*by, *factors)
    over = tuple(name for name in grid.levels if name not in names and len(grid.levels[name]) > 1)
    n = len(frame)
    if names:
        keys = frame[list(names)]
        order = {name: {v: i for i, v in enumerate(grid.levels[name])} for name in names}
        codes = np.stack([keys[name].map(order[name]).to_numpy() for name in names], axis=1)
        _, first, cell = np.unique(codes, axis=0, return_index=True, return_inverse=True)
        keys, cell = keys.iloc[first].reset_index(drop=True), cell.reshape(-1)
        keys = keys[[*factors, *by]]
    else:
        keys, cell = pd.DataFrame(index=range(1)), np.zeros(n, dtype=np.int64)
    weight = _weight(grid, names, over, kind)
    total = np.bincount(cell, weights=weight, minlength=len(keys))
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(total[cell] > 0, weight / total[cell], 0.0)
    A = sparse.csr_matrix((weight, (cell, np.arange(n))), shape=(len(keys), n))
    return Averaging(keys=keys, weights=A, over=over)


def _weight(
    grid: ReferenceGrid, names: Sequence[str], over: Sequence[str], kind: Weights
) -> np.ndarray:
    frame = grid.frame
    counted = [name for name in over if name in grid.counted]
    if kind == "equal":
        return _equal(grid, over)
    # Values that at= gives a number are equally many.
    free = _equal(grid, [name for name in over if name not in grid.counted])
    by = counted if kind == "proportional" else [n for n in grid.counted if n in names] + counted
    if not by:
        return free
    counts = grid.count.groupby(by, dropna=False, observed=True).size()
    keys = frame[by[0]] if len(by) == 1 else pd.MultiIndex.from_frame(frame[by])
    found = counts.reindex(keys).fillna(0).to_numpy(dtype=np.float64)
    return np.asarray(found * free)


def _equal(grid: ReferenceGrid, over: Sequence[str]) -> np.ndarray:
    """Equal weights, in which nested levels count equally within each level around them."""
    weight = np.ones(len(grid.frame))
    for name in over:
        outer = list(grid.nests.get(name, ()))
        if outer:
            sizes = grid.frame.groupby(outer, dropna=False, observed=True)[name].transform(
                "nunique"
            )
            weight /= sizes.to_numpy(dtype=np.float64)
    return weight
