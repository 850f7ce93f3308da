"""Engines: from a model to draws."""

from bayesmix.inference.draws import Draws
from bayesmix.inference.settings import SamplerSettings

__all__ = ["Draws", "SamplerSettings"]
