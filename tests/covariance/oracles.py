"""Correlation matrices of every structure, entry by entry, as their definitions say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

__all__ = ["correlation", "loadings"]


def correlation(word: str, positions: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    """Correlations of effects at positions of shape (q, d)."""
    if word.endswith("toep"):
        return toeplitz(positions, list(values.values()))
    if word == "rr":
        A = loadings(len(positions), values)
        unit = A / np.linalg.norm(A, axis=1)[:, None]
        return np.asarray(unit @ unit.T)
    q = len(positions)
    gaps = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    R = np.eye(q)
    for i in range(q):
        for j in range(q):
            if i != j:
                R[i, j] = _ENTRIES[word.removeprefix("hom").removeprefix("het")](gaps[i, j], values)
    return R


def toeplitz(positions: np.ndarray, partials: list[float]) -> np.ndarray:
    """Each correlation from the partial one given all between, by the matrices of these."""
    at = np.rint(positions[:, 0] - positions[0, 0]).astype(int)
    at //= np.gcd.reduce(at)
    r = [1.0]
    for k, partial in enumerate(partials, 1):
        inner = np.array([[r[abs(i - j)] for j in range(k - 1)] for i in range(k - 1)])
        first, last = np.array(r[1:k]), np.array(r[1:k][::-1])
        solved = np.linalg.solve(inner, np.stack([first, last], axis=1)) if k > 1 else None
        if solved is None:
            r.append(partial)
        else:
            left = np.sqrt((1 - first @ solved[:, 0]) * (1 - last @ solved[:, 1]))
            r.append(float(first @ solved[:, 1] + partial * left))
    return np.array(r)[np.abs(at[:, None] - at)]


def loadings(size: int, values: Mapping[str, float]) -> np.ndarray:
    """Those of rank 2, in units of the first."""
    A = np.zeros((size, 2))
    A[0, 0] = 1.0
    for name, value in values.items():
        _, i, k = name.split("_")
        A[int(i) - 1, int(k) - 1] = value
    return A


def _matern(gap: float, values: Mapping[str, float]) -> float:
    x, shape = gap / values["range"], values["shape"]
    log = shape * np.log(x) + (1 - shape) * np.log(2) - special.gammaln(shape) - x
    return float(np.exp(log) * special.kve(shape, x))


_ENTRIES = {
    "diag": lambda gap, values: 0.0,  # noqa: ARG005
    "cs": lambda gap, values: values["rho"],  # noqa: ARG005
    "ou": lambda gap, values: np.exp(-gap / values["range"]),
    "exp": lambda gap, values: np.exp(-gap / values["range"]),
    "gau": lambda gap, values: np.exp(-((gap / values["range"]) ** 2)),
    "mat": _matern,
    "ar1": lambda gap, values: values["rho"] ** round(gap),
}
