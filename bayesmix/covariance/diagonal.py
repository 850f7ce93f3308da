"""Uncorrelated effects, each with a standard deviation of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesmix.covariance.base import Covariance

__all__ = ["Diagonal"]


class Diagonal(Covariance):
    """``diag(x | g)``, which is ``(x || g)``."""

    word = "diag"
    kernels = "none"
    one_scale = False

    @property
    def words(self) -> str:
        """What is said in brackets behind the effects' names."""
        return "uncorrelated" if self.size > 1 else ""

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """None: the root is the identity."""
        return None
