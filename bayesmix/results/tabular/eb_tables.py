"""The tables of an empirical Bayes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.arguments import check_probability, one_of
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.profile import correlations
from bayesmix.results.tabular.arguments_of_others import of_modes
from bayesmix.results.tabular.components import variance_parts
from bayesmix.results.tabular.eb_intervals import IntervalMethod, ModeIntervals, around
from bayesmix.results.tabular.tables import (
    estimated_pairs,
    exponentiated,
    text_column,
    wide_table,
    with_aliased_terms,
)
from bayesmix.results.tabular.wald import interval_of_atanh

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.gaussian.conditional import Conditional
    from bayesmix.statement.stated import FittableModel

__all__ = ["ModeTables"]


class ModeTables(ModeIntervals):
    """Estimates as tables: coefficients, group effects, variance components."""

    model: FittableModel
    _conditional: Conditional

    if TYPE_CHECKING:

        @property
        def sigma(self) -> float: ...  # noqa: D102

        @property
        def _residual_on_link(self) -> np.ndarray: ...

        def _moments(self, *, fixed_uncertainty: bool) -> Conditional: ...

        def _by_group(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]: ...

    @of_modes
    def fixed_effects(
        self,
        ci_prob: float = 0.95,
        *,
        ci_method: IntervalMethod = "wald",
        exponentiate: bool = False,
    ) -> pd.DataFrame:
        """Summarise the fixed effects.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        ci_method : {"wald", "profile"}
            Normal interval given the variance parameters, or the profile of the
            ML deviance, as lme4's ``confint``. Of ``method="map"`` the first is
            that of the posterior given them, and the second refused.
        exponentiate : bool
            For links under which exp(coefficient) is a ratio; a normal response has none.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper. `sd` is the
            standard error given the variance parameters. An end of a profile that
            cannot be found is NaN, as is an interval without the estimate in it
            (of REML, whose estimate is not the profile's lowest point).

        Raises
        ------
        NotSupportedError
            For the profile of a posterior mode, or if `exponentiate` means nothing under
            the model's link.
        """
        _check(ci_prob, ci_method)
        design = self.model.design
        estimate = self._conditional.beta
        sd = np.sqrt(np.diag(self._conditional.beta_cov))
        z = stats.norm.ppf((1 + ci_prob) / 2)
        lower, upper = estimate - z * sd, estimate + z * sd
        if ci_method == "profile":
            ends = [self._profile_of_coefficient(j, ci_prob) for j in range(len(estimate))]
            lower, upper = around(estimate, *np.asarray(ends).reshape(-1, 2).T)
        table = pd.DataFrame(
            {
                "term": text_column(design.fixed_effects),
                "estimate": estimate,
                "sd": sd,
                "lower": lower,
                "upper": upper,
            }
        )
        table = with_aliased_terms(table, design)
        return exponentiated(table, self.model.family) if exponentiate else table

    @of_modes
    def family_parameters(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Summarise the family's own parameter, the residual standard deviation.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"profile", "wald"}, optional
            As in `variance_components`, whose interval it is.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd (delta method), lower, upper;
            none where standard errors are known.
        """
        method = ci_method or self._affordable()
        _check(ci_prob, method)
        columns: dict[str, Any] = {"parameter": text_column([])}
        columns |= {n: np.zeros(0) for n in ("estimate", "sd", "lower", "upper")}
        if not self._problem.sigma_is_known:
            lower, upper = self._sd_interval(ci_prob, method)
            columns = {
                "parameter": text_column(["sigma"]),
                "estimate": [self.sigma],
                "sd": [self.sigma * float(np.sqrt(self._theta_cov[-1, -1]))],
                "lower": lower["Residual"],
                "upper": upper["Residual"],
            }
        return pd.DataFrame(columns)

    @of_modes
    def group_effects(
        self,
        group: str | None = None,
        ci_prob: float = 0.95,
        *,
        fixed_uncertainty: bool = True,
        wide: bool = False,
    ) -> pd.DataFrame:
        """Summarise the group effects: conditional modes with prediction errors.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all of them by default.
        ci_prob : float
        fixed_uncertainty : bool
            Whether `sd` accounts for the fixed effects' uncertainty (prediction
            error variance); without it, it is lme4's ``condVar``.
        wide : bool
            Whether to return the estimates only, a row per level.

        Returns
        -------
        DataFrame
            One row per level and effect: group, level, effect, estimate, sd,
            lower, upper.
        """
        _check(ci_prob, "wald")
        found = self._conditional if fixed_uncertainty else self._moments(fixed_uncertainty=False)
        return self._group_tables(group, ci_prob, found.b, found.b_var, wide=wide)

    @of_modes
    def group_coefficients(
        self, group: str | None = None, ci_prob: float = 0.95, *, wide: bool = False
    ) -> pd.DataFrame:
        """Summarise each level's own coefficients: fixed effect plus group effect.

        Their covariance is part of the interval.

        Parameters
        ----------
        group, ci_prob, wide
            As in `group_effects`.

        Returns
        -------
        DataFrame
            With the columns of `group_effects`.
        """
        _check(ci_prob, "wald")
        c = self._conditional
        means, variances = {}, {}
        for g in self.model.design.groups:
            mean, variance = c.b[g.name].copy(), c.b_var[g.name].copy()
            for k, j in enumerate(g.fixed_column):
                if j is not None:
                    mean[:, k] += c.beta[j]
                    with np.errstate(invalid="ignore"):  # where nothing is known
                        variance[:, k] += c.beta_cov[j, j] + 2 * c.cross[g.name][:, k, j]
            means[g.name], variances[g.name] = mean, variance
        return self._group_tables(group, ci_prob, means, variances, wide=wide)

    @of_modes
    def variance_components(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Return the standard deviations of the group effects and the residual.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"profile", "wald"}, optional
            The profile of the ML deviance, as lme4's ``confint``, or a normal
            interval of the logarithm. By default the profile where it costs less
            than about a second. Of ``method="map"`` the normal interval is by the
            curvature of the log posterior density, and there is no profile.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor, and the residual: group,
            effect, variance, sd, sd_lower, sd_upper, variance_share. A covariance of
            two effects is split evenly between their shares, so that of an effect that
            is strongly and negatively correlated with another may be below zero; the
            shares of all add up to 1. Ends that cannot be found are NaN, as is a
            profile's interval without the estimate in it, a normal interval's upper end
            where the estimate is zero, and a normal interval whose standard error of the
            logarithm is above 3.

        Raises
        ------
        NotSupportedError
            For the profile of a posterior mode.
        """
        method = ci_method or self._affordable()
        _check(ci_prob, method)
        lower, upper = self._sd_interval(ci_prob, method)
        sd, corr = self._by_group()
        residual = self._residual_on_link
        parts = variance_parts(self.model.design.groups, sd, corr, residual)
        rows: list[tuple[Any, ...]] = []
        for g in self.model.design.groups:
            share = parts.effects[g.name] / parts.total
            covariance = covariance_of(g)
            for j, (k, label) in enumerate(covariance.sds):
                s = float(sd[g.name][k])
                ends = (lower[g.name][k], upper[g.name][k])
                own = float(share[covariance.sd_of_effect == j].sum())
                rows.append((g.name, label, s**2, s, *ends, own))
        if not self._problem.sigma_is_known:
            ends = (lower["Residual"][0], upper["Residual"][0])
            share = float(parts.residual / parts.total)
            rows.append(("Residual", "", self.sigma**2, self.sigma, *ends, share))
        names = ["group", "effect", "variance", "sd", "sd_lower", "sd_upper", "variance_share"]
        table = pd.DataFrame(rows, columns=names)
        if self.model.design.known_se is not None:
            table["variance_share"] = np.nan
        return table.astype({n: "str" if n in names[:2] else float for n in names})

    @of_modes
    def correlations(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Return the correlations between effects.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"profile", "wald"}, optional
            The profile of the ML deviance, as lme4's ``confint``, or a normal interval
            of the inverse hyperbolic tangent. By default the profile where those of all
            variance parameters cost less than about a second.

        Returns
        -------
        DataFrame
            One row per pair: group, effect_1, effect_2, estimate, lower, upper.
            All NaN where a standard deviation is zero. A profile ends at -1 or 1
            where that is inside; the normal interval is NaN at -1 and 1, and where
            its standard error is above 3.

        Raises
        ------
        NotSupportedError
            For the profile of a posterior mode.
        """
        n_pairs = sum(len(estimated_pairs(group)) for group in self._problem.groups)
        method = ci_method or self._affordable(n_pairs)
        _check(ci_prob, method)
        if method == "profile":
            self._check_profile()
        rows: list[tuple[Any, ...]] = []
        for f, group in enumerate(self._problem.groups):
            start = int(self._problem.equations.q[:f].sum())
            zero = self._optimum.at_zero[start : start + group.n_effects]
            for k, m in estimated_pairs(group):
                if zero[k] or zero[m]:  # of what does not vary there is no correlation
                    pair = (group.name, group.effects[k], group.effects[m])
                    rows.append((*pair, np.nan, np.nan, np.nan))
                    continue
                rho = float(self._optimum.corr[f][k, m])
                if method == "profile":
                    ends = self._profile_of_correlation(f, (k, m), ci_prob)
                    low, high = around(np.array([rho]), *np.array(ends).reshape(2, 1))
                    ends = float(low[0]), float(high[0])
                else:
                    ends = interval_of_atanh(rho, self._se_of_atanh(f, k, m), ci_prob)
                rows.append((group.name, group.effects[k], group.effects[m], rho, *ends))
        order = {g.name: i for i, g in enumerate(self.model.design.groups)}
        rows.sort(key=lambda row: order[row[0]])
        names = ["group", "effect_1", "effect_2", "estimate", "lower", "upper"]
        table = pd.DataFrame(rows, columns=names)
        return table.astype({n: "str" if n in names[:3] else float for n in names})

    # -- inside
    def _se_of_atanh(self, f: int, k: int, m: int) -> float:
        """Standard error of a correlation's inverse hyperbolic tangent; NaN at a boundary."""
        co, x = self._absolute
        rho = float(self._optimum.corr[f][k, m])
        slope = np.zeros(len(x))
        for i in range(len(x)):
            step = np.zeros(len(x))
            step[i] = 1e-5
            up, down = (correlations(co, x + s * step)[f][k, m] for s in (1, -1))
            slope[i] = (up - down) / 2e-5
        used = (slope != 0) & ~self._undefined
        sub = self._theta_cov[np.ix_(used, used)]
        with np.errstate(invalid="ignore"):  # where nothing is known
            return float(np.sqrt(slope[used] @ sub @ slope[used])) / max(1 - rho**2, 1e-12)

    def _group_tables(
        self,
        group: str | None,
        ci_prob: float,
        means: Mapping[str, np.ndarray],
        variances: Mapping[str, np.ndarray],
        *,
        wide: bool,
    ) -> pd.DataFrame:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        chosen = design.groups if group is None else (design.group(group),)
        tables = [_group_table(g, ci_prob, means[g.name], variances[g.name]) for g in chosen]
        table = pd.concat(tables, ignore_index=True)
        return wide_table(table) if wide else table


def _group_table(
    group: GroupingFactor, ci_prob: float, mean: np.ndarray, variance: np.ndarray
) -> pd.DataFrame:
    z = stats.norm.ppf((1 + ci_prob) / 2)
    estimate, sd = mean.ravel(), np.sqrt(np.maximum(variance.ravel(), 0.0))
    return pd.DataFrame(
        {
            "group": text_column([group.name] * estimate.size),
            "level": text_column(np.repeat(group.levels.labels, group.n_effects)),
            "effect": text_column(group.effects * group.n_levels),
            "estimate": estimate,
            "sd": sd,
            "lower": estimate - z * sd,
            "upper": estimate + z * sd,
        }
    )


def _check(ci_prob: float, ci_method: str) -> None:
    check_probability("ci_prob", ci_prob)
    one_of("ci_method", ci_method, ("wald", "profile"))
