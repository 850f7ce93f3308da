"""The normal distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.checks import refuse_constant
from bayesmix.families.functions import LOG_2PI, Functions
from bayesmix.families.parameters import SCALE, ParameterSpec
from bayesmix.families.scale import ResponseScale, data_scale, link_scale
from bayesmix.formula import Formula

__all__ = ["Gaussian", "GaussianKnownSE", "GaussianOwnScale", "Real"]


@dataclass(frozen=True, slots=True)
class Real(Family):
    """What the families of a real response share: eta gives its location.

    Parameters
    ----------
    link : {"identity", "log"}
    """

    links: ClassVar[tuple[str, ...]] = ("identity", "log")
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"sigma": SCALE}
    has_constant_variance: ClassVar[bool] = True
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
        y = Family.response_values(self, response, formula, rows, labels)
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

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the variance around mu."""
        value = np.asarray(self._residual(parameters, rows))
        return np.broadcast_to(value, np.broadcast_shapes(np.shape(eta), value.shape))

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the variance with an identity link, and None off it."""
        if self.link != "identity":
            return None
        return np.asarray(self._residual(parameters, NO_ROWS))

    def _residual(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Variance around the location; with `rows`, of each row."""
        return np.square(parameters["sigma"])


@dataclass(frozen=True, slots=True)
class Gaussian(Real):
    """Normal response: y ~ Normal(mu, sigma).

    Parameters
    ----------
    link : {"identity", "log"}
    """

    name: ClassVar[str] = "gaussian"
    row_kernel: ClassVar[str] = "gaussian"
    has_laplace: ClassVar[bool] = True
    is_normal: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("weights", "known_se", "status", "lower", "upper")

    def with_known_se(self) -> Family:
        """Return the family of normal responses with known standard errors."""
        return GaussianKnownSE(link=self.link)

    def beside_known_se(self) -> Family:
        """Return the family of normal responses with a sigma beside known standard errors."""
        return GaussianBesideKnownSE(link=self.link)

    def with_own_scale(self) -> Family:
        """Return the family of normal responses whose residual structure knows its scale."""
        return GaussianOwnScale(link=self.link)

    def _sigma(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Residual standard deviation of each row."""
        sigma = parameters["sigma"]
        return sigma / rows["weights"] ** 0.5 if "weights" in rows else sigma

    def _residual(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        return np.square(self._sigma(parameters, rows))

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
        return rf"\operatorname{{Normal}}({self.mu_latex}, \sigma)"


@dataclass(frozen=True, slots=True)
class GaussianKnownSE(Gaussian):
    """Normal response whose residual standard errors are known, as in meta-analysis."""

    parameters: ClassVar[Mapping[str, ParameterSpec]] = {}
    row_kernel: ClassVar[str] = ""
    has_laplace: ClassVar[bool] = False
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
        return rf"\operatorname{{Normal}}({self.mu_latex}, \text{{se}}_i)"


@dataclass(frozen=True, slots=True)
class GaussianBesideKnownSE(Gaussian):
    """Normal response whose variance is sigma^2 beside the square of a known standard error."""

    row_kernel: ClassVar[str] = ""
    has_laplace: ClassVar[bool] = False

    def _sigma(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Residual standard deviation of each row."""
        return (parameters["sigma"] ** 2 + rows["known_se"] ** 2) ** 0.5

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: it differs from row to row."""
        return None

    def latex(self) -> str:
        """Return Normal(mu_i, sqrt(sigma^2 + se_i^2))."""
        return rf"\operatorname{{Normal}}({self.mu_latex}, \sqrt{{\sigma^2 + \text{{se}}_i^2}})"


@dataclass(frozen=True, slots=True)
class GaussianOwnScale(Gaussian):
    """Normal response whose standard deviations are parameters of its residual structure."""

    parameters: ClassVar[Mapping[str, ParameterSpec]] = {}
    row_kernel: ClassVar[str] = ""
    has_laplace: ClassVar[bool] = False

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Nothing of its own to estimate."""
        return {}

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: it differs from row to row."""
        return None
