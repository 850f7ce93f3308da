"""Whether numba still has to compile the kernels, and the line that says so."""

from __future__ import annotations

import functools
from pathlib import Path

from bayesmix.gaussian.density import compiled_log_density
from bayesmix.gaussian.staleness import drop_stale_kernels
from bayesmix.inference.announce import announce

__all__ = ["announce_compilation", "kernels_are_compiled", "prepare_kernels"]


def _cache_folders() -> tuple[Path, ...]:
    """Where numba keeps the kernels of this package."""
    try:
        folder = Path(compiled_log_density._cache.cache_path)
    except AttributeError:  # numba without a place to keep its cache
        return ()
    # In the source tree each folder has a cache of its own; elsewhere names tell them apart.
    other = folder.parent.parent / "inference" / folder.name
    return (folder, other) if folder.name == "__pycache__" else (folder,)


def kernels_are_compiled() -> bool:
    """Whether the largest kernel is in memory or in numba's cache on disk."""
    if compiled_log_density.signatures:
        return True
    return any(any(f.glob("density.compiled_log_density*.nbc")) for f in _cache_folders())


@functools.cache
def prepare_kernels() -> None:
    """Drop compiled kernels of another version, once a process, before the first is used."""
    if not compiled_log_density.signatures:
        drop_stale_kernels(_cache_folders())


def announce_compilation() -> None:
    """Say, once on a machine, why the first fit takes so long."""
    prepare_kernels()
    if not kernels_are_compiled():
        announce(
            "Compiling the numerical kernels, once on this machine: one to three minutes ...",
            progress=True,
        )
