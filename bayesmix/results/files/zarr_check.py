"""Whether a zarr folder is built as `save` builds one, before anything in it is decoded."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bayesmix.errors import FileError

__all__ = ["check_zarr"]

MOST_FILES = 1_000_000
MOST_OBJECTS = 10_000
MOST_GROUPS = 100  # a fit has ten, and xarray takes hundredths of a second for each
FREE = 256_000_000  # bytes that a folder may decode to, whatever its size
RATIO = 100  # beyond: bytes in memory for one on disk
_MOST_DESCRIBED = 50_000_000  # bytes of one zarr.json: that of the model holds its formula
_DEEPEST = 12  # folders: group, array, c, and one per dimension
# What may decode an array, of what zarr has: one that it has unpickles.
_CODECS = {"bytes", "zstd", "vlen-utf8"}
_SIZES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4,
    "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
_ZSTD = b"\x28\xb5\x2f\xfd"
_FORMER = {".zarray", ".zgroup", ".zattrs", ".zmetadata"}


def check_zarr(folder: Path) -> int:
    """Look at every file of a store, and read none but its descriptions.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    int
        Bytes of all arrays in memory.

    Raises
    ------
    FileError
        If there is a link, something that is no file, a name that zarr does not give, a
        decoder that `save` does not use, or more than the folder can hold.
    """
    described, chunks, on_disk = _sorted_files(folder)
    arrays = {}
    for name, path in described.items():
        if name.count("/") > 1:
            raise _refused(folder, f"{name!r} is a group within a group")
        found = _array(folder, path)
        if found is not None:
            arrays[name] = found
    if len(described) - len(arrays) > MOST_GROUPS:
        raise _refused(folder, f"it holds more than {MOST_GROUPS} groups")
    needed = sum(_numbers(shape) * size for shape, _, size in arrays.values())
    for name, path, size in chunks:
        if name not in arrays:
            raise _refused(folder, f"{name!r} has numbers and no description")
        needed += _check_chunk(folder, path, size, arrays[name])
    if needed > max(FREE, RATIO * on_disk):
        raise _refused(folder, f"it claims {needed:.3g} bytes of arrays, and has {on_disk}")
    return needed


def _sorted_files(folder: Path) -> tuple[dict[str, Path], list[tuple[str, Path, int]], int]:
    """Descriptions by array or group, chunks with their arrays and sizes, and bytes on disk."""
    described: dict[str, Path] = {}
    chunks: list[tuple[str, Path, int]] = []
    on_disk = 0
    for name, size in _files(folder):
        on_disk += size
        above, _, last = name.rpartition("/")
        if last == "zarr.json":
            if size > _MOST_DESCRIBED or len(described) >= MOST_OBJECTS:
                raise _refused(folder, f"{name!r} is one description too many, or too long")
            described[above] = folder / name
        elif match := re.fullmatch(r"(.+?)/c((?:/[0-9]+)*)", name):
            chunks.append((match[1], folder / name, size))
        elif last in _FORMER:
            raise _refused(folder, "it holds arrays of zarr format 2, which are not read")
        else:
            raise _refused(folder, f"{name!r} is no file of zarr format 3")
    if "" not in described:
        raise _refused(folder, "it is no zarr folder of format 3, which bayesmix writes")
    return described, chunks, on_disk


def _refused(folder: Path, why: str) -> FileError:
    return FileError(f"{str(folder)!r} is no zarr folder that bayesmix wrote: {why}")


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names, with slashes, and sizes of all files below; links are refused, not followed."""
    pending, count = [("", folder, 0)], 0
    while pending:
        prefix, place, depth = pending.pop()
        if depth > _DEEPEST:
            raise _refused(folder, f"{prefix!r} lies too deep")
        with os.scandir(place) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                count += 1
                if count > MOST_FILES:
                    raise _refused(folder, f"it holds more than {MOST_FILES} files")
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    pending.append((f"{name}/", Path(entry.path), depth + 1))
                elif stat.S_ISREG(mode):
                    yield name, entry.stat(follow_symlinks=False).st_size
                else:
                    raise _refused(folder, f"{name!r} is a link or no file at all")


def _array(folder: Path, path: Path) -> tuple[list[int], list[int], int] | None:
    """Shape, shape of a chunk, and bytes per number; 0 for text. None of a group."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("node_type") not in {"array", "group"}:
        raise _refused(folder, f"{str(path)!r} describes neither an array nor a group")
    for codec in _codecs(found):
        if codec not in _CODECS:
            raise FileError(f"{str(path)!r} asks for the decoder {codec!r}, which is not used")
    if found["node_type"] == "group":
        return None
    try:
        shape, grid, kind = found["shape"], found["chunk_grid"], found["data_type"]
        chunk = grid["configuration"]["chunk_shape"]
        fine = (
            grid["name"] == "regular" and len(shape) == len(chunk) and not
            found.get("storage_transformers") and (kind in _SIZES or kind == "string")
            and all(type(n) is int and n >= 0 for n in shape)
            and all(type(n) is int and n >= 1 for n in chunk)
            and _numbers(chunk) <= max(1, _numbers(max(n, 1) for n in shape))
            and found["chunk_key_encoding"]["name"] == "default"
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise _refused(folder, f"{str(path)!r} is incomplete ({error!r})") from error
    if not fine:
        raise _refused(folder, f"{str(path)!r} describes an array as save() never writes it")
    return shape, chunk, _SIZES.get(kind, 0)


def _check_chunk(
    folder: Path, path: Path, size: int, array: tuple[list[int], list[int], int]
) -> int:
    """Bytes of text that a chunk decodes to; of numbers, none beside the array's own."""
    with path.open("rb") as file:
        claimed = _zstd_size(file.read(18))
    _, chunk, each = array
    if claimed is None:
        raise _refused(folder, f"{str(path)!r} does not say how long it is")
    if each:
        if claimed != _numbers(chunk) * each:
            raise _refused(folder, f"{str(path)!r} claims {claimed} bytes, which do not fit it")
        return 0
    # Each text is an object in memory, and four bytes tell its length in the file.
    if claimed > max(FREE, RATIO * size) or claimed < 4 * _numbers(chunk):
        raise _refused(folder, f"{str(path)!r} claims {claimed} bytes of text")
    return 16 * claimed


def _zstd_size(head: bytes) -> int | None:
    """Size of a zstd frame's content, as its first bytes give it."""
    if len(head) < 6 or head[:4] != _ZSTD:
        return None
    flags = head[4]
    single = flags >> 5 & 1
    width = (single, 2, 4, 8)[flags >> 6]
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    if not width or len(head) < start + width:
        return None
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)


def _numbers(shape: Any) -> int:
    return math.prod(shape)


def _codecs(described: Any) -> Iterator[str]:
    """Names of the decoders anywhere in the description of an array."""
    pending = [described]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "attributes":
                    continue
                if key.endswith("codecs") or key in {"filters", "compressor"}:
                    entries = inner if isinstance(inner, list) else [inner]
                    for entry in entries:
                        name = entry.get("name") if isinstance(entry, dict) else entry
                        if name is not None:
                            yield str(name)
                pending.append(inner)
        elif isinstance(value, list):
            pending += value
