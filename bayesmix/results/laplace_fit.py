"""`LaplaceFit`: empirical Bayes beyond the normal, by Laplace's approximation."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import NotApplicableError
from bayesmix.gaussian.conditional import (
    Conditional,
    add_moments,
    split_by_group,
    variances_by_group,
)
from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.empirical import blas_threads
from bayesmix.inference.laplace import LaplaceOptimum, log_marginal, maximise_laplace
from bayesmix.inference.laplace_determined import mode_of
from bayesmix.inference.laplace_profile import (
    LaplaceLikelihood,
    laplace_likelihood_at,
    profile_working_coefficient,
    seconds_of_profiles,
)
from bayesmix.inference.link_branches import best_branches
from bayesmix.inference.problems import glmm_problem
from bayesmix.inference.profile import Around, profile_theta
from bayesmix.inference.quadrature import quadrature_optimum
from bayesmix.results.empirical_bayes import EmpiricalBayes, IntervalMethod
from bayesmix.results.laplace_limits import KnowsItsLimits
from bayesmix.results.mean_branch import branch_in_words
from bayesmix.results.predict.laplace_prediction import PredictsAtLaplaceModes
from bayesmix.results.tabular.arguments_of_others import of_modes
from bayesmix.results.tabular.eb_intervals import away_from_boundaries
from bayesmix.results.tabular.summary import Section
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.wald import interval_of_logarithm

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["LaplaceFit"]


class LaplaceFit(KnowsItsLimits, PredictsAtLaplaceModes, EmpiricalBayes):
    """A mixed model of a non-normal response at its best parameters.

    Made by `Model.fit_eb`. The group effects are integrated out by Laplace's
    approximation around their mode (or adaptive quadrature), and fixed effects,
    variance components and the family's parameters are maximised together.
    Everything in the tables is on the scale of the linear predictor, unless
    ``exponentiate=True``.

    Parameters
    ----------
    model : Model
    method : {"ml", "map"}
    n_quadrature : int
        Points of adaptive Gauss-Hermite quadrature; 1 is Laplace's approximation.

    Attributes
    ----------
    model : Model
    method : str
    n_quadrature : int

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (1995). Approximations to the log-likelihood
    function in the nonlinear mixed-effects model. Journal of Computational and
    Graphical Statistics 4(1), 12-35.
    """

    def __init__(
        self, model: FittableModel, method: Literal["ml", "map"], n_quadrature: int = 1
    ) -> None:
        start = time.perf_counter()
        self.model = model
        self.method = method
        self.n_quadrature = n_quadrature
        gp: GlmmProblem = glmm_problem(model)
        self._gp = gp
        self._problem = gp.problem
        link_start = model.link_start
        if method == "map":
            self._co: Coordinates = gp.problem.coordinates(model.prior_entries)
            self._prior = gp.problem.fixed_prior(model.design.mu, model.prior_entries.mu)
            found = maximise_laplace(gp, self._co, self._prior, 1, link_start)
            found = best_branches(gp, self._co, self._prior, 1, found)
        else:
            self._co = gp.problem.absolute_coordinates()
            self._prior = flat_prior(gp.problem.n_fixed)
            found = maximise_laplace(gp, self._co, None, 0, link_start)
            found = best_branches(gp, self._co, None, 0, found)
        if n_quadrature > 1:
            prior = self._prior if method == "map" else None
            found = quadrature_optimum(gp, self._co, prior, found, n_quadrature)
        self._laplace: LaplaceOptimum = found
        self._optimum = found.theta
        self._conditional: Conditional = self._moments(fixed_uncertainty=True)
        self.seconds = time.perf_counter() - start

    # -- the fit --------------------------------------------------------------

    @property
    def sigma(self) -> float:
        """There is none: the family's own parameters are in `family_parameters`.

        Raises
        ------
        NotApplicableError
            Always; it is an AttributeError, too.
        """
        raise NotApplicableError(
            f"the {self.model.family.name} family has no residual standard deviation; "
            "see family_parameters()"
        )

    @property
    def deviance(self) -> float:
        """Minus twice the (approximate) log-likelihood at the estimates."""
        return -2.0 * self.loglik

    @functools.cached_property
    def _loglik(self) -> float:
        if self.method == "ml":
            return self._laplace.loglik + self._gp.constant
        value = log_marginal(self._gp, self._co, self._laplace.x, self._laplace.u)
        return value + self._gp.constant

    @property
    def loglik(self) -> float:
        """Log-likelihood of fixed effects, variance components and family parameters."""
        return self._loglik

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, the family's own."""
        return super().df + len(self._gp.parameters)

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is.

        For a negative binomial also that nothing is left for its overdispersion: alpha
        then is as large as the search went, and the fit that of the Poisson family.
        """
        found = super().singular
        if not self.model.family.is_at_limit(self.model.y, self._family_values):
            return found
        limit = self.model.family.limit
        words = f'there is no overdispersion: family="{limit}" fits as well'
        return f"{found}; {words}" if found else words

    @property
    def mean_branch(self) -> str:
        """Whether a mean belongs to linear predictors below zero too, in words; empty if not.

        The square of a linear predictor rises again below zero. Where effects reach
        there, what a coefficient means changes its sign with the level.
        """
        return branch_in_words(self._gp, self._co, self._laplace)

    @property
    def _n_outer(self) -> int:
        return self._co.n_x + len(self._gp.parameters)

    # -- tables ---------------------------------------------------------------

    @of_modes
    def fixed_effects(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod = "wald",
        exponentiate: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        """Summarise the fixed effects on the scale of the link.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        ci_method : {"wald", "profile"}
            Normal interval from the Hessian over all parameters, or the profile of the
            (approximate) deviance.
        exponentiate : bool
            Whether to return odds ratios (logit), rate ratios (log) or hazard ratios
            (cloglog): estimate and interval are exponentiated, and `sd` is that of the
            ratio by the delta method.

        Returns
        -------
        DataFrame
            One row per coefficient: term, estimate, sd, lower, upper.

        Raises
        ------
        NotSupportedError
            For the profile of a posterior mode, or ratios under a link that has none.
        """
        return super().fixed_effects(ci_prob, ci_method=ci_method, exponentiate=exponentiate)

    @of_modes
    def variance_components(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Return the standard deviations of the group effects, on the scale of the link.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"profile", "wald"}, optional
            The profile of the (approximate) deviance, or a normal interval of the
            logarithm. By default the profile where all of them cost less than about a
            second (with one intercept up to some 5,000 rows, with correlated slopes up
            to some 400), and never with ``method="map"``.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor: group, effect, variance, sd,
            sd_lower, sd_upper, variance_share. For a binary response the last row is
            the latent variable's residual, which is not estimated; for counts there is
            none, and the shares are NaN. A share may be below zero, as each covariance
            of two effects is split evenly between them. Ends that are not known are NaN:
            those that no profile finds, a normal interval's upper end where the estimate
            is zero, and a normal interval whose standard error of the logarithm is above 3.
        """
        table = super().variance_components(ci_prob, ci_method=ci_method)
        residual = float(self._residual_on_link)
        if np.isnan(residual):
            return table
        sd = np.sqrt(residual)
        row = {
            "group": "Residual", "effect": "latent", "variance": residual, "sd": sd,
            "sd_lower": sd, "sd_upper": sd,
            "variance_share": 1.0 - float(table["variance_share"].sum()),
        }  # fmt: skip
        return pd.concat([table, pd.DataFrame([row]).astype(table.dtypes)], ignore_index=True)

    @of_modes
    def family_parameters(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Summarise the family's own parameters.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"profile", "wald"}, optional
            As in `variance_components`.

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd, lower, upper. A profile
            that falls for ever ends at infinity, as that of a negative binomial's alpha
            where there is no overdispersion; ends that are not known are NaN.

        Raises
        ------
        NotSupportedError
            If `ci_prob` is no probability, or for the profile of a posterior mode.
        """
        method = ci_method or self._affordable()
        check_probability("ci_prob", ci_prob)
        one_of("ci_method", method, ("wald", "profile"))
        d = self._co.n_x
        at = np.arange(d, self._n_outer)
        estimate = np.exp(self._laplace.x[at])
        se = np.sqrt(np.diag(self._outer_cov)[at])
        if method == "profile":
            self._check_profile()
            ends = [self._profile_of_parameter(k, ci_prob) for k in at.tolist()]
            lower, upper = np.exp(np.reshape(ends, (-1, 2)).T)
        else:
            lower, upper = interval_of_logarithm(estimate, se, ci_prob)
        return pd.DataFrame(
            {
                "parameter": text_column(self._gp.parameters),
                "estimate": estimate,
                "sd": estimate * se,
                "lower": lower,
                "upper": upper,
            }
        )

    # -- inside ---------------------------------------------------------------

    @property
    def _fit_options(self) -> dict[str, Any]:
        return {"n_quadrature": self.n_quadrature}

    @functools.cached_property
    def _theta_cov(self) -> np.ndarray:
        """Covariance of log standard deviations and partial correlations, NaN at a boundary."""
        co, x = self._absolute
        d, n_sd = co.n_x, co.n_sd
        out = self._outer_cov[:d, :d].copy()
        scale, mode = np.ones(d), self._laplace.x[:d]
        for k in np.flatnonzero(self._co.prior_kind[:n_sd] == UNIFORM).tolist():
            step = np.zeros(d)
            step[k] = 1e-5
            at = co.effect_of_sd[k]
            up, down = (factors_at(self._co, mode + s * step).sd[at] for s in (1, -1))
            scale[k] = np.log(up / down) / 2e-5
        out *= np.outer(scale, scale)
        bound = ~away_from_boundaries(co, x, self._optimum.at_zero)
        out[bound], out[:, bound] = np.nan, np.nan
        return out

    @functools.cached_property
    def _absolute(self) -> tuple[Coordinates, np.ndarray]:
        co = self._problem.absolute_coordinates()
        x, n_sd = self._laplace.x[: co.n_x].copy(), co.n_sd
        # Under a uniform prior the coordinate is no logarithm.
        uniform = np.flatnonzero(self._co.prior_kind[:n_sd] == UNIFORM)
        x[uniform] = np.log(np.maximum(self._optimum.sd[co.effect_of_sd[uniform]], 1e-300))
        return co, x

    @functools.cached_property
    def _laplace_likelihood(self) -> LaplaceLikelihood:
        return laplace_likelihood_at(self._gp, self._co, self._laplace, self.n_quadrature)

    @property
    def _surroundings(self) -> Around:
        return self._laplace_likelihood

    def _affordable(self, n_more: int = 0) -> IntervalMethod:
        """The profile where there is one and all together take under a second."""
        if self.method == "map" or not np.isfinite(self._laplace.loglik):
            return "wald"
        return "profile" if seconds_of_profiles(self._gp, self.n_quadrature) < 1.0 else "wald"

    def _profile_of_sd(self, k: int, ci_prob: float, *, may_be_zero: bool) -> tuple[float, float]:
        if self.n_quadrature == 1 and self._reproduced.shape[1]:
            # The integral rises for ever; that its approximation falls again is its error.
            return np.nan, np.nan
        return super()._profile_of_sd(k, ci_prob, may_be_zero=may_be_zero)

    def _profile_of_parameter(self, k: int, ci_prob: float) -> tuple[float, float]:
        return self._once(
            ("parameter", k, ci_prob),
            lambda: profile_theta(self._surroundings, k, ci_prob, may_be_zero=False),
        )

    def _profile_of_coefficient(self, j: int, ci_prob: float) -> tuple[float, float]:
        self._check_profile()
        row = np.linalg.inv(self._problem.scaling.TX)[j]
        sd = float(np.sqrt(self._conditional.beta_cov[j, j]))
        with blas_threads(self._problem):
            return profile_working_coefficient(self._laplace_likelihood, row, sd, ci_prob)

    @property
    def _residual_on_link(self) -> np.ndarray:
        """On the latent scale, where the link has one."""
        latent = self.model.family.residual_variance(self._family_values)
        return np.asarray(np.nan if latent is None else latent, dtype=np.float64)

    @property
    def _phi(self) -> np.ndarray:
        """Logarithms of the family's parameters."""
        return self._laplace.x[self._co.n_x : self._n_outer]

    def _moments(self, *, fixed_uncertainty: bool) -> Conditional:
        gp, co, problem = self._gp, self._co, self._problem
        x, eq, p = self._laplace.x, problem.equations, problem.n_fixed
        theta = np.ascontiguousarray(x[: co.n_x])
        flat = self._separated
        # The equations are left with the weights at the mode.
        fine = np.isfinite(log_marginal(gp, co, x, self._laplace.u))
        n_u = gp.n_effects
        beta, beta_cov = np.empty(p), np.empty((p, p))
        b_cov = np.empty(int((eq.q**2 * eq.n_levels).sum()))
        cross, unused = np.empty((n_u, p)), np.empty(n_u)
        # How b moves with beta does not depend on what holds beta.
        hold = (1e-12 * np.eye(p) + flat @ flat.T) / gp.link_unit**2
        ridge = FixedPrior(hold, np.zeros(p))
        fine = fine and add_moments(
            eq, co, theta, 1.0, ridge, False, beta, beta_cov, unused, b_cov, cross
        )
        outer = self._determined.covariance[self._n_outer :, self._n_outer :]
        # How the mode of b moves with beta.
        moves = cross
        if not fine:
            if self._optimum.converged:  # else it has been said what is wrong
                self._optimum = replace(
                    self._optimum, converged=False,
                    message="the effects have no covariance: "
                    "their Hessian is not negative definite",
                )  # fmt: skip
            b_cov[:], moves = np.nan, np.full_like(cross, np.nan)
        elif p:
            moves = np.linalg.lstsq(beta_cov, cross.T, rcond=None)[0].T
        back = np.linalg.inv(problem.scaling.TX)
        b = split_by_group(problem, self._effects())
        variances, crossed = variances_by_group(problem, b_cov), {}
        moves_by_group = split_by_group(problem, np.ascontiguousarray(moves.T))
        for group in problem.groups:
            variance = variances[group.name]
            J = np.moveaxis(moves_by_group[group.name], 0, -1)
            with np.errstate(invalid="ignore"):
                if fixed_uncertainty:
                    variance = variance + np.einsum("gip,pr,gir->gi", J, outer, J)
                crossed[group.name] = J @ outer @ back.T
            variances[group.name] = variance
        at = 0
        for group in problem.groups:  # zero is zero, not 1e-27
            zero = self._optimum.at_zero[at : at + group.n_effects]
            for values in (b, variances, crossed):
                values[group.name][:, zero] = 0.0
            at += group.n_effects
        return Conditional(
            beta=back @ x[self._n_outer :], beta_cov=self._determined_fixed.table(), b=b,
            b_var=variances, cross=crossed,
        )  # fmt: skip

    @property
    def _family_values(self) -> dict[str, np.ndarray]:
        return dict(zip(self._gp.parameters, np.exp(self._phi), strict=True))

    def _row_precision(self) -> np.ndarray:
        """Curvature of each row's log density at the mode."""
        return mode_of(self._gp, self._co, self._laplace).weights

    def _effects(self) -> np.ndarray:
        """Working group effects b = L u, factor behind factor."""
        co, eq = self._co, self._problem.equations
        L = factors_at(co, self._laplace.x).L
        out = np.empty(self._gp.n_effects)
        start = self._gp.rows.u_start
        for f, q in enumerate(eq.q.tolist()):
            block = L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q)
            u = self._laplace.u[start[f] : start[f + 1]].reshape(-1, q)
            out[start[f] : start[f + 1]] = (u @ block.T).ravel()
        return out

    def _method_in_words(self) -> str:
        what = {"ml": "maximum likelihood", "map": "posterior mode"}[self.method]
        how = (
            "Laplace's approximation" if self.n_quadrature == 1
            else f"adaptive quadrature with {self.n_quadrature} points"
        )  # fmt: skip
        return f"{what}, {how}"

    def _more_sections(self, ci_prob: float) -> list[Section]:
        if not self._gp.parameters:
            return []
        return [
            Section(
                title="Family parameters", table=self.family_parameters(ci_prob),
                text_columns=("parameter",),
            )
        ]  # fmt: skip

    def _more_notes(self) -> list[str]:
        notes = [f"Effects are on the scale of the {self.model.family.link} link."]
        if self.separation:
            notes.append(f"Separation: {self.separation}.")
        if self._flat_words:
            notes.append(f"Flat: {self._flat_words}.")
        if self.approximation:
            notes.append(f"{self.approximation}.")
        if self.mean_branch:
            notes.append(f"Branches of the mean: {self.mean_branch}.")
        return notes
