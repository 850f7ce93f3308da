"""Prediction from any fit: expectations, responses, residuals, replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.errors import NotSupportedError
from bayesmix.laws.forecast import check_forecast
from bayesmix.laws.parameters import check_replicates
from bayesmix.laws.request import Groups, Kind, PredictionRequest, checked_parameter
from bayesmix.laws.rows import Rows, rows_to_predict
from bayesmix.results.predict.batches import (
    predicted_batches,
    write_batches,
)
from bayesmix.results.predict.estimable import (
    draws_without_lost,
    draws_without_unknown,
    without_lost,
    without_unknown,
)
from bayesmix.results.predict.having_residuals import HasResiduals
from bayesmix.results.predict.labelled import labelled_draws
from bayesmix.results.predict.ordinal import (
    as_categories,
    category_table,
    probability_draws,
    probability_table,
)
from bayesmix.results.predict.parts import Part, asked_of_parts, without_fixed
from bayesmix.sources import is_source
from bayesmix.threads import on_one_thread

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.laws.base import Law

__all__ = ["Predicts"]

_NAMES = ("estimate", "sd", "lower", "upper")


class Predicts(HasResiduals):
    """What a fit can say about rows, its own or new ones."""

    @on_one_thread
    def predict(
        self,
        data: Any = None,
        kind: Kind = "mean",
        groups: Groups = "conditional",
        *,
        marginal: bool = False,
        forecast: bool = False,
        parameter: str | None = None,
        include: Sequence[Part] | None = None,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
        to: str | PathLike[str] | None = None,
    ) -> pd.DataFrame | Any:
        """Predict row by row, with intervals.

        A row whose level was seen in fitting uses that level's effects. A level
        that was not seen has effects drawn from the group distribution, the same in
        all of its rows. A missing level (None, NaN) means a group of this population,
        unknown which: every such row has a group of its own. Each of several
        nested grouping factors finds its own level, so that a new ward of a known hospital uses
        what is known of the hospital.

        Parameters
        ----------
        data : pandas, polars or pyarrow table, or what is read in batches, optional
            New rows; those of the fit by default. It needs the predictors and, for
            `groups="conditional"`, the grouping columns. The response is not needed
            and other columns are ignored. A parquet file, a folder of them, a pyarrow dataset,
            a polars LazyFrame, a DuckDB relation or a Dask or Spark DataFrame is read a batch of
            rows at a time, whether or not the fit is one to such data.
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
        forecast : bool
            Where residuals are correlated within series, whether rows of a known series
            continue from its observed residuals; by default their residuals are new. Of
            empirical Bayes these predictions are draws given the variance parameters.
        parameter : str, optional
            The parameter of the family that is predicted in place of the response, where it
            has a formula: "sigma", "zi", ..., or "mu", the location that the first formula
            has, which of a zero-inflated response is not its mean. `kind` is then "mean", for
            values of the parameter, or "linear".
        include : sequence of {"fixed", "groups", "residual"}, optional
            The parts that the prediction is made of, as merTools' ``predictInterval(which=)``
            has them: ``("fixed",)`` is `groups="population"`, with "residual" it is
            `kind="response"`, and without "fixed" it is what the group effects add.
        ci_prob : float
            Probability inside the interval: equal-tailed of draws, else normal.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default. Of empirical
            Bayes the number of responses that are simulated beyond a normal one, 1000 by
            default; nothing else is drawn there.
        seed : int, optional
            Seed of the effects of new groups and of new observations; the fit's own
            by default (0 for empirical Bayes), so that the same call gives the same numbers.
        to : str or path, optional
            Ending in .parquet: where the predictions of data that are read in batches are
            written, in the order of their rows. The file is there when it is complete.

        Returns
        -------
        DataFrame, or iterator of DataFrame, or Path
            One row per row of the data, with its index: estimate (the mean), sd,
            lower, upper, in units of the response, or of the link scale for
            `kind="linear"`. For data that are read in batches an iterator over such tables, one
            for each batch, labelled by the positions of the rows; with `to` the path that was
            written. What is simulated (`kind="response"`) is drawn by batch.

            For `kind="probability"` one row per row of the data and category, the
            categories of a row one below the other: category, estimate, sd, lower,
            upper. (A column each would have no room for the intervals; pivot the
            table for that.) For `kind="response"` of ordered categories there is also
            the column category, the one that is drawn most often; the other columns
            are of its number. Counts of categories have a row for each category, as probabilities
            have, and new rows their totals in the columns that the left-hand side says.

            Where columns were left out as aliased, a row that needs one of their
            coefficients is NaN: these have no draws, so that not even the prior says
            what they are. x'beta has an estimate where x is a combination of the rows
            of the data. Where the coefficients outnumber the rows none is left out, and
            what the data leave open has the prior's uncertainty. sd, lower and upper are
            NaN in rows on which an estimate bears that has run away (`separation` of
            empirical Bayes): there is an estimate, and no standard error.

        Raises
        ------
        DataError
            If the data lack a column that is needed, or have it with another type, a
            missing predictor, or a level that a fixed factor does not have; of data in
            batches naming the rows of the batch.
        NotSupportedError
            For an argument out of its range, or too many crossed effects; for `to` without
            data that are read in batches.
        FileError
            If `to` cannot be written.

        Warns
        -----
        NotEstimableWarning
            If rows are NaN because they need a coefficient that was left out: an empty
            cell of an interaction, or columns that only go together in the data.

        Notes
        -----
        Empirical Bayes takes the variance parameters as known. Of a normal response the
        uncertainty of the fixed effects, of the group effects, and their covariance is then
        exact; a level that was not seen, or is missing, has the mean zero and the variance
        of the group distribution.

        Beyond the normal, fixed and group effects have a joint normal distribution around
        their modes, whose moments "linear" gives: the group effects with the curvature of
        Laplace's approximation, the fixed effects with the covariance of `vcov()`, which
        group effects follow. Where groups are small their effects are skewed, and for "mean"
        `estimate` is the expected mean given the data at the estimates, the average over the
        group effects, as a posterior has it: by adaptive quadrature where there is one
        effect a group, else under the normal law of the effects that is nearest to theirs
        [1]_ (under the links "identity" and "inverse", at the modes).
        ``predict(type = "response")`` of lme4 and glmmTMB is the inverse link of the linear
        predictor at the modes, here that of ``kind="linear"``, which is what both give for
        ``groups="population"``. `sd` is by the delta method, and for levels that were not
        seen that of the means of the group distribution; the interval is that of the linear
        predictor, through the inverse link. For "response" they are mean, standard
        deviation and quantiles of simulated observations, in which the family's parameters
        stay at their estimates and group effects are drawn given the data.

        References
        ----------
        .. [1] Ormerod, J. T. and Wand, M. P. (2012). Gaussian variational approximate
           inference for generalized linear mixed models. Journal of Computational and
           Graphical Statistics 21, 2-17.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)  # doctest: +SKIP
        >>> post.predict({"Days": [10], "Subject": ["308"]})  # doctest: +SKIP
        >>> post.predict("rows.parquet", to="predicted.parquet")  # doctest: +SKIP
        """
        if is_source(data):
            tables = predicted_batches(
                self.model, data,
                lambda frame: self.predict(
                    frame, kind, groups, marginal=marginal, forecast=forecast,
                    parameter=parameter, include=include, ci_prob=ci_prob, draws=draws, seed=seed,
                ),
            )  # fmt: skip
            return tables if to is None else write_batches(tables, to)
        if to is not None:
            raise NotSupportedError(
                "to= writes predictions of data that are read in batches: give a parquet file, a "
                "folder of them or a query, or write the table, as by .to_parquet(...)"
            )
        fixed = True
        if include is not None:
            kind, groups, fixed = asked_of_parts(include, kind, groups, self.model.family)
        request = PredictionRequest(
            kind=kind, groups=groups, marginal=marginal, ci_prob=ci_prob, forecast=forecast,
            parameter=checked_parameter(self.model, parameter),
        )  # fmt: skip
        if forecast:
            check_forecast(self.model, request)
        number = checked_seed(seed, self._law.seed)
        law, rows = self._law_and_rows(data, request)
        rows = rows if fixed else without_fixed(rows)
        categories = self.model.family.categories(self.model.design.response)
        if categories and kind in {"probability", "response"}:
            predictor = law.predictor(rows, request, draws, number)
            ordered = not self.model.family.is_nominal
            counts = kind == "response" and self.model.family.has_counts
            if kind == "probability" or counts:
                table = probability_table(
                    predictor, rows, predictor.n_draws, categories, ci_prob, ordered=ordered,
                    counts=counts,
                )  # fmt: skip
                expected = None if counts else law.expected_probabilities(rows, request)
                if expected is not None:  # the spread alone is of draws
                    table["estimate"] = expected.ravel()
            else:
                table = category_table(
                    predictor, rows, predictor.n_draws, categories, ci_prob, ordered=ordered
                )
            table = without_lost(table, rows, law.lost_rows(rows, request)[0])
        else:
            out = law.summaries(rows, request, draws, seed)
            table = pd.DataFrame(dict(zip(_NAMES, out, strict=True)), index=rows.labels)
        return without_unknown(
            table, self.model.design, self._bearing(rows, request), parameter or "mu"
        )

    @on_one_thread
    def predict_draws(
        self,
        data: Any = None,
        kind: Kind = "mean",
        groups: Groups = "conditional",
        *,
        marginal: bool = False,
        forecast: bool = False,
        parameter: str | None = None,
        draws: int | None = None,
        seed: int | None = None,
    ) -> xr.DataArray:
        """Predict row by row and return the draws.

        Empirical Bayes draws fixed and group effects jointly; the variance parameters and
        those of the family stay at their estimates. Beyond a normal response the group
        effects are drawn given the data, skewed as they are; for ``kind="linear"`` from the
        normal distribution around their modes, whose moments `predict` gives.

        Parameters
        ----------
        data, kind, groups, marginal, forecast, parameter, seed
            As in `predict`.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default. Of empirical
            Bayes the number that are drawn, 1000 by default.

        Returns
        -------
        DataArray, dims (chain, draw, row)
            In units of the response, or of the link scale for ``kind="linear"``. Of empirical
            Bayes the draws of a row are NaN where `predict` has no standard deviation: where it
            rests on estimates that ran away, or on a sigma that the data do not tell. For
            ``kind="probability"``, and for counts of categories, with a further dimension
            response_category, whose coordinates are the categories as text;
            ``kind="response"`` of ordered categories has their numbers, the lowest being 1.

        Raises
        ------
        DataError, NotSupportedError
            As in `predict`; also for more than memory holds.

        Warns
        -----
        NotEstimableWarning
            If draws are NaN, and why.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.predict_draws(draws=100, seed=1).shape
        (1, 100, 180)
        """
        request = PredictionRequest(
            kind=kind, groups=groups, marginal=marginal, forecast=forecast,
            parameter=checked_parameter(self.model, parameter),
        )  # fmt: skip
        if forecast:
            check_forecast(self.model, request)
        number = checked_seed(seed, self._law.seed)
        if draws is not None:
            whole_number("draws", draws, 1)
        law, rows = self._law_and_rows(data, request)
        predictor = law.predictor(rows, request, draws, number)
        design, n_draws = self.model.design, predictor.n_draws
        bearing = self._bearing(rows, request)
        if kind == "probability":
            categories = self.model.family.categories(design.response)
            values = probability_draws(predictor, rows, n_draws, categories)
            values = draws_without_lost(values, rows, *law.lost_rows(rows, request))
            values = draws_without_unknown(values, design, bearing, parameter or "mu")
            return labelled_draws(self.model, self._law, values, rows, draws, kind)
        filled = predictor.all_draws(rows.n_rows, n_draws)
        filled = draws_without_lost(filled, rows, *law.lost_rows(rows, request))
        filled = draws_without_unknown(filled, design, bearing, parameter or "mu")
        return labelled_draws(self.model, self._law, filled, rows, draws, kind)

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

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.fitted()["estimate"].head(2).round(1).tolist()
        [253.7, 273.3]
        """
        return self.predict(ci_prob=ci_prob)

    @on_one_thread
    def simulate(
        self, n: int = 1, *, new_groups: bool = False, seed: int | None = None
    ) -> pd.DataFrame:
        """Simulate whole responses for the rows of the fit.

        Parameters
        ----------
        n : int
            Number of replicates; each comes from another posterior draw as long as
            there are enough, those of empirical Bayes from the estimates.
        new_groups : bool
            Whether every grouping factor has new levels in place of those of the fit, as a
            parametric bootstrap wants it; else empirical Bayes has the group effects at
            their conditional modes.
        seed : int, optional
            By default the fit's own; for empirical Bayes a new one each time.

        Returns
        -------
        DataFrame
            One row per row of the fit, with its index, one column per replicate:
            ``sim_1``, ``sim_2``, ... Ordered categories are that, of the type of the
            response. Counts of categories have two levels of columns: ``sim["sim_1"]`` has the
            counts of one replicate, and ``data.assign(**sim["sim_1"])`` puts them into the data.

        Raises
        ------
        NotSupportedError
            If `n` is not a positive whole number.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.simulate(2, seed=1).shape
        (180, 2)
        """
        whole_number("n", n, 1)
        check_replicates(n, self.model.y.size)
        rows, out = self._law.replicates(n, new_groups=new_groups, seed=seed)
        names = [f"sim_{k + 1}" for k in range(n)]
        categories = self.model.family.categories(self.model.design.response)
        if self.model.family.has_counts:
            columns = pd.MultiIndex.from_product([names, categories])
            whole = out.reshape(rows.n_rows, -1).astype(np.int64)
            return pd.DataFrame(whole, index=rows.labels, columns=columns)
        table = pd.DataFrame(out, index=rows.labels, columns=names)
        if not categories:
            return table
        return as_categories(table, categories, ordered=not self.model.family.is_nominal)

    # -- inside ---------------------------------------------------------------

    def _bearing(self, rows: Rows, request: PredictionRequest) -> Rows:
        """The rows without the predictors on which what is predicted does not depend."""
        alone = request.kind == "mean" and self.model.family.mean_is_linear
        return replace(rows, others={}) if alone else rows

    def _law_and_rows(self, data: Any, request: PredictionRequest) -> tuple[Law, Rows]:
        """Rows, and the law of a model whose effects are where they are."""
        law = self._law
        if data is not None and request.uses_effects:
            law = law.reaching(data)
        rows = rows_to_predict(
            law.model,
            data,
            effects=request.uses_effects,
            levels=request.uses_levels,
            kind=request.kind,
            forecast=request.forecast,
            parameter=request.parameter,
        )
        return law, rows
