"""One category of several: whether the response is it, whose mean is its probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_ROWS, Family, Rows
from bayesmix.families.functions import Functions
from bayesmix.families.links import Link
from bayesmix.families.multinomial import Multinomial
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import ParameterSpec
from bayesmix.families.scale import ResponseScale

__all__ = ["OneCategory", "OneCount", "one_category"]


@dataclass(frozen=True, slots=True)
class OneCategory(Family):
    """Whether a response with categories is one of them: 1 or 0.

    It has the predictors and parameters of the family that it is of.

    Parameters
    ----------
    of : Family
        One with categories.
    number : int
        The category, from 1.
    """

    name: ClassVar[str] = "category"
    discrete: ClassVar[bool] = True
    binary: ClassVar[bool] = True
    mean_is_fraction: ClassVar[bool] = True

    of: Family = field(kw_only=True)
    number: int = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", self.of.link)

    @property
    def links(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the family that it is of."""
        return self.of.links

    @property
    def parameters(self) -> Mapping[str, ParameterSpec]:  # type: ignore[override]
        """Those of the family that it is of."""
        return self.of.parameters

    @property
    def replaces_intercept(self) -> bool:  # type: ignore[override]
        """Whether thresholds stand in the intercept's place."""
        return self.of.replaces_intercept

    @property
    def link_functions(self) -> Link:
        """The link of the family that it is of."""
        return self.of.link_functions

    def parameter_link(self, name: str) -> Link:
        """Return the link of a parameter's predictor."""
        return self.of.parameter_link(name)

    def seen_category(self, response: Any) -> str:
        """Return the category."""
        return str(self.of.categories(response)[self.number - 1])

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the scale of the link."""
        return ResponseScale(center=0.0, sd=1.0, rms=1.0)

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the probability of the category."""
        return np.asarray(self.of.probabilities(eta, parameters)[..., self.number - 1])

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return p (1 - p)."""
        p = self.mean(eta, parameters, rows)
        return p * (1 - p)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability of the category, or of all others."""
        log_p = self._log_probability(f, y, eta, parameters, rows)
        return f.where(y > 0, log_p, f.log1mexp(log_p))

    def _log_probability(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        return self.of.log_density(f, 0.0 * y + self.number, eta, parameters, rows)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw categories, and say which are this one."""
        return np.asarray(self.of.draw(eta, parameters, rows, rng) == self.number, np.float64)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution of these formulas."""
        return custom_distribution(self, eta, parameters, {})

    def latex(self) -> str:
        """Return the distribution that it is of."""
        return self.of.latex()

    def __str__(self) -> str:
        return f"category {self.number} of {self.of}"


@dataclass(frozen=True, slots=True)
class OneCount(OneCategory):
    """The count of one category among a row's trials: binomial.

    Parameters
    ----------
    of : Multinomial
    number : int
        The category, from 1.
    """

    name: ClassVar[str] = "count of a category"
    binary: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...]] = ("trials",)
    needs: ClassVar[tuple[str, ...]] = ("trials",)

    of: Multinomial = field(kw_only=True)

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return the trials times the probability of the category."""
        return rows["trials"] * OneCategory.mean(self, eta, parameters, rows)

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return n p (1 - p)."""
        p = OneCategory.mean(self, eta, parameters, rows)
        return np.asarray(rows["trials"] * p * (1 - p))

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the binomial log probability of the count."""
        n = rows["trials"]
        log_p = self.of.log_probability(f, 0.0 * y + self.number, eta, parameters)
        some = f.where(y > 0, y * log_p, 0.0) + f.where(y < n, (n - y) * f.log1mexp(log_p), 0.0)
        return some + f.gammaln(n + 1.0) - f.gammaln(y + 1.0) - f.gammaln(n - y + 1.0)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw the count."""
        p = OneCategory.mean(self, eta, parameters, rows)
        return np.asarray(rng.binomial(rows["trials"].astype(np.int64), p), dtype=np.float64)


def one_category(family: Family, y: np.ndarray, number: int) -> tuple[Family, np.ndarray]:
    """Return what a family with categories and its responses are, seen by one category.

    Parameters
    ----------
    family : Family
    y : ndarray, shape (n,) or (n, K)
    number : int
        The category, from 1.

    Returns
    -------
    OneCategory
    ndarray, shape (n,)
    """
    if isinstance(family, Multinomial):
        return OneCount(of=family, number=number), np.ascontiguousarray(y[:, number - 1])
    return OneCategory(of=family, number=number), np.asarray(y == number, dtype=np.float64)
