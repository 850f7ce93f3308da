"""Prediction from a posterior: expectations, responses, residuals, replicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import checked_seed, one_of, whole_number
from bayesmix.results.predict.estimable import draws_without_unknown, without_unknown
from bayesmix.results.predict.linear import for_each_block
from bayesmix.results.predict.ordinal import (
    as_categories,
    category_table,
    probability_draws,
    probability_table,
    with_categories,
)
from bayesmix.results.predict.parameters import check_replicates, chosen_draws, posterior_parameters
from bayesmix.results.predict.predictor import Predictor
from bayesmix.results.predict.request import Groups, Kind, PredictionRequest
from bayesmix.results.predict.residuals import Residual, residual_values
from bayesmix.results.predict.rows import Rows, rows_to_predict

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.results.tabular.tables import PosteriorDraws
    from bayesmix.statement.stated import FittableModel

__all__ = ["Predicts"]


class Predicts:
    """What a posterior can say about rows, those of the fit or new ones."""

    model: FittableModel
    idata: xr.DataTree

    if TYPE_CHECKING:

        @property
        def _draws(self) -> PosteriorDraws: ...

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
        """Predict row by row, with intervals.

        A row whose level was seen in fitting uses that level's effects. A level
        that was not seen has effects drawn from the group distribution, the same in
        all of its rows. A missing level (None, NaN) means a group of this population,
        unknown which: every such row has a group of its own. Each of several
        nested grouping factors finds its own level, so that a new ward of a known hospital uses
        what is known of the hospital.

        Parameters
        ----------
        data : pandas, polars or pyarrow table, optional
            New rows; those of the fit by default. It needs the predictors and, for
            `groups="conditional"`, the grouping columns. The response is not needed
            and other columns are ignored.
        kind : {"mean", "response", "linear", "probability"}
            The expected response, a new observation (the interval then includes the
            residual or sampling variation), or the linear predictor on the link
            scale. For ordered categories (the cumulative family) "probability" is the
            probability of each, "mean" the expected number of the category, the
            lowest being 1, and "response" the category that is drawn. For a truncated
            response "mean" is the one before truncation; "response" respects its limits.
        groups : {"conditional", "population"}
            Whether rows have the effects of their groups, or those effects are zero:
            a group in the middle of the population.
        marginal : bool
            Whether to average over the group distribution instead. Under an identity
            link this is what `groups="population"` gives. Under any other the mean
            over all groups is not the mean of the middle group: take the average to
            speak about a population as a whole (how many of all patients recover),
            and `groups="population"` to speak about a typical group. With
            `kind="response"`, each row is an observation from a group of its own.
        ci_prob : float
            Probability inside the equal-tailed interval.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default.
        seed : int, optional
            Seed of the effects of new groups and of new observations; the fit's own
            by default, so that the same call gives the same numbers.

        Returns
        -------
        DataFrame
            One row per row of the data, with its index: estimate (posterior mean), sd,
            lower, upper, in units of the response, or of the link scale for
            `kind="linear"`.

            For `kind="probability"` one row per row of the data and category, the
            categories of a row one below the other: category, estimate, sd, lower,
            upper. (A column each would have no room for the intervals; pivot the
            table for that.) For `kind="response"` of ordered categories there is also
            the column category, the one that is drawn most often; the other columns
            are of its number.

            Where columns were left out as aliased, a row that needs one of their
            coefficients is NaN: these have no draws, so that not even the prior says
            what they are. x'beta has an estimate where x is a combination of the rows
            of the data. Where the coefficients outnumber the rows none is left out, and
            what the data leave open has the prior's uncertainty.

        Raises
        ------
        DataError
            If the data lack a column that is needed, or have it with another type, a
            missing predictor, or a level that a fixed factor does not have.
        NotSupportedError
            For an argument out of its range.

        Warns
        -----
        NotEstimableWarning
            If rows are NaN because they need a coefficient that was left out: an empty
            cell of an interaction, or columns that only go together in the data.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)  # doctest: +SKIP
        >>> post.predict({"Days": [10], "Subject": ["308"]})  # doctest: +SKIP
        """
        request = PredictionRequest(kind=kind, groups=groups, marginal=marginal, ci_prob=ci_prob)
        rows, predictor, n_draws = self._predictor(data, request, draws, seed)
        categories = self.model.family.categories(self.model.design.response)
        if kind == "probability":
            table = probability_table(predictor, rows, n_draws, categories, ci_prob)
        elif kind == "response" and categories:
            table = category_table(predictor, rows, n_draws, categories, ci_prob)
        else:
            out = predictor.summaries(rows.n_rows, n_draws, ci_prob)
            names = ("estimate", "sd", "lower", "upper")
            table = pd.DataFrame(dict(zip(names, out, strict=True)), index=rows.labels)
        return without_unknown(table, self.model.design, rows)

    def predict_draws(
        self,
        data: Any = None,
        kind: Kind = "mean",
        groups: Groups = "conditional",
        *,
        marginal: bool = False,
        draws: int | None = None,
        seed: int | None = None,
    ) -> xr.DataArray:
        """Predict row by row and return the draws.

        Parameters
        ----------
        data, kind, groups, marginal, draws, seed
            As in `predict`.

        Returns
        -------
        DataArray, dims (chain, draw, row)
            In units of the response, or of the link scale for ``kind="linear"``. For
            ``kind="probability"`` with a further dimension response_category, whose
            coordinates are the categories as text; ``kind="response"`` of ordered
            categories has their numbers, the lowest being 1.

        Raises
        ------
        DataError, NotSupportedError
            As in `predict`; also for more than memory holds.
        """
        request = PredictionRequest(kind=kind, groups=groups, marginal=marginal)
        rows, predictor, n_draws = self._predictor(data, request, draws, seed)
        if kind == "probability":
            categories = self.model.family.categories(self.model.design.response)
            values = probability_draws(predictor, rows, n_draws, categories)
            values = draws_without_unknown(values, self.model.design, rows)
            found = self._labelled(values[..., 0], rows, draws, kind)
            return with_categories(found, values, categories)
        filled = draws_without_unknown(
            self._filled(rows, predictor, n_draws), self.model.design, rows
        )
        return self._labelled(filled, rows, draws, kind)

    def fitted(self, ci_prob: float = 0.95) -> pd.DataFrame:
        """Return the expected response of the rows of the fit.

        For ordered categories that is the expected number of the category; their
        probabilities are in ``predict(kind="probability")``. Of a truncated or censored
        one it is the mean before truncation and censoring.

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
        self, kind: Residual = "response", *, seed: int | None = None
    ) -> pd.Series[float]:
        """Return what the fit leaves of the response.

        Parameters
        ----------
        kind : {"response", "pearson", "quantile"}
            Response minus its posterior mean; that divided by the standard deviation
            of an observation given its parameters; or the randomised quantile
            residual, the normal quantile of where the observation lies among
            replicates, which is standard normal under the model for every family. For a
            censored row that place is drawn beyond its limit. The first two take the
            mean before truncation and censoring, so "quantile" is the one for such rows.
        seed : int, optional
            Seed of the replicates and of the randomisation; the fit's own by default.

        Returns
        -------
        Series of float
            With the index of the rows of the fit.

        References
        ----------
        Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. Journal of
        Computational and Graphical Statistics 5, 236-244.
        """
        one_of("kind", kind, get_args(Residual))
        wanted: Kind = "response" if kind == "quantile" else "linear"
        rows, predictor, n_draws = self._predictor(None, PredictionRequest(kind=wanted), None, seed)
        values = residual_values(kind, self.model.y, predictor, n_draws, self._seed(seed))
        return pd.Series(values, index=rows.labels, name="residual")

    def simulate(
        self, n: int = 1, *, new_groups: bool = False, seed: int | None = None
    ) -> pd.DataFrame:
        """Simulate whole responses for the rows of the fit.

        Parameters
        ----------
        n : int
            Number of replicates; each comes from another posterior draw as long as
            there are enough.
        new_groups : bool
            Whether every grouping factor has new levels in place of those of the fit.
        seed : int, optional

        Returns
        -------
        DataFrame
            One row per row of the fit, with its index, one column per replicate:
            ``sim_1``, ``sim_2``, ... Ordered categories are that, of the type of the
            response.

        Raises
        ------
        NotSupportedError
            If `n` is not a positive whole number.
        """
        whole_number("n", n, 1)
        check_replicates(n, self.model.design.n_obs)
        every = self._replicates(new_groups=new_groups, draws=None, seed=seed)
        rng = np.random.default_rng(np.random.SeedSequence([self._seed(seed), 1]))
        n_draws = every.n_draws
        order = np.concatenate(
            [rng.permutation(n_draws) for _ in range(-(-int(n) // n_draws))]
        )[:n]  # fmt: skip
        out = np.empty((every.rows.n_rows, int(n)))

        def fill(number: int, block: slice) -> None:
            out[block] = every.predictor.block(number, block)[:, order]

        for_each_block(every.rows.n_rows, n_draws, fill)
        names = [f"sim_{k + 1}" for k in range(int(n))]
        table = pd.DataFrame(out, index=every.rows.labels, columns=names)
        categories = self.model.family.categories(self.model.design.response)
        return as_categories(table, categories) if categories else table

    # -- inside ---------------------------------------------------------------

    def _seed(self, seed: int | None) -> int:
        return checked_seed(seed, int(self.idata.attrs.get("seed", 0)))

    def _predictor(
        self, data: Any, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> tuple[Rows, Predictor, int]:
        chosen_seed = self._seed(seed)
        rows = rows_to_predict(
            self.model,
            data,
            effects=request.uses_effects,
            levels=request.uses_levels,
            kind=request.kind,
        )
        return self._predictor_of(rows, request, draws, chosen_seed)

    def _predictor_of(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int
    ) -> tuple[Rows, Predictor, int]:
        found = self._draws
        levels: Mapping[str, np.ndarray] = {
            name: np.unique(index[index >= 0]) for name, index in rows.index.items()
        }
        chosen = chosen_draws(found.beta.shape[0], found.beta.shape[1], draws)
        parameters = posterior_parameters(self.model, found, levels, chosen, seed)
        predictor = Predictor(self.model.family, parameters, rows, request, seed)
        return rows, predictor, parameters.n_draws

    def _replicates(self, *, new_groups: bool, draws: int | None, seed: int | None) -> _Replicates:
        request = PredictionRequest(kind="response")
        rows = rows_to_predict(self.model, None, effects=True, levels=True, kind="response")
        if new_groups:
            rows = rows.with_new_groups(self.model.design)
        chosen_seed = self._seed(seed)
        return _Replicates(*self._predictor_of(rows, request, draws, chosen_seed))

    def _filled(self, rows: Rows, predictor: Predictor, n_draws: int) -> np.ndarray:
        """All draws of all rows, shape (S, n)."""
        return predictor.all_draws(rows.n_rows, n_draws)

    def _labelled(
        self, values: np.ndarray, rows: Rows, draws: int | None, name: str
    ) -> xr.DataArray:
        import xarray as xr

        posterior = self.idata["posterior"]
        n_chains = posterior.sizes["chain"]
        chosen = chosen_draws(n_chains, posterior.sizes["draw"], draws)
        row = self.model.names.obs_dim
        return xr.DataArray(
            values.reshape(n_chains, len(chosen), rows.n_rows),
            dims=("chain", "draw", row),
            coords={
                "chain": posterior["chain"].to_numpy(),
                "draw": posterior["draw"].to_numpy()[chosen],
                row: rows.positions,
            },
            name=name,
        )


class _Replicates:
    """Replicates of the data, by block of rows."""

    def __init__(self, rows: Rows, predictor: Predictor, n_draws: int) -> None:
        self.rows, self.predictor, self.n_draws = rows, predictor, n_draws
