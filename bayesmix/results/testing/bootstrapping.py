"""`bootstrap`: refits of a normal model to responses like its own."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.arguments import checked_seed, one_of, whole_number
from bayesmix.errors import OWN_FILES, ConvergenceWarning, NotSupportedError
from bayesmix.laws.refits import Refit, Refits
from bayesmix.laws.refits_law import RefitsLaw
from bayesmix.laws.resampled import resampled
from bayesmix.memory import check_memory
from bayesmix.results.having_law import HasLaw
from bayesmix.results.testing.bootstrap import Bootstrap, BootstrapKind, Replicates
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw

__all__ = ["Bootstraps"]

_PIECE = 20_000_000  # numbers of responses at a time
_SAY_AFTER = 2.0  # seconds


class Bootstraps(HasLaw):
    """Refits to responses like the one that was seen."""

    @property
    def _law(self) -> NormalLaw:
        raise NotImplementedError

    def bootstrap(
        self, n: int = 1000, kind: BootstrapKind = "parametric", *, seed: int | None = None,
        statistic: Callable[[Any], Any] | None = None, cores: int | None = None,
        progress: bool = True,
    ) -> Bootstrap:  # fmt: skip
        """Refit the model to responses like the one that was seen.

        Sums of products of columns are taken once; a refit costs a few evaluations of the
        criterion. A run that is interrupted keeps what it has.

        Parameters
        ----------
        n : int
            Number of refits.
        kind : {"parametric", "semiparametric", "wild"}
            New effects and residuals from their estimated normal distributions; from the predicted
            ones with replacement, after these were given the estimated covariance; or the
            signs of the residuals of whole levels of the coarsest grouping factor turned at
            random, for fixed effects under unequal variances (signs leave the variance
            parameters nearly as they are, so theirs are not to be read).
        seed : int, optional
        statistic : callable, optional
            What is made of a refit (``beta``, ``sd``, ``corr``, ``sigma``): one number or
            several, whose distribution is wanted too.
        cores : int, optional
            Threads; as many as there are processors, up to 8, by default.
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
            For a posterior mode, a response that is not normal, ``kind="wild"`` with crossed
            factors, related levels, or more than memory holds.

        Warns
        -----
        ConvergenceWarning
            Where more than one refit in twenty did not converge.

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
        one_of("kind", kind, ("parametric", "semiparametric", "wild"))
        number = checked_seed(seed, 0)
        threads = min(os.cpu_count() or 1, 8)
        threads = threads if cores is None else whole_number("cores", cores, 1, 1024)
        self._refuse_changed("bootstrap()")
        self._refuse_what_is_not_normal()
        law = self._law
        groups = law.problem.groups
        n_effects = sum(g.n_levels * g.n_effects for g in groups)
        check_memory(
            f"n={n:,} refits with {n_effects:,} effects", n * n_effects, "take a smaller n"
        )
        refits = Refits(law)
        found, interrupted = _run(refits, law, kind, n, number, threads, progress=progress)
        good = [refit for refit in found if refit.converged]
        if not good:
            raise NotSupportedError(
                "no refit converged, or the run was interrupted before the first"
            )
        own: np.ndarray | None = None
        names: tuple[str, ...] = ()
        of_fit = np.zeros(0)
        if statistic is not None:
            values, names = _statistics(statistic, [refits.of(law.model.y), *good])
            of_fit, own = values[0], values[1:]
        made = Bootstrap(
            self,  # type: ignore[arg-type]
            Replicates(
                law=_law_of(self.model, good, number), kind=kind, seed=number, asked=n,
                failed=len(found) - len(good), statistics=own, names=names, of_fit=of_fit,
                interrupted=interrupted,
            ),
            time.perf_counter() - start,
        )  # fmt: skip
        for problem in made._problems():
            warnings.warn(problem, ConvergenceWarning, skip_file_prefixes=OWN_FILES)
        return made

    def _refuse_what_is_not_normal(self) -> None:
        if not self.model.family.is_normal:
            raise NotSupportedError(
                f"bootstrap() is of normal responses, and the family is "
                f"{self.model.family.name}; fit() has the uncertainty of all parameters"
            )
        if self._law.method == "map":
            raise NotSupportedError('bootstrap() is of method="reml" or "ml", not of "map"')
        related = [g.name for g in self.model.design.mu.groups if g.between is not None]
        if related:
            raise NotSupportedError(
                f"bootstrap() takes independent levels, and those of {', '.join(related)} are "
                "related; take fit()"
            )
        if self._law.problem.equations.classes is not None:
            raise NotSupportedError(
                "bootstrap() does not know residual structures with parameters yet; take fit()"
            )


def _run(
    refits: Refits, law: NormalLaw, kind: Any, n: int, seed: int, threads: int, *, progress: bool
) -> tuple[list[Refit], bool]:
    """All refits, as far as they came, in the order of the responses."""
    step = max(1, min(n, _PIECE // law.problem.n_obs))
    found: list[Refit] = []
    stop = threading.Event()
    started = time.perf_counter()
    said = False

    def some(first: int, products: np.ndarray, yy: np.ndarray, own: range) -> list[Refit]:
        equations, out = refits.equations(), []
        for k in own:
            if stop.is_set():
                break
            rng = np.random.default_rng([seed, 1, first + k])
            out.append(refits.fit(equations, products[k], float(yy[k]), rng))
        return out

    try:
        with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
            for first in range(0, n, step):
                size = min(step, n - first)
                rng = np.random.default_rng([seed, 0, first])
                products, yy = refits.products(resampled(law, kind, size, rng))
                cuts = np.linspace(0, size, min(size, 4 * threads) + 1).astype(int)
                parts = [
                    pool.submit(some, first, products, yy, range(a, b))
                    for a, b in pairwise(cuts.tolist())
                ]
                try:
                    for part in parts:
                        found += part.result()
                        if progress and time.perf_counter() - started > _SAY_AFTER:
                            sys.stderr.write(f"\rrefit {len(found):,} of {n:,}")
                            sys.stderr.flush()
                            said = True
                except KeyboardInterrupt:
                    stop.set()
                    done = [part for part in parts if part.done() and not part.cancelled()]
                    found = found[:first] + [refit for part in done for refit in part.result()]
                    return found, True
    finally:
        stop.set()
        if said:
            sys.stderr.write("\n")
    return found, False


def _statistics(
    statistic: Callable[[Any], Any], refits: list[Refit]
) -> tuple[np.ndarray, tuple[str, ...]]:
    values = [np.ravel(np.asarray(statistic(refit), dtype=np.float64)) for refit in refits]
    if len({len(v) for v in values}) != 1:
        raise NotSupportedError("statistic= gave different numbers of values for different refits")
    k = len(values[0])
    names = ("statistic",) if k == 1 else tuple(f"statistic[{i}]" for i in range(k))
    return np.stack(values), names


def _law_of(model: Any, refits: list[Refit], seed: int) -> RefitsLaw:
    def gathered(of: Callable[[Refit], np.ndarray]) -> np.ndarray:
        return np.stack([of(refit) for refit in refits])[None]

    first = refits[0]
    own = {}
    if "sigma" in model.family.parameters:
        own = {"sigma": np.asarray([[refit.sigma for refit in refits]])}
    return RefitsLaw(
        model=model,
        beta=gathered(lambda r: r.beta),
        sd={g: gathered(lambda r, g=g: r.sd[g]) for g in first.sd},  # type: ignore[misc]
        corr={g: gathered(lambda r, g=g: r.corr[g]) for g in first.corr},  # type: ignore[misc]
        structure={
            g: {
                name: gathered(lambda r, g=g, name=name: np.asarray(r.structure[g][name]))  # type: ignore[misc]
                for name in values
            }
            for g, values in first.structure.items()
        },
        b={g: gathered(lambda r, g=g: r.effects[g]) for g in first.effects},  # type: ignore[misc]
        moments={},
        parameters=own,
        labels=(np.arange(1), np.arange(len(refits))),
        seed=seed,
    )
