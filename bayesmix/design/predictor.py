"""`LinearPredictor`: the columns of one parameter of the family, and how to make them again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design.aliasing import Aliasing, aliasing
from bayesmix.design.between import Matrices
from bayesmix.design.checks import check_sizes, warn_of_swapped_positions
from bayesmix.design.grouping import build_grouping_factors, smooth_factors
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.identified import check_identified
from bayesmix.design.matrices import (
    Columns,
    Functions,
    build_columns,
    expression_column,
    expression_values,
)
from bayesmix.design.missing import check_finite, check_size
from bayesmix.design.numerals import not_numbers
from bayesmix.design.rank import aliased_columns
from bayesmix.design.smooths import FixedColumns, SmoothColumns, build_smooths
from bayesmix.errors import OWN_FILES, DataError, DataWarning, FormulaError
from bayesmix.formula import Formula

__all__ = ["LinearPredictor", "build_predictor", "full_rank", "shared_columns"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LinearPredictor:
    """The linear predictor of one parameter: X beta + sum_k Z_k b_k + offset.

    Made of the right-hand side of one formula. What belongs to the rows (response,
    weights, labels) is in the `Design`, and the link in the model.
    Memory grows with n (p + q): no array has a column per level.

    Attributes
    ----------
    parameter : str
        Whose predictor it is: "mu", or a parameter of the family such as "sigma".
    formula : Formula
        For "mu" the model's; for another parameter the one that has it on its left.
    X : ndarray, shape (n, p)
        Columns of the fixed effects, without the aliased ones.
    fixed_effects : tuple of str, length p
        Their names.
    aliased : tuple of str
        Columns that were left out because earlier columns already span them.
    terms : mapping of str to tuple of str
        For each fixed term of the formula, the names of its columns in `X`.
    offset : ndarray, shape (n,), or None
        Sum of the ``offset(...)`` terms, on the scale of the linear predictor.
    groups : tuple of GroupingFactor
        All that have effects, smooths behind the others.
    fixed_columns : FixedColumns
        How the columns of X, and those left out, are built for new data.
    offset_columns : tuple of Columns
        The same for each ``offset(...)``.
    aliasing : Aliasing or None
        What the left-out columns are in the data; None where none was left out.
    borrowed : tuple of GroupingFactor
        Factors of another predictor whose effects play a part here as well: `design.joined`.
    learned_means : ndarray, shape (p,), or None
        Where the default prior of the intercept holds, if not at the means of X: those
        of the whole data, of which these are some rows.
    """

    parameter: str
    formula: Formula
    X: np.ndarray
    fixed_effects: tuple[str, ...]
    aliased: tuple[str, ...]
    terms: Mapping[str, tuple[str, ...]]
    offset: np.ndarray | None
    groups: tuple[GroupingFactor, ...]
    fixed_columns: FixedColumns
    offset_columns: tuple[Columns, ...] = ()
    aliasing: Aliasing | None = None
    learned_means: np.ndarray | None = None
    borrowed: tuple[GroupingFactor, ...] = ()

    @property
    def all_groups(self) -> tuple[GroupingFactor, ...]:
        """Every factor whose effects play a part, those of another predictor behind its own."""
        return (*self.groups, *self.borrowed)

    @property
    def n_obs(self) -> int:
        """Number of rows n."""
        return len(self.X)

    @property
    def has_intercept(self) -> bool:
        """Whether X holds the constant column that the formula's intercept makes."""
        return "Intercept" in self.fixed_effects and self.formula.has_intercept

    @property
    def slopes(self) -> tuple[int, ...]:
        """Positions of the fixed effects other than the intercept that the formula writes."""
        return tuple(
            j
            for j, name in enumerate(self.fixed_effects)
            if not (self.has_intercept and name == "Intercept")
        )

    @property
    def means(self) -> np.ndarray:
        """The columns' means, at which the default prior of the intercept holds, shape (p,)."""
        if self.learned_means is not None:
            return self.learned_means
        return np.asarray([column.mean() for column in self.X.T], dtype=np.float64)

    @property
    def all_fixed_columns(self) -> tuple[str, ...]:
        """Names of the columns of X with the aliased ones among them, in order."""
        known = {*self.fixed_effects, *self.aliased}
        return tuple(name for name in self.fixed_columns.names if name in known)

    @property
    def grouping(self) -> tuple[GroupingFactor, ...]:
        """Factors whose levels are groups of rows: all but smooths of the population."""
        return tuple(group for group in self.groups if not group.is_smooth)

    @property
    def smooths(self) -> tuple[SmoothColumns, ...]:
        """Smooths, those of levels among them, in the order of `groups`."""
        return tuple(group.smooth for group in self.groups if group.smooth is not None)

    def group(self, name: str) -> GroupingFactor:
        """Return the grouping factor called `name`, which is no smooth."""
        for group in self.grouping:
            if group.name == name:
                return group
        known = [group.name for group in self.grouping]
        listed = ", ".join(f"`{known}`" for known in known) or "none"
        near = did_you_mean(name, known, "`")
        raise DataError(f"there is no grouping factor `{name}`; {near}there are {listed}")

    def __repr__(self) -> str:
        parts = [f"{self.parameter}: {len(self.fixed_effects)} fixed effects"]
        parts += [f"{g.name}: {g.n_levels} levels x {g.n_effects}" for g in self.groups]
        return f"<LinearPredictor {'; '.join(parts)}>"


def build_predictor(
    parameter: str,
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    *,
    residual_is_estimated: bool,
    drop_intercept: bool = False,
    learned: LinearPredictor | None = None,
    matrices: Matrices | None = None,
) -> LinearPredictor:
    """Evaluate the right-hand side of a formula.

    Parameters
    ----------
    parameter : str
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
        The caller's own.
    labels : Index, length n
        Labels of the rows in the caller's data, for messages.
    residual_is_estimated : bool
        As of `build_design`.
    drop_intercept : bool
        Whether the constant column is taken out after X was coded with it.
    learned : LinearPredictor, optional
        The same of other data, whose columns are to be built again.
    matrices : Matrices, optional
        Known covariances between levels.

    Returns
    -------
    LinearPredictor

    Raises
    ------
    FormulaError
        If the formula does not fit the data.
    DataError
        If the data cannot be used: infinite values, one level.
    """
    if learned is None:
        fixed = build_columns(formula.fixed, frame, functions)
    else:
        terms = learned.fixed_columns.terms
        fixed = terms, terms.build(frame, labels)
    known_smooths = None if learned is None else learned.smooths
    smooths = build_smooths(formula, frame, functions, labels, known_smooths)
    with_columns = [parts for parts in smooths if parts.fixed.shape[1]]
    columns = FixedColumns(terms=fixed[0], smooths=tuple(parts.smooth for parts in with_columns))
    X = fixed[1]
    if with_columns:
        X = np.concatenate([X, *(parts.fixed for parts in with_columns)], axis=1)
    check_finite(X, columns.names, labels, "the fixed effect")
    check_size(X, columns.names, "the fixed effect")
    known_groups = () if learned is None else learned.all_groups
    groups = build_grouping_factors(
        formula, frame, functions, fixed, labels, known_groups, matrices
    )
    groups += smooth_factors(smooths, frame, formula)
    _check_names(groups, columns)
    for group in groups:
        if group.Z is X:
            continue
        check_finite(group.Z, group.effects, labels, f"the effect by `{group.name}`")
        check_size(group.Z, group.effects, f"the effect by `{group.name}`")
    kept, aliased = full_rank(X, columns)
    known_offsets = () if learned is None else learned.offset_columns
    offset, offset_columns = _offset(formula, frame, functions, labels, known_offsets)
    independent_X = X[:, kept] if aliased else X
    independent = kept
    if drop_intercept:
        kept = [j for j in kept if columns.names[j] != "Intercept"]
    check_sizes(len(X), len(kept), groups, residual_is_estimated=residual_is_estimated)
    warn_of_swapped_positions(groups, columns.names)
    names = tuple(columns.names[j] for j in kept)
    combined = aliasing(X, columns.names, kept, independent) if aliased else None
    X = independent_X if len(kept) == independent_X.shape[1] else X[:, kept]
    groups = tuple(replace(group, fixed_column=shared_columns(group, X, names)) for group in groups)
    check_identified(groups, independent_X, formula)
    return LinearPredictor(
        parameter=parameter,
        formula=formula,
        X=X,
        fixed_effects=names,
        aliased=aliased,
        terms={
            term: tuple(columns.names[j] for j in at if j in kept)
            for term, at in columns.columns_of_terms().items()
        },
        offset=offset,
        offset_columns=offset_columns,
        groups=groups,
        fixed_columns=columns,
        aliasing=combined,
        learned_means=None if learned is None else _means_of(names, X, learned),
    )


def _check_names(groups: Sequence[GroupingFactor], columns: FixedColumns) -> None:
    """Refuse a smooth that is called like something else."""
    names = [*(group.name for group in groups), *columns.names]
    for name in (n for group in groups if group.smooth is not None
                 for n in (group.name, *group.smooth.fixed_names)):  # fmt: skip
        if names.count(name) > 1:
            raise FormulaError(f"two parts of the model are called `{name}`; rename a column")


def _means_of(names: tuple[str, ...], X: np.ndarray, learned: LinearPredictor) -> np.ndarray:
    known = dict(zip(learned.fixed_effects, learned.means.tolist(), strict=True))
    return np.asarray(
        [known.get(name, column.mean()) for name, column in zip(names, X.T, strict=True)],
        dtype=np.float64,
    )


def shared_columns(
    group: GroupingFactor, X: np.ndarray, names: tuple[str, ...]
) -> tuple[int | None, ...]:
    """Find for each effect the fixed effect of the same term, be it written x:z or z:x.

    Parameters
    ----------
    group : GroupingFactor
    X : ndarray, shape (n, p)
    names : tuple of str, length p

    Returns
    -------
    tuple of int or None, length q
        None where there is none of this name, or it has other values.
    """
    parts = [sorted(name.split(":")) for name in names]
    found: list[int | None] = []
    for k, effect in enumerate(group.effects):
        same = [j for j, part in enumerate(parts) if part == sorted(effect.split(":"))]
        same = [j for j in same if np.array_equal(X[:, j], group.Z[:, k])]
        found.append(same[0] if same else None)
    return tuple(found)


def full_rank(X: np.ndarray, columns: FixedColumns) -> tuple[list[int], tuple[str, ...]]:
    """Positions of the columns to keep, and the names of the others."""
    everything = list(range(X.shape[1]))
    # With more columns than rows only the priors can tell them apart: all stay. Those of cells
    # without rows, which are zero, do not count: a nested factor has many.
    if np.count_nonzero(X.any(axis=0)) >= len(X):
        return everything, ()
    dropped = set(aliased_columns(X).tolist())
    if not dropped:
        return everything, ()
    names = tuple(columns.names[j] for j in sorted(dropped))
    warnings.warn(
        f"left out because earlier columns already determine them: {', '.join(names)}",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )
    return [j for j in everything if j not in dropped], names


def _offset(
    formula: Formula, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any],
    learned: tuple[Columns, ...] = (),
) -> tuple[np.ndarray | None, tuple[Columns, ...]]:  # fmt: skip
    if not formula.offsets:
        return None, ()
    total = np.zeros(len(frame))
    columns = []
    for k, piece in enumerate(formula.offsets):
        values = expression_values(piece.expr, frame, functions)
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            raise FormulaError(
                f"offset({piece.text}) is not numeric: {not_numbers(values)}",
                text=formula.text,
                start=piece.start,
                stop=piece.stop,
            )
        if learned:
            column, numbers = learned[k], learned[k].build(frame, labels)[:, 0]
        else:
            column, numbers = expression_column(piece.expr, frame, functions)
        check_finite(numbers[:, None], (f"offset({piece.text})",), labels, "the term")
        total += numbers
        columns.append(column)
    return total, tuple(columns)
