"""Which averages over a reference grid the data determine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

    from bayesmix.design.aliasing import Aliasing, Departure

__all__ = ["Estimable", "estimable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimable:
    """How far K quantities depart from what left-out columns are in the data.

    Where quantities are linear in the coefficients, what is not known of two may cancel in
    their difference.

    Attributes
    ----------
    value, tolerance : ndarray, shape (K, m)
        By left-out column.
    linear : bool
    empty : ndarray of bool, shape (K,)
        Averages without any rows to take weights from.
    reasons : tuple of str, length m
    """

    value: np.ndarray
    tolerance: np.ndarray
    linear: bool
    empty: np.ndarray
    reasons: tuple[str, ...]

    @property
    def found(self) -> np.ndarray:
        """By quantity and left-out column, whether it is a reason; shape (K, m)."""
        return np.asarray(~(np.abs(self.value) <= self.tolerance))

    @property
    def unknown(self) -> np.ndarray:
        """Which quantities have no estimate, shape (K,)."""
        return np.asarray(self.found.any(axis=1) | self.empty)

    def combined(self, C: np.ndarray) -> Estimable:
        """The same of linear combinations, C of shape (M, K)."""
        part = C != 0
        value = (
            C @ self.value if self.linear
            else np.where(part.astype(float) @ self.found > 0, np.inf, 0.0)
        )  # fmt: skip
        return Estimable(
            value=value, tolerance=np.abs(C) @ self.tolerance, linear=self.linear,
            reasons=self.reasons, empty=(part & self.empty).any(axis=1),
        )  # fmt: skip

    def why(self) -> str:
        """Reasons in words; empty where all is known."""
        columns = self.found.any(axis=0)
        words = [reason for reason, is_one in zip(self.reasons, columns, strict=True) if is_one]
        shown = words[:3] + ([f"and {len(words) - 3} more such columns"] if len(words) > 3 else [])
        if self.empty.any():
            shown.append("no row of the data has such a combination of levels")
        return "; ".join(shown)


def estimable(
    aliasing: Aliasing | None, rows: Departure | None, weights: sparse.csr_matrix, *, linear: bool
) -> Estimable:
    """Average what rows depart by.

    Parameters
    ----------
    aliasing : Aliasing or None
    rows : Departure, or None
        Where columns were left out.
    weights : sparse matrix, shape (K, n)
    linear : bool
        Whether averages are linear in the coefficients.
    """
    K = weights.shape[0]
    empty = np.asarray(np.abs(weights).sum(axis=1)).ravel() == 0
    if aliasing is None or rows is None:
        nothing = np.zeros((K, 0))
        return Estimable(value=nothing, tolerance=nothing, linear=linear, empty=empty, reasons=())
    size = np.abs(weights)
    value, tolerance = weights @ rows.value, size @ rows.tolerance
    if not linear:
        value = np.where(size @ rows.found.astype(float) > 0, np.inf, 0.0)
    return Estimable(
        value=value, tolerance=tolerance, linear=linear, empty=empty, reasons=aliasing.reasons
    )
