"""Tests of fixed effects and of group effects, for empirical Bayes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse, special

from bayesmix.arguments import checked_seed, one_of, one_or_several, whole_number
from bayesmix.errors import OWN_FILES, ArgumentError, DataWarning, FormulaError, NotSupportedError
from bayesmix.laws.base import DegreesOfFreedom
from bayesmix.laws.boundary_tests import exact_null_draws, mixture_p
from bayesmix.laws.small_samples import Asymptotic, FTest, SmallSample, tested
from bayesmix.results.effect.expressions import parse_hypothesis
from bayesmix.results.having_law import HasLaw
from bayesmix.results.means.judged import Judging
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.testing.reduced import without_each_effect, without_term
from bayesmix.results.testing.terms import hypotheses_of_terms

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.laws.request import PredictionRequest

__all__ = ["TestsEffects"]

Type = Literal[1, 2, 3]


class TestsEffects(HasLaw):
    """What is held against zero: terms, hypotheses, and the variances of group effects."""

    __test__ = False  # for pytest: no tests of its own

    @property
    def _law(self) -> NormalLaw:
        raise NotImplementedError

    def anova(
        self,
        type: Type = 3,  # noqa: A002
        *,
        ddf: DegreesOfFreedom | None = None,
        parameter: str = "mu",
    ) -> pd.DataFrame:
        """Test each fixed term.

        Parameters
        ----------
        type : {3, 2, 1}
            Each term after all others, with factors coded by sums to zero whatever coding the
            formula has (3); after all terms that do not contain it (2); after those before
            it (1). A term contains another if it has all of its factors, and the same numeric
            columns beside them.
        ddf : {"satterthwaite", "kenward-roger"}, optional
            How the denominator's degrees of freedom are found, for a normal response; the
            first by default.
        parameter : str
            Whose linear predictor the terms are of: "zi", "sigma", ..., where it has a formula.

        Returns
        -------
        DataFrame
            For the mean of a normal response term, sum_sq, mean_sq (both in units of the
            residual variance times F), num_df, den_df, f, p. Else Wald's tests: term, chisq,
            df, p. NaN for a term of which the data tell nothing, as where others determine its
            columns. Where they tell a part, as where a cell of an interaction is empty, that is
            tested.

        Raises
        ------
        NotSupportedError
            For a posterior mode; for Kenward and Roger's method without REML or where a
            covariance is not linear in its parameters; for `ddf` beyond the normal response.

        Warns
        -----
        DataWarning
            Where a hypothesis, or a part of it, is not told by the data.

        References
        ----------
        Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest package:
        tests in linear mixed effects models. Journal of Statistical Software 82(13); Goodnight,
        J. H. (1978). Tests of hypotheses in fixed effects linear models. SAS Technical Report
        R-101.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.anova()[["term", "den_df", "f"]].round(2).values.tolist()
        [['Days', 17.0, 45.85]]
        """
        if not isinstance(type, (int, str, float)):
            raise ArgumentError(
                "anova() tests the terms of one fit; bayesmix.anova(a, b) compares several"
            )
        if type not in (1, 2, 3):
            raise ArgumentError(
                f"type={type!r} is not one of 1, 2, 3, which are whole numbers here, not I, II, III"
            )
        design = self.model.design
        one_of("parameter", parameter, tuple(design.predictors))
        method, beta = self._tests_of(parameter, ddf)
        predictor = design.predictors[parameter]
        asked = hypotheses_of_terms(predictor, design.frame, design.functions, type)
        nothing = FTest(num_df=0, den_df=np.nan, f=np.nan, p=np.nan)
        found = {t: None if L is None or not L.any() else L for t, L in asked.rows.items()}
        rows = [nothing if L is None else tested(method, beta, L) for L in found.values()]
        lost = [term for term, L in found.items() if L is None]
        if lost:
            _warn(
                f"the data do not tell the hypotheses of type {type} of {', '.join(lost)}: a "
                "combination of levels has no rows, or others determine a column"
                + ("; type=2 or type=1 tests what they tell" if type == 3 else "")
            )
        if asked.partly:
            why = f"there are no rows of {_some(asked.empty)}" if asked.empty else (
                "other terms determine the rest"
            )  # fmt: skip
            _warn(
                f"the data tell a part of what type 3 tests of {', '.join(asked.partly)}, which is "
                f"what stands here ({why}); type=2 does not depend on empty cells"
            )
        terms = {"term": text_column(list(found))}
        return pd.DataFrame({**terms, **self._columns(rows, parameter)})

    def test(
        self,
        hypotheses: str | Sequence[str],
        *,
        ddf: DegreesOfFreedom | None = None,  # noqa: PT028
    ) -> pd.DataFrame:
        """Test a linear hypothesis about fixed effects, of one equation or several together.

        Parameters
        ----------
        hypotheses : str or sequence of str
            Equations of coefficients, such as ``"Days = 10"`` or ``["a = b", "b = c"]``. What
            they say twice counts once.
        ddf : {"satterthwaite", "kenward-roger"}, optional
            As in `anova`.

        Returns
        -------
        DataFrame
            One row: hypothesis, num_df, den_df, f, p; beyond the normal response
            hypothesis, chisq, df, p.

        Raises
        ------
        FormulaError
            If an equation cannot be read, is not linear, or names what is no coefficient.
        ArgumentError
            If the equations contradict each other.
        NotSupportedError
            As in `anova`.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.test(["Intercept = 250", "Days = 10"])["p"].round(2).tolist()
        [0.93]
        """
        method = self._tests(ddf)
        names = self.model.design.mu.fixed_effects
        aliased = self.model.design.mu.aliased
        every = (*names, *aliased)
        known = {name: name for name in every} | {f"beta({name})": name for name in every}
        texts = [str(text) for text in one_or_several("hypotheses", hypotheses)]
        L, values = np.zeros((len(texts), len(names))), np.zeros(len(texts))
        for i, text in enumerate(texts):
            parsed = parse_hypothesis(text, known)
            linear = parsed.difference.linear()
            if parsed.relation != "=" or linear is None:
                raise FormulaError(
                    f"`{text}` is no linear equation of coefficients, such as `x = 0`; "
                    "hypothesis() takes others"
                )
            left_out = [f"`{name}`" for name in linear[1] if name in aliased]
            if left_out:
                raise NotSupportedError(
                    f"{' and '.join(left_out)} of `{text}` was left out, because the columns "
                    "before it already determine it in the data, which tell nothing of it"
                )
            values[i] = -linear[0]
            for name, weight in linear[1].items():
                L[i, names.index(name)] += weight
        row = tested(method, self._law.conditional.beta, L, values)
        columns = self._columns([row])
        for name in ("sum_sq", "mean_sq"):
            columns.pop(name, None)
        return pd.DataFrame({"hypothesis": text_column(["; ".join(texts)]), **columns})

    def drop1(self) -> pd.DataFrame:
        """Leave out each fixed term that no other contains, and fit again, by ML.

        Returns
        -------
        DataFrame
            term (the first row, ``<none>``, is the model itself), df (number of its
            parameters), aic, loglik, chisq, chisq_df and p of the likelihood-ratio test
            against the model.

        Raises
        ------
        NotSupportedError
            For a posterior mode.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.drop1()[["term", "chisq"]].round(2).values.tolist()
        [['<none>', nan], ['Days', 23.54]]
        """
        self._refuse_mode()
        self._refuse_changed("drop1()")
        law = self._law
        whole = law if law.method == "ml" else law.again(self.model, "ml")
        design = self.model.design
        parts = {term: set(term.split(":")) for term in design.mu.terms}
        rows = [("<none>", whole.df, whole.deviance)]
        for term in design.mu.terms:
            contained = any(parts[term] < other for other in parts.values())
            if term != "1" and not contained and design.mu.terms[term]:
                found = law.again(without_term(self.model, term), "ml")
                rows.append((term, found.df, found.deviance))
        terms, df, deviance = (np.asarray(column) for column in zip(*rows, strict=True))
        chisq = np.maximum(deviance - deviance[0], 0.0).astype(float)
        chisq[0] = np.nan
        chisq_df = (df[0] - df).astype(float)
        chisq_df[0] = np.nan
        return pd.DataFrame(
            {
                "term": text_column(terms.tolist()),
                "df": df,
                "aic": deviance + 2 * df,
                "loglik": -deviance / 2,
                "chisq": chisq,
                "chisq_df": chisq_df,
                "p": special.chdtrc(chisq_df, chisq),
            }
        )

    def ranova(self) -> pd.DataFrame:
        """Leave out each group effect that may go by itself, and fit again.

        Correlated slopes go with their correlations, an intercept where it stands alone, and a
        term of another structure as a whole. For a fit by REML the likelihood ratio is the
        restricted one.

        Returns
        -------
        DataFrame
            group, effect (of the first row, the model itself, empty), df (number of
            parameters), loglik, aic, statistic, statistic_df, p (as if the variance were not at
            the boundary of what it may be: too large) and p_boundary (a mixture of chi-squares).

        Raises
        ------
        NotSupportedError
            For a posterior mode, or a model without group effects.

        References
        ----------
        Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal
        mixed effects model. Biometrics 50, 1171-1177.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.ranova()[["effect", "statistic", "statistic_df"]].round(2).values.tolist()
        [['', nan, nan], ['Days', 42.84, 2.0]]
        """
        self._refuse_mode()
        self._refuse_changed("ranova()")
        self._refuse_no_groups()
        law = self._law
        rows: list[dict[str, object]] = [
            {"group": "", "effect": "", "df": law.df, "loglik": law.loglik,
             "aic": 2 * (law.df - law.loglik)}
        ]  # fmt: skip
        for reduced in without_each_effect(self.model):
            found = law.again(reduced.model, law.method)
            statistic = max(2 * (law.loglik - found.loglik), 0.0)
            df = law.df - found.df
            rows.append(
                {
                    "group": reduced.group,
                    "effect": reduced.effect,
                    "df": found.df,
                    "loglik": found.loglik,
                    "aic": 2 * (found.df - found.loglik),
                    "statistic": statistic,
                    "statistic_df": float(df),
                    "p": float(special.chdtrc(df, statistic)),
                    "p_boundary": mixture_p(statistic, reduced.n_left, reduced.n_out),
                }
            )
        table = pd.DataFrame(rows)
        return table.assign(group=text_column(table["group"].tolist()),
                            effect=text_column(table["effect"].tolist()))  # fmt: skip

    def exact_rlrt(self, n_sim: int = 10_000, *, seed: int | None = None) -> pd.DataFrame:
        """Test each variance of uncorrelated effects by the exact restricted likelihood ratio.

        The law of the statistic under a variance of zero is simulated from eigenvalues, without
        fitting. It is exact where the variance is the only one beside the residual's; with
        others in the model their effects are taken not to matter for it, which has been found
        to be accurate (Greven et al. 2008).

        Parameters
        ----------
        n_sim : int
            Number of draws from that law.
        seed : int, optional

        Returns
        -------
        DataFrame
            group, effect, statistic, p (of n_sim draws, (k + 1) / (n_sim + 1)), p_error (its
            Monte Carlo standard error). Correlated effects, and those of related levels, are
            not among them.

        Raises
        ------
        NotSupportedError
            For other fits than by REML, known standard errors, or where all effects are
            correlated with others.

        References
        ----------
        Crainiceanu, C. M. and Ruppert, D. (2004). Likelihood ratio tests in linear mixed models
        with one variance component. Journal of the Royal Statistical Society B 66, 165-185;
        Greven, S. et al. (2008). Restricted likelihood ratio testing for zero variance
        components in linear mixed models. Journal of Computational and Graphical Statistics
        17, 870-891.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> pulp = bmx.load_dataset("pulp")
        >>> eb = bmx.Model("bright ~ 1 + (1 | operator)", pulp).fit_eb()
        >>> eb.exact_rlrt(seed=1)["statistic"].round(2).tolist()
        [3.47]
        """
        number = checked_seed(seed, 0)
        n_sim = whole_number("n_sim", n_sim, 100, 10_000_000)
        self._refuse_changed("exact_rlrt()")
        self._refuse_no_groups()
        law = self._law
        if law.method != "reml" or law.problem.sigma_is_known or law.problem.phi:
            raise NotSupportedError(
                'exact_rlrt() is of fits by method="reml" that estimate one residual variance, of '
                "independent residuals"
            )
        design = self.model.design
        rows = []
        for reduced in without_each_effect(self.model):
            if reduced.single is None:
                continue
            group = design.mu.group(reduced.group)
            if group.between is not None:
                continue
            statistic = max(2 * (law.loglik - law.again(reduced.model, "reml").loglik), 0.0)
            n = len(group.index)
            Z = sparse.csr_array(
                (group.Z[:, reduced.single], (np.arange(n), group.index)), shape=(n, group.n_levels)
            )
            if group.between is not None:
                Z = sparse.csr_array(Z @ group.between.root)
            draws = exact_null_draws(design.mu.X, Z, design.weights, n_sim, number)
            p = float(((draws >= statistic).sum() + 1) / (n_sim + 1)) if statistic > 0 else 1.0
            error = float(np.sqrt(p * (1 - p) / n_sim))
            rows.append((reduced.group, reduced.effect, statistic, p, error))
        if not rows:
            raise NotSupportedError(
                "exact_rlrt() tests the variance of uncorrelated effects, and all of "
                f"`{self.model.formula}` are correlated with others or between levels: write "
                "(x || g), or see ranova()"
            )
        group_names, effects, statistics, ps, errors = zip(*rows, strict=True)
        return pd.DataFrame(
            {
                "group": text_column(list(group_names)),
                "effect": text_column(list(effects)),
                "statistic": statistics,
                "p": ps,
                "p_error": errors,
            }
        )

    # -- inside ---------------------------------------------------------------

    def _beyond(self, X: np.ndarray) -> FTest:
        """Kenward and Roger's test of what the fixed part has beyond a smaller one's columns."""
        Q, R = np.linalg.qr(self.model.design.mu.X)
        left, values, _ = np.linalg.svd(Q.T @ X)
        rank = int((values > 1e-10 * values.max(initial=0.0)).sum())
        method = self._tests("kenward-roger")
        return tested(method, self._law.conditional.beta, left[:, rank:].T @ R)

    def _tests(self, ddf: DegreesOfFreedom | None) -> SmallSample:
        """How hypotheses about coefficients are tested."""
        return self._law.small_sample(ddf)

    def _tests_of(
        self, parameter: str, ddf: DegreesOfFreedom | None
    ) -> tuple[SmallSample, np.ndarray]:
        """The same for one predictor's coefficients, and their estimates."""
        if parameter == "mu" and self.model.family.is_normal:
            return self._tests(ddf), self._law.conditional.beta
        if parameter != "mu" and ddf is not None:
            raise NotSupportedError(
                f"ddf={ddf!r} is of the mean of normal responses; leave it out: terms of "
                f"{parameter} have Wald's tests"
            )
        self._refuse_mode()
        if ddf is not None:
            self._tests(ddf)  # refuses
        own: Any = self._law.of(parameter)
        beta, covariance = own.fixed_moments
        return Asymptotic(covariance=covariance, determined=own.determined_own), beta

    def _judging(self, ddf: Any, parameter: str, request: PredictionRequest) -> Judging:
        """How averages over a grid are held against zero; those of a posterior mode are not."""
        if ddf is not None:
            one_of("ddf", ddf, (*get_args(DegreesOfFreedom), "asymptotic"))
        if self._law.method in ("map", "mivque0"):
            if ddf is not None:
                self._refuse_mode()
            return Judging(tests=False)
        normal = self.model.family.is_linear_normal and parameter == "mu"
        if normal:  # and neither censored nor with group effects of sigma
            normal = not isinstance(self._tests(None), Asymptotic)
        if ddf == "asymptotic" or (ddf is None and not normal):
            return Judging(tests=True, words="degrees of freedom are taken as endless")
        if not normal:
            raise NotSupportedError(
                f"ddf={ddf!r} is of the mean of normal responses that are seen exactly; leave it "
                "out: degrees of freedom are endless here"
            )
        word = {None: "Satterthwaite", "satterthwaite": "Satterthwaite"}.get(ddf, "Kenward-Roger")
        return Judging(tests=True, method=self._tests(ddf), words=f"degrees of freedom by {word}")

    def _columns(self, rows: Sequence[FTest], parameter: str = "mu") -> dict[str, np.ndarray]:
        num_df = np.asarray([row.num_df for row in rows], dtype=np.int64)
        f, p = (np.asarray([getattr(row, name) for row in rows]) for name in ("f", "p"))
        if parameter != "mu" or not self.model.family.is_normal:
            return {"chisq": num_df * f, "df": num_df, "p": p}
        mean_sq = f * float(self._law.residual_on_link)
        den_df = np.asarray([row.den_df for row in rows])
        return {"sum_sq": num_df * mean_sq, "mean_sq": mean_sq, "num_df": num_df,
                "den_df": den_df, "f": f, "p": p}  # fmt: skip

    def _refuse_mode(self) -> None:
        if self._law.method == "mivque0":
            raise NotSupportedError(
                'method="mivque0" maximises no likelihood that tests could compare; fit by "reml"'
            )
        if self._law.method == "map":
            raise NotSupportedError(
                'a posterior mode (method="map") has no tests of zero; fit by "reml" or "ml", or '
                "ask hypothesis()"
            )

    def _refuse_no_groups(self) -> None:
        if all(group.smooth for group in self.model.design.mu.groups):
            raise NotSupportedError(f"`{self.model.formula}` has no group effects to test")


def _some(names: Sequence[str], most: int = 3) -> str:
    """Name the first few."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=3, skip_file_prefixes=OWN_FILES)
