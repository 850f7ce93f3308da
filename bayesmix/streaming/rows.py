"""`StreamedRows`: the rows of a design, built anew batch by batch in each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.design import Design
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.matrices import expression_values
from bayesmix.design.missing import check_finite
from bayesmix.design.rowdata import positive_values, response_extras
from bayesmix.formula.quoting import encode
from bayesmix.sources import Merges, Source, TableSource
from bayesmix.streaming.batches import raw_batches
from bayesmix.streaming.kinds import as_fitted, level_finder

__all__ = ["Batch", "Frame", "StreamedRows"]

Numbers = Callable[[Any, Mapping[str, np.ndarray], "pd.Index[Any]"], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Complete rows, prepared as those of the design are.

    Attributes
    ----------
    frame : DataFrame, n rows
    raw : DataFrame, n rows
        As they were read, with their labels.
    """

    frame: pd.DataFrame
    raw: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The arrays of some rows.

    Attributes
    ----------
    X : ndarray, shape (n, P)
        With the columns that the design leaves out.
    y : ndarray, shape (n,)
    offset : ndarray, shape (n,), or None
    beside : mapping of str to ndarray, shape (n,)
        "weights" or "known_se".
    extras : mapping of str to ndarray, shape (n,)
        "trials", where the left-hand side says them.
    Z : tuple of ndarray, shape (n, q)
        By grouping factor.
    index : tuple of ndarray of int64, shape (n,)
    labels : Index, length n
        Positions in the data.
    frame : DataFrame, n rows
        The columns, prepared as those of the design are.
    """

    X: np.ndarray
    y: np.ndarray
    offset: np.ndarray | None
    beside: Mapping[str, np.ndarray]
    extras: Mapping[str, np.ndarray]
    Z: tuple[np.ndarray, ...]
    index: tuple[np.ndarray, ...]
    labels: pd.Index[Any]
    frame: pd.DataFrame

    @property
    def z(self) -> np.ndarray:
        """The response less the offset."""
        return self.y if self.offset is None else self.y - self.offset

    def take(self, rows: np.ndarray) -> Batch:
        """Some of the rows, by their positions here."""
        return Batch(
            X=self.X[rows],
            y=self.y[rows],
            offset=None if self.offset is None else self.offset[rows],
            beside={name: values[rows] for name, values in self.beside.items()},
            extras={name: values[rows] for name, values in self.extras.items()},
            Z=tuple(Z[rows] for Z in self.Z),
            index=tuple(index[rows] for index in self.index),
            labels=self.labels[rows],
            frame=self.frame.iloc[rows],
        )


class _Nowhere(TableSource):
    """Stands for the source of rows that are on their way to a part of it."""

    def __init__(self) -> None:
        super().__init__((), None, "nowhere")


@dataclass(slots=True, kw_only=True)
class StreamedRows:
    """Where the rows of a design are, and how its arrays are built of them.

    Attributes
    ----------
    source : Source
    design : Design
        Built from a sample, whose levels, categories and states are those of all rows.
    columns : tuple of str
        Those that are read.
    beside : mapping of str to str
        Columns of "weights" and "known_se".
    numbers : callable
        Makes numbers of a response, what is given beside it and its labels, or refuses it.
    """

    source: Source
    design: Design
    columns: tuple[str, ...]
    beside: Mapping[str, str]
    numbers: Numbers
    _finders: dict[str, Callable[[pd.DataFrame], np.ndarray]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out how levels are found, which is made of functions, and made again."""
        known = (f.name for f in fields(self) if f.name != "_finders")
        return partial(StreamedRows, **{name: getattr(self, name) for name in known}), ()

    def gather[T: Merges](self, work: Callable[[StreamedRows], T]) -> T:
        """Read all rows once, each part of them where it is, and merge what is made of the parts.

        Parameters
        ----------
        work : callable
            Goes once over the rows that it is given, some of these, and returns sums.
        """
        nowhere = replace(self, source=_Nowhere(), _finders={})  # tasks take no source along

        def of_part(part: Source) -> T:
            return work(replace(nowhere, source=part, _finders={}))

        return self.source.gather(of_part, self.columns)

    def frames(self) -> Iterator[Frame]:
        """Read all rows once."""
        for batch in raw_batches(self.source, self.columns):
            if len(batch.frame):
                yield Frame(frame=as_fitted(batch.frame, self.design.frame), raw=batch.frame)

    def batches(self, *, checked: bool = False) -> Iterator[Batch]:
        """Read all rows once and build their arrays.

        Parameters
        ----------
        checked : bool
            Whether all of them have been found to be numbers.

        Raises
        ------
        DataError
            Naming the row with a value that is not possible.
        """
        for one in self.frames():
            yield self._arrays(one, checked=checked)

    def _arrays(self, one: Frame, *, checked: bool) -> Batch:
        frame, labels, mu = one.frame, one.raw.index, self.design.mu
        frame = frame.reset_index(drop=True)
        X = mu.fixed_columns.build(frame, labels)
        if not checked:
            check_finite(X, mu.fixed_columns.names, labels, "the fixed effect")
        offset = None
        for piece, columns in zip(mu.formula.offsets, mu.offset_columns, strict=True):
            values = columns.build(frame, labels)
            check_finite(values, (f"offset({piece.text})",), labels, "the term")
            offset = values[:, 0] if offset is None else offset + values[:, 0]
        beside = {
            argument: positive_values(
                argument, one.raw[name].to_numpy(dtype=np.float64), labels
            )
            for argument, name in self.beside.items()
        }  # fmt: skip
        extras = response_extras(mu.formula, frame, self.design.functions, labels)
        return Batch(
            X=X,
            y=self._response(frame, extras, labels),
            offset=offset,
            beside=beside,
            extras=extras,
            Z=tuple(self._effects(group, frame, labels, X, checked=checked) for group in mu.groups),
            index=tuple(self._levels(group)(frame) for group in mu.groups),
            labels=labels,
            frame=frame,
        )

    def _response(
        self, frame: pd.DataFrame, extras: Mapping[str, np.ndarray], labels: pd.Index[Any]
    ) -> np.ndarray:
        design, response = self.design, self.design.formula.response
        if any(encode(name) == response.expr for name in frame.columns):
            values = expression_values(response.expr, frame, design.functions)
        else:
            assert design.response_columns is not None  # noqa: S101
            values = design.response_columns.build(frame, labels)[:, 0]
        if getattr(values.dtype, "kind", "O") == "f":
            check_finite(np.asarray(values)[:, None], (response.text,), labels, "the response")
        return self.numbers(values, extras, labels)

    def _effects(
        self, group: GroupingFactor, frame: pd.DataFrame, labels: pd.Index[Any], X: np.ndarray,
        *, checked: bool,
    ) -> np.ndarray:  # fmt: skip
        if group.effects == ("Intercept",):
            return np.ones((len(frame), 1))
        own = self.design.mu.fixed_columns.terms
        if len(group.terms) == 1 and group.terms[0] is own:
            return X
        Z = group.build_Z(frame, labels)
        if not checked:
            check_finite(Z, group.effects, labels, f"the effect by `{group.name}`")
        return Z

    def _levels(self, group: GroupingFactor) -> Callable[[pd.DataFrame], np.ndarray]:
        if group.name not in self._finders:
            self._finders[group.name] = level_finder(group)
        return self._finders[group.name]
