"""Correlation matrices of effects, draw by draw, made where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.design import GroupingFactor
from bayesmix.memory import check_memory

__all__ = ["Correlations", "correlations_at"]

_KEPT = 4_000_000  # numbers of a factor's matrices up to which they are made once


class Correlations(Mapping[str, np.ndarray]):
    """By grouping factor, those that have correlations: arrays of shape (..., q, q).

    A structure's matrices follow from few parameters; those of many positions take more
    memory than all else of a fit.

    Parameters
    ----------
    groups : sequence of GroupingFactor
    free : mapping of str to ndarray, shape (..., q, q)
        Correlations that are parameters of their own.
    structure : mapping of str to mapping of str to ndarray, shape (...)
        By grouping factor, parameters of its structures.
    """

    def __init__(
        self,
        groups: Sequence[GroupingFactor],
        free: Mapping[str, np.ndarray],
        structure: Mapping[str, Mapping[str, np.ndarray]],
    ) -> None:
        self._groups = {
            g.name: g for g in groups if g.name in structure and not covariance_of(g).is_diagonal
        }
        self._free, self._structure = free, structure
        self._made: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """Make the matrices of a factor."""
        group = self._groups[name]
        if name in self._made:
            return self._made[name]
        own = self._structure[name]
        n_draws = next(iter(own.values())).size if own else 0
        check_memory(
            f"correlation matrices of {group.n_effects} effects by `{name}`, one for each of "
            f"{n_draws} draws,",
            3 * n_draws * group.n_effects**2,
            "ask for fewer draws with draws=, or thin the draws",
        )
        found = covariance_of(group).correlation(self._free.get(name), dict(own))
        assert found is not None  # noqa: S101
        if found.size <= _KEPT:
            self._made[name] = found
        return found

    def __contains__(self, name: object) -> bool:
        """Whether a factor has correlations."""
        return name in self._groups

    def __iter__(self) -> Iterator[str]:
        """Names of the grouping factors."""
        return iter(self._groups)

    def __len__(self) -> int:
        """Their number."""
        return len(self._groups)

    def at(self, chosen: Callable[[np.ndarray], np.ndarray]) -> Correlations:
        """Return those of some draws.

        Parameters
        ----------
        chosen : callable
            Takes the draws that are wanted from an array of any parameter's.
        """
        return Correlations(
            list(self._groups.values()),
            {name: chosen(values) for name, values in self._free.items()},
            {
                name: {p: chosen(values) for p, values in own.items()}
                for name, own in self._structure.items()
            },
        )


def correlations_at(
    corr: Mapping[str, np.ndarray], chosen: Callable[[np.ndarray], np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Return those of some draws, made or not; see `Correlations.at`."""
    if isinstance(corr, Correlations):
        return corr.at(chosen)
    return {name: chosen(values) for name, values in corr.items()}
