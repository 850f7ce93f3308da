"""`StatedModel`: formula, data, family and priors put together, before anything is fitted."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast, get_args

import numpy as np
import pandas as pd

from bayesmix.answering import Answers
from bayesmix.arguments import one_of
from bayesmix.design import Design
from bayesmix.design.between import Matrices
from bayesmix.design.frame import column_names
from bayesmix.design.missing import MissingAction
from bayesmix.errors import (
    ArgumentError,
    FormulaError,
    NotApplicableError,
    NotSupportedError,
)  # fmt: skip
from bayesmix.families import Family, Gaussian, get_family
from bayesmix.families.checks import refuse_constant
from bayesmix.families.left_hand_side import check_counts, check_limits, check_row_data
from bayesmix.families.links import Link
from bayesmix.formula import Formula, parse_formulas, whole_formula
from bayesmix.priors.model_priors import ModelPriors
from bayesmix.priors.resolve import kept_priors, resolve_priors
from bayesmix.residual import Residual
from bayesmix.sources import is_source, open_source
from bayesmix.statement.combinations import (
    check_predictors,
    check_residual_formula,
    check_streamed,
    with_row_data,
)
from bayesmix.statement.designing import design_of, residual_of, streamed_design_of
from bayesmix.statement.equation import Equation, model_equation
from bayesmix.statement.names import model_names
from bayesmix.statement.pymc_changes import Changes, Statement, changes_since, statement_of
from bayesmix.statement.pymc_model import Parametrization, build_pymc_model
from bayesmix.statement.row_numbers import warn_of_row_numbers
from bayesmix.statement.specification import Specification
from bayesmix.statement.words import facts_in_words, model_in_words

if TYPE_CHECKING:
    from bayesmix.priors.prior import Prior

__all__ = ["FittableModel", "StatedModel"]


class StatedModel(Answers):
    """A mixed model as it is stated: all that results and engines know of a model.

    `Model`, which users make, is one that can also be fitted and updated.

    Parameters
    ----------
    formula, data, family, priors, functions, missing, weights, known_se, parametrization,
    learned_from, matrices
        As of `Model`.

    Attributes
    ----------
    formula : Formula
        That of the response.
    whole_formula : Formula
        The same with the columns and group terms of all predictors.
    design : Design
    family : Family
    y : ndarray, shape (n,)
        The response in numbers; counts of K categories have shape (n, K).
    rows : mapping of str to ndarray, shape (n,)
        What is given per row beside the response.
    row_columns : mapping of str to str
        Where new data hold the same.
    residual : Residual or None
        The covariance of what the predictors leave of a normal response; None for other
        families.
    names : Names
    specification : Specification
    """

    def __init__(
        self,
        formula: str | Sequence[str],
        data: Any,
        *,
        family: str | Family = "gaussian",
        priors: Mapping[str, Prior] | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        missing: MissingAction = "drop",
        weights: Any = None,
        known_se: Any = None,
        parametrization: Parametrization = "non-centered",
        learned_from: StatedModel | None = None,
        matrices: Mapping[str, Any] | Matrices | None = None,
    ) -> None:
        one_of("parametrization", parametrization, get_args(Parametrization))
        self.family: Family = get_family(family)
        self.specification = Specification(
            # What is neither is refused where it is read.
            formula=tuple(formula) if isinstance(formula, list | tuple) else cast("str", formula),
            family=self.family,
            priors=priors or {},
            functions=functions or {},
            missing=missing,
            weights=weights,
            known_se=known_se,
            parametrization=parametrization,
            matrices=Matrices(matrices),
        )
        self._data = data
        self._stated: Statement | None = None
        self._data_note = ""  # what is special about it, where something is
        source = open_source(data) if is_source(data) else None
        formulas = parse_formulas(
            formula,
            available=column_names(data) if source is None else source.columns,
            functions=functions,
        )
        self.formula: Formula = formulas.pop("mu")
        of_residual = formulas.pop("residual", None)
        check_counts(self.family, self.formula)
        if known_se is not None or weights is not None:
            self.family = with_row_data(
                self.family, self.formula, weights, known_se, formulas, of_residual
            )
        if self.family.replaces_intercept and not self.formula.has_intercept:
            raise FormulaError(
                f"the thresholds of the {self.family.name} family take the place of the "
                "intercept; take the 0 or -1 out",
                text=self.formula.text,
            )
        self.whole_formula: Formula = whole_formula([self.formula, *formulas.values()])
        check_residual_formula(self.formula, self.family, formulas, of_residual)
        if of_residual is not None and of_residual.groups[0].structure == "us":
            self.family = cast("Gaussian", self.family).with_own_scale()
        self.family = self.family.with_predictors(formulas)
        if not self.family.is_nominal:  # else its parameters are known with the response
            check_predictors(self.family, formulas)
        if learned_from is not None:
            learned_from = self._source_of_state(learned_from)
        self.learned_from: StatedModel | None = learned_from

        if source is None:
            self.design: Design
            self.design, self.family = design_of(
                self.formula, data, formulas, of_residual, self.family, self.specification,
                None if learned_from is None else learned_from.design,
            )  # fmt: skip
            warn_of_row_numbers(self.formula, self.design)
        else:
            others = [*formulas, *([] if of_residual is None else ["residual"])]
            check_streamed(self.family, others, self.specification, learns=learned_from is None)
            self.design = streamed_design_of(self.formula, source, self.family, self.specification)
        self.rows: Mapping[str, np.ndarray] = self.design.row_data
        # Where new data hold the same, if that was said by a column's name.
        self.row_columns: dict[str, str] = {
            name: value
            for name, value in (("weights", weights), ("known_se", known_se))
            if isinstance(value, str)
        }
        check_row_data(self.family, self.formula, self.rows)
        if source is None:
            self.y = self.family.response_values(
                self.design.response, self.formula, self.rows, self.design.row_labels
            )
            check_limits(self.family, self.y, self.rows, self.formula, self.design.row_labels)
        else:
            self.y = self.design.response  # sums of it
            if self.family.is_normal:
                refuse_constant(self.design.response, self.formula)
        of_other = None if learned_from is None else learned_from.residual
        self.residual: Residual | None = residual_of(self.design, self.family, of_other, self.y)
        self.names = model_names(self.design, self.family, self.residual)
        self.parametrization: Parametrization = parametrization
        # Names may be of nothing that is there, and scales of what is not known of the response.
        if priors or source is not None or not self.family.is_normal:
            self.prior_entries  # noqa: B018

    def _source_of_state(self, given: StatedModel) -> StatedModel:
        """The model that has learned, which must be of the same formula and family."""
        first = given.learned_from or given
        known = first.specification.formula, first.family
        own = self.family.with_response(first.design.response, self.formula)
        if known != (self.specification.formula, own):
            raise ArgumentError(
                f"learned_from= is a model {first.formula} of the family "
                f"{first.family}; it must have the same formula and family"
            )
        return first

    def with_parts(
        self,
        *,
        design: Design | None = None,
        y: np.ndarray | None = None,
        family: Family | None = None,
        priors: ModelPriors | None = None,
        specification: Specification | None = None,
        data: Any = None,
        data_note: str | None = None,
    ) -> Self:
        """Return a model with some of its parts exchanged, and nothing learned anew.

        Parameters
        ----------
        design : Design, optional
            For the same formula and family.
        y : ndarray, shape (n,), optional
            The response of its rows, in numbers.
        family : Family, optional
            One with the same parameters.
        priors : ModelPriors, optional
        specification : Specification, optional
        data : table, optional
            What `update` starts from.
        data_note : str, optional
            What is special about these data, for errors of `update`.

        Returns
        -------
        StatedModel
            A model of the same class.

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> other = model.with_parts()
        >>> other.design is model.design
        True
        """
        found = object.__new__(type(self))
        cached = {
            name
            for name in vars(self)
            if isinstance(getattr(type(self), name, None), functools.cached_property)
        }
        vars(found).update({k: v for k, v in vars(self).items() if k not in cached})
        if design is not None:
            found.design, found.rows = design, design.row_data
            found.names = model_names(design, self.family, self.residual)
        found.y = self.y if y is None else y
        found.family = self.family if family is None else family
        vars(found)["prior_entries"] = self.prior_entries if priors is None else priors
        found.specification = specification or self.specification
        found._data = self._data if data is None else data
        found._data_note = self._data_note if data_note is None else data_note
        return found

    @property
    def priors(self) -> pd.DataFrame:
        """Every prior in force: parameter, prior, origin ("default" or "user"), note."""
        return self.prior_entries.table()

    @functools.cached_property
    def pymc_model(self) -> Any:
        """The model in PyMC, a ``pm.Model`` to open, extend and sample by hand.

        Its variables are ``beta``, ``sd_<g>``, ``corr_<g>``, ``b_<g>`` and the
        family's parameters, on the scale that the formula writes. The data are
        in ``pm.Data`` containers. What is added to it or replaced in it counts:
        `fit()` then samples it with PyMC, and keeps the draws of new variables.
        """
        try:
            made = self._build_pymc_model()
        except NotSupportedError as error:  # of sums in the place of rows
            raise NotApplicableError(str(error)) from error
        self._stated = statement_of(made)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles take along: the PyMC model only where it was changed.

        Otherwise it is made anew when it is wanted. PyMC's own cannot be pickled but by
        cloudpickle, which PyMC needs itself.
        """
        state = dict(vars(self))
        changed = bool(self.pymc_changes)
        opened = state.pop("pymc_model", None)
        if changed:
            import cloudpickle

            state["_pymc_model_pickled"] = cloudpickle.dumps(opened)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        pickled = state.pop("_pymc_model_pickled", None)
        vars(self).update(state)
        if pickled is not None:
            import cloudpickle

            vars(self)["pymc_model"] = cloudpickle.loads(pickled)

    @property
    def pymc_changes(self) -> Changes:
        """How `pymc_model` differs from what the formula says; empty if it does not."""
        if "pymc_model" not in self.__dict__:  # nobody has seen it
            return Changes()
        if not hasattr(self.pymc_model, "named_vars"):
            raise ArgumentError(
                f"model.pymc_model is a {type(self.pymc_model).__name__}, not a pm.Model; "
                "`del model.pymc_model` brings the formula's back"
            )
        now = statement_of(self.pymc_model)
        return changes_since(self._stated_by_formula(), now, self.names.observed)

    def _stated_by_formula(self) -> Statement:
        """The statement of the PyMC model as it was made, or would be."""
        if self._stated is None:  # another model was put in its place
            self._stated = statement_of(self._build_pymc_model())
        return self._stated

    def _build_pymc_model(self) -> Any:
        return build_pymc_model(
            self.design, self.family, self.y, self.prior_entries, self.names, self.parametrization,
            self.residual,
        )  # fmt: skip

    @property
    def links(self) -> dict[str, Link]:
        """The link of each linear predictor, by parameter."""
        own = {"mu": self.family.link_functions}
        others = (name for name in self.design.predictors if name != "mu")
        return own | {name: self.family.parameter_link(name) for name in others}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The family's parameters that have no predictor of their own."""
        return tuple(self.prior_entries.family)

    @property
    def link_start(self) -> float:
        """Linear predictor of the mean response."""
        return self.family.response_scale(self.y, self.design.mu.offset, self.rows).center

    @functools.cached_property
    def prior_entries(self) -> ModelPriors:
        """The priors in force, as objects; REML and ML never ask."""
        given, first = self.specification.priors, self.learned_from
        own = resolve_priors(self.design, self.family, self.y, given, self.residual)
        if first is None:
            return own
        learned = resolve_priors(first.design, self.family, first.y, given, self.residual)
        return kept_priors(learned, own)

    def equation(self) -> Equation:
        """Write the model with its priors as LaTeX, which notebooks show as mathematics.

        Returns
        -------
        Equation
            A str.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> "Normal" in model.equation()
        True
        """
        return model_equation(self.design, self.family, self.prior_entries, self.residual)

    def graph(self) -> Any:
        """Draw the PyMC model as a graph.

        Returns
        -------
        ModelGraph
            A graphviz.Digraph by its attributes. Drawing it takes the program ``dot`` of
            graphviz: notebooks show the picture where that is installed, and elsewhere the
            variables as text with a line that says so. Its ``source`` is text that any
            graphviz reads.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> print(str(model.graph()).splitlines()[0].strip())
        digraph {
        """
        import pymc as pm

        from bayesmix.statement.graph import ModelGraph

        return ModelGraph(pm.model_to_graphviz(self.pymc_model), self.pymc_model.str_repr())

    def facts(self) -> tuple[str, ...]:
        """Return family, rows and groups, in lines for the head of a summary.

        Returns
        -------
        tuple of str

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> model.facts()
        ('family gaussian (identity link), 180 rows', 'groups: Subject (18 levels)')
        """
        return facts_in_words(self.design, self.family, self.residual)

    def __repr__(self) -> str:
        words = model_in_words(self.design, self.family, self.prior_entries, self.residual)
        changes = self.pymc_changes
        return f"{words}\npymc_model was changed by hand: {changes.words}" if changes else words


class FittableModel(StatedModel, ABC):
    """A stated model that can be fitted and changed: what refits ask for.

    `Model` is the one that users have. Results know of these three calls and not of what
    is behind them.
    """

    @abstractmethod
    def fit(self, *args: Any, **settings: Any) -> Any:
        """Sample the posterior."""

    @abstractmethod
    def fit_eb(self, *args: Any, **settings: Any) -> Any:
        """Set the variance parameters to their best values."""

    @abstractmethod
    def update(self, *args: Any, **changes: Any) -> Any:
        """Make a changed model."""
