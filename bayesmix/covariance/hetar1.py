"""Effects in the order of time, with a standard deviation for each."""

from __future__ import annotations

from bayesmix.covariance.ar1 import AR1

__all__ = ["HetAR1"]


class HetAR1(AR1):
    """``hetar1(time | g)``: the correlations of `AR1`, an sd for each time."""

    word = "hetar1"
    tied = False
