"""`Source`: columns that can be read over and over, a batch of rows at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["ROWS", "Source"]

ROWS = 131_072  # of a batch


class Source(ABC):
    """Where rows are, and how to read some columns of them.

    Every pass reads all rows anew. Batches may come in any order and size, but must hold
    the same rows in each pass.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in messages."""

    @property
    @abstractmethod
    def schema(self) -> Any:
        """Names and types of the columns, a pyarrow Schema."""

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Read the columns, as pyarrow record batches or tables.

        Parameters
        ----------
        columns : sequence of str
            Columns that there are.
        """

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.schema.names]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.columns[:12])}>"
