"""Checking an empirical Bayes fit: the data beside replicates at the estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from bayesmix.results.check.check_data import Calibration, check_data, statistic_data
from bayesmix.results.predict.eb_prediction import PredictsAtModes

__all__ = ["ChecksAtModes"]

_REPLICATES = 200  # of a picture
_NUMBERS = 20_000_000  # in all of them


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
            Of the replicates.

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
        from bayesmix.plots.check import plot_check, plot_statistic

        design = self.model.design
        wanted = int(np.clip(_NUMBERS // design.n_obs, 20, _REPLICATES))
        replicates = self.simulate(wanted, seed=seed).to_numpy(dtype=np.float64).T
        if stat is not None:
            by = design.group(group) if group is not None else None
            return plot_statistic(statistic_data(stat, self.model.y, replicates, by))
        factor = design.group(group) if group is not None else (*design.groups, None)[0]
        quantile = self.residuals("quantile").to_numpy()
        data = check_data(
            self.model,
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
        return plot_check(data)
