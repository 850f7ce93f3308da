"""Parameters that the covariance of a level's effects is linear in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor

__all__ = ["linear_entries"]


def linear_entries(group: GroupingFactor) -> tuple[tuple[tuple[int, int], ...], ...]:
    """List which entries of the covariance each parameter is, for Kenward and Roger's method.

    Parameters
    ----------
    group : GroupingFactor

    Returns
    -------
    tuple of tuple of (int, int)
        By parameter, pairs of effects, the first not behind the second.

    Raises
    ------
    NotSupportedError
        If it is not linear.
    """
    found: list[tuple[tuple[int, int], ...]] = []
    for part in covariance_of(group).parts:
        effects = range(part.start, part.stop)
        if part.covariance.free_correlations:
            found += [((a, b),) for a in effects for b in effects if a <= b]
        elif part.covariance.n_coordinates:
            raise NotSupportedError(
                "Kenward and Roger's method takes covariances that are linear in their parameters, "
                f"and {part.covariance.word}(... | {group.name}) is not; "
                'take ddf="satterthwaite"'
            )
        elif part.covariance.tied:
            found.append(tuple((a, a) for a in effects))
        else:
            found += [((a, a),) for a in effects]
    return tuple(found)
