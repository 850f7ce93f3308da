"""Effects in the order of time, with a correlation for each gap and one standard deviation."""

from __future__ import annotations

from bayesmix.covariance.toep import Toeplitz

__all__ = ["HomToeplitz"]


class HomToeplitz(Toeplitz):
    """``homtoep(time | g)``: the correlations of `Toeplitz`, one sd."""

    word = "homtoep"
    tied = True
