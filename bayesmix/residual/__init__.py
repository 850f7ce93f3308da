"""Residual structures: the covariance R of what the predictors leave, one class a file."""

from __future__ import annotations

from bayesmix.residual.base import PairClasses, Residual, ResidualParameter, Rows
from bayesmix.residual.independent import Independent
from bayesmix.residual.known_se import KnownStandardErrors
from bayesmix.residual.weighted import Weighted

__all__ = [
    "BY_ROWS", "Independent", "KnownStandardErrors", "PairClasses", "Residual",
    "ResidualParameter", "Rows", "Weighted", "residual_by_rows",
]  # fmt: skip

# Structures that what is given per row decides on: the first whose needs are met.
BY_ROWS: tuple[Residual, ...] = (KnownStandardErrors(), Weighted(), Independent())


def residual_by_rows(rows: Rows) -> Residual:
    """Return the structure that the data given per row call for.

    Parameters
    ----------
    rows : mapping of str to ndarray, shape (n,)

    Returns
    -------
    Residual
    """
    return next(structure for structure in BY_ROWS if set(structure.needs) <= set(rows))
