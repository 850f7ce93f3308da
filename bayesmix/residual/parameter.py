"""One parameter of R beside sigma: its range, start and prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ResidualParameter", "Support"]

Support = Literal["positive", "real", "interval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualParameter:
    """One parameter of a residual structure beside sigma.

    Attributes
    ----------
    name : str
        As in tables, draws and the PyMC model: ``rho_residual``.
    support : {"positive", "real", "interval"}
        Its coordinate is the logarithm, the parameter itself, or a scaled logit.
    lower, upper : float
        Ends of an interval.
    start : float
        Where searches start.
    prior : tuple of str and dict
        The default prior: a distribution and its parameters.
    vine : float or None
        Where it is a partial correlation under an LKJ prior: the exponent of 1 - p^2 in
        the Jacobian from partial correlations to the matrix.
    entry : str
        What its prior is called, where that is not its own name.
    unit : float
        What one of it is in units of what its prior is of: that of a coefficient of a column of
        ten thousands is one of a column of ones.
    """

    name: str
    support: Support
    start: float
    prior: tuple[str, Mapping[str, float]]
    lower: float = 0.0
    upper: float = 1.0
    vine: float | None = None
    entry: str = ""
    unit: float = 1.0

    @property
    def prior_name(self) -> str:
        """What its prior is called."""
        return self.entry or self.name
