"""Estimates and intervals of what covariance structures have beside standard deviations."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from bayesmix.arguments import check_probability, one_of
from bayesmix.covariance import Parameter, covariance_of
from bayesmix.gaussian.coordinates import Coordinates, structure_values
from bayesmix.gaussian.density import log_likelihood
from bayesmix.inference.search import LARGEST_CORRELATION
from bayesmix.inference.structure_profile import profile_structure
from bayesmix.laws.base import Asked, Columns, IntervalMethod
from bayesmix.laws.covariance_parameters import covariance_parameters
from bayesmix.laws.intervals import ModeIntervals
from bayesmix.laws.values import Values, estimated_pairs
from bayesmix.laws.wald import MOST

__all__ = ["StructureIntervals"]

_NEAR, _FAR = 2.0, 9.0  # in logits or logarithms: 12 % of the range from its end, and 1e-4
_FEW = 5.0  # in logarithms: 1/150 of what the fixed effects leave
_EQUAL = 1e-5  # of a log likelihood
_PROFILE_HINT = 'ci_method="profile" may find it'


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A parameter of a grouping factor's structure, with where it is among the coordinates."""

    group: str
    name: str
    parameter: Parameter
    coordinate: int
    undefined: bool

    @property
    def in_words(self) -> str:
        """``rho by student``."""
        return f"{self.name} by {self.group}"


class StructureIntervals(ModeIntervals):
    """Parameters of the structures: at the mode, with Wald's interval or a profile's."""

    def structure_at(self, co: Coordinates, theta: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Parameters of the covariance structures, by grouping factor and name.

        Parameters
        ----------
        co : Coordinates
        theta : ndarray, shape (n_x,)
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        blocks = iter(structure_values(co, theta))
        for group in self.problem.groups:
            found[group.name] = {
                name: np.asarray(value)
                for part in covariance_of(group).with_coordinates
                for name, value in zip(part.named_parameters(), next(blocks), strict=True)
            }
        return found

    @property
    def values(self) -> Values:
        """Estimates of fixed effects and variance parameters."""
        return replace(super().values, structure=self.structure)

    @functools.cached_property
    def structure(self) -> dict[str, dict[str, np.ndarray]]:
        """The estimates, NaN where no two effects vary, so that there is none."""
        found = self.structure_at(*self.absolute)
        for placed in self._placed:
            if placed.undefined:
                found[placed.group][placed.name] = np.asarray(np.nan)
        return found

    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter, their columns, and why limits are missing."""
        listed = covariance_parameters(self.model)
        method = asked.ci_method or self.affordable(self.n_beside)
        check_probability("ci_prob", asked.ci_prob)
        one_of("ci_method", method, ("wald", "profile"))
        if method == "profile":
            self._check_profile()
        placed = {(p.group, p.name): p for p in self._placed}
        of_residual: dict[str, np.ndarray] = {}
        if any(p.group == "Residual" for p in listed):
            of_residual = dict(zip(*self.residual_parameters(asked.ci_prob, method), strict=True))
        rows, notes = [], []
        for parameter in listed:
            at = placed.get((parameter.group, parameter.name))
            if at is None:
                rows.append(tuple(of_residual[parameter.name].tolist()))
                continue
            numbers, note = self._row(at, asked.ci_prob, method)
            rows.append(numbers)
            notes += [f"{at.in_words}: {note}"] if note else []
        columns = np.asarray(rows, dtype=np.float64).reshape(-1, 4).T
        names = ("estimate", "sd", "lower", "upper")
        return (
            [(p.group, p.label) for p in listed], dict(zip(names, columns, strict=True)), notes
        )  # fmt: skip

    @property
    def n_beside(self) -> int:
        """Number of variance parameters beside standard deviations."""
        pairs = sum(len(estimated_pairs(group)) for group in self.problem.groups)
        return pairs + len(self._placed)

    @functools.cached_property
    def at_ends(self) -> list[str]:
        """Which parameters are at an end of their range, in words.

        Where the likelihood is no lower at the end itself: effects whose range is a tenth
        of the smallest distance are as good as independent.
        """
        found = []
        co, x = self.absolute
        scale = self.problem.scale
        if scale is not None and scale.is_number:
            unit = np.log(self.problem.scaling.y_scale)
            if x[co.n_x] < unit - _FEW and self._as_good(co.n_x, unit - 2 * _FEW):
                found.append("sigma beside the known standard errors is zero")
        for placed in self._placed:
            at = float(x[placed.coordinate])
            if placed.undefined or abs(at) < _NEAR:
                continue
            side = 1.0 if at > 0 else -1.0
            if abs(at) < _FAR and not self._as_good(placed.coordinate, side * LARGEST_CORRELATION):
                continue
            end = placed.parameter.upper if side > 0 else placed.parameter.lower
            which = "upper" if side > 0 else "lower"
            found.append(
                f"{placed.in_words} is larger than the data can tell" if np.isinf(end)
                else f"{placed.in_words} is at its {which} limit, {end:.4g}"
            )  # fmt: skip
        return found

    # -- inside ---------------------------------------------------------------

    def _as_good(self, k: int, value: float) -> bool:
        """Whether the likelihood is no lower with another value of one coordinate."""
        if self.method in ("map", "mivque0"):
            return False
        eq, reml = self.problem.equations, self.method == "reml"
        co, x = self.absolute if self.optimum.centred is None else self.optimum.centred
        moved = x.copy()
        moved[k] = value
        here, there = (log_likelihood(eq, co, at, reml, np.empty(len(x))) for at in (x, moved))
        return bool(there >= here - _EQUAL)

    @functools.cached_property
    def _placed(self) -> list[Placed]:
        """Parameters of grouping factors' structures, in the order of the coordinates."""
        co = self.absolute[0]
        return list(self._places(co))

    def _places(self, co: Coordinates) -> Iterator[Placed]:
        blocks = zip(co.block_x.tolist(), co.block_n.tolist(), strict=True)
        for group in self.problem.groups:
            for part in covariance_of(group).with_coordinates:
                first, n = next(blocks)
                for k, (name, parameter) in enumerate(part.named_parameters().items()):
                    yield Placed(
                        group=group.name, name=name, parameter=parameter, coordinate=first + k,
                        undefined=n > 0 and bool(self._undefined[first + k]),
                    )  # fmt: skip

    def _row(
        self, placed: Placed, ci_prob: float, method: IntervalMethod
    ) -> tuple[tuple[float, float, float, float], str]:
        """Estimate, sd, lower and upper, and why a limit is missing."""
        nan = float("nan")
        if placed.undefined:
            return (nan, nan, nan, nan), "the standard deviation is zero, and nothing has it"
        k, own = placed.coordinate, placed.parameter
        x = float(self.absolute[1][k])
        se = float(np.sqrt(self.theta_cov[k, k]))
        estimate, sd = float(own.at(np.asarray(x))), se * _slope(own, x)
        sd = sd if np.isfinite(sd) else nan
        if method == "wald":
            if self.method == "mivque0":  # the foot of the summary says that there are none
                return (estimate, nan, nan, nan), ""
            if not se <= MOST:
                why = "the likelihood is flat there, or the end of its range near"
                hint = "" if self.method == "map" else f"; {_PROFILE_HINT}"
                return (estimate, sd, nan, nan), why + hint
            z = float(special.ndtri((1 + ci_prob) / 2))
            low, high = (float(own.at(np.asarray(x + s * z * se))) for s in (-1, 1))
            return (estimate, sd, low, high), ""
        ends = self._profile_of_structure(k, ci_prob)
        low, high = (_value(own, end) for end in ends)
        note = ""
        if low > estimate or high < estimate:
            low, high = nan, nan
            note = "the estimate is outside the profile of the ML deviance"
        elif np.isnan(low) or np.isnan(high):
            note = "no limit was found: its correlation matrix is singular, or the search endless"
        return (estimate, sd, low, high), note

    def _profile_of_structure(self, k: int, ci_prob: float) -> tuple[float, float]:
        """Ends of a coordinate of a structure."""
        around: Any = self._surroundings if self._centre is None else self._centred_likelihood
        return self._once(("structure", k, ci_prob), lambda: profile_structure(around, k, ci_prob))


def _slope(parameter: Parameter, x: float) -> float:
    """Derivative of a parameter's value by its coordinate."""
    _, above_lower, below_upper = parameter.with_distances(parameter.at(np.asarray(x)))
    if np.isinf(parameter.upper):
        return float(above_lower)
    return float(above_lower * below_upper) / (parameter.upper - parameter.lower)


def _value(parameter: Parameter, x: float) -> float:
    """Value at a coordinate, which may be infinite: an end of the range."""
    if np.isinf(x):
        return parameter.upper if x > 0 else parameter.lower
    return float(parameter.at(np.asarray(x)))
