"""Effects that are correlated freely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import Covariance
from bayesmix.covariance.vine import factor_of, partials_of_correlations

__all__ = ["Unstructured"]


class Unstructured(Covariance):
    """``us(x | g)``, which is ``(x | g)``: an LKJ prior, partial correlations as coordinates.

    Coordinates are the inverse hyperbolic tangents of the partial correlations of the
    C-vine, row by row (`vine.py`). Their kernels are part of the algebra
    (`gaussian/vine.py`), because their prior is not one of single numbers.
    """

    word = "us"
    kernels = "vine"
    one_scale = False
    any_columns = True
    free_correlations = True

    @property
    def n_coordinates(self) -> int:
        """Number of partial correlations."""
        return self.size * (self.size - 1) // 2

    @property
    def words(self) -> str:
        """What is said in brackets behind the effects' names."""
        return "correlated" if self.size > 1 else ""

    def values_at(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Correlation matrices ``corr`` at coordinates of shape (S, n_coordinates)."""
        C = np.stack([factor_of(row, self.size).real for row in np.atleast_2d(x)])
        return {"corr": C @ np.swapaxes(C, 1, 2)}

    def coordinates_of(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Coordinates of the correlation matrices ``corr``, shape (S, n_coordinates)."""
        if self.size == 1:
            return np.zeros((len(values["corr"]), 0))
        return partials_of_correlations(values["corr"])

    def roots(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Cholesky factors of ``corr``."""
        return np.linalg.cholesky(values["corr"])

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """Cholesky factor of an LKJ-distributed matrix."""
        from bayesmix.covariance.lkj import lkj_cholesky

        if self.size == 1:
            return None
        return lkj_cholesky(variables["partial_corr"], self.size, priors["corr"].parameters["eta"])
