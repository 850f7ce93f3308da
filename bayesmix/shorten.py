"""Names shortened for tables and pictures, so that what differed differs still."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["one_line", "shorten", "told_apart"]

_MARK = "…"
_NARROW = 4  # less room than this tells few names apart
# Cc, Cf, Cs, Zl, Zp: line breaks and other controls, marks of direction, halves of pairs.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # within words and emoji
# Fillers, blanks and selectors, which are letters, marks or symbols without a picture.
_BLANK = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
_SELECTORS = range(0xFE00, 0xFE10)


def shorten(names: Sequence[str], width: int) -> list[str]:
    """Shorten a set of names so that different names stay different.

    A name that fits is not changed, but for what `told_apart` spells out. A longer one loses its
    middle; where several would then read the same, what they share is left out instead, and
    where even that has no room they are numbered in their order.

    Parameters
    ----------
    names : sequence of str
        All the names that stand beside each other. Equal names stay equal.
    width : int
        Characters that a name may take, at least 2. Numbers that have no room take more.

    Returns
    -------
    list of str
        One for each name, in the same order.

    Examples
    --------
    >>> shorten(["Hospital of St. Mary (north)", "Hospital of St. Mary (south)"], 16)
    ['Hospita… (north)', 'Hospita… (south)']
    >>> shorten(["Ward 1 of the hospital", "Ward 2 of the hospital"], 14)
    ['Ward 1…ospital', 'Ward 2…ospital']
    """
    names = told_apart(names)
    different = list(dict.fromkeys(names))
    taken = {name for name in different if len(name) <= width}
    long = [name for name in different if len(name) > width]
    short = dict(zip(long, _cut(long, width), strict=True))
    counts: dict[str, int] = {}
    for text in short.values():
        counts[text] = counts.get(text, 0) + 1
    last: dict[str, int] = {}
    clashing = {name for name, text in short.items() if counts[text] > 1 or text in taken}
    taken |= {text for name, text in short.items() if name not in clashing}
    for name in (name for name in long if name in clashing):
        text = short[name]
        number = last.get(text, 0) + 1
        while (numbered := _numbered(name, number, width)) in taken:
            number += 1
        last[text] = number
        taken.add(numbered)
        short[name] = numbered
    return [short.get(name, name) for name in names]


def told_apart(names: Sequence[str]) -> list[str]:
    r"""Spell out what is not seen in names that look alike, and leave all others.

    Names look alike that differ in the kind of their spaces, in spaces at their ends, in
    characters without a picture, or in how an accent is put together.

    Parameters
    ----------
    names : sequence of str
        All the names that stand beside each other.

    Returns
    -------
    list of str

    Examples
    --------
    >>> print(*told_apart(["Ward 1", "Ward 1 ", "Ward 2"]), sep=", ")
    Ward 1, Ward 1\x20, Ward 2
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(_looks(name), []).append(name)
    spelt = {name: _spelt(name) for group in alike.values() if len(group) > 1 for name in group}
    return [spelt.get(name, name) for name in names]


def one_line(text: str) -> str:
    r"""Write what has no picture of its own as an escape: line breaks, marks of direction.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Without control characters and halves of surrogate pairs.

    Examples
    --------
    >>> print(one_line("north\nwest"))
    north\nwest
    """
    if text.isprintable():
        return text
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c) in _UNSEEN and c not in _JOINERS else c
        for c in text
    )


def _looks(name: str) -> str:
    if name.isascii():
        return name.strip()
    seen = (" " if c.isspace() else c for c in name if not _is_unseen(c))
    return unicodedata.normalize("NFC", "".join(seen)).strip()


def _is_unseen(character: str) -> bool:
    return (
        character in _JOINERS
        or character in _BLANK
        or ord(character) in _SELECTORS
        or unicodedata.category(character) == "Cf"
    )


def _spelt(name: str) -> str:
    """Write as escapes what other names may have or lack without looking different."""
    left = len(name) - len(name.lstrip(" "))
    right = len(name.rstrip(" "))
    return "".join(
        f"\\x{ord(c):02x}" if c == " " and not left <= k < right
        else ascii(c)[1:-1]
        if (c.isspace() and c != " ") or _is_unseen(c) or unicodedata.combining(c)
        else c
        for k, c in enumerate(name)
    )  # fmt: skip


def _cut(names: Sequence[str], width: int) -> list[str]:
    """Shorten different names; what cannot be told apart comes out the same."""
    cut = [_without_middle(name, width) for name in names]
    alike: dict[str, list[int]] = {}
    for k, text in enumerate(cut):
        alike.setdefault(text, []).append(k)
    for group in alike.values():
        if len(group) > 1 and width >= _NARROW:
            for k, text in zip(group, _differences([names[k] for k in group], width), strict=True):
                cut[k] = text
    return cut


def _differences(names: Sequence[str], width: int) -> list[str]:
    """Show what lies between the common start and the common end of some names."""
    start = _common_start(names)
    rests = [name[len(start) :] for name in names]
    end = _common_start([rest[::-1] for rest in rests])[::-1]
    between = [rest[: len(rest) - len(end)] for rest in rests]
    needed = max(map(len, between))
    right = end if len(end) <= max(width // 4, 1) else _MARK
    room = width - needed - len(right)
    if len(start) <= room:
        left = start
    else:  # a quarter of the room says what kind of name it is, the rest where it differs
        head = width // 4
        left = _head(start, head) + _MARK + _tail(start, max(room - 1 - head, 0))
    if right == _MARK and len(left) < room:
        right += _tail(end, room - len(left))
    room = width - len(left) - len(right)
    return [
        (left + text + right).replace(2 * _MARK, _MARK)
        for text in (_cut(between, room) if room > 0 else between)
    ]


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    n = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:n]


def _without_middle(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    # Names differ at the end as often as at the start.
    head = (width - 1) // 2
    return _head(text, head) + _MARK + _tail(text, width - 1 - head)


def _numbered(text: str, number: int, width: int) -> str:
    mark = f"{_MARK}{number}"
    return _head(text, max(width - len(mark), 0)) + mark


def _head(text: str, length: int) -> str:
    """Take the first characters, none without the marks that belong to it."""
    while 0 < length < len(text) and _belongs_to_the_last(text[length]):
        length -= 1
    return text[:length]


def _tail(text: str, length: int) -> str:
    start = len(text) - length
    while start < len(text) and _belongs_to_the_last(text[start]):
        start += 1
    return text[start:]


def _belongs_to_the_last(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me"} or character in _JOINERS
