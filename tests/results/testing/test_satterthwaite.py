"""Satterthwaite's degrees of freedom against matrices with a row for each observation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx


def unbalanced(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 90
    g, h = rng.integers(0, 11, n) ** 2 // 12, rng.integers(0, 5, n)
    x, f = rng.normal(size=n), np.where(g % 3 == 0, "a", "b")
    b = rng.normal(size=(11, 2)) @ np.asarray([[1.2, 0.4], [0.0, 0.8]])
    y = 1 + 0.5 * x + b[g, 0] + b[g, 1] * x + rng.normal(size=5)[h] + rng.normal(size=n)
    w = rng.uniform(0.5, 2.0, n)
    return pd.DataFrame({"y": y, "x": x, "f": f, "g": g, "h": h, "w": w})


def dense_df(
    eb: bmx.EmpiricalBayes, rows: pd.DataFrame, slopes: bool, w: np.ndarray, L: np.ndarray
) -> float:
    """Giesbrecht and Burns' degrees of freedom of one row, by differences of dense algebra."""
    X = np.column_stack([np.ones(len(rows)), rows["x"], rows["f"] == "b"])
    y = rows["y"].to_numpy()
    G = np.eye(rows["g"].max() + 1)[rows["g"]]
    H = np.eye(5)[rows["h"]]
    sd = eb.variance_components()["sd"].to_numpy()
    if slopes:
        rho = float(eb.correlations()["estimate"].iloc[0])
        theta = np.asarray([sd[0], rho * sd[1], sd[1] * np.sqrt(1 - rho**2), sd[2], sd[3]])
    else:
        theta = sd.copy()

    def V(t: np.ndarray) -> np.ndarray:
        residual = np.diag(t[-1] ** 2 / w)
        if not slopes:
            return residual + t[0] ** 2 * G @ G.T + t[1] ** 2 * H @ H.T
        Z = [t[0] * G + t[1] * G * rows["x"].to_numpy()[:, None], t[2] * G * X[:, 1:2]]
        return residual + sum(z @ z.T for z in Z) + t[3] ** 2 * H @ H.T

    def C(t: np.ndarray) -> np.ndarray:
        return np.linalg.inv(X.T @ np.linalg.solve(V(t), X))

    def deviance(t: np.ndarray) -> float:
        inverse = np.linalg.inv(V(t))
        information = X.T @ inverse @ X
        rest = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
        log_det = np.linalg.slogdet(V(t))[1] + np.linalg.slogdet(information)[1]
        return float(log_det + rest @ inverse @ rest)

    d, step = len(theta), 1e-3
    E = step * np.eye(d)
    hessian = np.asarray(
        [[second(deviance, theta, E[i], E[j]) for j in range(d)] for i in range(d)]
    )
    by = [(L @ (C(theta + e) - C(theta - e)) @ L) / (2 * step) for e in E]
    variance = float(np.asarray(by) @ (2 * np.linalg.inv(hessian)) @ np.asarray(by))
    return float(2 * (L @ C(theta) @ L) ** 2 / variance)


def second(f: Callable[[np.ndarray], float], at: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Mixed second difference, with the step's own error taken off."""

    def plain(k: float) -> float:
        corners = f(at + k * (a + b)) - f(at + k * (a - b)) - f(at - k * (a - b))
        return (corners + f(at - k * (a + b))) / (4 * k * k * np.abs(a).max() * np.abs(b).max())

    return (4 * plain(1.0) - plain(2.0)) / 3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_degrees_of_freedom_are_those_of_dense_algebra(
    seed: int, slopes: bool, weighted: bool
) -> None:
    rows = unbalanced(seed)
    group = "(x | g)" if slopes else "(1 | g)"
    weights = rows["w"] if weighted else None
    eb = bmx.Model(f"y ~ x + f + {group} + (1 | h)", rows, weights=weights).fit_eb()
    assert eb.variance_components()["sd"].min() > 0.05  # away from the boundary
    w = rows["w"].to_numpy() if weighted else np.ones(len(rows))
    found = eb.fixed_effects(ddf="satterthwaite")["df"].to_numpy()
    expected = [dense_df(eb, rows, slopes, w, L) for L in np.eye(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
