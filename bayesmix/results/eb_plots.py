"""The pictures of an empirical Bayes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesmix.results.curves import CurveKind
from bayesmix.results.fit_plots import FitPlots
from bayesmix.results.rows import Rows

if TYPE_CHECKING:
    from bayesmix.gaussian.conditional import Conditional

__all__ = ["ModePlots"]


class ModePlots(FitPlots):
    """Estimates as pictures."""

    _conditional: Conditional

    if TYPE_CHECKING:

        def _means(self, rows: Rows) -> np.ndarray: ...

    def _point_estimates(self) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        return self._conditional.beta, self._conditional.b

    def _mean_of_rows(self, rows: Rows, kind: CurveKind) -> np.ndarray:
        eta = self._means(rows)
        if kind == "linear":
            return eta
        return self.model.family.mean(eta, self._family_values(), rows.per_row)

    def _family_values(self) -> dict[str, np.ndarray]:
        """Estimates of the family's own parameters."""
        table: pd.DataFrame | None = None
        if hasattr(self, "family_parameters"):
            table = self.family_parameters()
        if table is None:
            return {}
        return {
            str(name): np.asarray(value)
            for name, value in zip(table["parameter"], table["estimate"], strict=True)
        }
