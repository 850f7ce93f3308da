"""Normal intervals on unbounded scales, where these say something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from bayesmix.glmm.parameters import ParameterCoordinates

__all__ = [
    "MOST", "interval_of_atanh", "interval_of_coordinate", "interval_of_logarithm", "quantile_of_t",
    "tail_of_t",
]  # fmt: skip

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


def interval_of_coordinate(
    phi: ParameterCoordinates, x: np.ndarray, estimate: np.ndarray, se: np.ndarray,
    sd: np.ndarray, ci_prob: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Normal intervals of a family's parameters.

    Parameters
    ----------
    phi : ParameterCoordinates
    x : ndarray, shape (n_phi,)
        Coordinates.
    estimate : ndarray, shape (n_phi,)
        The parameters.
    se, sd : ndarray, shape (n_phi,)
        Standard errors of the coordinates, and of the parameters.
    ci_prob : float

    Returns
    -------
    lower, upper : ndarray
        On the scale of the coordinate where that is one parameter's alone, NaN where its
        standard error is above 3 and it is bounded; else on the parameter's own scale.
    """
    z = special.ndtri((1 + ci_prob) / 2)
    lower, upper = interval_of_logarithm(estimate, se, ci_prob)
    for sign, end in ((-1, lower), (1, upper)):
        for k in range(len(x)):
            if not phi.is_bounded(k):
                end[k] = estimate[k] + sign * z * sd[k]
            elif not phi.is_logarithm(k):
                moved = x.copy()
                moved[k] += sign * z * se[k]
                end[k] = phi.values(moved)[k] if se[k] <= MOST else np.nan
    return lower, upper


def quantile_of_t(p: float, df: np.ndarray) -> np.ndarray:
    """Quantiles of t distributions, and of the normal where degrees of freedom are endless.

    Parameters
    ----------
    p : float
    df : ndarray
    """
    endless = ~np.isfinite(df)
    return np.where(endless, special.ndtri(p), special.stdtrit(np.where(endless, 1.0, df), p))


def tail_of_t(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Probability above t, as of `quantile_of_t`.

    Parameters
    ----------
    t, df : ndarray
    """
    endless = ~np.isfinite(df)
    return np.where(endless, special.ndtr(-t), special.stdtr(np.where(endless, 1.0, df), -t))
