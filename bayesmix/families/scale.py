"""Where a response lies on the scale of the linear predictor: the units of the default priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        Of the response itself, for parameters that are in its units.
    """

    center: float
    sd: float
    rms: float
    response_mean: float = 1.0
    response_sd: float = 1.0


def data_scale(y: np.ndarray, offset: np.ndarray | None) -> ResponseScale:
    """Mean, sample standard deviation and root mean square of y minus the offset."""
    z = y if offset is None else y - offset
    top = float(np.abs(z).max()) or 1.0  # so that squares neither over- nor underflow
    rms = top * float(np.sqrt(np.mean((z / top) ** 2)))
    sd = top * float(np.std(z / top, ddof=1)) if len(z) > 1 else 0.0
    mean, spread = _moments(y)
    return ResponseScale(
        center=float(z.mean()),
        sd=sd or 1.0,
        rms=rms or 1.0,
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


def _moments(y: np.ndarray) -> tuple[float, float]:
    top = float(np.abs(y).max()) or 1.0
    spread = top * float(np.std(y / top, ddof=1)) if len(y) > 1 else 0.0
    return float(y.mean()), spread or 1.0
