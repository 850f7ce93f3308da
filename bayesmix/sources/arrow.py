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
        super().__init__(name, dataset.schema)
        self._dataset = dataset

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
        codes = _codes_of_folders(dataset, where)
        if codes:
            as_written = ds.partitioning(pa.schema(codes), flavor="hive")
            dataset = ds.dataset(where, format="parquet", partitioning=as_written)
        empty = not dataset.schema.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as parquet: {error}") from error
    if empty:
        raise DataError(f"the folder {str(path)!r} has no parquet file")
    return ArrowSource(dataset, repr(str(path)))


def _codes_of_folders(dataset: Any, where: Path) -> list[tuple[str, Any]]:
    """Columns that the names of folders hold, where 001 would be read as the number 1.

    Returns
    -------
    list of (str, DataType)
        All of them, such codes as text; empty where there are none.
    """
    import pyarrow as pa

    texts: dict[str, set[str]] = {}
    for file in dataset.files:
        for part in Path(file).relative_to(where).parts[:-1]:
            name, is_one, text = part.partition("=")
            if is_one:
                texts.setdefault(name, set()).add(text)
    types = {name: dataset.schema.field(name).type for name in texts}
    codes = {
        name for name, found in texts.items()
        if pa.types.is_integer(types[name])
        and any(text.lstrip("-").isdigit() and text != str(int(text)) for text in found)
    }  # fmt: skip
    if not codes:
        return []
    return [(name, pa.string() if name in codes else kind) for name, kind in types.items()]
