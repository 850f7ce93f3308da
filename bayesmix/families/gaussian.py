"""The normal distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayesmix.errors import DataError, FormulaError
from bayesmix.families.base import Family, PriorSpec, ResponseScale
from bayesmix.formula import Formula

__all__ = ["Gaussian", "GaussianKnownSE"]


@dataclass(frozen=True, slots=True)
class Gaussian(Family):
    """Normal response: y ~ Normal(eta, sigma).

    Parameters
    ----------
    link : {"identity"}
    """

    name: ClassVar[str] = "gaussian"
    links: ClassVar[tuple[str, ...]] = ("identity",)
    parameters: ClassVar[tuple[str, ...]] = ("sigma",)
    residual_is_estimated: ClassVar[bool] = True

    def response_values(self, response: Any, formula: Formula) -> np.ndarray:
        """Return the response as float64, shape (n,); it must be numeric and vary."""
        expr = formula.response.text
        if isinstance(getattr(response, "dtype", None), pd.CategoricalDtype):
            levels = ", ".join(repr(level) for level in response.cat.categories[:4])
            raise FormulaError(
                f"the response `{expr}` is not numeric: it holds {levels}",
                text=formula.text,
                start=formula.response.start,
                stop=formula.response.stop,
            )
        y = np.ascontiguousarray(response, dtype=np.float64)
        if np.ptp(y) == 0:
            raise DataError(
                f"the response `{expr}` is constant ({y[0]:g} in all {len(y)} rows): "
                "there is nothing to explain"
            )
        return y

    def response_scale(self, y: np.ndarray, offset: np.ndarray | None) -> ResponseScale:
        """Mean, sample standard deviation and root mean square of y minus the offset."""
        z = y if offset is None else y - offset
        top = float(np.abs(z).max()) or 1.0  # so that squares neither over- nor underflow
        rms = top * float(np.sqrt(np.mean((z / top) ** 2)))
        sd = top * float(np.std(z / top, ddof=1)) if len(z) > 1 else 0.0
        return ResponseScale(center=float(z.mean()), sd=sd or 1.0, rms=rms or 1.0)

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Half-Cauchy on sigma with the response's standard deviation as its scale."""
        return {"sigma": ("HalfCauchy", {"beta": scale.sd})}

    def pymc_likelihood(
        self,
        name: str,
        eta: Any,
        parameters: Mapping[str, Any],
        observed: Any,
        dims: str,
        rows: Mapping[str, Any],
    ) -> Any:
        """Add y ~ Normal(eta, sigma / sqrt(w))."""
        import pymc as pm

        sigma = parameters["sigma"]
        if "weights" in rows:
            sigma = sigma / rows["weights"] ** 0.5
        return pm.Normal(name, mu=eta, sigma=sigma, observed=observed, dims=dims)

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return sigma squared."""
        return np.square(parameters["sigma"])

    def latex(self) -> str:
        """Return Normal(eta_i, sigma)."""
        return r"\operatorname{Normal}(\eta_i, \sigma)"


@dataclass(frozen=True, slots=True)
class GaussianKnownSE(Gaussian):
    """Normal response whose residual standard errors are known, as in meta-analysis."""

    parameters: ClassVar[tuple[str, ...]] = ()
    residual_is_estimated: ClassVar[bool] = False

    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Nothing to estimate."""
        return {}

    def pymc_likelihood(
        self,
        name: str,
        eta: Any,
        parameters: Mapping[str, Any],
        observed: Any,
        dims: str,
        rows: Mapping[str, Any],
    ) -> Any:
        """Add y ~ Normal(eta, known_se)."""
        import pymc as pm

        return pm.Normal(name, mu=eta, sigma=rows["known_se"], observed=observed, dims=dims)

    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return None: it differs from row to row."""
        return None

    def latex(self) -> str:
        """Return Normal(eta_i, se_i)."""
        return r"\operatorname{Normal}(\eta_i, \text{se}_i)"
