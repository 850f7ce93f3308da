"""Draws of the family's parameters: a number each, or one for each row."""

from __future__ import annotations

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.families.functions import NUMPY
from bayesmix.laws.linear import LinearDraws
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows

__all__ = ["FamilyDraws"]


class FamilyDraws:
    """Draws of a family's parameters beside mu, for blocks of rows.

    Parameters
    ----------
    family : Family
    parameters : ParameterDraws
    rows : Rows
    seed : int
        Seed of the effects of new groups.
    marginal : bool
        Whether averages over the groups are wanted.

    Attributes
    ----------
    by_row : tuple of str
        Those with a linear predictor of their own.

    Raises
    ------
    NotSupportedError
        If a linear predictor has no rows here, or is to be averaged over groups.
    """

    def __init__(
        self, family: Family, parameters: ParameterDraws, rows: Rows, seed: int, *, marginal: bool
    ) -> None:
        self._numbers = parameters.family_columns()
        self._linear = {}
        for name, own in parameters.others.items():
            if name not in rows.others:
                raise NotSupportedError(f"{name} has a linear predictor, which is not known here")
            if marginal and own.scales:
                raise NotSupportedError(
                    f"averages over the groups of {name}'s linear predictor are not known; predict "
                    "for known groups, or for none"
                )
            linear = LinearDraws(own, rows.others[name], seed)
            self._linear[name] = family.parameter_link(name), linear

    @property
    def by_row(self) -> tuple[str, ...]:
        """Names of those with a value for each row."""
        return tuple(self._linear)

    def block(self, rows: slice) -> dict[str, np.ndarray]:
        """Return the draws for some rows, shape (S, 1), (S, 1, k) or (S, rows)."""
        return self._numbers | {
            name: link.inverse(NUMPY, linear.block(rows).T)
            for name, (link, linear) in self._linear.items()
        }
