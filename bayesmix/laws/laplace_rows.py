"""What Laplace's law says of rows: expected means given the data, their spread, and draws."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse, special

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.laws.averages import DrawSource, Source
from bayesmix.laws.base import Law
from bayesmix.laws.combinations import ModeSource, NormalEffects
from bayesmix.laws.expected import ExpectedSource
from bayesmix.laws.given_data import EffectsGivenData
from bayesmix.laws.jointly import (
    Averaged,
    Inverse,
    Jointly,
    normal_jointly,
    replace_estimates,
)
from bayesmix.laws.laplace_mode import LaplaceMode
from bayesmix.laws.lost_cells import DeterminedCells
from bayesmix.laws.mode_rows import ModeRows
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.predictor import NODES, WEIGHTS
from bayesmix.laws.request import Kind, PredictionRequest
from bayesmix.laws.residuals import Residual, refuse_normalized, residual_values
from bayesmix.laws.ridge import ridge_of
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.laws.stored_rows import row_variance_of_blocks
from bayesmix.laws.threshold_draws import with_thresholds

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["LaplaceRows"]

Mean = Callable[[np.ndarray], np.ndarray]

_MANY, _FEWEST = 2000, 400  # draws that the spread of an average rests on
_WORK = 20_000_000  # rows x draws up to which there are as many


class LaplaceRows(LaplaceMode, ModeRows):
    """Predictions beyond the normal at the estimates."""

    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Estimate, sd, lower and upper of each row, shape (4, n); responses are drawn."""
        of_thresholds = request.kind != "linear" and self.gp.phi.has_vectors
        unknown = self.determined_fixed.unknown(rows.X)
        if request.kind != "response" and not of_thresholds:
            found = np.stack(self.exact_summaries(rows, request))
            found[:, unknown] = np.nan
            return found
        predictor = self.predictor(rows, request, draws, seed)
        drawn = predictor.summaries(rows.n_rows, predictor.n_draws, request.ci_prob)
        if request.kind != "response":  # the spread alone is of draws
            drawn[0] = self.exact_summaries(rows, request)[0]
        drawn[1:, self.determined_fixed.lost(rows.X)] = np.nan
        drawn[:, unknown] = np.nan
        return drawn

    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Draw coefficients and effects, and thresholds with them, which are intercepts."""
        found = super().draw(levels, n, seed, kind)
        return with_thresholds(self, found, levels, seed) if self.gp.phi.has_vectors else found

    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Linear predictor at the modes, or expected mean given the data, shape (n,)."""
        if kind == "linear":
            return self.means(rows)
        return self.expected_mean(rows, PredictionRequest())

    def source(self, draws: int | None, seed: int | None, parameter: str = "") -> Source:
        """Averages of expected means, with the spread of draws given the data."""
        if draws is not None:
            whole_number("draws", draws, 1)
        n_draws = draws or int(np.clip(_WORK // self.model.design.n_obs, _FEWEST, _MANY))
        number = checked_seed(seed, self.seed)
        drawn = DrawSource(self.model, lambda levels: self.draw(levels, n_draws, number), number)
        exact = ModeSource(self.normal_effects)
        expected = ExpectedSource(self.exact_summaries, self.expected_mean, drawn, exact)
        return DeterminedCells(expected, self.determined_fixed)

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Exact for linear predictors; of means by the delta method."""
        effects, determined = self.normal_effects, self.determined_fixed
        if request.kind == "linear":
            return normal_jointly(effects, parts, determined=determined)
        if self.gp.phi.has_vectors:  # no function of the linear predictor alone
            drawn = Law.jointly(self, parts, request, inverse, draws or _MANY, seed)
            at = self._expected_averages(parts, request, self.expected_mean)
            return replace_estimates(drawn, at)
        estimate, slopes = np.zeros(parts[0].weights.shape[0]), []
        for part in parts:
            eta, rows = self.means(part.rows), part.rows
            mean = self._mean_function(rows, request)
            step = 1e-5 * (1.0 + np.abs(eta))
            slope = (mean(eta + step) - mean(eta - step)) / (2 * step)
            estimate += part.weights @ self.expected_mean(rows, request)
            by_eta = part.weights @ sparse.diags_array(slope)
            slopes.append(Averaged(rows=rows, weights=sparse.csr_matrix(by_eta)))
        return normal_jointly(effects, slopes, estimate, determined)

    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """What the inverse link at the modes leaves, or where it lies among simulated ones."""
        y, rows = self.model.y, rows_of_fit(self.model, "response")
        if kind == "normalized":
            refuse_normalized(self.model.family)
        if kind == "quantile":
            predictor = self.predictor(rows, PredictionRequest(kind="response"), None, seed)
            number = checked_seed(seed, self.seed)
            return rows, residual_values(kind, y, predictor, predictor.n_draws, number)
        eta, family, values = self.means(rows), self.model.family, self.family_values
        residual = y - family.mean(eta, values, rows.per_row)
        if kind == "pearson":
            residual = residual / np.sqrt(family.variance(eta, values, rows.per_row))
        return rows, residual

    def at_rows(self, model: StatedModel, part: int) -> Self:
        """The same law, whose effects given the data are those of all rows."""
        _ = self.given_data
        return super().at_rows(model, part)

    # -- inside ---------------------------------------------------------------

    def exact_summaries(
        self, rows: Rows, request: PredictionRequest
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Estimate, sd, lower and upper of each row's mean or linear predictor."""
        eta, variance, size = self._moments_of(rows, replace(request, kind="linear"))
        z = special.ndtri((1 + request.ci_prob) / 2)
        # Negative where rounding has taken all digits: NaN; infinite beyond the largest number.
        with np.errstate(invalid="ignore", over="ignore"):
            sd = size * np.sqrt(variance)
            lower, upper = eta - z * sd, eta + z * sd
        if request.kind == "linear":
            return eta, sd, lower, upper
        mean = self._mean_function(rows, request)
        _, by_delta, lower, upper = self._through_the_link(mean, eta, sd, lower, upper)
        new = self._is_new(rows)
        sd = np.where(new, self._spread(mean, eta, sd), by_delta) if new.any() else by_delta
        return self.expected_mean(rows, request), sd, lower, upper

    def _is_new(self, rows: Rows) -> np.ndarray:
        """Whether a row has a level that was not seen, so that no mode is near its effects."""
        link = self.model.family.link_functions
        if link.is_identity or link.has_pole:  # by delta, as the mean is at modes
            return np.zeros(rows.n_rows, dtype=bool)
        found = [index < 0 for index in rows.index.values()]
        return np.asarray(np.logical_or.reduce(found, initial=False)) | np.zeros(rows.n_rows, bool)

    def _spread(
        self, mean: Callable[[np.ndarray], np.ndarray], eta: np.ndarray, sd: np.ndarray
    ) -> np.ndarray:
        """Standard deviation of the means of normal linear predictors."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.model.family.link_functions.is_log:  # lognormal, whose tails no nodes reach
                return np.asarray(mean(eta + sd**2 / 2) * np.sqrt(np.expm1(sd**2)))
            center, square = np.zeros(len(eta)), np.zeros(len(eta))
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                center += weight * mean(eta + node * sd)
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                square += weight * (mean(eta + node * sd) - center) ** 2
        return np.sqrt(square)

    def expected_mean(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Mean of each row at the estimates, averaged over the effects given the data."""
        return self._expected(rows, self._mean_function(rows, request))

    def expected_probabilities(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Probability of each category at the estimates, shape (n, K)."""
        n = len(self.model.family.categories(self.model.design.response))
        means = [self._mean_function(rows, request, category=k) for k in range(n)]
        return np.stack([self._expected(rows, mean) for mean in means], axis=1)

    def _expected(self, rows: Rows, mean: Mean) -> np.ndarray:
        if not rows.index:
            return mean(self.means(rows))
        return self.given_data.expected_mean(rows, mean)

    @functools.cached_property
    def given_data(self) -> EffectsGivenData:
        """The law of the effects given the data."""
        return EffectsGivenData(self)

    def _draw_effects(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int, kind: Kind
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw beta, and b given the data; for "linear" from the normal distribution."""
        if kind == "linear":
            return super()._draw_effects(levels, n_draws, seed, kind)
        return self.given_data.draw(levels, n_draws, seed)

    def _replicate(
        self, modes: np.ndarray, rows: Rows, rng: np.random.Generator, *, new_groups: bool
    ) -> np.ndarray:
        eta = modes + self._new_effects(rng) if new_groups else modes
        family = self.model.family
        return np.asarray(family.simulate(eta, self.family_values, rows.per_row, rng))

    @property
    def normal_effects(self) -> NormalEffects:
        """The law of the effects; what has run away has no variance here, and is blanked later."""
        known = replace(self.conditional, beta_cov=self.determined_fixed.covariance)
        return NormalEffects(known, lambda: self.row_variance, self.roots)

    @functools.cached_property
    def row_variance(self) -> RowVariance:
        """The factored precision of all effects, with what is known of the fixed ones."""
        if self.gp.rows.is_stored:
            found = row_variance_of_blocks(self.gp, self.co, self.laplace, self.roots)
            return found.with_fixed(self.determined_fixed.covariance)
        mu, weights = self.row_model.design.mu, self.row_precision()
        ridge = ridge_of(mu.X, weights)
        # Along flat directions nothing moves: rows that change there have no variance.
        return row_variance(mu, self.roots, weights, ridge).with_fixed(
            self.determined_fixed.covariance
        )

    def _mean_function(
        self, rows: Rows, request: PredictionRequest, category: int | None = None
    ) -> Mean:
        """Return the mean of a response at a linear predictor, or its average over groups.

        Or the probability of one of its categories.
        """
        family, values = self.model.family, self.family_values

        def mean(eta: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore"):
                if category is not None:
                    return family.probabilities(eta, values)[..., category]
                if request.parameter:
                    return family.inverse_link(eta)
                return np.asarray(family.mean(eta, values, rows.per_row), dtype=np.float64)

        if not request.marginal:
            return mean
        between = np.zeros(rows.n_rows)
        for name, Z in rows.Z.items():
            one = np.sum((Z @ self.roots[name]) ** 2, axis=1)
            between += one * self.model.design.mu.group(name).mean_variance
        spread = np.sqrt(between)

        def average(eta: np.ndarray) -> np.ndarray:
            total = np.zeros_like(eta)
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                total += weight * mean(eta + node * spread)
            return total

        return average

    def _through_the_link(
        self,
        mean: Callable[[np.ndarray], np.ndarray],
        eta: np.ndarray,
        sd: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Estimate, sd by the delta method and interval on the scale of the response."""
        link = self.model.family.link_functions
        step = 1e-5 * (1.0 + np.abs(eta))
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (mean(eta + step) - mean(eta - step)) / (2 * step)
            ends = np.stack([mean(lower), mean(upper)])
            low, high = ends.min(axis=0), ends.max(axis=0)
            around_zero = (lower < 0) & (upper > 0)
            if link.is_even:
                low = np.where(around_zero, mean(np.zeros_like(eta)), low)
            if link.has_pole:
                low = np.where(around_zero, high, low)
                high = np.where(around_zero, np.inf, high)
            return mean(eta), np.abs(slope) * sd, low, high
