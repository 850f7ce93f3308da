"""Sums over rows that are read in batches, in the place of the rows."""

from bayesmix.streaming.design import StreamedRows, streamed_design

__all__ = ["StreamedRows", "streamed_design"]
