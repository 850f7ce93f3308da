"""The user's words in the place of names: in tables and in pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bayesmix.errors import ArgumentError

__all__ = ["check_words", "in_words", "renamed"]


def check_words(labels: Any) -> Mapping[str, str]:
    """Check what a caller gives as `labels`.

    Parameters
    ----------
    labels : mapping of str to str, or None

    Returns
    -------
    mapping of str to str

    Raises
    ------
    ArgumentError
        If it is no mapping, or a name or a word is no text.
    """
    if labels is None:
        return {}
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) and text for pair in labels.items() for text in pair
    ):
        raise ArgumentError(
            f"labels={labels!r} must be a dict of words by names, such as "
            '{"Days": "days without sleep"}'
        )
    return labels


def in_words(text: str, words: Mapping[str, str], *, whole: bool = False) -> str:
    """Write a name in the user's words; of longer texts, each name within them.

    Parameters
    ----------
    text : str
    words : mapping of str to str
    whole : bool
        Whether only the whole text is a name, as those of levels are.

    Returns
    -------
    str

    Examples
    --------
    >>> in_words("sd(Subject, Days)", {"Days": "day", "Subject": "person"})
    'sd(person, day)'
    >>> in_words("Days_2", {"Days": "day"})
    'Days_2'
    """
    if not words or text in words:
        return words.get(text, text)
    if whole:
        return text
    longest_first = sorted(words, key=len, reverse=True)
    # A name is none within a longer one, and none where it calls something.
    names = "|".join(map(re.escape, longest_first))
    return re.sub(rf"(?<![\w.])(?:{names})(?![\w(]|\.\w)", lambda found: words[found[0]], text)


def renamed(
    table: pd.DataFrame, text_columns: Sequence[str], words: Mapping[str, str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Write the names in a table, and its headings, in the user's words.

    Parameters
    ----------
    table : DataFrame
    text_columns : sequence of str
        The columns that hold names.
    words : mapping of str to str

    Returns
    -------
    DataFrame
    tuple of str
        The columns that hold names, as they are called now.
    """
    if not words:
        return table, tuple(text_columns)
    found = table.copy()
    for column in text_columns:
        if column in found.columns:
            whole = column == "level"
            cells = [
                in_words(v, words, whole=whole) if isinstance(v, str) else v for v in found[column]
            ]
            found[column] = pd.Series(cells, index=found.index, dtype=found[column].dtype)
    headings = {str(c): words[str(c)] for c in found.columns if str(c) in words}
    return found.rename(columns=headings), tuple(headings.get(c, c) for c in text_columns)
