"""`Bootstrap`: a fit's estimates over responses like the one that was seen."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import NotSupportedError
from bayesmix.laws.base import Asked
from bayesmix.laws.refits_law import Interval, RefitsLaw, limits_of
from bayesmix.laws.summaries import FEWEST
from bayesmix.laws.values import by_name
from bayesmix.results.fit import Fit
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.tree import versions
from bayesmix.words_of_others import OF_DRAWS

__all__ = ["Bootstrap", "Replicates"]

_SD, _CORR = re.compile(r"(\w+_)?sd\("), re.compile(r"(\w+_)?corr\(")
_IN_WORDS: Mapping[str, str] = {
    "bc": "bias-corrected", "bca": "bias-corrected and accelerated",
    **{name: name for name in ("percentile", "basic", "normal")},
}  # fmt: skip


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
    ran_away : mapping of str to int
        In how many refits coefficients have no finite estimate, by their names.
    of_estimates : RefitsLaw
        With one draw, the fit itself.
    left_out : callable
        Makes fits without a level each and the fit itself, and the caller's statistics of these.
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
    ran_away: Mapping[str, int]
    of_estimates: RefitsLaw
    left_out: Callable[[], tuple[RefitsLaw, np.ndarray | None]]


class Bootstrap(Fit):
    """Estimates of a model over responses like the one that was seen.

    Made by `EmpiricalBayes.bootstrap`. It is a fit like others: its tables, predictions and
    comparisons are summaries over the refits. Tables and predictions have the intervals that
    `with_intervals` chooses, comparisons and new observations percentiles; `intervals` sets
    estimate, bias and limits of every parameter beside each other.

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
    interval : {"percentile", "basic", "normal", "bc", "bca"}
        What the intervals of its tables are.

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
        self.interval: Interval = "percentile"
        self._shown = replicates.law

    @property
    def _law(self) -> RefitsLaw:
        return self._shown

    @property
    def n_refits(self) -> int:
        """Number of refits that are used."""
        return self._law.beta.shape[1]

    @property
    def n_failed(self) -> int:
        """Number of refits that did not converge, which are left out."""
        return self._replicates.failed

    @property
    def separation(self) -> str:
        """In how many refits which coefficients have no finite estimate, in words; empty if none.

        Their means and standard deviations would depend on where searches stop: they are NaN.
        Percentiles count such an estimate as infinite, so that a limit stands while fewer ran
        away to its side than the tail holds. Predicted means and probabilities have theirs.
        """
        gone = self._replicates.ran_away
        if not gone:
            return ""
        n, found = self.n_refits, ", ".join(f"{name} in {k}" for name, k in gone.items())
        return (
            f"{found} of {n} refits ran away, as outcomes separate there: these coefficients have "
            "no mean, standard deviation and bias (NaN), and infinite limits where a tail holds "
            "more such refits than it has room for; fit() has priors, which hold them"
        )

    def draws(self) -> pd.DataFrame:
        """Return the estimates of every refit.

        Returns
        -------
        DataFrame
            One row per refit, one column per parameter, and the caller's own statistics.
            Coefficients that ran away (`separation`) are infinite.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> eb.bootstrap(20, seed=1, progress=False).draws().shape
        (20, 4)
        """
        columns = {name: v[0] for name, v in by_name(self.model, self._law.stated_values).items()}
        own = self._replicates.statistics
        if own is not None:
            columns |= dict(zip(self._replicates.names, own.T, strict=True))
        return pd.DataFrame(columns)

    def with_intervals(self, kind: Interval) -> Self:
        """Choose the intervals of tables and predictions.

        Parameters
        ----------
        kind : {"percentile", "basic", "normal", "bc", "bca"}
            As in `intervals`.

        Returns
        -------
        Bootstrap
            The same refits.

        Raises
        ------
        NotSupportedError
            If there are fewer than 20 refits, for another kind than "percentile".

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> boot = eb.bootstrap(50, seed=1, progress=False).with_intervals("basic")
        >>> boot.fixed_effects()["term"].tolist()
        ['Intercept', 'Days']
        """
        one_of("kind", kind, get_args(Interval))
        found = object.__new__(type(self))
        vars(found).update(vars(self))
        found.interval = kind
        law = self._replicates.law
        if kind != "percentile":
            self._check_enough()
            beside = self._left_out[0] if kind == "bca" else self._replicates.of_estimates
            law = _with_fit(law, beside, kind)
        found._shown = law
        return found

    def intervals(self, kind: Interval = "percentile", ci_prob: float = 0.95) -> pd.DataFrame:
        """Intervals of every parameter, by one of the bootstrap's ways.

        Parameters
        ----------
        kind : {"percentile", "basic", "normal", "bc", "bca"}
            Quantiles of the refits; these reflected at the estimate; the estimate less its bias,
            with normal quantiles times the standard error; quantiles corrected for the share of
            refits below the estimate; and these corrected for skewness as well, by fits that
            leave out one level each of the coarsest grouping factor (200 of them at most).
        ci_prob : float

        Returns
        -------
        DataFrame
            parameter, estimate (of the fit itself), bias and se (of the refits), lower, upper.
            Limits of standard deviations end at zero, and those of correlations at -1 and 1.
            Coefficients that ran away in some refits (`separation`) have no bias and no standard
            error, and a limit is infinite where its tail holds more of these than it has room for.

        Raises
        ------
        NotSupportedError
            If there are fewer than 20 refits.

        References
        ----------
        Davison, A. C. and Hinkley, D. V. (1997). Bootstrap Methods and their Application,
        chapter 5. Cambridge University Press; Efron, B. (1987). Better bootstrap confidence
        intervals. Journal of the American Statistical Association 82, 171-185.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> boot = eb.bootstrap(50, seed=1, progress=False)
        >>> boot.intervals()["parameter"].tolist()
        ['beta(Intercept)', 'beta(Days)', 'sd(Subject, Intercept)', 'sigma']
        """
        one_of("kind", kind, get_args(Interval))
        check_probability("ci_prob", ci_prob)
        self._check_enough()
        frame = self.draws()
        values = frame.to_numpy()
        left_out = np.zeros((0, values.shape[1]))
        estimate = self._columns_of(self._replicates.of_estimates, self._replicates.of_fit[None])[0]
        if kind == "bca":
            law, own = self._left_out
            left_out = self._columns_of(law, own)[:-1]
        lower, upper = limits_of(kind, values, estimate, left_out, ci_prob)
        floor, top = _ranges(list(frame.columns))
        known = np.where(np.isfinite(values).all(axis=0), values, np.nan)
        return pd.DataFrame(
            {
                "parameter": text_column(list(frame.columns)),
                "estimate": estimate,
                "bias": known.mean(axis=0) - estimate,
                "se": known.std(axis=0, ddof=1),
                "lower": np.clip(lower, floor, top),
                "upper": np.clip(upper, floor, top),
            }
        )

    # -- inside ---------------------------------------------------------------

    _signposts: ClassVar[Mapping[str, str]] = OF_DRAWS

    @functools.cached_property
    def _left_out(self) -> tuple[RefitsLaw, np.ndarray | None]:
        return self._replicates.left_out()

    def _check_enough(self) -> None:
        if self.n_refits < FEWEST:
            raise NotSupportedError(
                f"intervals need {FEWEST} refits or more, and there are {self.n_refits}"
            )

    def _columns_of(self, law: RefitsLaw, own: np.ndarray | None) -> np.ndarray:
        """The columns of `draws` for other draws, shape (draws, k)."""
        found = [v[0] for v in by_name(self.model, law.stated_values).values()]
        values = np.stack(found, axis=1)
        return values if own is None else np.concatenate([values, own], axis=1)

    def _run_in_words(self) -> list[str]:
        words = f"{self.kind} bootstrap, {self.n_refits} refits"
        if self.n_failed:
            lacked = ", or drew no row of some level," if self.kind == "cases" else ""
            words += f" ({self.n_failed} more did not converge{lacked} and are left out)"
        if self.interrupted:
            words += f" of {self._replicates.asked} (interrupted)"
        return [f"{words}, {self.seconds:.1f} s, seed {self._replicates.seed}"]

    def _remarks(self, asked: Asked, parts: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
        if self.n_refits < FEWEST:
            return [
                f"Estimates are means over the refits (medians of components); limits need "
                f"{FEWEST} refits or more, and there are {self.n_refits}.",
                *self._words_of_separation(),
            ]
        return [
            f"Estimates are means over the refits (medians of components), with "
            f"{100 * asked.ci_prob:g} % {_IN_WORDS[self.interval]} intervals; intervals() has the "
            "fit's own estimates, their bias, and other kinds.",
            *self._words_of_separation(),
        ]

    def _words_of_separation(self) -> list[str]:
        return [f"Separation: {self.separation}."] if self.separation else []

    @property
    def _has_priors(self) -> bool:
        return getattr(self.fit, "method", None) == "map"

    def _estimation(self) -> list[str]:
        own = self.fit.methods().sentences
        how = next((text for text in own if text.startswith("Variance parameters were")), "")
        return [
            *([how] if how else []),
            f"Intervals are {_IN_WORDS[self.interval]} intervals of a {self.kind} bootstrap with "
            f"{self.n_refits} refits (seed {self._replicates.seed}).",
        ]

    def _convergence(self) -> list[str]:
        failed = f"{self.n_failed} further refits did not converge and were left out."
        return [failed if self.n_failed else "All refits converged.", *self._words_of_separation()]

    def _called(self) -> str:
        return "bootstrap"

    def _run(self) -> Mapping[str, Any]:
        return {"bootstrap": self.kind, "refits": self.n_refits, **versions()}

    def _problems(self) -> list[str]:
        found = [self.separation] if self.separation else []
        if self.n_failed > 0.05 * self._replicates.asked:
            found.append(f"{self.n_failed} of {self._replicates.asked} refits did not converge")
        return found

    def _to_save(self) -> dict[str, Any]:
        raise NotSupportedError(
            f"a bootstrap is not saved: save the fit, and draw again with seed="
            f"{self._replicates.seed}, or keep draws()"
        )

    def _fitted_again(self, model: Any, *, same_family: bool, **fit: Any) -> Self:
        found: Any = self.fit._fitted_again(model, same_family=same_family, **fit)
        again: Self = found.bootstrap(
            self._replicates.asked, self.kind, seed=self._replicates.seed,
            interval=self.interval, progress=False,
        )  # fmt: skip
        return again


def _with_fit(law: RefitsLaw, beside: RefitsLaw, kind: Interval) -> RefitsLaw:
    """A law, and those of other predictors, with intervals that go by fits beside it."""
    n = beside.beta.shape[1]
    wide = replace(_behind(law, beside), interval=kind, n_beside=n)
    others = {name: _with_fit(own, beside.others[name], kind) for name, own in law.others.items()}
    return replace(law, interval=kind, with_fit=wide, others=others)


def _behind(law: RefitsLaw, other: RefitsLaw) -> RefitsLaw:
    """The draws of two laws of one model behind each other."""

    def joined(a: Any, b: Any) -> Any:
        if isinstance(a, Mapping):
            return {name: joined(a[name], b[name]) for name in a}
        if isinstance(a, RefitsLaw):
            return _behind(a, b)
        if isinstance(a, tuple):
            return (*a, *b)
        return np.concatenate([a, b], axis=1)

    held = ("gone", "beta", "sd", "corr", "b", "parameters", "structure", "others")
    found = {
        f.name: joined(getattr(law, f.name), getattr(other, f.name))
        for f in fields(law)
        if f.name in held
    }
    n = found["beta"].shape[1]
    return replace(law, **found, labels=(np.arange(1), np.arange(n)))


def _ranges(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What limits may be, by the kind of parameter."""
    scale = np.asarray([_SD.match(n) is not None or n == "sigma" for n in names])
    corr = np.asarray([_CORR.match(n) is not None for n in names])
    floor = np.where(scale, 0.0, np.where(corr, -1.0, -np.inf))
    return floor, np.where(corr, 1.0, np.inf)
