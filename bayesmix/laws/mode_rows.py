"""What the normal law at a mode says of rows: exact means and variances, and draws."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse, special

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.inference.determined import Determined
from bayesmix.laws.averages import DrawSource, Source
from bayesmix.laws.base import Law, Linear
from bayesmix.laws.calibration import Calibration, calibration_of_residuals
from bayesmix.laws.combinations import ModeSource, NormalEffects
from bayesmix.laws.jointly import Averaged, Inverse, Jointly, normal_jointly
from bayesmix.laws.levels import GroupScale, name_key
from bayesmix.laws.lost_cells import DeterminedCells
from bayesmix.laws.mode import Mode
from bayesmix.laws.parameters import ParameterDraws, check_size, placed_levels, repeated
from bayesmix.laws.request import Kind, PredictionRequest
from bayesmix.laws.residuals import Residual
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.laws.summed_variance import row_variance_of_sums
from bayesmix.residual import Correlated

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["ModeRows"]

_DRAWS = 1000  # where no number is asked for
_DRAWS_OF_AVERAGES = 2000
_LEAST_RESIDUAL = 1e-7  # of the variance between levels, below which digits are lost
_LARGE = 1e100  # entry of a row, beyond which it is brought to a scale of its own


class ModeRows(Mode, Law):
    """Predictions whose variance parameters are those of the mode."""

    # -- draws ----------------------------------------------------------------

    def draw_labels(self, n: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the one chain, and of the draws in it."""
        return np.zeros(1, dtype=np.int64), np.arange(_DRAWS if n is None else n)

    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Draw (beta, b) at the estimates, b for the levels that are asked for."""
        n_draws = _DRAWS if n is None else whole_number("draws", n, 1)
        if self.parameter != "mu":
            words = [seed, name_key(f"coefficients of {self.parameter}")]
            rng = np.random.default_rng(np.random.SeedSequence(words))
            mean, known = self.sigma_coefficients
            drawn = rng.multivariate_normal(mean, known.covariance, n_draws)
            return _without_effects(np.ascontiguousarray(drawn.T))
        n_effects = {g.name: g.n_effects for g in self.model.design.mu.groups}
        n_fixed = len(self.model.design.mu.fixed_effects) + len(self.model.family.parameters)
        n_drawn = sum(n_effects[name] * len(at) for name, at in levels.items())
        check_size(n_fixed + n_drawn + 1, n_draws)
        beta, b = self._draw_effects(levels, n_draws, seed, kind)
        return ParameterDraws(
            beta=beta,
            b=b,
            level_rows=placed_levels(self.model.design.mu.groups, levels),
            scales={
                g.name: GroupScale(
                    g.name,
                    np.broadcast_to(self.roots[g.name], (n_draws, *self.roots[g.name].shape)),
                    g.between,
                    g.mean_variance,
                )
                for g in self.model.design.mu.groups
            },
            family=repeated(self.family_values, n_draws),
            n_draws=n_draws,
            others=self._draws_of_sigma(n_draws),
        )

    def _draws_of_sigma(self, n_draws: int) -> dict[str, ParameterDraws]:
        """The coefficients of sigma's predictor, if it has one: as they are estimated."""
        if "sigma" not in self.model.design.predictors:
            return {}
        beta = self.residual_values[self.model.names.of("sigma").beta]
        return {"sigma": _without_effects(np.repeat(beta[:, None], n_draws, axis=1))}

    @property
    def sigma_coefficients(self) -> tuple[np.ndarray, Determined]:
        """Estimates of the coefficients of log sigma, and what is known of them."""
        raise NotImplementedError

    @property
    def determined_fixed(self) -> Determined:
        """What is known of the fixed effects, on the scale of the formula."""
        raise NotImplementedError

    # -- rows -----------------------------------------------------------------

    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Exact mean, sd and normal limits of each row, shape (4, n); nothing is drawn."""
        if draws is not None:
            whole_number("draws", draws, 1)
        checked_seed(seed, self.seed)
        if request.parameter not in {"", "mu"}:
            return self._summaries_of_sigma(rows, request)
        if request.forecast:  # by draws of the effects, around which residuals are known
            predictor = self.predictor(rows, request, draws, seed)
            return predictor.summaries(rows.n_rows, predictor.n_draws, request.ci_prob)
        mean, variance, size = self._moments_of(rows, request)
        z = special.ndtri((1 + request.ci_prob) / 2)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            sd = size * np.sqrt(variance)
            return np.stack([mean, sd, mean - z * sd, mean + z * sd])

    def lost_rows(self, rows: Rows, request: PredictionRequest) -> tuple[np.ndarray, str]:
        """Rows that move along flat directions, and for responses those of unknown sigma."""
        if request.parameter not in {"", "mu"}:
            return self.sigma_coefficients[1].lost(rows.X), self.why_lost
        lost = self.determined_fixed.lost(rows.X)
        if request.kind == "response":
            lost = lost | self.unknown_sigma(rows)
        return lost, self.why_lost

    @property
    def why_lost(self) -> str:
        """Why some estimates have no standard error, in words."""
        raise NotImplementedError

    def unknown_sigma(self, rows: Rows) -> np.ndarray:
        """Rows whose sigma changes along directions in which the likelihood is flat."""
        raise NotImplementedError

    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Mean of each row at the estimates: linear in the effects, and so that at the modes."""
        return self.means(rows)

    def source(self, draws: int | None, seed: int | None, parameter: str = "") -> Source:
        """Exact averages; those of sigma from draws of its coefficients."""
        if parameter not in {"", "mu"}:
            own, number = self.of(parameter), checked_seed(seed, self.seed)
            n = _DRAWS_OF_AVERAGES if draws is None else whole_number("draws", draws, 1)
            drawn = DrawSource(self.model, lambda levels: own.draw(levels, n, number), number)
            return DeterminedCells(drawn, self.sigma_coefficients[1])
        if draws is not None or seed is not None:
            raise NotSupportedError(
                "draws= and seed= are for a posterior: here mean and variance are exact"
            )
        exact = ModeSource(self.normal_effects)
        return DeterminedCells(exact, self.determined_fixed, linear=True)

    def linear(self, rows: Rows, weights: sparse.csr_matrix | None = None) -> Linear:
        """Exact mean and covariance; nothing is drawn."""
        effects = self.normal_effects
        A = sparse.identity(rows.n_rows, format="csr") if weights is None else weights
        (given,) = effects.combined((rows,), A)
        covariance = effects.covariance(given, given, pairs=True)
        lost = self.determined_fixed.lost(rows.X if weights is None else weights @ rows.X)
        covariance = np.where(lost | lost[:, None], np.nan, covariance)
        return Linear(mean=effects.mean(given), covariance=covariance)

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Exact: a mean is its linear predictor."""
        return normal_jointly(self.normal_effects, parts, determined=self.determined_fixed)

    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """What the modes leave of the response, or that in residual standard deviations."""
        checked_seed(seed, self.seed)
        rows = rows_of_fit(self.model, "linear")
        residual = self.model.y - self.means(rows)
        structure = self.model.residual
        if kind == "normalized" and structure is not None:
            return rows, structure.whiten(residual, self._values_of_rows(rows), rows.per_row)
        if kind != "response":
            residual = residual / np.sqrt(self._residual_variance(rows))
        return rows, residual

    def replicates(self, n: int, *, new_groups: bool, seed: int | None) -> tuple[Rows, np.ndarray]:
        """Whole responses at the estimates, a new seed each time by default, shape (rows, n)."""
        rng = np.random.default_rng(None if seed is None else checked_seed(seed, 0))
        rows = rows_of_fit(self.model, "response")
        modes = self.means(rows.with_new_groups(self.model.design) if new_groups else rows)
        out = np.empty((rows.n_rows, n, *self.model.y.shape[1:]))
        for k in range(n):
            out[:, k] = self._replicate(modes, rows, rng, new_groups=new_groups)
        return rows, out

    def calibration(self, seed: int | None) -> Calibration:
        """Where the rows lie that the fit has seen."""
        fitted = self.summaries(rows_of_fit(self.model, "mean"), PredictionRequest(), None, None)
        return calibration_of_residuals(self.residuals("quantile", None)[1], fitted[0], "in sample")

    def beside_data(self, n: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The response and replicates at the estimates."""
        number = self.row_seed(seed)
        return self.model.y, self.replicates(n, new_groups=False, seed=number)[1].T

    def at_rows(self, model: StatedModel, part: int) -> Self:
        """The same normal law of all effects, which is made of the whole before it is left."""
        _, _ = self.row_variance, self.determined_fixed
        found = copy.copy(self)
        found.model, found.part = model, part
        return found

    def sigma_of_rows(self, at: np.ndarray) -> np.ndarray | None:
        """Sigma of rows at the estimates, shape (1, rows)."""
        if "sigma" not in self.model.design.predictors:
            return None
        return self.row_sigma(None)[None, at]

    # -- inside ---------------------------------------------------------------

    def _summaries_of_sigma(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Estimate of each row's sigma or its logarithm, by the delta method, shape (4, n)."""
        beta, known = self.sigma_coefficients
        eta = rows.X @ beta + (0.0 if rows.offset is None else rows.offset)
        sd = np.sqrt(known.variance(rows.X))
        z = special.ndtri((1 + request.ci_prob) / 2)
        found = np.stack([eta, sd, eta - z * sd, eta + z * sd])
        if request.kind == "linear":
            return found
        with np.errstate(over="ignore"):
            found[[0, 2, 3]] = np.exp(found[[0, 2, 3]])
        found[1] *= found[0]
        return found

    def _replicate(
        self, modes: np.ndarray, rows: Rows, rng: np.random.Generator, *, new_groups: bool
    ) -> np.ndarray:
        """One response of each row, from its linear predictor without new groups' effects."""
        structure = self.model.residual
        assert structure is not None  # noqa: S101
        noise = structure.draw(rows.n_rows, self._values_of_rows(rows), rows.per_row, rng)
        return modes + noise + (self._new_effects(rng) if new_groups else 0.0)

    def _new_effects(self, rng: np.random.Generator) -> np.ndarray:
        """Return z'b of each row of the fit, with effects drawn from their distributions."""
        total = np.zeros(self.model.design.n_obs)
        for group in self.model.design.mu.grouping:
            u = rng.standard_normal((group.n_levels, group.n_effects))
            if group.between is not None:
                u = group.between.root @ u
            b = u @ self.roots[group.name].T
            total += np.einsum("nk,nk->n", group.Z, b[group.index])
        return total

    def _draw_effects(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int, kind: Kind
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw beta, shape (p, S), and b by grouping factor, shape (q, levels, S)."""
        words = [seed, name_key("effects at the modes")]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        beta, b = self.row_variance.draw(levels, n_draws, rng)
        found = self.conditional
        for name in b:
            b[name] += found.b[name][levels[name]].T[:, :, None]
        return beta + found.beta[:, None], b

    @property
    def normal_effects(self) -> NormalEffects:
        """The law of the effects at the estimates of the variance parameters."""
        return NormalEffects(self.conditional, lambda: self.row_variance, self.roots)

    @functools.cached_property
    def row_variance(self) -> RowVariance:
        """The factored precision of all effects."""
        problem, design = self.problem, self.model.design
        to_working = problem.scaling.TX / problem.scaling.y_scale
        prior = to_working.T @ self.prior.precision @ to_working
        if design.streamed is not None:
            spread = [np.sum(g.second_moments * (self.roots[g.name] @ self.roots[g.name].T))
                      for g in problem.groups]  # fmt: skip
            variance = 1.0 if problem.sigma_is_known else self.optimum.sigma**2
            precision = 1.0 / max(variance, _LEAST_RESIDUAL * sum(spread))
            return row_variance_of_sums(problem, self.roots, precision, prior)
        rows = rows_of_fit(self.model, "response")
        structure, whitening = self.model.residual, None
        if isinstance(structure, Correlated):
            values = self._values_of_rows(rows)
            whitening = structure.whitening(values, rows.per_row, rows.n_rows)
        residual = self._residual_variance(rows)
        between = [np.sum((Z @ self.roots[name]) ** 2, axis=1).max() for name, Z in rows.Z.items()]
        least = _LEAST_RESIDUAL * sum(between)
        precision = 1.0 / np.maximum(residual, least)
        return row_variance(design.mu, self.roots, precision, prior, whitening)

    def means(self, rows: Rows) -> np.ndarray:
        """Linear predictor of each row at the modes, shape (n,)."""
        found = self.conditional
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            mean: np.ndarray = rows.X @ found.beta
            if rows.offset is not None:
                mean = mean + rows.offset
            for name, index in rows.index.items():
                b = found.b[name][np.maximum(index, 0)]
                part = np.einsum("nk,nk->n", rows.Z[name], b)
                mean = mean + np.where(index >= 0, part, 0.0)
        return mean

    def _moments_of(
        self, rows: Rows, request: PredictionRequest
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, and variances in the units of the third, whose square may be no double."""
        size = _row_sizes(rows)
        if (size > 1.0).any():
            Z = {name: values / size[:, None] for name, values in rows.Z.items()}
            variance = self._variances(replace(rows, X=rows.X / size[:, None], Z=Z), request)
        else:
            variance = self._variances(rows, request)
        if request.kind == "response":
            variance = variance + self._residual_variance(rows) / size / size
            variance = np.where(self.unknown_sigma(rows), np.nan, variance)
        return self.means(rows), variance, size

    def _variances(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Variances of the linear predictor."""
        if rows.index:
            variance = self.row_variance.of_rows(rows.X, rows.Z, rows.index)
        else:
            variance = self._fixed_variance(rows.X)
        mean_variance = {g.name: g.mean_variance for g in self.model.design.mu.groups}
        for name, Z in rows.Z.items():
            of_population = np.sum((Z @ self.roots[name]) ** 2, axis=1)
            of_population *= mean_variance[name]
            if name in rows.index:
                variance = variance + np.where(rows.index[name] < 0, of_population, 0.0)
            elif request.marginal and request.kind == "response":
                variance = variance + of_population
        return np.where(self.determined_fixed.lost(rows.X), np.nan, variance)

    def _fixed_variance(self, X: np.ndarray) -> np.ndarray:
        """Variance of x' beta, shape (n,)."""
        return self.determined_fixed.variance(X)

    def _values_of_rows(self, rows: Rows) -> dict[str, np.ndarray]:
        """Sigma, of each row where it has a predictor, and the residual structure's parameters."""
        found = dict(self.family_values)
        if "sigma" in rows.others:
            found["sigma"] = self.row_sigma(rows)
        return found

    def _residual_variance(self, rows: Rows) -> np.ndarray:
        structure, values = self.model.residual, self._values_of_rows(rows)
        if structure is None:
            found = self.model.family.variance(np.zeros(rows.n_rows), values, rows.per_row)
        else:
            found = structure.row_variance(values, rows.per_row)
        return np.broadcast_to(found, (rows.n_rows,))


def _without_effects(beta: np.ndarray) -> ParameterDraws:
    """Draws of coefficients, shape (p, S), beside which there are no group effects."""
    return ParameterDraws(
        beta=beta, b={}, level_rows={}, scales={}, family={}, n_draws=beta.shape[1]
    )


def _row_sizes(rows: Rows) -> np.ndarray:
    """The largest entry of each row where its square would be no double, 1 elsewhere."""
    parts = [rows.X, *rows.Z.values()]
    size = np.max([np.abs(part).max(axis=1, initial=0.0) for part in parts], axis=0)
    return np.where((size > _LARGE) & np.isfinite(size), size, 1.0)
