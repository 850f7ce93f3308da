"""Slice sampling along given directions: a step that needs no tuning to be right.

References
----------
Neal, R. M. (2003). Slice sampling. Annals of Statistics 31(3), 705-767.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["slice_along"]

_WIDTH = 2.5  # of the first interval, in units of a direction: those of a standard deviation
_MOST_STEPS = 16  # out, in both directions together
_MOST_SHRINKS = 100  # then the interval is a point


def slice_along(
    log_density: Callable[[np.ndarray], float], x: np.ndarray, value: float,
    directions: np.ndarray, rng: np.random.Generator,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Move along each of some directions, one after the other.

    Parameters
    ----------
    log_density : callable
        From a point to its log density, minus infinity where there is none.
    x : ndarray, shape (d,)
    value : float
        Log density at x.
    directions : ndarray, shape (d, k)
        A column each; a unit of it is about a standard deviation.
    rng : Generator

    Returns
    -------
    ndarray, shape (d,)
        The new point, and its log density.
    float
    """
    for k in rng.permutation(directions.shape[1]):
        direction = directions[:, k]
        level = value - rng.standard_exponential()
        left = -_WIDTH * rng.random()
        right = left + _WIDTH
        # Steps out are shared out at random, so that the interval is as likely from each point.
        to_left = int(_MOST_STEPS * rng.random())
        to_right = _MOST_STEPS - 1 - to_left
        while to_left > 0 and log_density(x + left * direction) > level:
            left, to_left = left - _WIDTH, to_left - 1
        while to_right > 0 and log_density(x + right * direction) > level:
            right, to_right = right + _WIDTH, to_right - 1
        for _ in range(_MOST_SHRINKS):
            at = left + (right - left) * rng.random()
            moved = x + at * direction
            found = log_density(moved)
            if found > level:
                x, value = moved, found
                break
            if at < 0:
                left = at
            else:
                right = at
    return x, value
