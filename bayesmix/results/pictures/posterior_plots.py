"""The pictures that need draws: a posterior's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayesmix.results.pictures.curves import CurveKind
from bayesmix.results.pictures.fit_plots import FitPlots, PointEstimates
from bayesmix.results.pictures.parameter_draws import chosen_parameters, divergent_draws
from bayesmix.results.pictures.prior_curves import prior_curves
from bayesmix.results.predict.linear import for_each_block
from bayesmix.results.predict.request import PredictionRequest
from bayesmix.results.predict.rows import Rows
from bayesmix.results.tabular.tables import parameters_by_name

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.results.tabular.tables import PosteriorDraws

__all__ = ["PosteriorPlots"]

_MOST_TRACES = 20
_MOST_PAIRS = 10
_MOST_PRIORS = 30


class PosteriorPlots(FitPlots):
    """Draws as pictures."""

    idata: xr.DataTree
    _short: ClassVar[Mapping[str, Any]] = {"diagnostics": False}

    if TYPE_CHECKING:

        @property
        def _draws(self) -> PosteriorDraws: ...

        def _predictor_of(self, *_: Any) -> tuple[Rows, Any, int]: ...

        def _seed(self, seed: int | None) -> int: ...

        def _refuse_changed(self, method: str, *, rows_only: bool = False) -> None: ...

    def plot_trace(self, var_names: str | Iterable[str] | None = None) -> Any:
        """Draw each parameter's density and its draws in order, a colour per chain.

        Divergent transitions are ticks below both. Chains that mix lie on top of each
        other.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            Parameters by the names of `diagnostics().parameters`: ``"Days"``,
            ``"sd(Subject, Days)"``, ``"corr(Subject, Intercept, Days)"``, ``"sigma"``;
            several at once as ``"beta"``, ``"sd"``, ``"sd(Subject)"``, ``"corr"``; a
            group effect as ``"b(Subject, 308, Days)"``. By default all but the group
            effects.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture.
        """
        from bayesmix.results.plots.trace import plot_trace

        found = chosen_parameters(self._draws, var_names, _MOST_TRACES, "plot_trace")
        return plot_trace(found, divergent_draws(self.idata))

    def plot_pairs(self, var_names: str | Iterable[str] | None = None) -> Any:
        """Draw each pair of parameters against each other, divergences marked.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            As in `plot_trace`; by default the first ten.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture, or
            only one.
        """
        from bayesmix.results.plots.pairs import plot_pairs

        title = ""
        if var_names is None and len(every := list(parameters_by_name(self._draws))) > _MOST_PAIRS:
            title = f"The first {_MOST_PAIRS} of {len(every)} parameters; var_names= chooses others"
            var_names = every[:_MOST_PAIRS]
        found = chosen_parameters(self._draws, var_names, _MOST_PAIRS, "plot_pairs", least=2)
        return plot_pairs(found, divergent_draws(self.idata), title)

    def plot_prior_posterior(self, var_names: str | Iterable[str] | None = None) -> Any:
        """Draw the posterior density of each parameter over that of its prior.

        The prior is the exact density, of a correlation the LKJ's marginal one. Each
        panel shows where the posterior is, and as much again on either side. The
        default prior of the intercept holds at the predictors' means, and so does its
        panel. A flat prior has no density to draw.

        Parameters
        ----------
        var_names : str or iterable of str, optional
            As in `plot_trace`, without group effects, which have no prior of their own.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If there is no such parameter, or there are too many for one picture.
        """
        from bayesmix.results.plots.prior_posterior import plot_prior_posterior

        self._refuse_changed("plot_prior_posterior()")
        found = chosen_parameters(
            self._draws, var_names, _MOST_PRIORS, "plot_prior_posterior", group_effects=False
        )
        return plot_prior_posterior(prior_curves(self.model, self._draws, found))

    # -- inside ---------------------------------------------------------------

    def _point_estimates(self) -> PointEstimates:
        draws = self._draws
        effects = {g.name: draws.mean_effects(g.name) for g in self.model.design.groups}
        parameters = {name: values.mean(axis=(0, 1)) for name, values in draws.parameters.items()}
        return draws.beta.mean(axis=(0, 1)), effects, parameters

    def _mean_of_rows(self, rows: Rows, kind: CurveKind) -> np.ndarray:
        request = PredictionRequest(kind=kind)
        _, predictor, n_draws = self._predictor_of(rows, request, None, self._seed(None))
        out = np.empty(rows.n_rows)

        def fill(number: int, block: slice) -> None:
            out[block] = predictor.block(number, block).mean(axis=1)

        for_each_block(rows.n_rows, n_draws, fill)
        return out
