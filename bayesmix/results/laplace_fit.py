"""`LaplaceFit`: empirical Bayes beyond the normal, by Laplace's approximation."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.arguments import check_probability
from bayesmix.errors import NotApplicableError, NotSupportedError
from bayesmix.gaussian.conditional import (
    Conditional,
    add_moments,
    split_by_group,
    to_formula_scale,
)
from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.empirical import LARGEST_CORRELATION
from bayesmix.inference.laplace import (
    LaplaceOptimum,
    hessian,
    inner_mode,
    log_marginal,
    maximise_laplace,
    search_units,
)
from bayesmix.inference.quadrature import quadrature_optimum
from bayesmix.results.empirical_bayes import EmpiricalBayes, IntervalMethod
from bayesmix.results.predict.laplace_prediction import PredictsAtLaplaceModes
from bayesmix.results.tabular.arguments_of_others import of_modes
from bayesmix.results.tabular.summary import Section
from bayesmix.results.tabular.tables import text_column

if TYPE_CHECKING:
    from bayesmix.model import Model

__all__ = ["LaplaceFit"]

_NO_MORE = 1e-3  # standard errors
_RUNAWAY = 15.0  # of a coefficient of a standardised column, on the scale of the link


class LaplaceFit(PredictsAtLaplaceModes, EmpiricalBayes):
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

    def __init__(self, model: Model, method: Literal["ml", "map"], n_quadrature: int = 1) -> None:
        start = time.perf_counter()
        self.model = model
        self.method = method
        self.n_quadrature = n_quadrature
        gp: GlmmProblem = model.glmm_problem
        self._gp = gp
        self._problem = gp.problem
        link_start = model.link_start
        if method == "map":
            self._co: Coordinates = gp.problem.coordinates(model.prior_entries)
            self._prior = gp.problem.fixed_prior(model.design, model.prior_entries)
            found = maximise_laplace(gp, self._co, self._prior, 1, link_start)
        else:
            self._co = gp.problem.absolute_coordinates()
            self._prior = flat_prior(gp.problem.n_fixed)
            found = maximise_laplace(gp, self._co, None, 0, link_start)
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

        Of a negative binomial also that nothing is left for its overdispersion: alpha
        then is as large as the search went, and the fit that of the Poisson family.
        """
        found = super().singular
        if not self._is_poisson:
            return found
        words = 'there is no overdispersion: family="poisson" fits as well'
        return f"{found}; {words}" if found else words

    @property
    def _is_poisson(self) -> bool:
        """Whether what alpha adds to the variance is far below what its estimate could tell."""
        family = self.model.family
        if family.name != "negative_binomial":
            return False
        alpha, y = float(self._family_values["alpha"]), self.model.y
        # 1 / alpha has a standard error of sqrt(2 / sum of mu^2) near the Poisson limit.
        return bool(1.0 / alpha < _NO_MORE * np.sqrt(2.0 / max(float(y @ y), 1.0)))

    @property
    def separation(self) -> str:
        """Coefficients that run away, in words; empty if none does.

        Where a predictor splits the outcomes perfectly the likelihood grows without
        end; the priors of ``method="map"`` and of ``fit()`` keep the estimate finite.
        """
        beta = self._laplace.x[self._n_outer :]
        # Of a constant column the working coefficient is the intercept at the means.
        far = np.flatnonzero(np.abs(beta) > _RUNAWAY)
        names = [self.model.design.fixed_effects[j] for j in far]
        if not names or self.model.family.link not in {"logit", "probit", "cloglog", "cauchit"}:
            return ""
        return (
            f"{', '.join(names)} split{'s' if len(names) == 1 else ''} the outcomes (almost) "
            'perfectly and the estimate runs away; take method="map" or fit(), whose priors hold it'
        )

    @property
    def _n_outer(self) -> int:
        return int(self._co.sizes[0]) + len(self._gp.parameters)

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
        ci_method : {"wald"}
            Normal interval from the Hessian over all parameters.
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
            For another method, or ratios under a link that has none.
        """
        _check_method(ci_method)
        return super().fixed_effects(ci_prob, exponentiate=exponentiate)

    @of_modes
    def variance_components(
        self, ci_prob: float = 0.95, *, ci_method: IntervalMethod | None = None
    ) -> pd.DataFrame:
        """Return the standard deviations of the group effects, on the scale of the link.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"wald"}, optional
            A normal interval of the logarithm.

        Returns
        -------
        DataFrame
            One row per effect of a grouping factor: group, effect, variance, sd,
            sd_lower, sd_upper, variance_share. For a binary response the last row is
            the latent variable's residual, which is not estimated; for counts there is
            none, and the shares are NaN. A share may be below zero, as each covariance
            of two effects is split evenly between them.
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
        """Summarise the family's own parameters, with Wald intervals of their logarithms.

        Parameters
        ----------
        ci_prob : float
        ci_method : {"wald"}, optional

        Returns
        -------
        DataFrame
            One row per parameter: parameter, estimate, sd, lower, upper.

        Raises
        ------
        NotSupportedError
            If `ci_prob` is no probability, or for another method.
        """
        check_probability("ci_prob", ci_prob)
        _check_method(ci_method or "wald")
        d = int(self._co.sizes[0])
        at = np.arange(d, self._n_outer)
        estimate = np.exp(self._laplace.x[at])
        se = np.sqrt(np.diag(self._outer_cov)[at])
        z = stats.norm.ppf((1 + ci_prob) / 2)
        with np.errstate(over="ignore"):  # infinite where the data say nothing
            lower, upper = estimate * np.exp(-z * se), estimate * np.exp(z * se)
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
    def _outer_cov(self) -> np.ndarray:
        """Covariance of all outer coordinates; zero for those at a boundary."""
        x, d = self._laplace.x, int(self._co.sizes[0])
        n_sd = int(self._co.sizes[1])
        free = np.ones(len(x), dtype=bool)
        free[:n_sd] = ~self._optimum.at_zero
        # Correlations with an effect that does not vary are not there to be estimated.
        free[n_sd:d] = np.abs(x[n_sd:d]) < LARGEST_CORRELATION - 0.5
        free[n_sd:d] &= np.abs(self._laplace.gradient[n_sd:d]) < np.inf
        prior = self._prior if self.method == "map" else None
        H = hessian(self._gp, self._co, prior, 1 if prior else 0, x, self._laplace.u, free)
        values, vectors = np.linalg.eigh(H)
        fine = values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)
        inverse = np.where(fine, 1 / np.where(fine, values, 1.0), 0.0)
        out = np.zeros((len(x), len(x)))
        at = np.flatnonzero(free)
        scale = search_units(self._gp, len(x))[at]
        out[np.ix_(at, at)] = ((vectors * inverse) @ vectors.T) * np.outer(scale, scale)
        flat = ~fine
        if flat.any():  # nothing is known along these directions
            unknown = (np.abs(vectors[:, flat]) > 1e-3).any(axis=1)
            out[at[unknown], at[unknown]] = np.inf
        return out

    @functools.cached_property
    def _theta_cov(self) -> np.ndarray:
        d = int(self._co.sizes[0])
        return self._outer_cov[:d, :d]

    @functools.cached_property
    def _absolute(self) -> tuple[Coordinates, np.ndarray]:
        return self._problem.absolute_coordinates(), self._laplace.x[: int(self._co.sizes[0])]

    def _affordable(self) -> IntervalMethod:
        return "wald"

    def _sd_interval(
        self, ci_prob: float, method: IntervalMethod
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        _check_method(method)
        return super()._sd_interval(ci_prob, method)

    @property
    def _residual_on_link(self) -> np.ndarray:
        """On the latent scale, where the link has one."""
        latent = self.model.family.residual_variance(self._family_values)
        return np.asarray(np.nan if latent is None else latent, dtype=np.float64)

    @property
    def _phi(self) -> np.ndarray:
        """Logarithms of the family's parameters."""
        return self._laplace.x[int(self._co.sizes[0]) : self._n_outer]

    def _moments(self, *, fixed_uncertainty: bool) -> Conditional:
        gp, co, problem = self._gp, self._co, self._problem
        x, eq, p = self._laplace.x, problem.equations, problem.n_fixed
        theta = np.ascontiguousarray(x[: int(co.sizes[0])])
        # The equations are left with the weights at the mode.
        fine = np.isfinite(log_marginal(gp, co, x, self._laplace.u))
        n_u = gp.n_effects
        beta, beta_cov = np.empty(p), np.empty((p, p))
        b_cov = np.empty(int((eq.q**2 * eq.n_levels).sum()))
        cross, unused = np.empty((n_u, p)), np.empty(n_u)
        ridge = FixedPrior(1e-12 / gp.link_unit**2 * np.eye(p), np.zeros(p))
        fine = fine and add_moments(
            eq, co, theta, 1.0, ridge, False, beta, beta_cov, unused, b_cov, cross
        )
        outer = self._outer_cov[self._n_outer :, self._n_outer :]
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
        variances, crossed, at = {}, {}, 0
        moves_by_group = split_by_group(problem, np.ascontiguousarray(moves.T))
        for f, group in enumerate(problem.groups):
            q, size = group.n_effects, int(eq.q[f] ** 2 * eq.n_levels[f])
            blocks = b_cov[at : at + size].reshape(-1, q, q)
            at += size
            T = to_formula_scale(problem, f)
            variance = np.einsum("ik,gkl,il->gi", T, blocks, T)
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
        with np.errstate(invalid="ignore"):
            covariance = back @ outer @ back.T
        return Conditional(
            beta=back @ x[self._n_outer :], beta_cov=covariance, b=b, b_var=variances,
            cross=crossed,
        )  # fmt: skip

    @property
    def _family_values(self) -> dict[str, np.ndarray]:
        return dict(zip(self._gp.parameters, np.exp(self._phi), strict=True))

    def _row_precision(self) -> np.ndarray:
        """Curvature of each row's log density at the mode."""
        found = inner_mode(
            self._gp,
            factors_at(self._co, self._laplace.x).L,
            np.exp(self._phi),
            flat_prior(self._problem.n_fixed),
            beta=self._laplace.x[self._n_outer :],
            u=self._laplace.u,
            with_fixed=False,
        )
        return found.weights

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
        return notes


def _check_method(ci_method: str) -> None:
    if ci_method != "wald":
        raise NotSupportedError(
            f"ci_method={ci_method!r}: beyond the normal there is 'wald'; fit() gives the posterior"
        )
