"""Group effects b = L u from their standardised u, level by level."""

from __future__ import annotations

from bayesmix.gaussian.linking import inner

__all__ = ["effects", "transpose_effects"]


@inner
def effects(eq, L, u, b):  # type: ignore[no-untyped-def]
    """Make b = L u by level, factor behind factor."""
    at = 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L[start + i * q + k] * u[at + k]
                b[at + i] = s
            at += q


@inner
def transpose_effects(eq, L, b, u):  # type: ignore[no-untyped-def]
    """Make u = L' b by level."""
    at = 0
    for f in range(eq.n_factors):
        q, start = eq.q[f], eq.L_start[f]
        for _ in range(eq.n_levels[f]):
            for i in range(q):
                s = 0.0
                for k in range(q):
                    s += L[start + k * q + i] * b[at + k]
                u[at + i] = s
            at += q
