"""Likelihood profiles of the parameters of covariance structures: rho, range, shape."""

from __future__ import annotations

import numpy as np

from bayesmix.inference.branches import Profile, profile_end
from bayesmix.inference.profile import Around
from bayesmix.inference.search import LARGEST_CORRELATION, Search

__all__ = ["profile_structure"]

_STEP = 0.25  # in logits, or logarithms


def profile_structure(likelihood: Around, k: int, ci_prob: float) -> tuple[float, float]:
    """Interval of one coordinate of a structure by the profile of the deviance.

    Parameters
    ----------
    likelihood : Around
    k : int
        Position of the coordinate: the logit of a place between two ends, or the
        logarithm of a size.
    ci_prob : float

    Returns
    -------
    lower, upper : float
        In the coordinate; -inf or inf where that end of the range is inside, NaN where no
        end was found, as where the correlation matrix becomes singular to rounding first.
    """
    x, n_sd = likelihood.x, len(likelihood.unit)
    rest = np.delete(np.arange(len(x)), k)
    full, slope = x.copy(), np.empty(len(x))

    def search(value: float) -> Search:
        def of_rest(z: np.ndarray, gradient: np.ndarray) -> float:
            full[rest], full[k] = z, value
            height = likelihood.deviance(full, slope)
            gradient[:] = slope[rest]
            return height

        return Search(
            of_rest, rest.size, n_sd, likelihood.n_corr - 1, np.ones(n_sd, dtype=bool),
            likelihood.unit, polish=likelihood.polish, steady=likelihood.steady,
        )  # fmt: skip

    profile = Profile(
        search, lambda point, _: point.criterion, likelihood.deviance(x, slope), ci_prob,
        [start[rest] for start in likelihood.starts],
    )  # fmt: skip
    center, ends = float(x[k]), []
    profile.put(center, x[rest], 0.0)
    for side in (-1.0, 1.0):
        if side * center > LARGEST_CORRELATION - 0.5 or profile.inside(side * LARGEST_CORRELATION):
            ends.append(side * np.inf)
        else:
            ends.append(profile_end(profile, center, side * _STEP, 3 * LARGEST_CORRELATION))
    return ends[0], ends[1]
