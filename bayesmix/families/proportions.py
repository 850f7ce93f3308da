"""Binary responses, proportions of trials, and fractions between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import FormulaError
from bayesmix.families.base import NO_MORE, NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.checks import numeric_response, refuse_where
from bayesmix.families.functions import NUMPY, Functions, tensor_functions, times_log
from bayesmix.families.links import UNIT_LINKS, UnitLink
from bayesmix.families.parameters import POSITIVE, ParameterSpec
from bayesmix.families.scale import ResponseScale, link_scale
from bayesmix.formula import Formula

__all__ = ["Bernoulli", "Beta", "BetaBinomial", "Binomial", "Unit"]


@dataclass(frozen=True, slots=True)
class Unit(Family):
    """What the families share whose mean, or that of one trial, lies between 0 and 1.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
    """

    links: ClassVar[tuple[str, ...]] = ("logit", "probit", "cloglog")
    mean_is_fraction: ClassVar[bool] = True

    @property
    def unit_link(self) -> UnitLink:
        """The link, with log F and log(1 - F)."""
        return UNIT_LINKS[self.link]

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the link scale around link(mean(y)), finite also without a success."""
        total = max(float(rows["trials"].sum()) if "trials" in rows else float(len(y)), 1.0)
        mean = float(np.clip(y.sum() / total, 0.5 / total, 1 - 0.5 / total))
        return link_scale(float(self.link_function(mean)), 1.0, y, offset)

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the variance of the latent variable that the link stands for."""
        variance = self.unit_link.latent_variance
        return None if variance is None else np.asarray(variance)

    def _log_odds(self, eta: Any) -> Any:
        """Write the log odds of the mean, for PyMC: exact in both tails."""
        if self.link == "logit":
            return eta
        f, link = tensor_functions(), self.unit_link
        return link.log_inverse(f, eta) - link.log_complement(f, eta)

    def _shapes(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any]:
        """Shapes of the beta distribution with precision phi, each exact where it is small."""
        phi, link = parameters["phi"], self.unit_link
        return phi * f.exp(link.log_inverse(f, eta)), phi * f.exp(link.log_complement(f, eta))


@dataclass(frozen=True, slots=True)
class Bernoulli(Unit):
    """A binary response: 0 or 1, a boolean, or two levels of which the second is success.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog", "cauchit"}
    """

    name: ClassVar[str] = "bernoulli"
    row_kernel: ClassVar[str] = "binomial"
    has_laplace: ClassVar[bool] = True
    links: ClassVar[tuple[str, ...]] = ("logit", "probit", "cloglog", "cauchit")
    discrete: ClassVar[bool] = True
    binary: ClassVar[bool] = True

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the response as 0.0 and 1.0, shape (n,)."""
        if isinstance(getattr(response, "dtype", None), pd.CategoricalDtype):
            levels = list(response.cat.categories)
            if len(levels) != 2:
                shown = ", ".join(repr(level) for level in levels[:4])
                raise FormulaError(
                    f"the response `{formula.response.text}` has {len(levels)} levels ({shown}); "
                    "the bernoulli family wants two, the second of them success",
                    text=formula.text,
                    start=formula.response.start,
                    stop=formula.response.stop,
                )
            return np.asarray(response.cat.codes, dtype=np.float64)
        return Family.response_values(self, response, formula, rows, labels)

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """0 and 1."""
        return (y == 0) | (y == 1), (
            "0 or 1, a boolean or a column with two levels; for counts of successes write "
            'proportion(successes, trials) ~ ... with family="binomial"'
        )

    def response_in_words(self, response: Any) -> str:
        """Say which level is success."""
        if isinstance(response.dtype, pd.CategoricalDtype):
            failure, success = response.dtype.categories
            return f"success is {success!r}, failure {failure!r}"
        return ""

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Up for a success, down for a failure."""
        return np.where(y > 0, 1.0, -1.0)

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return p (1 - p)."""
        p = self.inverse_link(eta)
        return p * (1 - p)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write log p or log(1 - p)."""
        link = self.unit_link
        lp = f.where(y > 0, link.log_inverse(f, eta), link.log_complement(f, eta))
        return f.where((y >= 0) & (y <= 1), lp, -np.inf)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw 0 or 1."""
        return (rng.random(np.shape(eta)) < self.inverse_link(eta)).astype(np.float64)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Bernoulli, by its log odds."""
        import pymc as pm

        return pm.Bernoulli, {"logit_p": self._log_odds(eta)}

    def latex(self) -> str:
        """Return Bernoulli(mu_i)."""
        return rf"\operatorname{{Bernoulli}}({self.mu_latex})"


@dataclass(frozen=True, slots=True)
class Binomial(Unit):
    """Successes of a number of trials: ``proportion(successes, trials) ~ ...``.

    A row with no trials says nothing, and is allowed.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
    """

    name: ClassVar[str] = "binomial"
    row_kernel: ClassVar[str] = "binomial"
    has_laplace: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("trials",)
    needs: ClassVar[tuple[str, ...]] = ("trials",)

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the successes as float64, shape (n,); whole, and at most the trials."""
        y = numeric_response(response, formula)
        trials = rows["trials"]
        impossible = ~((y >= 0) & (y == np.floor(y)) & (y <= trials))
        if impossible.any():
            n = trials[np.flatnonzero(impossible)[0]]
            wanted = (
                f"of {n:g} trials; the {self.name} family wants whole numbers of successes from 0 "
                "to the trials"
            )
            refuse_where(impossible, y, formula, labels, wanted)
        return y

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the expected number of successes."""
        return rows["trials"] * self.inverse_link(eta)

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Up where all trials are successes, down where all are failures."""
        return np.where(y == rows["trials"], 1.0, 0.0) - np.where(y == 0, 1.0, 0.0)

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return n p (1 - p)."""
        p = self.inverse_link(eta)
        return rows["trials"] * p * (1 - p)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        n, link = rows["trials"], self.unit_link
        choose = -f.log1p(n) - f.betaln(n - y + 1.0, y + 1.0)
        lp = choose + times_log(f, y, link.log_inverse(f, eta))
        lp = lp + times_log(f, n - y, link.log_complement(f, eta))
        return f.where((y >= 0) & (y <= n), lp, -np.inf)

    def log_zero(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Write log P(Y = 0)."""
        return times_log(f, rows["trials"], self.unit_link.log_complement(f, eta))

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw successes."""
        trials = np.asarray(rows["trials"]).astype(np.int64)
        return rng.binomial(trials, self.inverse_link(eta)).astype(np.float64)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Binomial(n), by its log odds."""
        import pymc as pm

        return pm.Binomial, {"n": rows["trials"].astype("int64"), "logit_p": self._log_odds(eta)}

    def latex(self) -> str:
        """Return Binomial(n_i, mu_i)."""
        return rf"\operatorname{{Binomial}}(n_i, {self.mu_latex})"


@dataclass(frozen=True, slots=True)
class BetaBinomial(Binomial):
    """Successes of trials whose probability varies: Beta(mu phi, (1 - mu) phi).

    A small precision phi means much overdispersion.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
    """

    name: ClassVar[str] = "beta_binomial"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"phi": POSITIVE}
    row_kernel: ClassVar[str] = "beta_binomial"
    limit: ClassVar[str] = "binomial"

    def is_at_limit(self, y: np.ndarray, parameters: Mapping[str, Any]) -> bool:
        """Whether 1 / phi is far below its standard error near zero, with as many trials as y."""
        error = np.sqrt(2.0 / len(y)) / max(float(np.max(y)), 1.0)
        return bool(1.0 / float(parameters.get("phi", 1e-300)) < NO_MORE * error)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy(10) on phi; a phi of 2 at mu = 1/2 is the uniform distribution."""
        return {"phi": ("HalfCauchy", {"beta": 10.0})}

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: the latent variable has no single variance."""
        return None

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return n p (1 - p) (phi + n) / (phi + 1)."""
        phi, n = parameters["phi"], rows["trials"]
        p = self.inverse_link(eta)
        return n * p * (1 - p) * (phi + n) / (phi + 1)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        n = rows["trials"]
        a, b = self._shapes(f, eta, parameters)
        choose = -f.log1p(n) - f.betaln(n - y + 1.0, y + 1.0)
        lp = choose + f.betaln(y + a, n - y + b) - f.betaln(a, b)
        return f.where((y >= 0) & (y <= n), lp, -np.inf)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw successes with a beta distributed probability."""
        p = _beta_draws(self, eta, parameters, rng)
        return rng.binomial(np.asarray(rows["trials"]).astype(np.int64), p).astype(np.float64)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return BetaBinomial(n, mu phi, (1 - mu) phi)."""
        import pymc as pm

        alpha, beta = self._shapes(tensor_functions(), eta, parameters)
        return pm.BetaBinomial, {"n": rows["trials"].astype("int64"), "alpha": alpha, "beta": beta}

    def latex(self) -> str:
        """Return BetaBinomial(n_i, mu_i phi, (1 - mu_i) phi)."""
        mu = self.mu_latex
        return (
            r"\operatorname{BetaBinomial}(n_i, \mu_i \phi, (1 - \mu_i) \phi), "
            rf"\quad \mu_i = {mu}"
        )


@dataclass(frozen=True, slots=True)
class Beta(Unit):
    """A fraction strictly between 0 and 1: Beta(mu phi, (1 - mu) phi).

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    Ferrari, S. and Cribari-Neto, F. (2004). Beta regression for modelling rates and
    proportions. Journal of Applied Statistics 31, 799-815.
    """

    name: ClassVar[str] = "beta"
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {"phi": POSITIVE}
    row_kernel: ClassVar[str] = "beta"
    has_laplace: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("status", "lower", "upper")

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers strictly between 0 and 1."""
        return (y > 0) & (y < 1), "fractions above 0 and below 1"

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy(10) on phi; a phi of 2 at mu = 1/2 is the uniform distribution."""
        return {"phi": ("HalfCauchy", {"beta": 10.0})}

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: the variance depends on the mean."""
        return None

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return mu (1 - mu) / (1 + phi)."""
        mu = self.inverse_link(eta)
        return mu * (1 - mu) / (1 + parameters["phi"])

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        a, b = self._shapes(f, eta, parameters)
        lp = (a - 1) * f.log(y) + (b - 1) * f.log1p(-y) - f.betaln(a, b)
        return f.where((y > 0) & (y < 1), lp, -np.inf)

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write both incomplete beta functions."""
        a, b = self._shapes(f, eta, parameters)
        x = f.where((y > 0) & (y < 1), y, 0.5)
        below, above = f.log_tail(f.betainc(a, b, x)), f.log_tail(f.betainc(b, a, 1 - x))
        return (
            f.where(y <= 0, -np.inf, f.where(y >= 1, 0.0, below)),
            f.where(y <= 0, 0.0, f.where(y >= 1, -np.inf, above)),
        )

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw fractions."""
        return _beta_draws(self, eta, parameters, rng)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return Beta(mu phi, (1 - mu) phi)."""
        import pymc as pm

        alpha, beta = self._shapes(tensor_functions(), eta, parameters)
        return pm.Beta, {"alpha": alpha, "beta": beta}

    def latex(self) -> str:
        """Return Beta(mu_i phi, (1 - mu_i) phi)."""
        mu = self.mu_latex
        return rf"\operatorname{{Beta}}(\mu_i \phi, (1 - \mu_i) \phi), \quad \mu_i = {mu}"


def _beta_draws(
    family: Unit, eta: np.ndarray, parameters: Mapping[str, Any], rng: np.random.Generator
) -> np.ndarray:
    a, b = family._shapes(NUMPY, np.asarray(eta), parameters)
    # The beta distribution of a mean at the end of the unit interval is that end.
    drawn = rng.beta(np.maximum(a, 1e-300), np.maximum(b, 1e-300))
    return np.asarray(drawn)
