"""The words of covariance structures, and what may stand on the left of their bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["STRUCTURE_WORDS", "StructureWord", "as_residual"]

Left = Literal["effects", "steps", "times", "places"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureWord:
    """What a word says of its group term before there are data.

    Attributes
    ----------
    left : {"effects", "steps", "times", "places"}
        Effects as in ``(x | g)``; or positions, each of which has an effect: whole numbers
        or the levels of a factor, numbers, or one or more coordinates.
    tied : bool
        Whether all effects have one standard deviation.
    one_series : bool
        Whether the levels of a single group can tell its parameters: ``exp(x + y | 1)``.
    options : mapping of str to type
        What may stand behind the grouping factor.
    """

    left: Left
    tied: bool = False
    one_series: bool = False
    options: Mapping[str, type] = MappingProxyType({})


STRUCTURE_WORDS: Mapping[str, StructureWord] = MappingProxyType(
    {
        "us": StructureWord(left="effects"),
        "diag": StructureWord(left="effects"),
        "homdiag": StructureWord(left="effects", tied=True),
        "rr": StructureWord(left="effects", tied=True, options=MappingProxyType({"d": int})),
        **dict.fromkeys(("cs", "hetar1", "toep"), StructureWord(left="steps")),
        **dict.fromkeys(("homcs", "homtoep"), StructureWord(left="steps", tied=True)),
        "ar1": StructureWord(left="steps", tied=True, one_series=True),
        "ou": StructureWord(left="times", tied=True, one_series=True),
        **dict.fromkeys(
            ("exp", "gau", "mat"), StructureWord(left="places", tied=True, one_series=True)
        ),
    }
)

# Residual structures that say what a structure of effects says, or nearly so.
_AS_RESIDUAL: Mapping[str, str] = {
    "ou": "exp", "mat": "exp", "hetar1": "ar1", "homcs": "cs", "homtoep": "toep"
}  # fmt: skip


def as_residual(word: str, left: str, group: str) -> str:
    """Write a structured term as a formula of the residual.

    Parameters
    ----------
    word : str
        The word of a structure with positions.
    left : str
        Its left side, coordinates between commas.
    group : str

    Returns
    -------
    str
        Such as ``residual ~ ar1(occasion | student)``.
    """
    word = _AS_RESIDUAL.get(word, word)
    before = "" if word == "cs" else f"{left.replace(', ', ' + ')} | "
    return f"residual ~ {word}({before}{group})"
