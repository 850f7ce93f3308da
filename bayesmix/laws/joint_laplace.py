"""Laplace's law of several linear predictors: one normal law, seen a predictor at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import sparse, special

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.design import GroupingFactor
from bayesmix.families.functions import NUMPY
from bayesmix.gaussian.conditional import Conditional
from bayesmix.inference.determined import Determined
from bayesmix.laws.averages import DrawSource, Source
from bayesmix.laws.base import Asked, Columns, Law, Linear, Smooth
from bayesmix.laws.calibration import Calibration, calibration_of_residuals, commonest_category
from bayesmix.laws.expected import ExpectedSource
from bayesmix.laws.given_data_several import SeveralGivenData
from bayesmix.laws.jointly import Averaged, Inverse, Jointly, normal_jointly, replace_estimates
from bayesmix.laws.levels import GroupScale
from bayesmix.laws.lost_cells import DeterminedCells
from bayesmix.laws.parameters import ParameterDraws, placed_levels
from bayesmix.laws.request import Kind, PredictionRequest
from bayesmix.laws.residuals import Residual, refuse_normalized, residual_values
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.laws.values import Values
from bayesmix.laws.whole_laplace import WholeLaplace
from bayesmix.statement.stated import StatedModel

__all__ = ["JointLaplace"]

_DRAWS = 1000  # where no number is asked for
_DRAWS_OF_AVERAGES = 2000


class JointLaplace(Law):
    """ML or MAP of several predictors, by Laplace's approximation.

    Parameters
    ----------
    model : StatedModel
    method : {"ml", "map"}

    Attributes
    ----------
    whole : WholeLaplace
        The law of all predictors' coefficients and effects together.
    """

    given_variances: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = WholeLaplace.refused

    def __init__(self, model: StatedModel, method: Literal["ml", "map"]) -> None:
        self.model = model
        self.whole = WholeLaplace(model, method)

    def __getattr__(self, name: str) -> Any:
        """What is the same for all predictors: the criterion, the optimum, what was found."""
        if name.startswith("__") or name == "whole":
            raise AttributeError(name)
        return getattr(self.whole, name)

    def again(self, model: StatedModel, method: Any) -> JointLaplace:
        """Fit another model of the same rows and family in the same way."""
        return type(self)(model, method)

    @classmethod
    def refuses(cls, method: str, argument: str) -> bool:
        """What laws at a mode refuse."""
        return WholeLaplace.refuses(method, argument)

    @property
    def predictors(self) -> tuple[str, ...]:
        """Every parameter with a linear predictor."""
        return tuple(self.model.design.predictors)

    def of(self, parameter: str) -> Law:
        """The law of one linear predictor's coefficients and effects."""
        if parameter == self.parameter:
            return self
        if parameter not in self.predictors:
            return super().of(parameter)
        found = copy.copy(self)
        found.parameter = parameter
        return found

    def place_of(self, parameter: str) -> tuple[slice, dict[str, str]]:
        """A predictor's columns among those of all, and there the names of its groups."""
        own: Any = self.of(parameter)
        return own._columns, own._row_names

    # -- parameters -----------------------------------------------------------

    @property
    def conditional(self) -> Conditional:
        """Moments of one predictor's coefficients and effects."""
        found, at = self.whole.conditional, self._columns

        def own(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: given[there] for name, there in self._names.items()}

        return replace(
            found, beta=found.beta[at], beta_cov=found.beta_cov[at, at], b=own(found.b),
            b_var=own(found.b_var),
            cross={name: values[..., at] for name, values in own(found.cross).items()},
        )  # fmt: skip

    @property
    def fixed_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of this predictor's coefficients, and their covariance."""
        found = self.conditional
        return found.beta, found.beta_cov

    def covariance_of_all(self) -> np.ndarray:
        """Covariance of all predictors' coefficients, in their order."""
        at = np.concatenate([
            np.arange(self.whole.problem.n_fixed)[self.place_of(name)[0]]
            for name in self.predictors
        ])  # fmt: skip
        return np.asarray(self.whole.conditional.beta_cov[np.ix_(at, at)])

    @property
    def determined_own(self) -> Determined:
        """What is known of this predictor's coefficients."""
        return self.whole.determined_fixed.part(self._columns)

    @property
    def values(self) -> Values:
        """Estimates of fixed effects and variance parameters."""
        found = self.whole.split(self.whole.values)
        return found if self.parameter == "mu" else found.others[self.parameter]

    def summarise(self, values: np.ndarray, asked: Asked) -> Columns:
        """The values themselves, shape (k,): point estimates."""
        return self.whole.summarise(values, asked)

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table, shape (p,) each."""
        found = self.whole.coefficients(asked)
        return {name: values[self._columns] for name, values in found.items()}

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        return self.whole.own_parameters(asked)

    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's conditional modes, with prediction errors."""
        start = self._columns.start
        there = replace(
            group, name=self._names[group.name],
            fixed_column=tuple(None if j is None else start + j for j in group.fixed_column),
        )  # fmt: skip
        return self.whole.effects(there, asked, with_fixed=with_fixed, n_levels=n_levels)

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, and their columns."""
        labels, columns = self.whole.components(asked)
        kept, chosen = self._own_rows(labels, columns)
        chosen["variance_share"] = np.full(len(kept), np.nan)
        return [(label[0], label[1]) for label in kept], chosen

    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""
        kept, columns = self._own_rows(*self.whole.correlations(asked))
        return [(label[0], label[1], label[2]) for label in kept], columns

    def smooth_sds(self, asked: Asked) -> Columns:
        """Columns sd, lower and upper of the standard deviations of smooths, in their order."""
        found = self.whole.smooth_sds(asked)
        smooths = [g.name for g in self.whole.model.design.mu.groups if g.smooth is not None]
        own = [k for k, name in enumerate(smooths) if name in self._names.values()]
        return {name: values[own] for name, values in found.items()}

    def smooth_degrees(self) -> Mapping[str, float]:
        """Effective degrees of freedom of each smooth's penalised columns, by grouping factor."""
        found = self.whole.smooth_degrees()
        return {name: found[there] for name, there in self._names.items() if there in found}

    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter of a covariance structure, and their columns."""
        labels, columns, notes = self.whole.covariance_parameters(asked)
        kept, chosen = self._own_rows(labels, columns)
        return [(label[0], label[1]) for label in kept], chosen, notes

    def point_estimates(self) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Fixed effects, group effects by grouping factor, and the family's own parameters."""
        found = self.conditional
        return found.beta, dict(found.b), dict(self.whole.family_values)

    def residual_variance(self) -> np.ndarray | None:
        """Mean over the rows where sigma of a normal response has a predictor; else None."""
        found = self.sigma_of_rows(np.arange(self.model.design.n_obs))
        return None if found is None else np.asarray(np.square(found[0]).mean())

    def sigma_of_rows(self, at: np.ndarray) -> np.ndarray | None:
        """Root of the variance that rows are expected to have given the data, shape (1, rows)."""
        if not self.model.family.is_linear_normal or "sigma" not in self.model.design.predictors:
            return None
        rows = rows_of_fit(self.model, "response").others["sigma"]
        return np.sqrt(self._given_data.expected_square(rows, "sigma"))[None, at]

    @property
    def lost_coefficients(self) -> np.ndarray:
        """Which fixed effects have no estimate, shape (p,)."""
        return self.whole.lost_coefficients[self._columns]

    def smooth(self) -> Smooth | None:
        """All parameters as functions of their coordinates, those of each predictor."""
        return self.whole.smooth()

    # -- draws ----------------------------------------------------------------

    def draw_labels(self, n: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the one chain, and of the draws in it."""
        return np.zeros(1, dtype=np.int64), np.arange(_DRAWS if n is None else n)

    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Draw coefficients and effects of all predictors from the normal law at the mode."""
        n_draws = _DRAWS if n is None else whole_number("draws", n, 1)
        wanted = {self._row_names[name]: at for name, at in levels.items()}
        others = [p for p in self.predictors if p != "mu"] if self.parameter == "mu" else []
        for name in others:
            of_other: Any = self.of(name)
            for group in of_other.linear_predictor.all_groups:
                wanted[of_other._there(group)] = np.arange(group.n_levels)
        drawn = self.whole.draw_all(wanted, n_draws, seed)
        shared = {g.name for p in others for g in self.model.design.predictors[p].borrowed}
        every = {g.name: np.arange(g.n_levels) for g in self.linear_predictor.groups}
        mine = {g: every[g] if g in shared else at for g, at in levels.items()}
        found = self._drawn(drawn, mine)
        rest = {}
        for name in others:
            own: Any = self.of(name)
            every = {g.name: np.arange(g.n_levels) for g in own.linear_predictor.all_groups}
            rest[name] = own._drawn(drawn, every)
        return replace(found, others=rest)

    def _drawn(self, drawn: ParameterDraws, levels: Mapping[str, np.ndarray]) -> ParameterDraws:
        """Take the own part of draws of all predictors."""
        groups, roots = self.linear_predictor.all_groups, self.whole.roots
        scales = {}
        for g in groups:
            root = roots[self._there(g)]
            own = np.broadcast_to(root, (drawn.n_draws, *root.shape))
            scales[g.name] = GroupScale(self._there(g), own, g.between, g.mean_variance)
        return ParameterDraws(
            beta=np.ascontiguousarray(drawn.beta[self._columns]),
            b={name: drawn.b[self._row_names[name]] for name, at in levels.items() if len(at)},
            level_rows=placed_levels(groups, levels),
            scales=scales,
            family=drawn.family,
            n_draws=drawn.n_draws,
        )

    def seen_as(self, model: StatedModel) -> Law:
        """The same law, with the model's view of the response."""
        found = copy.copy(self)
        found.model = model
        return found

    def _reaching(self, model: StatedModel) -> Law:
        found = copy.copy(self)
        found.model, found.whole = model, self.whole.reaching_in_all(model)
        return found

    # -- rows -----------------------------------------------------------------

    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Estimate, sd, lower and upper of each row, shape (4, n).

        Exact for a linear predictor, and by the delta method for a parameter. What combines the
        predictors has its expected mean at the estimates, and its spread over draws.
        """
        if request.kind != "linear" and not (request.parameter and not request.marginal):
            n = _DRAWS_OF_AVERAGES if draws is None else draws
            predictor = self.predictor(rows, request, n, seed)
            drawn = predictor.summaries(rows.n_rows, predictor.n_draws, request.ci_prob)
            if request.kind == "mean":  # the spread alone is of draws
                drawn[0] = self.expected_mean(rows, request)
            # What stands at its estimate, unknown, has no spread; elsewhere it has a limit.
            X, known = self._columns_of_all(rows), self.whole.determined_fixed
            drawn[1:, known.lost(X)] = np.nan
            drawn[:, self._unknown_means(rows)] = np.nan
            return drawn
        parameter = request.parameter or "mu"
        mean, sd = self.whole.linear_moments(self._stacked(rows, parameter), request)
        z = special.ndtri((1 + request.ci_prob) / 2)
        found = np.stack([mean, sd, mean - z * sd, mean + z * sd])
        unknown = self.whole.determined_fixed.unknown(self._stacked(rows, parameter).X)
        found[:, unknown] = np.nan
        if request.kind == "linear":
            return found
        link, step = self.model.links[parameter], 1e-5 * (1 + np.abs(mean))
        sides = [np.asarray(link.inverse(NUMPY, mean + s * step)) for s in (1, -1)]
        values = np.stack([link.inverse(NUMPY, found[k]) for k in (2, 3)])
        found[0], found[2:] = self.expected_mean(rows, request), np.sort(values, axis=0)
        found[1] = np.abs(sides[0] - sides[1]) / (2 * step) * sd
        found[:, unknown] = np.nan
        return found

    def lost_rows(self, rows: Rows, request: PredictionRequest) -> tuple[np.ndarray, str]:
        """Rows that move along flat directions of the predictor that is asked for.

        Probabilities of categories in no order have a limit along them, and their spread there
        is that of the contrasts that stay.
        """
        if request.kind == "probability" and not self.model.family.vector_parameters:
            return np.zeros(rows.n_rows, dtype=bool), ""
        X = self._stacked(rows, request.parameter or self.parameter).X
        return self.whole.determined_fixed.lost(X), self.whole.why_lost

    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Linear predictor at the modes, or the expected response, shape (n,)."""
        if kind == "linear":
            return self.whole.means(self._stacked(rows, "mu"))
        return self.expected_mean(rows, PredictionRequest(kind=kind))

    def expected_mean(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Mean of each row at the estimates, averaged over the effects given the data."""
        if request.kind == "linear":
            return self.whole.means(self._stacked(rows, request.parameter or self.parameter))
        return self._given_data.expected_mean(rows, request)

    def expected_probabilities(self, rows: Rows, request: PredictionRequest) -> np.ndarray:
        """Probability of each category at the estimates, shape (n, K)."""
        n = len(self.model.family.categories(self.model.design.response))
        own = [self._given_data.expected_mean(rows, request, category=k) for k in range(n)]
        return np.stack(own, axis=1)

    @property
    def _given_data(self) -> SeveralGivenData:
        return SeveralGivenData(self.model, self.whole, self._stacked)

    def source(self, draws: int | None, seed: int | None, parameter: str = "") -> Source:
        """Averages of expected means, with the spread of draws."""
        n = _DRAWS_OF_AVERAGES if draws is None else whole_number("draws", draws, 1)
        own: Any = self.of(parameter or "mu")
        number = checked_seed(seed, self.seed)
        drawn = DrawSource(self.model, lambda levels: own.draw(levels, n, number), number)
        expected = ExpectedSource(
            lambda rows, request: own.summaries(rows, request, n, number), own.expected_mean, drawn
        )
        return DeterminedCells(
            expected, self.whole.determined_fixed, own._columns_of_all,
            unknown=own._unknown_means,
        )  # fmt: skip

    def _unknown_means(self, rows: Rows) -> np.ndarray:
        """Rows whose mean rests on what no row of the data says anything of.

        Where another predictor has run away the mean has a limit, as a level of nothing but
        zeros has behind a hurdle, whatever its counts above zero would be.
        """
        known = self.whole.determined_fixed
        found = known.unknown(self._columns_of_all(rows))
        for name, own in rows.others.items():
            if found.any() and name != self.parameter:
                found &= ~known.lost(self._stacked(own, name).X)
        return found

    def _columns_of_all(self, rows: Rows) -> np.ndarray:
        return self._stacked(rows, self.parameter).X

    def linear(self, rows: Rows, weights: sparse.csr_matrix | None = None) -> Linear:
        """Exact mean and covariance of this predictor's rows."""
        return self.whole.linear(self._stacked(rows, self.parameter), weights)

    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """What the mean at the modes leaves, or where it lies among simulated ones."""
        family, y, rows = self.model.family, self.model.y, rows_of_fit(self.model, "response")
        if kind == "normalized":
            refuse_normalized(family)
        if kind == "quantile":
            predictor = self.predictor(rows, PredictionRequest(kind="response"), None, seed)
            number = checked_seed(seed, self.seed)
            return rows, residual_values(kind, y, predictor, predictor.n_draws, number)
        eta, values = self._at_modes(rows, None)
        residual = y - family.mean(eta, values, rows.per_row)
        if kind == "pearson":
            residual = residual / np.sqrt(family.variance(eta, values, rows.per_row))
        return rows, residual

    def replicates(self, n: int, *, new_groups: bool, seed: int | None) -> tuple[Rows, np.ndarray]:
        """Whole responses at the estimates, a new seed each time by default, shape (rows, n)."""
        rng = np.random.default_rng(None if seed is None else checked_seed(seed, 0))
        rows = rows_of_fit(self.model, "response")
        out = np.empty((rows.n_rows, n, *self.model.y.shape[1:]))
        for k in range(n):
            eta, values = self._at_modes(rows, rng if new_groups else None)
            out[:, k] = self.model.family.simulate(eta, values, rows.per_row, rng)
        return rows, out

    def calibration(self, seed: int | None) -> Calibration:
        """Where the rows lie that the fit has seen."""
        rows, quantile = self.residuals("quantile", seed)
        nominal = self.model.family.is_nominal
        law = self.seen_as(commonest_category(self.model)) if nominal else self
        return calibration_of_residuals(quantile, law.mean_of_rows(rows, "mean"), "in sample")

    def beside_data(self, n: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The response and replicates at the estimates."""
        number = checked_seed(seed, self.seed)
        return self.model.y, self.replicates(n, new_groups=False, seed=number)[1].T

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Exact for linear predictors; of parameters and means by the delta method."""
        whole = self.whole
        # No function of the linear predictors alone where there are thresholds.
        by_draws = request.kind != "linear" and bool(self.model.family.vector_parameters)
        if request.marginal or request.kind == "probability" or by_draws:
            drawn = super().jointly(parts, request, inverse, draws or _DRAWS_OF_AVERAGES, seed)
            at = self._expected_averages(parts, request, self.expected_mean)
            return replace_estimates(drawn, at)
        estimate, slopes = np.zeros(parts[0].weights.shape[0]), []
        for part in parts:
            of = [self.parameter] if request.kind == "linear" else list(self.predictors)
            rows = {name: self._stacked(part.rows.others.get(name, part.rows), name) for name in of}
            eta = {name: whole.means(own) for name, own in rows.items()}

            def value(at: Mapping[str, np.ndarray], part: Averaged = part) -> np.ndarray:
                if request.kind == "linear":
                    own = at[self.parameter]
                    return own if inverse is None else inverse(own)
                values = dict(whole.family_values) | {
                    name: np.asarray(self.model.links[name].inverse(NUMPY, own))
                    for name, own in at.items()
                    if name != "mu"
                }
                mean = self.model.family.mean(at["mu"], values, part.rows.per_row)
                return np.asarray(mean, dtype=np.float64)

            at_estimates = (
                value(eta) if request.kind == "linear" else self.expected_mean(part.rows, request)
            )
            estimate += part.weights @ at_estimates
            for name, own in rows.items():
                step = 1e-5 * (1.0 + np.abs(eta[name]))
                sides = [value(eta | {name: eta[name] + sign * step}) for sign in (1, -1)]
                by_eta = part.weights @ sparse.diags_array((sides[0] - sides[1]) / (2 * step))
                slopes.append(Averaged(rows=own, weights=sparse.csr_matrix(by_eta)))
        names = {name for one in slopes for name in one.rows.Z}
        if names:  # smooths: each predictor's rows have those of its own
            drawn = super().jointly(parts, request, inverse, draws or _DRAWS_OF_AVERAGES, seed)
            return replace_estimates(drawn, estimate)
        return normal_jointly(whole.normal_effects, slopes, estimate, whole.determined_fixed)

    # -- inside ---------------------------------------------------------------

    @property
    def _columns(self) -> slice:
        """Its columns among those of all."""
        return self.whole.gp.stack.columns[self.parameter]

    @property
    def _names(self) -> dict[str, str]:
        """Names of its grouping factors among those of all."""
        return {g.name: self._there(g) for g in self.linear_predictor.groups}

    @property
    def _row_names(self) -> dict[str, str]:
        """The same with those whose effects it borrows."""
        return {g.name: self._there(g) for g in self.linear_predictor.all_groups}

    def _there(self, group: GroupingFactor) -> str:
        owner = group.owner or self.parameter
        return group.name if owner == "mu" else f"{owner}: {group.name}"

    def _own_rows(self, labels: Any, columns: Columns) -> tuple[list[tuple[str, ...]], Columns]:
        """Rows of a table that belong to this predictor, with its own names."""
        back = {there: name for name, there in self._names.items()}
        at = [k for k, label in enumerate(labels) if label[0] in back]
        kept = [(back[labels[k][0]], *labels[k][1:]) for k in at]
        return kept, {name: np.asarray(values)[at] for name, values in columns.items()}

    def _stacked(self, rows: Rows, parameter: str) -> Rows:
        """A predictor's rows among the columns of all, whose other columns are zero."""
        own: Any = self.of(parameter)
        X = np.zeros((rows.n_rows, self.whole.problem.n_fixed))
        X[:, own._columns] = rows.X
        names = own._row_names
        return replace(
            rows, X=X, left_out=None, others={},
            Z={names[g]: Z for g, Z in rows.Z.items()},
            index={names[g]: index for g, index in rows.index.items()},
            new_levels={names[g]: labels for g, labels in rows.new_levels.items()},
        )  # fmt: skip

    def _at_modes(
        self, rows: Rows, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Mu's linear predictor and the values of the other parameters, of the fit's rows.

        With a generator the groups are new ones.
        """
        values: dict[str, Any] = dict(self.whole.family_values)
        eta = np.zeros(0)
        drawn: dict[str, Any] = {}
        for name in self.predictors:
            own = rows if name == "mu" else rows.others[name]
            if rng is not None:
                own = own.with_new_groups(self.model.design, name)
            found = self.whole.means(self._stacked(own, name))
            if rng is not None:
                found = found + self._new_effects(name, rng, drawn)
            if name == "mu":
                eta = found
            else:
                values[name] = self.model.links[name].inverse(NUMPY, found)
        return eta, values

    def _new_effects(
        self, parameter: str, rng: np.random.Generator, drawn: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Return z'b of each row of the fit, with effects drawn from their distributions.

        Those that predictors share are drawn once, and kept in `drawn`.
        """
        own: Any = self.of(parameter)
        total = np.zeros(self.model.design.n_obs)
        for group in own.linear_predictor.all_groups:
            there = own._there(group)
            if group.is_smooth:
                continue
            if there not in drawn:
                u = rng.standard_normal((group.n_levels, group.n_effects))
                if group.between is not None:
                    u = group.between.root @ u
                drawn[there] = u @ self.whole.roots[there].T
            total += np.einsum("nk,nk->n", group.Z, drawn[there][group.index])
        return total
