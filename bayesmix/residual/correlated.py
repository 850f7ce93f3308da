"""Residuals that are correlated within a series: R = S C S with a correlation matrix C."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from scipy import linalg, sparse

from bayesmix.families import Family
from bayesmix.residual.base import Residual, Rows
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.row_scale import RowScale
from bayesmix.residual.series import SERIES, Series, coordinate_names, series_of

__all__ = ["Correlated"]

_LOG_2PI = float(np.log(2.0 * np.pi))
_AT_ONCE = 4_000_000  # numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlated(Residual):
    """What the structures with a correlation within series share.

    Parameters
    ----------
    text : str
        The structure as the formula writes it.
    n_coordinates : int
        How many coordinates place a row in its series.
    beside_known : bool
        Whether known variances of the rows, their squared standard errors, stand beside:
        R = S C S + diag(se^2).
    own_sigma : float
        Scale of the default prior of sigma where it is a parameter of the structure's; 0
        where it is the family's, has a predictor, or is not there.
    """

    text: str = ""
    n_coordinates: int = 1
    beside_known: bool = False
    own_sigma: float = 0.0

    correlated: ClassVar[bool] = True
    word: ClassVar[str]

    @classmethod
    def learned(
        cls,
        text: str,
        rows: Rows,  # noqa: ARG003
        n_coordinates: int,
        labels: tuple[Any, ...] | None,  # noqa: ARG003
        unit: float,  # noqa: ARG003
    ) -> Self:
        """Return the structure with what it learns from the rows; see `residual_structure`."""
        return cls(text=text, n_coordinates=n_coordinates)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Series and coordinates of each row, and its standard error where that is known."""
        known = ("known_se",) if self.beside_known else ()
        return (SERIES, *coordinate_names(self.n_coordinates), *known)

    @property
    def estimates_sigma(self) -> bool:  # type: ignore[override]
        """Whether one sigma multiplies all of R."""
        return not self.beside_known

    @property
    def scale_parameters(self) -> tuple[ResidualParameter, ...]:
        """Sigma, where it is the structure's."""
        if not self.own_sigma:
            return ()
        return (
            ResidualParameter(
                name="sigma", support="positive", start=self.own_sigma,
                prior=("HalfCauchy", {"beta": self.own_sigma}),
            ),
        )  # fmt: skip

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """The variables of the parameters, sigma among them where it is the structure's."""
        return {one.name: () for one in (*self.scale_parameters, *self.parameters)}

    def scale(self, rows: Rows, n: int) -> RowScale | None:
        """One stratum, whose standard deviation is sigma."""
        if not self.own_sigma:
            return None
        return RowScale(
            X=np.ones((1, 1)), offset=np.zeros(1), stratum=np.zeros(n, dtype=np.int64),
            parameters=self.scale_parameters, variable="sigma", is_number=True,
        )  # fmt: skip

    def entrywise(self) -> type[Correlated]:
        """Return the class of the same law whose coefficients are correlations themselves."""
        return type(self)

    def with_known(self, unit: float) -> Correlated:
        """Return the structure beside known standard errors of the rows.

        Parameters
        ----------
        unit : float
            Scale of the default prior of sigma; 0 where it has a predictor.
        """
        return _as(self.entrywise(), self, beside_known=True, own_sigma=unit)

    def known_variances(self, rows: Rows) -> np.ndarray | None:
        """Squares of the known standard errors."""
        return np.square(rows["known_se"]) if self.beside_known else None

    @abstractmethod
    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """Return the correlation of two different rows of a series.

        Parameters
        ----------
        parameters : mapping of str to array or TensorVariable
        first, second : sequence of ndarray
            Coordinates of the rows, one array for each.

        Returns
        -------
        array or TensorVariable
        """

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Standard deviation of each row, that of a known error included."""
        own = self.own_sd(parameters, rows)
        return (own**2 + rows["known_se"] ** 2) ** 0.5 if self.beside_known else own

    def own_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """Sigma, over the root of the row's weight where there are weights."""
        sigma = parameters["sigma"]
        return sigma / rows["weights"] ** 0.5 if "weights" in rows else sigma

    def pair_values(self, rows: Rows, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
        """What weights are to pairs of rows: the root of their product."""
        if "weights" not in rows:
            return None
        root = np.sqrt(rows["weights"])
        return np.asarray(root[first] * root[second])

    # -- the law of rows ------------------------------------------------------

    def series(self, rows: Rows) -> Series:
        """Sort rows into series; each is a pattern of its own beside known errors."""
        return series_of(rows, self.n_coordinates, apart=self.beside_known)

    def matrix(self, parameters: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
        """Correlation matrix of the rows of one series, shape (..., m, m).

        Parameters
        ----------
        parameters : mapping of str to float, or ndarray of shape (..., 1, 1)
        times : ndarray, shape (m, k)
        """
        m = len(times)
        first, second = [t[:, None] for t in times.T], [t[None, :] for t in times.T]
        R = np.asarray(self.correlation(parameters, first, second)) * np.ones((m, m))
        R[..., np.arange(m), np.arange(m)] = 1.0
        return R

    def shares(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> np.ndarray | None:
        """What of each row's standard deviation is correlated, shape (..., n); None for all.

        Parameters
        ----------
        parameters : mapping of str to float, or ndarray of shape (S, 1) or (S, n)
        rows : mapping of str to ndarray, shape (n,)
        n : int
        """
        if not self.beside_known:
            return None
        sd = np.asarray(self.row_sd(parameters, rows))
        share = np.asarray(self.own_sd(parameters, rows)) / sd
        return np.broadcast_to(share, (*share.shape[:-1], n) if share.ndim else (n,))

    def shared(
        self, parameters: Mapping[str, Any], times: np.ndarray, share: np.ndarray | None
    ) -> np.ndarray:
        """Correlation matrix of all that one series' residuals are of, shape (..., m, m).

        Parameters
        ----------
        parameters, times
            As of `matrix`.
        share : ndarray, shape (..., m), or None
            As `shares` has it, for the rows of the series.
        """
        R = self.matrix(parameters, times)
        if share is None:
            return R
        R = R * share[..., :, None] * share[..., None, :]
        R[..., range(len(times)), range(len(times))] = 1.0
        return R

    def log_determinants(self, parameters: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
        """Log determinant of the correlation matrix of one series at many values, shape (S,).

        Parameters
        ----------
        parameters : mapping of str to ndarray, shape (S, ...)
            By the variables' names.
        times : ndarray, shape (m, k)
        """
        n_draws = max(len(values) for values in parameters.values())
        found, step = np.empty(n_draws), max(1, _AT_ONCE // max(1, len(times) ** 2))
        for start in range(0, n_draws, step):
            own = {
                name: np.reshape(v[start : start + step], (-1, 1, 1, *np.shape(v)[1:]))
                for name, v in parameters.items()
            }
            L = np.linalg.cholesky(self.matrix(own, times))
            found[start : start + step] = 2.0 * np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(-1)
        return found

    def covariance(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> np.ndarray:
        """R of n rows as a dense matrix, shape (n, n)."""
        series, out = self.series(rows), np.zeros((n, n))
        share = self.shares(parameters, rows, n)
        for k, times in enumerate(series.of_pattern):
            own = series.rows_of_pattern(k)
            C = self.shared(parameters, times, None if share is None else share[own[0]])
            for at in own:
                out[np.ix_(at, at)] = C
        sd = np.broadcast_to(self.row_sd(parameters, rows), (n,))
        return out * np.outer(sd, sd)

    def whiten(
        self, residuals: np.ndarray, parameters: Mapping[str, Any], rows: Rows
    ) -> np.ndarray:
        """Residuals without correlation, each given those before it in its series."""
        series, out = self.series(rows), np.empty(len(residuals))
        scaled = residuals / self.row_sd(parameters, rows)
        share = self.shares(parameters, rows, len(residuals))
        for k, times in enumerate(series.of_pattern):
            at = series.rows_of_pattern(k)
            own = None if share is None else share[at[0]]
            L = np.linalg.cholesky(self.shared(parameters, times, own))
            out[at] = linalg.solve_triangular(L, scaled[at].T, lower=True).T
        return out

    def whitening(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> sparse.csr_matrix:
        """Return W with R^-1 = W' W, shape (n, n): what `whiten` multiplies by."""
        series = self.series(rows)
        at, to, entries = [], [], []
        share = self.shares(parameters, rows, n)
        for k, times in enumerate(series.of_pattern):
            own = series.rows_of_pattern(k)
            of_own = None if share is None else share[own[0]]
            L = np.linalg.cholesky(self.shared(parameters, times, of_own))
            inverse = linalg.solve_triangular(L, np.eye(len(times)), lower=True)
            i, j = np.tril_indices(len(times))
            at.append(own[:, i].ravel())
            to.append(own[:, j].ravel())
            entries.append(np.tile(inverse[i, j], len(own)))
        place = np.concatenate(at), np.concatenate(to)
        sd = np.broadcast_to(self.row_sd(parameters, rows), (n,))
        values = np.concatenate(entries) / sd[place[1]]
        return sparse.csr_matrix((values, place), shape=(n, n))

    def draw(
        self, n: int, parameters: Mapping[str, Any], rows: Rows, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw the residuals of n rows."""
        columns = {
            name: np.asarray(values)[None] if name == "sigma" and np.ndim(values) else
            np.asarray(values)[None, None]
            for name, values in parameters.items()
        }  # fmt: skip
        return self.draws(columns, rows, rng, n)[0]

    def draws(
        self, parameters: Mapping[str, Any], rows: Rows, rng: np.random.Generator, n: int
    ) -> np.ndarray:
        """Draw the residuals of n rows at each of S draws of the parameters, shape (S, n).

        Parameters
        ----------
        parameters : mapping of str to ndarray
            Shape (S, 1) or, of vectors and matrices, (S, 1, ...); sigma also (S, n).
        rows : mapping of str to ndarray, shape (n,)
        rng : numpy Generator
        n : int
        """
        share = self.shares(parameters, rows, n)
        return self.unit_draws(parameters, rows, rng, n, share) * self.row_sd(parameters, rows)

    def unit_draws(
        self, parameters: Mapping[str, Any], rows: Rows, rng: np.random.Generator, n: int,
        share: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """The same with unit variance, and `shares` where errors are known: no look at sigma."""
        series = self.series(rows)
        n_draws = max(len(values) for values in parameters.values())
        out = rng.standard_normal((n_draws, n))
        own = {
            name: np.reshape(np.asarray(values), (n_draws, 1, 1, *np.shape(values)[2:]))
            for name, values in parameters.items()
            if name != "sigma"
        }
        for k, times in enumerate(series.of_pattern):
            at = series.rows_of_pattern(k)
            L = np.linalg.cholesky(
                self.shared(own, times, None if share is None else share[:, at[0]])
            )
            out[:, at] = np.einsum("sij,sgj->sgi", np.broadcast_to(L, (n_draws, *L.shape[-2:])),
                                   out[:, at])  # fmt: skip
        return out

    def conditional(
        self, known: Rows, residuals: np.ndarray, new: Rows, n: int, parameters: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Law of new rows' residuals given those of rows of the same series."""
        m = len(residuals)
        both = {name: np.concatenate([known[name], new[name]]) for name in new if name in known}
        R = self.covariance(parameters, both, m + n)
        half = linalg.cho_factor(R[:m, :m])
        gain = linalg.cho_solve(half, R[:m, m:]).T
        return gain @ residuals, R[m:, m:] - gain @ R[:m, m:]

    # -- words ----------------------------------------------------------------

    def pymc_likelihood(
        self, name: str, family: Family, eta: Any, parameters: Mapping[str, Any], observed: Any,
        dims: str, rows: Any,
    ) -> Any:  # fmt: skip
        """A normal for each series, stated for all rows at once."""
        import pymc as pm
        import pytensor.tensor as pt

        given = {key: rows[key].get_value() for key in self.needs}
        if self.beside_known:
            return self._pymc_beside_known(
                name, family, eta, parameters, observed, dims, {**rows, **given}
            )
        series = self.series(given)
        n, mean = len(series.order), family.tensor_mean(eta)
        sd = self.row_sd(parameters, {**rows, **given}) * pt.ones(n)
        own = {k: pt.as_tensor_variable(v) for k, v in parameters.items() if k != "sigma"}
        keys = list(own)

        def logp(value: Any, mean: Any, sd: Any, *values: Any) -> Any:
            scaled, total = (value - mean) / sd, -0.5 * n * _LOG_2PI - pt.log(sd).sum()
            for k, times in enumerate(series.of_pattern):
                L = pt.linalg.cholesky(self._tensor(dict(zip(keys, values, strict=True)), times))
                at = series.rows_of_pattern(k)
                white = pt.linalg.solve_triangular(L, scaled[at].T, lower=True)
                total += -0.5 * pt.sqr(white).sum() - len(at) * pt.log(pt.diagonal(L)).sum()
            return total

        def random(mean: Any, sd: Any, *values: Any, rng: Any = None, size: Any = None) -> Any:  # noqa: ARG001
            here = {k: np.asarray(v)[None, None] for k, v in zip(keys, values, strict=True)}
            return mean + sd * self.unit_draws(here, given, rng, n)[0]

        inputs = ",".join(["(n)", "(n)", *(f"({','.join('abc'[: v.ndim])})" for v in own.values())])
        return pm.CustomDist(
            name, mean, sd, *own.values(), logp=logp, random=random, observed=observed, dims=dims,
            signature=f"{inputs}->(n)",
        )  # fmt: skip

    def _pymc_beside_known(
        self, name: str, family: Family, eta: Any, parameters: Mapping[str, Any], observed: Any,
        dims: str, given: Rows,
    ) -> Any:  # fmt: skip
        """A normal for each series, whose covariance is its own: all series of a length at once."""
        import pymc as pm
        import pytensor.tensor as pt

        series, variance = self.series(given), np.square(given["known_se"])
        n, mean = len(series.order), family.tensor_mean(eta)
        sd = self.own_sd(parameters, given) * pt.ones(n)
        own = {k: pt.as_tensor_variable(v) for k, v in parameters.items() if k != "sigma"}
        keys = list(own)
        sizes = np.unique(series.sizes)
        rows_of = [
            np.stack([series.order[a : a + m] for a in series.start[:-1][series.sizes == m]])
            for m in sizes
        ]
        places = np.empty_like(series.times)
        places[series.order] = series.times

        def logp(value: Any, mean: Any, sd: Any, *values: Any) -> Any:
            left, total = value - mean, -0.5 * n * _LOG_2PI
            for at in rows_of:
                R = self._tensor(dict(zip(keys, values, strict=True)), places[at])
                R = R * sd[at][:, :, None] * sd[at][:, None, :]
                L = pt.linalg.cholesky(R + np.eye(at.shape[1]) * variance[at][:, :, None])
                white = pt.linalg.solve_triangular(L, left[at][:, :, None], lower=True, b_ndim=2)
                half = pt.log(pt.diagonal(L, axis1=-2, axis2=-1)).sum()
                total += -0.5 * pt.sqr(white).sum() - half
            return total

        def random(mean: Any, sd: Any, *values: Any, rng: Any = None, size: Any = None) -> Any:  # noqa: ARG001
            here = {k: np.asarray(v)[None, None] for k, v in zip(keys, values, strict=True)}
            whole = np.sqrt(sd**2 + variance)
            return mean + whole * self.unit_draws(here, given, rng, n, (sd / whole)[None])[0]

        inputs = ",".join(["(n)", "(n)", *(f"({','.join('abc'[: v.ndim])})" for v in own.values())])
        return pm.CustomDist(
            name, mean, sd, *own.values(), logp=logp, random=random, observed=observed, dims=dims,
            signature=f"{inputs}->(n)",
        )  # fmt: skip

    def _tensor(self, parameters: Mapping[str, Any], times: np.ndarray) -> Any:
        """Correlation matrices of series of one length in PyTensor, shape (..., m, m)."""
        import pytensor.tensor as pt

        columns = [times[..., k] for k in range(times.shape[-1])]
        first, second = [t[..., :, None] for t in columns], [t[..., None, :] for t in columns]
        m = times.shape[-2]
        off = np.ones((m, m)) - np.eye(m)
        return pt.as_tensor_variable(np.eye(m)) + off * self.correlation(parameters, first, second)

    def latex(self, likelihood: str) -> str:
        """The likelihood of a row, and the correlation of two rows of a series."""
        if self.beside_known:
            return (
                r"\operatorname{Normal}(\mu_i + e_i, \text{se}_i), \quad "
                r"e_i \sim \operatorname{Normal}(0, \sigma_i), \quad "
                rf"\operatorname{{Cor}}(e_i, e_j) = {self.correlation_latex}"
            )
        return (
            rf"{likelihood}, \quad "
            rf"\operatorname{{Cor}}(y_i, y_j \mid \mu) = {self.correlation_latex}"
        )

    def mean_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """The mean over the rows, of known variances too."""
        if self.own_sigma:
            own = np.square(parameters["sigma"])
            return np.asarray(own + np.mean(np.square(rows["known_se"])))
        return Residual.mean_variance(self, parameters, rows)

    @property
    def correlation_latex(self) -> str:
        """Correlation of the rows i and j of a series in LaTeX."""
        raise NotImplementedError

    @property
    def in_words(self) -> str:
        """The structure as the formula writes it, and what stands beside."""
        beside = " beside known standard errors" if self.beside_known else ""
        return f"residuals {self.text or self.name}{beside}"


def _as(kind: type[Correlated], given: Correlated, **changes: Any) -> Correlated:
    """A structure of another class with the same fields, some of them changed."""
    return kind(**{one.name: getattr(given, one.name) for one in fields(given)} | changes)
