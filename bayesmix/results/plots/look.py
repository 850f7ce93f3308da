"""What a caller asks of any picture: its size, its place, and the words for names.

`picture` gives these arguments to a method that draws. While it runs they are in force:
figures are made (`figure.py`) and names are written (`labels.py`) by them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np

from bayesmix.errors import ArgumentError
from bayesmix.results.tabular.wording import check_words

__all__ = [
    "LEAST_SCALE",
    "Drawing",
    "Look",
    "chosen_axes",
    "columns_of",
    "drawing",
    "drawn_with",
    "lines_of_rows",
    "picture",
    "share",
]

_FURTHER = """\
figsize : tuple of (float, float), optional
    Width and height in inches. Names are shortened, and captions broken, to fit.
ax : matplotlib Axes, or sequence of them, optional
    Where to draw, in a figure of one's own. Several panels take as many axes, or share
    the place of one that `plt.subplots` has made.
"""
_WORDS = """\
labels : mapping of str to str, optional
    Words in the place of names of terms, groups, columns and levels.
"""
_REFUSED = """\
ArgumentError
    If one of these three is not what it has to be, or there are too few axes.
"""
_MOST = 200.0  # inches
LEAST_SCALE = 0.65  # of the size of letters


class Place(TypedDict, total=False):
    """Where a picture is drawn.

    Attributes
    ----------
    figsize : tuple of (float, float)
        In inches.
    ax : matplotlib Axes, or sequence of them
    """

    figsize: tuple[float, float] | None
    ax: Any


class Look(Place, total=False):
    """Arguments that every picture has.

    Attributes
    ----------
    labels : mapping of str to str
        Words by names.
    """

    labels: Mapping[str, str] | None


@dataclass(slots=True, kw_only=True)
class Drawing:
    """What is in force while a picture is drawn.

    Attributes
    ----------
    size : tuple of float, or None
        Inches that the caller leaves to the picture; None if it may choose.
    axes : tuple of Axes
        Those that the caller gave; empty for a figure of the picture's own.
    words : mapping of str to str
    panels : list of Axes
        Those that are drawn on, once they are known.
    own_size : tuple of float
        Inches that the picture would choose itself.
    """

    size: tuple[float, float] | None = None
    axes: tuple[Any, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    panels: list[Any] = field(default_factory=list)
    own_size: tuple[float, float] = (1.0, 1.0)

    @property
    def scale(self) -> float:
        """Size of letters, in parts of that in a picture that has chosen its own size."""
        given = self.size or self.own_size
        return float(np.clip(min(a / b for a, b in zip(given, self.own_size, strict=True)),
                             LEAST_SCALE, 1.0))  # fmt: skip


_NOW: ContextVar[Drawing] = ContextVar("drawing")


def drawing() -> Drawing:
    """Return what is in force."""
    return _NOW.get(None) or Drawing()


@contextmanager
def drawn_with(look: Look) -> Iterator[None]:
    """Have pictures drawn as the caller wants them.

    Parameters
    ----------
    look : Look
        Empty for what is in force already.

    Raises
    ------
    ArgumentError
        If an argument is none.
    """
    if not any(value is not None for value in look.values()):
        yield
        return
    token = _NOW.set(_checked(**look))
    try:
        yield
    finally:
        _NOW.reset(token)


def picture[F: Callable[..., Any]](method: F) -> F:
    """Give a method that draws the arguments `figsize`, `ax` and `labels`.

    Parameters
    ----------
    method : callable
        Which never sees them. Its own ``labels=`` gets what is no mapping.

    Returns
    -------
    callable
        With the arguments in its signature and its docstring.
    """
    signature = inspect.signature(method)
    own_labels = "labels" in signature.parameters
    # `look` stands for the three; another `**` is handed on, and checked where it arrives.
    closed = "look" in signature.parameters

    @functools.wraps(method)
    def drawn(*args: Any, figsize: Any = None, ax: Any = None, **kwargs: Any) -> Any:
        words = None
        if not own_labels or isinstance(kwargs.get("labels"), Mapping):
            words = kwargs.pop("labels", None)
        if closed and (unknown := [name for name in kwargs if name not in signature.parameters]):
            raise TypeError(
                f"{method.__name__}() got an unexpected keyword argument {unknown[0]!r}"
            )
        with drawn_with({"figsize": figsize, "ax": ax, "labels": words}):
            return method(*args, **kwargs)

    # Introspection sees what can be written, and not what is passed on.
    del drawn.__wrapped__
    drawn.__signature__ = _extended(signature)  # type: ignore[attr-defined]
    drawn.__doc__ = _documented(inspect.cleandoc(method.__doc__ or ""), own_labels)
    return drawn  # type: ignore[return-value]


def _checked(figsize: Any = None, ax: Any = None, labels: Any = None) -> Drawing:
    from matplotlib.axes import Axes

    words = check_words(labels)
    if ax is None:
        return Drawing(size=None if figsize is None else _inches(figsize), words=words)
    if figsize is not None:
        raise ArgumentError("figsize= is a new figure's, and ax= has one; give one of them")
    axes = (ax,) if isinstance(ax, Axes) else tuple(np.asarray(ax, dtype=object).ravel())
    if not axes or not all(isinstance(axis, Axes) for axis in axes):
        raise ArgumentError(
            f"ax={ax!r} must be matplotlib axes, as plt.subplots() returns, or a sequence of them"
        )
    return Drawing(size=_inches_of(axes), axes=axes, words=words)


def _inches(figsize: Any) -> tuple[float, float]:
    try:
        width, height = (float(value) for value in figsize)
    except (TypeError, ValueError):
        width = height = np.nan
    if not (0 < width <= _MOST and 0 < height <= _MOST):
        raise ArgumentError(
            f"figsize={figsize!r} must be width and height in inches, such as (3.5, 2.8)"
        )
    return width, height


def _inches_of(axes: Sequence[Any]) -> tuple[float, float]:
    boxes = [axis.get_position() for axis in axes]
    width, height = axes[0].figure.get_size_inches()
    across = max(b.x1 for b in boxes) - min(b.x0 for b in boxes)
    down = max(b.y1 for b in boxes) - min(b.y0 for b in boxes)
    return float(width * across), float(height * down)


def _extended(signature: inspect.Signature) -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = [p for p in signature.parameters.values() if p.name != "look"]
    last = [p for p in found if p.kind is p.VAR_KEYWORD]
    types = {
        "figsize": "tuple[float, float] | None", "ax": "Any", "labels": "Mapping[str, str] | None",
    }  # fmt: skip
    more = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in types.items()
        if name not in signature.parameters
    ]
    return signature.replace(parameters=[*(p for p in found if p not in last), *more, *last])


def _documented(doc: str, own_labels: bool) -> str:
    text = _FURTHER + ("" if own_labels else _WORDS)
    if "\nParameters\n" not in doc:
        doc = doc.replace("\nReturns\n-------\n", "\nParameters\n----------\n\nReturns\n-------\n")
    if "\nRaises\n" not in doc:
        doc = re.sub(r"\n(Examples\n-----|$)", r"\nRaises\n------\n\n\1", doc + "\n", count=1)
    doc = _behind(doc, "Parameters", text)
    doc = _behind(doc, "Raises", _REFUSED)
    return doc.replace(
        "-------\nmatplotlib Figure\n", "-------\nmatplotlib Figure\n    With `ax`, its axes.\n"
    )


def _behind(doc: str, heading: str, text: str) -> str:
    """Add entries to a section, before what takes all other arguments."""
    start = doc.index(f"\n{heading}\n") + 2 * len(heading) + 2  # at the end of the line below it
    rest = re.search(r"\n\*\*|\n\n(?=[A-Z]\w+\n---)|\s*$", doc[start:])
    at = start + (rest.start() if rest else len(doc) - start)
    return doc[:at].rstrip("\n") + "\n" + text.rstrip("\n") + doc[at:]


def share(length: int, size: float, columns: int = 1, *, part: float = 0.4) -> int:
    """Letters of a name that leave room to what it names, where the size is given.

    Parameters
    ----------
    length : int
        At most.
    size : float
        In points.
    columns : int
        Panels beside each other.
    part : float
        The panel's width that the name may take, in parts of one.
    """
    given = drawing().size
    if given is None:
        return length
    return int(np.clip(part * given[0] / columns / (size * 0.0083), 8, length))


def lines_of_rows(n_rows: int) -> int:
    """Lines that the name of each row may have, at most 3; fewer where the height is given."""
    given = drawing().size
    return 3 if given is None else int(np.clip((given[1] - 1.1) / (0.13 * max(n_rows, 1)), 1, 3))


def columns_of(n_panels: int, preferred: int, panel: tuple[float, float]) -> int:
    """Columns of panels: the picture's own, or those that suit the caller's size.

    Parameters
    ----------
    n_panels : int
    preferred : int
        Where no size is given.
    panel : tuple of float
        Width and height of a panel, whose shape is kept as well as can be.
    """
    given = drawing().size
    if given is None or drawing().axes:
        return preferred

    def size(columns: int) -> float:
        rows = -(-n_panels // columns)
        return min(given[0] / columns / panel[0], given[1] / rows / panel[1])

    return max(range(1, n_panels + 1), key=lambda columns: (size(columns), columns == preferred))


def chosen_axes(wanted: int) -> Sequence[Any]:
    """Return the caller's axes, one for each panel.

    Raises
    ------
    ArgumentError
        If there are more or fewer.
    """
    given = drawing().axes
    if len(given) != wanted:
        raise ArgumentError(
            f"ax= has {len(given)} axes, and this picture has {wanted} panels: give as many, or "
            "one whose place they share"
        )
    return given
