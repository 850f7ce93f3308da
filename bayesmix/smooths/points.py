"""Points in units in which numbers stay near 1, and the distinct ones among them."""

from __future__ import annotations

import numpy as np

from bayesmix.errors import DataError

__all__ = ["centre_and_scale", "checked_points", "distinct"]


def checked_points(values: np.ndarray, name: str) -> np.ndarray:
    """Values as a table of finite numbers, a row each.

    Raises
    ------
    DataError
        Naming the first value that is none.
    """
    points = np.asarray(values, dtype=np.float64)
    points = points[:, None] if points.ndim == 1 else points
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise DataError(
            f"{name}: row {bad[0]} has the value {points[bad[0]].tolist()}, which is no finite "
            "number; correct it, or leave the row out"
        )
    return points


def centre_and_scale(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle of each coordinate, and half the widest range: one scale for all of them."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = float((high / 2 - low / 2).max())
    return high / 2 + low / 2, scale if scale > 0 else 1.0


def distinct(points: np.ndarray) -> np.ndarray:
    """Distinct points in ascending order; shape (n_distinct, d)."""
    if points.shape[1] == 1:
        return np.unique(points[:, 0])[:, None]
    return np.unique(points, axis=0)
