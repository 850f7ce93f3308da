"""Whether numba still has to compile the kernels, and the line that says so."""

from __future__ import annotations

from bayesmix.gaussian.criterion import criterion
from bayesmix.gaussian.many_responses import search_many
from bayesmix.gaussian.structured import structured_criterion
from bayesmix.inference.announce import announce

__all__ = ["announce_compilation", "kernels_are_compiled"]


def kernels_are_compiled(*, normal: bool, structured: bool = False, many: bool = False) -> bool:
    """Whether the main kernel is in memory or in numba's cache on disk.

    Parameters
    ----------
    normal : bool
        That of normal models, or that of those beyond.
    structured : bool
        That of normal models whose R has parameters.
    many : bool
        That of searches from many responses.
    """
    if many:
        return search_many.is_compiled()
    if normal:
        return (structured_criterion if structured else criterion).is_compiled()
    from bayesmix.glmm.laplace import laplace

    return laplace.is_compiled()


def announce_compilation(*, normal: bool, structured: bool = False, many: bool = False) -> None:
    """Say, once on a machine, why the first fit, or the first refits, take so long."""
    if not kernels_are_compiled(normal=normal, structured=structured, many=many):
        announce(
            "Compiling the numerical kernels, once on this machine: about half a minute ...",
            progress=True,
        )
