"""Averages of a fit by Laplace's approximation: expected means, with the spread of draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from bayesmix.results.effect.averages import Cells, Source
from bayesmix.results.predict.request import PredictionRequest

__all__ = ["ExpectedSource"]


class ExpectedSource:
    """Averages of what `predict` says of the rows, with the spread of draws given the data.

    On the scale of the linear predictor the distribution is normal and all is exact.

    Parameters
    ----------
    fit : LaplaceFit
    draws, exact : Source
        Sources of the spread, and of averages of the linear predictor.
    """

    def __init__(self, fit: Any, draws: Source, exact: Source) -> None:
        self._fit = fit
        self._draws = draws
        self._exact = exact

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""
        if request.kind == "linear":
            return self._exact.summaries(cells, request)
        if cells.name == "identity" and cells.cell is None:
            return np.stack(self._fit._summaries(cells.parts[0], request))
        at = np.arange(cells.n_cells) if cells.cell is None else cells.cell
        A = sparse.csr_matrix((cells.weight, (at, np.arange(len(at)))), (cells.n_cells, len(at)))
        averages = [A @ self._fit._expected_mean(rows, request) for rows in cells.parts]
        out = self._draws.summaries(cells, request)
        with np.errstate(all="ignore"):
            out[0] = cells.transform(*averages)
        return out
