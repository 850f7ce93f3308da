"""Modules that build the site, as tests import them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["DOCS", "densities", "made_tables"]

DOCS = Path(__file__).parents[1] / "docs"


def module(name: str) -> ModuleType:
    """A module of the docs, which may import those that were made before it."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


densities = module("densities")
made_tables = module("made_tables")
