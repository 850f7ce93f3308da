"""Rows on disk: the arrays of `RowData` a block at a time, from a temporary file."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from bayesmix.errors import FileError, NotSupportedError
from bayesmix.glmm.data import RowData

__all__ = ["BLOCK", "StoredRows"]

BLOCK = 32_768  # rows: what an evaluation makes of them stays close to the processor


class StoredRows:
    """The rows of a model in a temporary file, read again for each pass over them.

    The file has no name where the system allows that, and is gone with this object however the
    process ends. It lies where Python's `tempfile` puts such files: the folder that the
    environment variable ``TMPDIR`` names.

    Attributes
    ----------
    n_obs : int
        Number of rows.
    all_say : bool
        Whether each of them says anything.
    known : dict
        What the last passes have found, which the equations are left with.
    """

    is_stored = True

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile(prefix="bayesmix-")  # noqa: SIM115
        self._sizes: list[tuple[int, int]] = []
        self._header: RowData | None = None
        self.n_obs = 0
        self.all_say = True
        self.known: dict[str, Any] = {}

    def append(self, block: RowData) -> None:
        """Write rows behind the others.

        Raises
        ------
        FileError
            If the disk is full.
        """
        if self._header is None:
            self._header = block.of_rows(slice(0, 1))
        try:
            for buffer in (block.ints, block.floats):
                self._file.write(memoryview(buffer).cast("B"))
            self._file.flush()
        except OSError as error:
            self._refuse(error)
        self._sizes.append((block.ints.size, block.floats.size))
        self.n_obs += block.n_obs
        self.all_say = self.all_say and bool(block.says.all())

    def blocks(self) -> Iterator[RowData]:
        """Read all rows once; a block's arrays are gone when the next is asked for."""
        most = [max((size[k] for size in self._sizes), default=0) for k in (0, 1)]
        ints, floats = np.empty(most[0], dtype=np.int64), np.empty(most[1])
        at = 0
        for n_ints, n_floats in self._sizes:
            own = ints[:n_ints], floats[:n_floats]
            self._file.seek(at)  # each time: passes may lie within each other
            for buffer in own:
                view = memoryview(buffer).cast("B")
                if self._file.readinto(view) != len(view):
                    raise FileError("the temporary file of the rows has been cut short")
                at += len(view)
            yield RowData.of_buffers(*own)

    @property
    def header(self) -> RowData:
        """What all blocks have alike, with one row."""
        if self._header is None:
            raise ValueError("there are no rows")
        return self._header

    def __getattr__(self, name: str) -> Any:
        if name in {"u_start", "z_start", "first", "phi_kind", "X_of", "Z_of", "n_predictors",
                    "link"}:  # fmt: skip
            return getattr(self.header, name)
        raise AttributeError(name)

    def __reduce__(self) -> NoReturn:
        """Say that a file without a name cannot be handed on."""
        raise NotSupportedError(
            f"a fit whose {self.n_obs:,} rows lie in a temporary file cannot be pickled or copied: "
            "write its tables (bmx.tables, report), or fit it where it is wanted"
        )

    def _refuse(self, error: OSError) -> NoReturn:
        self._file.close()
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise error
        raise FileError(
            f"the disk is full: of the rows {self.n_obs:,} are in a temporary file in "
            f"{tempfile.gettempdir()}, and there is no room for more; let the environment "
            "variable TMPDIR name a folder with room, or round columns that need not be so fine, "
            "so that fewer rows differ"
        ) from error
