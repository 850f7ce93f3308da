"""Data that are read batch by batch: what a table may be that no memory holds."""

from bayesmix.sources.opening import is_source, open_source
from bayesmix.sources.source import Merges, Source, TableSource

__all__ = ["Merges", "Source", "TableSource", "is_source", "open_source"]
