"""Column names that are no Python names, on their way through formulaic and back.

formulaic compares terms by their text and evaluates them as Python, so that a
column called ``1`` would be the intercept and one called ``lambda`` an error.
Such a name travels as an identifier that spells it out in hexadecimal.
"""

from __future__ import annotations

import keyword
import re

from formulaic.utils.code import UNQUOTED_BACKTICK_MATCHER

__all__ = ["decode", "empty_name_at", "encode", "encode_quoted"]

_ENCODED = re.compile(r"bmxq_([0-9a-f]+)_q")
# Texts, which stay as they are, and names that are neither called nor a keyword's.
_TEXT_OR_NAME = re.compile(
    r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|(?<!\w)([^\W\d]\w*+)(?!\s*(?:\(|=(?!=)))"""
)


def encode(name: str) -> str:
    """Return the identifier that stands for a column; plain names stand for themselves."""
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    if plain and not name.startswith("__") and not _ENCODED.fullmatch(name):
        return name
    return f"bmxq_{name.encode().hex()}_q"


def decode(text: str) -> str:
    """Return `text` with every encoded name as the user knows it."""
    return _ENCODED.sub(_decoded, text)


def _decoded(match: re.Match[str]) -> str:
    try:
        return bytes.fromhex(match[1]).decode()
    except ValueError:  # none of ours: no pairs of digits, or no UTF-8
        return match[0]


def encode_quoted(expression: str) -> str:
    """Replace each backquoted name of an expression, outside text literals.

    So are bare names with other than plain letters: Python would take the micro sign for
    the Greek letter, and a wide x for a plain one, which may be another column.

    Raises
    ------
    ValueError
        If a bare name, or a text literal, has the form of an encoded one.
    """
    out: list[str] = []
    name: list[str] | None = None
    for part in UNQUOTED_BACKTICK_MATCHER.split(expression):
        if part == "`":
            if name is not None:
                out.append(f" {encode(''.join(name))} ")
            name = [] if name is None else None
        elif name is not None:
            name.append(part)
        else:
            found = _ENCODED.search(part)
            if found:
                raise ValueError(found[0])
            out.append(_TEXT_OR_NAME.sub(_as_written, part))
    return "".join(out).strip() if name is None else expression


def empty_name_at(formula: str) -> int | None:
    """Where a pair of backquotes has no name inside, which formulaic would leave out."""
    at, opened = 0, None
    for part in UNQUOTED_BACKTICK_MATCHER.split(formula):
        if part == "`":
            if opened is not None and at == opened + 1:
                return opened
            opened = at if opened is None else None
        at += len(part)
    return None


def _as_written(match: re.Match[str]) -> str:
    name = match[1]
    return match[0] if name is None or name.isascii() else encode(name)
