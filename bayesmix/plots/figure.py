"""Figures: how they are made, shown and coloured."""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "ACCENT",
    "COLOURS",
    "MAIN",
    "MARKERS",
    "NEUTRAL",
    "finish",
    "new_figure",
    "shorten",
    "strip",
    "text_width",
    "wrap",
]

# Okabe and Ito's palette, told apart with any kind of colour vision.
MAIN = "#0072B2"
ACCENT = "#D55E00"
NEUTRAL = "#999999"
# For kinds side by side; his yellow is not seen on white.
COLOURS = (MAIN, ACCENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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


def wrap(text: str, width: int = 24, n_lines: int = 2) -> str:
    """Break a label into lines, at a space, a comma or a colon where there is one."""
    lines = [""]
    for piece in re.findall(r"[^\s,:_|(\[]*[\s,:_|(\[]|[^\s,:_|(\[]+", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    if len(lines) > n_lines:
        lines = [*lines[: n_lines - 1], "".join(lines[n_lines - 1 :])]
    return "\n".join(shorten(line.strip(), width) for line in lines)


def text_width(labels: list[str], size: float) -> float:
    """Inches that the longest of some labels takes, about."""
    return max((len(line) for label in labels for line in label.split("\n")), default=0) * (
        size * 0.0083
    )


def strip(axis: Any) -> None:
    """Take the frame away that says nothing."""
    axis.spines[["top", "right"]].set_visible(False)
