"""Figures: how they are made, shown and coloured."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.errors import ArgumentError
from bayesmix.results.plots.fitting import check_room, fit_texts, has_long_captions
from bayesmix.results.plots.labels import text_width, write_plainly
from bayesmix.results.plots.look import chosen_axes, drawing

__all__ = [
    "ACCENT",
    "COLOURS",
    "LINES",
    "MAIN",
    "MARKERS",
    "NEUTRAL",
    "finish",
    "heading",
    "legend_below",
    "new_axes",
    "new_figure",
    "new_grid",
    "strip",
]

# Okabe and Ito's palette, told apart with any kind of colour vision.
MAIN = "#0072B2"
ACCENT = "#D55E00"
NEUTRAL = "#999999"
# For kinds side by side; his yellow is not seen on white.
COLOURS = (MAIN, ACCENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# With these they are told apart in grey as well.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def _empty_figure(size: tuple[float, float]) -> Any:
    """Make a figure that is the caller's alone, unless pictures have windows.

    pyplot keeps every figure that it makes until someone closes it: 25 pictures would
    be 25 open figures. It has to know those that `plt.show()` is to open in a window.

    Parameters
    ----------
    size : tuple of float
        Width and height in inches.

    Returns
    -------
    Figure
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    backend = mpl.get_backend().lower()
    if _has_windows(backend):
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout="constrained")
    if "inline" in backend:
        import matplotlib.pyplot as plt

        # By it notebooks learn how a Figure is shown: once, where it is a cell's value.
        figure = plt.figure(figsize=size, layout="constrained")
        plt.close(figure)
        return figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _has_windows(backend: str) -> bool:
    from matplotlib.backends import BackendFilter, backend_registry

    files = backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)
    return backend not in files and "inline" not in backend


def new_grid(
    n_rows: int,
    n_columns: int,
    size: tuple[float, float],
    heights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Make a grid of places: in a new figure, or in the place of the caller's one axes.

    Parameters
    ----------
    n_rows, n_columns : int
    size : tuple of float
        Width and height in inches, where the caller has no other.
    heights : sequence of float, optional
        Heights of the rows, relative to each other.

    Returns
    -------
    Figure
    GridSpec

    Raises
    ------
    ArgumentError
        If the caller's axes leave no place for a grid.
    """
    now = drawing()
    now.panels.clear()
    now.own_size = size
    if not now.axes:
        figure = _empty_figure(now.size or size)
        return figure, figure.add_gridspec(n_rows, n_columns, height_ratios=heights)
    (axis,) = chosen_axes(1)
    place = axis.get_subplotspec()
    if place is None:
        raise ArgumentError(
            "this picture has several panels, and ax= is no place of a grid: take axes that "
            "plt.subplots() or add_subplot() has made"
        )
    figure = axis.figure
    axis.remove()
    grid = place.subgridspec(n_rows, n_columns, height_ratios=heights)
    return figure, grid


def new_axes(figure: Any, place: Any) -> Any:
    """Add axes at a place of a grid of `new_grid`."""
    axis = figure.add_subplot(place)
    drawing().panels.append(axis)
    return axis


def new_figure(
    n_rows: int,
    n_columns: int,
    size: tuple[float, float],
    heights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Make a figure with a grid of axes, or take the caller's.

    Parameters
    ----------
    n_rows, n_columns, size, heights
        As in `new_grid`.

    Returns
    -------
    Figure
    ndarray of Axes, shape (n_rows, n_columns)

    Raises
    ------
    ArgumentError
        If the caller's axes are too few or too many.
    """
    now = drawing()
    n_panels = n_rows * n_columns
    if now.axes and (len(now.axes) > 1 or n_panels == 1):
        axes = np.empty(n_panels, dtype=object)
        axes[:] = chosen_axes(n_panels)
        now.panels[:] = list(axes)
        now.own_size = size
        return axes[0].figure, axes.reshape(n_rows, n_columns)
    figure, grid = new_grid(n_rows, n_columns, size, heights)
    axes = np.asarray(
        [[new_axes(figure, grid[i, j]) for j in range(n_columns)] for i in range(n_rows)],
        dtype=object,
    )
    return figure, axes


def legend_below(figure: Any, handles: Sequence[Any], *, most: int = 9, **style: Any) -> None:
    """Explain below a picture what is drawn.

    Parameters
    ----------
    figure : matplotlib Figure
    handles : sequence of Artist
        With their labels.
    most : int
        Entries beside each other, at most; fewer where they have no room.
    **style
        As of matplotlib's legend.
    """
    from matplotlib.transforms import ScaledTranslation

    if not handles:
        return
    now = drawing()
    style = {"frameon": False, "fontsize": 9, **style}
    width = (now.size or figure.get_size_inches())[0]
    size = style["fontsize"] * now.scale
    letters = int((width - 0.6) / text_width(["x"], size))
    names = ["\n".join(textwrap.wrap(str(h.get_label()), max(letters, 12))) for h in handles]
    room = max(1, int(width / (text_width(names, size) + 0.6)))
    style["ncols"] = min(room, most, len(handles))
    if not now.axes:
        figure.legend(handles=handles, labels=names, loc="outside lower center", **style)
        return
    # The figure is the caller's: an entry belongs to the axes that it explains.
    axis = now.panels[-1] if now.panels else now.axes[-1]
    lines = 1 + str(axis.get_xlabel()).count("\n") if axis.get_xlabel() else 0
    down = ScaledTranslation(0, -(0.24 + 0.17 * lines), figure.dpi_scale_trans)
    axis.legend(handles=handles, labels=names, loc="upper center", bbox_to_anchor=(0.5, 0.0),
                bbox_transform=axis.transAxes + down, **style)  # fmt: skip


def heading(figure: Any, text: str, **style: Any) -> None:
    """Write a title over all panels; over the first of them in the caller's figure."""
    now = drawing()
    if not now.axes:
        figure.suptitle(text, **style)
    elif now.panels:
        now.panels[0].set_title(text, **style)


def finish(figure: Any) -> Any:
    """Hand a picture to the user: names as they are written, numbers in full.

    Parameters
    ----------
    figure : matplotlib Figure

    Returns
    -------
    Figure, or Axes or an array of them
        The figure, unless the caller gave axes: these, or those in their place.

    Raises
    ------
    ArgumentError
        If the caller's size leaves the panels no room.
    """
    from matplotlib.ticker import AutoLocator, ScalarFormatter

    from bayesmix.results.plots.ticks import number_ticks

    now = drawing()
    own = [axis for axis in now.panels if axis.figure is not None] if now.axes else figure.axes
    for axes in own:
        for spine in axes.spines.values():  # which lies on the axes' box: each costs a layout
            spine.set_in_layout(False)
        for axis in (axes.xaxis, axes.yaxis):
            automatic = isinstance(axis.get_major_locator(), AutoLocator)
            if automatic and isinstance(axis.get_major_formatter(), ScalarFormatter):
                number_ticks(axis)
    write_plainly(own if now.axes else [figure])
    if now.size is not None:
        fit_texts(figure, own, now.scale)
    elif has_long_captions(figure, own):
        fit_texts(figure, own, 1.0)
    if now.size is not None and not now.axes:
        check_room(figure, own, now)
    if not now.axes:
        return figure
    return own[0] if len(own) == 1 else np.asarray(own, dtype=object)


def strip(axis: Any) -> None:
    """Take the frame away that says nothing."""
    axis.spines[["top", "right"]].set_visible(False)
