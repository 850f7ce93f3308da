"""Averages at the modes without a standard error where an estimate has run away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from bayesmix.inference.determined import Determined
from bayesmix.laws.averages import Cells, Source
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows

__all__ = ["DeterminedCells"]


class DeterminedCells:
    """The summaries of a source, with NaN for spreads that nothing is known about.

    On the scale of the link an average is lost where it changes along a flat direction. On
    that of the response a separated row has the mean that the estimates tend to, exactly,
    and takes nothing from the spread of an average in which others stand beside it; where
    all rows of an average are separated, that is no statement about its uncertainty.

    Parameters
    ----------
    source : Source
    determined : Determined
        What is known of the fixed effects.
    columns : callable, optional
        The columns of all fixed effects for some rows; those of the rows by default.
    linear : bool
        Whether means are linear predictors too.
    unknown : callable, optional
        Which rows have a mean of which the data tell nothing; those whose linear predictor
        has no estimate by default.
    """

    def __init__(
        self, source: Source, determined: Determined,
        columns: Callable[[Rows], np.ndarray] = lambda rows: rows.X, *, linear: bool = False,
        unknown: Callable[[Rows], np.ndarray] | None = None,
    ) -> None:  # fmt: skip
        self._linear = linear
        self._source = source
        self._determined = determined
        self._columns = columns
        self._unknown = unknown or (lambda rows: determined.unknown(columns(rows)))

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""
        out = self._source.summaries(cells, request)
        if not self._determined.flat.shape[1]:
            return out
        linear = self._linear or request.kind == "linear"
        if linear and cells.name in {"identity", "difference"}:
            X = [_averaged(cells, self._columns(rows)) for rows in cells.parts]
            moves = X[0] - X[1] if len(X) == 2 else X[0]
            lost, unknown = self._determined.lost(moves), self._determined.unknown(moves)
        else:
            lost = np.zeros(cells.n_cells, dtype=bool)
            unknown = np.zeros(cells.n_cells, dtype=bool)
            for rows in cells.parts:
                X_of_rows = self._columns(rows)
                there = self._determined.lost(X_of_rows)
                nowhere = self._unknown(rows)
                if linear:
                    unknown |= self._determined.unknown(_averaged(cells, X_of_rows))
                elif cells.cell is None:
                    unknown |= nowhere
                else:
                    counts = cells.weight != 0
                    unknown |= np.bincount(
                        cells.cell[counts & nowhere], minlength=cells.n_cells
                    ).astype(bool)
                if linear:
                    lost |= self._determined.lost(_averaged(cells, X_of_rows))
                elif cells.cell is None:
                    lost |= there
                else:
                    counts = cells.weight != 0
                    left = np.bincount(cells.cell[counts & ~there], minlength=cells.n_cells)
                    lost |= left == 0
        out[1:, lost | unknown] = np.nan
        out[0, unknown] = np.nan
        return out


def _averaged(cells: Cells, X: np.ndarray) -> np.ndarray:
    """Averages of the rows of the design, shape (cells, p)."""
    if cells.cell is None:
        return X * cells.weight[:, None]
    n = len(cells.weight)
    A = sparse.csr_matrix((cells.weight, (cells.cell, np.arange(n))), shape=(cells.n_cells, n))
    return np.asarray(A @ X)
