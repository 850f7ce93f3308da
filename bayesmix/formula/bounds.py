"""How much of a formula is read: beyond these bounds it is refused by number."""

from __future__ import annotations

from bayesmix.errors import FormulaError

__all__ = [
    "LONGEST_PIECE",
    "MAX_FACTORS",
    "MAX_POWER",
    "MAX_TERMS",
    "MOST_PRODUCTS",
    "check_groups",
    "check_offsets",
    "check_tokens",
]

MAX_POWER = 10
MAX_TERMS = 2000  # a * b * c * ... doubles with each factor
MAX_FACTORS = 30  # of one product
MOST_PRODUCTS = 20_000  # multiplied at once: most are the same, but each takes time
LONGEST_PIECE = 1000  # characters that are searched for in a formula

_MOST_TOKENS = 8_000  # names, numbers, operators and parentheses
_MOST_OFFSETS = 100
_MOST_GROUP_TERMS = 200  # with `a/b` and `a*b` expanded


def check_tokens(n_tokens: int) -> None:
    """Refuse more names and signs than are read.

    Raises
    ------
    FormulaError
    """
    if n_tokens > _MOST_TOKENS:
        raise FormulaError(
            f"the formula has {n_tokens} names and signs; {_MOST_TOKENS} are the most"
        )


def check_groups(n_groups: int) -> None:
    """Refuse more group terms than a model can have.

    Raises
    ------
    FormulaError
    """
    if n_groups > _MOST_GROUP_TERMS:
        raise FormulaError(
            f"the formula has {n_groups} group terms; {_MOST_GROUP_TERMS} are the most"
        )


def check_offsets(n_offsets: int) -> None:
    """Refuse offsets by the hundred.

    Raises
    ------
    FormulaError
    """
    if n_offsets > _MOST_OFFSETS:
        raise FormulaError(f"the formula has {n_offsets} offsets; add them up in one column")
