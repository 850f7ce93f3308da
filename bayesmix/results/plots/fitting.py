"""Captions and names in a picture whose size the caller has chosen."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.errors import ArgumentError
from bayesmix.results.plots.labels import text_width
from bayesmix.results.plots.look import LEAST_SCALE, Drawing

__all__ = ["check_room", "fit_texts", "has_long_captions"]

_LEAST = 5.0  # points, below which a name is not read
_PANEL = (0.4, 0.3)  # inches, below which a panel shows nothing


def has_long_captions(figure: Any, panels: Sequence[Any]) -> bool:
    """Whether a caption is, by its number of letters, longer than there is room.

    Parameters
    ----------
    figure : matplotlib Figure
    panels : sequence of Axes
    """
    whole = figure.get_size_inches()[0]
    for axes in panels:
        place = axes.get_subplotspec()
        if place is None:
            continue
        # A place is a part of the figure without its margins.
        room = whole * place.get_position(figure).width / 0.775
        for text in (axes.title, axes.xaxis.label):
            if text_width([text.get_text()], text.get_fontsize()) > room:
                return True
    return False


def check_room(figure: Any, panels: Sequence[Any], now: Drawing) -> None:
    """Refuse a size at which a picture's panels show nothing.

    Parameters
    ----------
    figure : matplotlib Figure
        Whose texts are fitted.
    panels : sequence of Axes
    now : Drawing

    Raises
    ------
    ArgumentError
        With a size that is large enough.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure.draw_without_rendering()
    # A bar of colours, which has no place of its own, may be narrow.
    shown = [axes for axes in panels if axes.get_visible() and axes.get_subplotspec()]
    boxes = [axes.get_window_extent() for axes in shown]
    least = [pixels * figure.dpi for pixels in _PANEL]
    collapsed = any("collapsed" in str(each.message) for each in said)
    small = any(box.width < least[0] or box.height < least[1] for box in boxes)
    if not (collapsed or small) or now.size is None:
        return
    enough = [
        max(given, np.ceil(10 * LEAST_SCALE * own) / 10)
        for given, own in zip(now.size, now.own_size, strict=True)
    ]
    width, height = now.size
    raise ArgumentError(
        f"figsize=({width:g}, {height:g}) leaves the {len(shown)} panels of this picture no room: "
        f"take about ({enough[0]:g}, {enough[1]:g}), or draw less of it"
    )


def fit_texts(figure: Any, panels: Sequence[Any], scale: float) -> None:
    """Break captions that are longer than their axes, and give names along axes their room.

    Parameters
    ----------
    figure : matplotlib Figure
    panels : sequence of Axes
    scale : float
        Size of letters in parts of their own.
    """
    _scale_letters([*panels, *figure.legends, *figure.texts], scale)
    # What is broken changes the room of the rest.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*collapsed")  # `check_room` says so
        for _ in range(2):
            figure.draw_without_rendering()
            if not _break_captions(figure, panels):
                break
        else:
            figure.draw_without_rendering()
    for axes in panels:
        _thin_names(axes)
        inside = axes.get_legend()
        if inside is not None and inside.get_window_extent().width > axes.bbox.width:
            inside.set_ncols(1)


def _scale_letters(parts: Sequence[Any], scale: float) -> None:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    if scale == 1:
        return
    for text in {text for part in parts for text in part.findobj(Text)}:
        text.set_fontsize(max(text.get_fontsize() * scale, _LEAST))
    for axes in (part for part in parts if isinstance(part, Axes)):
        for axis in (axes.xaxis, axes.yaxis):  # and of ticks that are made anew
            size = axis.get_ticklabels()[0].get_fontsize() if axis.get_ticklabels() else None
            if size is not None:
                axis.set_tick_params(labelsize=size)


def _break_captions(figure: Any, panels: Sequence[Any]) -> bool:
    """Break those that are too long, and say whether there were any."""
    edge, found = figure.bbox, False
    for axes in panels:
        box = axes.get_window_extent()
        # A title may be wider than its axes where nothing is beside them.
        across = min(2 * (box.x0 + box.width / 2), 2 * (edge.width - box.x0 - box.width / 2))
        down = min(2 * (box.y0 + box.height / 2), 2 * (edge.height - box.y0 - box.height / 2))
        alone = len(figure.axes) == 1
        found |= _break(axes.title, across if alone else box.width, "width")
        found |= _break(axes.xaxis.label, across if alone else box.width, "width")
        found |= _break(axes.yaxis.label, down if alone else box.height, "height")
    return found


def _break(text: Any, room: float, side: str) -> bool:
    words = text.get_text()
    taken = getattr(text.get_window_extent(), side) if words else 0.0
    if taken <= room or room <= 0:
        return False
    longest = max(map(len, words.split("\n")))
    letters = max(int(longest * room / taken), 8)
    lines = [
        part
        for line in words.split("\n")
        for part in textwrap.wrap(line, letters, break_long_words=False) or [""]
    ]
    broken = "\n".join(lines)
    if broken == words:  # there is no place to break it
        return False
    text.set_text(broken)
    return True


def _thin_names(axes: Any) -> None:
    """Write names below each other smaller; where even that has no room, some of them."""
    named = [
        (tick, tick.label1.get_window_extent())
        for tick in axes.yaxis.get_major_ticks()
        if tick.label1.get_visible() and tick.label1.get_text()
    ]
    if len(named) < 2:
        return
    middles = np.asarray([(box.y0 + box.y1) / 2 for _, box in named])
    order = np.argsort(middles)
    apart = float(np.diff(middles[order]).min())
    size = float(named[0][0].label1.get_fontsize())
    height = float(np.median([box.height for _, box in named]))
    if apart >= height or height == 0:
        return
    fitting = max(_LEAST, size * apart / height)
    smallest = height * fitting / size
    last = -np.inf
    for k in order:
        tick, _ = named[k]
        tick.label1.set_fontsize(fitting)
        if middles[k] - last < 0.99 * smallest:
            tick.label1.set_visible(False)
        else:
            last = middles[k]
