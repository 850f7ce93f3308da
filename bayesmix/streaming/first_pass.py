"""The first pass: how many rows there are, which values they have, and some of them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.design.missing import MissingAction
from bayesmix.errors import OWN_FILES, DataError, DataWarning
from bayesmix.sources import Source, TableSource
from bayesmix.streaming.batches import RawBatch, raw_batches

__all__ = ["FirstPass", "first_pass"]

_FIRST = 20_000  # rows that are kept from the beginning
_SPREAD = 64  # and of each batch
_OF_VALUE = 4  # and of each level


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """What one reading of the rows says.

    Attributes
    ----------
    sample : DataFrame
        Some complete rows: the first, some of each batch, those with the least and the largest
        number of a batch, and some with each level of every factor. Its columns are of the
        kinds that all rows have together.
    n_given, n_obs : int
        Rows, and complete rows.
    """

    sample: pd.DataFrame
    n_given: int
    n_obs: int


class _Seen:
    """Values, or combinations of them, with how often they were seen."""

    def __init__(self) -> None:
        self._known: pd.Index[Any] | None = None
        self._new: dict[Any, int] = {}  # those that are not in the index yet
        self._count = np.zeros(0, dtype=np.int64)

    def codes(self, values: Any) -> np.ndarray:
        """Number of each value in the order of first appearance."""
        local, unique = pd.factorize(values)
        if isinstance(unique, pd.CategoricalIndex):
            unique = unique.astype(object)
        known, new = self._known, self._new
        size = 0 if known is None else len(known)
        at = np.full(len(unique), -1, dtype=np.int64)
        if known is not None:
            at = known.get_indexer(unique).astype(np.int64)
        for k in np.flatnonzero(at < 0).tolist():
            at[k] = new.setdefault(unique[k], size + len(new))
        if len(new) > size // 2:  # seldom, so that the whole is not made anew each time
            added = pd.Index(list(new), dtype=unique.dtype)
            self._known, self._new = added if known is None else known.append(added), {}
        return at[local]

    def rare(self, codes: np.ndarray) -> np.ndarray:
        """Positions of rows whose value has been kept fewer than a few times."""
        n = int(codes.max()) + 1
        if len(self._count) < n:
            grown = np.zeros(max(n, 2 * len(self._count)), dtype=np.int64)
            grown[: len(self._count)] = self._count
            self._count = grown
        at = np.flatnonzero(self._count[codes] < _OF_VALUE)
        if at.size:
            number = pd.Series(codes[at]).groupby(codes[at]).cumcount().to_numpy()
            at = at[number + self._count[codes[at]] < _OF_VALUE]
            np.add.at(self._count, codes[at], 1)
        return at


@dataclass(slots=True)
class _Categories:
    """Categories of a column in the order in which batches list them."""

    known: dict[Any, None] = field(default_factory=dict)
    ordered: bool = False
    is_text: bool = False


class _Watch:
    """Finds rows of a batch that say something new."""

    def __init__(
        self,
        columns: Sequence[str],
        groups: Sequence[tuple[str, ...]],
        categorical: Collection[str],
    ) -> None:
        self.texts = {name: _Categories() for name in columns}
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._combined = [own for own in dict.fromkeys(groups) if len(own) > 1]
        self._single = dict.fromkeys([*(name for own in groups for name in own), *categorical])

    def rows(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """Positions of rows with a rare level, or the least or the largest number."""
        keep, codes = [], {}
        for name in frame.columns:
            column = frame[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                own = self.texts[name]
                own.ordered = bool(column.cat.ordered)
                own.known |= dict.fromkeys(column.cat.categories.tolist())
                self._single.setdefault(name, None)
            elif column.dtype.kind in "iuf" and name not in self._single:
                values = column.to_numpy()
                keep.append(np.asarray([values.argmin(), values.argmax()]))
            if name in self._single:
                seen = self._seen.setdefault((name,), _Seen())
                codes[name] = seen.codes(column)
                keep.append(seen.rare(codes[name]))
        for group in self._combined:
            code = codes[group[0]]
            for k in range(1, len(group)):
                seen = self._seen.setdefault(group[: k + 1], _Seen())
                code = seen.codes(code << 32 | codes[group[k]])
            keep.append(seen.rare(code))
        return keep


def _is_category(source: Source, name: str) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(source.schema.field(name).type))


def first_pass(
    source: Source,
    columns: Sequence[str],
    groups: Sequence[tuple[str, ...]],
    categorical: Collection[str],
    missing: MissingAction,
    beside: dict[str, str],
) -> FirstPass:
    """Read the rows once.

    Parameters
    ----------
    source : Source
    columns : sequence of str
    groups : sequence of tuple of str
        The columns of each grouping factor.
    categorical : collection of str
        Numbers whose values are categories.
    missing : {"drop", "raise"}
    beside : dict of str to str
        Arguments such as "weights", with their columns.

    Returns
    -------
    FirstPass

    Raises
    ------
    DataError
        If there are no rows, none is complete, or some are not and `missing` is "raise".

    Warns
    -----
    DataWarning
        With the number of missing values by column.
    """
    watch = functools.partial(_Watch, columns, groups, categorical)

    def read(part: Source) -> _Rows:
        found = _Rows(watch, f" of {part.name}" if isinstance(part, TableSource) else "")
        for batch in raw_batches(part, columns):
            found.add(batch)
        return found

    found = source.gather(read, columns)
    _refuse_missing(found.n_given, found.n_obs, found.holes, missing, beside)
    sample, texts = found.sample(), found.texts
    for name in columns:
        texts[name].is_text = not _is_category(source, name)
    for name, own in texts.items():
        if own.known and not own.is_text:
            sample[name] = pd.Categorical(
                sample[name], categories=list(own.known), ordered=own.ordered
            )
    return FirstPass(sample=sample, n_given=found.n_given, n_obs=found.n_obs)


class _Rows:
    """Numbers of rows and of holes, and a sample; those of parts merge.

    Parameters
    ----------
    watch : callable
        Makes a `_Watch`.
    where : str
        Which part of the data it is, behind the numbers of rows.
    """

    def __init__(self, watch: Callable[[], _Watch], where: str) -> None:
        self._new_watch, self._watch, self._where = watch, watch(), where
        self.texts = self._watch.texts
        self.holes: dict[str, int] = dict.fromkeys(self.texts, 0)
        self.n_given = self.n_obs = 0
        self._parts: list[pd.DataFrame] = []
        self._of_several = False

    def add(self, batch: RawBatch) -> None:
        """Add rows."""
        self.n_given += batch.n_given
        for name, count in batch.holes.items():
            self.holes[name] += count
        if len(batch.frame):
            some = _some(batch.frame, self.n_obs, self._watch)
            if self._where:
                some = some.set_axis([f"{label}{self._where}" for label in some.index])
            self._parts.append(some)
            self.n_obs += len(batch.frame)

    def merge(self, other: _Rows) -> None:
        """Add the rows of another part."""
        self.n_given, self.n_obs = self.n_given + other.n_given, self.n_obs + other.n_obs
        for name, count in other.holes.items():
            self.holes[name] += count
        for name, own in other.texts.items():
            self.texts[name].known |= own.known
            self.texts[name].ordered |= own.ordered
        self._parts += other._parts
        self._of_several = True

    def sample(self) -> pd.DataFrame:
        """Some rows; of several parts no more than of one."""
        parts, n = self._parts, 0
        if self._of_several:
            parts, watch = [], self._new_watch()
            for part in self._parts:
                parts.append(_some(part, n, watch))
                n += len(part)
        plain: Any = dict.fromkeys((k for k, own in self.texts.items() if own.known), object)
        return pd.concat([part.astype(plain) for part in parts])


def _some(frame: pd.DataFrame, n_before: int, watch: _Watch) -> pd.DataFrame:
    """Rows of a batch that are kept."""
    keep = [np.arange(min(len(frame), max(0, _FIRST - n_before)))]
    keep.append(np.linspace(0, len(frame) - 1, _SPREAD).astype(np.int64))
    keep += watch.rows(frame)
    return frame.iloc[np.unique(np.concatenate(keep))]


def _refuse_missing(
    n_given: int, n_obs: int, holes: dict[str, int], missing: str, beside: dict[str, str]
) -> None:
    if n_given == 0:
        raise DataError("the data have no rows")
    names = {column: f"{argument}=" for argument, column in beside.items()}
    by_column = ", ".join(
        f"`{names.get(name, name)}` {count}" for name, count in holes.items() if count
    )
    if not by_column:
        return
    what = f"{n_given - n_obs} of {n_given} rows have a missing value ({by_column})"
    if missing == "raise":
        raise DataError(f'{what}; missing="drop" leaves them out')
    if not n_obs:
        raise DataError(f"no row is complete: {what}")
    warnings.warn(f"{what} and are left out", DataWarning, skip_file_prefixes=OWN_FILES)
