"""The law of a bootstrap: a draw for each refit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bayesmix.laws.draws import DrawsLaw

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Asked, Columns

__all__ = ["RefitsLaw"]


@dataclass(frozen=True, kw_only=True)
class RefitsLaw(DrawsLaw):
    """Estimates of refits as draws, which no chain has made: there is nothing to diagnose."""

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table."""
        return super().coefficients(_plain(asked))

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        return super().own_parameters(_plain(asked))

    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's effects."""
        return super().effects(group, _plain(asked), with_fixed=with_fixed, n_levels=n_levels)

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, and their columns."""
        return super().components(_plain(asked))

    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""
        return super().correlations(_plain(asked))

    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter of a covariance structure, and their columns."""
        return super().covariance_parameters(_plain(asked))


def _plain(asked: Asked) -> Asked:
    return replace(asked, diagnostics=False)
