"""`Source`: columns that can be read over and over, a batch of rows at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

__all__ = ["ROWS", "Merges", "Source", "TableSource"]

ROWS = 131_072  # of a batch


class Merges(Protocol):
    """Sums over rows, to which those of other rows can be added."""

    def merge(self, other: Self) -> Any:
        """Add what `other` has summed, which is of the same kind."""


class Source(ABC):
    """Where rows are, and how to read some columns of them.

    Every pass reads all rows anew. Batches may come in any order and size, but must hold
    the same rows in each pass.

    Parameters
    ----------
    name : str
        What it is called in messages.
    schema : pyarrow Schema
        Names and types of the columns.
    """

    def __init__(self, name: str, schema: Any) -> None:
        self.name, self.schema = name, schema

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Read the columns, as pyarrow record batches or tables.

        Parameters
        ----------
        columns : sequence of str
            Columns that there are.
        """

    def gather[T: Merges](self, work: Callable[[Source], T], columns: Sequence[str]) -> T:
        """Let each part of the rows be read where it is, and merge what is made of the parts.

        Parameters
        ----------
        work : callable
            Reads the batches of a source once, and returns sums over its rows.
        columns : sequence of str
            Columns that it reads.
        """
        return work(self)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.schema.names]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.columns[:12])}>"


class TableSource(Source):
    """A table, or an iterator of batches that is read once: a part of the rows of another source.

    Parameters
    ----------
    tables : iterable of pyarrow table or record batch
    schema : pyarrow Schema
    name : str
    """

    def __init__(self, tables: Any, schema: Any, name: str) -> None:
        super().__init__(name, schema)
        self._tables = tables

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Read the columns."""
        for table in self._tables:
            yield table.select(list(columns))
