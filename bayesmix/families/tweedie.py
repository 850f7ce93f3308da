"""Amounts that are zero or positive: Tweedie's compound Poisson distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_ROWS, PriorSpec, Rows
from bayesmix.families.functions import Functions, large_is_infinite
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import POSITIVE, UNIT, ParameterSpec
from bayesmix.families.positive import Positive
from bayesmix.families.scale import ResponseScale

__all__ = ["Tweedie"]

_TERMS = 240  # of the series, around its largest


@dataclass(frozen=True, slots=True)
class Tweedie(Positive):
    """A sum of a Poisson number of gamma distributed amounts: variance phi mu^p, p = 1 + xi.

    `xi`, between 0 and 1, is the power of the variance less 1.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}

    References
    ----------
    Dunn, P. K. and Smyth, G. K. (2005). Series evaluation of Tweedie exponential dispersion
    model densities. Statistics and Computing 15, 267-280.
    """

    name: ClassVar[str] = "tweedie"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"phi": POSITIVE, "xi": UNIT}
    row_kernel: ClassVar[str] = "tweedie"
    has_laplace: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ()

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers from 0."""
        return y >= 0, "numbers from 0"

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on phi, uniform on xi."""
        return {
            "phi": ("HalfCauchy", {"beta": max(scale.response_mean, 1e-300) ** 0.5}),
            "xi": ("Beta", {"alpha": 1.0, "beta": 1.0}),
        }

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Down for a zero, whose probability tends to 1 as the mean falls under the log link."""
        return np.where((y == 0) & (self.link == "log"), -1.0, 0.0)

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return phi mu^(1 + xi)."""
        return parameters["phi"] * self.inverse_link(eta) ** (1.0 + parameters["xi"])

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density by its series: terms around the largest one."""
        phi, xi = parameters["phi"], parameters["xi"]
        rest = 1.0 - xi
        mu = self.link_functions.inverse(f, eta)
        log_mu = self.link_functions.log_inverse(f, eta)
        lp = -f.exp(rest * log_mu) / (phi * rest) - y * f.exp(-xi * log_mu) / (phi * xi)
        some = f.where(y > 0, y, 1.0)
        a = rest / xi
        base = a * (f.log(some) - f.log(xi) - f.log(phi)) - f.log(phi) - f.log(rest)
        middle = f.whole(f.exp(rest * f.log(some)) / (phi * rest))
        first = f.maximum(middle - _TERMS / 2, 0.0)
        j = f.column(first + 0.0 * base) + f.numbers(_TERMS)
        terms = j * f.column(base + 0.0 * first) - f.gammaln(j + 1.0)
        terms = terms - f.gammaln(j * f.column(a + 0.0 * base))
        series = f.logsumexp(terms) - f.log(some)
        lp = f.where(y > 0, lp + series, lp)
        return f.where((y >= 0) & (mu > 0), lp, -np.inf)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw the number of amounts, then their sum."""
        from bayesmix.families.counts import poisson_draws

        phi, xi = parameters["phi"], parameters["xi"]
        mu = self.inverse_link(eta)
        number = poisson_draws(mu ** (1 - xi) / (phi * (1 - xi)), rng)
        shape = np.maximum(number * (1 - xi) / xi, 1e-300)
        return np.where(number > 0, rng.gamma(shape) * phi * xi * mu**xi, 0.0)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution."""
        return custom_distribution(self, eta, parameters, {})

    def latex(self) -> str:
        """Return Tweedie(mu_i, phi, 1 + xi)."""
        return rf"\operatorname{{Tweedie}}(\mu_i, \phi, 1 + \xi), \quad \mu_i = {self.mu_latex}"
