"""Tables of explained variance: R2, intraclass correlations, the variance partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import checked_seed, one_of
from bayesmix.inference.announce import announce
from bayesmix.results.effect.observation_variance import Approximation, observation_variance
from bayesmix.results.effect.r2 import LinkVariance, bayesian_r2, link_variance
from bayesmix.results.predict.parameters import chosen_draws, posterior_parameters
from bayesmix.results.predict.rows import rows_to_predict
from bayesmix.results.tabular.arguments_of_others import of_modes
from bayesmix.results.tabular.summaries import IntervalKind, Point, SummaryOptions, summarise
from bayesmix.results.tabular.tables import text_column

if TYPE_CHECKING:
    from bayesmix.results.tabular.tables import PosteriorDraws
    from bayesmix.statement.stated import FittableModel

__all__ = ["ExplainedVariance", "ExplainedVarianceAtModes", "R2Method"]

R2Method = Literal["nakagawa", "gelman"]
_SLOW = 20_000_000  # means to compute; longer than a few seconds


class ExplainedVariance:
    """What a posterior says about explained variance."""

    model: FittableModel

    if TYPE_CHECKING:

        @property
        def _draws(self) -> PosteriorDraws: ...

        def _seed(self, seed: int | None) -> int: ...

    def r2(
        self,
        method: R2Method | None = None,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
        draws: int | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Summarise the explained share of the variance, with and without the groups.

        "nakagawa" divides the variance on the scale of the linear predictor: that of
        X beta over the rows, the mean over the rows of z' Sigma z, and the residual
        variance or what stands for it beyond the normal (see `icc`). The marginal R2 is
        the share of X beta (an offset is no part of it), the conditional R2 that of X
        beta and the groups.

        "gelman" stays on the scale of the response: the variance over the rows of the
        expected response, over that plus the mean variance of an observation. For the
        conditional R2 both are given the group effects; for the marginal R2 the groups
        belong to the residual.

        Parameters
        ----------
        method : {"nakagawa", "gelman"}, optional
            Both by default.
        ci_prob : float
            Probability inside the interval.
        approximation : {"lognormal", "delta", "trigamma"}
            How the observation-level variance is taken under a log link.
        ci_kind : {"eti", "hdi"}
        point : {"median", "mean"}
        draws : int, optional
            Number of posterior draws that "gelman" uses, evenly spaced; all by default.
        seed : int, optional
            The fit's own by default.

        Returns
        -------
        DataFrame
            One row per method and kind ("marginal", "conditional"): method, kind,
            estimate, sd, lower, upper. Without groups the two are the same.

        Raises
        ------
        NotSupportedError
            For an argument out of its range.

        References
        ----------
        Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for obtaining
        R2 from generalized linear mixed-effects models. Methods in Ecology and Evolution
        4, 133-142; Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017), Journal of
        the Royal Society Interface 14, 20170213; Johnson, P. C. D. (2014), Methods in
        Ecology and Evolution 5, 944-946.

        Gelman, A., Goodrich, B., Gabry, J. and Vehtari, A. (2019). R-squared for Bayesian
        regression models. The American Statistician 73, 307-309.
        """
        options = _options(ci_prob, ci_kind, point)
        methods = _methods(method)
        tables = []
        if "nakagawa" in methods:
            found = self._link_variance(approximation)
            tables.append(_r2_table("nakagawa", np.stack(found.r2(), axis=-1), options))
        if "gelman" in methods:
            values = [self._bayesian_r2(marginal, draws, seed) for marginal in (True, False)]
            tables.append(_r2_table("gelman", np.stack(values, axis=-1)[None], options))
        return pd.concat(tables, ignore_index=True)

    def icc(
        self,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
    ) -> pd.DataFrame:
        """Summarise the intraclass correlation of each grouping factor.

        The grouping factor's share of the variance that the fixed effects leave, on the
        scale of the linear predictor; slopes included through the mean over the data of
        z' Sigma z (Johnson 2014). The residual variance is

        - of a response with an identity link (and of a log-normal one) its own: sigma^2,
          that of a row of weight 1; where standard errors are known, their mean square;
        - of a binary, binomial or ordinal response that of the latent variable:
          pi^2 / 3 for the logit, 1 for the probit, pi^2 / 6 for the cloglog link;
        - of every other response the observation-level variance of Nakagawa et al.
          (2017) at the mean lambda of the response: under the log link
          ln(1 + 1 / lambda) for the Poisson, ln(1 + 1 / lambda + 1 / alpha) for the
          negative binomial, ln(1 + 1 / alpha) for the gamma family, and in general
          ln(1 + v), where v = Var(y) / (d mean / d eta)^2; under any other link v.

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
            One row per grouping factor: group, estimate, sd, lower, upper.
        """
        found = self._link_variance(approximation)
        names = [group.name for group in self.model.design.groups]
        values = _stack([found.icc(name) for name in names], found.fixed.shape)
        summary = summarise(values, _options(ci_prob, ci_kind, point))
        return pd.DataFrame({"group": text_column(names), **summary})

    def variance_partition(
        self,
        ci_prob: float = 0.95,
        *,
        approximation: Approximation = "lognormal",
        ci_kind: IntervalKind = "eti",
        point: Point = "median",
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
            component, variance, and of its share of the whole estimate, sd, lower,
            upper. The shares of each draw add up to 1, but not their medians.
        """
        found = self._link_variance(approximation)
        options = _options(ci_prob, ci_kind, point)
        names, parts = _components(found)
        with np.errstate(invalid="ignore"):
            shares = parts / found.total[..., None]
        # A t with few degrees of freedom has an infinite residual variance.
        shares = np.where(np.isinf(parts), 1.0, shares)
        center = np.mean if point == "mean" else np.median
        return pd.DataFrame(
            {
                "component": text_column(names),
                "variance": center(parts, axis=(0, 1)),
                **summarise(shares, options),
            }
        )

    # -- inside ---------------------------------------------------------------

    def _link_variance(self, approximation: Any) -> LinkVariance:
        one_of("approximation", approximation, get_args(Approximation))
        draws, model = self._draws, self.model
        shape = draws.beta.shape[:2]
        flat = {
            name: values.reshape(-1, *values.shape[2:]) for name, values in draws.parameters.items()
        }
        residual = observation_variance(
            model.family, flat, model.rows, model.y, approximation, model.residual
        )
        if residual.size > 1:
            residual = residual.reshape(shape)
        return link_variance(
            draws.design, draws.beta, draws.sd, draws.corr, np.broadcast_to(residual, shape)
        )

    def _bayesian_r2(self, marginal: bool, draws: int | None, seed: int | None) -> np.ndarray:
        model, found = self.model, self._draws
        number = checked_seed(seed, self._seed(None))
        rows = rows_to_predict(model, None, effects=True, levels=not marginal, kind="response")
        levels = {name: np.unique(index) for name, index in rows.index.items()}
        chosen = chosen_draws(found.beta.shape[0], found.beta.shape[1], draws)
        parameters = posterior_parameters(model, found, levels, chosen, number)
        if parameters.n_draws * rows.n_rows > _SLOW:
            announce(
                f"Averaging {rows.n_rows} rows x {parameters.n_draws} draws for R2 (fewer with "
                "draws=) ...",
                progress=True,
            )
        groups_matter = marginal and bool(model.design.groups)
        return bayesian_r2(model.family, parameters, rows, number, marginal=groups_matter)


class ExplainedVarianceAtModes:
    """What an empirical Bayes fit says about explained variance: point values."""

    model: FittableModel

    @of_modes
    def r2(self, *, approximation: Approximation = "lognormal") -> pd.DataFrame:
        """Return the marginal and the conditional R2 of Nakagawa and Schielzeth.

        Parameters
        ----------
        approximation : {"lognormal", "delta", "trigamma"}
            How the observation-level variance is taken under a log link, see `icc`.

        Returns
        -------
        DataFrame
            method ("nakagawa"), kind ("marginal", "conditional"), estimate. A posterior
            has intervals, and the Bayesian R2.

        References
        ----------
        Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for obtaining
        R2 from generalized linear mixed-effects models. Methods in Ecology and Evolution
        4, 133-142; Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017), Journal of
        the Royal Society Interface 14, 20170213.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.r2()["estimate"].round(3).tolist()
        [0.279, 0.799]
        """
        marginal, conditional = self._link_variance(approximation).r2()
        return pd.DataFrame(
            {
                "method": text_column(["nakagawa"] * 2),
                "kind": text_column(["marginal", "conditional"]),
                "estimate": [float(marginal), float(conditional)],
            }
        )

    @of_modes
    def icc(self, *, approximation: Approximation = "lognormal") -> pd.DataFrame:
        """Return the intraclass correlation of each grouping factor.

        Its share of the variance that the fixed effects leave, on the scale of the
        linear predictor. The residual variance is sigma^2 for a normal response (the
        mean square of known standard errors), that of the latent variable for binary
        and binomial responses, and else the observation-level variance of Nakagawa et
        al. (2017) at the mean of the response, as `Posterior.icc` explains.

        Parameters
        ----------
        approximation : {"lognormal", "delta", "trigamma"}
            How the observation-level variance is taken under a log link.

        Returns
        -------
        DataFrame
            One row per grouping factor: group, estimate.
        """
        found = self._link_variance(approximation)
        names = [group.name for group in self.model.design.groups]
        values = [float(found.icc(name)) for name in names]
        return pd.DataFrame(
            {"group": text_column(names), "estimate": np.asarray(values, dtype=np.float64)}
        )

    @of_modes
    def variance_partition(self, *, approximation: Approximation = "lognormal") -> pd.DataFrame:
        """Divide the variance between fixed effects, groups and residual.

        Parameters
        ----------
        approximation : {"lognormal", "delta", "trigamma"}
            As in `icc`.

        Returns
        -------
        DataFrame
            One row per component ("Fixed effects", the grouping factors, "Residual"):
            component, variance, estimate (its share of the whole).
        """
        found = self._link_variance(approximation)
        names, parts = _components(found)
        return pd.DataFrame(
            {
                "component": text_column(names),
                "variance": parts,
                "estimate": parts / found.total,
            }
        )

    # -- inside ---------------------------------------------------------------

    def _link_variance(self, approximation: Any) -> LinkVariance:
        one_of("approximation", approximation, get_args(Approximation))
        fit: Any = self
        model = self.model
        values = {name: np.asarray([value]) for name, value in family_values(fit).items()}
        residual = observation_variance(
            model.family, values, model.rows, model.y, approximation, model.residual
        )
        sd, corr = fit._by_group()
        return link_variance(
            model.design, fit._conditional.beta, sd, corr, np.asarray(residual).reshape(())
        )


def family_values(fit: Any) -> Mapping[str, float]:
    """Return the estimates of the family's own parameters of an empirical Bayes fit."""
    if hasattr(fit, "_gp"):
        values = np.exp(fit._phi)
        return {name: float(v) for name, v in zip(fit._gp.parameters, values, strict=True)}
    return {"sigma": fit.sigma} if "sigma" in fit.model.family.parameters else {}


def _components(found: LinkVariance) -> tuple[list[str], np.ndarray]:
    names = ["Fixed effects", *found.groups, "Residual"]
    parts = np.stack([found.fixed, *found.groups.values(), found.residual], axis=-1)
    return names, parts


def _methods(method: Any) -> tuple[str, ...]:
    if method is None:
        return get_args(R2Method)
    one_of("method", method, get_args(R2Method))
    return (method,)


def _options(ci_prob: float, ci_kind: IntervalKind, point: Point) -> SummaryOptions:
    return SummaryOptions(ci_prob=ci_prob, ci_kind=ci_kind, point=point, diagnostics=False)


def _r2_table(method: str, values: np.ndarray, options: SummaryOptions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": text_column([method] * 2),
            "kind": text_column(["marginal", "conditional"]),
            **summarise(values, options),
        }
    )


def _stack(values: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(values, axis=-1) if values else np.zeros((*shape, 0))
