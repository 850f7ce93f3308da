"""Draws of the linear predictor, block of rows by block of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bayesmix.laws.levels import NewGroups
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows
from bayesmix.threads import one_blas_thread

__all__ = ["LinearDraws", "for_each_block"]

_BLOCK = 131_072  # numbers in a block of rows x draws: 1 MB, which caches hold


class LinearDraws:
    """Draws of the linear predictor of some rows.

    Parameters
    ----------
    parameters : ParameterDraws
    rows : Rows
    seed : int
        Seed of the effects of new groups.
    """

    def __init__(self, parameters: ParameterDraws, rows: Rows, seed: int) -> None:
        self._parameters = parameters
        self._rows = rows
        self._new: dict[str, NewGroups] = {}
        self._rank: dict[str, np.ndarray] = {}
        for name, index in rows.index.items():
            new = index < 0
            if new.any():
                self._rank[name] = np.cumsum(new) - 1
                self._new[name] = NewGroups(
                    parameters.scales[name], seed, rows.new_levels[name], rows.positions[new]
                )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._rows.n_rows

    @property
    def n_draws(self) -> int:
        """Number of draws S."""
        return self._parameters.n_draws

    def block(self, rows: slice) -> np.ndarray:
        """Return the draws of some rows, shape (rows, S)."""
        given = self._rows
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            eta = given.X[rows] @ self._parameters.beta
            if given.offset is not None:
                eta += given.offset[rows, None]
            buffer = np.empty_like(eta)
            for name, index in given.index.items():
                self._add_group(name, index[rows], given.Z[name][rows], rows, eta, buffer)
        return eta

    def group_variance(self, rows: slice) -> np.ndarray:
        """Variance between groups of the linear predictor, shape (rows, S)."""
        total = np.zeros((len(self._rows.X[rows]), self.n_draws))
        with np.errstate(over="ignore", invalid="ignore"):  # infinite beyond the largest number
            for name, Z in self._rows.Z.items():
                if name in self._rows.index:  # a smooth is the same for all groups
                    continue
                total += self._parameters.scales[name].row_variance(Z[rows])
        return total

    def _add_group(
        self, name: str, index: np.ndarray, Z: np.ndarray, rows: slice, eta: np.ndarray,
        buffer: np.ndarray,
    ) -> None:  # fmt: skip
        new = index < 0
        if not new.any():
            at = self._parameters.level_rows[name][index]
            _add_products(self._parameters.b[name], at, Z, eta, buffer)
            return
        seen = np.flatnonzero(~new)
        if seen.size:
            at = self._parameters.level_rows[name][index[seen]]
            part = np.zeros((len(seen), eta.shape[1]))
            _add_products(self._parameters.b[name], at, Z[seen], part, np.empty_like(part))
            eta[seen] += part
        unseen = np.flatnonzero(new)
        effects, group = self._new[name].effects(self._rank[name][rows][unseen])
        part = np.zeros((len(unseen), eta.shape[1]))
        _add_products(effects, group, Z[unseen], part, np.empty_like(part))
        eta[unseen] += part


def _add_products(
    b: np.ndarray, at: np.ndarray, Z: np.ndarray, eta: np.ndarray, buffer: np.ndarray
) -> None:
    """Add z' b of each row's level, without a temporary beyond the buffer."""
    for k in range(len(b)):  # each b[k] contiguous: take() would copy all of it otherwise
        np.take(b[k], at, axis=0, out=buffer, mode="clip")
        column = Z[:, k]
        if not (column == 1.0).all():
            np.multiply(buffer, column[:, None], out=buffer)
        np.add(eta, buffer, out=eta)


def for_each_block(
    n_rows: int, n_draws: int, work: Callable[[int, slice], None], *, cores: int | None = None
) -> None:
    """Work through rows in blocks whose draws fit the caches, on all processors.

    The blocks depend on the number of draws alone, so that what a block draws from
    its number is reproducible.

    Parameters
    ----------
    n_rows, n_draws : int
    work : callable
        Takes the number of a block and its slice of rows.
    cores : int, optional
    """
    with one_blas_thread():
        blocks = list(_blocks(n_rows, n_draws))
        workers = min(cores or os.cpu_count() or 1, max(1, len(blocks)))
        if workers == 1:
            for number, rows in blocks:
                work(number, rows)
            return
        with ThreadPoolExecutor(max_workers=workers) as pool:
            for _ in pool.map(lambda block: work(*block), blocks):
                pass


def _blocks(n_rows: int, n_draws: int) -> Iterator[tuple[int, slice]]:
    size = max(1, _BLOCK // max(1, n_draws))
    for number, start in enumerate(range(0, n_rows, size)):
        yield number, slice(start, min(start + size, n_rows))
