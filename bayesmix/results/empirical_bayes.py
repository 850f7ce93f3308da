"""`EmpiricalBayes`: what REML, ML or the posterior mode return."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.errors import NotApplicableError, NotSupportedError
from bayesmix.inference.empirical import Method
from bayesmix.inference.iterative_start import why_not_iterative
from bayesmix.laws.base import Asked, IntervalMethod
from bayesmix.laws.iterative import IterativeLaw, too_large
from bayesmix.laws.normal import NormalLaw
from bayesmix.results.beside.for_marginaleffects import ForMarginaleffects
from bayesmix.results.fit import Fit
from bayesmix.results.tabular.summary import of_columns, of_negative_shares
from bayesmix.results.tabular.tree import versions
from bayesmix.results.testing.bootstrapping import Bootstraps
from bayesmix.results.testing.tests_of_effects import TestsEffects
from bayesmix.words_of_others import OF_MODES

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.statement.stated import FittableModel

__all__ = ["Algebra", "EmpiricalBayes", "IntervalMethod", "OptimizerReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerReport:
    """How the criterion was optimised.

    Attributes
    ----------
    message : str
    evaluations : int
        Number of evaluations of the criterion with its gradient.
    starts : int
    gradient : float
        Largest component at the end, away from a boundary.
    seconds : float
    """

    message: str
    evaluations: int
    starts: int
    gradient: float
    seconds: float


Algebra = Literal["auto", "exact", "iterative"]


def _law_of(model: FittableModel, method: Method, algebra: Algebra) -> NormalLaw:
    """The exact law, or that by conjugate gradients where no dense matrix holds the factors."""
    one_of("algebra", algebra, get_args(Algebra))
    large = too_large(model) if algebra == "auto" else ""
    if algebra == "iterative" or (large and not why_not_iterative(model, method)):
        return IterativeLaw(model, method)
    return NormalLaw(model, method)


class EmpiricalBayes(TestsEffects, Bootstraps, ForMarginaleffects, Fit):
    """A mixed model whose variance parameters are set to their best values.

    Made by `Model.fit_eb`. The effects then have an exact normal distribution,
    which the tables report: with a flat prior on the fixed effects these are
    REML's or ML's estimates, standard errors and conditional modes. All
    intervals of effects are conditional on the variance parameters.

    Parameters
    ----------
    model : Model
    method : {"reml", "ml", "map", "mivque0"}
    algebra : {"auto", "exact", "iterative"}

    Attributes
    ----------
    model : Model
    method : str

    Raises
    ------
    DataError
        If the model leaves no residual variance to estimate.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    >>> round(eb.reml_criterion, 3)
    1743.628
    """

    def __init__(self, model: FittableModel, method: Method, algebra: Algebra = "auto") -> None:
        start = time.perf_counter()
        self.model = model
        self.method: Method = method
        self._algebra: Algebra = algebra
        self._at_mode = _law_of(model, method, algebra)
        self.seconds = time.perf_counter() - start

    @property
    def _law(self) -> NormalLaw:
        return self._at_mode

    # -- the fit --------------------------------------------------------------

    @property
    def converged(self) -> bool:
        """Whether the optimum was found: nothing left to gain away from a boundary."""
        return self._law.optimum.converged

    @property
    def optimizer(self) -> OptimizerReport:
        """How the criterion was optimised."""
        o = self._law.optimum
        return OptimizerReport(
            message=o.message,
            evaluations=o.evaluations,
            starts=o.starts,
            gradient=o.gradient,
            seconds=o.seconds,
        )

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is.

        For a negative binomial also that nothing is left for its overdispersion: alpha
        then is as large as the search went, and the fit that of the Poisson family.
        """
        return self._law.singular

    @property
    def flat(self) -> str:
        """Which standard deviations have other values that are as good; empty if none has.

        Along them the criterion does not bend at its end, or further searches from a
        boundary end elsewhere and as well.
        """
        return self._law.flat

    @property
    def sigma(self) -> float:
        """Residual standard deviation; 1 where known standard errors are all that there is.

        Raises
        ------
        NotApplicableError
            For a family that has none, and where it differs from row to row; it is an
            AttributeError, too.
        """
        normal = self.model.family.is_normal
        if not self._law.has_sigma and not normal:
            raise NotApplicableError(
                f"the {self.model.family.name} family has no residual standard deviation; "
                "see family_parameters()"
            )
        law: Any = self._law
        if not law.has_sigma and "sigma" in self.model.parameters:  # by Laplace's approximation
            return float(law.family_values["sigma"])
        scale = law.problem.scale if law.has_sigma else None
        if scale is None and law.has_sigma:
            return float(law.optimum.sigma)
        if scale is not None and scale.is_number:
            return float(law.residual_values[scale.variable])
        raise NotApplicableError(
            'sigma differs from row to row: `fixed_effects(parameter="sigma")` has the '
            "coefficients of its logarithm, `family_parameters()` the standard deviations of places"
        )

    @property
    def reml_criterion(self) -> float:
        """The REML criterion, as lme4 states it; for a fit by REML.

        Raises
        ------
        NotApplicableError
            For another method; it is an AttributeError, too.
        """
        if self.method != "reml":
            raise NotApplicableError(f'method="{self.method}" has no REML criterion')
        return self._law.deviance

    @property
    def deviance(self) -> float:
        """Minus twice the log-likelihood: of REML, or of ML at the estimates."""
        return self._law.deviance

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one for REML, beyond the normal the approximated one."""
        return self._law.loglik

    @property
    def df(self) -> int:
        """Number of fixed effects, covariance parameters and parameters of the family."""
        return self._law.df

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.deviance + 2 * self.df

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples; infinite where df >= n - 1."""
        n, k = self._law.problem.n_obs, self.df
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else float("inf")

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the logarithm of the number of rows."""
        return self.deviance + self.df * float(np.log(self._law.problem.n_obs))

    def vcov(
        self, parameter: str = "mu", *, ddf: Literal["kenward-roger"] | None = None
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects, given the variance parameters.

        Parameters
        ----------
        parameter : str
            Whose linear predictor they are of: "zi", "sigma", ..., where it has a formula; "all"
            for the coefficients of all of them together.
        ddf : {"kenward-roger"}, optional
            Kenward and Roger's adjusted covariance, which allows for the estimation of the
            variance parameters; for a fit by REML.

        Returns
        -------
        DataFrame, shape (p, p)
            With the coefficients' names on both axes; of "all" those of other parameters than mu
            have that in front, as in "zi: Intercept". Coefficients of mu and of a normal
            response's sigma are independent, as the expected information has them; by Laplace's
            approximation all covariances are those of its one law.

        Raises
        ------
        ArgumentError
            If the model has no linear predictor of that name.
        NotSupportedError
            As `anova`, for `ddf`, which is of mu's.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.vcov().round(3).values.tolist()
        [[46.575, -1.451], [-1.451, 2.389]]
        """
        predictors = self.model.design.predictors
        one_of("parameter", parameter, (*predictors, "all"))
        names = [
            effect if name == "mu" or parameter != "all" else f"{name}: {effect}"
            for name, own in predictors.items()
            if parameter in {name, "all"}
            for effect in own.fixed_effects
        ]
        if ddf is None and parameter == "all":
            law: Any = self._law
            found = law.covariance_of_all()
        elif ddf is None:
            own: Any = self._law.of(parameter)
            found = own.fixed_moments[1]
        elif parameter == "mu":
            found = self._tests(ddf).covariance
        else:
            raise NotSupportedError(
                f"ddf={ddf!r} is of the fixed effects of mu; vcov({parameter!r}) without it has "
                "the covariance of the others"
            )
        return pd.DataFrame(found, index=names, columns=names)

    # -- inside ---------------------------------------------------------------

    _signposts: ClassVar[Mapping[str, str]] = OF_MODES

    @property
    def _fit_options(self) -> dict[str, Any]:
        return {} if self._algebra == "auto" else {"algebra": self._algebra}

    def _fitted_again(self, model: Any, *, same_family: bool, **fit: Any) -> Self:
        method = fit.pop("method", None) or (self.method if same_family else None)
        found: Self = model.fit_eb(method, **{**self._fit_options, **fit})
        return found

    def _run_in_words(self) -> list[str]:
        head = "REML criterion" if self.method == "reml" else "deviance"
        return [
            f"empirical Bayes by {self._law.method_in_words}, {1000 * self.seconds:.0f} ms",
            f"{head} {self.deviance:.2f}, loglik {self.loglik:.2f}, AIC {self.aic:.2f}, "
            f"BIC {self.bic:.2f}, df {self.df}",
        ]

    def _remarks(self, asked: Asked, parts: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        law = self._law
        how = "profile likelihood" if law.affordable() == "profile" else "Wald, on logs"
        of_sd = "" if self.method == "mivque0" else f"; of standard deviations by {how}"
        footer = [f"Intervals are {100 * asked.ci_prob:g} %{of_sd}."]
        if self.model.design.mu.groups:
            footer.insert(
                0,
                "Variance components are point estimates: intervals of effects are conditional "
                "on them, and too short where levels are few.",
            )
        error = "its posterior standard deviation" if self.method == "map" else "its standard error"
        footer += of_columns("", error, parts)
        limits = [parts[["sd_lower", "sd_upper"]], pairs[["lower", "upper"]]]
        unknown = any(bool(part.isna().any(axis=None)) for part in limits)
        if self.method == "mivque0":
            footer.append(f"{self.optimizer.message}; there are no intervals of components.")
        elif unknown and self.method != "map" and law.affordable(law.n_beside) == "wald":
            footer.append(
                "Limits left empty are not known by Wald's method: "
                'variance_components(ci_method="profile") and correlations(ci_method="profile") '
                "may find them."
            )
        footer += of_negative_shares(parts)
        if self.singular:
            footer.append(f"At the boundary: {self.singular}.")
        if self.flat:
            footer.append(f"Flat: other values are as good for the sd of {self.flat}.")
        if not self.converged:
            footer.append(f"Not converged: {self.optimizer.message}.")
        return footer + law.notes

    def _called(self) -> str:
        name = {"reml": "REML", "ml": "ML", "map": "MAP", "mivque0": "MIVQUE(0)"}[self.method]
        return name if self._law.has_sigma else f"{name} (Laplace)"

    @property
    def _has_priors(self) -> bool:
        return self.method == "map"

    def _estimation(self) -> list[str]:
        laplace = not self.model.family.is_linear_normal
        names = {
            "reml": "restricted maximum likelihood (REML; Patterson and Thompson, 1971)",
            "ml": "maximum likelihood",
            "map": "their marginal posterior mode",
            "mivque0": "MIVQUE(0) (Rao, 1971)",
        }
        how = f"Variance parameters were estimated by {names[self.method]}"
        if "Laplace" in self._law.method_in_words:
            how += ", the group effects integrated out by Laplace's approximation (Tierney and "
            how += "Kadane, 1986)"
        elif "quadrature" in self._law.method_in_words:
            how += f", the group effects integrated out by {self._law.method_in_words[-38:]}"
        elif self.model.design.mu.groups and not laplace:
            how += f", the group effects integrated out {self._law.integrated_in_words}"
        limits = "Intervals of fixed effects are Wald's, given the variance parameters"
        if self.method == "mivque0":
            return [how + ".", limits + "."]
        beside = {
            "profile": "those of standard deviations are profile likelihood intervals",
            "wald": "those of standard deviations are Wald's on the logarithmic scale",
        }[self._law.affordable()]
        return [how + ".", f"{limits}; {beside}."]

    def _convergence(self) -> list[str]:
        if not self.converged:
            return ["The optimiser did not converge, so that these estimates are not final."]
        found = ["The optimiser converged."] if self.method != "mivque0" else []
        if self.singular:
            found.append("The fit is singular: a variance is zero, or a correlation one in size.")
        if reason := self._without_estimate():
            found.append(f"Not all estimates have a standard error: {reason}.")
        return found

    def _without_estimate(self) -> str:
        return self._law.why_lost

    def _run(self) -> Mapping[str, Any]:
        return {"method": self.method, **versions()}

    def _more_tables(self) -> dict[str, Callable[[], pd.DataFrame]]:
        return {"Tests of fixed effects": self.anova, "Tests of group terms": self.ranova}

    def _problems(self) -> list[str]:
        return [] if self.converged else ["the optimum was not found"]

    def _to_save(self) -> dict[str, xr.Dataset]:
        import xarray as xr

        attributes = {
            "method": self.method,
            "fit_options": json.dumps(self._fit_options),
            "loglik": self.loglik,
            **versions(),
        }
        return {"/": xr.Dataset(attrs=attributes)}
