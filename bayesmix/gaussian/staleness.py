"""Compiled kernels that are older than the code they were compiled from.

A kernel's own file may be unchanged where one that it calls has changed. So the files
of all of them carry one fingerprint, in their names and in their seals.
"""

from __future__ import annotations

import functools
import hashlib
import time
from pathlib import Path

__all__ = ["drop_stale_kernels", "file_tag", "fingerprint"]

_BEFORE = "bayesmix-kernels.sha256"  # where the fingerprint once stood
_ABANDONED = 3600.0  # seconds: a draft this old belongs to no one


@functools.cache
def fingerprint() -> str:
    """Return a hash of every file that kernels are compiled from."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for pattern in ("gaussian/*.py", "glmm/**/*.py", "inference/nutpie_*.py"):
        for path in sorted(package.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def file_tag() -> str:
    """Return the part of the fingerprint that stands in the names of files."""
    return fingerprint()[:12]


@functools.cache
def drop_stale_kernels(folder: Path) -> bool:
    """Remove from a cache folder what another version of the code compiled.

    Looks once a process. Drafts of processes that were killed go too.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool
        Whether anything was removed.
    """
    removed = False
    try:
        stale = [p for p in folder.glob("*.nb[ic]") if f".{file_tag()}-" not in p.name]
        before = time.time() - _ABANDONED
        stale += [p for p in folder.glob("*.nb[ic].tmp.*") if p.stat().st_mtime < before]
        for path in [*stale, folder / _BEFORE]:
            path.unlink(missing_ok=True)
            removed = removed or path.suffix in {".nbi", ".nbc"}
    except OSError:  # a read-only place: what is stale there is not used either
        return removed
    return removed
