"""What a fit says about predictors: averages, comparisons and slopes of predictions.

Everything goes by the data frame: rows are changed, the design is built again and predictions
are compared, so that transformations, interactions and splines are right by themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.design.unseen import BeyondRangeError
from bayesmix.errors import OWN_FILES, ArgumentError, DataWarning, NotSupportedError
from bayesmix.laws.request import Groups, PredictionRequest, checked_parameter
from bayesmix.results.effect.cells import (
    cells_of,
    either_side,
    joined,
    own_values,
    table_of_cells,
)
from bayesmix.results.effect.contrasts import (
    COMPARE,
    Compare,
    contrasts_of,
    step_beyond,
)
from bayesmix.results.effect.counterfactual import By, counterfactual_rows, grid_of
from bayesmix.results.effect.unknown import UnknownCells
from bayesmix.results.effect.whose_groups import default_groups, for_these_groups_only
from bayesmix.results.having_law import HasLaw

if TYPE_CHECKING:
    from bayesmix.laws.averages import Source
    from bayesmix.laws.base import Law

__all__ = ["Effects"]

EffectKind = Literal["mean", "linear"]
Others = Literal["observed", "typical"]


class Effects(HasLaw):
    """Averages of predictions over rows, as they are and as they might be."""

    def predictions(
        self,
        by: By = True,
        at: Mapping[str, Any] | None = None,
        *,
        data: Any = None,
        others: Others = "observed",
        kind: EffectKind = "mean",
        parameter: str | None = None,
        groups: Groups | None = None,
        marginal: bool = False,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Average predictions over rows, within subgroups or over counterfactual rows.

        The rows are predicted one by one and averaged draw by draw, so that the
        interval is that of the average.

        Parameters
        ----------
        by : str, sequence of str, or bool
            Columns whose combinations are averaged apart. True averages over all rows,
            False over none: a row per row of the data.
        at : mapping of str to value or sequence of values, optional
            Values that predictors are set to. Each combination is a copy of *all* rows
            with these values, everything else as observed, and its average is a row of
            the table: what the outcome would be if everybody had them.
        data : pandas, polars or pyarrow table, optional
            The rows; those of the fit by default.
        others : {"observed", "typical"}
            Whether the columns that neither `by` nor `at` names stay as observed and
            are averaged over, or are set to one typical row: numbers at their mean,
            levels at the commonest, groups unknown under ``groups="conditional"``.
        kind : {"mean", "linear"}
            The expected response, or the linear predictor on the link scale.
        parameter : str, optional
            The parameter of the family that is averaged in place of the response, as in
            `predict`.
        groups : {"conditional", "population"}, optional
            Whose effects the rows have: those of their groups, or none, which is the
            typical group. See the notes for the default.
        marginal : bool
            Whether to average over the group distribution instead, as in `predict`.
        ci_prob : float
            Probability inside the interval: equal-tailed of draws, else normal.
        draws : int, optional
            Number of posterior draws to use, evenly spaced; all by default. For
            empirical Bayes beyond a normal response the number that sd and interval
            rest on: 2000, and from 10 000 rows on fewer, at least 400.
        seed : int, optional
            Seed of the effects of new groups; the fit's own by default.

        Returns
        -------
        DataFrame
            One row per combination of `at` and `by`: their columns, then estimate, sd,
            lower, upper; NaN, with a warning, where the data do not determine the
            average (`predict` says when).

        Raises
        ------
        DataError
            If there is no such column, or the rows do not fit the model.
        NotSupportedError
            For an argument out of its range.

        Notes
        -----
        Whom `predictions`, `comparisons` and `slopes` speak of is one rule. What varies
        something (`comparisons`, `slopes`, `predictions` with `at` or with columns in
        `by`) is about the population: ``groups="population"``, the typical group, whose
        effects are zero. Its interval holds for groups like those in the data, as that
        of R's emmeans does. A call that names a grouping factor (in `by`, `at` or
        `variables`), or a predictor that enters through group effects alone, asks for
        the groups in the data: ``groups="conditional"``; so does `predictions` with
        neither `by` nor `at`, the average of `predict` over the rows.

        With ``groups="conditional"`` what is known of these groups is part of the
        answer. The interval of a predictor that is constant within groups then can be
        several times narrower than that for the population; `comparisons` and `slopes`
        say so in a warning, which their table keeps in ``attrs["note"]``. Under a link
        that is not the identity the typical group's mean is not the mean over groups:
        ``marginal=True`` gives that.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.predictions(at={"Days": [0, 9]})["estimate"].round(1).tolist()
        [251.4, 345.6]
        """
        grid = grid_of(self.model, data, by, at, others)
        if groups is None:
            groups = default_groups(self.model, by=by, at=at)
        request = self._request(kind, parameter, groups, marginal, ci_prob)
        source = self._sources(draws, seed, request.parameter)
        unknown = UnknownCells(self.model, request)
        tables = []
        for point in grid.points:
            law, parts = counterfactual_rows(self._law, grid.frame, [point], request)
            cells = cells_of(grid, parts, "identity", lambda values: values)
            summary = source(law).summaries(cells, request)
            summary = unknown.masked(summary, cells, point, grid.keys)
            tables.append(table_of_cells(point, grid, summary, parts[0]))
        unknown.warn()
        return joined(tables, grid)

    def comparisons(
        self,
        variables: str | Sequence[str],
        by: By = True,
        at: Mapping[str, Any] | None = None,
        *,
        contrast: Any = None,
        compare: Compare = "difference",
        data: Any = None,
        others: Others = "observed",
        kind: EffectKind = "mean",
        parameter: str | None = None,
        groups: Groups | None = None,
        marginal: bool = False,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Compare predictions between two values of a predictor, all else as it is.

        Each row is predicted with the high and with the low value, both are averaged
        over the rows of a cell, and the averages are compared draw by draw. (With
        ``by=False`` each row is compared by itself.) A difference of averages is the
        average of differences; a ratio or an odds ratio is that of the averages, which
        speaks about the population and not about a single row.

        Parameters
        ----------
        variables : str or sequence of str
            Predictors, or grouping factors; one after the other.
        by, at, data, others, kind, parameter, groups, marginal, ci_prob, draws, seed
            As in `predictions`, whose notes say what `groups` is by default. `at` may fix
            the variable itself where `contrast` is a step: the value that the step starts
            from.
        contrast : number, pair or str, optional
            For a number: a step that is added to each row's own value (by default 1; of
            a column of 0 and 1 the default is the pair (0, 1)), a
            pair (low, high) of values, or one of "sd", "2sd" (around the mean of the
            fit's rows), "iqr", "minmax". For a factor: "reference", each level against
            the first (the default), "pairwise", "sequential", or a pair of levels; with "rev"
            in front ("revpairwise") the other way round, the earlier level less the later.
        compare : {"difference", "ratio", "lnratio", "odds_ratio", "lnor"}
            What is made of the two averages; "lnor" is the log odds ratio. For
            responses of trials the odds are those of one trial.

        Returns
        -------
        DataFrame
            One row per variable, contrast and cell: term, contrast, the columns of `at`
            and `by`, estimate, sd, lower, upper; NaN, with a warning, where the data do
            not determine the comparison. A difference may be known where the two
            averages are not.

        Raises
        ------
        DataError
            If there is no such predictor or level, or the rows do not fit the model.
        NotSupportedError
            For an argument out of its range, or odds of what is no probability.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.comparisons("Days", contrast=(0, 9))["estimate"].round(2).tolist()
        [94.21]
        """
        names = _variables(variables)
        request, note = self._request_about(
            names, by, at, kind, parameter, groups, marginal, ci_prob
        )
        one_of("compare", compare, get_args(Compare))
        odds = compare in {"odds_ratio", "lnor"}
        if odds:
            self._check_odds(request, compare)
        sign = "-" if compare == "difference" else "/"
        source = self._sources(draws, seed, request.parameter)
        grid = grid_of(self.model, data, by, at, others)
        unknown = UnknownCells(self.model, request)
        tables = []
        for name in names:
            for found in contrasts_of(self.model, name, contrast):
                if not found.added and name in (at or {}):
                    raise ArgumentError(
                        f"at= fixes `{name}`, whose values are compared; leave it out of at="
                    )
                for point in grid.points:
                    own = None
                    if found.added:
                        own = own_values(grid, point, name)
                    try:
                        versions = [{**point, name: value} for value in found.versions(own)]
                        law, parts = counterfactual_rows(
                            self._law, grid.frame, versions, request, one_trial=odds
                        )
                    except BeyondRangeError as error:
                        raise step_beyond(self.model, name, found, own) or error from error
                    cells = cells_of(grid, parts, compare, COMPARE[compare])
                    summary = source(law).summaries(cells, request)
                    keys = {"term": name, "contrast": found.label.format(sign)} | point
                    summary = unknown.masked(summary, cells, keys, grid.keys)
                    tables.append(table_of_cells(keys, grid, summary, parts[0]))
        unknown.warn()
        return joined(tables, grid, note)

    def slopes(
        self,
        variables: str | Sequence[str],
        by: By = True,
        at: Mapping[str, Any] | None = None,
        *,
        step: float | None = None,
        data: Any = None,
        others: Others = "observed",
        kind: EffectKind = "mean",
        parameter: str | None = None,
        groups: Groups | None = None,
        marginal: bool = False,
        ci_prob: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Differentiate predictions with respect to a predictor, all else as it is.

        Central differences of each row's prediction in each draw, averaged over the rows
        of a cell: the average marginal effect. Through the data frame, so that
        ``np.log(x)``, ``poly(x, 2)`` and interactions are differentiated too.

        Parameters
        ----------
        variables : str or sequence of str
            Numeric predictors; one after the other.
        by, at, data, others, kind, parameter, groups, marginal, ci_prob, draws, seed
            As in `predictions`, whose notes say what `groups` is by default. `at` may fix
            the variable itself: where the slope is taken.
        step : float, optional
            Half the distance of the differences, in units of the predictor; by default
            1e-5 of its range in the fit. Where a step would leave the domain of a
            transformation, it is shorter on that side.

        Returns
        -------
        DataFrame
            One row per variable and cell: term, the columns of `at` and `by`, estimate,
            sd, lower, upper, in units of the prediction per unit of the predictor; NaN,
            with a warning, where the data do not determine the slope.

        Raises
        ------
        DataError
            If there is no such predictor, or the rows do not fit the model.
        NotSupportedError
            For an argument out of its range, or a factor, which has no slope.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.slopes("Days")["estimate"].round(3).tolist()
        [10.467]
        """
        names = _variables(variables)
        request, note = self._request_about(
            names, by, at, kind, parameter, groups, marginal, ci_prob
        )
        if step is not None and not (_is_number(step) and np.isfinite(step) and step > 0):
            raise ArgumentError(f"step={step!r} must be a number above zero")
        source = self._sources(draws, seed, request.parameter)
        grid = grid_of(self.model, data, by, at, others)
        unknown = UnknownCells(self.model, request)
        tables = []
        for name in names:
            for point in grid.points:
                law, parts, distance = either_side(self._law, grid, point, name, step, request)
                cells = cells_of(grid, parts, "difference", COMPARE["difference"], distance)
                summary = source(law).summaries(cells, request)
                keys = {"term": name, **point}
                summary = unknown.masked(summary, cells, keys, grid.keys)
                tables.append(table_of_cells(keys, grid, summary, parts[0]))
        unknown.warn()
        return joined(tables, grid, note)

    # -- inside ---------------------------------------------------------------

    def _sources(
        self, draws: int | None, seed: int | None, parameter: str
    ) -> Callable[[Law], Source]:
        """What summarises averages, for the fit's law and those with further positions."""
        own, of_fit = self._law, self._law.source(draws, seed, parameter)
        return lambda law: of_fit if law is own else law.source(draws, seed, parameter)

    def _request(
        self, kind: Any, parameter: Any, groups: Any, marginal: Any, ci_prob: Any
    ) -> PredictionRequest:
        if kind == "response":
            raise ArgumentError(
                'kind="response" is for new observations, of which predict(kind="response") tells; '
                'take "mean" or "linear"'
            )
        one_of("kind", kind, get_args(EffectKind))
        return PredictionRequest(
            kind=kind, groups=groups, marginal=marginal, ci_prob=ci_prob,
            parameter=checked_parameter(self.model, parameter),
        )  # fmt: skip

    def _request_about(
        self, names: list[str], by: By, at: Any, kind: Any, parameter: Any,
        groups: Groups | None, marginal: Any, ci_prob: Any,
    ) -> tuple[PredictionRequest, str]:  # fmt: skip
        """Check what is asked of some variables, and say for whom it holds if not for all."""
        if groups is None:
            chosen = default_groups(self.model, by=by, at=at, variables=names)
            return self._request(kind, parameter, chosen, marginal, ci_prob), ""
        request = self._request(kind, parameter, groups, marginal, ci_prob)
        note = for_these_groups_only(self.model, names) if request.uses_levels else ""
        if note:
            warnings.warn(note, DataWarning, skip_file_prefixes=OWN_FILES)
        return request, note

    def _check_odds(self, request: PredictionRequest, compare: str) -> None:
        family, parameter = self.model.family, request.parameter
        fraction = family.mean_is_fraction
        if parameter and parameter != "mu":
            fraction = parameter in family.unit_parameters
        if request.kind != "mean" or not fraction:
            what = f"{parameter} of the family {family}" if parameter else f"the family {family}"
            what = 'kind="linear"' if request.kind != "mean" else what
            raise NotSupportedError(
                f"compare={compare!r} wants probabilities, and {what} has none; take "
                '"difference" or "ratio"'
            )


def _variables(variables: Any) -> list[str]:
    if isinstance(variables, Mapping):
        raise ArgumentError(
            f"variables={variables!r} must be the name of a predictor, or several; values to "
            "compare go into contrast=, as in comparisons('x', contrast=(0, 2))"
        )
    names = [variables] if isinstance(variables, str) else variables
    if not isinstance(names, Iterable):
        raise ArgumentError(f"variables={variables!r} must be the name of a predictor, or several")
    names = list(names)
    if not names:
        raise ArgumentError("variables= names no predictor")
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"variables={variables!r}: {name!r} is no name of a predictor")
    return names


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
