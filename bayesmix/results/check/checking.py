"""Checking a fit: the data beside replicates from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import numpy as np

from bayesmix.laws.calibration import commonest_category
from bayesmix.results.check.check_data import check_data, replicates_wanted
from bayesmix.results.check.drawing import draw_check, draw_streamed_check
from bayesmix.results.having_law import HasLaw
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.predict.batches import rows_in_batches

__all__ = ["Checks"]


class Checks(HasLaw):
    """What any fit can be held against: replicates of the data."""

    @picture
    def check(
        self,
        stat: Callable[[np.ndarray], float] | str | None = None,
        group: str | None = None,
        *,
        seed: int | None = None,
        data: Any = None,
        **look: Unpack[Look],
    ) -> Any:
        """Draw how the data look beside replicates from the fit.

        Without arguments, three panels: the response's distribution over those of
        replicates; the calibration of predictions (where the data fall among their
        replicates, PIT); and residuals against fitted values. With a grouping factor up
        to five more: its estimated effects against their normal distribution; and mean,
        sd, minimum and maximum within each level against replicates, of a response of
        two values the mean alone. Values that are censored are drawn first, from the
        fit and beyond their limit, for all that is compared with replicates (the
        completed data of Gelman et al. 2005).

        Where the response is counts of categories those of the commonest are looked at, as by
        ``of_category("b").check()``.

        Replicates of empirical Bayes have the group effects at their conditional modes and
        no uncertainty of the parameters, and its calibration is of rows that the fit has
        seen: a posterior's, which leaves each row out, is the stricter one.

        Data that are read in batches are read once more. What is compared within levels, and a
        statistic of one's own, is then of all rows, and what shows rows of 20,000 of them.

        Parameters
        ----------
        stat : callable or {"mean", "sd", "min", "max", "median"}, optional
            A statistic of one's own: takes an array of responses, returns a number.
            Drawn for the whole data, or within each level of `group`.
        group : str, optional
            A grouping factor; the first by default (for `stat`, the whole data).
        seed : int, optional
            Seed of the replicates; the fit's own by default (0 for empirical Bayes).
        data : what is read in batches, optional
            The rows of the fit, where it comes from a file that has sums and no rows.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            If `stat` is not a function or one of the known names; for data that are read in
            batches, if it needs all rows at once, as "median" and functions do.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> figure = eb.check("max")
        >>> len(figure.axes)
        1
        """
        law = self._law
        if rows_in_batches(self.model, data):
            return draw_streamed_check(law, data, stat, group, seed)
        if law.model.family.has_counts:
            law = law.seen_as(commonest_category(law.model))
        model = law.model
        y, replicates = law.beside_data(replicates_wanted(model.design.n_obs), seed)
        return draw_check(
            model, y, replicates, stat, group, lambda r, by: check_data(law, y, r, by, seed)
        )
