"""Grouping factors: levels, the level of each row, and the columns that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.between import Between, Matrices, levels_of_between
from bayesmix.design.by_level import LevelColumns, by_levels, effects_there_are, repeated
from bayesmix.design.dates import day_alone
from bayesmix.design.matrices import Columns, Functions, OtherColumns, build_columns
from bayesmix.design.membership import MembershipColumns, learn_membership
from bayesmix.design.positions import PositionColumns, learn_positions
from bayesmix.design.smooths import SmoothColumns, SmoothParts
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["Block", "GroupingFactor", "Levels", "build_grouping_factors", "smooth_factors"]

AnyColumns = Columns | LevelColumns | MembershipColumns | OtherColumns | PositionColumns

# Possible levels per row up to which those that occur are counted, not searched for.
_SPARSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive effects of one grouping factor that come from one term.

    Attributes
    ----------
    start, stop : int
        Half-open range among the effects of the grouping factor.
    structure : str
        The word of their covariance structure: "us" of ``|``, "diag" of ``||``.
    positions : ndarray, shape (size, d), or None
        Where each effect is, for structures of times and places.
    label : str
        What the one standard deviation of a smooth's effects is called; empty for others.
    options : mapping of str to int
        What the structure is given beside: ``d`` of ``rr``.
    """

    start: int
    stop: int
    structure: str
    positions: np.ndarray | None = None
    label: str = ""
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of effects."""
        return self.stop - self.start

    @property
    def unstructured(self) -> bool:
        """Whether each pair of effects has a covariance of its own."""
        return self.structure == "us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The observed levels of a grouping factor.

    Attributes
    ----------
    columns : tuple of str
        The columns whose combinations are the levels.
    labels : ndarray of str, shape (G,)
        ``"308"``, or ``"1:2"`` for a combination of columns.
    values : DataFrame, G rows
        The value of each column at each level.
    """

    columns: tuple[str, ...]
    labels: np.ndarray
    values: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def index_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Level of each row of a frame; of no columns there is one.

        Parameters
        ----------
        frame : DataFrame, n rows
            Holds the columns of the grouping factor; values may be missing.

        Returns
        -------
        ndarray of int32, shape (n,)
            -1 where the level is unknown or missing.
        """
        if not self.columns:
            return np.zeros(len(frame), dtype=np.int32)
        known = pd.MultiIndex.from_arrays([_labels(self.values[c]) for c in self.columns])
        wanted = pd.MultiIndex.from_arrays([_labels(frame[c]) for c in self.columns])
        return np.asarray(known.get_indexer(wanted), dtype=np.int32)

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Label of each row of a frame, whether or not it is a known level.

        Parameters
        ----------
        frame : DataFrame, n rows
            Holds the columns of the grouping factor.

        Returns
        -------
        ndarray of object, shape (n,)
            Text; None where a column has a missing value.
        """
        if not self.columns:
            return np.repeat(self.labels, len(frame))
        parts = [_labels(frame[column]) for column in self.columns]
        out = np.empty(len(frame), dtype=object)
        for i, level in enumerate(zip(*parts, strict=True)):
            out[i] = None if None in level else ":".join(level)
        return out

    def spelled(self, column: str, frame: pd.DataFrame) -> tuple[set[str], set[str]]:
        """How the values of one column are written, in the levels and in a frame.

        Parameters
        ----------
        column : str
            One of the columns of the levels.
        frame : DataFrame

        Returns
        -------
        known, given : set of str
            Without missing values.
        """
        found = (_labels(self.values[column]), _labels(frame[column].drop_duplicates()))
        known, given = ({label for label in labels if label is not None} for labels in found)
        return known, given


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingFactor:
    """One grouping factor ``g`` with everything that varies by it.

    All terms on one grouping factor are gathered here, in order.

    Attributes
    ----------
    name : str
        ``Subject``, or ``hospital:ward``.
    levels : Levels
        The G levels.
    index : ndarray of int32, shape (n,)
        Level of each row.
    effects : tuple of str, length q
        Names of the columns of `Z`.
    blocks : tuple of Block
        How the effects divide into terms.
    Z : ndarray, shape (n, q)
        The columns that are multiplied with the group effects.
    terms : tuple of Columns, LevelColumns or PositionColumns
        How the columns of `Z` are built for new data.
    fixed_column : tuple of int or None, length q
        For each effect the same column of X: the fixed effect it varies around.
    smooth : SmoothColumns or None
        The smooth whose penalised columns these are.
    between : Between, optional
        A known covariance between the levels, which are then all of its own, whether or
        not they are in the data; otherwise levels are independent.
    present : ndarray of bool, shape (G, q), optional
        Which effects a level has, where it does not have all: those of other levels of
        ``by=`` are in no row of it.
    is_student : bool
        Whether the effects of a level are multivariate t, and not normal.
    joined : str
        The word that joins its effects with those of other predictors; empty without.
    owner : str
        The predictor whose effects these are, where another one borrows them.
    """

    name: str
    levels: Levels
    index: np.ndarray
    effects: tuple[str, ...]
    blocks: tuple[Block, ...]
    Z: np.ndarray
    terms: tuple[AnyColumns, ...]
    fixed_column: tuple[int | None, ...] = ()
    smooth: SmoothColumns | None = None
    between: Between | None = None
    present: np.ndarray | None = None
    is_student: bool = False
    joined: str = ""
    owner: str = ""

    @property
    def is_smooth(self) -> bool:
        """Whether it is a curve of the whole population, and its one level no group."""
        return self.smooth is not None and not self.smooth.at_levels

    @property
    def is_membership(self) -> bool:
        """Whether rows belong to several levels, which are then its effects, with one sd."""
        return len(self.terms) == 1 and isinstance(self.terms[0], MembershipColumns)

    @property
    def n_levels(self) -> int:
        """Number of levels G."""
        return len(self.levels)

    @property
    def n_effects(self) -> int:
        """Number of effects q per level."""
        return len(self.effects)

    @property
    def n_members(self) -> int:
        """Number of what users call the levels: of ``mm(...)`` those that a row has several of."""
        return self.n_effects if self.is_membership else self.n_levels

    @property
    def varying(self) -> tuple[str, ...]:
        """What tables of levels have as effects: of ``mm(...)`` the intercept."""
        return ("Intercept",) if self.is_membership else self.effects

    @property
    def integrates(self) -> bool:
        """Whether a level's effects are normal given all parameters and other levels' effects."""
        return self.between is None and not self.is_student

    @property
    def variance_of_rows(self) -> np.ndarray | float:
        """What the variance of a level's effects is multiplied by in each row, shape (n,) or 1."""
        return 1.0 if self.between is None else self.between.variances[self.index]

    @property
    def mean_variance(self) -> float:
        """The same, averaged over the rows."""
        return float(np.mean(self.variance_of_rows))

    @property
    def may_be_one_level(self) -> bool:
        """Whether the effects of a single level tell their variances: a series, a field."""
        words = [STRUCTURE_WORDS.get(block.structure) for block in self.blocks]
        return self.is_membership or all(word is not None and word.one_series for word in words)

    def build_Z(  # noqa: N802
        self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None
    ) -> np.ndarray:
        """Build the columns of `Z` for a prepared frame, shape (n, q)."""
        if self.smooth is not None:
            return self.smooth.build(frame, labels)[1]
        return np.concatenate([term.build(frame, labels) for term in self.terms], axis=1)


def build_grouping_factors(
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    fixed: tuple[Columns, np.ndarray],
    labels: pd.Index[Any],
    learned: Sequence[GroupingFactor] = (),
    matrices: Matrices | None = None,
) -> tuple[GroupingFactor, ...]:
    """Build every grouping factor of a formula.

    Parameters
    ----------
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
    fixed : tuple of Columns and ndarray
        The fixed effects, whose columns are shared where the terms are the same.
    labels : Index, length n
        The labels of the rows in the caller's data, for messages.
    learned : sequence of GroupingFactor
        The same grouping factors of other data, whose columns are to be built again.
    matrices : Matrices, optional
        Known covariances between levels.

    Returns
    -------
    tuple of GroupingFactor

    Raises
    ------
    DataError
        If a grouping factor has one level, or a name that cannot be stored.
    FormulaError
        If a grouping factor is continuous.
    """
    factors = []
    for name in formula.grouping_factors:
        terms = [term for term in formula.groups if term.name == name]
        _check_name(name)
        if len({term.columns for term in terms}) > 1:
            raise DataError(f"the name `{name}` is that of a single group; rename the column")
        if terms[0].grouping is not None and terms[0].grouping.is_membership:
            before = [group for group in learned if group.name == name]
            factors.append(_membership_factor(terms[0], frame, labels, formula, before))
            continue
        between = (matrices or Matrices()).of(terms[0], formula)
        if between is None:
            levels, index = _levels(terms, frame, formula)
        else:
            levels, index = _levels_of(between, terms[0], frame)
        if len({term.joined for term in terms}) > 1:
            raise FormulaError(
                f"the effects by `{name}` are all joined with those of other formulas, or none: "
                "write them into one term",
                text=formula.text, start=terms[-1].start, stop=terms[-1].stop,
            )  # fmt: skip
        known = [
            columns for group in learned if group.name == name for columns in group.terms
            if not isinstance(columns, OtherColumns)
        ]  # fmt: skip
        if known:
            built = [
                _built_again(columns, term, frame, fixed)
                for columns, term in zip(known, terms, strict=True)
            ]
        else:
            built = [
                _positions(term, frame, functions, labels, formula)
                if term.has_positions
                else _effects(term, frame, functions, fixed)
                for term in terms
            ]
            if terms[0].grouping is not None and terms[0].grouping.by is not None:
                built = [
                    part
                    for term, (columns, values) in zip(terms, built, strict=True)
                    for part in by_levels(term, columns, values, frame, formula)
                ]
        terms = repeated(terms, len(built))
        effects = tuple(effect for columns, _ in built for effect in columns.names)
        for effect in effects:
            if effects.count(effect) > 1:
                raise FormulaError(
                    f"the effect `{effect}` varies by `{name}` twice",
                    text=formula.text,
                    start=terms[-1].start,
                    stop=terms[-1].stop,
                )
        parts = [values for _, values in built]
        factors.append(
            GroupingFactor(
                name=name,
                levels=levels,
                index=index,
                effects=effects,
                blocks=_blocks(terms, [columns for columns, _ in built], formula),
                Z=parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1),
                terms=tuple(columns for columns, _ in built),
                between=between,
                is_student=terms[0].grouping is not None and terms[0].grouping.dist == "student",
                joined=terms[0].joined,
                present=effects_there_are(
                    [columns for columns, _ in built], frame, index, levels.labels, name
                ),
            )
        )
    return tuple(factors)


def _membership_factor(
    term: GroupTerm, frame: pd.DataFrame, labels: pd.Index[Any], formula: Formula,
    learned: Sequence[GroupingFactor],
) -> GroupingFactor:  # fmt: skip
    """One level that all rows share, with an effect for each level of ``mm(...)``."""
    columns, Z = learn_membership(term, frame, formula, labels)
    if learned:
        (known,) = learned[0].terms
        assert isinstance(known, MembershipColumns)  # noqa: S101
        columns = known.with_levels_of(frame)
        Z = columns.build(frame, labels)
    one = np.asarray([term.name], dtype=object)
    return GroupingFactor(
        name=term.name,
        levels=Levels(columns=(), labels=one, values=pd.DataFrame(index=range(1))),
        index=np.zeros(len(frame), dtype=np.int32),
        effects=columns.names,
        blocks=(Block(start=0, stop=len(columns.names), structure="homdiag", label="Intercept"),),
        Z=Z,
        terms=(columns,),
    )


def smooth_factors(
    smooths: Sequence[SmoothParts], frame: pd.DataFrame, formula: Formula
) -> tuple[GroupingFactor, ...]:
    """Make a grouping factor of the penalised columns of each smooth.

    That of the population has one level, called like the smooth; curves of levels have
    those of their factor.

    Parameters
    ----------
    smooths : sequence of SmoothParts
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    formula : Formula

    Returns
    -------
    tuple of GroupingFactor

    Raises
    ------
    DataError
        If the factor of a factor smooth has one level.
    FormulaError
        If it is continuous.
    """
    factors = []
    for parts in smooths:
        own = parts.smooth
        if own.at_levels:
            term = GroupTerm(
                effects=(),
                columns=(own.term.group,),
                structure="homdiag",
                start=own.term.start,
                stop=own.term.stop,
            )
            levels, index = _levels([term], frame, formula)
        else:
            labels = np.asarray([own.name], dtype=object)
            levels = Levels(columns=(), labels=labels, values=pd.DataFrame(index=range(1)))
            index = np.zeros(len(frame), dtype=np.int32)
        stops = np.cumsum([size for _, size in own.blocks]).tolist()
        blocks = tuple(
            Block(start=stop - size, stop=stop, structure="homdiag", label=label)
            for (label, size), stop in zip(own.blocks, stops, strict=True)
        )
        factors.append(
            GroupingFactor(
                name=own.name,
                levels=levels,
                index=index,
                effects=own.effect_names,
                blocks=blocks,
                Z=parts.penalised,
                terms=(),
                smooth=own,
            )
        )
    return tuple(factors)


def _effects(
    term: GroupTerm,
    frame: pd.DataFrame,
    functions: Functions,
    fixed: tuple[Columns, np.ndarray],
) -> tuple[Columns, np.ndarray]:
    columns, X = fixed
    if list(columns.spec.formula) == list(term.effects):
        return fixed  # the same columns in the same coding: share the memory
    if [str(effect) for effect in term.effects] == ["1"] and columns.names[:1] == ("Intercept",):
        built = build_columns(term.effects, frame.iloc[:1], functions)[0]
        return built, X[:, :1]
    return build_columns(term.effects, frame, functions)


def _positions(
    term: GroupTerm, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any],
    formula: Formula,
) -> tuple[PositionColumns, np.ndarray]:  # fmt: skip
    columns = learn_positions(term, frame, functions, labels, formula)
    return columns, columns.build(frame)


def _built_again(
    columns: AnyColumns, term: GroupTerm, frame: pd.DataFrame,
    fixed: tuple[Columns, np.ndarray],
) -> tuple[AnyColumns, np.ndarray]:  # fmt: skip
    """Columns by what they learned; positions that are new come in addition.

    Positions without rows stay where their effects share a standard deviation. One of
    their own could not be told.
    """
    if columns is fixed[0]:
        return fixed
    if isinstance(columns, PositionColumns):
        tied = STRUCTURE_WORDS[term.structure].tied
        columns = columns.with_positions_of(frame) if tied else columns.at_positions_of(frame)
    return columns, columns.build(frame)


def _blocks(
    terms: Sequence[GroupTerm],
    built: Sequence[AnyColumns],
    formula: Formula,
) -> tuple[Block, ...]:
    out: list[Block] = []
    for term, columns in zip(terms, built, strict=True):
        start, size = out[-1].stop if out else 0, len(columns.names)
        rank = term.options.get("d", 0)
        if rank >= size:
            raise FormulaError(
                f"the rank d={rank} of {term} must be below its number of effects, {size}: "
                f"write ({term.left} | {term.name}) for correlations without a bound on the rank",
                text=formula.text, start=term.start, stop=term.stop,
            )  # fmt: skip
        where = columns.positions if isinstance(columns, PositionColumns) else None
        out.append(
            Block(start=start, stop=start + size, structure=term.structure, positions=where,
                  options=term.options)
        )  # fmt: skip
    return tuple(out)


def _levels(
    terms: Sequence[GroupTerm], frame: pd.DataFrame, formula: Formula
) -> tuple[Levels, np.ndarray]:
    """Observed combinations of the columns, in the order of the columns' own levels."""
    term = terms[0]
    if not term.columns:
        values = pd.DataFrame(index=[0])
        one = Levels(columns=(), labels=np.asarray([term.name], dtype=object), values=values)
        return one, np.zeros(len(frame), dtype=np.int32)
    code, n_levels = np.zeros(0, dtype=np.int32), 1
    for k, column in enumerate(term.columns):
        codes, n_values = _codes(frame[column], term, formula)
        if k > 0:
            codes = code.astype(np.int64) * n_values + codes
        # Renumbered after each column, so that the product cannot overflow.
        code, n_levels = _renumbered(codes, n_levels * n_values)
    first = np.zeros(n_levels, dtype=np.int64)
    first[code[::-1]] = np.arange(len(frame) - 1, -1, -1)
    values = frame[list(term.columns)].iloc[first].reset_index(drop=True)
    parts = [_labels(values[column]).astype(str) for column in term.columns]
    labels = np.asarray([":".join(level) for level in zip(*parts, strict=True)], dtype=object)
    one_series = all(STRUCTURE_WORDS[term.structure].one_series for term in terms)
    if n_levels < 2 and not one_series:
        raise DataError(
            f"the grouping factor `{term.name}` has one level ({labels[0]}); "
            "a variance between levels needs at least two, so leave the term out"
        )
    if len(set(labels)) < n_levels:
        raise DataError(
            f'two levels of `{term.name}` have the same label (1 and "1", or values with a '
            f"colon); rename the values of {' or '.join(f'`{c}`' for c in term.columns)}"
        )
    return Levels(columns=term.columns, labels=labels, values=values), code


def _levels_of(between: Between, term: GroupTerm, frame: pd.DataFrame) -> tuple[Levels, np.ndarray]:
    """All levels of a known covariance, in its order, and the level of each row."""
    (column,) = term.columns
    codes, found = pd.factorize(_labels(frame[column]))
    index = between.known.places(found, between.name)[codes].astype(np.int32)
    values = pd.DataFrame({column: levels_of_between(between, frame[column])})
    return Levels(
        columns=term.columns, labels=np.asarray(between.known.labels, dtype=object), values=values
    ), index


def _codes(column: pd.Series[Any], term: GroupTerm, formula: Formula) -> tuple[np.ndarray, int]:
    """A number below the one returned for each value, in the order of the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int32), len(column.cat.categories)
    values = column.to_numpy()
    if values.dtype.kind == "f":
        bad = np.flatnonzero((values != np.floor(values)) | ~np.isfinite(values))
        if bad.size:
            raise FormulaError(
                f"the grouping factor `{column.name}` is continuous "
                f"(it holds {values[bad[0]]:g}); group by a category, or cut it into one first",
                text=formula.text,
                start=term.start,
                stop=term.stop,
            )
    if values.dtype.kind in "iu":
        lowest = values.min()
        span = int(values.max()) - int(lowest) + 1
        if span <= _SPARSE * len(values):  # the values themselves number the levels
            return (values - lowest).astype(np.int32), span
    codes, unique = pd.factorize(values, sort=True)
    return codes, len(unique)


def _renumbered(code: np.ndarray, n_possible: int) -> tuple[np.ndarray, int]:
    """Number the codes that occur from zero, in their order; and how many there are."""
    if n_possible > _SPARSE * len(code):
        values, code = np.unique(code, return_inverse=True)
        return code.astype(np.int32), len(values)
    occurs = np.bincount(code, minlength=n_possible) > 0
    if not occurs.all():
        code = (np.cumsum(occurs, dtype=np.int32) - 1)[code]
    return code.astype(np.int32, copy=False), int(occurs.sum())


def _labels(column: pd.Series[Any]) -> np.ndarray:
    """Text for each value, the same whatever type a column arrives in."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = column.astype(str).where(column.notna())
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) != "string":
        return np.asarray([_label(value) for value in column], dtype=object)
    codes, values = pd.factorize(column)  # a label is written once for all of its rows
    return np.asarray([*map(_label, values.astype(object)), None], dtype=object)[codes]


def _label(value: Any) -> str | None:
    if pd.isna(value):
        return None
    # A column of integers with holes arrives as floats: 308.0 is still level 308.
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return day_alone(str(value))


def _check_name(name: str) -> None:
    if name == "Residual":
        raise DataError("the name `Residual` is the residual's; rename the grouping factor")
    if "/" in name:
        raise DataError(
            f"the grouping factor `{name}` has a / in its name, which results cannot be "
            "stored under; rename the column"
        )
