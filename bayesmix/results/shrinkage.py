"""Partial pooling beside no pooling: how far each level was drawn to the centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesmix.design import GroupingFactor
from bayesmix.results.no_pooling import least_squares_by_level
from bayesmix.results.tables import PosteriorDraws

__all__ = ["Shrinkage", "shrinkage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """Each level's coefficients without pooling and with partial pooling.

    Attributes
    ----------
    group : str
    levels : ndarray of str, shape (G,)
    effects : tuple of str, length q
    n_obs : ndarray of int, shape (G,)
        Rows of each level.
    no_pooling : ndarray, shape (G, q)
        Least squares within the level; NaN where its rows do not determine it.
    partial_pooling : ndarray, shape (G, q)
        Posterior mean of the fixed effect plus the group effect.
    fixed_effect : ndarray, shape (q,)
        Posterior mean of the fixed effects, which the levels are drawn towards;
        0 for an effect without a fixed effect of its name.
    """

    group: str
    levels: np.ndarray
    effects: tuple[str, ...]
    n_obs: np.ndarray
    no_pooling: np.ndarray
    partial_pooling: np.ndarray
    fixed_effect: np.ndarray

    def table(self) -> pd.DataFrame:
        """Return one row per level and effect.

        Returns
        -------
        DataFrame
            group, level, effect, n_obs, no_pooling, partial_pooling,
            fixed_effect.
        """
        n_levels, q = self.no_pooling.shape
        return pd.DataFrame(
            {
                "group": pd.Series([self.group] * (n_levels * q), dtype="str"),
                "level": pd.Series(np.repeat(self.levels, q), dtype="str"),
                "effect": pd.Series(self.effects * n_levels, dtype="str"),
                "n_obs": np.repeat(self.n_obs, q),
                "no_pooling": self.no_pooling.ravel(),
                "partial_pooling": self.partial_pooling.ravel(),
                "fixed_effect": np.tile(self.fixed_effect, n_levels),
            }
        )


def shrinkage_of(draws: PosteriorDraws, y: np.ndarray, group: GroupingFactor) -> Shrinkage:
    """Compare the two estimates of each level's coefficients.

    The regression within a level is on the columns that vary by it. What the
    model says of the other predictors and grouping factors, at the posterior
    mean, is taken off the response first.

    Parameters
    ----------
    draws : PosteriorDraws
    y : ndarray, shape (n,)
    group : GroupingFactor

    Returns
    -------
    Shrinkage
    """
    design = draws.design
    beta = draws.beta.mean(axis=(0, 1))
    rest = y.copy() if design.offset is None else y - design.offset
    for j in range(len(design.fixed_effects)):
        if j not in group.fixed_column:
            rest -= design.X[:, j] * beta[j]
    for other in design.groups:
        if other.name != group.name:
            effects = draws.mean_effects(other.name)
            rest -= np.einsum("nq,nq->n", other.Z, effects[other.index])
    center = np.asarray([0.0 if j is None else beta[j] for j in group.fixed_column])
    return Shrinkage(
        group=group.name,
        levels=group.levels.labels,
        effects=group.effects,
        n_obs=np.bincount(group.index, minlength=group.n_levels),
        no_pooling=least_squares_by_level(group, rest),
        partial_pooling=draws.mean_effects(group.name) + center,
        fixed_effect=center,
    )
