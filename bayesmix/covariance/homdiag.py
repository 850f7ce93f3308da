"""Uncorrelated effects that share one standard deviation."""

from __future__ import annotations

from bayesmix.covariance.base import Covariance

__all__ = ["HomDiag"]


class HomDiag(Covariance):
    """``homdiag(x | g)``: one sd, no correlation; the root is the identity."""

    word = "homdiag"
    tied = True
    kernels = "none"

    @property
    def words(self) -> str:
        """What is said in brackets behind the effects' names."""
        return "uncorrelated, one sd" if self.size > 1 else ""
