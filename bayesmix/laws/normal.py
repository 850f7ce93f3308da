"""The normal law of the effects at the best variance parameters, which it takes as known."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

import numpy as np
from scipy import linalg, special

from bayesmix.arguments import check_probability, one_of
from bayesmix.covariance import covariance_of
from bayesmix.errors import NotSupportedError
from bayesmix.inference.determined import Determined
from bayesmix.inference.profile import correlations, standard_deviations
from bayesmix.inference.theta_draws import residual_variables
from bayesmix.laws.base import Asked, Columns, DegreesOfFreedom, IntervalMethod, Law, Smooth
from bayesmix.laws.components import variance_parts
from bayesmix.laws.flat_sigma import FlatSigma
from bayesmix.laws.intervals import around
from bayesmix.laws.jointly import coefficients_jointly
from bayesmix.laws.levels import covariance_roots
from bayesmix.laws.reach import reaches
from bayesmix.laws.small_samples import SmallSample, small_sample
from bayesmix.laws.smooth_degrees import penalised_degrees
from bayesmix.laws.values import Values, by_name, estimated_pairs
from bayesmix.laws.wald import interval_of_atanh, quantile_of_t, tail_of_t

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.gaussian.conditional import Conditional
    from bayesmix.laws.jointly import Averaged, Inverse, Jointly
    from bayesmix.laws.request import PredictionRequest
    from bayesmix.statement.stated import StatedModel

__all__ = ["NormalLaw"]

# What draws have, and why it is not to be had here.
_INSTEAD: Mapping[str, str] = {
    "ci_kind": "its intervals are Wald's or profiles, not those of draws",
    "ci_prob": "this is a table of point estimates, without intervals",
    "diagnostics": "it has no draws to diagnose",
    "draws": "it has no draws to choose from",
    "method": "it has no draws for Gelman's R2, and gives Nakagawa's",
    "point": "it has no draws to take a mean or a median of",
    "seed": "nothing is drawn here",
}
_OF_COMPONENTS = ("variance", "sd", "sd_lower", "sd_upper", "variance_share")
_WITHOUT_INTERVALS = ("r2", "icc", "variance_partition")


class NormalLaw(FlatSigma):
    """REML, ML or MAP of a normal model: exact, given the variance parameters."""

    given_variances: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = {
        name: f"of an empirical Bayes fit has no {name}=: {reason}; fit() gives draws"
        for name, reason in _INSTEAD.items()
    }
    model: StatedModel

    @classmethod
    def refuses(cls, method: str, argument: str) -> bool:
        """Whether only draws have an argument: of tables without intervals also their width."""
        if argument == "ci_prob":
            return method in _WITHOUT_INTERVALS
        return argument in cls.refused

    def summarise(self, values: np.ndarray, asked: Asked) -> Columns:
        """The values themselves, shape (k,): point estimates."""
        return {"estimate": np.asarray(values, dtype=np.float64)}

    @property
    def predictors(self) -> tuple[str, ...]:
        """Mu, and sigma where it has a linear predictor."""
        return tuple(self.model.design.predictors)

    def of(self, parameter: str) -> Law:
        """The law of one linear predictor's coefficients: of sigma's there are no effects."""
        if parameter == self.parameter or parameter not in self.predictors:
            return super().of(parameter)
        found = copy.copy(self)
        found.parameter = parameter
        return found

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table, shape (p,) each."""
        method = asked.ci_method or "wald"
        _check(asked.ci_prob, method)
        if self.parameter != "mu":
            return self._coefficients_of_sigma(asked, method)
        estimate, coefficients = self.conditional.beta, np.eye(len(self.conditional.beta))
        estimate = np.where(self.determined_fixed.unknown(coefficients), np.nan, estimate)
        sd = np.sqrt(self.determined_fixed.variance(coefficients))
        df = np.full(len(estimate), np.inf)
        if asked.tested:
            way = self.small_sample(asked.ddf)
            sd = np.where(np.isnan(sd), np.nan, np.sqrt(np.diag(way.covariance)))
            df = np.asarray([way.test(row[None])[0] for row in coefficients])
            df[np.isnan(sd)] = np.nan
        z = quantile_of_t((1 + asked.ci_prob) / 2, df)
        lower, upper = estimate - z * sd, estimate + z * sd
        if method == "profile":
            ends = [self._profile_of_coefficient(j, asked.ci_prob) for j in range(len(estimate))]
            lower, upper = around(estimate, *np.asarray(ends).reshape(-1, 2).T)
        columns = {"estimate": estimate, "sd": sd, "lower": lower, "upper": upper}
        return columns | self._against_zero(estimate, sd, df) if asked.tested else columns

    def _against_zero(self, estimate: np.ndarray, sd: np.ndarray, df: np.ndarray) -> Columns:
        """Columns of tests of coefficients: df, t and p; z and p beyond the normal response."""
        ratio = estimate / sd
        p = 2 * tail_of_t(np.abs(ratio), df)
        if self.model.family.is_normal:
            return {"df": df, "t": ratio, "p": p}
        return {"z": ratio, "p": p}

    def small_sample(self, ddf: DegreesOfFreedom | None) -> SmallSample:
        """How hypotheses about coefficients are tested; by Satterthwaite's method by default.

        Raises
        ------
        NotSupportedError
            For a posterior mode; for Kenward and Roger's method without REML, or where a
            covariance is not linear in its parameters.
        """
        if self.method == "map":
            raise NotSupportedError(
                'a posterior mode (method="map") has no tests of zero; fit by "reml" or "ml", or '
                "ask hypothesis()"
            )
        if self.method == "mivque0":
            raise NotSupportedError(
                'method="mivque0" has no covariance of the variance parameters, of which degrees '
                'of freedom are made; fit by "reml"'
            )
        ddf = "satterthwaite" if ddf is None else ddf
        one_of("ddf", ddf, get_args(DegreesOfFreedom))
        if ddf == "kenward-roger" and self.method != "reml":
            raise NotSupportedError(
                f'Kenward and Roger\'s method is of REML, and this fit is by "{self.method}"; '
                'fit by method="reml", or take ddf="satterthwaite"'
            )
        if ddf not in self._small_samples:
            self._small_samples[ddf] = small_sample(self, ddf)
        return self._small_samples[ddf]

    @functools.cached_property
    def _small_samples(self) -> dict[str, SmallSample]:
        return {}

    def note_of_tests(self, asked: Asked) -> str:
        """Which method the degrees of freedom are of, and when that is approximate."""
        if not asked.tested:
            return ""
        if asked.ddf == "kenward-roger":
            return (
                "df and sd are Kenward and Roger's: sd allows for the estimation of the variance "
                "parameters, which is approximate unless the data are balanced."
            )
        words = (
            "df are Satterthwaite's: t has a t distribution approximately, exactly in balanced "
            "data with one variance beside it."
        )
        if self.optimum.at_zero.any():
            words += " Variances at zero are taken as known to be zero."
        return words

    def _coefficients_of_sigma(self, asked: Asked, method: IntervalMethod) -> Columns:
        """Columns of the coefficients of log sigma: by Wald, from all variance parameters."""
        estimate, known = self.sigma_coefficients
        sd = np.sqrt(known.variance(np.eye(len(estimate))))
        z = special.ndtri((1 + asked.ci_prob) / 2)
        lower, upper = estimate - z * sd, estimate + z * sd
        if method == "profile":
            ends = [
                self._profile_of_log_sigma(j, float(sd[j]), asked.ci_prob)
                for j in range(len(estimate))
            ]
            lower, upper = around(estimate, *np.asarray(ends).reshape(-1, 2).T)
        columns = {"estimate": estimate, "sd": sd, "lower": lower, "upper": upper}
        if not asked.tested:
            return columns
        return columns | self._against_zero(estimate, sd, np.full(len(estimate), np.inf))

    @property
    def fixed_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of this predictor's coefficients, and their covariance."""
        if self.parameter == "mu":
            return self.conditional.beta, self.determined_fixed.table()
        estimate, known = self.sigma_coefficients
        return estimate, known.table()

    def covariance_of_all(self) -> np.ndarray:
        """Covariance of all predictors' coefficients: of sigma's and mu's there is none between."""
        every: list[Any] = [self.of(name) for name in self.model.design.predictors]
        return np.asarray(linalg.block_diag(*(own.fixed_moments[1] for own in every)))

    @property
    def determined_own(self) -> Determined:
        """What is known of this predictor's coefficients."""
        return self.determined_fixed if self.parameter == "mu" else self.sigma_coefficients[1]

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Sums of averages of rows; of sigma by the normal law of its coefficients."""
        if self.parameter == "mu":
            return super().jointly(parts, request, inverse, draws, seed)
        estimate, known = self.sigma_coefficients
        return coefficients_jointly(parts, estimate, known, inverse)

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        method = asked.ci_method or self.affordable()
        _check(asked.ci_prob, method)
        names, rows = [], []
        if not self.problem.sigma_is_known:
            lower, upper = self._sd_interval(asked.ci_prob, method)
            at = self.absolute[0].n_x - 1
            sigma = self.optimum.sigma
            names.append("sigma")
            rows.append((
                sigma, sigma * float(np.sqrt(self.theta_cov[at, at])), lower["Residual"][0],
                upper["Residual"][0],
            ))  # fmt: skip
        own, of_residual = self.residual_parameters(asked.ci_prob, method)
        columns = np.concatenate([np.reshape(rows, (-1, 4)), of_residual]).T
        return names + own, dict(zip(("estimate", "sd", "lower", "upper"), columns, strict=True))

    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's conditional modes, with prediction errors."""
        _check(asked.ci_prob, "wald")
        found = self.conditional if asked.fixed_uncertainty else self._given_fixed
        mean, variance = found.b[group.name], found.b_var[group.name]
        if with_fixed:
            mean, variance, cross = mean.copy(), variance.copy(), found.cross[group.name]
            for k, j in enumerate(group.fixed_column):
                if j is not None:
                    mean[:, k] += found.beta[j]
                    own = np.eye(len(found.beta))[[j]]
                    with np.errstate(invalid="ignore"):  # where nothing is known
                        variance[:, k] += self.determined_fixed.variance(own) + 2 * cross[:, k, j]
        z = special.ndtri((1 + asked.ci_prob) / 2)
        estimate = mean[:n_levels].ravel()
        sd = np.sqrt(np.maximum(variance[:n_levels].ravel(), 0.0))
        return {"estimate": estimate, "sd": sd, "lower": estimate - z * sd,
                "upper": estimate + z * sd}  # fmt: skip

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, the residual's last, and their columns."""
        method = asked.ci_method or self.affordable()
        _check(asked.ci_prob, method)
        if self.parameter != "mu":
            return [], {name: np.zeros(0) for name in _OF_COMPONENTS}
        lower, upper = self._sd_interval(asked.ci_prob, method)
        sd, corr = self.by_group()
        groups = self.model.design.mu.grouping
        parts = variance_parts(groups, sd, corr, self.residual_on_link)
        layout = {g.name: covariance_of(g) for g in groups}
        labels = [(name, label) for name, own in layout.items() for label in own.sd_labels]
        names = [g.name for g in groups]
        shares = [layout[name].sum_by_sd(parts.effects[name] / parts.total) for name in names]
        sd = {name: own.by_sd(sd[name]) for name, own in layout.items()}
        lower |= {name: own.by_sd(lower[name]) for name, own in layout.items()}
        upper |= {name: own.by_sd(upper[name]) for name, own in layout.items()}
        is_normal, estimated = self.model.family.is_normal, self.model.family.residual_is_estimated
        if self.model.residual is not None and estimated:
            labels.append(("Residual", ""))
            names.append("Residual")
            sd = {**sd, "Residual": np.sqrt(np.reshape(self.residual_on_link, 1))}
            lower, upper = ({"Residual": np.full(1, np.nan)} | ends for ends in (lower, upper))
            shares.append(np.reshape(parts.residual / parts.total, 1))
        sds = joined([sd[name] for name in names])
        share = joined(shares)
        if is_normal and not estimated:  # it differs from row to row
            share = np.full(len(labels), np.nan)
        return labels, {
            "variance": sds**2,
            "sd": sds,
            "sd_lower": joined([lower[name] for name in names]),
            "sd_upper": joined([upper[name] for name in names]),
            "variance_share": share,
        }

    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""
        groups = self.problem.groups
        method = asked.ci_method or self.affordable(self.n_beside)
        _check(asked.ci_prob, method)
        if self.parameter != "mu":
            return [], {name: np.zeros(0) for name in ("estimate", "lower", "upper")}
        if method == "profile":
            self._check_profile()
        place = {group.name: f for f, group in enumerate(groups)}
        labels: list[tuple[str, str, str]] = []
        rows: list[tuple[float, float, float]] = []
        for group in self.model.design.mu.groups:
            f = place[group.name]
            start = int(self.problem.equations.q[:f].sum())
            zero = self.optimum.at_zero[start : start + group.n_effects]
            for k, m in estimated_pairs(group):
                labels.append((group.name, group.effects[k], group.effects[m]))
                if zero[k] or zero[m]:  # of what does not vary there is no correlation
                    rows.append((np.nan, np.nan, np.nan))
                    continue
                rho = float(self.optimum.corr[f][k, m])
                if method == "profile":
                    ends = self._profile_of_correlation(f, (k, m), asked.ci_prob)
                    low, high = around(np.array([rho]), *np.array(ends).reshape(2, 1))
                    ends = float(low[0]), float(high[0])
                else:
                    ends = interval_of_atanh(rho, self._se_of_atanh(f, k, m), asked.ci_prob)
                rows.append((rho, *ends))
        estimate, lower, upper = np.asarray(rows, dtype=np.float64).reshape(-1, 3).T
        return labels, {"estimate": estimate, "lower": lower, "upper": upper}

    def smooth_sds(self, asked: Asked) -> Columns:
        """Columns sd, lower and upper of the standard deviations of smooths, in their order."""
        method = asked.ci_method or self.affordable()
        _check(asked.ci_prob, method)
        lower, upper = self._sd_interval(asked.ci_prob, method)
        sd = self.by_group()[0]
        smooths = [g for g in self.model.design.mu.groups if g.smooth is not None]
        return {
            column: joined([covariance_of(g).by_sd(values[g.name]) for g in smooths])
            for column, values in (("sd", sd), ("lower", lower), ("upper", upper))
        }

    def smooth_degrees(self) -> Mapping[str, float]:
        """At the estimates."""
        sd = self.by_group()[0]
        return {
            g.name: penalised_degrees(self.conditional.b_var[g.name], sd[g.name])
            for g in self.model.design.mu.groups
            if g.smooth is not None
        }

    def point_estimates(self) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Fixed effects, conditional modes, and the family's own parameters."""
        return self.conditional.beta, dict(self.conditional.b), dict(self.family_values)

    def smooth(self) -> Smooth:
        """Beta, theta in logarithms and partial correlations, then logarithms of the family's."""
        theta = self.absolute[1]
        p, d = len(self.conditional.beta), len(theta)
        covariance = np.zeros((p + d, p + d))
        covariance[:p, :p] = self.conditional.beta_cov
        covariance[p:, p:] = self.theta_cov
        known = self.determined_fixed
        flat = np.concatenate([known.flat, np.zeros((d, known.flat.shape[1]))])
        determined = Determined(covariance=covariance, flat=flat, floor=known.floor)
        start = np.concatenate([self.conditional.beta, theta])
        return Smooth(start=start, determined=determined, values=self._values_at)

    # -- inside ---------------------------------------------------------------

    @functools.cached_property
    def _given_fixed(self) -> Conditional:
        """Moments of the group effects where the fixed effects are known."""
        return self.moments(fixed_uncertainty=False)

    def _values_at(self, x: np.ndarray) -> dict[str, float]:
        """Every parameter by its name at the coordinates of `smooth`."""
        co, p = self.absolute[0], len(self.conditional.beta)
        d = co.n_x
        theta, phi = np.ascontiguousarray(x[p : p + d]), x[p + d : p + co.n_all]
        every, R = standard_deviations(co, theta), correlations(co, theta)
        sd, corr, at = {}, {}, 0
        for f, group in enumerate(self.problem.groups):
            rows = slice(at, at + group.n_effects)
            sd[group.name] = np.where(self.optimum.at_zero[rows], 0.0, every[rows])
            corr[group.name] = R[f]
            at += group.n_effects
        of_residual = residual_variables(self.problem, phi)
        own = self._own_at(x[p + co.n_all :], every[at:], x[:p]) | {
            name: of_residual[name] for name in self.model.names.residual_dims
        }
        structure = self.structure_at(co, theta)
        values = Values(beta=x[:p], sd=sd, corr=corr, parameters=own, structure=structure)
        return {name: float(v) for name, v in self._named(values).items()}

    def _named(self, values: Values) -> dict[str, np.ndarray]:
        """Every parameter by its name."""
        return by_name(self.model, values)

    def _reaching(self, model: StatedModel) -> Self:
        """The law of a model that has further positions: exact, at the same estimates."""
        structure = self.structure_at(*self.absolute)
        sd, corr = self.by_group()
        roots, b = dict(self.roots), dict(self.conditional.b)
        for name, reach in reaches(self.model, model).items():
            own = {key: np.atleast_1d(value) for key, value in structure[name].items()}
            reach.check(own)
            wider = reach.sd(sd[name])[None]
            R = corr.get(name)
            R = reach.correlation(None if R is None else R[None], own)
            roots[name] = covariance_roots(wider, R)[0]
            modes = np.moveaxis(b[name], 0, 1)[:, :, None]
            b[name] = reach.effects(modes, sd[name][None], own, None)[:, :, 0].T
        found = copy.copy(self)
        for name in ("row_variance", "given_data"):
            vars(found).pop(name, None)
        vars(found)["roots"] = roots
        found.model, found.conditional = model, replace(self.conditional, b=b)
        return found

    def _own_at(
        self, own: np.ndarray, residual: np.ndarray, beta: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The family's parameters from what follows theta, or from the residual's sd."""
        return {} if self.problem.sigma_is_known else {"sigma": residual[0]}

    def _se_of_atanh(self, f: int, k: int, m: int) -> float:
        """Standard error of a correlation's inverse hyperbolic tangent; NaN at a boundary."""
        co, x = self.absolute
        rho = float(self.optimum.corr[f][k, m])
        slope = np.zeros(len(x))
        for i in range(len(x)):
            step = np.zeros(len(x))
            step[i] = 1e-5
            up, down = (correlations(co, x + s * step)[f][k, m] for s in (1, -1))
            slope[i] = (up - down) / 2e-5
        used = (slope != 0) & ~self._undefined
        sub = self.theta_cov[np.ix_(used, used)]
        with np.errstate(invalid="ignore"):  # where nothing is known
            return float(np.sqrt(slope[used] @ sub @ slope[used])) / max(1 - rho**2, 1e-12)


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """Put arrays behind each other; of none there is an empty one."""
    return np.concatenate([np.zeros(0), *parts])


def _check(ci_prob: float, ci_method: IntervalMethod) -> None:
    check_probability("ci_prob", ci_prob)
    one_of("ci_method", ci_method, ("wald", "profile"))
