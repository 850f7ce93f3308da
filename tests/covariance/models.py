"""Models with the structures of `structures.py`, and their deviance by dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.gaussian.coordinates import structure_values, unpack_theta
from bayesmix.gaussian.problem import Problem
from tests.gaussian.models import dense_Z

from .structures import with_structure

PLACES = np.array([[0.0, 0.0], [1.0, 0.5], [2.5, 0.0], [3.0, 3.0]])
# The formula, the grouping factor, and the structures of its blocks.
CASES: dict[str, tuple[str, str, dict[int, str]]] = {
    "tied": ("y ~ x + (0 + f | g)", "g", {0: "tied"}),
    "decay": ("y ~ x + (0 + f | g)", "g", {0: "decay"}),
    "beside an intercept": ("y ~ x + (1 | g) + (0 + f || g)", "g", {1: "tied"}),
    "beside free slopes": ("y ~ x + (x | g) + (0 + f || g)", "g", {1: "decay"}),
    "nested": ("y ~ x + (0 + f | g) + (1 | g:h)", "g", {0: "tied"}),
    "crossed": ("y ~ x + (x | h) + (0 + f | g)", "g", {0: "decay"}),
    "crossed the other way": ("y ~ x + (1 | g) + (0 + f | h)", "h", {0: "tied"}),
    "two in one factor": ("y ~ x + (0 + f || g) + (0 + e || g)", "g", {0: "tied", 1: "tied"}),
}


def case(kind: str, data: pd.DataFrame) -> bmx.Model:
    text, group, words = CASES[kind]
    return with_structure(bmx.Model(text, data), group, words, PLACES)


def covariance(problem: Problem, co: Any, x: np.ndarray) -> np.ndarray:
    """Covariance of all group effects, from the structures' own plain Python."""
    sd, C = unpack_theta(co, x)
    values = iter(structure_values(co, x))
    out, at = [], 0
    for f, group in enumerate(problem.groups):
        q = group.n_effects
        R = np.eye(q)
        for part in covariance_of(group).with_coordinates:
            here, own = part.effects, next(values)
            named = zip(part.covariance.parameters(), own, strict=True)
            if part.covariance.free_correlations:
                F = C[co.L_start[f] :][: q * q].reshape(q, q)[here, here]
            else:
                F = part.covariance.roots({p.name: np.array([v]) for p, v in named})[0]
            R[here, here] = F @ F.T
        s = sd[at : at + q]
        at += q
        out.append(np.kron(np.eye(group.n_levels), s[:, None] * R * s))
    total = np.zeros((sum(map(len, out)),) * 2)
    at = 0
    for block in out:
        total[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return total


def dense_deviance(model: bmx.Model, problem: Problem, co: Any, x: np.ndarray, reml: bool) -> float:
    Z, X = dense_Z(problem), model.design.mu.X
    sigma = float(np.exp(x[-1]))
    V = Z @ covariance(problem, co, x) @ Z.T + sigma**2 * np.eye(len(Z))
    inverse = np.linalg.inv(V)
    A = X.T @ inverse @ X
    rest = model.y - X @ np.linalg.solve(A, X.T @ inverse @ model.y)
    n = len(Z) - (X.shape[1] if reml else 0)
    value = np.linalg.slogdet(V)[1] + rest @ inverse @ rest + n * np.log(2 * np.pi)
    return float(value + (np.linalg.slogdet(A)[1] if reml else 0.0))
