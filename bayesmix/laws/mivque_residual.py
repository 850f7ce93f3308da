"""The covariance of the residuals as MIVQUE(0) takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.residual_coordinates import phi_start, phi_values, phi_x
from bayesmix.laws.quadratic_forms import Form
from bayesmix.residual import Correlated
from bayesmix.residual.us import Unstructured

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["ResidualForms"]

_FEW = 2  # parameters beside sigma: a search over so few makes the whole form each time
_MOST = 200  # pairs of places, a form of each of which is kept
_Pair = tuple[tuple[float, ...], ...]  # coordinates of two rows; none for a row with itself
_LARGEST = 1 - 1e-6  # correlation


class ResidualForms:
    """V of the residuals: a multiple of a matrix that the search knows, or one form an entry.

    Parameters
    ----------
    model : StatedModel
    problem : Problem

    Attributes
    ----------
    start : ndarray
        Coordinates of what it is not linear in.
    is_known : bool
        Whether nothing multiplies it.
    entries : list of list of Form
        A form for each pair of places in a series, the first for rows with themselves; none
        where these are many, or rows have standard deviations of their own.
    is_free : bool
        Whether each entry is a parameter.
    """

    def __init__(self, model: StatedModel, problem: Problem) -> None:
        self.problem, self.n, self.rows = problem, len(model.y), model.rows
        structure, scale = model.residual, problem.scale
        self.structure = structure if isinstance(structure, Correlated) else None
        self.identity = sparse.csr_array(sparse.eye_array(self.n, format="csr"))
        self.constant = None  # coefficients of sigma's predictor that make a constant
        if scale is not None:
            found = np.linalg.lstsq(scale.X, np.ones(len(scale.X)), rcond=None)[0]
            self.constant = found if np.allclose(scale.X @ found, 1.0, atol=1e-9) else None
        self.is_known = self.constant is None if scale is not None else problem.sigma_is_known
        self.start = phi_start(problem.phi)
        self.is_free = False
        self.entries: list[list[Form]] = []
        self.first: np.ndarray = np.zeros((0, 0))
        self.second: np.ndarray = np.zeros((0, 0))
        predicted = "sigma" in model.design.predictors
        if scale is not None:
            self.start[: scale.X.shape[1]] = 0.0
        if self.structure is None:
            if not predicted:
                self.is_free, self.entries = True, [[Form(self.identity, self.identity)]]
        elif (
            len(problem.phi) > _FEW
            and not predicted
            and (scale is None or isinstance(structure, Unstructured))
        ):
            self._keep_entries(self.structure)
            self.is_free = scale is not None and bool(self.entries)
        if self.is_free:
            self.start = np.zeros(0)

    @property
    def n_parameters(self) -> int:
        """Parameters that it is linear in."""
        return len(self.entries) if self.is_free else 1

    def form(self, phi: np.ndarray) -> list[Form]:
        """Return the form of all of it, at coordinates of what it is not linear in."""
        R = self.identity if self.structure is None else self._correlations(phi)
        scale = self.problem.scale
        if scale is not None:
            eta = scale.X @ phi[: scale.X.shape[1]] + scale.offset
            sd = sparse.diags_array(np.exp(eta)[scale.stratum])
            R = sparse.csr_array(sd @ R @ sd)
        return [Form(R, self.identity)]

    def shares(self, phi: np.ndarray) -> np.ndarray:
        """Correlation at each entry."""
        structure = self.structure
        assert structure is not None  # noqa: S101
        values = structure.variables(phi_values(self.problem.phi, phi))
        found = np.ones(len(self.first) + 1)
        found[1:] = structure.correlation(values, list(self.first.T), list(self.second.T))
        return found

    def estimates(self, theta: np.ndarray, phi: np.ndarray) -> tuple[float, np.ndarray]:
        """Sigma^2, which is 1 where there is none, and coordinates of what stands beside it."""
        if self.is_free and self.structure is not None:
            return 1.0, self._of_entries(theta)
        if self.constant is None:
            return (1.0 if self.is_known else float(theta[0])), phi
        out = phi.copy()
        out[: len(self.constant)] += 0.5 * np.log(theta[0]) * self.constant
        return 1.0, out

    def _correlations(self, phi: np.ndarray) -> sparse.csr_array:
        structure, scale = self.structure, self.problem.scale
        assert structure is not None  # noqa: S101
        skip = 0 if scale is None else scale.X.shape[1]
        values = structure.variables(phi_values(self.problem.phi[skip:], phi[skip:]))
        series = structure.series(self.rows)
        at, to, entries = [], [], []
        for k, times in enumerate(series.of_pattern):
            own = series.rows_of_pattern(k)
            i, j = np.indices((len(times), len(times))).reshape(2, -1)
            at.append(own[:, i].ravel())
            to.append(own[:, j].ravel())
            entries.append(np.tile(structure.matrix(values, times)[i, j], len(own)))
        place = np.concatenate(at), np.concatenate(to)
        return sparse.csr_array((np.concatenate(entries), place), shape=(self.n, self.n))

    def _keep_entries(self, structure: Correlated) -> None:
        """A matrix of zeros and ones for each pair of places, if they are few."""
        series = structure.series(self.rows)
        n_pairs = sum(len(times) ** 2 for times in series.of_pattern)
        if n_pairs > 50 * _MOST:
            return
        found: dict[_Pair, list[np.ndarray]] = {}
        keys: list[_Pair]
        by_place = self.problem.scale is not None
        for k, times in enumerate(series.of_pattern):
            own, places = series.rows_of_pattern(k), [tuple(t) for t in times.tolist()]
            for i, one in enumerate(places):
                for j, other in enumerate(places):
                    key: _Pair = () if i == j and not by_place else tuple(sorted((one, other)))
                    found.setdefault(key, []).append(own[:, [i, j]])
        if by_place:
            known = (
                [(t,) for t in structure.positions] if isinstance(structure, Unstructured) else []
            )
            keys = [(known[a], known[b]) for a in range(len(known)) for b in range(a, len(known))]
        else:
            keys = [(), *(key for key in found if key)]
        if len(keys) > _MOST:
            return
        for key in keys:
            at = np.concatenate([np.zeros((0, 2), np.int64), *found.get(key, [])])
            E = sparse.csr_array((np.ones(len(at)), at.T), shape=(self.n, self.n))
            self.entries.append([Form(E, self.identity)])
        if not by_place:
            k = structure.n_coordinates
            self.first = np.asarray([key[0] for key in keys[1:]]).reshape(-1, k)
            self.second = np.asarray([key[1] for key in keys[1:]]).reshape(-1, k)

    def _of_entries(self, theta: np.ndarray) -> np.ndarray:
        """Coordinates of an unstructured matrix, or of the nearest that is one."""
        structure, scale = self.structure, self.problem.scale
        assert isinstance(structure, Unstructured)  # noqa: S101
        assert scale is not None  # noqa: S101
        T = structure.size
        V = np.zeros((T, T))
        V[np.triu_indices(T)] = theta
        V = V + np.triu(V, 1).T
        values, vectors = np.linalg.eigh(V)
        least = 1e-9 * max(values.max(), 1e-300)
        V = (vectors * np.maximum(values, least)) @ vectors.T
        sd = np.sqrt(np.diag(V))
        R = V / np.outer(sd, sd)
        variables = {"sd_residual": sd[None], "corr_residual": _LARGEST * R[None]}
        variables["corr_residual"][:, range(T), range(T)] = 1.0
        if np.linalg.eigvalsh(R).min() > 1 - _LARGEST:
            variables["corr_residual"] = R[None]
        found = scale.parameters_of(variables) | structure.parameters_of(variables)
        return np.asarray(phi_x(self.problem.phi, found)[0])
