"""What a prediction is asked to be, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bayesmix.errors import NotSupportedError

__all__ = ["Groups", "Kind", "PredictionRequest", "checked_seed", "one_of"]

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
    """

    kind: Kind = "mean"
    groups: Groups = "conditional"
    marginal: bool = False
    ci_prob: float = 0.95

    def __post_init__(self) -> None:
        one_of("kind", self.kind, get_args(Kind))
        one_of("groups", self.groups, get_args(Groups))
        if not isinstance(self.marginal, bool | np.bool_):
            raise NotSupportedError(f"marginal={self.marginal!r} must be True or False")
        number = isinstance(self.ci_prob, int | float) and not isinstance(self.ci_prob, bool)
        if not (number and 0 < self.ci_prob < 1):
            raise NotSupportedError(
                f"ci_prob={self.ci_prob!r} must lie between 0 and 1, such as 0.95"
            )

    @property
    def uses_levels(self) -> bool:
        """Whether it matters which level a row belongs to."""
        return self.groups == "conditional" and not self.marginal

    @property
    def uses_effects(self) -> bool:
        """Whether the columns that vary by group matter."""
        return self.uses_levels or (self.marginal and self.kind != "linear")


def one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Refuse an argument that is not one of the known words.

    Raises
    ------
    NotSupportedError
    """
    if not (isinstance(value, str) and value in known):
        listed = ", ".join(repr(choice) for choice in known)
        raise NotSupportedError(f"{name}={value!r} is not one of {listed}")


def checked_seed(seed: Any, default: int) -> int:
    """Return a seed that is a whole number.

    Raises
    ------
    NotSupportedError
    """
    if seed is None:
        return default
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise NotSupportedError(f"seed={seed!r} must be a whole number of at least 0")
    return int(seed)
