"""Prediction at the mode of Laplace's approximation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.arguments import checked_seed, one_of
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.inference.determined import Determined
from bayesmix.results.predict.eb_prediction import PredictsAtModes
from bayesmix.results.predict.estimable import without_unknown
from bayesmix.results.predict.given_data import EffectsGivenData
from bayesmix.results.predict.predictor import NODES, WEIGHTS
from bayesmix.results.predict.request import Groups, Kind, PredictionRequest
from bayesmix.results.predict.residuals import Residual, residual_values
from bayesmix.results.predict.rows import Rows, rows_to_predict

__all__ = ["PredictsAtLaplaceModes"]

_DRAWS = 1000


class PredictsAtLaplaceModes(PredictsAtModes):
    """What an empirical Bayes fit beyond the normal can say about rows."""

    if TYPE_CHECKING:

        @property
        def _determined_fixed(self) -> Determined: ...

        def _row_precision(self) -> np.ndarray: ...

    def predict(
        self,
        data: Any = None,
        kind: Kind = "mean",
        groups: Groups = "conditional",
        *,
        marginal: bool = False,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Predict row by row at the estimates, with intervals.

        Given the variance parameters, which are taken as known, fixed and group
        effects have a joint normal distribution around their modes: the group effects
        with the curvature of Laplace's approximation, the fixed effects with the
        covariance of `vcov()`, which group effects follow. A level that was not seen,
        or is missing, has the mean zero and the variance of the group distribution.
        Where groups are small their effects are skewed, and the mean of a row is not
        the inverse link at the mode: see "mean" below.

        Parameters
        ----------
        data : table, optional
            New rows; those of the fit by default. It needs the predictors and, for
            `groups="conditional"`, the grouping columns.
        kind : {"mean", "response", "linear"}
            The expected response, a new observation, or the linear predictor on the
            link scale.
        groups : {"conditional", "population"}
            Whether rows have the effects of their groups, or those effects are zero.
        marginal : bool
            Whether to average over the group distribution; under a link that is not
            what a group in the middle has. With `kind="response"` each row is an
            observation from a group of its own.
        ci_prob : float
        draws : int, optional
            For `kind="response"`, which is simulated; 1000 by default.
        seed : int, optional
            Seed of these draws; 0 by default, so that the same call gives the same numbers.

        Returns
        -------
        DataFrame
            One row per row of the data, with its index: estimate, sd, lower, upper.

            For "linear" these are the moments of the normal distribution. For "mean"
            `estimate` is the expected mean given the data at the estimates, the average
            over the group effects, as a posterior has it: by adaptive quadrature where
            there is one effect a group, else under the normal law of the effects that
            is nearest to theirs [1]_ (under the links "identity" and "inverse", at the
            modes). ``predict(type = "response")`` of lme4 and glmmTMB is the inverse
            link of the linear predictor at the modes, here that of ``kind="linear"``,
            which is what both give for ``groups="population"``. `sd` is by the delta
            method, and for levels that were not seen that of the means of the group
            distribution; the interval is that of the linear predictor, through the
            inverse link. For "response" they are mean, standard deviation and quantiles of
            simulated observations, in which the family's parameters stay at their
            estimates and group effects are drawn given the data.

            sd, lower and upper are NaN in rows on which an estimate bears that has run
            away (see `separation`): there is an estimate, and no standard error.

        Raises
        ------
        DataError
            If the data lack a column that is needed, or do not fit the model.
        NotSupportedError
            For an argument out of its range, or too many crossed effects.

        Warns
        -----
        NotEstimableWarning
            If rows are NaN because they need a coefficient that was left out: an empty
            cell of an interaction, or columns that only go together in the data.

        References
        ----------
        .. [1] Ormerod, J. T. and Wand, M. P. (2012). Gaussian variational approximate
           inference for generalized linear mixed models. Journal of Computational and
           Graphical Statistics 21, 2-17.
        """
        request = PredictionRequest(kind=kind, groups=groups, marginal=marginal, ci_prob=ci_prob)
        names = ("estimate", "sd", "lower", "upper")
        if kind == "response":
            wanted = _DRAWS if draws is None else draws
            rows, predictor, n_draws = self._predictor(data, request, wanted, seed)
            drawn = predictor.summaries(rows.n_rows, n_draws, ci_prob)
            drawn[1:, self._determined_fixed.lost(rows.X)] = np.nan
            table = pd.DataFrame(dict(zip(names, drawn, strict=True)), index=rows.labels)
            return without_unknown(table, self.model.design, rows)
        rows = rows_to_predict(
            self.model,
            data,
            effects=request.uses_effects,
            levels=request.uses_levels,
            kind=kind,
        )
        found = self._summaries(rows, request)
        table = pd.DataFrame(dict(zip(names, found, strict=True)), index=rows.labels)
        return without_unknown(table, self.model.design, rows)

    def residuals(
        self, kind: Residual = "response", *, seed: int | None = None
    ) -> pd.Series[float]:
        """Return what the conditional modes leave of the response.

        As in lme4 and glmmTMB the fitted value here is the inverse link at the modes,
        which differs from the expected mean of `fitted()` where groups are small.

        Parameters
        ----------
        kind : {"response", "pearson", "quantile"}
            Response minus fitted value; that divided by the standard deviation of an
            observation; or the randomised quantile residual, the normal quantile of
            where the observation lies among simulated ones.
        seed : int, optional
            Seed of "quantile"; 0 by default.

        Returns
        -------
        Series of float
            With the index of the rows of the fit.
        """
        one_of("kind", kind, get_args(Residual))
        y = self.model.y
        if kind == "quantile":
            request = PredictionRequest(kind="response")
            rows, predictor, n_draws = self._predictor(None, request, _DRAWS, seed)
            residual = residual_values(kind, y, predictor, n_draws, checked_seed(seed, 0))
            return pd.Series(residual, index=rows.labels, name="residual")
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="response")
        eta, family, values = self._means(rows), self.model.family, self._family_values
        residual = y - family.mean(eta, values, rows.per_row)
        if kind == "pearson":
            residual = residual / np.sqrt(family.variance(eta, values, rows.per_row))
        return pd.Series(residual, index=rows.labels, name="residual")

    # -- inside ---------------------------------------------------------------

    def _summaries(
        self, rows: Rows, request: PredictionRequest
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Estimate, sd, lower and upper of each row's mean or linear predictor."""
        eta, variance, size = self._moments_of(rows, replace(request, kind="linear"))
        z = stats.norm.ppf((1 + request.ci_prob) / 2)
        # Negative where rounding has taken all digits: NaN; infinite beyond the largest number.
        with np.errstate(invalid="ignore", over="ignore"):
            sd = size * np.sqrt(variance)
            lower, upper = eta - z * sd, eta + z * sd
        if request.kind == "linear":
            return eta, sd, lower, upper
        mean = self._mean_function(rows, marginal=request.marginal)
        _, by_delta, lower, upper = self._through_the_link(mean, eta, sd, lower, upper)
        new = self._is_new(rows)
        sd = np.where(new, self._spread(mean, eta, sd), by_delta) if new.any() else by_delta
        return self._expected_mean(rows, request), sd, lower, upper

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

    def _expected_mean(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Mean of each row at the estimates, averaged over the effects given the data."""
        mean = self._mean_function(rows, marginal=request.marginal)
        if not rows.index:
            return mean(self._means(rows))
        return self._given_data.expected_mean(rows, mean)

    @functools.cached_property
    def _given_data(self) -> EffectsGivenData:
        return EffectsGivenData(self)

    def _draw_effects(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int, kind: Kind
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw beta, and b given the data; for "linear" from the normal distribution."""
        if kind == "linear":
            return super()._draw_effects(levels, n_draws, seed, kind)
        return self._given_data.draw(levels, n_draws, seed)

    def _replicate(
        self, modes: np.ndarray, rows: Rows, rng: np.random.Generator, *, new_groups: bool
    ) -> np.ndarray:
        eta = modes + self._new_effects(rng) if new_groups else modes
        family = self.model.family
        return np.asarray(family.simulate(eta, self._family_values, rows.per_row, rng))

    @functools.cached_property
    def _row_variance(self) -> RowVariance:
        X, weights = self.model.design.X, self._row_precision()
        # It does not matter to what is kept, and keeps the equations well conditioned.
        ridge = np.diag(np.einsum("ni,n,ni->i", X, np.abs(weights), X) + 1e-300)
        # Along flat directions nothing moves: rows that change there have no variance.
        return row_variance(self.model.design.mu, self._roots, weights, ridge).with_fixed(
            self._determined_fixed.covariance
        )

    def _variances(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        variance = super()._variances(rows, request)
        return np.where(self._determined_fixed.lost(rows.X), np.nan, variance)

    def _fixed_variance(self, X: np.ndarray) -> np.ndarray:
        return self._determined_fixed.variance(X)

    def _mean_function(self, rows: Rows, *, marginal: bool) -> Callable[[np.ndarray], np.ndarray]:
        """Return the mean of a response at a linear predictor, or its average over groups."""
        family, values = self.model.family, self._family_values

        def mean(eta: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore"):
                return np.asarray(family.mean(eta, values, rows.per_row), dtype=np.float64)

        if not marginal:
            return mean
        between = np.zeros(rows.n_rows)
        for name, Z in rows.Z.items():
            between += np.sum((Z @ self._roots[name]) ** 2, axis=1)
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
