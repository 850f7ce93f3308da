"""Counts: Poisson and negative binomial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_MORE, NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import Functions, large_is_infinite, times_log
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import POSITIVE, UNIT, ParameterSpec
from bayesmix.families.scale import ResponseScale, data_scale, link_scale
from bayesmix.spread import root_mean_square

__all__ = ["Count", "GeneralizedPoisson", "NegativeBinomial", "NegativeBinomial1", "Poisson"]


@dataclass(frozen=True, slots=True)
class Count(Family):
    """What the families of counts share.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
        With the identity link the linear predictor must stay above zero; where it does
        not, the likelihood is zero. With the sqrt link eta and -eta have the same mean.
    """

    links: ClassVar[tuple[str, ...]] = ("log", "identity", "sqrt")
    discrete: ClassVar[bool] = True
    mean_is_positive: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("status", "lower", "upper")

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Whole numbers from 0."""
        return (y >= 0) & (y == np.floor(y)), "counts, whole numbers from 0"

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the link scale around link(mean(y)), finite also where all counts are 0."""
        if self.link == "identity":
            return data_scale(y, offset)
        mean = max(float(y.mean()), 0.5 / len(y))
        return link_scale(float(self.link_function(mean)), 1.0, y, offset)

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Return where a count is the least there may be: down, as the mean falls to zero.

        If the link reaches zero at minus infinity. A count that is the only one says nothing.
        """
        if self.link != "log" or "status" in rows:
            return np.zeros(len(y))
        is_least = y == np.maximum(np.ceil(rows.get("lower", 0.0)), 0.0)
        only = is_least & (y == np.floor(rows.get("upper", np.inf)))
        return np.where(only, np.nan, -1.0 * is_least)

    def _checked(self, f: Functions, y: Any, mu: Any, lp: Any) -> Any:
        return f.where((y >= 0) & (mu >= 0), lp, -np.inf)


@dataclass(frozen=True, slots=True)
class Poisson(Count):
    """Poisson counts with mean mu.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """

    name: ClassVar[str] = "poisson"
    row_kernel: ClassVar[str] = "poisson"
    has_laplace: ClassVar[bool] = True

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Return where a count is the least there may be, or the largest: up, as the mean grows."""
        found = Count.rises(self, y, rows)
        if self.link != "log" or "status" in rows:
            return found
        return np.where((y == np.floor(rows.get("upper", np.inf))) & (found == 0), 1.0, found)

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu."""
        return self.inverse_link(eta)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        mu = self.link_functions.inverse(f, eta)
        log_mu = self.link_functions.log_inverse(f, eta)
        return self._checked(f, y, mu, times_log(f, y, log_mu) - mu - f.gammaln(y + 1.0))

    def log_zero(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Write log P(Y = 0)."""
        return -self.link_functions.inverse(f, eta)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both incomplete gamma functions."""
        mu = self.link_functions.inverse(f, eta)
        k = f.maximum(y, 0.0) + 1.0
        below, above = f.log_tail(f.gammaincc(k, mu)), f.log_tail(f.gammainc(k, mu))
        return f.where(y >= 0, below, -np.inf), f.where(y >= 0, above, 0.0)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw counts."""
        return poisson_draws(self.inverse_link(eta), rng)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Poisson(mu)."""
        import pymc as pm

        return pm.Poisson, {"mu": self.tensor_mean(eta)}

    def latex(self) -> str:
        """Return Poisson(mu_i)."""
        return rf"\operatorname{{Poisson}}({self.mu_latex})"


@dataclass(frozen=True, slots=True)
class NegativeBinomial(Count):
    """Negative binomial counts with mean mu: variance mu + mu^2 / alpha.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """

    name: ClassVar[str] = "negative_binomial"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"alpha": POSITIVE}
    row_kernel: ClassVar[str] = "negative_binomial"
    has_laplace: ClassVar[bool] = True
    limit: ClassVar[str] = "poisson"

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on alpha, whose tail leaves room for the Poisson."""
        return {"alpha": ("HalfCauchy", {"beta": 1.0})}

    def is_at_limit(self, y: np.ndarray, parameters: Mapping[str, Any]) -> bool:
        """Whether what alpha adds to the variance is far below what its estimate could tell."""
        # 1 / alpha has a standard error of sqrt(2 / sum of mu^2) near the Poisson limit.
        error = np.sqrt(2.0 / max(len(y) * float(root_mean_square(y)) ** 2, 1.0))
        return bool(1.0 / float(parameters.get("alpha", 1e-300)) < NO_MORE * error)

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu + mu^2 / alpha."""
        mu = self.inverse_link(eta)
        return mu + mu**2 / parameters["alpha"]

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability, stable also for a large alpha."""
        alpha = parameters["alpha"]
        mu = self.link_functions.inverse(f, eta)
        # (y + a - 1 over y) = 1 / ((y + a) B(a, y + 1)) does not cancel as gammaln does.
        choose = -f.log(y + alpha) - f.betaln(alpha, y + 1.0)
        lp = choose + times_log(f, y, self.link_functions.log_inverse(f, eta))
        lp = lp - (alpha + y) * f.log1p(mu / alpha) - y * f.log(alpha)
        return self._checked(f, y, mu, lp)

    def log_zero(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Write log P(Y = 0)."""
        alpha = parameters["alpha"]
        return -alpha * f.log1p(self.link_functions.inverse(f, eta) / alpha)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both incomplete beta functions."""
        alpha = parameters["alpha"]
        mu = self.link_functions.inverse(f, eta)
        k = f.maximum(y, 0.0) + 1.0
        below = f.log_tail(f.betainc(alpha, k, alpha / (alpha + mu)))
        above = f.log_tail(f.betainc(k, alpha, mu / (alpha + mu)))
        return f.where(y >= 0, below, -np.inf), f.where(y >= 0, above, 0.0)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw counts: Poisson with a gamma distributed mean."""
        alpha = parameters["alpha"]
        return poisson_draws(rng.gamma(alpha, self.inverse_link(eta) / alpha), rng)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return NegativeBinomial(mu, alpha)."""
        import pymc as pm

        return pm.NegativeBinomial, {"mu": self.tensor_mean(eta), "alpha": parameters["alpha"]}

    def latex(self) -> str:
        """Return NegativeBinomial(mu_i, alpha)."""
        return rf"\operatorname{{NegativeBinomial}}({self.mu_latex}, \alpha)"


@dataclass(frozen=True, slots=True)
class NegativeBinomial1(Count):
    """Negative binomial counts with mean mu whose variance is linear in it: mu (1 + alpha).

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}

    References
    ----------
    Hilbe, J. M. (2011). Negative binomial regression, 2nd ed. Cambridge (NB1).
    """

    name: ClassVar[str] = "negative_binomial1"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"alpha": POSITIVE}
    row_kernel: ClassVar[str] = "negative_binomial1"
    has_laplace: ClassVar[bool] = True
    limit: ClassVar[str] = "poisson"

    def is_at_limit(self, y: np.ndarray, parameters: Mapping[str, Any]) -> bool:
        """Whether alpha is far below its standard error near zero, the root of 2 / n."""
        return bool(parameters.get("alpha", np.inf) < NO_MORE * np.sqrt(2.0 / len(y)))

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on alpha, which is 0 for the Poisson."""
        return {"alpha": ("HalfCauchy", {"beta": 1.0})}

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu (1 + alpha)."""
        return self.inverse_link(eta) * (1.0 + parameters["alpha"])

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        alpha = parameters["alpha"]
        mu = self.link_functions.inverse(f, eta)
        size, spread = mu / alpha, f.log1p(alpha)
        some = f.maximum(size, 1e-300)
        choose = -f.log(y + some) - f.betaln(some, y + 1.0)
        lp = choose - size * spread + y * (f.log(alpha) - spread)
        return self._checked(f, y, mu, lp)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both incomplete beta functions."""
        alpha = parameters["alpha"]
        size = f.maximum(self.link_functions.inverse(f, eta) / alpha, 1e-300)
        k = f.maximum(y, 0.0) + 1.0
        below = f.log_tail(f.betainc(size, k, 1.0 / (1.0 + alpha)))
        above = f.log_tail(f.betainc(k, size, alpha / (1.0 + alpha)))
        return f.where(y >= 0, below, -np.inf), f.where(y >= 0, above, 0.0)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw counts: Poisson with a gamma distributed mean."""
        alpha = parameters["alpha"]
        return poisson_draws(rng.gamma(self.inverse_link(eta) / alpha) * alpha, rng)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return NegativeBinomial(mu, mu / alpha)."""
        import pymc as pm

        mu = self.tensor_mean(eta)
        return pm.NegativeBinomial, {"mu": mu, "alpha": mu / parameters["alpha"]}

    def latex(self) -> str:
        """Return NegativeBinomial(mu_i, mu_i / alpha)."""
        return (
            rf"\operatorname{{NegativeBinomial}}(\mu_i, \mu_i / \alpha), "
            rf"\quad \mu_i = {self.mu_latex}"
        )


@dataclass(frozen=True, slots=True)
class GeneralizedPoisson(Count):
    """Counts that vary more than Poisson's, from chains of offspring: variance mu / (1 - delta)^2.

    `delta`, between 0 and 1, is the mean number of offspring; at 0 it is the Poisson.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}

    References
    ----------
    Consul, P. C. and Jain, G. C. (1973). A generalization of the Poisson distribution.
    Technometrics 15, 791-799.
    """

    name: ClassVar[str] = "generalized_poisson"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"delta": UNIT}
    row_kernel: ClassVar[str] = "generalized_poisson"
    has_laplace: ClassVar[bool] = True
    limit: ClassVar[str] = "poisson"
    accepts: ClassVar[tuple[str, ...]] = ()

    def is_at_limit(self, y: np.ndarray, parameters: Mapping[str, Any]) -> bool:
        """Whether delta is far below its standard error near zero, the root of 1 / (2 n)."""
        return bool(parameters.get("delta", 1.0) < NO_MORE * np.sqrt(0.5 / len(y)))

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Uniform on delta."""
        return {"delta": ("Beta", {"alpha": 1.0, "beta": 1.0})}

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu / (1 - delta)^2."""
        return self.inverse_link(eta) / (1.0 - parameters["delta"]) ** 2

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        delta = parameters["delta"]
        mu = self.link_functions.inverse(f, eta)
        theta = mu * (1.0 - delta)
        both = f.maximum(theta + delta * y, 1e-300)
        log_theta = self.link_functions.log_inverse(f, eta) + f.log1p(-delta)
        lp = f.where(y > 0, log_theta + (y - 1.0) * f.log(both), 0.0) - theta - delta * y
        return self._checked(f, y, mu, lp - f.gammaln(y + 1.0))

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw counts, generation by generation."""
        delta = np.asarray(parameters["delta"], dtype=np.float64)
        total = born = poisson_draws(self.inverse_link(eta) * (1.0 - delta), rng)
        while np.any((born > 0) & np.isfinite(born)):
            born = poisson_draws(np.where(np.isfinite(born), born, 0.0) * delta, rng)
            total = total + born
        return total

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution."""
        return custom_distribution(self, eta, parameters, {})

    def latex(self) -> str:
        """Return GeneralizedPoisson(mu_i, delta)."""
        return rf"\operatorname{{GeneralizedPoisson}}({self.mu_latex}, \delta)"


def poisson_draws(mu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Poisson counts as float64; beyond 1e15, where numpy refuses, the normal limit."""
    small = rng.poisson(np.minimum(mu, 1e15)).astype(np.float64)
    if not np.any(mu > 1e15):
        return small
    spread = np.sqrt(np.where(np.isfinite(mu), mu, 0.0))  # an infinite mean stays infinite
    large = np.floor(mu + spread * rng.standard_normal(np.shape(mu)))
    return np.where(mu > 1e15, large, small)
