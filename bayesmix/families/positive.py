"""Positive responses: times, amounts, rates. The link applies to the mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import LOG_2PI, Functions, large_is_infinite
from bayesmix.families.parameters import POSITIVE, ParameterSpec
from bayesmix.families.scale import ResponseScale, data_scale, link_scale

__all__ = ["Exponential", "Gamma", "InverseGaussian", "Positive", "Weibull"]


@dataclass(frozen=True, slots=True)
class Positive(Family):
    """What the families of a positive response share.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
        Off the log link the linear predictor must stay above zero; where it does not,
        the likelihood is zero.
    """

    links: ClassVar[tuple[str, ...]] = ("log", "inverse", "identity")
    mean_is_positive: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("status", "lower", "upper")

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers above zero."""
        zeros = "; for a response with zeros there is hurdle_gamma" if (y == 0).any() else ""
        return y > 0, f"numbers above zero{zeros}"

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the log scale; with the inverse link, in units of 1 / mean(y)."""
        if self.link == "identity":
            return data_scale(y, offset)
        center = float(self.link_function(y.mean()))
        # The log scale has no unit; that of the inverse link is one over the response's.
        return link_scale(center, center if self.link == "inverse" else 1.0, y, offset)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on the shape, which has no unit."""
        return {"alpha": ("HalfCauchy", {"beta": 1.0})}

    def _checked(self, f: Functions, y: Any, mu: Any, lp: Any) -> Any:
        """Minus infinity for an impossible value, and where the mean is not above zero."""
        return f.where((mu > 0) & (y > 0), lp, -np.inf)

    def _positive_tails(self, f: Functions, y: Any, below: Any, above: Any) -> tuple[Any, Any]:
        return f.where(y > 0, below, -np.inf), f.where(y > 0, above, 0.0)


@dataclass(frozen=True, slots=True)
class Gamma(Positive):
    """Gamma with shape alpha and mean mu: variance mu^2 / alpha.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
    """

    name: ClassVar[str] = "gamma"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"alpha": POSITIVE}
    row_kernel: ClassVar[str] = "gamma"
    has_laplace: ClassVar[bool] = True

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu^2 / alpha."""
        return self.inverse_link(eta) ** 2 / parameters["alpha"]

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        alpha = parameters["alpha"]
        mu = self.link_functions.inverse(f, eta)
        log_mu = self.link_functions.log_inverse(f, eta)
        ratio = y / mu
        lp = alpha * (f.log(alpha) - log_mu + f.log(y) - ratio) - f.log(y) - f.gammaln(alpha)
        return self._checked(f, y, mu, lp)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both incomplete gamma functions."""
        alpha = parameters["alpha"]
        x = alpha * f.maximum(y, 0.0) / self.link_functions.inverse(f, eta)
        below, above = f.log_tail(f.gammainc(alpha, x)), f.log_tail(f.gammaincc(alpha, x))
        return self._positive_tails(f, y, below, above)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the gamma."""
        alpha = parameters["alpha"]
        return rng.gamma(alpha, self.inverse_link(eta) / alpha)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Gamma(alpha, alpha / mu)."""
        import pymc as pm

        alpha = parameters["alpha"]
        return pm.Gamma, {"alpha": alpha, "beta": alpha / self.tensor_mean(eta)}

    def latex(self) -> str:
        """Return Gamma(alpha, alpha / mu_i)."""
        return rf"\operatorname{{Gamma}}(\alpha, \alpha / \mu_i), \quad \mu_i = {self.mu_latex}"


@dataclass(frozen=True, slots=True)
class InverseGaussian(Positive):
    """Inverse Gaussian (Wald) with mean mu: variance mu^3 / lam.

    `lam` has the unit of the response, and so has its default prior.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
    """

    name: ClassVar[str] = "inverse_gaussian"
    row_kernel: ClassVar[str] = "inverse_gaussian"
    has_laplace: ClassVar[bool] = True
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"lam": POSITIVE}

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on lam with the response's mean as its scale."""
        return {"lam": ("HalfCauchy", {"beta": scale.response_mean})}

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu^3 / lam."""
        return self.inverse_link(eta) ** 3 / parameters["lam"]

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        lam = parameters["lam"]
        mu = self.link_functions.inverse(f, eta)
        lp = 0.5 * (f.log(lam) - LOG_2PI - 3 * f.log(y)) - lam * (y / mu - 1) ** 2 / (2 * y)
        return self._checked(f, y, mu, lp)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails (Giner and Smyth 2016)."""
        lam = parameters["lam"]
        mu = self.link_functions.inverse(f, eta)
        x = f.minimum(f.maximum(y, 1e-300), 1e200)  # an endless limit has tails, too
        root = f.sqrt(lam / x)
        z = root * (x / mu - 1)
        mirrored = 2 * lam / mu + f.log_ndtr(-root * (x / mu + 1))
        below = f.logaddexp(f.log_ndtr(z), mirrored)
        upper = f.log_ndtr(-z)
        above = upper + f.log1mexp(f.minimum(mirrored - upper, 0.0))
        return self._positive_tails(f, y, f.minimum(below, 0.0), above)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the inverse Gaussian."""
        return rng.wald(self.inverse_link(eta), parameters["lam"])

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Wald(mu, lam)."""
        import pymc as pm

        return pm.Wald, {"mu": self.tensor_mean(eta), "lam": parameters["lam"]}

    def latex(self) -> str:
        """Return InverseGaussian(mu_i, lambda)."""
        return rf"\operatorname{{InverseGaussian}}({self.mu_latex}, \lambda)"


@dataclass(frozen=True, slots=True)
class Exponential(Positive):
    """Exponential with mean mu.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
    """

    name: ClassVar[str] = "exponential"
    row_kernel: ClassVar[str] = "exponential"
    has_laplace: ClassVar[bool] = True

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Nothing to estimate."""
        return {}

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu^2."""
        return self.inverse_link(eta) ** 2

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        mu = self.link_functions.inverse(f, eta)
        return self._checked(f, y, mu, -self.link_functions.log_inverse(f, eta) - y / mu)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails."""
        above = -f.maximum(y, 1e-300) / self.link_functions.inverse(f, eta)
        return self._positive_tails(f, y, f.log1mexp(f.minimum(above, 0.0)), above)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the exponential."""
        return rng.exponential(self.inverse_link(eta))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Exponential(1 / mu)."""
        import pymc as pm

        return pm.Exponential, {"lam": 1 / self.tensor_mean(eta)}

    def latex(self) -> str:
        """Return Exponential(1 / mu_i)."""
        return rf"\operatorname{{Exponential}}(1 / \mu_i), \quad \mu_i = {self.mu_latex}"


@dataclass(frozen=True, slots=True)
class Weibull(Positive):
    """Weibull with shape alpha and mean mu: its scale is mu / Gamma(1 + 1 / alpha).

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
    """

    name: ClassVar[str] = "weibull"
    row_kernel: ClassVar[str] = "weibull"
    has_laplace: ClassVar[bool] = True
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"alpha": POSITIVE}

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu^2 (Gamma(1 + 2 / alpha) / Gamma(1 + 1 / alpha)^2 - 1)."""
        alpha = np.asarray(parameters["alpha"], dtype=np.float64)
        ratio = special.gammaln(1 + 2 / alpha) - 2 * special.gammaln(1 + 1 / alpha)
        return self.inverse_link(eta) ** 2 * np.expm1(ratio)

    def _log_scale(self, f: Functions, eta: Any, alpha: Any) -> Any:
        return self.link_functions.log_inverse(f, eta) - f.gammaln(1 + 1 / alpha)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        alpha = parameters["alpha"]
        power = alpha * (f.log(y) - self._log_scale(f, eta, alpha))
        lp = f.log(alpha) - f.log(y) + power - f.exp(power)
        return self._checked(f, y, self.link_functions.inverse(f, eta), lp)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails."""
        alpha = parameters["alpha"]
        log_y = f.log(f.maximum(y, 1e-300))
        above = -f.exp(alpha * (log_y - self._log_scale(f, eta, alpha)))
        return self._positive_tails(f, y, f.log1mexp(f.minimum(above, -1e-300)), above)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the Weibull."""
        alpha = np.broadcast_to(parameters["alpha"], np.shape(eta))
        scale = self.inverse_link(eta) / special.gamma(1 + 1 / alpha)
        return scale * rng.weibull(alpha)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Weibull(alpha, scale)."""
        import pymc as pm
        import pytensor.tensor as pt

        alpha = parameters["alpha"]
        scale = self.tensor_mean(eta) / pt.exp(pt.gammaln(1 + 1 / alpha))
        return pm.Weibull, {"alpha": alpha, "beta": scale}

    def latex(self) -> str:
        """Return Weibull(alpha, mu_i / Gamma(1 + 1 / alpha))."""
        scale = rf"{self.mu_latex} / \Gamma(1 + 1 / \alpha)"
        return rf"\operatorname{{Weibull}}(\alpha, {scale})"
