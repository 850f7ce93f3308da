"""Draws of the parameters in the form that predictions read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.arguments import whole_number
from bayesmix.laws.levels import GroupScale
from bayesmix.laws.ran_away import RanAway, limits_along
from bayesmix.memory import check_memory

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor

__all__ = [
    "ParameterDraws",
    "check_replicates",
    "check_size",
    "chosen_draws",
    "levels_first",
    "placed_levels",
    "repeated",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDraws:
    """Posterior draws in one row of S, by role.

    Attributes
    ----------
    beta : ndarray, shape (p, S)
    b : mapping of str to ndarray, shape (q, G, S)
        For the levels that are asked for; see `level_rows`.
    level_rows : mapping of str to ndarray of int
        Where each level's effects are in `b`, -1 for one that was not asked for.
    scales : mapping of str to GroupScale
    family : mapping of str to ndarray, shape (S,) or (S, k)
        The family's own parameters.
    n_draws : int
        S.
    others : mapping of str to ParameterDraws
        By parameter of the family that has a linear predictor of its own, the draws of its
        coefficients and effects, of all levels.
    gone : tuple of RanAway or None
        S directions of refits along which the coefficients have no finite estimate; empty
        where all have one.
    """

    beta: np.ndarray
    b: Mapping[str, np.ndarray]
    level_rows: Mapping[str, np.ndarray]
    scales: Mapping[str, GroupScale]
    family: Mapping[str, np.ndarray]
    n_draws: int
    others: Mapping[str, ParameterDraws] = field(default_factory=dict)
    gone: tuple[RanAway | None, ...] = ()

    def beyond(self, X: np.ndarray) -> np.ndarray | None:
        """What is to be added to X beta where it has no finite value, shape (n, S).

        None where nothing is.
        """
        return limits_along(self.gone, X) if self.gone else None

    def family_columns(self) -> dict[str, np.ndarray]:
        """The family's parameters with an axis for the rows, shape (S, 1) or (S, 1, k)."""
        return {name: values[:, None] for name, values in self.family.items()}


def chosen_draws(n_chains: int, n_draws: int, wanted: int | None) -> np.ndarray:
    """Positions of the draws to use within each chain, evenly spaced.

    Parameters
    ----------
    n_chains, n_draws : int
    wanted : int or None
        Over all chains together; rounded up to a multiple of the chains.

    Raises
    ------
    NotSupportedError
        If it is not a positive whole number.
    """
    if wanted is None:
        return np.arange(n_draws)
    whole_number("draws", wanted, 1)
    each = min(n_draws, -(-int(wanted) // n_chains))
    return np.unique(np.linspace(0, n_draws - 1, each).round().astype(int))


def placed_levels(
    groups: Iterable[GroupingFactor], levels: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Where the effects of each level are, by grouping factor; -1 for one without."""
    places = {}
    for group in groups:
        if group.name in levels:
            place = np.full(group.n_levels, -1, dtype=np.int64)
            place[levels[group.name]] = np.arange(len(levels[group.name]))
            places[group.name] = place
    return places


def check_size(n_effects: int, n_draws: int) -> None:
    """Refuse to draw more effects than memory holds.

    Raises
    ------
    NotSupportedError
    """
    check_memory(
        f"draws={n_draws} of {n_effects} effects and parameters",
        2 * int(n_draws) * n_effects,
        "ask for fewer with draws=, or predict for fewer levels at a time",
    )


def check_replicates(n: int, n_rows: int) -> None:
    """Refuse to simulate more than memory holds.

    Raises
    ------
    NotSupportedError
    """
    check_memory(
        f"n={n} replicates of {n_rows} rows",
        int(n) * (n_rows + 16),  # with their names
        "simulate fewer at a time",
    )


def levels_first(b: np.ndarray, chosen: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Effects of some levels with the draws last, shape (q, levels, S)."""
    n_chains, _, _, q = b.shape
    out = np.empty((q, len(levels), n_chains * len(chosen)))
    for c in range(n_chains):
        columns = slice(c * len(chosen), (c + 1) * len(chosen))
        for k in range(q):
            out[k, :, columns] = b[c, :, :, k].T[np.ix_(levels, chosen)]
    return out


def repeated(values: Mapping[str, np.ndarray], n_draws: int) -> dict[str, np.ndarray]:
    """Put estimates of a family's parameters in the place of draws, shape (S, ...) each."""
    return {name: np.repeat(np.asarray(own)[None], n_draws, axis=0) for name, own in values.items()}
