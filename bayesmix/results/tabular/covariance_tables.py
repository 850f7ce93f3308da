"""Covariances in words and numbers: parameters of structures, and what they make of rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError
from bayesmix.laws.base import Asked, IntervalMethod, asks_the_law
from bayesmix.laws.marginal_covariance import marginal_covariance
from bayesmix.laws.summaries import IntervalKind, Point
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular import tables
from bayesmix.results.tabular.by_predictor import by_predictor
from bayesmix.results.tabular.rows_of_level import rows_of_level

__all__ = ["CovarianceTables"]


class CovarianceTables(HasLaw):
    """What is known of the covariance structures."""

    @asks_the_law
    def covariance_parameters(
        self,
        ci_prob: float = 0.95,
        *,
        parameter: str = "mu",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        diagnostics: bool | None = None,
        ci_method: IntervalMethod | None = None,
    ) -> pd.DataFrame:
        """Summarise what covariance structures have beside standard deviations.

        The correlation ``rho`` of ``ar1(time | g)`` and its like, the ``range`` over which
        effects of ``exp(x + y | g)`` are correlated (in units of the positions), the
        ``shape`` of ``mat``; those of the residual stand below the group "Residual".
        Correlations that each pair of effects has of its own are in `correlations`.

        Parameters
        ----------
        ci_prob, parameter, ci_kind, point, diagnostics
            As in `fixed_effects`.
        ci_method : {"profile", "wald"}, optional
            As in `variance_components`, or a normal interval on the scale without ends: the
            logit of the place between two ends, the logarithm of what is positive. By
            default the profile where those of all variance parameters cost less than about
            a second.

        Returns
        -------
        DataFrame
            One row per parameter, none where the model has no such structure: group,
            parameter, estimate, sd, lower, upper; of a posterior also ess_bulk, ess_tail,
            r_hat. The name of the predictor stands first, in ``predictor``, where all are
            asked for. Where two terms of a grouping factor have a parameter of one name, the
            term is said: ``rho_1 of ar1(occasion)``.

            For empirical Bayes sd is by the delta method, and limits lie within the range: a
            profile ends at its end where that is inside (infinity, for a range that may be
            as large as one likes). NaN are all numbers where the standard deviation is zero,
            and limits that are not known: those of a profile without the estimate in it (of
            REML, whose estimate is not the profile's lowest point), those beyond which the
            correlation matrix is singular to rounding, and those of a normal interval whose
            standard error is above 3. The `summary` says which of these it is.

        Raises
        ------
        NotSupportedError
            As `variance_components`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.covariance_parameters().columns.tolist()
        ['group', 'parameter', 'estimate', 'sd', 'lower', 'upper']
        """
        asked = Asked(
            ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=diagnostics,
            ci_method=ci_method,
        )  # fmt: skip
        return by_predictor(
            self._law,
            parameter,
            lambda law: tables.covariance_parameters_table(law, asked)[0],
            "predictor",
        )

    def marginal_covariance(
        self,
        level: Any = None,
        group: str | None = None,
        *,
        correlation: bool = False,
        labels: str | None = None,
    ) -> pd.DataFrame:
        """Compute the covariance of one group's rows that the model implies: Z Sigma Z' + R.

        Every grouping factor contributes to the rows that share one of its levels, so nested
        and crossed ones do too (and to rows of related levels, where ``gr(g, cov=A)`` says
        so); the residual contributes R, its variance and what its structure says. Fixed effects
        and smooths are taken as known. Empirical Bayes has it at the estimates; a posterior has
        its mean over the draws, of correlations the mean of each draw's.

        Beyond a normal response with an identity link it is the covariance of the linear
        predictors, Z Sigma Z' without R, on the scale of the link.

        Parameters
        ----------
        level : str or value, optional
            A level of the grouping factor, as the data or the tables have it; the first by default.
        group : str, optional
            The grouping factor; the first by default, and the series of the residuals where
            there is none.
        correlation : bool
            Whether to return correlations.
        labels : str, optional
            A column that the model uses, whose values name the rows; by default the labels
            that they have in the data.

        Returns
        -------
        DataFrame
            Square, a row and a column for each row of the group, in the order of the data; in
            squared units of the response.

        Raises
        ------
        NotSupportedError
            If the model has neither group effects nor series, no such level or column, or
            memory does not hold the matrix.
        DataError
            If there is no such grouping factor.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> V = eb.marginal_covariance("308", labels="Days")
        >>> V.iloc[[0, 9], [0, 9]].round(0).values.tolist()
        [[1267.0, 699.0], [699.0, 4281.0]]
        """
        design = self.model.design
        at, _ = rows_of_level(design, level, group)
        names = design.row_labels[at]
        if labels is not None:
            if labels not in design.frame.columns:
                near = did_you_mean(labels, map(str, design.frame.columns)).strip()
                raise ArgumentError(f"the model uses no column {labels!r}; {near}".rstrip("; "))
            names = pd.Index(design.frame[labels].iloc[at], name=labels)
        V = marginal_covariance(
            self.model, self._law.values, at, correlation=correlation,
            sigma_of_rows=self._law.sigma_of_rows(at),
        )  # fmt: skip
        return pd.DataFrame(V, index=names, columns=names)
