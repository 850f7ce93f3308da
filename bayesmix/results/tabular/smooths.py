"""The table of smooths."""

from __future__ import annotations

import pandas as pd

from bayesmix.errors import NotSupportedError
from bayesmix.laws.base import Asked, IntervalMethod, asks_the_law
from bayesmix.laws.summaries import IntervalKind, Point
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular import tables

__all__ = ["SmoothTables"]


class SmoothTables(HasLaw):
    """How wiggly the smooths of a fit are."""

    @asks_the_law
    def smooths(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
    ) -> pd.DataFrame:
        """Summarise the smooths: effective degrees of freedom, and sd of their effects.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics, ci_method
            As in `variance_components`, for the standard deviation.

        Returns
        -------
        DataFrame
            One row per smooth and standard deviation: term, basis, k (its number of
            functions), edf, part (which functions, where a smooth has several standard
            deviations), sd, lower, upper; for draws ess_bulk, ess_tail, r_hat. The degrees
            of freedom are those of the whole term with what is not penalised, as mgcv counts
            them: the trace of the hat matrix over its columns, at the estimates, or the mean
            over draws. The sd is that of the curve around what is not penalised, in units
            of the linear predictor.

        Raises
        ------
        NotSupportedError
            If the model has no smooths.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ s(Days, k=5) + (1 | Subject)", sleep).fit_eb()
        >>> eb.smooths()[["term", "basis", "k"]].values.tolist()
        [['s(Days)', 'tp', 5]]
        """
        if not self.model.design.mu.smooths:
            raise NotSupportedError(
                f"the model {self.model.formula} has no smooths; write s(x) in the formula"
            )
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method,
        )  # fmt: skip
        return tables.smooths_table(self._law, asked)
