"""Names as labels of a picture: short, told apart, and read as they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bayesmix.results.plots.fonts import readable, with_glyphs
from bayesmix.results.plots.look import drawing
from bayesmix.results.tabular.markup import latex_text
from bayesmix.results.tabular.wording import in_words
from bayesmix.shorten import one_line, shorten

__all__ = [
    "as_written", "embolden", "label", "labels", "name_ticks", "text_width", "wrap", "wrapped",
    "write_plainly",
]  # fmt: skip


def label(text: str, length: int = 28) -> str:
    """Shorten a label that would push the axes away."""
    return labels([text], length)[0]


def labels(texts: Sequence[Any], length: int = 28, *, whole: bool = False) -> list[str]:
    """Write labels that stand beside each other in the user's words, and shorten them.

    Different ones stay different.

    Parameters
    ----------
    texts : sequence
    length : int
        Characters at most.
    whole : bool
        Whether each is one name, as that of a level, and not made of several.

    Returns
    -------
    list of str
    """
    return shorten([_said(text, whole=whole) for text in texts], length)


def _said(text: Any, *, whole: bool = False) -> str:
    return one_line(in_words(str(text), drawing().words, whole=whole))


def wrap(text: str, width: int = 24, n_lines: int = 2) -> str:
    """Break a label into lines, at a space, a comma or a colon where there is one."""
    return wrapped([text], width, n_lines)[0]


def wrapped(
    texts: Sequence[Any], width: int = 24, n_lines: int = 2, *, whole: bool = False
) -> list[str]:
    """Break labels that stand beside each other; different ones stay different.

    Parameters
    ----------
    texts : sequence of str
    width : int
        Characters of a line.
    n_lines : int
    whole : bool
        As in `labels`.

    Returns
    -------
    list of str
    """
    names = [_said(text, whole=whole) for text in texts]
    for room in range(width * n_lines, width, -max(width // 4, 1)):
        lines = [_lines(text, width) for text in shorten(names, room)]
        if all(len(found) <= n_lines and max(map(len, found)) <= width for found in lines):
            return ["\n".join(found) for found in lines]
    return shorten(names, width)


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in re.findall(r"[^\s,:_|(\[]*[\s,:_|(\[]|[^\s,:_|(\[]+", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def text_width(labels: Sequence[str], size: float) -> float:
    """Inches that the longest of some labels takes, about."""
    return max((len(line) for label in labels for line in label.split("\n")), default=0) * (
        size * 0.0083
    )


def as_written(text: str) -> str:
    """Escape what matplotlib would read as markup: dollars, or all of LaTeX where that is on."""
    import matplotlib as mpl

    lines = [one_line(line) for line in text.split("\n")]
    if mpl.rcParams["text.usetex"]:
        return "\n".join(map(latex_text, lines))
    return "\n".join(lines).replace("$", r"\$")


def name_ticks(axis: Any, at: Any, names: Sequence[str], **style: Any) -> None:
    """Put names at some places of an axis.

    Parameters
    ----------
    axis : matplotlib Axis
    at : array_like of float
    names : sequence of str
    **style
        Properties of the text.
    """
    written = [as_written(name) for name in names]
    families = _families("".join(written))
    if families is not None:
        style["fontfamily"] = list(families)
        written = [readable(name, families) for name in written]
    axis.set_ticks(at, written, **style)


def embolden(text: Any, *, wanted: bool) -> None:
    """Make a text bold, or not; of the fonts of other scripts few are there in bold."""
    import matplotlib as mpl

    plain = len(text.get_fontfamily()) <= len(mpl.rcParams["font.family"])
    text.set_fontweight("bold" if wanted and plain else "normal")


def write_plainly(parts: Sequence[Any]) -> None:
    """Have every text of figures or axes drawn as it is written.

    Those of ticks have their own way.
    """
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    found = list(parts)
    while found:
        artist = found.pop()
        if isinstance(artist, Text) and artist.get_text():
            _write(artist, as_written(artist.get_text()))
        # An axis that is asked for its ticks makes them, and they are not needed yet.
        found += [artist.label] if isinstance(artist, Axis) else artist.get_children()


def _write(artist: Any, text: str) -> None:
    """Give a text its words, and fonts that have all of their characters."""
    families = _families(text, artist.get_fontfamily())
    if families is not None:
        bold = artist.get_fontweight() == "bold"
        artist.set_fontfamily(list(families))
        embolden(artist, wanted=bold)
        text = readable(text, families)
    artist.set_text(text)


def _families(text: str, own: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Fonts for a text, where those of the picture may lack some of its characters."""
    import matplotlib as mpl

    if text.isascii() or mpl.rcParams["text.usetex"]:
        return None
    return with_glyphs(text, own or mpl.rcParams["font.family"])
