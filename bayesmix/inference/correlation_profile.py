"""Likelihood profiles of correlations between group effects."""

from __future__ import annotations

import numpy as np

from bayesmix.covariance.vine import factor_of, partials_of_correlation
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.inference.branches import Profile, profile_end
from bayesmix.inference.profile import Around
from bayesmix.inference.search import LARGEST_CORRELATION, Search

__all__ = ["profile_correlation"]

_TINY = 1e-20  # of a complex step, whose error is of the order of its square
_STEP = 0.25  # in atanh


def profile_correlation(
    likelihood: Around, co: Coordinates, block: int, pair: tuple[int, int], ci_prob: float
) -> tuple[float, float]:
    """Interval of a correlation by the profile of the deviance.

    Among a block's partial correlations, those with its first effect are plain
    correlations: the block's effects are taken in the order that begins with the pair.

    Parameters
    ----------
    likelihood : Around
        With the coordinates of `co`.
    co : Coordinates
    block : int
        The correlated block.
    pair : tuple of int
        Positions of the two effects within it.
    ci_prob : float

    Returns
    -------
    lower, upper : float
        -1 or 1 where that is inside; NaN where no end was found.
    """
    size, at = int(co.block_size[block]), int(co.block_x[block])
    here = slice(at, at + size * (size - 1) // 2)
    order = np.array([*pair, *(i for i in range(size) if i not in pair)])
    inverse, n_sd = np.argsort(order), len(likelihood.unit)
    rest = np.delete(np.arange(len(likelihood.x)), at)
    full, slope = likelihood.x.copy(), np.empty(len(likelihood.x))

    def in_order(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[here] = _bounded(_reordered(x[here], order))
        return x

    def search(value: float) -> Search:
        def of_rest(z: np.ndarray, gradient: np.ndarray) -> float:
            full[rest], full[at] = z, value
            own = full.copy()
            if size > 2:
                own[here] = _bounded(_reordered(full[here], inverse))
            height = likelihood.deviance(own, slope)
            if size > 2:
                slope[here] = _derivatives(full[here], inverse) @ slope[here]
            gradient[:] = slope[rest]
            return height

        return Search(
            of_rest, rest.size, n_sd, likelihood.n_corr - 1, np.ones(n_sd, dtype=bool),
            likelihood.unit, polish=likelihood.polish, steady=likelihood.steady,
            edges=likelihood.edges,
        )  # fmt: skip

    x, lowest = in_order(likelihood.x), likelihood.deviance(likelihood.x, slope)
    profile = Profile(
        search, lambda point, _: point.criterion, lowest, ci_prob,
        [in_order(start)[rest] for start in likelihood.starts],
    )  # fmt: skip
    center, ends = float(x[at]), []
    profile.put(center, x[rest], 0.0)
    for side in (-1.0, 1.0):
        edge = side * LARGEST_CORRELATION
        if side * center > LARGEST_CORRELATION - 0.5 or profile.inside(edge):
            ends.append(side)
        else:
            end = profile_end(profile, center, side * _STEP, 3 * LARGEST_CORRELATION)
            ends.append(float(np.tanh(end)))
    return ends[0], ends[1]


def _bounded(x: np.ndarray) -> np.ndarray:
    return np.clip(x.real, -LARGEST_CORRELATION, LARGEST_CORRELATION)


def _derivatives(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Derivative of each reordered partial correlation (column) by each given one (row)."""
    out = np.empty((len(x), len(x)))
    for k in range(len(x)):
        step = x.astype(complex)
        step[k] += _TINY * 1j
        out[k] = _reordered(step, order).imag / _TINY
    return np.where(np.isfinite(out), out, 0.0)


def _reordered(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Coordinates of the same correlation matrix with its effects in another order."""
    C = factor_of(x, len(order))
    # Not conjugated: an analytic function for complex steps.
    return partials_of_correlation((C @ C.T)[np.ix_(order, order)])
