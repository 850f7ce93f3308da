"""Counts of categories in no order: the multinomial logit of rows that have a count of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import DataError
from bayesmix.families.base import NO_ROWS, Family, Rows
from bayesmix.families.functions import Functions, tensor_functions, times_log
from bayesmix.families.nominal import Categorical
from bayesmix.formula import Formula

__all__ = ["Multinomial"]


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
