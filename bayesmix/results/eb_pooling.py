"""The shrinkage of an empirical Bayes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayesmix.errors import NotSupportedError
from bayesmix.results.posterior_plots import chosen_effects
from bayesmix.results.shrinkage import Shrinkage, shrinkage_of

if TYPE_CHECKING:
    import numpy as np

    from bayesmix.design import GroupingFactor
    from bayesmix.gaussian.conditional import Conditional
    from bayesmix.model import Model

__all__ = ["ShrinksModes"]


class ShrinksModes:
    """Conditional modes beside each level's own estimates."""

    model: Model
    _conditional: Conditional

    if TYPE_CHECKING:

        @property
        def _family_values(self) -> Mapping[str, np.ndarray]: ...

    def shrinkage(self, group: str | None = None) -> Shrinkage:
        """Set each level's own estimate beside its conditional mode.

        Its own is by least squares, beyond the normal by maximum likelihood, with what
        the model says of other predictors and groups taken as known; on the scale of
        the linear predictor.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.

        Returns
        -------
        Shrinkage

        Raises
        ------
        NotSupportedError
            If the model has no group effects.
        """
        return shrinkage_of(
            self.model,
            self._shrunk_group(group),
            self._conditional.beta,
            self._conditional.b,
            self._family_values,
        )

    def plot_shrinkage(
        self, group: str | None = None, *, effects: Sequence[str] | None = None
    ) -> Any:
        """Draw each level's estimate without pooling and with partial pooling.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.
        effects : sequence of str, optional
            One or two of its effects; by default the first two, drawn against
            each other.

        Returns
        -------
        matplotlib Figure
        """
        from bayesmix.plots.shrinkage import plot_shrinkage

        shown = chosen_effects(self._shrunk_group(group), effects)[:2]
        return plot_shrinkage(self.shrinkage(group), shown)

    # -- inside ---------------------------------------------------------------

    def _shrunk_group(self, group: str | None) -> GroupingFactor:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        return design.groups[0] if group is None else design.group(group)
