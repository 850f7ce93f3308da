"""Group effects b = L u from their standardised u, level by level."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.equations import Arrays
from bayesmix.gaussian.linking import inner

__all__ = ["effects", "transpose_effects"]


@inner
def effects(eq: Arrays, L: np.ndarray, u: np.ndarray, b: np.ndarray) -> None:
    """Make b = L u by level, factor behind factor."""
    at = 0
    for f in range(len(eq.q)):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L[start + i * q + k] * u[at + k]
                b[at + i] = s
            at += q


@inner
def transpose_effects(eq: Arrays, L: np.ndarray, b: np.ndarray, u: np.ndarray) -> None:
    """Make u = L' b by level."""
    at = 0
    for f in range(len(eq.q)):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L[start + k * q + i] * b[at + k]
                u[at + i] = s
            at += q
