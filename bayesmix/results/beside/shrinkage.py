"""Partial pooling beside no pooling: how far each level was drawn to the centre."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.design import Design, GroupingFactor
from bayesmix.errors import OWN_FILES, DataWarning, NotSupportedError
from bayesmix.results.beside.no_pooling import coefficients_by_level
from bayesmix.results.beside.regression import Values, check_regression, fit_regression

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["Shrinkage", "shrinkage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """Each level's coefficients without pooling and with partial pooling.

    All are on the scale of the linear predictor.

    Attributes
    ----------
    group : str
    levels : ndarray of str, shape (G,)
    effects : tuple of str, length q
    n_obs : ndarray of int, shape (G,)
        Rows of each level.
    no_pooling : ndarray, shape (G, q)
        Least squares (beyond the normal maximum likelihood) within the level; NaN
        where its rows do not determine it or no finite value is the best, and for an
        effect whose fixed effect has run away, as the offset of its rows has then.
    partial_pooling : ndarray, shape (G, q)
        Posterior mean (of empirical Bayes the mode) of the fixed effect plus the
        group effect; NaN where the fixed effect has run away.
    fixed_effect : ndarray, shape (q,)
        Estimates of the fixed effects, which the levels are drawn towards; 0 for an
        effect without a fixed effect of its name, NaN for one that has run away.
    complete_pooling : ndarray, shape (q,)
        The same coefficients of one regression for all rows; NaN for an effect
        without a fixed effect of its name.
    """

    group: str
    levels: np.ndarray
    effects: tuple[str, ...]
    n_obs: np.ndarray
    no_pooling: np.ndarray
    partial_pooling: np.ndarray
    fixed_effect: np.ndarray
    complete_pooling: np.ndarray

    def table(self) -> pd.DataFrame:
        """Return one row per level and effect.

        Returns
        -------
        DataFrame
            group, level, effect, n_obs, no_pooling, partial_pooling,
            fixed_effect, complete_pooling.
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
                "complete_pooling": np.tile(self.complete_pooling, n_levels),
            }
        )


def shrinkage_of(
    model: StatedModel,
    group: GroupingFactor,
    beta: np.ndarray,
    effects: Mapping[str, np.ndarray],
    parameters: Values,
    lost: np.ndarray | None = None,
) -> Shrinkage:
    """Compare the two estimates of each level's coefficients.

    The regression within a level is on the columns that vary by it. What the
    model says of the other predictors and grouping factors is taken as known, and
    so are the family's own parameters.

    Parameters
    ----------
    model : Model
    group : GroupingFactor
    beta : ndarray, shape (p,)
        Estimated fixed effects.
    effects : mapping of str to ndarray, shape (G, q)
        Estimated effects of every grouping factor.
    parameters : mapping
        Estimates of the family's own parameters.
    lost : ndarray of bool, shape (p,), optional
        Fixed effects without an estimate, as the likelihood rises for ever.

    Returns
    -------
    Shrinkage

    Raises
    ------
    NotSupportedError
        For a family without a maximum of the likelihood to compare with.
    """
    design, family = model.design, model.family
    check_regression(family, model.rows)
    if group.is_membership:
        raise NotSupportedError(
            f"rows belong to several levels of {group.name}, so no level has an estimate from its "
            "own rows; there is no shrinkage to show"
        )
    rest = np.zeros(design.n_obs) if design.mu.offset is None else design.mu.offset.copy()
    for j in range(len(design.mu.fixed_effects)):
        if j not in group.fixed_column:
            rest += design.mu.X[:, j] * beta[j]
    for other in design.mu.groups:
        if other.name != group.name:
            rest += np.einsum("nq,nq->n", other.Z, effects[other.name][other.index])
    everywhere = fit_regression(
        family, model.y, design.mu.X, _with_smooths(design, effects), model.rows
    ).beta
    fixed: Any = group.fixed_column
    center = np.asarray([0.0 if j is None else beta[j] for j in fixed])
    alone = coefficients_by_level(family, group, model.y, rest, model.rows, parameters)
    gone = np.asarray([lost is not None and j is not None and bool(lost[j]) for j in fixed])
    if gone.any():
        names = ", ".join(e for e, is_gone in zip(group.effects, gone, strict=True) if is_gone)
        center[gone], alone[:, gone] = np.nan, np.nan
        warnings.warn(
            f"shrinkage by `{group.name}` is NaN for {names}: the fixed effect has run away (see "
            "`separation`), and levels cannot be held against it",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
    return Shrinkage(
        group=group.name,
        levels=group.levels.labels,
        effects=group.effects,
        n_obs=np.bincount(group.index, minlength=group.n_levels),
        no_pooling=alone,
        partial_pooling=effects[group.name] + center,
        fixed_effect=center,
        complete_pooling=np.asarray([np.nan if j is None else everywhere[j] for j in fixed]),
    )


def _with_smooths(design: Design, effects: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The offset with the smooths of the population, which a regression leaves as they are."""
    total = design.mu.offset
    for smooth in design.mu.groups:
        if smooth.is_smooth:
            total = smooth.Z @ effects[smooth.name][0] + (0.0 if total is None else total)
    return total
