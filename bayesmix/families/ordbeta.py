"""Fractions that may be 0 or 1: ordered beta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_ROWS, PriorSpec, Rows
from bayesmix.families.functions import NUMPY, Functions
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import POSITIVE, REAL, ParameterSpec
from bayesmix.families.proportions import Beta
from bayesmix.families.scale import ResponseScale

__all__ = ["OrderedBeta"]


@dataclass(frozen=True, slots=True)
class OrderedBeta(Beta):
    """A fraction from 0 to 1, both ends included: 0, beta distributed, or 1, as eta lies.

    P(y = 0) = 1 - F(eta - cut) and P(y = 1) = F(eta - cut - gap), F the inverse link;
    between them y is Beta(mu phi, (1 - mu) phi) with mu = F(eta).

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    Kubinec, R. (2023). Ordered beta regression: a parsimonious, well-fitting model for
    continuous data with lower and upper bounds. Political Analysis 31, 519-536.
    """

    name: ClassVar[str] = "ordbeta"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {
        "phi": POSITIVE, "cut": REAL, "gap": POSITIVE
    }  # fmt: skip
    row_kernel: ClassVar[str] = "ordbeta"
    accepts: ClassVar[tuple[str, ...]] = ()

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers from 0 to 1."""
        return (y >= 0) & (y <= 1), "fractions from 0 to 1"

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy(10) on phi, Student t on the lower cut, half-Student t on the gap."""
        return {
            "phi": ("HalfCauchy", {"beta": 10.0}),
            "cut": ("StudentT", {"nu": 3.0, "mu": 0.0, "sigma": 2.5}),
            "gap": ("HalfStudentT", {"nu": 3.0, "sigma": 5.0}),
        }

    def parameter_starts(self, y: np.ndarray) -> Mapping[str, float]:
        """Cut points of the shares of zeros and ones."""
        zeros, ones = ((np.sum(y == end) + 0.5) / (len(y) + 1.0) for end in (0, 1))
        center = self.link_function(np.clip(y.mean(), 0.01, 0.99))
        cut = center - self.link_function(np.clip(1.0 - zeros, 0.01, 0.99))
        upper = center - self.link_function(np.clip(ones, 0.01, 0.99))
        return {"phi": 3.0, "cut": float(cut), "gap": float(max(upper - cut, 0.1))}

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Up for a one, down for a zero."""
        return np.where(y == 1, 1.0, 0.0) - np.where(y == 0, 1.0, 0.0)

    def _ends(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """Log probabilities of 0, of what lies between, and of 1."""
        lower = eta - parameters["cut"]
        upper, link = lower - parameters["gap"], self.unit_link
        above, rest = link.log_inverse(f, lower), link.log_inverse(f, upper)
        between = above + f.log1mexp(f.minimum(rest - above, -1e-300))
        left = link.log_complement(f, lower)
        # In the upper half the complements keep the digits.
        mirrored = link.log_complement(f, upper)
        other = mirrored + f.log1mexp(f.minimum(left - mirrored, -1e-300))
        return left, f.where(upper > 0, other, between), rest

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return P(1) + P(between) mu."""
        _, between, one = (np.exp(p) for p in self._ends(NUMPY, np.asarray(eta), parameters))
        return np.asarray(one + between * self.inverse_link(eta))

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return E[y^2] - E[y]^2."""
        _, between, one = (np.exp(p) for p in self._ends(NUMPY, np.asarray(eta), parameters))
        mu = self.inverse_link(eta)
        square = mu * (1 - mu) / (1 + parameters["phi"]) + mu**2
        return np.asarray(one + between * square - (one + between * mu) ** 2)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability of an end, or the log density between."""
        zero, between, one = self._ends(f, eta, parameters)
        inside = (y > 0) & (y < 1)
        density = Beta.log_density(self, f, f.where(inside, y, 0.5), eta, parameters, rows)
        lp = f.where(inside, between + density, f.where(y > 0.5, one, zero))
        return f.where((y >= 0) & (y <= 1), lp, -np.inf)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw an end or a fraction."""
        zero, _, one = (np.exp(p) for p in self._ends(NUMPY, np.asarray(eta), parameters))
        u, y = rng.random(np.shape(eta)), Beta.draw(self, eta, parameters, rows, rng)
        return np.where(u < zero, 0.0, np.where(u > 1.0 - one, 1.0, y))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution."""
        return custom_distribution(self, eta, parameters, {})

    def latex(self) -> str:
        """Return OrderedBeta(mu_i, phi, cut, gap)."""
        return (
            r"\operatorname{OrderedBeta}(\mu_i, \phi, \text{cut}, \text{gap}), "
            rf"\quad \mu_i = {self.mu_latex}"
        )
