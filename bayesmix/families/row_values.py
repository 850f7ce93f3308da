"""What is given per row beside the response: trials, limits, exponents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["NO_ROWS", "Rows"]

Rows = Mapping[str, Any]
NO_ROWS: Rows = MappingProxyType({})
