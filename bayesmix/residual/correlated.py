"""Residuals that are correlated within a series: R = S C S with a correlation matrix C."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import linalg, sparse

from bayesmix.families import Family
from bayesmix.residual.base import Residual, Rows
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.series import SERIES, Series, coordinate_names, series_of

__all__ = ["Correlated", "inverse_classes"]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlated(Residual):
    """What the structures with a correlation within series share.

    Parameters
    ----------
    text : str
        The structure as the formula writes it.
    n_coordinates : int
        How many coordinates place a row in its series.
    """

    text: str = ""
    n_coordinates: int = 1

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
        """Series and coordinates of each row."""
        return (SERIES, *coordinate_names(self.n_coordinates))

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
        """Sort rows into series."""
        return series_of(rows, self.n_coordinates)

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

    def covariance(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> np.ndarray:
        """R of n rows as a dense matrix, shape (n, n)."""
        series, out = self.series(rows), np.zeros((n, n))
        for k, times in enumerate(series.of_pattern):
            C = self.matrix(parameters, times)
            for at in series.rows_of_pattern(k):
                out[np.ix_(at, at)] = C
        sd = np.broadcast_to(self.row_sd(parameters, rows), (n,))
        return out * np.outer(sd, sd)

    def whiten(
        self, residuals: np.ndarray, parameters: Mapping[str, Any], rows: Rows
    ) -> np.ndarray:
        """Residuals without correlation, each given those before it in its series."""
        series, out = self.series(rows), np.empty(len(residuals))
        scaled = residuals / self.row_sd(parameters, rows)
        for k, times in enumerate(series.of_pattern):
            L = np.linalg.cholesky(self.matrix(parameters, times))
            at = series.rows_of_pattern(k)
            out[at] = linalg.solve_triangular(L, scaled[at].T, lower=True).T
        return out

    def whitening(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> sparse.csr_matrix:
        """Return W with R^-1 = W' W, shape (n, n): what `whiten` multiplies by."""
        series = self.series(rows)
        at, to, entries = [], [], []
        for k, times in enumerate(series.of_pattern):
            L = np.linalg.cholesky(self.matrix(parameters, times))
            inverse = linalg.solve_triangular(L, np.eye(len(times)), lower=True)
            i, j = np.tril_indices(len(times))
            own = series.rows_of_pattern(k)
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
        return self.unit_draws(parameters, rows, rng, n) * self.row_sd(parameters, rows)

    def unit_draws(
        self, parameters: Mapping[str, Any], rows: Rows, rng: np.random.Generator, n: int
    ) -> np.ndarray:
        """The same with unit variance: sigma is not looked at."""
        series = self.series(rows)
        n_draws = max(len(values) for values in parameters.values())
        out = rng.standard_normal((n_draws, n))
        own = {
            name: np.reshape(np.asarray(values), (n_draws, 1, 1, *np.shape(values)[2:]))
            for name, values in parameters.items()
            if name != "sigma"
        }
        for k, times in enumerate(series.of_pattern):
            L = np.linalg.cholesky(self.matrix(own, times))
            at = series.rows_of_pattern(k)
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

    def _tensor(self, parameters: Mapping[str, Any], times: np.ndarray) -> Any:
        """Correlation matrix of one series in PyTensor."""
        import pytensor.tensor as pt

        first, second = [t[:, None] for t in times.T], [t[None, :] for t in times.T]
        m = len(times)
        off = np.ones((m, m)) - np.eye(m)
        return pt.as_tensor_variable(np.eye(m)) + off * self.correlation(parameters, first, second)

    def latex(self, likelihood: str) -> str:
        """The likelihood of a row, and the correlation of two rows of a series."""
        return (
            rf"{likelihood}, \quad "
            rf"\operatorname{{Cor}}(y_i, y_j \mid \mu) = {self.correlation_latex}"
        )

    @property
    def correlation_latex(self) -> str:
        """Correlation of the rows i and j of a series in LaTeX."""
        raise NotImplementedError

    @property
    def in_words(self) -> str:
        """The structure as the formula writes it."""
        return f"residuals {self.text or self.name}"


def inverse_classes(structure: Correlated, rows: Rows) -> PairClasses:
    """Classes of pairs where each entry of the inverse of each pattern is one.

    Parameters
    ----------
    structure : Correlated
    rows : mapping of str to ndarray, shape (n,)

    Returns
    -------
    PairClasses
        Rows paired with themselves are among the pairs, so that class 0 holds none else.
    """
    series = structure.series(rows)
    n = len(series.order)
    sizes = np.asarray([len(times) for times in series.of_pattern], dtype=np.int64)
    counts = np.bincount(series.pattern, minlength=len(sizes))
    diagonal = np.empty(n, dtype=np.int64)
    first, second, kind, start = [], [], [], 0
    for k, m in enumerate(sizes.tolist()):
        at = series.rows_of_pattern(k)
        i, j = np.tril_indices(m, -1)
        first.append(at[:, i].ravel())
        second.append(at[:, j].ravel())
        kind.append(np.tile(start + i * (i + 1) // 2 + j, len(at)))
        own = np.arange(m)
        diagonal[at] = start + own * (own + 1) // 2 + own
        start += m * (m + 1) // 2
    i, j = np.concatenate(first), np.concatenate(second)
    return PairClasses(
        n_classes=start, diagonal=diagonal, weights=rows.get("weights"), first=i, second=j,
        kind=np.concatenate(kind), value=structure.pair_values(rows, i, j),
        patterns=(sizes, counts),
    )  # fmt: skip
