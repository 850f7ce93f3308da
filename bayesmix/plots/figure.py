"""Figures: how they are made, shown and coloured."""

from __future__ import annotations

from typing import Any

__all__ = ["ACCENT", "MAIN", "NEUTRAL", "finish", "new_figure", "shorten"]

# Okabe and Ito's palette, told apart with any kind of colour vision.
MAIN = "#0072B2"
ACCENT = "#D55E00"
NEUTRAL = "#999999"


def new_figure(n_rows: int, n_columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Make a figure with a grid of axes.

    Parameters
    ----------
    n_rows, n_columns : int
    size : tuple of float
        Width and height in inches.

    Returns
    -------
    Figure
    ndarray of Axes, shape (n_rows, n_columns)
    """
    import matplotlib.pyplot as plt

    return plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")


def finish(figure: Any) -> Any:
    """Hand a figure to the user; a notebook is to show it once, not twice."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    if "inline" in mpl.get_backend().lower():
        plt.close(figure)
    return figure


def shorten(text: str, length: int = 28) -> str:
    """Cut a label that would push the axes away."""
    return text if len(text) <= length else text[: length - 1] + "…"
