"""nutpie, imported without the plots and statistics that it does not use here.

nutpie imports all of ArviZ, and that matplotlib, which takes longer than most fits; it uses
ArviZ only to make a tree of its draws, which `inference.traces` does without.
"""

from __future__ import annotations

import sys

from bayesmix.later import enter_later

__all__ = ["nutpie"]

if "nutpie" not in sys.modules:
    enter_later("arviz")

import nutpie
