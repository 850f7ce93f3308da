"""Penalised fits and REML of mixed models by dense linear algebra, from their definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bayesmix.smooths import Smooth


@dataclass
class DenseFit:
    """Coefficients with their covariance given the variances, and what was found."""

    coefficients: np.ndarray
    covariance: np.ndarray
    edf: float
    sigma2: float
    sds: np.ndarray


def columns_of(
    smooth: Smooth, values: np.ndarray, codes: np.ndarray | None = None,
    by: np.ndarray | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:  # fmt: skip
    """Fixed columns and blocks of effects; those of a factor's levels side by side."""
    fixed, effects = [np.zeros((len(values), 0))], []
    for part, columns in zip(smooth.parts, smooth.columns(values, by), strict=True):
        if not part.penalised:
            fixed.append(columns)
        elif codes is None:
            effects.append(columns)
        else:
            levels = range(codes.max() + 1)
            effects.append(np.hstack([columns * (codes == level)[:, None] for level in levels]))
    return np.hstack(fixed), effects


def penalties(p: int, blocks: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Diagonal of the penalty on all coefficients: 0 for fixed ones."""
    widths = [block.shape[1] for block in blocks]
    return np.concatenate([np.zeros(p), np.repeat(values, widths)])


def fit_at(y: np.ndarray, X: np.ndarray, blocks: list[np.ndarray], lam: np.ndarray) -> DenseFit:
    """Least squares with penalties lam on the squared effects, in units of 1 / sigma^2."""
    W = np.hstack([X, *blocks])
    H = W.T @ W + np.diag(penalties(X.shape[1], blocks, lam))
    inverse = np.linalg.inv(H)
    b = inverse @ (W.T @ y)
    edf = float(np.trace(inverse @ (W.T @ W)))
    sigma2 = float(np.sum((y - W @ b) ** 2)) / (len(y) - edf)
    return DenseFit(b, sigma2 * inverse, edf, sigma2, np.sqrt(sigma2 / lam))


def reml(y: np.ndarray, X: np.ndarray, blocks: list[np.ndarray]) -> DenseFit:
    """REML over the sds of the blocks in units of sigma, which is profiled out."""
    n, p = X.shape

    def criterion(logs: np.ndarray) -> float:
        V = np.eye(n) + sum(np.exp(2 * s) * Z @ Z.T for s, Z in zip(logs, blocks, strict=True))
        L = np.linalg.cholesky(V)
        Xs, ys = np.linalg.solve(L, X), np.linalg.solve(L, y)
        R = np.linalg.qr(Xs, mode="r")
        rest = ys - Xs @ np.linalg.lstsq(Xs, ys, rcond=None)[0]
        half = np.log(np.abs(np.diagonal(R))).sum() + np.log(np.diagonal(L)).sum()
        return float(half + (n - p) / 2 * np.log(rest @ rest))

    start = np.zeros(len(blocks))
    options = {"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
    bounds = [(-12.0, 12.0)] * len(blocks)
    first = minimize(criterion, start, method="L-BFGS-B", bounds=bounds)
    found = minimize(criterion, first.x, method="Nelder-Mead", options=options, bounds=bounds)
    lam = np.exp(-2 * found.x)
    fit = fit_at(y, X, blocks, lam)
    W = np.hstack([X, *blocks])
    # REML's estimate of sigma^2, and the covariance with it.
    rest = y - W @ fit.coefficients
    penalty = penalties(p, blocks, lam) @ fit.coefficients**2
    sigma2 = float(rest @ rest + penalty) / (n - p)
    return DenseFit(
        fit.coefficients, fit.covariance * sigma2 / fit.sigma2, fit.edf, sigma2,
        np.sqrt(sigma2) * np.exp(found.x),
    )  # fmt: skip


def laplace_reml_poisson(y: np.ndarray, X: np.ndarray, blocks: list[np.ndarray]) -> DenseFit:
    """Laplace's approximation with fixed effects integrated out, log link."""
    W = np.hstack([X, *blocks])
    p = X.shape[1]
    widths = np.array([block.shape[1] for block in blocks])

    def mode(lam: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        D = penalties(p, blocks, lam)
        b = np.zeros(W.shape[1])
        b[0] = np.log(y.mean())
        for _ in range(100):
            mu = np.exp(W @ b)
            H = W.T @ (mu[:, None] * W) + np.diag(D)
            step = np.linalg.solve(H, W.T @ (y - mu) - D * b)
            b = b + step
            if np.abs(step).max() < 1e-11:
                break
        mu = np.exp(W @ b)
        H = W.T @ (mu[:, None] * W) + np.diag(D)
        value = np.sum(y * np.log(mu) - mu) - 0.5 * D @ b**2 + 0.5 * widths @ np.log(lam)
        return b, H, float(value - 0.5 * np.linalg.slogdet(H)[1])

    found = minimize(
        lambda logs: -mode(np.exp(-2 * logs))[2], np.full(len(blocks), -0.5),
        method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000},
    )  # fmt: skip
    b, H, _ = mode(np.exp(-2 * found.x))
    mu = np.exp(W @ b)
    inverse = np.linalg.inv(H)
    edf = float(np.trace(inverse @ (W.T @ (mu[:, None] * W))))
    return DenseFit(b, inverse, edf, 1.0, np.exp(found.x))
