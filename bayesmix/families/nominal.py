"""Categories in no order: multinomial logit models, with a linear predictor for each category.

A row has one category, or a count of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import DataError, FormulaError, NotSupportedError
from bayesmix.families.base import NO_ROWS, Family, PriorSpec, Rows
from bayesmix.families.functions import Functions, tensor_functions, times_log
from bayesmix.families.links import LINKS, Link
from bayesmix.families.observation import custom_distribution
from bayesmix.families.parameters import REAL, ParameterSpec
from bayesmix.families.scale import ResponseScale
from bayesmix.formula import Formula

__all__ = ["Categorical", "Multinomial"]

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


@dataclass(frozen=True, slots=True)
class Multinomial(Categorical):
    """Counts of categories in no order: those of n trials, each of them as `Categorical`.

    The response is ``cbind(a, b, c)``, a count for each category, the reference first; each row's
    counts add up to its number of trials, which ``cbind(a, b, c) | trials(n)`` names, for new
    rows. Predictors are those of `Categorical`, called by the categories' places.

    Parameters
    ----------
    link : {"logit"}
    labels : tuple of str
        The categories, which the model reads from its formula.

    References
    ----------
    Agresti, A. (2013). Categorical data analysis, 3rd ed. Wiley, section 8.1.
    """

    name: ClassVar[str] = "multinomial"
    row_kernel: ClassVar[str] = "multinomial"
    has_counts: ClassVar[bool] = True
    accepts: ClassVar[tuple[str, ...]] = ("trials",)
    needs: ClassVar[tuple[str, ...]] = ("trials",)

    # -- the response ---------------------------------------------------------

    def read_response(self, response: Any, formula: Formula, learned: Any = None) -> Any:
        """Return the counts as they are, a column each."""
        return response

    def with_response(self, response: Any, formula: Formula) -> Family:
        """Return the family with the categories of the formula."""
        return replace(self, labels=tuple(count.text for count in formula.counts))

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Return the counts, shape (n, K)."""
        counts = np.ascontiguousarray(response, dtype=np.float64)
        total, trials = counts.sum(axis=1), rows["trials"]
        other = np.flatnonzero(total != trials)
        if other.size:
            i = other[0]
            raise DataError(
                f"the counts of `{formula.response.text}` add up to {total[i]:.10g} in row "
                f"{i if labels is None else labels[i]}, and its trials "
                f"`{formula.extras['trials'].text}` are {trials[i]:.10g}: correct them, or leave "
                "trials(...) out, for the sums"
            )
        return counts

    def response_in_words(self, response: Any) -> str:
        """Return the categories, and which is the reference."""
        return f"counts, {Categorical.response_in_words(self, response)}"

    # -- the distribution -----------------------------------------------------

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the coefficient, and the counts times the log probabilities, of y (..., K)."""
        every = [0.0 * eta, eta, *(parameters[name] for name in self.parameters)]
        odds, total = every[0], f.gammaln(rows["trials"] + 1.0)
        for other in every[1:]:
            odds = f.logaddexp(odds, other)
        for k, own in enumerate(every):
            count = y[..., k]
            total = total - f.gammaln(count + 1.0) + f.where(count > 0, count * (own - odds), 0.0)
        return total

    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw the counts of each category, shape (..., n, K)."""
        p = self.probabilities(eta, parameters)
        trials = np.broadcast_to(rows["trials"], p.shape[:-1]).astype(np.int64)
        return np.asarray(rng.multinomial(trials, p), dtype=np.float64)

    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return a custom distribution of vectors of counts.

        PyMC's own wants probabilities, which lose the tails.
        """
        import pytensor.tensor as pt

        return _Counts(self), {
            "odds": pt.stack(
                [pt.zeros_like(eta), eta, *(parameters[name] for name in self.parameters)], axis=-1
            ),
            "trials": rows["trials"],
            "exponent": rows.get("exponent", pt.ones_like(eta)),
        }

    def pymc_likelihood(
        self, name: str, eta: Any, parameters: Mapping[str, Any], observed: Any, dims: Any,
        rows: Rows,
    ) -> Any:  # fmt: skip
        """Add the observed counts, of which `dims` names rows and categories."""
        distribution, arguments = self.pymc_distribution(eta, parameters, rows)
        return distribution(name, **arguments, observed=observed, dims=dims)

    def latex(self) -> str:
        """Return Multinomial(n_i, pi_i) with the odds of each category."""
        inside = Categorical.latex(self).partition("(")[2]
        return rf"\operatorname{{Multinomial}}(n_i, {inside}"


class _Counts:
    """A `pymc.CustomDist` of counts, by the formulas of the family."""

    def __init__(self, family: Multinomial) -> None:
        self.family = family

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Add the variable to the PyMC model on the context stack."""
        import pymc as pm

        values = [arguments.pop(key) for key in ("odds", "trials", "exponent")]
        return pm.CustomDist(name, *values, **self._functions(), **arguments)

    def dist(self, **arguments: Any) -> Any:
        """Return the distribution outside a model."""
        import pymc as pm

        values = [arguments.pop(key) for key in ("odds", "trials", "exponent")]
        return pm.CustomDist.dist(*values, **self._functions(), **arguments)

    def _functions(self) -> dict[str, Any]:
        family = self.family

        def named(odds: Any) -> dict[str, Any]:
            return {name: odds[..., k] for k, name in enumerate(family.parameters, start=2)}

        def logp(value: Any, odds: Any, trials: Any, exponent: Any) -> Any:
            f, rows = tensor_functions(), {"trials": trials}
            lp = family.log_density(f, value, odds[..., 1], named(odds), rows)
            return times_log(f, exponent, lp)

        def random(
            odds: Any, trials: Any, _: Any, rng: np.random.Generator, size: Any = None
        ) -> np.ndarray:
            shape = np.shape(odds)[:-1] if size is None else tuple(np.atleast_1d(size))
            odds = np.broadcast_to(odds, (*shape, np.shape(odds)[-1]))
            drawn = family.draw(odds[..., 1], named(odds), {"trials": trials}, rng)
            return drawn.astype(np.int64)

        return {
            "logp": logp,
            "random": random,
            "signature": "(k),(),()->(k)",
            "dtype": "int64",
            "class_name": "MultinomialLogit",
        }


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
