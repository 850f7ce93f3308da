"""Uncorrelated effects that share one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayesmix.covariance.base import Conditional, Covariance

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

    def conditional(self, values: Mapping[str, np.ndarray], positions: np.ndarray) -> Conditional:
        """The prior: other effects say nothing of a further one, such as a new member of ``mm``."""
        m = len(positions)
        return Conditional(weights=np.zeros((1, m, self.size)), root=np.eye(m)[None])
