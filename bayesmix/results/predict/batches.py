"""Predictions for rows that are read in batches, one table after the other or into a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmix.design.frame import select_columns
from bayesmix.errors import ArgumentError, DataError, FileError, NotSupportedError
from bayesmix.results.files.places import as_path, draft_folder, found_there
from bayesmix.sources import Source, open_source
from bayesmix.statement.stated import StatedModel

__all__ = ["predicted_batches", "rows_in_batches", "write_batches"]

Predict = Callable[[pd.DataFrame], pd.DataFrame]


def rows_in_batches(model: StatedModel, data: Any) -> bool:
    """Whether the rows of a fit are read in batches, by itself or from `data`.

    Raises
    ------
    NotSupportedError
        If data are given, and the fit has its rows.
    """
    if model.design.streamed is not None:
        return True
    if data is not None:
        raise NotSupportedError(
            "data= says where the rows are that a fit has read in batches, and this one has its "
            "rows: leave data= out, or fit the model to other data by update(data=...)"
        )
    return False


def predicted_batches(
    model: StatedModel, data: Any, predict: Predict
) -> Iterator[pd.DataFrame]:  # fmt: skip
    """Predict the rows of a source, a batch at a time.

    Parameters
    ----------
    model : StatedModel
    data : any
        What `open_source` opens.
    predict : callable
        Makes the table of a frame.

    Returns
    -------
    iterator of DataFrame
        Labelled by the positions of the rows in the source.

    Raises
    ------
    DataError
        Naming the rows of the batch.
    """
    return _tables(model, open_source(data), predict)


def _tables(model: StatedModel, source: Source, predict: Predict) -> Iterator[pd.DataFrame]:
    used = (*model.whole_formula.columns, *model.row_columns.values())
    columns = [name for name in dict.fromkeys(used) if name in source.columns]
    start = 0
    for batch in source.batches(columns):
        n = batch.num_rows
        if not n:
            continue
        frame = _frame(batch, columns, dates_are_text=model.design.streamed is not None)
        frame.index = pd.RangeIndex(start, start + n)
        try:
            yield predict(frame)
        except DataError as error:
            raise DataError(
                f"in the batch of rows {start} to {start + n - 1} of {source.name}: {error}"
            ) from error
        start += n


def _frame(batch: Any, columns: list[str], *, dates_are_text: bool) -> pd.DataFrame:
    import pyarrow as pa

    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    if dates_are_text:  # as they are in a fit to batches
        for at, field in enumerate(table.schema):
            if pa.types.is_date(field.type):
                table = table.set_column(at, field.name, table.column(at).cast(pa.string()))
    return select_columns(table, columns) if columns else pd.DataFrame(index=range(len(table)))


def write_batches(tables: Iterator[pd.DataFrame], to: str | os.PathLike[str]) -> Path:
    """Write tables below each other into a parquet file, which is there when it is complete.

    Parameters
    ----------
    tables : iterator of DataFrame
    to : str or path
        Ending in .parquet. A former file is replaced.

    Returns
    -------
    Path

    Raises
    ------
    ArgumentError
        If the ending is another.
    FileError
        If the place cannot be written.
    DataError
        If there are no rows, or as the tables.
    """
    target = as_path(to)
    if target.suffix != ".parquet":
        raise ArgumentError(f"to={str(to)!r} must end in .parquet")
    if found_there(target.parent) is None or target.is_dir():
        raise FileError(f"{str(target)!r} cannot be written: there is no such folder, or it is one")
    try:
        with draft_folder(target.absolute()) as draft:
            _write(tables, draft / target.name)
            os.replace(draft / target.name, target)
    except OSError as error:
        raise FileError(f"{str(target)!r} cannot be written: {error}") from error
    return target


def _write(tables: Iterator[pd.DataFrame], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for table in tables:
            made = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, made.schema)
            writer.write_table(made)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise DataError("the data have no rows")
