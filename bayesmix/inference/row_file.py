"""Rows beyond the normal that are read in batches: in a temporary file, where many differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import DataError
from bayesmix.families import Family
from bayesmix.glmm.problem import Pack
from bayesmix.glmm.rows import constant
from bayesmix.glmm.stored import BLOCK, StoredRows
from bayesmix.streaming.parts import joined_batches
from bayesmix.streaming.rows import Batch

__all__ = ["MOST_ROWS", "RowFile"]

MOST_ROWS = 250_000  # that differ and have a table in memory, where their fit allows a file


@dataclass(slots=True, kw_only=True)
class RowFile:
    """All rows, which one more pass writes to disk in the form in which kernels take them.

    Attributes
    ----------
    own : LinearPredictor
        Whose columns are `Summed`.
    streamed : Streamed
    family : Family
        One that `tables_rows`.
    constant : float
        What kernels leave out of the log density of all rows, once they are `packed`.
    rises : None
        Each row is asked which way its likelihood rises.
    """

    own: LinearPredictor
    streamed: Any
    family: Family
    constant: float = 0.0
    rises: None = field(default=None, init=False)

    @property
    def predictor(self) -> LinearPredictor:
        """The linear predictor with the levels that are met together, and no rows."""
        p = len(self.own.fixed_effects)
        groups = tuple(
            replace(group, index=index.astype(np.int32), Z=np.zeros((len(index), group.n_effects)))
            for group, index in zip(self.own.groups, self.streamed.combinations, strict=True)
        )
        n = len(groups[0].index) if groups else 0
        return replace(self.own, X=np.zeros((n, p)), offset=None, groups=groups)

    def packed(self, pack: Pack) -> StoredRows:
        """Write the rows."""
        found, mu, self.constant = StoredRows(), self.own, 0.0
        for batch in self._pieces():
            n = len(batch.y)
            self.constant += float(constant(self.family.row_kernel, batch.y, batch.extras).sum())
            groups = tuple(
                replace(group, Z=Z, index=index.astype(np.int32))
                for group, Z, index in zip(mu.groups, batch.Z, batch.index, strict=True)
            )
            offset = np.zeros(n) if batch.offset is None else batch.offset
            rows = replace(mu, X=batch.X, offset=offset, groups=groups)
            found.append(pack(rows, offset, batch.y, batch.extras))
        if found.n_obs != mu.n_obs:
            raise DataError(
                f"{self.streamed.name} had {mu.n_obs} complete rows in one pass and "
                f"{found.n_obs} in the next"
            )
        return found

    def _pieces(self) -> Iterator[Batch]:
        """The rows in batches of about one size."""
        waiting: list[Batch] = []
        for batch in self.streamed.batches():
            waiting.append(batch)
            if sum(len(one.y) for one in waiting) >= BLOCK:
                yield from _cut(waiting)
                waiting = []
        if waiting:
            yield from _cut(waiting)


def _cut(batches: list[Batch]) -> Iterator[Batch]:
    whole = batches[0] if len(batches) == 1 else joined_batches(batches)
    n = len(whole.y)
    n_pieces = max(1, round(n / BLOCK))
    ends = np.linspace(0, n, n_pieces + 1).astype(np.int64)
    for start, stop in itertools.pairwise(ends):
        yield whole if n_pieces == 1 else whole.take(np.arange(start, stop))
