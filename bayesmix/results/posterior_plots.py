"""The pictures of a posterior."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bayesmix.errors import NotSupportedError
from bayesmix.results import tables
from bayesmix.results.shrinkage import Shrinkage, shrinkage_of
from bayesmix.results.summaries import IntervalKind, SummaryOptions

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.model import Model

__all__ = ["PosteriorPlots", "chosen_effects"]


class PosteriorPlots:
    """Draws as pictures."""

    model: Model

    if TYPE_CHECKING:

        @property
        def _draws(self) -> tables.PosteriorDraws: ...

    def plot_group_effects(
        self,
        group: str | None = None,
        *,
        effects: Iterable[str] | None = None,
        ci_prob: float = 0.95,
        ci_kind: IntervalKind = "eti",
        max_levels: int | None = None,
    ) -> Any:
        """Draw the group effects, sorted, with intervals: one panel per effect.

        Parameters
        ----------
        group : str, optional
            A grouping factor; the first by default.
        effects : iterable of str, optional
            Some of its effects; all by default.
        ci_prob, ci_kind
            As in `group_effects`.
        max_levels : int, optional
            Draw only so many of the lowest and of the highest levels together.

        Returns
        -------
        matplotlib Figure
        """
        from bayesmix.plots.caterpillar import plot_caterpillar

        chosen = self._one_group(group)
        options = SummaryOptions(ci_prob=ci_prob, ci_kind=ci_kind, diagnostics=False)
        table = tables.group_table(self._draws, chosen, options, with_fixed=False)
        shown = chosen_effects(chosen, effects)
        return plot_caterpillar(table, shown, ci_prob=ci_prob, max_levels=max_levels)

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

        chosen = self._one_group(group)
        shown = chosen_effects(chosen, effects)[:2]
        return plot_shrinkage(self.shrinkage(chosen.name), shown)

    def shrinkage(self, group: str | None = None) -> Shrinkage:
        """Set each level's own estimate beside its posterior mean.

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
            If the likelihood of a level's rows cannot be maximised under the family.
        """
        draws = self._draws
        return shrinkage_of(
            self.model,
            self._one_group(group),
            draws.beta.mean(axis=(0, 1)),
            {g.name: draws.mean_effects(g.name) for g in self.model.design.groups},
            {name: values.mean(axis=(0, 1)) for name, values in draws.parameters.items()},
        )

    # -- inside ---------------------------------------------------------------

    def _one_group(self, group: str | None) -> GroupingFactor:
        design = self.model.design
        if not design.groups:
            raise NotSupportedError(f"the model {self.model.formula} has no group effects")
        return design.groups[0] if group is None else design.group(group)


def chosen_effects(group: GroupingFactor, effects: Iterable[str] | None) -> list[str]:
    """Return the effects that are asked for; all by default."""
    if effects is None:
        return list(group.effects)
    chosen = [effects] if isinstance(effects, str) else list(effects)
    for effect in chosen:
        if effect not in group.effects:
            raise NotSupportedError(
                f"`{group.name}` has no effect {effect!r}; it has {', '.join(group.effects)}"
            )
    return chosen
