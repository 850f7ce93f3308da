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
from typing import Any, ClassVar

import numpy as np

from bayesmix.families import Family
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.row_scale import RowScale

__all__ = ["Residual", "Rows"]

Rows = Mapping[str, np.ndarray]  # what is given per row: each of shape (n,)


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
    beside_known: bool = False  # whether known variances of rows stand beside: their sum is R
    sd_by_place: ClassVar[bool] = False  # whether a row's sd needs its place in a series

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

    def known_variances(self, rows: Rows) -> np.ndarray | None:
        """Return known variances of rows that stand beside R's own, shape (n,), if there are any.

        R is then their sum, which has no coefficient in common: classes are the entries of
        inverses (`PairClasses.patterns`), each of one pair of rows.

        Parameters
        ----------
        rows : mapping of str to ndarray, shape (n,)
        """
        return None

    def scale(self, rows: Rows, n: int) -> RowScale | None:
        """Return the rows' own standard deviations, if they are the structure's.

        Parameters
        ----------
        rows : mapping of str to ndarray, shape (n,)
        n : int
        """
        return None

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
            As `pairs` gives them.
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
