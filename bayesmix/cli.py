"""The command `bayesmix`: a demonstration, and a fit from the shell."""

from __future__ import annotations

import argparse
import gc
import io
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayesmix.errors import BayesmixError, SamplingError

__all__ = ["main"]

_WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0, 1 if sampling failed, 2 for wrong use (of options, formula,
        data or priors), 130 if it was interrupted before the first draw.
    """
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return int(options.run(options) or 0)
    except SamplingError as error:
        print(f"bayesmix: {error}", file=sys.stderr)
        return 1
    except (BayesmixError, OSError) as error:
        print(f"bayesmix: {error}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt as error:
        print(f"bayesmix: {str(error) or 'interrupted'}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from bayesmix import __version__

    parser = argparse.ArgumentParser(
        prog="bayesmix", description="Bayesian mixed models from a formula and a data frame."
    )
    parser.add_argument("--version", action="version", version=f"bayesmix {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{demo,fit}")

    demo = commands.add_parser("demo", help="fit the sleepstudy data and draw the pictures")
    demo.add_argument("--folder", type=Path, default=Path("bayesmix-demo"),
                      help="where the pictures go (default: %(default)s)")  # fmt: skip
    demo.add_argument("--seed", type=int, default=1)
    demo.set_defaults(run=_demo)

    fit = commands.add_parser(
        "fit",
        help="fit a formula to a CSV file and print the summary",
        epilog='example: bayesmix fit "y ~ x + (x | g)" data.csv --seed 1 --output fit.nc',
    )
    fit.add_argument("formula", help='such as "y ~ x + (x | g)"')
    fit.add_argument("data", type=Path,
                     help="a CSV file with a header; codes of groups are "
                     "taken as they are written: 01 is not 1")  # fmt: skip
    fit.add_argument(
        "--family", default="gaussian", help="such as poisson or bernoulli (%(default)s)"
    )
    fit.add_argument("--link", default="", help="link function (the family's own)")
    fit.add_argument("--draws", type=int, default=1000, help="kept per chain (%(default)s)")
    fit.add_argument("--tune", type=int, default=None, help="warm-up steps (the engine's own)")
    fit.add_argument("--chains", type=int, default=4, help="(%(default)s)")
    fit.add_argument("--seed", type=int, default=None, help="makes the draws reproducible")
    fit.add_argument("--engine", default="auto", help="auto, fast or pymc (%(default)s)")
    fit.add_argument("--output", type=Path, default=None, metavar="FIT.nc",
                     help="save the fit, for bayesmix.load() and ArviZ")  # fmt: skip
    fit.add_argument("--report", type=Path, default=None, metavar="FIT.html",
                     help="write the fit as a page with tables and pictures")  # fmt: skip
    fit.add_argument("--sep", default=",", type=_separator, metavar="CHAR",
                     help=r"between the fields of the file: ',', ';', '\t' (a comma)")  # fmt: skip
    fit.add_argument("--decimal", default=".", choices=[".", ","], metavar="CHAR",
                     help="what numbers are written with (a point)")  # fmt: skip
    fit.add_argument("--quiet", action="store_true", help="no progress")
    fit.set_defaults(run=_fit)
    return parser


def _demo(options: argparse.Namespace) -> None:
    # Most of it is imports: looking for cycles among what they make, and again at the end,
    # takes a tenth of the time.
    gc.disable()
    try:
        from bayesmix.demo import run_demo

        run_demo(options.folder, seed=options.seed)
    finally:
        gc.freeze()
        gc.enable()


def _fit(options: argparse.Namespace) -> None:
    from bayesmix.results.files.report import report_place
    from bayesmix.results.files.storage import writable_place

    if options.output is not None:
        writable_place(options.output)
    if options.report is not None:
        report_place(options.report)
    from bayesmix.families import get_family
    from bayesmix.model import Model

    family = get_family(options.family)
    if options.link:
        family = type(family)(link=options.link)
    data = _with_identifiers(_read_csv(options), options)
    model = Model(options.formula, data, family=family)
    posterior = model.fit(
        options.draws,
        tune=options.tune,
        chains=options.chains,
        seed=options.seed,
        engine=options.engine,
        progress=not options.quiet,
    )
    print(posterior.summary())
    if options.output is not None:
        print(f"\nSaved to {posterior.save(options.output)}: bayesmix.load() reads it")
    if options.report is not None:
        print(f"\nReport in {posterior.report(options.report)}")


def _separator(text: str) -> str:
    """One character; a tab may be written as it is in most languages."""
    text = "\t" if text in {"\\t", "tab"} else text
    if len(text) != 1 or text in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} must be one character, such as ',', ';' or \\t")
    return text


def _read_csv(options: argparse.Namespace) -> Any:
    import pandas as pd

    from bayesmix.errors import DataError

    path, separator, decimal = options.data, options.sep, options.decimal
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a CSV file in it")
    if separator == decimal:
        raise DataError(
            f"--sep {separator!r} is what numbers are written with, too (--decimal {decimal!r}): "
            "take another of the two"
        )
    try:
        with warnings.catch_warnings():
            # Lines longer than the header would shift every column.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if path.exists() and not path.is_file():  # a pipe can be read once
                options.content = path.read_bytes()
            data = pd.read_csv(_source(options), index_col=False, sep=separator, decimal=decimal)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"{str(path)[:200]} cannot be read: {error.strerror or error}") from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"lines of {path} have more fields than its header{_other_separator(options)}"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not a CSV file that can be read: {str(error).strip()}"
            + _other_separator(options)
        ) from error
    if len(data.columns) == 1 and (advice := _other_separator(options)):
        _show_warning(f"{path} has one column{advice}")
    if decimal == "." and separator != ",":
        with_commas = [str(name) for name in data if _has_decimal_commas(data[name])]
        if with_commas:
            _show_warning(
                f"{', '.join(with_commas)} of {path} hold{'s' if len(with_commas) == 1 else ''} "
                "decimal commas and would be text; --decimal , reads numbers"
            )
    return data


def _with_identifiers(data: Any, options: argparse.Namespace) -> Any:
    """Take codes of groups and factors as they are written: 001, 01 and 1 are three.

    Whole numbers that are written in one way only stay numbers, and so in their order.
    """
    import pandas as pd

    from bayesmix.errors import DataError, FormulaError
    from bayesmix.formula import parse_formula

    columns = [str(name) for name in data]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again with the model
            formula = parse_formula(options.formula, available=columns)
    except FormulaError:  # that comes again as well
        return data
    names = {*formula.columns_of("group"), *formula.categorical} & set(columns)
    if not names:
        return data
    at = sorted(columns.index(name) for name in names)
    written = pd.read_csv(
        _source(options), index_col=False, sep=options.sep, usecols=at, dtype=str
    ).set_axis([data.columns[k] for k in at], axis=1)
    for name in written:
        if _say_the_same(data[name], written[name], options.decimal):
            continue
        if name in formula.numeric and data[name].dtype.kind in "iuf":
            if data[name].nunique() == written[name].nunique():
                continue
            raise DataError(
                f"column `{name}` of {options.data} is a number in one term of the formula and "
                "names groups in another, and has numbers that are written in more than one way, "
                "such as 01 and 1; give the file a column for each"
            )
        data[name] = written[name]
    return data


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


def _source(options: argparse.Namespace) -> Any:
    """The file, or what came through a pipe, from its beginning."""
    content = getattr(options, "content", None)
    return options.data if content is None else io.BytesIO(content)


def _other_separator(options: argparse.Namespace) -> str:
    """What seems to stand between the names of the header, if it is another; else nothing."""
    source = _source(options)
    with open(source, "rb") if isinstance(source, Path) else source as file:
        header = file.readline(100_000).decode("utf-8", "replace")
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


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the code that gave it."""
    print(f"bayesmix: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
