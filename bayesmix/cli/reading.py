"""Tables from files, as the command line names them."""

from __future__ import annotations

import argparse
import codecs
import io
import re
import warnings
from pathlib import Path
from typing import Any

from bayesmix.cli.saying import show_warning
from bayesmix.errors import DataError, FormulaError

__all__ = [
    "formulas_of",
    "is_parquet",
    "read_table",
    "separator",
    "with_identifiers",
    "with_orders",
]

_PARQUET = {".parquet", ".pq"}
# Structures whose positions are names: neither their order nor their gaps matter.
_OF_NAMES = {"cs", "homcs"}


def separator(text: str) -> str:
    """One character; a tab may be written as it is in most languages."""
    text = "\t" if text in {"\\t", "tab"} else text
    if len(text) != 1 or text in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} must be one character, such as ',', ';' or \\t")
    return text


def is_parquet(path: Path) -> bool:
    """Whether a file is one of parquet, by its ending."""
    return path.suffix.lower() in _PARQUET


def read_table(options: argparse.Namespace) -> Any:
    """Read the file of `options.data`: parquet by its ending, else text with separators.

    Raises
    ------
    DataError
        If it is not there, or cannot be read.
    """
    import pandas as pd

    if is_parquet(options.data):
        return _read_parquet(options.data)
    _check_source(options)
    path, separator, decimal = options.data, options.sep, options.decimal
    try:
        with warnings.catch_warnings():
            # Lines longer than the header would shift every column.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if path.exists() and not path.is_file():  # a pipe can be read once
                options.content = path.read_bytes()
            data = pd.read_csv(
                _source(options), index_col=False, sep=separator, decimal=decimal,
                na_values=_missing_texts(options), encoding=options.encoding,
            )  # fmt: skip
    except FileNotFoundError as error:
        advice = ": the formula comes first, and then the data" if "~" in str(path) else ""
        raise DataError(f"there is no file {path}{advice}") from error
    except OSError as error:
        raise DataError(f"{str(path)[:200]} cannot be read: {error.strerror or error}") from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"lines of {path} have more fields than its header{_other_separator(options)}"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        why = f"{str(error).strip()}{_other_separator(options)}"
        if isinstance(error, UnicodeDecodeError):
            why = f"it is not written in {options.encoding}; {_encoding_advice(options)}"
        raise DataError(f"{path} is not a CSV file that can be read: {why}") from error
    if len(data.columns) == 1 and (advice := _other_separator(options)):
        show_warning(f"{path} has one column{advice}")
    if decimal == "." and separator != ",":
        with_commas = [str(name) for name in data if _has_decimal_commas(data[name])]
        if with_commas:
            show_warning(
                f"{', '.join(with_commas)} of {path} hold{'s' if len(with_commas) == 1 else ''} "
                "decimal commas and would be text; --decimal , reads numbers"
            )
    return data


def _check_source(options: argparse.Namespace) -> None:
    """Refuse what is no file of text, and options that contradict each other."""
    path, separator, decimal = options.data, options.sep, options.decimal
    if re.match(r"[a-z]{2,}:/", str(path)) and not path.exists():
        raise DataError(
            f"{path} is an address, and no file: download it first, or read it in Python, "
            "bmx.Model(formula, pd.read_csv(address))"
        )
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a CSV file in it")
    if separator == decimal:
        raise DataError(
            f"--sep {separator!r} is what numbers are written with, too (--decimal {decimal!r}): "
            "take another of the two"
        )
    try:
        codecs.lookup(options.encoding)
    except LookupError as error:
        raise DataError(f"--encoding {options.encoding!r} is none that Python knows") from error


def with_identifiers(data: Any, options: argparse.Namespace) -> Any:
    """Take codes of groups and factors as they are written: 001, 01 and 1 are three.

    Whole numbers that are written in one way only stay numbers, and so in their order. A file
    of parquet says itself what is text.
    """
    import pandas as pd

    from bayesmix.formula import parse_formulas

    if is_parquet(options.data):
        return data
    columns = [str(name) for name in data]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again with the model
            formulas = parse_formulas(formulas_of(options), available=columns)
    except FormulaError:  # that comes again as well
        return data
    names: set[str] = set()
    numeric: set[str] = set()
    for formula in formulas.values():
        named = set(_positions_that_are_names(formula))
        names |= {*formula.columns_of("group"), *formula.categorical, *named}
        numeric |= formula.numeric - named
    ordered = {text.partition("=")[0].strip() for text in getattr(options, "orders", None) or []}
    names = (names | ordered) & set(columns)
    numeric = (numeric - ordered) & set(columns)
    at = sorted(columns.index(name) for name in names | numeric)
    if not at:
        return data
    written = pd.read_csv(
        _source(options),
        index_col=False,
        sep=options.sep,
        usecols=at,
        dtype=str,
        na_values=_missing_texts(options),
        encoding=options.encoding,
    ).set_axis([data.columns[k] for k in at], axis=1)
    for name in written:
        if name not in names:
            _warn_of_codes(data[name], written[name], options.data)
            continue
        if _say_the_same(data[name], written[name], options.decimal):
            continue
        if name in numeric and data[name].dtype.kind in "iuf":
            if data[name].nunique() == written[name].nunique():
                continue
            raise DataError(
                f"column `{name}` of {options.data} is a number in one term of the formula and "
                "names groups in another, and has numbers that are written in more than one way, "
                "such as 01 and 1; give the file a column for each"
            )
        data[name] = written[name]
    return data


def with_orders(data: Any, orders: list[str]) -> Any:
    """Take columns as ordered categories, by texts such as ``grade=low,mid,high``.

    Raises
    ------
    DataError
        If a text is none such, or names a column that is not there or holds something else.
    """
    import pandas as pd

    for text in orders:
        name, sign, listed = text.partition("=")
        name, levels = name.strip(), [level.strip() for level in listed.split(",")]
        if not sign or len(levels) < 2 or not all(levels) or len(set(levels)) < len(levels):
            raise DataError(
                f"--order {text!r} must be a column, = and its categories from the lowest to the "
                'highest, such as "grade=low,mid,high"'
            )
        if name not in data:
            known = ", ".join(f"`{column}`" for column in data)
            raise DataError(f"--order {text!r}: the data have no such column; there are {known}")
        column = data[name]
        if column.dtype.kind in "iuf":
            numbers = pd.Index(pd.to_numeric(pd.Series(levels), errors="coerce"))
            if numbers.hasnans or numbers.has_duplicates:
                raise DataError(
                    f"--order {text!r} must name numbers, each once, as column `{name}` holds them"
                )
            levels = numbers.tolist()
        others = column[column.notna() & ~column.isin(levels)].unique()
        if len(others):
            raise DataError(
                f"--order {text!r} leaves out what column `{name}` holds, too: "
                f"{', '.join(str(other) for other in others[:4])}"
            )
        data[name] = pd.Categorical(column, levels, ordered=True)
    return data


def formulas_of(options: argparse.Namespace) -> list[str]:
    """The formula, and further ones for the family's parameters and the residuals."""
    return [options.formula, *(getattr(options, "formulas", None) or [])]


def _positions_that_are_names(formula: Any) -> list[str]:
    """Columns that are nothing but the positions of such structures."""
    found = [
        str(term) for group in formula.groups if group.structure in _OF_NAMES
        for term in group.effects
    ]  # fmt: skip
    only = {"effect", "position"}
    return [name for name in found if set(formula.columns.get(name, ())) == only]


def _read_parquet(path: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except Exception as error:  # pyarrow has many kinds of its own
        raise DataError(f"{path} is not a parquet file that can be read: {error}") from error


def _say_the_same(values: Any, written: Any, decimal: str) -> bool:
    """Whether a column that pandas has read tells its texts apart, and has them in their form."""
    if values.nunique() != written.nunique():
        return False
    if values.dtype.kind not in "iuf":
        return values.dtype.kind == "b"  # as text: what stands in the file, in one type
    plain = rf"-?(0|[1-9]\d*)({re.escape(decimal)}\d+)?"
    texts = written.dropna().str.strip()
    # Beyond 2^53 a double no longer has every whole number.
    exact = values.dtype.kind in "iu" or bool((values.dropna().abs() < 2**53).all())
    return exact and bool(texts.str.fullmatch(plain).all())


def _warn_of_codes(values: Any, written: Any, path: Path) -> None:
    """Say which numbers of a predictor seem to be codes: 001 and 01 are one number, 1."""
    texts = written.dropna().str.strip()
    if values.dtype.kind not in "iuf" or not texts.str.fullmatch(r"0\d+").any():
        return
    alike = texts.groupby(values).unique()
    alike = [list(found) for found in alike if len(found) > 1]
    coded = [found for found in alike if any(re.fullmatch(r"0\d+", text) for text in found)]
    if coded:
        name = values.name
        show_warning(
            f"column `{name}` of {path} is taken as numbers, of which "
            f"{' and '.join(coded[0][:3])} are one; if they are codes, write C({name}), which "
            "takes them as they are written"
        )


def _missing_texts(options: argparse.Namespace) -> list[str]:
    return list(getattr(options, "na_values", None) or [])


def _source(options: argparse.Namespace) -> Any:
    """The file, or what came through a pipe, from its beginning."""
    content = getattr(options, "content", None)
    return options.data if content is None else io.BytesIO(content)


def _encoding_advice(options: argparse.Namespace) -> str:
    """What seems to read the file: a mark at its beginning tells UTF-16."""
    source = _source(options)
    with open(source, "rb") if isinstance(source, Path) else source as file:
        start = file.read(2)
    if start in (b"\xff\xfe", b"\xfe\xff"):
        return "--encoding utf-16 reads it"
    return "--encoding cp1252 reads a file of Excel's in Western languages; or save it as UTF-8"


def _other_separator(options: argparse.Namespace) -> str:
    """What seems to stand between the names of the header, if it is another; else nothing."""
    source = _source(options)
    with open(source, "rb") if isinstance(source, Path) else source as file:
        header = file.readline(100_000).decode(options.encoding, "replace")
    found = [s for s in (";", "\t", ",", "|") if s != options.sep and s in header]
    if options.sep in header or not found:
        return ""
    return f"; its header has {found[0]!r} between the names: --sep {found[0]!r} reads it"


def _has_decimal_commas(column: Any) -> bool:
    texts = column.dropna().astype(str).str.strip()
    return (
        column.dtype.kind not in "biufc"
        and bool(texts.str.fullmatch(r"[+-]?\d*,?\d+([eE][+-]?\d+)?").all())
        and bool(texts.str.contains(",").any())
    )
