"""The picture of a fit's predictions along a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.laws.request import PredictionRequest, checked_parameter
from bayesmix.laws.rows import Rows
from bayesmix.results.pictures.curves import CurveKind, curves_of
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.predict.prediction import Predicts

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor

__all__ = ["PredictionPlots"]


class PredictionPlots(Predicts):
    """What can be drawn of predictions."""

    @picture
    def plot_predictions(
        self,
        x: str | None = None,
        by: str | None = None,
        group: str | Literal[False] | None = None,
        *,
        kind: CurveKind = "mean",
        parameter: str | None = None,
        at: Mapping[str, Any] | None = None,
        marginal: bool = False,
        data: bool = True,
        max_levels: int = 60,
        ci_prob: float = 0.95,
        **look: Unpack[Look],
    ) -> Any:
        """Draw predictions along one predictor, over the data.

        The population (group effects zero) has a line with a band along a numeric
        predictor, points with intervals for a factor; each level of a grouping factor
        has a thin line of its own over the range that was seen in it (along a factor
        without an order: a mark at each of its levels), the effects of crossed factors
        being zero. Predictors that are not drawn are at their mean, or
        their most frequent value where they have no mean, so the data's points need
        not lie around the lines.

        Parameters
        ----------
        x : str, optional
            A predictor (a column of the data, not a term); by default the first
            numeric one, else the first.
        by : str, optional
            A second predictor, in colours: the levels of a factor, up to four values
            of a number, else its mean and one standard deviation below and above.
        group : str or False, optional
            The grouping factor whose levels have their lines, by default the first;
            False for none.
        kind : {"mean", "response", "linear"}
            As in `predict`: with "response" the band holds new observations. For ordered
            categories the mean is that of the category's number, for
            ``proportion(k, n)`` it is the proportion.
        parameter : str, optional
            The parameter of the family that is drawn in place of the response, as in `predict`:
            "zi", "sigma", ... Groups are then those of its formula, and there are no data.
        at : mapping of str to value, optional
            Where other predictors are held.
        marginal : bool
            Whether the population's line averages over the groups, as in `predict`.
        data : bool
            Whether to draw the data (some of them, where they are many).
        max_levels : int
            Where there are more levels, so many are drawn, evenly spaced.
        ci_prob : float
            Probability inside the band.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If the model has no predictor, none of that name, or nothing of this kind.
        DataError
            If `at` has a value that the model cannot take.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
        >>> figure = model.fit_eb().plot_predictions("Days")
        >>> figure.axes[0].get_ylabel()
        'Reaction'
        """
        from bayesmix.results.plots.curves import plot_curves

        own = checked_parameter(self.model, parameter)
        predictor = self.model.design.predictors[own or "mu"]
        if group is False:
            chosen = None
        elif group is None:
            chosen = next((g for g in predictor.grouping if not g.is_membership), None)
        else:
            chosen = self._one_group(group, own or "mu")
            if chosen.is_membership:
                raise NotSupportedError(
                    f"rows belong to several levels of {chosen.name}, so no level has a line of "
                    "its own; leave group= out"
                )

        def mean_of_rows(rows: Rows, kind: CurveKind) -> np.ndarray:
            if not own:
                return self._law.mean_of_rows(rows, kind)
            request = PredictionRequest(kind=kind, parameter=own)
            return self._law.summaries(rows, request, None, None)[0]

        curves = curves_of(
            self.model, x=x, by=by, group=chosen, kind=kind, at=at or {}, marginal=marginal,
            data=data, max_levels=max_levels, ci_prob=ci_prob, parameter=own,
            predict=self.predict, mean_of_rows=mean_of_rows,
        )  # fmt: skip
        return plot_curves(curves)

    # -- inside ---------------------------------------------------------------

    def _one_group(self, group: str | None, parameter: str = "mu") -> GroupingFactor:
        own = self.model.design.predictors[parameter]
        if not own.grouping:
            raise NotSupportedError(f"the model {own.formula} has no group effects")
        return own.grouping[0] if group is None else own.group(group)
