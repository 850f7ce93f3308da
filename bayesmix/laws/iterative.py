"""The law of a fit by conjugate gradients: approximate, where no dense matrix holds the factors."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.conditional import Conditional
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import flat_prior
from bayesmix.gaussian.empty_equations import empty_equations
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.scaling import Scaling, scale_design
from bayesmix.gaussian.structure import MAX_ROOT, Elimination, root_columns
from bayesmix.inference.crossed_sums import CrossedSums, crossed_sums
from bayesmix.inference.empirical import Optimum
from bayesmix.inference.iterative import PROBES, IterativeOptimum, iterative_reml
from bayesmix.inference.iterative_start import (
    coordinates_of,
    covariances_at,
    derivatives,
    estimated_entries,
    estimates_of,
    why_not_iterative,
)
from bayesmix.inference.prediction_errors import PredictionErrors
from bayesmix.laws.intervals import away_from_boundaries
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.small_samples import Asymptotic
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.inference.empirical import Method
    from bayesmix.laws.base import Asked, DegreesOfFreedom, IntervalMethod
    from bayesmix.laws.small_samples import SmallSample
    from bayesmix.statement.stated import StatedModel

__all__ = ["IterativeLaw", "too_large"]

_NUMBERS = 20_000_000  # of the drawn errors that variances of rows are averages of
_FEWEST, _MOST = 50, 400  # draws of them
_OF_EFFECTS = 64  # draws of which a part of effects' variances are averages
_CHUNK = 4_000_000


def too_large(model: StatedModel) -> str:
    """Why the dense root of a model would be too large, in words; empty if it is not."""
    groups = model.design.mu.groups
    if model.design.streamed is not None or model.residual is None:
        return ""
    if sum(g.n_levels * g.n_effects for g in groups) <= MAX_ROOT:
        return ""
    if model.residual.correlated or model.residual.parameters:
        return ""  # said with its pairs of rows, where the root is planned
    return root_columns(groups)


class IterativeLaw(NormalLaw):
    """REML whose equations are solved by conjugate gradients.

    Estimates rest on random signs: traces of an inverse and its log determinant have Monte
    Carlo errors, which `notes` says. Variances of rows are averages over drawn errors.

    Parameters
    ----------
    model : StatedModel
    method : {"reml"}

    Raises
    ------
    NotSupportedError
        If the model is not one that they take.
    """

    why_no_refits = (
        "this fit is by conjugate gradients, of which each refit would have its own Monte Carlo "
        "error; fit some of the rows for it"
    )

    def __init__(self, model: StatedModel, method: Method) -> None:
        why_not = why_not_iterative(model, method)
        if why_not:
            raise NotSupportedError(f"conjugate gradients do not know {why_not}")
        begin = time.perf_counter()
        self.model, self.method = model, method
        mu = model.design.mu
        y = model.y if mu.offset is None else model.y - mu.offset
        assert model.residual is not None  # noqa: S101
        self._weights = model.residual.pairs(model.rows, mu.n_obs).weights
        scaling = scale_design(mu, y, self._weights)
        with one_blas_thread():
            self._sums: CrossedSums = crossed_sums(mu, y, self._weights, scaling)
            structures = [estimated_entries(mu.groups[k]) for k in self._sums.order]
            self._found = found = iterative_reml(self._sums, structures)
            self._drawn = PredictionErrors(self._sums, mu, self._weights, scaling, found)
            variances, given = self._drawn.variances(_OF_EFFECTS, np.random.default_rng(1))
        log_det = 0.0 if self._weights is None else float(np.log(self._weights).sum())
        self.problem = _layout(model, mu, self._sums, scaling, log_det)
        self.prior = flat_prior(self.problem.n_fixed)
        self.optimum = _optimum(self.problem, found, scaling, time.perf_counter() - begin)
        self.conditional = _conditional(self.problem, found, scaling, variances)
        vars(self)["absolute"] = (self.optimum.coordinates, self.optimum.x)
        vars(self)["_given_fixed"] = _conditional(self.problem, found, scaling, given)

    @property
    def method_in_words(self) -> str:
        """What was maximised, and that it is approximate."""
        return "REML by conjugate gradients (approximate)"

    @property
    def integrated_in_words(self) -> str:
        """How the effects were integrated out."""
        return (
            "by conjugate gradients with a log determinant from stochastic Lanczos quadrature "
            "(Ubaru et al., 2017)"
        )

    @property
    def notes(self) -> list[str]:
        """How far the numbers are approximate."""
        return [
            f"Approximate: the crossed factors are taken by conjugate gradients, traces and log "
            f"determinant by {PROBES} vectors of random signs; the criterion has a Monte Carlo "
            f"standard error of {self._found.criterion_error:.2g}, and variances of effects and "
            "rows are estimates."
        ]

    def affordable(self, n_more: int = 0) -> IntervalMethod:
        """There are no profiles."""
        return "wald"

    def _check_profile(self) -> None:
        raise NotSupportedError(
            'ci_method="profile" needs the exact likelihood, and this fit is by conjugate '
            'gradients; take ci_method="wald"'
        )

    def small_sample(self, ddf: DegreesOfFreedom | None) -> SmallSample:
        """Wald's tests: so many levels have no small samples."""
        if ddf is not None:
            raise NotSupportedError(
                f"ddf={ddf!r} needs exact derivatives, and this fit is by conjugate gradients; "
                "leave it out for Wald's tests (tests=True)"
            )
        return Asymptotic(covariance=self.conditional.beta_cov, determined=self.determined_fixed)

    def note_of_tests(self, asked: Asked) -> str:
        """What Wald's tests rest on."""
        return "df are infinite: tests are Wald's." if asked.tested else ""

    @functools.cached_property
    def theta_cov(self) -> np.ndarray:
        """Covariance of log standard deviations and partial correlations by average information."""
        (co, x), found = self.absolute, self._found
        J = derivatives(self._coordinates_at, estimates_of(found), found)
        free = away_from_boundaries(co, x, self.optimum.at_zero)
        known = np.asarray(
            [~(found.at_zero[f][i] | found.at_zero[f][j]) for f, i, j in found.entries] + [True]
        )
        cov = np.full((len(x), len(x)), np.nan)
        inside = np.linalg.inv(found.information[np.ix_(known, known)])
        own = J[np.ix_(free, known)] @ inside @ J[np.ix_(free, known)].T
        cov[np.ix_(free, free)] = own
        return cov

    @functools.cached_property
    def row_variance(self) -> Any:
        """Variances of rows, as averages over drawn errors."""
        return _DrawnErrors(self._errors)

    # -- inside ---------------------------------------------------------------

    def _coordinates_at(self, theta: np.ndarray) -> np.ndarray:
        """Log standard deviations, partial correlations and log sigma at some covariances."""
        G = covariances_at(self._found, theta)
        return coordinates_of(self.problem, G, theta[-1], self.problem.scaling.y_scale)

    def _errors(
        self, n: int | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Errors of beta, (p, S), and b, (G, q, S), on the scale of the formula."""
        n = n or int(np.clip(_NUMBERS // max(int(self._sums.starts[-1]), 1), _FEWEST, _MOST))
        scaling = self.problem.scaling
        with one_blas_thread():
            beta, b = self._drawn.draws(n, rng)
        back = np.linalg.inv(scaling.TX) * scaling.y_scale
        return back @ beta, {
            group.name: own * scaling.y_scale
            for group, own in zip(self.problem.groups, b, strict=True)
        }


@dataclass
class _DrawnErrors:
    """What is asked of `RowVariance`, from drawn errors of all effects."""

    make: Any

    @functools.cached_property
    def _kept(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        found: tuple[np.ndarray, dict[str, np.ndarray]] = self.make(None, np.random.default_rng(0))
        return found

    def of_rows(
        self, X: np.ndarray, Z: Mapping[str, np.ndarray], index: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Variance of each row's x'beta + z'b, shape (n,); levels of -1 have no effects."""
        beta, b = self._kept
        out, step = np.empty(len(X)), max(1, _CHUNK // beta.shape[1])
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            error = X[rows] @ beta
            for name, at in index.items():
                own = b[name][np.maximum(at[rows], 0)]
                part = np.einsum("nk,nks->ns", Z[name][rows], own)
                error += np.where(at[rows, None] >= 0, part, 0.0)
            out[rows] = np.mean(error**2, axis=1)
        return out

    def draw(
        self, levels: Mapping[str, np.ndarray], n_draws: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw errors of beta, (p, S), and of the effects of some levels, (q, levels, S)."""
        beta, b = self.make(n_draws, rng)
        return beta, {
            name: np.moveaxis(b[name][at], 1, 0).copy() for name, at in levels.items() if len(at)
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotSupportedError(
            "this needs the joint covariance of effects, and the fit is by conjugate gradients, "
            "which has variances of rows alone: predict(), or predict_draws(), has these"
        )


def _layout(
    model: StatedModel, mu: LinearPredictor, sums: CrossedSums, scaling: Scaling, log_det: float
) -> Problem:
    """A problem with the coordinates and sizes of the model, and no equations between factors."""
    order = sums.order
    parents = tuple(np.zeros(mu.groups[k].n_levels, dtype=np.int64) for k in order[:-1])
    plan = Elimination(chain=order, rest=(), parents=parents)
    return Problem(
        equations=empty_equations(mu, plan), plan=plan, scaling=scaling,
        groups=tuple(mu.groups[k] for k in order), residual=model.residual, log_det=log_det,
    )  # fmt: skip


def _optimum(
    problem: Problem, found: IterativeOptimum, scaling: Scaling, seconds: float
) -> Optimum:
    co: Coordinates = problem.absolute_coordinates()
    G = [own * found.variance for own in found.covariances]
    at_zero = np.concatenate(found.at_zero)
    sd = np.concatenate([np.sqrt(np.diag(own)) for own in G]) * scaling.y_scale
    corr = []
    for own in G:
        unit = np.sqrt(np.diag(own))
        corr.append(own / np.outer(unit, unit))
    return Optimum(
        x=coordinates_of(problem, G, found.variance, scaling.y_scale), coordinates=co,
        criterion=found.criterion, sd=np.where(at_zero, 0.0, sd),
        sigma=float(np.sqrt(found.variance)) * scaling.y_scale, corr=corr,
        converged=found.converged, gradient=abs(found.decrement), evaluations=found.rounds + 1,
        starts=1, seconds=seconds,
        message="the estimated score is zero" if found.converged else "too many rounds",
        at_zero=at_zero, dependent=np.zeros(len(sd), dtype=bool),
    )  # fmt: skip


def _conditional(
    problem: Problem, found: IterativeOptimum, scaling: Scaling, b_var: list[np.ndarray]
) -> Conditional:
    back, unit = np.linalg.inv(scaling.TX) * scaling.y_scale, scaling.y_scale
    names = [group.name for group in problem.groups]
    values: list[dict[str, np.ndarray]] = [
        {name: own.copy() for name, own in zip(names, parts, strict=True)}
        for parts in (found.b, b_var, found.cross)
    ]
    b, variances, cross = values
    for name, zero in zip(names, found.at_zero, strict=True):  # zero is zero
        b[name] *= unit
        variances[name] *= unit**2
        cross[name] = unit * cross[name] @ back.T
        for own in (b, variances, cross):
            own[name][:, zero] = 0.0
    return Conditional(
        beta=back @ (found.beta + scaling.beta_0), beta_cov=back @ found.beta_cov @ back.T,
        b=b, b_var=variances, cross=cross,
    )  # fmt: skip
