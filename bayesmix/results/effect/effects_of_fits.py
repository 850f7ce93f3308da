"""Where a fit's averages come from: draws, exact moments, or expectations given the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.errors import NotSupportedError
from bayesmix.results.effect.averages import DrawSource, Source
from bayesmix.results.effect.combinations import ModeSource
from bayesmix.results.effect.effects import Effects
from bayesmix.results.effect.expected import ExpectedSource
from bayesmix.results.effect.explained import ExplainedVariance, ExplainedVarianceAtModes
from bayesmix.results.effect.hypothesis import WeighsHypotheses, WeighsHypothesesAtModes
from bayesmix.results.effect.lost_cells import DeterminedCells
from bayesmix.results.predict.parameters import chosen_draws, posterior_parameters

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.results.predict.linear import ParameterDraws
    from bayesmix.results.tabular.tables import PosteriorDraws

__all__ = ["EffectsAtModes", "EffectsOfDraws"]

_DRAWS, _FEWEST_DRAWS = 2000, 400  # where means are not exact
_WORK = 20_000_000  # rows x draws up to which there are as many


class EffectsOfDraws(Effects, ExplainedVariance, WeighsHypotheses):
    """Effects from the draws of a posterior."""

    idata: xr.DataTree

    if TYPE_CHECKING:

        @property
        def _draws(self) -> PosteriorDraws: ...

        def _seed(self, seed: int | None) -> int: ...

    def _source(self, draws: int | None, seed: int | None) -> Source:
        found = self._draws
        chosen = chosen_draws(found.beta.shape[0], found.beta.shape[1], draws)
        number = self._seed(seed)

        def parameters(levels: Mapping[str, np.ndarray]) -> ParameterDraws:
            return posterior_parameters(self.model, found, levels, chosen, number)

        return DrawSource(self.model, parameters, number)


class EffectsAtModes(Effects, ExplainedVarianceAtModes, WeighsHypothesesAtModes):
    """Effects at the best variance parameters: exact for a normal response.

    For another family the estimate is the average of `predict`'s, and its spread that of
    draws of the fixed effects and of the group effects given the data.
    """

    def _source(self, draws: int | None, seed: int | None) -> Source:
        family = self.model.family
        fit: Any = self
        conditional = fit._conditional
        if family.is_linear_normal:
            if draws is not None or seed is not None:
                raise NotSupportedError(
                    "draws= and seed= are for a posterior: here mean and variance are exact"
                )
            return ModeSource(conditional, lambda: fit._row_variance, fit._roots)
        n_draws = int(np.clip(_WORK // self.model.design.n_obs, _FEWEST_DRAWS, _DRAWS))
        if draws is not None:
            n_draws = whole_number("draws", draws, 1)
        number = checked_seed(seed, 0)
        drawn = DrawSource(
            self.model, lambda levels: fit._parameters(levels, n_draws, number), number
        )
        # What has run away has no variance here: `DeterminedCells` says where that matters.
        known = replace(conditional, beta_cov=fit._determined_fixed.covariance)
        exact = ModeSource(known, lambda: fit._row_variance, fit._roots)
        return DeterminedCells(ExpectedSource(fit, drawn, exact), fit._determined_fixed)
