"""Sums over rows that are read in batches, in the place of the rows."""

from bayesmix.streaming.design import StreamedRows, streamed_design
from bayesmix.streaming.remembered import Remembered

__all__ = ["Remembered", "StreamedRows", "streamed_design"]
