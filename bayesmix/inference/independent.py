"""Independent proposals for the collapsed density, accepted or not: no warm-up of a chain.

A t that is fitted once for all chains proposes every point, so that a draw costs one value
of the density and no gradient, and chains forget where they were at each accepted point. Where
a value is dear, points are screened by a polynomial through those that are known (`screen.py`),
so that most of what would be rejected costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.errors import SamplingError
from bayesmix.gaussian.independence import Chain, ValueDensity
from bayesmix.inference.announce import Progress
from bayesmix.inference.proposal import MOST_PARAMETERS, Fitted, Quality, fit_proposal, judge
from bayesmix.inference.screen import fit_screen
from bayesmix.inference.settings import SamplerSettings
from bayesmix.threads import until_done

__all__ = ["IndependentDraws", "propose", "take_draws", "together", "why_too_many"]

_POINTS = 500  # of each stage, to which the proposal is fitted
_DEAR_POINTS = 150  # where one takes long
_DEAR = 5e-3  # seconds of a value
_CHEAP = 2e-5
_ENOUGH = 1000  # points of the chains from which their k is taken: of fewer it is noise
_SCREENED = 2  # steps by the screen to one evaluation: with one a third of draws repeat the last
_BEFORE = 4  # steps of a chain that are not kept: it begins at a weighted point of the fit
_STRETCH = 0.1  # seconds of a call, after which an interrupt is heard


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentDraws:
    """Draws of the chains; interrupted ones end with NaN.

    Attributes
    ----------
    X : ndarray, shape (chains, draws, d)
    beta, b : ndarray, shape (chains, draws, ...)
        In working units.
    stats : dict of str to ndarray, shape (chains, draws)
        Under ArviZ's names.
    quality : Quality
        Judged by all points that the chains were offered, or by the fit's where they are few.
    evaluated : float
        Share of the points at which the density was evaluated: 1 where nothing screens them.
    """

    X: np.ndarray
    beta: np.ndarray
    b: np.ndarray
    stats: dict[str, np.ndarray]
    quality: Quality
    evaluated: float


def why_too_many(n_parameters: int) -> str:
    """Why a density has too many coordinates for one proposal, in words; empty if it has not."""
    if n_parameters <= MOST_PARAMETERS:
        return ""
    return f"{n_parameters} variance parameters (at most {MOST_PARAMETERS})"


def propose(
    density: ValueDensity, center: np.ndarray, root: np.ndarray, settings: SamplerSettings,
    seconds: float, tune: int | None,
) -> Fitted:  # fmt: skip
    """Fit the proposal.

    Parameters
    ----------
    density : ValueDensity
    center, root : ndarray
        Mode and a root of the inverse of the Hessian there.
    settings : SamplerSettings
    seconds : float
        Roughly what a value takes.
    tune : int or None
        Points for each chain, in two stages, where that is more than the usual number, which
        depends on their cost.

    Returns
    -------
    Fitted
    """
    n = _DEAR_POINTS if seconds > _DEAR else _POINTS
    if tune is not None:
        n = max(n, tune * settings.chains // 2)
    seeds = np.random.SeedSequence(settings.seed).spawn(settings.chains + 1)
    rng = np.random.default_rng(seeds[-1])

    def values(X: np.ndarray) -> np.ndarray:
        size = int(np.clip(_STRETCH / seconds, 1, -(-len(X) // settings.cores)))
        out = np.full(len(X), np.nan)
        progress = Progress("point of the proposal", len(X), shown=settings.progress)

        def part(at: slice, stop: threading.Event) -> None:
            if not stop.is_set():
                out[at] = density.values(X[at])
                progress.say(int((~np.isnan(out)).sum()))

        parts = [slice(k, k + size) for k in range(0, len(X), size)]
        together(part, parts, settings.cores)
        progress.close()
        return out

    try:
        return fit_proposal(values, center, root, rng, n)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("sampling was interrupted before the first draw") from None


def take_draws(
    density: ValueDensity, fitted: Fitted, settings: SamplerSettings, n_b: int, seconds: float
) -> IndependentDraws:
    """Run the chains.

    Parameters
    ----------
    density : ValueDensity
    fitted : Fitted
    settings : SamplerSettings
    n_b : int
        Group effects that are drawn, 0 for none.
    seconds : float
        Roughly what a value takes.

    Returns
    -------
    IndependentDraws

    Raises
    ------
    SamplingError
        If effects cannot be drawn.
    """
    n_chains, n_draws, d = settings.chains, settings.draws, density.n_coordinates
    p = density.eq.n_fixed
    each = 2 if seconds < _CHEAP else 1
    screen = fit_screen(*fitted.known, fitted.proposal) if seconds > _DEAR else None
    if screen is not None:
        each = _SCREENED
    X = np.full((n_chains, n_draws, d), np.nan)
    lp, acceptance = np.full((2, n_chains, n_draws), np.nan)
    beta, b = np.empty((n_chains, n_draws, p)), np.empty((n_chains, n_draws, n_b))
    log_w: list[list[np.ndarray]] = [[] for _ in range(n_chains)]
    n_evaluated = [0] * n_chains
    seeds = np.random.SeedSequence(settings.seed).spawn(n_chains + 1)[:n_chains]
    stretch = int(np.clip(_STRETCH / (seconds * each), 1, n_draws))
    progress = Progress("draw", n_chains * n_draws, shown=settings.progress)

    def one_chain(c: int, stop: threading.Event) -> None:
        rng, chain = np.random.default_rng(seeds[c]), Chain(density)
        points, log_q = fitted.proposal.points(rng, 1 + _BEFORE)
        points[0] = fitted.points[rng.choice(len(fitted.points), p=fitted.weights)]
        log_q[0] = fitted.proposal.log_density(points[:1])[0]
        none = np.empty((0, p)), np.empty((0, n_b))

        def screened(own: int) -> tuple[int, np.ndarray, np.ndarray] | None:
            if screen is None:
                return None
            return own, screen.log_weights(points, log_q), _log_uniform(rng, len(points))

        chain.steps(points, log_q, _log_uniform(rng, len(points)), 1, *none, screened(1))
        for first in range(0, n_draws, stretch):
            if stop.is_set():
                return
            at = slice(first, min(first + stretch, n_draws))
            size = at.stop - first
            rng.standard_normal(out=beta[c, at])
            rng.standard_normal(out=b[c, at])
            points, log_q = fitted.proposal.points(rng, size * each)
            by_screen = screened(each)
            found = chain.steps(
                points, log_q, _log_uniform(rng, len(points)), each, beta[c, at], b[c, at],
                by_screen,
            )  # fmt: skip
            if found is None:
                raise SamplingError("effects could not be drawn at a draw of theta")
            X[c, at], lp[c, at], acceptance[c, at], own = found
            n_evaluated[c] += int((~np.isnan(own)).sum())
            if by_screen is not None and screen is not None:
                # The approximation will do for what was not evaluated.
                own = by_screen[1] + np.where(np.isnan(own), 0.0, own - screen.top)
            log_w[c].append(own)
            progress.say(sum(len(part) for of_chain in log_w for part in of_chain) // each)

    together(one_chain, range(n_chains), settings.cores, until_stopped=True)
    progress.close()
    weights = np.concatenate([part for own in log_w for part in own] or [np.empty(0)])
    # No path is followed, so none diverges: what reads NUTS's statistics finds that said.
    stats = {"acceptance_rate": acceptance, "lp": lp, "diverging": np.zeros(lp.shape, dtype=bool)}
    return IndependentDraws(
        X=X, beta=beta, b=b, stats=stats,
        quality=judge(weights) if len(weights) >= _ENOUGH else fitted.quality,
        evaluated=sum(n_evaluated) / max(len(weights), 1),
    )  # fmt: skip


def _log_uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    return -1.0 * rng.standard_exponential(n)


def together(
    work: Callable[[Any, threading.Event], None], items: Sequence[Any] | Iterator[Any], cores: int,
    *, until_stopped: bool = False,
) -> None:  # fmt: skip
    """Do work on each item, some at the same time; an interrupt lets what runs come to its end.

    It is raised again, if it is not only to end the work early.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=cores) as pool:
        running: list[Future[None]] = []
        try:
            for item in items:  # an interrupt may come while a thread starts
                running.append(pool.submit(work, item, stop))  # noqa: PERF401
            until_done(running)
        except KeyboardInterrupt:
            if not until_stopped:
                raise
        finally:
            stop.set()
            for one in running:
                one.cancel()
    for one in running:
        if not one.cancelled():
            one.result()
