"""A design of data that are read in batches: levels, states and sums of all rows, and no rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.aliasing import aliasing
from bayesmix.design.checks import check_sizes
from bayesmix.design.design import Design, build_design
from bayesmix.design.frame import unknown_column, which_columns
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.matrices import Columns, Functions
from bayesmix.design.missing import MissingAction, check_size
from bayesmix.design.predictor import LinearPredictor, full_rank, shared_columns
from bayesmix.design.rowdata import check_spread
from bayesmix.errors import OWN_FILES, DataError, NotSupportedError
from bayesmix.formula import Formula
from bayesmix.sources import Source
from bayesmix.streaming.first_pass import FirstPass, first_pass
from bayesmix.streaming.moments import ColumnSums, Triangle
from bayesmix.streaming.rows import Batch, Numbers, StreamedRows
from bayesmix.streaming.states import learn_states
from bayesmix.summed import Summed

__all__ = ["StreamedRows", "streamed_design"]

_ALIASED = "left out because earlier columns"  # said of a sample, and again of all rows


def streamed_design(
    formula: Formula,
    source: Source,
    *,
    numbers: Numbers,
    functions: Functions | None = None,
    missing: MissingAction = "drop",
    residual_is_estimated: bool = True,
    weights: Any = None,
    known_se: Any = None,
) -> Design:
    """Read a source as often as it takes to know what a normal model needs of its rows.

    Parameters
    ----------
    formula : Formula
    source : Source
    numbers : callable
        Makes numbers of a response.
    functions, missing, residual_is_estimated, weights, known_se
        As of `build_design`; weights and standard errors are names of columns.

    Returns
    -------
    Design
        With `Summed` columns where rows would be, and the rest in ``streamed``.

    Raises
    ------
    NotSupportedError
        If a term needs all rows at once.
    DataError, FormulaError
        As `build_design`.
    """
    _refuse_terms(formula)
    beside = _columns_beside(source, weights=weights, known_se=known_se)
    for name in formula.columns:
        if name not in source.columns:
            raise unknown_column(name, source.columns, formula, source)
    columns = tuple(dict.fromkeys([*formula.columns, *beside.values()]))
    groups = [term.columns for term in formula.groups if term.columns]
    first = first_pass(source, columns, groups, formula.categorical, missing, beside)
    sample = _design_of_sample(formula, first, functions, beside)
    rows = StreamedRows(
        source=source, design=sample, columns=columns, beside=beside, numbers=numbers
    )

    def frames() -> Iterator[pd.DataFrame]:
        return (one.frame for one in rows.frames())

    learn_states(_every_columns(sample), frames)
    return _summed(rows, first, residual_is_estimated=residual_is_estimated)


def _refuse_terms(formula: Formula) -> None:
    """Refuse what needs rows, or pairs of them, by name."""
    what = ""
    if formula.smooths:
        what = f"the smooth `{formula.smooths[0]}`, whose knots are of all values"
    elif formula.extras:
        what = f"`{formula.text.partition('~')[0].strip()}` on the left-hand side"
    for term in formula.groups:
        own = term.grouping
        if term.structure not in {"us", "diag"} or term.has_positions or term.joined:
            what = f"`{term.structure}(...)` by `{term.name}`"
        elif own is not None:
            what = f"the grouping factor `{term.name}` with gr(...) or mm(...)"
    if what:
        raise NotSupportedError(
            f"data that are read in batches cannot have {what}: read the columns that the model "
            "uses into a frame, as by pd.read_parquet(path, columns=[...])"
        )


def _columns_beside(source: Source, **given: Any) -> dict[str, str]:
    found = {}
    for argument, value in given.items():
        if value is None:
            continue
        if not isinstance(value, str):
            raise DataError(
                f"{argument}= is an array, and the data are read in batches: make it a column of "
                "the data and give its name"
            )
        if value not in source.columns:
            raise DataError(
                f"{argument}={value!r}: the data have no such column; "
                f"{which_columns(value, source.columns, source)}"
            )
        found[argument] = value
    return found


def _design_of_sample(
    formula: Formula, first: FirstPass, functions: Functions | None, beside: Mapping[str, str]
) -> Design:
    """Build a design as in memory; what it says of ranks is not of all rows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = build_design(
            formula, first.sample, functions=functions, residual_is_estimated=False,
            weights=beside.get("weights"), known_se=beside.get("known_se"),
        )  # fmt: skip
    for one in caught:
        if not str(one.message).startswith(_ALIASED):
            warnings.warn(one.message, one.category, skip_file_prefixes=OWN_FILES)
    return made


def _every_columns(design: Design) -> list[Columns]:
    mu = design.mu
    found: list[Any] = [mu.fixed_columns.terms, *mu.offset_columns]
    found += [] if design.response_columns is None else [design.response_columns]
    found += [columns for group in mu.groups for columns in group.terms]
    return [columns for columns in found if isinstance(columns, Columns)]


class _Sums:
    """What the pass over the arrays adds up."""

    def __init__(self, rows: StreamedRows) -> None:
        mu = rows.design.mu
        names = mu.fixed_columns.names
        X = mu.fixed_columns.build(rows.design.frame)
        y = rows.numbers(rows.design.response)
        has_constant = bool(mu.formula.has_intercept)
        shift = X.mean(axis=0) if has_constant else np.zeros(len(names))
        if "Intercept" in names and has_constant:
            shift[names.index("Intercept")] = 0.0
        y_shift = float(y.mean()) if has_constant else 0.0
        self.sample_X = X
        self.X, self.y = ColumnSums(len(names)), ColumnSums(3)
        # Where the columns of effects are those of X the sums are X's.
        own = mu.fixed_columns.terms
        self.Z = [
            self.X if len(g.terms) == 1 and g.terms[0] is own else ColumnSums(g.n_effects)
            for g in mu.groups
        ]
        self.beside = {argument: ColumnSums(1) for argument in rows.beside}
        self.ends: dict[str, list[tuple[float, Any]]] = {argument: [] for argument in rows.beside}
        self.log_weights = 0.0
        self.plain = Triangle(shift, y_shift)
        self.weighted = Triangle(shift, y_shift) if rows.beside else self.plain
        self.levels = [group.n_levels for group in mu.groups]
        self.cells: list[np.ndarray] = []

    def update(self, batch: Batch) -> None:
        """Add rows."""
        offset = np.zeros(len(batch.y)) if batch.offset is None else batch.offset
        self.X.update(batch.X)
        self.y.update(np.column_stack([batch.z, batch.y, offset]))
        for own, Z in zip(self.Z, batch.Z, strict=True):
            if own is not self.X:
                own.update(Z)
        self.plain.update(batch.X, batch.z, None)
        for argument, values in batch.beside.items():
            precision = values if argument == "weights" else values**-2.0
            self.beside[argument].update(values[:, None])
            for at in (int(values.argmin()), int(values.argmax())):
                self.ends[argument].append((float(values[at]), batch.labels[at]))
            self.log_weights += float(np.log(precision).sum())
            self.weighted.update(batch.X, batch.z, precision)
        if len(batch.index) > 1:
            self._add_cells(batch.index)

    def _add_cells(self, index: tuple[np.ndarray, ...]) -> None:
        """Note which levels are met together."""
        code = index[0]
        for size, own in zip(self.levels[1:], index[1:], strict=True):
            code = code * size + own
        self.cells.append(np.unique(code))
        if sum(map(len, self.cells)) > 2 * len(self.cells[0]) + 1_000_000:
            self.cells = [np.unique(np.concatenate(self.cells))]

    def combinations(self) -> tuple[np.ndarray, ...]:
        """Return the levels that are met together, an array for each grouping factor."""
        if len(self.levels) < 2:
            return tuple(np.arange(size) for size in self.levels)
        code, found = np.unique(np.concatenate(self.cells)), []
        for size in reversed(self.levels[1:]):
            code, own = np.divmod(code, size)
            found.append(own)
        return (code, *reversed(found))


def _summed(rows: StreamedRows, first: FirstPass, *, residual_is_estimated: bool) -> Design:
    """Add up the rows, and put the sums into their places."""
    sums, mu, name = _Sums(rows), rows.design.mu, rows.source.name
    if np.prod([float(size) for size in sums.levels]) > 2.0**62:
        raise NotSupportedError(
            "the grouping factors have more combinations of levels than data that are read in "
            "batches can number; read the columns that the model uses into a frame"
        )
    for batch in rows.batches():
        sums.update(batch)
    n = sums.X.n
    if n != first.n_obs:
        raise DataError(f"{name} had {first.n_obs} complete rows in one pass and {n} in the next")
    for argument, ends in sums.ends.items():
        values = np.asarray([value for value, _ in ends])
        check_spread(argument, values, pd.Index([label for _, label in ends]))
    names, text = mu.fixed_columns.names, mu.formula.response.text
    X = sums.X.summed(slice(None), "the fixed effects' columns", name)
    y = replace(
        sums.y.summed(1, "the response", name),
        less_offset=sums.y.summed(0, "the response less the offset", name),
    )
    check_size(X, names, "the fixed effect")
    check_size(sums.y.summed(slice(1, 2), "", name), (text,), "the response")
    groups = []
    for group, own in zip(mu.groups, sums.Z, strict=True):
        Z = own.summed(slice(None), f"the columns that vary by `{group.name}`", name)
        check_size(Z, group.effects, f"the effect by `{group.name}`")
        no_index: Any = Summed(n=n, what=f"the levels of `{group.name}`", source=name, flat=True)
        groups.append(replace(group, Z=Z, index=no_index))
    kept, aliased, combined = _ranks(sums, mu, n)
    fixed = tuple(names[j] for j in kept)
    check_sizes(n, len(kept), tuple(groups), residual_is_estimated=residual_is_estimated)
    predictor = replace(
        mu,
        X=X[:, kept],
        fixed_effects=fixed,
        aliased=aliased,
        aliasing=combined,
        terms={
            term: tuple(names[j] for j in at if j in kept)
            for term, at in mu.fixed_columns.columns_of_terms().items()
        },
        offset=None if mu.offset is None else sums.y.summed(2, "the offset", name),
        groups=_around_fixed(groups, rows, sums, kept, fixed),
    )
    beside = {
        argument: own.summed(0, f"{argument}=", name) for argument, own in sums.beside.items()
    }
    nothing: Any = Summed(n=n, what="the data frame", source=name)
    return replace(
        rows.design,
        predictors={"mu": predictor},
        response=y,
        frame=nothing,
        kinds=rows.design.frame.iloc[:0],
        row_labels=replace(nothing, what="the labels of the rows", flat=True),
        rows=replace(nothing, what="the positions of the rows", flat=True),
        n_rows_given=first.n_given,
        weights=beside.get("weights"),
        known_se=beside.get("known_se"),
        streamed=Streamed(rows, sums, kept),
    )


def _ranks(sums: _Sums, mu: LinearPredictor, n: int) -> tuple[list[int], tuple[str, ...], Any]:
    """Which columns are kept, those left out, and what these are: of all rows."""
    columns = mu.fixed_columns
    if len(columns.names) >= n:
        return list(range(len(columns.names))), (), None
    few = sums.plain.stand_in(sums.X.means, n)
    few[:, sums.X.tops == 0] = 0.0
    kept, aliased = full_rank(few, columns)
    combined = aliasing(few, columns.names, kept, kept) if aliased else None
    return kept, aliased, combined


def _around_fixed(
    groups: list[GroupingFactor], rows: StreamedRows, sums: _Sums, kept: list[int],
    fixed: tuple[str, ...],
) -> tuple[GroupingFactor, ...]:  # fmt: skip
    """Say which fixed effect each effect varies around, by the rows of the sample."""
    found = []
    for group, known in zip(groups, rows.design.mu.groups, strict=True):
        Z = known.build_Z(rows.design.frame)
        here = shared_columns(replace(known, Z=Z), sums.sample_X[:, kept], fixed)
        found.append(replace(group, fixed_column=here))
    return tuple(found)


class Streamed:
    """What the algebra needs of the rows beside their columns' sums.

    Attributes
    ----------
    triangle : Triangle
        R of the rows, weighted where there are weights.
    combinations : tuple of ndarray
        Levels that are met together.
    log_weights : float
        Sum of the logarithms of the precisions.
    """

    def __init__(self, rows: StreamedRows, sums: _Sums, kept: list[int]) -> None:
        self._rows, self._kept = rows, kept
        self.triangle, self.combinations = sums.weighted, sums.combinations()
        self.log_weights = sums.log_weights
        self.name = rows.source.name

    @property
    def kept(self) -> list[int]:
        """Columns of the triangle's X that the design keeps."""
        return self._kept

    def batches(self) -> Iterator[Batch]:
        """Read all rows once more; X without the columns that are left out."""
        for batch in self._rows.batches(checked=True):
            every = len(self._kept) == batch.X.shape[1]
            yield batch if every else replace(batch, X=batch.X[:, self._kept])
