"""The parameters that a family has beside the mean: where they may lie, and on which link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ORDERED", "POSITIVE", "REAL", "REALS", "SCALE", "UNIT", "ParameterSpec", "Support"]

Support = Literal["positive", "unit", "real", "ordered"]

_LINKS: dict[Support, str] = {
    "positive": "log",
    "unit": "logit",
    "real": "identity",
    "ordered": "identity",
}


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter of a family.

    Attributes
    ----------
    support : {"positive", "unit", "real", "ordered"}
        Above zero, between 0 and 1, any number, or a vector of rising numbers.
    is_scale : bool
        Whether it is the spread around the location, in the location's units.
    has_several : bool
        Whether it is a vector of numbers in no order.
    """

    support: Support
    is_scale: bool = False
    has_several: bool = False

    @property
    def link(self) -> str:
        """Name of the link that a linear predictor of it has by default."""
        return _LINKS[self.support]

    @property
    def is_vector(self) -> bool:
        """Whether it has several values."""
        return self.has_several or self.support == "ordered"


POSITIVE = ParameterSpec("positive")
SCALE = ParameterSpec("positive", is_scale=True)
UNIT = ParameterSpec("unit")
REAL = ParameterSpec("real")
REALS = ParameterSpec("real", has_several=True)
ORDERED = ParameterSpec("ordered")
