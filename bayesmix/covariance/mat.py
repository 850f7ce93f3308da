"""Matern correlations, whose smoothness is estimated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from bayesmix.covariance.base import NUGGET, Parameter
from bayesmix.covariance.by_distance import ByDistance

__all__ = ["Matern"]

_NODES = 160  # of the integral in PyMC
_SMOOTH = 50.0  # a shape


class Matern(ByDistance):
    r"""``mat(x + y | g)``: one sd, correlations of Matern's family with its ``shape`` estimated.

    With x = distance / range and the modified Bessel function K, a correlation is

        2^(1 - shape) / Gamma(shape) x^shape K_shape(x):

    ``exp(-x)`` at shape 1/2, smoother as shape grows. It is computed as what it also is,
    the mean of exp(-x^2 / (4 s)) over s from a Gamma(shape) distribution: an integral
    over log s that the trapezoidal rule takes to rounding, with its derivative by the shape.

    Coordinates are the logarithms of range, in units of the median distance, and shape. A
    larger shape goes with a shorter range, a gentle ridge without an end or a funnel; the
    Gamma(2, 1) prior keeps the shape from where the data cannot tell one from another.
    """

    word = "mat"

    def parameters(self) -> tuple[Parameter, ...]:
        """``range`` and ``shape``."""
        prior = {"alpha": 2.0, "beta": 1.0}
        shape = Parameter(name="shape", lower=0.0, upper=np.inf, distribution="Gamma", prior=prior)
        return (*super().parameters(), shape) if self.size > 1 else ()

    def data(self) -> np.ndarray:
        """All distances, flat; then for each the first place that has the same."""
        flat = self.distances().ravel()
        _, first, which = np.unique(flat, return_index=True, return_inverse=True)
        return np.concatenate([flat, first[which]])

    @staticmethod
    def fill(size: int, values: Any, data: Any, R: Any) -> None:
        """Write R, each distance once."""
        scale, shape = values[0], values[3]
        # Nodes from where e^w has all of its Gamma(shape) law to where the last mean has begun.
        step = 0.25 / np.sqrt(1.0 + 0.25 * shape)
        top = np.log(shape + 40.0 + np.sqrt(80.0 * shape))
        least = np.inf
        for i in range(size * size):
            if 0.0 < data[i] < least:
                least = data[i]
        tail = 40.0 / shape
        end = np.log(shape) - 0.5 * (tail + np.sqrt(tail * (tail + 8.0)))
        end = max(end, -tail, 2.0 * np.log(least / scale) - 5.1)
        n = 1 + max(0, int((top - end) / step))
        # shape log(shape) - shape - log Gamma(shape), without the large numbers that cancel.
        a, level = shape + 10.0, 10.0 + 0.5 * np.log(shape / (2.0 * np.pi))
        for k in range(1, 10):
            level += np.log1p(k / shape)
        level += 1.0 / (360.0 * a**3) - 1.0 / (12.0 * a) - (shape + 9.5) * np.log1p(10.0 / shape)
        level += 1.0 / (1680.0 * a**7) - 1.0 / (1260.0 * a**5) - 1.0 / (1188.0 * a**9)
        weight, inverse = np.empty(n), np.empty(n)
        for k in range(n):
            w = top - k * step
            away = w - np.log(shape)
            weight[k] = step * np.exp(shape * (away - np.expm1(away)) + level)
            inverse[k] = np.exp(-w)
        for i in range(size * size):
            first = int(data[size * size + i])
            if data[i] == 0.0:
                R[i] = 1.0
            elif first < i:
                R[i] = R[first]
            else:
                z, s = 0.25 * (data[i] / scale) ** 2, 0.0
                for k in range(n):
                    if z * inverse[k] > 40.0:
                        break
                    s += weight[k] * np.exp(-z * inverse[k])
                R[i] = s

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, R: Any, by_R: Any, by_values: Any) -> None:  # noqa: ARG004
        """Add the derivatives by range and shape, each distance once."""
        scale, shape = values[0], values[3]
        step = 0.25 / np.sqrt(1.0 + 0.25 * shape)
        top = np.log(shape + 40.0 + np.sqrt(80.0 * shape))
        least = np.inf
        for i in range(size * size):
            if 0.0 < data[i] < least:
                least = data[i]
        tail = 40.0 / shape
        end = np.log(shape) - 0.5 * (tail + np.sqrt(tail * (tail + 8.0)))
        end = max(end, -tail, 2.0 * np.log(least / scale) - 5.1)
        n = 1 + max(0, int((top - end) / step))
        # shape log(shape) - shape - log Gamma(shape), without the large numbers that cancel.
        a, level = shape + 10.0, 10.0 + 0.5 * np.log(shape / (2.0 * np.pi))
        digamma = np.log(a) - 0.5 / a - 1.0 / (12.0 * a**2) + 1.0 / (120.0 * a**4)
        digamma += -1.0 / (252.0 * a**6) + 1.0 / (240.0 * a**8) - 1.0 / (132.0 * a**10)
        digamma -= 1.0 / shape
        for k in range(1, 10):
            level += np.log1p(k / shape)
            digamma -= 1.0 / (shape + k)
        level += 1.0 / (360.0 * a**3) - 1.0 / (12.0 * a) - (shape + 9.5) * np.log1p(10.0 / shape)
        level += 1.0 / (1680.0 * a**7) - 1.0 / (1260.0 * a**5) - 1.0 / (1188.0 * a**9)
        weight, inverse = np.empty(n), np.empty(n)
        for k in range(n):
            w = top - k * step
            away = w - np.log(shape)
            weight[k] = step * np.exp(shape * (away - np.expm1(away)) + level)
            inverse[k] = np.exp(-w)
        for i in range(size * size):
            first = int(data[size * size + i])
            if first < i:
                by_R[first] += by_R[i]
        for i in range(size * size):
            if data[i] == 0.0 or int(data[size * size + i]) < i:
                continue
            z, by_scale, by_shape = 0.25 * (data[i] / scale) ** 2, 0.0, 0.0
            for k in range(n):
                if z * inverse[k] > 40.0:
                    break
                part = weight[k] * np.exp(-z * inverse[k])
                by_scale += part * inverse[k]
                by_shape += part * (top - k * step - digamma)
            by_values[0] += by_R[i] * 2.0 * z / scale * by_scale
            by_values[1] += by_R[i] * by_shape

    def roots(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """C at given parameters, by the Bessel function itself as long as that has numbers."""
        if self.size == 1:
            return super().roots(values)
        given, shapes = (np.asarray(values[p.name]) for p in self.parameters())
        scale, shape = given[:, None, None], shapes[:, None, None]
        x = np.maximum(self.distances() / scale, 1e-300)
        with np.errstate(all="ignore"):
            log = special.xlogy(shape, x) + (1.0 - shape) * np.log(2.0) - special.gammaln(shape)
            R = np.exp(log - x) * special.kve(shape, x)
        # So near that Bessel's function overflows: one, up to what lies below the nugget.
        R = np.where((self.distances() == 0) | ~np.isfinite(R), 1.0, np.minimum(R, 1.0))
        for i in np.flatnonzero(shapes > _SMOOTH):  # where it overflows far from one
            self.fill(self.size, (given[i], 0.0, 0.0, shapes[i]), self.data(), R[i].reshape(-1))
        return np.linalg.cholesky(R + NUGGET * np.eye(self.size))

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """Cholesky factor of the same correlations, by the same integral."""
        import pytensor.tensor as pt

        scale = self.pymc_parameter("range", variables, priors)
        shape = self.pymc_parameter("shape", variables, priors)
        apart, which = np.unique(self.distances().ravel(), return_inverse=True)
        least = apart[apart > 0].min()
        top = pt.log(shape + 40.0 + pt.sqrt(80.0 * shape))
        tail = 40.0 / shape
        end = pt.log(shape) - 0.5 * (tail + pt.sqrt(tail * (tail + 8.0)))
        end = pt.maximum(pt.maximum(end, -tail), 2.0 * pt.log(least / scale) - 5.1)
        step = (top - end) / (_NODES - 1)
        w = top - step * np.arange(_NODES)
        weight = step * pt.exp(shape * w - pt.exp(w) - pt.gammaln(shape))
        z = 0.25 * (apart / scale) ** 2
        means = pt.exp(-z[:, None] * pt.exp(-w)) @ weight
        R = pt.where(apart > 0, means, 1.0)[which].reshape((self.size, self.size))
        return self.pymc_cholesky(R)

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        if self.size == 1:
            return None
        scale, shape = symbols["range"], symbols["shape"]
        return rf"\operatorname{{Matern}}_{{{shape}}}(\|s_i - s_j\| / {scale})"
