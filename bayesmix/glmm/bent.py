"""A coordinate in which a standard deviation that may be zero has no long tail.

Priors on a standard deviation have a density at zero, so that of its logarithm t falls towards
minus infinity as exp(t), however wide it is: a chain drifts there for long, and comes back
seldom. With t = s - n(s)^2 / (2 w), where n goes smoothly from 0 to -s as s falls below the mode,
exp(t) is a normal density in s, of variance w, and above the mode t is s.
"""

from __future__ import annotations

import math

from bayesmix.gaussian.linking import inner

__all__ = ["bent"]

_ONSET = 0.5  # how far from the mode, on the scale of t, the bend begins


@inner
def bent(s, width, out):  # type: ignore[no-untyped-def]
    """Bend one coordinate.

    Parameters
    ----------
    s : float
        Distance from the mode before.
    width : float
        The variance w; 0 for a coordinate that stays straight.
    out : ndarray, shape (3,)
        Receives the distance of t from the mode, the slope dt/ds, which is above 0, and the
        derivative of its logarithm.
    """
    if width == 0.0:
        out[0], out[1], out[2] = s, 1.0, 0.0
        return
    square = _ONSET * _ONSET
    root = math.sqrt(s * s + square)
    n, by_s = 0.5 * (root - s), 0.5 * (s / root - 1.0)
    slope = 1.0 - n * by_s / width
    curvature = by_s * by_s + 0.5 * n * square / (root * root * root)
    out[0] = s - 0.5 * (n * n - 0.25 * square) / width
    out[1] = slope
    out[2] = -curvature / (width * slope)
