"""Rows in batches of odd sizes, sorted so that some labels appear late."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.sources import Source, TableSource

__all__ = ["Batches", "Partitions", "rows_to_read"]


def rows_to_read() -> pd.DataFrame:
    """Rows sorted by group, with levels and a category that appear late."""
    rng = np.random.default_rng(3)
    n = 1500
    frame = pd.DataFrame({
        "g": np.sort(rng.integers(0, 25, n)),
        "h": rng.integers(100, 112, n),
        "x": rng.normal(50.0, 3.0, n),
        "z": rng.normal(size=n),
        "e": rng.normal(size=n),
        "w": rng.uniform(0.5, 2.0, n),
        "rare": np.arange(n) == 1100,
    })  # fmt: skip
    frame["t"] = np.where(np.arange(n) > 1200, "late", rng.choice(["a", "b", "c"], n))
    frame["school"] = "s" + (frame["g"] // 5).astype(str)
    b = rng.normal(size=(25, 2))
    at = frame["g"].to_numpy()
    frame["y"] = (
        2.0 + 0.3 * frame["x"] + b[at, 0] + 0.1 * b[at, 1] * (frame["x"] - 50)
        + rng.normal(size=12)[frame["h"] - 100] + 0.5 * (frame["t"] == "late") + frame["e"]
        + rng.normal(size=n)
    )  # fmt: skip
    return frame


class Batches(Source):
    """Batches of odd sizes of a frame."""

    def __init__(self, frame: pd.DataFrame, sizes: tuple[int, ...] = (1, 333, 2, 700)) -> None:
        import pyarrow as pa

        self._table, self._sizes = pa.Table.from_pandas(frame, preserve_index=False), sizes
        super().__init__("the batches", self._table.schema)

    def batches(self, columns: Any) -> Any:
        at = 0
        for size in (*self._sizes, len(self._table)):
            yield self._table.select(list(columns)).slice(at, size)
            at += size


class Partitions(Source):
    """Partitions that are summed where they are, and can be brought here one by one."""

    def __init__(self, frame: pd.DataFrame, n: int) -> None:
        import pyarrow as pa

        ends = np.linspace(0, len(frame), n + 1).astype(int)
        whole = pa.Table.from_pandas(frame, preserve_index=False)
        super().__init__("the partitions", whole.schema)
        self._tables = [whole.slice(a, b - a) for a, b in itertools.pairwise(ends)]

    def batches(self, columns: Any) -> Iterator[Any]:
        for table in self._tables:
            yield table.select(list(columns))

    def gather(self, work: Any, columns: Any) -> Any:
        made = [
            work(TableSource([table], table.schema, f"part {k}"))
            for k, table in enumerate(self._tables)
        ]
        first, *rest = (pickle.loads(pickle.dumps(one)) for one in made)  # noqa: S301
        for one in reversed(rest):
            first.merge(one)
        return first
