"""Effects that are all correlated equally and share one standard deviation."""

from __future__ import annotations

from bayesmix.covariance.cs import CompoundSymmetry

__all__ = ["HomCS"]


class HomCS(CompoundSymmetry):
    """``homcs(f | g)``: one sd, one correlation, which are those of `CompoundSymmetry`."""

    word = "homcs"
    tied = True
