"""Likelihood-ratio tests of nested models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.answering import answering
from bayesmix.arguments import checked_seed, one_of, whole_number
from bayesmix.errors import (
    OWN_FILES,
    ArgumentError,
    ConvergenceWarning,
    DataError,
    DataWarning,
    NotSupportedError,
)
from bayesmix.results.check.nested import covariance_is_nested, has_rules, same_levels
from bayesmix.results.check.nested_beside import beside_not_nested, spanned
from bayesmix.results.check.null_ratios import null_statistics
from bayesmix.results.empirical_bayes import EmpiricalBayes
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.testing.running import threads_of

if TYPE_CHECKING:
    from bayesmix.statement.stated import FittableModel

__all__ = ["anova"]

_RISE = 1e-3  # of the deviance, beyond what the optimiser leaves


@answering
def anova(
    *fits: EmpiricalBayes,
    test: Literal["lrt", "kenward-roger", "bootstrap"] = "lrt",
    n: int = 1000,
    seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Compare nested models by likelihood-ratio tests, or fixed parts by Kenward and Roger's.

    Fits by REML are compared as they are where their fixed parts are the same,
    and refitted by ML where these differ, as REML criteria are then of different
    data. Models are sorted by their number of parameters, each tested against the
    one before. A variance that is zero under the smaller model lies on the
    boundary, where the test is conservative. Nested is what can express each
    covariance of the rows that the smaller model can, whatever the terms are called:
    ``(1 | Worker/Machine)`` is nested in ``(0 + Machine | Worker)``.

    Parameters
    ----------
    *fits : EmpiricalBayes
        Two or more fits to the same rows of the same response.
    test : {"lrt", "kenward-roger", "bootstrap"}
        The second is of two fits of normal responses by REML whose group effects are the
        same and whose fixed parts are nested; it allows for few groups. The third draws the
        law of the likelihood ratio of two fits by refitting both to responses that the
        smaller model has made: for few groups, variances at the boundary, and any family.
    n : int
        Number of responses for ``test="bootstrap"``.
    seed, cores, progress
        For ``test="bootstrap"``, as in `EmpiricalBayes.bootstrap`.

    Returns
    -------
    DataFrame
        One row per model: model, method, df, aic, bic, loglik, deviance, chisq,
        chisq_df, p_value. The last three are of a test against the row before;
        chisq and p_value are NaN where the two have as many parameters, or where
        the one before is not nested in this one.

        For ``test="kenward-roger"`` model, method, df, f, num_df, den_df, p_value. For
        ``test="bootstrap"`` also p_error, the Monte Carlo standard error of p_value, which is
        (k + 1) / (n_refits + 1) with k statistics as large as that of the data, and p_lrt, that
        of the chi-square; a run that is interrupted (Ctrl-C) is one of fewer refits.

    Raises
    ------
    NotSupportedError
        If there are fewer than two fits, one is a posterior mode, or they are of
        other families or approximations of the likelihood; for Kenward and Roger's test
        if there are more than two, one is not by REML, or their group effects differ; for the
        bootstrap if there are more than two or they are not nested.
    DataError
        If the fits are to different data: other rows, responses, columns,
        weights, standard errors or offsets.

    Warns
    -----
    ConvergenceWarning
        Where a fit has not converged, or more than one refit in twenty.
    DataWarning
        Where models are not nested, or where it does not show whether they are.

    References
    ----------
    Halekoh, U. and Hojsgaard, S. (2014). A Kenward-Roger approximation and parametric bootstrap
    methods for tests in linear mixed models: the R package pbkrtest. Journal of Statistical
    Software 59(9).

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> slopes = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    >>> levels = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
    >>> bmx.anova(levels, slopes)["df"].tolist()
    [4, 6]
    >>> bmx.anova(levels, slopes, test="bootstrap", n=200, seed=1)["p_value"].round(3).tolist()
    [nan, 0.005]
    """
    if len(fits) < 2 or not all(isinstance(fit, EmpiricalBayes) for fit in fits):
        raise ArgumentError("anova compares two or more results of fit_eb()")
    if any(fit.method in ("map", "mivque0") for fit in fits):
        raise NotSupportedError(
            'a posterior mode (method="map") has no likelihood-ratio test, nor has MIVQUE(0), '
            'which maximises no likelihood; fit by "ml"'
        )
    one_of("test", test, ("lrt", "kenward-roger", "bootstrap"))
    if test == "bootstrap" and len(fits) != 2:
        raise ArgumentError(f'test="bootstrap" compares two fits, not {len(fits)}')
    first = fits[0].model
    for fit in fits[1:]:
        _check_likelihood(fits[0], fit)
        _check_data(first, fit.model)
    if test == "kenward-roger":
        return _kenward_roger(fits)
    same_fixed = all(
        fit.model.design.mu.fixed_effects == first.design.mu.fixed_effects
        and np.array_equal(fit.model.design.mu.X, first.design.mu.X)
        for fit in fits
    )
    methods = {fit.method for fit in fits}
    if methods != {"ml"} and not (same_fixed and methods == {"reml"}):
        fits = tuple(fit if fit.method == "ml" else fit.model.fit_eb(method="ml") for fit in fits)
    _warn_of_unconverged(fits)
    ordered = sorted(fits, key=lambda fit: fit.df)
    deviance = np.asarray([fit.deviance for fit in ordered])
    df = np.asarray([fit.df for fit in ordered])
    chisq = np.concatenate([[np.nan], -np.diff(deviance)])
    chisq_df = np.concatenate([[np.nan], np.diff(df)])
    for i, (small, large) in enumerate(pairwise(ordered), start=1):
        same_size = df[i] == df[i - 1]
        _check_offsets(small.model, large.model)
        reason = "" if same_size else _not_nested(small.model, large.model, float(chisq[i]))
        chisq[i] = np.nan if same_size or reason else max(chisq[i], 0.0)
        if reason:
            warnings.warn(
                f"`{_formulas(small)}` is not nested in `{_formulas(large)}`: {reason}; "
                "there is no likelihood-ratio test, compare aic or bic",
                DataWarning,
                stacklevel=2,
                skip_file_prefixes=OWN_FILES,
            )
    p = np.where(chisq_df > 0, special.chdtrc(np.maximum(chisq_df, 1), chisq), np.nan)
    beside = {}
    if test == "bootstrap":
        beside = _by_bootstrap(ordered, chisq, p, n, seed, cores, progress=progress)
    table = pd.DataFrame(
        {
            "model": text_column([_formulas(fit) for fit in ordered]),
            "method": text_column([fit.method for fit in ordered]),
            "df": df,
            "aic": [fit.aic for fit in ordered],
            "bic": [fit.bic for fit in ordered],
            "loglik": [fit.loglik for fit in ordered],
            "deviance": deviance,
            "chisq": chisq,
            "chisq_df": chisq_df,
            "p_value": p,
        }
    )
    return table.assign(**beside)


def _by_bootstrap(
    ordered: Sequence[EmpiricalBayes], chisq: np.ndarray, p_lrt: np.ndarray, n: int,
    seed: int | None, cores: int | None, *, progress: bool,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Columns of the test of two fits by responses that the smaller one makes."""
    small, large = ordered
    if np.isnan(chisq[1]):
        raise NotSupportedError(
            f"`{small.model.formula}` is not nested in `{large.model.formula}`, and responses of "
            "the former say nothing of the latter; compare aic or bic"
        )
    size = whole_number("n", n, 1, 10_000_000)
    drawn = null_statistics(
        small._law, large._law, size, checked_seed(seed, 0), threads_of(cores), progress=progress
    )
    if len(drawn) < 0.95 * size:
        warnings.warn(
            f"{size - len(drawn)} of {size} pairs of refits did not converge or were not reached, "
            "and are left out",
            ConvergenceWarning,
            stacklevel=3,
            skip_file_prefixes=OWN_FILES,
        )
    return _of_simulated(float(chisq[1]), drawn, p_lrt)


def _of_simulated(chisq: float, drawn: np.ndarray, p_lrt: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a test whose law was simulated; the data count as one more response."""
    p = (float((drawn >= chisq - 1e-6).sum()) + 1) / (len(drawn) + 1)
    error = float(np.sqrt(p * (1 - p) / len(drawn)))
    found = {"p_value": p, "p_error": error, "n_refits": len(drawn)}
    out = {name: np.asarray([np.nan, value]) for name, value in found.items()}
    return out | {"p_lrt": p_lrt}


def _warn_of_unconverged(fits: Sequence[EmpiricalBayes]) -> None:
    """Say again of fits that ended before their optimum that their likelihood is none."""
    names = [f"`{_formulas(fit)}`" for fit in fits if not fit.converged]
    if names:
        warnings.warn(
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} not converged: do not "
            "trust the tests and criteria that rest on it",
            ConvergenceWarning,
            stacklevel=3,
            skip_file_prefixes=OWN_FILES,
        )


def _kenward_roger(fits: Sequence[EmpiricalBayes]) -> pd.DataFrame:
    """Test what the fixed part of the larger of two models has beyond the smaller's."""
    if len(fits) != 2:
        raise ArgumentError(f'test="kenward-roger" compares two fits, not {len(fits)}')
    small, large = sorted(fits, key=lambda fit: len(fit.model.design.mu.fixed_effects))
    one, other = small.model.design.mu, large.model.design.mu
    words = [{str(term) for term in mu.formula.groups} for mu in (one, other)]
    if words[0] != words[1]:
        raise NotSupportedError(
            "Kenward and Roger's test compares fixed parts, and the group effects of "
            f'`{_formulas(small)}` and `{_formulas(large)}` differ; take test="lrt"'
        )
    _check_offsets(small.model, large.model)
    if one.X.shape[1] == other.X.shape[1] or not spanned(one.X, other.X):
        raise DataError(
            f"the fixed part of `{_formulas(small)}` is not nested in that of `{_formulas(large)}`"
        )
    row = large._beyond(one.X)
    return pd.DataFrame(
        {
            "model": text_column([_formulas(fit) for fit in (small, large)]),
            "method": text_column([fit.method for fit in (small, large)]),
            "df": [small.df, large.df],
            "f": [np.nan, row.f],
            "num_df": [np.nan, row.num_df],
            "den_df": [np.nan, row.den_df],
            "p_value": [np.nan, row.p],
        }
    )


def _check_likelihood(one: EmpiricalBayes, other: EmpiricalBayes) -> None:
    """Refuse likelihoods of other families, or approximated otherwise."""
    first, family = one.model.family, other.model.family
    if not (first.nests(family) or family.nests(first)):
        raise NotSupportedError(
            f"`{other.model.formula}` is of the {family.name} family with the {family.link} link, "
            f"`{one.model.formula}` of the {first.name} family with the {first.link} link; "
            "anova compares models of one family"
        )
    points = [fit._law.n_quadrature for fit in (one, other)]
    if points[0] != points[1]:
        raise NotSupportedError(
            f"n_quadrature={points[0]} and n_quadrature={points[1]} approximate the likelihood "
            "differently; fit with the same number of points"
        )


def _check_data(first: FittableModel, model: FittableModel) -> None:
    """Refuse fits to other data, and name what is other."""
    one, other = first.design, model.design
    whose = f"`{model.formula}` is fitted to other data than `{first.formula}`"
    # The same rows may come from a table with, and from one without, rows that are left out.
    same = len(model.y) == len(first.y) and np.array_equal(model.y, first.y)
    if not same and not np.array_equal(other.row_positions, one.row_positions):
        raise DataError(
            f"{whose}: {len(model.y)} rows of {other.n_rows_given} and {len(first.y)} of "
            f"{one.n_rows_given}; drop rows with missing values first"
        )
    if not same:
        raise DataError(
            f"{whose}: the responses {other.formula.response.text} and "
            f"{one.formula.response.text} have different values"
        )
    # What a residual structure is told of the rows is part of the model, not of the data.
    names = [n for n in {**first.rows, **model.rows} if not n.startswith("residual_")]
    differ = [n for n in names if not _same(first.rows.get(n), model.rows.get(n))]
    shared = [str(name) for name in one.frame.columns if name in other.frame.columns]
    differ += [f"column `{n}`" for n in shared if not _same(one.frame[n], other.frame[n])]
    if differ:
        raise DataError(f"{whose}: different values of {', '.join(differ)}")


def _same(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is other
    a, b = np.asarray(one), np.asarray(other)
    # The same levels may be stored as text and as numbers.
    return np.array_equal(a, b) or (
        a.dtype != b.dtype and np.array_equal(a.astype(str), b.astype(str))
    )


def _check_offsets(small: FittableModel, large: FittableModel) -> None:
    """Refuse other offsets, unless the larger model estimates what the smaller sets to 1."""
    n = len(small.y)
    offsets = [m.design.mu.offset for m in (small, large)]
    if _same(*offsets):
        return
    one, other = (np.zeros(n) if values is None else values for values in offsets)
    if not spanned((one - other)[:, None], large.design.mu.X):
        raise DataError(
            f"`{small.formula}` and `{large.formula}` have different offsets; "
            "anova compares models with the same offset"
        )


def _not_nested(small: FittableModel, large: FittableModel, chisq: float) -> str:
    """Why a model is not nested in a larger one, as far as that shows; empty if it does not."""
    one, other = small.design.mu, large.design.mu
    nested = covariance_is_nested(one.groups, other.groups, _residual(large))
    gone = [g.name for g in one.groups if not any(same_levels(g, k) for k in other.groups)]
    if nested == "no" and gone:
        return f"the latter has no effects by {', '.join(gone)}"
    if not {*one.fixed_effects} <= {*other.fixed_effects} and not spanned(one.X, other.X):
        return "the latter lacks fixed effects of the former"
    if reason := beside_not_nested(small, large):
        return reason
    if nested == "no":
        return "the effects of the latter cannot have each covariance that the former's can"
    if chisq < -_RISE:
        return f"its deviance is higher by {-chisq:.4g} (or it did not converge)"
    if nested == "unknown":
        why = (
            "as rules for the covariance of effects are compared with few others"
            if has_rules(one.groups, other.groups)
            else "as the latter has several ways to one covariance"
        )
        warnings.warn(
            f"whether `{small.formula}` is nested in `{large.formula}` does not show, {why}; the "
            "test takes it to be",
            DataWarning,
            stacklevel=3,
            skip_file_prefixes=OWN_FILES,
        )
    return ""


def _residual(model: FittableModel) -> np.ndarray | None:
    """Residual variances of the rows up to a free factor; None where there is none."""
    if not model.family.residual_is_estimated:
        return None
    weights = model.design.weights
    return np.ones(len(model.y)) if weights is None else 1.0 / weights


def _formulas(fit: EmpiricalBayes) -> str:
    """All formulas of a model: those with one first formula may differ in the others."""
    given = fit.model.specification.formula
    others = () if isinstance(given, str) else given[1:]
    return "; ".join([str(fit.model.formula), *map(str, others)])
