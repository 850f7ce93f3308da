"""A correlation for each lag: Toeplitz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.entries import Constants, inverse_classes
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.series import series_of

__all__ = ["Toeplitz"]

_MOST = 60  # lags


@dataclass(frozen=True, slots=True, kw_only=True)
class Toeplitz(Correlated):
    """One correlation for each lag, by the partial autocorrelations of a stationary series.

    These are free between -1 and 1, and any such sequence makes a correlation matrix
    (Durbin and Levinson's recursion).

    Parameters
    ----------
    lags : int
        The longest lag, in steps.
    step : float
        The greatest common divisor of the times.
    """

    lags: int = 1
    step: float = 1.0

    name: ClassVar[str] = "toep"
    word: ClassVar[str] = "toep"

    @classmethod
    def learned(
        cls,
        text: str,
        rows: Rows,
        n_coordinates: int,
        labels: tuple[Any, ...] | None,  # noqa: ARG003
        unit: float,  # noqa: ARG003
    ) -> Self:
        """Learn the lags, each of which must occur.

        Raises
        ------
        DataError
            If one does not occur, or there are too many.
        """
        found = set()
        for times in series_of(rows, 1).of_pattern:
            found |= set(np.abs(times[:, 0] - times[:, :1]).ravel().astype(int).tolist())
        found -= {0}
        step = int(np.gcd.reduce(sorted(found))) if found else 1
        lags = max(found, default=step) // step
        if lags > _MOST:
            raise DataError(
                f"{text} has {lags} lags, and at most {_MOST} are known; ar1 has one parameter"
            )
        absent = [lag for lag in range(1, lags + 1) if lag * step not in found]
        if absent:
            raise DataError(
                f"no two rows of a series are {absent[0] * step} apart, so that {text} has a "
                "correlation which the data do not know; ar1 and exp have one for any gap"
            )
        return cls(text=text, n_coordinates=n_coordinates, lags=lags, step=float(step))

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The partial autocorrelations, each uniform by default."""
        return tuple(
            ResidualParameter(
                name=f"partial_residual[{lag}]", support="interval", lower=-1.0, upper=1.0,
                start=0.2 if lag == 1 else 0.02, entry="partial_residual",
                prior=("Uniform", {"lower": -1.0, "upper": 1.0}),
            )
            for lag in range(1, self.lags + 1)
        )  # fmt: skip

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """The correlation of each lag."""
        return {**({"sigma": ()} if self.own_sigma else {}), "rho_residual": ("residual_lag",)}

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:
        """The lags."""
        return {"residual_lag": tuple(f"{k * self.step:g}" for k in range(1, self.lags + 1))}

    def variables(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Correlations of partial autocorrelations."""
        partial = np.stack([np.asarray(v) for v in values.values()], axis=-1)
        return {"rho_residual": np.stack(_correlations(np.moveaxis(partial, -1, 0)), axis=-1)}

    def parameters_of(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Partial autocorrelations of correlations."""
        found = _partials(list(np.moveaxis(np.asarray(variables["rho_residual"]), -1, 0)))
        return {one.name: value for one, value in zip(self.parameters, found, strict=True)}

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Entries of the inverses, by pattern."""
        return inverse_classes(self, rows, self._constants)

    def _constants(self, of_pattern: Sequence[np.ndarray]) -> Constants:
        """Number of lags, of entries, and the lag of each entry."""
        lags = [
            np.abs(times - times.T)[np.tril_indices(len(times))] / self.step for times in of_pattern
        ]
        every = np.rint(np.concatenate(lags)).astype(np.int64)
        return np.concatenate([[self.lags, len(every)], every]).astype(np.int64), np.zeros(0)

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """Correlations of all entries, and their derivatives by the partial ones."""
        L = numbers[0]
        rho, slope = np.zeros(L + 1), np.zeros((L + 1, L))
        a, before = np.zeros(L + 1), np.zeros(L + 1)
        by_a, by_before = np.zeros((L + 1, L)), np.zeros((L + 1, L))
        by_left = np.zeros(L)
        left = 1.0
        rho[0] = 1.0
        for k in range(1, L + 1):
            p = phi[k - 1]
            rho[k] = p * left
            for m in range(L):
                slope[k, m] = p * by_left[m]
            slope[k, k - 1] += left
            for j in range(1, k):
                rho[k] += before[j] * rho[k - j]
                for m in range(L):
                    slope[k, m] += by_before[j, m] * rho[k - j] + before[j] * slope[k - j, m]
            for j in range(1, k):
                a[j] = before[j] - p * before[k - j]
                for m in range(L):
                    by_a[j, m] = by_before[j, m] - p * by_before[k - j, m]
                by_a[j, k - 1] -= before[k - j]
            a[k] = p
            for m in range(L):
                by_a[k, m] = 0.0
                by_left[m] *= (1.0 - p) * (1.0 + p)
            by_a[k, k - 1] = 1.0
            by_left[k - 1] -= 2.0 * p * left
            left *= (1.0 - p) * (1.0 + p)
            for j in range(1, k + 1):
                before[j] = a[j]
                for m in range(L):
                    by_before[j, m] = by_a[j, m]
        for k in range(numbers[1]):
            lag = numbers[2 + k]
            c[k] = rho[lag]
            for m in range(L):
                by_phi[k * L + m] = slope[lag, m]

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """Correlation of the lag."""
        rho = parameters["rho_residual"]
        if rho.ndim > 1:  # draws: their axes for rows make room for the lags
            rho = rho.reshape((*rho.shape[:-3], self.lags))
        lag = np.rint(np.abs(first[0] - second[0]) / self.step).astype(int)
        if (lag > self.lags).any():
            raise DataError(
                f"rows of a series are {lag.max() * self.step:g} apart, and {self.text} knows lags "
                f"up to {self.lags * self.step:g}"
            )
        return rho[..., np.maximum(lag - 1, 0)]

    def log_prior(self, priors: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Density of the partial autocorrelations."""
        rho = np.moveaxis(np.asarray(values["rho_residual"]), -1, 0)
        partial = np.stack(_partials(list(rho)), axis=-1)
        of_sigma = {"sigma": priors["sigma"](values["sigma"])} if self.own_sigma else {}
        return {**of_sigma, "partial_residual": priors["partial_residual"](partial).sum(axis=-1)}

    def pymc_parameters(self, priors: Mapping[str, Any]) -> dict[str, Any]:
        """Partial autocorrelations, and the correlations that follow."""
        import pymc as pm
        import pytensor.tensor as pt

        prior = priors["partial_residual"]
        partial = getattr(pm, prior.distribution)(
            "partial_residual", **prior.parameters, shape=self.lags
        )
        rho = pt.stack(_correlations([partial[k] for k in range(self.lags)]))
        of_sigma = {name: prior for name, prior in priors.items() if name == "sigma"}
        return {
            **Correlated.pymc_parameters(self, of_sigma),
            "rho_residual": pm.Deterministic("rho_residual", rho, dims=("residual_lag",)),
        }

    @property
    def correlation_latex(self) -> str:
        """A correlation for each lag."""
        return r"\rho_{|t_i - t_j|}"


def _correlations(partial: Any) -> list[Any]:
    """Correlations of lags 1, 2, ... of partial autocorrelations: arrays or tensors."""
    rho: list[Any] = []
    before: list[Any] = []
    left: Any = 1.0
    for k in range(len(partial)):
        p = partial[k]
        new = p * left
        for j in range(k):
            new = new + before[j] * rho[k - 1 - j]
        rho.append(new)
        before = [before[j] - p * before[k - 1 - j] for j in range(k)] + [p]
        left = left * (1.0 - p) * (1.0 + p)
    return rho


def _partials(rho: list[Any]) -> list[Any]:
    """Partial autocorrelations of correlations, the inverse of `_correlations`."""
    out: list[Any] = []
    before: list[Any] = []
    left: Any = 1.0
    for k in range(len(rho)):
        rest = rho[k]
        for j in range(k):
            rest = rest - before[j] * rho[k - 1 - j]
        p = rest / left
        out.append(p)
        before = [before[j] - p * before[k - 1 - j] for j in range(k)] + [p]
        left = left * (1.0 - p) * (1.0 + p)
    return out
