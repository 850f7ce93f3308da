"""Likelihood-ratio tests of variances, which are zero at the boundary of what they may be."""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["exact_null_draws", "mixture_p"]

_GRID = 240  # ratios of the two variances at which the criterion is looked at
_LOWEST, _HIGHEST = -10.0, 12.0  # their logarithms, in units of the largest eigenvalue's inverse
_PIECE = 4_000_000  # numbers at a time


def mixture_p(statistic: float, n_left: int, n_out: int) -> float:
    """Tail probability of a mixture of chi-squares.

    For one variance that is tested with its covariances with `n_left` others, in equal
    parts those of `n_left` and `n_left` + 1 degrees of freedom. For more variances, which
    go together, the weights are those of independent ones at their boundaries (binomial):
    an approximation where they are correlated.

    Parameters
    ----------
    statistic : float
    n_left, n_out : int
        Effects that stay and were correlated with those that go, and those that go.

    Returns
    -------
    float

    References
    ----------
    Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood
    estimators and likelihood ratio tests under nonstandard conditions. Journal of the American
    Statistical Association 82, 605-610; Stram, D. O. and Lee, J. W. (1994). Variance components
    testing in the longitudinal mixed effects model. Biometrics 50, 1171-1177.
    """
    if statistic <= 0:
        return 1.0
    free = n_left * n_out
    weights = special.binom(n_out, np.arange(n_out + 1)) / 2.0**n_out
    return float(
        sum(
            w * special.chdtrc(free + k + k * (k - 1) // 2, statistic)
            for k, w in enumerate(weights)
            if free + k > 0
        )
    )


def exact_null_draws(
    X: np.ndarray, Z: np.ndarray, weights: np.ndarray | None, n_draws: int, seed: int
) -> np.ndarray:
    """Draw the restricted likelihood ratio of a variance that is zero.

    Its law follows from the eigenvalues of Z' P Z, with P the projection on what X leaves:
    no model is fitted.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    Z : ndarray, shape (n, K)
        Dense or sparse: the effects with one variance.
    weights : ndarray, shape (n,), or None
    n_draws : int
    seed : int

    Returns
    -------
    ndarray, shape (n_draws,)

    References
    ----------
    Crainiceanu, C. M. and Ruppert, D. (2004). Likelihood ratio tests in linear mixed models
    with one variance component. Journal of the Royal Statistical Society B 66, 165-185.
    """
    n, p = X.shape
    w = np.ones(n) if weights is None else weights
    Q = np.linalg.qr(np.sqrt(w)[:, None] * X)[0]
    across = np.asarray(Z.T @ (np.sqrt(w)[:, None] * Q))
    square = Z.T @ (Z.multiply(w[:, None]) if hasattr(Z, "multiply") else w[:, None] * Z)
    square = np.asarray(square.todense() if hasattr(square, "todense") else square)
    values = np.linalg.eigvalsh(square - across @ across.T)
    values = values[values > 1e-10 * values.max(initial=0.0)]
    if not len(values):
        return np.zeros(n_draws)
    # Equal eigenvalues count together, as one chi-square.
    mu, counts = np.unique(np.round(values / values.max(), 10), return_counts=True)
    rng = np.random.default_rng(seed)
    ratio = np.concatenate([[0.0], np.exp(np.linspace(_LOWEST, _HIGHEST, _GRID))])
    shrink = 1.0 / (1.0 + ratio[:, None] * mu)  # (grid, K)
    log_det = (np.log1p(ratio[:, None] * mu) * counts).sum(axis=1)
    rest = n - p - len(values)
    out = np.empty(n_draws)
    step = max(1, _PIECE // (len(ratio) + len(mu)))
    for start in range(0, n_draws, step):
        size = min(step, n_draws - start)
        chi = rng.chisquare(counts, size=(size, len(mu)))
        beside = rng.chisquare(rest, size) if rest > 0 else np.zeros(size)
        left = chi @ shrink.T + beside[:, None]
        value = (n - p) * np.log(left[:, :1] / left) - log_det
        out[start : start + size] = np.maximum(value.max(axis=1), 0.0)
    return out
