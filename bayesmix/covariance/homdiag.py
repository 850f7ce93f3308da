"""Uncorrelated effects that share one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesmix.covariance.base import Covariance

__all__ = ["HomogeneousDiagonal"]


class HomogeneousDiagonal(Covariance):
    """``homdiag(x | g)``: independent effects of equal variance, as those of a smooth."""

    word = "homdiag"
    tied = True
    kernels = "none"

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """None: the root is the identity."""
        return None
