"""A square matrix as colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import finish, new_figure
from bayesmix.results.plots.labels import labels, name_ticks, text_width, wrapped
from bayesmix.results.plots.look import share
from bayesmix.results.plots.ticks import number_ticks, numbers_in

__all__ = ["plot_heatmap"]

_NAMED = 30  # so many names have room
_WRITTEN = 10  # and in so many columns the numbers
_SIZE = 8.0  # in points


def plot_heatmap(
    values: np.ndarray, names: Sequence[Any], *, bar_label: str, title: str, largest: float | None
) -> Any:
    """Draw a symmetric matrix, white at zero, the first row on top.

    Negative numbers, where there are any, have a colour of their own.

    Among many rows a few that are evenly spaced have their names; in small matrices the
    numbers are written into the cells. What is not known is grey.

    Parameters
    ----------
    values : ndarray, shape (n, n)
    names : sequence, length n
    bar_label : str
        What the colours are.
    title : str
    largest : float or None
        Value with the darkest colour; by default the largest there is.

    Returns
    -------
    matplotlib Figure
    """
    n = len(values)
    known = np.abs(values[np.isfinite(values)])
    top = largest or float(known.max(initial=0.0)) or 1.0
    shown = list(range(0, n, -(-n // _NAMED)))
    named = [f"{name:.12g}" if isinstance(name, float) else name for name in names]
    texts = labels([named[i] for i in shown], share(24, _SIZE), whole=True)
    room = text_width(texts, _SIZE)
    side = float(np.clip(0.5 * n, 2.0, 5.5))
    # Names that have no room beside each other stand upright.
    upright = room > 0.9 * side / len(shown)
    height = side + (room if upright else 0.2) + 0.9
    # A fixed aspect and a bar beside it leave labels without room in matplotlib's layout.
    figure, axes = new_figure(1, 1, (side + room + 1.1, height))
    axis = axes[0][0]
    axis.set_facecolor("0.8")
    signed = bool((values < 0).any())
    cmap, lowest = ("RdBu_r", -top) if signed else ("Blues", 0.0)
    image = axis.imshow(values, cmap=cmap, vmin=lowest, vmax=top, interpolation="nearest",
                        aspect="auto")  # fmt: skip
    if signed:  # also told from positive ones in grey
        axis.contourf(values < 0, levels=[0.5, 1.5], colors="none", hatches=["//"])
    name_ticks(axis.yaxis, shown, texts, fontsize=_SIZE)
    name_ticks(axis.xaxis, shown, texts, fontsize=_SIZE, rotation=90 if upright else 0)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, shrink=0.8)
    bar.set_label(bar_label)
    number_ticks(bar.ax.yaxis, 5)
    if n <= _WRITTEN:
        for i, j in np.ndindex(n, n):
            dark = abs(values[i, j]) > 0.6 * top
            # A patch of the cell's colour keeps the hatching of negative ones off the number.
            patch = {"facecolor": image.to_rgba(values[i, j]), "edgecolor": "none", "pad": 1}
            axis.text(j, i, numbers_in(f"{values[i, j]:.2g}"), ha="center", va="center", fontsize=7,
                      color="white" if dark else "black",
                      bbox=patch if values[i, j] < 0 else None)  # fmt: skip
    letters = max(int((side + 0.3) / text_width(["x"], 10)), 16)
    axis.set_title(wrapped([title], letters, 3)[0], fontsize=10)
    return finish(figure)
