"""Likelihood profiles of linear combinations of coordinates: coefficients of sigma's predictor."""

from __future__ import annotations

import numpy as np

from bayesmix.inference.branches import Profile, profile_end
from bayesmix.inference.profile import Likelihood
from bayesmix.inference.search import Search

__all__ = ["profile_combination"]

_FAR = 1e6  # standard errors


def profile_combination(
    likelihood: Likelihood, weights: np.ndarray, sd: float, ci_prob: float
) -> tuple[float, float]:
    """Interval of a combination of coordinates by the profile of the deviance.

    One coordinate gives way to the combination, and the others are searched beside it.

    Parameters
    ----------
    likelihood : Likelihood
    weights : ndarray, shape (n_all,)
        What each coordinate counts; zero for those of theta.
    sd : float
        Standard error of the combination, in which steps are taken.
    ci_prob : float

    Returns
    -------
    lower, upper : float
        NaN where no end was found.
    """
    x, n_sd = likelihood.x, len(likelihood.unit)
    k = int(np.flatnonzero(weights)[0])  # of the intercept's combination its own coordinate
    rest = np.delete(np.arange(len(x)), k)
    of_rest, own = weights[rest], float(weights[k])
    full, slope = x.copy(), np.empty(len(x))
    edges = likelihood.edges
    edges = np.delete(edges, k - len(x) + len(edges))

    def search(value: float) -> Search:
        def deviance(z: np.ndarray, gradient: np.ndarray) -> float:
            full[rest], full[k] = z, (value - of_rest @ z) / own
            height = likelihood.deviance(full, slope)
            gradient[:] = slope[rest] - slope[k] / own * of_rest
            return height

        return Search(
            deviance, rest.size, n_sd, likelihood.n_corr, np.ones(n_sd, dtype=bool),
            likelihood.unit, polish=likelihood.polish, edges=edges,
        )  # fmt: skip

    profile = Profile(
        search, lambda point, _: point.criterion, likelihood.deviance(x, slope), ci_prob,
        [start[rest] for start in likelihood.starts],
    )  # fmt: skip
    center = float(weights @ x)
    profile.put(center, x[rest], 0.0)
    lower, upper = (profile_end(profile, center, side * sd, _FAR * sd) for side in (-1.0, 1.0))
    return lower, upper
