"""Numbers along an axis: in full, without an offset elsewhere, and none on another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import Formatter, MaxNLocator

__all__ = ["NumberFormatter", "NumberLocator", "number_ticks", "numbers_in"]

_DIGIT = 0.64  # width of a digit of matplotlib's own font, in units of its size
_GAP = 1.0  # between two numbers
_FEW = 6  # steps, of which every other may have room where the whole have not


class NumberFormatter(Formatter):
    """Write numbers with the digits that tell them apart: 0.25, 25000, 1.2e6.

    matplotlib's own takes a common factor or summand out and writes it at the end of the
    axis, on the caption or the title.
    """

    def __init__(self) -> None:
        self._decimals, self._order, self._scientific = 0, 0, False

    def set_locs(self, locs: Sequence[float]) -> None:
        """Choose digits for these numbers."""
        values = np.unique(np.asarray(locs, dtype=np.float64))
        values = values[np.isfinite(values)]
        sizes = np.abs(values)
        # A tick beyond the ends of the axis is not seen, and its exponent would be odd.
        low, high = sorted(self.axis.get_view_interval()) if self.axis else (-np.inf, np.inf)
        seen = sizes[(values >= low) & (values <= high)]
        size = float((seen if seen.any() else sizes).max(initial=0.0))
        if size == 0:
            self._decimals, self._order, self._scientific = 0, 0, False
            return
        step = float(np.diff(values).min()) if len(values) > 1 else size
        self._decimals = _decimals(values, step)
        self._order = order = math.floor(math.log10(size))
        plain = max(order, 0) + 1 + (self._decimals > 0) + max(self._decimals, 0)
        mantissa = max(order + self._decimals, 0)
        scientific = 1 + (mantissa > 0) + mantissa + 1 + len(str(order))
        self._scientific = not -4 <= order < 6 and scientific < plain

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Write one of them."""
        if x == 0 or not math.isfinite(x):
            return f"{x:.0f}"
        if not self._scientific:
            return str(self.fix_minus(f"{x:.{max(self._decimals, 0)}f}"))
        # With one exponent for all, so that they compare: 0.95e6 beside 1.05e6.
        mantissa = f"{x / 10.0**self._order:.{max(self._order + self._decimals, 0)}f}"
        return str(self.fix_minus(f"{mantissa}e{self._order}"))


def _decimals(values: np.ndarray, step: float) -> int:
    """Decimals that write each number to a thousandth of a step; below zero for whole tens."""
    first = -math.floor(math.log10(step))
    for decimals in range(first - 1, first + 3):
        unit = 10.0**-decimals
        if np.allclose(np.round(values / unit) * unit, values, rtol=1e-15, atol=1e-3 * step):
            return decimals
    return first + 2


class NumberLocator(MaxNLocator):
    """As many round numbers as have room beside each other.

    Parameters
    ----------
    most : int
        Steps at most.
    integer : bool
        Whether only whole numbers are marked.
    prune : str or None
        As of matplotlib's MaxNLocator.
    """

    def __init__(self, most: int = 9, *, integer: bool = False, prune: str | None = None) -> None:
        self._most = most
        self._known: tuple[Any, Any] = (None, None)
        super().__init__(
            most, steps=[1, 2, 2.5, 5, 10], integer=integer, prune=prune, min_n_ticks=1
        )

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the places, between two ends and one step beyond."""
        axis: Any = self.axis
        most = min(self._most, max(int(axis.get_tick_space()), 2))
        # A layout asks dozens of times for the same axis.
        asked = (vmin, vmax, most, axis.axes.bbox.width, axis.axes.figure.dpi, _label_size(axis))
        if asked != self._known[0]:
            self._known = (asked, self._choose(most, vmin, vmax))
        return self._known[1]

    def _choose(self, most: int, vmin: float, vmax: float) -> Any:
        """Take the most places whose numbers have room: two at least, if that can be."""
        low, high = sorted((vmin, vmax))
        for n in range(most, 0, -1):
            values = self._places(n, vmin, vmax)
            if self._have_room(values, low, high):
                break
        if _number_inside(values, low, high) > 1:
            return values
        # One number is no scale: leave out every other of some that are too close.
        for n in range(1, _FEW):
            close = self._places(n, vmin, vmax)
            for some in (close[::2], close[1::2]):
                if _number_inside(some, low, high) > 1 and self._have_room(some, low, high, 0.3):
                    return some
        return values

    def _places(self, n: int, vmin: float, vmax: float) -> np.ndarray:
        self.set_params(nbins=n)
        return np.asarray(super().tick_values(vmin, vmax))

    def _have_room(
        self, values: np.ndarray, low: float, high: float, beyond: float = np.inf
    ) -> bool:
        """Whether no number lies on another, or reaches beyond the axis by so much of itself."""
        axis: Any = self.axis
        if axis.axis_name != "x" or high <= low:
            return True
        inside = values[(values >= low) & (values <= high)]
        if len(inside) < 2:
            return True
        longest = max(map(len, axis.get_major_formatter().format_ticks(inside)))
        points = axis.axes.bbox.width * 72 / axis.axes.figure.dpi
        between = points * float(np.diff(inside).min()) / (high - low)
        length = longest * _DIGIT * _label_size(axis)
        ends = points * min(float(inside[0]) - low, high - float(inside[-1])) / (high - low)
        out = max(0.0, 0.5 - ends / length) if length else 0.0
        return between >= length + _GAP * _label_size(axis) and out < beyond


def _number_inside(values: np.ndarray, low: float, high: float) -> int:
    return int(((values >= low) & (values <= high)).sum())


def _label_size(axis: Any) -> float:
    import matplotlib as mpl

    size = axis.get_tick_params().get("labelsize", mpl.rcParams["xtick.labelsize"])
    return float(FontProperties(size=size).get_size_in_points())


def numbers_in(text: str) -> str:
    """Write the powers of ten in a text as the axes do: 1e6 for 1e+06, 25000 for 2.5e+04."""

    def written(found: re.Match[str]) -> str:
        mantissa, order = found[1], int(found[2])
        return f"{float(found[0]):.0f}" if 0 <= order < 6 else f"{mantissa}e{order}"

    return re.sub(r"(-?\d+(?:\.\d+)?)e([+-]\d+)", written, text)


def number_ticks(
    axis: Any, most: int = 9, *, integer: bool = False, prune: str | None = None
) -> None:
    """Mark an axis with numbers, as `NumberLocator` and `NumberFormatter` do."""
    axis.set_major_formatter(NumberFormatter())
    axis.set_major_locator(NumberLocator(most, integer=integer, prune=prune))
