"""A standard deviation for each place and a correlation for each pair: unstructured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.residual.base import Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.entries import Constants, inverse_classes
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.row_scale import RowScale
from bayesmix.residual.series import TIME

__all__ = ["Unstructured"]

_MOST = 40  # places
_LKJ_ETA = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstructured(Correlated):
    """A full covariance matrix over the places in a series: there is no sigma beside.

    Parameters
    ----------
    positions : tuple of float
        The places, in order.
    labels : tuple of str
        What they are called.
    unit : float
        Scale of the default prior of the standard deviations.
    """

    positions: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    unit: float = 1.0

    name: ClassVar[str] = "us"
    word: ClassVar[str] = "us"
    sd_by_place: ClassVar[bool] = True

    @property
    def estimates_sigma(self) -> bool:  # type: ignore[override]
        """No: each place has a standard deviation of its own."""
        return False

    @classmethod
    def learned(
        cls,
        text: str,
        rows: Rows,
        n_coordinates: int,
        labels: tuple[Any, ...] | None,
        unit: float,
    ) -> Self:
        """Learn the places.

        Raises
        ------
        DataError
            If there are too many.
        """
        found = np.unique(rows[TIME])
        if n_coordinates != 1 or len(found) > _MOST or len(found) < 2:
            raise DataError(
                f"{text} has {len(found)} places in {n_coordinates} coordinates; it takes one "
                f"coordinate with 2 to {_MOST} places, for each pair of which it has a "
                "correlation; exp has one range for all"
            )
        texts = tuple(f"{t:g}" if labels is None else str(labels[int(t)]) for t in found.tolist())
        return cls(
            text=text, n_coordinates=1, positions=tuple(found.tolist()), labels=texts, unit=unit
        )

    @property
    def size(self) -> int:
        """Number of places."""
        return len(self.positions)

    @property
    def parameters(self) -> tuple[ResidualParameter, ...]:
        """The partial correlations of the C-vine, row by row."""
        rows, columns = np.tril_indices(self.size, -1)
        return tuple(
            ResidualParameter(
                name=f"partial_residual[{self.labels[j]}, {self.labels[i]}]", support="interval",
                lower=-1.0, upper=1.0, start=0.1, entry="corr_residual",
                prior=("LKJ", {"eta": _LKJ_ETA}), vine=(self.size - 2 - j) / 2.0,
            )
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        )  # fmt: skip

    @property
    def scale_parameters(self) -> tuple[ResidualParameter, ...]:
        """A standard deviation for each place."""
        return tuple(
            ResidualParameter(
                name=f"sd_residual[{label}]", support="positive", start=self.unit,
                entry="sd_residual", prior=("HalfCauchy", {"beta": self.unit}),
            )
            for label in self.labels
        )  # fmt: skip

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Standard deviations and the correlation matrix."""
        return {
            "sd_residual": ("residual_place",),
            "corr_residual": ("residual_place", "residual_place_bis"),
        }

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:
        """The places."""
        return {"residual_place": self.labels, "residual_place_bis": self.labels}

    def scale(self, rows: Rows, n: int) -> RowScale | None:
        """A stratum for each place."""
        return RowScale(
            X=np.eye(self.size), offset=np.zeros(self.size), stratum=self._place(rows[TIME]),
            parameters=self.scale_parameters, variable="sd_residual",
        )  # fmt: skip

    def _place(self, times: Any) -> np.ndarray:
        """Number of each place.

        Raises
        ------
        DataError
            If one is not known.
        """
        given = np.asarray(times, dtype=np.float64)
        known = np.asarray(self.positions)
        found = np.minimum(np.searchsorted(known, given), len(known) - 1)
        if given.size and (known[found] != given).any():
            strange = given[known[found] != given].ravel()[0]
            raise DataError(
                f"{self.text} has no standard deviation at {strange:g}; there are "
                f"{', '.join(self.labels)}"
            )
        return np.asarray(found, dtype=np.int64)

    def variables(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The correlation matrix of partial correlations."""
        first = np.asarray(next(iter(values.values())))
        C = np.zeros((*first.shape, self.size, self.size))
        C[..., 0, 0] = 1.0
        given = iter(values.values())
        for i in range(1, self.size):
            left = np.ones(first.shape)
            for j in range(i):
                p = np.asarray(next(given))
                C[..., i, j] = p * left
                left = left * np.sqrt((1.0 - p) * (1.0 + p))
            C[..., i, i] = left
        R = C @ np.swapaxes(C, -1, -2)
        R[..., np.arange(self.size), np.arange(self.size)] = 1.0
        return {"corr_residual": R}

    def parameters_of(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Partial correlations of the matrix."""
        C = np.linalg.cholesky(np.asarray(variables["corr_residual"]))
        found = {}
        names = iter(self.parameters)
        for i in range(1, self.size):
            left = np.ones(C.shape[:-2])
            for j in range(i):
                p = C[..., i, j] / left
                found[next(names).name] = p
                left = left * np.sqrt((1.0 - p) * (1.0 + p))
        return found

    def pairs(self, rows: Rows, n: int) -> PairClasses:
        """Entries of the inverses, by pattern."""
        return inverse_classes(self, rows, self._constants)

    def _constants(self, of_pattern: Sequence[np.ndarray]) -> Constants:
        """Number of places, of entries, and the two places of each entry."""
        found = []
        for times in of_pattern:
            place = self._place(times[:, 0])
            i, j = np.tril_indices(len(place))
            found.append(np.column_stack([place[i], place[j]]).ravel())
        every = np.concatenate(found)
        numbers = np.concatenate([[self.size, len(every) // 2], every])
        return numbers.astype(np.int64), np.zeros(0)

    @staticmethod
    def coefficients(numbers: Any, table: Any, phi: Any, c: Any, by_phi: Any, log_det: Any) -> None:
        """Correlations of all entries, and their derivatives by the partial ones."""
        T = numbers[0]
        n = T * (T - 1) // 2
        C = np.zeros((T, T))
        C[0, 0] = 1.0
        for i in range(1, T):
            left = 1.0
            for j in range(i):
                p = phi[i * (i - 1) // 2 + j]
                C[i, j] = p * left
                left *= np.sqrt((1.0 - p) * (1.0 + p))
            C[i, i] = left
        for k in range(numbers[1]):
            a, b = numbers[2 + 2 * k], numbers[3 + 2 * k]
            for m in range(n):
                by_phi[k * n + m] = 0.0
            if a == b:
                c[k] = 1.0
                continue
            c[k] = 0.0
            for m in range(min(a, b) + 1):
                c[k] += C[a, m] * C[b, m]
            # Each row of the factor has partial correlations of its own.
            for turn in range(2):
                own, other = (a, b) if turn == 0 else (b, a)
                for j in range(own):
                    p = phi[own * (own - 1) // 2 + j]
                    left = (1.0 - p) * (1.0 + p)
                    s = 0.0
                    if C[own, j] != 0.0:
                        s = C[own, j] / p * C[other, j]
                    else:
                        size = 1.0
                        for m in range(j):
                            q = phi[own * (own - 1) // 2 + m]
                            size *= np.sqrt((1.0 - q) * (1.0 + q))
                        s = size * C[other, j]
                    for m in range(j + 1, own + 1):
                        s -= p / left * C[own, m] * C[other, m]
                    by_phi[k * n + own * (own - 1) // 2 + j] += s

    def with_known(self, unit: float) -> Correlated:
        """The same, whose standard deviations are those of the places."""
        return replace(self, beside_known=True)

    def own_sd(self, parameters: Mapping[str, Any], rows: Rows) -> Any:
        """The standard deviation of the row's place."""
        sd = parameters["sd_residual"]
        place = self._place(rows[TIME])
        if sd.ndim == 3:  # draws, with an axis for the rows
            sd = sd[:, 0]
        found = sd[..., place]
        return found / rows["weights"] ** 0.5 if "weights" in rows else found

    def mean_variance(self, parameters: Mapping[str, Any], rows: Rows) -> np.ndarray:
        """The mean over the rows."""
        share = np.bincount(self._place(rows[TIME]), minlength=self.size) / len(rows[TIME])
        own = np.asarray(np.square(parameters["sd_residual"]) @ share)
        return own + np.mean(np.square(rows["known_se"])) if self.beside_known else own

    def correlation(
        self, parameters: Mapping[str, Any], first: Sequence[Any], second: Sequence[Any]
    ) -> Any:
        """The entry of the correlation matrix."""
        R = parameters["corr_residual"]
        if R.ndim > 2:  # draws: their axes for rows make room for the places
            R = R.reshape((*R.shape[:-4], self.size, self.size))
        return R[..., self._place(first[0]), self._place(second[0])]

    def log_prior(self, priors: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Densities of the standard deviations together, and of the matrix."""
        return {
            "sd_residual": priors["sd_residual"](values["sd_residual"]).sum(axis=-1),
            "corr_residual": priors["corr_residual"](values["corr_residual"]),
        }

    def pymc_parameters(self, priors: Mapping[str, Any]) -> dict[str, Any]:
        """Standard deviations, and an LKJ-distributed matrix."""
        import pymc as pm

        from bayesmix.covariance.lkj import lkj_cholesky

        prior = priors["sd_residual"]
        sd = getattr(pm, prior.distribution)(
            "sd_residual", **prior.parameters, dims=("residual_place",)
        )
        L = lkj_cholesky(
            "partial_corr_residual", self.size, priors["corr_residual"].parameters["eta"]
        )
        R = pm.Deterministic("corr_residual", L @ L.T, dims=self.dims["corr_residual"])
        return {"sd_residual": sd, "corr_residual": R}

    def latex(self, likelihood: str) -> str:
        """The likelihood of a row, and the correlation of two rows of a series."""
        return Correlated.latex(self, likelihood.replace(r"\sigma", r"\sigma_{t_i}"))

    @property
    def correlation_latex(self) -> str:
        """A correlation for each pair of places."""
        return r"\rho_{t_i, t_j}"
