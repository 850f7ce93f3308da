"""Any table becomes a small pandas frame of the columns that a formula uses."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from bayesmix.arguments import nearest
from bayesmix.design.dates import warn_of_dates
from bayesmix.design.numerals import warn_of_numbers_as_text
from bayesmix.errors import OWN_FILES, DataError, DataWarning, FormulaError
from bayesmix.formula import Formula
from bayesmix.formula.readable import unwritable

__all__ = [
    "column_names",
    "prepare_column",
    "prepare_frame",
    "select_columns",
    "taken_columns",
    "unknown_column",
    "which_columns",
]


def column_names(data: Any) -> list[str]:
    """Names of the columns of a table.

    Parameters
    ----------
    data : pandas, polars or pyarrow table, or mapping of str to sequence

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If `data` is not a table that is held in memory.
    """
    names = list(_as_table(data).columns)
    # None, or NaN in its place, is a header without a name.
    return ["" if name is None or name != name else str(name) for name in names]  # noqa: PLR0124


def select_columns(data: Any, names: Iterable[str]) -> pd.DataFrame:
    """Take columns out of a table of any kind, without changing the table.

    Parameters
    ----------
    data : pandas, polars or pyarrow table, or mapping of str to sequence
    names : iterable of str
        Columns that are known to exist.

    Returns
    -------
    DataFrame
        With the index of `data` if it is a pandas frame.

    Raises
    ------
    DataError
        If a column exists twice.
    """
    columns, index = taken_columns(data, names)
    return pd.DataFrame(columns, index=index, copy=False)


def taken_columns(
    data: Any, names: Iterable[str]
) -> tuple[dict[str, pd.Series[Any]], pd.Index[Any]]:
    """Take columns out of a table of any kind, without making another of them.

    Parameters
    ----------
    data, names
        As of `select_columns`.

    Returns
    -------
    dict of str to Series
    Index
        Labels of the rows.

    Raises
    ------
    DataError
        If a column exists twice.
    """
    table = _as_table(data)
    wanted = list(dict.fromkeys(names))
    if isinstance(table, pd.DataFrame):
        given = table.columns.tolist()
        labels = [str(label) for label in given]
        for name in wanted:
            if labels.count(name) > 1:
                raise DataError(f"the data have {labels.count(name)} columns called `{name}`")
        as_written = all(isinstance(label, str) for label in given)
        columns = {
            name: _in_native_order(table[name] if as_written else table.iloc[:, labels.index(name)])
            for name in wanted
        }
        return columns, table.index
    frame = _as_frame(table, wanted)
    return {str(name): column for name, column in frame.items()}, frame.index


def _as_frame(table: Any, wanted: list[str]) -> pd.DataFrame:
    """Columns of a narwhals frame."""
    table = table.select(wanted)
    if table.implementation.is_polars():
        # polars' Categorical has no order of its own (its Enum has): it is text.
        plain = [name for name in wanted if table.schema[name] == nw.Categorical]
        table = table.with_columns(nw.col(name).cast(nw.String) for name in plain)
    for name in wanted:
        if table.schema[name] in (nw.Int128, nw.UInt128):
            table = _narrowed(table, name)
    try:
        frame: pd.DataFrame = table.to_pandas()
    except (ValueError, TypeError, NotImplementedError) as error:
        kinds = ", ".join(f"`{name}` {table.schema[name]}" for name in wanted)
        raise DataError(
            f"the columns ({kinds}) do not make a pandas table: {error}; turn them into numbers, "
            "booleans, text or categories first"
        ) from error
    return frame


def _in_native_order(column: pd.Series[Any]) -> pd.Series[Any]:
    """Turn the bytes of numbers that come from files of other machines, as FITS and SAS write."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return column.astype(dtype.newbyteorder("="))
    return column


def _narrowed(table: Any, name: str) -> Any:
    """Take whole numbers of 128 bits, which pandas does not know, in 64."""
    try:
        return table.with_columns(nw.col(name).cast(nw.Int64))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"column `{name}` holds {table.schema[name]} with values beyond 64 bits; cast it to "
            "Float64 where it is a number, and to text where it names groups"
        ) from error


def _as_table(data: Any) -> Any:
    """A pandas frame as it is, anything else as an eager narwhals frame."""
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Mapping):
        try:
            if data and all(np.ndim(value) == 0 for value in data.values()):
                return pd.DataFrame([dict(data)])  # one row
            return pd.DataFrame(dict(data))
        except (ValueError, TypeError) as error:
            raise DataError(
                "the columns of the mapping do not make a table, each a list with a value per "
                f"row, or each one value for one row: {error}"
            ) from error
    if isinstance(data, str | Path):
        advice = (
            'the formula comes first, as in Model("y ~ x + (x | g)", data)'
            if "~" in str(data)
            else f"if it is a file, read it first: pd.read_csv({str(data)!r})"
        )
        raise DataError(f"the data are {str(data)!r}, which is no table: {advice}")
    try:
        return nw.from_native(data, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the data have two columns of one name: {error}") from error
    except TypeError as error:
        advice = "call .collect() on it first" if hasattr(data, "collect") else (
            "pass a pandas, polars or pyarrow table, or a dict of columns"
        )  # fmt: skip
        raise DataError(f"data of type {type(data).__name__} are not a table: {advice}") from error


def unknown_column(name: str, known: list[str], formula: Formula, data: Any) -> FormulaError:
    """Build the error for a name of the formula that is no column of the data."""
    start, stop = formula.places.get(name, (None, None))
    return FormulaError(
        f"the data have no column `{name}`; {which_columns(name, known, data)}",
        text=formula.text,
        start=start,
        stop=stop,
    )


def which_columns(name: str, known: list[str], data: Any) -> str:
    """Say where a column may be that is not there, or which there are that it may be."""
    if name in getattr(getattr(data, "index", None), "names", ()):
        return "it is the index: pass data.reset_index()"
    separators = [s for s in (";", "\t", ",") if len(known) == 1 and s in known[0]]
    if separators:
        separator = separators[0]
        return f"all there is is {known[0]!r}: read the file with pd.read_csv(sep={separator!r})"
    near = nearest(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(f'`{column}`' for column in near)}?"
    shown = ", ".join(f"`{column}`" for column in known[:12])
    return f"there are {shown or 'none'}{', ...' if len(known) > 12 else ''}"


def prepare_frame(
    columns: Mapping[str, pd.Series[Any]], index: pd.Index[Any], formulas: Iterable[Formula], *,
    first: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Prepare every column for the roles it plays in the formulas of a model.

    Whole numbers that enter arithmetic become floats, so that squares and products cannot
    overflow; those that only name groups or categories stay. Categories without rows are
    named where levels are learned for the `first` time.
    """
    keep: set[str] = set()
    predictors: set[str] = set()
    levels_matter: set[str] = set()
    for formula in formulas:
        keep |= {*formula.columns_of("group"), *formula.categorical}
        predictors |= set(formula.columns_of("fixed", "effect"))
        levels_matter |= set(formula.columns_of("fixed", "effect", "response"))
    predictors -= keep
    prepared = {}
    for name, given in columns.items():
        column = prepare_column(given)
        made = column.dtype != given.dtype and isinstance(column.dtype, pd.CategoricalDtype)
        if made and name in predictors and not warn_of_dates(given, column):
            warn_of_numbers_as_text(column)
        if first and name in levels_matter:
            _warn_of_empty_categories(given, column)
        if column.dtype.kind in "iu" and name not in keep:
            numbers = column.to_numpy().astype(np.float64)
            column = pd.Series(numbers, index=column.index, name=column.name, copy=False)
        prepared[name] = column
    # With the columns' own index at hand pandas has none to look for.
    frame = pd.DataFrame(prepared, index=index, copy=False)
    frame.index = pd.RangeIndex(len(index))
    return frame


def _warn_of_empty_categories(given: pd.Series[Any], column: pd.Series[Any]) -> None:
    """Name the categories that no row has, which get neither a coefficient nor a threshold."""
    if not isinstance(given.dtype, pd.CategoricalDtype):
        return
    left = set(column.cat.categories)
    gone = [repr(level) for level in given.cat.categories if level not in left]
    if gone:
        some = ", ".join(gone[:6]) + (", ..." if len(gone) > 6 else "")
        many = len(gone) > 1
        warnings.warn(
            f"column `{given.name}` has {'categories' if many else 'the category'} without rows, "
            f"which {'are' if many else 'is'} left out: {some} "
            "(cat.remove_unused_categories() does so before)",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )


def prepare_column(column: pd.Series[Any]) -> pd.Series[Any]:
    """Bring a column without missing values to one of three kinds.

    Parameters
    ----------
    column : Series
        Without missing values.

    Returns
    -------
    Series
        Numbers (int64 or float64), booleans, or a categorical without unused
        levels. Text becomes a categorical with its values in sorted order.

    Raises
    ------
    DataError
        If the column holds values of mixed kinds, or of a kind that a model has
        no use for.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _written(column.cat.remove_unused_categories())
    if pd.api.types.is_bool_dtype(dtype):
        return column.astype(bool)
    if pd.api.types.is_integer_dtype(dtype):
        unsigned = pd.api.types.is_unsigned_integer_dtype(dtype)
        return _numeric(column, np.uint64 if unsigned else np.int64)
    if pd.api.types.is_float_dtype(dtype):
        return _numeric(column, np.float64)
    if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return pd.Series(pd.Categorical(column.astype(str)), index=column.index, name=column.name)
    if pd.api.types.is_complex_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        raise DataError(f"column `{column.name}` holds {dtype}; turn it into a number first")
    if dtype == "str":
        return _written(_categories(column))
    return _written(_objects(column))


def _categories(column: pd.Series[Any]) -> pd.Series[Any]:
    """Text as a categorical with its values in sorted order, as pandas makes it, in less time."""
    codes, found = pd.factorize(column.to_numpy(dtype=object))
    order = np.argsort(found)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    kind = pd.CategoricalDtype(pd.Index(found[order], dtype=column.dtype))
    made = pd.Categorical.from_codes(place[codes], dtype=kind, validate=False)
    return pd.Series(made, index=column.index, name=column.name, copy=False)


def _written(column: pd.Series[Any]) -> pd.Series[Any]:
    """Refuse levels that no file and no terminal can take."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        known: Any = column.array
        _check_writable(column.name, known.categories.tolist())
    return column


def _check_writable(name: Any, values: Iterable[Any]) -> None:
    for value in values:
        what = unwritable(value) if isinstance(value, str) else ""
        if what:
            raise DataError(
                f"column `{name}` has the value {value!a}, which holds {what}; correct it first"
            )


def _numeric(column: pd.Series[Any], dtype: type[np.generic]) -> pd.Series[Any]:
    # A pandas column of that very type is taken as it is: no copy of the data.
    return column if column.dtype == np.dtype(dtype) else column.astype(dtype)


def _objects(column: pd.Series[Any]) -> pd.Series[Any]:
    column = column.astype(object)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in {"string", "date", "datetime", "datetime64"}:
        try:
            values = column.astype(str)
        except UnicodeEncodeError:
            _check_writable(column.name, column)
            raise
        return _categories(values)
    if kind == "boolean":
        return column.astype(bool)
    if kind == "integer":
        limit = np.iinfo(np.int64)
        if limit.min <= min(column) and max(column) <= limit.max:
            return column.astype(np.int64)
        return pd.Series(pd.Categorical(column), index=column.index, name=column.name)
    if kind in {"floating", "decimal", "mixed-integer-float"}:
        return column.astype(np.float64)
    if kind == "empty":
        return pd.Series(pd.Categorical(column), index=column.index, name=column.name)
    if kind == "categorical":
        return column.astype("category")
    kinds = sorted({type(value).__name__ for value in column})
    text = next((value for value in column if isinstance(value, str)), None)
    advice = "a column must hold numbers, booleans, text or categories"
    if text is not None:
        advice = f'such as {text!r}; pd.to_numeric(column, errors="coerce") makes text missing'
    raise DataError(
        f"column `{column.name}` holds values of kind {kind} ({', '.join(kinds[:4])}), {advice}"
    )
