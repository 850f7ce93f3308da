"""Averages of a fit by Laplace's approximation: expected means, with the spread of draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from bayesmix.laws.averages import Cells, Source
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows

__all__ = ["ExpectedSource"]


class ExpectedSource:
    """Averages of what `predict` says of the rows, with the spread of draws given the data.

    On the scale of the linear predictor the distribution is normal and all is exact.

    Parameters
    ----------
    summaries : callable
        Estimate, sd, lower and upper of each row.
    expected : callable
        Mean of each row at the estimates, averaged over the effects given the data.
    draws, exact : Source
        Sources of the spread, and of averages of the linear predictor.
    """

    def __init__(
        self, summaries: Callable[[Rows, PredictionRequest], tuple[np.ndarray, ...]],
        expected: Callable[[Rows, PredictionRequest], np.ndarray], draws: Source,
        exact: Source | None = None,
    ) -> None:  # fmt: skip
        self._summaries = summaries
        self._expected = expected
        self._draws = draws
        self._exact = exact

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""
        if request.kind == "linear" and self._exact is not None:
            return self._exact.summaries(cells, request)
        if cells.name == "identity" and cells.cell is None:
            return np.stack(self._summaries(cells.parts[0], request))
        at = np.arange(cells.n_cells) if cells.cell is None else cells.cell
        A = sparse.csr_matrix((cells.weight, (at, np.arange(len(at)))), (cells.n_cells, len(at)))
        averages = [A @ self._expected(rows, request) for rows in cells.parts]
        out = self._draws.summaries(cells, request)
        with np.errstate(all="ignore"):
            out[0] = cells.transform(*averages)
        return out
