"""Places of sorted levels: where there are many, the extremes have names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.results.plots.figure import NEUTRAL
from bayesmix.results.plots.labels import label, labels, name_ticks, text_width
from bayesmix.results.plots.look import drawing, share

__all__ = ["LevelPlaces"]

_NAMED = 60  # more levels than this have no room for all their names; a third of it is for the rest
_LENGTH = 44  # of a name
_SIZE = 8.0  # in points
_ROW = 0.2  # inches
_LEAST_ROW = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPlaces:
    """Where sorted levels stand, the lowest first.

    Attributes
    ----------
    at : ndarray, shape (n,)
        In rows that have room for a name.
    named : ndarray of bool, shape (n,)
    gap : float or None
        Where levels are left out.
    length : int
        Characters of a name.
    """

    at: np.ndarray
    named: np.ndarray
    gap: float | None
    length: int = _LENGTH

    @classmethod
    def of(cls, n_levels: int, n_below: int | None = None, *, columns: int = 1) -> LevelPlaces:
        """Find places for the levels that are drawn.

        Parameters
        ----------
        n_levels : int
        n_below : int, optional
            Levels below those that are left out; None if all are drawn.
        columns : int
            Pictures beside each other, each with its names.
        """
        size = drawing().size
        # Where the caller gives a height, it has room for so many names.
        rows = _NAMED if size is None else int(np.clip((size[1] - 0.9) / _LEAST_ROW, 9, _NAMED))
        middle = rows / 3
        ends = int((rows - middle) / 2)
        named = np.ones(n_levels, dtype=bool)
        if n_levels > rows:
            named[ends : n_levels - ends] = False
        small = min(1.0, middle / max(int((~named).sum()), 1))
        steps = np.where(named[1:] & named[:-1], 1.0, small)
        # The first and the last of the crowd stand clear of the names beside them.
        steps[named[1:] != named[:-1]] = 1.0
        if n_below is not None:
            steps[n_below - 1] += 1.0
        at = np.concatenate([[0.0], np.cumsum(steps)])[:n_levels]
        gap = None if n_below is None else float(at[n_below - 1] + at[n_below]) / 2
        return cls(at=at, named=named, gap=gap, length=share(_LENGTH, _SIZE, columns))

    @property
    def many(self) -> bool:
        """Whether some have no names."""
        return not bool(self.named.all())

    @property
    def height(self) -> float:
        """Inches that they take."""
        return float(max(_ROW * (self.at[-1] + 2), 2.4))

    def names(self, levels: Sequence[Any]) -> list[str]:
        """Names of those that have one, short and different.

        Parameters
        ----------
        levels : sequence, length n
            In their order.
        """
        return labels([level for level, named in zip(levels, self.named, strict=True) if named],
                      self.length, whole=True)  # fmt: skip

    def width(self, levels: Sequence[Any]) -> float:
        """Inches that the names take."""
        rest = [self._rest] if self.many else []
        return text_width([*self.names(levels), *rest], _SIZE)

    @property
    def _rest(self) -> str:
        return label(f"{int((~self.named).sum())} levels without their names", self.length)

    def label(self, axis: Any, levels: Sequence[Any]) -> None:
        """Write the names at the left of the axes, and how many there are without.

        Parameters
        ----------
        axis : matplotlib Axes
        levels : sequence, length n
            In their order.
        """
        at, names = list(self.at[self.named]), self.names(levels)
        if self.many:
            middle = float(np.median(self.at[~self.named]))
            k = int((self.at[self.named] < middle).sum())
            at.insert(k, middle)
            names.insert(k, self._rest)
        name_ticks(axis.yaxis, at, names, fontsize=_SIZE)
        if self.many:
            tick = axis.yaxis.get_major_ticks()[k]
            tick.label1.set_color(NEUTRAL)
            tick.tick1line.set_visible(False)
        axis.set_ylim(-1, self.at[-1] + 1)
