"""Parquet files, folders of them, and other datasets of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bayesmix.errors import DataError
from bayesmix.sources.source import ROWS, Source

__all__ = ["ArrowSource", "open_files"]


class ArrowSource(Source):
    """A pyarrow dataset.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    name : str
    """

    def __init__(self, dataset: Any, name: str) -> None:
        self._dataset, self._name = dataset, name

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._name

    @property
    def schema(self) -> Any:
        """Names and types of the columns."""
        return self._dataset.schema

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Read the columns; little is read ahead, so that memory is that of few batches."""
        import pyarrow.dataset as ds

        options: dict[str, Any] = {}
        if isinstance(getattr(self._dataset, "format", None), ds.ParquetFileFormat):
            # Pages are read as they are wanted, and not a group of rows at once.
            options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(
                use_buffered_stream=True, pre_buffer=False
            )
        scanner = self._dataset.scanner(
            columns=list(columns), batch_size=ROWS, batch_readahead=2, fragment_readahead=1,
            **options,
        )  # fmt: skip
        yield from scanner.to_batches()


def open_files(path: str | Path) -> ArrowSource:
    """Open a parquet file, or a folder of them.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    DataError
        If there is none, or it is no parquet.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    where = Path(path)
    try:
        found = where.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or holds NUL
        raise DataError(f"{str(path)!r} is no path that can be read: {error}") from error
    if not found:
        what = "folder" if str(path).endswith("/") else "file"
        raise DataError(f"there is no {what} {str(path)!r}")
    try:
        dataset = ds.dataset(where, format="parquet", partitioning="hive")
        empty = not dataset.schema.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as parquet: {error}") from error
    if empty:
        raise DataError(f"the folder {str(path)!r} has no parquet file")
    return ArrowSource(dataset, repr(str(path)))
