"""Intervals of an empirical Bayes fit's parameters: Wald on the log scale, or profiles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import log_density, log_likelihood
from bayesmix.gaussian.residual_coordinates import phi_values
from bayesmix.inference.centred import Centred, centred
from bayesmix.inference.combination_profile import profile_combination
from bayesmix.inference.correlation_profile import profile_correlation
from bayesmix.inference.cost import seconds_of_evaluation
from bayesmix.inference.determined import Determined
from bayesmix.inference.empirical import blas_threads, log_units, maximise
from bayesmix.inference.profile import (
    Around,
    Likelihood,
    absolute_coordinates,
    likelihood_at,
    observed_covariance,
    observed_information,
    profile_coefficient,
    profile_theta,
    standard_deviations,
    zero_there,
)
from bayesmix.inference.search import LARGEST_CORRELATION, ZERO
from bayesmix.inference.theta_draws import residual_variables
from bayesmix.laws.base import IntervalMethod
from bayesmix.laws.mode import Mode
from bayesmix.laws.wald import interval_of_atanh, interval_of_logarithm

if TYPE_CHECKING:
    from bayesmix.inference.empirical import Optimum

__all__ = ["ModeIntervals", "around", "away_from_boundaries"]

_PROFILE_SECONDS = 1.0
_EVALUATIONS = 200  # of a profile, both ends together, by number of coordinates


class ModeIntervals(Mode):
    """What the likelihood around the estimates says of their uncertainty."""

    @functools.cached_property
    def absolute(self) -> tuple[Coordinates, np.ndarray]:
        """Theta in logarithms of standard deviations and partial correlations."""
        if self.method == "map":
            sd = np.concatenate([self.optimum.sd, [self.optimum.sigma]])
            co = self.problem.absolute_coordinates()
            x = self.optimum.x.copy()
            n_sd = co.n_sd
            x[:n_sd] = np.log(np.maximum(sd[co.effect_of_sd], 1e-300))
            if co.n_sigma:
                x[co.n_x - 1] = np.log(sd[-1])
            return co, x
        return absolute_coordinates(self.problem, self.optimum)

    @functools.cached_property
    def _undefined(self) -> np.ndarray:
        """Coordinates of correlations with an effect that does not vary."""
        return _with_zero(self.absolute[0], self.optimum.at_zero)

    @functools.cached_property
    def _centre(self) -> Centred | None:
        """The effects of centred columns, where the optimum was searched among these."""
        if self.optimum.centred is None:
            return None
        problem = self.problem
        return centred(problem, problem.absolute_coordinates(), problem.scaling.y_scale)

    @functools.cached_property
    def theta_cov(self) -> np.ndarray:
        """Covariance of these coordinates, NaN at a boundary."""
        with blas_threads(self.problem):
            return self._theta_cov()

    def _theta_cov(self) -> np.ndarray:
        co, x = self.absolute
        if self.method == "mivque0":  # which is no maximum, and has no curvature
            return np.full((co.n_all, co.n_all), np.nan)
        free = away_from_boundaries(co, x, self.optimum.at_zero)
        n_sd = co.n_sd
        eq, reml = self.problem.equations, self.method == "reml"
        if self._centre is not None and self.optimum.centred is not None:
            there, at = self.optimum.centred
            known = away_from_boundaries(there, at, zero_there(there, at)[there.effect_sd])
            cov = observed_covariance(
                lambda z, out: log_likelihood(eq, there, z, reml, out), at, known
            )
            J = self._by_centred(self._centre, at, known)
            cov = _carried(J, cov[np.ix_(known, known)])
            cov[~free], cov[:, ~free] = np.nan, np.nan
            return cov
        if self.method != "map":
            return observed_covariance(
                lambda at, out: log_likelihood(eq, co, at, reml, out), x, free
            )
        own, mode = self.optimum.coordinates, self.optimum.x
        # Under a uniform prior the coordinate is no logarithm.
        scale = np.ones(len(x))
        for k in [*range(n_sd), *([co.n_x - 1] if co.n_sigma else [])]:
            step = np.zeros(len(x))
            step[k] = 1e-5
            up, down = (standard_deviations(own, mode + s * step) for s in (1, -1))
            effect = int(co.effect_of_sd[k]) if k < n_sd else -1
            scale[k] = np.log(up[effect] / down[effect]) / 2e-5
        free &= scale > 1e-6  # at the edge of the prior
        cov = observed_covariance(
            lambda at, out: log_density(eq, own, self.prior, at, False, out), mode, free
        )
        return cov * np.outer(scale, scale)

    @functools.cached_property
    def sigma_known(self) -> Determined:
        """What is known of the coordinates of sigma's coefficients and of R's parameters."""
        co, x = self.absolute
        own = slice(co.n_x, co.n_all)
        found = None
        if self.method in ("reml", "ml") and self._centre is None:
            eq, reml = self.problem.equations, self.method == "reml"
            free = away_from_boundaries(co, x, self.optimum.at_zero)
            found = observed_information(
                lambda at, out: log_likelihood(eq, co, at, reml, out), x, free
            )
        if found is not None:
            return found.part(own)
        covariance = self.theta_cov[own, own]
        lost = ~np.isfinite(np.diag(covariance))
        return Determined(
            covariance=np.where(lost | lost[:, None], 0.0, covariance),
            flat=np.eye(len(lost))[:, lost], floor=np.ones(int(lost.sum())),
        )  # fmt: skip

    @functools.cached_property
    def _ml_optimum(self) -> Optimum:
        return self.optimum if self.method == "ml" else maximise(self.problem, "ml")

    @functools.cached_property
    def _likelihood(self) -> Likelihood:
        return likelihood_at(self.problem, self._ml_optimum)

    @property
    def _surroundings(self) -> Around:
        """The deviance that profiles are of."""
        return self._likelihood

    @functools.cached_property
    def _centred_likelihood(self) -> Likelihood:
        if self._centre is None:
            return self._likelihood
        return likelihood_at(self.problem, self._ml_optimum, centred=True)

    def _by_centred(self, centre: Centred, x: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Derivatives of the formula's coordinates by the centred ones that are known."""
        zero = log_units(centre.formula) + ZERO
        columns = []
        for k in np.flatnonzero(known).tolist():
            step = np.zeros(len(x))
            step[k] = 1e-5
            up, down = (centre.back(x + s * step, zero, LARGEST_CORRELATION) for s in (1, -1))
            columns.append((up - down) / 2e-5)
        return np.stack(columns, axis=1) if columns else np.zeros((len(x), 0))

    @functools.cached_property
    def _profiles(self) -> dict[tuple[object, ...], tuple[float, float]]:
        """Ends that have been found: a summary and its tables ask for the same."""
        return {}

    def _once(
        self, key: tuple[object, ...], find: Callable[[], tuple[float, float]]
    ) -> tuple[float, float]:
        if key not in self._profiles:
            with blas_threads(self.problem):
                self._profiles[key] = find()
        return self._profiles[key]

    def affordable(self, n_more: int = 0) -> IntervalMethod:
        """The profile where there is one that takes under a second, by the model's size.

        Counted are profiles of the standard deviations and of `n_more` further parameters.
        """
        if self.method in ("map", "mivque0"):
            return "wald"
        profiled = self.absolute[0].n_sd + 1 + n_more
        evaluations = _EVALUATIONS * profiled * len(self.absolute[1])
        seconds = seconds_of_evaluation(self.problem) * evaluations
        return "profile" if seconds < _PROFILE_SECONDS else "wald"

    def _sd_interval(
        self, ci_prob: float, method: IntervalMethod
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Ends of the intervals of each factor's standard deviations, and the residual's."""
        co, x = self.absolute
        n_sd, of_sd = co.n_sd, co.effect_of_sd
        has_sigma = not self.problem.sigma_is_known
        if method == "profile":
            self._check_profile()
            at = [*range(n_sd), *([co.n_x - 1] if has_sigma else [])]
            ends = [
                self._once(
                    ("sd", k, ci_prob),
                    functools.partial(self._profile_of_sd, k, ci_prob, may_be_zero=k < n_sd),
                )
                for k in at
            ]
            logs = np.asarray(ends).reshape(-1, 2)
            estimate = np.append(self.optimum.sd[of_sd], self.optimum.sigma)[: len(logs)]
            lower, upper = around(estimate, np.exp(logs[:, 0]), np.exp(logs[:, 1]))
        else:
            sds = standard_deviations(co, x)
            sd = np.append(sds[of_sd], sds[-1:] if has_sigma else [])
            at = [*range(n_sd), *([co.n_x - 1] if has_sigma else [])]
            se = np.sqrt(np.diag(self.theta_cov)[at])
            lower, upper = interval_of_logarithm(sd, se, ci_prob)
            lower[:n_sd][self.optimum.at_zero[of_sd]] = 0.0
        low, high, start = {}, {}, 0
        for group in self.problem.groups:
            rows = co.effect_sd[start : start + group.n_effects]
            low[group.name], high[group.name] = lower[rows], upper[rows]
            start += group.n_effects
        if has_sigma:
            low["Residual"], high["Residual"] = lower[-1:], upper[-1:]
        return low, high

    def residual_parameters(
        self, ci_prob: float, method: IntervalMethod
    ) -> tuple[list[str], np.ndarray]:
        """Names of the residual structure's parameters, and their estimates, sds and intervals.

        Parameters
        ----------
        ci_prob : float
        method : {"wald", "profile"}

        Returns
        -------
        list of str
        ndarray, shape (k, 4)
            Estimate, sd, lower and upper. Wald's interval is that of the coordinate; elements of
            vectors and matrices have no other, on the scale of the logarithm or of atanh.
        """
        structure = self.problem.residual
        if structure is None or not self.problem.phi:
            return [], np.zeros((0, 4))
        co, x = self.absolute
        alone = [n for n, dims in structure.dims.items() if not dims]
        values = self._labelled_at(x)
        slopes = {name: np.zeros(len(x)) for name in values}
        for j in range(co.n_x, len(x)):
            step = np.zeros(len(x))
            step[j] = 1e-5
            up, down = self._labelled_at(x + step), self._labelled_at(x - step)
            for name, slope in slopes.items():
                slope[j] = (up[name] - down[name]) / 2e-5
        names, rows = [], []
        for name, value in values.items():
            used = slopes[name] != 0
            cov = self.theta_cov[np.ix_(used, used)]
            se = float(np.sqrt(slopes[name][used] @ cov @ slopes[name][used]))
            if name in alone:
                low, high = self._ends_of_residual(name, ci_prob, method)
            elif name.startswith("sd_"):
                ends = interval_of_logarithm(np.asarray([value]), np.asarray([se / value]), ci_prob)
                low, high = float(ends[0][0]), float(ends[1][0])
            else:
                low, high = interval_of_atanh(value, se / max(1 - value**2, 1e-12), ci_prob)
            lower, upper = around(*np.reshape([value, low, high], (3, 1)))
            names.append(name)
            rows.append((value, se if np.isfinite(se) else np.nan, lower[0], upper[0]))
        return names, np.asarray(rows, dtype=np.float64).reshape(-1, 4)

    def _labelled_at(self, x: np.ndarray) -> dict[str, float]:
        """Numbers of the residual structure's variables at coordinates, by their labels."""
        structure = self.problem.residual
        assert structure is not None  # noqa: S101
        found = residual_variables(self.problem, x[self.absolute[0].n_x :])
        out: dict[str, float] = {}
        for name in structure.dims:
            out |= {k: float(v) for k, v in structure.labelled(name, found[name]).items()}
        return out

    def _ends_of_residual(
        self, name: str, ci_prob: float, method: IntervalMethod
    ) -> tuple[float, float]:
        """Interval of a parameter with a coordinate of its own: there, or by the profile."""
        co, x = self.absolute
        j = next(j for j, one in enumerate(self.problem.phi) if one.name == name)
        at = co.n_x + j
        # A variance beside known ones may be nothing, where that is as good.
        may_be_zero = self.problem.scale is not None and self.problem.phi[j].support == "positive"
        may_be_zero = may_be_zero and j < len(self.problem.scale.parameters)  # type: ignore[union-attr]
        if method == "profile":
            self._check_profile()
            ends = self._once(
                ("residual", j, ci_prob),
                functools.partial(
                    profile_theta,
                    self._surroundings,
                    at,
                    ci_prob,
                    may_be_zero=False,
                    below=-np.inf if may_be_zero else np.nan,
                ),
            )
        else:
            reach = float(special.ndtri((1 + ci_prob) / 2) * np.sqrt(self.theta_cov[at, at]))
            ends = x[at] - reach, x[at] + reach
        found = phi_values((self.problem.phi[j],), np.asarray(ends)[:, None])[name]
        return float(found[0]), float(found[1])

    def _profile_of_sd(self, k: int, ci_prob: float, *, may_be_zero: bool) -> tuple[float, float]:
        """Ends of the logarithm of a standard deviation: among centred effects, if it is one."""
        factor = np.nan if self._centre is None else 1.0
        if self._centre is not None and may_be_zero:
            factor = float(self._centre.factors_of_sds()[k])
        if np.isnan(factor):
            # The deviance is flat below a sigma that is nothing beside the response's.
            below = np.nan if may_be_zero else -np.inf
            return profile_theta(
                self._surroundings, k, ci_prob, may_be_zero=may_be_zero, below=below
            )
        low, high = profile_theta(self._centred_likelihood, k, ci_prob, may_be_zero=may_be_zero)
        return low - float(np.log(factor)), high - float(np.log(factor))

    def _profile_of_correlation(
        self, f: int, pair: tuple[int, int], ci_prob: float
    ) -> tuple[float, float]:
        """Ends of the correlation of two effects of a factor, by their positions."""
        co = self.problem.absolute_coordinates()
        self._check_profile()
        for block in np.flatnonzero(co.block_factor == f).tolist():
            first = int(co.block_first[block])
            k, m = pair[0] - first, pair[1] - first
            if min(k, m) >= 0 and max(k, m) < int(co.block_size[block]):
                return self._once(
                    ("correlation", f, pair, ci_prob),
                    functools.partial(
                        profile_correlation, self._surroundings, co, block, (k, m), ci_prob
                    ),
                )
        raise ValueError(f"effects {pair} of factor {f} have no correlation")

    def _profile_of_coefficient(self, j: int, ci_prob: float) -> tuple[float, float]:
        scaling = self.problem.scaling
        row = np.linalg.inv(scaling.TX)[j] * scaling.y_scale
        shift = float(row @ scaling.beta_0)
        self._check_profile()
        with blas_threads(self.problem):
            return profile_coefficient(self._centred_likelihood, row, shift, ci_prob)

    def _profile_of_log_sigma(self, j: int, sd: float, ci_prob: float) -> tuple[float, float]:
        """Ends of a coefficient of sigma's predictor, whose standard error is known."""
        self._check_profile()
        scale = self.problem.scale
        assert scale is not None  # noqa: S101
        row = np.eye(len(scale.parameters))[j] if scale.change is None else scale.change[j]
        weights = np.zeros(len(self.absolute[1]))
        weights[self.absolute[0].n_x :][: len(row)] = row
        return self._once(
            ("log sigma", j, ci_prob),
            lambda: profile_combination(self._centred_likelihood, weights, sd, ci_prob),
        )

    def _check_profile(self) -> None:
        if self.method == "map":
            raise NotSupportedError(
                'ci_method="profile" is of the likelihood, which does not know the priors of '
                'method="map"; take ci_method="wald", method="ml", or fit() for the posterior'
            )
        if self.method == "mivque0":
            raise NotSupportedError(
                'method="mivque0" has no intervals of variance parameters; take "reml"'
            )


def _carried(J: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """J cov J', with an infinite variance for what hangs on a coordinate that has one."""
    flat = ~np.isfinite(np.diag(cov))
    out = J[:, ~flat] @ cov[np.ix_(~flat, ~flat)] @ J[:, ~flat].T
    hangs = (np.abs(J[:, flat]) > 1e-6).any(axis=1)
    out[hangs], out[:, hangs] = np.nan, np.nan
    out[hangs, hangs] = np.inf
    return np.asarray(out)


def _with_zero(co: Coordinates, at_zero: np.ndarray) -> np.ndarray:
    """Coordinates of correlations with an effect whose standard deviation is zero.

    `at_zero` is of each effect.
    """
    out = np.zeros(co.n_all, dtype=bool)
    for block in range(co.n_blocks):
        here, zero = co.coordinates_of_block(block), at_zero[co.effects_of_block(block)]
        if co.block_n[block]:  # of parameters of all pairs, what one pair tells is known
            out[here] = (~zero).sum() < 2
            continue
        position = here.start
        for i in range(1, len(zero)):
            out[position : position + i] = zero[i] | zero[:i]
            position += i
    return out


def away_from_boundaries(co: Coordinates, x: np.ndarray, at_zero: np.ndarray) -> np.ndarray:
    """Coordinates that a Wald interval is for."""
    free = ~_with_zero(co, at_zero)
    n_sd = co.n_sd
    corr = slice(n_sd, n_sd + co.n_structure)
    free[:n_sd] = ~at_zero[co.effect_of_sd]
    free[corr] &= np.abs(x[corr]) < LARGEST_CORRELATION - 0.5
    return free


def around(
    estimate: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of intervals, NaN where the estimate is outside."""
    outside = (estimate < lower) | (estimate > upper)
    return np.where(outside, np.nan, lower), np.where(outside, np.nan, upper)
