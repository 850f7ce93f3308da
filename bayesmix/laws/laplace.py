"""Laplace's law: beyond a normal response normal around the mode, where anything is known."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.coordinates import UNIFORM, Coordinates, factors_at
from bayesmix.inference.empirical import blas_threads
from bayesmix.inference.laplace import log_marginal
from bayesmix.inference.laplace_profile import (
    LaplaceLikelihood,
    laplace_likelihood_at,
    profile_working_coefficient,
    seconds_of_profiles,
)
from bayesmix.inference.profile import Around, profile_theta
from bayesmix.laws.base import Asked, Columns, DegreesOfFreedom, IntervalMethod, Smooth
from bayesmix.laws.intervals import away_from_boundaries
from bayesmix.laws.laplace_rows import LaplaceRows
from bayesmix.laws.mean_branch import branch_in_words
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.small_samples import Asymptotic, SmallSample
from bayesmix.laws.wald import interval_of_coordinate

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.statement.stated import StatedModel

__all__ = ["LaplaceLaw"]


class LaplaceLaw(LaplaceRows, NormalLaw):
    """ML or MAP of a model beyond the normal, by Laplace's approximation or quadrature."""

    def seen_as(self, model: StatedModel) -> Law:
        """The same law with another view of a response of two categories in no order."""
        if not self.model.family.is_nominal:
            return super().seen_as(model)
        # Either category has the likelihood of both.
        found = copy.copy(self)
        found.model = model
        return found

    # -- criteria -------------------------------------------------------------

    @property
    def deviance(self) -> float:
        """Minus twice the (approximate) log-likelihood at the estimates."""
        return -2.0 * self.loglik

    @functools.cached_property
    def loglik(self) -> float:
        """Log-likelihood of fixed effects, variance components and family parameters."""
        if self.method == "ml":
            return self.laplace.loglik + self.gp.constant
        return log_marginal(self.gp, self.co, self.laplace.x, self.laplace.u) + self.gp.constant

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, the family's own."""
        return super().df + len(self.gp.phi)

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is.

        Also that nothing is left for a parameter of the family, such as a negative binomial's
        alpha, which then is as large as the search went, and the fit that of the Poisson family.
        """
        words = self.model.family.limit_in_words(self.model.y, self.family_values)
        return "; ".join(filter(None, (super().singular, words)))

    @property
    def mean_branch(self) -> str:
        """Whether a mean belongs to linear predictors below zero too, in words; empty if not.

        The square of a linear predictor rises again below zero. Where effects reach
        there, what a coefficient means changes its sign with the level.
        """
        return branch_in_words(self.gp, self.co, self.laplace)

    @property
    def method_in_words(self) -> str:
        """What was maximised, and how the effects were integrated out."""
        what = {"ml": "maximum likelihood", "map": "posterior mode"}[self.method]
        how = (
            "Laplace's approximation" if self.n_quadrature == 1
            else f"adaptive quadrature with {self.n_quadrature} points"
        )  # fmt: skip
        return f"{what}, {how}"

    @property
    def has_sigma(self) -> bool:
        """The family's own parameters stand for it."""
        return False

    @property
    def notes(self) -> list[str]:
        """On which scale effects are, and where the estimates say less than they seem to."""
        found = [f"Effects are on the scale of the {self.model.family.link} link."]
        if self.separation:
            found.append(f"Separation: {self.separation}.")
        if self.flat_in_words:
            found.append(f"Flat: {self.flat_in_words}.")
        if self.approximation:
            found.append(f"{self.approximation}.")
        if self.mean_branch:
            found.append(f"Branches of the mean: {self.mean_branch}.")
        return found

    @property
    def why_lost(self) -> str:
        """Why some estimates have no standard error, in words."""
        return self.separation or self.flat_in_words

    @property
    def lost_coefficients(self) -> np.ndarray:
        """Which fixed effects have no estimate, shape (p,)."""
        return self.determined_fixed.lost(np.eye(len(self.model.design.mu.fixed_effects)))

    # -- parameters -----------------------------------------------------------

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        method = asked.ci_method or self.affordable()
        check_probability("ci_prob", asked.ci_prob)
        one_of("ci_method", method, ("wald", "profile"))
        at = np.arange(self.co.n_x, self.n_outer)
        gp, phi, x = self.gp, self.gp.phi, self.laplace.x[at]
        values = list(self.family_values.values())
        estimate = np.concatenate([np.atleast_1d(value) for value in values]) if values else x
        J, se = phi.slopes(phi.values(x)), np.sqrt(np.diag(self.outer_cov)[at])
        sd = np.diag(J) * se
        if phi.has_vectors:
            beta = np.linalg.solve(self.problem.scaling.TX.T, gp.means)
            J = np.concatenate([J, np.tile(beta, (len(J), 1))], axis=1)
            part = slice(self.co.n_x, None)
            sd = np.sqrt(np.einsum("ij,jk,ik->i", J, self.determined.covariance[part, part], J))
        lower, upper = interval_of_coordinate(phi, x, estimate, se, sd, asked.ci_prob)
        sd = np.where(np.isinf(sd), np.nan, sd)  # there is none
        if method == "profile":
            self._check_profile()
            for k in range(len(at)):
                if phi.is_single(k) and not phi.sizes[phi.names[k]]:  # not at the means
                    ends = self._profile_of_parameter(int(at[k]), asked.ci_prob)
                    for limits, end in zip((lower, upper), ends, strict=True):
                        moved = x.copy()
                        moved[k] = end
                        limits[k] = phi.values(moved)[k]
        labels = self.model.family.parameter_labels(self.model.design.response)
        names = [
            f"{name}[{label}]" if label else name
            for name in phi.sizes
            for label in labels.get(name, ("",))
        ]
        return names, {"estimate": estimate, "sd": sd, "lower": lower, "upper": upper}

    def small_sample(self, ddf: DegreesOfFreedom | None) -> SmallSample:
        """Wald's tests, with the covariance taken as known."""
        if ddf is not None:
            raise NotSupportedError(
                f"ddf={ddf!r} is of normal responses that are seen exactly, and this fit is by "
                "Laplace's approximation: it has Wald's tests (tests=True, or ddf left out) and "
                "drop1()"
            )
        if self.method == "map":
            raise NotSupportedError(
                'a posterior mode (method="map") has no tests of zero; fit by "ml", or ask '
                "hypothesis()"
            )
        return Asymptotic(covariance=self.conditional.beta_cov, determined=self.determined_fixed)

    def note_of_tests(self, asked: Asked) -> str:
        """What Wald's tests rest on."""
        if not asked.tested:
            return ""
        return (
            "z and p are Wald's: approximate, and too small where groups are few; anova() of two "
            "fits and drop1() compare likelihoods."
        )

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, the residual's last, and their columns."""
        labels, columns = super().components(asked)
        if labels and labels[-1] == ("Residual", ""):  # which knows nothing of links and limits
            labels, columns = labels[:-1], {name: values[:-1] for name, values in columns.items()}
        residual = float(self.residual_on_link)
        if np.isnan(residual):
            return labels, columns
        sd, label = np.sqrt(residual), "latent"
        lower = upper = sd
        if self.model.family.residual_is_estimated:
            label, (lower, upper) = "", self._residual_limits(asked)
        share = 1.0 - float(columns["variance_share"].sum())
        own = dict(zip(columns, (residual, sd, lower, upper, share), strict=True))
        return [*labels, ("Residual", label)], {
            name: np.append(values, own[name]) for name, values in columns.items()
        }

    def smooth(self) -> Smooth:
        """Beta, theta in logarithms and partial correlations, then the family's coordinates."""
        theta, beta = self.absolute[1], self.conditional.beta
        p, n = len(beta), len(theta) + len(self.gp.phi)
        move = np.eye(n + p)
        move[n:, n:] = np.linalg.inv(self.problem.scaling.TX)
        determined = self.determined.moved(move).part(np.r_[np.arange(n, n + p), np.arange(n)])
        start = np.concatenate([beta, theta, self.phi])
        return Smooth(start=start, determined=determined, values=self._values_at)

    # -- inside ---------------------------------------------------------------

    def _residual_limits(self, asked: Asked) -> tuple[float, float]:
        """Limits of the residual standard deviation: those of sigma, of which it is a function."""
        names, columns = self.own_parameters(asked)
        at, family = names.index("sigma"), self.model.family
        lower, upper = (
            np.sqrt(np.asarray(family.residual_variance({**self.family_values, "sigma": end[at]})))
            for end in (columns["lower"], columns["upper"])
        )
        return float(lower), float(upper)

    def _own_at(
        self, own: np.ndarray, residual: np.ndarray, beta: np.ndarray
    ) -> dict[str, np.ndarray]:
        return self.gp.parameter_values(own, beta)

    @functools.cached_property
    def theta_cov(self) -> np.ndarray:
        """Covariance of log standard deviations and partial correlations, NaN at a boundary."""
        co, x = self.absolute
        d, n_sd = co.n_x, co.n_sd
        out = self.outer_cov[:d, :d].copy()
        scale, mode = np.ones(d), self.laplace.x[:d]
        for k in np.flatnonzero(self.co.prior_kind[:n_sd] == UNIFORM).tolist():
            step = np.zeros(d)
            step[k] = 1e-5
            at = co.effect_of_sd[k]
            up, down = (factors_at(self.co, mode + s * step).sd[at] for s in (1, -1))
            scale[k] = np.log(up / down) / 2e-5
        out *= np.outer(scale, scale)
        bound = ~away_from_boundaries(co, x, self.optimum.at_zero)
        out[bound], out[:, bound] = np.nan, np.nan
        return out

    @functools.cached_property
    def absolute(self) -> tuple[Coordinates, np.ndarray]:
        """Theta in logarithms of standard deviations and partial correlations."""
        co = self.problem.absolute_coordinates()
        x, n_sd = self.laplace.x[: co.n_x].copy(), co.n_sd
        # Under a uniform prior the coordinate is no logarithm.
        uniform = np.flatnonzero(self.co.prior_kind[:n_sd] == UNIFORM)
        x[uniform] = np.log(np.maximum(self.optimum.sd[co.effect_of_sd[uniform]], 1e-300))
        return co, x

    @functools.cached_property
    def _laplace_likelihood(self) -> LaplaceLikelihood:
        return laplace_likelihood_at(self.gp, self.co, self.laplace, self.n_quadrature)

    @property
    def _surroundings(self) -> Around:
        return self._laplace_likelihood

    def affordable(self, n_more: int = 0) -> IntervalMethod:
        """The profile where there is one and all together take under a second."""
        if self.method == "map" or not np.isfinite(self.laplace.loglik):
            return "wald"
        return "profile" if seconds_of_profiles(self.gp, self.n_quadrature) < 1.0 else "wald"

    def _profile_of_sd(self, k: int, ci_prob: float, *, may_be_zero: bool) -> tuple[float, float]:
        if self.n_quadrature == 1 and self.reproduced.shape[1]:
            # The integral rises for ever; that its approximation falls again is its error.
            return np.nan, np.nan
        return super()._profile_of_sd(k, ci_prob, may_be_zero=may_be_zero)

    def _as_good(self, k: int, value: float) -> bool:
        if self.method == "map" or not np.isfinite(self.laplace.loglik):
            return False
        around = self._surroundings
        moved, gradient = around.x.copy(), np.empty(len(around.x))
        moved[k] = value
        here, there = (around.deviance(x, gradient) for x in (around.x, moved))
        return there <= here + 2e-5

    def _profile_of_structure(self, k: int, ci_prob: float) -> tuple[float, float]:
        if self.n_quadrature == 1 and self.reproduced.shape[1]:
            return np.nan, np.nan
        return super()._profile_of_structure(k, ci_prob)

    def _profile_of_parameter(self, k: int, ci_prob: float) -> tuple[float, float]:
        return self._once(
            ("parameter", k, ci_prob),
            lambda: profile_theta(
                self._surroundings, k, ci_prob, may_be_zero=False, below=-np.inf, from_edge=True
            ),
        )

    def _profile_of_coefficient(self, j: int, ci_prob: float) -> tuple[float, float]:
        self._check_profile()
        row = np.linalg.inv(self.problem.scaling.TX)[j]
        sd = float(np.sqrt(self.conditional.beta_cov[j, j]))
        with blas_threads(self.problem):
            return profile_working_coefficient(self._laplace_likelihood, row, sd, ci_prob)
