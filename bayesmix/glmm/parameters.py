"""The family's parameters: unbounded coordinates for each, and their priors.

What is positive is searched by its logarithm, what lies between 0 and 1 by its log odds, and
rising numbers by the first and the logarithms of what they rise by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.coordinates import scale_prior
from bayesmix.gaussian.linking import inner
from bayesmix.gaussian.problem import scale_prior_codes
from bayesmix.priors.distributions import standard_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesmix.families.parameters import ParameterSpec
    from bayesmix.priors.prior import Prior

__all__ = [
    "ParameterCoordinates", "by_log_slope", "log_slope", "move_parameters",
    "parameter_prior_codes", "parameter_priors", "parameters_at", "pull_back", "slope_at",
]  # fmt: skip

# Kinds of coordinates.
_LOG, _LOGIT, _IDENTITY, _RISE = range(4)
_OF_SUPPORT = {"positive": _LOG, "unit": _LOGIT, "real": _IDENTITY}
# Codes of priors beside those of standard deviations.
_NORMAL, _STUDENT_T, _BETA = range(100, 103)
_PRIORS = {"Normal": _NORMAL, "StudentT": _STUDENT_T, "Beta": _BETA}


@inner
def parameters_at(kinds: np.ndarray, x: np.ndarray, phi: np.ndarray) -> None:
    """The family's parameters at their coordinates."""
    for k in range(len(kinds)):
        if kinds[k] == _LOG:
            phi[k] = math.exp(x[k])
        elif kinds[k] == _LOGIT:
            e = math.exp(-abs(x[k]))
            phi[k] = 1.0 / (1.0 + e) if x[k] >= 0.0 else e / (1.0 + e)
        elif kinds[k] == _IDENTITY:
            phi[k] = x[k]
        else:
            phi[k] = phi[k - 1] + math.exp(x[k])


@inner
def pull_back(kinds: np.ndarray, phi: np.ndarray, by_phi: np.ndarray, out: np.ndarray) -> None:
    """Derivatives by the coordinates, of those by the parameters."""
    rest = 0.0  # what all rising numbers from here on have in common
    for k in range(len(kinds) - 1, -1, -1):
        if kinds[k] == _LOG:
            out[k] = by_phi[k] * phi[k]
        elif kinds[k] == _LOGIT:
            out[k] = by_phi[k] * phi[k] * (1.0 - phi[k])
        elif kinds[k] == _IDENTITY:
            out[k] = by_phi[k] + rest
            rest = 0.0
        else:
            rest += by_phi[k]
            out[k] = rest * (phi[k] - phi[k - 1])


@inner
def move_parameters(  # type: ignore[no-untyped-def]
    kinds, phi, x, k, step, moved
):
    """The parameters with one of the coordinates moved by a step."""
    for j in range(len(kinds)):
        moved[j] = phi[j]
    if kinds[k] == _LOG:
        moved[k] = phi[k] * math.exp(step)
    elif kinds[k] == _LOGIT:
        e = math.exp(-(x[k] + step))
        moved[k] = 1.0 / (1.0 + e)
    else:  # rising numbers move together
        change = step
        if kinds[k] == _RISE:
            change = (phi[k] - phi[k - 1]) * np.expm1(step)
        moved[k] += change
        for j in range(k + 1, len(kinds)):
            if kinds[j] != _RISE:
                break
            moved[j] += change


@inner
def parameter_priors(rows, phi, of_prior, by_x):  # type: ignore[no-untyped-def]
    """Log prior density of each parameter, and its derivative by the coordinates."""
    n_phi, two = len(rows.phi_kind), np.empty(2)
    by_phi = np.empty(n_phi)
    for k in range(n_phi):
        a, b, s = rows.prior_a[k], rows.prior_b[k], phi[k]
        _parameter_prior(rows.prior_kind[k], a, b, rows.prior_c[k], s, two)
        of_prior[k], by_phi[k] = two[0], two[1]
    pull_back(rows.phi_kind, phi, by_phi, by_x)
    for k in range(n_phi):
        if rows.prior_kind[k] < _NORMAL:
            scale_prior(rows.prior_kind[k], rows.prior_a[k], rows.prior_b[k], phi[k], two)
            by_x[k] += two[1]  # by the logarithm, which is the coordinate


@inner
def slope_at(kinds: np.ndarray, phi: np.ndarray, k: int) -> float:
    """Derivative of a parameter by its own coordinate."""
    if kinds[k] == _LOG:
        return phi[k]
    if kinds[k] == _LOGIT:
        return phi[k] * (1.0 - phi[k])
    return 1.0 if kinds[k] == _IDENTITY else phi[k] - phi[k - 1]


@inner
def log_slope(kind: int, x: float) -> float:
    """Logarithm of the derivative of a parameter by its own coordinate."""
    if kind == _IDENTITY:
        return 0.0
    return -abs(x) - 2.0 * np.log1p(math.exp(-abs(x))) if kind == _LOGIT else x


@inner
def by_log_slope(kind: int, phi: float) -> float:
    """Derivative of `log_slope` by the coordinate."""
    if kind == _IDENTITY:
        return 0.0
    return 1.0 - 2.0 * phi if kind == _LOGIT else 1.0


@inner
def _parameter_prior(kind: int, a: float, b: float, c: float, s: float, two: np.ndarray) -> None:
    """Log density at s up to a constant, and its derivative; 0 for one of scales."""
    two[1] = 0.0
    if kind == _NORMAL:
        z = (s - a) / b
        two[0], two[1] = -0.5 * z * z, -z / b
    elif kind == _STUDENT_T:  # a degrees of freedom around b, with the scale c
        z = (s - b) / c
        two[0] = -0.5 * (a + 1.0) * np.log1p(z * z / a)
        two[1] = -(a + 1.0) * z / (c * (a + z * z))
    elif kind == _BETA:
        two[0] = 0.0
        if a != 1.0:
            two[0], two[1] = (a - 1.0) * math.log(s), (a - 1.0) / s
        if b != 1.0:
            two[0] += (b - 1.0) * np.log1p(-s)
            two[1] -= (b - 1.0) / (1.0 - s)
    else:
        scale_prior(kind, a, b, s, two)
        two[1] = 0.0


def parameter_prior_codes(prior: Prior) -> tuple[int, float, float, float]:
    """Code and three numbers of a prior of a parameter; flat where none is known."""
    kind = _PRIORS.get(prior.distribution)
    if kind is None:
        return (*scale_prior_codes(prior), 0.0)
    values = standard_parameters(prior.distribution, prior.parameters).values()
    a, b, c = (*values, 0.0, 0.0)[:3]
    return kind, a, b, c


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCoordinates:
    """Which coordinates the family's parameters have.

    Attributes
    ----------
    sizes : dict of str to int
        Number of values of each parameter that is a vector, 0 for a single one.
    kinds : ndarray of int64, shape (n_phi,)
    """

    sizes: Mapping[str, int]
    kinds: np.ndarray

    @classmethod
    def of(
        cls, specs: Mapping[str, ParameterSpec], lengths: Mapping[str, int]
    ) -> ParameterCoordinates:
        """Coordinates of parameters, those that are vectors being of these lengths."""
        sizes = {name: lengths[name] if spec.is_vector else 0 for name, spec in specs.items()}
        kinds: list[int] = []
        for name, spec in specs.items():
            if spec.support == "ordered":
                kinds += [_IDENTITY] + [_RISE] * (sizes[name] - 1)
            else:
                kinds += [_OF_SUPPORT[spec.support]] * max(sizes[name], 1)
        return cls(sizes=sizes, kinds=np.asarray(kinds, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def has_vectors(self) -> bool:
        """Whether a parameter has several values."""
        return any(self.sizes.values())

    @property
    def names(self) -> list[str]:
        """Name of the parameter that each coordinate belongs to."""
        return [name for name, size in self.sizes.items() for _ in range(max(size, 1))]

    def values(self, x: np.ndarray) -> np.ndarray:
        """Parameters at coordinates, both of shape (..., n_phi)."""
        x = np.asarray(x, dtype=np.float64)
        out = np.empty(x.shape)
        with np.errstate(over="ignore"):
            for k, kind in enumerate(self.kinds.tolist()):
                at = x[..., k]
                if kind == _LOG:
                    out[..., k] = np.exp(at)
                elif kind == _LOGIT:
                    e = np.exp(-np.abs(at))
                    out[..., k] = np.where(at >= 0, 1.0, e) / (1.0 + e)
                else:
                    out[..., k] = at if kind == _IDENTITY else out[..., k - 1] + np.exp(at)
        return out

    def coordinates(self, phi: Sequence[float] | np.ndarray) -> np.ndarray:
        """Return the coordinates of parameters, shape (n_phi,)."""
        phi = np.asarray(phi, dtype=np.float64)
        out = phi.copy()
        for k, kind in enumerate(self.kinds.tolist()):
            if kind == _LOG:
                out[k] = np.log(phi[k])
            elif kind == _LOGIT:
                out[k] = np.log(phi[k]) - np.log1p(-phi[k])
            elif kind == _RISE:
                out[k] = np.log(phi[k] - phi[k - 1])
        return out

    def slopes(self, phi: np.ndarray) -> np.ndarray:
        """Derivative of the parameters by their coordinates, shape (n_phi, n_phi)."""
        out = np.zeros((len(phi), len(phi)))
        for k, kind in enumerate(self.kinds.tolist()):
            if kind == _LOG:
                out[k, k] = phi[k]
            elif kind == _LOGIT:
                out[k, k] = phi[k] * (1 - phi[k])
            elif kind == _IDENTITY:
                out[k, k] = 1.0
            else:
                out[k] = out[k - 1]
                out[k, k] = phi[k] - phi[k - 1]
        return out

    def split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """By name, shape (...) or (..., K), of values of shape (..., n_phi)."""
        found, at = {}, 0
        for name, size in self.sizes.items():
            found[name] = values[..., at : at + size] if size else values[..., at]
            at += max(size, 1)
        return found

    def is_bounded(self, k: int) -> bool:
        """Whether coordinate k is of one parameter that has a bound."""
        return bool(self.kinds[k] in (_LOG, _LOGIT))

    def is_logarithm(self, k: int) -> bool:
        """Whether coordinate k is the logarithm of a parameter."""
        return bool(self.kinds[k] == _LOG)

    def is_single(self, k: int) -> bool:
        """Whether coordinate k is a function of one parameter alone."""
        return bool(self.kinds[k] != _RISE)
