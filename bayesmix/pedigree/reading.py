"""Pedigrees as tables become numbers: each animal's parents, and an order with parents first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import listed
from bayesmix.design.frame import column_names, select_columns, which_columns
from bayesmix.errors import DataError

__all__ = ["Pedigree", "read_pedigree"]

# What stands for a parent that nobody knows, if no animal has this name.
_UNKNOWN = {"0", ".", "*", "NA", "nan", "None"}
_SHOWN = 12  # animals of a loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Pedigree:
    """Animals with their parents.

    Attributes
    ----------
    labels : Index, length n
        Animals as they come in the table, then parents without a row of their own.
    sire, dam : ndarray of int, shape (n,)
        Places of the parents among `labels`; -1 if unknown.
    order : ndarray of int, shape (n,)
        Places in `labels`, parents before their offspring.
    """

    labels: pd.Index[Any]
    sire: np.ndarray
    dam: np.ndarray
    order: np.ndarray


def read_pedigree(
    table: Any, animal: str, sire: str, dam: str, *, hermaphrodites: bool
) -> Pedigree:
    """Read a pedigree and check it.

    Parameters
    ----------
    table : pandas, polars or pyarrow table, or mapping of str to sequence
    animal, sire, dam : str
        Names of its columns.
    hermaphrodites : bool
        Whether an animal may be both sire and dam.

    Returns
    -------
    Pedigree

    Raises
    ------
    DataError
        Naming the animals and the rows.
    """
    known = column_names(table)
    for name in (animal, sire, dam):
        if name not in known:
            where = which_columns(name, known, table)
            raise DataError(f"the pedigree has no column `{name}`; {where}")
    if len({animal, sire, dam}) < 3:
        raise DataError(f"animal={animal!r}, sire={sire!r} and dam={dam!r} must be three columns")
    frame = select_columns(table, [animal, sire, dam])
    if not len(frame):
        raise DataError("the pedigree has no rows")
    own, fathers, mothers = (_texts(frame[name]) for name in (animal, sire, dam))
    _check_named(own, animal)
    names = pd.Index(own).unique()
    unknown = _UNKNOWN - set(names)
    fathers, mothers = (
        np.where(np.isin(parents, list(unknown)), "", parents) for parents in (fathers, mothers)
    )
    both = np.stack([fathers, mothers], axis=1).ravel()
    founders = pd.Index(both[both != ""]).unique().difference(names, sort=False)
    names = names.append(founders)
    rows = names.get_indexer(own)
    parents = np.stack([names.get_indexer(fathers), names.get_indexer(mothers)])
    _check_twice(names, rows, parents)
    sires, dams = np.full((2, len(names)), -1)
    sires[rows], dams[rows] = parents
    if not hermaphrodites:
        _check_sexes(names, sires, dams)
    order = _order(names, sires, dams)
    labels = pd.Index(_numbers_again(names, frame[animal]), name=animal)
    return Pedigree(labels=labels, sire=sires, dam=dams, order=order)


def _texts(column: pd.Series[Any]) -> np.ndarray:
    """Names as text, empty where they are missing; whole numbers as they are written."""
    missing = column.isna().to_numpy()
    filled = column[~missing]
    if pd.api.types.is_float_dtype(filled.dtype):
        if np.isinf(filled).any():
            raise DataError(f"{column.name!r} holds an infinite number, which names no animal")
        if (filled == np.floor(filled)).all() and (filled.abs() < 2**53).all():
            filled = filled.astype(np.int64)
    elif filled.dtype == object:
        filled = filled.map(lambda v: int(v) if isinstance(v, float) and v.is_integer() else v)
    texts = np.full(len(column), "", dtype=object)
    texts[~missing] = filled.astype(str).str.strip().to_numpy(dtype=object)
    return texts


def _numbers_again(names: pd.Index[Any], column: pd.Series[Any]) -> np.ndarray:
    """Whole numbers as numbers, if the animals have such names."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = pd.to_numeric(pd.Series(names), errors="coerce")
        whole = (numbers == np.floor(numbers)) & (numbers.abs() < 2**63)
        if whole.all():
            return numbers.to_numpy(dtype=np.int64)
    return names.to_numpy(dtype=object)


def _check_named(own: np.ndarray, column: str) -> None:
    nameless = np.flatnonzero(own == "")
    if nameless.size:
        raise DataError(
            f"row {nameless[0]} of the pedigree has no animal in column `{column}`; name it, or "
            "leave the row out"
        )


def _check_twice(names: pd.Index[Any], rows: np.ndarray, parents: np.ndarray) -> None:
    """Refuse an animal with two pairs of parents; the same row twice does no harm."""
    first = np.full(len(names), -1)
    backwards = np.arange(len(rows))[::-1]
    first[rows[backwards]] = backwards
    other = np.flatnonzero((parents != parents[:, first[rows]]).any(axis=0))
    if other.size:
        row = int(other[0])
        before = int(first[rows[row]])
        raise DataError(
            f"animal {names[rows[row]]!r} is in the pedigree twice with different parents: "
            f"{_pair(names, parents[:, before])} in row {before}, {_pair(names, parents[:, row])} "
            f"in row {row}; keep one of them"
        )


def _pair(names: pd.Index[Any], parents: np.ndarray) -> str:
    sire, dam = (repr(names[i]) if i >= 0 else "unknown" for i in parents)
    return f"sire {sire} and dam {dam}"


def _check_sexes(names: pd.Index[Any], sires: np.ndarray, dams: np.ndarray) -> None:
    both = np.intersect1d(sires[sires >= 0], dams[dams >= 0])
    if not both.size:
        return
    parent = both[0]
    of, offspring = (np.flatnonzero(parents == parent)[0] for parents in (sires, dams))
    raise DataError(
        f"animal {names[parent]!r} is the sire of {names[of]!r} and the dam of "
        f"{names[offspring]!r}; correct one of them, or say hermaphrodites=True if they may be both"
    )


def _order(names: pd.Index[Any], sires: np.ndarray, dams: np.ndarray) -> np.ndarray:
    """Parents before offspring; animals without known parents first."""
    n = len(names)
    waiting = (sires >= 0).astype(np.int64) + (dams >= 0)
    offspring = np.concatenate([np.flatnonzero(sires >= 0), np.flatnonzero(dams >= 0)])
    parents = np.concatenate([sires[sires >= 0], dams[dams >= 0]])
    by_parent = np.argsort(parents, kind="stable")
    starts = np.searchsorted(parents[by_parent], np.arange(n + 1)).tolist()
    children = offspring[by_parent].tolist()
    ready = deque(np.flatnonzero(waiting == 0).tolist())
    left = waiting.tolist()
    order = []
    while ready:
        parent = ready.popleft()
        order.append(parent)
        for child in children[starts[parent] : starts[parent + 1]]:
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    if len(order) < n:
        raise _loop(names, sires, dams, {i for i in range(n) if left[i]})
    return np.asarray(order, dtype=np.int64)


def _loop(names: pd.Index[Any], sires: np.ndarray, dams: np.ndarray, stuck: set[int]) -> DataError:
    """Build the error that shows how an animal descends from itself."""
    path = [min(stuck)]
    seen = {path[0]: 0}
    words: list[str] = []
    while True:
        at = path[-1]
        word, parent = next(
            (word, int(parents[at]))
            for word, parents in (("sire", sires), ("dam", dams))
            if int(parents[at]) in stuck
        )
        words.append(word)
        if parent in seen:
            break
        seen[parent] = len(path)
        path.append(parent)
    start = seen[parent]
    loop, words = path[start:], words[start:]
    if len(loop) == 1:
        return DataError(f"animal {names[loop[0]]!r} is its own {words[0]}; correct its row")
    if len(loop) > _SHOWN:
        through = listed([names[i] for i in loop], _SHOWN)
        return DataError(
            f"animal {names[loop[0]]!r} is its own ancestor, by a loop of {len(loop):,} animals: "
            f"{through}; correct one of their rows"
        )
    steps = [
        f"{word} of {names[child]!r} is {names[parent]!r}"
        for word, child, parent in zip(words, loop, [*loop[1:], loop[0]], strict=True)
    ]
    return DataError(
        f"animal {names[loop[0]]!r} is its own ancestor: the {', the '.join(steps)}; correct one "
        "of their rows"
    )
