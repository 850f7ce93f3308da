"""Residual structures that only tests know, to show what the seam carries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.residual import PairClasses, Residual, ResidualParameter, Rows


def _equal(values: Any, k: int) -> Any:
    """1 where values are k: of arrays and of tensors, which are equal to themselves alone."""
    if isinstance(values, np.ndarray):
        return (values == k).astype(float)
    import pytensor.tensor as pt

    return pt.eq(values, k)


@dataclass(frozen=True, slots=True)
class Ratios(Residual):
    """One standard deviation in each stratum: sigma in the first, and ratios to it.

    Parameters
    ----------
    n_strata : int
    """

    n_strata: int

    name: ClassVar[str] = "strata"
    needs: ClassVar[tuple[str, ...]] = ("stratum",)

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        return tuple(
            ResidualParameter(
                name=f"ratio_{k}", support="positive", start=1.0,
                prior=("LogNormal", {"mu": 0.0, "sigma": 1.0}),
            )
            for k in range(1, self.n_strata)
        )  # fmt: skip

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        counts = np.bincount(rows["stratum"], minlength=self.n_strata)
        return PairClasses(
            n_classes=self.n_strata, diagonal=rows["stratum"],
            numbers=np.asarray([self.n_strata, *counts], dtype=np.int64),
        )  # fmt: skip

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        K = numbers[0]
        c[0] = 1.0
        log_det[0] = 0.0
        for i in range(K * (K - 1)):
            by_phi[i] = 0.0
        for k in range(1, K):
            j = k - 1
            c[k] = 1.0 / (phi[j] * phi[j])
            by_phi[k * (K - 1) + j] = -2.0 * c[k] / phi[j]
            log_det[0] -= 2.0 * numbers[1 + k] * math.log(phi[j])
            log_det[1 + j] = -2.0 * numbers[1 + k] / phi[j]

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        sd = parameters["sigma"]
        factor: Any = 1.0
        for k in range(1, self.n_strata):
            in_it = _equal(rows["stratum"], k)
            factor = factor * (in_it * parameters[f"ratio_{k}"] + (1 - in_it))
        return sd * factor

    def latex(self, likelihood: str) -> str:
        return likelihood.replace(r"\sigma", r"\sigma_{s[i]}")


@dataclass(frozen=True, slots=True)
class Levels(Residual):
    """The same with the logarithm of a standard deviation in each stratum, and no sigma."""

    n_strata: int

    name: ClassVar[str] = "levels"
    needs: ClassVar[tuple[str, ...]] = ("stratum",)
    estimates_sigma: ClassVar[bool] = False

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        return tuple(
            ResidualParameter(
                name=f"log_sd_{k}", support="real", start=0.0,
                prior=("Normal", {"mu": 3.0, "sigma": 1.5}),
            )
            for k in range(self.n_strata)
        )  # fmt: skip

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        counts = np.bincount(rows["stratum"], minlength=self.n_strata)
        return PairClasses(
            n_classes=self.n_strata, diagonal=rows["stratum"],
            numbers=np.asarray([self.n_strata, *counts], dtype=np.int64),
        )  # fmt: skip

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        K = numbers[0]
        log_det[0] = 0.0
        for i in range(K * K):
            by_phi[i] = 0.0
        for k in range(K):
            c[k] = math.exp(-2.0 * phi[k])
            by_phi[k * K + k] = -2.0 * c[k]
            log_det[0] -= 2.0 * numbers[1 + k] * phi[k]
            log_det[1 + k] = -2.0 * numbers[1 + k]

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        import pytensor.tensor as pt

        total: Any = 0.0
        for k in range(self.n_strata):
            total = total + _equal(rows["stratum"], k) * parameters[f"log_sd_{k}"]
        return np.exp(total) if isinstance(total, np.ndarray) else pt.exp(total)

    def latex(self, likelihood: str) -> str:
        return likelihood.replace(r"\sigma", r"\sigma_{s[i]}")


@dataclass(frozen=True, slots=True)
class CompoundSymmetry(Residual):
    """One correlation between the residuals of a series.

    Parameters
    ----------
    lower : float
        Least correlation: above -1 / (m - 1) for the longest series of m rows.
    """

    lower: float = 0.0

    name: ClassVar[str] = "cs"
    needs: ClassVar[tuple[str, ...]] = ("series",)

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        return (
            ResidualParameter(
                name="rho_residual", support="interval", lower=self.lower, upper=1.0, start=0.3,
                prior=("Uniform", {"lower": self.lower, "upper": 1.0}),
            ),
        )  # fmt: skip

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        first, second, kind = [], [], []
        lengths = np.bincount(rows["series"])
        sizes, counts = np.unique(lengths[lengths > 0], return_counts=True)
        numbers = [len(sizes), *np.stack([sizes, counts], axis=1).ravel()]
        for s in np.unique(rows["series"]):
            at = np.flatnonzero(rows["series"] == s)
            i, j = np.tril_indices(len(at))
            first.append(at[i])
            second.append(at[j])
            kind.append(np.full(len(i), 1 + int(np.searchsorted(sizes, len(at)))))
        return PairClasses(
            n_classes=1 + len(sizes), first=np.concatenate(first), second=np.concatenate(second),
            kind=np.concatenate(kind), numbers=np.asarray(numbers, dtype=np.int64),
        )  # fmt: skip

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        rho = phi[0]
        c[0] = 1.0 / (1.0 - rho)
        by_phi[0] = c[0] * c[0]
        log_det[0] = 0.0
        log_det[1] = 0.0
        for k in range(numbers[0]):
            m, count = numbers[1 + 2 * k], numbers[2 + 2 * k]
            whole = 1.0 + (m - 1.0) * rho
            c[1 + k] = -rho * c[0] / whole
            by_phi[1 + k] = -c[0] / whole - rho * by_phi[0] / whole
            by_phi[1 + k] += rho * c[0] * (m - 1.0) / (whole * whole)
            log_det[0] -= count * ((m - 1.0) * math.log(1.0 - rho) + math.log(whole))
            log_det[1] += count * ((m - 1.0) * c[0] - (m - 1.0) / whole)

    def row_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        return parameters["sigma"]

    def covariance(self, parameters: Mapping[str, Any], rows: Rows, n: int) -> np.ndarray:
        same = rows["series"][:, None] == rows["series"]
        rho = parameters["rho_residual"]
        return np.square(parameters["sigma"]) * np.where(np.eye(n) > 0, 1.0, same * rho)

    def pymc_likelihood(
        self, name: str, family: Any, eta: Any, parameters: Mapping[str, Any], observed: Any,
        dims: str, rows: Any,
    ) -> Any:  # fmt: skip
        import pymc as pm
        import pytensor.tensor as pt

        n = observed.shape[0]
        same = pt.eq(rows["series"][:, None], rows["series"])
        rho = parameters["rho_residual"]
        R = pt.switch(pt.eye(n) > 0, 1.0, same * rho) * parameters["sigma"] ** 2
        return pm.MvNormal(name, mu=family.tensor_mean(eta), cov=R, observed=observed, dims=dims)

    def latex(self, likelihood: str) -> str:
        return likelihood.replace(r"\sigma", r"\sigma^2 R")
