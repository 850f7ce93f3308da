"""Real responses beside the normal: heavier tails, sharper peaks, a logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_MORE, NO_ROWS, PriorSpec, Rows
from bayesmix.families.functions import LOG_2PI, NUMPY, Functions, large_is_infinite
from bayesmix.families.gaussian import Real
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import POSITIVE, REAL, SCALE, ParameterSpec
from bayesmix.families.scale import ResponseScale, data_scale

__all__ = ["Laplace", "LogNormal", "SkewNormal", "StudentT"]

_LOG_2 = float(np.log(2.0))
_ROOT_2_PI = float(np.sqrt(2.0 / np.pi))


@dataclass(frozen=True, slots=True)
class StudentT(Real):
    """Student's t, for a real response with outliers: y ~ mu + sigma t(nu).

    The mean is mu where nu > 1, and the variance finite where nu > 2; in the tables of
    means mu stands for the location also where there is no mean.

    Parameters
    ----------
    link : {"identity", "log"}

    References
    ----------
    Juarez, M. A. and Steel, M. F. J. (2010). Model-based clustering of non-Gaussian
    panel data based on skew-t distributions. Journal of Business and Economic
    Statistics 28, 52-66 (the Gamma(2, 0.1) prior of nu, which brms has too).
    """

    name: ClassVar[str] = "student_t"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"nu": POSITIVE, "sigma": SCALE}
    row_kernel: ClassVar[str] = "student_t"
    has_laplace: ClassVar[bool] = True

    def limit_in_words(self, y: np.ndarray, parameters: Mapping[str, Any]) -> str:
        """Say that the kurtosis, 6 / nu, is far below its standard error, the root of 24 / n."""
        if 6.0 / float(parameters.get("nu", 1e-300)) < NO_MORE * np.sqrt(24.0 / len(y)):
            return 'the tails are no heavier than a normal\'s: family="gaussian" fits as well'
        return ""

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Gamma(2, 0.1) on nu, half-Cauchy on sigma."""
        unit = scale.sd if self.link == "identity" else scale.response_sd
        return {
            "nu": ("Gamma", {"alpha": 2.0, "beta": 0.1}),
            "sigma": ("HalfCauchy", {"beta": unit}),
        }

    def _residual(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """sigma^2 nu / (nu - 2), infinite where nu <= 2."""
        nu = np.asarray(parameters["nu"], dtype=np.float64)
        factor = np.where(nu > 2, nu / np.where(nu > 2, nu - 2, 1.0), np.inf)
        return np.square(parameters["sigma"]) * factor

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: it is infinite for part of the draws wherever nu may be below 2."""
        return None

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density of t."""
        nu, sigma = parameters["nu"], parameters["sigma"]
        z = (y - self.link_functions.inverse(f, eta)) / sigma
        # The logarithms of two Gammas cancel where nu is large; that of a Beta does not.
        constant = -f.betaln(nu / 2, 0.5) - 0.5 * f.log(nu)
        return constant - f.log(sigma) - (nu + 1) / 2 * f.log1p(z**2 / nu)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails, each from the regularised incomplete beta function."""
        nu = parameters["nu"]
        z = (y - self.link_functions.inverse(f, eta)) / parameters["sigma"]
        outer = 0.5 * f.betainc(nu / 2, 0.5, nu / (nu + z**2))
        small, large = f.log_tail(outer), f.log1p(-outer)
        return f.where(z < 0, small, large), f.where(z < 0, large, small)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from t."""
        nu = np.broadcast_to(parameters["nu"], np.shape(eta))
        return self.inverse_link(eta) + parameters["sigma"] * rng.standard_t(nu)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return StudentT(nu, mu, sigma)."""
        import pymc as pm

        return pm.StudentT, {"mu": self.tensor_mean(eta), **parameters}

    def latex(self) -> str:
        """Return StudentT(nu, mu_i, sigma)."""
        return rf"\operatorname{{StudentT}}(\nu, {self.mu_latex}, \sigma)"


@dataclass(frozen=True, slots=True)
class Laplace(Real):
    """Double exponential, whose centre is the median: y ~ Laplace(mu, sigma).

    `sigma` is the scale b of the density exp(-|y - mu| / b) / (2 b).

    Parameters
    ----------
    link : {"identity", "log"}
    """

    name: ClassVar[str] = "laplace"
    row_kernel: ClassVar[str] = "laplace"
    has_corner: ClassVar[bool] = True

    def _residual(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        return 2 * np.square(parameters["sigma"])

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        sigma = parameters["sigma"]
        return -f.abs(y - self.link_functions.inverse(f, eta)) / sigma - f.log(sigma) - _LOG_2

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails."""
        z = (y - self.link_functions.inverse(f, eta)) / parameters["sigma"]
        small = -f.abs(z) - _LOG_2
        large = f.log1p(-f.exp(small))
        return f.where(z < 0, small, large), f.where(z < 0, large, small)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the double exponential."""
        return rng.laplace(self.inverse_link(eta), parameters["sigma"])

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Laplace(mu, b)."""
        import pymc as pm

        return pm.Laplace, {"mu": self.tensor_mean(eta), "b": parameters["sigma"]}

    def latex(self) -> str:
        """Return Laplace(mu_i, sigma)."""
        return rf"\operatorname{{Laplace}}({self.mu_latex}, \sigma)"


@dataclass(frozen=True, slots=True)
class LogNormal(Real):
    """Log-normal: log y ~ Normal(mu, sigma), so that exp(mu) is the median of y.

    With the identity link coefficients are on the log scale of the response.

    Parameters
    ----------
    link : {"identity", "log"}
    """

    name: ClassVar[str] = "lognormal"
    row_kernel: ClassVar[str] = "lognormal"
    has_laplace: ClassVar[bool] = True
    has_constant_variance: ClassVar[bool] = False

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers above zero."""
        return y > 0, "numbers above zero"

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """Return the scale of log y; it is what eta predicts."""
        if self.link == "identity":
            return data_scale(np.log(y), offset)
        # A zero-argument super() does not find its class behind slots.
        return Real.response_scale(self, np.log(y), offset, rows)

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return exp(mu + sigma^2 / 2)."""
        return np.exp(self.inverse_link(eta) + np.square(parameters["sigma"]) / 2)

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return (exp(sigma^2) - 1) mean^2."""
        mean = self.mean(eta, parameters, rows)
        return np.expm1(np.square(parameters["sigma"])) * mean**2

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        sigma = parameters["sigma"]
        log_y = f.log(y)
        z = (log_y - self.link_functions.inverse(f, eta)) / sigma
        return -0.5 * (z**2 + LOG_2PI) - f.log(sigma) - log_y

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both tails of the normal of log y."""
        log_y = f.log(f.maximum(y, 1e-300))
        z = (log_y - self.link_functions.inverse(f, eta)) / parameters["sigma"]
        return f.log_ndtr(z), f.log_ndtr(-z)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the log-normal."""
        return rng.lognormal(self.inverse_link(eta), parameters["sigma"])

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return LogNormal(mu, sigma)."""
        import pymc as pm

        return pm.LogNormal, {"mu": self.tensor_mean(eta), **parameters}

    @property
    def ratio(self) -> str:
        """What exp(coefficient) is."""
        return "ratios of medians" if self.link == "identity" else ""

    @property
    def scale_in_words(self) -> str:
        """Which scale coefficients are on."""
        base = "the log scale of the response"
        return base if self.link == "identity" else f"the {self.link} scale of log y"

    def latex(self) -> str:
        """Return LogNormal(mu_i, sigma)."""
        return rf"\operatorname{{LogNormal}}({self.mu_latex}, \sigma)"


@dataclass(frozen=True, slots=True)
class SkewNormal(Real):
    """Skew normal with mean mu, standard deviation sigma and shape alpha; 0 is the normal.

    Parameters
    ----------
    link : {"identity", "log"}

    References
    ----------
    Azzalini, A. (1985). A class of distributions which includes the normal ones.
    Scandinavian Journal of Statistics 12, 171-178.
    """

    name: ClassVar[str] = "skew_normal"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"sigma": SCALE, "alpha": REAL}
    row_kernel: ClassVar[str] = "skew_normal"
    has_laplace: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ()

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on sigma, normal on alpha."""
        unit = scale.sd if self.link == "identity" else scale.response_sd
        return {
            "sigma": ("HalfCauchy", {"beta": unit}),
            "alpha": ("Normal", {"mu": 0.0, "sigma": 4.0}),
        }

    def parameter_starts(self, y: np.ndarray) -> Mapping[str, float]:
        """At alpha = 0 the information is singular: a search starts on the side of the skew."""
        third = float(np.mean((y - y.mean()) ** 3))
        return {"alpha": 1.5 if third >= 0 else -1.5}

    @staticmethod
    def _shape(f: Functions, alpha: Any) -> tuple[Any, Any]:
        """Standard deviation and mean in units of omega, that of the underlying normal."""
        shift = alpha / f.sqrt(1.0 + alpha**2) * _ROOT_2_PI
        return f.sqrt(1.0 - shift**2), shift

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        sigma, alpha = parameters["sigma"], parameters["alpha"]
        spread, shift = self._shape(f, alpha)
        z = spread * (y - self.link_functions.inverse(f, eta)) / sigma + shift
        lp = f.log(spread) - f.log(sigma) - 0.5 * (z**2 + LOG_2PI) + _LOG_2
        return lp + f.log_ndtr(alpha * z)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the skew normal: a normal beside one that was folded."""
        alpha = np.asarray(parameters["alpha"], dtype=np.float64)
        spread, shift = self._shape(NUMPY, alpha)
        root = np.sqrt(1.0 + alpha**2)
        shape = np.shape(eta)
        z = alpha / root * np.abs(rng.standard_normal(shape)) + rng.standard_normal(shape) / root
        return self.inverse_link(eta) + parameters["sigma"] * (z - shift) / spread

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution, of mean and standard deviation."""
        return custom_distribution(self, eta, parameters, {})

    def latex(self) -> str:
        """Return SkewNormal(mu_i, sigma, alpha)."""
        return rf"\operatorname{{SkewNormal}}({self.mu_latex}, \sigma, \alpha)"
