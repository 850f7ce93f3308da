"""What a residual structure says: R in y - mu ~ Normal(0, R).

The algebra sees R by its inverse alone, as a sum over classes of pairs of rows:

    R^-1 = sigma^-2 sum_k c_k(phi) M_k

with fixed symmetric matrices M_k, the numbers c_k(phi), and sigma, which is absent where
a structure knows its own scale. The mixed-model equations are the same sum of K fixed
cross-products, so that an evaluation never touches the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from bayesmix.families import Family

__all__ = ["PairClasses", "Residual", "ResidualParameter", "RowScale", "Rows", "Support"]

Rows = Mapping[str, np.ndarray]  # what is given per row: each of shape (n,)
Support = Literal["positive", "real", "interval"]

_NO_PAIRS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualParameter:
    """One parameter of a residual structure beside sigma.

    Attributes
    ----------
    name : str
        As in tables, draws and the PyMC model: ``rho_residual``.
    support : {"positive", "real", "interval"}
        Its coordinate is the logarithm, the parameter itself, or a scaled logit.
    lower, upper : float
        Ends of an interval.
    start : float
        Where searches start.
    prior : tuple of str and dict
        The default prior: a distribution and its parameters.
    vine : float or None
        Where it is a partial correlation under an LKJ prior: the exponent of 1 - p^2 in
        the Jacobian from partial correlations to the matrix.
    entry : str
        What its prior is called, where that is not its own name.
    """

    name: str
    support: Support
    start: float
    prior: tuple[str, Mapping[str, float]]
    lower: float = 0.0
    upper: float = 1.0
    vine: float | None = None
    entry: str = ""

    @property
    def prior_name(self) -> str:
        """What its prior is called."""
        return self.entry or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PairClasses:
    """The matrices M_k of one data set, as lists of pairs of rows.

    Attributes
    ----------
    n_classes : int
    diagonal : ndarray of int64, shape (n,), or None
        Class in which each row is paired with itself; None for class 0 throughout.
    weights : ndarray, shape (n,), or None
        Entries of these matrices at (i, i); None for ones.
    first, second : ndarray of int64, shape (m,)
        Further pairs of rows (i, j); each stands for (j, i) as well. A row may be
        paired with itself again, in another class.
    kind : ndarray of int64, shape (m,)
        Class of each pair.
    value : ndarray, shape (m,), or None
        Entries of these matrices at (i, j); None for ones.
    patterns : tuple of two ndarrays of int64, or None
        Where the classes are the entries of inverses of correlation matrices: size of each
        of these, and how many series have it. Their lower triangles lie row by row
        behind each other.
    """

    n_classes: int = 1
    diagonal: np.ndarray | None = None
    weights: np.ndarray | None = None
    first: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    second: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    kind: np.ndarray = field(default_factory=_NO_PAIRS.copy)
    value: np.ndarray | None = None
    patterns: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if not len(self.first) == len(self.second) == len(self.kind):
            raise ValueError(
                f"pairs of {len(self.first)} first rows, {len(self.second)} second rows and "
                f"{len(self.kind)} classes; they must be as many of each"
            )
        for name in ("diagonal", "kind"):
            classes = getattr(self, name)
            if classes is None or not len(classes):
                continue
            if classes.min() < 0 or classes.max() >= self.n_classes:
                raise ValueError(
                    f"classes of {name} go from {classes.min()} to {classes.max()}; they must lie "
                    f"between 0 and {self.n_classes - 1}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScale:
    """Standard deviations of rows by a log-linear predictor: exp(X beta) in each stratum.

    With it R^-1 = D^-1 (sum_k c_k M_k) D^-1, where D holds the rows' standard deviations,
    and there is no sigma beside.

    Attributes
    ----------
    X : ndarray, shape (n_strata, n_beta)
    offset : ndarray, shape (n_strata,)
    stratum : ndarray of int64, shape (n,)
        That of each row.
    parameters : tuple of ResidualParameter
        The coefficients; of a positive one the logarithm is the coefficient.
    variable : str
        The variable that they are together.
    change : ndarray, shape (n_beta, n_beta), or None
        From the coefficients to the variable's values; None where these are the same.
    """

    X: np.ndarray
    offset: np.ndarray
    stratum: np.ndarray
    parameters: tuple[ResidualParameter, ...]
    variable: str
    change: np.ndarray | None = None

    def variables(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return the variable of parameters of shape (..., n_beta)."""
        return {self.variable: values if self.change is None else values @ self.change.T}

    def parameters_of(self, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the parameters by their names, the inverse of `variables`."""
        values = np.asarray(variables[self.variable])
        if self.change is not None:
            values = np.linalg.solve(self.change, values[..., None])[..., 0]
        return {one.name: values[..., j] for j, one in enumerate(self.parameters)}


class Residual(ABC):
    """A residual structure: a description that holds no rows.

    Rows come with each call, by the names that `needs` lists. A structure without
    parameters has one class of pairs with c = 1; all that it says beyond that are row
    weights and the law of a row.
    """

    __slots__ = ()

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    estimates_sigma: ClassVar[bool] = True
    correlated: ClassVar[bool] = False  # whether residuals of different rows depend on each other

    # -- parameters -----------------------------------------------------------

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The parameters phi beside sigma, in the order of the coordinates."""
        return ()

    @property
    def scale_parameters(self) -> tuple[ResidualParameter, ...]:
        """Parameters of the rows' own standard deviations, if these are the structure's."""
        return ()

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """The variables of the parameters in posterior and PyMC model, and their dimensions."""
        return {one.name: () for one in self.parameters}

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:
        """Labels along these dimensions."""
        return {}

    def variables(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a posterior has of the parameters, by the variables' names.

        Parameters
        ----------
        values : mapping of str to ndarray, shape (...)
            By the parameters' names.

        Returns
        -------
        dict of str to ndarray, shape (..., ...)
        """
        return dict(values)

    def parameters_of(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters by their names, the inverse of `variables`."""
        return {one.name: variables[one.name] for one in self.parameters}

    # -- the inverse ----------------------------------------------------------

    @abstractmethod
    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Sort pairs of rows into classes.

        Parameters
        ----------
        rows : mapping of str to ndarray, shape (n,)
        n : int

        Returns
        -------
        PairClasses
        """

    def scale(self, rows: Rows, n: int) -> RowScale | None:
        """Return the rows' own standard deviations, if they are the structure's.

        Parameters
        ----------
        rows : mapping of str to ndarray, shape (n,)
        n : int
        """
        return None

    def constants(self, rows: Rows, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what `coefficients` needs to know of the data.

        Parameters
        ----------
        rows : mapping of str to ndarray, shape (n,)
        n : int

        Returns
        -------
        numbers : ndarray of int64
        table : ndarray of float
        """
        return np.zeros(0, dtype=np.int64), np.zeros(0)

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """Compute c_k(phi), log|sum_k c_k M_k| and their derivatives.

        Row weights have no part in the determinant. Where the classes are entries of inverses
        (`PairClasses.patterns`) c_k is the entry of the correlation matrix itself, and the
        determinant is left alone: the algebra inverts.

        It is compiled, and handed pointers: a static method without closure that reads
        and writes single elements and calls only `math` or numpy's scalar functions.

        Parameters
        ----------
        numbers, table : array
            As `constants` gives them.
        phi : array, shape (n_phi,)
        c : array, shape (K,)
            Receives the coefficients.
        by_phi : array, shape (K * n_phi,)
            Receives their derivatives: that of c_k by phi_j at ``k * n_phi + j``.
        log_det : array, shape (1 + n_phi,)
            Receives the log determinant, then its derivatives.
        """
        c[0] = 1.0
        log_det[0] = 0.0

    # -- the law of rows ------------------------------------------------------

    @abstractmethod
    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Return the residual standard deviation of each row, of the fit or new.

        Parameters
        ----------
        parameters : mapping of str to array or TensorVariable
            sigma, where it is estimated, and phi: numbers, or draws of shape (S, 1).
        rows : mapping of str to array or TensorVariable, shape (n,)

        Returns
        -------
        array or TensorVariable
            It broadcasts against (S, n).
        """

    def row_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """Return the residual variance of each row; see `row_sd`."""
        return np.square(np.asarray(self.row_sd(parameters, rows)))

    def mean_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """Return the one variance that stands for all rows in shares of variance.

        Parameters
        ----------
        parameters : mapping of str to ndarray, shape (S,) or ()
        rows : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (S,) or ()
            By default the mean over the rows.
        """
        columns = {name: np.asarray(values)[..., None] for name, values in parameters.items()}
        return np.asarray(np.mean(self.row_variance(columns, rows), axis=-1))

    def covariance(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> np.ndarray:
        """Return R of n rows as a dense matrix, shape (n, n), at one value of the parameters."""
        variance = np.broadcast_to(self.row_variance(parameters, rows), (n,))
        return np.diag(variance)

    def whiten(
        self, residuals: np.ndarray, parameters: Mapping[str, Any], rows: Rows
    ) -> np.ndarray:
        """Return residuals with unit variance and no correlation under the structure.

        Parameters
        ----------
        residuals : ndarray, shape (n,)
        parameters : mapping of str to float
        rows : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
        """
        return np.asarray(residuals / np.sqrt(self.row_variance(parameters, rows)))

    def draw(
        self,
        n: int,
        parameters: Mapping[str, Any],
        rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw the residuals of n rows.

        Parameters
        ----------
        n : int
        parameters : mapping of str to float
        rows : mapping of str to ndarray, shape (n,)
        rng : numpy Generator

        Returns
        -------
        ndarray, shape (n,)
        """
        variance = np.broadcast_to(self.row_variance(parameters, rows), (n,))
        return np.sqrt(variance) * rng.standard_normal(n)

    def simulate(
        self, family: Family, eta: np.ndarray, parameters: Mapping[str, Any], rows: Rows,
        rng: np.random.Generator,
    ) -> np.ndarray:  # fmt: skip
        """Draw responses around the linear predictor, once for each draw of the parameters.

        Parameters
        ----------
        family : Family
            A normal one.
        eta : ndarray, shape (S, n)
        parameters : mapping of str to ndarray, shape (S, 1)
        rows : mapping of str to ndarray, shape (n,)
        rng : numpy Generator

        Returns
        -------
        ndarray, shape (S, n)
        """
        out = family.inverse_link(eta)
        for s in range(len(out)):
            here = {name: np.asarray(values)[s, 0] for name, values in parameters.items()}
            out[s] += self.draw(out.shape[1], here, rows, rng)
        return out

    def conditional(
        self, known: Rows, residuals: np.ndarray, new: Rows, n: int,
        parameters: Mapping[str, Any],
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Return the law of new rows' residuals given those of rows of the same series.

        Parameters
        ----------
        known : mapping of str to ndarray
            The rows that were observed.
        residuals : ndarray
            Their residuals.
        new : mapping of str to ndarray, shape (n,)
        n : int
            Number of new rows.
        parameters : mapping of str to float

        Returns
        -------
        mean : ndarray, shape (n,)
        covariance : ndarray, shape (n, n)
        """
        return np.zeros(n), self.covariance(parameters, new, n)

    # -- words ----------------------------------------------------------------

    def log_prior(self, priors: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the density of each prior at values of the variables.

        Parameters
        ----------
        priors : mapping of str to callable
            The log density of each, by the names of the parameters' priors.
        values : mapping of str to ndarray, shape (..., ...)

        Returns
        -------
        dict of str to ndarray, shape (...)
        """
        return {name: density(values[name]) for name, density in priors.items()}

    def labelled(self, name: str, values: Any) -> dict[str, Any]:
        """Return the numbers of a variable by what tables call each.

        Parameters
        ----------
        name : str
        values : ndarray, shape (..., ...)

        Returns
        -------
        dict of str to ndarray, shape (...)
        """
        dims = self.dims[name]
        if not dims:
            return {name: values}
        labels = self.coords[dims[0]]
        if len(dims) == 1:
            return {f"{name}[{text}]": values[..., k] for k, text in enumerate(labels)}
        return {
            f"{name}[{labels[k]}, {labels[m]}]": values[..., m, k]
            for m in range(len(labels))
            for k in range(m)
        }

    def pymc_parameters(self, priors: Mapping[str, Any]) -> dict[str, Any]:
        """Add the parameters to the PyMC model on the context stack.

        Parameters
        ----------
        priors : mapping of str to Prior
            By the names of the parameters' priors.

        Returns
        -------
        dict of str to TensorVariable
            By the variables' names.
        """
        import pymc as pm

        return {
            name: getattr(pm, prior.distribution)(name, **prior.parameters)
            for name, prior in priors.items()
        }

    def pymc_likelihood(
        self, name: str, family: Family, eta: Any, parameters: Mapping[str, Any], observed: Any,
        dims: str, rows: Any,
    ) -> Any:  # fmt: skip
        """Add the observed variable to the PyMC model on the context stack.

        Parameters
        ----------
        name : str
        family : Family
            A normal one.
        eta : TensorVariable, shape (n,)
        parameters : mapping of str to TensorVariable
        observed : TensorVariable, shape (n,)
        dims : str
        rows : mapping of str to TensorVariable, shape (n,)

        Returns
        -------
        TensorVariable
        """
        import pymc as pm

        mean, sd = family.tensor_mean(eta), self.row_sd(parameters, rows)
        return pm.Normal(name, mu=mean, sigma=sd, observed=observed, dims=dims)

    @abstractmethod
    def latex(self, likelihood: str) -> str:
        r"""Return the law of one row in LaTeX.

        Parameters
        ----------
        likelihood : str
            The family's: ``\operatorname{Normal}(\mu_i, \sigma)``.
        """

    @property
    def in_words(self) -> str:
        """What the head of a summary says of it; empty for nothing."""
        return ""
