"""Data and formulas that cover every structure the algebra knows, and dense oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bmx
from bayesmix.gaussian.coordinates import unpack_theta
from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.residual import residual_by_rows

FORMULAS = {
    "no groups": "y ~ x",
    "intercept": "y ~ x + (1 | k)",
    "correlated": "y ~ x + (x | k)",
    "uncorrelated": "y ~ x + (x || k)",
    "slope alone": "y ~ x + (0 + x | k)",
    "four effects": "y ~ x + (x + z + u | k)",
    "two blocks": "y ~ x + (x | k) + (0 + z + u | k)",
    "nested": "y ~ x + (1 | h/w)",
    "nested slopes": "y ~ x + (x | h/w)",
    "three deep": "y ~ 0 + (1 | h/w/k)",
    "crossed": "y ~ x + (1 | k) + (1 | m)",
    "crossed slopes": "y ~ x + (x | k) + (z | m) + (1 | h)",
    "nested and crossed": "y ~ x + z + (x | h/w) + (z | k) + (1 | m)",
    "deep and crossed": "y ~ x + (1 | h/w/k) + (x | m)",
    "no intercept": "y ~ 0 + x + z + (1 | k)",
    "offset": "y ~ x + offset(z) + (x | k)",
    "smooth": "y ~ s(x, k=6) + (1 | k)",
    "smooths and crossed": 'y ~ s(x, k=5, bs="cr") + s(z, k=6, bs="ps") + (x | k) + (1 | m)',
    "tensor product": "y ~ t2(x, z, k=4) + (1 | h/w)",
    "smooth of levels": 'y ~ s(u, k=4, by=C(w)) + C(w) + s(x, k, k=4, bs="fs")',
    "related": "y ~ x + (1 | gr(k, cov=A))",
    "related slopes": "y ~ x + (x | gr(k, cov=A))",
    "related and nested": "y ~ x + (x | h/w) + (z || gr(k, cov=A))",
    "related and crossed": "y ~ x + (1 | h) + (x | gr(k, precision=Q)) + (1 | gr(m, cov=A))",
}


def related(seed: int = 8, n: int = 9) -> pd.DataFrame:
    """A covariance between the levels of k, and of two that are not in the data."""
    half = np.random.default_rng(seed).normal(size=(n, n))
    labels = [str(k) for k in range(n)]
    A = half @ half.T / n + 0.3 * np.eye(n)
    return pd.DataFrame(A, index=labels, columns=labels)


MATRICES = {
    "A": related(),
    "Q": pd.DataFrame(np.linalg.inv(related(5)), index=related().index, columns=related().index),
}


def make_data(seed: int = 3, n: int = 260, year: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": 30 * rng.normal(size=n) + 5,
            "x": year + rng.normal(3, 2, n),
            "z": rng.normal(size=n),
            "u": rng.normal(size=n),
            "h": rng.integers(0, 6, n),
            "w": rng.integers(0, 4, n),
            "k": rng.integers(0, 7, n),
            "m": rng.integers(0, 5, n),
            "weight": rng.uniform(0.3, 3, n),
            "se": rng.uniform(5, 30, n),
        }
    )


def make_problem(
    text: str, data: pd.DataFrame, priors: Any = None, **options: Any
) -> tuple[bmx.Model, Problem]:
    model = bmx.Model(text, data, priors=priors, matrices=MATRICES)
    rows = {name: np.asarray(data[column], dtype=float) for name, column in options.items()}
    residual = residual_by_rows(rows)
    return model, build_problem(model.design.mu, model.y, residual=residual, rows=rows)


def dense_Z(problem: Problem) -> np.ndarray:
    """All group columns side by side, factor behind factor, on the formula's scale."""
    blocks = []
    for group in problem.groups:
        n, q = group.Z.shape
        Z = np.zeros((n, group.n_levels, q))
        Z[np.arange(n), group.index] = group.Z
        blocks.append(Z.reshape(n, -1))
    n = problem.n_obs
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((n, 0))


def dense_covariance(problem: Problem, sd: np.ndarray, corr: list[np.ndarray]) -> np.ndarray:
    """Covariance of all group effects."""
    blocks, at = [], 0
    for group, R in zip(problem.groups, corr, strict=True):
        s = sd[at : at + group.n_effects]
        at += group.n_effects
        between = np.eye(group.n_levels) if group.between is None else group.between.covariance
        blocks.append(np.kron(between, s[:, None] * R * s))
    size = sum(len(b) for b in blocks)
    out, at = np.zeros((size, size)), 0
    for block in blocks:
        out[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return out


def theta_at(co: Any, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], float]:
    """Standard deviations, correlation matrices and sigma at coordinates x."""
    sd, C = unpack_theta(co, x)
    ends = [*co.L_start[1:], len(C)]
    factors = [C[a:b].reshape(q, q) for a, b, q in zip(co.L_start, ends, co.q, strict=False)]
    return sd[:-1], [factor @ factor.T for factor in factors], float(sd[-1])


def random_x(co: Any, rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    x = rng.normal(0, spread, co.n_x)
    x[: co.n_sd] += 1
    if co.n_sigma:
        x[-1] = 3 + rng.normal(0, 0.5)
    return x


def numeric_gradient(function: Any, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Differences of fourth order, so that rounding does not hide the digits that count."""
    steps = np.eye(len(x)) * h
    return np.asarray(
        [
            (8 * (function(x + e) - function(x - e)) - function(x + 2 * e) + function(x - 2 * e))
            / (12 * h)
            for e in steps
        ]
    )


def check_gradient(function: Any, x: np.ndarray, tolerance: float = 1e-7) -> None:
    gradient, scratch = np.empty(len(x)), np.empty(len(x))
    function(x, gradient)
    expected = numeric_gradient(lambda z: function(z, scratch), x)
    assert np.abs(gradient - expected).max() <= tolerance * (1 + np.abs(expected).max())
