"""`ModelGraph`: a picture of the PyMC model, which is text where graphviz is not installed."""

from __future__ import annotations

import html
from typing import Any

from bayesmix.errors import NotSupportedError

__all__ = ["ModelGraph"]

_ADVICE = (
    "the program `dot` of graphviz draws it, and is not installed or failed; install graphviz "
    "(apt, brew, conda or graphviz.org), or give `source` to any graphviz"
)
_DRAWS = ("pipe", "render", "unflatten", "view")


class ModelGraph:
    """The graph of a PyMC model, as graphviz describes it.

    Made by `Model.graph`. Notebooks show the picture where the program ``dot`` of
    graphviz is installed, and the model's variables as text where it is not.

    Parameters
    ----------
    digraph : graphviz.Digraph
    text : str
        The variables with their distributions, a line each.

    Attributes
    ----------
    digraph : graphviz.Digraph
        Has all that graphviz offers; its attributes are this object's, too.
    text : str
    source : str
        The graph in graphviz's language.
    """

    def __init__(self, digraph: Any, text: str) -> None:
        self.digraph = digraph
        self.text = text

    @property
    def source(self) -> str:
        """The graph in graphviz's language, which any graphviz draws."""
        return str(self.digraph.source)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the graphviz.Digraph."""
        if name.startswith("__") or name in {"digraph", "text"}:  # copies and pickles ask early
            raise AttributeError(name)
        found = getattr(self.digraph, name)
        return _drawing(found, name) if name in _DRAWS else found

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        try:
            return self.digraph._repr_mimebundle_(include, exclude)
        except _failures():
            words = f"{self.text}\n\n({_ADVICE})"
            return {"text/plain": words, "text/html": f"<pre>{html.escape(words)}</pre>"}

    def _repr_svg_(self) -> str | None:
        """The picture as SVG; None, which notebooks skip, where it cannot be drawn."""
        try:
            return str(self.digraph.pipe(format="svg", encoding="utf-8"))
        except _failures():
            return None

    def __repr__(self) -> str:
        import shutil

        return self.text if shutil.which("dot") else f"{self.text}\n\n({_ADVICE})"

    def __str__(self) -> str:
        return self.source


def _failures() -> tuple[type[Exception], ...]:
    """What graphviz raises where its program is missing or fails."""
    import subprocess

    import graphviz

    return graphviz.ExecutableNotFound, subprocess.CalledProcessError


def _drawing(method: Any, name: str) -> Any:
    """The method with a named error where the program is missing or fails."""

    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except _failures() as error:
            raise NotSupportedError(f"{name}() cannot draw the graph: {_ADVICE}") from error

    return called
