"""Coordinates of a residual structure's parameters phi, which stand behind those of theta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bayesmix.gaussian.linking import inlined, inner, shifted
from bayesmix.gaussian.packing import HEADER, Packed
from bayesmix.residual import ResidualParameter

__all__ = [
    "INTERVAL", "NORMAL", "POSITIVE", "REAL", "VINE", "ResidualCoordinates", "parameter_at",
    "phi_at", "phi_coordinates", "phi_edges", "phi_start", "phi_values", "phi_x",
]  # fmt: skip

POSITIVE, REAL, INTERVAL = range(3)
NORMAL, VINE = 100, 101  # codes of priors beside those of standard deviations
_SUPPORTS = {"positive": POSITIVE, "real": REAL, "interval": INTERVAL}


class ResidualCoordinates(Packed):
    """What each coordinate of phi stands for, and its prior.

    Attributes
    ----------
    support : ndarray of int64, shape (n_phi,)
        Whether a coordinate is a logarithm, the parameter itself, or a scaled logit.
    prior_kind : ndarray of int64, shape (n_phi,)
    lower, upper : ndarray, shape (n_phi,)
        Ends of intervals.
    prior_a, prior_b : ndarray, shape (n_phi,)
    """

    _INTS = ("support", "prior_kind")
    _FLOATS = ("lower", "upper", "prior_a", "prior_b")

    support: np.ndarray
    prior_kind: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    prior_a: np.ndarray
    prior_b: np.ndarray


class Phi(NamedTuple):
    """The same arrays within a kernel, as pointers."""

    support: Any
    prior_kind: Any
    lower: Any
    upper: Any
    prior_a: Any
    prior_b: Any


_I = HEADER  # where the offsets of the integer arrays start
_F = HEADER + len(ResidualCoordinates._INTS) + 1


@inlined
def phi_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `ResidualCoordinates`, from the addresses of its buffers."""
    return Phi(
        shifted(a, a[_I]), shifted(a, a[_I + 1]), shifted(b, a[_F]), shifted(b, a[_F + 1]),
        shifted(b, a[_F + 2]), shifted(b, a[_F + 3]),
    )  # fmt: skip


@inner
def parameter_at(support, lower, upper, x, out):  # type: ignore[no-untyped-def]
    """Parameter at a coordinate, its derivative, log of that, and the derivative of the log."""
    if support == POSITIVE:
        out[0] = np.exp(x)
        out[1], out[2], out[3] = out[0], x, 1.0
    elif support == INTERVAL:
        e = np.exp(-abs(x))
        less, more = e / (1.0 + e), 1.0 / (1.0 + e)
        below, above = (more, less) if x >= 0 else (less, more)
        width = upper - lower
        out[0] = upper - width * above if x >= 0 else lower + width * below
        out[1] = width * below * above
        out[2], out[3] = np.log(width) - abs(x) - 2.0 * np.log1p(e), above - below
    else:
        out[0], out[1], out[2], out[3] = x, 1.0, 0.0, 0.0


def phi_coordinates(
    parameters: tuple[ResidualParameter, ...], priors: list[tuple[int, float, float]]
) -> ResidualCoordinates:
    """Lay out the coordinates of a structure's parameters.

    Parameters
    ----------
    parameters : tuple of ResidualParameter
    priors : list of tuple
        Code and two parameters of the prior of each.

    Returns
    -------
    ResidualCoordinates
    """
    return ResidualCoordinates(
        support=[_SUPPORTS[parameter.support] for parameter in parameters],
        prior_kind=[kind for kind, _, _ in priors],
        lower=[parameter.lower for parameter in parameters],
        upper=[parameter.upper for parameter in parameters],
        prior_a=[a for _, a, _ in priors],
        prior_b=[b for _, _, b in priors],
    )


def phi_start(parameters: tuple[ResidualParameter, ...]) -> np.ndarray:
    """Return the coordinates where searches start, shape (n_phi,)."""
    out = []
    for one in parameters:
        if one.support == "positive":
            out.append(np.log(one.start))
        elif one.support == "interval":
            out.append(np.log((one.start - one.lower) / (one.upper - one.start)))
        else:
            out.append(one.start)
    return np.asarray(out, dtype=np.float64)


def phi_edges(parameters: tuple[ResidualParameter, ...], largest: float) -> np.ndarray:
    """Return how far from zero a search may go, shape (n_phi,): that far within an interval."""
    bounded = [one.support == "interval" for one in parameters]
    return np.where(bounded, largest, np.inf)


def phi_x(parameters: tuple[ResidualParameter, ...], values: Mapping[str, Any]) -> np.ndarray:
    """Coordinates of given parameters, the inverse of `phi_values`: shape (..., n_phi)."""
    out = []
    for one in parameters:
        value = np.asarray(values[one.name], dtype=np.float64)
        if one.support == "positive":
            value = np.log(np.maximum(value, 1e-300))
        elif one.support == "interval":
            below, above = value - one.lower, one.upper - value
            value = np.log(np.maximum(below, 1e-300) / np.maximum(above, 1e-300))
        out.append(value)
    return np.stack(out, axis=-1) if out else np.zeros(0)


def phi_values(parameters: tuple[ResidualParameter, ...], x: np.ndarray) -> dict[str, Any]:
    """Return the parameters by name.

    Parameters
    ----------
    parameters : tuple of ResidualParameter
    x : ndarray, shape (..., n_phi)

    Returns
    -------
    dict of str to ndarray, shape (...)
    """
    out: dict[str, Any] = {}
    for j, one in enumerate(parameters):
        value = x[..., j]
        if one.support == "positive":
            value = np.exp(value)
        elif one.support == "interval":
            value = one.lower + (one.upper - one.lower) / (1.0 + np.exp(-value))
        out[one.name] = value
    return out
