"""Queries of polars and DuckDB, which are run anew for each pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bayesmix.sources.source import ROWS, Source

__all__ = ["DuckSource", "PolarsSource"]


class PolarsSource(Source):
    """A polars LazyFrame.

    Parameters
    ----------
    query : polars.LazyFrame
    """

    def __init__(self, query: Any) -> None:
        super().__init__("the LazyFrame", query.head(0).collect().to_arrow().schema)
        self._query = query

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Run the query and read its columns."""
        for frame in self._query.select(list(columns)).collect_batches(chunk_size=ROWS):
            yield frame.to_arrow()


class DuckSource(Source):
    """A DuckDB relation.

    Parameters
    ----------
    relation : duckdb.DuckDBPyRelation
    """

    def __init__(self, relation: Any) -> None:
        super().__init__("the DuckDB relation", self._reader(relation.limit(0)).schema)
        self._relation = relation

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Run the query and read its columns."""
        quoted = ('"' + name.replace('"', '""') + '"' for name in columns)
        yield from self._reader(self._relation.project(", ".join(quoted)))

    @staticmethod
    def _reader(relation: Any) -> Any:
        # The second is what versions before 1.4 call it.
        read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
        return read(ROWS)
