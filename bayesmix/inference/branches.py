"""The profile of a deviance over one parameter, its branches, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from bayesmix.inference.search import Point, Search

__all__ = ["Profile", "off_zero", "profile_end"]

_SMALL = np.log(1e-2)  # of a start's standard deviation, in its unit
_HIGH = 1e6  # rise of the deviance that is high anyhow
_SLACK = 1e-3  # of the root of the deviance, what another branch must gain
_BRANCHES = 8
_MOST_EVALUATIONS = 20_000  # of one profile, a hundred times what is usual


class EndlessError(Exception):
    """A profile takes so long that its end is left open."""


class Profile:
    """Lowest deviance at each value of one parameter, the others at their best.

    Each point is searched from its nearest neighbour's; an end, once found, from
    further starts as well, since a profile may have several branches.

    Parameters
    ----------
    search : callable
        The search among the other parameters, given a value.
    height : callable
        Deviance at a point that was found, and the value.
    lowest : float
        Deviance at the optimum.
    ci_prob : float
    starts : list of ndarray
        Starts of the other parameters, whatever the value.
    """

    def __init__(
        self,
        search: Callable[[float], Search],
        height: Callable[[Point, float], float],
        lowest: float,
        ci_prob: float,
        starts: list[np.ndarray],
    ) -> None:
        self.search, self.height, self.lowest, self.starts = search, height, lowest, starts
        self.threshold = float(np.sqrt(2 * special.gammaincinv(0.5, ci_prob)))
        self._points: dict[float, tuple[np.ndarray, float]] = {}
        self._evaluations = 0

    def put(self, value: float, x: np.ndarray, rise: float) -> None:
        """Say what is known at a value: the other parameters, and the rise of the deviance."""
        # The square root is nearly linear in the value.
        root = np.sqrt(min(max(rise, 0.0), _HIGH)) if np.isfinite(rise) else np.sqrt(_HIGH)
        self._points[value] = x, float(root) - self.threshold

    def excess(self, value: float) -> float:
        """Root of the rise, less what it is at an end: negative inside the interval."""
        if value not in self._points:
            nearest = min(self._points, key=lambda other: abs(other - value))
            self._take(value, [self._points[nearest][0]])
        return self._points[value][1]

    def inside(self, value: float) -> bool:
        """Whether a value is inside, by further starts if need be."""
        try:
            return self.excess(value) < 0 or self._improve(value) < 0
        except EndlessError:
            return False

    def moves_on(self, value: float) -> bool:
        """Whether further starts bring what seemed an end inside the interval.

        What was known elsewhere is then forgotten, as it led to a worse branch, all
        but the first that was put.
        """
        if self._improve(value) > -_SLACK:
            return False
        optimum = next(iter(self._points))
        self._points = {at: self._points[at] for at in (optimum, value)}
        return True

    def _improve(self, value: float) -> float:
        before = self.excess(value)
        x = self._points[value][0]
        self._take(value, _further_starts(self.search(value), x, self.starts))
        if self._points[value][1] > before:
            self._points[value] = x, before
        return self._points[value][1]

    def _take(self, value: float, starts: list[np.ndarray]) -> None:
        search = self.search(value)
        if self._evaluations > _MOST_EVALUATIONS:
            raise EndlessError
        best = min((search.run(start) for start in starts), key=lambda point: point.criterion)
        self._evaluations += search.evaluations
        self.put(value, best.x, self.height(best, value) - self.lowest)


def _further_starts(search: Search, x: np.ndarray, elsewhere: list[np.ndarray]) -> list[np.ndarray]:
    """Starts with other correlations, and with each standard deviation small in its turn."""
    n_sd, corr = search.n_sd, slice(search.n_sd, search.n_sd + search.n_corr)
    inside = off_zero(x, search.unit)
    starts = [inside, *elsewhere]
    for factor in (0.0, -1.0) if search.n_corr else ():
        other = inside.copy()
        other[corr] *= factor
        starts.append(other)
    for j in range(n_sd):
        other = inside.copy()
        other[j] = search.unit[j] + _SMALL
        starts.append(other)
    return starts


def off_zero(x: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Coordinates with no standard deviation at zero, where the gradient would hold it."""
    out = x.copy()
    out[: len(unit)] = np.maximum(out[: len(unit)], unit + _SMALL)
    return out


def profile_end(
    profile: Profile, center: float, step: float, far: float, beyond: float = np.nan
) -> float:
    """Walk outwards until the profile is high enough, then close in.

    `beyond` is the end if the profile is still low at a distance of `far`; NaN if no end
    was found, or if the searches take too long.
    """
    if not (np.isfinite(center) and np.isfinite(step)) or step == 0:
        return float("nan")
    try:
        return _walk(profile, center, step, far, beyond)
    except EndlessError:
        return float("nan")


def _walk(profile: Profile, center: float, step: float, far: float, beyond: float) -> float:
    inner = center
    for _ in range(_BRANCHES):
        width = 2 * step
        while profile.excess(inner + width) <= 0:
            inner, width = inner + width, 1.5 * width
            if abs(inner - center) > far:
                return beyond
        if not profile.excess(inner) <= 0:  # nothing but rounding decides
            return float("nan")
        found = float(
            optimize.brentq(profile.excess, inner, inner + width, xtol=1e-4 * abs(step), rtol=1e-10)
        )
        if not profile.moves_on(found):
            # A jump is where the equations cannot be factored, not an end.
            return found if abs(profile.excess(found)) < 0.05 else float("nan")
        inner = found
    return float("nan")
