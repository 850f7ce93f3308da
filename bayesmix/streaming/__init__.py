"""Sums over rows that are read in batches, in the place of the rows."""

from bayesmix.streaming.by_level import LevelSums
from bayesmix.streaming.design import StreamedRows, streamed_design
from bayesmix.streaming.parts import batches_again, design_of_batch, joined_batches
from bayesmix.streaming.remembered import Remembered

__all__ = [
    "LevelSums", "Remembered", "StreamedRows", "batches_again", "design_of_batch", "joined_batches",
    "streamed_design",
]  # fmt: skip
