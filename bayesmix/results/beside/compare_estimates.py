"""Fits side by side: what each of them estimates of the same quantities."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmix.answering import answering
from bayesmix.arguments import check_probability
from bayesmix.errors import OWN_FILES, ArgumentError, DataWarning
from bayesmix.results.beside.estimate_comparison import EstimateComparison
from bayesmix.results.beside.estimates import (
    Estimates,
    names_to_match,
    own_estimates,
)
from bayesmix.results.beside.foreign import is_fitted_result, result_estimates
from bayesmix.results.beside.tidy import read_tidy, tidy_estimates
from bayesmix.results.fit import Fit

__all__ = ["compare_estimates"]


@answering
def compare_estimates(*fits: Any, ci_prob: float = 0.95, **named: Any) -> EstimateComparison:
    """Set the estimates of several fits side by side, with their intervals.

    Terms, grouping factors and levels that other programs call otherwise get the names
    of the bayesmix fits among them: R's ``(Intercept)``, ``sexM`` and ``ward:hospital``,
    patsy's ``C(f)[T.2]``. What cannot be matched stays as a row of its own. Models of
    different terms or families may be compared; nothing is rescaled.

    Parameters
    ----------
    *fits : Posterior, EmpiricalBayes, statsmodels result, path, DataFrame or mapping
        A path is that of a CSV file as R's broom.mixed writes it
        (``tidy(fit, effects = c("fixed", "ran_pars", "ran_vals"), conf.int = TRUE)``),
        and a DataFrame holds the same columns, or those of `fixed_effects` or
        `Model.complete_pooling`. A mapping gives several fits by name.
    ci_prob : float
        Probability inside the intervals. Those of a CSV file or DataFrame are taken as
        they are; where it has none, they are made from its standard errors.
    **named
        Further fits, under names of one's own: ``lme4="fit.csv"``.

    Returns
    -------
    EstimateComparison

    Raises
    ------
    NotSupportedError
        If there is nothing to compare, or it is none of these.
    DataError
        If a table does not have the columns that are needed.
    FileError
        If a file cannot be read.

    Warns
    -----
    DataWarning
        If the fits are known to be of different numbers of rows.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    >>> both = bmx.compare_estimates(model.fit_eb(), all_rows=model.complete_pooling())
    >>> both.fixed_effects["fit"].tolist()
    ['REML', 'all_rows', 'REML', 'all_rows']
    """
    check_probability("ci_prob", ci_prob)
    given = list(_given(fits, named))
    if not given:
        raise ArgumentError("compare_estimates wants at least one fit")
    models = [fit.model for _, fit in given if isinstance(fit, Fit)]
    terms, groups = names_to_match(models)
    found: dict[str, Estimates] = {}
    for name, fit in given:
        if isinstance(fit, Fit):
            estimates = own_estimates(fit, ci_prob)
        elif isinstance(fit, str | Path):
            stem = name or Path(fit).stem
            estimates = tidy_estimates(read_tidy(fit), stem, ci_prob, terms, groups)
        elif is_fitted_result(fit):
            estimates = result_estimates(fit, ci_prob, terms, groups)
        else:
            estimates = tidy_estimates(_as_table(fit), name or "table", ci_prob, terms, groups)
        found[_unused(name or estimates.name, found, given_by_user=name is not None)] = estimates
    _warn_of_rows(found)
    return EstimateComparison(fits=found, ci_prob=float(ci_prob))


def _given(fits: Sequence[Any], named: Mapping[str, Any]) -> Iterator[tuple[str | None, Any]]:
    for fit in fits:
        if isinstance(fit, Mapping):
            yield from ((str(name), value) for name, value in fit.items())
        else:
            yield None, fit
    yield from named.items()


def _as_table(fit: Any) -> pd.DataFrame:
    if isinstance(fit, pd.DataFrame):
        return fit
    import narwhals as nw

    try:
        return nw.from_native(fit, eager_only=True).to_pandas()
    except TypeError:
        raise ArgumentError(
            f"compare_estimates does not know {type(fit).__name__}; it takes a Posterior, an "
            "EmpiricalBayes, a result of statsmodels, a table as broom.mixed writes it, its "
            "path, or a dict of these"
        ) from None


def _unused(name: str, taken: Mapping[str, Any], *, given_by_user: bool) -> str:
    if name not in taken:
        return name
    if given_by_user:
        raise ArgumentError(f"there are two fits called {name!r}; give each its own name")
    k = 2
    while f"{name} {k}" in taken:
        k += 1
    return f"{name} {k}"


def _warn_of_rows(found: Mapping[str, Estimates]) -> None:
    sizes = {name: fit.n_obs for name, fit in found.items() if fit.n_obs is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in sizes.items())
        warnings.warn(
            f"the fits are of different numbers of rows ({listed}); they differ in their data, "
            "and not only in how they estimate",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )
