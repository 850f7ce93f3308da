"""`bootstrap`: refits of a model to responses like its own, or to other samples of its levels."""

from __future__ import annotations

import pickle
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from bayesmix.arguments import checked_seed, one_of, whole_number
from bayesmix.errors import (
    OWN_FILES,
    ArgumentError,
    BayesmixError,
    ConvergenceWarning,
    NotSupportedError,
    SeparationWarning,
)
from bayesmix.laws.refit import Refit, Refitting
from bayesmix.laws.refits_law import Interval, RefitsLaw
from bayesmix.laws.resampled import BootstrapKind
from bayesmix.memory import check_memory
from bayesmix.results.having_law import HasLaw
from bayesmix.results.testing.bootstrap import Bootstrap, Replicates
from bayesmix.results.testing.running import Progress, in_threads, threads_of

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.laws.resampling import Resampling

__all__ = ["Bootstraps"]

_PIECE = 20_000_000  # numbers of responses at a time
_MOST_LEFT_OUT = 200  # levels that are left out one by one, for the acceleration
_BROKEN = (BayesmixError, FloatingPointError, np.linalg.LinAlgError)


class Bootstraps(HasLaw):
    """Refits to responses like the one that was seen."""

    @property
    def _law(self) -> NormalLaw:
        raise NotImplementedError

    def bootstrap(
        self, n: int = 1000, kind: BootstrapKind = "parametric", *, seed: int | None = None,
        statistic: Callable[[Any], Any] | None = None, cores: int | None = None,
        interval: Interval = "percentile", progress: bool = True,
    ) -> Bootstrap:  # fmt: skip
        """Refit the model to responses like the one that was seen, or to other samples of levels.

        For a normal response sums of products of columns are taken once, and a refit costs a few
        evaluations of the criterion; beyond it each refit is a search from the estimates, by
        Laplace's approximation. A run that is interrupted (Ctrl-C) keeps what it has; refits
        that fail or do not converge are left out and counted.

        Parameters
        ----------
        n : int
            Number of refits.
        kind : {"parametric", "semiparametric", "cases", "wild"}
            New effects and responses from their estimated distributions; from the predicted
            effects and the residuals with replacement, after these were given the estimated
            covariance; whole levels of the coarsest grouping factor with replacement, with all
            rows and nested levels in them, each copy a level of its own (rows, where there are
            no groups; crossed factors are refused, as no level could be drawn without others);
            or the signs of the residuals of whole levels of the coarsest grouping factor turned
            at random, for fixed effects under unequal variances (signs leave the variance
            parameters nearly as they are, so theirs are not to be read). The second and the
            last are of normal responses.
        seed : int, optional
        statistic : callable, optional
            What is made of a refit (``beta``, ``sd``, ``corr``, ``sigma``, ``parameters``,
            ``effects``): one number or several, whose distribution is wanted too. Where several
            parameters have linear predictors ``beta`` has the coefficients of all, one behind the
            other as ``fixed_effects(parameter="all")`` has them, and groups of others than mu's
            are called "zi: site".
        cores : int, optional
            Threads; as many as there are processors, up to 8, by default.
        interval : {"percentile", "basic", "normal", "bc", "bca"}
            What the intervals of tables and predictions are, as in `Bootstrap.intervals`;
            `Bootstrap.with_intervals` changes it without new refits.
        progress : bool
            Whether a run of more than two seconds says how far it is.

        Returns
        -------
        Bootstrap
            Group effects in it are drawn given the data at each refit's estimates. Smooths
            are curves of the population: responses are made around the estimated ones.

        Raises
        ------
        NotSupportedError
            For a posterior mode; a kind that the model does not have (residuals beyond the normal
            response or of a sigma that varies, crossed or related levels); or more than memory
            holds.

        Warns
        -----
        ConvergenceWarning
            Where more than one refit in twenty did not converge.
        SeparationWarning
            Where coefficients of some refits have no finite estimate (`Bootstrap.separation`).

        References
        ----------
        Laird, N. M. and Louis, T. A. (1987). Empirical Bayes confidence intervals based on
        bootstrap samples. Journal of the American Statistical Association 82, 739-750;
        Carpenter, J. R., Goldstein, H. and Rasbash, J. (2003). A novel bootstrap procedure for
        assessing the relationship between class size and achievement. Journal of the Royal
        Statistical Society C 52, 431-443.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> boot = eb.bootstrap(200, seed=1, progress=False)
        >>> boot.fixed_effects()["term"].tolist()
        ['Intercept', 'Days']
        """
        start = time.perf_counter()
        n = whole_number("n", n, 1, 10_000_000)
        from bayesmix.laws.resampling import Resampling

        one_of("kind", kind, get_args(BootstrapKind))
        one_of("interval", interval, get_args(Interval))
        number = checked_seed(seed, 0)
        threads = threads_of(cores)
        self._refuse_changed("bootstrap()")
        self._refuse_no_likelihood()
        law = self._law
        groups = law.problem.groups
        n_effects = sum(g.n_levels * g.n_effects for g in groups)
        check_memory(
            f"n={n:,} refits with {n_effects:,} effects", n * n_effects, "take a smaller n"
        )
        resampling = Resampling(law)
        with _Counted("refit", n, progress) as counted:
            found, interrupted = _run(resampling, kind, n, number, threads, counted)
        good = [refit for refit in found if refit is not None and refit.converged]
        if not good:
            raise NotSupportedError(
                "no refit converged, or the run was interrupted before the first"
            )
        mine = resampling.of_fit()
        own: np.ndarray | None = None
        names: tuple[str, ...] = ()
        of_fit = np.zeros(0)
        if statistic is not None:
            values, names = _statistics(statistic, [mine, *good])
            of_fit, own = values[0], values[1:]

        made = Bootstrap(
            self,  # type: ignore[arg-type]
            Replicates(
                law=resampling.law_of(good, number), kind=kind, seed=number, asked=n,
                failed=len(found) - len(good), statistics=own, names=names, of_fit=of_fit,
                interrupted=interrupted, ran_away=resampling.ran_away(good),
                of_estimates=resampling.law_of([mine], number),
                left_out=_LeftOut(resampling, mine, number, statistic, threads, progress),
            ),
            time.perf_counter() - start,
        )  # fmt: skip
        for problem in made._problems():
            kind_of = SeparationWarning if problem == made.separation else ConvergenceWarning
            warnings.warn(problem, kind_of, skip_file_prefixes=OWN_FILES)
        return made.with_intervals(interval)

    def _refuse_no_likelihood(self) -> None:
        method = self._law.method
        if method not in ("reml", "ml"):
            raise NotSupportedError(f'bootstrap() is of method="reml" or "ml", not of "{method}"')


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Makes the fits without a level each, and the fit itself, for the acceleration."""

    resampling: Resampling
    fit: Refit
    seed: int
    statistic: Callable[[Any], Any] | None
    threads: int
    progress: bool

    def __call__(self) -> tuple[RefitsLaw, np.ndarray | None]:
        parts = _left_out(self.resampling, self.threads, self.progress)
        refits = [*parts, self.fit]
        own = None if self.statistic is None else _statistics(self.statistic, refits)[0]
        return self.resampling.law_of(refits, self.seed), own

    def __deepcopy__(self, memo: dict[int, Any]) -> _LeftOut:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        statistic = self.statistic
        try:
            pickle.dumps(statistic)
        except (AttributeError, TypeError, pickle.PicklingError):  # as of a lambda
            statistic = _not_taken_along
        values = self.resampling, self.fit, self.seed, statistic, self.threads, self.progress
        return _LeftOut, values


def _not_taken_along(_: Refit) -> float:
    raise NotSupportedError(
        "the function given as statistic= could not be pickled with the bootstrap, and "
        'interval="bca" calls it again: define it with def at the top of a module, or take '
        'interval="bc"'
    )


class _Counted(Progress):
    """Progress of a run that is one of several pieces."""

    def __init__(self, word: str, total: int, shown: bool) -> None:
        super().__init__(word, total, shown=shown)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(
    resampling: Resampling, kind: BootstrapKind, n: int, seed: int, threads: int,
    progress: Progress,
) -> tuple[list[Refit | None], bool]:  # fmt: skip
    """All refits, as far as they came, in the order of the responses."""
    step = max(1, min(n, _PIECE // resampling.law.model.y.size))
    found: list[Refit | None] = []
    for first in range(0, n, step):
        size, before = min(step, n - first), len(found)
        refitting = resampling.drawn(kind, size, (seed, 0, first))
        part, interrupted = in_threads(
            _refits(refitting, (seed, 1, first)), size, threads,
            lambda done, before=before: progress.say(before + done),  # type: ignore[misc]
        )  # fmt: skip
        found += part
        if interrupted:
            return found, True
    return found, False


def _refits(
    refitting: Refitting, seed: tuple[int, ...] | None
) -> Callable[[range, threading.Event], list[Refit | None]]:
    def some(own: range, stop: threading.Event) -> list[Refit | None]:
        worker = refitting.worker(own)
        out: list[Refit | None] = []
        for k in own:
            if stop.is_set():
                break
            rng = None if seed is None else np.random.default_rng((*seed[:-1], seed[-1] + k))
            try:
                out.append(worker.fit(k, rng))
            except _BROKEN:
                out.append(None)
        return out

    return some


def _left_out(resampling: Resampling, threads: int, progress: bool) -> list[Refit]:
    """Fits without a level each, evenly spaced levels where there are many."""
    refitting, n = resampling.left_out()
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MOST_LEFT_OUT)).astype(int))
    several = _refits(refitting, None)

    def some(own: range, stop: threading.Event) -> list[Refit | None]:
        return [refit for k in own for refit in several(range(chosen[k], chosen[k] + 1), stop)]

    with _Counted("left out", len(chosen), progress) as counted:
        found, interrupted = in_threads(some, len(chosen), threads, counted.say)
    if interrupted:
        raise KeyboardInterrupt
    return [refit for refit in found if refit is not None]


def _statistics(
    statistic: Callable[[Any], Any], refits: list[Refit]
) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        values = [np.ravel(np.asarray(statistic(refit), dtype=np.float64)) for refit in refits]
    except AttributeError as error:
        if not isinstance(error.obj, Refit):
            raise
        known = [f.name for f in fields(Refit)]
        raise ArgumentError(
            f"statistic= is given the estimates of a refit, which have no {error.name!r}: they are "
            f"{', '.join(known)} and sigma, and statistic=lambda refit: refit.beta[1] takes one"
        ) from error
    if len({len(v) for v in values}) != 1:
        raise NotSupportedError("statistic= gave different numbers of values for different refits")
    k = len(values[0])
    names = ("statistic",) if k == 1 else tuple(f"statistic[{i}]" for i in range(k))
    return np.stack(values), names
