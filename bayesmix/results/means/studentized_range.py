"""Tukey's studentized range, for many values at once."""

from __future__ import annotations

import functools

import numpy as np
from scipy import optimize, special

__all__ = ["range_quantile", "range_sf"]

_Z = np.linspace(-8.5, 8.5, 86)  # where a normal density lies; the trapezoid rule is exact there
_SPACING = float(_Z[1] - _Z[0])
_FEW_DF, _NODES = 12, (160, 48)  # the density of few degrees of freedom is wide


def range_sf(q: np.ndarray, k: int, df: np.ndarray) -> np.ndarray:
    """Probability that the studentized range of k means is above q.

    Parameters
    ----------
    q : ndarray, shape (n,)
        NaN gives NaN.
    k : int
    df : ndarray, shape (n,)
        May be infinite.

    Returns
    -------
    ndarray, shape (n,)
    """
    out = np.full(len(q), np.nan)
    for i in np.flatnonzero(np.isfinite(q)).tolist():
        out[i] = _sf(float(q[i]), k, float(df[i]))
    return out


def range_quantile(prob: float, k: int, df: float) -> float:
    """Value below which the studentized range of k means lies with a probability."""
    return _quantile(prob, k, df)


@functools.lru_cache(maxsize=4096)
def _quantile(prob: float, k: int, df: float) -> float:
    high = 10.0
    while _sf(high, k, df) > 1 - prob and high < 1e6:
        high *= 2
    found = optimize.brentq(lambda q: _sf(q, k, df) - (1 - prob), 1e-6, high, xtol=1e-9)
    return float(found)


@functools.lru_cache(maxsize=65536)
def _sf(q: float, k: int, df: float) -> float:
    if not np.isfinite(df):
        return float(_sf_of_normals(np.asarray([q]), k)[0])
    # Over the logarithm of the standard deviation's estimate, whose density falls off smoothly.
    low, high = (0.5 * np.log(2 * special.gammaincinv(df / 2, 1e-15) / df),
                 0.5 * np.log(special.chdtri(df, 1e-15) / df))  # fmt: skip
    log_s = np.linspace(low, high, _NODES[df > _FEW_DF])
    log_density = df * log_s - 0.5 * df * np.exp(2 * log_s)
    weight = np.exp(log_density - log_density.max())
    return float(weight @ _sf_of_normals(q * np.exp(log_s), k) / weight.sum())


def _sf_of_normals(q: np.ndarray, k: int) -> np.ndarray:
    """The same where the standard deviation is known."""
    # P(range <= q) = k times the integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1).
    inside = special.ndtr(_Z) - special.ndtr(_Z[None] - q[:, None])
    density = np.exp(-0.5 * _Z**2) / np.sqrt(2 * np.pi)
    # One minus the power without losing digits where the range is wide.
    whole = special.ndtr(_Z) ** (k - 1)
    lost = whole - np.maximum(inside, 0.0) ** (k - 1)
    return np.clip(k * _SPACING * (lost * density).sum(axis=1), 0.0, 1.0)
