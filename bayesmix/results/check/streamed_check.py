"""The numbers of a check where the rows of the fit are read in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.batches import law_at_batch, laws_at_batches
from bayesmix.memory import check_memory
from bayesmix.results.check.check_data import (
    STATISTICS,
    CheckData,
    Statistic,
    check_data,
    replicates_wanted,
)
from bayesmix.streaming import LevelSums, joined_batches

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Law
    from bayesmix.streaming.rows import Batch

__all__ = ["streamed_check", "streamed_statistic"]

_LOOKED_AT = 20_000  # rows of the panels that show rows
_SUMS = ("mean", "sd", "min", "max")


def streamed_check(
    law: Law, factor: GroupingFactor | None, seed: int | None, data: Any = None
) -> CheckData:
    """Gather what a check shows in one pass over the rows.

    What is compared within levels is of all rows, what shows rows of some, evenly spread.

    Parameters
    ----------
    law : Law
    factor : GroupingFactor or None
    seed : int or None
    data : any, optional

    Returns
    -------
    CheckData
    """
    n = law.model.design.n_obs
    chosen = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(np.int64))
    compared = None if factor is None else _Compared(law, factor, seed)
    some, start = [], 0
    for batch, own in laws_at_batches(law, data):
        end = start + len(batch.y)
        here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
        if len(here):
            some.append(batch.take(here - start))
        if compared is not None:
            compared.update(batch, own)
        start = end
    sample = law_at_batch(law, joined_batches(some), 0)
    y, replicates = sample.beside_data(replicates_wanted(len(chosen)), seed)
    found = check_data(sample, y, replicates, None, seed)
    if len(chosen) < n:
        of_some = f"{len(chosen):,} of {n:,} rows"
        note = f"{of_some}; {found.pit_note}" if found.pit_note else of_some
        found = replace(found, pit_note=note)
    if compared is None or factor is None:
        return found
    names = _SUMS if len(np.unique(y)) > 2 else ("mean",)
    statistics = (compared.statistic(name) for name in names)
    b = law.point_estimates()[1][factor.name]
    return replace(
        found,
        group=factor.name,
        statistics=tuple(one for one in statistics if len(one.levels)),
        effects={effect: b[:, k] for k, effect in enumerate(factor.effects)},
    )


def streamed_statistic(
    law: Law, stat: Callable[..., Any] | str, factor: GroupingFactor | None, seed: int | None,
    data: Any = None,
) -> Statistic:  # fmt: skip
    """Take a statistic of the data and of replicates, in one pass over the rows.

    Parameters
    ----------
    law : Law
    stat : {"mean", "sd", "min", "max"}
    factor : GroupingFactor or None
    seed : int or None
    data : any, optional

    Raises
    ------
    NotSupportedError
        For a statistic that needs all rows at once.
    """
    if isinstance(stat, str) and stat not in STATISTICS:
        near = did_you_mean(stat, STATISTICS)
        raise ArgumentError(f"stat={stat!r} is no known statistic; {near}it is one of {_listed()}")
    if not isinstance(stat, str) or stat not in _SUMS:
        name = repr(stat) if isinstance(stat, str) else getattr(stat, "__name__", "a function")
        raise NotSupportedError(
            f"stat={name} takes all values at once, and of {law.model.design.streamed.name} they "
            f"are read in batches: take {_listed()}, or read the columns that the model uses into "
            "a frame, all rows or some of them, and fit the model to that"
        )
    compared = _Compared(law, factor, seed)
    for batch, own in laws_at_batches(law, data):
        compared.update(batch, own)
    return compared.statistic(stat)


def _listed() -> str:
    return ", ".join(repr(name) for name in _SUMS)


class _Compared:
    """The response within levels beside its replicates, or as a whole, batch by batch."""

    def __init__(self, law: Law, factor: GroupingFactor | None, seed: int | None) -> None:
        design = law.model.design
        self._factor, self._seed = factor, seed
        self._replicates = replicates_wanted(design.n_obs)
        names = [group.name for group in design.mu.groups]
        self._at = -1 if factor is None else names.index(factor.name)
        self._labels = np.asarray([""], dtype=object) if factor is None else factor.levels.labels
        self._sums: LevelSums | None = None
        check_memory(
            f"a check of {self._replicates} replicates of {len(self._labels):,} levels",
            4 * self._replicates * len(self._labels),
            "take stat= without group=, or a grouping factor of fewer levels",
        )

    def update(self, batch: Batch, law: Law) -> None:
        """Add the response of a batch and its replicates."""
        y, replicates = law.beside_data(self._replicates, self._seed)
        if self._sums is None:
            self._sums = LevelSums(1 + len(replicates), len(self._labels))
        index = np.zeros(len(y), dtype=np.int64) if self._at < 0 else batch.index[self._at]
        self._sums.update(np.concatenate([y[None], replicates]), index)

    def statistic(self, name: str) -> Statistic:
        """Mean, sd, min or max within the levels that have one."""
        sums = self._sums
        assert sums is not None  # noqa: S101, there are rows
        values = {
            "mean": sums.means, "sd": sums.sd, "min": sums.least, "max": sums.largest
        }[name]  # fmt: skip
        known = np.isfinite(values).all(axis=0)
        return Statistic(
            name=name,
            group="" if self._factor is None else self._factor.name,
            levels=self._labels[known],
            observed=values[0, known],
            replicates=values[1:, known],
        )
