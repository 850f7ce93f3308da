"""Ordered categories: cumulative, sequential and adjacent-category models."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import FormulaError
from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import NUMPY, Functions
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import ORDERED, POSITIVE, REALS, ParameterSpec
from bayesmix.families.proportions import Unit
from bayesmix.families.scale import ResponseScale
from bayesmix.formula import Formula

__all__ = ["AdjacentCategories", "ContinuationRatio", "Cumulative", "StoppingRatio"]


@dataclass(frozen=True, slots=True)
class Ordinal(Unit):
    """What the families of ordered categories share: K - 1 thresholds and eta.

    The thresholds take the place of the intercept. A positive coefficient moves the
    response towards higher categories. Where a formula ``disc ~ ...`` says how well
    rows tell categories apart, thresholds less eta are multiplied by disc = exp(its predictor).

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
    has_disc : bool
        Whether disc has a linear predictor, which the model reads from its formulas.
    """

    thresholds: ClassVar[ParameterSpec] = REALS
    optional_parameters: ClassVar[tuple[str, ...]] = ("disc",)
    mean_is_fraction: ClassVar[bool] = False
    discrete: ClassVar[bool] = True
    has_laplace: ClassVar[bool] = True
    replaces_intercept: ClassVar[bool] = True

    has_disc: bool = False

    @property
    def parameters(self) -> Mapping[str, ParameterSpec]:  # type: ignore[override]
        """Thresholds, and disc where it has a predictor."""
        own = {"thresholds": self.thresholds}
        return own | {"disc": POSITIVE} if self.has_disc else own

    def with_predictors(self, names: Collection[str]) -> Family:
        """Return the family with disc, if that has a predictor."""
        return replace(self, has_disc=True) if "disc" in names else self

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the categories as 1.0 to K, shape (n,)."""
        expr = formula.response.text
        dtype = getattr(response, "dtype", None)
        problem = ""
        if not isinstance(dtype, pd.CategoricalDtype):
            problem = "holds truth values" if response.dtype.kind == "b" else "holds numbers"
        elif not dtype.ordered:
            levels = ", ".join(repr(level) for level in response.cat.categories[:4])
            problem = f"has categories without an order ({levels})"
        elif len(dtype.categories) < 2:
            problem = f"has one category only, {dtype.categories[0]!r}"
        if problem:
            in_order = "" if problem.startswith("holds") else "categories=[lowest, ..., highest], "
            raise FormulaError(
                f"the response `{expr}` {problem}; the {self.name} family wants an ordered "
                f"categorical: data[{expr!r}] = pd.Categorical(data[{expr!r}], {in_order}"
                "ordered=True)",
                text=formula.text,
                start=formula.response.start,
                stop=formula.response.stop,
            )
        return np.asarray(response.cat.codes, dtype=np.float64) + 1

    def response_in_words(self, response: Any) -> str:
        """Return the categories in their order."""
        return "categories " + " < ".join(str(level) for level in response.cat.categories)

    def parameter_labels(self, response: Any) -> Mapping[str, tuple[str, ...]]:
        """Label each threshold by the categories that it parts: ``low|mid``."""
        levels = [str(level) for level in response.cat.categories]
        pairs = itertools.pairwise(levels)
        return {"thresholds": tuple(f"{below}|{above}" for below, above in pairs)}

    def categories(self, response: Any) -> tuple[Any, ...]:
        """Return the categories in their order."""
        return tuple(response.cat.categories)

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the link scale."""
        return ResponseScale(center=0.0, sd=1.0, rms=1.0)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Student t with 3 degrees of freedom and scale 2.5 on each threshold, as brms."""
        own: dict[str, PriorSpec] = {
            "thresholds": ("StudentT", {"nu": 3.0, "mu": 0.0, "sigma": 2.5})
        }
        return own | {"disc": ("LogNormal", {"mu": 0.0, "sigma": 1.0})} if self.has_disc else own

    def thresholds_start(self, y: np.ndarray, n_thresholds: int) -> np.ndarray:
        """Return the thresholds of the categories' frequencies."""
        at = np.arange(1, n_thresholds + 1)
        below = (np.searchsorted(np.sort(y), at, side="right") + 0.5 * at) / (
            len(y) + 0.5 * (n_thresholds + 1)
        )
        return self.link_function(below)

    def one_sided(
        self, y: np.ndarray, n_thresholds: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Steps that are passed before the category, and the one that is not."""
        if self.has_disc:
            return None
        passed = self._passed(y[:, None], np.arange(1, n_thresholds + 1))
        row, at = np.nonzero(passed)
        sign = passed[row, at].astype(np.float64)
        T = np.zeros((len(row), n_thresholds))
        T[np.arange(len(row)), at] = -sign
        return row, sign, T

    @staticmethod
    def _passed(y: np.ndarray, at: np.ndarray) -> np.ndarray:
        """1 for thresholds that a category is above, -1 for those it is below, 0 for others."""
        return np.where(y > at, 1, np.where(y == at, -1, 0))

    @abstractmethod
    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each category.

        Parameters
        ----------
        eta : array_like, shape (..., n)
        parameters : mapping
            With "thresholds", shape (..., 1, K - 1).

        Returns
        -------
        ndarray, shape (..., n, K)
        """

    def _above(self, eta: Any, parameters: Mapping[str, Any]) -> list[np.ndarray]:
        """P(y > k) for k = 1 to K - 1, each of shape (..., n)."""
        p = self.probabilities(eta, parameters)
        above = np.cumsum(p[..., :0:-1], axis=-1)[..., ::-1]
        return [above[..., k] for k in range(above.shape[-1])]

    def _over(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> Any:
        """Thresholds less eta, times disc, shape (..., n, K - 1)."""
        over = f.thresholds_less(parameters["thresholds"], eta)
        return over * f.column(parameters["disc"]) if self.has_disc else over

    def _distance_latex(self, *, turned: bool = False) -> str:
        """Threshold less eta, or the other way round, times disc."""
        distance = r"\eta_i - \tau_k" if turned else r"\tau_k - \eta_i"
        return rf"\text{{disc}} ({distance})" if self.has_disc else distance

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the expected category, between 1 and K."""
        return np.asarray(1.0 + sum(self._above(eta, parameters)))

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the variance of the category's number."""
        above = self._above(eta, parameters)
        square = 1.0 + sum((2 * k + 1) * p for k, p in enumerate(above, start=1))
        return np.asarray(square - self.mean(eta, parameters, rows) ** 2)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw categories, 1 to K."""
        above = self._above(eta, parameters)
        u = rng.random(np.shape(above[0]))
        return np.asarray(1.0 + sum((u < p).astype(np.float64) for p in above))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution: PyMC's ordered ones lose the tails."""
        return custom_distribution(self, eta, parameters, {})


@dataclass(frozen=True, slots=True)
class Cumulative(Ordinal):
    """Ordered categories 1 to K: P(y <= k) = F(tau_k - eta), F the inverse link.

    The K - 1 ordered thresholds tau take the place of the intercept. A positive
    coefficient moves the response towards higher categories.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    McCullagh, P. (1980). Regression models for ordinal data. Journal of the Royal
    Statistical Society B 42, 109-142.
    """

    name: ClassVar[str] = "cumulative"
    row_kernel: ClassVar[str] = "cumulative"
    thresholds: ClassVar[ParameterSpec] = ORDERED

    @staticmethod
    def _passed(y: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Only the thresholds next to a category have a part in its probability."""
        return np.where(y == at + 1, 1, np.where(y == at, -1, 0))

    def _above(self, eta: Any, parameters: Mapping[str, Any]) -> list[np.ndarray]:
        """P(y > k) for k = 1 to K - 1, each of shape (..., n)."""
        thresholds = np.asarray(parameters["thresholds"], dtype=np.float64)
        eta = np.asarray(eta, dtype=np.float64)
        complement = self.unit_link.log_complement
        disc = parameters["disc"] if self.has_disc else 1.0
        with np.errstate(over="ignore"):
            return [
                np.exp(complement(NUMPY, disc * (thresholds[..., k] - eta)))
                for k in range(thresholds.shape[-1])
            ]

    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each category, shape (..., n, K)."""
        above = self._above(eta, parameters)
        one = np.ones_like(above[0])
        return np.stack(
            [high - low for high, low in zip([one, *above], [*above, 0 * one], strict=True)],
            axis=-1,
        )

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write log(F(tau_k - eta) - F(tau_(k-1) - eta)) without cancellation."""
        thresholds = parameters["thresholds"]
        last = thresholds.shape[-1] + 1
        middle = (y > 1) & (y < last)
        upper = f.pick(thresholds, f.minimum(y, last - 1) - 1) - eta
        lower = f.pick(thresholds, f.maximum(y, 2) - 2) - eta
        if self.has_disc:
            upper, lower = parameters["disc"] * upper, parameters["disc"] * lower
        link = self.unit_link
        # Where one of the two is not there, the difference must not be 0 in the gradient.
        between = self._log_between(f, upper, f.where(middle, lower, upper - 1.0))
        return f.where(
            y <= 1,
            link.log_inverse(f, upper),
            f.where(y >= last, link.log_complement(f, lower), between),
        )

    def _log_between(self, f: Functions, a: Any, b: Any) -> Any:
        """Write log(F(a) - F(b)) for b < a."""
        if self.link == "logit":  # F(a) - F(b) = F(a) (1 - F(b)) (1 - exp(b - a))
            return f.log_expit(a) + f.log_expit(-b) + f.log1mexp(b - a)
        if self.link == "cloglog":
            lower = f.exp(b)
            return -lower + f.log1mexp(lower - f.exp(a))
        # In the right tail the normal is taken from its mirror image.
        right = b > 0
        top = f.log_ndtr(f.where(right, -b, a))
        return top + f.log1mexp(f.log_ndtr(f.where(right, -a, b)) - top)

    def latex(self) -> str:
        """Return Cumulative(tau, eta_i)."""
        F = self.link_functions.latex.replace(r"\eta_i", self._distance_latex())
        return rf"\operatorname{{Cumulative}}, \quad P(y_i \le k) = {F}"


@dataclass(frozen=True, slots=True)
class StoppingRatio(Ordinal):
    """Ordered categories reached one after another: P(y = k | y >= k) = F(tau_k - eta).

    Thresholds need not rise.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    Tutz, G. (1991). Sequential models in categorical regression. Computational
    Statistics and Data Analysis 11, 275-295.
    """

    name: ClassVar[str] = "sratio"
    row_kernel: ClassVar[str] = "sratio"

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: no single latent variable stands behind the categories."""
        return None

    def thresholds_start(self, y: np.ndarray, n_thresholds: int) -> np.ndarray:
        """Return the thresholds of the frequencies of stopping."""
        return -_start_of_steps(self, y, n_thresholds, stops=True)

    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each category, shape (..., n, K)."""
        stop, go = self._steps(NUMPY, eta, parameters)
        return np.exp(_sequence(stop, go))

    def _steps(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any]:
        """Log probabilities of stopping at k, and of going on."""
        x = self._over(f, eta, parameters)
        return self.unit_link.log_inverse(f, x), self.unit_link.log_complement(f, x)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probabilities of all steps up to the category."""
        stop, go = self._steps(f, eta, parameters)
        y, at = f.column(y), f.places(stop)
        return f.sum_last(f.where(y > at, go, f.where(y >= at, stop, 0.0)))

    def latex(self) -> str:
        """Return StoppingRatio(tau, eta_i)."""
        F = self.link_functions.latex.replace(r"\eta_i", self._distance_latex())
        return rf"\operatorname{{StoppingRatio}}, \quad P(y_i = k \mid y_i \ge k) = {F}"


@dataclass(frozen=True, slots=True)
class ContinuationRatio(StoppingRatio):
    """Ordered categories reached one after another: P(y > k | y >= k) = F(eta - tau_k).

    With a symmetric link it is the model of stopping ratios. Thresholds need not rise.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    Tutz, G. (1991). Sequential models in categorical regression. Computational
    Statistics and Data Analysis 11, 275-295.
    """

    name: ClassVar[str] = "cratio"
    row_kernel: ClassVar[str] = "cratio"

    def thresholds_start(self, y: np.ndarray, n_thresholds: int) -> np.ndarray:
        """Return the thresholds of the frequencies of going on."""
        return -_start_of_steps(self, y, n_thresholds, stops=False)

    def _steps(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> tuple[Any, Any]:
        """Log probabilities of stopping at k, and of going on."""
        x = -self._over(f, eta, parameters)
        return self.unit_link.log_complement(f, x), self.unit_link.log_inverse(f, x)

    def latex(self) -> str:
        """Return ContinuationRatio(tau, eta_i)."""
        F = self.link_functions.latex.replace(r"\eta_i", self._distance_latex(turned=True))
        return rf"\operatorname{{ContinuationRatio}}, \quad P(y_i > k \mid y_i \ge k) = {F}"


@dataclass(frozen=True, slots=True)
class AdjacentCategories(Ordinal):
    """Ordered categories, each against the one below: P(y = k + 1 | k or k + 1) = F(eta - tau_k).

    Thresholds need not rise.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}

    References
    ----------
    Agresti, A. (2010). Analysis of ordinal categorical data, 2nd ed. Wiley, section 4.1.
    """

    name: ClassVar[str] = "acat"
    row_kernel: ClassVar[str] = "acat"

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: no single latent variable stands behind the categories."""
        return None

    def thresholds_start(self, y: np.ndarray, n_thresholds: int) -> np.ndarray:
        """Return the thresholds of neighbours' frequencies."""
        n = np.array([np.sum(y == k) for k in range(1, n_thresholds + 2)]) + 0.5
        return -self.link_function(n[1:] / (n[1:] + n[:-1]))

    def one_sided(
        self, y: np.ndarray, n_thresholds: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Log odds of the category against each of the others."""
        if self.has_disc:
            return None
        row, other = np.nonzero(y[:, None] != np.arange(1, n_thresholds + 2))
        own, other = y[row].astype(int), other + 1
        at = np.arange(1, n_thresholds + 1)
        above = (at >= other[:, None]) & (at < own[:, None])  # passed on the way to it
        beyond = (at >= own[:, None]) & (at < other[:, None])
        return row, (own - other).astype(np.float64), 1.0 * beyond - above

    def _log_odds_above(self, f: Functions, eta: Any, parameters: Mapping[str, Any]) -> Any:
        """Log of each category's probability over that of the lowest, shape (..., n, K)."""
        x, link = -self._over(f, eta, parameters), self.unit_link
        is_logit = self.link == "logit"
        odds = x if is_logit else link.log_inverse(f, x) - link.log_complement(f, x)
        return f.with_zero(f.cumsum_last(odds))

    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each category, shape (..., n, K)."""
        over = self._log_odds_above(NUMPY, eta, parameters)
        return np.exp(over - NUMPY.logsumexp(over)[..., None])

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log odds of the category, less the logarithm of all odds' sum."""
        over = self._log_odds_above(f, eta, parameters)
        own = f.sum_last(f.where(_is(f.column(y), f.places(over)), over, 0.0))
        return own - f.logsumexp(over)

    def latex(self) -> str:
        """Return AdjacentCategories(tau, eta_i)."""
        F = self.link_functions.latex.replace(r"\eta_i", self._distance_latex(turned=True))
        return (
            rf"\operatorname{{AdjacentCategories}}, \quad "
            rf"P(y_i = k + 1 \mid y_i \in \{{k, k + 1\}}) = {F}"
        )


def _is(y: Any, at: Any) -> Any:
    """Whether y, a whole number, is at a place."""
    return (y >= at) & (y <= at)


def _sequence(stop: np.ndarray, go: np.ndarray) -> np.ndarray:
    """Log probabilities of the categories, of those of stopping and of going on."""
    before = NUMPY.with_zero(np.cumsum(go, axis=-1))
    return np.concatenate([before[..., :-1] + stop, before[..., -1:]], axis=-1)


def _start_of_steps(family: Ordinal, y: np.ndarray, n_steps: int, *, stops: bool) -> np.ndarray:
    """Minus the thresholds at which as many stop at each step as do."""
    at = np.arange(1, n_steps + 1)
    here = np.array([np.sum(y == k) for k in at]) + 0.5
    beyond = np.array([np.sum(y > k) for k in at]) + 0.5
    found = family.link_function((here if stops else beyond) / (here + beyond))
    return -found if stops else found
