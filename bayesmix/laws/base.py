"""What every law of the parameters can be asked, whatever made it.

A fit is a stated model whose parameters have a law: draws of an engine, a normal distribution
around a mode, stored moments of group effects. Tables, predictions, effects, checks and files
add labels to what a law answers, and do not ask how it came about.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bayesmix.arguments import checked_seed
from bayesmix.design.reach import design_reaching
from bayesmix.errors import NotSupportedError
from bayesmix.laws.forecast import check_forecast, observed_rows
from bayesmix.laws.jointly import Averaged, DrawnJointly, Inverse, Jointly, of_categories
from bayesmix.laws.predictor import Predictor
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows, levels_of
from bayesmix.laws.summaries import IntervalKind, Point, SummaryOptions

if TYPE_CHECKING:
    from scipy import sparse

    from bayesmix.design import GroupingFactor, LinearPredictor
    from bayesmix.inference.determined import Determined
    from bayesmix.laws.averages import Source
    from bayesmix.laws.calibration import Calibration
    from bayesmix.laws.parameters import ParameterDraws
    from bayesmix.laws.request import Kind
    from bayesmix.laws.residuals import Residual
    from bayesmix.laws.values import Values
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "Asked", "Columns", "DegreesOfFreedom", "IntervalMethod", "Law", "Linear", "Smooth",
    "asks_the_law",
]  # fmt: skip

IntervalMethod = Literal["wald", "profile"]
DegreesOfFreedom = Literal["satterthwaite", "kenward-roger"]
Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the numbers of a table are wanted; None is what the law does by default.

    Attributes
    ----------
    ci_prob : float
    ci_kind, point, diagnostics
        As laws of draws have them.
    ci_method, fixed_uncertainty, ddf
        As normal laws have them.
    tests : bool
        Whether coefficients are set against zero.
    """

    ci_prob: float = 0.95
    ci_kind: IntervalKind | None = None
    point: Point | None = None
    diagnostics: bool | None = None
    ci_method: IntervalMethod | None = None
    fixed_uncertainty: bool = True
    ddf: DegreesOfFreedom | None = None
    tests: bool = False

    @property
    def tested(self) -> bool:
        """Whether coefficients have tests."""
        return self.tests or self.ddf is not None

    def of_draws(self, point: Point = "mean") -> SummaryOptions:
        """How draws are summarised.

        Parameters
        ----------
        point : {"mean", "median"}
            Where none is asked for.
        """
        return SummaryOptions(
            ci_prob=self.ci_prob,
            ci_kind="eti" if self.ci_kind is None else self.ci_kind,
            point=point if self.point is None else self.point,
            diagnostics=True if self.diagnostics is None else self.diagnostics,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Combinations of linear predictors: A beta + B b + offset, K of them.

    Attributes
    ----------
    mean : ndarray, shape (K,)
    covariance : ndarray, shape (K, K)
    """

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """Parameters as functions of coordinates whose law is normal: for the delta method.

    Attributes
    ----------
    start : ndarray, shape (n,)
        The coordinates at the estimates.
    determined : Determined
        Their covariance.
    values : callable
        From coordinates to every parameter by its name.
    """

    start: np.ndarray
    determined: Determined
    values: Callable[[np.ndarray], dict[str, float]]


class Law(ABC):
    """The joint law of a model's parameters.

    Arrays come without labels: coefficients in the order of the design's columns, effects of a
    grouping factor level by level.

    Attributes
    ----------
    model : StatedModel
    parameter : str
        The one whose linear predictor has these coefficients and effects.
    seed : int
        Seed of draws where the caller gives none.
    has_stated_prior : bool
        Whether the priors are those that the model states.
    given_variances : bool
        Whether intervals are conditional on the variance parameters, whose law is not part of
        this one.
    quick : mapping of str to object
        Arguments of tables that keep them from computing more than a picture shows.
    refused : mapping of str to str
        Arguments of tables that laws of another kind have, with what to say of each.
    part : int
        Number of the batch whose rows the model has, where they come in batches.
    why_no_refits : str
        Why the model is not to be fitted again to other responses; empty if it may be.
    """

    model: StatedModel
    parameter: str = "mu"
    seed: int = 0
    part: int = 0
    why_no_refits: ClassVar[str] = ""
    has_stated_prior: bool = True
    given_variances: ClassVar[bool]
    quick: ClassVar[Mapping[str, Any]] = {}
    refused: ClassVar[Mapping[str, str]]

    @classmethod
    def refuses(cls, method: str, argument: str) -> bool:  # noqa: ARG003
        """Whether a method's argument is one that only laws of another kind have."""
        return argument in cls.refused

    @property
    def linear_predictor(self) -> LinearPredictor:
        """The columns whose coefficients and effects these are."""
        return self.model.design.predictors[self.parameter]

    @property
    def predictors(self) -> tuple[str, ...]:
        """Parameters of the family whose linear predictors `of` knows."""
        return (self.parameter,)

    def of(self, parameter: str) -> Law:
        """The law of one linear predictor's coefficients and effects."""
        if parameter == self.parameter:
            return self
        raise NotSupportedError(
            f"the coefficients of {parameter} are in family_parameters() of this fit"
        )

    # -- parameters -----------------------------------------------------------

    @property
    @abstractmethod
    def values(self) -> Values:
        """Estimates, of shape (...) = (); or draws, (chains, draws)."""

    @property
    def stated_values(self) -> Values:
        """The same as tables state them."""
        return self.values

    @abstractmethod
    def summarise(self, values: np.ndarray, asked: Asked) -> Columns:
        """Columns of a table for functions of `values`, shape (..., k)."""

    @abstractmethod
    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table, shape (p,) each."""

    @abstractmethod
    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""

    @abstractmethod
    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's effects.

        Parameters
        ----------
        group : GroupingFactor
        asked : Asked
        with_fixed : bool
            Whether the fixed effect of the same name is added, with their covariance.
        n_levels : int, optional
            Only the first so many levels.
        """

    def seconds_of_effects(self, n_effects: int, asked: Asked) -> float:
        """Time that the table of so many effects takes, as far as it is worth a word."""
        return 0.0

    def note_of_tests(self, asked: Asked) -> str:
        """What tests of coefficients rest on; empty where none are asked for."""
        return ""

    def note_of_effects(self, group: GroupingFactor) -> str:
        """What is to be said where not all is kept that other tables are made of."""
        return ""

    @abstractmethod
    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, the residual's last, and their columns."""

    @abstractmethod
    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""

    @abstractmethod
    def smooth_sds(self, asked: Asked) -> Columns:
        """Columns sd, lower and upper of the standard deviations of smooths, in their order."""

    @abstractmethod
    def smooth_degrees(self) -> Mapping[str, float]:
        """Effective degrees of freedom of each smooth's penalised columns, by grouping factor."""

    @abstractmethod
    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter of a covariance structure, and their columns.

        And why limits are missing, where some are.
        """

    @abstractmethod
    def point_estimates(self) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Fixed effects, group effects by grouping factor, and the family's own parameters."""

    @abstractmethod
    def residual_variance(self) -> np.ndarray | None:
        """Residual variance on the scale of the linear predictor, shape (...).

        The mean over the rows where it differs between them; None where it has no number.
        """

    def sigma_of_rows(self, at: np.ndarray) -> np.ndarray | None:
        """Sigma of rows of the fit where it has a predictor, shape (S, rows); else None."""
        return None

    def smooth_effects(self) -> dict[str, np.ndarray]:
        """Effects of the smooths of mu's population, shape (..., q) as `values` has it."""
        effects = self.point_estimates()[1]
        return {g.name: effects[g.name][0] for g in self.model.design.mu.groups if g.is_smooth}

    @property
    def lost_coefficients(self) -> np.ndarray | None:
        """Which fixed effects have run away, shape (p,); None where none can."""
        return None

    @property
    def rows_run_apart(self) -> np.ndarray | None:
        """In which draws linear predictors of rows differ without a bound, as `values` has draws.

        None where none do.
        """
        return None

    def smooth(self) -> Smooth | None:
        """Parameters for the delta method; None where functions of them have draws."""
        return None

    # -- draws ----------------------------------------------------------------

    @abstractmethod
    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Draw all parameters jointly, group effects for some levels.

        Parameters
        ----------
        levels : mapping of str to ndarray of int
            By grouping factor, the levels whose effects are needed.
        n : int or None
            Number of draws; all there are, or the law's own number, by default.
        seed : int
        kind : {"mean", "response", "linear", "probability"}
            What will be predicted.
        """

    @abstractmethod
    def draw_labels(self, n: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the chains, and of the draws in each."""

    def predictor(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> Predictor:
        """Draws of what is asked of some rows."""
        number = checked_seed(seed, self.seed)
        levels = levels_of(rows)
        if request.forecast:
            check_forecast(self.model, request)
            levels = levels_of(rows, observed_rows(self.model, rows)[1])
        own = self.of(request.parameter) if request.parameter else self
        parameters = own.draw(levels, draws, number, request.kind)
        return Predictor(self.model, parameters, rows, request, self.row_seed(number))

    def row_seed(self, seed: int | None) -> int:
        """Seed of what is drawn for each row: parameters are the same in all batches of rows."""
        number = checked_seed(seed, self.seed)
        if not self.part:
            return number
        return int(np.random.SeedSequence([number, self.part]).generate_state(1)[0])

    def at_rows(self, model: StatedModel, part: int) -> Law:
        """Return the same law, whose rows are some that the fit has read in a batch.

        Parameters
        ----------
        model : StatedModel
            That of the fit, with these rows and all of its levels.
        part : int
            Number of the batch, from 0.

        Raises
        ------
        NotSupportedError
            If the law goes by rows itself.
        """
        raise NotSupportedError(f"{model.family} is not known of rows that are read in batches")

    def reaching(self, *tables: Any) -> Law:
        """Return the law of the model whose effects are also where further rows are.

        Parameters
        ----------
        *tables : tables
            Rows that are to be predicted; a later time or another place has an effect whose
            law follows from those of the fit.

        Returns
        -------
        Law
            This one, where all positions are known.

        Raises
        ------
        NotSupportedError
            If the covariance structure says nothing of a new position.
        """
        design = design_reaching(self.model.design, tables)
        if design is self.model.design:
            return self
        return self._reaching(self.model.with_parts(design=design))

    def seen_as(self, model: StatedModel) -> Law:
        """Return the law of another model with the same parameters.

        Parameters
        ----------
        model : StatedModel
            That of the fit with another view of its response.

        Raises
        ------
        NotSupportedError
            If the law goes by the family's own likelihood.
        """
        raise NotSupportedError(
            "of empirical Bayes this is known where each category has a linear predictor; fit() "
            "has it for ordered categories as well"
        )

    @abstractmethod
    def _reaching(self, model: StatedModel) -> Law:
        """The law of the same model with further positions."""

    # -- rows -----------------------------------------------------------------

    @abstractmethod
    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Estimate, sd, lower and upper of each row, shape (4, n)."""

    def lost_rows(self, rows: Rows, request: PredictionRequest) -> tuple[np.ndarray, str]:
        """Which rows rest on estimates that nothing is known about, shape (n,), and why."""
        return np.zeros(rows.n_rows, dtype=bool), ""

    @abstractmethod
    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Estimate of each row without its uncertainty, shape (n,)."""

    def linear(self, rows: Rows, weights: sparse.csr_matrix | None = None) -> Linear:
        """Mean and covariance of rows' linear predictors, or of combinations of them.

        From draws where the law has no exact moments.

        Parameters
        ----------
        rows : Rows
            With any X and Z: an effect itself is a row whose Z is 1 there.
        weights : sparse matrix, shape (K, n), optional
            Each row by itself by default.
        """
        predictor = self.predictor(rows, PredictionRequest(kind="linear"), None, None)
        drawn = predictor.all_draws(rows.n_rows, predictor.n_draws).T
        drawn = drawn if weights is None else weights @ drawn
        return Linear(mean=drawn.mean(axis=1), covariance=np.atleast_2d(np.cov(drawn)))

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Sums of averages of rows, with their joint law.

        An average of probabilities of categories has one quantity for each category, one
        behind the other.

        Parameters
        ----------
        parts : sequence of Averaged
            K averages each, which are added up.
        request : PredictionRequest
        inverse : callable, optional
            From the linear predictor that is asked for to what is averaged.
        draws : int, optional
        seed : int, optional
        """
        total: np.ndarray | float = 0.0
        for part in parts:
            predictor = self.predictor(part.rows, request, draws, seed)
            if request.kind == "probability":
                total = total + of_categories(predictor, part)
                continue
            drawn = predictor.all_draws(part.rows.n_rows, predictor.n_draws).T
            total = total + part.weights @ (drawn if inverse is None else inverse(drawn))
        return DrawnJointly(draws=np.asarray(total))

    def expected_probabilities(self, rows: Rows, request: PredictionRequest) -> np.ndarray | None:
        """Probability of each category at the estimates, shape (n, K); None where there are draws.

        Averaged over the group effects: given the data, or over all groups.
        """
        return None

    def _expected_averages(
        self, parts: Sequence[Averaged], request: PredictionRequest,
        expected: Callable[[Rows, PredictionRequest], np.ndarray],
    ) -> np.ndarray:  # fmt: skip
        """Sums of averages at the estimates, in the order of `jointly`."""
        total: np.ndarray | float = 0.0
        for part in parts:
            values = (
                self.expected_probabilities(part.rows, request)
                if request.kind == "probability"
                else expected(part.rows, request)
            )
            total = total + np.ravel(part.weights @ values)
        return np.asarray(total)

    @abstractmethod
    def source(self, draws: int | None, seed: int | None, parameter: str = "") -> Source:
        """What summarises averages of rows and their comparisons.

        The predictor of the response, or that of the parameter of the family that is named.
        """

    @abstractmethod
    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """The rows of the fit, and what it leaves of the response."""

    @abstractmethod
    def replicates(self, n: int, *, new_groups: bool, seed: int | None) -> tuple[Rows, np.ndarray]:
        """The rows of the fit, and whole responses for them, (rows, n), of counts (rows, n, K)."""

    @abstractmethod
    def calibration(self, seed: int | None) -> Calibration:
        """How the observations lie in their predictive distributions."""

    @abstractmethod
    def beside_data(self, n: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The response, and at most n replicates to set it beside, shape (R, rows)."""


def asks_the_law[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Let a method of a fit refuse, with the reason, arguments that its law does not have.

    Any other unknown argument is Python's `TypeError`.
    """
    own: Collection[str] = inspect.signature(method).parameters
    positions = list(own)
    name = getattr(method, "__name__", "")

    @functools.wraps(method)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        fit: Any = args[0]
        law: Law = fit._law
        for argument in (*positions[1 : len(args)], *map(str, kwargs)):
            if law.refuses(name, argument):
                raise NotSupportedError(f"{name}() {law.refused[argument]}")
        return method(*args, **kwargs)

    return asked
