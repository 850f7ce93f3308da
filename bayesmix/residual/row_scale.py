"""Standard deviations of rows that a predictor of sigma makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayesmix.residual.parameter import ResidualParameter

__all__ = ["RowScale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScale:
    """Standard deviations of rows by a log-linear predictor: exp(X beta) in each stratum.

    With it R^-1 = D^-1 (sum_k c_k M_k) D^-1, where D holds the rows' standard deviations,
    and there is no sigma beside.

    Attributes
    ----------
    X : ndarray, shape (n_strata, n_beta)
    offset : ndarray, shape (n_strata,)
    stratum : ndarray of int64, shape (n,)
        That of each row.
    parameters : tuple of ResidualParameter
        The coefficients; of a positive one the logarithm is the coefficient.
    variable : str
        The variable that they are together.
    change : ndarray, shape (n_beta, n_beta), or None
        From the coefficients to the variable's values; None where these are the same.
    is_number : bool
        Whether the variable is one number, and no vector of one.
    """

    X: np.ndarray
    offset: np.ndarray
    stratum: np.ndarray
    parameters: tuple[ResidualParameter, ...]
    variable: str
    change: np.ndarray | None = None
    is_number: bool = False

    def variables(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return the variable of parameters of shape (..., n_beta)."""
        if self.is_number:
            return {self.variable: values[..., 0]}
        return {self.variable: values if self.change is None else values @ self.change.T}

    def parameters_of(self, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the parameters by their names, the inverse of `variables`."""
        values = np.asarray(variables[self.variable])
        if self.is_number:
            return {self.parameters[0].name: values}
        if self.change is not None:
            values = np.linalg.solve(self.change, values[..., None])[..., 0]
        return {one.name: values[..., j] for j, one in enumerate(self.parameters)}
