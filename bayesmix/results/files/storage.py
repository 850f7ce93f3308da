"""Trees of arrays in files: netCDF or zarr, written whole or not at all, read without trust."""

from __future__ import annotations

import json
import os
import stat
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmix.errors import OWN_FILES, DataWarning, FileError
from bayesmix.memory import available_bytes
from bayesmix.results.files.checksums import changed_array, sums_of
from bayesmix.results.files.netcdf_check import checked_netcdf, identity, mark_as_checked
from bayesmix.results.files.places import (
    as_path,
    draft_folder,
    drafts_in,
    found_there,
    move_into_place,
    write_whole,
)
from bayesmix.results.files.zarr_check import check_zarr

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MODEL_GROUP", "read_tree", "writable_place", "write_tree"]

MODEL_GROUP = "bayesmix_model"
_CONTENTS = "contents"  # attribute of that group: the names that were written
_SUMS = "checksums"  # and another
_NETCDF = (".nc", ".netcdf", ".nc4", ".h5")
_ZARR = ".zarr"
_TRIES = 8  # of reading what another process replaces meanwhile
_PAUSE = 0.05  # seconds between them
_READERS_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError,
    RuntimeError, RecursionError, MemoryError, OverflowError,
)  # fmt: skip


def write_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a tree, replacing what a former call wrote there.

    It is written beside its place and moved there when complete. A netCDF file is made
    in memory first: the library that writes it does not survive a full disk.

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
        If the ending is another, the folder does not exist, something else than a
        former result is there, or the disk is full. What was there is untouched then.
    """
    target = writable_place(path)
    if MODEL_GROUP in tree.children:
        contents = {name: sorted(map(str, node.variables)) for name, node in tree.children.items()}
        tree[MODEL_GROUP].attrs[_CONTENTS] = json.dumps(contents)
        groups = {name: node.to_dataset(inherit=False) for name, node in tree.children.items()}
        tree[MODEL_GROUP].attrs[_SUMS] = sums_of(groups)
    try:
        if _kind(target) == "zarr":
            _write_zarr(tree, target.absolute())
        else:
            content: Any = tree.to_netcdf(engine="h5netcdf")
            write_whole(target, content)
            mark_as_checked(target)
    except FileError:
        raise
    except (OSError, MemoryError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise FileError(f"{str(target)!r} cannot be written: {reason}") from error
    return target


def _write_zarr(tree: xr.DataTree, target: Path) -> None:
    from zarr.storage import LocalStore

    with draft_folder(target) as draft, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        # A store, not a path: some paths are read as addresses on the net.
        store: Any = LocalStore(draft / "new")
        tree.to_zarr(store, zarr_format=3)
        move_into_place(draft, target)


def writable_place(path: str | os.PathLike[str]) -> Path:
    """Check that a result could be written there, before the work of making one.

    Raises
    ------
    FileError
        As `write_tree`.
    """
    target = as_path(path)
    kind = _kind(target)
    folder = found_there(target.parent)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise FileError(f"there is no folder {str(target.parent)!r} to save {target.name!r} in")
    there = found_there(target)
    if there is None:
        return target
    if stat.S_ISDIR(there.st_mode):
        if kind != "zarr" or not (target / MODEL_GROUP / "zarr.json").is_file():
            raise FileError(f"{str(target)!r} is a folder that bayesmix did not write")
    elif kind == "zarr" or not stat.S_ISREG(there.st_mode):
        raise FileError(f"{str(target)!r} is there and is nothing that bayesmix wrote")
    return target


def read_tree(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a tree into memory and close its file.

    Nothing that the file holds is unpickled or executed, and nothing is read that lies
    outside it, or that `write_tree` did not write.

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
    source = as_path(path)
    kind = _kind(source)
    for attempt in range(_TRIES):
        # Another process may be replacing what is there.
        before = _store_identity(source, kind)
        last = attempt == _TRIES - 1
        try:
            if not before:
                if last or not any(drafts_in(source.absolute().parent)):
                    raise FileError(f"there is no file {str(source)!r}")
            else:
                tree = _read_zarr(source) if kind == "zarr" else _read_netcdf(source)
                if last or _store_identity(source, kind) == before:
                    return tree
        except FileError:
            if last or _store_identity(source, kind) == before:
                raise
        time.sleep(_PAUSE)
    raise AssertionError("the last attempt returns or raises")


def _store_identity(source: Path, kind: str) -> tuple[int, ...]:
    found = identity(source)
    # A folder's times change with its files; it is another one where its number is.
    return found[:2] if kind == "zarr" else found


def _read_netcdf(source: Path) -> xr.DataTree:
    there = found_there(source)
    if there is None or not stat.S_ISREG(there.st_mode):
        raise FileError(f"{str(source)!r} is no file")
    _check_memory(source, there.st_size)
    with checked_netcdf(source):
        import h5netcdf  # noqa: F401
        import xarray as xr
    try:
        with xr.open_datatree(
            source.absolute(), engine="h5netcdf", phony_dims="sort"
        ) as opened:  # fmt: skip
            return _what_was_written(opened, source)
    except FileError:
        raise
    except _READERS_ERRORS as error:
        raise FileError(f"{str(source)!r} is no readable netCDF file: {error}") from error


def _read_zarr(source: Path) -> xr.DataTree:
    import xarray as xr
    from zarr.errors import ZarrUserWarning
    from zarr.storage import LocalStore

    if not source.is_dir():
        raise FileError(f"{str(source)!r} is no folder")
    try:
        _check_memory(source, check_zarr(source))
        store: Any = LocalStore(source.absolute(), read_only=True)
        with warnings.catch_warnings():
            # What is missing is said by the error, and what was added is not read.
            warnings.simplefilter("ignore", ZarrUserWarning)
            with xr.open_datatree(store, engine="zarr", consolidated=False) as opened:
                return _what_was_written(opened, source)
    except FileError:
        raise
    except _READERS_ERRORS as error:
        raise FileError(f"{str(source)!r} is no readable zarr folder: {error}") from error


def _what_was_written(opened: xr.DataTree, source: Path) -> xr.DataTree:
    """Load the groups and variables that a save wrote, and leave what was added to them."""
    import xarray as xr

    contents = None
    sums: dict[str, dict[str, int]] = {}
    if MODEL_GROUP in opened.children:
        sums = json.loads(opened[MODEL_GROUP].attrs.get(_SUMS, "{}"))
        text = opened[MODEL_GROUP].attrs.get(_CONTENTS)
        contents = None if text is None else json.loads(text)  # older files do not say
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=opened.attrs)}
    added = [str(name) for name in opened.variables]
    for name, node in opened.children.items():
        data = node.to_dataset(inherit=False)
        if contents is not None:
            added += [f"{name}/{v}" for v in data.variables if v not in contents.get(name, ())]
            data = data.drop_vars([v for v in data.variables if v not in contents.get(name, ())])
            if name not in contents:
                added.append(str(name))
                continue
        groups[name] = data.load()
        changed = changed_array(groups[name], sums.get(name, {}))
        if changed:
            raise FileError(
                f"{str(source)!r} is damaged: the numbers of {name}/{changed} are not those that "
                "were saved"
            )
    if added:
        warnings.warn(
            f"{str(source)!r} holds {_listed(added)}, which save() did not write: left out",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
    return xr.DataTree.from_dict(groups)


def _listed(added: list[str]) -> str:
    """Some of the names; what is no letter in them is spelt out, as terminals obey it."""
    return ", ".join(sorted(n if n.isprintable() else ascii(n) for n in added)[:5])


def _check_memory(source: Path, needed: int) -> None:
    free = available_bytes()
    if needed > free:
        raise FileError(
            f"{str(source)!r} holds {needed / 1e9:.1f} GB of arrays, and {free / 1e9:.1f} GB of "
            "memory are free"
        )


def _kind(path: Path) -> str:
    if path.suffix in _NETCDF:
        return "netcdf"
    if path.suffix != _ZARR:
        raise FileError(f"{str(path)!r} must end in .nc (netCDF, one file) or .zarr (a folder)")
    return "zarr"
