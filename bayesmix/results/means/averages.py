"""Marginal means and trends, as methods of any fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from bayesmix.arguments import check_probability, one_of
from bayesmix.design.aliasing import Departure
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.laws.base import Law
from bayesmix.laws.jointly import Averaged, DrawnJointly
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows, new_rows
from bayesmix.results.having_law import HasLaw
from bayesmix.results.means.asked import factors_and_by
from bayesmix.results.means.averaging import Averaging, Weights, averaging
from bayesmix.results.means.estimable import Estimable, estimable
from bayesmix.results.means.grid import ReferenceGrid, reference_grid, step_of
from bayesmix.results.means.judged import Judging, Rope
from bayesmix.results.means.marginal_means import MarginalMeans
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.means.scale import MeanKind, Scale, scale_of

__all__ = ["AveragesOverGrids"]

MeansDdf = Literal["satterthwaite", "kenward-roger", "asymptotic"]


class AveragesOverGrids(HasLaw):
    """What a fit says of levels of factors, all else being balanced."""

    def marginal_means(
        self,
        factors: str | Sequence[str] | None = None,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        kind: MeanKind = "linear",
        parameter: str = "mu",
        marginal: bool = False,
        ddf: MeansDdf | None = None,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> MarginalMeans:
        """Average predictions over a grid on which all else is balanced.

        The grid crosses the levels of all factors among the predictors, booleans and numbers
        of two values among them; other numbers are at their mean over the rows of the fit.
        Group effects are zero. (`predictions` averages over the rows of the data instead.)

        Parameters
        ----------
        factors : str or sequence of str, optional
            Predictors whose levels the means are of; the mean of all without it. Also written
            as ``"a * b"``, or ``"a | b"`` with `by` behind the bar. Of a number that `at` does
            not mention these are its values, 12 at most.
        by : str or sequence of str, optional
            Further ones, within whose levels means are compared. Factors in which another is
            nested are added: a level that occurs in one school only is compared within it.
        at : mapping of str to value or sequence of values, optional
            Values of predictors in place of those above.
        weights : {"equal", "proportional", "cells"}
            Levels that are averaged over count equally; as often as their combination occurs
            in the data; or as often as it occurs there with the levels of the mean. Nested
            levels are averaged within theirs first.
        kind : {"linear", "mean", "back_transformed"}
            What is averaged: the linear predictor, on the scale of the link; or the expected
            response. Or the inverse link of averages of the linear predictor, whose contrasts
            are ratios under a log or logit link (odds ratios) and else stay on the scale of
            the link, as those of R's emmeans with ``type="response"``; of a response
            ``log(y)`` that is exp.
        parameter : str
            Whose linear predictor: "mu", or a parameter of the family with a formula of its own.
        marginal : bool
            For ``kind="mean"``, whether to average over the distribution of the group effects,
            instead of having them at zero.
        ddf : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
            Degrees of freedom of t tests and intervals, of fits to a normal response by REML or
            ML; the first by default. Beyond it they are endless.
        ci_prob : float
            Probability inside the interval.
        draws : int, optional
            Number of posterior draws, evenly spaced; all by default.
        seed : int, optional
            Seed of what is drawn anew; the fit's own by default.

        Returns
        -------
        MarginalMeans
            Its `table` has a row per combination of `factors` and `by`: their columns, then
            estimate, sd, lower, upper; for empirical Bayes df, t and p against zero; for a
            posterior pd. NaN where the data do not determine the mean, and `why_nan` says why.
            It has `contrasts()`, `joint_test()`, `letters()` and `plot()`.

        Raises
        ------
        DataError
            If there is no such predictor or level.
        ArgumentError
            For an argument out of its range.
        NotSupportedError
            For `ddf` of another kind of fit.

        References
        ----------
        Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the
        linear model: an alternative to least squares means. The American Statistician 34,
        216-221.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> eb.marginal_means("treat").table["estimate"].tolist()
        [84.0, 85.0, 89.0, 86.0]
        """
        request, scale = self._means_request(kind, parameter, ci_prob, marginal=marginal)
        one_of("weights", weights, ("equal", "proportional", "cells"))
        wanted, within = factors_and_by(factors, by, self.model.design.frame.columns)
        grid = self._grid((*wanted, *within), at, request, parameter)
        within = _with_nests(grid, wanted, within)
        averages = averaging(grid, wanted, within, weights)
        law, (rows,) = _rows_of(self._law, [grid.frame], request, parameter)
        return self._means(
            law, [Averaged(rows=rows, weights=averages.weights)],
            _estimable(law, parameter, averages.weights, scale, rows),
            grid, averages, wanted, within, scale, request, parameter,
            what="Marginal means", weights=weights, ddf=ddf, draws=draws, seed=seed,
        )  # fmt: skip

    def trends(
        self,
        variable: str,
        factors: str | Sequence[str] | None = None,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        kind: Literal["linear", "mean"] = "linear",
        parameter: str = "mu",
        marginal: bool = False,
        ddf: MeansDdf | None = None,
        rope: Rope | None = None,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> MarginalMeans:
        """Slopes of predictions in a number, averaged over a grid on which all else is balanced.

        Parameters
        ----------
        variable : str
            A numeric predictor. The slope is taken where `at` says, else at its mean.
        factors : str or sequence of str, optional
            Predictors by whose levels there are slopes. With `by` alone, by those.
        by, at, weights, kind, parameter, marginal, ddf, ci_prob, draws, seed
            As in `marginal_means`. There is nothing to transform back.
        rope : tuple of (float, float), optional
            Region of practical equivalence, of a posterior.

        Returns
        -------
        MarginalMeans
            Slopes in units of the prediction per unit of the variable, in the columns of
            `marginal_means`, with the same methods: ``contrasts()`` compares slopes. A posterior
            has the column positive too, the probability of a slope above zero.

        Raises
        ------
        DataError
            If there is no such predictor or level.
        ArgumentError
            For an argument out of its range.
        NotSupportedError
            For a predictor that is no number, or `ddf` of another kind of fit.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy").assign(late=lambda d: d["Days"] > 4)
        >>> eb = bmx.Model("Reaction ~ Days * late + (Days | Subject)", sleep).fit_eb()
        >>> eb.trends("Days", by="late").table["estimate"].round(1).tolist()
        [8.2, 10.9]
        """
        request, scale = self._means_request(kind, parameter, ci_prob, marginal=marginal)
        one_of("weights", weights, ("equal", "proportional", "cells"))
        if scale.kind == "back_transformed":
            raise ArgumentError('kind="back_transformed" of slopes; take "linear" or "mean"')
        data = self.model.design.frame
        wanted, within = factors_and_by(factors, by, data.columns)
        if not wanted:
            wanted, within = within, ()
        if not isinstance(variable, str):
            raise ArgumentError(f"variable={variable!r} must be the name of a numeric predictor")
        grid = self._grid((*wanted, *within), at, request, parameter, variable)
        step = step_of(self.model, grid, variable)
        within = _with_nests(grid, wanted, within)
        averages = averaging(grid, wanted, within, weights)
        law, (high, low), distance = _either_side(
            self._law, grid, variable, step, request, parameter
        )
        A = sparse.csr_matrix(averages.weights @ sparse.diags_array(1 / distance))
        parts = [Averaged(rows=high, weights=A), Averaged(rows=low, weights=-A)]
        known = _estimable(law, parameter, A, scale, high, low)
        scale = replace(scale, words=f"{scale.words}, per unit of {variable}")
        found = self._means(
            law, parts, known, grid, averages, wanted, within, scale, request, parameter,
            what=f"Trends of {variable}", weights=weights, ddf=ddf, draws=draws, seed=seed,
            signs=True,
        )  # fmt: skip
        return found if rope is None else found.with_rope(rope)

    # -- inside ---------------------------------------------------------------

    def _means_request(
        self, kind: str, parameter: str, ci_prob: float, *, marginal: bool
    ) -> tuple[PredictionRequest, Scale]:
        model = self.model
        self._refuse_changed("marginal_means()")
        if parameter not in model.design.predictors:
            raise NotSupportedError(
                f"parameter={parameter!r} has no linear predictor; there is "
                f"{', '.join(model.design.predictors)}"
            )
        scale = scale_of(model, parameter, kind)
        check_probability("ci_prob", ci_prob)
        if marginal and (scale.kind != "mean" or parameter != "mu"):
            raise ArgumentError(
                'marginal=True averages expected responses over the groups: take kind="mean"'
            )
        of_response = scale.kind == "mean" and parameter == "mu"
        return PredictionRequest(
            kind="mean" if of_response else "linear", groups="population", marginal=marginal,
            ci_prob=ci_prob,
        ), scale  # fmt: skip

    def _grid(
        self, named: Sequence[str], at: Any, request: PredictionRequest, parameter: str,
        variable: str | None = None,
    ) -> ReferenceGrid:  # fmt: skip
        whole = request.kind == "mean"
        parameters = tuple(self.model.design.predictors) if whole else (parameter,)
        grid = reference_grid(
            self.model, parameters, named, at, effects=request.uses_effects, variable=variable
        )
        if not whole:
            return grid
        data = self.model.design.frame  # trials and limits, of which one value will do
        more = {name: data[name].iloc[0] for name in data.columns if name not in grid.frame}
        return replace(grid, frame=grid.frame.assign(**more))

    def _means(
        self, law: Law, parts: list[Averaged], known: Estimable, grid: ReferenceGrid,
        averages: Averaging, factors: tuple[str, ...], by: tuple[str, ...], scale: Scale,
        request: PredictionRequest, parameter: str, *, what: str, weights: str, ddf: Any,
        draws: int | None, seed: int | None, signs: bool = False,
    ) -> MarginalMeans:  # fmt: skip
        judging = self._judging(ddf, parameter, request)
        inverse = None
        if parameter != "mu" and scale.kind == "mean":
            inverse = _inverse_of(self.model, parameter)
        own = law.of(parameter) if parameter != "mu" else law
        jointly = own.jointly(parts, request, inverse, draws, seed)
        if judging.tests and isinstance(jointly, DrawnJointly):
            judging = Judging(tests=False, words="of draws around the mode")
        return MarginalMeans(
            Quantities(
                jointly=jointly, estimable=known, keys=averages.keys, factors=factors, by=by,
                scale=scale, judging=judging, ci_prob=request.ci_prob, what=what, signs=signs,
                notes=_notes(grid, averages, weights, request),
            )
        )  # fmt: skip

    def _judging(self, ddf: Any, parameter: str, request: PredictionRequest) -> Judging:
        """How averages are held against zero: here by the probabilities of signs."""
        if ddf is not None:
            raise NotSupportedError(
                "ddf= is of fits by fit_eb() to a normal response; a posterior needs none"
            )
        return Judging(tests=False)


def _rows_of(
    law: Law, frames: Sequence[Any], request: PredictionRequest, parameter: str
) -> tuple[Law, list[Rows]]:
    """Rows of the points of a grid, and the law of a model that reaches them."""
    if request.uses_effects:
        law = law.reaching(*frames)
    found = []
    for frame in frames:
        rows = new_rows(
            law.model, frame, effects=request.uses_effects, levels=False, kind=request.kind,
            parameter="" if parameter == "mu" else parameter,
        )  # fmt: skip
        if "trials" in rows.per_row:
            rows = replace(rows, per_row={**rows.per_row, "trials": np.ones(len(frame))})
        found.append(rows)
    return law, found


def _either_side(
    law: Law, grid: ReferenceGrid, variable: str, step: float, request: PredictionRequest,
    parameter: str,
) -> tuple[Law, list[Rows], np.ndarray]:  # fmt: skip
    """Rows a step above and below, the law that reaches them, and how far they are apart."""
    own = np.asarray(grid.frame[variable], dtype=np.float64)

    def rows(high: np.ndarray, low: np.ndarray) -> tuple[Law, list[Rows]]:
        frames = [grid.frame.assign(**{variable: end}) for end in (high, low)]
        return _rows_of(law, frames, request, parameter)

    try:
        return *rows(own + step, own - step), np.full(len(own), 2 * step)
    except DataError:  # beyond the domain of a logarithm, the knots of a spline
        column = np.asarray(law.model.design.frame[variable], dtype=np.float64)
        high = np.minimum(own + step, np.maximum(column.max(), own))
        low = np.maximum(own - step, np.minimum(column.min(), own))
        return *rows(high, low), high - low


def _estimable(
    law: Law, parameter: str, weights: sparse.csr_matrix, scale: Scale, *rows: Rows
) -> Estimable:
    aliasing = law.model.design.predictors[parameter].aliasing
    linear = scale.kind != "mean" or law.model.family.mean_is_linear
    departure: Departure | None = None
    if aliasing is not None and all(one.left_out is not None for one in rows):
        columns = [(one.X, np.asarray(one.left_out)) for one in rows]
        departure = (
            aliasing.of_rows(*columns[0]) if len(rows) == 1 else aliasing.of_changes(*columns)
        )
    return estimable(aliasing, departure, weights, linear=linear)


def _with_nests(
    grid: ReferenceGrid, factors: tuple[str, ...], by: tuple[str, ...]
) -> tuple[str, ...]:
    """Add the factors in which those of the means are nested."""
    outer = [name for factor in (*factors, *by) for name in grid.nests.get(factor, ())]
    return tuple(dict.fromkeys([*by, *(name for name in outer if name not in factors)]))


def _inverse_of(model: Any, parameter: str) -> Callable[[np.ndarray], np.ndarray]:
    from bayesmix.families.functions import NUMPY

    link = model.links[parameter]
    return lambda eta: np.asarray(link.inverse(NUMPY, eta))


def _notes(
    grid: ReferenceGrid, averages: Averaging, weights: str, request: PredictionRequest
) -> tuple[str, ...]:
    notes = []
    if averages.over:
        how = {"equal": "with equal weights", "proportional": "as often as they occur",
               "cells": "as often as they occur within each"}[weights]  # fmt: skip
        notes.append(f"Averaged over {', '.join(averages.over)}, {how}.")
    values = [f"{name} = {value:.4g}" for name, value in grid.at_mean.items()]
    values += [f"{n} = {v[0]}" for n, v in grid.levels.items() if len(v) == 1]
    if values:
        notes.append(f"At {', '.join(values)}.")
    for inner, outer in grid.nests.items():
        notes.append(f"{inner} is nested in {' and '.join(outer)}.")
    if request.marginal:
        notes.append("Averaged over the distribution of the group effects.")
    return tuple(notes)
