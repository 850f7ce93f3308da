"""A design of data that are read in batches: levels, states and sums of all rows, and no rows."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
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
from bayesmix.streaming.remembered import Remembered, few_rows
from bayesmix.streaming.rows import Batch, Numbers, StreamedRows
from bayesmix.streaming.states import known_states, learn_states, states_of
from bayesmix.streaming.sums import Sums
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
    if isinstance(source, Remembered):
        source.check(formula.text, beside)
        first = FirstPass(sample=source.frame, n_given=source.n_given, n_obs=source.n_obs)
        sample = _design_of_sample(formula, first, functions, beside)
        rows = StreamedRows(
            source=source, design=sample, columns=columns, beside=beside, numbers=numbers
        )
        known_states(_every_columns(sample), source.states)
        sums = Sums(rows).restore(source.arrays, source.n_obs)
        return _assembled(rows, sums, first, residual_is_estimated=residual_is_estimated)
    groups = [term.columns for term in formula.groups if term.columns]
    first = first_pass(source, columns, groups, formula.categorical, missing, beside)
    sample = _design_of_sample(formula, first, functions, beside)
    rows = StreamedRows(
        source=source, design=sample, columns=columns, beside=beside, numbers=numbers
    )

    def gather(make: Callable[[], Any]) -> Any:
        return rows.gather(functools.partial(_over_frames, make))

    learn_states(_every_columns(sample), gather)
    sums = _summed(rows, first)
    return _assembled(rows, sums, first, residual_is_estimated=residual_is_estimated)


def _refuse_terms(formula: Formula) -> None:
    """Refuse what needs rows, or pairs of them, by name."""
    what = ""
    if formula.smooths:
        what = f"the smooth `{formula.smooths[0]}`, whose knots are of all values"
    elif set(formula.extras) - {"trials"}:
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


def _over_frames(make: Callable[[], Any], rows: StreamedRows) -> Any:
    found = make()
    for one in rows.frames():
        found.update(one.frame)
    return found


def _over_batches(rows: StreamedRows) -> Sums:
    found = Sums(rows)
    for batch in rows.batches():
        found.update(batch)
    return found


def _summed(rows: StreamedRows, first: FirstPass) -> Sums:
    """Add up the rows."""
    levels, name = [group.n_levels for group in rows.design.mu.groups], rows.source.name
    if np.prod([float(size) for size in levels]) > 2.0**62:
        raise NotSupportedError(
            "the grouping factors have more combinations of levels than data that are read in "
            "batches can number; read the columns that the model uses into a frame"
        )
    sums = rows.gather(_over_batches)
    n = sums.X.n
    if n != first.n_obs:
        raise DataError(f"{name} had {first.n_obs} complete rows in one pass and {n} in the next")
    for argument, ends in sums.ends.items():
        values = np.asarray([value for value, _ in ends])
        check_spread(argument, values, pd.Index([label for _, label in ends]))
    return sums


def _assembled(
    rows: StreamedRows, sums: Sums, first: FirstPass, *, residual_is_estimated: bool
) -> Design:
    """Put the sums into the places of the rows."""
    n, mu, name = sums.X.n, rows.design.mu, rows.source.name
    names, text = mu.fixed_columns.names, mu.formula.response.text
    X = sums.X.summed(slice(None), "the fixed effects' columns", name)
    y = replace(
        sums.y.summed(1, "the response", name),
        less_offset=sums.y.summed(0, "the response less the offset", name),
        column_dtype=rows.design.response.dtype,
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
    extras = {argument: own.summed(0, argument, name) for argument, own in sums.extras.items()}
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
        extras=extras,
        streamed=Streamed(rows, sums, kept),
    )


def _ranks(sums: Sums, mu: LinearPredictor, n: int) -> tuple[list[int], tuple[str, ...], Any]:
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
    groups: list[GroupingFactor], rows: StreamedRows, sums: Sums, kept: list[int],
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
    products : ndarray or None
        The cross-products as the algebra lays them out, once they are known.
    """

    def __init__(self, rows: StreamedRows, sums: Sums, kept: list[int]) -> None:
        self._rows, self._kept, self._sums = rows, kept, sums
        self.triangle, self.combinations = sums.weighted, sums.combinations()
        self.log_weights = sums.log_weights
        self.name = rows.source.name
        own = rows.source
        self.products: np.ndarray | None = own.products if isinstance(own, Remembered) else None

    @property
    def rows(self) -> StreamedRows:
        """Where the rows are, and how their arrays are built."""
        return self._rows

    @property
    def kept(self) -> list[int]:
        """Columns of the triangle's X that the design keeps."""
        return self._kept

    def remembered(self, formula: str, n_given: int) -> Remembered:
        """What a file keeps of the rows: labels, states and sums.

        Parameters
        ----------
        formula : str
        n_given : int
            Rows with the incomplete ones.
        """
        rows = self._rows
        if self.products is None:
            raise DataError("the cross-products are not known yet")
        return Remembered(
            rows.source.name,
            formula=formula,
            beside=rows.beside,
            frame=few_rows(rows.design, rows.beside),
            states=states_of(_every_columns(rows.design)),
            arrays=self._sums.arrays(),
            products=self.products,
            n_given=n_given,
            n_obs=self._sums.X.n,
        )

    def gather(self, make: Callable[[], Any]) -> Any:
        """Read all rows once more; X without the columns that are left out.

        Parameters
        ----------
        make : callable
            Makes sums of no rows, with `update` and `merge`.
        """
        return self._rows.gather(functools.partial(_over_kept, make, self._kept))

    def batches(self) -> Iterator[Batch]:
        """Read all rows once more here; X without the columns that are left out."""
        return _kept_batches(self._kept, self._rows)


def _kept_batches(kept: list[int], rows: StreamedRows) -> Iterator[Batch]:
    for batch in rows.batches(checked=True):
        every = len(kept) == batch.X.shape[1]
        yield batch if every else replace(batch, X=batch.X[:, kept])


def _over_kept(make: Callable[[], Any], kept: list[int], rows: StreamedRows) -> Any:
    found = make()
    for batch in _kept_batches(kept, rows):
        found.update(batch)
        if getattr(found, "is_full", False):  # no further row changes it
            break
    return found
