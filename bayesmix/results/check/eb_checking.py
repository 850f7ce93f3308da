"""Checking an empirical Bayes fit: the data beside replicates at the estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from bayesmix.results.check.check_data import (
    Calibration,
    CheckData,
    check_data,
    replicates_wanted,
)
from bayesmix.results.check.drawing import draw_check
from bayesmix.results.predict.eb_prediction import PredictsAtModes

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor

__all__ = ["ChecksAtModes"]


class ChecksAtModes(PredictsAtModes):
    """What an empirical Bayes fit can be held against: replicates of the data."""

    def check(
        self,
        stat: Callable[[np.ndarray], float] | str | None = None,
        group: str | None = None,
        *,
        seed: int | None = 0,
    ) -> Any:
        """Draw how the data look beside replicates at the estimates.

        The panels are those of a posterior's `check`. The replicates have the group
        effects at their conditional modes and no uncertainty of the parameters, and the
        calibration is of rows that the fit has seen: a posterior's, which leaves each
        row out, is the stricter one.

        Parameters
        ----------
        stat : callable or {"mean", "sd", "min", "max", "median"}, optional
            A statistic of one's own: takes an array of responses, returns a number.
            Drawn for the whole data, or within each level of `group`.
        group : str, optional
            A grouping factor; the first by default (for `stat`, the whole data).
        seed : int, optional
            Seed of the replicates.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            If `stat` is not a function or one of the known names.
        """
        wanted = replicates_wanted(self.model.design.n_obs)
        replicates = self.simulate(wanted, seed=seed).to_numpy(dtype=np.float64).T
        y = self.model.y
        return draw_check(self.model, y, replicates, stat, group, self._check_data)

    # -- inside ---------------------------------------------------------------

    def _check_data(self, replicates: np.ndarray, factor: GroupingFactor | None) -> CheckData:
        quantile = self.residuals("quantile").to_numpy()
        return check_data(
            self.model,
            self.model.y,
            replicates,
            factor,
            calibration=Calibration(
                pit=special.ndtr(quantile),
                name="in sample",
                quantile=quantile,
                fitted=self.fitted()["estimate"].to_numpy(),
            ),
            pearson=self.residuals("pearson").to_numpy(),
            effects=self._conditional.b,
        )
