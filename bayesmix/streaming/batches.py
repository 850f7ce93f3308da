"""Record batches become small pandas frames of complete rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import DataError
from bayesmix.sources import Source

__all__ = ["RawBatch", "raw_batches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBatch:
    """Some rows of the data.

    Attributes
    ----------
    frame : DataFrame
        The complete rows, labelled by their positions in the data: numbers, truth values,
        and categoricals for text.
    n_given : int
        Rows with the incomplete ones.
    holes : dict of str to int
        Missing values by column, where there are some.
    """

    frame: pd.DataFrame
    n_given: int
    holes: Mapping[str, int]


def raw_batches(source: Source, columns: Sequence[str]) -> Iterator[RawBatch]:
    """Read columns of all rows.

    Parameters
    ----------
    source : Source
    columns : sequence of str

    Raises
    ------
    DataError
        If a column is of a kind that is not read in batches.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    start = 0
    for given in source.batches(columns):
        table = pa.Table.from_batches([given]) if isinstance(given, pa.RecordBatch) else given
        n = table.num_rows
        if not n:
            continue
        holes, incomplete = {}, np.zeros(n, dtype=bool)
        for name in columns:
            column = table.column(name)
            floating = pa.types.is_floating(column.type)
            if column.null_count or floating:
                missing = pc.is_null(column, nan_is_null=floating).to_numpy()
                if missing.any():
                    holes[name] = int(missing.sum())
                    incomplete |= missing
        labels: pd.Index[Any] = pd.RangeIndex(start, start + n)
        if holes:
            keep = np.flatnonzero(~incomplete)
            table, labels = table.take(keep), labels[keep]
        values = {name: _values(table.column(name), name) for name in columns}
        frame = pd.DataFrame(values, index=labels, copy=False)
        yield RawBatch(frame=frame, n_given=n, holes=holes)
        start += n


def _values(column: Any, name: str) -> Any:
    """One column without missing values, as numpy or pandas has it."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        if str(kind) == "string_view":
            column = column.cast(pa.large_string())
        column = column.dictionary_encode()
    elif pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_float32(kind):
        column = column.cast(pa.float64())
    elif not (
        pa.types.is_integer(kind) or pa.types.is_float64(kind) or pa.types.is_boolean(kind)
        or pa.types.is_dictionary(kind)
    ):  # fmt: skip
        raise DataError(
            f"column `{name}` holds {kind}, which is not read in batches; make it a number, text "
            "or a category in the data"
        )
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        values = column.dictionary.to_pandas().astype(object).to_numpy()
        codes = column.indices.to_numpy(zero_copy_only=False)
        return pd.Categorical.from_codes(
            codes, categories=pd.Index(values, dtype=object), ordered=column.type.ordered
        )
    return column.to_numpy()
