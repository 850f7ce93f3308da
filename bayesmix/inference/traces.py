"""The draws of a run of nutpie, as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["arrays_of"]


def arrays_of(
    batches: Iterable[Any], tuning: Iterable[np.ndarray], names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Columns of nutpie's tables, one table a chain, after the warm-up.

    Parameters
    ----------
    batches : iterable of Arrow record batches
        One a chain, with a row for each draw.
    tuning : iterable of ndarray of bool
        Which rows belong to the warm-up.
    names : iterable of str
        Columns that are wanted; those that a table does not have are left out.

    Returns
    -------
    dict of str to ndarray, shape (chains, draws, ...)
        Chains that were interrupted are padded: with NaN, or zero where there is none.
    """
    import pyarrow

    tables = [
        (pyarrow.record_batch(batch), ~warm) for batch, warm in zip(batches, tuning, strict=True)
    ]
    longest = max((int(kept.sum()) for _, kept in tables), default=0)
    found: dict[str, np.ndarray] = {}
    for name in names:
        if any(name not in table.schema.names for table, _ in tables):
            continue
        chains = [_column(table, name)[kept] for table, kept in tables]
        fill = np.nan if chains[0].dtype.kind == "f" else 0
        padded = np.full((len(chains), longest, *chains[0].shape[1:]), fill, chains[0].dtype)
        for chain, values in zip(padded, chains, strict=True):
            chain[: len(values)] = values
        found[name] = padded
    return found


def _column(table: Any, name: str) -> np.ndarray:
    """Values of one column, shape (rows, ...)."""
    shape = (table.schema.field(name).metadata or {}).get(b"shape", b"").decode()
    values = table.column(name)
    flat = values.flatten() if hasattr(values, "flatten") else values
    sizes = [int(size) for size in shape.split(",")] if shape else []
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(table.num_rows, *sizes)
