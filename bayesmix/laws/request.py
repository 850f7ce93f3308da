"""What a prediction is asked to be, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import ArgumentError

__all__ = ["Groups", "Kind", "PredictionRequest"]

Kind = Literal["mean", "response", "linear", "probability"]
Groups = Literal["conditional", "population"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """What a prediction is asked to be.

    Attributes
    ----------
    kind : {"mean", "response", "linear", "probability"}
    groups : {"conditional", "population"}
    marginal : bool
    ci_prob : float
    forecast : bool
        Whether rows of known series continue from what was observed.
    """

    kind: Kind = "mean"
    groups: Groups = "conditional"
    marginal: bool = False
    ci_prob: float = 0.95
    forecast: bool = False

    def __post_init__(self) -> None:
        one_of("kind", self.kind, get_args(Kind))
        one_of("groups", self.groups, get_args(Groups))
        if not isinstance(self.marginal, bool | np.bool_):
            raise ArgumentError(f"marginal={self.marginal!r} must be True or False")
        if not isinstance(self.forecast, bool | np.bool_):
            raise ArgumentError(f"forecast={self.forecast!r} must be True or False")
        check_probability("ci_prob", self.ci_prob)

    @property
    def uses_levels(self) -> bool:
        """Whether it matters which level a row belongs to."""
        return self.groups == "conditional" and not self.marginal

    @property
    def uses_effects(self) -> bool:
        """Whether the columns that vary by group matter."""
        return self.uses_levels or (self.marginal and self.kind != "linear")
