"""Dense algebra and differences that tests of residual structures compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg


def dense_likelihood(V: np.ndarray, X: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """log|V|, log|X'V^-1 X| and the squared length of what is left of y."""
    C = np.linalg.cholesky(V)
    A = linalg.solve_triangular(C, np.column_stack([X, y]), lower=True)
    Q, R = np.linalg.qr(A[:, :-1])
    left = A[:, -1] - Q @ (Q.T @ A[:, -1])
    return (
        2 * np.log(np.diag(C)).sum(),
        2 * np.log(np.abs(np.diag(R))).sum(),
        float(left @ left),
    )


def check_gradient(function: Any, x: np.ndarray, tolerance: float) -> None:
    gradient, scratch, h = np.empty(len(x)), np.empty(len(x)), 1e-3
    function(x, gradient)
    expected = np.asarray([
        (8 * (function(x + e, scratch) - function(x - e, scratch))
         - function(x + 2 * e, scratch) + function(x - 2 * e, scratch)) / (12 * h)
        for e in np.eye(len(x)) * h
    ])  # fmt: skip
    assert np.abs(gradient - expected).max() <= tolerance * (1 + np.abs(expected).max())
