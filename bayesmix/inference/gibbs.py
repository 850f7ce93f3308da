"""The posterior of a normal model by one grouping factor after the other.

Where crossed factors are too large for a dense matrix, or nearly, a sweep takes them in turn.
Given the effects of the others, a factor is a model of its own: its variance parameters and
sigma are moved by slice sampling with its effects and the fixed effects integrated out, and
these are then drawn exactly, the fixed effects with every factor's. Nested factors are taken
together. What is drawn is the posterior, with its priors; crossed factors hear of each other
only by sweeps.

References
----------
Papaspiliopoulos, O., Roberts, G. O. and Zanella, G. (2020). Scalable inference for crossed random
effects models. Biometrika 107(1), 25-40.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.conditional import split_by_group
from bayesmix.inference.announce import Progress, stage
from bayesmix.inference.collapsed import GroupDraws, keeps_effects, whitening
from bayesmix.inference.draws import Draws, GroupMoments
from bayesmix.inference.factor_blocks import Block, Blocks, Conditional, divided
from bayesmix.inference.independent import together
from bayesmix.inference.nutpie_run import complete_or_warn
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.slices import slice_along
from bayesmix.inference.theta_draws import GroupVariables, theta_variables
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["sample_gibbs"]

_PILOT_ROUNDS = 3  # from mode to mode
_WIDE_START = 1.5  # standard deviations of where chains start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """Where chains start, and along which directions slices are taken, by block.

    Attributes
    ----------
    x : list of ndarray, shape (d,)
    directions : list of ndarray, shape (d, d)
    beta : ndarray, shape (p,)
    b : list of ndarray
    """

    x: list[np.ndarray]
    directions: list[np.ndarray]
    beta: np.ndarray
    b: list[np.ndarray]


class _State:
    """Where a chain is: coordinates and effects of each block, and their products with columns."""

    def __init__(self, whole: Blocks, x: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> None:
        self.whole = whole
        self.own = [Conditional(block) for block in whole.blocks]
        self.x, self.b = list(x), list(b)
        # What the effects of block j take off the products of block i: [j][i].
        self._taken = [self._products(j) for j in range(len(self.b))]
        self.beta = np.zeros(whole.blocks[0].problem.n_fixed)

    def _products(self, j: int) -> list[np.ndarray]:
        return [np.asarray(own[j] @ self.b[j]) for own in self.whole.between]

    def given_others(self, k: int) -> Conditional:
        """The k-th block given the others."""
        blocks, others = self.whole.blocks, [j for j in range(len(self.b)) if j != k]
        left, yy = blocks[k].products.copy(), self.whole.yy
        for j in others:
            left -= self._taken[j][k]
            n = blocks[j].n_effects
            # Twice the product with the response, less all that the others make of it.
            rest = 2.0 * blocks[j].products[:n]
            for i in others:
                rest -= self._taken[i][j][:n]
            yy -= float(self.b[j] @ rest)
        self.own[k].given(left, yy)
        return self.own[k]

    def keep(self, k: int, x: np.ndarray, rng: np.random.Generator) -> None:
        """Move the k-th block to coordinates, with new effects."""
        self.x[k] = x
        self.beta, self.b[k] = self.own[k].draw(x, rng)
        self._taken[k] = self._products(k)

    def sweep(self, directions: Sequence[np.ndarray], rng: np.random.Generator) -> None:
        """Move each block once; sigma is that of the last one."""
        sigma = self.x[-1][-1:]
        for k in range(len(self.x)):
            own, x = self.given_others(k), self.x[k]
            if self.whole.has_sigma:
                x = np.concatenate([x[:-1], sigma])
            x, _ = slice_along(own.value, x, own.value(x), directions[k], rng)
            self.keep(k, x, rng)
            sigma = x[-1:]


def sample_gibbs(
    model: StatedModel, settings: SamplerSettings, names: Mapping[str, GroupVariables],
    group_draws: GroupDraws = "auto", choice: str = "",
) -> Draws:  # fmt: skip
    """Sample by sweeps over the grouping factors.

    Parameters
    ----------
    model : StatedModel
        One that `why_not_by_factors` has nothing against.
    settings : SamplerSettings
        Whose warm-up is sweeps that are not kept.
    names : mapping of str to GroupVariables
        The variables' names, by grouping factor.
    group_draws : {"auto", "all", "moments"}
    choice : str
        What speaks for this sampler, in words.

    Returns
    -------
    Draws

    Raises
    ------
    SamplingError
        If the equations cannot be factored.
    """
    seconds: dict[str, float] = {}
    with one_blas_thread():
        with stage(seconds, "prepare"):
            try:
                whole = divided(model)
                start = _pilot(whole, np.random.default_rng(settings.seed))
            except KeyboardInterrupt:
                raise KeyboardInterrupt("sampling was interrupted before the first draw") from None
        n_effects = sum(block.n_effects for block in whole.blocks)
        kept = _Kept(whole, start, settings, keep=keeps_effects(n_effects, settings, group_draws))
        with stage(seconds, "sample"):
            _run(whole, start, kept, settings)
    stats = {"diverging": np.zeros(kept.which.shape, dtype=bool)}
    complete, stats, interrupted = complete_or_warn({"which": kept.which}, stats, settings)
    with stage(seconds, "effects"):
        posterior = kept.posterior(complete["which"].astype(np.int64), names)
        moments = kept.moments()
    return Draws(
        posterior=posterior, sample_stats=stats, engine="fast (collapsed Gibbs)", seconds=seconds,
        seed=settings.seed, tune=settings.tune, interrupted=interrupted, group_moments=moments,
        choice=choice,
    )  # fmt: skip


def _pilot(whole: Blocks, rng: np.random.Generator) -> _Start:
    """Go from mode to mode of one block after the other."""
    blocks = whole.blocks
    state = _State(
        whole, [np.zeros(own.density.n_coordinates) for own in blocks],
        [np.zeros(own.n_effects) for own in blocks],
    )  # fmt: skip
    directions = [np.eye(len(x)) for x in state.x]
    for _ in range(_PILOT_ROUNDS):
        for k, block in enumerate(blocks):
            own = state.given_others(k)
            problem = replace(block.problem, equations=own.equations)
            mode, directions[k] = whitening(problem, block.density.co, block.density.prior)
            state.keep(k, mode, rng)
    return _Start(x=state.x, directions=directions, beta=state.beta, b=state.b)


def _run(whole: Blocks, start: _Start, kept: _Kept, settings: SamplerSettings) -> None:
    seeds = np.random.SeedSequence(settings.seed).spawn(settings.chains)
    each = settings.tune + settings.draws
    done = [0] * settings.chains
    progress = Progress("sweep", settings.chains * each, shown=settings.progress)

    def one_chain(c: int, stop: threading.Event) -> None:
        rng = np.random.default_rng(seeds[c])
        x = [
            own + _WIDE_START * directions @ rng.standard_normal(len(own))
            for own, directions in zip(start.x, start.directions, strict=True)
        ]
        b = [_exchanged(*pair, rng) for pair in zip(whole.blocks, start.b, strict=True)]
        state = _State(whole, x, b)
        for t in range(each):
            if stop.is_set():
                return
            state.sweep(start.directions, rng)
            if t >= settings.tune:
                kept.add(c, t - settings.tune, state)
            done[c] = t + 1
            progress.say(sum(done))

    together(one_chain, range(settings.chains), settings.cores, until_stopped=True)
    progress.close()


def _exchanged(block: Block, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Effects of other levels: as large as they should be, and of no use."""
    out, at = b.copy(), 0
    for group in block.problem.groups:
        own = out[at : at + group.n_levels * group.n_effects].reshape(
            group.n_levels, group.n_effects
        )
        own[:] = own[rng.permutation(group.n_levels)]
        at += own.size
    return out


class _Kept:
    """What is kept of the sweeps of all chains."""

    def __init__(
        self, whole: Blocks, start: _Start, settings: SamplerSettings, *, keep: bool
    ) -> None:
        shape = settings.chains, settings.draws
        self._whole, self._keep = whole, keep
        self.which = np.full(shape, np.nan)
        self._x = [np.empty((*shape, len(x))) for x in start.x]
        self._beta = np.empty((*shape, len(start.beta)))
        self._b = [np.empty((*shape, own.n_effects if keep else 0)) for own in whole.blocks]
        # Sums of moments are taken about a draw, beside which spreads are not small.
        self._about = None if keep else self._effects(start.beta, start.b)
        self._sums = [
            {name: np.zeros((4, *own[0].shape)) for name, own in (self._about or {}).items()}
            for _ in range(settings.chains)
        ]

    def add(self, c: int, t: int, state: _State) -> None:
        """Keep the t-th draw of chain c."""
        for k, x in enumerate(state.x):
            self._x[k][c, t] = x
            if self._keep:
                self._b[k][c, t] = state.b[k]
        self._beta[c, t] = state.beta
        self.which[c, t] = c * self.which.shape[1] + t
        if self._about is None:
            return
        for name, (b, total) in self._effects(state.beta, state.b).items():
            b_0, total_0 = self._about[name]
            own = self._sums[c][name]
            own[0] += b - b_0
            own[1] += (b - b_0) ** 2
            own[2] += total - total_0
            own[3] += (total - total_0) ** 2

    def posterior(
        self, which: np.ndarray, names: Mapping[str, GroupVariables]
    ) -> dict[str, np.ndarray]:
        """Variables of the posterior, of the draws that are complete."""
        chain, at = np.divmod(which, self.which.shape[1])
        found: dict[str, np.ndarray] = {}
        for block, x, b in zip(self._whole.blocks, self._x, self._b, strict=True):
            own, sd, _ = theta_variables(block.problem, block.density.co, x[chain, at], names)
            found |= own
            if self._whole.has_sigma:  # the last is that of the draw
                found["sigma"] = sd[:, -1].reshape(which.shape)
            if self._keep:
                for group, values in split_by_group(block.problem, b[chain, at]).items():
                    found[names[group].b] = values
        if self._beta.shape[-1]:
            found["beta"] = self._fixed(self._beta[chain, at])
        return found

    def moments(self) -> dict[str, GroupMoments]:
        """Means and standard deviations of the effects, where draws of them are not kept."""
        out = {}
        n = int((~np.isnan(self.which)).sum())
        for name, (b_0, total_0) in (self._about or {}).items():
            sums = np.sum([own[name] for own in self._sums], axis=0)
            b, b_square, total, total_square = sums / n
            out[name] = GroupMoments(
                mean=b_0 + b,
                sd=np.sqrt(np.maximum(b_square - b**2, 0.0)),
                coefficient_mean=total_0 + total,
                coefficient_sd=np.sqrt(np.maximum(total_square - total**2, 0.0)),
            )
        return out

    def _fixed(self, beta: np.ndarray) -> np.ndarray:
        """Fixed effects on the scale of the formula, shape (..., p)."""
        scaling = self._whole.blocks[0].problem.scaling
        back = np.linalg.inv(scaling.TX) * scaling.y_scale
        return np.asarray((beta + scaling.beta_0) @ back.T)

    def _effects(
        self, beta: np.ndarray, b: Sequence[np.ndarray]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By grouping factor its effects, and these with the fixed ones, shape (G, q)."""
        fixed, out = self._fixed(beta), {}
        for block, values in zip(self._whole.blocks, b, strict=True):
            found = split_by_group(block.problem, values)
            for group in block.problem.groups:
                own = [0.0 if j is None else fixed[j] for j in group.fixed_column]
                out[group.name] = found[group.name], found[group.name] + np.asarray(own)
        return out
