"""What a response distribution must know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import ArgumentError
from bayesmix.families.checks import numeric_response, refuse_where
from bayesmix.families.functions import NUMPY, Functions, tensor_functions
from bayesmix.families.links import LINKS, Link
from bayesmix.families.parameters import ParameterSpec
from bayesmix.families.row_values import NO_ROWS, Rows
from bayesmix.families.scale import ResponseScale
from bayesmix.formula import Formula

__all__ = ["NO_MORE", "NO_ROWS", "Family", "PriorSpec", "Rows"]

NO_MORE = 1e-3  # standard errors of what a parameter adds that count as nothing

# A distribution's name and parameters, before it becomes a Prior.
PriorSpec = tuple[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Family(ABC):
    """A response distribution with a link.

    Arrays eta and y have shape (..., n), with draws in front; each of `parameters`
    broadcasts against eta. What a family can do is an attribute; its name and that of its
    link are for people. `rows` holds what is given per row, of shape (n,):
    "weights" (precision) and "known_se" of normal responses, "trials", "status" (-1,
    0, 1 for a left-censored, seen, right-censored value), "lower" and "upper"
    (truncation) and "exponent" (the w of ``weighted(y, w)``).

    Parameters
    ----------
    link : str
        Name of the link function; the first of `links` by default.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    # What it has beside the mean, by name, with support and default link.
    parameters: ClassVar[Mapping[str, ParameterSpec]] = {}
    # Whether the response is normal around mu.
    is_normal: ClassVar[bool] = False
    # Whether the variance of the response is the same at each mean.
    has_constant_variance: ClassVar[bool] = False
    # Whether the mean, or that of one trial, is a probability or a fraction.
    mean_is_fraction: ClassVar[bool] = False
    # Whether the density has a corner at mu, so that the median is most likely.
    has_corner: ClassVar[bool] = False
    # Name of the kernel of its rows in `glmm.rows`; empty without one. Kernels take the
    # family's parameters in their order here.
    row_kernel: ClassVar[str] = ""
    # Whether Laplace's approximation of the likelihood is offered.
    has_laplace: ClassVar[bool] = False
    # Whether the response is an angle, and its mean and variance those of one.
    is_circular: ClassVar[bool] = False
    # Name of the family that this one becomes at the end of a parameter's range.
    limit: ClassVar[str] = ""
    # Whether levels with a row each compete with a residual.
    residual_is_estimated: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    # Whether the response is a failure or a success, and its mean a probability.
    binary: ClassVar[bool] = False
    # Whether the mean must be above zero, which the identity link does not see to.
    mean_is_positive: ClassVar[bool] = False
    # What may be given per row, beside "exponent", and what must be.
    accepts: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    # Whether parameters of the family stand in the intercept's place.
    replaces_intercept: ClassVar[bool] = False
    # Parameters that the family has only where they have a linear predictor: without an intercept,
    # because they are 1 where all columns are zero.
    optional_parameters: ClassVar[tuple[str, ...]] = ()
    # Whether the response is one of several categories in no order, each with a predictor.
    is_nominal: ClassVar[bool] = False
    # Whether a row has a count of each category, so that y and draws have an axis of them behind.
    has_counts: ClassVar[bool] = False

    link: str = ""

    def __post_init__(self) -> None:
        if not self.link:
            object.__setattr__(self, "link", self.links[0])
        if self.link not in self.links:
            raise ArgumentError(
                f"the {self.name} family has no link {self.link!r}; "
                f"there is {', '.join(repr(link) for link in self.links)}"
            )

    @property
    def unit_parameters(self) -> tuple[str, ...]:
        """Names of the parameters between 0 and 1."""
        return tuple(name for name, spec in self.parameters.items() if spec.support == "unit")

    @property
    def vector_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that are vectors."""
        return tuple(name for name, spec in self.parameters.items() if spec.is_vector)

    # -- what follows from the link -------------------------------------------

    @property
    def is_linear_normal(self) -> bool:
        """Whether the response is normal around the linear predictor: effects integrate out."""
        return self.is_normal and self.link_functions.is_identity

    @property
    def tables_rows(self) -> bool:
        """Whether a table of rows that differ, with their numbers, says all that rows say.

        The likelihood is one of a single linear predictor then, whose kernel takes a row many
        times, and the units of priors and searches are sums over rows.
        """
        return (
            self.has_laplace and bool(self.row_kernel) and not self.is_linear_normal
            and not (self.is_nominal or self.has_counts or self.vector_parameters)
            and not self.link_functions.is_even
        )  # fmt: skip

    @property
    def mean_is_linear(self) -> bool:
        """Whether the mean is the linear predictor itself."""
        return self.link_functions.is_identity and type(self).mean is Family.mean

    # -- other families -------------------------------------------------------

    def nests(self, other: Family) -> bool:
        """Whether the other family is this one, or its limit, with the same link."""
        return other.name in {self.name, self.limit} and other.link == self.link

    def is_at_limit(self, y: np.ndarray, parameters: Mapping[str, Any]) -> bool:
        """Whether the parameters cannot be told from those at which it becomes its `limit`."""
        return False

    def limit_in_words(self, y: np.ndarray, parameters: Mapping[str, Any]) -> str:
        """Say that a parameter adds nothing to a simpler family; empty where it may add.

        `parameters` are those that are numbers; one with a formula of its own is not there.
        """
        if self.limit and self.is_at_limit(y, parameters):
            return f'there is no overdispersion: family="{self.limit}" fits as well'
        return ""

    def with_known_se(self) -> Family:
        """Return the family of responses with known standard errors, where `accepts` has them."""
        raise NotImplementedError

    # -- the link -------------------------------------------------------------

    @property
    def link_functions(self) -> Link:
        """The link with its derivations."""
        return LINKS[self.link]

    def parameter_link(self, name: str) -> Link:
        """Return the link that a parameter's own linear predictor has by default."""
        return LINKS[self.parameters[name].link]

    def inverse_link(self, eta: Any) -> np.ndarray:
        """Return mu of the linear predictor, in the shape of `eta`."""
        with np.errstate(over="ignore", divide="ignore"):
            eta = np.asarray(eta, dtype=np.float64)
            return np.asarray(self.link_functions.inverse(NUMPY, eta))

    def link_function(self, mu: Any) -> np.ndarray:
        """Return the linear predictor that gives `mu`, in its shape."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.link_functions.forward(np.asarray(mu, dtype=np.float64)))

    def tensor_mean(self, eta: Any) -> Any:
        """Return mu of a PyTensor linear predictor."""
        return self.link_functions.inverse(tensor_functions(), eta)

    @property
    def mu_latex(self) -> str:
        """The mean mu as a function of eta_i, in LaTeX."""
        return self.link_functions.latex

    # -- the response ---------------------------------------------------------

    def possible(self, y: np.ndarray) -> tuple[np.ndarray, str]:
        """Say which numbers can be a response, and in words what the family wants.

        Parameters
        ----------
        y : ndarray, shape (n,)

        Returns
        -------
        ndarray of bool, shape (n,)
        str
            Such as "whole numbers from 0".
        """
        return np.ones(y.shape, dtype=np.bool_), "numbers"

    def response_values(
        self,
        response: Any,
        formula: Formula,
        rows: Rows = NO_ROWS,
        labels: pd.Index[Any] | None = None,
    ) -> np.ndarray:
        """Turn the left-hand side into numbers, or say what is wrong with it.

        Parameters
        ----------
        response : ndarray or Series, shape (n,)
        formula : Formula
            For the message.
        rows : mapping of str to ndarray, shape (n,)
        labels : Index, length n, optional
            Labels of the rows, for the message.

        Returns
        -------
        ndarray of float, shape (n,)

        Raises
        ------
        FormulaError
            If the response is of the wrong kind.
        DataError
            If a value is not possible under this family.
        """
        y = numeric_response(response, formula)
        possible, wants = self.possible(y)
        refuse_where(~possible, y, formula, labels, f"the {self.name} family wants {wants}")
        return y

    def read_response(self, response: Any, formula: Formula, learned: Any = None) -> Any:
        """Return the left-hand side as the design keeps it; `learned` is that of other data."""
        return response

    def with_response(self, response: Any, formula: Formula) -> Family:
        """Return the family for a response, which may decide how many predictors there are."""
        return self

    def with_predictors(self, names: Collection[str]) -> Family:
        """Return the family whose parameters of these names have a linear predictor."""
        return self

    def response_in_words(self, response: Any) -> str:
        """Say how the response is read, where that needs saying."""
        return ""

    def predictor_in_words(self, name: str) -> str:
        """Say what the linear predictor of a parameter is."""
        return f"{name} ({self.parameter_link(name).name} link)"

    def parameter_labels(self, response: Any) -> Mapping[str, tuple[str, ...]]:
        """Return the labels of each parameter that is a vector."""
        return {}

    def seen_category(self, response: Any) -> str:
        """Return the one category that the response is seen by; empty for the response itself."""
        return ""

    def categories(self, response: Any) -> tuple[Any, ...]:
        """Return the categories of the response, the lowest first; nothing for numbers."""
        return ()

    def parameter_starts(self, y: np.ndarray) -> Mapping[str, float]:
        """Return where a search starts with single parameters, as far as the family says."""
        return {}

    def thresholds_start(self, y: np.ndarray, n_thresholds: int) -> np.ndarray:
        """Return where a search starts with a vector of thresholds; only where there is one."""
        raise NotImplementedError

    @abstractmethod
    def response_scale(
        self, y: np.ndarray, offset: np.ndarray | None, rows: Rows = NO_ROWS
    ) -> ResponseScale:
        """Return the scale that the default priors take their units from."""

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Return the default prior of each of `parameters`; here there is none."""
        return {}

    # -- the distribution -----------------------------------------------------

    def mean(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return E[y | eta], before truncation and censoring, shape (..., n); here mu."""
        return self.inverse_link(eta)

    def probabilities(self, eta: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of each of `categories`; only where there are some."""
        raise NotImplementedError

    @abstractmethod
    def variance(self, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS) -> np.ndarray:
        """Return Var[y | eta], before truncation and censoring, shape (..., n)."""

    @abstractmethod
    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Write the log density or log probability of y, in the functions `f`."""

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Write log P(Y <= y) and log P(Y > y); only where censoring is known."""
        raise NotImplementedError

    @abstractmethod
    def draw(
        self,
        eta: np.ndarray,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw a response for each entry of eta, without truncation."""

    def rises(self, y: np.ndarray, rows: Rows = NO_ROWS) -> np.ndarray:
        """Say which way each row's likelihood rises for ever with the linear predictor.

        Parameters
        ----------
        y : ndarray, shape (n,)
        rows : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
            1 or -1, and 0 where it has its maximum at a finite value, or where the
            family does not say; NaN where a row says nothing of the linear predictor.
        """
        return np.zeros(len(y))

    def one_sided(
        self, y: np.ndarray, n_thresholds: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Write the likelihood's factors of ordered categories, which rise for ever.

        Parameters
        ----------
        y : ndarray, shape (n,)
        n_thresholds : int

        Returns
        -------
        row : ndarray of int, shape (m,)
        sign : ndarray, shape (m,)
        T : ndarray, shape (m, n_thresholds)
            The likelihood is largest as ``sign * eta[row] + T @ thresholds`` grows in all of
            them. None where there are no thresholds.
        """
        return None

    def log_prob(
        self, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows = NO_ROWS
    ) -> np.ndarray:
        """Return the log density of each observation.

        Censored values count with the probability of their side, truncation divides
        by the probability of the interval, and the exponent of ``weighted`` multiplies.

        Parameters
        ----------
        y : array_like, shape (..., n)
        eta : array_like, shape (..., n)
            Linear predictor.
        parameters : mapping of str to array_like
            That broadcast against eta.
        rows : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (..., n)
        """
        from bayesmix.families.observation import observation_log_prob

        y = np.asarray(y, dtype=np.float64)
        eta = np.asarray(eta, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.asarray(observation_log_prob(self, NUMPY, y, eta, parameters, rows))

    def simulate(
        self,
        eta: Any,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw a replicate of the response.

        Parameters
        ----------
        eta : array_like, shape (..., n)
        parameters : mapping of str to array_like
            That broadcast against eta.
        rows : mapping of str to ndarray, shape (n,)
            Truncation is respected; censoring and the exponent are not looked at.
        rng : numpy Generator

        Returns
        -------
        ndarray of float, shape (..., n)
            NaN where the link gives a mean that is not possible.
        """
        from bayesmix.families.observation import draw_within

        eta = np.asarray(eta, dtype=np.float64)
        return draw_within(self, eta, parameters, rows, rng)

    # -- PyMC -----------------------------------------------------------------

    @abstractmethod
    def pymc_distribution(
        self, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, dict[str, Any]]:
        """Return the PyMC distribution of one observation and its arguments.

        Parameters
        ----------
        eta : TensorVariable, shape (n,)
        parameters : mapping of str to TensorVariable
        rows : mapping of str to TensorVariable, shape (n,)

        Returns
        -------
        class
            A PyMC distribution, or one that `custom_distribution` makes.
        dict of str to TensorVariable
        """

    def pymc_likelihood(
        self,
        name: str,
        eta: Any,
        parameters: Mapping[str, Any],
        observed: Any,
        dims: str,
        rows: Rows,
    ) -> Any:
        """Add the observed variable to the PyMC model on the context stack."""
        from bayesmix.families.observation import custom_distribution, is_plain

        if is_plain(rows):
            distribution, arguments = self.pymc_distribution(eta, parameters, rows)
        else:
            distribution, arguments = custom_distribution(self, eta, parameters, rows)
        return distribution(name, **arguments, observed=observed, dims=dims)

    # -- results --------------------------------------------------------------

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the residual variance on the scale of the linear predictor.

        For binary and ordinal responses that is the variance of the latent variable:
        pi^2 / 3 for the logit, 1 for the probit, pi^2 / 6 for the cloglog link.

        Parameters
        ----------
        parameters : mapping of str to ndarray
            Draws or values of the family's parameters, of any one shape.

        Returns
        -------
        ndarray or None
            Its shape broadcasts against theirs; None where the family has no such
            variance, because it depends on the mean.
        """
        return None

    @property
    def ratio(self) -> str:
        """What exp(coefficient) is, in words; empty where it means nothing."""
        if self.link_functions.is_log and self.discrete:
            return "rate ratios"
        return self.link_functions.ratio

    @property
    def scale_in_words(self) -> str:
        """Which scale coefficients and group effects are on; empty for the response's own."""
        return "" if self.link_functions.is_identity else f"the {self.link} scale"

    @abstractmethod
    def latex(self) -> str:
        """Return the distribution of one observation, in LaTeX."""

    def __str__(self) -> str:
        return f"{self.name} ({self.link} link)"
