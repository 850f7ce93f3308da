"""Fonts for names in scripts that the font of a picture does not have."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["readable", "with_glyphs"]

_OUTLINES = (".ttf", ".otf", ".ttc")
_LAST_RESORT = "Last Resort"  # a font of boxes


def with_glyphs(text: str, families: Sequence[str]) -> tuple[str, ...]:
    """Name the fonts that have all characters of a text.

    Parameters
    ----------
    text : str
    families : sequence of str
        Fonts that it is to be written in, as far as they go.

    Returns
    -------
    tuple of str
        These, and behind them others of the machine that have what they lack.
    """
    lacking = _lacking(text, tuple(families))
    found = list(families)
    while lacking:
        best = max(_installed(), key=lambda own: len(lacking & own[1]), default=None)
        if best is None or not lacking & best[1]:
            break
        found.append(best[0])
        lacking -= best[1]
    return tuple(found)


def readable(text: str, families: Sequence[str]) -> str:
    """Write characters that no font of the machine has by their code points, as Python does.

    Parameters
    ----------
    text : str
    families : sequence of str
        As `with_glyphs` returns them.

    Returns
    -------
    str
    """
    lacking = _lacking(text, tuple(families))
    if not lacking:
        return text
    return "".join(_code_point(ord(c)) if ord(c) in lacking else c for c in text)


def _code_point(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _lacking(text: str, families: tuple[str, ...]) -> set[int]:
    """Characters that none of the fonts has."""
    if text.isascii():
        return set()
    wanted = {ord(c) for c in text if c.isprintable() and not c.isspace()}
    for path in _paths(families):
        wanted -= _glyphs(path)
    return wanted


@functools.lru_cache(maxsize=64)
def _paths(families: tuple[str, ...]) -> tuple[str, ...]:
    """Files of fonts, one for each family, as matplotlib finds them."""
    from matplotlib.font_manager import FontProperties, findfont

    return tuple(str(findfont(FontProperties(family=[name]))) for name in families)


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[tuple[str, frozenset[int]], ...]:
    """Upright fonts of the machine that have outlines, by name, and their characters."""
    return tuple(_upright())


def _upright() -> Iterator[tuple[str, frozenset[int]]]:
    from matplotlib.font_manager import fontManager

    known = set()
    for entry in sorted(fontManager.ttflist, key=lambda e: (abs(int(e.weight) - 400), e.name)):
        is_text = entry.style == "normal" and not entry.name.startswith(_LAST_RESORT)
        if is_text and entry.name not in known and Path(entry.fname).suffix in _OUTLINES:
            known.add(entry.name)
            yield entry.name, _glyphs(entry.fname)


@functools.lru_cache(maxsize=1024)
def _glyphs(path: str) -> frozenset[int]:
    """Characters of a font; none of one that cannot be drawn at any size."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
