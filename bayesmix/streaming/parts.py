"""Rows of a fit to sums, a batch at a time: designs of some rows, with all levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.design import Design
from bayesmix.errors import DataError
from bayesmix.sources import open_source
from bayesmix.streaming.rows import Batch

__all__ = ["batches_again", "design_of_batch", "joined_batches"]


def batches_again(design: Design, data: Any = None) -> Iterator[Batch]:
    """Read the rows of a design once more.

    Parameters
    ----------
    design : Design
        Made by `streamed_design`.
    data : any, optional
        What `open_source` opens: the same rows, where the design knows sums alone.

    Yields
    ------
    Batch
        With the columns of X that the design keeps.

    Raises
    ------
    NotSupportedError
        If the rows are needed, and a file has none of them.
    DataError
        If the rows are not those of the design: columns that are not there, a level that was
        not seen, or another number of them.
    """
    rows, kept = design.streamed.rows, design.streamed.kept
    if data is not None:
        source = open_source(data)
        absent = [name for name in rows.columns if name not in source.columns]
        if absent:
            raise DataError(
                f"{source.name} has no column `{absent[0]}`, which the model uses: data= wants the "
                "rows that were fitted"
            )
        rows = replace(rows, source=source, _finders={})
    n = 0
    for batch in rows.batches():
        n += len(batch.y)
        every = len(kept) == batch.X.shape[1]
        yield batch if every else replace(batch, X=batch.X[:, kept])
    if n != design.n_obs:
        raise DataError(
            f"{rows.source.name} has {n} complete rows, and the model was fitted to {design.n_obs}"
        )


def design_of_batch(design: Design, batch: Batch) -> Design:
    """The design with the rows of a batch, and the levels of all rows.

    Parameters
    ----------
    design : Design
    batch : Batch
        As `batches_again` yields it.
    """
    mu, positions = design.mu, np.asarray(batch.labels)
    groups = tuple(
        replace(group, Z=Z, index=index.astype(np.int32))
        for group, Z, index in zip(mu.groups, batch.Z, batch.index, strict=True)
    )
    return replace(
        design,
        predictors={"mu": replace(mu, X=batch.X, offset=batch.offset, groups=groups)},
        response=batch.y,
        frame=batch.frame,
        kinds=None,
        row_labels=batch.labels,
        rows=positions,
        weights=batch.beside.get("weights"),
        known_se=batch.beside.get("known_se"),
        extras=batch.extras,
        streamed=None,
    )


def joined_batches(batches: Sequence[Batch]) -> Batch:
    """Put batches behind each other."""
    first = batches[0]
    return Batch(
        X=np.concatenate([one.X for one in batches]),
        y=np.concatenate([one.y for one in batches]),
        offset=None
        if first.offset is None
        else np.concatenate([one.offset for one in batches if one.offset is not None]),
        beside={
            name: np.concatenate([one.beside[name] for one in batches]) for name in first.beside
        },
        extras={
            name: np.concatenate([one.extras[name] for one in batches]) for name in first.extras
        },
        Z=tuple(np.concatenate(parts) for parts in zip(*(one.Z for one in batches), strict=True)),
        index=tuple(
            np.concatenate(parts) for parts in zip(*(one.index for one in batches), strict=True)
        ),
        labels=pd.Index(np.concatenate([np.asarray(one.labels) for one in batches])),
        frame=pd.concat([one.frame for one in batches], ignore_index=True),
    )
