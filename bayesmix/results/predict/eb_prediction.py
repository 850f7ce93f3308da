"""Prediction from empirical Bayes: conditional modes with their prediction error."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.arguments import checked_seed, one_of, whole_number
from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.results.predict.estimable import draws_without_unknown, without_unknown
from bayesmix.results.predict.levels import GroupScale, covariance_roots, name_key
from bayesmix.results.predict.linear import ParameterDraws
from bayesmix.results.predict.parameters import check_replicates, check_size
from bayesmix.results.predict.predictor import Predictor
from bayesmix.results.predict.request import Groups, Kind, PredictionRequest
from bayesmix.results.predict.rows import Rows, rows_to_predict

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.gaussian.conditional import Conditional
    from bayesmix.gaussian.density import FixedPrior
    from bayesmix.gaussian.problem import Problem
    from bayesmix.statement.stated import FittableModel

__all__ = ["PredictsAtModes"]

_EbResidual = Literal["response", "pearson", "quantile"]


_LARGE = 1e100  # entry of a row, beyond which it is brought to a scale of its own


class PredictsAtModes:
    """What an empirical Bayes fit can say about rows, those of the fit or new ones."""

    model: FittableModel
    _conditional: Conditional
    _problem: Problem
    _prior: FixedPrior

    if TYPE_CHECKING:

        @property
        def sigma(self) -> float: ...  # noqa: D102

        def _by_group(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]: ...

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
        """Predict row by row from the conditional modes, with prediction errors.

        The variance parameters are taken as known; the uncertainty of the fixed
        effects, of the group effects, and their covariance is exact. A level that was
        not seen, or is missing, has the mean zero and the variance of the group
        distribution.

        Parameters
        ----------
        data : table, optional
            New rows; those of the fit by default. It needs the predictors and, for
            `groups="conditional"`, the grouping columns.
        kind : {"mean", "response", "linear"}
            The expected response, a new observation (with the residual variance), or
            the linear predictor, which is the same as the mean here.
        groups : {"conditional", "population"}
            Whether rows have the effects of their groups, or those effects are zero.
        marginal : bool
            Whether to average over the group distribution; with `kind="response"` each
            row is an observation from a group of its own.
        ci_prob : float
        draws, seed : int, optional
            Not needed: nothing is drawn, the prediction of a normal response is exact.
            Fits of other kinds do draw, and one call is to do for all of them.

        Returns
        -------
        DataFrame
            One row per row of the data, with its index: estimate, sd, lower, upper.

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
        """
        request = PredictionRequest(kind=kind, groups=groups, marginal=marginal, ci_prob=ci_prob)
        if draws is not None:
            whole_number("draws", draws, 1)
        checked_seed(seed, 0)
        rows = rows_to_predict(
            self.model,
            data,
            effects=request.uses_effects,
            levels=request.uses_levels,
            kind=kind,
        )
        mean, variance, size = self._moments_of(rows, request)
        z = stats.norm.ppf((1 + ci_prob) / 2)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            sd = size * np.sqrt(variance)
            lower, upper = mean - z * sd, mean + z * sd
        table = pd.DataFrame(
            {"estimate": mean, "sd": sd, "lower": lower, "upper": upper}, index=rows.labels
        )
        return without_unknown(table, self.model.design, rows)

    def predict_draws(
        self,
        data: Any = None,
        kind: Kind = "mean",
        groups: Groups = "conditional",
        *,
        marginal: bool = False,
        draws: int = 1000,
        seed: int | None = None,
    ) -> xr.DataArray:
        """Draw predictions from the distribution of the effects at the estimates.

        Fixed and group effects are drawn jointly; the variance parameters and those of
        the family stay at their estimates. Beyond a normal response the group effects
        are drawn given the data, skewed as they are; for ``kind="linear"`` from the
        normal distribution around their modes, whose moments `predict` gives.

        Parameters
        ----------
        data, kind, groups, marginal
            As in `predict`.
        draws : int
            Number of draws.
        seed : int, optional
            0 by default, so that the same call gives the same numbers.

        Returns
        -------
        DataArray, dims (chain, draw, row)
            With one chain, in units of the response, or of the link scale for
            ``kind="linear"``.

        Raises
        ------
        DataError, NotSupportedError
            As in `predict`.
        """
        import xarray as xr

        request = PredictionRequest(kind=kind, groups=groups, marginal=marginal)
        rows, predictor, n_draws = self._predictor(data, request, draws, seed)
        row = self.model.names.obs_dim
        filled = predictor.all_draws(rows.n_rows, n_draws)
        return xr.DataArray(
            draws_without_unknown(filled, self.model.design, rows)[None],
            dims=("chain", "draw", row),
            coords={"chain": [0], "draw": np.arange(n_draws), row: rows.positions},
            name=kind,
        )

    def fitted(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Return the expected response of the rows of the fit.

        Parameters
        ----------
        ci_prob : float

        Returns
        -------
        DataFrame
            As of `predict`.
        """
        return self.predict(ci_prob=ci_prob)

    def residuals(
        self, kind: _EbResidual = "response", *, seed: int | None = None
    ) -> pd.Series[float]:
        """Return what the conditional modes leave of the response.

        Parameters
        ----------
        kind : {"response", "pearson", "quantile"}
            Response minus fitted value, or that in residual standard deviations, which
            for a normal response is also its quantile residual.
        seed : int, optional
            Not needed: a normal response's quantile residuals are not randomised.

        Returns
        -------
        Series of float
            With the index of the rows of the fit.
        """
        one_of("kind", kind, get_args(_EbResidual))
        checked_seed(seed, 0)
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="linear")
        residual = self.model.y - self._means(rows)
        if kind != "response":
            residual = residual / np.sqrt(self._residual_variance(rows))
        return pd.Series(residual, index=rows.labels, name="residual")

    def simulate(
        self, n: int = 1, *, new_groups: bool = False, seed: int | None = None
    ) -> pd.DataFrame:
        """Simulate whole responses at the estimates.

        Parameters
        ----------
        n : int
            Number of replicates.
        new_groups : bool
            Whether the group effects are drawn anew from their distribution, as a
            parametric bootstrap wants it, or stay at their conditional modes.
        seed : int, optional
            By default a new one each time.

        Returns
        -------
        DataFrame
            One row per row of the fit, one column per replicate: ``sim_1``, ...

        Raises
        ------
        NotSupportedError
            If `n` is not a positive whole number.
        """
        whole_number("n", n, 1)
        rng = np.random.default_rng(None if seed is None else checked_seed(seed, 0))
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="response")
        check_replicates(n, rows.n_rows)
        modes = self._means(rows.with_new_groups(self.model.design) if new_groups else rows)
        out = np.empty((rows.n_rows, int(n)))
        for k in range(int(n)):
            out[:, k] = self._replicate(modes, rows, rng, new_groups=new_groups)
        columns = [f"sim_{k + 1}" for k in range(int(n))]
        return pd.DataFrame(out, index=rows.labels, columns=columns)

    # -- inside ---------------------------------------------------------------

    def _replicate(
        self, modes: np.ndarray, rows: Rows, rng: np.random.Generator, *, new_groups: bool
    ) -> np.ndarray:
        """One response of each row, from its linear predictor without new groups' effects."""
        structure = self.model.residual
        assert structure is not None  # noqa: S101
        noise = structure.draw(rows.n_rows, self._family_values, rows.per_row, rng)
        return modes + noise + (self._new_effects(rng) if new_groups else 0.0)

    def _new_effects(self, rng: np.random.Generator) -> np.ndarray:
        """Return z'b of each row of the fit, with effects drawn from their distributions."""
        total = np.zeros(self.model.design.n_obs)
        for group in self.model.design.groups:
            u = rng.standard_normal((group.n_levels, group.n_effects))
            b = u @ self._roots[group.name].T
            total += np.einsum("nk,nk->n", group.Z, b[group.index])
        return total

    def _predictor(
        self, data: Any, request: PredictionRequest, draws: int, seed: int | None
    ) -> tuple[Rows, Predictor, int]:
        whole_number("draws", draws, 1)
        rows = rows_to_predict(
            self.model,
            data,
            effects=request.uses_effects,
            levels=request.uses_levels,
            kind=request.kind,
        )
        chosen = checked_seed(seed, 0)
        levels = {name: np.unique(index[index >= 0]) for name, index in rows.index.items()}
        parameters = self._parameters(levels, int(draws), chosen, request.kind)
        return rows, Predictor(self.model.family, parameters, rows, request, chosen), int(draws)

    def _parameters(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Draw (beta, b) at the estimates, b for the levels that are asked for."""
        n_effects = {g.name: g.n_effects for g in self.model.design.groups}
        n_fixed = len(self.model.design.fixed_effects) + len(self.model.family.parameters)
        n_drawn = sum(n_effects[name] * len(at) for name, at in levels.items())
        check_size(n_fixed + n_drawn + 1, n_draws)
        beta, b = self._draw_effects(levels, n_draws, seed, kind)
        positions = {}
        for group in self.model.design.groups:
            if group.name in levels:
                position = np.full(group.n_levels, -1, dtype=np.int64)
                position[levels[group.name]] = np.arange(len(levels[group.name]))
                positions[group.name] = position
        return ParameterDraws(
            beta=beta,
            b=b,
            level_rows=positions,
            scales={
                name: GroupScale(name=name, root=np.broadcast_to(root, (n_draws, *root.shape)))
                for name, root in self._roots.items()
            },
            family={
                name: np.full(n_draws, float(value)) for name, value in self._family_values.items()
            },
            n_draws=n_draws,
        )

    def _draw_effects(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int, kind: Kind
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw beta, shape (p, S), and b by grouping factor, shape (q, levels, S)."""
        words = [seed, name_key("effects at the modes")]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        beta, b = self._row_variance.draw(levels, n_draws, rng)
        found = self._conditional
        for name in b:
            b[name] += found.b[name][levels[name]].T[:, :, None]
        return beta + found.beta[:, None], b

    @property
    def _family_values(self) -> Mapping[str, np.ndarray]:
        return {} if self._problem.sigma_is_known else {"sigma": np.asarray(self.sigma)}

    @functools.cached_property
    def _roots(self) -> Mapping[str, np.ndarray]:
        sd, corr = self._by_group()
        return {
            name: covariance_roots(values[None], corr[name][None] if name in corr else None)[0]
            for name, values in sd.items()
        }

    @functools.cached_property
    def _row_variance(self) -> RowVariance:
        problem, design = self._problem, self.model.design
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="response")
        to_working = problem.scaling.TX / problem.scaling.y_scale
        prior = to_working.T @ self._prior.precision @ to_working
        return row_variance(design.mu, self._roots, 1.0 / self._residual_variance(rows), prior)

    def _means(self, rows: Rows) -> np.ndarray:
        found = self._conditional
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            mean: np.ndarray = rows.X @ found.beta
            if rows.offset is not None:
                mean = mean + rows.offset
            for name, index in rows.index.items():
                b = found.b[name][np.maximum(index, 0)]
                part = np.einsum("nk,nk->n", rows.Z[name], b)
                mean = mean + np.where(index >= 0, part, 0.0)
        return mean

    def _expected_mean(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Mean of each row at the estimates; linear in the effects, and so that at their modes."""
        return self._means(rows)

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
        return self._means(rows), variance, size

    def _variances(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Variances of the linear predictor."""
        if rows.index:
            variance = self._row_variance.of_rows(rows.X, rows.Z, rows.index)
        else:
            variance = self._fixed_variance(rows.X)
        for name, Z in rows.Z.items():
            of_population = np.sum((Z @ self._roots[name]) ** 2, axis=1)
            if request.marginal and request.kind == "response":
                variance = variance + of_population
            elif name in rows.index:
                variance = variance + np.where(rows.index[name] < 0, of_population, 0.0)
        return variance

    def _fixed_variance(self, X: np.ndarray) -> np.ndarray:
        """Variance of x' beta, shape (n,)."""
        return np.einsum("ni,ni->n", X @ self._conditional.beta_cov, X)

    def _residual_variance(self, rows: Rows) -> np.ndarray:
        structure, values = self.model.residual, self._family_values
        if structure is None:
            found = self.model.family.variance(np.zeros(rows.n_rows), values, rows.per_row)
        else:
            found = structure.row_variance(values, rows.per_row)
        return np.broadcast_to(found, (rows.n_rows,))


def _row_sizes(rows: Rows) -> np.ndarray:
    """The largest entry of each row where its square would be no double, 1 elsewhere."""
    parts = [rows.X, *rows.Z.values()]
    size = np.max([np.abs(part).max(axis=1, initial=0.0) for part in parts], axis=0)
    return np.where((size > _LARGE) & np.isfinite(size), size, 1.0)
