"""Whether an HDF5 file is built as `save` builds one: no loops, no ways out, no swelling.

HDF5 can refer to other files, to itself, and to more than it holds, and its library,
written in C, may turn in circles in a damaged file, deaf to signals. So a child process
runs this file alone, walks all that would be read, and is given up on after a while.
Nothing of the package is imported here.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MOST_OBJECTS = 10_000
MOST_GROUPS = 100  # a fit has ten, and xarray takes hundredths of a second for each
MOST_ATTRIBUTES = 200  # of one object
_MARGIN = 100_000  # bytes, for texts in files of a few lines
_AT_ONCE = 64  # texts read in one piece: each may be as long as the file
_SWELL = 10**9  # bytes of memory, beside eight times the file
_ONLY_A_DIMENSION = b"This is a netCDF dimension but not a netCDF variable"


class Refused(Exception):  # noqa: N818
    """What the file has that no fit has."""


def check(path: str) -> None:
    """Walk through a file.

    Parameters
    ----------
    path : str

    Raises
    ------
    Refused
        If the file holds something that `save` never writes.
    OSError, and whatever else h5py raises
        If the file is damaged.
    """
    with h5py.File(path, "r") as file:
        _Walk(file, os.path.getsize(path)).run()
    import h5netcdf  # what reads the file later takes the same steps

    with h5netcdf.File(path, "r", phony_dims="sort") as file:
        for group in (file, *file.groups.values()):
            dict(group.attrs)
            for variable in group.variables.values():
                _ = variable.dimensions, variable.shape, variable.dtype, dict(variable.attrs)


class _Walk:
    """One way through a file, over hard links only, to each object once."""

    def __init__(self, file: h5py.File, size: int) -> None:
        self.file, self.size = file, size
        self.seen: set[Any] = set()
        self.referred: set[Any] = set()
        self.bytes, self.text = 0, 0

    def run(self) -> None:
        self.once(self.file, "/")
        self.attributes(self.file, "/")
        n_groups = 0
        for name, found in self.members(self.file, ""):
            if isinstance(found, h5py.Dataset):
                self.dataset(found, name)
                continue
            n_groups += 1
            if n_groups > MOST_GROUPS:
                raise Refused(f"it holds more than {MOST_GROUPS} groups")
            self.attributes(found, name)
            for inner, below in self.members(found, name):
                if not isinstance(below, h5py.Dataset):
                    raise Refused(f"{inner!r} is a group within a group")
                self.dataset(below, inner)
        if not self.referred <= self.seen:
            raise Refused("it refers to something that is not in it")

    def once(self, found: Any, name: str) -> None:
        address = h5py.h5o.get_info(found.id).addr
        if address in self.seen:
            raise Refused(f"{name!r} is another name of something that it holds already")
        self.seen.add(address)
        if len(self.seen) > MOST_OBJECTS:
            raise Refused(f"it holds more than {MOST_OBJECTS} objects")

    def members(self, group: h5py.Group, above: str) -> Iterator[tuple[str, Any]]:
        if len(group) > MOST_OBJECTS:
            raise Refused(f"it holds more than {MOST_OBJECTS} objects")
        for name in group:
            path = f"{above}/{name}"
            if type(group.get(name, getlink=True)) is not h5py.HardLink:
                raise Refused(f"{path!r} is a link to another place")
            found = group[name]
            if not isinstance(found, h5py.Group | h5py.Dataset):
                raise Refused(f"{path!r} is neither an array nor a group")
            self.once(found, path)
            yield path, found

    def dataset(self, found: h5py.Dataset, name: str) -> None:
        plan = found.id.get_create_plist()
        layout = plan.get_layout()
        if layout == h5py.h5d.VIRTUAL or plan.get_external_count():
            raise Refused(f"{name!r} lies in another file")
        if layout == h5py.h5d.CHUNKED or plan.get_nfilters():
            raise Refused(f"{name!r} is stored in chunks or compressed, which save() never does")
        self.attributes(found, name)
        text = h5py.check_string_dtype(found.dtype)
        if text is None and found.dtype.kind not in "biuf":
            raise Refused(f"{name!r} holds {found.dtype}, which save() never writes")
        needed = found.id.get_type().get_size()
        for length in found.shape or ():
            needed *= length
        stored = found.id.get_storage_size()
        offset = found.id.get_offset() if layout == h5py.h5d.CONTIGUOUS else None
        if stored < needed:
            title = found.attrs.get("NAME", b"")
            if stored or found.ndim != 1 or not bytes(title).startswith(_ONLY_A_DIMENSION):
                raise Refused(f"{name!r} claims {needed} bytes, of which it has {stored}")
            return  # a length, and no numbers
        self.bytes += needed
        if self.bytes > self.size or (offset is not None and offset + needed > self.size):
            raise Refused(f"it claims more bytes of arrays than it has ({self.size})")
        if text is not None and text.length is None:
            flat = range(0, int(np.prod(found.shape, dtype=object)), _AT_ONCE)
            if found.ndim > 1:
                raise Refused(f"{name!r} is a table of texts, which save() never writes")
            values = [found[()]] if found.ndim == 0 else (found[i : i + _AT_ONCE] for i in flat)
            for part in values:
                self.texts(part)

    def texts(self, values: Any) -> None:
        for value in np.ravel(np.asarray(values, dtype=object)):
            self.text += len(value)
        if self.text > self.size + _MARGIN:
            raise Refused(f"its texts are longer than the file ({self.size} bytes)")

    def attributes(self, found: Any, name: str) -> None:
        if h5py.h5a.get_num_attrs(found.id) > MOST_ATTRIBUTES:
            raise Refused(f"{name!r} has more than {MOST_ATTRIBUTES} attributes")
        for key in found.attrs:
            entry = h5py.h5a.open(found.id, key.encode("utf-8", "surrogateescape"))
            kind, shape = entry.get_type(), entry.shape
            if entry.get_storage_size() > self.size:
                raise Refused(f"the attribute {key!r} of {name!r} is longer than the file")
            if key in {"DIMENSION_LIST", "REFERENCE_LIST"}:
                if key == "DIMENSION_LIST":
                    self.references(found.attrs[key])
                continue
            text = h5py.check_string_dtype(entry.dtype)
            if text is None and entry.dtype.kind not in "biuf":
                raise Refused(f"the attribute {key!r} of {name!r} is a {kind}")
            if text is not None and text.length is None:
                if shape not in {(), (1,)}:
                    raise Refused(f"the attribute {key!r} of {name!r} is a list of texts")
                self.texts(found.attrs[key])

    def references(self, lists: Any) -> None:
        for found in lists:
            for reference in found:
                target = h5py.h5r.dereference(reference, self.file.id)
                self.referred.add(h5py.h5o.get_info(target).addr)


def main() -> None:
    """Check the file that standard input names, and write the answer as JSON."""
    asked = json.load(sys.stdin)
    _limit(os.path.getsize(asked["path"]), asked["seconds"])
    try:
        check(asked["path"])
        answer = {"fine": True, "reason": ""}
    except Refused as refused:
        answer = {"fine": False, "reason": str(refused)}
    except Exception as error:  # noqa: BLE001  # h5py raises all kinds
        answer = {"fine": False, "reason": f"it is damaged ({str(error) or type(error).__name__})"}
    json.dump(answer, sys.stdout)


def _limit(size: int, seconds: float) -> None:
    """Bound what a damaged file can take of the processor and of memory, where that can be done."""
    try:
        import resource

        most = math.ceil(seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        most = now + 8 * size + _SWELL
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError, ValueError):  # the parent's patience is left
        return


if __name__ == "__main__":
    main()
