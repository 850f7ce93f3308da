"""Draws of the family's parameters: a number each, or one for each row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.families.functions import NUMPY
from bayesmix.laws.linear import LinearDraws
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows

__all__ = ["FamilyDraws"]

# Points and weights that integrate over a standard normal (Gauss and Hermite).
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_MOST_AVERAGED = 2  # predictors beside mu


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
        Whether averages over the groups are wanted, those of these parameters among them.

    Attributes
    ----------
    by_row : tuple of str
        Those with a linear predictor of their own.

    Raises
    ------
    NotSupportedError
        If a linear predictor has no rows here.
    """

    def __init__(
        self, family: Family, parameters: ParameterDraws, rows: Rows, seed: int, *, marginal: bool
    ) -> None:
        self._numbers = parameters.family_columns()
        self._linear = {}
        for name, own in parameters.others.items():
            if name not in rows.others:
                raise NotSupportedError(f"{name} has a linear predictor, which is not known here")
            linear = LinearDraws(own, rows.others[name], seed)
            self._linear[name] = family.parameter_link(name), linear
        self._averaged = [n for n, own in parameters.others.items() if marginal and own.scales]

    @property
    def by_row(self) -> tuple[str, ...]:
        """Names of those with a value for each row."""
        return tuple(self._linear)

    def block(
        self, rows: slice, deviation: Mapping[str, float | np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the draws for some rows, shape (S, 1), (S, 1, k) or (S, rows).

        Parameters
        ----------
        rows : slice
        deviation : mapping of str to float or ndarray, shape (rows, S), optional
            By parameter, what its groups add in standard deviations between them.
        """
        found = dict(self._numbers)
        for name, (link, linear) in self._linear.items():
            eta = linear.block(rows)
            if deviation and name in deviation:
                eta += deviation[name] * np.sqrt(linear.group_variance(rows))
            with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest
                found[name] = link.inverse(NUMPY, eta.T)
        return found

    def of_new_groups(self, rows: slice, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The same, each row's in a group of its own where averages are wanted."""
        deviation = {
            name: rng.standard_normal(self._linear[name][1].block(rows).shape)
            for name in self._averaged
        }
        return self.block(rows, deviation)

    def nodes(self, rows: slice) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        """Weights and draws whose sum is the average over groups; one where there are none.

        Raises
        ------
        NotSupportedError
            For so many predictors with groups that the sum takes too long.
        """
        if len(self._averaged) > _MOST_AVERAGED:
            raise NotSupportedError(
                f"marginal=True averages over the groups of {1 + len(self._averaged)} linear "
                "predictors, and of so many the sum is too long; predict rows with None for the "
                "group, whose effects are drawn"
            )
        for chosen in itertools.product(range(len(_NODES)), repeat=len(self._averaged)):
            deviation = {n: _NODES[k] for n, k in zip(self._averaged, chosen, strict=True)}
            yield math.prod(_WEIGHTS[k] for k in chosen), self.block(rows, deviation)
