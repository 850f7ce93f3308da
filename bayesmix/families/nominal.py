"""Categories in no order: the multinomial logit, with a linear predictor for each category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import DataError, FormulaError, NotSupportedError
from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import Functions
from bayesmix.families.links import LINKS, Link
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import REAL, ParameterSpec
from bayesmix.families.scale import ResponseScale
from bayesmix.formula import Formula

__all__ = ["Categorical"]

_MANY = 100  # categories; more are numbers, or names of groups


@dataclass(frozen=True, slots=True)
class Categorical(Family):
    """Categories in no order, by a multinomial logit: log P(y = k) - log P(y = 1) = eta_k.

    The first category is the reference. The predictor of the second is mu, those of the others
    are mu3 to muK; each has the columns of the response's formula unless it has a formula of its
    own. The response holds categories, text, truth values or whole numbers; categories that have
    an order or an order of levels keep it, others are sorted.

    Parameters
    ----------
    link : {"logit"}
    labels : tuple
        The categories, which the model reads from its data.

    References
    ----------
    Agresti, A. (2013). Categorical data analysis, 3rd ed. Wiley, section 8.1.
    """

    name: ClassVar[str] = "categorical"
    links: ClassVar[tuple[str, ...]] = ("logit",)
    row_kernel: ClassVar[str] = "categorical"
    has_laplace: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    is_nominal: ClassVar[bool] = True

    labels: tuple[Any, ...] = ()

    @property
    def n_categories(self) -> int:
        """Number of categories K."""
        return max(len(self.labels), 2)

    @property
    def parameters(self) -> Mapping[str, ParameterSpec]:  # type: ignore[override]
        """The predictors of the third category and those behind it."""
        return {f"mu{k}": REAL for k in range(3, self.n_categories + 1)}

    @property
    def link_functions(self) -> Link:
        """The identity: no function of one linear predictor is a probability."""
        return LINKS["identity"]

    # -- the response ---------------------------------------------------------

    def read_response(self, response: Any, formula: Formula, learned: Any = None) -> Any:
        """Return the response as categories, in those of other data where they are given."""
        dtype = getattr(response, "dtype", None)
        if learned is not None:
            levels = learned.cat.categories
        elif isinstance(dtype, pd.CategoricalDtype):
            levels = dtype.categories
        else:
            levels = pd.Index(_levels(np.asarray(response), formula))
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.equals(levels):
            return response
        found = pd.Series(pd.Categorical(np.asarray(response), categories=levels))
        if found.isna().any():
            value = np.asarray(response)[np.flatnonzero(found.isna())[0]]
            raise DataError(
                f"the response `{formula.response.text}` has the category {value!r}, which the "
                f"data of the model have not; there are {', '.join(map(repr, levels[:8]))}"
            )
        return found

    def with_response(self, response: Any, formula: Formula) -> Family:
        """Return the family with the categories of a response."""
        labels = tuple(response.cat.categories)
        if len(labels) < 2:
            raise FormulaError(
                f"the response `{formula.response.text}` has one category only, {labels[0]!r}",
                text=formula.text, start=formula.response.start, stop=formula.response.stop,
            )  # fmt: skip
        return replace(self, labels=labels)

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the categories as 1.0 to K, shape (n,)."""
        return np.asarray(self.read_response(response, formula).cat.codes, dtype=np.float64) + 1

    def response_in_words(self, response: Any) -> str:
        """Return the categories, and which is the reference."""
        first, *others = (str(label) for label in self.labels)
        return f"categories {', '.join(others)} against {first}"

    def predictor_in_words(self, name: str) -> str:
        """Say of which category a predictor is."""
        number = 2 if name == "mu" else int(name.removeprefix("mu"))
        return f"{name} (log odds of {self.labels[number - 1]} against {self.labels[0]})"

    def categories(self, response: Any) -> tuple[Any, ...]:
        """Return the categories, the reference first."""
        return self.labels

    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """One unit on the scale of log odds."""
        shift = 0.0 if offset is None else float(offset.mean())
        return ResponseScale(center=0.0 - shift, sd=1.0, rms=1.0)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Around even odds, as mu's."""
        return {name: ("Normal", {"mu": 0.0, "sigma": 2.5}) for name in self.parameters}

    # -- the distribution -----------------------------------------------------

    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each category, shape (..., n, K)."""
        every = [np.asarray(eta), *(np.asarray(parameters[name]) for name in self.parameters)]
        alike = np.broadcast_arrays(*every)
        odds = np.stack([np.zeros(alike[0].shape), *alike], axis=-1)
        odds -= odds.max(axis=-1, keepdims=True)
        np.exp(odds, out=odds)
        odds /= odds.sum(axis=-1, keepdims=True)
        return odds

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """There is none.

        Raises
        ------
        NotSupportedError
        """
        raise NotSupportedError(
            'categories in no order have no mean: predict(kind="probability") has the '
            f"probability of each, and of_category({str(self.labels[-1])!r}) of the fit averages, "
            "compares and draws that of one"
        )

    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """There is none, as there is no mean.

        Raises
        ------
        NotSupportedError
        """
        return self.mean(eta, parameters, rows)

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write eta of the category, less the logarithm of all odds' sum."""
        return self.log_probability(f, y, eta, parameters)

    def log_probability(self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any]) -> Any:
        """Write the log probability of category y of one trial."""
        own, every = f.where(y >= 2, eta, 0.0 * eta), f.logaddexp(0.0, eta)
        for k, name in enumerate(self.parameters, start=3):
            other = parameters[name]
            own, every = f.where(y >= k, other, own), f.logaddexp(every, other)
        return f.where((y >= 1) & (y <= self.n_categories), own - every, -np.inf)

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw categories, 1 to K."""
        below = np.cumsum(self.probabilities(eta, parameters)[..., :-1], axis=-1)
        u = rng.random(below.shape[:-1])
        return np.asarray(1.0 + (u[..., None] >= below).sum(axis=-1))

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution: PyMC's own wants probabilities, which lose the tails."""
        return custom_distribution(self, eta, parameters, {})

    # -- words ----------------------------------------------------------------

    @property
    def ratio(self) -> str:
        """Exp(coefficient) is a ratio of odds against the reference."""
        return "ratios of odds against the reference category"

    @property
    def scale_in_words(self) -> str:
        """Which scale coefficients are on."""
        return "the scale of log odds against the reference category"

    def latex(self) -> str:
        """Return Categorical(pi_i) with the odds of each category."""
        names = [r"\eta_i", *(rf"\text{{{name}}}" for name in self.parameters)]
        listed = ", ".join(["0", *names])
        return rf"\operatorname{{Categorical}}(\operatorname{{softmax}}({listed}))"

    def __str__(self) -> str:
        return f"{self.name} (logit link)"


def _levels(values: np.ndarray, formula: Formula) -> list[Any]:
    """The different values of a response that is not text, in order."""
    found = np.unique(values)
    whole = values.dtype.kind in "biu" or bool(np.all(found == np.floor(found)))
    if not whole or len(found) > _MANY:
        what = "numbers that are not whole" if not whole else f"{len(found)} different numbers"
        raise FormulaError(
            f"the response `{formula.response.text}` holds {what}; the categorical family wants "
            "categories, text or a few whole numbers",
            text=formula.text, start=formula.response.start, stop=formula.response.stop,
        )  # fmt: skip
    if values.dtype.kind == "f":
        found = found.astype(np.int64)
    return list(found.tolist())
