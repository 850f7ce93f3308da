"""Texts that no formula can be, and names that no column can be called by in one."""

from __future__ import annotations

from bayesmix.errors import FormulaError

__all__ = ["check_text", "unwritable"]

_MOST_CHARACTERS = 50_000


def check_text(text: str) -> None:
    """Refuse a formula that is too long to be read, or that cannot be written to a file.

    Parameters
    ----------
    text : str

    Raises
    ------
    FormulaError
        With the number of characters, or the character and its place.
    """
    if len(text) > _MOST_CHARACTERS:
        raise FormulaError(
            f"the formula has {len(text)} characters; {_MOST_CHARACTERS} are the most. Columns by "
            "the thousand are fewer as one that is computed from them before"
        )
    what = unwritable(text)
    if what:
        raise FormulaError(f"the formula holds {what}, which is no character of a text")


def unwritable(text: str) -> str:
    """Name the first character of a text that cannot be written; empty if all can.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        A lone surrogate, half of a character of UTF-16, or NUL, and where it stands.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"a lone surrogate, U+{ord(text[error.start]):04X}, at position {error.start}"
    at = text.find("\0")
    return f"the character NUL at position {at}" if at >= 0 else ""
