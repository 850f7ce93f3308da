"""The numbers of a picture of a smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["SmoothCurve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothCurve:
    """The partial effect of a smooth on a grid over the data.

    Attributes
    ----------
    name : str
    coordinates : tuple of str
        One for a curve, two for a surface.
    table : DataFrame
        The coordinates as x (and z), estimate, lower and upper; for curves of levels
        their number as level.
    rug : ndarray, shape (n, d)
        Coordinates of the rows that the smooth is of.
    """

    name: str
    coordinates: tuple[str, ...]
    table: pd.DataFrame
    rug: np.ndarray
