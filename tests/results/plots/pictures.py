"""What tests ask of a picture."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def texts(figure: Any) -> list[Any]:
    """Every text that is seen."""
    from matplotlib.text import Text

    if figure.stale:
        figure.canvas.draw()
    every = set(figure.findobj(Text))
    for axis in (one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)):
        ticks = [t for tick in axis._update_ticks() for t in (tick.label1, tick.label2)]
        every -= set(axis.findobj(Text)) - {axis.label, axis.offsetText, *ticks}
    figure.stale = False  # that ticks were asked for changes nothing
    return [text for text in every if text.get_visible() and text.get_text().strip()]


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other, by more than two pixels."""
    found = [(text, text.get_window_extent()) for text in texts(figure)]
    pairs = []
    for (a, box_a), (b, box_b) in itertools.combinations(found, 2):
        across = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        down = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        if across > 2 and down > 2:
            pairs.append((a.get_text(), b.get_text()))
    return pairs


def cut_off(figure: Any) -> list[str]:
    """Texts that reach beyond the figure, by more than two pixels."""
    width, height = figure.canvas.get_width_height()
    return [
        text.get_text()
        for text in texts(figure)
        for box in [text.get_window_extent()]
        if box.x0 < -2 or box.y0 < -2 or box.x1 > width + 2 or box.y1 > height + 2
    ]


def check_texts(figure: Any) -> None:
    """No text is hidden by another or by the edge."""
    assert not overlaps(figure), overlaps(figure)
    assert not cut_off(figure), cut_off(figure)


def drawn(axis: Any, gid: str) -> list[Any]:
    """Lines and collections of one kind."""
    return [artist for artist in (*axis.lines, *axis.collections) if artist.get_gid() == gid]


def segments(axis: Any) -> np.ndarray:
    """Ends of the horizontal intervals, shape (k, 2), from the top."""
    found = [
        (segment[0][1], segment[0][0], segment[1][0])
        for collection in axis.collections
        if hasattr(collection, "get_segments") and collection.get_gid() != "unknown"
        for segment in collection.get_segments()
    ]
    return np.asarray(sorted(found))[:, 1:]
