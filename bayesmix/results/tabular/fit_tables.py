"""The tables of a fit: columns that any law has, and those that its kind adds."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.announce import announce
from bayesmix.laws.base import Asked, DegreesOfFreedom, IntervalMethod, Law, asks_the_law
from bayesmix.laws.summaries import IntervalKind, Point
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular import tables
from bayesmix.results.tabular.by_predictor import by_predictor

__all__ = ["Tables"]

_SLOW = 3.0  # seconds of a table; longer is announced


class Tables(HasLaw):
    """What is known of the parameters: coefficients, group effects, variance components."""

    @asks_the_law
    def fixed_effects(
        self,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
        exponentiate: bool = False,
        ddf: DegreesOfFreedom | None = None,
        tests: bool = False,
    ) -> pd.DataFrame:
        """Summarise the fixed effects.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        parameter : str
            Whose linear predictor: "mu", a parameter of the family that has one, or "all",
            which adds a first column with its name.
        ci_kind : {"eti", "hdi"}, optional
            For a posterior, equal-tailed (the default) or highest-density interval.
        point : {"mean", "median"}, optional
            For a posterior, what `estimate` is; the mean by default.
        diagnostics : bool, optional
            For a posterior, whether to add ess_bulk, ess_tail and r_hat; True by default.
        ci_method : {"wald", "profile"}, optional
            For empirical Bayes, the normal interval given the variance parameters (the
            default; beyond a normal response from the Hessian over all parameters), or the
            profile of the ML deviance, as lme4's ``confint``. Of ``method="map"`` the
            first is that of the posterior given them, and the second refused.
        exponentiate : bool
            Whether to exponentiate estimates and intervals: odds ratios with the
            logit link, rate ratios or ratios of means with the log link, hazard ratios
            with the cloglog link. The sd is then that of the delta method.
        ddf : {"satterthwaite", "kenward-roger"}, optional
            For empirical Bayes of a normal response, how degrees of freedom are found, with
            which intervals and tests allow for few groups; adds df, t and p. By the second
            method sd is the adjusted standard error.
        tests : bool
            Whether each coefficient is set against zero. For a posterior adds pd, the
            probability of its direction, and p_mcmc, twice the probability of the other one;
            for empirical Bayes df, t and p by Satterthwaite's method, beyond a normal response
            z and p by Wald's; for a bootstrap p.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper, in units of the
            response per unit of the predictor; where there is a link, in units of the
            linear predictor. A coefficient that was left out as aliased has NaN, as has one of
            which no row says anything.

            A posterior adds ess_bulk, ess_tail and r_hat. For empirical Bayes `sd` is the
            standard error given the variance parameters; an end of a profile that cannot be
            found is NaN, as is an interval without the estimate in it (of REML, whose
            estimate is not the profile's lowest point).

        Raises
        ------
        ArgumentError
            If `parameter` has no linear predictor.
        NotSupportedError
            If `exponentiate` means nothing under the model's link, for the profile of a
            posterior mode, or for an argument that only the other kind of fit has.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.fixed_effects()[["term", "estimate"]].round(3).values.tolist()
        [['Intercept', 251.405], ['Days', 10.467]]
        >>> eb.fixed_effects(ddf="kenward-roger")[["term", "df", "t"]].round(2).values.tolist()
        [['Intercept', 17.0, 36.84], ['Days', 17.0, 6.77]]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method, ddf=ddf, tests=tests,
        )  # fmt: skip

        def table(law: Law) -> pd.DataFrame:
            found = tables.fixed_effects_table(law, asked)
            if not exponentiate:
                return found
            return tables.exponentiated(found, self.model.family, law.parameter)

        return by_predictor(self._law, parameter, table)

    @asks_the_law
    def family_parameters(
        self,
        ci_prob: float = 0.95,
        *,
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
    ) -> pd.DataFrame:
        """Summarise the family's own parameters: sigma, shapes, precisions, thresholds.

        Parameters
        ----------
        ci_prob, ci_kind, point, diagnostics
            As in `fixed_effects`.
        ci_method : {"profile", "wald"}, optional
            As in `variance_components`; of sigma it is that interval.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd, lower, upper; none where
            standard errors are known. A threshold is called ``thresholds[low|mid]``.

            A posterior adds ess_bulk, ess_tail and r_hat. For empirical Bayes sd is by the
            delta method; a profile that falls for ever ends at infinity, as that of a
            negative binomial's alpha where there is no overdispersion, or at zero, as that of
            zi where there are no extra zeros, and ends that are not known are NaN.

        Raises
        ------
        NotSupportedError
            If `ci_prob` is no probability, or for the profile of a posterior mode.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.family_parameters()["estimate"].round(2).tolist()
        [25.59]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method,
        )  # fmt: skip
        return tables.family_parameters_table(self._law, asked)

    @asks_the_law
    def group_effects(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        fixed_uncertainty: bool = True,
        wide: bool = False,
        exponentiate: bool = False,
        median: bool = False,
    ) -> pd.DataFrame:
        """Summarise the group effects: each level's deviation from the fixed effects.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        ci_prob, parameter, ci_kind, point, diagnostics
            As in `fixed_effects`. Diagnostics take about 3 ms per effect.
        fixed_uncertainty : bool
            For empirical Bayes, whether `sd` accounts for the fixed effects' uncertainty
            (prediction error variance); without it, it is lme4's ``condVar``.
        wide : bool
            Whether to return the estimates only, a row per level and a column
            per effect.
        exponentiate : bool
            Whether effects are factors of odds, rates or means, as in `fixed_effects`.
        median : bool
            Whether the column median stands behind estimate, as merTools' ``REsim`` has it; of
            empirical Bayes it is the estimate.

        Returns
        -------
        DataFrame
            One row per level and effect: group, level, effect, estimate, sd, lower, upper;
            of a posterior also ess_bulk, ess_tail, r_hat. `level` is always text. Of
            empirical Bayes the estimates are the conditional modes, with prediction errors
            given the variance parameters. With `median`, that is the fifth column.

        Raises
        ------
        DataError
            If there is no such grouping factor.
        NotSupportedError
            If `exponentiate` means nothing under the model's link; for a median or an "hdi" of
            effects whose draws were not kept, or an argument
            that only the other kind of fit has.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.group_effects(wide=True).round(1).head(1).values.tolist()
        [['Subject', '308', 2.3, 9.2]]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point,
            diagnostics=False if wide else diagnostics, fixed_uncertainty=fixed_uncertainty,
        )  # fmt: skip
        return self._group_tables(
            group, parameter, asked, wide=wide, with_fixed=False, exponentiate=exponentiate,
            median=median,
        )  # fmt: skip

    @asks_the_law
    def group_coefficients(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        wide: bool = False,
    ) -> pd.DataFrame:
        """Summarise each level's own coefficients: fixed effect plus group effect.

        The intervals account for their covariance: draws are added one by one. An effect
        without a fixed effect of its name stands alone.

        Parameters
        ----------
        group, ci_prob, parameter, ci_kind, point, diagnostics, wide
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
            As `group_effects`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.group_coefficients(wide=True).round(1).head(1).values.tolist()
        [['Subject', '308', 253.7, 19.7]]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point,
            diagnostics=False if wide else diagnostics,
        )  # fmt: skip
        return self._group_tables(group, parameter, asked, wide=wide, with_fixed=True)

    @asks_the_law
    def variance_components(
        self,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
    ) -> pd.DataFrame:
        """Summarise the standard deviations of the group effects and the residual.

        On the scale of the link. A share is of the mean over the data of z' Sigma z plus the
        residual variance; a covariance of two effects is split evenly between them, so the
        share of an effect that is strongly and negatively correlated with another may be
        below zero. The shares of each draw, and of empirical Bayes, add up to 1, and so do
        their means, but not their medians. Where levels have a known covariance A, variance
        and sd are in its units, and shares are of sd^2 times the mean over the rows of A's
        diagonal.

        Parameters
        ----------
        ci_prob, parameter, ci_kind, diagnostics
            As in `fixed_effects`.
        point : {"median", "mean"}, optional
            For a posterior, the median by default: the mean of a variance need not exist
            where there are few levels. Variance, sd and share are each summarised from
            their own draws.
        ci_method : {"profile", "wald"}, optional
            For empirical Bayes, the profile of the ML deviance (beyond a normal response the
            approximated one), as lme4's ``confint``, or a normal interval of the
            logarithm. By default the profile where all of them cost less than about a
            second. Of ``method="map"`` the normal interval is by the curvature of the log
            posterior density, and there is no profile.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor, and the residual: group,
            effect, variance, sd, sd_lower, sd_upper, variance_share; of a posterior also
            ess_bulk, ess_tail, r_hat (of the sd). For a binary response the last row is the
            latent variable's residual, which is not estimated; for counts there is none,
            and the shares are NaN, as they are for other predictors than mu's and beside them.

            Ends of an empirical Bayes fit that cannot be found are NaN, as is a profile's
            interval without the estimate in it, a normal interval's upper end where the
            estimate is zero, and a normal interval whose standard error of the logarithm
            is above 3.

        Raises
        ------
        NotSupportedError
            For the profile of a posterior mode, or an argument that only the other kind of
            fit has.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.variance_components()[["group", "effect", "sd"]].round(2).values.tolist()
        [['Subject', 'Intercept', 24.74], ['Subject', 'Days', 5.92], ['Residual', '', 25.59]]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method,
        )  # fmt: skip
        return by_predictor(
            self._law, parameter, lambda law: tables.variance_components_table(law, asked)
        )

    @asks_the_law
    def correlations(
        self,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
    ) -> pd.DataFrame:
        """Summarise the correlations between effects of one grouping factor.

        Parameters
        ----------
        ci_prob, parameter, ci_kind, point, diagnostics
            As in `fixed_effects`.
        ci_method : {"profile", "wald"}, optional
            As in `variance_components`, or a normal interval of the inverse hyperbolic
            tangent. By default the profile where those of all variance parameters cost less
            than about a second.

        Returns
        -------
        DataFrame
            One row per pair of effects whose correlation is estimated: group, effect_1,
            effect_2, estimate, lower, upper; of a posterior also ess_bulk, ess_tail, r_hat.
            For empirical Bayes all NaN where a standard deviation is zero; a profile ends at
            -1 or 1 where that is inside, and the normal interval is NaN at -1 and 1, and
            where its standard error is above 3.

        Raises
        ------
        NotSupportedError
            As `variance_components`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.correlations()["estimate"].round(3).tolist()
        [0.066]
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method,
        )  # fmt: skip
        return by_predictor(self._law, parameter, lambda law: tables.correlations_table(law, asked))

    # -- inside ---------------------------------------------------------------

    def _group_tables(
        self, group: str | None, parameter: str, asked: Asked, *, wide: bool, with_fixed: bool,
        exponentiate: bool = False, median: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        predictors = self.model.design.predictors
        one_of("parameter", parameter, (*predictors, "all"))
        whole = parameter == "all"
        chosen = {
            name: [g for g in own.grouping if group is None or g.name == group]
            for name, own in predictors.items()
            if whole or name == parameter
        }
        if not any(predictors[name].grouping for name in chosen):
            whose = "" if len(predictors) == 1 or whole else f" for {parameter}"
            raise NotSupportedError(f"the model {self.model.formula} has no group effects{whose}")
        if group is not None and not any(chosen.values()):
            predictors["mu" if whole else parameter].group(group)  # which names those there are
        n_effects = sum(g.n_levels * g.n_effects for found in chosen.values() for g in found)
        seconds = self._law.seconds_of_effects(n_effects, asked)
        if seconds > _SLOW:
            announce(
                f"Diagnosing {n_effects} group effects, about {seconds:.0f} s "
                "(diagnostics=False leaves it out) ...",
                progress=True,
            )

        def table(law: Law) -> pd.DataFrame:
            found = [
                tables.group_table(law, g, asked, with_fixed=with_fixed)
                for g in chosen[law.parameter]
            ]
            if not found:
                return pd.DataFrame()
            long = pd.concat(found, ignore_index=True)
            if median:
                middle = replace(asked, point="median", diagnostics=False)
                of_groups = (
                    tables.group_table(law, g, middle, with_fixed=with_fixed)["estimate"]
                    for g in chosen[law.parameter]
                )
                at = long.columns.tolist().index("estimate")
                long.insert(at + 1, "median", pd.concat(of_groups, ignore_index=True))
            if exponentiate:
                long = tables.exponentiated(long, self.model.family, law.parameter)
            return tables.wide_table(long) if wide else long

        return by_predictor(self._law, parameter, table)
