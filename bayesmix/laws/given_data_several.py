"""Means of several linear predictors at the estimates, their effects averaged given the data."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.families.functions import NUMPY
from bayesmix.laws.effect_points import normal_points
from bayesmix.laws.predictor import refuse_joined
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows
from bayesmix.laws.whole_laplace import WholeLaplace
from bayesmix.statement.stated import StatedModel

__all__ = ["SeveralGivenData"]

Mean = Callable[[np.ndarray], np.ndarray]  # from linear predictors, shape (m, n), to means


class SeveralGivenData:
    """Expected means of rows at the estimates.

    Where all group effects are those of one partition of the rows, levels do not know of each
    other, and each one's effects are integrated over with the likelihood of its rows in all
    predictors. Elsewhere, and for smooths, they are normal around their modes. Under the links
    that leave some linear predictors without a mean (identity, inverse), expectations are taken
    at the modes.

    Parameters
    ----------
    model : StatedModel
        Whose family says what a mean is.
    whole : WholeLaplace
        The law of all predictors' coefficients and effects.
    stacked : callable
        From rows and a parameter to these rows among the columns of all predictors.
    """

    def __init__(
        self, model: StatedModel, whole: WholeLaplace, stacked: Callable[[Rows, str], Rows]
    ) -> None:
        self._model = model
        self._whole = whole
        self._stacked = stacked

    def expected_mean(
        self, rows: Rows, request: PredictionRequest, category: int | None = None
    ) -> np.ndarray:
        """Expected mean of each row, or expected value of a parameter, shape (n,).

        Parameters
        ----------
        rows : Rows
            With those of the other predictors.
        request : PredictionRequest
        category : int, optional
            Whose probability is expected in place of the mean.
        """
        one = request.parameter
        names = [one] if one else list(self._model.design.predictors)
        parts = [self._stacked(rows.others.get(name, rows), name) for name in names]
        mean = self._mean_function(rows, names, request.parameter, category)
        if request.marginal:
            refuse_joined(self._model, "marginal=True averages over groups of independent effects")
            return _average(self._at_modes(parts), self._between(parts), mean)
        link = self._model.links[request.parameter or "mu"]
        # A parameter that is asked for by name is what it is at the modes.
        bounded = category is not None or self._model.family.mean_is_fraction
        without_mean = (link.is_identity or link.has_pole) and not bounded
        if one or without_mean:
            return mean(self._at_modes(parts))
        return self._averaged(parts, mean)

    def expected_square(self, rows: Rows, parameter: str) -> np.ndarray:
        """Expected square of a parameter that has a predictor, shape (n,).

        Parameters
        ----------
        rows : Rows
            Those of this predictor.
        parameter : str
        """
        value = self._mean_function(rows, [parameter], parameter, None)
        return self._averaged([self._stacked(rows, parameter)], lambda eta: np.square(value(eta)))

    # -- inside ---------------------------------------------------------------

    def _averaged(self, parts: list[Rows], mean: Mean) -> np.ndarray:
        if not any(part.index for part in parts):
            return mean(self._at_modes(parts))
        points = self._whole.effect_points
        if points is not None:
            return self._by_points(parts, mean, *points)
        return _average(self._at_modes(parts), self._covariance(parts), mean)

    def _mean_function(
        self, rows: Rows, names: list[str], parameter: str, category: int | None
    ) -> Mean:
        model, links = self._model, self._model.links

        def mean(eta: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                if parameter:
                    return np.asarray(links[parameter].inverse(NUMPY, eta[0]), dtype=np.float64)
                values: dict[str, Any] = dict(self._whole.family_values)
                for name, own in zip(names[1:], eta[1:], strict=True):
                    values[name] = links[name].inverse(NUMPY, own)
                if category is not None:
                    return model.family.probabilities(eta[0], values)[..., category]
                found = model.family.mean(eta[0], values, rows.per_row)
                return np.asarray(found, dtype=np.float64)

        return mean

    def _at_modes(self, parts: list[Rows]) -> np.ndarray:
        return np.stack([self._whole.means(part) for part in parts])

    def _between(self, parts: list[Rows]) -> np.ndarray:
        """Covariance of the rows' linear predictors between groups, shape (n, m, m)."""
        out = np.zeros((parts[0].n_rows, len(parts), len(parts)))
        for j, part in enumerate(parts):
            for name, Z in part.Z.items():
                if name not in part.index:  # smooths are those of the population
                    own = np.sum((Z @ self._whole.roots[name]) ** 2, axis=1)
                    out[:, j, j] += own * self._group(name).mean_variance
        return out

    def _group(self, name: str) -> Any:
        return next(g for g in self._whole.model.design.mu.groups if g.name == name)

    def _covariance(self, parts: list[Rows]) -> np.ndarray:
        """Covariance of the rows' linear predictors given the data, shape (n, m, m)."""
        n, m = parts[0].n_rows, len(parts)
        nothing = np.zeros((n, 0))

        def variance(*some: Rows) -> np.ndarray:
            Z: dict[str, np.ndarray] = {}
            index: dict[str, np.ndarray] = {}
            for part in some:
                index |= part.index
                for name, own in part.Z.items():
                    Z[name] = Z[name] + own if name in Z else own
            placed = {name: Z[name] for name in index}
            found = self._whole.variance_given_fixed.of_rows(nothing, placed, index)
            for name, at in index.items():
                new = np.sum((Z[name] @ self._whole.roots[name]) ** 2, axis=1)
                found = found + np.where(at < 0, new, 0.0)
            return np.asarray(found)

        out = np.zeros((n, m, m))
        for j in range(m):
            out[:, j, j] = variance(parts[j])
        for j, k in itertools.combinations(range(m), 2):
            if parts[j].index and parts[k].index:
                both = variance(parts[j], parts[k]) - out[:, j, j] - out[:, k, k]
                out[:, j, k] = out[:, k, j] = both / 2
        return out

    def _by_points(
        self, parts: list[Rows], mean: Mean, u: np.ndarray, probability: np.ndarray
    ) -> np.ndarray:
        start = np.cumsum([0, *(g.n_effects for g in self._whole.model.design.mu.groups)])
        place = {
            g.name: slice(int(at), int(at) + g.n_effects)
            for at, g in zip(start, self._whole.model.design.mu.groups, strict=False)
        }
        n = parts[0].n_rows
        index = next(at for part in parts for at in part.index.values())
        V = np.zeros((len(parts), n, u.shape[2]))
        for j, part in enumerate(parts):
            for name, Z in part.Z.items():
                V[j][:, place[name]] += Z @ self._whole.roots[name]
        fixed = self._at_modes([replace(part, index={}) for part in parts])
        seen, at = index >= 0, np.maximum(index, 0)
        total = np.zeros(n)
        for k in range(u.shape[1]):
            eta = fixed + np.einsum("mnd,nd->mn", V, u[at, k])
            total += probability[at, k] * mean(eta)
        if seen.all():
            return total
        prior = np.einsum("jnd,knd->njk", V, V)
        return np.where(seen, total, _average(fixed, prior, mean))


def _average(eta: np.ndarray, covariance: np.ndarray, mean: Mean) -> np.ndarray:
    """Average the means of normal linear predictors, shapes (m, n) and (n, m, m)."""
    used = np.flatnonzero(covariance.any(axis=(0, 2)))
    if not used.size:
        return mean(eta)
    values, vectors = np.linalg.eigh(covariance[:, used[:, None], used])
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    total = np.zeros(eta.shape[1])
    for point, log_weight in zip(*normal_points(len(used)), strict=True):
        there = eta.copy()
        there[used] += np.einsum("nij,j->in", root, point)
        total += np.exp(log_weight) * mean(there)
    return total
