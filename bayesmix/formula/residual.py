"""The formula of the residuals: ``residual ~ ar1(time | g)``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bayesmix.arguments import did_you_mean
from bayesmix.errors import FormulaError
from bayesmix.formula.parser import parse_formula
from bayesmix.formula.quoting import decode
from bayesmix.formula.terms import Formula

__all__ = ["WORDS", "coordinates_of", "is_residual_formula", "parse_residual"]

# What each structure wants on the left of its bar.
WORDS: Mapping[str, str] = {
    "ar1": "time", "cs": "", "toep": "time", "us": "time", "exp": "coordinates",
    "gau": "coordinates",
}  # fmt: skip
_CALL = re.compile(r"(\s*residual\s*~\s*)([A-Za-z_]\w*)(\s*)\((.*)\)\s*", re.DOTALL)
_LEFT = re.compile(r"\s*residual\s*~")
_CATEGORY = re.compile(r"C\((.+)\)")


def is_residual_formula(text: Any) -> bool:
    """Whether a text has `residual` on its left."""
    return isinstance(text, str) and _LEFT.match(text) is not None


def parse_residual(
    text: str, *, available: Sequence[str] | None = None, functions: Mapping[str, Any] | None = None
) -> Formula:
    """Read the formula of a residual structure.

    Parameters
    ----------
    text : str
        Such as ``"residual ~ ar1(time | g)"`` or ``"residual ~ cs(g)"``.
    available, functions
        As of `parse_formula`.

    Returns
    -------
    Formula
        With one group term, whose `structure` is the word and whose effects are the
        coordinates.

    Raises
    ------
    FormulaError
        If it is not one known structure of one factor of series.

    Examples
    --------
    >>> parse_residual("residual ~ ar1(time | g)").groups[0].columns
    ('g',)
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise FormulaError(
            "on the right of `residual ~` stands one structure, such as ar1(time | g) or cs(g); "
            "what independent rows have is `sigma ~ ...`",
            text=text,
        )
    before, word, space, inside = found.groups()
    if word not in WORDS:
        raise FormulaError(
            f"there is no residual structure {word}; {did_you_mean(word, list(WORDS))}"
            f"there are {', '.join(WORDS)}",
            text=text,
            start=found.start(2),
            stop=found.end(2),
        )
    if "|" not in inside:
        if WORDS[word]:
            raise FormulaError(
                f"{word} needs the {WORDS[word]} of the rows within their series: {word}(time | g)",
                text=text,
                start=found.start(2),
                stop=found.end(4) + 1,
            )
        inside = f"1 | {inside}"
    # As a group term, so that columns are quoted, checked and pointed at as everywhere.
    formula = parse_formula(
        f"{before}{' ' * len(word)}{space}({inside})", available=available, functions=functions
    )
    if len(formula.groups) != 1 or formula.offsets or formula.extras:
        raise FormulaError(
            f"the series of {word} are the levels of one factor; of two columns together write a:b",
            text=text,
        )
    term = formula.groups[0]
    effects = tuple(effect for effect in term.effects if str(effect) != "1")
    if bool(effects) != bool(WORDS[word]):
        raise FormulaError(
            f"cs has no times: cs({term.name})" if effects else
            f"{word} needs the {WORDS[word]} of the rows: {word}(time | {term.name})",
            text=text,
        )  # fmt: skip
    return replace(formula, text=text, groups=(replace(term, effects=effects, structure=word),))


def coordinates_of(formula: Formula) -> tuple[str, ...]:
    """Columns that hold the coordinates of a residual structure.

    Raises
    ------
    FormulaError
        If one is no plain column.
    """
    names = []
    for effect in formula.groups[0].effects:
        written = decode(str(effect))
        inside = _CATEGORY.fullmatch(written)
        name = inside[1] if inside else written
        if name not in formula.columns:
            raise FormulaError(
                f"`{written}` is no column of the data: make it one first",
                text=formula.text,
            )
        names.append(name)
    return tuple(names)
