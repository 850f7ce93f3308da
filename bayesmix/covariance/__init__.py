"""Covariance structures of group effects: one class a file."""

from bayesmix.covariance.base import Covariance, Parameter
from bayesmix.covariance.layout import STRUCTURES, GroupCovariance, Part, covariance_of

__all__ = ["STRUCTURES", "Covariance", "GroupCovariance", "Parameter", "Part", "covariance_of"]
