"""Angles: the von Mises distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import Functions
from bayesmix.families.parameters import POSITIVE, ParameterSpec
from bayesmix.families.scale import ResponseScale, link_scale

__all__ = ["VonMises"]


@dataclass(frozen=True, slots=True)
class VonMises(Family):
    """An angle between -pi and pi, around the direction mu with concentration kappa.

    The mean is mu, and the variance that of an angle: 1 - I1(kappa) / I0(kappa).

    Parameters
    ----------
    link : {"tan_half", "identity"}
        With "tan_half" mu = 2 arctan(eta), which keeps within the circle.

    References
    ----------
    Fisher, N. I. and Lee, A. J. (1992). Regression models for an angular response.
    Biometrics 48, 665-677.
    """

    name: ClassVar[str] = "von_mises"
    links: ClassVar[tuple[str, ...]] = ("tan_half", "identity")
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"kappa": POSITIVE}
    row_kernel: ClassVar[str] = "von_mises"
    has_laplace: ClassVar[bool] = True
    is_circular: ClassVar[bool] = True

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Angles in radians."""
        return (y >= -np.pi) & (y <= np.pi), "angles in radians, from -pi to pi"

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the link scale around the mean direction."""
        mean = float(np.arctan2(np.sin(y).mean(), np.cos(y).mean()))
        mean = float(np.clip(mean, -3.0, 3.0))
        return link_scale(float(self.link_function(mean)), 1.0, y, offset)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on kappa."""
        return {"kappa": ("HalfCauchy", {"beta": 2.0})}

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return that of an angle, 1 less the mean length of the resultant."""
        kappa = np.asarray(parameters["kappa"], dtype=np.float64)
        found = 1.0 - special.i1e(kappa) / special.i0e(kappa)
        return np.broadcast_to(found, np.broadcast_shapes(np.shape(eta), found.shape))

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        kappa, mu = parameters["kappa"], self.link_functions.inverse(f, eta)
        short = 2.0 * f.sin(0.5 * (y - mu)) ** 2
        return -kappa * short - f.log(f.i0e(kappa)) - np.log(2 * np.pi)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw angles."""
        mu = self.inverse_link(eta)
        return rng.vonmises(np.angle(np.exp(1j * mu)), parameters["kappa"], np.shape(eta))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return VonMises(mu, kappa)."""
        import pymc as pm

        return pm.VonMises, {"mu": self.tensor_mean(eta), "kappa": parameters["kappa"]}

    def latex(self) -> str:
        """Return VonMises(mu_i, kappa)."""
        return rf"\operatorname{{VonMises}}({self.mu_latex}, \kappa)"
