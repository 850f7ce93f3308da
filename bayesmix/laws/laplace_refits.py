"""Refits of a model beyond the normal to other responses, by Laplace's approximation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.coordinates import factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.glmm.problem import GlmmProblem, kernel_trials
from bayesmix.glmm.rows import ROW_KERNELS, constant
from bayesmix.inference.empirical import log_units
from bayesmix.inference.laplace import (
    LaplaceOptimum,
    WarmMarginal,
    inner_mode,
    log_marginal,
    maximise_laplace,
    optimum_of,
    run_from,
    search_of,
    search_units,
)
from bayesmix.inference.quadrature import quadrature_optimum
from bayesmix.laws.refit import Refit

if TYPE_CHECKING:
    from bayesmix.laws.laplace import LaplaceLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["LaplaceRefits"]

_LEAST = np.log(0.3)  # of a standard deviation where a search starts, in its unit


class LaplaceRefits:
    """Responses that a model beyond the normal is to be fitted to.

    Each search starts at the model's own estimates, with standard deviations away from zero.

    Parameters
    ----------
    law : LaplaceLaw
        By ML; of several linear predictors that of all together.
    Y : ndarray, shape (n, B) or (n, B, K)
    """

    def __init__(self, law: LaplaceLaw, Y: np.ndarray) -> None:
        self.law, self.Y = law, Y
        co = law.co
        self.start = law.laplace.x.copy()
        unit = log_units(co) + np.log(law.gp.sd_units(co))
        self.start[: co.n_sd] = np.maximum(self.start[: co.n_sd], unit + _LEAST)
        self.start[co.n_sd : co.n_x] = np.clip(self.start[co.n_sd : co.n_x], -3.0, 3.0)

    def worker(self, own: range) -> LaplaceWorker:
        """Return a worker with arrays of its own."""
        return LaplaceWorker(self)


class LaplaceCases:
    """Models of other rows, to be fitted like one beyond the normal.

    Parameters
    ----------
    law : LaplaceLaw
        By ML.
    model_of : callable
        The k-th model.
    """

    def __init__(self, law: LaplaceLaw, model_of: Callable[[int], StatedModel]) -> None:
        self._of, self.model_of = LaplaceRefits(law, law.model.y[:, None]), model_of

    def worker(self, own: range) -> OneCase:
        """Return a worker with arrays of its own."""
        return OneCase(self._of.worker(own), self.model_of)


class OneCase:
    """A thread's arrays, for effects given the data at the estimates of other models.

    Parameters
    ----------
    worker : LaplaceWorker
    model_of : callable
    """

    def __init__(self, worker: LaplaceWorker, model_of: Callable[[int], StatedModel]) -> None:
        self._worker, self._model_of = worker, model_of

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit the k-th model; `rng` is for the effects."""
        return self._worker.fit_anew(self._model_of(k), rng)

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion of the k-th model's fit, and whether its search converged."""
        found = self.fit(k, None)
        return found.deviance, found.converged


class LaplaceWorker:
    """A thread's rows and equations, filled by one response after the other.

    Parameters
    ----------
    of : LaplaceRefits
    """

    def __init__(self, of: LaplaceRefits) -> None:
        self._of = of
        self._own, self._seen = _copied(of.law.gp_by_row), _copied(of.law.gp_by_row)

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit to the k-th response; `rng` is for the effects."""
        found, law = self._search(k), self._of.law
        co, gp, x = law.co, self._own, found.x
        p = gp.problem.n_fixed
        sd, corr, first = {}, {}, 0
        for f, group in enumerate(gp.problem.groups):
            sd[group.name] = found.theta.sd[first : first + group.n_effects]
            first += group.n_effects
            if not covariance_of(group).is_diagonal:
                corr[group.name] = found.theta.corr[f]
        beta = np.linalg.inv(gp.problem.scaling.TX) @ x[len(x) - p :]
        return Refit(
            beta=beta,
            sd=sd,
            corr=corr,
            structure=law.structure_at(gp.problem.absolute_coordinates(), x[: co.n_x]),
            parameters=gp.parameter_values(x[co.n_x : len(x) - p], beta),
            effects=self._drawn(x, rng),
            deviance=self._deviance(found, k),
            converged=found.theta.converged,
            ran_away=law.ran_away(gp, found, self._of.Y[:, k]),
        )

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion at the estimates from the k-th, and whether the search converged."""
        found = self._search(k)
        return self._deviance(found, k), found.theta.converged

    def fit_anew(self, model: StatedModel, rng: np.random.Generator | None) -> Refit:
        """Fit a model of other rows; its levels are those of the law's model."""
        law = self._of.law
        found = law.again(model, "ml")
        sd, corr = found.by_group()
        x = found.laplace.x.copy()
        at = len(x) - found.problem.n_fixed
        x[at:] = self._own.problem.scaling.TX @ found.conditional.beta
        return Refit(
            beta=found.conditional.beta,
            sd=sd,
            corr=corr,
            structure=found.structure_at(*found.absolute),
            parameters={name: np.asarray(v) for name, v in found.family_values.items()},
            effects=self._drawn(x, rng),
            deviance=found.deviance,
            converged=found.optimum.converged,
            ran_away=found.ran_away(found.gp_by_row, found.laplace, model.y),
        )

    # -- inside ---------------------------------------------------------------

    def _search(self, k: int) -> LaplaceOptimum:
        of, gp = self._of, self._own
        law, p = of.law, gp.problem.n_fixed
        self._fill(of.Y[:, k])
        marginal = WarmMarginal(gp, law.co, flat_prior(p), 0, law.laplace.u)
        search = search_of(marginal)
        search.polish = False
        point = run_from(search, of.start / search_units(gp, len(of.start)))
        if point.converged:
            found = optimum_of(marginal, search, point, 1, 0.0)
        else:
            found = maximise_laplace(gp, law.co, None, 0, law.model.link_start)
        if law.n_quadrature > 1:
            found = quadrature_optimum(gp, law.co, None, found, law.n_quadrature)
        return found

    def _fill(self, y: np.ndarray) -> None:
        """Put a response into the rows."""
        rows, model = self._own.rows, self._of.law.model
        if model.family.has_counts:
            rows.trials[:] = kernel_trials(model.family, y, model.rows, rows.n_predictors)
            y = y.sum(axis=1)
        rows.y[:] = y

    def _deviance(self, found: LaplaceOptimum, k: int) -> float:
        name, law = self._own.row_kernel, self._of.law
        left_out = 0.0
        if name in ROW_KERNELS:
            left_out = float(constant(name, self._of.Y[:, k], law.model.rows).sum())
        return -2.0 * (found.loglik + left_out)

    def _drawn(self, x: np.ndarray, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        """Draw the effects given estimates and the response that was seen, from a normal law."""
        gp, co = self._seen, self._of.law.co
        eq, p, problem = gp.problem.equations, gp.problem.n_fixed, gp.problem
        theta, beta = np.ascontiguousarray(x[: co.n_x]), x[len(x) - p :]
        L = factors_at(co, x).L
        phi = gp.phi.values(x[co.n_x : len(x) - p])
        mode = inner_mode(
            gp, L, phi, flat_prior(p), beta=beta, u=self._of.law.laplace.u, with_fixed=False
        )
        b = np.concatenate(
            [np.zeros(0)]
            + [
                (mode.u[gp.rows.u_start[f] : gp.rows.u_start[f + 1]].reshape(-1, q)
                 @ L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q).T).ravel()
                for f, q in enumerate(eq.q.tolist())
            ]
        )  # fmt: skip
        if rng is None or not np.isfinite(log_marginal(gp, co, x, mode.u)):
            return split_by_group(problem, b)
        # The equations are left with the weights at the mode, and the fixed effects are held;
        # what noise adds to a draw is the draw less that without.
        held = FixedPrior(np.diag(1e8 / gp.units[gp.stack.X_of] ** 2), np.zeros(p))
        moved = []
        for noise in (rng.standard_normal((1, len(b))), np.zeros((1, len(b)))):
            drawn = noise.copy()
            if not draw_effects(eq, co, 1.0, held, theta[None], np.zeros((1, p)), drawn):
                return split_by_group(problem, b)
            moved.append(drawn[0])
        return split_by_group(problem, b + moved[0] - moved[1])


def _copied(gp: GlmmProblem) -> GlmmProblem:
    return replace(
        gp,
        rows=gp.rows.replace(),
        problem=replace(gp.problem, equations=gp.problem.equations.replace()),
    )
