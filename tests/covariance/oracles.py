"""Correlation matrices of every structure, entry by entry, as their definitions say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["correlation"]


def correlation(word: str, positions: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    """Correlations of effects at positions of shape (q, d)."""
    q = len(positions)
    gaps = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    R = np.eye(q)
    for i in range(q):
        for j in range(q):
            if i != j:
                R[i, j] = _ENTRIES[word.removeprefix("hom").removeprefix("het")](gaps[i, j], values)
    return R


_ENTRIES = {
    "diag": lambda gap, values: 0.0,  # noqa: ARG005
    "cs": lambda gap, values: values["rho"],  # noqa: ARG005
    "ar1": lambda gap, values: values["rho"] ** round(gap),
}
