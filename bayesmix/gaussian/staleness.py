"""Compiled kernels that are older than the code they were compiled from.

numba keeps a compiled kernel until its own file changes; that a kernel it calls
has changed it does not notice. So all of them carry one fingerprint.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

__all__ = ["drop_stale_kernels", "fingerprint"]

_STAMP = "bayesmix-kernels.sha256"


@functools.cache
def fingerprint() -> str:
    """Return a hash of every file that kernels are compiled from."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for pattern in ("gaussian/*.py", "glmm/*.py", "inference/nutpie_*.py"):
        for path in sorted(package.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def drop_stale_kernels(folder: Path) -> bool:
    """Remove numba's files from a cache folder that another version of the code filled.

    Looks once a process.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool
        Whether anything was removed.
    """
    stamp = folder / _STAMP
    removed = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if stamp.is_file() and stamp.read_text() == fingerprint():
            return False
        for path in folder.glob("*.nb[ic]"):
            path.unlink(missing_ok=True)
            removed = True
        stamp.write_text(fingerprint())
    except OSError:  # a read-only place: whoever filled it answers for it
        return False
    return removed
