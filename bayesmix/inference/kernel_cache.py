"""Whether numba still has to compile the kernels, and the line that says so."""

from __future__ import annotations

from bayesmix.gaussian.density import criterion
from bayesmix.inference.announce import announce

__all__ = ["announce_compilation", "kernels_are_compiled"]


def kernels_are_compiled() -> bool:
    """Whether the main kernel is in memory or in numba's cache on disk."""
    return criterion.is_compiled()


def announce_compilation() -> None:
    """Say, once on a machine, why the first fit takes so long."""
    if not kernels_are_compiled():
        announce(
            "Compiling the numerical kernels, once on this machine: about half a minute ...",
            progress=True,
        )
