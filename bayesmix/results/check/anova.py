"""Likelihood-ratio tests of nested models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.errors import DataError, NotSupportedError
from bayesmix.results.empirical_bayes import EmpiricalBayes
from bayesmix.results.tabular.tables import text_column

__all__ = ["anova"]


def anova(*fits: EmpiricalBayes) -> pd.DataFrame:
    """Compare nested models by likelihood-ratio tests.

    Fits by REML are compared as they are where their fixed parts are the same,
    and refitted by ML where these differ, as REML criteria are then of different
    data. Models are sorted by their number of parameters, each tested against the
    one before. A variance that is zero under the smaller model lies on the
    boundary, where the test is conservative.

    Parameters
    ----------
    *fits : EmpiricalBayes
        Two or more fits to the same rows of the same response.

    Returns
    -------
    DataFrame
        One row per model: model, method, df, aic, bic, loglik, deviance, chisq,
        chisq_df, p_value.

    Raises
    ------
    NotSupportedError
        If there are fewer than two fits, or one is a posterior mode.
    DataError
        If the fits are to different data.
    """
    if len(fits) < 2 or not all(isinstance(fit, EmpiricalBayes) for fit in fits):
        raise NotSupportedError("anova compares two or more results of fit_eb()")
    if any(fit.method == "map" for fit in fits):
        raise NotSupportedError(
            'a posterior mode (method="map") has no likelihood-ratio test; fit by "ml"'
        )
    first = fits[0].model
    for fit in fits[1:]:
        rows = fit.model.design.row_positions
        if not (
            np.array_equal(fit.model.y, first.y)
            and np.array_equal(rows, first.design.row_positions)
        ):
            raise DataError(
                f"`{fit.model.formula}` is fitted to other data ({len(fit.model.y)} rows) than "
                f"`{first.formula}` ({len(first.y)} rows); drop rows with missing values first"
            )
    same_fixed = all(
        fit.model.design.fixed_effects == first.design.fixed_effects
        and np.array_equal(fit.model.design.X, first.design.X)
        for fit in fits
    )
    methods = {fit.method for fit in fits}
    if methods != {"ml"} and not (same_fixed and methods == {"reml"}):
        fits = tuple(fit if fit.method == "ml" else fit.model.fit_eb(method="ml") for fit in fits)
    ordered = sorted(fits, key=lambda fit: fit.df)
    deviance = np.asarray([fit.deviance for fit in ordered])
    df = np.asarray([fit.df for fit in ordered])
    chisq = np.concatenate([[np.nan], np.maximum(-np.diff(deviance), 0.0)])
    chisq_df = np.concatenate([[np.nan], np.diff(df)])
    with np.errstate(invalid="ignore"):
        p = np.where(chisq_df > 0, stats.chi2.sf(chisq, np.maximum(chisq_df, 1)), np.nan)
    return pd.DataFrame(
        {
            "model": text_column([str(fit.model.formula) for fit in ordered]),
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
