"""The default priors: weakly informative, in units of the data."""

from __future__ import annotations

import numpy as np

from bayesmix.families import ResponseScale
from bayesmix.priors.prior import Prior
from bayesmix.spread import largest, root_mean_square, sample_sd

__all__ = ["LKJ_ETA", "coefficient_priors", "column_scales", "intercept_prior", "sd_priors",
           "tied_sd_prior"]  # fmt: skip

LKJ_ETA = 2.0
_WIDTH = 2.5  # of the coefficients' priors, as rstanarm


def column_scales(X: np.ndarray, *, center: bool) -> np.ndarray:
    """Spread of each column: the unit that its coefficient's prior is divided by.

    Parameters
    ----------
    X : ndarray, shape (n, k)
    center : bool
        True for the sample standard deviation, False for the root mean square.

    Returns
    -------
    ndarray, shape (k,)
        With 1 in place of zero.
    """
    if len(X) < 2:
        return np.ones(X.shape[1])
    spread = sample_sd if center else root_mean_square
    scales = np.asarray([spread(column) for column in X.T])
    tiny = scales <= 1e-13 * largest(X)
    return np.where(tiny | (scales == 0), 1.0, scales)


def intercept_prior(scale: ResponseScale) -> Prior:
    """Normal(mean(y), 2.5 s_y), for the intercept at the predictors' means."""
    return Prior("Normal", mu=scale.center, sigma=_WIDTH * scale.sd)


def coefficient_priors(X: np.ndarray, scale: ResponseScale, *, with_intercept: bool) -> list[Prior]:
    """Normal(0, 2.5 s_y / s_x), or rms for s in a model without an intercept."""
    unit = scale.sd if with_intercept else scale.rms
    return [
        Prior("Normal", mu=0.0, sigma=_WIDTH * unit / s)
        for s in column_scales(X, center=with_intercept).tolist()
    ]


def tied_sd_prior(Z: np.ndarray, scale: ResponseScale) -> Prior:
    """HalfCauchy(s_y / s_z), with s_z the root mean square over rows of the length of z."""
    size = root_mean_square(np.sqrt((Z**2).sum(axis=1))) or 1.0
    return Prior("HalfCauchy", beta=scale.sd / size)


def sd_priors(Z: np.ndarray, effects: tuple[str, ...], scale: ResponseScale) -> list[Prior]:
    """HalfCauchy(s_y / s_z), with s_z = 1 for the intercept."""
    scales = column_scales(Z, center=True).tolist()
    return [
        Prior("HalfCauchy", beta=scale.sd / (1.0 if effect == "Intercept" else s))
        for effect, s in zip(effects, scales, strict=True)
    ]
