"""Trees of arrays in files: netCDF or zarr, written whole or not at all, read without trust."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import FileError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["as_path", "read_tree", "writable_place", "write_tree"]

_NETCDF = (".nc", ".netcdf", ".nc4", ".h5")
_ZARR = ".zarr"
# What may decode an array. zarr has others, one of which unpickles.
_CODECS = frozenset(
    {"bytes", "vlen-utf8", "vlen-bytes", "zstd", "blosc", "gzip", "crc32c", "transpose",
     "sharding_indexed"}
)  # fmt: skip
_MOST_COMPRESSED = 2000  # bytes in memory for one in the file; deflate reaches 1032
_READERS_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError,
    RuntimeError, RecursionError, MemoryError, OverflowError,
)  # fmt: skip


def write_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a tree, replacing what a former call wrote there.

    It is written beside its place and moved there when complete.

    Parameters
    ----------
    tree : DataTree
        Its attributes are text and numbers.
    path : str or path
        Ending in .nc (netCDF 4, one file) or .zarr (a folder).

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the ending is another, the folder does not exist, or something else than a
        former result is there.
    """
    target = writable_place(path)
    kind = _kind(target)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
            draft = Path(folder) / target.name
            if kind == "zarr":
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Consolidated metadata")
                    tree.to_zarr(draft, zarr_format=3)
            else:
                tree.to_netcdf(draft, engine="h5netcdf")
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(draft, target)
    except OSError as error:
        raise FileError(f"{str(target)!r} cannot be written: {error}") from error
    return target


def as_path(path: Any) -> Path:
    """Return a path with the home folder in it; ``~`` is that.

    Raises
    ------
    FileError
        If it is no path at all.
    """
    if not isinstance(path, str | os.PathLike):
        raise FileError(f'{path!r} is not a path; write one as text, such as "fit.nc"')
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~ of nobody
        raise FileError(f"{path!r} is no path of a file: {error}") from error


def writable_place(path: str | os.PathLike[str]) -> Path:
    """Check that a result could be written there, before the work of making one.

    Raises
    ------
    FileError
        As `write_tree`.
    """
    target = as_path(path)
    kind = _kind(target)
    if not target.parent.is_dir():
        raise FileError(f"there is no folder {str(target.parent)!r} to save {target.name!r} in")
    if target.is_dir() and not (kind == "zarr" and (target / "zarr.json").is_file()):
        raise FileError(f"{str(target)!r} is a folder that bayesmix did not write")
    return target


def read_tree(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a tree into memory and close its file.

    Nothing that the file holds is unpickled or executed.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    DataTree

    Raises
    ------
    FileError
        If there is no such file, or it is damaged or not what its ending says.
    """
    import xarray as xr

    source = as_path(path)
    kind = _kind(source)
    if not source.exists():
        raise FileError(f"there is no file {str(source)!r}")
    if kind == "zarr":
        _check_codecs(source)
    engine: Any = {"zarr": "zarr", "netcdf": "h5netcdf"}[kind]
    options: dict[str, Any] = {"consolidated": False} if kind == "zarr" else {"phony_dims": "sort"}
    try:
        with xr.open_datatree(source, engine=engine, **options) as opened:
            _check_sizes(opened, source)
            return opened.load()
    except _READERS_ERRORS as error:
        what = "zarr folder" if kind == "zarr" else "netCDF file"
        raise FileError(f"{str(source)!r} is no readable {what}: {error}") from error


def _kind(path: Path) -> str:
    if path.suffix in _NETCDF:
        return "netcdf"
    if path.suffix != _ZARR:
        raise FileError(f"{str(path)!r} must end in .nc (netCDF, one file) or .zarr (a folder)")
    return "zarr"


def _check_codecs(folder: Path) -> None:
    """Refuse a zarr store that asks for a decoder which could run code."""
    if not (folder / "zarr.json").is_file():
        raise FileError(f"{str(folder)!r} is no zarr folder of format 3, which bayesmix writes")
    for file in folder.rglob("*"):
        if file.name in {".zarray", ".zgroup", ".zmetadata"}:
            raise FileError(f"{str(folder)!r} holds arrays of zarr format 2, which are not read")
        if file.name != "zarr.json":
            continue
        try:
            described = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{str(file)!r} cannot be read: {error}") from error
        for codec in _codecs(described):
            if codec not in _CODECS:
                raise FileError(f"{str(file)!r} asks for the decoder {codec!r}, which is not used")


def _codecs(described: Any) -> Iterator[str]:
    """Names of the decoders anywhere in the description of an array."""
    pending = [described]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if key.endswith("codecs") or key in {
                    "filters",
                    "compressor",
                    "storage_transformers",
                }:
                    entries = inner if isinstance(inner, list) else [inner]
                    for entry in entries:
                        name = entry.get("name") if isinstance(entry, dict) else entry
                        if name is not None:
                            yield str(name)
                pending.append(inner)
        elif isinstance(value, list):
            pending += value


def _check_sizes(tree: xr.DataTree, source: Path) -> None:
    """Refuse arrays that the file cannot hold: only their shapes are written there."""
    files = source.rglob("*") if source.is_dir() else [source]
    on_disk = sum(file.stat().st_size for file in files if file.is_file())
    needed = sum(
        int(np.prod(values.shape, dtype=object)) * max(1, values.dtype.itemsize)
        for node in tree.subtree
        for values in node.variables.values()
    )
    if needed > _MOST_COMPRESSED * (on_disk + 1000):
        raise ValueError(f"it claims {needed:.3g} bytes of arrays in a file of {on_disk}")
