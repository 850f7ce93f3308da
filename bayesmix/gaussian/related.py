"""Levels that are related: u has the precision A^-1 between them, in place of the identity.

A grouping factor whose levels are related is one of the root. With b = L u by level and
u ~ Normal(0, A x I), minus the Hessian of u has A^-1 x I where it has I for independent
levels, and all else is as it was. A constant of the model, A^-1 lies beside the equations
and is found by its address.
"""

from __future__ import annotations

from bayesmix.gaussian.dense import lower
from bayesmix.gaussian.linking import floats_at, inlined, inner, shifted

__all__ = [
    "add_prior",
    "log_det_of_related",
    "precision_of",
    "related_length",
    "related_times",
    "squares",
]


@inlined
def precision_of(eq, f):  # type: ignore[no-untyped-def]
    """A^-1 of the levels of a factor, by rows; only where `related` is not zero."""
    return shifted(floats_at(eq.related[f - eq.sizes[0]]), 1)


@inner
def add_prior(eq, root, n):  # type: ignore[no-untyped-def]
    """Add u's own precision to the root, whose lower triangle counts."""
    first = 0
    for f in range(eq.sizes[0], eq.n_factors):
        q, n_levels = eq.q[f], eq.n_levels[f]
        if eq.related[f - eq.sizes[0]] == 0:
            for i in range(first, first + q * n_levels):
                root[i * n + i] += 1.0
        else:
            P = precision_of(eq, f)
            for g in range(n_levels):
                for h in range(g + 1):
                    value = P[g * n_levels + h]
                    if value != 0.0:
                        for i in range(q):
                            root[(first + g * q + i) * n + first + h * q + i] += value
        first += q * n_levels


@inner
def log_det_of_related(eq):  # type: ignore[no-untyped-def]
    """Log determinant of the prior covariance of u; zero where no levels are related."""
    total = 0.0
    for f in range(eq.sizes[0], eq.n_factors):
        if eq.related[f - eq.sizes[0]] != 0:
            total += eq.q[f] * floats_at(eq.related[f - eq.sizes[0]])[0]
    return total


@inner
def squares(eq, f, values, n, out):  # type: ignore[no-untyped-def]
    """Add the sum over pairs of related levels of A^-1 times a q x q block to `out`.

    Parameters
    ----------
    f : int
        The factor.
    values : pointer
        The block of the factor's first level with itself; those of other pairs lie n rows
        or columns apart, in the lower triangle. With n = 0, a vector of effects, whose outer
        products are meant.
    out : pointer
    """
    q, n_levels = eq.q[f], eq.n_levels[f]
    P = precision_of(eq, f)
    for g in range(n_levels):
        for h in range(n_levels):
            weight = P[g * n_levels + h]
            if weight == 0.0:
                continue
            for i in range(q):
                for j in range(q):
                    if n == 0:
                        out[i * q + j] += weight * values[g * q + i] * values[h * q + j]
                    else:
                        out[i * q + j] += weight * values[lower(n, g * q + i, h * q + j)]


@inner
def related_times(eq, f, u, out):  # type: ignore[no-untyped-def]
    """Make A^-1 u of one factor, effect by effect."""
    q, n_levels = eq.q[f], eq.n_levels[f]
    P = precision_of(eq, f)
    for i in range(q * n_levels):
        out[i] = 0.0
    for g in range(n_levels):
        for h in range(n_levels):
            weight = P[g * n_levels + h]
            if weight != 0.0:
                for i in range(q):
                    out[g * q + i] += weight * u[h * q + i]


@inner
def related_length(eq, f, u):  # type: ignore[no-untyped-def]
    """Sum of u' A^-1 u over the effects of one factor."""
    q, n_levels = eq.q[f], eq.n_levels[f]
    P = precision_of(eq, f)
    total = 0.0
    for g in range(n_levels):
        for h in range(n_levels):
            weight = P[g * n_levels + h]
            if weight != 0.0:
                for i in range(q):
                    total += weight * u[g * q + i] * u[h * q + i]
    return total
