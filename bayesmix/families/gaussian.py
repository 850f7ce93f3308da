"""The normal distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.families.base import NO_ROWS, Family, PriorSpec, ResponseScale, Rows
from bayesmix.families.checks import data_scale, link_scale, numeric_response, refuse_constant
from bayesmix.families.functions import LOG_2PI, Functions
from bayesmix.formula import Formula

__all__ = ["Gaussian", "GaussianKnownSE", "Real"]


@dataclass(frozen=True, slots=True)
class Real(Family):
    """What the families of a real response share: eta gives its location.

    Parameters
    ----------
    link : {"identity", "log"}
    """

    links: ClassVar[tuple[str, ...]] = ("identity", "log")
    parameters: ClassVar[tuple[str, ...]] = ("sigma",)
    residual_is_estimated: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("status", "lower", "upper")

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the response as float64, shape (n,); it must be numeric and vary."""
        y = numeric_response(response, formula)
        refuse_constant(y, formula)
        return y

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """Mean, sd and root mean square of y minus the offset; log(mean) and 1 for the log link."""
        if self.link == "identity":
            return data_scale(y, offset)
        mean = float(y.mean())
        center = float(np.log(mean if mean > 0 else np.std(y) or 1.0))
        return link_scale(center, 1.0, y, offset)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on sigma with the response's standard deviation as its scale."""
        unit = scale.sd if self.link == "identity" else scale.response_sd
        return {"sigma": ("HalfCauchy", {"beta": unit})}

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu."""
        return self.inverse_link(eta)

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return sigma squared."""
        return np.broadcast_to(np.square(parameters["sigma"]), np.shape(eta))

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the variance with an identity link, and None off it."""
        if self.link != "identity":
            return None
        return self._residual(parameters)

    def _residual(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        return np.square(parameters["sigma"])

    def _mu_latex(self) -> str:
        return self.link_functions.latex


@dataclass(frozen=True, slots=True)
class Gaussian(Real):
    """Normal response: y ~ Normal(mu, sigma).

    Parameters
    ----------
    link : {"identity", "log"}
    """

    name: ClassVar[str] = "gaussian"
    accepts: ClassVar[tuple[str, ...]] = ("weights", "known_se", "status", "lower", "upper")

    def _sigma(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Residual standard deviation of each row."""
        sigma = parameters["sigma"]
        return sigma / rows["weights"] ** 0.5 if "weights" in rows else sigma

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return sigma^2 / w."""
        sigma = np.asarray(self._sigma(parameters, rows))
        return np.broadcast_to(sigma**2, np.broadcast_shapes(np.shape(eta), sigma.shape))

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the normal log density."""
        sigma = self._sigma(parameters, rows)
        z = (y - self.link_functions.inverse(f, eta)) / sigma
        return -0.5 * (z**2 + LOG_2PI) - f.log(sigma)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails of the normal."""
        z = (y - self.link_functions.inverse(f, eta)) / self._sigma(parameters, rows)
        return f.log_ndtr(z), f.log_ndtr(-z)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the normal."""
        return rng.normal(self.inverse_link(eta), self._sigma(parameters, rows))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Normal(mu, sigma / sqrt(w))."""
        import pymc as pm

        mu = self.tensor_mean(eta)
        return pm.Normal, {"mu": mu, "sigma": self._sigma(parameters, rows)}

    def latex(self) -> str:
        """Return Normal(mu_i, sigma)."""
        return rf"\operatorname{{Normal}}({self._mu_latex()}, \sigma)"


@dataclass(frozen=True, slots=True)
class GaussianKnownSE(Gaussian):
    """Normal response whose residual standard errors are known, as in meta-analysis."""

    parameters: ClassVar[tuple[str, ...]] = ()
    residual_is_estimated: ClassVar[bool] = False

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Nothing to estimate."""
        return {}

    def _sigma(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """The known standard error of each row."""
        return rows["known_se"]

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: it differs from row to row."""
        return None

    def latex(self) -> str:
        """Return Normal(mu_i, se_i)."""
        return rf"\operatorname{{Normal}}({self._mu_latex()}, \text{{se}}_i)"
