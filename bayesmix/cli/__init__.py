"""The command `bayesmix`: a demonstration, fits from the shell, and checks of what was saved."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import stat
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayesmix.cli.reading import (
    formulas_of,
    is_parquet,
    read_table,
    separator,
    with_identifiers,
    with_orders,
)
from bayesmix.cli.saying import in_shell_words, show_warning
from bayesmix.errors import BayesmixError, DataError, FileError, PriorError, SamplingError

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
    if arguments is None:
        _rest_from_garbage()
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            return int(options.run(options) or 0)
    except SamplingError as error:
        print(f"bayesmix: {in_shell_words(str(error))}", file=sys.stderr)
        return 1
    except (BayesmixError, OSError) as error:
        print(f"bayesmix: {in_shell_words(str(error))}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt as error:
        print(f"bayesmix: {str(error) or 'interrupted'}", file=sys.stderr)
        return 130


def _rest_from_garbage() -> None:
    """Look for cycles among objects less often, and not at the end, in a process of our own.

    Most of what it makes is imported, and stays: looking for cycles in it takes a tenth of the
    time of a small fit, and so it does once more at the end.
    """
    gc.set_threshold(1_000_000)
    atexit.register(gc.freeze)


def _parser() -> argparse.ArgumentParser:
    from bayesmix import __version__

    parser = argparse.ArgumentParser(
        prog="bayesmix", description="Bayesian mixed models from a formula and a data frame."
    )
    parser.add_argument("--version", action="version", version=f"bayesmix {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{demo,fit,check,report}"
    )

    demo = commands.add_parser("demo", help="fit the sleepstudy data and draw the pictures")
    demo.add_argument("--folder", type=Path, default=Path("bayesmix-demo"),
                      help="where the pictures go (default: %(default)s)")  # fmt: skip
    demo.add_argument("--seed", type=int, default=1)
    demo.set_defaults(run=_demo)

    fit = commands.add_parser(
        "fit",
        help="fit a formula to a file of data and print the summary",
        epilog='example: bayesmix fit "y ~ x + (x | g)" data.csv --seed 1 --output fit.nc',
    )
    _describe_fit(fit)
    fit.set_defaults(run=_fit)

    check = commands.add_parser(
        "check", help="say whether a saved fit worked, and draw its data beside replicates"
    )
    check.add_argument("file", type=Path, metavar="FIT.nc", help="what fit --output wrote")
    check.add_argument("--to", type=Path, default=Path("check.png"), metavar="CHECK.png",
                       help="where the picture goes (%(default)s)")  # fmt: skip
    check.set_defaults(run=_check)

    report = commands.add_parser("report", help="write a saved fit as a page")
    report.add_argument("file", type=Path, metavar="FIT.nc", help="what fit --output wrote")
    report.add_argument("page", type=Path, metavar="FIT.html", nargs="?", default=None,
                        help="where the page goes (beside the fit)")  # fmt: skip
    report.set_defaults(run=_report)
    return parser


def _describe_fit(fit: argparse.ArgumentParser) -> None:
    model = fit.add_argument_group("the model")
    model.add_argument("formula", help='such as "y ~ x + (x | g)"')
    model.add_argument(
        "--formula", dest="formulas", action="append", default=[], metavar="FORMULA",
        help='for another parameter, such as "sigma ~ x" or "zi ~ x"; may be repeated',
    )  # fmt: skip
    model.add_argument(
        "--family", default="gaussian", help="such as poisson or bernoulli (%(default)s)"
    )
    model.add_argument("--link", default="", help="link function (the family's own)")
    model.add_argument(
        "--prior", dest="priors", action="append", default=[], metavar="NAME=PRIOR",
        help='such as "sd(g)=HalfNormal(1)" or "x=Normal(0, 2)"; may be repeated',
    )  # fmt: skip
    model.add_argument("--weights", default=None, metavar="COLUMN", help="precision weights")
    model.add_argument("--known-se", default=None, metavar="COLUMN",
                       help="known standard errors, as in meta-analysis")  # fmt: skip

    data = fit.add_argument_group("the data")
    data.add_argument("data", type=Path,
                      help="a CSV file with a header, in which codes of groups are taken as "
                      "they are written (01 is not 1), or a parquet file")  # fmt: skip
    data.add_argument("--sep", default=",", type=separator, metavar="CHAR",
                      help=r"between the fields of the file: ',', ';', '\t' (a comma)")  # fmt: skip
    data.add_argument("--decimal", default=".", choices=[".", ","], metavar="CHAR",
                      help="what numbers are written with (a point)")  # fmt: skip
    data.add_argument("--encoding", default="utf-8", metavar="NAME",
                      help="how the file writes letters, such as cp1252 (utf-8)")  # fmt: skip
    data.add_argument("--na-values", action="append", default=[], metavar="TEXT",
                      help="what stands for a missing value, such as -999; may be "
                      "repeated (empty fields, NA, NaN and the like always do)")  # fmt: skip
    data.add_argument("--order", dest="orders", action="append", default=[],
                      metavar="COLUMN=LEVELS",
                      help='categories from the lowest, such as "grade=low,mid,high", for ordinal '
                      "families; may be repeated")  # fmt: skip
    data.add_argument(
        "--missing",
        default="drop",
        metavar="{drop,raise}",
        help="what to do with rows that have missing values (%(default)s)",
    )

    how = fit.add_argument_group("the fit")
    how.add_argument("--eb", action="store_true",
                     help="REML in place of draws: lme4's results, at once")  # fmt: skip
    how.add_argument("--method", default=None, help="with --eb: reml, ml or map (REML, and "
                     "ML beyond the normal)")  # fmt: skip
    how.add_argument("--draws", type=int, default=1000, help="kept per chain (%(default)s)")
    how.add_argument("--tune", type=int, default=None, help="warm-up steps (the engine's own)")
    how.add_argument("--chains", type=int, default=4, help="(%(default)s)")
    how.add_argument("--seed", type=int, default=None, help="makes the draws reproducible")
    how.add_argument("--target-accept", type=float, default=None, metavar="P",
                     help="raise it where transitions diverge, to 0.95 or 0.99")  # fmt: skip
    how.add_argument("--engine", default="auto", help="auto, fast or pymc (%(default)s)")

    out = fit.add_argument_group("what comes out")
    out.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="FIT.nc",
        help="save the fit, for bayesmix check, bayesmix.load() and ArviZ",
    )
    out.add_argument("--report", type=Path, default=None, metavar="FIT.html",
                     help="write the fit as a page with tables and pictures")  # fmt: skip
    out.add_argument("--predict", type=Path, default=None, metavar="NEW.csv",
                     help="predict the rows of another file")  # fmt: skip
    out.add_argument("--to", type=Path, default=None, metavar="OUT.csv",
                     help="where the predictions go, beside the columns of their file, as "
                     "CSV or parquet (the output otherwise)")  # fmt: skip
    out.add_argument("--quiet", action="store_true", help="no progress")


def _demo(options: argparse.Namespace) -> None:
    from bayesmix.demo import run_demo

    run_demo(options.folder, seed=options.seed)


def _fit(options: argparse.Namespace) -> None:
    from bayesmix.results.files.report import report_place
    from bayesmix.results.files.storage import writable_place

    if options.output is not None:
        writable_place(options.output)
    if options.report is not None:
        report_place(options.report)
    if options.to is not None and options.predict is None:
        raise DataError(
            "--to OUT.csv is where predictions go: say of which rows, --predict NEW.csv"
        )
    if options.to is not None and not options.to.parent.is_dir():
        raise DataError(f"there is no folder {options.to.parent} to write {options.to.name} in")
    from bayesmix.families import get_family
    from bayesmix.model import Model

    family = get_family(options.family)
    if options.link:
        family = type(family)(link=options.link)
    data = with_orders(with_identifiers(read_table(options), options), options.orders)
    formulas = formulas_of(options)
    model = Model(
        formulas if len(formulas) > 1 else formulas[0],
        data,
        family=family,
        priors=_priors(options.priors),
        weights=options.weights,
        known_se=options.known_se,
        missing=options.missing,
    )
    new = None if options.predict is None else _rows_to_predict(options)
    fit: Any
    if options.eb or options.method:
        fit = model.fit_eb(options.method)
    else:
        fit = model.fit(
            options.draws,
            tune=options.tune,
            chains=options.chains,
            seed=options.seed,
            target_accept=options.target_accept,
            engine=options.engine,
            progress=not options.quiet,
        )
    print(in_shell_words(str(fit.summary())))
    if options.output is not None:
        print(f"\nSaved to {fit.save(options.output)}: bayesmix check and bayesmix.load() read it")
    if options.report is not None:
        print(f"\nReport in {fit.report(options.report)}")
    if new is not None:
        _write_predictions(fit.predict(new), new, options)


def _priors(texts: Sequence[str]) -> dict[str, Any]:
    """Priors by name, of texts such as ``sd(g)=HalfNormal(1)``."""
    from bayesmix.priors import Prior

    found = {}
    for text in texts:
        name, sign, prior = text.partition("=")
        if not sign or not name.strip():
            raise PriorError(
                f'--prior {text!r} must be a name, = and a prior, such as "sd(g)=HalfNormal(1)"'
            )
        found[name.strip()] = Prior.from_text(prior)
    return found


def _rows_to_predict(options: argparse.Namespace) -> Any:
    given = argparse.Namespace(**vars(options))
    given.data = options.predict
    given.content = None
    return with_identifiers(read_table(given), given)


def _write_predictions(table: Any, new: Any, options: argparse.Namespace) -> None:
    import pandas as pd

    beside = new.loc[table.index]
    taken = [name for name in table.columns if name in beside.columns]
    found = pd.concat([beside, table.rename(columns={n: f"predicted_{n}" for n in taken})], axis=1)
    if options.to is None:
        print()
        found.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    content = io.BytesIO()
    if is_parquet(options.to):
        found.to_parquet(content, index=False)
    else:
        found.to_csv(content, index=False)
    _write(options.to, content)
    print(f"\n{len(found)} predictions in {options.to}")


def _write(target: Path, content: io.BytesIO) -> None:
    """Write a file whole or not at all; a pipe or a device takes it as it comes."""
    from bayesmix.results.files.places import as_path, found_there, write_whole

    there = found_there(as_path(target))
    if there is None or stat.S_ISREG(there.st_mode):
        write_whole(target, content.getvalue())
        return
    try:
        target.write_bytes(content.getvalue())
    except OSError as error:
        raise FileError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error


def _check(options: argparse.Namespace) -> None:
    import bayesmix

    fit: Any = bayesmix.load(options.file)
    problems = fit._problems()
    print(fit.diagnostics() if hasattr(fit, "diagnostics") else "\n".join(fit._run_in_words()))
    figure = fit.check()
    content = io.BytesIO()
    figure.savefig(content, format=options.to.suffix.removeprefix(".") or "png")
    _write(options.to, content)
    print("\nNothing was found wrong." if not problems else "\nFound wrong:")
    for problem in problems:
        print(f"- {in_shell_words(problem)}")
    print(f"The data beside replicates are in {options.to}")


def _report(options: argparse.Namespace) -> None:
    import bayesmix

    page = options.page or options.file.with_suffix(".html")
    print(f"Report in {bayesmix.load(options.file).report(page)}")
