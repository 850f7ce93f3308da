"""Size and spread of long columns of numbers, a stretch of rows at a time.

No second array of a column's length is made, and columns are divided by their
largest value first, so that squares neither overflow nor underflow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayesmix.summed import Summed

__all__ = ["chunks", "largest", "root_mean_square", "sample_sd"]

_ROWS = 65_536


def chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Views of consecutive rows, the last one shorter."""
    for start in range(0, len(values), _ROWS):
        yield values[start : start + _ROWS]


def largest(values: np.ndarray | Summed) -> np.ndarray:
    """Largest absolute value of each column.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, k), n > 0

    Returns
    -------
    ndarray, shape () or (k,)
    """
    if isinstance(values, Summed):
        return values.largest()
    if values.ndim == 1:
        return np.maximum(values.max(), -values.min())
    # A column at a time: numpy is 20 times as slow along the first axis of narrow rows.
    return np.asarray([max(column.max(), -column.min()) for column in values.T], dtype=float)


def sample_sd(column: np.ndarray | Summed) -> float:
    """Sample standard deviation, 0 of a single value.

    Parameters
    ----------
    column : ndarray, shape (n,), n > 0

    Returns
    -------
    float
        In units of the column.
    """
    n = len(column)
    if n < 2:
        return 0.0
    if isinstance(column, Summed):
        return float(np.sqrt(column.mean_square(column.mean()) * n / (n - 1)))
    top = _unit(column)
    mean = sum(float((rows / top).sum()) for rows in chunks(column)) / n
    squares = sum(float(((rows / top - mean) ** 2).sum()) for rows in chunks(column))
    return top * float(np.sqrt(squares / (n - 1)))


def root_mean_square(
    column: np.ndarray | Summed, center: float = 0.0, *, unit: float | None = None
) -> float:
    """Root of the mean square.

    Parameters
    ----------
    column : ndarray, shape (n,), n > 0
    center : float
        What is taken off first.
    unit : float, optional
        What is divided by before squares are taken; the largest value by default.

    Returns
    -------
    float
        In units of the column.
    """
    if isinstance(column, Summed):
        return float(np.sqrt(column.mean_square(center)))
    top = _unit(column) if unit is None else unit
    squares = sum(float((((rows - center) / top) ** 2).sum()) for rows in chunks(column))
    return top * float(np.sqrt(squares / len(column)))


def _unit(column: np.ndarray) -> float:
    return float(largest(column)) or 1.0
