"""`EmpiricalBayes`: what REML, ML or the posterior mode return."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.covariance import covariance_of
from bayesmix.errors import NotApplicableError
from bayesmix.gaussian.conditional import Conditional, conditional_moments
from bayesmix.gaussian.density import FixedPrior, flat_prior, log_likelihood
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.canonical import canonical
from bayesmix.inference.empirical import Method, Optimum, maximise
from bayesmix.inference.perfect import refuse_no_residual, refuse_perfect_fit, refuse_saturated
from bayesmix.inference.problems import gaussian_problem
from bayesmix.inference.profile import absolute_coordinates
from bayesmix.results.check.eb_checking import ChecksAtModes
from bayesmix.results.effect.effects_of_fits import EffectsAtModes
from bayesmix.results.files.reporting import ReportsEstimates
from bayesmix.results.files.saving import SavesEstimates
from bayesmix.results.pictures.eb_plots import ModePlots
from bayesmix.results.signposts import SignpostsOfModes
from bayesmix.results.tabular.arguments_of_others import of_modes
from bayesmix.results.tabular.eb_intervals import IntervalMethod
from bayesmix.results.tabular.eb_tables import ModeTables
from bayesmix.results.tabular.summary import (
    Section,
    Summary,
    more_levels,
    of_columns,
    of_negative_shares,
)
from bayesmix.results.tabular.tables import estimated_pairs

if TYPE_CHECKING:
    from bayesmix.families import Family
    from bayesmix.priors import Prior
    from bayesmix.statement.stated import FittableModel

__all__ = ["EmpiricalBayes", "IntervalMethod", "OptimizerReport"]

_SHOWN_ROWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerReport:
    """How the criterion was optimised.

    Attributes
    ----------
    message : str
    evaluations : int
        Number of evaluations of the criterion with its gradient.
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


class EmpiricalBayes(
    ModeTables,
    EffectsAtModes,
    ChecksAtModes,
    ModePlots,
    ReportsEstimates,
    SavesEstimates,
    SignpostsOfModes,
):
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

    Raises
    ------
    DataError
        If the model leaves no residual variance to estimate.
    """

    def __init__(self, model: FittableModel, method: Method) -> None:
        start = time.perf_counter()
        self.model = model
        self.method: Method = method
        self._problem: Problem = gaussian_problem(model)
        problem = self._problem
        if method != "map":
            refuse_saturated(problem)
        search = canonical(model)
        refuse_perfect_fit(search.problem, search.predictor, search.y)
        if method == "map":
            self._prior: FixedPrior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
            co = search.problem.coordinates(search.priors)
            prior = search.problem.fixed_prior(search.predictor, search.priors.mu)
            self._optimum: Optimum = maximise(search.problem, method, co, prior)
        else:
            self._prior = flat_prior(problem.n_fixed)
            self._optimum = maximise(search.problem, method)
        refuse_no_residual(problem, self._optimum)
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
            for k, effect in covariance_of(group).sds:
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
    def flat(self) -> str:
        """Which standard deviations have other values that are as good; empty if none has.

        Along them the criterion does not bend at its end, or further searches from a
        boundary end elsewhere and as well.
        """
        if self._optimum.flat is None:
            return ""
        flat, at = [], 0
        for g in self._problem.groups:
            for k, label in covariance_of(g).sds:
                flat += [f"{label} by {g.name}"] if self._optimum.flat[at + k] else []
            at += g.n_effects
        return ", ".join(flat)

    @property
    def sigma(self) -> float:
        """Residual standard deviation; 1 where standard errors are known."""
        return self._optimum.sigma

    @property
    def reml_criterion(self) -> float:
        """The REML criterion, as lme4 states it; for a fit by REML.

        Raises
        ------
        NotApplicableError
            For another method; it is an AttributeError, too.
        """
        if self.method != "reml":
            raise NotApplicableError(f'method="{self.method}" has no REML criterion')
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
        n_theta = sum(covariance_of(group).n_coordinates for group in self._problem.groups)
        return self._problem.n_fixed + n_theta + (not self._problem.sigma_is_known)

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

    def update(
        self,
        formula: str | None = None,
        data: Any = None,
        *,
        family: str | Family | None = None,
        priors: Mapping[str, Prior | None] | None = None,
        weights: Any = None,
        known_se: Any = None,
        method: Method | None = None,
    ) -> EmpiricalBayes:
        """Change the model and fit it again by the same method.

        Parameters
        ----------
        formula, data, family, priors, weights, known_se
            As in `Model.update`: ``". ~ . + x"`` adds a term to the formula.
        method : {"reml", "ml", "map"}, optional

        Returns
        -------
        EmpiricalBayes

        Raises
        ------
        BayesmixError
            As `Model.update` and `Model.fit_eb`.
        """
        model = self.model.update(
            formula, data, family=family, priors=priors, weights=weights, known_se=known_se
        )
        kept = self.method if family is None else None
        return model.fit_eb(method or kept, **self._fit_options)

    @of_modes
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
        parts = self.variance_components(ci_prob)
        sections.append(
            Section(
                title="Variance components",
                table=parts,
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
            every = self.group_effects(g.name, ci_prob).drop(columns="group")
            sections.append(
                Section(
                    title=f"Group effects of {g.name}",
                    table=every.head(shown * g.n_effects),
                    text_columns=("level", "effect"),
                    note=more_levels(g.name, g.n_levels - shown),
                    whole=every.copy,
                )
            )
        how = "profile likelihood" if self._affordable() == "profile" else "Wald, on logs"
        footer = [f"Intervals are {100 * ci_prob:g} %; of standard deviations by {how}."]
        if design.groups:
            footer.insert(
                0,
                "Variance components are point estimates: intervals of effects are conditional "
                "on them, and too short where levels are few.",
            )
        error = "its posterior standard deviation" if self.method == "map" else "its standard error"
        footer += of_columns("", error, parts)
        limits = [parts[["sd_lower", "sd_upper"]], pairs[["lower", "upper"]]]
        unknown = any(bool(part.isna().any(axis=None)) for part in limits)
        if unknown and self.method != "map" and self._affordable(len(pairs)) == "wald":
            footer.append(
                "Limits left empty are not known by Wald's method: "
                'variance_components(ci_method="profile") and correlations(ci_method="profile") '
                "may find them."
            )
        footer += of_negative_shares(parts)
        if self.singular:
            footer.append(f"At the boundary: {self.singular}.")
        if self.flat:
            footer.append(f"Flat: other values are as good for the sd of {self.flat}.")
        if not self.converged:
            footer.append(f"Not converged: {self.optimizer.message}.")
        footer += self._more_notes()
        return Summary(
            title=str(self.model.formula),
            lines=tuple(lines),
            sections=tuple(section for section in sections if len(section.table)),
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

    @property
    def _fit_options(self) -> dict[str, Any]:
        return {}

    def _method_in_words(self) -> str:
        names = {"reml": "REML", "ml": "maximum likelihood", "map": "marginal posterior mode"}
        return names[self.method]

    def _more_sections(self, ci_prob: float) -> list[Section]:
        return []

    def _more_notes(self) -> list[str]:
        return []

    def _moments(self, *, fixed_uncertainty: bool) -> Conditional:
        problem, o = self._problem, self._optimum
        known = problem.known_precision
        if o.centred is not None:
            co, x = o.centred
        elif problem.sigma_is_known or self.method == "map":
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
            if not covariance_of(group).is_diagonal:
                corr[group.name] = self._optimum.corr[f]
        return sd, corr

    def _ml_deviance_at_mode(self) -> float:
        co, x = self._absolute
        value = log_likelihood(self._problem.equations, co, x, False, np.empty(len(x)))
        n = self._problem.n_obs
        # The log likelihood leaves out n log(2 pi) / 2.
        return (
            -2 * value + n * float(np.log(2 * np.pi)) + self._problem.criterion_offset(reml=False)
        )
