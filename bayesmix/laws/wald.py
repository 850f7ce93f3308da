"""Normal intervals on unbounded scales, where these say something."""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["MOST", "interval_of_atanh", "interval_of_logarithm"]

MOST = 3.0  # standard error of a logarithm: at 95 % a factor of 350 to each side


def interval_of_logarithm(
    estimate: np.ndarray, se: np.ndarray, ci_prob: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal interval of the logarithm of what is above zero.

    Parameters
    ----------
    estimate : ndarray
    se : ndarray
        Standard error of the logarithm.
    ci_prob : float

    Returns
    -------
    lower, upper : ndarray
        NaN where the standard error is unknown or so large (above 3) that the
        curvature says nothing: near zero a likelihood is no parabola of the logarithm.
    """
    z = special.ndtri((1 + ci_prob) / 2)
    known = np.where(np.asarray(se) <= MOST, se, np.nan)
    return estimate * np.exp(-z * known), estimate * np.exp(z * known)


def interval_of_atanh(rho: float, se: float, ci_prob: float) -> tuple[float, float]:
    """Normal interval of a correlation's inverse hyperbolic tangent.

    Parameters
    ----------
    rho : float
    se : float
        Standard error of the inverse hyperbolic tangent.
    ci_prob : float

    Returns
    -------
    lower, upper : float
        NaN under the same conditions as those of a logarithm, and at -1 and 1.
    """
    if not se <= MOST or abs(rho) > 1 - 1e-12:
        return float("nan"), float("nan")
    center, z = np.arctanh(rho), special.ndtri((1 + ci_prob) / 2)
    return float(np.tanh(center - z * se)), float(np.tanh(center + z * se))
