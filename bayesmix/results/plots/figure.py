"""Figures: how they are made, shown and coloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesmix.results.plots.labels import write_plainly

__all__ = [
    "ACCENT",
    "COLOURS",
    "MAIN",
    "MARKERS",
    "NEUTRAL",
    "empty_figure",
    "finish",
    "new_figure",
    "strip",
]

# Okabe and Ito's palette, told apart with any kind of colour vision.
MAIN = "#0072B2"
ACCENT = "#D55E00"
NEUTRAL = "#999999"
# For kinds side by side; his yellow is not seen on white.
COLOURS = (MAIN, ACCENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def empty_figure(size: tuple[float, float]) -> Any:
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


def new_figure(
    n_rows: int,
    n_columns: int,
    size: tuple[float, float],
    heights: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """Make a figure with a grid of axes.

    Parameters
    ----------
    n_rows, n_columns : int
    size : tuple of float
        Width and height in inches.
    heights : sequence of float, optional
        Heights of the rows, relative to each other.

    Returns
    -------
    Figure
    ndarray of Axes, shape (n_rows, n_columns)
    """
    figure = empty_figure(size)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=heights)


def finish(figure: Any) -> Any:
    """Hand a figure to the user: names as they are written, numbers in full."""
    from matplotlib.ticker import AutoLocator, ScalarFormatter

    from bayesmix.results.plots.ticks import number_ticks

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            automatic = isinstance(axis.get_major_locator(), AutoLocator)
            if automatic and isinstance(axis.get_major_formatter(), ScalarFormatter):
                number_ticks(axis)
    write_plainly(figure)
    return figure


def strip(axis: Any) -> None:
    """Take the frame away that says nothing."""
    axis.spines[["top", "right"]].set_visible(False)
