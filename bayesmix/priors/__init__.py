"""Priors: the distributions, the defaults, and which one is in force where."""

from bayesmix.priors.prior import Prior

__all__ = ["Prior"]
