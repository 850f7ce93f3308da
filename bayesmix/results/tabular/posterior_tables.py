"""The tables of a posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayesmix.errors import NotSupportedError
from bayesmix.inference.announce import announce
from bayesmix.results.tabular import tables
from bayesmix.results.tabular.arguments_of_others import of_draws
from bayesmix.results.tabular.summaries import IntervalKind, Point, SummaryOptions

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["PosteriorTables"]

_SLOW_TABLE = 1000  # effects; ArviZ needs about 3 ms to diagnose one


class PosteriorTables:
    """Draws summarised: coefficients, group effects, variance components."""

    model: FittableModel

    if TYPE_CHECKING:

        @property
        def _draws(self) -> tables.PosteriorDraws: ...

    @of_draws
    def fixed_effects(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Summarise the fixed effects.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        ci_kind : {"eti", "hdi"}
            Equal-tailed or highest-density interval.
        point : {"mean", "median"}
            What `estimate` is.
        diagnostics : bool
            Whether to add ess_bulk, ess_tail and r_hat.
        exponentiate : bool
            Whether to exponentiate estimates and intervals: odds ratios with the
            logit link, rate ratios or ratios of means with the log link. The sd is
            then that of the delta method.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper, ess_bulk,
            ess_tail, r_hat, in units of the response per unit of the predictor;
            where there is a link, in units of the linear predictor. A coefficient
            that was left out as aliased has NaN.

        Raises
        ------
        NotSupportedError
            If `exponentiate` means nothing under the model's link.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        table = tables.fixed_effects_table(self._draws, options)
        return tables.exponentiated(table, self.model.family) if exponentiate else table

    @of_draws
    def family_parameters(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the family's own parameters: shapes, precisions, thresholds.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd, lower, upper, ess_bulk,
            ess_tail, r_hat. A threshold is called ``thresholds[low|mid]``.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.family_parameters_table(self._draws, options)

    @of_draws
    def group_effects(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        wide: bool = False,
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the group effects: each level's deviation from the fixed effects.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`. Diagnostics take about 3 ms per effect.
        wide : bool
            Whether to return the estimates only, a row per level and a column
            per effect.

        Returns
        -------
        DataFrame
            One row per level and effect: group, level, effect, estimate, sd,
            lower, upper, ess_bulk, ess_tail, r_hat. `level` is always text.

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            For a median or an "hdi" of effects whose draws were not kept.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics and not wide)
        return self._group_tables(group, options, wide=wide, with_fixed=False)

    @of_draws
    def group_coefficients(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        wide: bool = False,
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise each level's own coefficients: fixed effect plus group effect.

        The two are added draw by draw, so the intervals account for their
        covariance. An effect without a fixed effect of its name stands alone.

        Parameters
        ----------
        group, ci_prob, ci_kind, point, wide, diagnostics
            As in `group_effects`.

        Returns
        -------
        DataFrame
            With the columns of `group_effects`.

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            For a median or an "hdi" of effects whose draws were not kept.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics and not wide)
        return self._group_tables(group, options, wide=wide, with_fixed=True)

    @of_draws
    def variance_components(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the standard deviations of the group effects and the residual.

        Variance, sd and share are each summarised from their own draws. A share
        is of the mean over the data of z' Sigma z plus the residual variance; a
        covariance of two effects is split evenly between them, so the share of an effect
        that is strongly and negatively correlated with another may be below zero.
        The shares of each draw add up to 1, and so do their means, but not their
        medians.

        Parameters
        ----------
        ci_prob, ci_kind, diagnostics
            As in `fixed_effects`.
        point : {"median", "mean"}
            The mean of a variance need not exist where there are few levels.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor, and the residual: group,
            effect, variance, sd, sd_lower, sd_upper, variance_share, ess_bulk,
            ess_tail, r_hat (of the sd).
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.variance_components_table(self._draws, options)

    @of_draws
    def correlations(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        point: Point = "mean",
        diagnostics: bool = True,
    ) -> pd.DataFrame:
        """Summarise the correlations between effects of one grouping factor.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`.

        Returns
        -------
        DataFrame
            One row per pair of effects whose correlation is estimated: group,
            effect_1, effect_2, estimate, lower, upper, ess_bulk, ess_tail, r_hat.
        """
        options = _options(ci_prob, ci_kind, point, diagnostics)
        return tables.correlations_table(self._draws, options)

    # -- inside ---------------------------------------------------------------

    def _group_tables(
        self, group: str | None, options: SummaryOptions, *, wide: bool, with_fixed: bool
    ) -> pd.DataFrame:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        chosen = design.groups if group is None else (design.group(group),)
        n_effects = sum(g.n_levels * g.n_effects for g in chosen)
        if options.diagnostics and n_effects > _SLOW_TABLE and not self._draws.moments:
            announce(
                f"Diagnosing {n_effects} group effects, about {n_effects * 0.003:.0f} s "
                "(diagnostics=False leaves it out) ...",
                progress=True,
            )
        found = [tables.group_table(self._draws, g, options, with_fixed=with_fixed) for g in chosen]
        table = pd.concat(found, ignore_index=True)
        return tables.wide_table(table) if wide else table


def _options(
    ci_prob: float, ci_kind: IntervalKind, point: Point, diagnostics: bool
) -> SummaryOptions:
    return SummaryOptions(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics)
