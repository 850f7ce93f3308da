"""nutpie, imported without the plots and statistics that it does not use here.

nutpie imports all of ArviZ, and that matplotlib, which takes longer than most fits; it uses
ArviZ only to make a tree of its draws, which `inference.traces` does without. ArviZ is executed
when something of it is asked for, by whomever.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

__all__ = ["nutpie"]


class _Later(ModuleType):
    """A module whose code runs when the first name in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec: Any = self.__spec__
        spec.loader.exec_module(self)
        return getattr(self, name)


def _arviz_later() -> None:
    spec = find_spec("arviz")
    if spec is None or spec.loader is None:  # nutpie will say what it misses
        return
    module = module_from_spec(spec)
    module.__class__ = _Later
    sys.modules["arviz"] = module


if "arviz" not in sys.modules and "nutpie" not in sys.modules:
    _arviz_later()

import nutpie  # noqa: E402
