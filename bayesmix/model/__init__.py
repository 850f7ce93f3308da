"""The model: a formula, data, family and priors, and its statement in PyMC."""

from bayesmix.model.model import Model

__all__ = ["Model"]
