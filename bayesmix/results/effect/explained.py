"""Tables of explained variance: R2, intraclass correlations, the variance partition."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import checked_seed, one_of
from bayesmix.errors import OWN_FILES, NotEstimableWarning, NotSupportedError
from bayesmix.inference.announce import announce
from bayesmix.laws.base import Asked, asks_the_law
from bayesmix.laws.rows import levels_of, rows_to_predict
from bayesmix.laws.summaries import IntervalKind, Point
from bayesmix.results.effect.observation_variance import Approximation, observation_variance
from bayesmix.results.effect.r2 import LinkVariance, bayesian_r2, link_variance
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular.tables import text_column

__all__ = ["ExplainedVariance", "R2Method"]

R2Method = Literal["nakagawa", "gelman"]
_SLOW = 20_000_000  # means to compute; longer than a few seconds


class ExplainedVariance(HasLaw):
    """What a fit says about explained variance."""

    @asks_the_law
    def r2(
        self,
        method: R2Method | None = None,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Summarise the explained share of the variance, with and without the groups.

        "nakagawa" divides the variance on the scale of the linear predictor: that of
        X beta over the rows, the mean over the rows of z' Sigma z, and the residual
        variance or what stands for it beyond the normal (see `icc`); where that differs between
        the rows of a normal response, its mean over them. The marginal R2 is
        the share of X beta (an offset is no part of it), the conditional R2 that of X
        beta and the groups.

        "gelman" stays on the scale of the response: the variance over the rows of the
        expected response, over that plus the mean variance of an observation. For the
        conditional R2 both are given the group effects; for the marginal R2 the groups
        belong to the residual.

        Parameters
        ----------
        method : {"nakagawa", "gelman"}, optional
            Both by default; empirical Bayes has no draws for the second.
        ci_prob : float
            Probability inside the interval.
        approximation : {"lognormal", "delta", "trigamma"}
            How the observation-level variance is taken under a log link.
        ci_kind : {"eti", "hdi"}, optional
            Equal-tailed by default.
        point : {"median", "mean"}, optional
            The median by default.
        draws : int, optional
            Number of posterior draws that "gelman" uses, evenly spaced; all by default.
        seed : int, optional
            The fit's own by default.

        Returns
        -------
        DataFrame
            One row per method and kind ("marginal", "conditional"): method, kind,
            estimate, sd, lower, upper. Without groups the two are the same. Of empirical
            Bayes there are estimates only, NaN with a warning where a coefficient ran away.

        Raises
        ------
        NotSupportedError
            For an argument out of its range, or one that only draws have.

        References
        ----------
        Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for obtaining
        R2 from generalized linear mixed-effects models. Methods in Ecology and Evolution
        4, 133-142; Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017), Journal of
        the Royal Society Interface 14, 20170213; Johnson, P. C. D. (2014), Methods in
        Ecology and Evolution 5, 944-946.

        Gelman, A., Goodrich, B., Gabry, J. and Vehtari, A. (2019). R-squared for Bayesian
        regression models. The American Statistician 73, 307-309.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.r2()["estimate"].round(3).tolist()
        [0.279, 0.799]
        """
        asked = Asked(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=False)
        if method is not None:
            one_of("method", method, get_args(R2Method))
        tables = []
        only_gelman = bool(self._varying) and not self._law.given_variances
        if method == "nakagawa" or (method is None and not only_gelman):
            found = self._link_variance(approximation)
            self._say_what_is_lost()
            tables.append(self._r2_table("nakagawa", np.stack(found.r2(), axis=-1), asked))
        if method == "gelman" or (method is None and not self._law.given_variances):
            values = [self._bayesian_r2(marginal, draws, seed) for marginal in (True, False)]
            tables.append(self._r2_table("gelman", np.stack(values, axis=-1)[None], asked))
        return pd.concat(tables, ignore_index=True)

    @asks_the_law
    def icc(
        self,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
    ) -> pd.DataFrame:
        """Summarise the intraclass correlation of each grouping factor.

        The grouping factor's share of the variance that the fixed effects leave, on the
        scale of the linear predictor; slopes included through the mean over the data of
        z' Sigma z (Johnson 2014). The residual variance is

        - of a response with an identity link (and of a log-normal one) its own: sigma^2,
          that of a row of weight 1; where standard errors are known, their mean square, and
          where sigma differs between rows the mean of its squares (both added where one stands
          beside the other);
        - of a binary, binomial or ordinal response that of the latent variable:
          pi^2 / 3 for the logit, 1 for the probit, pi^2 / 6 for the cloglog link;
        - of every other response the observation-level variance of Nakagawa et al.
          (2017) at the mean lambda of the response: under the log link
          ln(1 + 1 / lambda) for the Poisson, ln(1 + 1 / lambda + 1 / alpha) for the
          negative binomial, ln(1 + 1 / alpha) for the gamma family, and in general
          ln(1 + v), where v = Var(y) / (d mean / d eta)^2; under any other link v.

        For ``(1 | gr(animal, cov=A))`` with additive relationships A it is the heritability
        among the animals in the data: sd^2 is multiplied by the mean over the rows of A's
        diagonal, so that it makes no difference in which units A is given. Without
        inbreeding that is 1. For effects that are multivariate t, sd is the scale.

        Parameters
        ----------
        ci_prob, ci_kind, point
            As in `variance_components`.
        approximation : {"lognormal", "delta", "trigamma"}
            How the observation-level variance is taken under a log link: ln(1 + v), v,
            or psi_1(1 / v).

        Returns
        -------
        DataFrame
            One row per grouping factor: group, estimate, and of draws sd, lower, upper.

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.icc()["estimate"].round(3).tolist()
        [0.722]

        Heritability:

        >>> import numpy as np
        >>> import pandas as pd
        >>> rng = np.random.default_rng(1)
        >>> calves = np.arange(20)
        >>> parents = {"sire": 100 + calves % 5, "dam": 200 + calves % 4}
        >>> A = bmx.relationship({"animal": calves, **parents})
        >>> records = pd.DataFrame({"animal": np.repeat(calves, 3)})
        >>> records["weight"] = rng.normal(size=60) + rng.normal(size=20).repeat(3)
        >>> model = bmx.Model("weight ~ 1 + (1 | gr(animal, cov=A))", records, matrices={"A": A})
        >>> list(model.fit_eb().icc().columns)
        ['group', 'estimate']
        """
        found = self._link_variance(approximation)
        names = [group.name for group in self.model.design.mu.grouping]
        values = _stack([found.icc(name) for name in names], found.fixed.shape)
        asked = Asked(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=False)
        summary = self._law.summarise(values, asked)
        return pd.DataFrame({"group": text_column(names), **summary})

    @asks_the_law
    def variance_partition(
        self,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind | None = None,
        point: Point | None = None,
    ) -> pd.DataFrame:
        """Divide the variance between fixed effects, groups and residual.

        On the scale of the linear predictor; the residual is that of `icc`.

        Parameters
        ----------
        ci_prob, approximation, ci_kind, point
            As in `icc`.

        Returns
        -------
        DataFrame
            One row per component ("Fixed effects", the grouping factors, "Residual"):
            component, variance, and of its share of the whole estimate, of draws also sd,
            lower, upper. The shares of each draw add up to 1, but not their medians.

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.variance_partition()["estimate"].round(2).tolist()
        [0.28, 0.52, 0.2]
        """
        found = self._link_variance(approximation)
        self._say_what_is_lost()
        asked = Asked(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=False)
        names, parts = _components(found)
        with np.errstate(invalid="ignore"):
            # A t with few degrees of freedom has an infinite residual variance.
            shares = np.where(np.isinf(parts), 1.0, parts / found.total[..., None])
            variance = self._law.summarise(parts, asked)["estimate"]
        return pd.DataFrame(
            {
                "component": text_column(names),
                "variance": variance,
                **self._law.summarise(shares, asked),
            }
        )

    # -- inside ---------------------------------------------------------------

    def _r2_table(self, method: str, values: np.ndarray, asked: Asked) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "method": text_column([method] * 2),
                "kind": text_column(["marginal", "conditional"]),
                **self._law.summarise(values, asked),
            }
        )

    def _link_variance(self, approximation: Any) -> LinkVariance:
        one_of("approximation", approximation, get_args(Approximation))
        if self._varying:
            raise NotSupportedError(
                f"{', '.join(self._varying)} has a linear predictor, so that no one variance is "
                "what an observation adds on the scale of mu's; "
                'r2(method="gelman") of a posterior is on the scale of the response'
            )
        model, values = self.model, self._law.values
        shape = values.beta.shape[:-1]
        flat = {
            name: np.reshape(given, (-1, *given.shape[len(shape) :]))
            for name, given in values.parameters.items()
        }
        own = None
        structure = model.residual
        varies = structure is not None and bool(structure.scale_parameters)
        if varies or ("sigma" in model.design.predictors and model.family.is_linear_normal):
            own = self._law.residual_variance()
        residual = own if own is not None else observation_variance(
            model.family, flat, model.rows, model.y, approximation, model.residual
        )  # fmt: skip
        if residual.size == np.prod(shape, dtype=int):
            residual = residual.reshape(shape)
        lost, beta = self._law.lost_coefficients, values.beta
        if lost is not None and lost.any():
            beta = np.where(lost, np.nan, beta)
        found = link_variance(
            model.design,
            beta,
            self._law.smooth_effects(),
            values.sd,
            values.corr,
            np.broadcast_to(residual, shape),
        )
        apart = self._law.rows_run_apart
        if apart is None:
            return found
        return replace(found, fixed=np.where(apart, np.inf, found.fixed))

    @property
    def _varying(self) -> list[str]:
        """Parameters of the family that differ from row to row, but for a normal one's sigma."""
        others = [name for name in self.model.design.predictors if name != "mu"]
        return [] if self.model.family.is_linear_normal else others

    def _say_what_is_lost(self) -> None:
        """Warn that the variance of X beta is NaN where coefficients have no estimate."""
        lost = self._law.lost_coefficients
        if lost is None or not lost.any():
            return
        names = [n for n, is_lost in zip(self.model.design.mu.fixed_effects, lost, strict=True)
                 if is_lost]  # fmt: skip
        warnings.warn(
            f"NaN for the variance of the fixed effects and shares of it: {', '.join(names)} "
            'ran away, or the likelihood is flat there; take method="map" or fit(), whose priors '
            "hold them",
            NotEstimableWarning,
            skip_file_prefixes=OWN_FILES,
        )

    def _bayesian_r2(self, marginal: bool, draws: int | None, seed: int | None) -> np.ndarray:
        model = self.model
        number = checked_seed(seed, self._law.seed)
        rows = rows_to_predict(model, None, effects=True, levels=not marginal, kind="response")
        parameters = self._law.draw(levels_of(rows), draws, number)
        if parameters.n_draws * rows.n_rows > _SLOW:
            announce(
                f"Averaging {rows.n_rows} rows x {parameters.n_draws} draws for R2 (fewer with "
                "draws=) ...",
                progress=True,
            )
        groups_matter = marginal and bool(model.design.mu.grouping)
        return bayesian_r2(
            model.family, parameters, rows, number, marginal=groups_matter,
            residual=model.residual,
        )  # fmt: skip


def _components(found: LinkVariance) -> tuple[list[str], np.ndarray]:
    names = ["Fixed effects", *found.groups, "Residual"]
    parts = np.stack([found.fixed, *found.groups.values(), found.residual], axis=-1)
    return names, parts


def _stack(values: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(values, axis=-1) if values else np.zeros((*shape, 0))
