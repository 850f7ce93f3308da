"""The pictures of an empirical Bayes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.results.pictures.curves import CurveKind
from bayesmix.results.pictures.fit_plots import FitPlots, PointEstimates
from bayesmix.results.predict.request import PredictionRequest
from bayesmix.results.predict.rows import Rows

if TYPE_CHECKING:
    from bayesmix.gaussian.conditional import Conditional

__all__ = ["ModePlots"]


class ModePlots(FitPlots):
    """Estimates as pictures."""

    _conditional: Conditional

    if TYPE_CHECKING:

        @property
        def _family_values(self) -> Mapping[str, np.ndarray]: ...

        def _means(self, rows: Rows) -> np.ndarray: ...

        def _expected_mean(self, rows: Rows, request: PredictionRequest) -> np.ndarray: ...

    def _point_estimates(self) -> PointEstimates:
        return self._conditional.beta, self._conditional.b, self._family_values

    def _mean_of_rows(self, rows: Rows, kind: CurveKind) -> np.ndarray:
        if kind == "linear":
            return self._means(rows)
        return self._expected_mean(rows, PredictionRequest())
