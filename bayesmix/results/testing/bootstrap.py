"""`Bootstrap`: a fit's estimates over responses like the one that was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import NotSupportedError
from bayesmix.laws.base import Asked
from bayesmix.laws.refits_law import RefitsLaw
from bayesmix.laws.values import by_name
from bayesmix.results.fit import Fit
from bayesmix.results.signposts import OF_DRAWS
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.tree import versions

__all__ = ["Bootstrap", "BootstrapKind"]

BootstrapKind = Literal["parametric", "semiparametric", "wild"]
IntervalKind = Literal["percentile", "basic", "normal", "bc"]
_LEAST = 20  # refits, for intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """What refits have found.

    Attributes
    ----------
    law : RefitsLaw
        With one chain, a draw for each refit.
    kind : str
    seed : int
    asked : int
        Number of refits that were asked for.
    failed : int
        Those that did not converge, which are left out.
    statistics : ndarray, shape (B, k), or None
        The caller's own.
    names : tuple of str
        What these are called.
    of_fit : ndarray, shape (k,)
        The caller's statistics of the fit itself.
    interrupted : bool
    """

    law: RefitsLaw
    kind: str
    seed: int
    asked: int
    failed: int
    statistics: np.ndarray | None
    names: tuple[str, ...]
    of_fit: np.ndarray
    interrupted: bool


class Bootstrap(Fit):
    """Estimates of a model over responses like the one that was seen.

    Made by `EmpiricalBayes.bootstrap`. It is a fit like others: its tables, predictions and
    comparisons are summaries over the refits, with percentile intervals; `intervals` has the
    other kinds.

    Parameters
    ----------
    fit : EmpiricalBayes
        The fit whose estimates vary.
    replicates : Replicates
    seconds : float

    Attributes
    ----------
    model : Model
    fit : EmpiricalBayes
    kind : str
    n_refits, n_failed : int
        Refits that are used, and those that did not converge and are not.
    interrupted : bool
        Whether it was stopped before all refits were done.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    >>> boot = eb.bootstrap(100, seed=1, progress=False)
    >>> boot.n_refits
    100
    """

    def __init__(self, fit: Fit, replicates: Replicates, seconds: float) -> None:
        self.model, self.fit, self.seconds = fit.model, fit, seconds
        self._replicates = replicates
        self.kind, self.interrupted = replicates.kind, replicates.interrupted

    @property
    def _law(self) -> RefitsLaw:
        return self._replicates.law

    @property
    def n_refits(self) -> int:
        """Number of refits that are used."""
        return self._law.beta.shape[1]

    @property
    def n_failed(self) -> int:
        """Number of refits that did not converge, which are left out."""
        return self._replicates.failed

    def draws(self) -> pd.DataFrame:
        """Return the estimates of every refit.

        Returns
        -------
        DataFrame
            One row per refit, one column per parameter, and the caller's own statistics.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> eb.bootstrap(20, seed=1, progress=False).draws().shape
        (20, 4)
        """
        columns = {name: v[0] for name, v in by_name(self.model, self._law.values).items()}
        own = self._replicates.statistics
        if own is not None:
            columns |= dict(zip(self._replicates.names, own.T, strict=True))
        return pd.DataFrame(columns)

    def intervals(self, kind: IntervalKind = "percentile", ci_prob: float = 0.95) -> pd.DataFrame:
        """Intervals of every parameter, by one of the bootstrap's ways.

        Parameters
        ----------
        kind : {"percentile", "basic", "normal", "bc"}
            Quantiles of the refits; these reflected at the estimate; the estimate less its bias,
            with normal quantiles times the standard error; quantiles corrected for the share of
            refits below the estimate.
        ci_prob : float

        Returns
        -------
        DataFrame
            parameter, estimate (of the fit itself), bias and se (of the refits), lower, upper.
            Limits of standard deviations end at zero, and those of correlations at -1 and 1.

        Raises
        ------
        NotSupportedError
            If there are fewer than 20 refits.

        References
        ----------
        Davison, A. C. and Hinkley, D. V. (1997). Bootstrap Methods and their Application,
        chapter 5. Cambridge University Press.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> boot = eb.bootstrap(50, seed=1, progress=False)
        >>> boot.intervals()["parameter"].tolist()
        ['beta(Intercept)', 'beta(Days)', 'sd(Subject, Intercept)', 'sigma']
        """
        one_of("kind", kind, ("percentile", "basic", "normal", "bc"))
        check_probability("ci_prob", ci_prob)
        frame = self.draws()
        if len(frame) < _LEAST:
            raise NotSupportedError(
                f"intervals need {_LEAST} refits or more, and there are {len(frame)}"
            )
        values = frame.to_numpy()
        known = by_name(self.model, self.fit._law.values)
        estimate = np.asarray([float(known.get(name, np.nan)) for name in frame.columns])
        own = self._replicates.statistics
        if own is not None:
            estimate[-own.shape[1] :] = self._replicates.of_fit
        tail = (1 - ci_prob) / 2
        se = values.std(axis=0, ddof=1)
        bias = values.mean(axis=0) - estimate
        if kind == "normal":
            z = float(special.ndtri(1 - tail))
            lower, upper = estimate - bias - z * se, estimate - bias + z * se
        elif kind == "bc":
            below = (values < estimate).mean(axis=0) + (values == estimate).mean(axis=0) / 2
            shift = special.ndtri(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))
            levels = special.ndtr(2 * shift + special.ndtri([[tail], [1 - tail]]))
            lower, upper = (
                np.asarray([np.quantile(v, q) for v, q in zip(values.T, level, strict=True)])
                for level in levels
            )
        else:
            lower, upper = np.quantile(values, [tail, 1 - tail], axis=0)
            if kind == "basic":
                lower, upper = 2 * estimate - upper, 2 * estimate - lower
        floor, top = _ranges(list(frame.columns))
        return pd.DataFrame(
            {
                "parameter": text_column(list(frame.columns)),
                "estimate": estimate,
                "bias": bias,
                "se": se,
                "lower": np.clip(lower, floor, top),
                "upper": np.clip(upper, floor, top),
            }
        )

    # -- inside ---------------------------------------------------------------

    _signposts: ClassVar[Mapping[str, str]] = OF_DRAWS

    def _run_in_words(self) -> list[str]:
        words = f"{self.kind} bootstrap, {self.n_refits} refits"
        if self.n_failed:
            words += f" ({self.n_failed} more did not converge and are left out)"
        if self.interrupted:
            words += f" of {self._replicates.asked} (interrupted)"
        return [f"{words}, {self.seconds:.1f} s, seed {self._replicates.seed}"]

    def _remarks(self, asked: Asked, parts: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        return [
            f"Estimates are means over the refits (medians of components), with "
            f"{100 * asked.ci_prob:g} % percentile intervals; intervals() has the fit's own "
            "estimates, their bias, and other kinds."
        ]

    def _called(self) -> str:
        return "bootstrap"

    def _run(self) -> Mapping[str, Any]:
        return {"bootstrap": self.kind, "refits": self.n_refits, **versions()}

    def _problems(self) -> list[str]:
        if self.n_failed > 0.05 * self._replicates.asked:
            return [f"{self.n_failed} of {self._replicates.asked} refits did not converge"]
        return []

    def _to_save(self) -> dict[str, Any]:
        raise NotSupportedError(
            f"a bootstrap is not saved: save the fit, and draw again with seed="
            f"{self._replicates.seed}, or keep draws()"
        )

    def _fitted_again(self, model: Any, *, same_family: bool, **fit: Any) -> Self:
        found: Any = self.fit._fitted_again(model, same_family=same_family, **fit)
        again: Self = found.bootstrap(
            self._replicates.asked, self.kind, seed=self._replicates.seed, progress=False
        )
        return again


def _ranges(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What limits may be, by the kind of parameter."""
    scale = np.asarray([n.startswith("sd(") or n == "sigma" for n in names])
    corr = np.asarray([n.startswith("corr(") for n in names])
    floor = np.where(scale, 0.0, np.where(corr, -1.0, -np.inf))
    return floor, np.where(corr, 1.0, np.inf)
