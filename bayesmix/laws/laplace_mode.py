"""A model beyond the normal at its best parameters, by Laplace's approximation."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from bayesmix.gaussian.conditional import (
    Conditional,
    add_moments,
    split_by_group,
    variances_by_group,
)
from bayesmix.gaussian.coordinates import factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.inference.empirical import Method
from bayesmix.inference.laplace import log_marginal, maximise_laplace
from bayesmix.inference.laplace_determined import mode_of
from bayesmix.inference.link_branches import best_branches
from bayesmix.inference.problems import glmm_problem, model_of_rows
from bayesmix.inference.quadrature import quadrature_optimum
from bayesmix.inference.stored_search import maximise_in_passes
from bayesmix.laws.limits import Limits
from bayesmix.statement.stated import StatedModel

if TYPE_CHECKING:
    from bayesmix.glmm.problem import GlmmProblem

__all__ = ["LaplaceMode"]

_STEP = 1e-4


class LaplaceMode(Limits):
    """Where the approximated likelihood, or posterior, is largest.

    Parameters
    ----------
    model : StatedModel
    method : {"ml", "map"}
    n_quadrature : int
        Points of adaptive Gauss-Hermite quadrature; 1 is Laplace's approximation.

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (1995). Approximations to the log-likelihood
    function in the nonlinear mixed-effects model. Journal of Computational and
    Graphical Statistics 4(1), 12-35.
    """

    def __init__(
        self, model: StatedModel, method: Literal["ml", "map"], n_quadrature: int = 1
    ) -> None:
        self.model = model
        self.method = method
        self.n_quadrature = n_quadrature
        self.gp = gp = self._glmm_problem()
        self.problem = gp.problem
        link_start = model.link_start
        maximise = maximise_in_passes if gp.rows.is_stored else maximise_laplace
        if method == "map":
            self.co = gp.coordinates(model.prior_entries)
            self.prior = gp.fixed_prior(model.prior_entries)
            found = maximise(gp, self.co, self.prior, 1, link_start)
            found = best_branches(gp, self.co, self.prior, 1, found)
        else:
            self.co = gp.problem.absolute_coordinates()
            self.prior = flat_prior(gp.problem.n_fixed)
            found = maximise(gp, self.co, None, 0, link_start)
            found = best_branches(gp, self.co, None, 0, found)
        if n_quadrature > 1:
            prior = self.prior if method == "map" else None
            found = quadrature_optimum(gp, self.co, prior, found, n_quadrature)
        self.laplace = found
        self.optimum = found.theta
        self.conditional = self.moments(fixed_uncertainty=True)

    def _glmm_problem(self) -> GlmmProblem:
        return glmm_problem(self.model, in_memory=self.n_quadrature > 1)

    @property
    def gp_by_row(self) -> GlmmProblem:
        """The same problem with each row of the data, where rows that are alike are one."""
        if self.gp.row_of is None:
            return self.gp
        return glmm_problem(self.model, every_row=True)

    @functools.cached_property
    def row_model(self) -> StatedModel:
        """The model with rows that stand for all of the data."""
        return model_of_rows(self.model)

    def again(self, model: StatedModel, method: Method) -> Self:
        """Fit another model of the same rows and family in the same way."""
        if method == "reml" or method == "mivque0":  # noqa: PLR1714, for mypy
            raise ValueError(f"{method} is of normal models")
        return type(self)(model, method, self.n_quadrature)

    @property
    def residual_on_link(self) -> np.ndarray:
        """On the latent scale, where the link has one."""
        latent = self.model.family.residual_variance(self.family_values)
        return np.asarray(np.nan if latent is None else latent, dtype=np.float64)

    @property
    def phi(self) -> np.ndarray:
        """Coordinates of the family's parameters."""
        return self.laplace.x[self.co.n_x : self.n_outer]

    @property
    def family_values(self) -> dict[str, np.ndarray]:
        """Estimates of the family's own parameters."""
        return self.gp.parameter_values(self.phi, self.conditional.beta)

    def row_precision(self) -> np.ndarray:
        """Curvature of each row's log density at the mode."""
        return mode_of(self.gp_by_row, self.co, self.laplace).weights

    def working_effects(self, u: np.ndarray) -> np.ndarray:
        """Working group effects b = L u of some u, factor behind factor."""
        co, eq = self.co, self.problem.equations
        L = factors_at(co, self.laplace.x).L
        out = np.empty(self.gp.n_effects)
        start = self.gp.rows.u_start
        for f, q in enumerate(eq.q.tolist()):
            block = L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q)
            own = u[start[f] : start[f + 1]].reshape(-1, q)
            out[start[f] : start[f + 1]] = (own @ block.T).ravel()
        return out

    @functools.cached_property
    def moves_with_phi(self) -> dict[str, np.ndarray]:
        """How the modes of effects move with the family's coordinates, shape (levels, q, n_phi)."""
        found, ends = self.laplace, []
        for k in range(self.co.n_x, self.n_outer):
            x = np.stack([found.x, found.x])
            x[:, k] += _STEP, -_STEP
            up, down = (np.array(mode_of(self.gp, self.co, replace(found, x=at)).u) for at in x)
            b = self.working_effects((up - down) / (2 * _STEP))
            ends.append(split_by_group(self.problem, b))
        return {name: np.stack([one[name] for one in ends], axis=-1) for name in ends[0]}

    def moments(self, *, fixed_uncertainty: bool) -> Conditional:
        """Moments of the effects given the variance parameters and the family's own."""
        gp, co, problem = self.gp, self.co, self.problem
        x, eq, p = self.laplace.x, problem.equations, problem.n_fixed
        theta = np.ascontiguousarray(x[: co.n_x])
        flat = self.separated
        # The equations are left with the weights at the mode.
        fine = np.isfinite(log_marginal(gp, co, x, self.laplace.u))
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
        outer = self.determined.covariance[self.n_outer :, self.n_outer :]
        # How the mode of b moves with beta.
        moves = cross
        if not fine:
            if self.optimum.converged:  # else it has been said what is wrong
                self.optimum = replace(
                    self.optimum, converged=False,
                    message="the effects have no covariance: "
                    "their Hessian is not negative definite",
                )  # fmt: skip
            b_cov[:], moves = np.nan, np.full_like(cross, np.nan)
        elif p:
            moves = self._moves(beta_cov, cross)
        back = np.linalg.inv(problem.scaling.TX)
        b = split_by_group(problem, self.working_effects(self.laplace.u))
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
            zero = self.optimum.at_zero[at : at + group.n_effects]
            for values in (b, variances, crossed):
                values[group.name][:, zero] = 0.0
            at += group.n_effects
        return Conditional(
            beta=back @ x[self.n_outer :], beta_cov=self.determined_fixed.table(), b=b,
            b_var=variances, cross=crossed,
        )  # fmt: skip

    def _moves(self, beta_cov: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """How the mode of the working effects moves with working beta, shape (n_u, p)."""
        return np.asarray(np.linalg.lstsq(beta_cov, cross.T, rcond=None)[0].T)
