"""Series of rows whose residuals depend on each other, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.design.residual_rows import order_in_series
from bayesmix.residual.base import Rows

__all__ = ["SERIES", "TIME", "Series", "coordinate_names", "series_of"]

SERIES, TIME = "residual_series", "residual_time"


def coordinate_names(n: int) -> tuple[str, ...]:
    """Names under which the coordinates of rows are given: residual_time, residual_time_2."""
    return tuple(TIME if k == 0 else f"{TIME}_{k + 1}" for k in range(n))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Rows in the order of their series, within these of their coordinates.

    Attributes
    ----------
    order : ndarray of int64, shape (n,)
        Positions of the rows.
    start : ndarray of int64, shape (G + 1,)
        Where each series begins in that order.
    times : ndarray, shape (n, k)
        Coordinates in that order.
    pattern : ndarray of int64, shape (G,)
        Which series have the same coordinates.
    of_pattern : tuple of ndarray
        Coordinates of each pattern, shape (m, k).
    """

    order: np.ndarray
    start: np.ndarray
    times: np.ndarray
    pattern: np.ndarray
    of_pattern: tuple[np.ndarray, ...]

    @property
    def sizes(self) -> np.ndarray:
        """Number of rows of each series, shape (G,)."""
        return np.diff(self.start)

    def rows_of_pattern(self, pattern: int) -> np.ndarray:
        """Rows of all series of a pattern, shape (series, m)."""
        first = self.start[:-1][self.pattern == pattern]
        at: np.ndarray = self.order[first[:, None] + np.arange(len(self.of_pattern[pattern]))]
        return at


def series_of(rows: Rows, n_coordinates: int, *, apart: bool = False) -> Series:
    """Sort rows into series.

    Parameters
    ----------
    rows : mapping of str to ndarray, shape (n,)
    n_coordinates : int
        How many coordinates a row has; none where only its series matters.
    apart : bool
        Whether each series is a pattern of its own, whatever its coordinates are.

    Returns
    -------
    Series
    """
    series = np.asarray(rows[SERIES]).astype(np.int64)
    n = len(series)
    columns = [np.asarray(rows[name], dtype=np.float64) for name in coordinate_names(n_coordinates)]
    times = np.column_stack(columns) if columns else np.zeros((n, 0))
    order = order_in_series(series, columns)
    series, times = series[order], times[order]
    start = np.flatnonzero(np.concatenate([[True], series[1:] != series[:-1]])) if n else series
    start = np.append(start, n).astype(np.int64)
    lengths = np.diff(start)
    if len(lengths) and not apart and (lengths == lengths[0]).all():
        places = times.reshape(len(lengths), int(lengths[0]), times.shape[1])
        if (places == places[0]).all():  # balanced data, where a look at each series is most of it
            return Series(
                order=order.astype(np.int64), start=start, times=times,
                pattern=np.zeros(len(lengths), dtype=np.int64), of_pattern=(places[0],),
            )  # fmt: skip
    known: dict[tuple[int, bytes], int] = {}
    pattern = np.empty(len(start) - 1, dtype=np.int64)
    found = []
    for g, (a, z) in enumerate(zip(start[:-1].tolist(), start[1:].tolist(), strict=True)):
        key = (g if apart else z - a, times[a:z].tobytes())
        if key not in known:
            known[key] = len(known)
            found.append(times[a:z])
        pattern[g] = known[key]
    return Series(
        order=order.astype(np.int64), start=start, times=times, pattern=pattern,
        of_pattern=tuple(found),
    )  # fmt: skip
