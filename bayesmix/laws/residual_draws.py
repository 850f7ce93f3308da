"""Draws of residuals that are correlated within series, for blocks of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.laws.levels import name_key
from bayesmix.residual import Correlated

__all__ = ["ResidualDraws"]

_LOG_2PI = float(np.log(2.0 * np.pi))


class ResidualDraws:
    """Residuals of each draw of the parameters; a series is the same whatever block it is in.

    Parameters
    ----------
    structure : Correlated
    parameters : mapping of str to ndarray
        The structure's variables with the draws in front: shape (S, 1) or (S, 1, ...).
    rows : mapping of str to ndarray, shape (n,)
        With series and coordinates.
    n_draws : int
    seed : int
    share : ndarray, shape (S, n) or (1, n), optional
        What of each row's standard deviation is correlated, where known errors stand beside.
    """

    def __init__(
        self,
        structure: Correlated,
        parameters: Mapping[str, Any],
        rows: Mapping[str, np.ndarray],
        n_draws: int,
        seed: int,
        share: np.ndarray | None = None,
    ) -> None:
        self._structure, self._n_draws, self._seed = structure, n_draws, seed
        self._parameters = {
            name: np.reshape(values, (n_draws, 1, 1, *np.shape(values)[2:]))
            for name, values in parameters.items()
            if name in structure.dims
        }
        self._series, self._share = structure.series(rows), share
        n = len(self._series.order)
        self._place = np.empty(n, dtype=np.int64)
        self._place[self._series.order] = np.arange(n)
        self._of_place = np.repeat(np.arange(len(self._series.sizes)), self._series.sizes)
        self._numbers = np.asarray(rows["residual_series"])
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def block(self, rows: slice) -> np.ndarray:
        """Draw residuals of unit variance, shape (S, rows)."""
        places = self._place[rows]
        out = np.empty((self._n_draws, len(places)))
        for g in np.unique(self._of_place[places]).tolist():
            L, _ = self._roots(g)
            start = self._series.start[g]
            number = int(self._numbers[self._series.order[start]])
            words = [self._seed, name_key("residuals"), number]
            rng = np.random.default_rng(np.random.SeedSequence(words))
            z = rng.standard_normal((self._n_draws, int(self._series.sizes[g])))
            own = np.flatnonzero(self._of_place[places] == g)
            at = places[own] - start
            out[:, own] = np.einsum("sij,sj->si", L[:, at], z)
        return out

    def conditional(self, scaled: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return what residuals of unit variance differ from what the series' others say.

        Parameters
        ----------
        scaled : ndarray, shape (S, n)
            Residuals of all rows, each over its standard deviation.
        rows : slice

        Returns
        -------
        deviation : ndarray, shape (S, rows)
            Residual less its expectation given all other rows of the series.
        sd : ndarray, shape (S, rows)
            Standard deviation of that.
        """
        places = self._place[rows]
        deviation, sd = (np.empty((self._n_draws, len(places))) for _ in range(2))
        for g in np.unique(self._of_place[places]).tolist():
            _, P = self._roots(g)
            start, size = self._series.start[g], int(self._series.sizes[g])
            own = np.flatnonzero(self._of_place[places] == g)
            at = places[own] - start
            r = scaled[:, self._series.order[start : start + size]]
            variance = 1.0 / P[:, at, at]
            deviation[:, own] = np.einsum("sij,sj->si", P[:, at], r) * variance
            sd[:, own] = np.sqrt(variance)
        return deviation, sd

    def log_density(self, scaled: np.ndarray) -> np.ndarray:
        """Log density of all rows' residuals of unit variance together, shape (S,)."""
        total = np.full(self._n_draws, -0.5 * scaled.shape[1] * _LOG_2PI)
        for g, size in enumerate(self._series.sizes.tolist()):
            L, P = self._roots(g)
            r = scaled[:, self._series.order[self._series.start[g] :][:size]]
            total -= np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)
            total -= 0.5 * np.einsum("si,sij,sj->s", r, P, r)
        return total

    def _roots(self, g: int) -> tuple[np.ndarray, np.ndarray]:
        """Root of the correlation matrix of a series at each draw, and its inverse."""
        pattern = int(self._series.pattern[g])
        if pattern in self._known:
            return self._known[pattern]
        times, own = self._series.of_pattern[pattern], None
        if self._share is not None:
            own = self._share[:, self._series.rows_of_pattern(pattern)[0]]
        R = np.broadcast_to(
            self._structure.shared(self._parameters, times, own),
            (self._n_draws, len(times), len(times)),
        )
        found = np.linalg.cholesky(R), np.linalg.inv(R)
        if self._share is None:  # else each series has its own, which are not asked for again
            self._known[pattern] = found
        return found
