"""A normal model at its best variance parameters: REML, ML or the marginal posterior mode."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Self

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.combine import separate_theta
from bayesmix.gaussian.conditional import Conditional, conditional_moments
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.canonical import canonical
from bayesmix.inference.empirical import Method, Optimum, blas_threads, maximise
from bayesmix.inference.iterative_start import start_of_large
from bayesmix.inference.perfect import refuse_no_residual, refuse_perfect_fit, refuse_saturated
from bayesmix.inference.problems import gaussian_problem
from bayesmix.inference.profile import absolute_coordinates
from bayesmix.inference.theta_draws import residual_variables
from bayesmix.laws.levels import covariance_roots
from bayesmix.laws.mivque import mivque0_optimum
from bayesmix.laws.rows import Rows
from bayesmix.laws.values import Values
from bayesmix.statement.stated import StatedModel

__all__ = ["Mode"]


class Mode:
    """Where the criterion is best, and the moments of the effects there.

    Parameters
    ----------
    model : StatedModel
    method : {"reml", "ml", "map", "mivque0"}

    Attributes
    ----------
    model : StatedModel
    method : str
    problem : Problem
    prior : FixedPrior
    optimum : Optimum
    conditional : Conditional

    Raises
    ------
    DataError
        If the model leaves no residual variance to estimate.
    """

    n_quadrature = 1  # beyond it, the points of an integral that is not exact
    method: Method
    problem: Problem
    prior: FixedPrior
    optimum: Optimum
    conditional: Conditional

    def __init__(self, model: StatedModel, method: Method) -> None:
        self.model = model
        self.method = method
        self.problem = problem = gaussian_problem(model)
        if method != "map":
            refuse_saturated(problem, model.design.mu)
        search = canonical(model)
        refuse_perfect_fit(search.problem, search.predictor, search.y)
        if method == "map":
            self.prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
            co = search.problem.coordinates(search.priors)
            prior = search.problem.fixed_prior(search.predictor, search.priors.mu)
            self.optimum = maximise(search.problem, method, co, prior)
        else:
            self.prior = flat_prior(problem.n_fixed)
            self.optimum = (
                mivque0_optimum(model, problem) if method == "mivque0"
                else maximise(
                    search.problem, method, near=start_of_large(model, search.problem, method)
                )
            )  # fmt: skip
        refuse_no_residual(problem, self.optimum)
        self.conditional = self.moments(fixed_uncertainty=True)

    @property
    def is_restricted(self) -> bool:
        """Whether the likelihood is the restricted one."""
        return self.method in ("reml", "mivque0")

    def again(self, model: StatedModel, method: Method) -> Self:
        """Fit another model of the same rows and family in the same way."""
        return type(self)(model, method)

    @property
    def family_values(self) -> Mapping[str, np.ndarray]:
        """Estimates of the family's own parameters, and of the residual structure's."""
        found = {} if self.problem.sigma_is_known else {"sigma": np.asarray(self.optimum.sigma)}
        found |= self.residual_values
        if "sigma" in self.model.design.predictors:
            found.pop(self.model.names.of("sigma").beta, None)
        return found

    @functools.cached_property
    def residual_values(self) -> dict[str, np.ndarray]:
        """Estimates of R's variables beside sigma, or of sigma's coefficients."""
        phi = separate_theta(self.optimum.coordinates, self.optimum.x)[1]
        return residual_variables(self.problem, phi)

    @property
    def residual_on_link(self) -> np.ndarray:
        """Residual variance on the scale of the linear predictor; NaN where it has none.

        Where it differs between rows it is the mean over these.
        """
        if self.problem.scale is None:
            return np.asarray(self.optimum.sigma**2)
        if "sigma" in self.model.design.predictors:
            known = self.model.design.known_se
            beside = 0.0 if known is None else np.mean(np.square(known))
            return np.asarray(np.mean(self.row_sigma(None) ** 2) + beside)
        assert self.model.residual is not None  # noqa: S101
        return self.model.residual.mean_variance(self.family_values, self.model.rows)

    def residual_variance(self) -> np.ndarray | None:
        """The same, as laws of draws have it."""
        return self.residual_on_link

    def row_sigma(self, rows: Rows | None) -> np.ndarray:
        """Sigma of each row where it has a predictor, of the fit or new, shape (n,)."""
        scale, model = self.problem.scale, self.model
        assert scale is not None  # noqa: S101
        own = model.design.predictors["sigma"] if rows is None else rows.others["sigma"]
        eta = own.X @ self.residual_values[scale.variable]
        with np.errstate(over="ignore"):  # infinite far beyond the data
            return np.asarray(np.exp(eta if own.offset is None else eta + own.offset))

    @property
    def values(self) -> Values:
        """Estimates of fixed effects and variance parameters."""
        sd, corr = self.by_group()
        return Values(beta=self.conditional.beta, sd=sd, corr=corr, parameters=self.family_values)

    @functools.cached_property
    def roots(self) -> Mapping[str, np.ndarray]:
        """Roots of the covariance of each grouping factor's effects, shape (q, q)."""
        sd, corr = self.by_group()
        return {
            name: covariance_roots(values[None], corr[name][None] if name in corr else None)[0]
            for name, values in sd.items()
        }

    def moments(self, *, fixed_uncertainty: bool) -> Conditional:
        """Moments of the effects given the variance parameters."""
        with blas_threads(self.problem):
            return self._moments(fixed_uncertainty)

    def _moments(self, fixed_uncertainty: bool) -> Conditional:
        problem, o = self.problem, self.optimum
        known = problem.known_precision
        if o.centred is not None:
            co, x = o.centred
        elif problem.sigma_is_known or self.method == "map":
            co, x = o.coordinates, o.x
        else:
            co, x = absolute_coordinates(problem, o)
        found = conditional_moments(
            problem, co, x, self.prior, known=known, fixed_uncertainty=fixed_uncertainty
        )
        at = 0
        for group in problem.groups:  # zero is zero, not 1e-42
            zero = o.at_zero[at : at + group.n_effects]
            for values in (found.b, found.b_var, found.cross):
                values[group.name][:, zero] = 0.0
            at += group.n_effects
        return found

    def by_group(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Standard deviations and correlations by grouping factor."""
        sd, corr, at = {}, {}, 0
        for f, group in enumerate(self.problem.groups):
            sd[group.name] = self.optimum.sd[at : at + group.n_effects]
            at += group.n_effects
            if not covariance_of(group).is_diagonal:
                corr[group.name] = self.optimum.corr[f]
        return sd, corr
