"""Whole levels of grouping factors, drawn with replacement or left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.design.copies import design_of_copies
from bayesmix.design.rank import aliased_columns
from bayesmix.errors import DataError, NotSupportedError
from bayesmix.statement.subset import model_of_rows

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.statement.stated import StatedModel

__all__ = ["Cases"]


class Cases:
    """The rows of a model by levels of its coarsest grouping factor; by rows without one.

    Parameters
    ----------
    model : StatedModel
    nested : bool
        Whether the levels of the others have to lie within these.

    Attributes
    ----------
    unit : str
        What the cases are levels of; empty for rows.
    n : int
        Number of cases.

    Raises
    ------
    NotSupportedError
        If grouping factors cross, or levels or residuals are related.
    """

    def __init__(self, model: StatedModel, *, nested: bool) -> None:
        groups = [g for p in model.design.predictors.values() for g in p.grouping]
        if nested:
            _refuse_related(model, groups)
        self.model = model
        index, self.unit = np.arange(len(model.y)), ""
        if groups:
            coarsest = min(groups, key=lambda g: g.n_levels)
            index, self.unit = np.asarray(coarsest.index), coarsest.name
            for group in groups if nested else ():
                pairs = len(np.unique(group.index.astype(np.int64) * len(index) + index))
                if pairs > len(np.unique(group.index)):
                    raise NotSupportedError(
                        f'kind="cases" draws whole levels of `{coarsest.name}` with the rows in '
                        f"them, and the levels of `{group.name}` cross with these: no level could "
                        'be drawn without the other\'s; take "parametric" or "semiparametric"'
                    )
        order = np.argsort(index, kind="stable")
        self._rows = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
        self.n = len(self._rows)

    def drawn(self, rng: np.random.Generator) -> StatedModel:
        """Draw as many cases as there are, with replacement; a copy is a level of its own.

        Raises
        ------
        DataError
            If a fixed column cannot be told from others among these cases.
        """
        at = rng.integers(0, self.n, self.n)
        rows = np.concatenate([self._rows[k] for k in at])
        copy = np.repeat(np.arange(self.n), [len(self._rows[k]) for k in at])
        model = self.model.with_parts(
            design=design_of_copies(self.model.design, rows, copy), y=self.model.y[rows]
        )
        if any(aliased_columns(p.X).size for p in model.design.predictors.values()):
            raise DataError("the cases that were drawn do not tell all fixed effects apart")
        return model

    def without(self, k: int) -> StatedModel:
        """Leave out the k-th case."""
        return model_of_rows(
            self.model, np.sort(np.concatenate([r for j, r in enumerate(self._rows) if j != k]))
        )


def _refuse_related(model: StatedModel, groups: Sequence[GroupingFactor]) -> None:
    related = [g.name for g in groups if g.between is not None or g.is_membership]
    if related:
        raise NotSupportedError(
            f'kind="cases" draws levels that are independent, and those of {", ".join(related)} '
            'are not; take "parametric"'
        )
    if model.design.residual is not None:
        raise NotSupportedError(
            'kind="cases" does not know residual structures yet; take "parametric"'
        )
