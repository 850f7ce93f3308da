"""`EmpiricalBayes`: what REML, ML or the posterior mode return."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.conditional import Conditional, conditional_moments
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior, flat_prior, log_likelihood
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.empirical import LARGEST_CORRELATION, Method, Optimum, maximise
from bayesmix.inference.profile import (
    Likelihood,
    absolute_coordinates,
    correlations,
    profile_coefficient,
    profile_theta,
    standard_deviations,
    theta_covariance,
)
from bayesmix.results.components import variance_parts
from bayesmix.results.eb_prediction import PredictsAtModes
from bayesmix.results.summary import Section, Summary
from bayesmix.results.tables import (
    estimated_pairs,
    text_column,
    wide_table,
    with_aliased_terms,
)

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.model import Model

__all__ = ["EmpiricalBayes", "IntervalMethod", "OptimizerReport"]

IntervalMethod = Literal["wald", "profile"]
_PROFILE_SECONDS = 1.0
_EVALUATIONS_PER_PARAMETER = 400  # of a profile, both ends together
_SHOWN_ROWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerReport:
    """How the criterion was optimised.

    Attributes
    ----------
    message : str
    evaluations : int
        Of the criterion with its gradient.
    starts : int
    gradient : float
        Largest component at the end, away from a boundary.
    seconds : float
    """

    message: str
    evaluations: int
    starts: int
    gradient: float
    seconds: float


class EmpiricalBayes(PredictsAtModes):
    """A mixed model whose variance parameters are set to their best values.

    Made by `Model.fit_eb`. The effects then have an exact normal distribution,
    which the tables report: with a flat prior on the fixed effects these are
    REML's or ML's estimates, standard errors and conditional modes. All
    intervals of effects are conditional on the variance parameters.

    Parameters
    ----------
    model : Model
    method : {"reml", "ml", "map"}

    Attributes
    ----------
    model : Model
    method : str
    """

    def __init__(self, model: Model, method: Method) -> None:
        start = time.perf_counter()
        self.model = model
        self.method: Method = method
        self._problem: Problem = model.gaussian_problem
        problem = self._problem
        if method == "map":
            self._prior: FixedPrior = problem.fixed_prior(model.design, model.prior_entries)
            co = problem.coordinates(model.prior_entries)
            self._optimum: Optimum = maximise(problem, method, co, self._prior)
        else:
            self._prior = flat_prior(problem.n_fixed)
            self._optimum = maximise(problem, method)
        self._conditional: Conditional = self._moments(fixed_uncertainty=True)
        self.seconds = time.perf_counter() - start

    # -- the fit --------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """Whether the optimum was found: nothing left to gain away from a boundary."""
        return self._optimum.converged

    @property
    def optimizer(self) -> OptimizerReport:
        """How the criterion was optimised."""
        o = self._optimum
        return OptimizerReport(
            message=o.message,
            evaluations=o.evaluations,
            starts=o.starts,
            gradient=o.gradient,
            seconds=o.seconds,
        )

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is."""
        found = []
        at = 0
        for f, group in enumerate(self._problem.groups):
            for k, effect in enumerate(group.effects):
                if self._optimum.sd[at + k] == 0:
                    found.append(f"the sd of {effect} by {group.name} is zero")
                if self._optimum.dependent[at + k]:
                    before = [m for m, j in estimated_pairs(group) if j == k]
                    if len(before) == 1:
                        rho = self._optimum.corr[f][before[0], k]
                        found.append(
                            f"the correlation of {group.effects[before[0]]} and {effect} by "
                            f"{group.name} is {rho:+.0f}"
                        )
                    else:
                        found.append(f"the other effects by {group.name} determine {effect}")
            at += group.n_effects
        return "; ".join(found)

    @property
    def sigma(self) -> float:
        """Residual standard deviation; 1 where standard errors are known."""
        return self._optimum.sigma

    @property
    def reml_criterion(self) -> float:
        """The REML criterion, as lme4 states it; for a fit by REML.

        Raises
        ------
        NotSupportedError
            For another method.
        """
        if self.method != "reml":
            raise NotSupportedError(f'method="{self.method}" has no REML criterion')
        return self._optimum.criterion + self._problem.criterion_offset(reml=True)

    @property
    def deviance(self) -> float:
        """Minus twice the log-likelihood: of REML, or of ML at the estimates."""
        if self.method == "map":
            return self._ml_deviance_at_mode()
        offset = self._problem.criterion_offset(reml=self.method == "reml")
        return self._optimum.criterion + offset

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one for REML."""
        return -self.deviance / 2

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, sigma."""
        n_corr = sum(len(estimated_pairs(group)) for group in self._problem.groups)
        n_sd = sum(group.n_effects for group in self._problem.groups)
        return self._problem.n_fixed + n_sd + n_corr + (not self._problem.sigma_is_known)

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.deviance + 2 * self.df

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples; infinite where df >= n - 1."""
        n, k = self._problem.n_obs, self.df
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else float("inf")

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the logarithm of the number of rows."""
        return self.deviance + self.df * float(np.log(self._problem.n_obs))

    def vcov(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects, given the variance parameters.

        Returns
        -------
        DataFrame, shape (p, p)
            With the coefficients' names on both axes.
        """
        names = list(self.model.design.fixed_effects)
        return pd.DataFrame(self._conditional.beta_cov, index=names, columns=names)

    # -- tables ---------------------------------------------------------------

    def fixed_effects(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod = "wald"
    ) -> pd.DataFrame:
        """Summarise the fixed effects.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        ci_method : {"wald", "profile"}
            Normal interval given the variance parameters, or the profile of the
            ML deviance, as lme4's ``confint``.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper. `sd` is the
            standard error given the variance parameters.
        """
        _check(ci_prob, ci_method)
        design = self.model.design
        estimate = self._conditional.beta
        sd = np.sqrt(np.diag(self._conditional.beta_cov))
        z = stats.norm.ppf((1 + ci_prob) / 2)
        lower, upper = estimate - z * sd, estimate + z * sd
        if ci_method == "profile":
            ends = [self._profile_of_coefficient(j, ci_prob) for j in range(len(estimate))]
            lower, upper = np.asarray(ends).reshape(-1, 2).T
        table = pd.DataFrame(
            {
                "term": text_column(design.fixed_effects),
                "estimate": estimate,
                "sd": sd,
                "lower": lower,
                "upper": upper,
            }
        )
        return with_aliased_terms(table, design)

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
                    variance[:, k] += c.beta_cov[j, j] + 2 * c.cross[g.name][:, k, j]
            means[g.name], variances[g.name] = mean, variance
        return self._group_tables(group, ci_prob, means, variances, wide=wide)

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
            than about a second.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor, and the residual: group,
            effect, variance, sd, sd_lower, sd_upper, variance_share.
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
            for k, effect in enumerate(g.effects):
                s = float(sd[g.name][k])
                ends = (lower[g.name][k], upper[g.name][k])
                rows.append((g.name, effect, s**2, s, *ends, float(share[k])))
        if not self._problem.sigma_is_known:
            ends = (lower["Residual"][0], upper["Residual"][0])
            share = float(parts.residual / parts.total)
            rows.append(("Residual", "", self.sigma**2, self.sigma, *ends, share))
        names = ["group", "effect", "variance", "sd", "sd_lower", "sd_upper", "variance_share"]
        table = pd.DataFrame(rows, columns=names)
        if self.model.design.known_se is not None:
            table["variance_share"] = np.nan
        return table.astype({n: "str" if n in names[:2] else float for n in names})

    def correlations(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Return the correlations between effects, with Wald intervals of their atanh.

        Parameters
        ----------
        ci_prob : float

        Returns
        -------
        DataFrame
            One row per pair: group, effect_1, effect_2, estimate, lower, upper.
        """
        _check(ci_prob, "wald")
        z = stats.norm.ppf((1 + ci_prob) / 2)
        co, x = self._absolute
        cov = self._theta_cov
        rows: list[tuple[Any, ...]] = []
        for f, group in enumerate(self._problem.groups):
            for k, m in estimated_pairs(group):
                rho = float(self._optimum.corr[f][k, m])
                slope = np.zeros(len(x))
                for i in range(len(x)):
                    step = np.zeros(len(x))
                    step[i] = 1e-5
                    up = correlations(co, x + step)[f][k, m]
                    slope[i] = (up - correlations(co, x - step)[f][k, m]) / 2e-5
                used = slope != 0
                sub = cov[np.ix_(used, used)]
                se = np.sqrt(slope[used] @ sub @ slope[used]) / max(1 - rho**2, 1e-12)
                center = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
                rows.append(
                    (group.name, group.effects[k], group.effects[m], rho,
                     float(np.tanh(center - z * se)), float(np.tanh(center + z * se)))
                )  # fmt: skip
        order = {g.name: i for i, g in enumerate(self.model.design.groups)}
        rows.sort(key=lambda row: order[row[0]])
        names = ["group", "effect_1", "effect_2", "estimate", "lower", "upper"]
        table = pd.DataFrame(rows, columns=names)
        return table.astype({n: "str" if n in names[:3] else float for n in names})

    def icc(self) -> pd.DataFrame:
        """Return the intraclass correlation of each grouping factor.

        Returns
        -------
        DataFrame
            One row per grouping factor: group, estimate.
        """
        sd, corr = self._by_group()
        groups = self.model.design.groups
        parts = variance_parts(groups, sd, corr, self._residual_on_link)
        values = [float(parts.effects[g.name].sum() / parts.total) for g in groups]
        return pd.DataFrame({"group": text_column([g.name for g in groups]), "estimate": values})

    def summary(self, ci_prob: float = 0.95) -> Summary:
        """Gather the fit and its tables as one object that prints within 80 columns.

        Parameters
        ----------
        ci_prob : float

        Returns
        -------
        Summary
        """
        design = self.model.design
        head = "REML criterion" if self.method == "reml" else "deviance"
        lines = [
            *self.model.facts(),
            f"empirical Bayes by {self._method_in_words()}, {1000 * self.seconds:.0f} ms",
            f"{head} {self.deviance:.2f}, loglik {self.loglik:.2f}, AIC {self.aic:.2f}, "
            f"BIC {self.bic:.2f}, df {self.df}",
        ]
        sections = []
        if design.all_fixed_columns:
            note = f"Left out as aliased: {', '.join(design.aliased)}." if design.aliased else ""
            sections.append(Section(title="Fixed effects", table=self.fixed_effects(ci_prob),
                                    text_columns=("term",), note=note))  # fmt: skip
        sections.append(
            Section(
                title="Variance components",
                table=self.variance_components(ci_prob),
                text_columns=("group", "effect"),
            )
        )
        pairs = self.correlations(ci_prob)
        if len(pairs):
            text = ("group", "effect_1", "effect_2")
            sections.append(Section(title="Correlations", table=pairs, text_columns=text))
        sections += self._more_sections(ci_prob)
        for g in design.groups:
            shown = max(1, _SHOWN_ROWS // g.n_effects)
            table = self.group_effects(g.name, ci_prob).head(shown * g.n_effects)
            rest = g.n_levels - shown
            note = f"and {rest} more levels: group_effects({g.name!r})" if rest > 0 else ""
            sections.append(
                Section(
                    title=f"Group effects of {g.name}",
                    table=table.drop(columns="group"),
                    text_columns=("level", "effect"),
                    note=note,
                )
            )
        footer = [
            "Variance components are point estimates: intervals of effects are conditional on "
            "them, and too short where levels are few.",
            f"Intervals are {100 * ci_prob:g} %; of standard deviations by "
            f"{'profile likelihood' if self._affordable() == 'profile' else 'Wald, on logs'}.",
        ]
        if self.singular:
            footer.append(f"At the boundary: {self.singular}.")
        if not self.converged:
            footer.append(f"Not converged: {self.optimizer.message}.")
        footer += self._more_notes()
        return Summary(
            title=str(self.model.formula),
            lines=tuple(lines),
            sections=tuple(sections),
            footer=tuple(footer),
        )

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- inside ---------------------------------------------------------------

    @property
    def _residual_on_link(self) -> np.ndarray:
        return np.asarray(self.sigma**2)

    def _method_in_words(self) -> str:
        names = {"reml": "REML", "ml": "maximum likelihood", "map": "marginal posterior mode"}
        return names[self.method]

    def _more_sections(self, ci_prob: float) -> list[Section]:
        return []

    def _more_notes(self) -> list[str]:
        return []

    def _moments(self, *, fixed_uncertainty: bool) -> Conditional:
        problem, o = self._problem, self._optimum
        known = problem.scaling.y_scale**2 if problem.sigma_is_known else 0.0
        if problem.sigma_is_known or self.method == "map":
            co, x = o.coordinates, o.x
        else:
            co, x = absolute_coordinates(problem, o)
        found = conditional_moments(
            problem, co, x, self._prior, known=known, fixed_uncertainty=fixed_uncertainty
        )
        at = 0
        for group in problem.groups:  # zero is zero, not 1e-42
            zero = o.at_zero[at : at + group.n_effects]
            for values in (found.b, found.b_var, found.cross):
                values[group.name][:, zero] = 0.0
            at += group.n_effects
        return found

    def _by_group(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        sd, corr, at = {}, {}, 0
        for f, group in enumerate(self._problem.groups):
            sd[group.name] = self._optimum.sd[at : at + group.n_effects]
            at += group.n_effects
            if group.correlated_blocks:
                corr[group.name] = self._optimum.corr[f]
        return sd, corr

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

    @functools.cached_property
    def _absolute(self) -> tuple[Coordinates, np.ndarray]:
        if self.method == "map":
            sd = np.concatenate([self._optimum.sd, [self._optimum.sigma]])
            co = self._problem.absolute_coordinates()
            x = self._optimum.x.copy()
            n_sd = int(co.sizes[1])
            x[:n_sd] = np.log(np.maximum(sd[:-1], 1e-300))
            if co.sizes[3]:
                x[-1] = np.log(sd[-1])
            return co, x
        return absolute_coordinates(self._problem, self._optimum)

    @functools.cached_property
    def _theta_cov(self) -> np.ndarray:
        co, x = self._absolute
        free = np.ones(len(x), dtype=bool)
        n_sd = int(co.sizes[1])
        corr = slice(n_sd, len(x) - int(co.sizes[3]))
        free[:n_sd] = ~self._optimum.at_zero
        free[corr] = np.abs(x[corr]) < LARGEST_CORRELATION - 0.5
        return theta_covariance(self._problem, co, x, self.method != "ml", free)

    def _ml_deviance_at_mode(self) -> float:
        co, x = self._absolute
        value = log_likelihood(self._problem.equations, co, x, False, np.empty(len(x)))
        n = self._problem.n_obs
        # The log likelihood leaves out n log(2 pi) / 2.
        return (
            -2 * value + n * float(np.log(2 * np.pi)) + self._problem.criterion_offset(reml=False)
        )

    @functools.cached_property
    def _likelihood(self) -> Likelihood:
        optimum = self._optimum if self.method == "ml" else maximise(self._problem, "ml")
        co, x = absolute_coordinates(self._problem, optimum)
        order = (*self._problem.plan.chain, *self._problem.plan.rest)
        scales = [np.abs(np.diag(self._problem.scaling.TZ[k])) for k in order]
        unit = -np.log(np.concatenate(scales)) if scales else np.zeros(0)
        unit = unit + np.log(self._problem.scaling.y_scale)
        return Likelihood(problem=self._problem, coordinates=co, x=x, unit=unit)

    def _affordable(self) -> IntervalMethod:
        co, x = self._absolute
        gradient = np.empty(len(x))
        log_likelihood(self._problem.equations, co, x, False, gradient)
        start = time.perf_counter()
        log_likelihood(self._problem.equations, co, x, False, gradient)
        seconds = time.perf_counter() - start + 1e-5
        total = seconds * _EVALUATIONS_PER_PARAMETER * len(x) * max(1, len(x) / 3)
        return "profile" if total < _PROFILE_SECONDS else "wald"

    def _sd_interval(
        self, ci_prob: float, method: IntervalMethod
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Ends of the intervals of each factor's standard deviations, and the residual's."""
        n_sd = len(self._optimum.sd)
        has_sigma = not self._problem.sigma_is_known
        if method == "profile":
            at = [*range(n_sd), *([len(self._likelihood.x) - 1] if has_sigma else [])]
            ends = [profile_theta(self._likelihood, k, ci_prob, may_be_zero=k < n_sd) for k in at]
            logs = np.asarray(ends).reshape(-1, 2)
            lower, upper = np.exp(logs[:, 0]), np.exp(logs[:, 1])
        else:
            co, x = self._absolute
            sd = standard_deviations(co, x)[: n_sd + has_sigma]
            at = [*range(n_sd), *([len(x) - 1] if has_sigma else [])]
            se = np.sqrt(np.diag(self._theta_cov)[at])
            z = stats.norm.ppf((1 + ci_prob) / 2)
            with np.errstate(over="ignore"):  # infinite where the data say nothing
                lower, upper = sd * np.exp(-z * se), sd * np.exp(z * se)
            lower[:n_sd][self._optimum.at_zero] = 0.0
        low, high, start = {}, {}, 0
        for group in self._problem.groups:
            rows = slice(start, start + group.n_effects)
            low[group.name], high[group.name] = lower[rows], upper[rows]
            start += group.n_effects
        if has_sigma:
            low["Residual"], high["Residual"] = lower[-1:], upper[-1:]
        return low, high

    def _profile_of_coefficient(self, j: int, ci_prob: float) -> tuple[float, float]:
        scaling = self._problem.scaling
        row = np.linalg.inv(scaling.TX)[j] * scaling.y_scale
        return profile_coefficient(self._likelihood, row, float(row @ scaling.beta_0), ci_prob)


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
    if not (isinstance(ci_prob, int | float) and 0 < ci_prob < 1):
        raise NotSupportedError(f"ci_prob={ci_prob!r} must lie between 0 and 1, such as 0.95")
    if ci_method not in {"wald", "profile"}:
        raise NotSupportedError(f"ci_method={ci_method!r} is not one of wald, profile")
