"""`Model`: the front door. A stated model that can be fitted and updated."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bayesmix.design.missing import MissingAction
from bayesmix.errors import (
    OWN_FILES,
    DataError,
    DataWarning,
    FormulaError,
    NotApplicableError,
    NotSupportedError,
)  # fmt: skip
from bayesmix.families import Family
from bayesmix.model.fitting import Engine, GroupDraws, Method, Sampler, maximise, sample
from bayesmix.model.pooling import PoolingExtremes
from bayesmix.statement.pymc_model import Parametrization
from bayesmix.statement.stated import FittableModel
from bayesmix.words_of_others import OF_MODEL

if TYPE_CHECKING:
    from bayesmix.gaussian.problem import Problem
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.priors.prior import Prior
    from bayesmix.results import EmpiricalBayes, Posterior
    from bayesmix.results.empirical_bayes import Algebra

__all__ = ["Model"]


class Model(FittableModel, PoolingExtremes):
    """A Bayesian mixed model: a formula over a data frame, with priors.

    Parameters
    ----------
    formula : str or sequence of str
        Such as ``"Reaction ~ Days + (Days | Subject)"``; lme4's group terms on
        top of all that formulaic reads. Smooths are written as in mgcv: ``s(x, k=10,
        bs="tp" | "cr" | "ps", m=)``, ``s(x, z)`` and ``t2(x, z)`` for surfaces, ``by=`` a
        number or a factor (each level, ordered or not, has a curve), ``s(x, g, bs="fs")``
        for curves of a factor's levels, and ``s(g, bs="re")``, which is ``(1 | g)``. On the
        left-hand side may stand
        ``proportion(successes, trials)``, ``event(time, status)``,
        ``censored(y, status)``, ``truncated(y, lower, upper)`` and
        ``weighted(y, w)``, where w is an exponent of the row's likelihood and no
        precision; ``cbind(a, b, c) | trials(n)`` are counts of categories, for
        ``family="multinomial"``.
        Behind a bar may stand ``gr(g, cov=A)``, levels with the known covariance
        A of `matrices`; ``gr(g, by=f)``, a covariance of effects for each level of f;
        ``gr(g, dist="student")``, effects that are multivariate t; and
        ``mm(a, b, weights=[v, w])``, rows that belong to several levels.
        Where there are several the first has the response, and each of the others a parameter
        of the family on its left, with fixed effects, group terms and smooths of its own:
        ``"zi ~ mined + (1 | site)"`` the logit of the probability of extra zeros,
        ``"sigma ~ 0 + C(time)"`` the logarithm of a standard deviation. Group terms with the
        same word between two bars, ``(1 | p | site)`` in both, have correlated effects.
        ``"residual ~ ar1(time | g)"`` says how the residuals of a normal response are
        correlated within the series g.
    data : pandas, polars or pyarrow table, or what is read in batches
        One row per observation. It is never modified. Also a parquet file, a folder of them
        (``"rows/"``), a pyarrow dataset, a polars LazyFrame, a DuckDB relation or a Dask or
        Spark DataFrame: of a normal response sums are kept and no rows, of another a table of
        the rows that differ, with their numbers. Where more than 250,000 of these differ,
        `fit_eb` writes all rows into a temporary file (in the folder that ``TMPDIR`` names) and
        goes over that, a block at a time.
    family : str or Family
        The response distribution: a name such as ``"poisson"``, with its default
        link, or an object such as ``bmx.families.Binomial(link="probit")``.
    priors : mapping of str to Prior, optional
        Priors that replace the defaults, by the name of their parameter:
        ``"Intercept"``, a term, ``"fixed"``, ``"sd"``, ``"sd(Subject)"``,
        ``"sd(Subject, Days)"``, ``"sd(s(x))"``, ``"corr"``, ``"corr(Subject)"``,
        ``"sigma"`` or another parameter of the family.
    functions : mapping of str to callable, optional
        Functions that the formula calls beside formulaic's transforms and the
        row-wise functions of numpy. They get a column and return an array.
    missing : {"drop", "raise"}
        Whether rows with a missing value in a used column are left out, with a
        warning, or refused.
    weights : str or array_like, shape (n,), optional
        Precision weights, a column's name or an array: the residual variance of a
        row is sigma^2 / w, as in lme4. (Not exponents of the likelihood.) A pandas
        Series goes by its labels, anything else by position.
    known_se : str or array_like, shape (n,), optional
        Known residual standard errors, in units of the response, as in
        meta-analysis. There is no sigma then, and a level may have one row.
    parametrization : {"non-centered", "centered"}
        How the PyMC model states the group effects.
    matrices : mapping of str to object, optional
        Known covariances between the levels of grouping factors, by the names that
        ``gr(g, cov=A)`` has for them: a DataFrame whose index and columns are the levels, or
        the result of `relationship`. For ``gr(g, precision=Q)`` the inverse: such a
        DataFrame, or a pair of a scipy.sparse matrix and its labels. Levels without data get
        effects as well.
    learned_from : Model, optional
        A model of the same formula and family for other data. What it learned from these
        is kept: categories of the response, levels and contrasts of factors, knots,
        ranges and scales of transforms, and the default priors. `update` with new
        data sees to it.

    Raises
    ------
    FormulaError
        If the formula cannot be read or does not fit the data.
    DataError
        If the data cannot be used.
    PriorError
        If a prior names no parameter, or does not fit it.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    >>> model.priors.loc[4, ["parameter", "prior"]].tolist()
    ['corr(Subject)', 'LKJ(eta=2)']
    """

    def fit(
        self,
        draws: int = 1000,
        *,
        tune: int | None = None,
        chains: int = 4,
        cores: int | None = None,
        seed: int | None = None,
        target_accept: float | None = None,
        engine: Engine = "auto",
        sampler: Sampler = "auto",
        group_draws: GroupDraws = "auto",
        prior_only: bool = False,
        progress: bool = True,
    ) -> Posterior:
        """Sample the posterior, by independent proposals or with NUTS.

        Interrupting (Ctrl-C) returns what was drawn so far, with a warning.

        Parameters
        ----------
        draws : int
            Draws kept per chain.
        tune : int, optional
            Warm-up steps per chain, at least 20; by default 1000 for PyMC, 300 for
            the fast engine, and 100 there where crossed factors have over 500 columns or one
            grouping factor is taken after the other.
            For independent draws the points per chain to which the proposal is fitted, if
            that is more than 1000 in all, or 300 where one takes over 5 milliseconds.
        chains : int
            Number of independent chains.
        cores : int, optional
            Chains that run at the same time; by default one per processor.
        seed : int, optional
            Makes the draws reproducible. Without one a seed is drawn, and kept
            in ``idata.attrs["seed"]``.
        target_accept : float, optional
            Mean acceptance probability that the step size is tuned to; by default
            0.8, and 0.95 where the fast engine samples a non-normal model whose data
            say little about a standard deviation. Independent draws have no step size:
            given a number, `sampler="auto"` takes NUTS, and the summary says so.
        engine : {"auto", "fast", "pymc"}
            How the posterior is computed. "fast" compiles nothing per model. For a
            normal response it integrates all effects out, samples the variance
            parameters alone and then draws the effects exactly: the same posterior.
            For bernoulli, binomial, poisson, negative_binomial, gamma, beta and
            student_t responses it samples everything together, in coordinates
            whitened at the mode of Laplace's approximation.
            "pymc" samples the PyMC model. "auto" takes "fast" where that is exact, and
            "pymc" where `pymc_model` was changed by hand.
        sampler : {"auto", "independent", "gibbs", "nuts", "nutpie", "pymc"}
            How the fast engine draws the variance parameters of a normal response.
            "independent" proposes each point from a multivariate t that is fitted once for
            all chains, and accepts it or stays (independence Metropolis). It takes up to 8
            variance parameters, at least 0.4 of the proposals accepted, and a Pareto k of
            their weights of at most 0.7, and is refused elsewhere with the reason. "auto"
            takes it where it can be had and NUTS elsewhere, as for every other response; the
            choice and its reason stand in the summary. "gibbs" takes one grouping factor after
            the other, with its effects and the fixed effects integrated out given the others'
            (collapsed Gibbs), and needs independent residuals with one sigma and levels that are
            not related. "auto" takes it where crossed factors are too large for a dense matrix
            or such a matrix takes longer, and goes back to it where these sweeps mix slowly.
            Every other word is NUTS: "nuts" and
            "nutpie" nutpie's, and "pymc" PyMC's for the PyMC engine.
        group_draws : {"auto", "all", "moments"}
            For the fast engine, whether draws of the group effects are kept, or
            their posterior means and standard deviations only. "auto" keeps the
            draws up to 40 million numbers, and says so above.
        prior_only : bool
            Whether to draw from the prior instead, without looking at the
            response. The draws are independent.
        progress : bool
            Whether to say what is going on, on standard error.

        Returns
        -------
        Posterior

        Raises
        ------
        NotSupportedError
            For an argument out of its range.
        PriorError
            If `prior_only` is asked for and a prior cannot be drawn from.
        SamplingError
            If the sampler cannot start.
        DataError
            If fixed and group effects reproduce a normal response.

        Warns
        -----
        ConvergenceWarning
            Once, with what to do, if the diagnostics find a problem.
        SamplingWarning
            If sampling was interrupted.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> post = model.fit(seed=1, progress=False)
        >>> post.fixed_effects()["term"].tolist()
        ['Intercept', 'Days']
        """
        return sample(
            self,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=seed,
            target_accept=target_accept,
            engine=engine,
            sampler=sampler,
            group_draws=group_draws,
            prior_only=prior_only,
            progress=progress,
        )

    def fit_eb(
        self,
        method: Method | None = None,
        *,
        n_quadrature: int = 1,
        algebra: Algebra = "auto",
    ) -> EmpiricalBayes:
        """Set the variance parameters to their best values: empirical Bayes.

        For a normal response the effects are integrated out exactly, and what is
        left, a function of the variance parameters, is maximised. With a flat prior
        on the fixed effects that is REML, and the results are lme4's. For bernoulli,
        binomial, poisson, negative_binomial, gamma and beta responses the group
        effects are integrated out by Laplace's approximation, and fixed effects,
        variance parameters and the family's parameters are maximised together
        (glmer's nAGQ = 1).

        Parameters
        ----------
        method : {"reml", "ml", "map", "mivque0"}, optional
            Restricted (normal responses only) or plain maximum likelihood, which do
            not look at the priors, or the marginal posterior mode of (sd, R, sigma),
            which does. By default "reml" for normal responses and "ml" for others.
            "mivque0" is Rao's and SAS's estimate of variances from quadratic forms, without
            iteration, for normal responses. It is least squares of what the residuals'
            products should be; parameters that these are not linear in, such as ``rho`` of
            ``ar1``, are searched for by the same least squares. Negative estimates are zero,
            and there are no intervals of variance parameters.
        n_quadrature : int
            Points of adaptive Gauss-Hermite quadrature for a non-normal response with
            one scalar group term; 1 is Laplace's approximation.
        algebra : {"auto", "exact", "iterative"}
            How the equations of a normal model are solved. "exact" factors them, with a dense
            matrix for what crosses the largest grouping factor, of at most 6,000 columns.
            "iterative" is REML by conjugate gradients, with traces and log determinant from
            random signs (seeded): approximate to a few digits, which the summary says, in a
            small part of the time where factors with thousands of levels cross. "auto" is
            exact where that is possible.

        Returns
        -------
        EmpiricalBayes

        Raises
        ------
        NotSupportedError
            For an unknown method, a family without Laplace's approximation, or a
            prior under which the effects do not integrate out.
        DataError
            If the effects reproduce a normal response, or are as many as its rows, so
            that no residual variance is left to estimate.

        Warns
        -----
        ConvergenceWarning
            If the optimum was not found.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep)
        >>> eb = model.fit_eb()
        >>> eb.fixed_effects()["estimate"].round(2).tolist()
        [251.41, 10.47]
        """
        return maximise(self, method, n_quadrature, algebra)

    def update(
        self,
        formula: str | Sequence[str] | None = None,
        data: Any = None,
        *,
        family: str | Family | None = None,
        priors: Mapping[str, Prior | None] | None = None,
        weights: Any = None,
        known_se: Any = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        missing: MissingAction | None = None,
        parametrization: Parametrization | None = None,
        matrices: Mapping[str, Any] | None = None,
    ) -> Model:
        """Make a changed model; what is not named stays as it is.

        Parameters
        ----------
        formula : str or sequence of str, optional
            Such as ``". ~ . + x"`` or ``". ~ . - (1 | school)"``: a dot stands for what
            was on its side. A formula without dots replaces the old one. Of a model with
            several formulas it changes the first; several replace all of them.
        data : table, optional
            By default the table that this model was made of, as it is now. Where neither
            formula nor family nor functions are given with it, the model stays what it
            is: categories of the response, levels and contrasts of factors, knots, ranges
            and scales of transforms, and the default priors are those it has, and new
            data that do not fit these are refused. ``update(". ~ .", data=...)`` learns
            all of it from the new data.
        family, weights, known_se, functions, missing, parametrization
            As in `Model`.
        matrices : mapping of str to object, optional
            As in `Model`: added to those given before, or in their place.
        priors : mapping of str to Prior or None, optional
            Added to those given before, or in their place; None takes one back to
            its default.

        Returns
        -------
        Model

        Raises
        ------
        FormulaError
            If the formula takes out what is not there, or does not fit the data.
        DataError, PriorError
            As `Model`; also if weights that were an array meet other data.
        NotSupportedError
            If `pymc_model` was changed by hand, which the new model would not have.

        Warns
        -----
        DataWarning
            If a fit from a file loses a column for which rows were left out: the file
            does not have these rows.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
        >>> model.update(". ~ . - (Days | Subject) + (1 | Subject)").formula.text
        'Reaction ~ Days + (1 | Subject)'
        """
        if self.pymc_changes:
            raise NotSupportedError(
                f"model.pymc_model was changed by hand ({self.pymc_changes.words}), and update() "
                "makes what the formula says, without that (`del model.pymc_model` brings the "
                "formula's back)"
            )
        changed = self.specification.changed(
            formula=formula,
            family=family,
            priors=priors,
            weights=weights,
            known_se=known_se,
            functions=functions,
            missing=missing,
            parametrization=parametrization,
            matrices=matrices,
        )
        table = self._data if data is None else data
        beside = (self.specification.weights is not None, self.specification.known_se is not None)
        stays = (
            data is not None
            and (formula, family, functions) == (None, None, None)
            and beside == (changed.weights is not None, changed.known_se is not None)
        )
        try:
            model = changed.build(
                type(self),
                table,
                kept_from=self.specification,
                same_data=data is None,
                learned_from=self if stays else None,
            )
        except DataError as error:
            if not stays:
                raise
            raise DataError(
                f'{error} (the model keeps what it learned from its data; update(". ~ .", '
                "data=...) learns from the new data)"
            ) from error
        except FormulaError as error:
            if data is not None or not self._data_note:
                raise
            raise FormulaError(
                f"{error.reason} ({self._data_note}; give data= for others)",
                text=error.text,
                start=error.start,
                stop=error.stop,
            ) from error
        if data is None and self._data_note:
            self._warn_of_rows_not_kept(model)
        return model

    def _warn_of_rows_not_kept(self, new: Model) -> None:
        """Warn where rows that were left out for a column might be complete without it."""
        n, n_given = self.design.n_obs, self.design.n_rows_given
        now = new.design.fitted_columns.columns
        gone = [c for c in self.design.fitted_columns.columns if c not in now]
        if gone and n < n_given:
            columns = ", ".join(f"`{column}`" for column in gone)
            warnings.warn(
                f"{self._data_note}, and of {n_given} rows the {n} without missing values in "
                f"them; without {columns} more rows may be complete: give data= to have these, too",
                DataWarning,
                skip_file_prefixes=OWN_FILES,
            )

    _signposts: ClassVar[Mapping[str, str]] = OF_MODEL

    @property
    def glmm_problem(self) -> GlmmProblem:
        """Rows, layout and coordinates of a model beyond the normal."""
        from bayesmix.inference.problems import glmm_problem

        try:
            return glmm_problem(self)
        except NotSupportedError as error:  # of sums in the place of rows
            raise NotApplicableError(str(error)) from error

    @property
    def gaussian_problem(self) -> Problem:
        """The cross-products of a normal model: all that its algebra needs."""
        from bayesmix.inference.problems import gaussian_problem

        return gaussian_problem(self)

    def _repr_html_(self) -> str:
        from bayesmix.results.tabular.text import html_block

        words = repr(self).split("\npriors:")[0]
        return (
            f"<pre>{html.escape(words)}</pre>\n$${html.escape(self.equation())}$$\n"
            + html_block([self.priors.to_html(index=False)])
        )
