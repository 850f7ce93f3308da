"""Responses with extra zeros.

A zero-inflated response is 0 with probability zi, and otherwise what its base family says, which
may be 0 as well. A hurdle response is 0 with probability hu, and otherwise what the base family
says of values above 0. The link applies to the mean of the base family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.families.base import NO_MORE, NO_ROWS, PriorSpec, Rows
from bayesmix.families.counts import NegativeBinomial, Poisson
from bayesmix.families.functions import NUMPY, Functions, large_is_infinite
from bayesmix.families.observation import custom_distribution, draw_within
from bayesmix.families.parameters import UNIT, ParameterSpec
from bayesmix.families.positive import Gamma
from bayesmix.families.proportions import Binomial
from bayesmix.families.scale import ResponseScale

__all__ = [
    "HurdleGamma",
    "HurdleNegativeBinomial",
    "HurdlePoisson",
    "ZeroInflatedBinomial",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
]

_UNIFORM: PriorSpec = ("Beta", {"alpha": 1.0, "beta": 1.0})


class _ExtraZeros:
    """Adds zeros to the family `base`, the second class that a family is derived from.

    Such a family is called after its base, and has its parameters and that of the zeros.
    """

    __slots__ = ()

    prefix: ClassVar[str]
    zeros: ClassVar[str]
    base: ClassVar[Any]
    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, ParameterSpec]]
    accepts: ClassVar[tuple[str, ...]]
    row_kernel: ClassVar[str]
    has_laplace: ClassVar[bool] = True
    # What its base becomes, it does not.
    limit: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if len(cls.__bases__) == 2:
            base: Any = cls.__bases__[1]
            cls.base = base
            cls.name = cls.row_kernel = f"{cls.prefix}_{base.name}"
            cls.parameters = {**base.parameters, cls.zeros: UNIT}
            cls.accepts = base.needs

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Those of the base family, and uniform on the probability of the zeros."""
        return {**self.base.default_priors(self, scale), self.zeros: _UNIFORM}

    def limit_in_words(self, y: np.ndarray, parameters: Mapping[str, Any]) -> str:
        """Say that the base family adds nothing to a simpler one."""
        words: str = self.base().limit_in_words(y, parameters)
        return words.replace('family="', f'family="{self.prefix}_')

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution."""
        return custom_distribution(self, eta, parameters, rows)  # type: ignore[arg-type]

    def latex(self) -> str:
        """Return the mixture of 0 and the base distribution."""
        p, base = rf"\text{{{self.zeros}}}", self.base.latex(self).split(r", \quad")[0]
        return rf"{p}\,\delta_0 + (1 - {p})\,{base}"


class _ZeroInflated(_ExtraZeros):
    """What a zero-inflated family adds to its base."""

    __slots__ = ()

    prefix: ClassVar[str] = "zero_inflated"
    zeros: ClassVar[str] = "zi"

    def limit_in_words(self, y: np.ndarray, parameters: Mapping[str, Any]) -> str:
        """Say also that there are no extra zeros: less than a thousandth of a row."""
        own = _ExtraZeros.limit_in_words(self, y, parameters)
        if not len(y) * parameters.get("zi", 1.0) < NO_MORE:
            return own
        if not own:
            return f'there are no extra zeros: family="{self.base.name}" fits as well'
        return f"there are no extra zeros and {own.removeprefix('there is ')}".replace(
            f'family="{self.prefix}_', 'family="'
        )

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: the variance depends on the mean."""
        return None

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return (1 - zi) times the base mean."""
        return np.asarray((1 - parameters["zi"]) * self.base.mean(self, eta, parameters, rows))

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return (1 - zi) (v + zi m^2), of the base mean m and variance v."""
        zi = parameters["zi"]
        m = self.base.mean(self, eta, parameters, rows)
        v = self.base.variance(self, eta, parameters, rows)
        return np.asarray((1 - zi) * (v + zi * m**2))

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log probability."""
        zi = parameters["zi"]
        log_rest = f.log1p(-zi)
        zero = f.logaddexp(f.log(zi), log_rest + self.base.log_zero(self, f, eta, parameters, rows))
        lp = log_rest + self.base.log_density(self, f, y, eta, parameters, rows)
        return f.where((y < 0) | (y > 0), lp, zero)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw from the base family, and put zeros in."""
        y = self.base.draw(self, eta, parameters, rows, rng)
        return np.where(rng.random(np.shape(y)) < parameters["zi"], 0.0, y)


class _Hurdle(_ExtraZeros):
    """Zeros apart from the base family, which keeps the values above 0."""

    __slots__ = ()

    prefix: ClassVar[str] = "hurdle"
    zeros: ClassVar[str] = "hu"

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """What is 0 says nothing of the mean of what is above; the least count above is 1."""
        above = self.base.rises(self, y - 1.0, rows) if self.base.discrete else np.zeros(len(y))
        return np.where(y > 0, above, np.nan)

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """Return the base family's scale for the values above 0."""
        above = y > 0
        if not above.any():
            return ResponseScale(center=0.0, sd=1.0, rms=1.0)
        kept = None if offset is None else offset[above]
        scale: ResponseScale = self.base.response_scale(self, y[above], kept)
        return scale

    def _positive_part(self, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """P(Y > 0) under the base family."""
        log_zero = self.log_zero(NUMPY, np.asarray(eta, dtype=np.float64), parameters, rows)
        return np.asarray(-np.expm1(log_zero))

    def log_zero(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Write log P(Y = 0) under the base family."""
        return self.base.log_zero(self, f, eta, parameters, rows)

    @large_is_infinite
    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return (1 - hu) times the base mean of values above 0."""
        m = self.base.mean(self, eta, parameters, rows)
        return np.asarray((1 - parameters["hu"]) * self._among_positive(m, eta, parameters, rows))

    def _among_positive(
        self, of_all: np.ndarray, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> np.ndarray:
        """E[y] or E[y^2] given y > 0: as the base mean falls to 0 counts above 0 are ones."""
        part = self._positive_part(eta, parameters, rows)
        return np.where(part > 0, of_all / np.where(part > 0, part, 1.0), 1.0)

    @large_is_infinite
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return E[y^2] - E[y]^2."""
        m = self.base.mean(self, eta, parameters, rows)
        v = self.base.variance(self, eta, parameters, rows)
        square = (1 - parameters["hu"]) * self._among_positive(v + m**2, eta, parameters, rows)
        return np.asarray(square - self.mean(eta, parameters, rows) ** 2)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density."""
        hu = parameters["hu"]
        above = (y < 0) | (y > 0)
        lp = f.log1p(-hu) - self._log_above(f, eta, parameters, rows)
        lp = lp + self.base.log_density(self, f, f.where(above, y, 1), eta, parameters, rows)
        return f.where(above, lp, f.log(hu))

    def _log_above(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        return f.log1mexp(f.minimum(self.log_zero(f, eta, parameters, rows), -1e-300))

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw values above 0 from the base family, and put zeros in."""
        base = self.base(link=self.link)  # type: ignore[attr-defined]
        inside = {**rows, "lower": np.ones(np.shape(eta)[-1:])} if base.discrete else rows
        y = draw_within(base, eta, parameters, inside, rng)
        return np.where(rng.random(np.shape(y)) < parameters["hu"], 0.0, y)

    def latex(self) -> str:
        """Return the mixture of 0 and the base distribution above 0."""
        return f"{_ExtraZeros.latex(self)}_{{> 0}}"


@dataclass(frozen=True, slots=True)
class ZeroInflatedPoisson(_ZeroInflated, Poisson):
    """Poisson counts with extra zeros, of probability zi.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """


@dataclass(frozen=True, slots=True)
class ZeroInflatedNegativeBinomial(_ZeroInflated, NegativeBinomial):
    """Negative binomial counts with extra zeros, of probability zi.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """


@dataclass(frozen=True, slots=True)
class ZeroInflatedBinomial(_ZeroInflated, Binomial):
    """Successes of trials with extra zeros, of probability zi.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog"}
    """


@dataclass(frozen=True, slots=True)
class HurdlePoisson(_Hurdle, Poisson):
    """Zeros with probability hu, and Poisson counts above 0.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """


@dataclass(frozen=True, slots=True)
class HurdleNegativeBinomial(_Hurdle, NegativeBinomial):
    """Zeros with probability hu, and negative binomial counts above 0.

    Parameters
    ----------
    link : {"log", "identity", "sqrt"}
    """


@dataclass(frozen=True, slots=True)
class HurdleGamma(_Hurdle, Gamma):
    """Zeros with probability hu, and gamma distributed values above 0.

    Parameters
    ----------
    link : {"log", "inverse", "identity"}
    """

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Numbers from 0."""
        return y >= 0, "numbers from 0"

    def log_zero(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Write log P(Y = 0), which a gamma distributed value never is."""
        return -np.inf + 0.0 * eta

    def _log_above(self, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows) -> Any:
        return 0.0
