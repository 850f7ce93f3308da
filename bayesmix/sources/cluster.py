"""Data frames of clusters, whose parts are read where they are."""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bayesmix.errors import DataError
from bayesmix.sources.source import Merges, Source, TableSource

__all__ = ["DaskSource", "SparkSource"]

_ROWS = 20_000  # that are objects of Python at once


class DaskSource(Source):
    """A Dask DataFrame.

    Each pass is one task a partition, and a tree of tasks that merge what these return.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
    """

    def __init__(self, frame: Any) -> None:
        import pyarrow as pa

        schema = pa.Schema.from_pandas(frame._meta_nonempty, preserve_index=False)
        super().__init__("the Dask DataFrame", schema)
        self._frame = frame

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Bring the partitions here, one after the other."""
        frame = self._frame[list(columns)]
        for k in range(frame.npartitions):
            yield _table(frame.get_partition(k).compute())

    def gather[T: Merges](self, work: Callable[[Source], T], columns: Sequence[str]) -> T:
        """Sum each partition by a task where it is, and merge in pairs."""
        import dask

        sums, shared = dask.delayed(_sums_of_frame), dask.delayed(work, traverse=False)
        parts = [
            sums(part, shared, f"partition {k} of {self.name}")
            for k, part in enumerate(self._frame[list(columns)].to_delayed())
        ]
        while len(parts) > 1:
            pairs = [dask.delayed(_merged)(*parts[k : k + 2]) for k in range(0, len(parts) - 1, 2)]
            parts = pairs + parts[2 * len(pairs) :]
        found: T = parts[0].compute()
        return found


class SparkSource(Source):
    """A Spark DataFrame.

    Each pass is ``mapInArrow`` over the partitions; what these return is merged here.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    """

    def __init__(self, frame: Any) -> None:
        super().__init__("the Spark DataFrame", frame.limit(0).toArrow().schema)
        self._frame = frame

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Bring the partitions here, one after the other."""
        import pyarrow as pa

        frame, own = self._selected(columns), _only(self.schema, columns)
        for rows in itertools.batched(frame.toLocalIterator(), _ROWS):
            yield pa.Table.from_pylist([row.asDict() for row in rows], schema=own)

    def gather[T: Merges](self, work: Callable[[Source], T], columns: Sequence[str]) -> T:
        """Sum each partition where it is."""
        own, name = _only(self.schema, columns), f"a partition of {self.name}"
        over = functools.partial(_pickled_sums, work=work, schema=own, name=name)
        rows = self._selected(columns).mapInArrow(over, "sums binary").toLocalIterator()
        found = None
        for row in rows:
            made = pickle.loads(row["sums"])  # noqa: S301, what own tasks have made
            found = made if found is None else _merged(found, made)
        if found is None:
            raise DataError("the data have no rows")
        return found

    def _selected(self, columns: Sequence[str]) -> Any:
        return self._frame.select(*("`" + name.replace("`", "``") + "`" for name in columns))


def _only(schema: Any, columns: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in columns])


def _table(frame: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


def _sums_of_frame(frame: Any, work: Callable[[Source], Any], name: str) -> Any:
    table = _table(frame)
    return _sums(work, TableSource([table], table.schema, name))


def _pickled_sums(
    batches: Iterator[Any], *, work: Callable[[Source], Any], schema: Any, name: str
) -> Iterator[Any]:
    """What a partition of Spark returns: one row, with the sums in pickled form."""
    import pyarrow as pa

    made = pickle.dumps(_sums(work, TableSource(batches, schema, name)))
    yield pa.RecordBatch.from_pydict({"sums": pa.array([made], pa.binary())})


def _sums(work: Callable[[Source], Any], source: Source) -> Any:
    try:
        return work(source)
    except DataError as error:
        raise DataError(f"in {source.name}: {error}") from error


def _merged(one: Any, other: Any) -> Any:
    one.merge(other)
    return one
