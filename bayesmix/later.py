"""Modules whose code runs when something in them is asked for.

ArviZ and nutpie import more than a fit needs, and that takes longer than most fits: matplotlib,
labelled arrays, densities. Who asks for one of their names, we or anyone, has the whole module.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

__all__ = ["enter_later"]

_ASKED_FOR = ("__version__", "__all__")  # what Python itself looks for does not count


class _Later(ModuleType):
    """A module that is not executed yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ASKED_FOR:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec: Any = self.__spec__
        spec.loader.exec_module(self)
        return getattr(self, name)


def enter_later(*names: str) -> None:
    """Enter modules among the imported ones without executing them; those that are stay.

    Parameters
    ----------
    *names : str
        A package before what it contains. What is not installed is left out.
    """
    for name in names:
        if name in sys.modules:
            continue
        spec = find_spec(name)
        if spec is None or spec.loader is None:  # who imports it will say what is missing
            return
        module = module_from_spec(spec)
        module.__class__ = _Later
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
