"""The law of a fit at rows that are read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bayesmix.streaming import batches_again, design_of_batch

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.streaming.rows import Batch

__all__ = ["law_at_batch", "laws_at_batches"]


def laws_at_batches(law: Law, data: Any = None) -> Iterator[tuple[Batch, Law]]:
    """Read the rows of a fit once more, each batch with the law of the fit at its rows.

    Parameters
    ----------
    law : Law
    data : any, optional
        Where the rows are, if the fit does not know it.

    Raises
    ------
    DataError, NotSupportedError
        As `batches_again`.
    """
    for part, batch in enumerate(batches_again(law.model.design, data)):
        yield batch, law_at_batch(law, batch, part)


def law_at_batch(law: Law, batch: Batch, part: int) -> Law:
    """The law of a fit at the rows of one batch.

    Parameters
    ----------
    law : Law
    batch : Batch
    part : int
        Number of the batch, by which what is drawn for rows differs.
    """
    design = design_of_batch(law.model.design, batch)
    return law.at_rows(law.model.with_parts(design=design, y=batch.y), part)
