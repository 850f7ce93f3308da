"""Which data are read in batches, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bayesmix.errors import DataError
from bayesmix.sources.arrow import ArrowSource, open_files
from bayesmix.sources.cluster import DaskSource, SparkSource
from bayesmix.sources.lazy import DuckSource, PolarsSource
from bayesmix.sources.source import Source

__all__ = ["is_source", "open_source"]

_OF_PACKAGES: dict[str, Callable[[Any], Source]] = {
    "polars": PolarsSource, "duckdb": DuckSource, "dask": DaskSource, "pyspark": SparkSource
}  # fmt: skip
_FILES = (".parquet", ".parq", ".pq")


def is_source(data: Any) -> bool:
    """Whether the data are read in batches, and are no table in memory.

    Parameters
    ----------
    data : any
    """
    if isinstance(data, str | Path):
        path = Path(data)
        return path.suffix in _FILES or str(data).endswith("/") or path.is_dir()
    return isinstance(data, Source) or _kind(data) != ""


def open_source(data: Any) -> Source:
    """Make a source of what `is_source` says is one.

    Parameters
    ----------
    data : str, Path, pyarrow dataset, polars LazyFrame, DuckDB relation, Dask or Spark
        DataFrame, or Source

    Raises
    ------
    DataError
        If a file is not there, cannot be read, or two columns have one name.
    """
    if isinstance(data, Source):
        source = data
    elif isinstance(data, str | Path):
        source = open_files(data)
    elif _kind(data) in _OF_PACKAGES:
        source = _OF_PACKAGES[_kind(data)](data)
    else:
        source = ArrowSource(data, "the dataset")
    names = source.columns
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"the data have {names.count(twice)} columns called `{twice}`")
    return source


def _kind(data: Any) -> str:
    """Whose object it is, told without importing what has not been."""
    own = {(t.__module__.partition(".")[0].lstrip("_"), t.__name__) for t in type(data).__mro__}
    if ("polars", "LazyFrame") in own:
        return "polars"
    if ("duckdb", "DuckDBPyRelation") in own:
        return "duckdb"
    if type(data).__name__ == "DataFrame" and ({"dask", "pyspark"} & {name for name, _ in own}):
        return type(data).__module__.partition(".")[0].replace("dask_expr", "dask")
    return "arrow" if ("pyarrow", "Dataset") in own else ""
