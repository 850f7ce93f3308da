"""Where a response lies on the scale of the linear predictor: the units of the default priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.spread import root_mean_square, sample_sd
from bayesmix.summed import Summed

__all__ = ["ResponseScale", "data_scale", "link_scale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseScale:
    """Where the response lies on the scale of the linear predictor.

    Attributes
    ----------
    center : float
        Centre of the default prior of the intercept.
    sd : float
        The unit of the default priors: s_y in the design.
    rms : float
        Root mean square, the unit where there is no intercept.
    response_mean, response_sd : float
        Mean and sd of the response itself, for parameters in its units.
    """

    center: float
    sd: float
    rms: float
    response_mean: float = 1.0
    response_sd: float = 1.0


def data_scale(y: np.ndarray | Summed, offset: np.ndarray | None) -> ResponseScale:
    """Mean, sample standard deviation and root mean square of y minus the offset."""
    if isinstance(y, Summed):
        z = y if y.less_offset is None else y.less_offset
    else:
        z = y if offset is None else y - offset
    mean, spread = _moments(y)
    return ResponseScale(
        center=float(z.mean()),
        sd=sample_sd(z) or 1.0,
        rms=root_mean_square(z) or 1.0,
        response_mean=mean,
        response_sd=spread,
    )


def link_scale(
    center: float, unit: float, y: np.ndarray, offset: np.ndarray | None
) -> ResponseScale:
    """Return the scale off the identity link: a centre, and one unit on the link scale."""
    mean, spread = _moments(y)
    shift = 0.0 if offset is None else float(offset.mean())
    return ResponseScale(
        center=center - shift, sd=unit, rms=unit, response_mean=mean, response_sd=spread
    )


def _moments(y: np.ndarray | Summed) -> tuple[float, float]:
    return float(y.mean()), sample_sd(y) or 1.0
