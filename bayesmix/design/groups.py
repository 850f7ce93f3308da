"""Grouping factors: levels, the level of each row, and the columns that vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Between
from bayesmix.design.by_level import LevelColumns
from bayesmix.design.levels import Levels
from bayesmix.design.matrices import Columns, OtherColumns
from bayesmix.design.membership import MembershipColumns
from bayesmix.design.positions import PositionColumns
from bayesmix.design.smooths import SmoothColumns
from bayesmix.formula.structures import STRUCTURE_WORDS
from bayesmix.summed import Summed

__all__ = ["AnyColumns", "Block", "GroupingFactor"]

AnyColumns = Columns | LevelColumns | MembershipColumns | OtherColumns | PositionColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive effects of one grouping factor that come from one term.

    Attributes
    ----------
    start, stop : int
        Half-open range among the effects of the grouping factor.
    structure : str
        The word of their covariance structure: "us" of ``|``, "diag" of ``||``.
    positions : ndarray, shape (size, d), or None
        Where each effect is, for structures of times and places.
    label : str
        What the one standard deviation of a smooth's effects is called; empty for others.
    options : mapping of str to int
        What the structure is given beside: ``d`` of ``rr``.
    """

    start: int
    stop: int
    structure: str
    positions: np.ndarray | None = None
    label: str = ""
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of effects."""
        return self.stop - self.start

    @property
    def unstructured(self) -> bool:
        """Whether each pair of effects has a covariance of its own."""
        return self.structure == "us"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingFactor:
    """One grouping factor ``g`` with everything that varies by it.

    All terms on one grouping factor are gathered here, in order.

    Attributes
    ----------
    name : str
        ``Subject``, or ``hospital:ward``.
    levels : Levels
        The G levels.
    index : ndarray of int32, shape (n,)
        Level of each row.
    effects : tuple of str, length q
        Names of the columns of `Z`.
    blocks : tuple of Block
        How the effects divide into terms.
    Z : ndarray, shape (n, q)
        The columns that are multiplied with the group effects.
    terms : tuple of Columns, LevelColumns or PositionColumns
        How the columns of `Z` are built for new data.
    fixed_column : tuple of int or None, length q
        For each effect the same column of X: the fixed effect it varies around.
    smooth : SmoothColumns or None
        The smooth whose penalised columns these are.
    between : Between, optional
        A known covariance between the levels, which are then all of its own, whether or
        not they are in the data; otherwise levels are independent.
    present : ndarray of bool, shape (G, q), optional
        Which effects a level has, where it does not have all: those of other levels of
        ``by=`` are in no row of it.
    is_student : bool
        Whether the effects of a level are multivariate t, and not normal.
    joined : str
        The word that joins its effects with those of other predictors; empty without.
    owner : str
        The predictor whose effects these are, where another one borrows them.
    """

    name: str
    levels: Levels
    index: np.ndarray
    effects: tuple[str, ...]
    blocks: tuple[Block, ...]
    Z: np.ndarray
    terms: tuple[AnyColumns, ...]
    fixed_column: tuple[int | None, ...] = ()
    smooth: SmoothColumns | None = None
    between: Between | None = None
    present: np.ndarray | None = None
    is_student: bool = False
    joined: str = ""
    owner: str = ""

    @property
    def is_smooth(self) -> bool:
        """Whether it is a curve of the whole population, and its one level no group."""
        return self.smooth is not None and not self.smooth.at_levels

    @property
    def is_membership(self) -> bool:
        """Whether rows belong to several levels, which are then its effects, with one sd."""
        return len(self.terms) == 1 and isinstance(self.terms[0], MembershipColumns)

    @property
    def n_levels(self) -> int:
        """Number of levels G."""
        return len(self.levels)

    @property
    def n_effects(self) -> int:
        """Number of effects q per level."""
        return len(self.effects)

    @property
    def n_members(self) -> int:
        """Number of what users call the levels: of ``mm(...)`` those that a row has several of."""
        return self.n_effects if self.is_membership else self.n_levels

    @property
    def varying(self) -> tuple[str, ...]:
        """What tables of levels have as effects: of ``mm(...)`` the intercept."""
        return ("Intercept",) if self.is_membership else self.effects

    @property
    def integrates(self) -> bool:
        """Whether a level's effects are normal given all parameters and other levels' effects."""
        return self.between is None and not self.is_student

    @property
    def variance_of_rows(self) -> np.ndarray | float:
        """What the variance of a level's effects is multiplied by in each row, shape (n,) or 1."""
        return 1.0 if self.between is None else self.between.variances[self.index]

    @property
    def second_moments(self) -> np.ndarray:
        """Mean products of the columns over the rows, by variance of the levels, shape (q, q)."""
        if isinstance(self.Z, Summed):
            return self.Z.second_moments()
        found: np.ndarray = (self.Z.T * self.variance_of_rows) @ self.Z / len(self.Z)
        return found

    @property
    def mean_variance(self) -> float:
        """The same, averaged over the rows."""
        return float(np.mean(self.variance_of_rows))

    @property
    def may_be_one_level(self) -> bool:
        """Whether the effects of a single level tell their variances: a series, a field."""
        words = [STRUCTURE_WORDS.get(block.structure) for block in self.blocks]
        return self.is_membership or all(word is not None and word.one_series for word in words)

    def build_Z(  # noqa: N802
        self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None
    ) -> np.ndarray:
        """Build the columns of `Z` for a prepared frame, shape (n, q)."""
        if self.smooth is not None:
            return self.smooth.build(frame, labels)[1]
        return np.concatenate([term.build(frame, labels) for term in self.terms], axis=1)
