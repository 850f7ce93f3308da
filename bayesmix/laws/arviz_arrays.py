"""ArviZ's diagnostics of plain arrays, without the labelled layers that import so much."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
from scipy.special import ndtri

from bayesmix.later import enter_later

__all__ = ["chain_diagnostics", "diagnosed"]

_REMEMBERED = 1024  # quantities
_known: dict[bytes, tuple[float, float, float]] = {}


def diagnosed(draws: np.ndarray, tails: tuple[float, float]) -> tuple[float, float, float]:
    """Diagnose one quantity; draws that have been are remembered, as a summary comes after a check.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws)
    tails : tuple of float
        Probabilities of the quantiles whose effective sample sizes are the tails'.

    Returns
    -------
    ess_bulk, ess_tail, r_hat : float
    """
    values = np.ascontiguousarray(draws, dtype=float)
    key = hashlib.blake2b(values, key=repr((values.shape, tails)).encode()[:64]).digest()
    if key not in _known:
        arviz = chain_diagnostics()
        found = arviz.bulk(values), arviz.tail(values, tails), arviz.rank(values)
        if len(_known) >= _REMEMBERED:
            _known.clear()
        _known[key] = float(found[0]), float(found[1]), float(found[2])
    return _known[key]


@functools.cache
def chain_diagnostics() -> Any:
    """Return ArviZ's diagnostics of one quantity's draws.

    Returns
    -------
    object
        With the methods `bulk`, `tail`, `quantile` and `rank`, each of draws of shape
        (chains, draws).
    """
    enter_later("arviz_stats", "arviz_stats.base")
    from arviz_stats.base.diagnostics import _DiagnosticsBase

    class Diagnostics(_DiagnosticsBase):
        """ArviZ's, with normal scores that are taken without scipy.stats' preparations."""

        def _z_scale(self, ary: Any) -> Any:
            values = np.asarray(ary)
            if not np.isfinite(values).all():
                return super()._z_scale(values)
            ranks = self._backtransform_ranks(_average_ranks(values.ravel()))
            return ndtri(ranks).reshape(values.shape)

        bulk = _DiagnosticsBase._ess_bulk
        tail = _DiagnosticsBase._ess_tail
        quantile_ess = _DiagnosticsBase._ess_quantile
        rank = _DiagnosticsBase._rhat_rank

    return Diagnostics()


def _average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; those that are equal share the mean of theirs."""
    order = np.argsort(values, kind="quicksort")
    inverse = np.empty(len(values), dtype=np.intp)
    inverse[order] = np.arange(len(values))
    sorted_values = values[order]
    first = np.concatenate([[True], sorted_values[1:] != sorted_values[:-1]])
    dense = first.cumsum()[inverse]
    counts = np.append(np.flatnonzero(first), len(values))
    return 0.5 * (counts[dense] + counts[dense - 1] + 1)
